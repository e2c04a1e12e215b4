//! Functions on numbers.

use std::cmp::Ordering;

use super::{Called, Function};
use crate::operators::{Operator, apply, order};
use crate::value::Value;

pub(super) fn call(function: Function, arguments: &[Value]) -> Called {
    match (function, arguments) {
        (Function::Sum, [Value::List(items)]) => Some(sum(items)),
        (Function::Round, [Value::Double(number)]) => Some(Ok(Value::Double(number.round()))),
        (Function::Round, [Value::Int(number)]) => Some(Ok(Value::Int(*number))),
        (Function::Min, [Value::List(items)]) => Some(pick(items, Ordering::Less, "min")),
        (Function::Max, [Value::List(items)]) => Some(pick(items, Ordering::Greater, "max")),
        (Function::Min, items) => Some(pick(items, Ordering::Less, "min")),
        (Function::Max, items) => Some(pick(items, Ordering::Greater, "max")),
        _ => None,
    }
}

// An empty list sums to the integer 0: the most common list is of integers.
fn sum(items: &[Value]) -> Result<Value, String> {
    let Some((first, rest)) = items.split_first() else {
        return Ok(Value::Int(0));
    };
    if !matches!(first, Value::Int(_) | Value::Double(_)) {
        return Err(format!(
            "`sum` adds numbers, the list holds {}",
            first.type_name()
        ));
    }
    rest.iter().try_fold(first.clone(), |total, item| {
        apply(Operator::Add, &total, item)
    })
}

fn pick(items: &[Value], wanted: Ordering, name: &str) -> Result<Value, String> {
    let Some((first, rest)) = items.split_first() else {
        return Err(format!(
            "`{name}` of an empty list; guard with `size(list) > 0`"
        ));
    };
    let mut best = first;
    for item in rest {
        match order(item, best) {
            Some(found) if found == wanted => best = item,
            Some(_) => {}
            None => {
                return Err(format!(
                    "`{name}` cannot compare {} and {}",
                    item.type_name(),
                    best.type_name()
                ));
            }
        }
    }
    Ok(best.clone())
}

//! Operators on values, with the semantics of CEL: types are not mixed in
//! arithmetic, numbers compare across types, integers never wrap.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::value::{Value, member};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    At,
}

impl Operator {
    /// The operator under its name in a tree.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "+" => Self::Add,
            "-" => Self::Subtract,
            "*" => Self::Multiply,
            "/" => Self::Divide,
            "%" => Self::Remainder,
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "in" => Self::In,
            "at" => Self::At,
            _ => return None,
        })
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::At => "[]",
        }
    }
}

pub(crate) fn apply(operator: Operator, left: &Value, right: &Value) -> Result<Value, String> {
    match operator {
        Operator::Equal => usable(left, right).map(|()| Value::Bool(equal(left, right))),
        Operator::NotEqual => usable(left, right).map(|()| Value::Bool(!equal(left, right))),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            compare(operator, left, right)
        }
        Operator::In => contains(left, right),
        Operator::At => at(left, right),
        Operator::Add
        | Operator::Subtract
        | Operator::Multiply
        | Operator::Divide
        | Operator::Remainder => arithmetic(operator, left, right),
    }
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Result<Value, String> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => integers(operator, *a, *b),
        (Value::Double(a), Value::Double(b)) => match operator {
            Operator::Add => Ok(Value::Double(a + b)),
            Operator::Subtract => Ok(Value::Double(a - b)),
            Operator::Multiply => Ok(Value::Double(a * b)),
            Operator::Divide => Ok(Value::Double(a / b)),
            _ => Err(mismatch(operator, left, right)),
        },
        (Value::String(a), Value::String(b)) if operator == Operator::Add => {
            let mut joined = String::with_capacity(a.len() + b.len());
            joined.push_str(a);
            joined.push_str(b);
            Ok(Value::String(joined.into()))
        }
        (Value::Bytes(a), Value::Bytes(b)) if operator == Operator::Add => {
            Ok(Value::Bytes([&**a, &**b].concat().into()))
        }
        (Value::List(a), Value::List(b)) if operator == Operator::Add => Ok(Value::List(Rc::new(
            a.iter().chain(b.iter()).cloned().collect(),
        ))),
        _ => Err(mismatch(operator, left, right)),
    }
}

fn integers(operator: Operator, a: i64, b: i64) -> Result<Value, String> {
    if b == 0 && matches!(operator, Operator::Divide | Operator::Remainder) {
        return Err("division by zero".to_owned());
    }
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    result
        .map(Value::Int)
        .ok_or_else(|| format!("the result of `{}` does not fit 64 bits", operator.symbol()))
}

pub(crate) fn negate(value: &Value) -> Result<Value, String> {
    match value {
        Value::Int(number) => number
            .checked_neg()
            .map(Value::Int)
            .ok_or_else(|| "the result of `-` does not fit 64 bits".to_owned()),
        Value::Double(number) => Ok(Value::Double(-number)),
        other => Err(format!("`-` does not apply to {}", other.type_name())),
    }
}

/// Equality of CEL: values of different types differ, but numbers compare by
/// what they are worth.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
            order(left, right) == Some(Ordering::Equal)
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| member(b, key).is_some_and(|b| equal(a, b)))
        }
        _ => false,
    }
}

/// The order of two values of comparable types; `None` for others and for NaN.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => int_to_double(*a, *b),
        (Value::Double(a), Value::Int(b)) => int_to_double(*b, *a).map(Ordering::reverse),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn int_to_double(int: i64, double: f64) -> Option<Ordering> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        None
    } else if double >= TWO_63 {
        Some(Ordering::Less)
    } else if double < -TWO_63 {
        Some(Ordering::Greater)
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "in range by the two tests above"
        )]
        let whole = double.trunc() as i64;
        Some(
            int.cmp(&whole)
                .then_with(|| 0.0.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal)),
        )
    }
}

fn compare(operator: Operator, left: &Value, right: &Value) -> Result<Value, String> {
    let is_nan = |value: &Value| matches!(value, Value::Double(number) if number.is_nan());
    let Some(order) = order(left, right) else {
        let numbers = |value: &Value| matches!(value, Value::Int(_) | Value::Double(_));
        if numbers(left) && numbers(right) && (is_nan(left) || is_nan(right)) {
            return Ok(Value::Bool(false));
        }
        return Err(mismatch(operator, left, right));
    };
    Ok(Value::Bool(match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    }))
}

fn contains(needle: &Value, hay: &Value) -> Result<Value, String> {
    match (needle, hay) {
        (_, Value::List(items)) => Ok(Value::Bool(items.iter().any(|item| equal(item, needle)))),
        (Value::String(key), Value::Map(members)) => {
            Ok(Value::Bool(member(members, key).is_some()))
        }
        (_, Value::Map(_)) => Ok(Value::Bool(false)),
        _ => Err(mismatch(Operator::In, needle, hay)),
    }
}

fn at(target: &Value, index: &Value) -> Result<Value, String> {
    match (target, index) {
        (Value::Map(members), Value::String(key)) => member(members, key)
            .cloned()
            .ok_or_else(|| format!("no such key `{key}`")),
        (Value::List(items), Value::Int(index)) => element(items, *index),
        (Value::List(items), Value::Double(index))
            if index.fract() == 0.0 && index.abs() < 1e15 =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole and small, just tested"
            )]
            element(items, *index as i64)
        }
        _ => Err(mismatch(Operator::At, target, index)),
    }
}

fn element(items: &[Value], index: i64) -> Result<Value, String> {
    let found = usize::try_from(index)
        .ok()
        .and_then(|index| items.get(index));
    found.cloned().ok_or_else(|| {
        format!(
            "index {index} is outside a list of {} elements",
            items.len()
        )
    })
}

fn usable(left: &Value, right: &Value) -> Result<(), String> {
    match (left, right) {
        (Value::Beyond, _) | (_, Value::Beyond) => Err(mismatch(Operator::Equal, left, right)),
        _ => Ok(()),
    }
}

fn mismatch(operator: Operator, left: &Value, right: &Value) -> String {
    let hint = match (left, right) {
        (Value::Int(_), Value::Double(_)) | (Value::Double(_), Value::Int(_)) => {
            "; convert one side with `double(…)` or `int(…)`"
        }
        (Value::String(_), _) | (_, Value::String(_)) if operator == Operator::Add => {
            "; convert the other side with `string(…)`"
        }
        _ => "",
    };
    let (left, right) = (left.type_name(), right.type_name());
    format!(
        "`{}` does not apply to {left} and {right}{hint}",
        operator.symbol()
    )
}

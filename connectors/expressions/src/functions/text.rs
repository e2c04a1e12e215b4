//! Functions on strings and lists. Positions and sizes count code points.

use super::{Called, Function};
use crate::value::Value;

pub(super) fn size(arguments: &[Value]) -> Called {
    let [value] = arguments else { return None };
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(members) => members.len(),
        _ => return None,
    };
    Some(Ok(Value::size(size)))
}

pub(super) fn call(function: Function, arguments: &[Value]) -> Called {
    let value = match (function, arguments) {
        (Function::StartsWith, [Value::String(a), Value::String(b)]) => {
            Value::Bool(a.starts_with(&**b))
        }
        (Function::EndsWith, [Value::String(a), Value::String(b)]) => {
            Value::Bool(a.ends_with(&**b))
        }
        (Function::Contains, [Value::String(a), Value::String(b)]) => Value::Bool(a.contains(&**b)),
        (Function::LowerAscii, [Value::String(a)]) => Value::String(a.to_ascii_lowercase().into()),
        (Function::UpperAscii, [Value::String(a)]) => Value::String(a.to_ascii_uppercase().into()),
        (Function::Trim, [Value::String(a)]) => Value::string(a.trim()),
        (Function::Split, [Value::String(a), Value::String(b)]) => split(a, b),
        (Function::Join, [Value::List(items)]) => return join(items, ""),
        (Function::Join, [Value::List(items), Value::String(by)]) => return join(items, by),
        (Function::Replace, [Value::String(a), Value::String(from), Value::String(to)]) => {
            Value::String(a.replace(&**from, to).into())
        }
        (Function::IndexOf, [Value::String(a), Value::String(b)]) => index_of(a, b),
        (Function::Substring, [Value::String(a), Value::Int(from)]) => {
            return Some(substring(a, *from, None));
        }
        (Function::Substring, [Value::String(a), Value::Int(from), Value::Int(to)]) => {
            return Some(substring(a, *from, Some(*to)));
        }
        _ => return None,
    };
    Some(Ok(value))
}

fn split(text: &str, by: &str) -> Value {
    if by.is_empty() {
        return Value::list(
            text.chars()
                .map(|c| Value::string(c.encode_utf8(&mut [0; 4])))
                .collect(),
        );
    }
    Value::list(text.split(by).map(Value::string).collect())
}

fn join(items: &[Value], by: &str) -> Called {
    let mut joined = String::new();
    for (position, item) in items.iter().enumerate() {
        let Value::String(item) = item else {
            return Some(Err(format!(
                "`join` joins strings, element {position} is {}; convert with \
                 `.map(x, string(x))`",
                item.type_name()
            )));
        };
        if position > 0 {
            joined.push_str(by);
        }
        joined.push_str(item);
    }
    Some(Ok(Value::String(joined.into())))
}

fn index_of(text: &str, part: &str) -> Value {
    let before = text
        .split_once(part)
        .map(|(before, _)| before.chars().count());
    before.map_or(Value::Int(-1), Value::size)
}

fn substring(text: &str, from: i64, to: Option<i64>) -> Result<Value, String> {
    let length = text.chars().count();
    let to = to.map_or(Some(length), |to| usize::try_from(to).ok());
    match (usize::try_from(from).ok(), to) {
        (Some(from), Some(to)) if from <= to && to <= length => {
            let part: String = text.chars().skip(from).take(to - from).collect();
            Ok(Value::String(part.into()))
        }
        _ => Err(format!(
            "`substring` leaves a string of {length} characters"
        )),
    }
}

//! Functions between types, and to and from JSON and base64.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{Called, Function};
use crate::value::Value;

pub(super) fn call(function: Function, arguments: &[Value]) -> Called {
    let [value] = arguments else { return None };
    Some(match (function, value) {
        (Function::String, Value::List(_) | Value::Map(_) | Value::Null) => return None,
        (Function::String, value) => string(value),
        (Function::Int, value) => return int(value),
        (Function::Double, value) => return double(value),
        (Function::Bool, Value::Bool(_)) | (Function::Bytes, Value::Bytes(_)) => Ok(value.clone()),
        (Function::Bool, Value::String(text)) => boolean(text),
        (Function::Bytes, Value::String(text)) => Ok(Value::Bytes(text.as_bytes().into())),
        (Function::Json, Value::String(text)) => serde_json::from_str(text)
            .map_err(|error| format!("`json` got a text that is not JSON: {error}")),
        (Function::ToJson, value) => to_json(value).map(|text| Value::String(text.into())),
        (Function::Base64Encode, Value::String(text)) => Ok(encode(text.as_bytes())),
        (Function::Base64Encode, Value::Bytes(bytes)) => Ok(encode(bytes)),
        (Function::Base64Decode, Value::String(text)) => STANDARD_NO_PAD
            .decode(text.trim_end_matches('='))
            .map(|bytes| Value::Bytes(bytes.into()))
            .map_err(|error| format!("`base64.decode` got a text that is not base64: {error}")),
        _ => return None,
    })
}

/// Appends a value as it shows inside a text.
pub(crate) fn display(value: &Value, out: &mut String) -> Result<(), String> {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => drop(write!(out, "{number}")),
        Value::Double(number) => drop(write!(out, "{number}")),
        Value::Bytes(bytes) => STANDARD.encode_string(bytes, out),
        Value::List(_) | Value::Map(_) => out.push_str(&to_json(value)?),
        Value::Null => {
            return Err(
                "null cannot stand inside a text; give a default with `x == null ? '' : x`"
                    .to_owned(),
            );
        }
        Value::Beyond => return Err(format!("a {} cannot be shown", value.type_name())),
    }
    Ok(())
}

fn string(value: &Value) -> Result<Value, String> {
    if let Value::Bytes(bytes) = value {
        let text = std::str::from_utf8(bytes);
        return text
            .map(Value::string)
            .map_err(|_| "the bytes are not UTF-8 text".to_owned());
    }
    let mut text = String::new();
    display(value, &mut text)?;
    Ok(Value::String(text.into()))
}

fn int(value: &Value) -> Called {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    Some(match value {
        Value::Int(number) => Ok(Value::Int(*number)),
        Value::Double(number) if *number > -TWO_63 && *number < TWO_63 =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "in range by the guard")]
            Ok(Value::Int(number.trunc() as i64))
        }
        Value::Double(_) => Err("the number does not fit 64 bits".to_owned()),
        Value::String(text) => text
            .parse()
            .map(Value::Int)
            .map_err(|_| "the text is not a whole number".to_owned()),
        _ => return None,
    })
}

fn double(value: &Value) -> Called {
    Some(match value {
        #[expect(clippy::cast_precision_loss, reason = "what `double` is asked to do")]
        Value::Int(number) => Ok(Value::Double(*number as f64)),
        Value::Double(number) => Ok(Value::Double(*number)),
        Value::String(text) => text
            .parse()
            .map(Value::Double)
            .map_err(|_| "the text is not a number".to_owned()),
        _ => return None,
    })
}

fn boolean(text: &str) -> Result<Value, String> {
    match text {
        "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
        _ => Err("the text is neither `true` nor `false`".to_owned()),
    }
}

fn encode(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes).into())
}

fn to_json(value: &Value) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

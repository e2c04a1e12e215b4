//! The functions of expressions: CEL's own that JSON can use, the string
//! extension's common ones, and a few that recipes need.

mod convert;
mod numbers;
mod table;
mod text;

pub(crate) use convert::display;
pub(crate) use table::{Function, Row, Style, TABLE};

use crate::value::Value;

/// Calls a function; a method's target is the first argument. The checker has
/// counted the arguments, so a wrong count here is a wrong type at worst.
pub(crate) fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    let result = match function {
        Function::Size => text::size(arguments),
        Function::StartsWith
        | Function::EndsWith
        | Function::Contains
        | Function::LowerAscii
        | Function::UpperAscii
        | Function::Trim
        | Function::Split
        | Function::Join
        | Function::Replace
        | Function::IndexOf
        | Function::Substring => text::call(function, arguments),
        Function::Sum | Function::Min | Function::Max | Function::Round => {
            numbers::call(function, arguments)
        }
        Function::String
        | Function::Int
        | Function::Double
        | Function::Bool
        | Function::Bytes
        | Function::Json
        | Function::ToJson
        | Function::Base64Encode
        | Function::Base64Decode => convert::call(function, arguments),
    };
    result.unwrap_or_else(|| {
        let types: Vec<&str> = arguments.iter().map(Value::type_name).collect();
        Err(format!(
            "`{}` does not apply to ({})",
            function.name(),
            types.join(", ")
        ))
    })
}

/// `None`: the function has no form for these types.
type Called = Option<Result<Value, String>>;

//! Calls one import, as often as it is told.

use keyway_sdk::{Context, Failure, Level, Value, json};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Call {
    function: Function,
    times: Option<u32>,
    argument: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
enum Function {
    #[serde(rename = "keyway:host/connection#parameter")]
    Parameter,
    #[serde(rename = "keyway:host/connection#scopes")]
    Scopes,
    #[serde(rename = "keyway:host/log#write")]
    Log,
    #[serde(rename = "keyway:host/state#get")]
    StateGet,
    #[serde(rename = "keyway:host/state#set")]
    StateSet,
    #[serde(rename = "keyway:host/state#delete")]
    StateDelete,
    #[serde(rename = "wasi:http/outgoing-handler#handle")]
    Http,
}

/// What the last of the calls gave.
pub(crate) fn call(context: &Context, call: Call) -> Result<Value, Failure> {
    let argument = call.argument.unwrap_or_default();
    let mut seen = String::new();
    for _ in 0..call.times.unwrap_or(1) {
        seen = once(context, call.function, &argument);
    }
    Ok(json!({ "seen": seen }))
}

fn once(context: &Context, function: Function, argument: &str) -> String {
    const KEY: &str = "cursor";
    match function {
        Function::Parameter => format!("{:?}", context.parameter("host")),
        Function::Scopes => format!("{:?}", context.scopes()),
        Function::Log => {
            context.log(Level::Info, argument);
            "written".to_owned()
        }
        Function::StateGet => format!("{:?}", context.state().get(KEY)),
        Function::StateSet => format!("{:?}", context.state().set(KEY, argument)),
        Function::StateDelete => format!("{:?}", context.state().delete(KEY)),
        Function::Http => match context.http().get(argument).send() {
            Ok(reply) => format!("status {}", reply.status()),
            Err(failure) => failure.to_string(),
        },
    }
}

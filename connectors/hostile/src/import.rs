//! Calls one import, as often as it is told.

use std::sync::atomic::{AtomicU32, Ordering};

use keyway_sdk::{Context, Failure, Level, ScratchRefusal, Value, json};
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
    #[serde(rename = "keyway:host/scratch#open")]
    ScratchOpen,
    #[serde(rename = "keyway:host/scratch#read")]
    ScratchRead,
    #[serde(rename = "keyway:host/scratch#write")]
    ScratchWrite,
    #[serde(rename = "keyway:host/scratch#list")]
    ScratchList,
    #[serde(rename = "keyway:host/scratch#remove")]
    ScratchRemove,
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

const KEY: &str = "cursor";

fn once(context: &Context, function: Function, argument: &str) -> String {
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
        Function::ScratchOpen => {
            // Another file each time.
            static FILES: AtomicU32 = AtomicU32::new(0);
            let number = FILES.fetch_add(1, Ordering::Relaxed);
            format!("{:?}", context.scratch().open(&format!("{KEY}-{number}")))
        }
        Function::ScratchRead => {
            // Files are of this call alone, so there is one only if this call made it.
            drop(fill(context, argument));
            let read = context.scratch().read(KEY, 0, 64);
            format!("{:?}", read.map(String::from_utf8))
        }
        Function::ScratchWrite => format!("{:?}", fill(context, argument)),
        Function::ScratchList => format!("{:?}", context.scratch().list()),
        Function::ScratchRemove => format!("{:?}", context.scratch().remove(KEY)),
        Function::Http => match context.http().get(argument).send() {
            Ok(reply) => format!("status {}", reply.status()),
            Err(failure) => failure.to_string(),
        },
    }
}

/// Opens a file and writes into it, whatever came of the opening.
fn fill(context: &Context, content: &str) -> Result<(), ScratchRefusal> {
    drop(context.scratch().open(KEY));
    context.scratch().write(KEY, 0, content.as_bytes())
}

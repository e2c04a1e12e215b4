//! Does to its scratch files what it is told, step by step, and tells what came
//! of each. A step that waits asks the upstream, which answers when it likes.

use std::hint::black_box;

use keyway_sdk::{Context, Failure, Value, json};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Script {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(rename = "do")]
    what: What,
    #[serde(default)]
    name: String,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    length: u32,
    #[serde(default)]
    text: String,
    times: Option<u32>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum What {
    Open,
    Read,
    Write,
    /// Writes `length` bytes, in one call of the host.
    Fill,
    List,
    Remove,
    /// Waits for the upstream.
    Wait,
    Trap,
    Spin,
}

/// What each step gave, the last time that it was done.
pub(crate) fn run(context: &Context, script: Script) -> Result<Value, Failure> {
    let mut seen = Vec::new();
    for step in script.steps {
        let mut last = String::new();
        for _ in 0..step.times.unwrap_or(1) {
            last = once(context, &step);
        }
        seen.push(last);
    }
    Ok(json!({ "seen": seen }))
}

fn once(context: &Context, step: &Step) -> String {
    let files = context.scratch();
    match step.what {
        What::Open => format!("{:?}", files.open(&step.name)),
        What::Read => {
            let read = files.read(&step.name, step.offset, step.length);
            format!(
                "{:?}",
                read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            )
        }
        What::Write => format!(
            "{:?}",
            files.write(&step.name, step.offset, step.text.as_bytes())
        ),
        What::Fill => {
            use keyway_sdk::bindings::keyway::host::scratch;
            let bytes = vec![b'x'; step.length as usize];
            format!("{:?}", scratch::write(&step.name, step.offset, &bytes))
        }
        What::List => format!("{:?}", files.list()),
        What::Remove => format!("{:?}", files.remove(&step.name)),
        What::Wait => {
            let asked = context
                .origin()
                .and_then(|origin| context.http().get(format!("{origin}/anything")).send());
            format!("{:?}", asked.map(|reply| reply.status()))
        }
        What::Trap => unreachable!("as it was told"),
        What::Spin => {
            while black_box(true) {}
            String::new()
        }
    }
}

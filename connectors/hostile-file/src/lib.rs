//! Reads files by itself, which no capability allows. A component with this
//! import is refused when it is installed, so this code never runs.

use keyway_sdk::{Actions, Connector, Context, Failure, Value, json};

struct HostileFile;

impl Connector for HostileFile {
    fn actions() -> Actions {
        Actions::new().action("attempt", attempt)
    }
}

keyway_sdk::export!(HostileFile);

fn attempt(_context: &Context, _input: Value) -> Result<Value, Failure> {
    let tried = ["/etc/passwd", "/proc/self/environ", "."];
    let seen: Vec<String> = tried
        .iter()
        .map(|path| format!("{path}: {:?}", std::fs::read_to_string(path)))
        .collect();
    Ok(json!({ "seen": seen }))
}

//! Opens a socket by itself instead of asking for `wasi:http`. A component with
//! this import is refused when it is installed, so this code never runs.

use std::io::Read;
use std::net::TcpStream;

use keyway_sdk::{Actions, Connector, Context, Failure, Value, json};

struct HostileSocket;

impl Connector for HostileSocket {
    fn actions() -> Actions {
        Actions::new().action("attempt", attempt)
    }
}

keyway_sdk::export!(HostileSocket);

#[expect(
    clippy::disallowed_methods,
    reason = "the offence that this connector is for"
)]
fn attempt(_context: &Context, _input: Value) -> Result<Value, Failure> {
    let mut seen = String::new();
    let outcome = TcpStream::connect(("127.0.0.1", 80))
        .and_then(|mut stream| stream.read_to_string(&mut seen));
    Ok(json!({ "outcome": format!("{outcome:?}"), "seen": seen }))
}

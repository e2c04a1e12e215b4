//! Row 16: calls whose callers are gone, and calls that are out of time.

use std::io::Write as _;
use std::net::TcpStream;

use super::arena::Arena;
use super::table::Guest;
use crate::harness::{http, order, split};

/// Callers that go away together, and how often.
const TOGETHER: [&str; 10] = [
    "spin",
    "spin",
    "timeouts",
    "timeouts",
    "timeouts",
    "log-flood",
    "log-flood",
    "handles",
    "header-names",
    "sleep",
];
const ROUNDS: u32 = 25;

#[expect(clippy::disallowed_methods, reason = "the tests are the callers")]
fn call_and_go_away(hook: &str) {
    let (address, path) = split(hook);
    let mut caller = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    caller.write_all(head.as_bytes()).unwrap();
    // Dropped without waiting for the answer.
}

#[test]
fn callers_that_go_away_cost_nobody_anything() {
    let mut arena = Arena::new();
    let workers = arena.workers_now();
    let hooks = TOGETHER.map(|action| arena.hook(Guest::Rust(action)));
    let (address, path) = split(&arena.victim_hook);
    for round in 0..ROUNDS {
        for hook in &hooks {
            call_and_go_away(hook);
        }
        let (status, answer) = http(address, "POST", &path, Some(&order(round)));
        assert_eq!(status, 200, "{answer}");
        arena.stage.until("the end of every job", |_| {
            let jobs = arena.json("attacker", "job list --limit 1000");
            let mut states = jobs.as_array().unwrap().iter().map(|job| &job["state"]);
            states
                .all(|state| state == "succeeded" || state == "failed")
                .then_some(())
        });
    }
    assert_eq!(arena.workers_now(), workers, "no worker ended");
}

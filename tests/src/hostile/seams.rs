//! Row 16: calls whose callers are gone, and calls that are out of time.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;

use super::arena::Arena;
use super::table::Guest;
use crate::harness::{http, order, split};

/// How many callers go away.
const CALLERS: usize = 300;

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests are the callers")]
fn callers_that_go_away_cost_nobody_anything() {
    let mut arena = Arena::new();
    let workers = arena.workers_now();
    let hooks =
        ["spin", "timeouts", "log-flood", "sleep"].map(|action| arena.hook(Guest::Rust(action)));
    for number in 0..CALLERS {
        // Mostly those whose calls end by themselves; few that hold a place until their time is up.
        let which = if number % 30 == 0 { 3 } else { number % 3 };
        let (address, path) = split(&hooks[which]);
        let mut caller = TcpStream::connect(address).unwrap();
        write!(caller, "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}").unwrap();
        // Gone, without waiting for the answer.
        drop(caller);
        if number % 20 == 0 {
            let (address, path) = split(&arena.victim_hook);
            let (status, answer) = http(address, "POST", &path, Some(&order(number as u32)));
            assert_eq!(status, 200, "{answer}");
        }
    }
    // All of those jobs come to an end.
    arena.stage.until("the last job", |_| {
        let jobs = arena.json("attacker", "job list --limit 1000");
        let jobs = jobs.as_array().unwrap().clone();
        let is_over = |job: &serde_json::Value| {
            ["succeeded", "failed"].contains(&job["state"].as_str().unwrap())
        };
        (!jobs.is_empty() && jobs.iter().all(is_over)).then_some(())
    });
    assert_eq!(arena.workers_now(), workers, "no worker ended");
    let (address, path) = split(&arena.victim_hook);
    let (status, _) = http(address, "POST", &path, Some(&json!(order(9_000))));
    assert_eq!(status, 200);
}

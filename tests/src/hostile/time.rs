//! Rows 1 and 11: time that is used up, and time that is measured.

use std::time::Duration;

use super::arena::{Arena, CPU_MS_MAX};
use super::table::Guest;
use crate::harness::{http, split};

/// What a loop may take of the processors beyond its limit: the clock of a thread
/// is read each millisecond, and what is measured here steps by ten.
const SOON: Duration = Duration::from_millis(50);

/// The time of the workers on the machine's processors so far.
fn spent(arena: &Arena) -> Duration {
    let ticks = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        // User and system time, the eleventh and twelfth behind the name.
        let fields = rest.split_whitespace().skip(11).take(2);
        fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    // A hundred ticks a second, on every Linux of this architecture.
    Duration::from_millis(arena.workers().into_iter().map(ticks).sum::<u64>() * 10)
}

/// What the workers spend until a call of `hook` is answered.
fn cost(arena: &Arena, hook: &str) -> Duration {
    let (address, path) = split(hook);
    let before = spent(arena);
    http(address, "POST", &path, Some(&serde_json::json!({})));
    spent(arena) - before
}

#[test]
fn a_loop_ends_soon_after_its_time() {
    let mut arena = Arena::new();
    for guest in [
        Guest::Rust("spin"),
        Guest::Text("start_loop"),
        Guest::Text("bulk_loop"),
    ] {
        let hook = arena.hook(guest);
        // Once before, so that nothing is compiled or loaded while it is measured.
        cost(&arena, &hook);
        // The best of a few: what is left of the call before is not this one's.
        let best = (0..5).map(|_| cost(&arena, &hook)).min().unwrap();
        let limit = Duration::from_millis(CPU_MS_MAX);
        assert!(best >= limit / 2, "{guest:?}: {best:?}");
        assert!(best < limit + SOON, "{guest:?}: {best:?}");
    }
}

#[test]
fn no_clock_of_a_guest_steps_by_less_than_a_millisecond() {
    let mut arena = Arena::new();
    let answer = arena.attempt(Guest::Rust("clocks")).answer;
    for clock in ["monotonic_ns", "wall_ns"] {
        let step = answer[clock].as_u64().unwrap();
        assert!(
            (1_000_000..1_000_000_000).contains(&step),
            "{clock}: {answer}"
        );
    }
}

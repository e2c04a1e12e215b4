//! Rows 1 and 11: time that is used up, and time that is measured.

use std::time::Duration;

use super::arena::{Arena, CPU_MS_MAX};
use super::table::Guest;
use crate::harness::{http, split};

/// What the best try of a loop may take of the processors beyond its limit: the clock of a
/// thread is read each millisecond, and what is measured here steps by ten.
const SOON: Duration = Duration::from_millis(50);

/// What half of the tries may take beyond it. What is measured is all that the workers spend
/// while the call is there, their clocks included, and on a busy machine it is there for longer.
const SOON_ON_A_BUSY_MACHINE: Duration = Duration::from_millis(250);

/// Tries of each loop.
const TRIES: usize = 5;

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

/// Of five tries the best must end within 50 ms of its time, and three within a quarter of a
/// second: that each ends so soon is not held.
#[test]
fn a_loop_ends_soon_after_its_time() {
    let mut arena = Arena::new();
    for guest in [
        Guest::Rust("spin"),
        Guest::Text("start_loop"),
        Guest::Text("realloc_loop"),
        Guest::Text("bulk_loop"),
    ] {
        let hook = arena.hook(guest);
        // Once before, so that nothing is compiled or loaded while it is measured.
        cost(&arena, &hook);
        let mut costs: Vec<Duration> = (0..TRIES).map(|_| cost(&arena, &hook)).collect();
        costs.sort_unstable();
        // What is left of the call before is not the best one's.
        let (best, half) = (costs[0], costs[TRIES / 2]);
        let limit = Duration::from_millis(CPU_MS_MAX);
        assert!(best >= limit / 2, "{guest:?}: {costs:?}");
        assert!(best < limit + SOON, "{guest:?}: {costs:?}");
        assert!(
            half < limit + SOON_ON_A_BUSY_MACHINE,
            "{guest:?}: {costs:?}"
        );
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

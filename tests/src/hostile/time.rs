//! Rows 1 and 11: time that is used up, and time that is measured.

use std::time::{Duration, Instant};

use super::arena::{Arena, CPU_MS_MAX};
use super::table::Guest;
use crate::harness::{http, split};

/// What may pass after the limit until the caller is answered, beside the time
/// that a call takes which does nothing.
const SOON: Duration = Duration::from_millis(50);

fn took(hook: &str) -> Duration {
    let (address, path) = split(hook);
    let start = Instant::now();
    http(address, "POST", &path, Some(&serde_json::json!({})));
    start.elapsed()
}

#[test]
fn a_loop_ends_soon_after_its_time() {
    let mut arena = Arena::new();
    let idle = arena.hook(Guest::Rust("header-names"));
    for guest in [
        Guest::Rust("spin"),
        Guest::Text("start_loop"),
        Guest::Text("bulk_loop"),
    ] {
        let hook = arena.hook(guest);
        // Once each before, so that nothing is compiled or loaded while it is timed.
        let (_, _) = (took(&hook), took(&idle));
        // The best of a few: what a busy machine adds is not the sandbox's.
        let best = (0..5)
            .map(|_| took(&hook).saturating_sub(took(&idle)))
            .min()
            .unwrap();
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

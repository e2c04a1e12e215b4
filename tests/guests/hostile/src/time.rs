//! Waits as nobody should, and measures how exactly it can measure.

use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::io::poll;

/// Waits for something that never comes.
pub(crate) fn never_ready() {
    let never = monotonic_clock::subscribe_duration(u64::MAX);
    let never_either = monotonic_clock::subscribe_instant(u64::MAX);
    poll::poll(&[&never, &never_either]);
}

/// Waits for no time, again and again.
pub(crate) fn no_time_at_all() {
    loop {
        monotonic_clock::subscribe_duration(0).block();
        monotonic_clock::subscribe_instant(0).block();
    }
}

/// The shortest step that each clock was seen to make, in nanoseconds.
pub(crate) fn clocks() -> String {
    let wall = || {
        let now = wall_clock::now();
        now.seconds * 1_000_000_000 + u64::from(now.nanoseconds)
    };
    format!(
        "{{\"monotonic_ns\":{},\"wall_ns\":{}}}",
        shortest_step(monotonic_clock::now),
        shortest_step(wall)
    )
}

fn shortest_step(clock: impl Fn() -> u64) -> u64 {
    let mut shortest = u64::MAX;
    let mut last = clock();
    let mut steps = 0;
    while steps < 20 {
        let now = clock();
        if now != last {
            shortest = shortest.min(now.abs_diff(last));
            steps += 1;
        }
        last = now;
    }
    shortest
}

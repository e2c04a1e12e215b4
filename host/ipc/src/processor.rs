//! Time that this thread has spent on a processor: not what a crowded machine
//! has given to others meanwhile.
//!
//! The kernel's clock of a thread is a system call, so it is read about once a
//! millisecond, and only where something takes that long. What is shorter is
//! measured by the clock on the wall.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How often the thread's clock is read, and by how much a time may be too long.
const EACH: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    spent: Duration,
}

thread_local! {
    static LAST: Cell<Option<Reading>> = const { Cell::new(None) };
}

/// The time of this thread on a processor since it began.
fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    // The kernel gives no negative time here, and no fraction above a second.
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// Now, for [`since`] on this thread.
pub fn begin() -> Instant {
    let now = Instant::now();
    let last = LAST.get();
    if last.is_none_or(|last| now.duration_since(last.at) >= EACH) {
        LAST.set(Some(Reading {
            at: now,
            spent: spent(),
        }));
    }
    now
}

/// How long this thread was on a processor since it called [`begin`]; at most a
/// millisecond too much.
pub fn since(begun: Instant) -> Duration {
    let wall = begun.elapsed();
    match LAST.get() {
        Some(last) if wall >= EACH => wall.min(spent().saturating_sub(last.spent)),
        _ => wall,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_spends_nothing_and_one_that_computes_does() {
        let begun = begin();
        let (ended, end) = std::sync::mpsc::channel::<()>();
        assert!(end.recv_timeout(Duration::from_millis(50)).is_err());
        drop(ended);
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert!(
            since(begun) < Duration::from_millis(25),
            "{:?}",
            since(begun)
        );
        let begun = begin();
        let before = spent();
        while spent() - before < Duration::from_millis(20) {}
        assert!(
            since(begun) >= Duration::from_millis(20),
            "{:?}",
            since(begun)
        );
    }
}

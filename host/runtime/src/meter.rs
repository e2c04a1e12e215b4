//! Time of one call: all of it, and the part on a processor.
//!
//! A call computes only while its future is polled.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyway_ipc::processor;

use crate::live::LiveCall;

pub(crate) struct Meter {
    start: Instant,
    /// Nanoseconds of finished polls.
    used_ns: AtomicU64,
    /// When the running poll began, in nanoseconds since `start`.
    entered_ns: AtomicU64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            used_ns: AtomicU64::new(0),
            entered_ns: AtomicU64::new(0),
        }
    }

    /// Since the start of the call.
    pub(crate) fn wall(&self) -> Duration {
        self.start.elapsed()
    }

    fn enter(&self) {
        let entered = processor::begin().duration_since(self.start);
        self.entered_ns
            .store(nanoseconds(entered), Ordering::Relaxed);
    }

    fn leave(&self) {
        self.used_ns.store(self.cpu_ns(), Ordering::Relaxed);
    }

    /// Asked only inside a poll of the call.
    fn cpu_ns(&self) -> u64 {
        let entered = Duration::from_nanos(self.entered_ns.load(Ordering::Relaxed));
        let running = nanoseconds(processor::since(self.start + entered));
        self.used_ns.load(Ordering::Relaxed).saturating_add(running)
    }

    /// The same in whole milliseconds.
    pub(crate) fn cpu_ms(&self) -> u64 {
        self.cpu_ns() / 1_000_000
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Drives `future` to its end, and never drops it half-way.
pub(crate) async fn metered<F: Future>(call: &LiveCall, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        call.meter.enter();
        let polled = future.as_mut().poll(cx);
        call.meter.leave();
        polled
    })
    .await
}

/// Whether the call has used up its time on a processor.
pub(crate) fn cpu_is_over(call: &LiveCall) -> bool {
    call.meter.cpu_ms() >= call.limits.cpu_ms_max
}

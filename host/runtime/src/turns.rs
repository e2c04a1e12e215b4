//! Turns of the calls of one lane that compute at length.
//!
//! A lane is one thread. If each of many calls that compute took its slice one
//! after the other, a short call would wait for all of them at every message.
//! So those that have computed for a while share one place: between two slices
//! of theirs, whatever is ready on the lane goes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;

use crate::live::LiveCall;

/// Time on a processor after which a call takes turns, in milliseconds.
const AT_LENGTH_MS: u64 = 4;

/// The one place of a lane.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// One call's claim to the place. Held only while the call computes.
#[derive(Default)]
pub(crate) struct Turn {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    /// Whether it goes on after it has let others go on.
    is_next: AtomicBool,
}

impl Turn {
    /// Leaves the place to others, if it was held.
    pub(crate) fn leave(&self) {
        drop(self.place.lock().take());
    }

    /// Whether the call goes on just now; told once.
    pub(crate) fn begins(&self) -> bool {
        self.is_next.swap(false, Ordering::Relaxed)
    }
}

/// Lets others go on; comes back when it is this call's turn, or when the call
/// was ended.
pub(crate) async fn next(call: Arc<LiveCall>) {
    call.turn.leave();
    if call.meter.cpu_ms() >= AT_LENGTH_MS {
        let place = Arc::clone(&call.turns.0).acquire_owned();
        // An error is the end of the call, which it is told where it goes on.
        if let Ok(Ok(permit)) = call.wait(place).await {
            *call.turn.place.lock() = Some(permit);
        }
    }
    yield_now().await;
    call.turn.is_next.store(true, Ordering::Relaxed);
}

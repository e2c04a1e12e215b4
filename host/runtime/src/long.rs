//! The thread of a worker on which calls go on that compute at length.
//!
//! A lane serves many callers and must always answer soon. A call that has
//! computed for a while leaves it for this thread, which stands back further
//! than the lanes do: from then on the kernel, and no slice of ours, decides
//! who waits for whom. Its messages still go over its lane.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use keyway_model::Digest;

use crate::live::LiveCall;
use crate::worker::Worker;

/// Time on a processor after which a call leaves its lane, in milliseconds.
const LEAVES_AFTER_MS: u64 = 10;

/// How much further than the lanes the thread stands back (`nice`).
pub(crate) const STANDS_BACK: i32 = 5;

/// Drives a call to its end: on the lane as long as it is short, then on the
/// other thread, if there is one. A call of a component whose last one was long
/// begins there: one instruction alone can fill all the memory of a guest.
pub(crate) async fn drive<T: Send + 'static>(
    call: &LiveCall,
    worker: &Worker,
    artifact: Digest,
    mut running: Pin<Box<dyn Future<Output = T> + Send>>,
) -> Option<T> {
    let Some(thread) = worker.long_thread() else {
        return Some(running.await);
    };
    let is_long = || call.meter.used_ms() >= LEAVES_AFTER_MS;
    let ended = if worker.is_long(&artifact) {
        None
    } else {
        poll_fn(|cx| match running.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if is_long() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    };
    let ended = match ended {
        Some(ended) => Some(ended),
        // An error would be a panic outside of what catches the guest's.
        None => thread.spawn(running).await.ok(),
    };
    worker.was_long(artifact, is_long());
    ended
}

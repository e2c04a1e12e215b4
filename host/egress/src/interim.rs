//! Counts interim replies (1xx), which HTTP itself skips without an end.
//!
//! An upstream that sends nothing else would hold an exchange for its whole
//! time and make work all the while. Over HTTP/2, where they cannot be seen
//! from here, `frames` counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;
use tokio::sync::Notify;

use crate::error::{EgressError, Limit, Sent};

/// The interim replies to one request.
#[derive(Debug)]
pub(crate) struct Interims {
    max: u32,
    seen: Arc<AtomicU32>,
    over: Arc<Notify>,
}

impl Interims {
    /// Counts those to `request`, of which there may be `max`.
    pub(crate) fn of<B>(request: &mut Request<B>, max: u32) -> Self {
        let over = Arc::new(Notify::new());
        let tell = Arc::clone(&over);
        let seen = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&seen);
        hyper::ext::on_informational(request, move |_| {
            if counted.fetch_add(1, Ordering::Relaxed) >= max {
                tell.notify_one();
            }
        });
        Self { max, seen, over }
    }

    /// Comes when there was one too many.
    pub(crate) async fn too_many(&self) -> EgressError {
        self.over.notified().await;
        self.error()
    }

    /// Fails if there was one too many: they may have come together with the
    /// reply.
    pub(crate) fn check(&self) -> Result<(), EgressError> {
        if self.seen.load(Ordering::Relaxed) > self.max {
            return Err(self.error());
        }
        Ok(())
    }

    fn error(&self) -> EgressError {
        EgressError::TooLarge {
            limit: Limit::ReplyInterims,
            max: self.max.into(),
            sent: Sent::Maybe,
        }
    }
}

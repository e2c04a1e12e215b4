//! The rest of a request body, sent while the guest still writes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;
use keyway_ipc::{PART_BYTES, ToBroker};
use keyway_model::limit::STREAM_WINDOW_BYTES;
use wasmtime_wasi_http::{Error, WasiBody};

use super::request::{Line, too_long};

/// The rest of a request body. It sends no more than the broker gave credit
/// for.
pub(super) struct Upload {
    line: Arc<Line>,
    body: WasiBody,
    /// Read from the guest, for want of credit not sent yet.
    unsent: Bytes,
    window: u64,
    bytes_left: u64,
    is_over: bool,
}

impl Upload {
    /// What is left of `body` after the first `sent_bytes`, which count
    /// against the window and the limit.
    pub(super) fn new(line: Arc<Line>, body: WasiBody, sent_bytes: u64) -> Self {
        let bytes_max = line.call.limits.request_body_bytes_max;
        Self {
            line,
            body,
            unsent: Bytes::new(),
            window: u64::from(STREAM_WINDOW_BYTES).saturating_sub(sent_bytes),
            bytes_left: bytes_max.saturating_sub(sent_bytes),
            is_over: false,
        }
    }

    /// Sends until the body ends.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Sends what can be sent now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if self.unsent.is_empty() {
                match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                    None => return Poll::Ready(self.end(Ok(()))),
                    Some(Err(error)) => return Poll::Ready(self.end(Err(error))),
                    Some(Ok(frame)) => self.unsent = frame.into_data().unwrap_or_default(),
                }
                self.line.call.ledger.release(self.unsent.len());
                let length = self.unsent.len() as u64;
                let Some(left) = self.bytes_left.checked_sub(length) else {
                    let error = too_long(&self.line.call);
                    return Poll::Ready(self.end(Err(error)));
                };
                self.bytes_left = left;
                continue;
            }
            while self.window <= PART_BYTES as u64 {
                self.window += ready!(self.line.mailbox.poll_credit(cx));
            }
            let window = usize::try_from(self.window).unwrap_or(usize::MAX) - PART_BYTES;
            let bytes = self.unsent.split_to(self.unsent.len().min(window));
            self.window -= (bytes.len() + PART_BYTES) as u64;
            let (call, request) = (self.line.call.id(), self.line.request);
            self.line.call.say_aside(ToBroker::Chunk {
                call,
                request,
                bytes,
            });
        }
    }

    fn end(&mut self, sent: Result<(), Error>) -> Result<(), Error> {
        self.is_over = true;
        let (call, request) = (self.line.call.id(), self.line.request);
        self.line.call.say_aside(ToBroker::ChunkEnd {
            call,
            request,
            complete: sent.is_ok(),
        });
        sent
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_over {
            let gone = Err(Error::ConnectionTerminated);
            // The guest has dropped what would tell it.
            drop(self.end(gone));
        }
    }
}

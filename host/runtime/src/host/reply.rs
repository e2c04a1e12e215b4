//! A reply's body that comes in pieces, at the pace at which the guest reads.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use keyway_ipc::{PART_BYTES, ToBroker};
use keyway_model::limit::STREAM_WINDOW_BYTES;
use wasmtime_wasi_http::Error;

use super::http::error;
use super::request::Wanted;
use crate::mailbox::Part;

/// Credit is given back in pieces of this size, not for every chunk.
const CREDIT_BYTES_MIN: u32 = STREAM_WINDOW_BYTES / 4;

pub(super) struct StreamedReply {
    wanted: Wanted,
    first: Bytes,
    length: Option<u64>,
    /// Read by the guest, and not given back as credit yet.
    owed: u32,
    is_over: bool,
}

impl StreamedReply {
    pub(super) const fn new(wanted: Wanted, first: Bytes, length: Option<u64>) -> Self {
        Self {
            wanted,
            first,
            length,
            owed: 0,
            is_over: false,
        }
    }

    fn read(&mut self, bytes: Bytes) -> Frame<Bytes> {
        let cost = u32::try_from(bytes.len() + PART_BYTES).unwrap_or(u32::MAX);
        self.owed = self.owed.saturating_add(cost);
        if self.owed >= CREDIT_BYTES_MIN {
            let line = self.wanted.line();
            let (call, request, bytes) = (line.call.id(), line.request, self.owed);
            line.call.say_aside(ToBroker::Credit {
                call,
                request,
                bytes,
            });
            self.owed = 0;
        }
        Frame::data(bytes)
    }
}

impl Body for StreamedReply {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(self.read(first))));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        match ready!(self.wanted.line().mailbox.poll_part(cx)) {
            Part::Chunk(bytes) => Poll::Ready(Some(Ok(self.read(bytes)))),
            Part::End(failed) => {
                self.is_over = true;
                self.wanted.set_over();
                Poll::Ready(failed.map(|refusal| Err(error(refusal))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

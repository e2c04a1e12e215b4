//! Where the lane leaves what arrives for one host call, and the call finds it.

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use keyway_ipc::{HostReply, Refusal};
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    reply: Option<HostReply>,
    chunks: VecDeque<Bytes>,
    end: Option<Option<Refusal>>,
    credit: u64,
    /// Whoever waits for the reply or a chunk.
    reader: Option<Waker>,
    /// Whoever waits to send more of a request body.
    writer: Option<Waker>,
}

/// What a streamed response body goes on with.
pub(crate) enum Part {
    Chunk(Bytes),
    End(Option<Refusal>),
}

impl Mailbox {
    pub(crate) fn put_reply(&self, reply: HostReply) {
        self.put(|contents| contents.reply = Some(reply));
    }

    pub(crate) fn put_chunk(&self, bytes: Bytes) {
        self.put(|contents| contents.chunks.push_back(bytes));
    }

    pub(crate) fn put_end(&self, failed: Option<Refusal>) {
        self.put(|contents| contents.end = Some(failed));
    }

    pub(crate) fn put_credit(&self, bytes: u32) {
        let mut contents = self.0.lock();
        contents.credit = contents.credit.saturating_add(bytes.into());
        let waker = contents.writer.take();
        drop(contents);
        waker.into_iter().for_each(Waker::wake);
    }

    fn put(&self, change: impl FnOnce(&mut Contents)) {
        let mut contents = self.0.lock();
        change(&mut contents);
        let waker = contents.reader.take();
        drop(contents);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll_reply(&self, cx: &Context<'_>) -> Poll<HostReply> {
        let mut contents = self.0.lock();
        match contents.reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => {
                contents.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn poll_part(&self, cx: &Context<'_>) -> Poll<Part> {
        let mut contents = self.0.lock();
        if let Some(bytes) = contents.chunks.pop_front() {
            return Poll::Ready(Part::Chunk(bytes));
        }
        match contents.end {
            Some(failed) => Poll::Ready(Part::End(failed)),
            None => {
                contents.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Takes all credit that has arrived.
    pub(crate) fn poll_credit(&self, cx: &Context<'_>) -> Poll<u64> {
        let mut contents = self.0.lock();
        match mem::take(&mut contents.credit) {
            0 => {
                contents.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            credit => Poll::Ready(credit),
        }
    }
}

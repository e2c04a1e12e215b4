//! Messages over a pair of pipes.
//!
//! Senders encode straight into one shared buffer; one flusher writes all that
//! has gathered in one call. The flusher yields once before it writes, so that
//! tasks that are ready to send, do so first: half a write a job instead of
//! four. A buffer over its high-water mark makes senders wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::ThreadId;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::Shutdown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};

use crate::end::{End, receive_descriptor, send_descriptor};
use crate::frame;
use crate::link::{Closed, Incoming, Link, Receiver, Sender};
use crate::message::Message;

/// Bytes that may wait to be written before senders wait.
const HIGH_WATER_BYTES: usize = 4 << 20;

/// Bytes that one read takes, if no longer frame is on its way.
const READ_BYTES: usize = 64 << 10;

/// Descriptors that are on their way before what is to be read with them: a
/// fraction of what a socket takes.
const DESCRIPTORS_TOGETHER_MAX: usize = 64;

/// What waits to be written.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Frames of other threads than the flusher's. A thread that stands back may
    /// be put aside at any moment, and must not hold what the flusher waits for.
    aside: mpsc::UnboundedSender<Queue>,
    owner: ThreadId,
    waiting_bytes: AtomicUsize,
    filled: Notify,
    drained: Notify,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Each with where its message begins.
    descriptors: VecDeque<(usize, OwnedFd)>,
}

impl Queue {
    fn push<M: Serialize>(
        &mut self,
        message: &M,
        descriptor: Option<OwnedFd>,
    ) -> Result<usize, Closed> {
        let before = self.bytes.len();
        frame::encode(message, &mut self.bytes).map_err(|error| {
            complain(&error);
            Closed
        })?;
        let descriptor = descriptor.map(|descriptor| (before, descriptor));
        self.descriptors.extend(descriptor);
        Ok(self.bytes.len() - before)
    }

    /// Forgets what was written and answers with how long it was. Room above the
    /// high-water mark is given back: it was for what is rarely so long.
    fn written(&mut self) -> usize {
        let written = self.bytes.len();
        self.bytes.clear();
        self.bytes.shrink_to(HIGH_WATER_BYTES);
        written
    }
}

impl Outbox {
    /// Waits until there is room for another message.
    pub(crate) async fn room(&self) -> Result<(), Closed> {
        loop {
            let drained = self.drained.notified();
            if self.closed.load(Ordering::Acquire) {
                return Err(Closed);
            }
            if self.waiting_bytes.load(Ordering::Relaxed) < HIGH_WATER_BYTES {
                return Ok(());
            }
            drained.await;
        }
    }

    /// Encodes `message` behind what already waits.
    pub(crate) fn push<M: Serialize>(
        &self,
        message: &M,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), Closed> {
        if std::thread::current().id() == self.owner {
            let mut queue = self.queue.lock();
            let was_empty = queue.bytes.is_empty();
            let length = queue.push(message, descriptor)?;
            self.waiting_bytes.fetch_add(length, Ordering::Relaxed);
            drop(queue);
            if was_empty {
                self.filled.notify_one();
            }
        } else {
            let mut own = Queue::default();
            let length = own.push(message, descriptor)?;
            self.waiting_bytes.fetch_add(length, Ordering::Relaxed);
            self.aside.send(own).map_err(|_| Closed)?;
            self.filled.notify_one();
        }
        Ok(())
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.drained.notify_waiters();
    }

    /// Writes what gathers until the other side is gone.
    async fn flush(self: Arc<Self>, way: Way, mut aside: mpsc::UnboundedReceiver<Queue>) {
        let mut batch = Queue::default();
        loop {
            self.filled.notified().await;
            behind_ready_tasks().await;
            loop {
                std::mem::swap(&mut *self.queue.lock(), &mut batch);
                // A call that goes on in another thread has sent what it sends
                // from there behind what it sent from here.
                while let Ok(other) = aside.try_recv() {
                    let before = batch.bytes.len();
                    let moved = other.descriptors.into_iter();
                    let moved = moved.map(|(at, descriptor)| (before + at, descriptor));
                    batch.descriptors.extend(moved);
                    batch.bytes.extend(other.bytes);
                }
                if batch.bytes.is_empty() {
                    break;
                }
                if way
                    .write_all(&batch.bytes, &mut batch.descriptors)
                    .await
                    .is_err()
                {
                    self.close();
                    return;
                }
                let written = batch.written();
                let waited = self.waiting_bytes.fetch_sub(written, Ordering::Relaxed);
                if waited >= HIGH_WATER_BYTES {
                    self.drained.notify_waiters();
                }
            }
        }
    }
}

/// Lets the tasks that are ready go first. `tokio::task::yield_now` asks the
/// kernel for events, too, which is a system call for each message.
async fn behind_ready_tasks() {
    let mut is_behind = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_behind, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A frame that cannot be encoded or read is a defect of ours, a limit that was
/// not checked, or a peer that was taken over; the link is given up and the reason goes to standard error, the
/// only place that a confined worker has.
#[expect(
    clippy::print_stderr,
    reason = "the only place that a confined worker has"
)]
fn complain(error: &dyn std::fmt::Display) {
    eprintln!("ipc: {error}");
}

/// The way out of this process.
#[derive(Debug)]
struct Way {
    pipe: OwnedFd,
    descriptors: Arc<OwnedFd>,
}

impl Way {
    /// Writes `bytes`, and before each part of them the descriptors of its
    /// messages: so few that the socket has room for them, since the other side
    /// takes a descriptor only when it has read the message.
    ///
    /// A pipe is watched for room only while there is none: a watch that stays
    /// would wake this process each time the other side has read something.
    async fn write_all(
        &self,
        bytes: &[u8],
        descriptors: &mut VecDeque<(usize, OwnedFd)>,
    ) -> io::Result<()> {
        let mut written = 0;
        loop {
            let part = descriptors.len().min(DESCRIPTORS_TOGETHER_MAX);
            for (_, descriptor) in descriptors.drain(..part) {
                self.send(&descriptor).await?;
            }
            let end = descriptors.front().map_or(bytes.len(), |(at, _)| *at);
            self.write(bytes.get(written..end).unwrap_or_default())
                .await?;
            written = end;
            if descriptors.is_empty() {
                return Ok(());
            }
        }
    }

    async fn send(&self, descriptor: &OwnedFd) -> io::Result<()> {
        loop {
            match send_descriptor(&self.descriptors, descriptor.as_fd()) {
                Err(Errno::AGAIN) => room_in(&self.descriptors).await?,
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.pipe, bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(Errno::AGAIN) => room_in(&self.pipe).await?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[expect(
    deprecated,
    reason = "unsound for a type that closes or changes its descriptor; an `OwnedFd` does neither"
)]
fn watch<F: AsFd + AsRawFd>(stream: F, interest: Interest) -> io::Result<AsyncFd<F>> {
    AsyncFd::with_interest(stream, interest)
}

/// Waits until the other side has read something. Without a descriptor of its
/// own: a confined process cannot make one.
async fn room_in(stream: &OwnedFd) -> io::Result<()> {
    let watch = watch(stream.as_fd(), Interest::WRITABLE)?;
    drop(watch.writable().await?);
    Ok(())
}

/// What arrives. `bytes[start..end]` is read and not yet decoded.
#[derive(Debug)]
pub(crate) struct Inbox {
    pipe: AsyncFd<OwnedFd>,
    descriptors: Arc<OwnedFd>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Closed with this: whoever waits for room must not wait for ever.
    outbox: Arc<Outbox>,
    flusher: tokio::task::AbortHandle,
}

impl Inbox {
    /// The next message; `None` at the end of the pipe, if no message is cut
    /// off there.
    pub(crate) async fn next<M: DeserializeOwned + Message>(
        &mut self,
    ) -> Result<Option<Incoming<M>>, Closed> {
        loop {
            let waiting = self.bytes.get(self.start..self.end).unwrap_or_default();
            match frame::decode::<M>(waiting) {
                Ok(Some((message, length))) => {
                    self.start += length;
                    let descriptor = if message.brings_descriptor() {
                        receive_descriptor(&self.descriptors).map_err(|_| Closed)?
                    } else {
                        None
                    };
                    return Ok(Some(Incoming {
                        message,
                        descriptor,
                    }));
                }
                Ok(None) => {}
                Err(error) => {
                    complain(&error);
                    return Err(Closed);
                }
            }
            if self.read().await.map_err(|_| Closed)? == 0 {
                let left = self.end - self.start;
                return if left == 0 { Ok(None) } else { Err(Closed) };
            }
        }
    }

    /// Moves what is not decoded to the front, and makes room behind it.
    fn make_room(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.bytes.len() < self.end + READ_BYTES {
            let doubled = self.bytes.len().saturating_mul(2);
            self.bytes.resize(doubled.max(self.end + READ_BYTES), 0);
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.make_room();
        let free = self.bytes.get_mut(self.end..).unwrap_or_default();
        loop {
            let mut ready = self.pipe.readable().await?;
            match rustix::io::read(ready.get_inner(), &mut *free) {
                Ok(length) => {
                    self.end += length;
                    // Less than there was room for is all that has come.
                    if length < free.len() {
                        ready.clear_ready();
                    }
                    return Ok(length);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.flusher.abort();
        self.outbox.close();
    }
}

/// A link over one end of a [`pair`](crate::pair). Must be called inside a tokio
/// runtime, which drives the flusher.
///
/// # Errors
///
/// The operating system's, if the pipe cannot be watched.
pub fn over_pipes<Out, In>(end: End) -> io::Result<Link<Out, In>>
where
    Out: Serialize + Send + 'static,
    In: DeserializeOwned + Message + Send + 'static,
{
    let End {
        reading,
        writing,
        descriptors,
    } = end;
    if !In::MAY_BRING_DESCRIPTORS {
        // Nobody would take them: then nobody can send any either.
        rustix::net::shutdown(&descriptors, Shutdown::Read)?;
    }
    let (aside, from_others) = mpsc::unbounded_channel();
    let outbox = Arc::new(Outbox {
        queue: Mutex::default(),
        aside,
        owner: std::thread::current().id(),
        waiting_bytes: AtomicUsize::new(0),
        filled: Notify::new(),
        drained: Notify::new(),
        closed: AtomicBool::new(false),
    });
    let pipe = watch(reading, Interest::READABLE)?;
    let descriptors = Arc::new(descriptors);
    let way = Way {
        pipe: writing,
        descriptors: Arc::clone(&descriptors),
    };
    let flusher = tokio::spawn(Arc::clone(&outbox).flush(way, from_others)).abort_handle();
    let inbox = Inbox {
        pipe,
        descriptors,
        bytes: vec![0; 2 * READ_BYTES],
        start: 0,
        end: 0,
        outbox: Arc::clone(&outbox),
        flusher,
    };
    Ok(Link {
        sender: Sender::pipe(outbox),
        receiver: Receiver::pipe(inbox),
    })
}

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod tests;

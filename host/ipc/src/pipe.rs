//! Messages over a pair of pipes, and what is long of bodies over a socket.
//!
//! Senders encode straight into one shared buffer; one flusher writes all that
//! has gathered in one call. The flusher yields once before it writes, so that
//! tasks that are ready to send, do so first: half a write a job instead of
//! four. A buffer over its high-water mark makes senders wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::ThreadId;

use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::Shutdown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};

use crate::beside::Message;
use crate::end::{End, send_descriptor};
use crate::frame;
use crate::link::{Closed, Link, Receiver, Sender};

pub(crate) use inbox::Inbox;

/// Bytes that may wait to be written before senders wait.
const HIGH_WATER_BYTES: usize = 4 << 20;

/// Pieces of bodies that one call of the system writes.
const LONG_TOGETHER: usize = 16;

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
    ended: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// What goes over the socket.
    long: VecDeque<Bytes>,
    /// Each with where its message begins.
    descriptors: VecDeque<(usize, OwnedFd)>,
}

impl Queue {
    fn push<M: Serialize + Message>(
        &mut self,
        mut message: M,
        descriptor: Option<OwnedFd>,
    ) -> Result<usize, Closed> {
        let before = self.bytes.len();
        let body = message.body();
        let long = body.filter(|body| body.len() >= frame::LONG_BYTES);
        let long = long.map(std::mem::take).unwrap_or_default();
        frame::encode(&message, long.len(), &mut self.bytes).map_err(|error| {
            complain(&error);
            Closed
        })?;
        let length = self.bytes.len() - before + long.len();
        self.long.extend(Some(long).filter(|long| !long.is_empty()));
        let descriptor = descriptor.map(|descriptor| (before, descriptor));
        self.descriptors.extend(descriptor);
        Ok(length)
    }

    /// How much waits in it.
    fn length(&self) -> usize {
        self.bytes.len() + self.long.iter().map(Bytes::len).sum::<usize>()
    }

    /// Puts all of `other` behind what is here.
    fn append(&mut self, other: Self) {
        let before = self.bytes.len();
        self.bytes.extend(other.bytes);
        self.long.extend(other.long);
        let descriptors = other.descriptors.into_iter();
        self.descriptors
            .extend(descriptors.map(|(at, descriptor)| (before + at, descriptor)));
    }

    /// Forgets what was written. Room above the high-water mark is given back: it was
    /// for what is rarely so long.
    fn written(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(HIGH_WATER_BYTES);
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
    pub(crate) fn push<M: Serialize + Message>(
        &self,
        message: M,
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
        self.ended.notify_waiters();
    }

    /// Waits until nothing goes out any more: the other side has closed a part of the
    /// link, or all of it.
    async fn ended(&self) {
        let ended = self.ended.notified();
        if !self.closed.load(Ordering::Acquire) {
            ended.await;
        }
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
                    batch.append(other);
                }
                if batch.bytes.is_empty() {
                    break;
                }
                let length = batch.length();
                if way.write_all(&mut batch).await.is_err() {
                    self.close();
                    return;
                }
                batch.written();
                let waited = self.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
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
    long: Arc<AsyncFd<OwnedFd>>,
    descriptors: Arc<OwnedFd>,
}

impl Way {
    /// Writes all of a queue, to the pipe and to the socket at once: whoever has read from
    /// the pipe that more is on the socket waits for it there, and the other way round.
    async fn write_all(&self, queue: &mut Queue) -> io::Result<()> {
        let Queue {
            bytes,
            long,
            descriptors,
        } = queue;
        tokio::try_join!(self.write_short(bytes, descriptors), self.write_long(long))?;
        Ok(())
    }

    /// Writes `bytes` to the pipe, and before each part of them the descriptors of its
    /// messages: so few that the socket has room for them, since the other side
    /// takes a descriptor only when it has read the message.
    ///
    /// The pipe is watched for room only while there is none: a watch that stays, as
    /// the one of the socket, wakes this process when the other side has read something.
    async fn write_short(
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

    async fn write_long(&self, long: &mut VecDeque<Bytes>) -> io::Result<()> {
        while !long.is_empty() {
            let mut slices = [IoSlice::new(&[]); LONG_TOGETHER];
            let count = long.len().min(LONG_TOGETHER);
            for (slice, bytes) in slices.iter_mut().zip(long.iter()) {
                *slice = IoSlice::new(bytes);
            }
            let mut ready = self.long.writable().await?;
            let slices = slices.get(..count).unwrap_or_default();
            match rustix::io::writev(ready.get_inner(), slices) {
                Ok(mut written) => {
                    while let Some(first) = long.front_mut() {
                        if written < first.len() {
                            first.advance(written);
                            break;
                        }
                        written -= first.len();
                        long.pop_front();
                    }
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
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

/// A link over one end of a [`pair`](crate::pair). Must be called inside a tokio
/// runtime, which drives the flusher.
///
/// # Errors
///
/// The operating system's, if the pipe cannot be watched.
pub fn over_pipes<Out, In>(end: End) -> io::Result<Link<Out, In>>
where
    Out: Serialize + Message + Send + 'static,
    In: DeserializeOwned + Message + Send + 'static,
{
    let End {
        reading,
        writing,
        long,
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
        ended: Notify::new(),
    });
    let pipe = watch(reading, Interest::READABLE)?;
    let descriptors = Arc::new(descriptors);
    let long = Arc::new(watch(long, Interest::READABLE | Interest::WRITABLE)?);
    let way = Way {
        pipe: writing,
        long: Arc::clone(&long),
        descriptors: Arc::clone(&descriptors),
    };
    let flusher = tokio::spawn(Arc::clone(&outbox).flush(way, from_others)).abort_handle();
    let inbox = Inbox::of(pipe, long, descriptors, Arc::clone(&outbox), flusher);
    Ok(Link {
        sender: Sender::pipe(outbox),
        receiver: Receiver::pipe(inbox),
    })
}

#[cfg(test)]
mod foreign;
mod inbox;
#[cfg(test)]
mod tests;

//! What arrives on a link: from its pipe, and what is long of bodies from its socket.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;
use tokio::task::{AbortHandle, coop};

use super::{Outbox, complain};
use crate::beside::Message;
use crate::end::receive_descriptor;
use crate::frame::{self, FrameError, Front};
use crate::link::{Closed, Incoming};

/// Bytes that one read takes, if no longer frame is on its way.
const READ_BYTES: usize = 64 << 10;

/// Room for bodies that is kept for the next message.
const LONG_ROOM_BYTES: usize = 256 << 10;

/// What arrives. `bytes[start..end]` is read and not yet decoded.
#[derive(Debug)]
pub(crate) struct Inbox {
    pipe: AsyncFd<OwnedFd>,
    long: Long,
    descriptors: Arc<OwnedFd>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Closed with this, and the other way round: whoever waits for room, or for a
    /// message, must not wait for ever.
    outbox: Arc<Outbox>,
    flusher: AbortHandle,
}

impl Inbox {
    /// What arrives over these, and ends with them.
    pub(super) fn of(
        pipe: AsyncFd<OwnedFd>,
        long: Arc<AsyncFd<OwnedFd>>,
        descriptors: Arc<OwnedFd>,
        outbox: Arc<Outbox>,
        flusher: AbortHandle,
    ) -> Self {
        Self {
            pipe,
            long: Long {
                socket: long,
                bytes: Vec::new(),
                come: 0,
            },
            descriptors,
            bytes: vec![0; 2 * READ_BYTES],
            start: 0,
            end: 0,
            outbox,
            flusher,
        }
    }

    /// The next message; `None` at the end of the pipe, if no message is cut
    /// off there. What was read stays, if this is not waited for to its end.
    pub(crate) async fn next<M: DeserializeOwned + Message>(
        &mut self,
    ) -> Result<Option<Incoming<M>>, Closed> {
        loop {
            let waiting = self.bytes.get(self.start..self.end).unwrap_or_default();
            let Some(front) = frame::decode::<M>(waiting).map_err(given_up)? else {
                if self.read().await.map_err(|_| Closed)? > 0 {
                    continue;
                }
                let left = self.end - self.start;
                return if left == 0 { Ok(None) } else { Err(Closed) };
            };
            let Front {
                mut message,
                length,
                aside,
            } = front;
            let aside = self.long.come(aside, &self.outbox).await?;
            frame::join(&mut message, aside).map_err(given_up)?;
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
        let length = read_some(&self.pipe, free, Short::IsAll, &self.outbox).await?;
        self.end += length;
        Ok(length)
    }
}

/// What comes over the socket.
#[derive(Debug)]
struct Long {
    socket: Arc<AsyncFd<OwnedFd>>,
    /// Room for what one message has there; grows with what has come, whatever was said.
    bytes: Vec<u8>,
    come: usize,
}

impl Long {
    /// The next `length` bytes. Those that have come stay, if this is not waited for to
    /// its end, and asked for again.
    async fn come(&mut self, length: usize, outbox: &Outbox) -> Result<Bytes, Closed> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        while self.come < length {
            if self.come == self.bytes.len() {
                let room = self.come.saturating_mul(2).max(READ_BYTES);
                self.bytes.resize(room, 0);
            }
            let end = self.bytes.len().min(length);
            let free = self.bytes.get_mut(self.come..end).unwrap_or_default();
            match read_some(&self.socket, free, Short::MayBeMore, outbox).await {
                Ok(read) if read > 0 => self.come += read,
                Ok(_) | Err(_) => return Err(Closed),
            }
        }
        let bytes = self.bytes.get(..length).unwrap_or_default();
        let bytes = Bytes::copy_from_slice(bytes);
        self.come = 0;
        self.bytes.truncate(LONG_ROOM_BYTES);
        self.bytes.shrink_to(LONG_ROOM_BYTES);
        Ok(bytes)
    }
}

fn given_up(error: FrameError) -> Closed {
    complain(&error);
    Closed
}

/// What it means that less came than there was room for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Short {
    /// It is all that has come: the next read waits without asking.
    IsAll,
    /// A socket stops at a byte that came with a descriptor.
    MayBeMore,
}

/// Reads what is there, and waits until something is, or until nothing goes out any more:
/// a peer that takes nothing is heard to the end of what it said, and no further.
async fn read_some(
    from: &AsyncFd<OwnedFd>,
    free: &mut [u8],
    short: Short,
    outbox: &Outbox,
) -> io::Result<usize> {
    loop {
        // A peer that never stops talking does not keep others from going on.
        coop::consume_budget().await;
        tokio::select! {
            biased;
            ready = from.readable() => {
                let mut ready = ready?;
                match rustix::io::read(ready.get_inner(), &mut *free) {
                    Ok(length) => {
                        if length < free.len() && short == Short::IsAll {
                            ready.clear_ready();
                        }
                        return Ok(length);
                    }
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            () = outbox.ended() => match rustix::io::read(from.get_ref(), &mut *free) {
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            },
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.flusher.abort();
        self.outbox.close();
    }
}

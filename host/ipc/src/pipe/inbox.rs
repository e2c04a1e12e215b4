//! What arrives on a link: from its pipe, and what is long of bodies from its socket.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
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

/// Room for what is said to come of a body, before any of it has.
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
                come: Vec::new(),
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
        let room = free.len();
        let read = read_some(
            &self.pipe,
            &self.outbox,
            |length| length < room,
            |pipe| rustix::io::read(pipe, &mut *free),
        );
        let length = read.await?;
        self.end += length;
        Ok(length)
    }
}

/// What comes over the socket.
#[derive(Debug)]
struct Long {
    socket: Arc<AsyncFd<OwnedFd>>,
    /// What has come of what one message has there.
    come: Vec<u8>,
}

impl Long {
    /// The next `length` bytes. Those that have come stay, if this is not waited for to
    /// its end, and asked for again.
    async fn come(&mut self, length: usize, outbox: &Outbox) -> Result<Bytes, Closed> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        while self.come.len() < length {
            if self.come.spare_capacity_mut().is_empty() {
                // It grows with what has come, whatever was said.
                let room = self.come.len().max(LONG_ROOM_BYTES);
                self.come.reserve_exact(room.min(length - self.come.len()));
            }
            let come = &mut self.come;
            // A socket stops at a byte that came with a descriptor: less may not be all.
            let read = read_some(
                &self.socket,
                outbox,
                |_| false,
                |socket| rustix::io::read(socket, spare_capacity(come)),
            );
            match read.await {
                Ok(read) if read > 0 => {}
                Ok(_) | Err(_) => return Err(Closed),
            }
        }
        // There may have been more room than was asked for.
        let behind = self.come.split_off(length);
        Ok(std::mem::replace(&mut self.come, behind).into())
    }
}

fn given_up(error: FrameError) -> Closed {
    complain(&error);
    Closed
}

/// Reads what is there, and waits until something is, or until nothing goes out any more:
/// a peer that takes nothing is heard to the end of what it said, and no further. Where
/// so many bytes are all that has come, the next read waits without asking.
async fn read_some(
    from: &AsyncFd<OwnedFd>,
    outbox: &Outbox,
    is_all: impl Fn(usize) -> bool,
    mut read: impl FnMut(&OwnedFd) -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    loop {
        // A peer that never stops talking does not keep others from going on.
        coop::consume_budget().await;
        tokio::select! {
            biased;
            ready = from.readable() => {
                let mut ready = ready?;
                match read(ready.get_inner()) {
                    Ok(length) => {
                        if is_all(length) {
                            ready.clear_ready();
                        }
                        return Ok(length);
                    }
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            () = outbox.ended() => match read(from.get_ref()) {
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

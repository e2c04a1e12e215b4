//! Length-prefixed postcard frames over a Unix socket, with a flusher that writes many frames at once.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

/// Bytes of one frame at most.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// A message with the shape of a host call: which call it belongs to, and its encoded content.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Message {
    /// The call that this belongs to.
    pub call: u64,
    /// The content.
    pub content: Bytes,
}

/// The sending half: frames gather in one buffer until the flusher's turn comes. Dropping it closes the socket's
/// direction once everything is written.
#[derive(Debug)]
pub struct Sender {
    shared: Rc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    out: RefCell<Vec<u8>>,
    wake: Notify,
    is_closed: Cell<bool>,
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
    read_to: usize,
}

/// Splits a socket and starts its flusher; wants a [`tokio::task::LocalSet`].
#[must_use]
pub fn split(stream: UnixStream) -> (Sender, Receiver) {
    let (read, write) = stream.into_split();
    let shared = Rc::new(Shared::default());
    tokio::task::spawn_local(flush(Rc::clone(&shared), write));
    (
        Sender { shared },
        Receiver {
            stream: read,
            buffer: Vec::new(),
            read_to: 0,
        },
    )
}

impl Sender {
    /// Encodes a message into the shared buffer and wakes the flusher if it sleeps.
    ///
    /// # Errors
    /// If the message does not encode or is too long for a frame.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        let mut out = self.shared.out.borrow_mut();
        let (is_first, at) = (out.is_empty(), out.len());
        out.extend_from_slice(&[0; 4]);
        let mut encoded = postcard::to_extend(message, std::mem::take(&mut *out))
            .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        let length = u32::try_from(encoded.len() - at - 4).map_err(io::Error::other)?;
        if let Some(prefix) = encoded.get_mut(at..at + 4) {
            prefix.copy_from_slice(&length.to_le_bytes());
        }
        *out = encoded;
        if is_first {
            self.shared.wake.notify_one();
        }
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.is_closed.set(true);
        self.shared.wake.notify_one();
    }
}

/// Writes what has gathered; yields once first, so that senders which are ready get their frames in.
async fn flush(shared: Rc<Shared>, mut stream: OwnedWriteHalf) {
    let mut batch = Vec::new();
    loop {
        shared.wake.notified().await;
        tokio::task::yield_now().await;
        loop {
            std::mem::swap(&mut *shared.out.borrow_mut(), &mut batch);
            if batch.is_empty() {
                break;
            }
            if stream.write_all(&batch).await.is_err() {
                return;
            }
            batch.clear();
        }
        if shared.is_closed.get() {
            return;
        }
    }
}

impl Receiver {
    /// The next message; `None` when the other side has closed.
    ///
    /// # Errors
    /// If the socket breaks or a frame is malformed.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            let unread = self.buffer.get(self.read_to..).unwrap_or_default();
            if let Some((prefix, rest)) = unread.split_first_chunk::<4>() {
                let length =
                    usize::try_from(u32::from_le_bytes(*prefix)).map_err(io::Error::other)?;
                if length > FRAME_BYTES_MAX {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a frame is over 1 MiB",
                    ));
                }
                if let Some(frame) = rest.get(..length) {
                    let message = postcard::from_bytes(frame)
                        .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
                    self.read_to += 4 + length;
                    return Ok(Some(message));
                }
            }
            self.buffer.drain(..self.read_to);
            self.read_to = 0;
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, split};
    use bytes::Bytes;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn a_dropped_sender_ends_the_other_side_after_its_last_message() -> std::io::Result<()> {
        tokio::task::LocalSet::new()
            .run_until(async {
                let (near, far) = UnixStream::pair()?;
                let ((sender, _near_receiver), (_far_sender, mut receiver)) =
                    (split(near), split(far));
                let last = Message {
                    call: 7,
                    content: Bytes::from_static(b"last"),
                };
                sender.send(&last)?;
                drop(sender);
                assert_eq!(receiver.next().await?, Some(last));
                assert_eq!(receiver.next().await?, None);
                Ok(())
            })
            .await
    }

    #[tokio::test]
    async fn messages_arrive_whole_and_in_order() -> std::io::Result<()> {
        tokio::task::LocalSet::new()
            .run_until(async {
                let (near, far) = UnixStream::pair()?;
                let ((sender, _), (_far_sender, mut receiver)) = (split(near), split(far));
                let sent: Vec<Message> = (0..100)
                    .map(|call| Message {
                        call,
                        content: Bytes::from(vec![b'x'; 997]),
                    })
                    .collect();
                for message in &sent {
                    sender.send(message)?;
                }
                for message in &sent {
                    assert_eq!(receiver.next().await?.as_ref(), Some(message));
                }
                Ok(())
            })
            .await
    }
}

//! A link: a sender and a receiver of messages, whatever carries them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::beside::Message;
use crate::pipe;

/// The other side is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side of the link is gone")]
pub struct Closed;

/// A message, and the descriptor that came with it.
#[derive(Debug)]
pub struct Incoming<M> {
    /// The message.
    pub message: M,
    /// The descriptor, if the message brings one.
    pub descriptor: Option<OwnedFd>,
}

/// Both directions of a link, as one side holds them.
#[derive(Debug)]
pub struct Link<Out, In> {
    /// To the other side.
    pub sender: Sender<Out>,
    /// From it.
    pub receiver: Receiver<In>,
}

/// Sends messages; clones send on the same link.
#[derive(Debug)]
pub struct Sender<M>(Way<M>);

#[derive(Debug)]
enum Way<M> {
    InProcess(mpsc::UnboundedSender<Incoming<M>>),
    Pipe(Arc<pipe::Outbox>),
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Way::InProcess(sender) => Way::InProcess(sender.clone()),
            Way::Pipe(outbox) => Way::Pipe(Arc::clone(outbox)),
        })
    }
}

impl<M: Serialize + Message + Send + 'static> Sender<M> {
    pub(crate) const fn pipe(outbox: Arc<pipe::Outbox>) -> Self {
        Self(Way::Pipe(outbox))
    }

    /// Sends `message`; waits while the other side is far behind.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the other side is gone.
    pub async fn send(&self, message: M) -> Result<(), Closed> {
        self.send_incoming(Incoming {
            message,
            descriptor: None,
        })
        .await
    }

    /// Sends `message` from where nothing can wait, however far the other side
    /// is behind. Only for what is bounded otherwise.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the other side is gone.
    pub fn send_now(&self, message: M) -> Result<(), Closed> {
        match &self.0 {
            Way::InProcess(sender) => {
                let incoming = Incoming {
                    message,
                    descriptor: None,
                };
                sender.send(incoming).map_err(|_| Closed)
            }
            Way::Pipe(outbox) => outbox.push(message, None),
        }
    }

    /// Sends `message` with a descriptor.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the other side is gone.
    pub async fn send_with(&self, message: M, descriptor: OwnedFd) -> Result<(), Closed> {
        self.send_incoming(Incoming {
            message,
            descriptor: Some(descriptor),
        })
        .await
    }

    async fn send_incoming(&self, incoming: Incoming<M>) -> Result<(), Closed> {
        match &self.0 {
            Way::InProcess(sender) => sender.send(incoming).map_err(|_| Closed),
            Way::Pipe(outbox) => {
                outbox.room().await?;
                outbox.push(incoming.message, incoming.descriptor)
            }
        }
    }
}

/// Receives messages, in the order in which they were sent.
#[derive(Debug)]
pub struct Receiver<M>(Source<M>);

#[derive(Debug)]
enum Source<M> {
    InProcess(mpsc::UnboundedReceiver<Incoming<M>>),
    Pipe(pipe::Inbox),
}

impl<M: DeserializeOwned + Message + Send + 'static> Receiver<M> {
    pub(crate) const fn pipe(inbox: pipe::Inbox) -> Self {
        Self(Source::Pipe(inbox))
    }

    /// The next message; `None` when the other side is gone.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the other side sent what cannot be read; the link is of
    /// no further use.
    pub async fn receive(&mut self) -> Result<Option<Incoming<M>>, Closed> {
        match &mut self.0 {
            Source::InProcess(receiver) => Ok(receiver.recv().await),
            Source::Pipe(inbox) => inbox.next().await,
        }
    }
}

/// A link between two tasks of one process, for tests: a sender never waits.
pub fn in_process<A: Send, B: Send>() -> (Link<A, B>, Link<B, A>) {
    let (to_b, from_a) = mpsc::unbounded_channel();
    let (to_a, from_b) = mpsc::unbounded_channel();
    let ours = Link {
        sender: Sender(Way::InProcess(to_b)),
        receiver: Receiver(Source::InProcess(from_b)),
    };
    let theirs = Link {
        sender: Sender(Way::InProcess(to_a)),
        receiver: Receiver(Source::InProcess(from_a)),
    };
    (ours, theirs)
}

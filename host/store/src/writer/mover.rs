//! Moves the write-ahead log into the database beside the writer, so that who commits
//! does not wait for most of it.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connection::{self, LogLength, SetupError};

/// A thread with a connection of its own. It ends when this is dropped, after what it
/// is at.
#[derive(Debug)]
pub(super) struct Mover {
    ask: Option<Sender<()>>,
    is_asked: bool,
    /// Tells when the thread has done what it was asked for.
    has_moved: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts the thread on the database in `path`.
    pub(super) fn start(path: &Path) -> Result<Self, SetupError> {
        let connection = connection::open(path)?;
        let (ask, asked) = channel();
        let (tell, has_moved) = channel();
        let thread = std::thread::Builder::new()
            .name("keyway-mover".to_owned())
            .spawn(move || run(&connection, &asked, &tell))
            .map_err(SetupError::Thread)?;
        Ok(Self {
            ask: Some(ask),
            is_asked: false,
            has_moved,
            thread: Some(thread),
        })
    }

    /// Has the log moved if it is long. What was committed since the thread began is
    /// little: the writer moves that itself, when nobody waits for an answer, and
    /// the log begins anew.
    ///
    /// # Errors
    ///
    /// Of the disk. What is committed stays in the log.
    pub(super) fn tend(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        let length = connection::log_length();
        if self.is_asked {
            let is_over = match length {
                LogLength::TooLong => self.has_moved.recv().is_err(),
                LogLength::Short | LogLength::Long => match self.has_moved.try_recv() {
                    Ok(()) => false,
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => true,
                },
            };
            self.is_asked = false;
            if is_over {
                self.ask = None;
            }
            return connection::checkpoint(writer);
        }
        if length == LogLength::Short {
            return Ok(());
        }
        self.is_asked = self.ask.as_ref().is_some_and(|ask| ask.send(()).is_ok());
        if self.is_asked {
            return Ok(());
        }
        // The thread is gone.
        connection::checkpoint(writer)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.ask = None;
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread that moves the write-ahead log ended with a panic");
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, tell: &Sender<()>) {
    while asked.recv().is_ok() {
        if let Err(error) = connection::checkpoint(connection) {
            tracing::error!(%error, "the write-ahead log cannot be moved into the database");
        }
        if tell.send(()).is_err() {
            return;
        }
    }
}

//! Durable history at the price of one shared fdatasync: one writer thread, one transaction for all jobs that wait.
//!
//! This is bound (d): `synchronous=FULL`, WAL, one row of input and output per job, committed before the reply, not sealed.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

/// One job's row, and who waits for it.
struct Waiting {
    input: Bytes,
    output: Bytes,
    done: oneshot::Sender<()>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Inbox>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inbox {
    rows: Vec<Waiting>,
    is_closed: bool,
}

/// The history; dropping it commits what waits and ends the thread.
#[derive(Debug)]
pub struct History {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl History {
    /// Opens or creates the database file and starts the writer.
    ///
    /// # Errors
    /// If the file cannot be opened or the thread cannot be started.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(file)
            .with_context(|| format!("cannot open the history {}", file.display()))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, input BLOB NOT NULL, output BLOB NOT NULL) STRICT;",
        )?;
        let queue = Arc::new(Queue::default());
        let theirs = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("history".into())
            .spawn(move || {
                if let Err(fault) = write_groups(&connection, &theirs) {
                    // Those who wait see their channel close, and answer 500.
                    theirs.waiting.lock().is_closed = true;
                    theirs.waiting.lock().rows.clear();
                    eprintln!("the history cannot be written: {fault}");
                }
            })?;
        Ok(Self {
            queue,
            writer: Some(writer),
        })
    }

    /// Resolves when the row is durable; `false` means that it could not be written.
    pub async fn commit(&self, input: Bytes, output: Bytes) -> bool {
        let (done, committed) = oneshot::channel();
        {
            let mut inbox = self.queue.waiting.lock();
            if inbox.is_closed {
                return false;
            }
            inbox.rows.push(Waiting {
                input,
                output,
                done,
            });
            if inbox.rows.len() == 1 {
                self.queue.arrived.notify_one();
            }
        }
        committed.await.is_ok()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.queue.waiting.lock().is_closed = true;
        self.queue.arrived.notify_one();
        if self
            .writer
            .take()
            .is_some_and(|writer| writer.join().is_err())
        {
            eprintln!("the history's writer had panicked");
        }
    }
}

/// Commits at once when idle, else everything that arrived while the last commit ran.
fn write_groups(connection: &Connection, queue: &Queue) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO job (input, output) VALUES (?1, ?2)")?;
    let mut begin = connection.prepare("BEGIN IMMEDIATE")?;
    let mut commit = connection.prepare("COMMIT")?;
    let mut group = Vec::new();
    loop {
        {
            let mut inbox = queue.waiting.lock();
            while inbox.rows.is_empty() {
                if inbox.is_closed {
                    return Ok(());
                }
                queue.arrived.wait(&mut inbox);
            }
            std::mem::swap(&mut inbox.rows, &mut group);
        }
        begin.execute([])?;
        for row in &group {
            insert.execute((&*row.input, &*row.output))?;
        }
        commit.execute([])?;
        for row in group.drain(..) {
            // A caller that has gone away does not need to be told.
            row.done.send(()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_committed_row_is_in_the_file() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("history.db");
        let history = History::open(&file)?;
        assert!(
            history
                .commit(Bytes::from_static(b"in"), Bytes::from_static(b"out"))
                .await
        );
        let reader = rusqlite::Connection::open(&file)?;
        let row: (Vec<u8>, Vec<u8>) =
            reader.query_row("SELECT input, output FROM job", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        assert_eq!(row, (b"in".to_vec(), b"out".to_vec()));
        Ok(())
    }
}

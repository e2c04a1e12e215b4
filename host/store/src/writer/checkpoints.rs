//! Moves what is in the write-ahead log into the database, beside the writer.
//!
//! That takes a dozen milliseconds for a few thousand pages, and all that is
//! written meanwhile would wait for it. What is committed while it goes on stays
//! in the log; a log that grows too long all the same is moved by the writer
//! itself, which has only the rest to do, and begins anew.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::connection::{self, SetupError};

/// Pages in the log after which they are moved, and how many come before the next time.
const PAGES: u32 = 4_000;

/// Pages in the log at which the writer moves them itself: 64 MiB.
const PAGES_MAX: u32 = 16_000;

thread_local! {
    /// In the log after this thread's last commit.
    static IN_LOG: Cell<u32> = const { Cell::new(0) };
}

/// Called by SQLite after each commit of the writer's connection.
fn committed(log: &Wal, pages: c_int) -> rusqlite::Result<()> {
    let pages = u32::try_from(pages).unwrap_or(0);
    IN_LOG.set(pages);
    if pages >= PAGES_MAX {
        // What cannot be moved now is at the next commit: this one is done.
        log.checkpoint().ok();
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Wish {
    is_wanted: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    wish: Mutex<Wish>,
    changed: Condvar,
}

/// The thread's handle. The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpoints {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Pages in the log at which the thread is asked next.
    next: u32,
}

impl Checkpoints {
    /// Watches the commits of `writer`, which must be a connection of this
    /// thread or of one that takes this along.
    pub(super) fn of(writer: &Connection, path: &Path) -> Result<Self, SetupError> {
        writer.wal_hook(Some(committed));
        let connection = connection::open(path)?;
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("keyway-pages".to_owned())
            .spawn(move || run(&for_thread, &connection))
            .map_err(SetupError::Thread)?;
        Ok(Self {
            shared,
            thread: Some(thread),
            next: PAGES,
        })
    }

    /// To be called by the writer's thread after a commit.
    pub(super) fn look(&mut self) {
        let pages = IN_LOG.get();
        if pages < PAGES {
            // The log has begun anew.
            self.next = PAGES;
        } else if pages >= self.next {
            self.next = pages.saturating_add(PAGES);
            self.shared.wish.lock().is_wanted = true;
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.shared.wish.lock().closed = true;
        self.shared.changed.notify_one();
        let ended = self.thread.take().map(JoinHandle::join);
        if ended.is_some_and(|ended| ended.is_err()) {
            tracing::error!("the thread that moves pages ended with a panic");
        }
    }
}

fn run(shared: &Shared, connection: &Connection) {
    loop {
        {
            let mut wish = shared.wish.lock();
            while !wish.is_wanted {
                if wish.closed {
                    return;
                }
                shared.changed.wait(&mut wish);
            }
            wish.is_wanted = false;
        }
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = moved {
            // Nothing is lost: it is in the log, and the writer says so if that ends.
            tracing::warn!(%error, "pages could not be moved into the database");
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn pages_are_moved_beside_the_writer_and_the_log_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyway.db");
        std::fs::File::create(&path).unwrap();
        let writer = connection::open(&path).unwrap();
        let mut checkpoints = Checkpoints::of(&writer, &path).unwrap();
        let size = |name: &str| {
            std::fs::metadata(directory.path().join(name))
                .unwrap()
                .len()
        };
        writer
            .execute_batch("CREATE TABLE thing (body BLOB NOT NULL) STRICT")
            .unwrap();
        let write = |checkpoints: &mut Checkpoints| {
            let body = vec![7_u8; 1 << 20];
            writer
                .execute("INSERT INTO thing VALUES (?)", [body])
                .unwrap();
            checkpoints.look();
        };
        for _ in 0..20 {
            write(&mut checkpoints);
        }
        // Nobody writes now: the thread alone makes the database longer.
        let deadline = Instant::now() + Duration::from_secs(30);
        while size("keyway.db") < 15 << 20 {
            assert!(Instant::now() < deadline, "{}", size("keyway.db"));
            std::thread::yield_now();
        }
        for _ in 0..120 {
            write(&mut checkpoints);
        }
        let log = size("keyway.db-wal");
        assert!(log <= 70 << 20, "{log} bytes for 140 MiB that were written");
        drop(checkpoints);
        let rows: i64 = writer
            .query_row("SELECT count(*) FROM thing", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 140);
    }
}

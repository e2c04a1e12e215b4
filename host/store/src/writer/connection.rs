//! Opens the writer's connection and asserts that the database promises what
//! Keyway promises.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// The oldest SQLite whose write-ahead log is known to be sound.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Pages in the write-ahead log before they are moved into the database.
const CHECKPOINT_PAGES: c_int = 4_000;

thread_local! {
    /// Pages in the write-ahead log of this thread's one connection after its last commit.
    static LOG_PAGES: Cell<c_int> = const { Cell::new(0) };
}

/// Statements that stay prepared.
const STATEMENTS: usize = 64;

/// Why the writer cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// SQLite said no.
    #[error("the database cannot be opened for writing: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A setting did not take.
    #[error("SQLite does not keep the setting {setting}: it is {found}, and must be {wanted}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// No thread.
    #[error("the writer's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

pub(super) fn open(path: &Path) -> Result<Connection, SetupError> {
    let version = rusqlite::version_number();
    if version < SQLITE_VERSION_MIN {
        return Err(SetupError::Setting {
            setting: "version",
            found: rusqlite::version().to_owned(),
            wanted: "3.51.3 or newer",
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    set(&connection, "journal_mode", "wal", "wal")?;
    set(&connection, "synchronous", "full", "2")?;
    set(&connection, "foreign_keys", "on", "1")?;
    set(&connection, "secure_delete", "on", "1")?;
    set(&connection, "trusted_schema", "off", "0")?;
    // In place of SQLite's own, which makes those wait whose commit fills the log.
    connection.wal_hook(Some(|_, pages| {
        LOG_PAGES.set(pages);
        Ok(())
    }));
    connection.pragma_update(None, "cache_size", -4_000)?;
    Ok(connection)
}

/// Moves the write-ahead log into the database if it is long. Nobody may be waiting
/// for an answer: it takes milliseconds.
///
/// # Errors
///
/// Of the disk. What is committed stays in the log.
pub(super) fn checkpoint_if_due(connection: &Connection) -> rusqlite::Result<()> {
    if LOG_PAGES.get() < CHECKPOINT_PAGES {
        return Ok(());
    }
    LOG_PAGES.set(0);
    // Busy is no failure: then a reader is in the way, and the next commit tries again.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn set(
    connection: &Connection,
    setting: &'static str,
    value: &str,
    wanted: &'static str,
) -> Result<(), SetupError> {
    let asked = connection.pragma_update_and_check(None, setting, value, |_| Ok(()));
    // Some settings answer with their new value, and others with nothing.
    if !matches!(asked, Err(rusqlite::Error::QueryReturnedNoRows)) {
        asked?;
    }
    let found = connection.pragma_query_value(None, setting, |row| {
        let value = row.get_ref(0)?;
        let text = value.as_str().map(str::to_owned);
        Ok(text.or_else(|_| value.as_i64().map(|number| number.to_string()))?)
    })?;
    if found == wanted {
        Ok(())
    } else {
        Err(SetupError::Setting {
            setting,
            found,
            wanted,
        })
    }
}

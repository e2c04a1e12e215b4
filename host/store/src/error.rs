//! What can go wrong in the store. No text here ever carries content.

use std::sync::Arc;

use keyway_authz::SinkError;
use keyway_authz::log::NoteError;
use keyway_vault::VaultError;

/// Why the store did not do something. After an error of a write, nothing of
/// that write happened, unless it is [`StoreError::Broken`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room on the disk. Nothing was written; later writes may succeed.
    #[error("the disk with the data directory is full: nothing was written; free some space")]
    DiskFull,
    /// The disk failed at a write, so nobody knows what is durable. Nothing
    /// more is written until a restart has read the database again.
    #[error("writing to the database failed ({0}): restart Keyway after the disk is repaired")]
    Broken(String),
    /// The name is in use.
    #[error("there is a {0} of that name already: choose another name")]
    NameTaken(&'static str),
    /// Somebody else was first.
    #[error("the {0} was changed in the meantime: read it again, and repeat")]
    Stale(&'static str),
    /// It is not there.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A limit is reached.
    #[error("the limit {name} ({value}) is reached")]
    Limit {
        /// The limit's name in `keyway_model::limit`.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// The key that sealed it was deleted.
    #[error("the {0} was erased: its key was deleted")]
    Erased(&'static str),
    /// A key or an envelope is not right.
    #[error(transparent)]
    Vault(Arc<VaultError>),
    /// A value could not be turned into bytes, or back.
    #[error("the {what} cannot be encoded or read: {why}")]
    Encoding {
        /// What it was.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The database refused a write for a reason of its own.
    #[error("the database refused a write: {0}")]
    Refused(String),
    /// The database could not be read.
    #[error("the database cannot be read: {0}")]
    Read(String),
    /// The store was shut down.
    #[error("the store is closed")]
    Closed,
    /// The log does not go on from what was signed earlier.
    #[error(
        "the audit log of {tenant} does not agree with its checkpoint of {size} records ({why}): nothing is signed; compare the data directory with a backup"
    )]
    LogInconsistent {
        /// Whose log.
        tenant: keyway_model::TenantId,
        /// The checkpoint's size.
        size: u64,
        /// What does not agree.
        why: &'static str,
    },
    /// A checkpoint could not be made.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl StoreError {
    pub(crate) fn encoding(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Encoding {
            what,
            why: why.to_string(),
        }
    }
}

impl From<VaultError> for StoreError {
    fn from(error: VaultError) -> Self {
        Self::Vault(Arc::new(error))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolClosed) {
            return Self::Closed;
        }
        Self::Read(error.to_string())
    }
}

/// Of a reader; what the writer is told it answers itself.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error.to_string())
    }
}

impl From<StoreError> for SinkError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

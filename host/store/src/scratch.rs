//! Scratch files: what one guest call keeps on disk while it runs.
//!
//! Each call that asks has a directory of its own inside the data directory,
//! made at its first file and removed when the call ends; what a broken end
//! leaves behind is swept at the next start. Contents are sealed page by page
//! under a key that lives in this process only (docs/decisions/0002), and
//! files are kept under numbers: no byte of a guest's name or content is on
//! the disk, and no name of a guest's is ever resolved.
//!
//! Never gives one call what another has written, and never waits for the disk
//! on the caller's thread.

mod files;
mod paged;
mod room;

use std::fmt;
use std::io;
use std::sync::Arc;

use keyway_authz::{Admitted, Entry, ScratchChange};
use keyway_model::ScratchName;
use keyway_model::limit::CallLimits;
use keyway_vault::VaultError;
use tokio::sync::Mutex;

pub(crate) use room::Room;

use self::files::Files;
use crate::tenant::TenantStore;

/// Why something was not done with a scratch file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScratchError {
    /// A limit is reached.
    #[error("the limit {name} ({value}) is reached")]
    Limit {
        /// The limit's name in `keyway_model::limit`, in lower case.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// There is no such file.
    #[error("there is no scratch file of that name")]
    NotFound,
    /// The offset is behind the end of the file.
    #[error("the offset is behind the end of the scratch file")]
    BehindEnd,
    /// What is on the disk is not what was written there.
    #[error(
        "a scratch file was replaced or changed by somebody else: look for who else writes to the data directory"
    )]
    Tampered,
    /// The operating system refused.
    #[error("cannot {doing} a scratch file ({source}): check the disk with the data directory")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A page could not be sealed, or no key could be made.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The work was given up because this process ends.
    #[error("the deployment ends")]
    Ending,
}

/// The scratch files of one guest call. Dropping it removes them.
pub struct Scratch(Arc<Mutex<Files>>);

impl TenantStore {
    /// Scratch files for one guest call. Nothing is on the disk before the
    /// first of them is opened.
    pub fn scratch(&self, limits: &CallLimits) -> Scratch {
        let room = Arc::clone(&self.store.scratch);
        Scratch(Arc::new(Mutex::new(Files::new(room, self.scope(), limits))))
    }
}

impl Scratch {
    /// Does what the entry allows; answers with the length of the file
    /// afterwards.
    ///
    /// # Errors
    ///
    /// [`ScratchError`]; after one of the last four the call cannot go on.
    pub async fn change(&self, entry: &Entry<ScratchChange>) -> Result<u64, ScratchError> {
        let edit = entry.operation().edit().clone();
        self.work(move |files| files.change(&edit)).await
    }

    /// At most `length` bytes of a file from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`Scratch::change`].
    pub async fn read(
        &self,
        _admitted: &Admitted,
        name: ScratchName,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, ScratchError> {
        self.work(move |files| files.read(&name, offset, length))
            .await
    }

    /// Every file with its length, by name.
    pub async fn list(&self, _admitted: &Admitted) -> Vec<(ScratchName, u64)> {
        self.0.lock().await.list()
    }

    /// Removes all files and their directory: the call has ended.
    pub async fn end(&self) {
        let ended = self.work(|files| {
            files.clear();
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "scratch files are removed when they are dropped");
        }
    }

    /// Works on the files where waiting for the disk holds up nobody: one
    /// thread for a call at a time, which finishes what it has begun even if
    /// nobody waits for it any more.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Files) -> Result<T, ScratchError> + Send + 'static,
    ) -> Result<T, ScratchError> {
        let mut files = Arc::clone(&self.0).lock_owned().await;
        tokio::task::spawn_blocking(move || work(&mut files))
            .await
            .map_err(|_| ScratchError::Ending)?
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch(..)")
    }
}

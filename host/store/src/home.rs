//! The data directory: made with mode 0700, on a disk of this machine, and held
//! by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The database, inside the data directory.
pub(crate) const DATABASE: &str = "keyway.db";

/// Its lock, inside the data directory.
const LOCK: &str = "lock";

/// File systems on which locks or syncs are not to be trusted, by their magic
/// numbers (statfs(2)): NFS, SMB, CIFS, SMB2, AFS, Coda, Ceph.
const NETWORK_FILE_SYSTEMS: [i64; 7] = [
    0x6969,
    0x517B,
    0xFF53_4D42,
    0xFE53_4D42,
    0x5346_414F,
    0x7375_7245,
    0x00C3_6400,
];

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Another process has it.
    #[error("{} is in use by another Keyway{by}: stop that one first, or give this one a directory of its own", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who has it, if that is known.
        by: String,
    },
    /// Others may read it.
    #[error("{} has mode {mode:04o}, so others may look into it: run `chmod 700` on it", .path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not on this machine.
    #[error("{} is on a network file system, where a sync does not mean that data is durable: use a disk of this machine", .0.display())]
    Network(PathBuf),
    /// The operating system refused.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The data directory, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Makes the directory if it is not there, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, HomeError> {
        let failed = |doing: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| HomeError::Io {
                doing,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("make", path))?;
        let mode = path
            .metadata()
            .map_err(failed("examine", path))?
            .permissions()
            .mode()
            & 0o7777;
        if mode & 0o077 != 0 {
            return Err(HomeError::OpenToOthers {
                path: path.to_owned(),
                mode,
            });
        }
        let kind = rustix::fs::statfs(path)
            .map_err(|error| failed("examine", path)(error.into()))?
            .f_type;
        if NETWORK_FILE_SYSTEMS.contains(&(kind as i64)) {
            return Err(HomeError::Network(path.to_owned()));
        }
        let lock = path.join(LOCK);
        let mut file = private().open(&lock).map_err(failed("open", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HomeError::InUse {
                    path: path.to_owned(),
                    by: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &lock)(error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(failed("write", &lock))?;
        let database = path.join(DATABASE);
        private()
            .open(&database)
            .map(drop)
            .map_err(failed("open", &database))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: file,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

/// A file that only we may read. SQLite gives its side files the same mode.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock
        .rewind()
        .and_then(|()| lock.take(20).read_to_string(&mut text));
    match (read, text.parse::<u32>()) {
        (Ok(_), Ok(process)) => format!(" (process {process})"),
        (Ok(_) | Err(_), _) => String::new(),
    }
}

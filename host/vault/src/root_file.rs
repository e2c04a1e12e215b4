//! The root key in a file of its own: 32 random bytes, mode 0600.
//!
//! What is not exactly that is refused, and refused without showing what it
//! holds. The file is read through the descriptor that was checked, so that
//! nothing can be exchanged in between.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::name::KeyId;
use crate::root::{ROOT_BYTES, RootKey, fresh_secret};
use crate::secret::Secret;

/// Why a root-key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootFileError {
    /// There is none.
    #[error("there is no root key file {}: without it, data that was sealed under it cannot be opened", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{} exists already, and a root key is never overwritten", .0.display())]
    Exists(PathBuf),
    /// A link, a directory, a device.
    #[error("{} is not a regular file: the root key must be a file, not a link to one", .0.display())]
    NotAFile(PathBuf),
    /// Others could read it.
    #[error("{} has mode {mode:04o}, so others may read or change it: run `chmod 600` on it, and consider the key known to them", .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("{} belongs to another user than the one that Keyway runs as", .0.display())]
    NotOurs(PathBuf),
    /// It is not a root key.
    #[error("{} has {bytes} bytes, and a root key has {ROOT_BYTES}: it is not a root key file, or it is damaged", .path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
    },
    /// The operating system refused.
    #[error("cannot {doing} the root key file {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No random bytes for a new key.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl RootKey {
    /// Opens the root key in `path`, and makes one there if there is none.
    ///
    /// # Errors
    ///
    /// As [`RootKey::open`] and [`RootKey::create`].
    pub fn open_or_create(path: &Path) -> Result<Self, RootFileError> {
        match Self::open(path) {
            Err(RootFileError::Missing(_)) => match Self::create(path) {
                // Somebody else was first.
                Err(RootFileError::Exists(_)) => Self::open(path),
                created => created,
            },
            opened => opened,
        }
    }

    /// Opens the root key in `path`.
    ///
    /// # Errors
    ///
    /// When the file is missing, is not a regular file of ours with mode 0600
    /// and 32 bytes, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, RootFileError> {
        let file = open_checked(path)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOT_BYTES));
        let read = file.take(ROOT_BYTES as u64).read_to_end(&mut bytes);
        read.map_err(|source| io_error("read", path, source))?;
        if bytes.len() != ROOT_BYTES {
            return Err(RootFileError::WrongLength {
                path: path.to_owned(),
                bytes: bytes.len() as u64,
            });
        }
        Ok(Self::from_secret(&Secret::from_wiped(bytes)))
    }

    /// Makes a root key in `path`. It is there whole and durable, or not at all.
    ///
    /// # Errors
    ///
    /// When the file exists, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, RootFileError> {
        let secret = fresh_secret()?;
        let suffix = KeyId::random()?;
        let aside = path.with_added_extension(suffix.to_string());
        let written = write_aside(&aside, &secret).and_then(|()| std::fs::hard_link(&aside, path));
        let removed = match std::fs::remove_file(&aside) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        match written.and(removed).and_then(|()| sync_directory(path)) {
            Ok(()) => Ok(Self::from_secret(&secret)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(RootFileError::Exists(path.to_owned()))
            }
            Err(source) => Err(io_error("write", path, source)),
        }
    }
}

fn open_checked(path: &Path) -> Result<File, RootFileError> {
    // NONBLOCK: a pipe in the file's place must not make the start hang.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::NOENT) => return Err(RootFileError::Missing(path.to_owned())),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {
            return Err(RootFileError::NotAFile(path.to_owned()));
        }
        Err(e) => return Err(io_error("open", path, e.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|e| io_error("examine", path, e.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(RootFileError::NotAFile(path.to_owned()));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(RootFileError::NotOurs(path.to_owned()));
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o077 != 0 {
        return Err(RootFileError::OpenToOthers {
            path: path.to_owned(),
            mode,
        });
    }
    match u64::try_from(stat.st_size) {
        Ok(bytes) if bytes == ROOT_BYTES as u64 => Ok(file),
        other => Err(RootFileError::WrongLength {
            path: path.to_owned(),
            bytes: other.unwrap_or(0),
        }),
    }
}

fn write_aside(aside: &Path, secret: &Secret) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(aside, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(secret.expose())?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> RootFileError {
    RootFileError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

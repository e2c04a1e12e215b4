//! Compiled code on the disk, so that a restart compiles nothing. A file is
//! trusted only under our MAC, and there are only so many bytes of them: what
//! goes first is what the largest holder has not used for longest. A file's name
//! says for whom it counts, and that is all that is believed of its name.
//!
//! All of it waits for the disk but [`Cache::note_use`].

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::hmac;
use keyway_gate::{Room, Shelf};
use keyway_model::{Digest, TenantId};
use parking_lot::Mutex;
use rustix::fs::{CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

/// Bytes of the MAC before the compiled code in a file.
const MAC_BYTES: usize = 32;

/// How often the use of a file is noted on the disk, where the next start finds
/// it. Until then memory knows.
const NOTE_EVERY: Duration = Duration::from_mins(10);

/// A directory of compiled code.
pub(super) struct Cache {
    dir: PathBuf,
    key: hmac::Key,
    fingerprint: String,
    /// What is there, each with the time when its use was noted on the disk.
    files: Mutex<Shelf<Instant>>,
}

/// What the cache has of a component.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cached {
    /// Its code.
    Code(Vec<u8>),
    /// Nothing.
    Nothing,
    /// Something that we did not write, or not for this component.
    Foreign,
}

impl Cache {
    /// A cache in `dir` whose files are trusted only under `key`, for code of
    /// the engine with this fingerprint. Files of other engines are deleted.
    pub(super) fn new(
        dir: PathBuf,
        key: &[u8],
        fingerprint: String,
        bytes_max: u64,
    ) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let room = Room {
            pieces_max: usize::MAX,
            bytes_max,
        };
        let cache = Self {
            dir,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            fingerprint,
            files: Mutex::new(Shelf::within(room)),
        };
        cache.find_files()?;
        Ok(cache)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes what is there, in the order of its last use.
    fn find_files(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, Digest, TenantId)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let named = entry.file_name();
            if let Some((digest, owner)) = named.to_str().and_then(|name| self.read_name(name)) {
                let about = entry.metadata()?;
                files.push((about.modified()?, about.len(), digest, owner));
            } else if let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "no code of this engine, and cannot be deleted");
            }
        }
        files.sort();
        for (_, bytes, digest, owner) in files {
            self.take_in(digest, owner, bytes)?;
        }
        Ok(())
    }

    fn path(&self, digest: Digest, owner: TenantId) -> PathBuf {
        let name = hex::encode(digest.as_bytes());
        let owner = hex::encode(owner.to_bytes());
        self.dir
            .join(format!("{name}-{}-{owner}.code", self.fingerprint))
    }

    /// Of what code a file is, and for whom it counts.
    fn read_name(&self, name: &str) -> Option<(Digest, TenantId)> {
        let (digest, rest) = name.strip_suffix(".code")?.split_once('-')?;
        let owner = rest.strip_prefix(&self.fingerprint)?.strip_prefix('-')?;
        let (mut digest_bytes, mut owner_bytes) = ([0; 32], [0; 16]);
        hex::decode_to_slice(digest, &mut digest_bytes).ok()?;
        hex::decode_to_slice(owner, &mut owner_bytes).ok()?;
        let owner = TenantId::from_bits(u128::from_be_bytes(owner_bytes));
        Some((Digest::from_bytes(digest_bytes), owner))
    }

    /// The code, if its MAC holds for this digest and engine. What is foreign is
    /// deleted, and so is met once.
    ///
    /// # Errors
    ///
    /// The operating system's, where it has no descriptor or no memory to read
    /// with: the file is there for the next.
    pub(super) fn read(&self, digest: Digest) -> io::Result<Cached> {
        let Some(path) = self.in_use(digest) else {
            return Ok(Cached::Nothing);
        };
        let mut file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if is_of_the_moment(&error) => return Err(error),
            Err(error) => {
                self.files.lock().remove(&digest);
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::error!(%digest, %error, "code in the cache cannot be read; compiling again");
                }
                return Ok(Cached::Nothing);
            }
        };
        let parts = file.split_at_checked(MAC_BYTES);
        let is_ours = parts.is_some_and(|(mac, code)| {
            hmac::verify(&self.key, &self.bound(digest, code), mac).is_ok()
        });
        if is_ours {
            note_on_disk(&path);
            file.drain(..MAC_BYTES);
            return Ok(Cached::Code(file));
        }
        self.files.lock().remove(&digest);
        if let Err(error) = fs::remove_file(&path) {
            tracing::error!(%digest, %error, "foreign code in the cache cannot be deleted");
        }
        Ok(Cached::Foreign)
    }

    /// Whether there is a file of this digest, as far as memory knows: one that is
    /// gone, or is foreign, is not there once it was read.
    pub(super) fn has(&self, digest: Digest) -> bool {
        self.files.lock().owner(&digest).is_some()
    }

    /// The file of a digest, which is used now.
    fn in_use(&self, digest: Digest) -> Option<PathBuf> {
        let mut files = self.files.lock();
        *files.find(&digest)? = Instant::now();
        let owner = files.owner(&digest)?;
        Some(self.path(digest, owner))
    }

    /// Notes that code is used that somebody has at hand. Once in a while this
    /// answers with its file, whose use is to be noted by [`note_on_disk`].
    pub(super) fn note_use(&self, digest: Digest, now: Instant) -> Option<PathBuf> {
        let mut files = self.files.lock();
        let noted = files.find(&digest)?;
        if now.saturating_duration_since(*noted) < NOTE_EVERY {
            return None;
        }
        *noted = now;
        let owner = files.owner(&digest)?;
        Some(self.path(digest, owner))
    }

    /// Keeps code for a workspace. If that is too much, others are deleted. One
    /// at a time for the same digest.
    pub(super) fn keep(&self, digest: Digest, owner: TenantId, code: &[u8]) -> io::Result<()> {
        let mac = hmac::sign(&self.key, &self.bound(digest, code));
        let owner = self.files.lock().owner(&digest).unwrap_or(owner);
        let path = self.path(digest, owner);
        let unfinished = path.with_extension("new");
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(mac.as_ref())?;
        file.write_all(code)?;
        // A machine that stops must not leave what looks like somebody's change.
        file.sync_all()?;
        fs::rename(unfinished, &path)?;
        let bytes = (MAC_BYTES + code.len()) as u64;
        if let Err(error) = self.take_in(digest, owner, bytes) {
            tracing::error!(%error, "old code in the cache cannot be deleted");
        }
        Ok(())
    }

    /// Counts a file that is there, and deletes what has to go for it.
    fn take_in(&self, digest: Digest, owner: TenantId, bytes: u64) -> io::Result<()> {
        let gone = self.files.lock().put(digest, owner, Instant::now(), bytes);
        for old in gone {
            match fs::remove_file(self.path(old.digest, old.owner)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What the MAC is over: the digest, the engine, and the code.
    fn bound(&self, digest: Digest, code: &[u8]) -> Vec<u8> {
        let code = Digest::of(code);
        [
            digest.as_bytes().as_slice(),
            code.as_bytes(),
            self.fingerprint.as_bytes(),
        ]
        .concat()
    }
}

/// Whether an error says nothing of the file: this process, or the machine, is
/// short of something.
fn is_of_the_moment(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let short_of = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::AGAIN,
        Errno::INTR,
    ];
    let is = error.raw_os_error();
    error.kind() == io::ErrorKind::OutOfMemory
        || short_of
            .iter()
            .any(|errno| is == Some(errno.raw_os_error()))
}

/// The time of a file's last change is that of its last use.
pub(super) fn note_on_disk(path: &Path) {
    let at = |nanoseconds| Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: at(UTIME_OMIT),
        last_modification: at(UTIME_NOW),
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    if let Err(error) = rustix::fs::utimensat(CWD, path, &times, flags) {
        tracing::warn!(path = %path.display(), %error, "the use of compiled code cannot be noted");
    }
}

#[cfg(test)]
mod tests;

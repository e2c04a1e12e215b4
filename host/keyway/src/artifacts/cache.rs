//! Compiled code on the disk, so that a restart compiles nothing. A file is
//! trusted only under our MAC, and there are only so many bytes of them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::hmac;
use keyway_model::Digest;
use rustix::fs::{CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

/// Bytes of the MAC before the compiled code in a file.
const MAC_BYTES: usize = 32;

/// A directory of compiled code.
pub(super) struct Cache {
    dir: PathBuf,
    key: hmac::Key,
    fingerprint: String,
    bytes_max: u64,
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
    /// the engine with this fingerprint.
    pub(super) fn new(
        dir: PathBuf,
        key: &[u8],
        fingerprint: String,
        bytes_max: u64,
    ) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self {
            dir,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            fingerprint,
            bytes_max,
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let name = hex::encode(digest.as_bytes());
        self.dir.join(format!("{name}-{}.code", self.fingerprint))
    }

    /// The code, if its MAC holds for this digest and engine. What is foreign is
    /// deleted, and so is met once.
    pub(super) fn read(&self, digest: Digest) -> Cached {
        let path = self.path(digest);
        let Ok(file) = fs::read(&path) else {
            return Cached::Nothing;
        };
        let parts = file.split_at_checked(MAC_BYTES);
        let ours = parts
            .filter(|(mac, code)| hmac::verify(&self.key, &self.bound(digest, code), mac).is_ok());
        if let Some((_, code)) = ours {
            note_use(&path);
            return Cached::Code(code.to_vec());
        }
        if let Err(error) = fs::remove_file(&path) {
            tracing::error!(%digest, %error, "foreign code in the cache cannot be deleted");
        }
        Cached::Foreign
    }

    /// Keeps code, and deletes what was used longest ago if that is too much.
    pub(super) fn keep(&self, digest: Digest, code: &[u8]) -> io::Result<()> {
        let mac = hmac::sign(&self.key, &self.bound(digest, code));
        let path = self.path(digest);
        let unfinished = path.with_extension("new");
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(mac.as_ref())?;
        file.write_all(code)?;
        // A machine that stops must not leave what looks like somebody's change.
        file.sync_all()?;
        fs::rename(unfinished, &path)?;
        if let Err(error) = self.trim(&path) {
            tracing::error!(%error, "old code in the cache cannot be deleted");
        }
        Ok(())
    }

    /// Deletes files, the longest unused first, until the others fit.
    fn trim(&self, newest: &Path) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // One that is gone by now needs no room.
            let Ok(about) = entry.metadata() else {
                continue;
            };
            files.push((about.modified()?, about.len(), entry.path()));
        }
        let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
        files.sort();
        for (_, length, path) in files {
            if bytes <= self.bytes_max {
                break;
            }
            if path != newest {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                bytes = bytes.saturating_sub(length);
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

/// The time of a file's last change is that of its last use.
fn note_use(path: &Path) {
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
mod tests {
    use super::*;

    const CODE_BYTES: usize = 1_000;

    fn cache(dir: &Path, bytes_max: u64) -> io::Result<Cache> {
        Cache::new(dir.to_owned(), b"a key", "engine".to_owned(), bytes_max)
    }

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Puts the last use of a file into the past, in seconds.
    fn used(cache: &Cache, name: &str, seconds: i64) -> io::Result<()> {
        let at = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: at,
            last_modification: at,
        };
        let flags = rustix::fs::AtFlags::empty();
        rustix::fs::utimensat(CWD, cache.path(digest(name)), &times, flags)?;
        Ok(())
    }

    #[test]
    fn code_on_the_disk_stays_within_its_bytes_and_what_was_used_longest_ago_goes() -> io::Result<()>
    {
        let dir = tempfile::tempdir()?;
        let cache = cache(dir.path(), 3_500)?;
        for (name, at) in [("a", 10), ("b", 20), ("c", 30)] {
            cache.keep(digest(name), &[1; CODE_BYTES])?;
            used(&cache, name, at)?;
        }
        // What is read was used.
        assert!(matches!(cache.read(digest("a")), Cached::Code(_)));
        cache.keep(digest("d"), &[1; CODE_BYTES])?;
        assert_eq!(cache.read(digest("b")), Cached::Nothing);
        for name in ["a", "c", "d"] {
            assert_eq!(
                cache.read(digest(name)),
                Cached::Code(vec![1; CODE_BYTES]),
                "{name}"
            );
        }
        // What is longer than everything together is kept alone.
        cache.keep(digest("huge"), &[1; 9_000])?;
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
        assert!(matches!(cache.read(digest("huge")), Cached::Code(_)));
        Ok(())
    }

    #[test]
    fn code_that_somebody_else_put_there_is_foreign_and_is_deleted() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let cache = cache(dir.path(), u64::MAX)?;
        assert_eq!(cache.read(digest("a")), Cached::Nothing);
        cache.keep(digest("a"), b"code")?;
        let ours = fs::read(cache.path(digest("a")))?;
        // That of another component, one byte more, and less than a MAC.
        let longer = [ours.as_slice(), b"!"].concat();
        for (name, foreign) in [("b", ours.as_slice()), ("a", &longer), ("a", b"short")] {
            fs::write(cache.path(digest(name)), foreign)?;
            assert_eq!(cache.read(digest(name)), Cached::Foreign, "{name}");
            assert_eq!(cache.read(digest(name)), Cached::Nothing, "{name}");
        }
        Ok(())
    }
}

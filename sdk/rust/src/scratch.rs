//! Files for the time of one call: for what is too large for memory. They are
//! the call's own, sealed on the host's disk, and gone when the call ends.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::Failure;
use crate::bindings::keyway::host::scratch;

/// Bytes that one call of the host takes or gives, at most.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The call's files. Names are 1 to 255 bytes: up to 8 segments of ASCII
/// letters, digits, `.`, `-` and `_` between slashes, none of which begins or
/// ends with a dot.
#[derive(Debug)]
pub struct Scratch(());

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// The file `name`, made empty if it is not there, as something that the
    /// libraries for CSV, JSON, archives and the like read and write. Put a
    /// [`BufWriter`](io::BufWriter) before it where writes are small: each one
    /// is a call of the host, with a record of its own.
    ///
    /// # Errors
    /// If the capability `scratch` is not granted, the name is not one, or a
    /// limit is exceeded.
    pub fn file(&self, name: &str) -> Result<ScratchFile, ScratchRefusal> {
        let length = self.open(name)?;
        Ok(ScratchFile {
            name: name.to_owned(),
            at: 0,
            length,
        })
    }

    /// Makes an empty file, unless there is one already; its length in bytes.
    ///
    /// # Errors
    /// As [`Scratch::file`].
    pub fn open(&self, name: &str) -> Result<u64, ScratchRefusal> {
        scratch::open(name).map_err(Into::into)
    }

    /// At most `length` bytes, itself at most 1 MiB, from `offset` on; fewer
    /// only at the end of the file.
    ///
    /// # Errors
    /// If the capability `scratch` is not granted, there is no such file, or it
    /// ends before `offset`.
    pub fn read(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>, ScratchRefusal> {
        scratch::read(name, offset, length).map_err(Into::into)
    }

    /// Writes `bytes` over and behind what is at `offset`, which is at most the
    /// length of the file. More than 1 MiB is written in several steps.
    ///
    /// # Errors
    /// As [`Scratch::read`], and if a limit is exceeded.
    pub fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), ScratchRefusal> {
        let mut at = offset;
        for chunk in bytes.chunks(CHUNK_BYTES_MAX) {
            scratch::write(name, at, chunk)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    /// Every file with its length in bytes, by name.
    ///
    /// # Errors
    /// If the capability `scratch` is not granted.
    pub fn list(&self) -> Result<Vec<(String, u64)>, ScratchRefusal> {
        let pair = |entry: scratch::Entry| (entry.name, entry.bytes);
        Ok(scratch::list()?.into_iter().map(pair).collect())
    }

    /// Removes a file; removing an absent one is not an error.
    ///
    /// # Errors
    /// If the capability `scratch` is not granted, or the name is not one.
    pub fn remove(&self, name: &str) -> Result<(), ScratchRefusal> {
        scratch::remove(name).map_err(Into::into)
    }
}

/// A scratch file with a place where the next byte is read or written.
#[derive(Debug)]
pub struct ScratchFile {
    name: String,
    at: u64,
    length: u64,
}

impl Read for ScratchFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(rest).min(CHUNK_BYTES_MAX);
        let Some(part) = buffer.get_mut(..wanted).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let bytes = Scratch(()).read(&self.name, self.at, length)?;
        let got = bytes.len().min(part.len());
        part.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        self.at += got as u64;
        Ok(got)
    }
}

impl Write for ScratchFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = bytes.get(..CHUNK_BYTES_MAX).unwrap_or(bytes);
        Scratch(()).write(&self.name, self.at, chunk)?;
        self.at += chunk.len() as u64;
        self.length = self.length.max(self.at);
        Ok(chunk.len())
    }

    /// What was written is written already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for ScratchFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let Some(at) = at.filter(|at| *at <= self.length) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a scratch file has no place outside itself: seek to its end at most",
            ));
        };
        self.at = at;
        Ok(at)
    }
}

/// Why something was not done with a scratch file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScratchRefusal {
    /// The capability `scratch` is not granted to this call.
    Denied,
    /// A limit is exceeded; the text names the limit and its value.
    Limit(String),
    /// That is not a name for a file; the text says why.
    BadName(String),
    /// There is no file of that name.
    NotFound,
    /// The offset is behind the end of the file, which has no holes.
    BehindEnd,
}

impl fmt::Display for ScratchRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => {
                "the capability `scratch` is not granted; name it under `capabilities` in \
                 `connector.toml`, and have it approved"
            }
            Self::Limit(text) | Self::BadName(text) => text,
            Self::NotFound => "there is no scratch file of that name; `open` makes one",
            Self::BehindEnd => {
                "the offset is behind the end of the scratch file, which has no holes"
            }
        })
    }
}

impl std::error::Error for ScratchRefusal {}

impl From<scratch::Refusal> for ScratchRefusal {
    fn from(refusal: scratch::Refusal) -> Self {
        match refusal {
            scratch::Refusal::Denied => Self::Denied,
            scratch::Refusal::Limit(text) => Self::Limit(text),
            scratch::Refusal::BadName(text) => Self::BadName(text),
            scratch::Refusal::NotFound => Self::NotFound,
            scratch::Refusal::BehindEnd => Self::BehindEnd,
        }
    }
}

impl From<ScratchRefusal> for Failure {
    fn from(refusal: ScratchRefusal) -> Self {
        match refusal {
            ScratchRefusal::Denied => Self::Forbidden(refusal.to_string()),
            ScratchRefusal::Limit(_)
            | ScratchRefusal::BadName(_)
            | ScratchRefusal::NotFound
            | ScratchRefusal::BehindEnd => Self::Permanent(refusal.to_string()),
        }
    }
}

impl From<ScratchRefusal> for io::Error {
    fn from(refusal: ScratchRefusal) -> Self {
        let kind = match refusal {
            ScratchRefusal::Denied => io::ErrorKind::PermissionDenied,
            ScratchRefusal::Limit(_) => io::ErrorKind::QuotaExceeded,
            ScratchRefusal::BadName(_) | ScratchRefusal::BehindEnd => io::ErrorKind::InvalidInput,
            ScratchRefusal::NotFound => io::ErrorKind::NotFound,
        };
        Self::new(kind, refusal)
    }
}

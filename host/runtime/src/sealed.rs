//! Compiled code on its way to a worker: a memory file that nobody can change
//! any more.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use keyway_model::limit::CODE_BYTES_MAX;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};

/// Why a memory file was not made or is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The operating system's.
    #[error("the memory file for compiled code cannot be used")]
    Io(#[from] io::Error),
    /// It could still be changed while it is read.
    #[error("the memory file for compiled code is not sealed; only sealed code is loaded")]
    NotSealed,
    /// It is not what was announced.
    #[error("the memory file for compiled code has {found} bytes, but {announced} were announced")]
    Length {
        /// What it has.
        found: u64,
        /// What the message says.
        announced: u64,
    },
    /// It is too long.
    #[error(
        "compiled code of {0} bytes exceeds the limit of {CODE_BYTES_MAX}; install a smaller component"
    )]
    TooLong(u64),
}

fn all_seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

/// Memory files that are tried, one after the other. The kernel does not seal one of which
/// it holds a page for itself at that moment, after it has waited for that 150 ms.
const TRIES: usize = 4;

/// Puts compiled code into a memory file and seals it. Called by the broker,
/// once for each artifact; every worker gets the same file.
///
/// # Errors
///
/// [`SealError::Io`], if there is no memory or no descriptor left.
pub fn seal(code: &[u8]) -> Result<OwnedFd, SealError> {
    until_not_busy(|| seal_one(code))
}

fn seal_one(code: &[u8]) -> Result<OwnedFd, SealError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"keyway-code", flags).map_err(io::Error::from)?);
    file.write_all(code)?;
    fcntl_add_seals(&file, all_seals()).map_err(io::Error::from)?;
    Ok(file.into())
}

fn until_not_busy<T>(mut make: impl FnMut() -> Result<T, SealError>) -> Result<T, SealError> {
    let is_busy = |error: &SealError| matches!(error, SealError::Io(error) if error.kind() == io::ErrorKind::ResourceBusy);
    for _ in 1..TRIES {
        match make() {
            Err(error) if is_busy(&error) => {}
            made => return made,
        }
    }
    make()
}

/// Checks that a file is what [`seal`] makes, and as long as announced; answers
/// with its length.
pub(crate) fn check(file: &OwnedFd, announced: u64) -> Result<usize, SealError> {
    let seals = fcntl_get_seals(file).map_err(io::Error::from)?;
    if !seals.contains(all_seals()) {
        return Err(SealError::NotSealed);
    }
    let found = fstat(file).map_err(io::Error::from)?.st_size;
    let found = u64::try_from(found).unwrap_or(0);
    if found != announced {
        return Err(SealError::Length { found, announced });
    }
    usize::try_from(found)
        .ok()
        .filter(|_| found <= CODE_BYTES_MAX)
        .ok_or(SealError::TooLong(found))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn sealed_code_is_taken_and_cannot_be_changed() -> Result<(), SealError> {
        let file = seal(b"code")?;
        let copy = File::from(file.try_clone()?);
        assert!(copy.write_all_at(b"evil", 0).is_err());
        assert_eq!(check(&file, 4)?, 4);
        Ok(())
    }

    #[test]
    fn a_memory_file_of_which_the_kernel_holds_a_page_is_made_anew_a_few_times() {
        let busy = || SealError::Io(rustix::io::Errno::BUSY.into());
        let mut tried = 0;
        let made = until_not_busy(|| {
            tried += 1;
            if tried < TRIES {
                Err(busy())
            } else {
                Ok(tried)
            }
        });
        assert_eq!(made.ok(), Some(TRIES));
        let mut tried = 0;
        let refused: Result<(), _> = until_not_busy(|| {
            tried += 1;
            Err(busy())
        });
        assert!(refused.is_err());
        assert_eq!(tried, TRIES);
        let mut tried = 0;
        let refused: Result<(), _> = until_not_busy(|| {
            tried += 1;
            Err(SealError::TooLong(1))
        });
        assert!(refused.is_err());
        assert_eq!(tried, 1);
    }

    #[test]
    fn code_that_could_still_change_is_refused() -> Result<(), SealError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create(c"open", flags).map_err(io::Error::from)?;
        assert!(matches!(check(&file, 0), Err(SealError::NotSealed)));
        Ok(())
    }

    #[test]
    fn code_of_another_length_is_refused() -> Result<(), SealError> {
        let result = check(&seal(b"code")?, 5);
        assert!(matches!(
            result,
            Err(SealError::Length {
                found: 4,
                announced: 5
            })
        ));
        Ok(())
    }
}

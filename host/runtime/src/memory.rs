//! Linear memory of all calls of a worker together.
//!
//! Each call has a limit of its own; this one is over their sum, so that many
//! calls at once end one by one, by name, and not all of them with the worker.

use std::sync::atomic::{AtomicU64, Ordering};

use keyway_model::limit::WORKER_MEMORY_BYTES_MAX;

/// What is taken of the memory that all calls share.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes_max: u64,
    bytes: AtomicU64,
}

/// There is not so much left.
pub(crate) struct Full {
    /// The limit.
    pub(crate) bytes_max: u64,
}

impl Memory {
    pub(crate) const fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            bytes: AtomicU64::new(0),
        }
    }

    /// Takes `bytes` more.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), Full> {
        let more = |taken: u64| {
            taken
                .checked_add(bytes)
                .filter(|sum| *sum <= self.bytes_max)
        };
        match self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(Full {
                bytes_max: self.bytes_max,
            }),
        }
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(WORKER_MEMORY_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_together_take_no_more_than_there_is() {
        let memory = Memory::new(100);
        assert!(memory.take(60).is_ok());
        assert!(memory.take(41).is_err());
        assert!(memory.take(40).is_ok());
        memory.give_back(60);
        assert!(memory.take(60).is_ok());
        assert!(memory.take(u64::MAX).is_err());
    }
}

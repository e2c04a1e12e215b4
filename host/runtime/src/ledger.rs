//! What the host keeps for a guest over many small calls.
//!
//! Each host call is limited by itself; what stays after it is added up here.
//! Request bodies that were written and not sent are kept, and counted until
//! they leave. Those of a request that the guest gives up count on: whoever
//! writes much and sends nothing is ended all the same.

use std::sync::atomic::{AtomicU64, Ordering};

use keyway_ipc::Trap;
use keyway_model::limit::RETAINED_BYTES_MAX;

use crate::live::over;

#[derive(Default)]
pub(crate) struct Ledger(AtomicU64);

impl Ledger {
    /// Adds what the host is about to keep, or says that it is too much.
    pub(crate) fn keep(&self, bytes: u64) -> Result<(), Trap> {
        let kept = self.0.fetch_add(bytes, Ordering::Relaxed);
        if kept.saturating_add(bytes) > RETAINED_BYTES_MAX {
            return Err(over("RETAINED_BYTES_MAX", RETAINED_BYTES_MAX));
        }
        Ok(())
    }

    /// Takes away what the host does not keep any more.
    pub(crate) fn release(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let left = |kept: u64| Some(kept.saturating_sub(bytes));
        let _always_some = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_makes_room_for_more() {
        let ledger = Ledger::default();
        assert_eq!(ledger.keep(RETAINED_BYTES_MAX), Ok(()));
        ledger.release(1 << 20);
        assert_eq!(ledger.keep(1 << 20), Ok(()));
        assert_eq!(
            ledger.keep(1),
            Err(over("RETAINED_BYTES_MAX", RETAINED_BYTES_MAX))
        );
    }
}

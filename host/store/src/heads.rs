//! Where each tenant's log ends, and which of its intents are open.
//!
//! The writer alone moves the heads, after a commit; others only look.

use std::collections::{BTreeMap, HashMap};

use keyway_authz::log::RecordKind;
use keyway_model::{EntryId, TenantId};
use parking_lot::Mutex;

/// The end of one tenant's log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// How many durable records it has, which is the next sequence.
    pub(crate) size: u64,
    open: BTreeMap<u64, EntryId>,
    open_at: HashMap<EntryId, u64>,
}

impl Head {
    pub(crate) fn of_size(size: u64) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// The number of records before which every intent is closed.
    pub(crate) fn settled(&self) -> u64 {
        self.open
            .first_key_value()
            .map_or(self.size, |(sequence, _)| *sequence)
    }

    pub(crate) fn append(&mut self, kind: RecordKind, entry: EntryId) {
        match kind {
            RecordKind::Intent => {
                self.open.insert(self.size, entry);
                self.open_at.insert(entry, self.size);
            }
            RecordKind::Outcome => {
                if let Some(sequence) = self.open_at.remove(&entry) {
                    self.open.remove(&sequence);
                }
            }
            RecordKind::Denial | RecordKind::Tally => {}
        }
        self.size += 1;
    }
}

/// The ends of all logs.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<HashMap<TenantId, Head>>);

impl Heads {
    pub(crate) fn set(&self, tenant: TenantId, head: Head) {
        self.0.lock().insert(tenant, head);
    }

    pub(crate) fn size(&self, tenant: TenantId) -> u64 {
        self.0.lock().get(&tenant).map_or(0, |head| head.size)
    }

    /// Size and settled mark, as of one moment.
    pub(crate) fn extent(&self, tenant: TenantId) -> (u64, u64) {
        self.0
            .lock()
            .get(&tenant)
            .map_or((0, 0), |head| (head.size, head.settled()))
    }

    pub(crate) fn sizes(&self) -> Vec<(TenantId, u64)> {
        self.0
            .lock()
            .iter()
            .map(|(tenant, head)| (*tenant, head.size))
            .collect()
    }

    /// Takes over records that are durable now, in order.
    pub(crate) fn advance(&self, records: impl Iterator<Item = (TenantId, RecordKind, EntryId)>) {
        let mut heads = self.0.lock();
        for (tenant, kind, entry) in records {
            heads.entry(tenant).or_default().append(kind, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_settled_up_to_its_oldest_open_intent() {
        let mut head = Head::default();
        let (one, two) = (EntryId::random(), EntryId::random());
        head.append(RecordKind::Intent, one);
        head.append(RecordKind::Intent, two);
        assert_eq!((head.size, head.settled()), (2, 0));
        head.append(RecordKind::Outcome, one);
        assert_eq!((head.size, head.settled()), (3, 1));
        head.append(RecordKind::Outcome, two);
        head.append(RecordKind::Denial, EntryId::random());
        assert_eq!((head.size, head.settled()), (5, 5));
    }
}

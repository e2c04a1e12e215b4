//! The approvals of one connector digest, and which of them counts.
//!
//! Of those that hold, the newest counts. It gives way at its end to one before it that
//! holds longer, and a revocation ends all that hold together. So one that a newer one
//! outlasts never counts again: only the others are looked at, of which there is one
//! however often the same is approved. Never keeps more than
//! `APPROVALS_PER_CONNECTOR_MAX`: what was approved stands in the audit log.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use keyway_model::ApprovalId;
use keyway_model::limit::APPROVALS_PER_CONNECTOR_MAX;
use keyway_model::time::Timestamp;

use crate::resource::ApprovalRecord;

/// Every approval of one digest that is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Approvals {
    /// All of them, the newest first.
    all: Vec<Arc<ApprovalRecord>>,
    /// Those that may count, the newest first: each ends later than those before it.
    lasting: Vec<Arc<ApprovalRecord>>,
}

impl Approvals {
    /// The one that counts now.
    pub(crate) fn holding(&self, now: Timestamp) -> Option<&Arc<ApprovalRecord>> {
        let ended = self.lasting.partition_point(|one| !one.holds(now));
        self.lasting.get(ended)
    }

    /// All of them, revoked and ended ones too, the newest first.
    pub(crate) fn all(&self) -> &[Arc<ApprovalRecord>] {
        &self.all
    }

    /// Adds new ones, and puts changed ones in the place of the old.
    pub(crate) fn put(&mut self, put: Vec<Arc<ApprovalRecord>>) {
        let mut known = HashSet::new();
        let kept = std::mem::take(&mut self.all);
        let mut all: Vec<_> = put
            .into_iter()
            .rev()
            .chain(kept)
            .filter(|one| known.insert(one.id))
            .collect();
        // Of two of one moment, that which was put last is the newer one.
        all.sort_by_key(|one| Reverse(one.at));
        self.lasting = lasting(&all);
        self.all = all;
    }

    /// Keeps these no more.
    pub(crate) fn forget(&mut self, gone: &[ApprovalId]) {
        let gone: HashSet<&ApprovalId> = gone.iter().collect();
        self.all.retain(|one| !gone.contains(&one.id));
        self.lasting = lasting(&self.all);
    }

    /// The oldest of those that do not count, which make room for a new one: as many
    /// as are too many with it, and no more than that at once. `None` where all that
    /// would be kept count, now or later.
    pub(crate) fn in_the_way_of(
        &self,
        new: &ApprovalRecord,
        now: Timestamp,
    ) -> Option<Vec<ApprovalId>> {
        let mut with_it = self.clone();
        with_it.put(vec![Arc::new(new.clone())]);
        let may_count = with_it.lasting.iter().filter(|one| one.holds(now));
        let mut stay: HashSet<ApprovalId> = may_count.map(|one| one.id).collect();
        stay.insert(new.id);
        if stay.len() > APPROVALS_PER_CONNECTOR_MAX {
            return None;
        }
        let too_many = with_it
            .all
            .len()
            .saturating_sub(APPROVALS_PER_CONNECTOR_MAX);
        let oldest_first = with_it.all.iter().rev().map(|one| one.id);
        let gone = oldest_first
            .filter(|id| !stay.contains(id))
            .take(too_many.min(APPROVALS_PER_CONNECTOR_MAX));
        Some(gone.collect())
    }
}

/// Those that no newer one outlasts, of all that were not revoked, the newest first.
fn lasting(newest_first: &[Arc<ApprovalRecord>]) -> Vec<Arc<ApprovalRecord>> {
    let mut lasting: Vec<Arc<ApprovalRecord>> = Vec::new();
    for one in newest_first.iter().filter(|one| one.revoked.is_none()) {
        if lasting.last().is_none_or(|newer| outlasts(one, newer)) {
            lasting.push(Arc::clone(one));
        }
    }
    lasting
}

fn outlasts(one: &ApprovalRecord, other: &ApprovalRecord) -> bool {
    match (one.until, other.until) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

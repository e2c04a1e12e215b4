//! Masks that are kept for the next call of their connections. Making one costs
//! more than a call does, and one for a long secret takes megabytes: so they are
//! kept for a while, within so many bytes, and what was let go is made again.
//!
//! A workspace makes room among its own; where all hold too much, the one that
//! holds most does. Who has more long secrets than there is room for has them made
//! again and again: beside the thread that serves all others, one at a time. Never
//! answers with a mask for other secrets than those that the request has in hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyway_fair::{Admission, Wish};
use keyway_model::limit::{MASKS_HELD_BYTES_MAX, MASKS_HELD_BYTES_PER_WORKSPACE_MAX};
use keyway_model::{ConnectionId, TenantId};
use parking_lot::Mutex;
use tokio::task::JoinError;

use super::{Mask, Travelling};

/// How long a mask is kept: a secret that is not used any more is wiped within
/// this time of its next use, or of another connection's.
const KEPT: Duration = Duration::from_secs(60);

/// A mask for so many bytes of secrets is made at once: that takes less than to have it
/// made elsewhere.
pub(super) const MADE_HERE_BYTES: usize = 1 << 10;

/// Longer ones that are made at once, each of another workspace.
const MADE_ASIDE: usize = 2;

/// The masks that were made last.
#[derive(Debug)]
pub(crate) struct Masks {
    pub(super) known: Mutex<Known>,
    /// For those that are made aside.
    pub(super) turns: Admission<()>,
}

impl Default for Masks {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            turns: Admission::of(MADE_ASIDE),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) kept: HashMap<ConnectionId, Kept>,
    /// Counts what was made; what was made last has the highest number.
    made: u64,
    pub(super) bytes: u64,
    holders: HashMap<TenantId, Holder>,
}

/// One workspace that has masks.
#[derive(Debug, Default)]
struct Holder {
    bytes: u64,
    /// In the order in which they were made.
    connections: BTreeMap<u64, ConnectionId>,
}

pub(super) struct Kept {
    secrets: Vec<Travelling>,
    mask: Arc<Mask>,
    pub(super) bytes: u64,
    owner: TenantId,
    number: u64,
    since: Instant,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.mask.fmt(f)
    }
}

impl Masks {
    /// The mask for exactly these secrets of a connection. A long one that is not kept is
    /// made aside, when it is the workspace's turn.
    ///
    /// # Errors
    ///
    /// When the making broke off: then nothing may be sent.
    pub(crate) async fn of(
        &self,
        owner: TenantId,
        connection: ConnectionId,
        secrets: Vec<Travelling>,
    ) -> Result<Arc<Mask>, JoinError> {
        if let Some(mask) = self.known.lock().known(&connection, &secrets) {
            return Ok(mask);
        }
        let bytes: usize = secrets.iter().map(|secret| secret.len()).sum();
        if bytes <= MADE_HERE_BYTES {
            return Ok(self.keep(connection, Kept::new(owner, secrets)));
        }
        let wish = Wish {
            tenant: owner,
            tenant_max: 1,
            line: (),
            line_max: 1,
        };
        let turn = self.turns.enter(wish).await;
        // Whoever had the turn before may have made the same.
        if let Some(mask) = self.known.lock().known(&connection, &secrets) {
            return Ok(mask);
        }
        // It is made to its end whoever waits for it, and the turn lasts as long.
        let making = tokio::task::spawn_blocking(move || (Kept::new(owner, secrets), turn));
        let (kept, _turn) = making.await?;
        Ok(self.keep(connection, kept))
    }

    fn keep(&self, connection: ConnectionId, kept: Kept) -> Arc<Mask> {
        let mask = Arc::clone(&kept.mask);
        self.known.lock().keep(connection, kept);
        mask
    }
}

impl Kept {
    pub(super) fn new(owner: TenantId, secrets: Vec<Travelling>) -> Self {
        let mask = Mask::of(secrets.iter().map(|secret| secret.as_slice()));
        let own: usize = secrets.iter().map(|secret| secret.capacity()).sum();
        Self {
            secrets,
            bytes: (own + mask.bytes()) as u64,
            mask: Arc::new(mask),
            owner,
            number: 0,
            since: Instant::now(),
        }
    }

    fn is_over(&self) -> bool {
        self.since.elapsed() >= KEPT
    }
}

impl Known {
    fn known(&self, connection: &ConnectionId, secrets: &[Travelling]) -> Option<Arc<Mask>> {
        let kept = self.kept.get(connection)?;
        (kept.secrets == secrets && !kept.is_over()).then(|| Arc::clone(&kept.mask))
    }

    pub(super) fn keep(&mut self, connection: ConnectionId, new: Kept) {
        self.forget(&connection);
        self.forget_what_is_over();
        let Kept { owner, bytes, .. } = new;
        if bytes > MASKS_HELD_BYTES_PER_WORKSPACE_MAX {
            return;
        }
        while self.held_by(owner) + bytes > MASKS_HELD_BYTES_PER_WORKSPACE_MAX {
            self.forget_oldest_of(owner);
        }
        while self.bytes + bytes > MASKS_HELD_BYTES_MAX {
            self.forget_oldest_of(self.largest(owner, bytes));
        }
        self.made += 1;
        self.bytes += bytes;
        let holder = self.holders.entry(owner).or_default();
        holder.bytes += bytes;
        holder.connections.insert(self.made, connection);
        let number = self.made;
        self.kept.insert(connection, Kept { number, ..new });
    }

    pub(super) fn held_by(&self, tenant: TenantId) -> u64 {
        self.holders.get(&tenant).map_or(0, |holder| holder.bytes)
    }

    /// The workspace that holds most, with what `comer` will hold besides.
    fn largest(&self, comer: TenantId, bytes: u64) -> TenantId {
        let held = self.holders.iter().map(|(tenant, holder)| {
            let more = if *tenant == comer { bytes } else { 0 };
            (holder.bytes + more, *tenant)
        });
        held.max().map_or(comer, |(_, tenant)| tenant)
    }

    fn forget_what_is_over(&mut self) {
        let is_over = |id: &&ConnectionId| self.kept.get(*id).is_none_or(Kept::is_over);
        let holders = self.holders.values();
        let over: Vec<ConnectionId> = holders
            .flat_map(|holder| holder.connections.values().take_while(is_over))
            .copied()
            .collect();
        for connection in over {
            self.forget(&connection);
        }
    }

    fn forget_oldest_of(&mut self, tenant: TenantId) {
        let holder = self.holders.get(&tenant);
        let oldest = holder.and_then(|holder| holder.connections.values().next());
        if let Some(connection) = oldest.copied() {
            self.forget(&connection);
        }
    }

    fn forget(&mut self, connection: &ConnectionId) {
        let Some(kept) = self.kept.remove(connection) else {
            return;
        };
        self.bytes -= kept.bytes;
        if let Some(holder) = self.holders.get_mut(&kept.owner) {
            holder.bytes -= kept.bytes;
            holder.connections.remove(&kept.number);
            if holder.connections.is_empty() {
                self.holders.remove(&kept.owner);
            }
        }
    }
}

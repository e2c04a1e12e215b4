//! What is held ready because it may be asked for again: as much as there is
//! room for. Where there is none, whoever holds the largest share of the room
//! gives the piece up that it has not used for longest, so a workspace that asks
//! for one large thing after the other takes the place of its own.
//!
//! A piece counts for the workspace that put it, whoever uses it: nobody can
//! make what another put its own, and so let it go. Never lets go of what is in
//! use: that may exceed the room for as long as it is used, and leaves when the
//! next thing is put.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use keyway_model::limit::{CODE_HELD_BYTES_MAX, COMPONENTS_HELD_MAX};
use keyway_model::{Digest, TenantId};

/// How much a shelf holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Pieces.
    pub pieces_max: usize,
    /// Bytes of them all; one piece alone may be longer.
    pub bytes_max: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            pieces_max: COMPONENTS_HELD_MAX,
            bytes_max: CODE_HELD_BYTES_MAX,
        }
    }
}

impl Room {
    /// How large a share of the room this is: of its places or of its bytes,
    /// whichever is more. To be compared with others of the same room.
    fn share(&self, holding: Holding) -> u128 {
        let by_pieces = holding.pieces as u128 * u128::from(self.bytes_max);
        let by_bytes = u128::from(holding.bytes) * self.pieces_max as u128;
        by_pieces.max(by_bytes)
    }
}

/// What is no longer there.
#[derive(Debug)]
pub struct Gone<V> {
    /// Of what.
    pub digest: Digest,
    /// For whom it counted.
    pub owner: TenantId,
    /// The thing, which may take a while to drop.
    pub value: V,
}

/// Things by digest, the most recently used of each workspace.
#[derive(Debug)]
pub struct Shelf<V> {
    room: Room,
    /// Counts uses; what was used last has the highest number.
    uses: u64,
    held: HashMap<Digest, Piece<V>>,
    all: Holding,
    /// What each workspace that holds something holds.
    holders: HashMap<TenantId, Holder>,
}

/// One workspace that holds something.
#[derive(Debug, Default)]
struct Holder {
    holding: Holding,
    /// What of it is not in use, in the order of its last use: kept so, since
    /// whoever makes room has others wait for it.
    unused: BTreeMap<u64, Digest>,
}

/// Pieces that count for one workspace, or for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holding {
    pieces: usize,
    bytes: u64,
}

impl Holding {
    const fn with(self, bytes: u64) -> Self {
        Self {
            pieces: self.pieces + 1,
            bytes: self.bytes.saturating_add(bytes),
        }
    }

    const fn without(self, bytes: u64) -> Self {
        Self {
            pieces: self.pieces.saturating_sub(1),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }
}

#[derive(Debug)]
struct Piece<V> {
    value: V,
    /// Whose share of the room it takes.
    owner: TenantId,
    bytes: u64,
    used: u64,
    users: usize,
}

impl<V> Shelf<V> {
    /// An empty one.
    pub fn within(room: Room) -> Self {
        Self {
            room,
            uses: 0,
            held: HashMap::new(),
            all: Holding::default(),
            holders: HashMap::new(),
        }
    }

    /// Uses a thing once.
    pub fn find(&mut self, digest: &Digest) -> Option<&mut V> {
        self.uses += 1;
        let piece = self.held.get_mut(digest)?;
        let before = std::mem::replace(&mut piece.used, self.uses);
        if piece.users == 0
            && let Some(holder) = self.holders.get_mut(&piece.owner)
        {
            holder.unused.remove(&before);
            holder.unused.insert(self.uses, *digest);
        }
        Some(&mut piece.value)
    }

    /// For whom a thing counts.
    pub fn owner(&self, digest: &Digest) -> Option<TenantId> {
        self.held.get(digest).map(|piece| piece.owner)
    }

    /// Takes a thing into use, if it is there: it stays until it is given back.
    pub(crate) fn take(&mut self, digest: &Digest) -> bool {
        self.uses += 1;
        let Some(piece) = self.held.get_mut(digest) else {
            return false;
        };
        if let Some(holder) = self.holders.get_mut(&piece.owner) {
            holder.unused.remove(&piece.used);
        }
        piece.used = self.uses;
        piece.users += 1;
        true
    }

    /// Ends a use that [`Shelf::take`] began.
    pub(crate) fn give_back(&mut self, digest: &Digest) {
        if let Some(piece) = self.held.get_mut(digest) {
            piece.users = piece.users.saturating_sub(1);
            if piece.users == 0
                && let Some(holder) = self.holders.get_mut(&piece.owner)
            {
                holder.unused.insert(piece.used, *digest);
            }
        }
    }

    /// Makes room for so many bytes that `comer` will hold besides what it has;
    /// answers with what had to go.
    pub(crate) fn make_room(&mut self, comer: TenantId, bytes: u64) -> Vec<Gone<V>> {
        let mut gone = Vec::new();
        while !self.has_room(bytes) {
            let Some(digest) = self.next_to_go(comer, bytes) else {
                break;
            };
            gone.extend(self.remove(&digest));
        }
        gone
    }

    const fn has_room(&self, bytes: u64) -> bool {
        self.all.pieces < self.room.pieces_max
            && self.all.bytes.saturating_add(bytes) <= self.room.bytes_max
    }

    /// Of those who hold something that is not in use, the largest holder's piece
    /// that it has not used for longest. What `comer` is about to put counts, and
    /// among equals it is `comer` who gives way. Looks at every holder, and at one
    /// piece of each.
    fn next_to_go(&self, comer: TenantId, bytes: u64) -> Option<Digest> {
        let share = |owner: TenantId, holding: Holding| {
            self.room.share(match owner == comer {
                true => holding.with(bytes),
                false => holding,
            })
        };
        let oldest = self.holders.iter().filter_map(|(owner, holder)| {
            let (used, digest) = holder.unused.first_key_value()?;
            let share = share(*owner, holder.holding);
            Some(((share, *owner == comer, Reverse(*used)), *digest))
        });
        oldest
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, digest)| digest)
    }

    /// Puts a thing on the shelf, where there is room or what is there is in
    /// use; answers with what had to go. What was there stays its owner's.
    pub fn put(&mut self, digest: Digest, owner: TenantId, value: V, bytes: u64) -> Vec<Gone<V>> {
        let owner = self.owner(&digest).unwrap_or(owner);
        self.remove(&digest);
        let gone = self.make_room(owner, bytes);
        self.uses += 1;
        self.all = self.all.with(bytes);
        let holder = self.holders.entry(owner).or_default();
        holder.holding = holder.holding.with(bytes);
        holder.unused.insert(self.uses, digest);
        let piece = Piece {
            value,
            owner,
            bytes,
            used: self.uses,
            users: 0,
        };
        self.held.insert(digest, piece);
        gone
    }

    /// Takes a thing away, whoever uses it.
    pub fn remove(&mut self, digest: &Digest) -> Option<Gone<V>> {
        let piece = self.held.remove(digest)?;
        self.all = self.all.without(piece.bytes);
        if let Entry::Occupied(mut holder) = self.holders.entry(piece.owner) {
            let its = holder.get_mut();
            its.holding = its.holding.without(piece.bytes);
            its.unused.remove(&piece.used);
            if its.holding.pieces == 0 {
                holder.remove();
            }
        }
        Some(Gone {
            digest: *digest,
            owner: piece.owner,
            value: piece.value,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests;

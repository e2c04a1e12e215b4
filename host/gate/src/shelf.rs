//! What is held ready because it may be asked for again: as much as there is
//! room for, the most recently used.
//!
//! Never lets go of what is in use: that may exceed the room for as long as it
//! is used, and leaves when the next thing is put.

use std::collections::HashMap;

use keyway_model::Digest;
use keyway_model::limit::{CODE_HELD_BYTES_MAX, COMPONENTS_HELD_MAX};

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

/// Things by digest, the most recently used.
#[derive(Debug)]
pub struct Shelf<V> {
    room: Room,
    bytes: u64,
    /// Counts uses; what was used last has the highest number.
    uses: u64,
    held: HashMap<Digest, Piece<V>>,
}

#[derive(Debug)]
struct Piece<V> {
    value: V,
    bytes: u64,
    used: u64,
    users: usize,
}

impl<V> Shelf<V> {
    /// An empty one.
    pub fn within(room: Room) -> Self {
        Self {
            room,
            bytes: 0,
            uses: 0,
            held: HashMap::new(),
        }
    }

    /// Uses a thing once.
    pub fn find(&mut self, digest: &Digest) -> Option<&V> {
        self.uses += 1;
        let piece = self.held.get_mut(digest)?;
        piece.used = self.uses;
        Some(&piece.value)
    }

    /// Takes a thing into use, if it is there: it stays until it is given back.
    pub(crate) fn take(&mut self, digest: &Digest) -> bool {
        self.uses += 1;
        let piece = self.held.get_mut(digest);
        piece.is_some_and(|piece| {
            piece.used = self.uses;
            piece.users += 1;
            true
        })
    }

    /// Ends a use that [`Shelf::take`] began.
    pub(crate) fn give_back(&mut self, digest: &Digest) {
        if let Some(piece) = self.held.get_mut(digest) {
            piece.users = piece.users.saturating_sub(1);
        }
    }

    /// Makes room for so many bytes; answers with what had to go, the longest
    /// unused first.
    pub(crate) fn make_room(&mut self, bytes: u64) -> Vec<Digest> {
        let mut gone = Vec::new();
        while self.held.len() >= self.room.pieces_max
            || self.bytes.saturating_add(bytes) > self.room.bytes_max
        {
            let unused = self.held.iter().filter(|(_, piece)| piece.users == 0);
            let Some(oldest) = unused.min_by_key(|(_, piece)| piece.used) else {
                break;
            };
            let digest = *oldest.0;
            self.remove(&digest);
            gone.push(digest);
        }
        gone
    }

    /// Puts a thing on the shelf, where there is room or what is there is in
    /// use; answers with what had to go.
    pub fn put(&mut self, digest: Digest, value: V, bytes: u64) -> Vec<Digest> {
        self.remove(&digest);
        let gone = self.make_room(bytes);
        self.uses += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let piece = Piece {
            value,
            bytes,
            used: self.uses,
            users: 0,
        };
        self.held.insert(digest, piece);
        gone
    }

    /// Takes a thing away, whoever uses it.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        if let Some(piece) = self.held.remove(digest) {
            self.bytes = self.bytes.saturating_sub(piece.bytes);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        pieces_max: 3,
        bytes_max: 100,
    };

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn shelf(names: &[&str]) -> Shelf<()> {
        let mut shelf = Shelf::within(ROOM);
        for name in names {
            shelf.put(digest(name), (), 10);
        }
        shelf
    }

    #[test]
    fn what_was_used_longest_ago_goes_when_there_is_no_place() {
        let mut shelf = shelf(&["a", "b", "c"]);
        assert!(shelf.find(&digest("a")).is_some());
        assert_eq!(shelf.put(digest("d"), (), 10), [digest("b")]);
        assert_eq!(shelf.count(), 3);
        assert!(shelf.find(&digest("b")).is_none());
    }

    #[test]
    fn as_much_goes_as_the_bytes_of_the_new_one_take() {
        let mut shelf = shelf(&["a", "b", "c"]);
        assert_eq!(
            shelf.put(digest("long"), (), 90),
            [digest("a"), digest("b")]
        );
        // One that is longer than everything together is alone.
        assert_eq!(shelf.put(digest("huge"), (), 1_000).len(), 2);
        assert_eq!(shelf.count(), 1);
        assert_eq!(shelf.put(digest("next"), (), 1), [digest("huge")]);
    }

    #[test]
    fn what_is_in_use_stays_and_goes_when_it_was_given_back() {
        let mut shelf = shelf(&["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            assert!(shelf.take(&digest(name)));
        }
        assert!(shelf.put(digest("d"), (), 10).is_empty());
        assert_eq!(shelf.count(), 4);
        assert!(shelf.take(&digest("a")));
        shelf.give_back(&digest("a"));
        shelf.give_back(&digest("b"));
        assert_eq!(
            shelf.put(digest("e"), (), 10),
            [digest("b"), digest("d")],
            "one of the two uses of a is not over"
        );
    }

    #[test]
    fn what_is_put_again_counts_once() {
        let mut shelf = shelf(&["a", "a", "a"]);
        assert_eq!((shelf.count(), shelf.bytes), (1, 10));
        shelf.remove(&digest("a"));
        assert_eq!((shelf.count(), shelf.bytes), (0, 0));
    }
}

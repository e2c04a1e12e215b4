//! What goes where there is no room, and whose it is.

use super::*;

const ROOM: Room = Room {
    pieces_max: 3,
    bytes_max: 100,
};

const ACME: TenantId = TenantId::from_bits(1);
const RIVAL: TenantId = TenantId::from_bits(2);
const THIRD: TenantId = TenantId::from_bits(3);

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn shelf(names: &[&str]) -> Shelf<()> {
    let mut shelf = Shelf::within(ROOM);
    for name in names {
        shelf.put(digest(name), ACME, (), 10);
    }
    shelf
}

/// Puts so many bytes, and says what had to go.
fn put(shelf: &mut Shelf<()>, name: &str, owner: TenantId, bytes: u64) -> Vec<Digest> {
    let gone = shelf.put(digest(name), owner, (), bytes);
    gone.into_iter().map(|gone| gone.digest).collect()
}

/// An empty shelf with places for so many pieces.
fn wide(pieces_max: usize) -> Shelf<()> {
    Shelf::within(Room { pieces_max, ..ROOM })
}

fn holds(shelf: &Shelf<()>, names: &[&str]) -> bool {
    let has = |name: &&str| shelf.owner(&digest(name)).is_some();
    names.iter().all(has) && shelf.count() == names.len()
}

#[test]
fn what_was_used_longest_ago_goes_when_there_is_no_place() {
    let mut shelf = shelf(&["a", "b", "c"]);
    assert!(shelf.find(&digest("a")).is_some());
    assert_eq!(put(&mut shelf, "d", ACME, 10), [digest("b")]);
    assert_eq!(shelf.count(), 3);
    assert!(shelf.find(&digest("b")).is_none());
}

#[test]
fn as_much_goes_as_the_bytes_of_the_new_one_take() {
    let mut shelf = shelf(&["a", "b", "c"]);
    assert_eq!(
        put(&mut shelf, "long", ACME, 90),
        [digest("a"), digest("b")]
    );
    // One that is longer than everything together is alone.
    assert_eq!(put(&mut shelf, "huge", ACME, 1_000).len(), 2);
    assert_eq!(shelf.count(), 1);
    assert_eq!(put(&mut shelf, "next", ACME, 1), [digest("huge")]);
}

#[test]
fn what_is_in_use_stays_and_goes_when_it_was_given_back() {
    let mut shelf = shelf(&["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        assert!(shelf.take(&digest(name)));
    }
    assert!(put(&mut shelf, "d", ACME, 10).is_empty());
    assert_eq!(shelf.count(), 4);
    assert!(shelf.take(&digest("a")));
    shelf.give_back(&digest("a"));
    shelf.give_back(&digest("b"));
    assert_eq!(
        put(&mut shelf, "e", ACME, 10),
        [digest("b"), digest("d")],
        "one of the two uses of a is not over"
    );
}

#[test]
fn what_is_put_again_counts_once_and_for_whom_it_did() {
    let mut shelf = shelf(&["a", "a", "a"]);
    put(&mut shelf, "a", RIVAL, 10);
    assert_eq!(shelf.all, Holding::default().with(10));
    assert_eq!(shelf.owner(&digest("a")), Some(ACME));
    shelf.remove(&digest("a"));
    assert_eq!(shelf.all, Holding::default());
    assert!(shelf.holdings.is_empty());
}

#[test]
fn one_that_puts_large_things_by_turns_takes_the_place_of_its_own_alone() {
    let mut shelf = wide(100);
    for (name, owner) in [("a", ACME), ("b", ACME), ("c", THIRD)] {
        shelf.put(digest(name), owner, (), 10);
    }
    for turn in 0..50 {
        // Never used again by the others, so it is they who were first in line.
        let large = digest(&format!("large {}", turn % 7));
        let gone = shelf.put(large, RIVAL, (), 30);
        assert!(gone.iter().all(|gone| gone.owner == RIVAL));
        for (name, owner) in [("a", ACME), ("b", ACME), ("c", THIRD)] {
            assert_eq!(shelf.owner(&digest(name)), Some(owner), "turn {turn}");
        }
    }
    assert_eq!(shelf.count(), 5, "and it has what is left of the room");
}

#[test]
fn one_that_puts_many_small_things_takes_the_place_of_its_own_alone() {
    let mut shelf = wide(10);
    // Most of the bytes, and few of the places.
    for name in ["a", "b"] {
        shelf.put(digest(name), ACME, (), 35);
    }
    for turn in 0..50 {
        shelf.put(digest(&format!("small {turn}")), RIVAL, (), 1);
    }
    assert!(shelf.find(&digest("a")).is_some() && shelf.find(&digest("b")).is_some());
    assert_eq!(shelf.count(), 10);
}

#[test]
fn a_holder_of_all_the_room_gives_up_what_another_needs_and_no_more() {
    let mut shelf = wide(100);
    for name in ["a", "b", "c", "d", "e"] {
        shelf.put(digest(name), ACME, (), 20);
    }
    assert_eq!(put(&mut shelf, "r", RIVAL, 20), [digest("a")]);
    assert_eq!(put(&mut shelf, "s", RIVAL, 20), [digest("b")]);
    // By now the comer would hold as much, and gives way.
    assert_eq!(put(&mut shelf, "t", RIVAL, 20), [digest("r")]);
    assert!(holds(&shelf, &["c", "d", "e", "s", "t"]));
}

#[test]
fn what_the_largest_holder_has_in_use_does_not_keep_others_from_making_room() {
    let mut shelf = wide(100);
    put(&mut shelf, "used", ACME, 80);
    assert!(shelf.take(&digest("used")));
    put(&mut shelf, "r", RIVAL, 20);
    assert_eq!(put(&mut shelf, "s", RIVAL, 20), [digest("r")]);
}

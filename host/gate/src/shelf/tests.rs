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
    assert!(shelf.holders.is_empty());
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

/// What a walk over all there is says goes next: slow, and held to be right.
fn next_by_walking(shelf: &Shelf<()>, comer: TenantId, bytes: u64) -> Option<Digest> {
    let share = |owner: TenantId| {
        let its = shelf.held.values().filter(|piece| piece.owner == owner);
        let holding = its.fold(Holding::default(), |sum, piece| sum.with(piece.bytes));
        shelf.room.share(match owner == comer {
            true => holding.with(bytes),
            false => holding,
        })
    };
    let unused = shelf.held.iter().filter(|(_, piece)| piece.users == 0);
    let largest = unused.max_by_key(|(_, piece)| {
        let owner = piece.owner;
        (share(owner), owner == comer, Reverse(piece.used))
    });
    largest.map(|(digest, _)| *digest)
}

const fn one_of(number: u64) -> TenantId {
    match number {
        0 => ACME,
        1 => RIVAL,
        _ => THIRD,
    }
}

#[test]
fn what_goes_next_is_what_a_walk_over_all_there_is_finds() {
    let mut shelf = wide(20);
    let mut state = 7_u64;
    let mut drawn = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let (mut gone, mut in_use) = (0, Vec::new());
    for _ in 0..5_000 {
        let name = digest(&drawn(40).to_string());
        let owner = one_of(drawn(3));
        let bytes = 1 + drawn(12);
        match drawn(6) {
            0 if shelf.take(&name) => in_use.push(name),
            1 if !in_use.is_empty() => shelf.give_back(&in_use.swap_remove(0)),
            2 => drop(shelf.remove(&name)),
            3 => drop(shelf.find(&name)),
            _ => {
                let owner = shelf.owner(&name).unwrap_or(owner);
                gone += shelf.put(name, owner, (), bytes).len();
            }
        }
        let comer = one_of(drawn(3));
        let next = shelf.next_to_go(comer, bytes);
        assert_eq!(next, next_by_walking(&shelf, comer, bytes));
    }
    assert!(gone > 500, "{gone}");
}

//! A flood of every row at the limits that a deployment has if nobody says anything:
//! attackers that begin again as soon as they are answered.
//!
//! Elsewhere in the suite attackers are few, make pauses, and have lower limits, so that
//! what a guest does is told apart from how many they are. Here it is how many they are.
//! In the test run every request of the victim must succeed. Each try ends as its row says,
//! or, where that is an answer or comes after many calls, it may be cut off while it waits;
//! one of each flood at least is not, but for [`MAY_BE_CUT_OFF`]. Of failures over 500
//! (`TOLD_MAX`) so many are looked at, spread over all. With `cargo xtask hostile` half of the
//! victim's requests must come within twice the time of those alone, too.
//! What is left out is what a flood of is beside a victim elsewhere, or cannot be had.

use std::time::Duration;

use super::arena::Arena;
use super::attack::Attack;
use super::beside::{INTERVAL, Measure, attacked, hurt};
use super::table::{Case, End, ROWS, Row};
use super::victim::Victim;

/// Attackers at once; each of them waits for nothing but its answer.
const FLOODERS: u32 = 16;

/// The victim's requests beside one flood in the test run, and as many alone.
const REQUESTS_MIN: u32 = 8;

/// The row of whose flood each try may be cut off in the test run: sixteen times 10,000
/// crossings take a program that is not optimized about as long as a call may take.
const MAY_BE_CUT_OFF: u8 = 5;

/// Rows without a flood here, and why.
const ELSEWHERE: [(u8, &str); 6] = [
    (
        1,
        "at these limits each loops for seconds: in `fairness.rs` five hundred do",
    ),
    (
        6,
        "of one workspace four may wait to be installed: as many try in `beside.rs`",
    ),
    (
        13,
        "each waits for half a minute: in `fairness.rs` five hundred do",
    ),
    (
        14,
        "one is compiled at a time: a flood is more that wait, as in `beside.rs`",
    ),
    (
        15,
        "what is changed is one file, which two could not change at once",
    ),
    (16, "ten thousand callers go away in `departures.rs`"),
];

/// What of a row makes its flood: the first that ends by itself.
fn case_of(row: &'static Row) -> &'static Case {
    let is_slow =
        |case: &&Case| matches!(case.end, End::Limit(limit) if limit.ends_with("_ms_max"));
    let found = row.cases.iter().find(|case| !is_slow(case));
    found.unwrap_or_else(|| panic!("row {} has no flood and no reason", row.number))
}

/// What is wrong with how a victim is served beside the flood of one row, if anything is.
fn hurt_by(row: &'static Row, arena: &mut Arena, victim: &Victim) -> Option<String> {
    let attack = case_of(row).attack(arena);
    let is_slow = row.number == MAY_BE_CUT_OFF && Measure::wanted() == Measure::Halves;
    let flood = Attack {
        attackers: FLOODERS as usize,
        pause: Duration::ZERO,
        // One after the other, as on a machine with one processor.
        takes: attack.takes * FLOODERS,
        own_end_from: if is_slow {
            usize::MAX
        } else {
            attack.own_end_from
        },
        ..attack
    };
    let requests = Measure::wanted().requests(REQUESTS_MIN);
    let mut alone = victim.window(requests / 2, INTERVAL);
    let (beside, tried) = attacked(victim, &flood, requests);
    alone.add(victim.window(requests - requests / 2, INTERVAL));
    hurt(row, Some(tried), &alone, &beside)
}

#[test]
fn honest_requests_are_served_beside_a_flood_of_each_row_at_default_limits() {
    let mut arena = Arena::at_default_limits();
    let workers = arena.workers();
    let victim = Victim::new(&arena.victim_hook);
    // The first requests find nothing warm.
    victim.window(20, INTERVAL);
    let is_here = |row: &&Row| ELSEWHERE.iter().all(|(number, _)| *number != row.number);
    let rows = ROWS.iter().filter(is_here);
    let hurt: Vec<String> = rows
        .filter_map(|row| hurt_by(row, &mut arena, &victim))
        .collect();
    assert_eq!(hurt, Vec::<String>::new());
    assert_eq!(arena.workers_now(), workers, "no worker ended");
}

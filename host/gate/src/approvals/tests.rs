//! Which approval counts, after how many others.

use std::collections::BTreeSet;
use std::time::Duration;

use keyway_authz::Principal;
use keyway_model::{ApprovalId, Digest};

use super::*;

const MAX: usize = APPROVALS_PER_CONNECTOR_MAX;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(0).plus(Duration::from_secs(seconds))
}

/// An approval of a moment, for ever or until another.
fn approval(number: usize, seconds: u64, until: Option<u64>) -> ApprovalRecord {
    ApprovalRecord {
        id: ApprovalId::from_bits(number as u128),
        digest: Digest::of(b"orders"),
        connector: "orders".parse().unwrap(),
        capabilities: BTreeSet::new(),
        by: Principal::Platform(0),
        why: String::new(),
        at: at(seconds),
        until: until.map(at),
        revision: 1,
        revoked: None,
    }
}

fn of(records: impl IntoIterator<Item = ApprovalRecord>) -> Approvals {
    let mut approvals = Approvals::default();
    approvals.put(records.into_iter().map(Arc::new).collect());
    approvals
}

fn counts(approvals: &Approvals, seconds: u64) -> Option<u128> {
    approvals.holding(at(seconds)).map(|one| one.id.bits())
}

/// As [`crate::View`] and the store do it: what is in the way goes.
fn approve(approvals: &mut Approvals, new: ApprovalRecord) -> Option<usize> {
    let gone = approvals.in_the_way_of(&new, new.at)?;
    approvals.forget(&gone);
    approvals.put(vec![Arc::new(new)]);
    Some(gone.len())
}

fn revoked(approvals: &Approvals, seconds: u64) -> Vec<Arc<ApprovalRecord>> {
    let now = at(seconds);
    let holding = approvals.all().iter().filter(|one| one.holds(now));
    let revoke = |one: &Arc<ApprovalRecord>| ApprovalRecord {
        revision: one.revision + 1,
        revoked: Some((now, Principal::Platform(0))),
        ..ApprovalRecord::clone(one)
    };
    holding.map(revoke).map(Arc::new).collect()
}

#[test]
fn a_hundred_thousand_approvals_of_one_digest_are_looked_at_as_if_there_were_one() {
    let mut approvals = of((0..100_000).map(|number| approval(number, number as u64, None)));
    assert_eq!(approvals.lasting.len(), 1);
    assert_eq!(counts(&approvals, 100_000), Some(99_999));
    // What an earlier version has stored becomes less with each further one.
    assert_eq!(
        approve(&mut approvals, approval(100_000, 100_000, None)),
        Some(MAX)
    );
    assert_eq!(approvals.all().len(), 100_001 - MAX);
    assert_eq!(approvals.lasting.len(), 1);
}

#[test]
fn what_is_kept_of_approvals_has_a_limit_and_the_oldest_go_first() {
    let mut approvals = Approvals::default();
    for number in 0..10 * MAX {
        // Some end, some are revoked, and each is outlasted by the next of its kind.
        let until = (number % 2 == 0).then_some(number as u64 + 5);
        let new = approval(number, number as u64, until);
        assert!(approve(&mut approvals, new).is_some(), "{number}");
        if number % 50 == 0 {
            let ended = revoked(&approvals, number as u64);
            approvals.put(ended);
        }
        assert!(approvals.all().len() <= MAX);
    }
    let oldest = approvals.all().last().map(|one| one.id.bits());
    let last = counts(&approvals, 10 * MAX as u64);
    assert_eq!(last, Some(10 * MAX as u128 - 1));
    assert!(oldest >= Some(9 * MAX as u128 - 1), "{oldest:?}");
}

#[test]
fn an_approval_gives_way_at_its_end_to_an_older_one_that_holds_longer() {
    let approvals = of([
        approval(1, 1, None),
        approval(2, 2, Some(50)),
        approval(3, 3, Some(90)),
        approval(4, 4, Some(30)),
    ]);
    assert_eq!(counts(&approvals, 29), Some(4));
    assert_eq!(counts(&approvals, 30), Some(3));
    // The second ended in the third's time.
    assert_eq!(counts(&approvals, 89), Some(3));
    assert_eq!(counts(&approvals, 90), Some(1));
    assert_eq!(of([approval(1, 1, Some(2))]).holding(at(2)), None);
}

#[test]
fn no_older_approval_comes_back_when_those_that_hold_are_revoked() {
    let mut approvals = Approvals::default();
    for number in 0..2 * MAX {
        let until = (number % 3 == 0).then_some(1_000 + number as u64);
        assert!(approve(&mut approvals, approval(number, number as u64, until)).is_some());
    }
    let now = 2 * MAX as u64;
    assert!(counts(&approvals, now).is_some());
    let ended = revoked(&approvals, now);
    approvals.put(ended);
    for later in [now, now + 1, 1_000, 10_000] {
        assert_eq!(counts(&approvals, later), None);
    }
    assert!(approve(&mut approvals, approval(9_000, now + 1, Some(now + 9))).is_some());
    assert_eq!(counts(&approvals, now + 1), Some(9_000));
    assert_eq!(counts(&approvals, now + 9), None);
}

#[test]
fn approvals_that_each_count_after_the_next_are_refused_when_they_are_too_many() {
    let ends = |number: usize| Some(10_000 - number as u64);
    let mut approvals = Approvals::default();
    for number in 0..MAX {
        assert_eq!(
            approve(&mut approvals, approval(number, 1, ends(number))),
            Some(0)
        );
    }
    assert_eq!(approvals.lasting.len(), MAX);
    assert_eq!(approve(&mut approvals, approval(MAX, 1, ends(MAX))), None);
    assert_eq!(counts(&approvals, 2), Some(MAX as u128 - 1));
    // One that outlasts them makes room, and so does time.
    let mut later = approvals.clone();
    assert_eq!(
        approve(&mut later, approval(MAX, 9_950, ends(MAX - 80))),
        Some(1)
    );
    assert_eq!(approve(&mut approvals, approval(MAX, 1, None)), Some(1));
    assert_eq!(approvals.lasting.len(), 1);
    assert_eq!(counts(&approvals, 2), Some(MAX as u128));
}

#[test]
fn the_one_that_counts_is_the_one_that_a_look_at_all_finds() {
    let mut bits: u64 = 7;
    let mut random = |below: u64| {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (bits >> 33) % below
    };
    for _ in 0..500 {
        let mut approvals = Approvals::default();
        for number in 0..11 {
            if random(2) == 0 {
                continue;
            }
            let until = (random(4) > 0).then(|| random(40));
            let mut new = approval(number, random(10), until);
            new.revoked = (random(5) == 0).then(|| (at(0), Principal::Platform(0)));
            approvals.put(vec![Arc::new(new)]);
        }
        for now in 0..41 {
            let mut all: Vec<_> = approvals.all().iter().rev().collect();
            all.retain(|one| one.holds(at(now)));
            let slow = all.into_iter().max_by_key(|one| one.at);
            assert_eq!(approvals.holding(at(now)), slow, "{approvals:?}");
        }
    }
}

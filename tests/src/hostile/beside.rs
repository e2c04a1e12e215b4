//! Every case of the table, beside a workspace that does honest work.
//!
//! The victim sends requests at fixed times. For each case it does so alone,
//! while the attacker runs its guest again and again, and alone once more. What
//! is compared is seconds apart, so that a machine that is slower now is slower
//! for both.
//!
//! Every request of the victim must succeed. Over all cases the slowest
//! hundredth of those beside an attacker must stay within twice that of those
//! alone, and in each case half of them must. A case that hurts is measured
//! again before it fails: a neighbour on the machine hurts once, a guest every
//! time.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::arena::{Arena, Attempt};
use super::table::{Case, End, Guest, ROWS};
use super::victim::{Victim, Window};
use crate::harness::{http, split};

/// The victim's requests beside attackers, over all cases, at least.
const REQUESTS_MIN: usize = 1_000;

/// For each case, beside its attacker and alone.
const REQUESTS_BESIDE: u32 = 20;
const REQUESTS_ALONE: u32 = 10;

/// A quarter of what this deployment can do, or less.
const INTERVAL: Duration = Duration::from_millis(25);

/// Guests of the attacker at once.
const ATTACKERS: usize = 2;

/// An attacker begins no sooner after its last beginning. What a flood of
/// requests does is the subject of other tests; here it is what guests do.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a guest may begin. Each call of this one is by itself a flood of as
/// many requests as a call may have under way, each of them decided and recorded.
fn pause_of(name: &str) -> Duration {
    match name {
        "hoard-requests" => PAUSE * 6,
        _ => PAUSE,
    }
}

/// Times below this are not told apart: two threads of the machine that change
/// places once or twice, in a program that is not optimized, come to as much.
const FLOOR: Duration = Duration::from_millis(12);

/// How often a case is measured before it fails.
const TRIES: usize = 4;

impl Case {
    pub(crate) fn name(&self) -> &'static str {
        match self.guest {
            Guest::Rust(name) | Guest::Text(name) => name,
        }
    }

    /// What is wrong with how the guest ended, if anything is.
    fn wrong(&self, attempt: &Attempt) -> Option<String> {
        let failure = attempt.failure();
        let is_right = match self.end {
            End::Limit(limit) => {
                attempt.status == 502 && failure.contains("exceeded `") && failure.contains(limit)
            }
            End::Trap(said) => attempt.status == 502 && failure.contains(said),
            End::Answer(said) => attempt.status == 200 && attempt.answer.to_string().contains(said),
            End::Refused(_) => false,
        };
        (!is_right).then(|| format!("{} {} {failure}", attempt.status, attempt.answer))
    }
}

fn doubled(alone: Duration) -> Duration {
    alone.max(FLOOR) * 2
}

/// The victim's requests while the attacker runs `hook` again and again.
fn attacked(victim: &Victim, hook: &str, pause: Duration) -> (Window, u32) {
    let (address, path) = split(hook);
    let stop = AtomicBool::new(false);
    let attacks = AtomicU32::new(0);
    let window = std::thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let (status, _) = http(address, "POST", &path, Some(&json!({})));
                    assert!([200, 502].contains(&status), "{status}");
                    attacks.fetch_add(1, Ordering::Relaxed);
                    std::thread::park_timeout(pause.saturating_sub(began.elapsed()));
                }
            });
        }
        let window = victim.window(REQUESTS_BESIDE, INTERVAL);
        stop.store(true, Ordering::Relaxed);
        window
    });
    (window, attacks.into_inner())
}

/// Measures one case, again if it seems to hurt: alone, beside it, alone.
fn measured(victim: &Victim, name: &str, hook: &str) -> (Window, Window) {
    let mut tries = Vec::new();
    for _ in 0..TRIES {
        let before = victim.window(REQUESTS_ALONE, INTERVAL);
        let (beside, attacks) = attacked(victim, hook, pause_of(name));
        assert!(attacks > 0, "{name} did not attack");
        let mut alone = victim.window(REQUESTS_ALONE, INTERVAL);
        let quiet = before.percentile(50).max(alone.percentile(50));
        alone.add(before);
        for window in [&alone, &beside] {
            assert_eq!(window.failed, Vec::<String>::new(), "{name}");
        }
        let hurt = beside.percentile(50);
        tries.push((quiet, hurt));
        if hurt <= doubled(quiet) {
            return (alone, beside);
        }
    }
    panic!("{name} slows its neighbour down; alone, and beside it: {tries:?}");
}

#[test]
fn every_case_ends_as_its_row_says() {
    let mut arena = Arena::new();
    let mut otherwise = Vec::new();
    for case in ROWS.iter().flat_map(|row| row.cases) {
        let wrong = if let End::Refused(said) = case.end {
            let (is_installed, told) = arena.try_install(case.name(), &case.guest.bytes());
            (is_installed || !told.contains(said)).then_some(told)
        } else {
            case.wrong(&arena.attempt(case.guest))
        };
        otherwise.extend(wrong.map(|told| format!("{}: {told}", case.name())));
    }
    assert_eq!(otherwise, Vec::<String>::new());
}

#[test]
fn a_thousand_honest_requests_succeed_in_time_beside_every_hostile_guest() {
    let mut arena = Arena::new();
    let workers = arena.workers();
    let victim = Victim::new(&arena.victim_hook);
    // The first requests find nothing warm.
    victim.window(20, INTERVAL);
    let (mut alone, mut beside) = (Window::default(), Window::default());
    for case in ROWS.iter().flat_map(|row| row.cases) {
        // What is refused never runs; whoever installs it is a test of its own.
        if matches!(case.end, End::Refused(_)) {
            continue;
        }
        let wrong = case.wrong(&arena.attempt(case.guest));
        assert_eq!(wrong, None, "{}", case.name());
        let hook = arena.hook(case.guest);
        let (quiet, hurt) = measured(&victim, case.name(), &hook);
        alone.add(quiet);
        beside.add(hurt);
    }
    assert!(beside.took.len() >= REQUESTS_MIN, "{}", beside.took.len());
    let [quiet, hurt] = [&alone, &beside].map(|window| window.percentile(99));
    assert!(hurt <= doubled(quiet), "alone {quiet:?}, beside {hurt:?}");
    assert_eq!(arena.workers_now(), workers, "no worker ended");
}

//! Every row of the table, beside a workspace that does honest work.
//!
//! The victim sends requests at fixed times. For each attack of a row it does so
//! alone, while attackers try it again and again, and alone once more. What is
//! compared is seconds apart, so that a machine that is slower now is slower for
//! both.
//!
//! Every request of the victim must succeed, and half of those beside a row's
//! attackers must come within twice the time of those alone. The slowest
//! hundredth must, too, where there are a thousand requests for each row
//! (`KEYWAY_VICTIM_REQUESTS=1000`, on a machine that does nothing else): of a
//! hundred it is one request, and says more of the machine than of the attack.
//! There is one try: what else the machine does is the test runner's to repeat.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::attack::Attack;
use super::departures::Upstreams;
use super::table::{End, ROWS, Row};
use super::victim::{Victim, Window};

/// The victim's requests beside the attackers of one row, at least; as many are
/// made alone.
const REQUESTS_MIN: u32 = 100;

/// Requests of a row from which on their slowest hundredth is a figure.
const REQUESTS_OF_A_FIGURE: u32 = 1_000;

/// The same for each attack of a row with many.
const REQUESTS_EACH_MIN: u32 = 24;

/// A quarter of what this deployment can do, or less.
const INTERVAL: Duration = Duration::from_millis(25);

/// Attackers at once.
const ATTACKERS: usize = 2;

/// Times below this are not told apart: two threads of the machine that change
/// places once or twice, in a program that is not optimized, come to as much.
const FLOOR: Duration = Duration::from_millis(12);

/// As many requests as whoever runs the tests wants, for a run that takes its time.
#[expect(
    clippy::disallowed_methods,
    reason = "the number of requests is the runner's"
)]
fn requests_min() -> u32 {
    std::env::var("KEYWAY_VICTIM_REQUESTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(REQUESTS_MIN)
}

/// The victim's requests while attackers do something again and again.
fn attacked(victim: &Victim, attack: &Attack, requests: u32) -> (Window, u32) {
    let stop = AtomicBool::new(false);
    let attacks = AtomicU32::new(0);
    let window = std::thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    attacks.fetch_add(1, Ordering::Relaxed);
                    (attack.once)();
                    std::thread::park_timeout(attack.pause.saturating_sub(began.elapsed()));
                }
            });
        }
        let window = victim.window(requests, INTERVAL);
        stop.store(true, Ordering::Relaxed);
        window
    });
    (window, attacks.into_inner())
}

/// What is wrong with how a victim is served beside one row, if anything is.
#[expect(
    clippy::print_stdout,
    reason = "figures, for whoever wants to see them"
)]
fn hurt_by(row: &Row, arena: &mut Arena, victim: &Victim) -> Option<String> {
    let attacks = row.attacks(arena);
    let (number, requests) = (row.number, requests_min());
    let each = requests
        .div_ceil(attacks.len() as u32)
        .max(REQUESTS_EACH_MIN);
    let (mut alone, mut beside) = (Window::default(), Window::default());
    for attack in &attacks {
        alone.add(victim.window(each / 2, INTERVAL));
        let (window, tried) = attacked(victim, attack, each);
        println!(
            "row {number}, {}: tried {tried} times; half {:?}, slowest {:?}",
            attack.name,
            window.percentile(50),
            window.percentile(100)
        );
        beside.add(window);
        alone.add(victim.window(each - each / 2, INTERVAL));
    }
    let times = |percent| [&alone, &beside].map(|window| window.percentile(percent));
    let (halves, slowest) = (times(50), times(99));
    println!(
        "row {number}: of {} requests half took {:?} alone, {:?} beside; 99 % took {:?} and {:?}",
        beside.took.len(),
        halves[0],
        halves[1],
        slowest[0],
        slowest[1]
    );
    let [quiet, hurt] = if requests < REQUESTS_OF_A_FIGURE {
        halves
    } else {
        slowest
    };
    let failed = [alone.failed, beside.failed].concat();
    assert!(beside.took.len() >= requests as usize && alone.took.len() >= requests as usize);
    let holds = failed.is_empty() && hurt <= quiet.max(FLOOR) * 2;
    (!holds).then(|| {
        format!(
            "row {number}, {}: alone {quiet:?}, beside {hurt:?}, failed {failed:?}",
            row.attack
        )
    })
}

/// Runs a few rows, each beside the victim.
fn run(numbers: &[u8]) {
    let mut arena = Arena::with(Upstreams::bind(ATTACKERS));
    let workers = arena.workers();
    let victim = Victim::new(&arena.victim_hook);
    // The first requests find nothing warm.
    victim.window(20, INTERVAL);
    let rows = ROWS.iter().filter(|row| numbers.contains(&row.number));
    let hurt: Vec<String> = rows
        .filter_map(|row| hurt_by(row, &mut arena, &victim))
        .collect();
    assert_eq!(hurt, Vec::<String>::new());
    assert_eq!(arena.workers_now(), workers, "no worker ended");
}

#[test]
fn honest_requests_are_in_time_beside_loops_and_bombs_of_memory_and_tables() {
    run(&[1, 2, 3]);
}

#[test]
fn honest_requests_are_in_time_beside_deep_stacks_and_floods_of_calls_and_handles() {
    run(&[4, 5, 7]);
}

#[test]
fn honest_requests_are_in_time_beside_wild_values_and_hoards() {
    run(&[8, 9]);
}

#[test]
fn honest_requests_are_in_time_beside_floods_of_logs_random_bytes_and_headers() {
    run(&[10, 11, 12]);
}

#[test]
fn honest_requests_are_in_time_beside_waiting_panics_and_forged_handles() {
    run(&[13, 17, 18]);
}

#[test]
fn honest_requests_are_in_time_beside_looking_for_leftovers_keys_and_errors() {
    run(&[19, 20, 21]);
}

#[test]
fn honest_requests_are_in_time_beside_what_is_given_to_the_installer() {
    run(&[6, 14, 15]);
}

#[test]
fn honest_requests_are_in_time_beside_callers_that_go_away() {
    run(&[16]);
}

#[test]
fn every_row_is_run_beside_the_victim_with_a_thousand_requests_over_all() {
    let source = include_str!("beside.rs");
    let runs = source.split("    run(&[").skip(1);
    let mut numbers: Vec<u8> = runs
        .filter_map(|rest| rest.split_once("]);"))
        .flat_map(|(numbers, _)| numbers.split(", ").filter_map(|number| number.parse().ok()))
        .collect();
    numbers.sort();
    let rows: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, rows);
    assert!(REQUESTS_MIN as usize * ROWS.len() >= 1_000);
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

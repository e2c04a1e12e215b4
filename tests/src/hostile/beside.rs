//! Every row of the table, beside a workspace that does honest work.
//!
//! The victim sends requests at fixed times. For each attack of a row it does so
//! alone, while attackers try it again and again, and alone once more. What is
//! compared is seconds apart, so that a machine that is slower now is slower for
//! both.
//!
//! Every request of the victim must succeed, and the slowest hundredth of those
//! beside a row's attackers must stay within twice that of those alone. There is
//! one try: what else the machine does is the test runner's to repeat.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::attack::Attack;
use super::departures::Upstreams;
use super::table::{End, ROWS};
use super::victim::{Victim, Window};

/// The victim's requests beside the attackers of one row, at least; as many are
/// made alone.
const REQUESTS_MIN: u32 = 100;

/// The same for each attack of a row with many.
const REQUESTS_EACH_MIN: u32 = 30;

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

/// Runs one row beside its victim.
#[expect(
    clippy::print_stdout,
    reason = "figures, for whoever wants to see them"
)]
fn row(number: u8) {
    let row = ROWS.iter().find(|row| row.number == number).unwrap();
    let mut arena = Arena::with(Upstreams::bind(ATTACKERS));
    let attacks = row.attacks(&mut arena);
    let workers = arena.workers();
    let victim = Victim::new(&arena.victim_hook);
    let requests = requests_min();
    let each = requests
        .div_ceil(attacks.len() as u32)
        .max(REQUESTS_EACH_MIN);
    // The first requests find nothing warm.
    victim.window(20, INTERVAL);
    let (mut alone, mut beside) = (Window::default(), Window::default());
    for attack in &attacks {
        alone.add(victim.window(each / 2, INTERVAL));
        let (window, tried) = attacked(&victim, attack, each);
        assert!(tried > 0, "{} was not tried", attack.name);
        println!(
            "row {number}, {}: tried {tried} times; half {:?}, slowest {:?}",
            attack.name,
            window.percentile(50),
            window.percentile(100)
        );
        beside.add(window);
        alone.add(victim.window(each - each / 2, INTERVAL));
    }
    for window in [&alone, &beside] {
        assert_eq!(window.failed, Vec::<String>::new());
    }
    assert!(beside.took.len() >= requests as usize && alone.took.len() >= requests as usize);
    let [quiet, hurt] = [&alone, &beside].map(|window| window.percentile(99));
    println!(
        "row {number}: of {} requests 99 % took {quiet:?} alone, {hurt:?} beside",
        beside.took.len()
    );
    assert!(
        hurt <= quiet.max(FLOOR) * 2,
        "row {number}, {}: alone {quiet:?}, beside {hurt:?}",
        row.attack
    );
    assert_eq!(arena.workers_now(), workers, "no worker ended");
}

/// A test for each row, and the list of them.
macro_rules! rows {
    ($($test:ident $number:literal)*) => {
        $(#[test]
        fn $test() {
            row($number);
        })*

        const ROWS_BESIDE: &[u8] = &[$($number),*];
    };
}

rows! {
    honest_requests_are_in_time_beside_loops 1
    honest_requests_are_in_time_beside_memory_bombs 2
    honest_requests_are_in_time_beside_table_bombs 3
    honest_requests_are_in_time_beside_stacks_without_an_end 4
    honest_requests_are_in_time_beside_floods_of_host_calls 5
    honest_requests_are_in_time_beside_the_other_abi 6
    honest_requests_are_in_time_beside_floods_of_handles 7
    honest_requests_are_in_time_beside_huge_and_wild_values 8
    honest_requests_are_in_time_beside_hoards 9
    honest_requests_are_in_time_beside_floods_in_the_log 10
    honest_requests_are_in_time_beside_random_bytes_and_clocks 11
    honest_requests_are_in_time_beside_floods_of_headers 12
    honest_requests_are_in_time_beside_waiting_for_ever 13
    honest_requests_are_in_time_beside_bombs_for_the_compiler 14
    honest_requests_are_in_time_beside_forged_code 15
    honest_requests_are_in_time_beside_callers_that_go_away 16
    honest_requests_are_in_time_beside_panics 17
    honest_requests_are_in_time_beside_forged_handles 18
    honest_requests_are_in_time_beside_looking_for_leftovers 19
    honest_requests_are_in_time_beside_reading_all_memory 20
    honest_requests_are_in_time_beside_asking_for_errors 21
}

#[test]
fn every_row_is_run_beside_the_victim_with_a_thousand_requests_over_all() {
    let numbers: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, ROWS_BESIDE);
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

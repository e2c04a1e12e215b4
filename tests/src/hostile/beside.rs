//! Every row of the table, beside a workspace that does honest work.
//!
//! The victim sends requests at fixed times. For each attack of a row it does so
//! alone, while attackers try it again and again, and alone once more. What is
//! compared is seconds apart, so that a machine that is slower now is slower for
//! both.
//!
//! Of each attack one try at least must come to the end that its row says; others may be cut
//! off while they wait. Every request of the victim must succeed. In the test run, half of
//! those beside a row's attackers must come within twice the time of those alone, or 24 ms.
//! With `cargo xtask hostile`, which makes a thousand for each row, it is 99 of 100,
//! and twice alone: of a hundred the slowest is one request, and says more of the
//! machine than of the attack. Nothing is repeated here. What else the machine does
//! comes and goes, so in the test run the runner tries each of these tests up to
//! three times (`.config/nextest.toml`); `cargo xtask hostile` tries once.
//! The figures of each row are printed as one line of JSON, which that verb reads.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::arena::Arena;
use super::attack::{ATTACKERS, Attack};
use super::departures::Upstreams;
use super::table::{End, ROWS, Row};
use super::victim::{Victim, Window};

/// The victim's requests beside the attackers of one row, at least; as many are
/// made alone.
const REQUESTS_MIN: u32 = 100;

/// The same for each attack of a row with many.
const REQUESTS_EACH_MIN: u32 = 24;

/// A quarter of what this deployment can do, or less.
pub(super) const INTERVAL: Duration = Duration::from_millis(25);

/// Medians of few requests are not told apart below this: two threads of the
/// machine that change places once or twice, in a program that is not optimized,
/// come to as much.
const FLOOR: Duration = Duration::from_millis(12);

/// How many requests are made for each row, and what of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// So many as the test run has time for: half of them.
    Halves,
    /// As many as `cargo xtask hostile` wants: 99 of 100.
    Hundredths(u32),
}

impl Measure {
    #[expect(
        clippy::disallowed_methods,
        reason = "the number of requests is the runner's"
    )]
    pub(super) fn wanted() -> Self {
        match std::env::var("KEYWAY_VICTIM_REQUESTS") {
            Ok(text) => Self::Hundredths(text.parse().expect("a number of requests")),
            Err(_) => Self::Halves,
        }
    }

    /// Requests beside one thing, of which the test run makes so many.
    pub(super) const fn requests(self, in_test_run: u32) -> u32 {
        match self {
            Self::Halves => in_test_run,
            Self::Hundredths(requests) => requests,
        }
    }

    /// Whether what counts came beside attackers within twice the time alone. Beside a
    /// flood it is half of the requests: it is a single job that must not be slowed.
    fn holds(self, is_flood: bool, alone: &Window, beside: &Window) -> bool {
        let (alone_half, beside_half) = (alone.percentile(50), beside.percentile(50));
        match self {
            Self::Halves => beside_half <= alone_half.max(FLOOR) * 2,
            Self::Hundredths(_) if is_flood => beside_half <= alone_half * 2,
            Self::Hundredths(_) => beside.percentile(99) <= alone.percentile(99) * 2,
        }
    }
}

/// The victim's requests while attackers do something again and again.
///
/// Beside a victim an attack may be cut off while it waits for its turns; if each try were, it
/// would show nothing. So one try at least must come to its own end, where three or more were
/// looked at. A window is short, and some attacks take longer than it lasts: what is begun in
/// it is awaited beyond it, and counts. So there are as many tries as attackers, at least.
pub(super) fn attacked(victim: &Victim, attack: &Attack, requests: u32) -> (Window, u32) {
    let stop = AtomicBool::new(false);
    let attacks = AtomicU32::new(0);
    let window = std::thread::scope(|scope| {
        for _ in 0..attack.attackers {
            scope.spawn(|| {
                loop {
                    let began = Instant::now();
                    attacks.fetch_add(1, Ordering::Relaxed);
                    (attack.once)();
                    std::thread::park_timeout(attack.pause.saturating_sub(began.elapsed()));
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let window = victim.window(requests, INTERVAL);
        stop.store(true, Ordering::Relaxed);
        window
    });
    let ends = (attack.told)();
    assert!(
        ends.own > 0 || ends.looked_at < attack.own_end_from,
        "{}: each of {} tries was cut off while it waited",
        attack.name,
        ends.looked_at
    );
    let (tried, wanted) = (attacks.into_inner(), attack.tries_min(INTERVAL * requests));
    assert!(
        u128::from(tried) >= wanted,
        "{}: tried {tried} times, which should be {wanted}",
        attack.name
    );
    (window, tried)
}

/// What is wrong with how a victim is served beside one row, if anything is.
#[expect(
    clippy::print_stdout,
    reason = "figures, for whoever wants to see them"
)]
fn hurt_by(row: &'static Row, arena: &mut Arena, victim: &Victim) -> Option<String> {
    let attacks = row.attacks(arena);
    let number = row.number;
    let requests = Measure::wanted().requests(REQUESTS_MIN);
    let each = requests
        .div_ceil(attacks.len() as u32)
        .max(REQUESTS_EACH_MIN);
    let (mut alone, mut beside) = (Window::default(), Window::default());
    for attack in &attacks {
        alone.add(victim.window(each / 2, INTERVAL));
        let (window, tried) = attacked(victim, attack, each);
        println!(
            "row {number}, {}: tried {tried} times; half {:?}, 95 of 100 {:?}, slowest {:?}",
            attack.name,
            window.percentile(50),
            window.percentile(95),
            window.percentile(100)
        );
        beside.add(window);
        alone.add(victim.window(each - each / 2, INTERVAL));
    }
    assert!(beside.took.len() >= requests as usize && alone.took.len() >= requests as usize);
    hurt(row, None, &alone, &beside)
}

/// What is wrong with a victim's requests beside a row, if anything is; of a flood it is
/// said how many tries it came to.
#[expect(
    clippy::print_stdout,
    reason = "figures, for whoever wants to see them"
)]
pub(super) fn hurt(
    row: &Row,
    flood: Option<u32>,
    alone: &Window,
    beside: &Window,
) -> Option<String> {
    let failed = [alone.failed.as_slice(), &beside.failed].concat();
    let measure = Measure::wanted();
    // A flood's few requests in the test run are too few to compare, and a program that is
    // not optimized is busy with the flood itself.
    let is_few = flood.is_some() && measure == Measure::Halves;
    let holds = failed.is_empty() && (is_few || measure.holds(flood.is_some(), alone, beside));
    let figures = figures(row, flood, alone, beside, holds);
    println!("{figures}");
    (!holds).then(|| format!("{figures}, failed: {failed:?}"))
}

/// What `cargo xtask hostile` reads.
fn figures(row: &Row, flood: Option<u32>, alone: &Window, beside: &Window, holds: bool) -> Value {
    let ms = |window: &Window, percent| window.percentile(percent).as_micros() as f64 / 1e3;
    json!({
        "row": row.number,
        "flood": flood,
        "attack": row.attack,
        "requests": beside.took.len(),
        "failed": alone.failed.len() + beside.failed.len(),
        "half_alone_ms": ms(alone, 50),
        "half_beside_ms": ms(beside, 50),
        "p99_alone_ms": ms(alone, 99),
        "p99_beside_ms": ms(beside, 99),
        "holds": holds,
    })
}

/// Runs a few rows, each beside the victim.
fn run(numbers: &[u8]) {
    let rows = || ROWS.iter().filter(|row| numbers.contains(&row.number));
    let more: String = rows().map(|row| row.also.configuration()).collect();
    let mut arena = Arena::with(Upstreams::bind(ATTACKERS), &more);
    let workers = arena.workers();
    let victim = Victim::new(&arena.victim_hook);
    // The first requests find nothing warm.
    victim.window(20, INTERVAL);
    let hurt: Vec<String> = rows()
        .filter_map(|row| hurt_by(row, &mut arena, &victim))
        .collect();
    assert_eq!(hurt, Vec::<String>::new());
    assert_eq!(arena.workers_now(), workers, "no worker ended");
}

/// Makes a list of the rows that the tests in it run, of what they run: a row that is
/// in no test is not in the list.
macro_rules! rows_by_test {
    ($(#[test] fn $name:ident() { run(&$rows:expr); })*) => {
        const ROWS_RUN: &[&[u8]] = &[$(&$rows),*];
        $(#[test] fn $name() { run(&$rows); })*
    };
}

rows_by_test! {
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
}

#[test]
fn every_row_of_the_table_is_run_beside_the_victim_by_one_test() {
    let mut numbers = ROWS_RUN.concat();
    numbers.sort_unstable();
    let rows: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, rows);
}

#[test]
fn with_a_thousand_requests_it_is_the_slowest_hundredth_that_counts_or_half_beside_a_flood() {
    let window = |slowest: u64| Window {
        took: (0..100)
            .map(|at| Duration::from_millis(if at < 98 { 10 } else { slowest }))
            .collect(),
        failed: Vec::new(),
    };
    let (alone, beside) = (window(20), window(41));
    let (halves, hundredths) = (Measure::Halves, Measure::Hundredths(100));
    assert!(halves.holds(false, &alone, &beside));
    assert!(!hundredths.holds(false, &alone, &beside));
    assert!(hundredths.holds(false, &alone, &window(40)));
    assert!(
        hundredths.holds(true, &alone, &beside),
        "of a flood half of them"
    );
    let each = |ms| Window {
        took: vec![Duration::from_millis(ms); 100],
        failed: Vec::new(),
    };
    assert!(
        hundredths.holds(true, &alone, &each(20)) && !hundredths.holds(true, &alone, &each(21))
    );
    let figures = figures(&ROWS[0], None, &alone, &beside, false);
    assert!(figures["p99_alone_ms"] == 20.0 && figures["p99_beside_ms"] == 41.0);
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

//! `cargo xtask hostile`: every row of the table of hostile guests beside its victim, each with its figures.
//!
//! The tests measure and decide, beside the program as it is shipped; here their lines are gathered into one table:
//! of a row the slowest hundredth of the requests, of a flood their median, for it is a single job that it must not slow.
//! `cargo xtask test` runs the same rows with fewer requests, of which it holds the median, and a program that is not
//! optimized.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;

use crate::artifacts::{self, Profile};
use crate::shell::cargo;
use crate::suite;

const REQUESTS: u32 = 1_000;

/// Below, the slowest hundredth is no figure; above, nobody waits for it.
const REQUESTS_ALLOWED: std::ops::RangeInclusive<u32> = 100..=100_000;

/// The tests that run rows beside their victim.
const TESTS: &str = "honest_requests_are_";

/// Rows of the table; a test holds the table to as many.
const ROWS: usize = 21;

/// Those that are also tried as a flood; the others have one elsewhere.
const FLOODS: usize = 15;

/// One row, as its test prints it.
#[derive(Debug, PartialEq)]
struct Row {
    number: u64,
    /// How many tries it came to, of a flood.
    flood: Option<u64>,
    attack: String,
    requests: u64,
    failed: u64,
    /// What is held: of a flood the median, of others the slowest hundredth.
    alone_ms: f64,
    beside_ms: f64,
    /// The slowest hundredth, of a flood for whoever reads it.
    slowest_ms: [f64; 2],
    holds: bool,
}

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let requests = options(args)?;
    // One every 25 ms beside attackers, and one alone.
    let minutes = (u64::from(requests) * 50 * (ROWS + FLOODS) as u64).div_ceil(60_000);
    suite::build_for("Hostile guests")?;
    artifacts::announce("Hostile guests (release build)", 15, Profile::Release);
    artifacts::build_host(Profile::Release, &["keyway"])?;
    println!(
        "Then: {ROWS} rows and {FLOODS} floods, each with {requests} requests of its victim beside it and as many alone: about {minutes} minutes, and as long as attacks take to end.\nFigures mean something on a machine that does nothing else."
    );
    let mut tests = cargo(&["test", "--package", "keyway-tests", "--lib", TESTS]);
    tests
        .args(["--", "--nocapture", "--test-threads=1"])
        .env("KEYWAY_VICTIM_REQUESTS", requests.to_string())
        .env(
            "KEYWAY_PROGRAM",
            artifacts::binary("keyway", Profile::Release),
        )
        .stdout(Stdio::piped());
    let mut running = tests.spawn().context("cannot start `cargo test`")?;
    let printed = running.stdout.take().context("it has no output")?;
    let mut rows = BTreeMap::new();
    for line in BufReader::new(printed).lines() {
        let line = line.context("what the tests print cannot be read")?;
        if let Some(row) = Row::read(&line) {
            println!("{}", row.line());
            rows.insert((row.flood.is_some(), row.number), row);
        }
    }
    let status = running.wait().context("cannot wait for `cargo test`")?;
    println!("\n{}", table(rows.values()));
    verdict(rows.values())?;
    anyhow::ensure!(
        status.success(),
        "every row holds, and yet `cargo test {TESTS}` failed: {status}; what it says is above"
    );
    Ok(())
}

fn options(args: &[String]) -> anyhow::Result<u32> {
    match args {
        [] => Ok(REQUESTS),
        [flag, given] if flag == "--requests" => given
            .parse()
            .ok()
            .filter(|requests| REQUESTS_ALLOWED.contains(requests))
            .with_context(|| {
                let (least, most) = (REQUESTS_ALLOWED.start(), REQUESTS_ALLOWED.end());
                format!("`{given}` is not a number of requests for each row: say one from {least} to {most}")
            }),
        other => anyhow::bail!(
            "`cargo xtask hostile` takes --requests N and nothing else, and got {other:?}"
        ),
    }
}

impl Row {
    /// The row that a line of the tests' output tells of; the runner may have begun the line.
    fn read(line: &str) -> Option<Self> {
        let at = line.find(r#"{"row":"#)?;
        let figures: Value = serde_json::from_str(line.get(at..)?).ok()?;
        let (number, ms) = (
            |name: &str| figures.get(name)?.as_u64(),
            |name: &str| figures.get(name)?.as_f64(),
        );
        let flood = figures.get("flood")?.as_u64();
        let slowest_ms = [ms("p99_alone_ms")?, ms("p99_beside_ms")?];
        let [alone_ms, beside_ms] = match flood {
            Some(_) => [ms("half_alone_ms")?, ms("half_beside_ms")?],
            None => slowest_ms,
        };
        Some(Self {
            number: number("row")?,
            flood,
            attack: figures.get("attack")?.as_str()?.to_owned(),
            requests: number("requests")?,
            failed: number("failed")?,
            alone_ms,
            beside_ms,
            slowest_ms,
            holds: figures.get("holds")?.as_bool()?,
        })
    }

    fn verdict(&self) -> String {
        match (self.holds, self.failed) {
            (true, _) => "ok".to_owned(),
            (false, 0) => "over".to_owned(),
            (false, failed) => format!("{failed} failed"),
        }
    }

    fn line(&self) -> String {
        let flood = match self.flood {
            Some(tries) => {
                let [alone, beside] = self.slowest_ms;
                format!("a flood of {tries} (p99 {alone:.1}, {beside:.1} ms): ")
            }
            None => String::new(),
        };
        format!(
            "{:>3}  {:>8}  {:>9.1} ms  {:>9.1} ms  {:>5.2}  {:<9}  {flood}{}",
            self.number,
            self.requests,
            self.alone_ms,
            self.beside_ms,
            self.beside_ms / self.alone_ms,
            self.verdict(),
            self.attack
        )
    }
}

fn table<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let head = "row  requests         alone        beside  ratio  <= 2.00    attack";
    let lines = rows.map(|row| format!("\n{}", row.line()));
    std::iter::once(head.to_owned()).chain(lines).collect()
}

/// Fails if a row is missing, or does not hold.
fn verdict<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> anyhow::Result<()> {
    let floods = rows.clone().filter(|row| row.flood.is_some()).count();
    let there = rows.clone().count() - floods;
    anyhow::ensure!(
        (there, floods) == (ROWS, FLOODS),
        "{there} of {ROWS} rows and {floods} of {FLOODS} floods have figures: a test ended before it had them, and says why above"
    );
    let over: Vec<String> = rows
        .filter(|row| !row.holds)
        .map(|row| match row.flood {
            Some(_) => format!("{} (its flood)", row.number),
            None => row.number.to_string(),
        })
        .collect();
    anyhow::ensure!(
        over.is_empty(),
        "rows {} are over twice their own baseline, or had requests that failed",
        over.join(", ")
    );
    println!(
        "Every request was answered: 99 of 100 within twice their time alone beside every row, and half of them beside every flood."
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FLOODS, ROWS, Row, options, table, verdict};

    /// Where rows are measured and printed.
    const BESIDE: &str = include_str!("../../tests/src/hostile/beside.rs");

    fn row(number: u64, holds: bool) -> Row {
        Row {
            number,
            flood: None,
            attack: "a loop".to_owned(),
            requests: 1_000,
            failed: 0,
            alone_ms: 10.0,
            beside_ms: 25.0,
            slowest_ms: [10.0, 25.0],
            holds,
        }
    }

    #[test]
    fn a_row_is_read_from_its_line_also_where_the_runner_began_it() {
        let figures = r#"{"row":3,"flood":null,"attack":"a loop","requests":1000,"failed":0,"p99_alone_ms":10.0,"p99_beside_ms":25.0,"holds":false}"#;
        let line = format!("test hostile::beside::honest ... {figures}");
        assert_eq!(Row::read(&line), Some(row(3, false)));
        let flood = line.replace(r#""flood":null"#, r#""flood":9"#);
        assert_eq!(Row::read(&flood), None, "a flood's line has its medians");
        let flood = flood.replace(
            r#","holds""#,
            r#","half_alone_ms":2.0,"half_beside_ms":3.0,"holds""#,
        );
        let read = Row::read(&flood).map(|read| (read.flood, read.alone_ms, read.beside_ms));
        assert_eq!(
            read,
            Some((Some(9), 2.0, 3.0)),
            "of a flood it is the median"
        );
        assert_eq!(Row::read("row 3, spin: tried 4 times"), None);
        for name in [
            "row",
            "flood",
            "attack",
            "requests",
            "failed",
            "p99_alone_ms",
            "p99_beside_ms",
            "half_alone_ms",
            "half_beside_ms",
            "holds",
        ] {
            assert!(
                BESIDE.contains(&format!("\"{name}\": ")),
                "the tests do not print `{name}`"
            );
        }
        let first = BESIDE.find("json!({\n        \"row\":");
        assert!(first.is_some(), "a line begins with its row");
        let named = BESIDE.matches(&format!("fn {}", super::TESTS)).count();
        assert!(named > 1, "the tests have another name");
    }

    #[test]
    fn a_row_that_is_over_or_missing_is_said_and_fails() {
        let mut rows: Vec<Row> = (1..=ROWS as u64).map(|number| row(number, true)).collect();
        rows.extend((1..=FLOODS as u64).map(|number| Row {
            flood: Some(300),
            ..row(number, true)
        }));
        assert!(verdict(rows.iter()).is_ok());
        if let Some(seventh) = rows.get_mut(6) {
            seventh.holds = false;
        }
        let said = verdict(rows.iter()).map_err(|fault| fault.to_string());
        assert!(said.is_err_and(|said| said.starts_with("rows 7 are over")));
        let shown = table(rows.iter());
        let line = shown.lines().nth(7).unwrap_or_default();
        assert!(line.contains("2.50") && line.contains("over"), "{line}");
        assert!(
            shown.contains("a flood of 300 (p99 10.0, 25.0 ms): a loop"),
            "{shown}"
        );
        rows.pop();
        let said = verdict(rows.iter()).map_err(|fault| fault.to_string());
        assert!(said.is_err_and(|said| said.contains("14 of 15 floods")));
        rows.remove(0);
        let said = verdict(rows.iter()).map_err(|fault| fault.to_string());
        assert!(said.is_err_and(|said| said.starts_with("20 of 21 rows")));
    }

    #[test]
    fn only_a_number_of_requests_that_makes_a_figure_is_taken() {
        let given = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            options(&words).ok()
        };
        assert_eq!(given(&[]), Some(1_000));
        assert_eq!(given(&["--requests", "2000"]), Some(2_000));
        for wrong in [
            &["--requests", "99"][..],
            &["--requests", "many"],
            &["--requests"],
            &["--rows", "3"],
        ] {
            assert_eq!(given(wrong), None, "{wrong:?}");
        }
    }
}

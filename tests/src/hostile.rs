//! The hostile-guest suite: every attack of the table below, by a real guest,
//! against a real deployment, beside a workspace that does honest work.
//!
//! [`ROWS`] is the table. [`beside`] runs every case of it while the victim's
//! requests are timed; the files next to it look at single rows more closely.
//! A row without a case, and a case without its guest, fail.

mod arena;
mod attack;
mod beside;
mod bombs;
mod departures;
mod floods;
mod forged;
mod instances;
mod memory;
mod people;
mod seams;
mod table;
mod time;
mod victim;

use std::collections::BTreeSet;

use crate::harness::root;
pub(crate) use arena::{allowed, packed};
pub(crate) use bombs::branches;
use table::{Also, Guest, ROWS};

/// Rows of the table of attacks.
const ROWS_EXPECTED: u8 = 21;

#[test]
fn every_row_has_a_case_whose_test_exists() {
    let numbers: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=ROWS_EXPECTED).collect::<Vec<_>>());
    let mut sources = String::new();
    for folder in [
        "tests/src",
        "tests/src/hostile",
        "host/runtime/tests",
        "host/runtime/src",
    ] {
        for file in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    for row in ROWS {
        assert!(
            !row.cases.is_empty() || row.also != Also::Nothing,
            "{}",
            row.attack
        );
        for test in row.tests {
            let is_there = sources.contains(&format!("fn {test}("));
            assert!(is_there, "row {}: there is no test `{test}`", row.number);
        }
    }
}

#[test]
fn every_guest_of_the_suite_is_used() {
    let cases = || ROWS.iter().flat_map(|row| row.cases).map(|case| case.guest);
    let used: BTreeSet<&str> = cases()
        .filter_map(|guest| match guest {
            Guest::Text(name) => Some(name),
            Guest::Rust(_) => None,
        })
        .chain(["frame"])
        .collect();
    let files: BTreeSet<String> = std::fs::read_dir(root().join("tests/guests/text"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let files: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(used, files);
    let source = root().join("tests/guests/hostile/src/lib.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let offered: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        table::actions().into_iter().collect::<BTreeSet<_>>(),
        offered
    );
}

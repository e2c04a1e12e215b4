//! The map of requirements, and the pages that name tests: held to the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::harness::root;

/// Families of requirements, with the numbers that there are.
const FAMILIES: [(&str, &[std::ops::RangeInclusive<u32>]); 9] = [
    ("KEY", &[1..=23]),
    ("AUD", &[1..=19]),
    ("EGR", &[1..=20]),
    ("IDN", &[1..=15, 20..=25, 30..=33, 40..=43]),
    ("OAU", &[1..=22]),
    ("MSK", &[1..=18]),
    ("SBX", &[1..=10]),
    ("REL", &[1..=19]),
    ("STD", &[1..=8]),
];

/// Requirements without a test, and those that tests check in part: as many as these. Lower them with the file.
const MISSING: i64 = 79;
const PARTIAL: i64 = 55;

/// The pages whose tests must exist.
const PAGES: [&str; 4] = [
    "docs/egress.md",
    "docs/security.md",
    "docs/threat-model.md",
    "docs/known-attacks.md",
];

fn map() -> toml::Table {
    let text = std::fs::read_to_string(root().join("docs/requirements.toml")).unwrap();
    text.parse().unwrap()
}

/// Every requirement of the map, without the two numbers at its top.
fn rows(map: &toml::Table) -> BTreeMap<&str, &toml::Table> {
    let rows = map.iter().filter(|(_, value)| value.is_table());
    rows.map(|(id, row)| (id.as_str(), row.as_table().unwrap()))
        .collect()
}

fn texts<'a>(row: &'a toml::Table, field: &str) -> Vec<&'a str> {
    let list = row
        .get(field)
        .unwrap_or_else(|| panic!("no {field}: {row}"));
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

/// Why `name`, FILE::FUNCTION, is not a test; `None` if it is.
pub(crate) fn fault_of(name: &str) -> Option<String> {
    let Some((file, function)) = name.split_once("::") else {
        return Some(format!("{name}: write FILE::FUNCTION"));
    };
    let Ok(text) = std::fs::read_to_string(root().join(file)) else {
        return Some(format!("{name}: there is no file {file}"));
    };
    if function == "compile_fail" {
        let is_there = text.contains("```compile_fail");
        return (!is_there).then(|| format!("{name}: no doc test that must not compile"));
    }
    let is_there = tests_in(&text).contains(function);
    (!is_there).then(|| format!("{name}: no test of that name"))
}

/// The names of the functions in a file that are marked as tests.
fn tests_in(text: &str) -> BTreeSet<&str> {
    let marks = ["#[test]", "#[tokio::test"];
    let mut found = BTreeSet::new();
    let mut is_marked = false;
    for line in text.lines().map(str::trim) {
        if marks.iter().any(|mark| line.starts_with(mark)) {
            is_marked = true;
        } else if let Some((_, rest)) = line.split_once("fn ") {
            if is_marked {
                found.extend(rest.split(['(', '<']).next());
            }
            is_marked = false;
        }
    }
    found
}

#[test]
fn each_requirement_names_tests_that_exist_or_says_that_they_are_missing() {
    let map = map();
    let rows = rows(&map);
    let wanted: BTreeSet<String> = FAMILIES
        .iter()
        .flat_map(|(family, ranges)| {
            let numbers = ranges.iter().cloned().flatten();
            numbers.map(move |number| format!("{family}-{number:02}"))
        })
        .collect();
    let listed: BTreeSet<String> = rows.keys().map(|id| (*id).to_owned()).collect();
    assert_eq!(listed, wanted, "each requirement has one row");

    let (mut missing, mut partial) = (Vec::new(), Vec::new());
    for (id, row) in &rows {
        let known = ["level", "asvs", "tests", "lacks"];
        assert!(
            row.keys().all(|field| known.contains(&field.as_str())),
            "{id}: {row}"
        );
        assert!(["M", "S"].contains(&row["level"].as_str().unwrap()), "{id}");
        let of_the_standard = texts(row, "asvs");
        let is_id = |text: &&str| {
            let numbers: Vec<_> = text.split('.').map(str::parse::<u8>).collect();
            numbers.len() == 3 && numbers.iter().all(Result::is_ok)
        };
        assert!(
            !of_the_standard.is_empty() && of_the_standard.iter().all(is_id),
            "{id}"
        );
        let tests = texts(row, "tests");
        let faults: Vec<_> = tests.iter().filter_map(|test| fault_of(test)).collect();
        assert!(faults.is_empty(), "{id}: {faults:#?}");
        let lacks = row.get("lacks").map(|lacks| lacks.as_str().unwrap());
        assert_ne!(lacks, Some(""), "{id}");
        match (tests.is_empty(), lacks) {
            (true, lacks) => missing.push(format!("{id}: {}", lacks.unwrap_or("not tested"))),
            (false, Some(lacks)) => partial.push(format!("{id} lacks {lacks}")),
            (false, None) => {}
        }
    }
    eprintln!(
        "missing:\n  {}\npartial:\n  {}",
        missing.join("\n  "),
        partial.join("\n  ")
    );
    let number = |field: &str| map[field].as_integer().unwrap();
    assert_eq!(
        number("missing"),
        missing.len() as i64,
        "`missing` is the number of rows without a test"
    );
    assert_eq!(
        number("partial"),
        partial.len() as i64,
        "`partial` is the number of rows that lack something"
    );
    // One that lost its tests is not made up for by one that got some.
    assert_eq!(
        (missing.len() as i64, partial.len() as i64),
        (MISSING, PARTIAL)
    );
}

#[test]
fn a_name_that_is_no_test_is_found_out() {
    for (name, fault) in [
        ("no_file_at_all", "write FILE::FUNCTION"),
        ("tests/src/nowhere.rs::a_test", "no file"),
        (
            "tests/src/requirements.rs::nobody_wrote_this",
            "no test of that name",
        ),
        (
            "tests/src/requirements.rs::fault_of",
            "no test of that name",
        ),
        ("tests/src/tidy.rs::compile_fail", "must not compile"),
    ] {
        let found = fault_of(name);
        assert!(found.is_some_and(|found| found.contains(fault)), "{name}");
    }
    let own = "tests/src/requirements.rs::a_name_that_is_no_test_is_found_out";
    assert_eq!(fault_of(own), None);
}

/// Every test of the tree, by its name alone.
fn all_tests() -> BTreeSet<String> {
    fn add(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                add(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(tests_in(&text).into_iter().map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    for folder in ["host", "tests", "sdk", "connectors"] {
        add(&root().join(folder), &mut found);
    }
    found
}

#[test]
fn what_the_security_pages_name_exists() {
    let tests = all_tests();
    assert!(tests.len() > 400);
    let map = map();
    let rows = rows(&map);
    let looks_like_a_test = |word: &&str| {
        // A limit is none.
        word.matches('_').count() >= 3
            && !word.ends_with("_max")
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    for page in PAGES {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let named: Vec<&str> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(looks_like_a_test)
            .collect();
        assert!(named.len() >= 5, "{page} names {} tests", named.len());
        for name in named {
            assert!(
                tests.contains(name),
                "{page} names `{name}`, which is no test"
            );
        }
        let is_id = |word: &&str| {
            FAMILIES.iter().any(|(family, _)| {
                word.strip_prefix(family)
                    .and_then(|rest| rest.strip_prefix('-'))
                    .is_some_and(|rest| rest.len() == 2)
            })
        };
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for id in words.filter(is_id) {
            assert!(
                rows.contains_key(id),
                "{page} names {id}, which is no requirement"
            );
        }
    }
}

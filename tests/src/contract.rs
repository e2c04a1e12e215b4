//! The contract with guests does not change under them.

use std::collections::BTreeMap;

use crate::harness::root;

/// Every line of the contract that is not a comment, white space folded.
fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            line.split("//")
                .next()
                .unwrap_or("")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        })
        .filter(|line| !line.is_empty())
        .collect()
}

fn contract() -> Vec<String> {
    let files = ["wit/world.wit", "wit/deps/keyway-host/host.wit"];
    files
        .iter()
        .flat_map(|file| lines(&std::fs::read_to_string(root().join(file)).unwrap()))
        .collect()
}

#[test]
fn nothing_of_the_published_contract_goes_away() {
    let snapshot = std::fs::read_to_string(root().join("tests/contract.snapshot")).unwrap();
    let now = contract();
    let mut position = 0;
    for line in snapshot.lines() {
        let found = now[position..]
            .iter()
            .position(|candidate| candidate == line);
        let at = found.unwrap_or_else(|| {
            panic!("the contract lost, moved or changed `{line}`: make a new version instead")
        });
        position += at + 1;
    }
}

/// The blocks of the contract by their first lines: what is declared inside
/// the braces of each, blocks inside blocks apart.
fn blocks(lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let (mut open, mut blocks) = (Vec::<String>::new(), BTreeMap::<_, Vec<String>>::new());
    for line in lines {
        if let Some(first) = line.strip_suffix('{') {
            let name = [open.last().map_or("", String::as_str), first.trim()].join(" / ");
            blocks.entry(name.clone()).or_default();
            open.push(name);
        } else if line == "}" {
            open.pop();
        } else if let Some(block) = open.last() {
            blocks.entry(block.clone()).or_default().push(line.clone());
        }
    }
    blocks
}

/// Whether a guest that was built before notices an addition to this block: it
/// knows each type as a whole, and gives each export of its world.
fn is_closed(block: &str) -> bool {
    let own = block.rsplit(" / ").next().unwrap_or_default();
    let kinds = ["record ", "variant ", "enum ", "flags ", "world "];
    kinds.iter().any(|kind| own.starts_with(kind))
        || [
            "actions",
            "triggers",
            "connection-check",
            "logic",
            "expressions",
        ]
        .iter()
        .any(|exported| own == format!("interface {exported}"))
}

#[test]
fn nothing_is_added_to_what_guests_know_as_a_whole() {
    let snapshot = std::fs::read_to_string(root().join("tests/contract.snapshot")).unwrap();
    let snapshot: Vec<String> = snapshot.lines().map(str::to_owned).collect();
    let (before, now) = (blocks(&snapshot), blocks(&contract()));
    let closed: Vec<&String> = before.keys().filter(|block| is_closed(block)).collect();
    assert!(closed.len() >= 8, "{closed:?}");
    for block in closed {
        assert_eq!(
            now.get(block),
            before.get(block),
            "`{block}` changed under guests that are built: make a new version of the package instead"
        );
    }
}

#[test]
fn no_function_of_the_contract_returns_a_secret() {
    for line in contract() {
        let lower = line.to_lowercase();
        for word in ["secret", "credential", "password", "token", "key()"] {
            assert!(!lower.contains(word), "`{line}`");
        }
    }
}

#[test]
fn every_item_of_the_contract_is_documented() {
    for file in ["wit/world.wit", "wit/deps/keyway-host/host.wit"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            let declares = line.contains(": func(")
                || [
                    "interface ",
                    "record ",
                    "variant ",
                    "enum ",
                    "world ",
                    "package ",
                ]
                .iter()
                .any(|word| line.starts_with(word));
            if declares {
                assert!(
                    lines[index - 1].starts_with("///"),
                    "{file}: `{line}` is not documented"
                );
            }
        }
    }
}

/// The SDK has a copy, so that it builds wherever it is copied to.
#[test]
fn the_sdks_copy_of_the_contract_is_the_contract() {
    for file in ["world.wit", "deps/keyway-host/host.wit"] {
        let read = |folder: &str| std::fs::read_to_string(root().join(folder).join(file)).unwrap();
        assert_eq!(
            read("sdk/rust/wit"),
            read("wit"),
            "{file} differs: run `cp wit/{file} sdk/rust/wit/{file}`"
        );
    }
}

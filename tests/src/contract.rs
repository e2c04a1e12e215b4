//! The contract with guests does not change under them.

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

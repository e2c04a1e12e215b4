//! Row 15: compiled code in the cache that the broker did not write there.
//!
//! Whoever may write to the disk changes the code of one connector and calls it.
//! What runs must be what was installed: another connector, whose code is put
//! into its place, says another word.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::arena::Arena;
use super::departures::Upstreams;
use super::table::{Also, Guest};
use crate::harness::{http, split};

const GENUINE: Guest = Guest::Text("genuine_code");
const FOREIGN: Guest = Guest::Text("foreign_code");

/// What is called between, so that there is no room for the genuine one.
const OTHERS: [Guest; 3] = [
    Guest::Text("leftover_table"),
    Guest::Text("beyond_memory"),
    Guest::Text("wrong_case"),
];

/// Changes that are made by turns.
const CHANGES: [Change; 5] = [
    |_, foreign| foreign.to_vec(),
    |genuine, _| {
        let middle = genuine.len() / 2;
        let flipped = |(at, byte): (usize, &u8)| byte ^ u8::from(at == middle);
        genuine.iter().enumerate().map(flipped).collect()
    },
    // The MAC of one, and the code of the other.
    |genuine, foreign| [&genuine[..MAC_BYTES], &foreign[MAC_BYTES..]].concat(),
    |genuine, _| genuine[..genuine.len() - 1].to_vec(),
    |_, _| Vec::new(),
];

/// Calls until a change is met; of two workers one is as likely as the other.
const ROUNDS_MAX: usize = 50;

/// What becomes of the genuine code, made of it and of the foreign one.
type Change = fn(&[u8], &[u8]) -> Vec<u8>;

/// Bytes before the code in a file of the cache.
const MAC_BYTES: usize = 32;

/// Whoever changes code, and calls it.
pub(super) struct Forger {
    /// The file that is changed.
    file: PathBuf,
    /// What the broker wrote there, and for the foreign connector.
    codes: [Vec<u8>; 2],
    hooks: [String; 2],
    others: [String; 3],
    /// Changes so far, and what the last one put there.
    changed: usize,
    put: Vec<u8>,
}

impl Forger {
    pub(super) fn new(arena: &mut Arena) -> Self {
        let hooks = [GENUINE, FOREIGN].map(|guest| {
            let hook = arena.hook(guest);
            arena.attempt(guest);
            hook
        });
        let cache = arena.stage.data().join("cache");
        let [file, foreign] = [GENUINE, FOREIGN].map(|guest| {
            let (name, _) = guest.connector_and_action();
            let shown = arena.json("attacker", &format!("connector show {name}"));
            let digest = shown["digest"].as_str().unwrap();
            let digest = digest.rsplit(':').next().unwrap();
            let mut files = std::fs::read_dir(&cache).unwrap();
            let is_of = |path: &Path| path.to_string_lossy().contains(digest);
            let found = files.find_map(|file| Some(file.unwrap().path()).filter(|it| is_of(it)));
            found.unwrap_or_else(|| panic!("no code of {digest} in {}", cache.display()))
        });
        Self {
            codes: [read(&file), read(&foreign)],
            file,
            hooks,
            others: OTHERS.map(|guest| arena.hook(guest)),
            changed: 0,
            put: Vec::new(),
        }
    }

    /// Makes the next change, and calls for the code that it was made to. Whether the
    /// call came upon it: it does where the code was let go before.
    fn change(&mut self) -> bool {
        self.call_others();
        self.put = CHANGES[self.changed % CHANGES.len()](&self.codes[0], &self.codes[1]);
        self.changed += 1;
        std::fs::write(&self.file, &self.put).unwrap();
        self.is_met()
    }

    /// The same with several workers: calls for the code until one that has let it go
    /// came upon the change. Every call gets the genuine one.
    pub(super) fn change_until_it_is_met(&mut self) {
        let is_met = self.change()
            || (1..ROUNDS_MAX).any(|_| {
                self.call_others();
                self.is_met()
            });
        assert!(is_met, "change {} was not met", self.changed);
    }

    /// Calls so many others that there is no room for the genuine one.
    fn call_others(&self) {
        self.others.iter().for_each(|other| drop(called(other)));
        said(&self.hooks[1], "foreign");
    }

    /// Calls for the genuine code; whether it was written again in the place of the change.
    fn is_met(&self) -> bool {
        said(&self.hooks[0], "genuine");
        read(&self.file) != self.put
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn called(hook: &str) -> (u16, Value) {
    let (address, path) = split(hook);
    http(address, "POST", &path, Some(&json!({})))
}

/// Calls a connector, which says which one it is.
fn said(hook: &str, word: &str) {
    let (status, answer) = called(hook);
    assert!(status == 200 && answer["code"] == word, "{status} {answer}");
}

#[test]
fn code_that_is_changed_while_calls_are_served_is_compiled_again_and_told_of() {
    // With one worker alone, it is known what it has at hand.
    let configuration = format!("{}processes = 1\n", Also::Forged.configuration());
    let mut arena = Arena::with(Upstreams::default(), &configuration);
    let mut forger = Forger::new(&mut arena);
    let digest = arena.json("attacker", "connector show genuine_code")["digest"].clone();
    for change in 1..=CHANGES.len() {
        assert!(forger.change(), "change {change} was not met");
    }
    let alarms = arena.stage.until("the alarm", |stage| {
        let alarms = stage.json("alarm list").as_array().unwrap().clone();
        (!alarms.is_empty()).then_some(alarms)
    });
    let is_told = |alarm: &Value| alarm["kind"] == "forged-code" && alarm["subject"] == digest;
    assert!(alarms.iter().all(is_told), "{alarms:?}");
}

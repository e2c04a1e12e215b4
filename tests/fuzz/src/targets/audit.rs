//! The verifier of audit exports, on an export that somebody edited.
//!
//! Never panics; whatever it accepts says the same as the log that was signed:
//! every record is the one that was written, or is shown as erased, at its place.

use std::sync::OnceLock;

use keyway_authz::log::checkpoint::{Checkpoint, origin};
use keyway_authz::log::leaf::{Header, RecordKind, Salt};
use keyway_authz::log::line::{ExportHeader, ExportRecord, ExportTail, LeafHashes};
use keyway_authz::log::note::{LogKey, VerifierKey};
use keyway_authz::log::tree::{CompactRange, Hash};
use keyway_authz::log::{verify, verify_since};
use keyway_model::{DeploymentId, EntryId, Environment, Scope, TenantId, Timestamp};
use serde_json::Value;

use super::Target;
use crate::input::Input;

pub(super) const TARGET: Target = Target {
    name: "audit",
    run,
    tokens: &[
        "\"salt\":",
        "\"erased\":",
        "\"record\":",
        "\"leaf\":",
        "\"sequence\":0",
        "\"from\":1",
        "\"before\":[]",
        "null",
        "\\u0000",
        "\n",
        "\r\n",
        " ",
        "{}",
        "99999999999999999999",
        "\u{2014}",
        "intent",
        "outcome",
        "production",
        "test",
        "\\n",
        "0",
        "a",
        "\x01\x00\x00",
        "\x05\x02",
    ],
    input_bytes_max: 1 << 10,
    memory_bytes_max: 8 << 20,
    test_inputs: 6_000,
};

const RECORDS: u64 = 7;
/// The record that was erased.
const ERASED: u64 = 4;
/// What an earlier checkpoint covered.
const EARLIER: u64 = 3;

struct Log {
    key: VerifierKey,
    lines: Vec<String>,
    earlier: String,
    contents: Vec<Hash>,
    root: Hash,
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(written)
}

fn written() -> Log {
    let (deployment, tenant) = (DeploymentId::from_bits(7), TenantId::from_bits(8));
    let scope = Scope {
        tenant,
        environment: Environment::Production,
    };
    let name = origin(deployment, tenant);
    let signing = LogKey::from_seed(&[9; 32]).unwrap();
    let key = signing.verifier(&name).unwrap();
    let header = ExportHeader::new(deployment, tenant, &key, CompactRange::empty());
    let mut log = Log {
        lines: vec![header.to_line()],
        earlier: String::new(),
        contents: Vec::new(),
        root: CompactRange::empty().root(),
        key,
    };
    let mut range = CompactRange::empty();
    let head = |range: &CompactRange| Checkpoint {
        origin: name.clone(),
        size: range.size(),
        root: range.root(),
    };
    for sequence in 0..RECORDS {
        let kind = if sequence % 2 == 0 {
            RecordKind::Intent
        } else {
            RecordKind::Outcome
        };
        let at = Timestamp::from_micros(1_767_323_045_678_901);
        let header = Header {
            scope,
            kind,
            at,
            id: EntryId::from_bits(u128::from(sequence)),
        };
        let text = format!("{{\"operation\":\"http.send\",\"number\":{sequence}}}");
        let salt = Salt::from_bytes([sequence as u8; 16]);
        let content = salt.content(&text);
        let envelope = Hash::of(&[b"envelope", text.as_bytes()]);
        let leaf = header.leaf(&content, &envelope);
        let shown = (sequence != ERASED).then_some((salt, text));
        let hashes = LeafHashes {
            leaf,
            content,
            envelope,
        };
        log.lines
            .push(ExportRecord::new(sequence, &header, hashes, shown).to_line());
        log.contents.push(content);
        range.push(leaf);
        if range.size() == EARLIER {
            log.earlier = head(&range).sign(&signing).unwrap();
        }
    }
    log.lines
        .push(ExportTail::new(head(&range).sign(&signing).unwrap()).to_line());
    log.root = range.root();
    log
}

fn run(bytes: &[u8]) {
    let log = log();
    let mut input = Input::new(bytes);
    let export = match input.byte() {
        0xff => String::from_utf8_lossy(input.rest()).into_owned(),
        edits => edited(log, usize::from(edits % 4), input),
    };
    if let Ok(report) = verify(&export, &log.key) {
        assert_eq!(
            (report.root, report.size),
            (log.root, RECORDS),
            "one head was signed for a whole export"
        );
        accepted(log, &export, report.from);
    }
    if let Ok(report) = verify_since(&export, &log.key, &log.earlier) {
        assert_eq!(report.since, Some(EARLIER));
        assert!(report.from <= EARLIER);
        accepted(log, &export, report.from);
    }
    drop(verify_since(&log.lines.concat(), &log.key, &export));
    drop(export.parse::<VerifierKey>());
}

/// Every line of a record is one that was written.
fn accepted(log: &Log, export: &str, from: u64) {
    let lines: Vec<&str> = export.lines().collect();
    let records = &lines[1..lines.len() - 1];
    assert_eq!(
        records.len() as u64,
        RECORDS - from,
        "no record is missing, none is added"
    );
    for (line, sequence) in records.iter().zip(from..) {
        let value: Value = serde_json::from_str(line).expect("it was accepted");
        assert_eq!(value["sequence"].as_u64(), Some(sequence));
        if let Some(erased) = value["erased"].as_str() {
            let content = serde_json::to_value(log.contents[sequence as usize]).unwrap();
            assert_eq!(
                content.as_str(),
                Some(erased),
                "an erased record keeps its hash"
            );
            continue;
        }
        let original: Value = serde_json::from_str(&log.lines[sequence as usize + 1]).unwrap();
        for field in [
            "record",
            "kind",
            "time",
            "id",
            "environment",
            "envelope",
            "salt",
        ] {
            assert_eq!(
                value[field], original[field],
                "{field} of record {sequence}"
            );
        }
    }
}

/// The export after a few edits, of whole lines or of characters.
fn edited(log: &Log, edits: usize, mut input: Input<'_>) -> String {
    let mut lines = log.lines.clone();
    for _ in 0..=edits {
        let at = input.below(lines.len());
        match input.below(8) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = input.below(lines.len());
                lines.swap(at, other);
            }
            3 => lines.truncate(at + 1),
            _ => change(&mut lines[at], &mut input),
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.concat()
}

/// Replaces some characters of a line by others.
fn change(line: &mut String, input: &mut Input<'_>) {
    let mut characters: Vec<char> = line.chars().collect();
    let start = usize::from(input.u16()) % (characters.len() + 1);
    let end = (start + input.below(8)).min(characters.len());
    let piece = String::from_utf8_lossy(input.piece(32)).into_owned();
    characters.splice(start..end, piece.chars());
    *line = characters.into_iter().collect();
}

//! The shape of the code, held by a machine: layers, lengths, words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::harness::root;

/// Every crate with the layer that it is in; an edge goes down only.
pub(crate) const LAYERS: [(&str, u8); 13] = [
    ("keyway-model", 0),
    ("keyway-authz", 1),
    ("keyway-fair", 1),
    ("keyway-vault", 2),
    ("keyway-roles", 2),
    ("keyway-ipc", 2),
    ("keyway-confine", 2),
    ("keyway-store", 3),
    ("keyway-egress", 3),
    ("keyway-gate", 4),
    ("keyway-jobs", 5),
    ("keyway-runtime", 5),
    ("keyway", 6),
];

fn manifest(name: &str) -> String {
    let folder = name.strip_prefix("keyway-").unwrap_or(name);
    std::fs::read_to_string(root().join("host").join(folder).join("Cargo.toml")).unwrap()
}

/// What a crate depends on, outside its tests.
pub(crate) fn dependencies(name: &str) -> Vec<String> {
    let text = manifest(name);
    let start = text.find("[dependencies]").unwrap();
    let rest = &text[start..];
    let end = rest[1..].find("\n[").map_or(rest.len(), |at| at + 1);
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or("").to_owned();
    rest[..end]
        .lines()
        .filter(|line| line.contains("workspace = true"))
        .map(name)
        .collect()
}

#[test]
fn edges_between_crates_go_down_only() {
    let layers: BTreeMap<&str, u8> = LAYERS.into_iter().collect();
    for (name, layer) in LAYERS {
        for dependency in dependencies(name) {
            if let Some(below) = layers.get(dependency.as_str()) {
                assert!(*below < layer, "{name} depends on {dependency}");
            }
        }
    }
    let of = |name: &str| dependencies(name);
    assert!(
        !of("keyway-runtime").iter().any(|d| d == "keyway-gate"),
        "the runtime cannot name the gate"
    );
    assert!(
        !of("keyway-jobs").iter().any(|d| d == "keyway-runtime"),
        "the engine knows no sandbox"
    );
}

#[test]
fn each_confined_library_has_one_owner() {
    let owners = [
        ("wasmtime", "keyway-runtime"),
        ("sqlx", "keyway-store"),
        ("rusqlite", "keyway-store"),
        ("chacha20poly1305", "keyway-vault"),
        ("cedar-policy", "keyway-roles"),
        ("hickory-resolver", "keyway-egress"),
    ];
    for (library, owner) in owners {
        for (name, _) in LAYERS {
            let uses = dependencies(name)
                .iter()
                .any(|dependency| dependency == library);
            assert_eq!(uses, name == owner, "{name} and {library}");
        }
    }
}

pub(crate) fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path
                .file_name()
                .is_none_or(|name| name != "target" && name != "tests")
            {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_of_the_host_is_past_its_length_and_each_says_what_it_is() {
    let mut files = Vec::new();
    sources(&root().join("host"), &mut files);
    assert!(files.len() > 100);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 450, "{} has {lines} lines", file.display());
        assert!(
            text.contains("//!"),
            "{} does not say what it is",
            file.display()
        );
    }
}

#[test]
fn nothing_is_left_to_be_done_in_the_code() {
    let mut files = Vec::new();
    sources(&root().join("host"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in ["todo!(", "unimplemented!(", "FIXME", "XXX", "#[ignore"] {
            assert!(!text.contains(word), "{word} in {}", file.display());
        }
    }
}

/// The version of a library that is built.
pub(crate) fn locked_version(name: &str) -> String {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter();
    let mut built = packages.filter(|package| package["name"].as_str() == Some(name));
    let version = built.next().unwrap()["version"].as_str().unwrap();
    assert!(built.next().is_none(), "{name} is built twice");
    version.to_owned()
}

#[test]
fn the_engine_is_shown_by_the_version_that_is_built() {
    let version = locked_version("wasmtime");
    let told = format!("pub const ENGINE: &str = \"wasmtime {version}\";");
    let shown = format!("\nengine: wasmtime {version}\n");
    for (file, line) in [("host/runtime/src/engine.rs", told), ("README.md", shown)] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&line), "{file} does not say `{line}`");
    }
}

/// Numbers and times that bound something and do not stand in `limit.rs`, by file and
/// name, each with why not: what of a text is told, how much of a cache is kept,
/// how often the host itself tries something, how it shares its own time out, and
/// whatever nobody outside can reach.
const NO_LIMITS: [(&str, &str, &str); 53] = [
    (
        "model/src/recipe/error.rs",
        "ERRORS_MAX",
        "errors that are told at once",
    ),
    (
        "runtime/src/answer.rs",
        "REFUSAL_CHARS_MAX",
        "what of a text is told",
    ),
    (
        "runtime/src/run.rs",
        "FAULT_BYTES_MAX",
        "what of a text is told",
    ),
    (
        "runtime/src/host/reply.rs",
        "CREDIT_BYTES_MIN",
        "when a window is opened again",
    ),
    (
        "jobs/src/labels.rs",
        "TRAVELLING_BYTES_MIN",
        "what is looked for in displays",
    ),
    (
        "gate/src/lane/held.rs",
        "LOAD_FAILURE_CHARS_MAX",
        "what of a text is told",
    ),
    (
        "gate/src/schema.rs",
        "PROBLEMS_MAX",
        "errors that are told at once",
    ),
    (
        "gate/src/seen.rs",
        "SEEN_HEADERS_MAX",
        "what of a request is told",
    ),
    (
        "gate/src/identities.rs",
        "KEPT_MAX",
        "a cache, which reads again what it let go",
    ),
    (
        "gate/src/identities.rs",
        "KEPT_OF_ONE_MAX",
        "a cache, which reads again what it let go",
    ),
    (
        "gate/src/mask.rs",
        "STEPS_PER_BYTE_MAX",
        "when the search goes another way",
    ),
    (
        "gate/src/mask/forms.rs",
        "FORM_BYTES_MIN",
        "what can be looked for",
    ),
    (
        "gate/src/mask/search.rs",
        "CHARACTER_BYTES_MAX",
        "how a character is written",
    ),
    (
        "gate/src/mask/search.rs",
        "BROKEN_BYTES_MAX",
        "how a character is written",
    ),
    ("vault/src/suite.rs", "NONCE_BYTES_MAX", "a cipher's own"),
    (
        "vault/src/item.rs",
        "ITEM_BYTES_MAX",
        "far above what any limit lets be sealed",
    ),
    (
        "vault/src/frame.rs",
        "OVERHEAD_BYTES_MAX",
        "a sum of lengths",
    ),
    (
        "keyway/src/cli/client.rs",
        "ANSWER_BYTES_MAX",
        "what the command line reads of its own server",
    ),
    (
        "keyway/src/confined.rs",
        "ERROR_LINE_BYTES_MAX",
        "what of a text is told",
    ),
    (
        "keyway/src/workers/ends.rs",
        "WITHOUT_LANES_MAX",
        "how the host tries again",
    ),
    (
        "keyway/src/bench/replace.rs",
        "REPLACED_MAX",
        "a measurement",
    ),
    (
        "keyway/src/bench/replace.rs",
        "WALL_MS_MAX",
        "a measurement",
    ),
    (
        "egress/src/tls.rs",
        "SESSIONS_MAX",
        "a cache, which agrees anew on what it let go",
    ),
    (
        "store/src/cache.rs",
        "CREDENTIALS_MAX",
        "a cache, which reads again what it let go",
    ),
    (
        "store/src/audit/checkpoint.rs",
        "RECORDS_MAX",
        "when a checkpoint is written",
    ),
    (
        "store/src/audit/checkpoint.rs",
        "INTERVAL_MAX",
        "when a checkpoint is written",
    ),
    (
        "store/src/scratch/room.rs",
        "REMOVALS_MAX",
        "how the host tries again",
    ),
    (
        "roles/src/roles.rs",
        "REMEMBERED_MAX",
        "a cache, which judges again what it let go",
    ),
    ("ipc/src/bounded.rs", "LAYERS_MAX", "more than there are"),
    (
        "egress/src/frames.rs",
        "CONTENT_BYTES_MIN",
        "how frames are counted; their limit stands there",
    ),
    (
        "ipc/src/fair.rs",
        "IDLE_GROUPS_MAX",
        "a cache of groups that owe nothing",
    ),
    (
        "ipc/src/log_line.rs",
        "LOG_LINES_TOGETHER_MAX",
        "how lines travel; their limits stand there",
    ),
    (
        "ipc/src/pipe.rs",
        "DESCRIPTORS_TOGETHER_MAX",
        "how code travels; its limits stand there",
    ),
    (
        "fair/src/lib.rs",
        "WAITING_LOOKED_AT_MIN",
        "how the host tidies up",
    ),
    (
        "keyway/src/artifacts/compiler.rs",
        "ANSWER_BYTES_MAX",
        "a sum of lengths",
    ),
    (
        "store/src/writer.rs",
        "CROWD_MIN",
        "when the writer waits for others",
    ),
    (
        "store/src/writer.rs",
        "CROWD_PAUSE_MAX",
        "when the writer waits for others",
    ),
    (
        "store/src/writer/connection.rs",
        "SQLITE_VERSION_MIN",
        "a version",
    ),
    (
        "gate/src/throttle.rs",
        "METERS_KEPT",
        "how the host tidies up",
    ),
    (
        "egress/src/quota.rs",
        "ACCOUNTS_KEPT",
        "how the host tidies up",
    ),
    (
        "gate/src/turns.rs",
        "STEPS_PER_TURN_MAX",
        "how a call's parts take turns",
    ),
    ("gate/src/turns.rs", "REST", "how a call's parts take turns"),
    (
        "gate/src/mask/kept.rs",
        "KEPT",
        "a cache, which makes again what it let go",
    ),
    (
        "store/src/keys.rs",
        "INDEX_KEY_HELD",
        "a cache, which reads again what it let go",
    ),
    ("gate/src/lane/stray.rs", "SECOND", "a unit of time"),
    ("fair/src/rate.rs", "SECOND", "a unit of time"),
    (
        "egress/src/dial.rs",
        "CLOSING",
        "when the host closes one more",
    ),
    ("ipc/src/fair.rs", "TOGETHER", "how calls take turns"),
    ("ipc/src/fair.rs", "REST_AFTER", "how calls take turns"),
    ("ipc/src/fair.rs", "REST", "how calls take turns"),
    (
        "ipc/src/fair/onward.rs",
        "LONG_AFTER",
        "how calls take turns",
    ),
    (
        "ipc/src/fair/onward.rs",
        "LATE_AFTER",
        "how calls take turns",
    ),
    ("ipc/src/fair/onward.rs", "LATE_FOR", "how calls take turns"),
];

/// How names end of what bounds something.
const BOUNDS: [&str; 7] = [
    "_MAX",
    "_MIN",
    "_WINDOW_BYTES",
    "_TIMEOUT",
    "_KEPT",
    "_WINDOW",
    "_GRACE",
];

/// How names end of times that bound nothing: how often the host itself does something,
/// and how long it then waits before it does so again.
const PACES: [&str; 4] = ["_EVERY", "EACH", "_PAUSE", "TICK"];

/// The name of a constant that a line declares, if it bounds something by a
/// number of its own; any time may.
fn bound(line: &str) -> Option<&str> {
    let (before, declared) = line.split_once("const ")?;
    let is_item = before.is_empty() || before.trim_start().starts_with("pub");
    let (name, rest) = declared.split_once(": ")?;
    // A value on a line of its own is taken for a number.
    let (kind, value) = rest.split_once(" = ").unwrap_or((rest, "0"));
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let is_time = kind.trim_end_matches(" =").ends_with("Duration") && !ends(&PACES);
    let counts = value.contains(|c: char| c.is_ascii_digit());
    (is_item && counts && (is_time || ends(&BOUNDS))).then_some(name)
}

#[test]
fn every_limit_stands_in_the_one_file() {
    let mut files = Vec::new();
    sources(&root().join("host"), &mut files);
    let mut found = Vec::new();
    for file in files {
        let place = file.strip_prefix(root().join("host")).unwrap();
        let place = place.to_str().unwrap().to_owned();
        if place == "model/src/limit.rs" || place.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let names = text.lines().filter_map(bound);
        found.extend(names.map(|name| (place.clone(), name.to_owned())));
    }
    for (place, name) in &found {
        assert!(
            NO_LIMITS
                .iter()
                .any(|(file, known, _)| file == place && known == name),
            "host/{place}: `{name}` belongs into host/model/src/limit.rs"
        );
    }
    for (file, name, _) in NO_LIMITS {
        assert!(
            found
                .iter()
                .any(|(place, known)| place == file && known == name),
            "{file} has no `{name}` any more"
        );
    }
    assert_eq!(bound("pub const A_MAX: u32 = 7;"), Some("A_MAX"));
    assert_eq!(bound("    const A_MAX: u32 = OTHER_MAX;"), None);
    let time = |name: &str| format!("const {name}: Duration = Duration::from_secs(7);");
    assert_eq!(bound(&time("PATIENCE")), Some("PATIENCE"));
    assert_eq!(bound(&time("A_PAUSE")), None);
    let elsewhere = "const PATIENCE: Duration = Duration::from_secs(PATIENCE_SECONDS_MAX);";
    assert_eq!(bound(elsewhere), None);
}

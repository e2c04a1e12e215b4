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

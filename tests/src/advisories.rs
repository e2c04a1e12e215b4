//! The database of advisories in CI: what it finds fails, and that it cannot be
//! had fails nothing and is said with the date.
//!
//! `cargo-deny` is a program that does what each case needs, in its place.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::harness::root;

/// Runs the script with a program in the checker's place; gives whether it
/// passed, and what was said.
fn advisories(checker: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("cargo-deny");
    let said = dir.path().join("asked");
    let text = format!("#!/bin/sh\necho \"$*\" >> {}\n{checker}\n", said.display());
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new(root().join(".ci/advisories"))
        .arg(&program)
        .arg("1")
        .output()
        .unwrap();
    let asked = std::fs::read_to_string(said).unwrap();
    (
        output.status.success(),
        format!("{}{asked}", String::from_utf8(output.stdout).unwrap()),
    )
}

#[test]
fn a_database_that_cannot_be_had_is_said_with_the_date_and_fails_nothing() {
    for no_database in ["exit 1", "exec sleep 600"] {
        let (passed, said) = advisories(no_database);
        assert!(passed, "{said}");
        #[expect(clippy::disallowed_methods, reason = "what the shell says is the day")]
        let today = jiff::Timestamp::now().strftime("%Y-").to_string();
        let note = format!("advisories: NOT CHECKED on {today}");
        assert!(said.starts_with(&note), "{said}");
        assert!(!said.contains(" check "), "{said}");
    }
}

#[test]
fn with_the_database_every_lock_file_is_checked_and_what_is_found_fails() {
    let (passed, said) = advisories("exit 0");
    assert!(passed, "{said}");
    assert!(said.starts_with("advisories: checked on "), "{said}");
    for workspace in [".", "connectors", "sdk/rust", "tests/guests"] {
        let checked =
            format!("--manifest-path {workspace}/Cargo.toml --offline check advisories\n");
        assert!(said.contains(&checked), "{workspace}: {said}");
    }
    let (passed, said) = advisories("case \"$*\" in *fetch*db*) exit 0;; *sdk*) exit 4;; esac");
    assert!(!passed, "{said}");
    assert!(!said.contains("advisories:"), "{said}");
}

#[test]
fn ci_looks_at_them() {
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let line = "\n.ci/advisories target/tools/bin/cargo-deny\n";
    assert!(ci.contains(line), "{ci}");
}

//! `docs/authoring.md` and the README's connector, as a newcomer would do them.

use std::process::Command;

use crate::harness::{TlsUpstream, program, root, text};

/// The commands of a page, in order.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            command if inside && !command.is_empty() => commands.push(command.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn the_authoring_page_works_from_nothing_to_a_call() {
    let page = std::fs::read_to_string(root().join("docs/authoring.md")).unwrap();
    let commands = commands(&page);
    assert!(commands.len() >= 5, "{commands:?}");
    let upstream = TlsUpstream::start();
    let script =
        format!("set -eu\n{}", commands.join("\n")).replace("a-test-token", &upstream.token);
    let home = program().parent().unwrap().to_owned();
    let path = format!("{}:{}", home.display(), inherited_path());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(upstream.dir.path())
        .env("PATH", path)
        .env("UPSTREAM_PORT", upstream.port.to_string())
        .env("UPSTREAM_CA", upstream.dir.path().join("ca.pem"))
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Demo Shop"), "{said}");
    assert!(
        said.contains("filled by Keyway"),
        "the masked request is shown: {said}"
    );
}

#[expect(clippy::disallowed_methods, reason = "the shell needs cargo")]
fn inherited_path() -> String {
    std::env::var("PATH").unwrap()
}

#[test]
fn the_orders_connector_builds_outside_the_repository_with_the_sdk_alone() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["connectors/orders", "sdk/rust"] {
        let to = dir.path().join(folder);
        std::fs::create_dir_all(&to).unwrap();
        let copied = Command::new("cp")
            .arg("-r")
            .arg(root().join(folder).join("."))
            .arg(&to)
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", text(&copied));
    }
    let built = Command::new(program())
        .current_dir(dir.path())
        .args([
            "connector",
            "build",
            "connectors/orders",
            "--out",
            "orders.wasm",
        ])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", text(&built));
    let shown = Command::new(program())
        .current_dir(dir.path())
        .args(["connector", "inspect", "orders.wasm"])
        .output()
        .unwrap();
    assert!(text(&shown).contains("action create"), "{}", text(&shown));
}

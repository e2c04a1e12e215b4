//! That the engine resets its slots the quick way, inside the filter: the worker
//! asks from in there, and the kernel counts what it is asked for.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::confinement::{intruder, readyz, without};
use crate::harness::{Stage, program, ready};

/// Calls over which scans are counted.
const CALLS: usize = 50;

const ANSWER: &str = r#"recipe: answer
trigger: { webhook: {} }
steps:
  - respond: { status: 200, body: "${ trigger.body }" }
"#;

/// Whether the worker says so of itself, from inside the filter.
fn says(stage: &Stage, reset: &str) {
    let shown = readyz(stage);
    let line = format!("worker instance-reset: {reset}");
    assert!(shown.contains(&line), "{shown}");
    assert!(
        shown.contains("worker system-call-filter: held\n"),
        "{shown}"
    );
}

/// Makes calls, each in an instance of its own.
fn call(stage: &Stage, hook: &str) {
    for _ in 0..CALLS {
        assert_eq!(stage.post(hook, &json!({})).0, 200);
    }
}

#[test]
fn the_fast_path_of_the_engine_is_taken_inside_the_filter() {
    let mut stage = Stage::empty();
    stage.serve = None;
    let scans = stage.dir.path().join("scans");
    let mut command = Command::new(intruder());
    command
        .current_dir(stage.dir.path())
        .args([Path::new("watch"), &scans, &program()])
        .args(["serve", "--config", "keyway.toml"]);
    let (serve, value) = ready(&mut command).unwrap();
    stage.serve = Some(serve);
    stage.ready = value;
    says(&stage, "quick\n");
    stage.ok("workspace create acme");
    let hook = stage.apply("answer", ANSWER).unwrap();
    let scanned = || std::fs::metadata(&scans).unwrap().len();
    let before = scanned();
    call(&stage, &hook);
    let scanned = scanned() - before;
    assert!(
        scanned >= CALLS as u64,
        "{scanned} scans of the page map in {CALLS} calls"
    );
}

#[test]
fn a_kernel_without_the_fast_path_is_told_apart_and_serves_all_the_same() {
    let (mut stage, started) = without("scan", "");
    let (serve, value) = started.unwrap();
    stage.serve = Some(serve);
    stage.ready = value;
    says(&stage, "slow");
    stage.ok("workspace create acme");
    let hook = stage.apply("answer", ANSWER).unwrap();
    call(&stage, &hook);
}

//! Whose workers are, and how long they live.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{INTAKE, Stage, order};
use crate::processes::children;
use crate::quarantine::{LOOP, PLAIN};

#[test]
fn an_old_worker_gives_way_to_another_and_ends_with_its_calls() {
    // A call that computes for longer than half of its worker's life, and less than all.
    let stage = Stage::configured(
        "[limits]\ncpu_ms_max = 4000\nwall_ms_max = 60000\n[workers]\nprocesses = 1\ncpu_seconds_max = 6\n",
    );
    stage.shop();
    stage.install("hostile.wasm", "hostile");
    stage.connect("target", "hostile");
    let hook = stage.apply("loop", LOOP).unwrap();
    let intake = stage.apply("intake", INTAKE).unwrap();
    let broker = stage.serve.as_ref().unwrap().pid();
    let old = u32::try_from(stage.ready["workers"][0].as_u64().unwrap()).unwrap();
    // Another component has been there, too.
    assert_eq!(stage.post(&intake, &order(1)).0, 200);
    let looping = json!({ "what": "endless_loop" });
    assert_eq!(stage.post(&hook, &looping).0, 202);
    let young = stage.until("another worker", |_| {
        children(broker).into_iter().find(|pid| *pid != old)
    });
    assert!(children(broker).contains(&old), "it has a call still");
    let job = stage.until("the end of the call", |stage| {
        let job = stage.last_job();
        (job["state"] == "failed").then_some(job)
    });
    let failure = job["failure"].as_str().unwrap();
    assert!(failure.contains("`cpu_ms_max` (4000)"), "{failure}");
    stage.until("the end of the old worker", |_| {
        (!children(broker).contains(&old)).then_some(())
    });
    // Old age is nobody's fault, and the next calls are in the other.
    assert_eq!(stage.json("alarm list"), json!([]));
    let quick = json!({ "what": "read_environment" });
    assert_eq!(stage.post(&hook, &quick).0, 202);
    stage.until("the end of the next call", |stage| {
        let next = stage.last_job();
        let is_over = next["state"] == "failed" || next["state"] == "succeeded";
        (next["id"] != job["id"] && is_over).then_some(())
    });
    assert_eq!(stage.post(&intake, &order(2)).0, 200);
    // A suspect would have a worker of its own.
    assert_eq!(children(broker), BTreeSet::from([young]));
}

#[test]
fn a_life_that_is_too_short_to_work_in_is_refused() {
    let stage = Stage::not_started();
    stage.write("keyway.toml", "[workers]\ncpu_seconds_max = 1\n");
    let said = stage.try_start().err().unwrap();
    assert!(said.contains("cpu_seconds_max is too little"), "{said}");
}

fn runs_code_of_the_broker(pid: u32) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.contains("memfd:keyway-code")
}

#[test]
fn a_workspace_with_workers_of_its_own_shares_none() {
    let stage = Stage::configured("[workers]\nown = [\"acme\"]\n");
    let broker = stage.serve.as_ref().unwrap().pid();
    let shared = children(broker);
    stage.shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    for number in 0..5 {
        assert_eq!(stage.post(&hook, &order(number)).0, 200);
    }
    let own: BTreeSet<u32> = &children(broker) - &shared;
    assert_eq!(own.len(), 1, "{own:?}");
    assert!(own.iter().all(|pid| runs_code_of_the_broker(*pid)));
    assert!(!shared.iter().any(|pid| runs_code_of_the_broker(*pid)));

    // Another workspace runs with the rest.
    stage.ok("workspace create rival");
    stage.write("plain.yaml", PLAIN);
    stage.ok("--workspace rival recipe apply plain.yaml");
    assert!(shared.iter().any(|pid| runs_code_of_the_broker(*pid)));
}

#[test]
fn a_workspace_that_is_named_for_workers_of_its_own_and_is_not_there_is_told_at_the_start() {
    let mut stage = Stage::configured("[workers]\nown = [\"acmee\"]\n");
    let warnings = |stage: &Stage| stage.ready["warnings"].to_string();
    assert!(
        warnings(&stage).contains("[workers] own names the workspace `acmee`"),
        "{}",
        stage.ready
    );
    stage.ok("workspace create acme");
    stage.serve = None;
    stage.start();
    assert!(
        warnings(&stage).contains("did you mean `acme`?"),
        "{}",
        stage.ready
    );
    stage.ok("workspace create acmee");
    stage.serve = None;
    stage.start();
    assert_eq!(warnings(&stage), "[]");
}

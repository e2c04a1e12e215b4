//! Whose workers are, and how long they live.

use std::collections::BTreeSet;

use keyway_model::limit::{ACTION_ATTEMPTS_MAX, SEGMENT_ATTEMPTS_MAX};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, order};
use crate::processes::{children, signal};
use crate::quarantine::{LOOP, PLAIN, goes_on_for_long};

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

#[test]
fn more_threads_than_a_worker_takes_are_refused_by_name() {
    let stage = Stage::not_started();
    stage.write("keyway.toml", "[workers]\nthreads = 65\n");
    let said = stage.try_start().err().unwrap();
    assert!(said.contains("`WORKER_LANES_MAX` (64)"), "{said}");
}

/// A deployment with one worker, whose guests may compute for a minute.
fn patient(workers: &str) -> Stage {
    let stage = Stage::configured(&format!(
        "[limits]\ncpu_ms_max = 60000\nwall_ms_max = 60000\n[workers]\nprocesses = 1\n{workers}"
    ));
    stage.ok("workspace create acme");
    stage
}

/// The same, with a job whose action computes without an end.
fn looping(workers: &str) -> Stage {
    let stage = patient(workers);
    stage.install("hostile.wasm", "hostile");
    stage.connect("target", "hostile");
    let hook = stage.apply("loop", LOOP).unwrap();
    let endless = json!({ "what": "endless_loop" });
    assert_eq!(stage.post(&hook, &endless).0, 202);
    stage
}

/// Kills each worker in which something computes for long, until the newest job has failed:
/// why it has, and how many workers it has cost.
fn killed_until_it_fails(stage: &Stage) -> (String, usize) {
    let broker = stage.serve.as_ref().unwrap().pid();
    let (mut before, mut killed) = (BTreeSet::<u32>::new(), BTreeSet::new());
    let failure = stage.until("the end of the job", |stage| {
        let computing = children(broker).into_iter();
        let now: BTreeSet<u32> = computing.filter(|pid| goes_on_for_long(*pid)).collect();
        // One that is seen twice has no thread that only begins.
        for pid in before.intersection(&now) {
            signal(*pid, Signal::KILL);
            killed.insert(*pid);
        }
        before = now;
        let job = stage.last_job();
        (job["state"] == "failed").then(|| job["failure"].as_str().unwrap().to_owned())
    });
    (failure, killed.len())
}

#[test]
fn an_action_under_which_workers_end_is_tried_so_often_and_then_its_job_fails() {
    let (failure, killed) = killed_until_it_fails(&looping(""));
    let told = format!("the worker ended {ACTION_ATTEMPTS_MAX} times during this call");
    assert!(failure.contains(&told), "{failure}");
    assert!(killed >= ACTION_ATTEMPTS_MAX as usize, "{killed}");
}

#[test]
fn expressions_under_which_workers_end_are_tried_so_often_and_then_their_job_fails() {
    let stage = patient("");
    let recipe = r#"recipe: think
trigger: { webhook: {} }
steps:
  - id: think
    transform: "${ trigger.body.all(x, trigger.body.all(y, trigger.body.all(z, x + y + z == 0))) }"
"#;
    let hook = stage.apply("think", recipe).unwrap();
    assert_eq!(stage.post(&hook, &Value::from(vec![0; 1_000])).0, 202);
    let (failure, killed) = killed_until_it_fails(&stage);
    assert!(failure.contains("the worker ended"), "{failure}");
    // The first attempt, and those after it.
    assert!(killed > SEGMENT_ATTEMPTS_MAX as usize, "{killed}");
}

#[test]
fn a_worker_that_uses_up_its_time_is_ended_and_its_call_is_made_again_in_another() {
    let stage = looping("cpu_seconds_max = 3\n");
    let broker = stage.serve.as_ref().unwrap().pid();
    let computing = |but: Option<u32>| {
        stage.until("a worker with a long call", |_| {
            let mut workers = children(broker).into_iter();
            workers.find(|pid| Some(*pid) != but && goes_on_for_long(*pid))
        })
    };
    let spent = computing(None);
    stage.until("the end of its time", |_| {
        (!children(broker).contains(&spent)).then_some(())
    });
    computing(Some(spent));
    assert_ne!(stage.last_job()["state"], "failed");
    assert_eq!(stage.json("alarm list"), json!([]));
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

//! A worker has so much time on processors over its life.

use serde_json::json;

use crate::harness::Stage;
use crate::processes::children;
use crate::quarantine::LOOP;

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
    let broker = stage.serve.as_ref().unwrap().pid();
    let old = u32::try_from(stage.ready["workers"][0].as_u64().unwrap()).unwrap();
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
    // Old age is nobody's fault, and the next call is in the other.
    assert_eq!(stage.json("alarm list"), json!([]));
    let quick = json!({ "what": "read_environment" });
    assert_eq!(stage.post(&hook, &quick).0, 202);
    stage.until("the end of the next call", |stage| {
        let next = stage.last_job();
        let is_over = next["state"] == "failed" || next["state"] == "succeeded";
        (next["id"] != job["id"] && is_over).then_some(())
    });
    assert!(children(broker).contains(&young));
}

#[test]
fn a_life_that_is_too_short_to_work_in_is_refused() {
    let stage = Stage::not_started();
    stage.write("keyway.toml", "[workers]\ncpu_seconds_max = 1\n");
    let said = stage.try_start().err().unwrap();
    assert!(said.contains("cpu_seconds_max is too little"), "{said}");
}

//! Quotas: what one workspace, and one connector, may consume over all calls.

use keyway_model::limit::Quotas;
use serde_json::{Value, json};

use super::{Call, HTTP, LOG, SET, Subject, names, tells};
use crate::harness::{Stage, order};

#[test]
fn a_request_over_the_rate_waits_and_one_that_waited_too_long_is_refused_by_name() {
    let subject = Subject::new("");
    let stage = &subject.stage;
    let url = format!("http://localhost:{}/anything", stage.upstream.port);
    let send = |times: u32| {
        let input = json!({ "function": HTTP, "times": times, "argument": url });
        stage.post(subject.hook("call"), &input)
    };
    // Two a second: four requests wait for two tokens and all arrive.
    subject.set("http_calls_per_second_max=2");
    let (started, before) = (
        std::time::Instant::now(),
        stage.upstream.effects()["requests"].as_u64(),
    );
    let (status, reply) = send(4);
    assert_eq!(
        (status, &reply["seen"]),
        (200, &json!("status 200")),
        "{reply}"
    );
    assert!(
        started.elapsed().as_millis() >= 900,
        "{:?}",
        started.elapsed()
    );
    let after = stage.upstream.effects()["requests"].as_u64();
    assert_eq!(after.unwrap() - before.unwrap(), 4);
    // Without patience, the same flood is refused, told and recorded.
    subject.set("http_calls_per_second_max=1 throttle_ms_max=10");
    let (status, reply) = send(4);
    assert_eq!(status, 200, "{reply}");
    let seen = &stage.last_job()["steps"][0]["seen"];
    let told = seen["denials"].to_string();
    assert!(tells(&told, "http_calls_per_second_max", 1), "{seen}");
    assert!(
        reply["seen"]
            .as_str()
            .unwrap()
            .contains("ConnectionLimitReached"),
        "{reply}"
    );
    assert!(stage.denial("limit"));
}

#[test]
fn state_and_log_over_their_rates_are_refused_and_dropped_by_name() {
    let subject = Subject::new("");
    let call = |function, times| subject.call(Call::Import(function, times, 6));
    subject.set("state_writes_per_second_max=1 log_lines_per_second_max=2 throttle_ms_max=10");
    let told = call(SET, 3);
    assert!(tells(&told, "state_writes_per_second_max", 1), "{told}");
    assert!(subject.stage.denial("limit"));
    let told = call(LOG, 10);
    assert!(tells(&told, "log_lines_per_second_max", 2), "{told}");
    let audit = subject
        .stage
        .until("the record of the dropped lines", |stage| {
            let audit = stage.audit();
            let tally = audit.iter().rev().find(|line| line["kind"] == "tally")?;
            tally["record"]["log_lines_dropped"]
                .as_u64()
                .filter(|dropped| *dropped > 0)
        });
    assert!((1..10).contains(&audit), "{audit}");
}

/// Posts to a webhook from a thread of its own.
fn post_aside(stage: &Stage, hook: &str, input: &Value) -> std::thread::JoinHandle<(u16, Value)> {
    let (address, path) = crate::harness::split(hook);
    let input = input.clone();
    assert!(stage.serve.is_some());
    std::thread::spawn(move || crate::harness::http(address, "POST", &path, Some(&input)))
}

#[test]
fn requests_under_way_are_counted_over_all_calls_of_a_connector() {
    let subject = Subject::new("[limits]\nwall_ms_max = 4000\n");
    let stage = &subject.stage;
    subject.set("host_calls_in_flight_per_connector_max=1 throttle_ms_max=50");
    stage.upstream.mode("hang");
    let url = format!("http://localhost:{}/anything", stage.upstream.port);
    let input = json!({ "function": HTTP, "times": 1, "argument": url });
    let hanging = post_aside(stage, subject.hook("call"), &input);
    stage.until("the first request", |stage| {
        stage.upstream.effects()["requests"]
            .as_u64()
            .filter(|count| *count > 0)
    });
    let (status, reply) = stage.post(subject.hook("call"), &input);
    assert_eq!(status, 200, "{reply}");
    let told = stage.last_job().to_string();
    assert!(
        tells(&told, "host_calls_in_flight_per_connector_max", 1),
        "{told}"
    );
    hanging.join().unwrap();
}

#[test]
fn calls_over_the_workspaces_or_the_connectors_number_wait_and_run_after_those_before() {
    for limit in [
        "guest_calls_per_workspace_max",
        "guest_calls_per_connector_max",
    ] {
        let subject = Subject::new("[limits]\ncpu_ms_max = 800\n");
        subject.set(&format!("{limit}=1"));
        let input = json!({ "what": "endless_loop" });
        let started = std::time::Instant::now();
        let stage = &subject.stage;
        let calls = [0, 1, 2].map(|_| post_aside(stage, subject.hook("attempt"), &input));
        for call in calls {
            call.join().unwrap();
        }
        // Three loops of 800 ms on a processor each, one after the other,
        // whatever the number of processors.
        assert!(
            started.elapsed().as_millis() >= 2_400,
            "{limit}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn an_event_over_the_number_of_jobs_is_refused_by_name_and_recorded() {
    let subject = Subject::new("[limits]\nwall_ms_max = 4000\n");
    let stage = &subject.stage;
    subject.set("jobs_per_workspace_max=1");
    stage.upstream.mode("hang");
    let hanging = post_aside(stage, subject.hook("intake"), &order(1));
    stage.until("the first request", |stage| {
        stage.upstream.effects()["requests"]
            .as_u64()
            .filter(|count| *count > 0)
    });
    let (status, reply) = stage.post(subject.hook("intake"), &order(2));
    assert_eq!(status, 429, "{reply}");
    assert!(
        tells(&reply.to_string(), "jobs_per_workspace_max", 1),
        "{reply}"
    );
    assert!(stage.denial("limit"));
    hanging.join().unwrap();
}

#[test]
fn every_quota_has_a_test_here() {
    let source = include_str!("quotas.rs");
    let (tests, _) = source.split_once("fn every_quota_has_a_test_here").unwrap();
    for name in names(&json!(Quotas::default())) {
        assert!(tests.contains(&name), "{name} is set by no test");
    }
}

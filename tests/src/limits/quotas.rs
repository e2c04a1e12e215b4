//! Quotas: what one workspace, and one connector, may consume over all calls.

mod made;
mod together;

use std::collections::BTreeSet;

use keyway_model::limit::Quotas;
use serde_json::{Value, json};

use super::{Call, GET, HTTP, LIST, LOG, OPEN, SCOPES, SET, Subject, WRITE, names, tells};
use crate::harness::{Stage, order, raw, split};
use crate::routes::Api;

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
    let (status, reply) = send(2);
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

#[test]
fn reads_of_state_and_calls_of_scratch_files_over_their_rates_are_refused_by_name() {
    let subject = Subject::new("");
    let call = |function, times| subject.call(Call::Import(function, times, 6));
    subject.set("state_reads_per_second_max=1 throttle_ms_max=10");
    let told = call(GET, 5);
    assert!(tells(&told, "state_reads_per_second_max", 1), "{told}");
    subject.set("scratch_calls_per_second_max=1");
    for (function, reads) in [(OPEN, false), (WRITE, false), (LIST, true)] {
        let before = denials(&subject.stage);
        let told = call(function, 3);
        assert!(tells(&told, "scratch_calls_per_second_max", 1), "{told}");
        // What changes nothing is counted in the record of its call.
        assert_eq!(denials(&subject.stage) > before, !reads, "{function}");
    }
    // With patience, all of them wait for their turn.
    subject.set("throttle_ms_max=default");
    let told = call(GET, 3);
    assert!(!told.contains("state_reads_per_second_max"), "{told}");
}

#[test]
fn reads_of_the_connection_over_their_rate_wait_and_then_end_the_call_by_name() {
    let subject = Subject::new("");
    let call = |times| subject.call(Call::Import(SCOPES, times, 6));
    // Two a second: four reads wait for two tokens, and all are answered.
    subject.set("connection_reads_per_second_max=2");
    let started = std::time::Instant::now();
    let told = call(4);
    assert!(told.contains(r#"{"seen":"[]"}"#), "{told}");
    assert!(
        started.elapsed().as_millis() >= 900,
        "{:?}",
        started.elapsed()
    );
    // Without patience, the same flood ends its call.
    subject.set("connection_reads_per_second_max=1 throttle_ms_max=10");
    let told = call(3);
    assert!(told.contains("the call exceeded"), "{told}");
    assert!(tells(&told, "connection_reads_per_second_max", 1), "{told}");
    let recorded = subject.stage.until("the record of its end", |stage| {
        let audit = stage.audit();
        let tally = audit.iter().rev().find(|line| line["kind"] == "tally")?;
        let ended = tally["record"]["ended"].as_str()?.to_owned();
        Some((ended, tally["record"]["denied"].as_u64()))
    });
    let ended = "it exceeded connection_reads_per_second_max (1)".to_owned();
    assert_eq!(recorded, (ended, Some(1)));
}

/// Records of denials for a limit.
fn denials(stage: &Stage) -> usize {
    let audit = stage.audit();
    let of_limits = audit.iter().filter(|line| {
        line["record"]["decision"] == "denied" && line["record"]["reason"] == "limit"
    });
    of_limits.count()
}

#[test]
fn a_manifest_without_patience_is_refused_no_faster_than_its_calls_pass() {
    let subject = Subject::new("");
    subject.set("state_writes_per_second_max=2 throttle_ms_max=1");
    let started = std::time::Instant::now();
    let told = subject.call(Call::Import(SET, 10, 6));
    assert!(tells(&told, "state_writes_per_second_max", 2), "{told}");
    // Ten calls at two a second that pass and two a second that are refused,
    // two of each at once.
    assert!(
        started.elapsed().as_millis() >= 1_300,
        "{:?}",
        started.elapsed()
    );
}

/// Posts to a webhook from a thread of its own.
pub(crate) fn post_aside(
    stage: &Stage,
    hook: &str,
    input: &Value,
) -> std::thread::JoinHandle<(u16, Value)> {
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
fn a_call_over_its_workspaces_memory_ends_by_name_and_is_recorded() {
    let subject = Subject::new("");
    let limit = "memory_bytes_per_workspace_max";
    let before = subject.call(Call::Check);
    assert!(!before.contains(limit), "{before}");
    // Less than one guest begins with.
    subject.set(&format!("{limit}=65536"));
    let told = subject.call(Call::Check);
    assert!(tells(&told, limit, 65_536), "{told}");
    let recorded = format!("it exceeded {limit} (65536)");
    subject.stage.until("the record of its end", |stage| {
        let audit = stage.audit();
        let is_of_it = |line: &Value| line["record"]["ended"] == recorded.as_str();
        audit.iter().any(is_of_it).then_some(())
    });
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
    // What there is no room for is not looked into.
    let (address, path) = split(subject.hook("intake"));
    let (status, _) = raw(address, "POST", &path, &[], b"{ not json").unwrap();
    assert_eq!(status, 429);
    hanging.join().unwrap();
}

#[test]
fn an_event_or_a_step_that_is_more_than_jobs_may_hold_is_refused_or_fails_by_name() {
    let subject = Subject::new("");
    let stage = &subject.stage;
    subject.set("job_bytes_per_workspace_max=10");
    let (status, reply) = stage.post(subject.hook("intake"), &order(1));
    assert_eq!(status, 429, "{reply}");
    let told = reply.to_string();
    assert!(tells(&told, "job_bytes_per_workspace_max", 10), "{told}");
    assert!(stage.denial("limit"));
    assert_eq!(stage.json("job list"), json!([]));
    // Room for the event, and not for what the first step takes and gives.
    let event = json!({ "body": order(1) }).to_string().len() as u64 + 20;
    subject.set(&format!("job_bytes_per_workspace_max={event}"));
    let (status, reply) = stage.post(subject.hook("intake"), &order(1));
    assert_eq!(status, 502, "{reply}");
    let job = stage.last_job();
    assert_eq!(job["state"], "failed", "{job}");
    let failure = job["failure"].to_string();
    assert!(failure.contains("limit: "), "{failure}");
    assert!(
        tells(&failure, "job_bytes_per_workspace_max", event),
        "{failure}"
    );
    // What it held is free again.
    subject.set("job_bytes_per_workspace_max=default");
    assert_eq!(stage.post(subject.hook("intake"), &order(2)).0, 200);
}

#[test]
fn a_rerun_over_the_number_of_jobs_is_refused_by_name_recorded_and_makes_none() {
    let subject = Subject::new("[limits]\nwall_ms_max = 4000\n");
    let stage = &subject.stage;
    assert_eq!(stage.post(subject.hook("intake"), &order(1)).0, 200);
    let ended = stage.last_job()["id"].as_str().unwrap().to_owned();
    subject.set("jobs_per_workspace_max=1");
    stage.upstream.mode("hang");
    let before = stage.upstream.effects()["requests"].as_u64();
    let hanging = post_aside(stage, subject.hook("intake"), &order(2));
    stage.until("the request", |stage| {
        (stage.upstream.effects()["requests"].as_u64() > before).then_some(())
    });
    let jobs = || stage.json("job list").as_array().unwrap().len();
    let before = jobs();
    let said = stage.refused(&format!("job rerun {ended} --from trigger"));
    assert!(tells(&said, "jobs_per_workspace_max", 1), "{said}");
    assert_eq!(jobs(), before);
    let audit = stage.audit();
    let is_of_refused = |line: &Value| {
        let record = &line["record"];
        record["operation"] == "job:rerun"
            && record["decision"] == "denied"
            && record["reason"] == "limit"
    };
    assert!(audit.iter().any(is_of_refused), "{:?}", audit.last());
    // A caller of the API is told as for any other limit.
    let operator = Api::of(stage, "acme", "operator");
    let path = format!("/api/v1/workspaces/acme/development/jobs/{ended}/rerun");
    let (status, told) = operator.send("POST", &path, br#"{"from":"trigger"}"#);
    assert_eq!(status, 429, "{told}");
    assert!(told.contains("\"too-many\""), "{told}");
    stage.upstream.mode("up");
    hanging.join().unwrap();
    stage.until("room for one more", |stage| {
        let again = stage.run(&format!("job rerun {ended} --from trigger"));
        again.status.success().then_some(())
    });
    assert_eq!(jobs(), before + 1);
}

/// Each quota, and the test that goes beyond it.
const TESTED: [(&str, fn()); 23] = [
    (
        "job_bytes_per_workspace_max",
        an_event_or_a_step_that_is_more_than_jobs_may_hold_is_refused_or_fails_by_name,
    ),
    (
        "memory_bytes_per_workspace_max",
        a_call_over_its_workspaces_memory_ends_by_name_and_is_recorded,
    ),
    (
        "connections_per_workspace_max",
        made::a_workspace_has_so_many_connections_and_the_next_is_not_made,
    ),
    (
        "recipes_per_workspace_max",
        made::a_workspace_has_so_many_recipes_and_a_new_version_is_no_further_one,
    ),
    (
        "connection_reads_per_second_max",
        reads_of_the_connection_over_their_rate_wait_and_then_end_the_call_by_name,
    ),
    (
        "guest_calls_per_workspace_max",
        calls_over_the_workspaces_or_the_connectors_number_wait_and_run_after_those_before,
    ),
    (
        "guest_calls_per_connector_max",
        calls_over_the_workspaces_or_the_connectors_number_wait_and_run_after_those_before,
    ),
    (
        "connectors_per_workspace_max",
        made::a_workspace_has_so_many_connectors_and_an_install_beyond_them_is_refused_by_name,
    ),
    (
        "jobs_per_workspace_max",
        an_event_over_the_number_of_jobs_is_refused_by_name_and_recorded,
    ),
    (
        "host_calls_in_flight_per_connector_max",
        requests_under_way_are_counted_over_all_calls_of_a_connector,
    ),
    (
        "http_calls_per_second_max",
        a_request_over_the_rate_waits_and_one_that_waited_too_long_is_refused_by_name,
    ),
    (
        "state_writes_per_second_max",
        state_and_log_over_their_rates_are_refused_and_dropped_by_name,
    ),
    (
        "state_reads_per_second_max",
        reads_of_state_and_calls_of_scratch_files_over_their_rates_are_refused_by_name,
    ),
    (
        "scratch_calls_per_second_max",
        reads_of_state_and_calls_of_scratch_files_over_their_rates_are_refused_by_name,
    ),
    (
        "log_lines_per_second_max",
        state_and_log_over_their_rates_are_refused_and_dropped_by_name,
    ),
    (
        "throttle_ms_max",
        a_manifest_without_patience_is_refused_no_faster_than_its_calls_pass,
    ),
    (
        "host_calls_in_flight_per_workspace_max",
        together::requests_under_way_are_counted_over_all_connectors_of_a_workspace,
    ),
    (
        "http_calls_per_second_per_workspace_max",
        together::requests_of_all_connectors_of_a_workspace_wait_for_its_rate_and_are_refused_by_name,
    ),
    (
        "state_writes_per_second_per_workspace_max",
        together::each_kind_of_host_call_over_its_workspaces_rate_is_refused_or_dropped_by_name,
    ),
    (
        "state_reads_per_second_per_workspace_max",
        together::each_kind_of_host_call_over_its_workspaces_rate_is_refused_or_dropped_by_name,
    ),
    (
        "scratch_calls_per_second_per_workspace_max",
        together::each_kind_of_host_call_over_its_workspaces_rate_is_refused_or_dropped_by_name,
    ),
    (
        "log_lines_per_second_per_workspace_max",
        together::each_kind_of_host_call_over_its_workspaces_rate_is_refused_or_dropped_by_name,
    ),
    (
        "connection_reads_per_second_per_workspace_max",
        together::each_kind_of_host_call_over_its_workspaces_rate_is_refused_or_dropped_by_name,
    ),
];

#[test]
fn every_quota_has_a_test_here() {
    let tested: BTreeSet<String> = TESTED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(tested, names(&json!(Quotas::default())));
    assert_eq!(tested.len(), TESTED.len(), "a quota with two tests");
}

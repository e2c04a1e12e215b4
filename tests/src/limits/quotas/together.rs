//! What all connectors of a workspace may consume together.

use serde_json::{Value, json};

use super::post_aside;
use crate::harness::{CALL_IMPORT, with_manifest};
use crate::limits::{Call, GET, HTTP, LOG, OPEN, SCOPES, SET, Subject, tells};

/// A workspace with the hostile connector, and a twin of it.
fn twins(config: &str) -> (Subject, String) {
    let subject = Subject::new(config);
    let stage = &subject.stage;
    let twin = with_manifest("hostile.wasm", |manifest| {
        manifest.replacen("\"hostile\"", "\"twin\"", 1)
    });
    stage.install_file(&stage.write("twin.wasm", twin), "twin");
    stage.connect("other", "twin");
    let recipe = CALL_IMPORT
        .replace("recipe: call", "recipe: twin")
        .replace("hostile.import", "twin.import")
        .replace("connection: target", "connection: other");
    let hook = stage.apply("twin", &recipe).unwrap();
    (subject, hook)
}

/// So many requests to the upstream.
fn requests(subject: &Subject, times: u32) -> Value {
    let url = format!("http://localhost:{}/anything", subject.stage.upstream.port);
    json!({ "function": HTTP, "times": times, "argument": url })
}

#[test]
pub(super) fn requests_of_all_connectors_of_a_workspace_wait_for_its_rate_and_are_refused_by_name()
{
    let (subject, twin) = twins("");
    let stage = &subject.stage;
    let limit = "http_calls_per_second_per_workspace_max";
    // Two a second: of six requests of two connectors four wait, and all arrive.
    subject.set(&format!("{limit}=2"));
    let before = stage.upstream.effects()["requests"].as_u64().unwrap();
    let (started, input) = (std::time::Instant::now(), requests(&subject, 3));
    let calls = [subject.hook("call"), twin.as_str()].map(|hook| post_aside(stage, hook, &input));
    for call in calls {
        let (status, reply) = call.join().unwrap();
        assert_eq!(
            (status, &reply["seen"]),
            (200, &json!("status 200")),
            "{reply}"
        );
    }
    let took = started.elapsed();
    assert!(took.as_millis() >= 1_900, "{took:?}");
    let after = stage.upstream.effects()["requests"].as_u64().unwrap();
    assert_eq!(after - before, 6);
    // Without patience, the same flood is refused, told and recorded.
    subject.set(&format!("{limit}=1 throttle_ms_max=10"));
    let (status, reply) = stage.post(&twin, &requests(&subject, 3));
    assert_eq!(status, 200, "{reply}");
    let told = stage.last_job().to_string();
    assert!(tells(&told, limit, 1), "{told}");
    assert!(stage.denial("limit"));
}

#[test]
pub(super) fn each_kind_of_host_call_over_its_workspaces_rate_is_refused_or_dropped_by_name() {
    let subject = Subject::new("");
    for (limit, function) in [
        ("state_writes_per_second_per_workspace_max", SET),
        ("state_reads_per_second_per_workspace_max", GET),
        ("scratch_calls_per_second_per_workspace_max", OPEN),
        ("log_lines_per_second_per_workspace_max", LOG),
        ("connection_reads_per_second_per_workspace_max", SCOPES),
    ] {
        let call = Call::Import(function, 5, 6);
        let before = subject.call(call);
        assert!(!before.contains(limit), "before it is lowered: {before}");
        subject.set(&format!("{limit}=1 throttle_ms_max=10"));
        let told = subject.call(call);
        assert!(tells(&told, limit, 1), "{limit}: {told}");
        subject.set(&format!("{limit}=default throttle_ms_max=default"));
    }
}

#[test]
pub(super) fn requests_under_way_are_counted_over_all_connectors_of_a_workspace() {
    let (subject, twin) = twins("[limits]\nwall_ms_max = 4000\n");
    let stage = &subject.stage;
    let limit = "host_calls_in_flight_per_workspace_max";
    subject.set(&format!("{limit}=1 throttle_ms_max=50"));
    stage.upstream.mode("hang");
    let input = requests(&subject, 1);
    let hanging = post_aside(stage, subject.hook("call"), &input);
    stage.until("the first request", |stage| {
        stage.upstream.effects()["requests"]
            .as_u64()
            .filter(|count| *count > 0)
    });
    let (status, reply) = stage.post(&twin, &input);
    assert_eq!(status, 200, "{reply}");
    let told = stage.last_job().to_string();
    assert!(tells(&told, limit, 1), "{told}");
    hanging.join().unwrap();
}

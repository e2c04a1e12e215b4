//! A connector that was installed when limits on manifests were wider, and whose manifest
//! is not taken any more.

use keyway_model::limit::DOCUMENT_BYTES_MAX;
use keyway_model::{Environment, Scope};
use keyway_store::{Kind, NewResource};
use serde_json::Value;

use crate::harness::{INTAKE, Stage, order, with_manifest};
use crate::platform_log::{Log, opened};

/// Makes the manifest of a connector longer than any may be, in the database of a
/// deployment that has ended.
fn make_too_long(stage: &Stage, digest: &str) {
    let (runtime, store) = opened(stage);
    let scope = Scope {
        tenant: Log::Of("acme").tenant(stage),
        environment: Environment::Development,
    };
    let tenant = store.tenant(scope);
    let all = runtime.block_on(tenant.list::<Value>(Kind::Connector));
    let mut all = all.unwrap().into_iter();
    let mut stored = all.find(|one| one.body["digest"] == *digest).unwrap();
    let manifest = stored.body["manifest"].as_str().unwrap();
    let longer = format!("{manifest}\n# {}", "x".repeat(DOCUMENT_BYTES_MAX));
    stored.body["manifest"] = longer.into();
    let change = runtime.block_on(tenant.put(NewResource {
        kind: Kind::Connector,
        id: stored.id,
        name: None,
        version: stored.version + 1,
        state: stored.state,
        body: &stored.body,
    }));
    let unit = store.unit(scope);
    unit.push(change.unwrap());
    runtime.block_on(unit.commit()).unwrap();
}

fn digest_of(stage: &Stage) -> String {
    let shown = stage.json("connector show orders");
    shown["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_version_that_is_not_taken_any_more_is_told_of_and_the_one_that_it_replaced_does_not_run() {
    let mut stage = Stage::with_shop();
    stage.apply("intake", INTAKE).unwrap();
    let first = digest_of(&stage);
    let newer = with_manifest("orders.wasm", |text| text.replace("\"0.1.0\"", "\"0.2.0\""));
    let path = stage.write("newer.wasm", newer);
    stage.install_file(&path, "orders");
    let second = digest_of(&stage);
    assert_ne!(first, second);
    stage.serve.as_mut().unwrap().kill();
    stage.serve = None;
    make_too_long(&stage, &second);
    stage.start();

    // The platform's administrator is told, and so is whoever looks or calls.
    let alarms = stage.json("alarm list");
    let [alarm] = alarms.as_array().unwrap().as_slice() else {
        panic!("{alarms}");
    };
    assert_eq!(alarm["kind"], "connector-left-out");
    assert_eq!(alarm["subject"], "acme/development");
    let limit =
        format!("the manifest is larger than `DOCUMENT_BYTES_MAX` ({DOCUMENT_BYTES_MAX} bytes)");
    let text = alarm["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("`orders` 0.2.0 ({second})")) && text.contains(&limit),
        "{text}"
    );
    let listed = stage.json("connector list");
    let states = listed.as_array().unwrap().iter();
    let states: Vec<_> = states.map(|one| (&one["digest"], &one["state"])).collect();
    let [approved, left_out] = ["approved", "left out"].map(Value::from);
    let digests = [&first, &second].map(|digest| Value::from(digest.as_str()));
    let [first_digest, second_digest] = &digests;
    assert_eq!(
        states,
        [(first_digest, &approved), (second_digest, &left_out)]
    );
    let refused = stage.refused("connection check shop");
    let remedy = format!("keyway connector revoke {second}");
    assert!(
        refused.contains(&limit) && refused.contains(&remedy),
        "{refused}"
    );
    let hook = |stage: &Stage| {
        let shown = stage.json("recipe show intake");
        shown["webhook_url"].as_str().unwrap().to_owned()
    };
    let sent = |stage: &Stage| stage.upstream.effects()["requests"].clone();
    let before = sent(&stage);
    assert_eq!(stage.post(&hook(&stage), &order(1)).0, 502);
    let job = stage.last_job();
    let failure = job["failure"].as_str().unwrap();
    assert!(failure.contains("is left out"), "{job}");
    assert_eq!(sent(&stage), before, "the version before was called");

    // Its approval goes without its manifest, and then the one before runs.
    let revoked = stage.json(&format!("connector revoke {second}"));
    assert_eq!(revoked.as_array().unwrap().len(), 1, "{revoked}");
    assert_eq!(stage.post(&hook(&stage), &order(2)).0, 200);
    assert_ne!(sent(&stage), before);

    // It is installed all the same, and counts.
    stage.ok("workspace limits set acme connectors_per_workspace_max=2");
    let third = with_manifest("orders.wasm", |text| text.replace("\"0.1.0\"", "\"0.3.0\""));
    let path = stage.write("third.wasm", third);
    let over = stage.refused(&format!("connector install {}", path.display()));
    assert!(
        over.contains("`connectors_per_workspace_max` (2)"),
        "{over}"
    );

    // Who has looked at the alarm is not told again at the next start.
    let id = alarm["id"].as_str().unwrap();
    stage.ok(&format!("alarm ack {id}"));
    stage.serve.as_mut().unwrap().kill();
    stage.serve = None;
    stage.start();
    let again = stage.json("alarm list");
    let [again] = again.as_array().unwrap().as_slice() else {
        panic!("{again}");
    };
    assert_eq!(again["id"], alarm["id"]);
    assert!(again["acknowledged_at"].is_string(), "{again}");
}

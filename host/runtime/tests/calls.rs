//! What calls come to, over the ipc protocol.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod support;

use keyway_confine::Confinement;
use keyway_ipc::{CallOutcome, Entrance, PollBatch, PollEvent, ToBroker, Trap, over_pipes};
use keyway_model::Failure;
use keyway_model::call::RateLimit;
use keyway_runtime::run_process;
use std::thread;
use std::time::Duration;
use support::{Broker, guest, value};

#[tokio::test]
async fn an_action_answers_with_its_output() {
    let mut broker = Broker::with("echo").await;
    let done = broker.act("echo", r#"{"a":1}"#).await;
    assert_eq!(done.outcome, value(r#"{"a":1}"#));
    assert!(done.usage.memory_bytes >= 64 << 10);
    assert_eq!((done.usage.host_calls, done.usage.log_lines), (0, 0));
}

#[tokio::test]
async fn an_actions_failure_keeps_its_case() {
    let mut broker = Broker::with("echo").await;
    let failure = Failure::InvalidInput("no id".to_owned());
    assert_eq!(
        broker.act("invalid-input", "no id").await.outcome,
        CallOutcome::Failure(failure)
    );
    let limit = RateLimit {
        message: "slow".to_owned(),
        retry_after_seconds: Some(7),
    };
    let failure = Failure::RateLimited(limit);
    assert_eq!(
        broker.act("rate-limited", "slow").await.outcome,
        CallOutcome::Failure(failure)
    );
}

#[tokio::test]
async fn a_poll_answers_with_a_batch() {
    let mut broker = Broker::with("echo").await;
    let poll = Entrance::Poll {
        name: "new".to_owned(),
        input: "{}".to_owned(),
        cursor: None,
    };
    broker.start(poll).await;
    let event = PollEvent {
        deduplication_key: "one".to_owned(),
        payload: "{}".to_owned(),
    };
    let batch = PollBatch {
        events: vec![event],
        cursor: Some("next".to_owned()),
        more: false,
    };
    assert_eq!(broker.finish().await.outcome, CallOutcome::Batch(batch));
}

#[tokio::test]
async fn a_check_answers_who_the_credential_belongs_to() {
    let mut broker = Broker::with("echo").await;
    broker.start(Entrance::Check).await;
    assert_eq!(broker.finish().await.outcome, value("checked"));
}

#[tokio::test]
async fn logic_answers_or_ends_with_an_error_of_its_own() {
    let mut broker = Broker::with("logic").await;
    broker
        .start(Entrance::Run {
            input: "7".to_owned(),
        })
        .await;
    assert_eq!(broker.finish().await.outcome, value("7"));
    broker
        .start(Entrance::Run {
            input: "fail".to_owned(),
        })
        .await;
    assert_eq!(
        broker.finish().await.outcome,
        CallOutcome::LogicError("refused".to_owned())
    );
}

#[tokio::test]
async fn the_expression_engine_checks_and_runs() {
    let mut broker = Broker::with("expressions").await;
    broker
        .start(Entrance::CheckExpressions {
            request: "x".to_owned(),
        })
        .await;
    assert_eq!(broker.finish().await.outcome, value("checked x"));
    broker
        .start(Entrance::Run {
            input: "x".to_owned(),
        })
        .await;
    assert_eq!(broker.finish().await.outcome, value("ran x"));
}

#[tokio::test]
async fn an_export_of_another_world_cannot_be_called() {
    let mut broker = Broker::with("logic").await;
    let outcome = broker.act("echo", "{}").await.outcome;
    assert!(
        matches!(outcome, CallOutcome::Trap(Trap::Component(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_component_that_was_unloaded_cannot_be_called() {
    let mut broker = Broker::with("echo").await;
    let artifact = keyway_model::Digest::of(&guest("echo"));
    broker.send(keyway_ipc::ToWorker::Unload { artifact }).await;
    let outcome = broker.act("echo", "{}").await.outcome;
    let expected = Trap::Component(format!("{artifact} is not loaded"));
    assert_eq!(outcome, CallOutcome::Trap(expected));
}

#[tokio::test]
async fn calls_run_side_by_side_and_each_in_an_instance_of_its_own() {
    let mut broker = Broker::with("echo").await;
    for number in 0..20 {
        broker.start_action("echo", &number.to_string()).await;
    }
    let mut answers = Vec::new();
    for _ in 0..20 {
        match broker.finish().await.outcome {
            CallOutcome::Value(text) => answers.push(text.parse::<u32>().unwrap()),
            other => panic!("{other:?}"),
        }
    }
    answers.sort_unstable();
    assert_eq!(answers, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_worker_process_serves_lanes_until_the_broker_closes_them() {
    let mut ends = Vec::new();
    let mut lanes = Vec::new();
    for _ in 0..2 {
        let (ours, theirs) = keyway_ipc::pair().unwrap();
        ends.push(ours);
        lanes.push(theirs);
    }
    let process = thread::spawn(move || {
        let (size, life) = (support::pool(), Duration::from_secs(3_600));
        run_process(lanes, &size, life, Confinement::dangerous_none())
    });
    for end in ends {
        let link = over_pipes(end).unwrap();
        let mut broker = Broker::over(link, "echo").await;
        assert_eq!(
            broker.act("echo", "through a pipe").await.outcome,
            value("through a pipe")
        );
    }
    // Joined elsewhere, since this runtime has to close its ends meanwhile.
    tokio::task::spawn_blocking(move || process.join())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_component_is_loaded_only_from_code_of_this_compiler() {
    let mut broker = Broker::with("echo").await;
    let artifact = keyway_model::Digest::of(b"another");
    let mut code = support::code("logic");
    code.truncate(code.len() / 2);
    let load = keyway_ipc::ToWorker::Load {
        artifact,
        length: code.len() as u64,
    };
    broker
        .link
        .sender
        .send_with(load, keyway_runtime::seal(&code).unwrap())
        .await
        .unwrap();
    let ToBroker::Loaded {
        failed: Some(text), ..
    } = broker.receive().await
    else {
        panic!("it was loaded")
    };
    assert!(text.contains("compile the component again"), "{text}");
}

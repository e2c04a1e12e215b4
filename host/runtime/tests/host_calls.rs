//! What guests ask of the host, and what they get.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod support;

use keyway_ipc::{
    CallOutcome, HostCall, HostReply, LogLevel, ScratchCall, ScratchRefusal, StateRefusal,
    ToWorker, Trap,
};
use keyway_model::limit::CallLimits;
use support::{Broker, limits, value};

async fn asked(name: &str, input: &str, reply: HostReply) -> (HostCall, CallOutcome) {
    let mut broker = Broker::with("host").await;
    let call = broker.start_action(name, input).await;
    let (request, host_call) = broker.host_call().await;
    broker.reply(call, request, reply).await;
    (host_call, broker.finish().await.outcome)
}

#[tokio::test]
async fn a_parameter_is_asked_of_the_broker() {
    let reply = HostReply::Parameter(Some("acme".to_owned()));
    let (host_call, outcome) = asked("parameter", "subdomain", reply).await;
    assert!(matches!(host_call, HostCall::Parameter));
    assert_eq!(outcome, value(r#"Some("acme")"#));
}

#[tokio::test]
async fn a_parameter_that_came_with_the_call_is_answered_in_the_worker_and_counted() {
    let mut broker = Broker::with("host").await;
    broker.parameters = Some(vec![("subdomain".to_owned(), "acme".to_owned())]);
    for (name, seen) in [("subdomain", r#"Some("acme")"#), ("region", "None")] {
        let finished = broker.act("parameter", name).await;
        assert_eq!(finished.outcome, value(seen));
        assert_eq!(finished.usage.parameter_reads, 1);
        assert_eq!(finished.usage.host_calls, 1);
    }
}

#[tokio::test]
async fn scopes_are_asked_of_the_broker() {
    let reply = HostReply::Scopes(vec!["read".to_owned(), "write".to_owned()]);
    let (host_call, outcome) = asked("scopes", "", reply).await;
    assert!(matches!(host_call, HostCall::Scopes));
    assert_eq!(outcome, value("read write"));
}

/// What the broker is asked of the file `rows`, and what the guest makes of `reply`.
async fn scratch(function: &str, reply: HostReply) -> (ScratchCall, CallOutcome) {
    match asked(function, "../rows", reply).await {
        (HostCall::Scratch(call), outcome) => (call, outcome),
        (other, _) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn scratch_files_are_the_brokers_and_names_reach_it_as_they_were_written() {
    let (call, outcome) = scratch("scratch-open", HostReply::Scratch(Ok(7))).await;
    assert!(matches!(call, ScratchCall::Open { name } if name == "../rows"));
    assert_eq!(outcome, value("Ok(7)"));

    let reply = HostReply::ScratchBytes(Ok(b"rows".as_slice().into()));
    let (call, outcome) = scratch("scratch-read", reply).await;
    assert!(matches!(call, ScratchCall::Read { name, offset: 3, length: 4 } if name == "../rows"));
    assert_eq!(outcome, value("Ok([114, 111, 119, 115])"));

    let (call, outcome) = scratch("scratch-write", HostReply::Scratch(Ok(8))).await;
    assert!(
        matches!(call, ScratchCall::Write { name, offset: 3, bytes } if name == "../rows" && *bytes == *b"bytes")
    );
    assert_eq!(outcome, value("Ok(())"));

    let reply = HostReply::ScratchFiles(Ok(vec![("rows".to_owned(), 7)]));
    let (call, outcome) = scratch("scratch-list", reply).await;
    assert!(matches!(call, ScratchCall::List));
    assert_eq!(outcome, value("Ok([Entry { name: \"rows\", bytes: 7 }])"));

    let (call, outcome) = scratch("scratch-remove", HostReply::Scratch(Ok(0))).await;
    assert!(matches!(call, ScratchCall::Remove { name } if name == "../rows"));
    assert_eq!(outcome, value("Ok(())"));
}

#[tokio::test]
async fn every_refusal_of_a_scratch_file_reaches_the_guest() {
    for (refusal, seen) in [
        (ScratchRefusal::Denied, "Err(Refusal::Denied)"),
        (
            ScratchRefusal::Limit("files (2)".to_owned()),
            "Err(Refusal::Limit(\"files (2)\"))",
        ),
        (
            ScratchRefusal::BadName("a dot".to_owned()),
            "Err(Refusal::BadName(\"a dot\"))",
        ),
        (ScratchRefusal::NotFound, "Err(Refusal::NotFound)"),
        (ScratchRefusal::BehindEnd, "Err(Refusal::BehindEnd)"),
    ] {
        let (_, outcome) = scratch("scratch-open", HostReply::Scratch(Err(refusal))).await;
        assert_eq!(outcome, value(seen));
    }
}

#[tokio::test]
async fn state_is_read_and_written_by_the_broker() {
    let reply = HostReply::State(Ok(Some("old".to_owned())));
    let (host_call, outcome) = asked("state-get", "key", reply).await;
    assert!(matches!(host_call, HostCall::StateGet { key } if key == "key"));
    assert_eq!(outcome, value(r#"Ok(Some("old"))"#));

    let (host_call, outcome) = asked("state-set", "new", HostReply::Stored(Ok(()))).await;
    assert!(matches!(host_call, HostCall::StateSet { value, .. } if value == "new"));
    assert_eq!(outcome, value("Ok(())"));
}

#[tokio::test]
async fn keys_values_and_names_over_their_limits_do_not_leave_the_worker() {
    let mut broker = Broker::with("host").await;
    broker.limits = CallLimits {
        state_key_bytes_max: 10,
        state_value_bytes_max: 20,
        ..limits()
    };
    let long_key = "k".repeat(11);
    let long_value = "v".repeat(21);
    for (function, input, limit) in [
        ("state-get", long_key.as_str(), "state_key_bytes_max (10)"),
        ("state-delete", &long_key, "state_key_bytes_max (10)"),
        ("state-set", &long_value, "state_value_bytes_max (20)"),
        ("scratch-open", &"n".repeat(256), "255 bytes"),
        ("scratch-read", &"n".repeat(256), "255 bytes"),
        ("scratch-write", &"n".repeat(256), "255 bytes"),
        ("scratch-remove", &"n".repeat(256), "255 bytes"),
    ] {
        // Nobody answers for the broker: it is not asked.
        let finished = broker.act(function, input).await;
        let said = format!("{:?}", finished.outcome);
        assert!(said.contains(limit), "{function}: {said}");
        assert_eq!(finished.usage.host_calls, 1, "{function}");
    }
}

#[tokio::test]
async fn a_refused_state_change_is_an_error_value() {
    let reply = HostReply::Stored(Err(StateRefusal::Denied));
    let (_, outcome) = asked("state-delete", "key", reply).await;
    assert_eq!(outcome, value("Err(Refusal::Denied)"));
}

#[tokio::test]
async fn a_trap_as_an_answer_ends_the_guest() {
    let trap = Trap::Host("the audit log is full".to_owned());
    let (_, outcome) = asked("parameter", "x", HostReply::Trap(trap.clone())).await;
    assert_eq!(outcome, CallOutcome::Trap(trap));
}

#[tokio::test]
async fn an_answer_to_another_question_ends_the_guest() {
    let (_, outcome) = asked("parameter", "x", HostReply::Scopes(Vec::new())).await;
    assert!(
        matches!(outcome, CallOutcome::Trap(Trap::Host(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_call_that_waits_in_a_host_call_can_be_cancelled() {
    let mut broker = Broker::with("host").await;
    let call = broker.start_action("parameter", "x").await;
    broker.host_call().await;
    let reason = Trap::Cancelled("nobody waits".to_owned());
    broker
        .send(ToWorker::Cancel {
            call,
            reason: reason.clone(),
        })
        .await;
    assert_eq!(broker.finish().await.outcome, CallOutcome::Trap(reason));
}

#[tokio::test]
async fn a_log_line_is_sent_and_not_answered() {
    let mut broker = Broker::with("host").await;
    let done = broker.act("log", "a line").await;
    assert_eq!(done.lines, [(LogLevel::Warn, "a line".to_owned())]);
    assert_eq!((done.usage.log_lines, done.usage.host_calls), (1, 1));
}

#[tokio::test]
async fn what_is_printed_becomes_log_lines() {
    let mut broker = Broker::with("host").await;
    let done = broker.act("print", "one\ntwo").await;
    let expected = [
        (LogLevel::Info, "one".to_owned()),
        (LogLevel::Info, "two".to_owned()),
        (LogLevel::Warn, "an error without a line end".to_owned()),
    ];
    assert_eq!(done.lines, expected);
}

#[tokio::test]
async fn a_guest_has_no_environment_and_no_arguments() {
    let mut broker = Broker::with("host").await;
    assert_eq!(broker.act("surroundings", "").await.outcome, value("0 0"));
}

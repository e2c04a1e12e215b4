//! What a worker says of how a call ended, and what a guest may give.

use keyway_ipc::{PollBatch, PollEvent};
use keyway_model::Failure;
use keyway_model::limit::{POLL_CURSOR_BYTES_MAX, POLL_KEY_BYTES_MAX, TRAP_BYTES_MAX};

use super::*;

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn batch(cursor: usize, key: usize, payload: usize) -> CallOutcome {
    let event = PollEvent {
        deduplication_key: text(key),
        payload: text(payload),
    };
    CallOutcome::Batch(PollBatch {
        events: vec![event],
        cursor: Some(text(cursor)),
        more: false,
    })
}

/// What is heard of a worker that says so, and whether it is given up.
async fn heard(outcome: CallOutcome) -> (Option<CallOutcome>, bool) {
    let usage = Usage::default();
    let (lane, mut running) = after(|call| {
        vec![ToBroker::Done {
            call,
            outcome,
            usage,
        }]
    })
    .await;
    let Some(Event::Done(heard, _)) = running.next().await else {
        return (None, is_given_up(&lane));
    };
    (Some(heard), is_given_up(&lane))
}

#[tokio::test]
async fn a_worker_that_answers_with_more_than_a_guest_may_is_given_up() {
    let max = CallLimits::default().value_bytes_max as usize;
    let (cursor, key) = (POLL_CURSOR_BYTES_MAX, POLL_KEY_BYTES_MAX);
    for beyond in [
        CallOutcome::Value(text(max + 1)),
        CallOutcome::LogicError(text(max + 1)),
        CallOutcome::Failure(Failure::Permanent(text(max + 1))),
        CallOutcome::Trap(Trap::Guest(text(TRAP_BYTES_MAX + 1))),
        batch(cursor + 1, 1, 0),
        batch(2 << 20, 1, 0),
        batch(0, key + 1, 0),
        batch(cursor, key, max - cursor - key + 1),
    ] {
        assert_eq!(heard(beyond).await, (None, true));
    }
}

#[tokio::test]
async fn a_worker_that_answers_with_all_that_a_guest_may_is_heard() {
    let max = CallLimits::default().value_bytes_max as usize;
    let (cursor, key) = (POLL_CURSOR_BYTES_MAX, POLL_KEY_BYTES_MAX);
    for within in [
        CallOutcome::Value(text(max)),
        CallOutcome::LogicError(text(max)),
        CallOutcome::Failure(Failure::Permanent(text(max))),
        CallOutcome::Trap(Trap::Guest(text(1 << 10))),
        batch(cursor, key, max - cursor - key),
    ] {
        assert_eq!(heard(within.clone()).await, (Some(within), false));
    }
}

#[tokio::test]
async fn an_answer_is_held_to_the_limits_of_its_own_call() {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
    let reading = tokio::spawn(reader);
    let limits = CallLimits {
        value_bytes_max: 10,
        ..CallLimits::default()
    };
    let small = Invoke { limits, ..invoke() };
    let (mut small, mut large) = (
        lane.start(small).await.unwrap(),
        lane.start(invoke()).await.unwrap(),
    );
    for call in [small.call, large.call] {
        let said = ToBroker::Done {
            call,
            outcome: CallOutcome::Value(text(11)),
            usage: Usage::default(),
        };
        worker.sender.send(said).await.unwrap();
    }
    drop(worker);
    reading.await.unwrap();
    assert!(large.next().await.is_some());
    assert!(!is_given_up(&lane));
    assert!(small.next().await.is_none());
    assert!(is_given_up(&lane));
}

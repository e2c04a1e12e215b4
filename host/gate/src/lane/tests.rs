//! A call that nobody waits for any more, and the worker that has to end it.

use super::*;
use keyway_ipc::Entrance;
use keyway_model::limit::CallLimits;

fn invoke() -> Invoke {
    Invoke {
        call: CallId(0),
        group: 0,
        artifact: Digest::of(b"component"),
        entrance: Entrance::Check,
        limits: CallLimits::default(),
        reserved_headers: Vec::new(),
        parameters: None,
    }
}

#[tokio::test]
async fn a_worker_that_does_not_end_a_cancelled_call_is_given_up() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker);
    let reading = tokio::spawn(reader);
    let mut readiness = lane.readiness();
    drop(lane.start(invoke()).await.unwrap());
    // It hears of it and does nothing.
    while !matches!(
        worker.receiver.receive().await.unwrap().unwrap().message,
        ToWorker::Cancel { .. }
    ) {}
    readiness
        .wait_for(|ready| *ready == Readiness::Wedged)
        .await
        .unwrap();
    assert!(!lane.is_open());
    drop(worker);
    reading.await.unwrap();
}

#[tokio::test]
async fn a_worker_that_ends_a_cancelled_call_in_time_is_kept() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker);
    let reading = tokio::spawn(reader);
    drop(lane.start(invoke()).await.unwrap());
    loop {
        if let ToWorker::Cancel { call, reason } =
            worker.receiver.receive().await.unwrap().unwrap().message
        {
            let outcome = CallOutcome::Trap(reason);
            let usage = Usage::default();
            let done = ToBroker::Done {
                call,
                outcome,
                usage,
            };
            worker.sender.send(done).await.unwrap();
            break;
        }
    }
    while !lane.ending.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(
        END_GRACE * 2,
        lane.readiness().wait_for(|r| *r == Readiness::Wedged),
    )
    .await
    .unwrap_err();
    assert!(lane.is_open());
    drop(worker);
    reading.await.unwrap();
}

#[tokio::test]
async fn a_call_that_had_ended_before_it_was_dropped_costs_nothing() {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker);
    let reading = tokio::spawn(reader);
    let running = lane.start(invoke()).await.unwrap();
    let call = running.call;
    let outcome = CallOutcome::Value("null".to_owned());
    let usage = Usage::default();
    let done = ToBroker::Done {
        call,
        outcome,
        usage,
    };
    worker.sender.send(done).await.unwrap();
    while !lane
        .calls
        .lock()
        .get(&call)
        .is_some_and(|queue| queue.is_over)
    {
        tokio::task::yield_now().await;
    }
    // Its end has arrived, and nobody has read it.
    drop(running);
    assert!(lane.ending.lock().is_empty());
    assert!(lane.is_open());
    drop(worker);
    reading.await.unwrap();
}

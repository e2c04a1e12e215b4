//! A call that nobody waits for any more, and the worker that has to end it.

use bytes::Bytes;

use super::*;
use keyway_ipc::{BodyStart, CallOutcome, Entrance, HostCall, HttpRequest, RequestId, Usage};
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

/// A lane whose worker says `said` of its one call, and what has become of it.
async fn after(said: impl Fn(CallId) -> Vec<ToBroker>) -> (Arc<Lane>, RunningCall) {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker);
    let reading = tokio::spawn(reader);
    let running = lane.start(invoke()).await.unwrap();
    for message in said(running.call) {
        worker.sender.send(message).await.unwrap();
    }
    drop(worker);
    reading.await.unwrap();
    (lane, running)
}

fn done(call: CallId) -> ToBroker {
    ToBroker::Done {
        call,
        outcome: CallOutcome::Value("x".repeat(1 << 20)),
        usage: Usage::default(),
    }
}

fn asks(call: CallId, request: u32, headers: usize, body: usize) -> ToBroker {
    ToBroker::Host {
        call,
        request: RequestId(request),
        host_call: HostCall::Http(HttpRequest {
            method: "GET".to_owned(),
            url: "https://a.test/".to_owned(),
            headers: vec![(String::new(), Bytes::new()); headers],
            body: BodyStart::Whole(vec![0; body].into()),
            first_byte_ms: None,
        }),
    }
}

fn is_given_up(lane: &Lane) -> bool {
    *lane.readiness().borrow() == Readiness::Wedged
}

#[tokio::test]
async fn a_call_ends_once_whatever_a_worker_says() {
    let (lane, mut running) = after(|call| (0..100).map(|_| done(call)).collect()).await;
    let ended = running.next().await;
    assert!(matches!(ended, Some(Event::Done(CallOutcome::Value(_), _))));
    assert!(running.next().await.is_none());
    assert_eq!(lane.waiting_bytes.load(Ordering::Relaxed), 0);
    // It did not run when the worker ended, but it had been there.
    assert_eq!(lane.left_behind().len(), 1);
}

#[tokio::test]
async fn a_worker_that_fills_the_broker_is_given_up() {
    let pieces = EVENT_BYTES_MAX / (4 << 20) + 1;
    let (lane, _) = after(|call| {
        let numbers = 0_u32..;
        let pieces = numbers.take(pieces);
        pieces
            .map(|number| asks(call, number, 0, 4 << 20))
            .collect()
    })
    .await;
    assert!(is_given_up(&lane));
}

#[tokio::test]
async fn a_worker_that_sends_headers_no_guest_could_is_given_up() {
    let (lane, _) = after(|call| vec![asks(call, 0, 1_000, 0)]).await;
    assert!(!is_given_up(&lane));
    let (lane, _) = after(|call| vec![asks(call, 0, 100_000, 0)]).await;
    assert!(is_given_up(&lane));
}

#[tokio::test]
async fn a_worker_that_answers_what_it_was_not_told_is_given_up() {
    let (lane, _) = after(|_| {
        vec![ToBroker::Loaded {
            artifact: Digest::of(b"another"),
            failed: Some("\u{1b}[2J".to_owned()),
        }]
    })
    .await;
    assert!(is_given_up(&lane));
}

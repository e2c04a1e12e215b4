//! A call that nobody waits for any more, and the worker that has to end it.

use bytes::Bytes;
use futures_util::FutureExt as _;

mod answers;
mod flood;
mod held;
mod loss;

use super::*;
use keyway_ipc::{BodyStart, CallOutcome, Entrance, HostCall, HttpRequest, RequestId, Usage};
use keyway_model::limit::CallLimits;

use crate::presence::Waited;

fn invoke() -> Invoke {
    Invoke {
        call: CallId(0),
        group: 0,
        artifact: Digest::of(b"component"),
        entrance: Entrance::Check,
        limits: CallLimits::default(),
        memory_bytes_per_workspace_max: 1 << 30,
        reserved_headers: Vec::new(),
        parameters: None,
    }
}

/// Waits until the lane is given up, and no longer than twice any of its limits.
async fn becomes_wedged(lane: &Lane) {
    let mut readiness = lane.readiness();
    let wedged = readiness.wait_for(|ready| *ready == Readiness::Wedged);
    let waited = tokio::time::timeout(Duration::from_secs(10), wedged).await;
    assert!(waited.is_ok_and(|ready| ready.is_ok()));
    assert!(!lane.is_open());
}

#[tokio::test]
async fn a_worker_that_does_not_end_a_cancelled_call_is_given_up() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
    let reading = tokio::spawn(reader);
    drop(lane.start(invoke()).await.unwrap());
    // It hears of it and does nothing.
    while !matches!(
        worker.receiver.receive().await.unwrap().unwrap().message,
        ToWorker::Cancel { .. }
    ) {}
    becomes_wedged(&lane).await;
    drop(worker);
    reading.await.unwrap();
    // Its own component had been there, too.
    assert_eq!(lane.left_behind().await.len(), 1);
}

#[tokio::test]
async fn a_worker_that_reads_nothing_is_given_up() {
    let (ours, theirs) = keyway_ipc::pair().unwrap();
    let broker = keyway_ipc::over_pipes(ours).unwrap();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
    let reading = tokio::spawn(reader);
    let begun = Instant::now();
    let mut running = Vec::new();
    // What may wait to be sent, and what a pipe takes, are some megabytes.
    while running.len() < 10 {
        let input = "x".repeat(1 << 20);
        let entrance = Entrance::Run { input };
        match lane
            .start(Invoke {
                entrance,
                ..invoke()
            })
            .await
        {
            Ok(call) => running.push(call),
            Err(WorkerGone) => break,
        }
    }
    assert!((4..10).contains(&running.len()), "{}", running.len());
    assert!(begun.elapsed() >= Duration::from_millis(LANE_SENDING_MS_MAX));
    becomes_wedged(&lane).await;
    drop(theirs);
    reading.await.unwrap();
}

#[tokio::test]
async fn a_worker_that_ends_a_cancelled_call_in_time_is_kept() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
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
    // It was there all the same.
    assert_eq!(lane.left_behind().await.len(), 1);
}

#[tokio::test]
async fn a_call_that_had_ended_before_it_was_dropped_costs_nothing() {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
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
async fn after(said: impl FnOnce(CallId) -> Vec<ToBroker>) -> (Arc<Lane>, RunningCall) {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
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

fn component(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

#[tokio::test]
async fn a_worker_that_said_in_time_how_a_call_ended_is_not_given_up_for_what_was_not_read() {
    let (lane, mut running) = after(|call| vec![asks(call, 1, 0, 0), done(call)]).await;
    let (outcome, _) = running.end(Waited::TooLong, 1).await;
    assert!(matches!(outcome, CallOutcome::Value(_)), "{outcome:?}");
    assert!(!is_given_up(&lane));

    let (lane, mut running) = after(|call| vec![asks(call, 1, 0, 0)]).await;
    let (outcome, _) = running.end(Waited::TooLong, 1).await;
    assert!(
        matches!(&outcome, CallOutcome::Trap(Trap::Limit { name, .. }) if name == "wall_ms_max"),
        "{outcome:?}"
    );
    assert!(is_given_up(&lane));
}

/// A lane whose one call runs when its worker is lost, by `lose`, and what the
/// call had been told when the loss was noted.
async fn at_loss(
    lose: impl AsyncFnOnce(&Lane, keyway_ipc::Link<ToBroker, ToWorker>),
) -> Vec<String> {
    let running: Arc<Mutex<Option<RunningCall>>> = Arc::default();
    let noted: Arc<Mutex<Vec<String>>> = Arc::default();
    let on_loss = {
        let (running, noted) = (Arc::clone(&running), Arc::clone(&noted));
        move |left: &BTreeSet<Digest>| {
            assert_eq!(left.len(), 1);
            let mut running = running.lock();
            let told = running.as_mut().unwrap().events.try_recv();
            noted.lock().push(format!("{told:?}"));
        }
    };
    let setup = LaneSetup {
        on_loss: Arc::new(on_loss),
        ..LaneSetup::default()
    };
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, setup);
    let reading = tokio::spawn(reader);
    *running.lock() = Some(lane.start(invoke()).await.unwrap());
    lose(&lane, worker).await;
    reading.await.unwrap();
    let mut running = running.lock().take().unwrap();
    assert!(running.next().await.is_none());
    std::mem::take(&mut *noted.lock())
}

#[tokio::test]
async fn the_loss_of_a_worker_is_noted_before_its_calls_can_be_made_again() {
    let ended = at_loss(async |_, worker| drop(worker)).await;
    assert_eq!(ended, ["Err(Empty)"]);
    let given_up = at_loss(async |lane, worker| {
        lane.give_up();
        drop(worker);
    });
    assert_eq!(given_up.await, ["Err(Empty)", "Err(Empty)"]);
}

#[tokio::test]
async fn a_worker_that_is_given_up_leaves_its_components_behind_when_it_is_gone() {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
    let reading = tokio::spawn(reader);
    let running = lane.start(invoke()).await.unwrap();
    lane.give_up();
    drop(worker);
    reading.await.unwrap();
    let left = lane.left_behind().now_or_never();
    assert_eq!(left.map(|left| left.len()), Some(1));
    drop(running);
}

#[tokio::test]
async fn a_host_that_failed_is_believed_only_from_the_host() {
    let trap = || Trap::Host("nothing can be written".to_owned());
    let says = |trap: Trap| {
        move |call| {
            let outcome = CallOutcome::Trap(trap.clone());
            let usage = Usage::default();
            vec![ToBroker::Done {
                call,
                outcome,
                usage,
            }]
        }
    };
    // A worker that was taken over would have the job wait for ever.
    for own in [trap(), Trap::WorkerGone] {
        let (lane, mut running) = after(says(own)).await;
        assert!(running.next().await.is_none());
        assert!(is_given_up(&lane));
    }
    let (lane, mut running) = after(says(Trap::Host("in other words".to_owned()))).await;
    running.line().note_host_failed(&trap());
    let Some(Event::Done(CallOutcome::Trap(said), _)) = running.next().await else {
        unreachable!("it was not believed")
    };
    assert_eq!(said, trap());
    assert!(!is_given_up(&lane));
}

#[tokio::test]
async fn calls_of_a_component_are_ended_and_their_worker_is_held_to_end_them() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, _reader) = Lane::over(broker, LaneSetup::default());
    let mut ended = lane.start(invoke()).await.unwrap();
    let other = Invoke {
        artifact: component("another"),
        ..invoke()
    };
    let mut other = lane.start(other).await.unwrap();
    lane.end_calls_of(&invoke().artifact, "quarantine");
    let told = ended.next().now_or_never().flatten();
    let Some(Event::Done(CallOutcome::Trap(Trap::Component(why)), _)) = told else {
        unreachable!("it goes on")
    };
    assert_eq!(why, "quarantine");
    assert!(other.next().now_or_never().is_none());
    drop(ended);
    while !matches!(
        worker.receiver.receive().await.unwrap().unwrap().message,
        ToWorker::Cancel { .. }
    ) {}
    assert_eq!(lane.ending.lock().len(), 1);
}

//! Workers that say more than any guest could have them say.

use super::*;
use keyway_ipc::ScratchCall;
use keyway_model::limit::{CALL_EVENTS_MAX, LANE_EVENT_BYTES_MAX};

#[tokio::test]
async fn a_call_ends_once_whatever_a_worker_says() {
    let (lane, mut running) = after(|call| (0..100).map(|_| done(call)).collect()).await;
    let ended = running.next().await;
    assert!(matches!(ended, Some(Event::Done(CallOutcome::Value(_), _))));
    assert!(running.next().await.is_none());
    assert_eq!(lane.waiting_bytes.load(Ordering::Relaxed), 0);
    // It did not run when the worker ended, but it had been there.
    assert_eq!(lane.left_behind().await.len(), 1);
}

#[tokio::test]
async fn a_worker_that_fills_the_broker_is_given_up() {
    let pieces = LANE_EVENT_BYTES_MAX / (1 << 20) + 1;
    let (lane, _) = after(|call| {
        let numbers = 0_u32..;
        let pieces = numbers.take(pieces);
        pieces
            .map(|number| ToBroker::Host {
                call,
                request: RequestId(number),
                host_call: write(1, 1 << 20),
            })
            .collect()
    })
    .await;
    assert!(is_given_up(&lane));
}

/// A request of which one thing is `changed`.
fn request(changed: impl FnOnce(&mut HttpRequest)) -> HostCall {
    let mut request = HttpRequest {
        method: "GET".to_owned(),
        url: "https://a.test/".to_owned(),
        headers: Vec::new(),
        body: BodyStart::Whole(Bytes::new()),
        first_byte_ms: None,
    };
    changed(&mut request);
    HostCall::Http(request)
}

fn bytes(length: usize) -> Bytes {
    vec![0; length].into()
}

fn stream(length: usize) -> BodyStart {
    BodyStart::Stream {
        first: bytes(length),
        length: None,
    }
}

fn write(name: usize, length: usize) -> HostCall {
    HostCall::Scratch(ScratchCall::Write {
        name: "n".repeat(name),
        offset: 0,
        bytes: bytes(length),
    })
}

#[tokio::test]
async fn a_worker_that_sends_what_no_guest_could_is_given_up() {
    let host = |host_call| {
        move |call| {
            vec![ToBroker::Host {
                call,
                request: RequestId(0),
                host_call,
            }]
        }
    };
    let header = |length| (String::new(), bytes(length));
    // Each at its largest, and one more.
    for (fits, does_not) in [
        (
            request(|it| it.method = "M".repeat(64)),
            request(|it| it.method = "M".repeat(65)),
        ),
        (
            request(|it| it.url = "u".repeat(64 << 10)),
            request(|it| it.url = "u".repeat((64 << 10) + 1)),
        ),
        (
            request(|it| it.body = BodyStart::Whole(bytes(64 << 10))),
            request(|it| it.body = BodyStart::Whole(bytes((64 << 10) + 1))),
        ),
        (
            request(|it| it.body = stream(128 << 10)),
            request(|it| it.body = stream((128 << 10) + 1)),
        ),
        (
            request(|it| it.headers = vec![header(32 << 10); 2]),
            request(|it| it.headers = vec![header(32 << 10), header((32 << 10) + 1)]),
        ),
        (write(255, 1 << 20), write(256, 0)),
        (write(1, 1 << 20), write(1, (1 << 20) + 1)),
    ] {
        assert!(!is_given_up(&after(host(fits)).await.0));
        assert!(is_given_up(&after(host(does_not)).await.0));
    }
}

#[tokio::test]
async fn host_calls_under_way_hold_no_more_than_one_call_and_one_worker_may() {
    let (broker, _worker) = keyway_ipc::in_process();
    let (lane, _reader) = Lane::over(broker, LaneSetup::default());
    let whole = request(|it| it.body = BodyStart::Whole(bytes(64 << 10)));
    let running = lane.start(invoke()).await.unwrap();
    let all_of = |running: &RunningCall| {
        let mut held: Vec<_> = Vec::new();
        loop {
            match running.charge(&whole) {
                Ok(charge) => held.push(charge),
                Err(trap) => return (held, trap),
            }
        }
    };
    let (held, trap) = all_of(&running);
    let Trap::Limit { name, value } = trap else {
        unreachable!("{trap:?}")
    };
    assert_eq!((name.as_str(), value), ("RETAINED_BYTES_MAX", 16 << 20));
    // Less than 16 MiB / 64 KiB, for a request is more than its body.
    assert!((250..256).contains(&held.len()), "{}", held.len());
    // They hold it until they have ended, however that is.
    drop(held);
    assert!(running.charge(&whole).is_ok());
    assert_eq!(lane.under_way_bytes.load(Ordering::Relaxed), 0);
    let mut calls = Vec::new();
    let host_trap = loop {
        let running = lane.start(invoke()).await.unwrap();
        let (held, trap) = all_of(&running);
        calls.push((running, held));
        if let Trap::Host(why) = trap {
            break why;
        }
    };
    assert!(host_trap.contains("hold 1073741824 bytes"), "{host_trap}");
    assert!((64..=66).contains(&calls.len()), "{}", calls.len());
}

#[tokio::test]
async fn a_worker_that_talks_of_calls_that_are_not_is_given_up() {
    let nobodys = |said: fn(CallId, u32) -> ToBroker, times| {
        move |_| {
            (0..times)
                .map(|number| said(CallId(1_000), number))
                .collect()
        }
    };
    let few = nobodys(|call, number| asks(call, number, 10, 0), 1_000);
    let (lane, _) = after(few).await;
    assert!(!is_given_up(&lane));
    let floods: [fn(CallId, u32) -> ToBroker; 3] = [
        |call, number| asks(call, number, 100, 0),
        |call, number| ToBroker::Chunk {
            call,
            request: RequestId(number),
            bytes: Bytes::from_static(&[0; 64 << 10]),
        },
        |_, _| ToBroker::Ready(Standing::default()),
    ];
    for flood in floods {
        let (lane, _) = after(nobodys(flood, 20_000)).await;
        assert!(is_given_up(&lane));
    }
    // Of its one call, too, once it has ended.
    let (lane, _) = after(|call| (0..100).map(|_| done(call)).collect()).await;
    assert!(is_given_up(&lane));
}

#[tokio::test]
async fn a_call_that_was_cancelled_may_go_on_until_its_grace_is_over() {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
    let reading = tokio::spawn(reader);
    let call = lane.start(invoke()).await.unwrap().call;
    for number in 0..100_000 {
        let forget = ToBroker::Forget {
            call,
            request: RequestId(number),
        };
        worker.sender.send(forget).await.unwrap();
    }
    worker.sender.send(done(call)).await.unwrap();
    drop(worker);
    reading.await.unwrap();
    assert!(!is_given_up(&lane));
}

#[tokio::test]
async fn a_worker_is_told_to_end_a_call_that_says_too_much() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, LaneSetup::default());
    let _reading = tokio::spawn(reader);
    let mut running = lane.start(invoke()).await.unwrap();
    for number in 0..=u32::try_from(CALL_EVENTS_MAX).unwrap() {
        let forget = ToBroker::Forget {
            call: running.call,
            request: RequestId(number),
        };
        worker.sender.send(forget).await.unwrap();
    }
    while lane.calls.lock().contains_key(&running.call) {
        tokio::task::yield_now().await;
    }
    while running.next().await.is_some() {}
    drop(running);
    while !matches!(
        worker.receiver.receive().await.unwrap().unwrap().message,
        ToWorker::Cancel { .. }
    ) {}
}

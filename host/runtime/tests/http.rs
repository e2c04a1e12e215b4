//! HTTP through the sandbox: the test is the broker and the upstream.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod support;

use bytes::Bytes;
use keyway_ipc::{
    BodyStart, CallId, CallOutcome, HostCall, HostReply, HttpReply, HttpRequest, PART_BYTES,
    Refusal, RequestId, ToBroker, ToWorker, Trap,
};
use keyway_model::Failure;
use keyway_model::limit::{BODY_CHUNKS_MAX, CallLimits, STREAM_WINDOW_BYTES};
use support::{Broker, limits, value};

fn reply(body: BodyStart) -> HostReply {
    let headers = vec![("content-type".to_owned(), Bytes::from_static(b"text/plain"))];
    HostReply::Http(Ok(HttpReply {
        status: 200,
        headers,
        body,
    }))
}

fn whole(text: &'static str) -> HostReply {
    reply(BodyStart::Whole(Bytes::from_static(text.as_bytes())))
}

async fn http_call(broker: &mut Broker) -> (RequestId, HttpRequest) {
    match broker.host_call().await {
        (request, HostCall::Http(http)) => (request, http),
        (_, other) => panic!("expected a request, not {other:?}"),
    }
}

async fn started(name: &str, input: &str) -> (Broker, CallId, RequestId, HttpRequest) {
    let mut broker = Broker::with("http").await;
    let call = broker.start_action(name, input).await;
    let (request, http) = http_call(&mut broker).await;
    (broker, call, request, http)
}

#[tokio::test]
async fn a_request_reaches_the_broker_as_the_guest_made_it() {
    let (mut broker, call, request, http) = started("get", "/a?b=c").await;
    assert_eq!(
        (http.method.as_str(), http.url.as_str()),
        ("GET", "https://api.example.com/a?b=c")
    );
    assert_eq!(
        http.headers,
        [("accept".to_owned(), Bytes::from_static(b"text/plain"))]
    );
    assert!(matches!(http.body, BodyStart::Whole(body) if body.is_empty()));
    broker.reply(call, request, whole("hello")).await;
    assert_eq!(broker.finish().await.outcome, value("200 hello"));
}

#[tokio::test]
async fn a_small_body_travels_with_its_head() {
    let content = "x".repeat(60_000);
    let (mut broker, call, request, http) = started("post", &content).await;
    assert!(matches!(http.body, BodyStart::Whole(body) if body == content));
    broker.reply(call, request, whole("ok")).await;
    assert_eq!(broker.finish().await.outcome, value("200 ok"));
}

#[tokio::test]
async fn what_a_guest_puts_behind_a_body_goes_nowhere() {
    let (mut broker, call, request, http) = started("trailers", "content").await;
    let (head, body) = (format!("{:?}", http.headers), http.body);
    assert!(!head.contains("late"), "{head}");
    assert!(matches!(body, BodyStart::Whole(body) if body == "content"));
    broker.reply(call, request, whole("ok")).await;
    assert_eq!(broker.finish().await.outcome, value("200 ok"));
}

#[tokio::test]
async fn a_large_body_is_streamed_no_faster_than_credit_allows() {
    let length = 3 * STREAM_WINDOW_BYTES as usize;
    let (mut broker, call, request, http) = started("upload", &length.to_string()).await;
    let BodyStart::Stream { first, .. } = http.body else {
        panic!("it came whole")
    };
    let mut received = first.len();
    let window = STREAM_WINDOW_BYTES as usize;
    let (mut taken, mut granted) = (first.len(), window);
    loop {
        match broker.receive().await {
            ToBroker::Chunk { bytes, .. } => {
                received += bytes.len();
                taken += bytes.len() + PART_BYTES;
                assert!(taken <= granted, "{taken} of {granted}");
            }
            ToBroker::ChunkEnd { complete, .. } => {
                assert!(complete);
                break;
            }
            other => panic!("{other:?}"),
        }
        // It sends nothing while a part would cost more than it has.
        if granted - taken <= PART_BYTES {
            granted += window;
            broker
                .send(ToWorker::Credit {
                    call,
                    request,
                    bytes: STREAM_WINDOW_BYTES,
                })
                .await;
        }
    }
    assert_eq!(received, length);
    broker.reply(call, request, whole("stored")).await;
    assert_eq!(broker.finish().await.outcome, value("200 stored"));
}

#[tokio::test]
async fn a_guest_writes_so_many_pieces_before_it_sends_its_request_and_then_waits() {
    // The guest writes pieces of 4 KiB, the largest that a blocking write takes.
    let pieces = |count: usize| "x".repeat(count * 4_096);
    let (_, _, _, http) = started("post", &pieces(BODY_CHUNKS_MAX)).await;
    assert!(matches!(http.body, BodyStart::Stream { .. }));
    let mut broker = Broker::with("http").await;
    broker.limits = CallLimits {
        wall_ms_max: 60,
        ..limits()
    };
    // It waits to write the last one, and sends nothing.
    let done = broker.act("post", &pieces(BODY_CHUNKS_MAX + 1)).await;
    let over = Trap::Limit {
        name: "wall_ms_max".to_owned(),
        value: 60,
    };
    assert_eq!(done.outcome, CallOutcome::Trap(over));
}

#[tokio::test]
async fn a_body_over_its_limit_is_refused_in_the_worker() {
    let mut broker = Broker::with("http").await;
    broker.limits = CallLimits {
        request_body_bytes_max: 1_000,
        ..limits()
    };
    let done = broker.act("post", &"x".repeat(1_001)).await;
    let CallOutcome::Failure(Failure::Permanent(text)) = done.outcome else {
        panic!("{:?}", done.outcome)
    };
    assert!(text.contains("HttpRequestBodySize"), "{text}");
    assert_eq!(done.usage.bodies_refused, 1);
}

#[tokio::test]
async fn a_streamed_reply_is_read_to_its_end_and_credit_comes_back() {
    let (mut broker, call, request, _) = started("download", "/big").await;
    let chunk = Bytes::from(vec![b'y'; 64 << 10]);
    let body = BodyStart::Stream {
        first: chunk.clone(),
        length: None,
    };
    broker.reply(call, request, reply(body)).await;
    for _ in 0..3 {
        broker
            .send(ToWorker::Chunk {
                call,
                request,
                bytes: chunk.clone(),
            })
            .await;
    }
    let ToBroker::Credit { bytes, .. } = broker.receive().await else {
        panic!("no credit")
    };
    assert_eq!(bytes as usize, chunk.len() + PART_BYTES);
    broker
        .send(ToWorker::ChunkEnd {
            call,
            request,
            failed: None,
        })
        .await;
    let expected = 4 * chunk.len() + "200 ".len();
    assert_eq!(broker.finish().await.outcome, value(&expected.to_string()));
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_an_error_at_its_end() {
    let (mut broker, call, request, _) = started("get", "/broken").await;
    let body = BodyStart::Stream {
        first: Bytes::from_static(b"beginning"),
        length: None,
    };
    broker.reply(call, request, reply(body)).await;
    let failed = Some(Refusal::Connection);
    broker
        .send(ToWorker::ChunkEnd {
            call,
            request,
            failed,
        })
        .await;
    let outcome = broker.finish().await.outcome;
    let CallOutcome::Value(text) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        text.contains("broken") && text.contains("connection terminated"),
        "{text}"
    );
}

#[tokio::test]
async fn a_reply_that_is_dropped_is_forgotten() {
    let (mut broker, call, request, _) = started("abandon", "").await;
    let body = BodyStart::Stream {
        first: Bytes::from_static(b"0123456789abcdef"),
        length: None,
    };
    broker.reply(call, request, reply(body)).await;
    let mut is_forgotten = false;
    loop {
        match broker.receive().await {
            ToBroker::Forget {
                request: forgotten, ..
            } => is_forgotten = forgotten == request,
            ToBroker::Done { outcome, .. } => {
                assert_eq!(outcome, value("10"));
                if is_forgotten {
                    break;
                }
                assert!(matches!(broker.receive().await, ToBroker::Forget { .. }));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn two_requests_are_under_way_at_once() {
    let (mut broker, call, first, http) = started("two", "").await;
    assert!(http.url.ends_with("/first"));
    let (second, http) = http_call(&mut broker).await;
    assert!(http.url.ends_with("/second"));
    broker.reply(call, second, whole("b")).await;
    broker.reply(call, first, whole("a")).await;
    assert_eq!(broker.finish().await.outcome, value("200 a, 200 b"));
}

#[tokio::test]
async fn each_refusal_is_one_error_code() {
    let codes = [
        (Refusal::Denied, "HttpRequestDenied"),
        (Refusal::Timeout, "ConnectionReadTimeout"),
        (Refusal::Connection, "ConnectionTerminated"),
        (Refusal::TooLarge, "HttpResponseBodySize"),
        (Refusal::Protocol, "HttpProtocolError"),
        (Refusal::Busy, "ConnectionLimitReached"),
    ];
    for (refusal, code) in codes {
        let (mut broker, call, request, _) = started("get", "/").await;
        broker
            .reply(call, request, HostReply::Http(Err(refusal)))
            .await;
        let outcome = broker.finish().await.outcome;
        let CallOutcome::Failure(Failure::Permanent(text)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(text.contains(code), "{refusal:?} is {text}");
    }
}

#[tokio::test]
async fn a_trap_as_a_reply_ends_the_guest() {
    let (mut broker, call, request, _) = started("get", "/").await;
    let trap = Trap::Host("the audit log is full".to_owned());
    broker
        .reply(call, request, HostReply::Trap(trap.clone()))
        .await;
    assert_eq!(broker.finish().await.outcome, CallOutcome::Trap(trap));
}

#[tokio::test]
async fn a_guest_that_waits_for_a_reply_can_be_cancelled() {
    let (mut broker, call, _, _) = started("get", "/").await;
    let reason = Trap::Cancelled("revoked".to_owned());
    broker
        .send(ToWorker::Cancel {
            call,
            reason: reason.clone(),
        })
        .await;
    assert_eq!(broker.finish().await.outcome, CallOutcome::Trap(reason));
}

#[tokio::test]
async fn a_guest_cannot_set_the_header_of_its_credential() {
    let mut broker = Broker::with("http").await;
    assert_eq!(
        broker.act("header", "x-api-key").await.outcome,
        value("Ok(())")
    );
    broker.reserved_headers = vec!["x-api-key".to_owned()];
    let refused = value("Err(HeaderError::Forbidden)");
    assert_eq!(broker.act("header", "x-api-key").await.outcome, refused);
    assert_eq!(broker.act("header", "host").await.outcome, refused);
}

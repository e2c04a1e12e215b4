//! Upstreams that misbehave over HTTP/2. Each ends in an error of its kind, long
//! before any clock, and its connection with it: the next request comes over another
//! one. What is wrong with one stream alone, once its head was taken, ends that stream.

use std::time::Duration;

use bytes::Bytes;
use keyway_egress::{EgressError, Exchange, Limit, RequestBody, Sent, Wait};
use keyway_model::limit::UPSTREAM_STREAM_WINDOW_BYTES;
use keyway_model::net::Method;

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FramesUpstream, GOAWAY, HEADERS, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, STATUS_103, STATUS_200, Script, WINDOW_UPDATE, field,
    frame, remembered,
};
use crate::support::{Authority, Bench, read};

const SHORT: Duration = Duration::from_millis(80);

/// A head that is complete, and a body that is not over.
fn head(fields: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &[STATUS_200, fields].concat())
}

fn data(flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, 1, bytes)
}

fn interims(count: usize) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, STATUS_103).repeat(count)
}

/// Says this, and no more.
fn saying(first: impl Into<Vec<u8>>) -> Script {
    Script {
        first: first.into(),
        ..Script::default()
    }
}

/// Says this, and the other without an end.
fn flooding(first: impl Into<Vec<u8>>, then: Vec<u8>) -> Script {
    Script {
        then: then.repeat(100),
        ..saying(first)
    }
}

struct Spoken {
    upstream: FramesUpstream,
    bench: Bench,
    url: String,
}

impl Spoken {
    async fn to(script: Script) -> Self {
        let authority = Authority::new();
        let tls = authority.server("upstream.test", |_| {});
        let upstream = FramesUpstream::saying(tls, script).await;
        let port = upstream.upstream.port;
        let bench = Bench::builder()
            .allow("upstream.test", port)
            .trust(authority.pem.clone())
            .with(|config| config.timeouts.idle = Duration::from_secs(20))
            .build();
        Self {
            upstream,
            bench,
            url: format!("https://upstream.test:{port}/"),
        }
    }

    async fn get(&self) -> Result<Bytes, EgressError> {
        read(self.bench.get(&self.url).await?).await
    }

    /// After a first request that failed, another one comes over another connection,
    /// where it fails, too: on the first one, it would wait.
    async fn gives_its_connection_up(&self, what: &str) {
        self.get().await.expect_err(what);
        let connections = self.upstream.upstream.seen.connections();
        assert_eq!(connections, 2, "{what}: the connection is not used again");
    }
}

/// What comes of a reply, read to its end.
async fn outcome(script: Script) -> Result<Bytes, EgressError> {
    Spoken::to(script).await.get().await
}

#[tokio::test]
async fn frames_by_hand_are_a_reply_and_its_connection_is_used_again() {
    let ended = [
        head(&field("content-length", "3")),
        data(END_STREAM, b"abc"),
    ]
    .concat();
    let spoken = Spoken::to(saying(ended)).await;
    assert_eq!(spoken.get().await.unwrap(), "abc");
    // The script answers the first request alone: the second waits where the
    // first was answered.
    let second = tokio::time::timeout(SHORT, spoken.get()).await;
    assert!(second.is_err(), "{second:?}");
    assert_eq!(spoken.upstream.upstream.seen.connections(), 1);
}

/// What is wrong with one stream, whose head is in order: others go on beside it.
const OF_ONE_STREAM: [&str; 3] = [
    "less than its length",
    "more than its length",
    "a second head",
];

#[tokio::test]
async fn frames_that_are_not_http_2_are_refused() {
    let lengths = |text: &str| field("content-length", text);
    for (what, bytes) in [
        (
            "less than its length",
            [head(&lengths("5")), data(END_STREAM, b"abc")].concat(),
        ),
        (
            "more than its length",
            [head(&lengths("2")), data(END_STREAM, b"abc")].concat(),
        ),
        (
            "nothing of its length",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[STATUS_200, &lengths("2")].concat(),
            ),
        ),
        ("two lengths", head(&[lengths("2"), lengths("3")].concat())),
        ("a length of letters", head(&lengths("x"))),
        ("a body before a head", data(END_STREAM, b"abc")),
        (
            "no status",
            frame(HEADERS, END_HEADERS, 1, &field("x-a", "b")),
        ),
        ("a status after a header", {
            let fields = [&field("x-a", "b"), STATUS_200].concat();
            frame(HEADERS, END_HEADERS, 1, &fields)
        }),
        ("a name in upper case", head(&field("X-A", "b"))),
        ("a header of one hop", head(&field("connection", "close"))),
        ("a line end in a value", head(&field("x-a", "b\r\nx-b: c"))),
        (
            "a compression that is none",
            head(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("a name that was never remembered", head(&[0xbe])),
        ("a second head", [head(&[]), head(&[])].concat()),
        (
            "a reply that nobody asked for",
            frame(HEADERS, END_HEADERS, 99, STATUS_200),
        ),
        (
            "a promise of more",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x88]),
        ),
        ("a frame over its size", data(0, &[b'x'; 20_000])),
        (
            "a body amid a head",
            [frame(HEADERS, 0, 1, STATUS_200), data(END_STREAM, b"abc")].concat(),
        ),
        ("settings that are cut", frame(SETTINGS, 0, 0, &[0; 5])),
        (
            "a window of nothing more",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        (
            "a window over its size",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2),
        ),
        (
            "settings confirmed that were not sent",
            frame(SETTINGS, 1, 0, &[]).repeat(2),
        ),
    ] {
        let spoken = Spoken::to(saying(bytes)).await;
        let error = spoken.get().await.expect_err(what);
        assert!(
            matches!(error, EgressError::Protocol { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(error.was_sent(), Sent::Maybe, "{what}");
        if !OF_ONE_STREAM.contains(&what) {
            spoken.gives_its_connection_up(what).await;
        }
    }
}

#[tokio::test]
async fn heads_over_http_2_have_an_end() {
    let big = field("x-big", &"x".repeat(12_000));
    let continued = |flags, fields: &[u8]| frame(CONTINUATION, flags, 1, fields);
    let begun = frame(HEADERS, 0, 1, STATUS_200);
    let remembered = remembered("x-big", &"x".repeat(3_900));
    for (what, script) in [
        ("a list over the limit", {
            let rest = continued(0, &big).repeat(5);
            saying([begun.clone(), rest, continued(END_HEADERS, &big)].concat())
        }),
        ("few bytes that become many", {
            let again = [0xbe].repeat(12_000);
            saying(
                [
                    begun.clone(),
                    continued(0, &remembered),
                    continued(END_HEADERS, &again),
                ]
                .concat(),
            )
        }),
        (
            "a head that goes on without an end",
            flooding(begun.clone(), continued(0, &field("x-a", "b"))),
        ),
        (
            "a head that goes on with nothing",
            flooding(begun.clone(), continued(0, &[])),
        ),
        (
            "one value without an end",
            // A text of 2 MiB, of which only a part ever comes.
            flooding(
                [begun, continued(0, b"\x00\x05x-big\x7f\x81\xff\x7f")].concat(),
                continued(0, &[b'x'; 12_000]),
            ),
        ),
    ] {
        let spoken = Spoken::to(script).await;
        let error = spoken.get().await.expect_err(what);
        assert!(
            matches!(error, EgressError::Protocol { .. }),
            "{what}: {error:?}"
        );
        spoken.gives_its_connection_up(what).await;
    }
}

#[tokio::test]
async fn a_flood_of_frames_is_ended_before_the_head_and_within_the_body() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    for (what, flood) in [
        ("SETTINGS", settings),
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("PING that is an answer", frame(PING, 1, 0, &[7; 8])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("frames of no known kind", frame(0xee, 0, 1, &[7; 200])),
    ] {
        for (where_in, first) in [("before the head", vec![]), ("in the body", head(&[]))] {
            let spoken = Spoken::to(flooding(first, flood.clone())).await;
            let error = spoken.get().await.expect_err(what);
            assert!(
                matches!(error, EgressError::Protocol { .. }),
                "{what} {where_in}: {error:?}"
            );
            let said = error.operator_text();
            assert!(said.contains("frames without content"), "{what}: {said}");
            spoken.gives_its_connection_up(what).await;
        }
    }
}

#[tokio::test]
async fn a_body_of_frames_with_nothing_in_them_is_ended() {
    for (what, flood) in [
        ("empty", data(0, &[])),
        (
            "padding alone",
            frame(DATA, 8, 1, &[[200].as_slice(), &[0; 200]].concat()),
        ),
    ] {
        let spoken = Spoken::to(flooding(head(&[]), flood)).await;
        let error = spoken.get().await.expect_err(what);
        assert!(
            matches!(error, EgressError::Protocol { .. }),
            "{what}: {error:?}"
        );
        spoken.gives_its_connection_up(what).await;
    }
}

#[tokio::test]
async fn a_flood_on_an_unused_connection_ends_it() {
    let answered = [head(&[]), data(END_STREAM, b"abc")].concat();
    let flood = frame(PING, 0, 0, &[7; 8]);
    let spoken = Spoken::to(flooding(answered, flood)).await;
    assert_eq!(spoken.get().await.unwrap(), "abc");
    let silenced = spoken.upstream.silenced.notified();
    tokio::time::timeout(Duration::from_secs(20), silenced)
        .await
        .unwrap();
    assert_eq!(spoken.get().await.unwrap(), "abc", "on another connection");
    assert_eq!(spoken.upstream.upstream.seen.connections(), 2);
}

#[tokio::test]
async fn interim_replies_over_http_2_are_skipped_up_to_their_limit_and_a_flood_is_ended() {
    let ok = [head(&[]), data(END_STREAM, b"ok")].concat();
    let body = outcome(saying([interims(16), ok.clone()].concat())).await;
    assert_eq!(body.unwrap(), "ok");
    for script in [
        saying([interims(17), ok].concat()),
        flooding([], interims(1)),
    ] {
        let spoken = Spoken::to(script).await;
        let error = spoken.get().await.unwrap_err();
        let EgressError::TooLarge { limit, max, sent } = error else {
            panic!("{error:?}")
        };
        assert_eq!((limit, max, sent), (Limit::ReplyInterims, 16, Sent::Maybe));
        drop(tokio::time::timeout(SHORT, spoken.get()).await);
        assert_eq!(
            spoken.upstream.upstream.seen.connections(),
            2,
            "the connection is not used again"
        );
    }
}

#[tokio::test]
async fn of_a_reply_that_nobody_reads_a_window_may_come_and_one_byte_more_ends_it() {
    const PIECE_BYTES: usize = 16 << 10;
    let window = usize::try_from(UPSTREAM_STREAM_WINDOW_BYTES).unwrap();
    let pieces = data(0, &[b'x'; PIECE_BYTES]).repeat(window / PIECE_BYTES);
    let full = [head(&[]), pieces].concat();
    let ended = [full.clone(), data(END_STREAM, &[])].concat();
    assert_eq!(outcome(saying(ended)).await.unwrap().len(), window);
    let spoken = Spoken::to(saying([full, data(0, b"x")].concat())).await;
    let unread = spoken.bench.get(&spoken.url).await.unwrap();
    let given_up = spoken.upstream.given_up.notified();
    tokio::time::timeout(Duration::from_secs(20), given_up)
        .await
        .unwrap();
    assert!(read(unread).await.is_err(), "it is given up");
}

#[tokio::test]
async fn an_upstream_that_opens_no_window_is_not_waited_for() {
    // SETTINGS_INITIAL_WINDOW_SIZE is 0, and nothing enlarges it.
    let script = Script {
        settings: vec![0, 4, 0, 0, 0, 0],
        ..Script::default()
    };
    let authority = Authority::new();
    let tls = authority.server("upstream.test", |_| {});
    let upstream = FramesUpstream::saying(tls, script).await;
    let port = upstream.upstream.port;
    let bench = Bench::builder()
        .allow("upstream.test", port)
        .trust(authority.pem.clone())
        .with(|config| config.timeouts.head = 4 * SHORT)
        .build();
    let url = format!("https://upstream.test:{port}/");
    for connections in 1..=2 {
        let exchange = Exchange {
            body: RequestBody::whole(vec![b'x'; 1 << 20]),
            ..Exchange::default()
        };
        let error = bench.send(Method::Post, &url, exchange).await.unwrap_err();
        let EgressError::Timeout { which, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(which, Wait::Head);
        assert_eq!(error.was_sent(), Sent::Maybe);
        assert_eq!(
            upstream.upstream.seen.connections(),
            connections,
            "the connection is not used again"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_gives_up_is_a_reset() {
    for (what, bytes) in [
        ("its stream", frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])),
        (
            "its connection",
            frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2]),
        ),
        (
            "its stream within a body",
            [head(&[]), frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])].concat(),
        ),
    ] {
        let error = outcome(saying(bytes)).await.expect_err(what);
        assert!(
            matches!(
                error,
                EgressError::Reset {
                    sent: Sent::Maybe,
                    ..
                }
            ),
            "{what}: {error:?}"
        );
    }
}

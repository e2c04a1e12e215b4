//! Upstreams that frame their replies so that two readers could disagree, or
//! that do not come to an end. Each ends in an error, and its connection with it.

use std::time::Duration;

use keyway_egress::{EgressError, Limit, Reply, Sent, Wait};
use tokio::io::AsyncWriteExt;

use crate::support::{Bench, Upstream, next_request, read, reply};

const SHORT: Duration = Duration::from_millis(80);
const LONG: Duration = Duration::from_secs(60);

/// Heads that are refused as they are.
const HEADS: [(&str, &str); 26] = [
    ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    (
        "another version",
        "HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ),
    ("no status", "HTTP/1.1\r\ncontent-length: 0\r\n\r\n"),
    (
        "status of two digits",
        "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        "status of letters",
        "HTTP/1.1 2OO OK\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        "two lengths",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    ),
    (
        "the same length twice",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    ),
    (
        "a list of lengths",
        "HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n\r\nabc",
    ),
    (
        "a length with a sign",
        "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
    ),
    (
        "a negative length",
        "HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nabc",
    ),
    (
        "a hexadecimal length",
        "HTTP/1.1 200 OK\r\ncontent-length: 0x3\r\n\r\nabc",
    ),
    (
        "a length with a comma",
        "HTTP/1.1 200 OK\r\ncontent-length: 3,\r\n\r\nabc",
    ),
    (
        "a length over 64 bits",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
    ),
    (
        "length and chunks",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks and length",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks in HTTP/1.0",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a folded header",
        "HTTP/1.1 200 OK\r\nx-folded: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        "a space in a name",
        "HTTP/1.1 200 OK\r\nbad name: a\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        "a space before the colon",
        "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n",
    ),
    (
        "a null in a value",
        "HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        "a carriage return in a value",
        "HTTP/1.1 200 OK\r\nx-a: b\rc\r\ncontent-length: 0\r\n\r\n",
    ),
    ("bare line feeds", "HTTP/1.1 200 OK\ncontent-length: 0\n\n"),
    (
        "a bare line feed after a header",
        "HTTP/1.1 200 OK\r\nx-a: b\ncontent-length: 0\r\n\r\n",
    ),
    (
        "a bare line feed at the end",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\n",
    ),
    (
        "an empty line before the head",
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        "a switch of protocols",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ),
];

/// Transfer codings that are not undone.
const CODINGS: [&str; 8] = [
    "gzip",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "identity",
    "xchunked",
    "chunked;q=1",
    "\x0bchunked",
];

/// Bodies in chunks that are none.
const CHUNKS: [(&str, &str); 10] = [
    ("no size", "\r\nabc\r\n0\r\n\r\n"),
    ("a size of letters", "g\r\nabc\r\n0\r\n\r\n"),
    ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a sign", "+3\r\nabc\r\n0\r\n\r\n"),
    (
        "a size over 64 bits",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    ),
    ("more than its size", "3\r\nabcd\r\n0\r\n\r\n"),
    ("less than its size", "4\r\nabc\r\n0\r\n\r\n"),
    ("bare line feeds", "3\nabc\n0\n\n"),
    ("a bare line feed after the size", "3\nabc\r\n0\r\n\r\n"),
    ("a trailer without a colon", "3\r\nabc\r\n0\r\nx\r\n\r\n"),
];

async fn answered(answer: impl Into<Vec<u8>>) -> (Result<Reply, EgressError>, Upstream, Bench) {
    let upstream = Upstream::answering(answer).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| {
            // No clock ends what is refused for what it is.
            config.timeouts.idle = LONG;
            config.timeouts.head = LONG;
        })
        .build();
    let reply = bench.get(&upstream.url("/")).await;
    (reply, upstream, bench)
}

/// What comes of a reply, read to its end.
async fn outcome(answer: impl Into<Vec<u8>>) -> Result<bytes::Bytes, EgressError> {
    let (reply, upstream, bench) = answered(answer).await;
    let body = match reply {
        Ok(reply) => read(reply).await,
        Err(error) => Err(error),
    };
    if body.is_err() {
        drop(bench.get(&upstream.url("/again")).await);
        let connections = upstream.seen.connections();
        assert_eq!(connections, 2, "the connection is not used again: {body:?}");
    }
    body
}

#[tokio::test]
async fn a_head_that_could_be_read_in_two_ways_is_refused_and_its_connection_closed() {
    for (what, head) in HEADS {
        let error = outcome(head).await.unwrap_err();
        assert!(
            matches!(error, EgressError::Protocol { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(error.was_sent(), Sent::Maybe, "{what}");
    }
}

#[tokio::test]
async fn a_transfer_coding_but_chunked_is_refused() {
    for coding in CODINGS {
        let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n");
        let error = outcome(head).await.unwrap_err();
        let refused = matches!(
            error,
            EgressError::ContentCoding { .. } | EgressError::Protocol { .. }
        );
        assert!(refused, "{coding}: {error:?}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_refused() {
    let body =
        |chunks: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    assert_eq!(outcome(body("3\r\nabc\r\n0\r\n\r\n")).await.unwrap(), "abc");
    assert_eq!(
        outcome(body("3;x=y\r\nabc\r\n0\r\nx: y\r\n\r\n"))
            .await
            .unwrap(),
        "abc"
    );
    for (what, chunks) in CHUNKS {
        let error = outcome(body(chunks)).await.unwrap_err();
        assert!(
            matches!(error, EgressError::Protocol { .. }),
            "{what}: {error:?}"
        );
    }
}

#[tokio::test]
async fn extensions_and_trailers_of_chunks_have_an_end() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let extension = format!("{head}3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(70_000));
    let extensions = format!(
        "{head}{}0\r\n\r\n",
        "1;aaaaaaaaaaaaaaaa\r\nx\r\n".repeat(5_000)
    );
    let long_trailer = format!("{head}0\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let many_trailers = format!("{head}0\r\n{}\r\n", "x-a: 1\r\n".repeat(5_000));
    for body in [extension, extensions, long_trailer, many_trailers] {
        let error = outcome(body).await.unwrap_err();
        let refused = matches!(
            error,
            EgressError::Protocol { .. } | EgressError::Reset { .. } | EgressError::TooLarge { .. }
        );
        assert!(refused, "{error:?}");
    }
}

#[tokio::test]
async fn headers_without_an_end_are_refused() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: 1\r\n".repeat(10_000));
    let one = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(200_000));
    let line = format!("HTTP/1.1 200 {}", "x".repeat(200_000));
    let name = format!("HTTP/1.1 200 OK\r\n{}", "x".repeat(200_000));
    for head in [many, one, line, name] {
        let beginning: String = head.chars().take(40).collect();
        let error = outcome(head).await.unwrap_err();
        let refused = matches!(
            error,
            EgressError::Protocol { .. }
                | EgressError::TooLarge {
                    limit: Limit::ReplyHeaderBytes,
                    ..
                }
        );
        assert!(refused, "{beginning}: {error:?}");
    }
}

#[tokio::test]
async fn interim_replies_are_skipped_up_to_their_limit_and_a_flood_is_ended() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let body = outcome(format!("{}{ok}", interim.repeat(16)))
        .await
        .unwrap();
    assert_eq!(body, "ok");
    let error = outcome(format!("{}{ok}", interim.repeat(1_000))).await;
    assert!(
        matches!(error, Err(EgressError::TooLarge { .. })),
        "{error:?}"
    );

    let endless = Upstream::scripted(move |mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        while tcp.write_all(interim.as_bytes()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let bench = Bench::builder().allow("127.0.0.1", endless.port).build();
    let error = bench.get(&endless.url("/")).await.unwrap_err();
    let EgressError::TooLarge { limit, max, sent } = error else {
        panic!("{error:?}")
    };
    assert_eq!((limit, max, sent), (Limit::ReplyInterims, 16, Sent::Maybe));
}

#[tokio::test]
async fn a_head_that_drips_is_not_waited_for() {
    let upstream = Upstream::scripted(|mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        let mut drip = tokio::time::interval(Duration::from_millis(5));
        for byte in b"HTTP/1.1 200 OK\r\nx-a: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
        {
            drip.tick().await;
            if tcp.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    })
    .await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.timeouts.head = 3 * SHORT)
        .build();
    let error = bench.get(&upstream.url("/")).await.unwrap_err();
    let EgressError::Timeout { which, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(which, Wait::Head);
}

#[tokio::test]
async fn what_follows_a_reply_is_never_taken_for_the_next_one() {
    const POISON: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for first in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
    ] {
        let upstream = Upstream::scripted(move |mut tcp, seen| async move {
            let mut answers = [
                format!("{first}{POISON}").into_bytes(),
                reply("", b"honest"),
            ]
            .into_iter();
            while next_request(&mut tcp, &seen).await.is_some() {
                let answer = answers.next().unwrap_or_default();
                if tcp.write_all(&answer).await.is_err() {
                    return;
                }
            }
        })
        .await;
        let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
        for _ in 0..20 {
            let seen = match bench.get(&upstream.url("/")).await {
                Ok(reply) => read(reply).await.unwrap(),
                Err(error) => panic!("{error:?}"),
            };
            assert_ne!(seen, "poison");
        }
        assert_eq!(upstream.seen.connections(), 20, "none was used twice");
    }
}

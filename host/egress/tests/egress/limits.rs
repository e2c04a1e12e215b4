//! Limits of size and time on what comes back.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use keyway_egress::{EgressError, Exchange, Length, Limit, RequestBody, Sent, Wait};
use keyway_model::net::Method;
use tokio::io::AsyncWriteExt;

use crate::support::{Bench, BenchBuilder, Upstream, next_request, read, reply};

const SHORT: Duration = Duration::from_millis(50);

fn bench(upstream: &Upstream) -> BenchBuilder {
    Bench::builder().allow("127.0.0.1", upstream.port)
}

/// Sends this head, then does not close and does not go on.
async fn stalling_after(bytes: &'static str) -> Upstream {
    Upstream::scripted(move |mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        tcp.write_all(bytes.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await
}

#[tokio::test]
async fn a_body_up_to_the_limit_passes_and_one_byte_more_does_not() {
    let upstream = Upstream::answering(reply("", &[b'x'; 1000])).await;
    let fits = bench(&upstream)
        .with(|c| c.limits.reply_body_bytes_max = 1000)
        .build();
    assert_eq!(
        read(fits.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap()
            .len(),
        1000
    );
    let tight = bench(&upstream)
        .with(|c| c.limits.reply_body_bytes_max = 999)
        .build();
    let error = tight.get(&upstream.url("/")).await.unwrap_err();
    let EgressError::TooLarge { limit, max, sent } = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (limit, max, sent),
        (Limit::ReplyBodyBytes, 999, Sent::Maybe)
    );
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let upstream = Upstream::scripted(|mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        let mut written = tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while written.is_ok() {
            written = tcp.write_all(&[b'x'; 8192]).await;
        }
    })
    .await;
    let bench = bench(&upstream)
        .with(|c| c.limits.reply_body_bytes_max = 100_000)
        .build();
    let mut reply = bench.get(&upstream.url("/")).await.unwrap();
    let mut received = 0;
    let error = loop {
        match reply.body.frame().await.unwrap() {
            Ok(frame) => received += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(
        error,
        EgressError::TooLarge {
            limit: Limit::ReplyBodyBytes,
            ..
        }
    ));
    assert!(received <= 100_000);
    assert!(
        reply.body.frame().await.is_none(),
        "nothing follows an error"
    );
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let big = format!("x-big: {}\r\n", "x".repeat(70_000));
    let upstream = Upstream::answering(reply(&big, b"")).await;
    let error = bench(&upstream)
        .build()
        .get(&upstream.url("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::TooLarge {
                limit: Limit::ReplyHeaderBytes,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_not_waited_for() {
    let upstream = stalling_after("").await;
    let bench = bench(&upstream).with(|c| c.timeouts.head = SHORT).build();
    let error = bench.get(&upstream.url("/")).await.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                which: Wait::Head,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.was_sent(), Sent::Maybe);
}

#[tokio::test]
async fn an_upstream_that_never_reads_the_body_of_a_request_is_not_waited_for() {
    let upstream = Upstream::scripted(|tcp, _| async move {
        std::future::pending::<()>().await;
        drop(tcp);
    })
    .await;
    let bench = bench(&upstream)
        .with(|c| {
            c.limits.request_body_bytes_max = u64::MAX;
            c.timeouts.head = 4 * SHORT;
        })
        .build();
    let (sender, mut pulled) = tokio::sync::watch::channel(0_u64);
    let pieces = futures_util::stream::repeat_with(move || {
        sender.send_modify(|pieces| *pieces += 1);
        Ok(Frame::data(Bytes::from_static(&[b'x'; 1 << 16])))
    });
    let body = RequestBody::stream(StreamBody::new(pieces).boxed_unsync(), Length::Unknown);
    let exchange = Exchange {
        body,
        ..Exchange::default()
    };
    let error = bench
        .send(Method::Post, &upstream.url("/"), exchange)
        .await
        .unwrap_err();
    let EgressError::Timeout { which, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(which, Wait::Head);
    assert_eq!(error.was_sent(), Sent::Maybe);
    // What the kernel holds of it, and no more, was taken from whoever makes it.
    let pieces = *pulled.borrow_and_update();
    assert!((1..1_000).contains(&pieces), "{pieces}");
    drop(bench.get(&upstream.url("/")).await);
    assert_eq!(
        upstream.seen.connections(),
        2,
        "the connection is not used again"
    );
}

#[tokio::test]
async fn a_body_that_stalls_is_not_waited_for() {
    let upstream = stalling_after("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    for (idle, total, which) in [
        (SHORT, 20 * SHORT, Wait::Idle),
        (20 * SHORT, SHORT, Wait::Total),
    ] {
        let bench = bench(&upstream)
            .with(|c| (c.timeouts.idle, c.timeouts.total) = (idle, total))
            .build();
        let error = read(bench.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap_err();
        let EgressError::Timeout {
            which: waited_for, ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(waited_for, which);
    }
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_total() {
    let upstream = Upstream::scripted(|mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        let mut written = tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let mut drip = tokio::time::interval(Duration::from_millis(5));
        while written.is_ok() {
            drip.tick().await;
            written = tcp.write_all(b"x").await;
        }
    })
    .await;
    let bench = bench(&upstream)
        .with(|c| c.timeouts.total = 4 * SHORT)
        .build();
    let error = read(bench.get(&upstream.url("/")).await.unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                which: Wait::Total,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_reset_that_may_have_arrived() {
    let before = Upstream::scripted(|mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
    })
    .await;
    let error = bench(&before)
        .build()
        .get(&before.url("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Reset {
                sent: Sent::Maybe,
                ..
            }
        ),
        "{error:?}"
    );

    let within = Upstream::scripted(|mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
            .await
            .unwrap();
    })
    .await;
    let reply = bench(&within).build().get(&within.url("/")).await.unwrap();
    let error = read(reply).await.unwrap_err();
    assert!(matches!(error, EgressError::Reset { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-folded: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: a\r\n\r\n",
    ] {
        let upstream = Upstream::answering(answer).await;
        let error = bench(&upstream)
            .build()
            .get(&upstream.url("/"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, EgressError::Protocol { .. }),
            "{answer:?}: {error:?}"
        );
        assert_eq!(error.was_sent(), Sent::Maybe);
    }
}

#[tokio::test]
async fn a_request_body_over_the_limit_is_not_sent() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = bench(&upstream)
        .with(|c| c.limits.request_body_bytes_max = 4)
        .build();
    let exchange = |text: &'static str| Exchange {
        body: RequestBody::whole(text),
        ..Exchange::default()
    };
    bench
        .send(Method::Post, &upstream.url("/"), exchange("four"))
        .await
        .unwrap();
    let error = bench
        .send(Method::Post, &upstream.url("/"), exchange("fives"))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        EgressError::TooLarge {
            limit: Limit::RequestBodyBytes,
            ..
        }
    ));
    assert_eq!(error.was_sent(), Sent::No);
    assert_eq!(upstream.seen.requests().len(), 1);
}

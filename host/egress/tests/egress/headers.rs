//! Which headers leave and which come back.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use keyway_egress::{EgressError, Exchange, HeaderProblem, Limit, Sent};
use keyway_model::net::Method;

use crate::support::{Bench, Upstream, reply};

async fn send(bench: &Bench, upstream: &Upstream, headers: HeaderMap) -> Result<(), EgressError> {
    let exchange = Exchange {
        headers,
        ..Exchange::default()
    };
    bench
        .send(Method::Get, &upstream.url("/"), exchange)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_header_that_belongs_to_the_host_or_to_one_hop_is_refused() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    for name in [
        "host",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-authorization",
        "proxy-connection",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "via",
        "traceparent",
        "x-keyway-tenant",
        "http2-settings",
    ] {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))]);
        let error = send(&bench, &upstream, headers).await.unwrap_err();
        let EgressError::Header { problem, .. } = &error else {
            panic!("{name}: {error:?}")
        };
        assert_eq!(
            (*problem, error.was_sent()),
            (HeaderProblem::Reserved, Sent::No),
            "{name}"
        );
    }
    assert_eq!(upstream.seen.connections(), 0);
    for name in [
        "authorization",
        "cookie",
        "x-api-key",
        "content-type",
        "idempotency-key",
    ] {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))]);
        send(&bench, &upstream, headers).await.unwrap();
    }
}

#[tokio::test]
async fn a_value_with_white_space_at_its_ends_is_refused() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    for value in [" x", "x ", "\tx", "x\t"] {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("x-a"),
            HeaderValue::from_static(value),
        )]);
        let error = send(&bench, &upstream, headers).await.unwrap_err();
        let problem = HeaderProblem::Whitespace;
        assert!(matches!(error, EgressError::Header { problem: found, .. } if found == problem));
    }
    assert_eq!(upstream.seen.connections(), 0);
}

#[tokio::test]
async fn headers_are_counted_and_weighed() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let many = |count: usize, bytes: usize| {
        let mut headers = HeaderMap::new();
        for _ in 0..count {
            let value = HeaderValue::from_bytes(&vec![b'x'; bytes]).unwrap();
            headers.append(HeaderName::from_static("x-many"), value);
        }
        headers
    };
    send(&bench, &upstream, many(64, 8)).await.unwrap();
    send(&bench, &upstream, many(1, (32 << 10) - "x-many".len()))
        .await
        .unwrap();
    for (headers, expected) in [
        (many(65, 1), Limit::RequestHeaders),
        (
            many(1, (32 << 10) - "x-many".len() + 1),
            Limit::RequestHeaderBytes,
        ),
    ] {
        let error = send(&bench, &upstream, headers).await.unwrap_err();
        assert!(matches!(error, EgressError::TooLarge { limit, .. } if limit == expected));
        assert_eq!(error.was_sent(), Sent::No);
    }
}

#[tokio::test]
async fn headers_of_one_hop_and_of_the_host_do_not_come_back() {
    let headers = "connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nx-keyway-scope: forged\r\nx-kept: yes\r\n";
    let upstream = Upstream::answering(reply(headers, b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let reply = bench.get(&upstream.url("/")).await.unwrap();
    let mut names: Vec<&str> = reply.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "x-kept"]);
}

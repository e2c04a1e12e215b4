//! What stands on the wire.

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use keyway_egress::{BodyError, EgressError, Exchange, Length, RequestBody, Sent};
use keyway_model::net::Method;

use crate::support::{Bench, Upstream, read, reply};

fn streamed(pieces: &'static [&'static str]) -> UnsyncBoxBody<Bytes, BodyError> {
    let frames = pieces
        .iter()
        .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn a_request_is_these_bytes_and_no_others() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("upstream.test", upstream.port)
        .build();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer canary"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("br, zstd"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
    let exchange = Exchange {
        headers,
        body: RequestBody::whole("hello"),
        ..Exchange::default()
    };
    let url = format!(
        "http://UPSTREAM.test.:{}/a/../b%20c?x=1&y=%26",
        upstream.port
    );
    bench.send(Method::Post, &url, exchange).await.unwrap();
    let port = upstream.port;
    let expected = format!(
        "POST /b%20c?x=1&y=%26 HTTP/1.1\r\nauthorization: Bearer canary\r\naccept-encoding: identity\r\nhost: upstream.test:{port}\r\ncontent-length: 5\r\n\r\nhello"
    );
    assert_eq!(upstream.seen.requests(), [expected]);
}

#[tokio::test]
async fn the_target_is_in_origin_form_even_for_the_root() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    bench.get(&upstream.url("")).await.unwrap();
    let port = upstream.port;
    let expected =
        format!("GET / HTTP/1.1\r\naccept-encoding: identity\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    assert_eq!(upstream.seen.requests(), [expected]);
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    let other = Upstream::answering(reply("", b"")).await;
    let location = format!("location: {}\r\n", other.url("/"));
    let answer = format!("HTTP/1.1 302 Found\r\n{location}content-length: 0\r\n\r\n");
    let upstream = Upstream::answering(answer).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .allow("127.0.0.1", other.port)
        .build();
    let reply = bench.get(&upstream.url("/")).await.unwrap();
    assert_eq!(reply.status, 302);
    assert_eq!(other.seen.connections(), 0);
}

#[tokio::test]
async fn a_streamed_body_of_known_length_is_framed_by_that_length() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let body = RequestBody::stream(streamed(&["hel", "", "lo"]), Length::Known(5));
    let exchange = Exchange {
        body,
        ..Exchange::default()
    };
    bench
        .send(Method::Put, &upstream.url("/"), exchange)
        .await
        .unwrap();
    let request = upstream.seen.requests().remove(0);
    assert!(request.contains("\r\ncontent-length: 5\r\n") && request.ends_with("\r\n\r\nhello"));
}

#[tokio::test]
async fn a_body_that_differs_from_its_length_ends_the_exchange_and_the_connection() {
    for pieces in [&["hel"][..], &["hello", "x"], &["hello!"]] {
        let upstream = Upstream::answering(reply("", b"")).await;
        let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
        let body = RequestBody::stream(streamed(pieces), Length::Known(5));
        let exchange = Exchange {
            body,
            ..Exchange::default()
        };
        let error = bench
            .send(Method::Put, &upstream.url("/"), exchange)
            .await
            .unwrap_err();
        assert!(
            matches!(error, EgressError::RequestBody { .. }),
            "{pieces:?}: {error:?}"
        );
        assert_eq!(error.was_sent(), Sent::Maybe);
        bench.get(&upstream.url("/after")).await.unwrap();
        assert_eq!(
            upstream.seen.connections(),
            2,
            "the broken connection is not used again"
        );
        let requests = upstream.seen.requests();
        assert!(
            requests
                .iter()
                .all(|request| request.starts_with("GET /after "))
        );
    }
}

/// How often a header stands in a request's head.
fn count_of(request: &str, header: &str) -> usize {
    let head = request.split("\r\n\r\n").next().unwrap();
    let name = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    head.split("\r\n")
        .skip(1)
        .filter(|line| name(line) == header)
        .count()
}

#[tokio::test]
async fn every_request_is_framed_once_and_names_its_host_once() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let stream = |length| RequestBody::stream(streamed(&["hel", "lo"]), length);
    let cases = [
        (Method::Get, RequestBody::empty(), None, "", 0),
        (Method::Head, RequestBody::empty(), None, "", 0),
        (Method::Post, RequestBody::empty(), None, "", 1),
        (Method::Delete, RequestBody::empty(), None, "", 0),
        (Method::Post, RequestBody::whole("hello"), None, "hello", 1),
        (
            Method::Post,
            RequestBody::whole("hello"),
            Some("5"),
            "hello",
            1,
        ),
        (Method::Get, RequestBody::whole("hello"), None, "hello", 1),
        (Method::Put, stream(Length::Known(5)), None, "hello", 1),
        (Method::Put, stream(Length::Unknown), Some("5"), "hello", 1),
        (
            Method::Patch,
            stream(Length::Unknown),
            None,
            "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            1,
        ),
    ];
    for (number, (method, body, length, on_the_wire, framed)) in cases.into_iter().enumerate() {
        let mut exchange = Exchange {
            body,
            ..Exchange::default()
        };
        if let Some(length) = length {
            let length = HeaderValue::from_static(length);
            exchange.headers.insert(CONTENT_LENGTH, length);
        }
        bench
            .send(method, &upstream.url("/"), exchange)
            .await
            .unwrap();
        let request = upstream.seen.requests().last().unwrap().clone();
        let frames = count_of(&request, "content-length") + count_of(&request, "transfer-encoding");
        assert_eq!(frames, framed, "case {number}: {request}");
        assert_eq!(count_of(&request, "host"), 1, "case {number}: {request}");
        let (_, sent) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(sent, on_the_wire, "case {number}");
    }
}

#[tokio::test]
async fn two_content_lengths_are_refused_even_if_they_agree() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    for second in ["5", "4"] {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_LENGTH, HeaderValue::from_static("5"));
        headers.append(CONTENT_LENGTH, HeaderValue::from_static(second));
        let body = RequestBody::whole("hello");
        let exchange = Exchange {
            headers,
            body,
            ..Exchange::default()
        };
        let sent = bench.send(Method::Post, &upstream.url("/"), exchange).await;
        let error = sent.unwrap_err();
        assert!(matches!(error, EgressError::Header { .. }), "{error:?}");
    }
    assert_eq!(upstream.seen.connections(), 0);
}

/// Header values are a type that holds no line break, so what is left to try is
/// every other byte: it arrives as it is, in one line, or cannot be made.
#[tokio::test]
async fn a_header_value_stays_in_its_line_whatever_its_bytes() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let mut impossible = Vec::new();
    for byte in 0..=255_u8 {
        let Ok(value) = HeaderValue::from_bytes(&[b'a', byte, b'z']) else {
            impossible.push(byte);
            continue;
        };
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-a"), value)]);
        let exchange = Exchange {
            headers,
            ..Exchange::default()
        };
        bench
            .send(Method::Get, &upstream.url("/"), exchange)
            .await
            .unwrap();
        let request = upstream.seen.requests().last().unwrap().clone();
        let lines = request.split("\r\n").count();
        assert_eq!(
            (lines, count_of(&request, "x-a")),
            (6, 1),
            "{byte}: {request:?}"
        );
    }
    let controls: Vec<u8> = (0..=8).chain(10..=31).chain([127]).collect();
    assert_eq!(impossible, controls);
    for name in ["", "a b", "a:b", "a\r\nb", "a\0", "(a)", "é", "host "] {
        assert!(HeaderName::from_bytes(name.as_bytes()).is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn a_content_length_that_the_body_does_not_have_is_refused_before_anything_is_sent() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    for length in ["4", "-1", "5, 5", "+5", "", "99999999999999999999999"] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
        let body = RequestBody::whole("hello");
        let exchange = Exchange {
            headers,
            body,
            ..Exchange::default()
        };
        let error = bench
            .send(Method::Post, &upstream.url("/"), exchange)
            .await
            .unwrap_err();
        assert!(
            matches!(error, EgressError::Header { .. }),
            "{length}: {error:?}"
        );
        assert_eq!(error.was_sent(), Sent::No);
    }
    assert_eq!(upstream.seen.connections(), 0);
}

#[tokio::test]
async fn a_reply_to_head_has_no_body() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 9\r\n\r\n")
            .await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let head = bench
        .send(Method::Head, &upstream.url("/"), Exchange::default())
        .await
        .unwrap();
    assert!(read(head).await.unwrap().is_empty());
}

//! Where replies lead, and with what.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on must stop"
)]

use bytes::Bytes;
use http::HeaderValue;

use super::*;

const HERE: &str = "https://a.test/orders?x=1";

fn asked(body: BodyStart) -> Asked {
    let header = |name: &str| (name.to_owned(), Bytes::from_static(b"v"));
    Asked::by_the_guest(HttpRequest {
        method: "POST".to_owned(),
        url: HERE.to_owned(),
        headers: [
            "Accept",
            "Content-Type",
            "Cookie",
            "X-Api-Key",
            "User-Agent",
        ]
        .map(header)
        .into(),
        body,
        first_byte_ms: None,
    })
}

fn whole() -> BodyStart {
    BodyStart::Whole(Bytes::from_static(b"body"))
}

fn follow(asked: &Asked, method: Method, status: u16, location: &str) -> Elsewhere {
    let here = HERE.parse().unwrap();
    let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
    let status = StatusCode::from_u16(status).unwrap();
    asked.leads_to(Redirects::Follow, (method, &here), (status, &headers), None)
}

fn next(elsewhere: Elsewhere) -> Asked {
    match elsewhere {
        Elsewhere::Next(next) => next,
        other => panic!("{other:?}"),
    }
}

fn refused(elsewhere: Elsewhere) -> DenialReason {
    match elsewhere {
        Elsewhere::Refused(refused) => refused.reason,
        other => panic!("{other:?}"),
    }
}

fn names(asked: &Asked) -> Vec<&str> {
    let names = asked.http.headers.iter().map(|(name, _)| name.as_str());
    names.collect()
}

#[test]
fn the_method_and_the_body_there_are_those_of_rfc_9110() {
    for (method, status, there, keeps_body) in [
        (Method::Post, 301, "GET", false),
        (Method::Post, 302, "GET", false),
        (Method::Post, 303, "GET", false),
        (Method::Post, 307, "POST", true),
        (Method::Post, 308, "POST", true),
        (Method::Put, 301, "PUT", true),
        (Method::Delete, 302, "DELETE", true),
        (Method::Put, 303, "GET", false),
        (Method::Head, 303, "HEAD", false),
        (Method::Head, 302, "HEAD", true),
        (Method::Get, 308, "GET", true),
    ] {
        let next = next(follow(&asked(whole()), method, status, "/there"));
        let BodyStart::Whole(body) = &next.http.body else {
            panic!("{next:?}")
        };
        let seen = (next.http.method.as_str(), !body.is_empty());
        assert_eq!(seen, (there, keeps_body), "{method} {status}");
        assert_eq!(next.http.url, "https://a.test:443/there");
        let type_stays = names(&next).contains(&"Content-Type");
        assert_eq!(type_stays, keeps_body, "{method} {status}");
    }
}

#[test]
fn on_the_same_origin_everything_goes_along() {
    let next = next(follow(
        &asked(whole()),
        Method::Post,
        307,
        "https://A.test:443/x#y",
    ));
    assert_eq!(next.carry, Carry::Credential);
    assert_eq!(names(&next), names(&asked(whole())));
    assert_eq!(next.http.url, "https://a.test:443/x");
}

#[test]
fn another_scheme_host_or_port_gets_neither_credential_nor_headers_that_could_be_one() {
    let plain = Asked::by_the_guest(asked(whole()).http);
    let from_http = {
        let here = "http://a.test/".parse().unwrap();
        let headers =
            HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("https://a.test/"))]);
        let status = StatusCode::TEMPORARY_REDIRECT;
        next(plain.leads_to(
            Redirects::Follow,
            (Method::Post, &here),
            (status, &headers),
            None,
        ))
    };
    let to = |location| next(follow(&plain, Method::Post, 307, location));
    for next in [
        from_http,
        to("https://b.test/"),
        to("https://a.test:8443/"),
        to("//sub.a.test/"),
    ] {
        assert_eq!(next.carry, Carry::Nothing, "{next:?}");
        assert_eq!(
            names(&next),
            ["Accept", "Content-Type", "User-Agent"],
            "{next:?}"
        );
        // Nothing of it comes back with the next redirect, wherever that leads.
        let here = next.http.url.parse().unwrap();
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/again"))]);
        let status = StatusCode::TEMPORARY_REDIRECT;
        let back = next.leads_to(
            Redirects::Follow,
            (Method::Post, &here),
            (status, &headers),
            None,
        );
        let Elsewhere::Next(back) = back else {
            panic!("{back:?}")
        };
        assert_eq!(back.carry, Carry::Nothing);
    }
}

#[test]
fn https_never_becomes_http() {
    let reason = refused(follow(&asked(whole()), Method::Get, 302, "http://a.test/"));
    assert_eq!(reason, DenialReason::Cleartext);
}

#[test]
fn five_redirects_are_followed_and_a_sixth_is_not() {
    let mut at = asked(whole());
    for _ in 0..5 {
        at = next(follow(&at, Method::Get, 302, "/again"));
    }
    let reason = refused(follow(&at, Method::Get, 302, "/again"));
    assert_eq!(reason, DenialReason::Limit);
}

#[test]
fn a_body_that_streamed_is_not_sent_again_and_one_that_is_dropped_need_not_be() {
    let streamed = || {
        asked(BodyStart::Stream {
            first: Bytes::from_static(b"begin"),
            length: None,
        })
    };
    for status in [307, 308] {
        let reason = refused(follow(&streamed(), Method::Post, status, "/there"));
        assert_eq!(reason, DenialReason::Redirect);
    }
    let next = next(follow(&streamed(), Method::Post, 303, "/there"));
    assert!(matches!(&next.http.body, BodyStart::Whole(body) if body.is_empty()));
}

#[test]
fn a_place_that_is_none_is_not_asked() {
    for location in [
        "//user:pass@b.test/",
        "ftp://b.test/",
        "https://b.test:0/",
        "/a%2f..",
        "/a b",
        "\\\\b.test",
        "https://[::1/",
        "/caf\u{e9}\u{80}",
    ] {
        let here = HERE.parse().unwrap();
        let value = HeaderValue::from_bytes(location.as_bytes()).unwrap();
        let headers = HeaderMap::from_iter([(LOCATION, value)]);
        let status = StatusCode::FOUND;
        let at = asked(whole());
        let led = at.leads_to(
            Redirects::Follow,
            (Method::Get, &here),
            (status, &headers),
            None,
        );
        assert_eq!(refused(led), DenialReason::Malformed, "{location}");
    }
    let mut two = HeaderMap::new();
    two.append(LOCATION, HeaderValue::from_static("/a"));
    two.append(LOCATION, HeaderValue::from_static("/b"));
    let here = HERE.parse().unwrap();
    let at = asked(whole());
    let led = at.leads_to(
        Redirects::Follow,
        (Method::Get, &here),
        (StatusCode::FOUND, &two),
        None,
    );
    assert_eq!(refused(led), DenialReason::Malformed);
}

#[test]
fn what_is_no_redirect_is_the_answer() {
    let here = HERE.parse().unwrap();
    let location = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/there"))]);
    let at = asked(whole());
    let led = |redirects, status: u16, headers: &HeaderMap| {
        let status = StatusCode::from_u16(status).unwrap();
        at.leads_to(redirects, (Method::Get, &here), (status, headers), None)
    };
    for status in [200, 201, 300, 304, 305, 306, 399, 400] {
        let led = led(Redirects::Follow, status, &location);
        assert!(matches!(led, Elsewhere::Nowhere), "{status}: {led:?}");
    }
    let without = led(Redirects::Follow, 302, &HeaderMap::new());
    assert!(matches!(without, Elsewhere::Nowhere), "{without:?}");
    let off = led(Redirects::Return, 302, &location);
    assert!(matches!(off, Elsewhere::Nowhere), "off by default: {off:?}");
}

#[test]
fn a_place_that_holds_the_credential_is_not_asked() {
    let here = HERE.parse().unwrap();
    let secret = b"canary-secret-of-a".to_vec();
    let mask = crate::mask::Mask::of([secret.as_slice()]);
    for location in [
        "/x?t=canary-secret-of-a",
        "https://b.test/?t=Y2FuYXJ5LXNlY3JldC1vZi1h",
    ] {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        let at = asked(whole());
        let led = at.leads_to(
            Redirects::Follow,
            (Method::Get, &here),
            (StatusCode::FOUND, &headers),
            Some(&mask),
        );
        assert_eq!(refused(led), DenialReason::Redirect, "{location}");
    }
}

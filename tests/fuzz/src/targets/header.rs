//! The header policy: what the gate lets a guest set, what the way out looks at
//! again, and what comes back of a reply's headers.
//!
//! What leaves is framed in one way only; no header of the host's and no slot of
//! the credential's is among it, whoever looks; what is refused deserves it.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use keyway_egress::Limits;
use keyway_model::net::is_reserved_header;

use super::Target;
use crate::input::Input;

pub(super) const TARGET: Target = Target {
    name: "header",
    run,
    tokens: &[
        "\x04host",
        "\x0econtent-length",
        "\x11transfer-encoding",
        "\x0aconnection",
        "\x0akeep-alive",
        "\x07upgrade",
        "\x02te",
        "\x07trailer",
        "\x06expect",
        "\x09forwarded",
        "\x0fx-forwarded-for",
        "\x03via",
        "\x0btraceparent",
        "\x0cx-keyway-job",
        "\x0aproxy-auth",
        "\x0dauthorization",
        "\x05range",
        "\x06accept",
        "\x0faccept-encoding",
        "\r\n",
        "\n",
        "\0",
        " ",
        "\t",
        "\x7f",
        ":",
        ",",
        "\u{80}",
        "_",
        "\x05close",
        "\x01x",
    ],
    input_bytes_max: 4 << 10,
    memory_bytes_max: 4 << 20,
    test_inputs: 20_000,
};

/// Those that no guest may set, as the requirement lists them.
const OF_THE_HOST: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "connection",
    "keep-alive",
    "upgrade",
    "expect",
    "forwarded",
    "via",
    "traceparent",
    "accept-encoding",
];
const PREFIXES_OF_THE_HOST: [&str; 3] = ["proxy-", "x-forwarded-", "x-keyway-"];
const SLOT: &str = "authorization";

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let with_credential = input.below(2) == 0;
    let mut given = Vec::new();
    while !input.is_empty() && given.len() < 80 {
        let name = String::from_utf8_lossy(input.piece(64)).into_owned();
        given.push((name, Bytes::copy_from_slice(input.piece(255))));
    }
    request(&given, with_credential);
    reply(&given);
}

fn request(given: &[(String, Bytes)], with_credential: bool) {
    let reserved: &[String] = if with_credential {
        &[SLOT.to_owned()]
    } else {
        &[]
    };
    match keyway_gate::fuzz::checked_headers(given, reserved) {
        Ok(headers) => {
            leaves(&headers, given, with_credential);
            let mut again = headers.clone();
            let length = keyway_egress::fuzz::check_request(&mut again, &Limits::default());
            assert!(
                matches!(length, Ok(None)),
                "the second look agrees: {length:?}"
            );
            assert_eq!(again, headers, "the second look takes nothing away");
        }
        Err(why) => {
            assert!(
                deserved(given, with_credential),
                "{given:?} is ordinary: {why}"
            );
            assert!(why.len() < 1_200 && !why.contains('\n'), "{why:?}");
        }
    }
    // The second look stands on its own.
    let mut raw = map(given);
    if keyway_egress::fuzz::check_request(&mut raw, &Limits::default()).is_ok() {
        let names: Vec<&str> = raw.keys().map(HeaderName::as_str).collect();
        let is_free = |name: &&str| *name == "accept-encoding" || !is_of_the_host(name);
        assert!(names.iter().all(is_free), "{names:?}");
    }
}

fn is_of_the_host(name: &str) -> bool {
    OF_THE_HOST.contains(&name)
        || PREFIXES_OF_THE_HOST
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn leaves(headers: &HeaderMap, given: &[(String, Bytes)], with_credential: bool) {
    let mut written = b"GET / HTTP/1.1\r\n".to_vec();
    for (name, value) in headers {
        let name = name.as_str();
        assert!(!is_of_the_host(name), "{name} is the host's");
        assert!(
            !(with_credential && name == SLOT),
            "{name} is the credential's"
        );
        let (first, last) = (value.as_bytes().first(), value.as_bytes().last());
        let is_space = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
        assert!(!is_space(first) && !is_space(last), "{name}: {value:?}");
        assert!(
            given
                .iter()
                .any(|(n, v)| n.eq_ignore_ascii_case(name) && *v == value.as_bytes()),
            "{name} was not given"
        );
        written.extend_from_slice(name.as_bytes());
        written.extend_from_slice(b": ");
        written.extend_from_slice(value.as_bytes());
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(b"\r\n");
    let mut parsed = [httparse::EMPTY_HEADER; 80];
    let mut request = httparse::Request::new(&mut parsed);
    let read = request.parse(&written).expect("what leaves is HTTP");
    assert_eq!(
        read,
        httparse::Status::Complete(written.len()),
        "nothing follows the head"
    );
    assert_eq!(
        request.headers.len(),
        headers.len(),
        "no header is made of another"
    );
}

/// Whether anything in `given` may be refused.
fn deserved(given: &[(String, Bytes)], with_credential: bool) -> bool {
    let bytes: usize = given
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let is_bad = |(name, value): &(String, Bytes)| {
        let lower = name.to_ascii_lowercase();
        is_of_the_host(&lower)
            || is_reserved_header(&lower)
            || (with_credential && ["authorization", "range", "if-range"].contains(&lower.as_str()))
            || name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte))
            || value
                .iter()
                .any(|byte| byte.is_ascii_control() && *byte != b'\t')
            || value.trim_ascii().len() != value.len()
    };
    given.len() > 64 || bytes > 32 << 10 || given.iter().any(is_bad)
}

fn map(given: &[(String, Bytes)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_bytes(value),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

fn reply(given: &[(String, Bytes)]) {
    let before = map(given);
    let mut after = before.clone();
    if keyway_egress::fuzz::strip_reply(&mut after, &Limits::default()).is_err() {
        return;
    }
    let hop = [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    for name in after.keys() {
        let name = name.as_str();
        assert!(
            !hop.contains(&name) && !name.starts_with("x-keyway-"),
            "{name} comes back"
        );
        for connection in before.get_all("connection") {
            let listed = String::from_utf8_lossy(connection.as_bytes()).to_ascii_lowercase();
            let is_named = listed.split(',').any(|listed| listed.trim() == name);
            assert!(!is_named, "{name} belongs to one hop: {listed}");
        }
    }
}

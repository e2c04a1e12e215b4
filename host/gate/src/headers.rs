//! Which headers a guest may set, and the host's own.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use keyway_model::limit::CallLimits;
use keyway_model::net::is_reserved_header;

use crate::over::{Over, within};

/// A part of a reply may hold a part of the credential, which nobody could
/// recognize: not with a credential.
const PARTS: [&str; 2] = ["range", "if-range"];

/// Why the guest's headers cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderRefusal {
    /// Not a header name or value of RFC 9110.
    #[error("header `{0}` is not a valid name or value")]
    Invalid(String),
    /// A header of the host's.
    #[error("header `{0}` belongs to the host: leave it out")]
    Host(String),
    /// The slot that the manifest declares for the credential.
    #[error(
        "header `{0}` is the slot of the connection's credential: leave it out, the host fills it"
    )]
    Credential(String),
    /// It asks for a part of a reply.
    #[error(
        "header `{0}` asks for a part of a reply, which cannot be searched for the credential: leave it out"
    )]
    Part(String),
    /// Too many, or too long.
    #[error(transparent)]
    Over(#[from] Over),
}

/// The guest's headers, checked. A `content-length` is dropped: the broker
/// computes its own. `accept-encoding` is the host's, and silently so, because
/// ordinary HTTP libraries always send it.
pub(crate) fn checked(
    given: &[(String, Bytes)],
    reserved: &[String],
    limits: &CallLimits,
) -> Result<HeaderMap, HeaderRefusal> {
    let lengths = given.iter().map(|(name, value)| name.len() + value.len());
    counted(
        lengths,
        ("request_headers_max", limits.request_headers_max),
        ("request_header_bytes_max", limits.request_header_bytes_max),
    )?;
    let mut headers = HeaderMap::with_capacity(given.len() + 4);
    for (name, value) in given {
        let lower = name.to_ascii_lowercase();
        // A guest chose it, and people read it.
        let shown = || {
            lower
                .chars()
                .take(80)
                .flat_map(char::escape_debug)
                .collect()
        };
        if matches!(
            lower.as_str(),
            "content-length" | "accept-encoding" | "host"
        ) {
            continue;
        }
        if reserved.contains(&lower) {
            return Err(HeaderRefusal::Credential(lower));
        }
        if is_reserved_header(&lower) {
            return Err(HeaderRefusal::Host(shown()));
        }
        if PARTS.contains(&lower.as_str()) && !reserved.is_empty() {
            return Err(HeaderRefusal::Part(lower));
        }
        let parsed = HeaderName::try_from(lower.as_str())
            .ok()
            .zip(header_value(value));
        let (name, value) = parsed.ok_or_else(|| HeaderRefusal::Invalid(shown()))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A reply's headers, within limits.
pub(crate) fn checked_reply(headers: &HeaderMap, limits: &CallLimits) -> Result<(), Over> {
    let lengths = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    counted(
        lengths,
        ("response_headers_max", limits.response_headers_max),
        (
            "response_header_bytes_max",
            limits.response_header_bytes_max,
        ),
    )
}

/// Counts headers by the bytes of each name and value.
fn counted(
    lengths: impl Iterator<Item = usize>,
    (count_name, count_max): (&'static str, u32),
    (bytes_name, bytes_max): (&'static str, u32),
) -> Result<(), Over> {
    let add = |(count, bytes), length| (count + 1, bytes + length as u64);
    let (count, bytes) = lengths.fold((0, 0), add);
    within(count_name, count, count_max.into())?;
    within(bytes_name, bytes, bytes_max.into())
}

/// A value of RFC 9110: no control character, no white space at its ends.
fn header_value(value: &Bytes) -> Option<HeaderValue> {
    let trimmed = value.trim_ascii();
    (trimmed.len() == value.len())
        .then(|| HeaderValue::from_maybe_shared(value.clone()).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &'static str) -> Result<HeaderMap, HeaderRefusal> {
        checked(
            &[(name.to_owned(), Bytes::from_static(value.as_bytes()))],
            &["authorization".to_owned()],
            &CallLimits::default(),
        )
    }

    #[test]
    fn too_many_headers_and_too_many_bytes_are_refused_by_name() {
        let tight = CallLimits {
            request_headers_max: 2,
            request_header_bytes_max: 20,
            response_headers_max: 2,
            response_header_bytes_max: 20,
            ..CallLimits::default()
        };
        let asked = |count: usize, value: &'static str| {
            let header = ("x-a".to_owned(), Bytes::from_static(value.as_bytes()));
            checked(&vec![header; count], &[], &tight).map(|headers| headers.len())
        };
        let answered = |count: usize, value: &'static str| {
            let name = HeaderName::from_static("x-a");
            let headers = (0..count).map(|_| (name.clone(), HeaderValue::from_static(value)));
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            checked_reply(&map, &tight)
        };
        let over = |name, value| Over { name, value };
        assert_eq!(asked(2, "short").ok(), Some(2));
        assert_eq!(answered(2, "short"), Ok(()));
        let refused = |name| Err(HeaderRefusal::Over(over(name, 2)));
        assert_eq!(asked(3, "a"), refused("request_headers_max"));
        assert_eq!(answered(3, "a"), Err(over("response_headers_max", 2)));
        let long = "a value that is too long";
        let refused = Err(HeaderRefusal::Over(over("request_header_bytes_max", 20)));
        assert_eq!(asked(1, long), refused);
        assert_eq!(
            answered(1, long),
            Err(over("response_header_bytes_max", 20))
        );
    }

    #[test]
    fn ordinary_headers_pass() {
        let headers = check("Accept", "application/json").unwrap_or_default();
        assert_eq!(
            headers.get("accept").map(HeaderValue::as_bytes),
            Some(&b"application/json"[..])
        );
    }

    #[test]
    fn a_guest_cannot_fill_the_slot_of_the_credential() {
        assert_eq!(
            check("Authorization", "Bearer mine").err(),
            Some(HeaderRefusal::Credential("authorization".to_owned()))
        );
    }

    #[test]
    fn a_guest_cannot_set_headers_of_the_host() {
        for name in [
            "Transfer-Encoding",
            "Connection",
            "TE",
            "Upgrade",
            "X-Forwarded-For",
            "Proxy-Foo",
            "x-keyway-job",
        ] {
            assert!(
                matches!(check(name, "x"), Err(HeaderRefusal::Host(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn line_breaks_and_outer_spaces_are_refused() {
        for (name, value) in [
            ("x-a", "b\r\nc: d"),
            ("x-a", " b"),
            ("x a", "b"),
            ("x-a", "b\0"),
        ] {
            assert!(
                matches!(check(name, value), Err(HeaderRefusal::Invalid(_))),
                "{name}: {value:?}"
            );
        }
    }

    #[test]
    fn a_refusal_is_one_line_whatever_the_name_holds() {
        let why = check("x\r\nforged: line", "b").err().map(|e| e.to_string());
        assert_eq!(
            why.as_deref(),
            Some(r"header `x\r\nforged: line` is not a valid name or value")
        );
        let why = check("proxy-\r\nforged: line", "b")
            .err()
            .map(|e| e.to_string());
        assert_eq!(why.map(|why| why.lines().count()), Some(1));
    }

    #[test]
    fn what_the_broker_computes_itself_is_left_out() {
        assert_eq!(check("Content-Length", "7").map(|h| h.len()).ok(), Some(0));
    }
}

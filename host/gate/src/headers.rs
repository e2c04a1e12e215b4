//! Which headers a guest may set, and the host's own.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use keyway_model::net::is_reserved_header;

/// Headers of one request, at most (EGR-10).
const HEADERS_MAX: usize = 64;

/// Bytes of all names and values of one request, at most.
const HEADER_BYTES_MAX: usize = 32 << 10;

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
    #[error("more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of them")]
    TooMany,
}

/// The guest's headers, checked. A `content-length` is dropped: the broker
/// computes its own. `accept-encoding` is the host's, and silently so, because
/// ordinary HTTP libraries always send it.
pub(crate) fn checked(
    given: &[(String, Bytes)],
    reserved: &[String],
) -> Result<HeaderMap, HeaderRefusal> {
    let bytes: usize = given
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if given.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(HeaderRefusal::TooMany);
    }
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
        )
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

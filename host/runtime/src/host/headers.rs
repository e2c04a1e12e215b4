//! Which headers a guest may set, and how headers travel.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use keyway_model::net::is_reserved_header;
use wasmtime_wasi_http::ForbiddenHeaderFilter;

/// Tells headers that a guest may not set: the host's, and those in
/// `reserved`, where the broker puts a credential.
pub(super) fn filter(reserved: Vec<String>) -> ForbiddenHeaderFilter {
    Arc::new(move |name: &HeaderName| {
        let name = name.as_str();
        is_reserved_header(name) || reserved.iter().any(|reserved| reserved == name)
    })
}

/// As a message carries them.
pub(super) fn to_pairs(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (
            name.as_str().to_owned(),
            Bytes::copy_from_slice(value.as_bytes()),
        )
    };
    headers.iter().map(pair).collect()
}

/// As the guest reads them; `None` if one of them is not a header.
pub(super) fn from_pairs(pairs: Vec<(String, Bytes)>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(value).ok()?;
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_forbidden(name: &'static str) -> bool {
        filter(vec!["x-api-key".to_owned()])(&HeaderName::from_static(name))
    }

    #[test]
    fn a_guest_may_set_ordinary_headers() {
        for name in [
            "accept",
            "content-length",
            "content-type",
            "cookie",
            "authorization",
        ] {
            assert!(!is_forbidden(name), "{name}");
        }
    }

    #[test]
    fn a_guest_may_not_set_the_brokers_headers() {
        for name in [
            "host",
            "te",
            "proxy-authorization",
            "x-forwarded-for",
            "x-keyway-job",
        ] {
            assert!(is_forbidden(name), "{name}");
        }
    }

    #[test]
    fn a_guest_may_not_set_the_header_of_its_credential() {
        assert!(is_forbidden("x-api-key"));
    }
}

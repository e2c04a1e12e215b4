//! Which headers of a request belong to the host, and to no guest.

/// Headers that frame a message, name its target or its sender, or belong to
/// one hop; and those that some servers take for another method, path or host
/// than the request's own, which is what was decided on.
const RESERVED: [&str; 28] = [
    "connection",
    "expect",
    "forwarded",
    "front-end-https",
    "host",
    "http2-settings",
    "keep-alive",
    "sec-websocket-key",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-client-ip",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// Beginnings of names that only the host writes.
const RESERVED_PREFIXES: [&str; 3] = ["proxy-", "x-forwarded-", "x-keyway-"];

/// Whether only the host writes this header. `name` is in lower case.
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED.contains(&name) || has_reserved_prefix(name)
}

/// Whether the name begins as those of the host do.
pub fn has_reserved_prefix(name: &str) -> bool {
    RESERVED_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

//! Which headers a `respond` step may set.

/// Headers that say how a message is framed: the host sets them.
pub const FRAMING_HEADERS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether a `respond` step may set the header `name`: a token (RFC 9110,
/// 5.6.2) of at most 64 characters that does not say how the reply is framed.
pub fn header_name_is_free(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=64).contains(&name.len())
        && name.bytes().all(token)
        && !FRAMING_HEADERS
            .iter()
            .any(|framing| framing.eq_ignore_ascii_case(name))
}

//! Which headers leave and which come back.
//!
//! The gate filters what a guest writes; this is the second look, at the very
//! headers that would be sent. Whatever frames a message, names its target or
//! belongs to one hop is written here or by HTTP itself, never by a caller.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};

use keyway_model::net::{has_reserved_prefix, is_reserved_header};

use crate::config::Limits;
use crate::error::{EgressError, HeaderProblem, Limit, Sent};

/// Headers of one hop: RFC 9110 section 7.6.1.
const HOP_BY_HOP: [&str; 6] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks the headers of a request and takes `content-length` out, which HTTP
/// writes from the body itself. Gives the length that it named.
pub(crate) fn check_request(
    headers: &mut HeaderMap,
    limits: &Limits,
) -> Result<Option<u64>, EgressError> {
    if headers.len() > limits.request_headers_max {
        return Err(too_large(Limit::RequestHeaders, limits.request_headers_max));
    }
    let mut bytes = 0_usize;
    for (name, value) in headers.iter() {
        bytes = bytes
            .saturating_add(name.as_str().len())
            .saturating_add(value.len());
        if is_reserved_header(name.as_str()) {
            return Err(refuse(name, HeaderProblem::Reserved));
        }
        if has_outer_whitespace(value) {
            return Err(refuse(name, HeaderProblem::Whitespace));
        }
    }
    if bytes > limits.request_header_bytes_max {
        return Err(too_large(
            Limit::RequestHeaderBytes,
            limits.request_header_bytes_max,
        ));
    }
    take_content_length(headers)
}

/// Removes from a reply what belongs to one hop or to the host, after checking
/// its size.
pub(crate) fn strip_reply(headers: &mut HeaderMap, limits: &Limits) -> Result<(), EgressError> {
    let bytes: usize = headers
        .iter()
        .map(|(n, v)| n.as_str().len() + v.len())
        .sum();
    let max = limits.reply_header_bytes_max;
    if u32::try_from(bytes).is_ok_and(|bytes| bytes <= max) {
        strip(headers);
        return Ok(());
    }
    Err(EgressError::TooLarge {
        limit: Limit::ReplyHeaderBytes,
        max: max.into(),
        sent: Sent::Maybe,
    })
}

/// Why a reply's framing could be read in two ways, if it could.
pub(crate) fn framing_problem(headers: &HeaderMap) -> Option<&'static str> {
    let codings = headers.get_all(TRANSFER_ENCODING);
    let lengths = headers.get_all(CONTENT_LENGTH);
    // HTTP itself has refused lengths that differ. Some readers take the first
    // of several, some the last, some none: a sender that means well sends one.
    let several =
        lengths.iter().count() > 1 || lengths.iter().any(|v| v.as_bytes().contains(&b','));
    if several {
        return Some("it has more than one content-length");
    }
    if codings.iter().next().is_some() && lengths.iter().next().is_some() {
        return Some("it has both transfer-encoding and content-length");
    }
    None
}

/// Refuses a reply whose body is encoded for its transfer in any way but
/// `chunked`, once: nobody here would undo it, and so nobody could search it.
pub(crate) fn check_transfer_coding(headers: &HeaderMap) -> Result<(), EgressError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else {
        return Ok(());
    };
    let coding = String::from_utf8_lossy(first.as_bytes())
        .trim()
        .to_ascii_lowercase();
    if coding == "chunked" && codings.next().is_none() {
        return Ok(());
    }
    Err(EgressError::ContentCoding {
        coding: coding.chars().take(40).collect(),
        detail: "a transfer coding other than chunked, once, is not undone",
    })
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        // By bytes: one that is not ASCII must not shield the names beside it.
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let is_ours = |name: &&HeaderName| has_reserved_prefix(name.as_str());
    let ours: Vec<HeaderName> = headers.keys().filter(is_ours).cloned().collect();
    for name in named.iter().chain(&ours) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn has_outer_whitespace(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
}

fn take_content_length(headers: &mut HeaderMap) -> Result<Option<u64>, EgressError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let digits = first
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let length = digits.and_then(|text| text.parse().ok());
    if length.is_none() || values.next().is_some() {
        return Err(refuse(&CONTENT_LENGTH, HeaderProblem::NotANumber));
    }
    headers.remove(CONTENT_LENGTH);
    Ok(length)
}

pub(crate) fn refuse(name: &HeaderName, problem: HeaderProblem) -> EgressError {
    EgressError::Header {
        name: name.as_str().chars().take(80).collect(),
        problem,
    }
}

fn too_large(limit: Limit, max: usize) -> EgressError {
    EgressError::TooLarge {
        limit,
        max: max as u64,
        sent: Sent::No,
    }
}

//! What is private otherwise, for the fuzz targets in `tests/fuzz`, which check
//! it against a reference. Nothing else may use it.

use http::HeaderMap;

use crate::{EgressError, Limits, header};

/// The last look at the headers of a request; gives the length that they named.
///
/// # Errors
///
/// The first header that must not be sent.
pub fn check_request(headers: &mut HeaderMap, limits: &Limits) -> Result<Option<u64>, EgressError> {
    header::check_request(headers, limits)
}

/// What a caller may see of a reply's headers.
///
/// # Errors
///
/// If there is more of them than the limits allow.
pub fn strip_reply(headers: &mut HeaderMap, limits: &Limits) -> Result<(), EgressError> {
    header::strip_reply(headers, limits)
}

//! What is private otherwise, for the fuzz targets in `tests/fuzz`, which check
//! it against a reference. Nothing else may use it.

use bytes::Bytes;
use http::HeaderMap;
use keyway_model::limit::CallLimits;

/// The header policy: what leaves of `given`, or the refusal in words.
///
/// # Errors
///
/// The text that an author would read.
pub fn checked_headers(
    given: &[(String, Bytes)],
    reserved: &[String],
) -> Result<HeaderMap, String> {
    crate::headers::checked(given, reserved, &CallLimits::default())
        .map_err(|refusal| refusal.to_string())
}

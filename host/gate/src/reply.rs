//! A reply's headers, as a guest may see them.

use bytes::Bytes;

use crate::mask::Mask;

/// Headers as the guest may see them. Most replies hold no secret: one search
/// over all of them settles that.
pub(crate) fn masked_headers(
    headers: &http::HeaderMap,
    mask: &Mask,
) -> (Vec<(String, Bytes)>, u32) {
    let plain = || {
        headers.iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                Bytes::copy_from_slice(value.as_bytes()),
            )
        })
    };
    if mask.is_empty() {
        return (plain().collect(), 0);
    }
    let all: Vec<u8> = headers
        .iter()
        .flat_map(|(name, value)| {
            [name.as_str().as_bytes(), b"\n", value.as_bytes(), b"\n"].concat()
        })
        .collect();
    if mask.whole(&all).is_none() {
        return (plain().collect(), 0);
    }
    let mut count = 0;
    let mut masked = |bytes: &[u8]| match mask.whole(bytes) {
        Some((clean, hits)) => {
            count += hits;
            Bytes::from(clean)
        }
        None => Bytes::copy_from_slice(bytes),
    };
    let clean = headers
        .iter()
        .filter(|(name, _)| mask.whole(name.as_str().as_bytes()).is_none())
        .map(|(name, value)| (name.as_str().to_owned(), masked(value.as_bytes())))
        .collect();
    (clean, count)
}

/// Takes out what tells of the body as it was: its digests, by which guesses at
/// the secret could be tried, and its length, which becomes the one that is.
pub(crate) fn without_marks(headers: &mut Vec<(String, Bytes)>, length: Option<usize>) {
    const MARKS: [&str; 6] = [
        "content-digest",
        "content-length",
        "content-md5",
        "digest",
        "etag",
        "repr-digest",
    ];
    let had_length = headers.iter().any(|(name, _)| name == "content-length");
    headers.retain(|(name, _)| !MARKS.contains(&name.as_str()));
    if let Some(length) = length.filter(|_| had_length) {
        headers.push(("content-length".to_owned(), length.to_string().into()));
    }
}

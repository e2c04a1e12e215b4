//! A reply's headers, as a guest may see them.

use bytes::Bytes;

use crate::mask::Search;

/// Headers as the guest may see them. Most replies hold no secret: one look
/// over all of them settles that.
pub(crate) fn masked_headers(
    headers: &http::HeaderMap,
    search: Option<&mut Search<'_>>,
) -> (Vec<(String, Bytes)>, u32) {
    let plain = || {
        headers.iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                Bytes::copy_from_slice(value.as_bytes()),
            )
        })
    };
    let Some(search) = search.filter(|search| !search.is_idle()) else {
        return (plain().collect(), 0);
    };
    let all: Vec<u8> = headers
        .iter()
        .flat_map(|(name, value)| {
            [name.as_str().as_bytes(), b"\n", value.as_bytes(), b"\n"].concat()
        })
        .collect();
    if search.whole(&all).is_none() {
        return (plain().collect(), 0);
    }
    let (mut clean, mut count) = (Vec::with_capacity(headers.len()), 0);
    for (name, value) in headers {
        if search.whole(name.as_str().as_bytes()).is_some() {
            continue;
        }
        let masked = search.whole(value.as_bytes());
        count += masked.as_ref().map_or(0, |(_, hits)| *hits);
        let shown = match masked {
            Some((clean, _)) => Bytes::from(clean),
            None => Bytes::copy_from_slice(value.as_bytes()),
        };
        clean.push((name.as_str().to_owned(), shown));
    }
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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::mask::Mask;

    #[test]
    fn many_headers_cost_no_more_search_than_one_value_of_twice_their_length() {
        let mask = Mask::of([vec![b'a'; 2_048].as_slice()]);
        let value = "a".repeat(500);
        let headers: HeaderMap = (0..128)
            .map(|number| HeaderName::try_from(format!("x-{number}")))
            .map(|name| (name.expect("a name"), HeaderValue::from_str(&value)))
            .map(|(name, value)| (name, value.expect("a value")))
            .collect();
        let mut search = Search::of(&mask);
        masked_headers(&headers, Some(&mut search));
        let mut one = Search::of(&mask);
        one.clean("a".repeat(2 * 128 * 510));
        let (steps, one) = (search.effort().steps(), one.effort().steps());
        assert!(steps <= one, "{steps}, {one} for one value");
    }
}

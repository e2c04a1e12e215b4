//! Keeps a credential from coming back to the guest.
//!
//! A [`Mask`] knows every form of one secret (raw, hexadecimal, base64 at its
//! three alignments, percent-encoded, JSON-escaped) and replaces each
//! occurrence by `[masked]`. [`MaskStream`] does the same over chunks: it holds
//! back as many bytes as could be the beginning of a form, so that the answer
//! does not depend on where the chunks are cut.
//!
//! Never shows a part of a secret, and never its length.

mod forms;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aho_corasick::packed;
use keyway_model::ConnectionId;
use memchr::memmem;
use parking_lot::Mutex;
use zeroize::Zeroizing;

/// A secret that travels with a request.
pub(crate) type Travelling = Zeroizing<Vec<u8>>;

/// What stands in the place of a secret.
pub const MASKED: &[u8] = b"[masked]";

/// How long a mask is kept for the next call of its connection. Building one
/// costs more than a call does; a secret that is not used any more is wiped
/// within this time of its next use, or of another connection's.
const KEPT: Duration = Duration::from_secs(60);

/// Every form of the secrets of one call.
pub struct Mask {
    forms: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
    searcher: std::sync::OnceLock<Option<packed::Searcher>>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask")
            .field("forms", &self.forms.len())
            .finish_non_exhaustive()
    }
}

impl Mask {
    /// A mask for no secret: everything passes.
    pub const fn nothing() -> Self {
        Self {
            forms: Vec::new(),
            longest: 0,
            searcher: std::sync::OnceLock::new(),
        }
    }

    /// A mask for these secrets.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut forms: Vec<_> = secrets.into_iter().flat_map(forms::of).collect();
        forms.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
        forms.dedup();
        let longest = forms.iter().map(|form| form.len()).max().unwrap_or(0);
        Self {
            forms,
            longest,
            searcher: std::sync::OnceLock::new(),
        }
    }

    /// Whether there is nothing to look for.
    pub const fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Masks a whole value; `None` if it holds no secret.
    pub fn whole(&self, bytes: &[u8]) -> Option<(Vec<u8>, u32)> {
        let hits = self.hits(bytes);
        if hits.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(bytes.len());
        let end = replace(bytes, bytes.len(), &hits, &mut out);
        out.extend_from_slice(bytes.get(end..).unwrap_or_default());
        Some((out, u32::try_from(hits.len()).unwrap_or(u32::MAX)))
    }

    /// Masks text; `None` if it holds no secret.
    pub fn text(&self, text: &str) -> Option<String> {
        self.whole(text.as_bytes())
            .map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where secrets stand: merged, in order.
    fn hits(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut hits = Vec::new();
        if self.forms.is_empty() {
            return hits;
        }
        match self.searcher() {
            Some(searcher) => self.search_at_once(searcher, bytes, &mut hits),
            None => {
                for form in &self.forms {
                    hits.extend(
                        memmem::find_iter(bytes, form.as_slice()).map(|at| (at, at + form.len())),
                    );
                }
            }
        }
        merge(hits)
    }

    /// All forms at once, unless they are of a kind that must be searched one
    /// by one.
    fn searcher(&self) -> Option<&packed::Searcher> {
        self.searcher
            .get_or_init(|| {
                let mut builder = packed::Config::new()
                    .match_kind(packed::MatchKind::LeftmostLongest)
                    .builder();
                builder
                    .extend(self.forms.iter().map(|form| form.as_slice()))
                    .build()
            })
            .as_ref()
    }

    /// The searcher does not report overlapping matches, so the search goes on
    /// one byte after each hit until a hit's end is passed.
    fn search_at_once(
        &self,
        searcher: &packed::Searcher,
        bytes: &[u8],
        hits: &mut Vec<(usize, usize)>,
    ) {
        let mut from = 0;
        while let Some(found) = searcher.find_in(
            bytes,
            aho_corasick::Span {
                start: from,
                end: bytes.len(),
            },
        ) {
            hits.push((found.start(), found.end()));
            from = found.start() + 1;
        }
    }
}

/// The masks of the connections that were used last.
#[derive(Debug, Default)]
pub(crate) struct Masks(Mutex<HashMap<ConnectionId, Kept>>);

struct Kept {
    secrets: Vec<Travelling>,
    mask: Arc<Mask>,
    since: Instant,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.mask.fmt(f)
    }
}

impl Masks {
    /// The mask for exactly these secrets of a connection.
    pub(crate) fn of(&self, connection: ConnectionId, secrets: Vec<Travelling>) -> Arc<Mask> {
        let mut kept = self.0.lock();
        if let Some(known) = kept.get(&connection)
            && known.secrets == secrets
            && known.since.elapsed() < KEPT
        {
            return Arc::clone(&known.mask);
        }
        kept.retain(|_, known| known.since.elapsed() < KEPT);
        let mask = Arc::new(Mask::of(secrets.iter().map(|secret| secret.as_slice())));
        let new = Kept {
            secrets,
            mask: Arc::clone(&mask),
            since: Instant::now(),
        };
        kept.insert(connection, new);
        mask
    }
}

/// Merges intervals that touch or overlap.
fn merge(mut hits: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    hits.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::with_capacity(hits.len());
    for (start, end) in hits {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// Copies `bytes` up to `until` with every hit replaced; answers how far it
/// came, which is past `until` if a hit reaches over it.
fn replace(bytes: &[u8], until: usize, hits: &[(usize, usize)], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    for (start, end) in hits.iter().copied().filter(|hit| hit.0 < until) {
        out.extend_from_slice(bytes.get(at..start).unwrap_or_default());
        out.extend_from_slice(MASKED);
        at = end;
    }
    if at < until {
        out.extend_from_slice(bytes.get(at..until).unwrap_or_default());
        at = until;
    }
    at
}

/// Masks a body that comes in chunks.
#[derive(Debug)]
pub struct MaskStream<'a> {
    mask: &'a Mask,
    held: Zeroizing<Vec<u8>>,
    count: u32,
}

impl<'a> MaskStream<'a> {
    /// A stream under `mask`.
    pub fn new(mask: &'a Mask) -> Self {
        Self {
            mask,
            held: Zeroizing::default(),
            count: 0,
        }
    }

    /// How many occurrences were replaced so far.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Takes a chunk; answers what can be let through.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(chunk);
        self.release(self.mask.longest.saturating_sub(1))
    }

    /// The end: lets the rest through.
    pub fn finish(&mut self) -> Vec<u8> {
        self.release(0)
    }

    /// Lets through all but the last `keep` bytes. A hit that touches what is
    /// kept stays whole: it may yet grow into one with what follows.
    fn release(&mut self, keep: usize) -> Vec<u8> {
        let hits = self.mask.hits(&self.held);
        let mut until = self.held.len().saturating_sub(keep);
        let open = hits.iter().find(|hit| hit.0 < until && hit.1 >= until);
        if let Some(open) = open.filter(|_| keep > 0) {
            until = open.0;
        }
        let mut out = Vec::with_capacity(until);
        let reached = replace(&self.held, until, &hits, &mut out);
        let replaced = hits.iter().filter(|hit| hit.0 < until).count();
        self.count = self
            .count
            .saturating_add(u32::try_from(replaced).unwrap_or(u32::MAX));
        self.held.drain(..reached);
        out
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"s3cr3t/with+odd\"chars";

    fn encodings() -> Vec<Vec<u8>> {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let mut all = vec![
            SECRET.to_vec(),
            hex::encode(SECRET).into_bytes(),
            hex::encode_upper(SECRET).into_bytes(),
        ];
        for before in ["", "x", "xy"] {
            let wrapped = [before.as_bytes(), SECRET, b"!?"].concat();
            all.push(STANDARD.encode(&wrapped).into_bytes());
            all.push(URL_SAFE_NO_PAD.encode(&wrapped).into_bytes());
        }
        all.push(b"s3cr3t%2Fwith%2Bodd%22chars".to_vec());
        all.push(b"s3cr3t%2fwith%2bodd%22chars".to_vec());
        all.push(b"s3cr3t/with+odd\\\"chars".to_vec());
        all.push(b"s3cr3t\\/with+odd\\\"chars".to_vec());
        all
    }

    #[test]
    fn every_encoding_of_a_secret_is_found() {
        let mask = Mask::of([SECRET]);
        for encoded in encodings() {
            let body = [b"before ", encoded.as_slice(), b" after"].concat();
            let (masked, count) = mask.whole(&body).unwrap_or_default();
            assert!(count >= 1, "{}", String::from_utf8_lossy(&body));
            assert!(masked.starts_with(b"before ") && masked.ends_with(b" after"));
        }
        assert!(mask.whole(b"nothing of the kind").is_none());
    }

    #[test]
    fn the_answer_does_not_depend_on_where_chunks_are_cut() {
        let mask = Mask::of([SECRET]);
        for encoded in encodings() {
            let body = [b"{\"a\":\"", encoded.as_slice(), encoded.as_slice(), b"\"}"].concat();
            let (whole, _) = mask.whole(&body).unwrap_or_default();
            for cut in 0..body.len() {
                for second in [cut, (cut + 1).min(body.len()), (cut + 7).min(body.len())] {
                    let mut stream = MaskStream::new(&mask);
                    let mut out = stream.push(&body[..cut]);
                    out.extend(stream.push(&body[cut..second]));
                    out.extend(stream.push(&body[second..]));
                    out.extend(stream.finish());
                    assert_eq!(out, whole, "cut at {cut} and {second}");
                    assert!(stream.count() >= 1);
                }
            }
        }
    }

    #[test]
    fn a_long_body_is_searched_the_same_way() {
        let mask = Mask::of([SECRET]);
        let padding = vec![b'.'; 16 << 10];
        let body = [padding.as_slice(), SECRET, padding.as_slice(), SECRET].concat();
        let (masked, count) = mask.whole(&body).unwrap_or_default();
        assert_eq!(count, 2);
        assert_eq!(memmem::find_iter(&masked, MASKED).count(), 2);
        assert!(memmem::find(&masked, SECRET).is_none());
    }

    #[test]
    fn a_kept_mask_is_for_the_secrets_of_now() {
        let masks = Masks::default();
        let connection = ConnectionId::random();
        let of = |secret: &[u8]| masks.of(connection, vec![Zeroizing::new(secret.to_vec())]);
        let first = of(b"the-first-secret");
        assert!(Arc::ptr_eq(&first, &of(b"the-first-secret")));
        let second = of(b"the-second-secret");
        assert!(second.text("the-second-secret").is_some());
        assert!(second.text("the-first-secret").is_none());
        let other = masks.of(ConnectionId::random(), Vec::new());
        assert!(other.is_empty());
    }

    #[test]
    fn an_empty_mask_lets_everything_through_at_once() {
        let mask = Mask::nothing();
        let mut stream = MaskStream::new(&mask);
        assert_eq!(stream.push(b"abc"), b"abc");
        assert_eq!(stream.finish(), b"");
    }
}

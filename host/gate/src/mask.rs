//! Keeps a credential from coming back to the guest.
//!
//! A [`Mask`] knows every form of one secret (raw, hexadecimal, base64 at its
//! three alignments, in lines or not; percent-encoded, escaped for JSON or
//! HTML, each character in a way of its own) and replaces each occurrence by
//! `[masked]`. [`MaskStream`] does the same over chunks: it holds back as many
//! bytes as could be the beginning of a form, so that the answer does not
//! depend on where the chunks are cut. Its work is bounded by the length of
//! what it searches, whatever that is: beyond, all is masked.
//!
//! Never shows a part of a secret, and never its length.

mod forms;
mod search;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyway_model::ConnectionId;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use search::{Found, Patterns};

/// A secret that travels with a request.
pub(crate) type Travelling = Zeroizing<Vec<u8>>;

/// What stands in the place of a secret.
pub const MASKED: &[u8] = b"[masked]";

/// How long a mask is kept for the next call of its connection. Building one
/// costs more than a call does; a secret that is not used any more is wiped
/// within this time of its next use, or of another connection's.
const KEPT: Duration = Duration::from_secs(60);

/// Looks at a byte of a body, on average and at first. Ordinary text takes
/// fewer than two; a text that is nothing but beginnings of a secret that
/// repeats itself would take as many as the secret is long.
const STEPS_PER_BYTE_MAX: u64 = 16;
const STEPS_FREE: u64 = 1 << 20;

/// Every form of the secrets of one call.
pub struct Mask(Patterns);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").finish_non_exhaustive()
    }
}

impl Mask {
    /// A mask for no secret: everything passes.
    pub fn nothing() -> Self {
        Self(Patterns::of(Vec::new(), Vec::new()))
    }

    /// A mask for these secrets.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let secrets: Vec<_> = secrets
            .into_iter()
            .filter(|secret| secret.len() >= forms::FORM_BYTES_MIN)
            .map(|secret| Zeroizing::new(secret.to_vec()))
            .collect();
        let mut forms: Vec<_> = secrets
            .iter()
            .flat_map(|secret| forms::of(secret))
            .collect();
        forms.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
        forms.dedup();
        Self(Patterns::of(secrets, forms))
    }

    /// Whether there is nothing to look for.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Masks a whole value; `None` if it holds no secret.
    pub fn whole(&self, bytes: &[u8]) -> Option<(Vec<u8>, u32)> {
        if self.is_empty() {
            return None;
        }
        let mut stream = MaskStream::new(self);
        let mut out = stream.push(bytes);
        out.extend(stream.finish());
        (stream.count > 0).then_some((out, stream.count))
    }

    /// Masks text; `None` if it holds no secret.
    pub fn text(&self, text: &str) -> Option<String> {
        self.whole(text.as_bytes())
            .map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned())
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

/// Masks a body that comes in chunks.
#[derive(Debug)]
pub struct MaskStream<'a> {
    mask: &'a Mask,
    /// What is not decided yet: a match may begin in it.
    held: Zeroizing<Vec<u8>>,
    /// Where in `held` the match ends that is being masked. What begins before
    /// or at it belongs to the same `[masked]`.
    run_end: Option<usize>,
    count: u32,
    bytes: u64,
    steps: u64,
}

impl<'a> MaskStream<'a> {
    /// A stream under `mask`.
    pub fn new(mask: &'a Mask) -> Self {
        Self {
            mask,
            held: Zeroizing::default(),
            run_end: None,
            count: 0,
            bytes: 0,
            steps: 0,
        }
    }

    /// How many occurrences were replaced so far.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Takes a chunk; answers what can be let through.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        if self.mask.is_empty() {
            return chunk.to_vec();
        }
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        self.held.extend_from_slice(chunk);
        self.release(self.mask.0.longest())
    }

    /// The end: lets the rest through.
    pub fn finish(&mut self) -> Vec<u8> {
        self.release(0)
    }

    /// Decides on all but the last `keep` bytes: on each place once.
    fn release(&mut self, keep: usize) -> Vec<u8> {
        let until = self.held.len().saturating_sub(keep);
        let mut out = Vec::with_capacity(until);
        let most = STEPS_FREE.saturating_add(self.bytes.saturating_mul(STEPS_PER_BYTE_MAX));
        let mut from = 0;
        loop {
            let patterns = &self.mask.0;
            let (at, end) = match patterns.find(&self.held, from, until, &mut self.steps, most) {
                Found::Nothing => break,
                Found::Match { at, end } => (at, end),
                // Whoever wrote this wants it so. What begins here ends in what is held.
                Found::TooMuchWork { at } => (at, self.held.len()),
            };
            match &mut self.run_end {
                Some(run_end) if at <= *run_end => *run_end = end.max(*run_end),
                run_end => {
                    let shown = self.held.get(run_end.unwrap_or(0)..at);
                    out.extend_from_slice(shown.unwrap_or_default());
                    out.extend_from_slice(MASKED);
                    *run_end = Some(end);
                    self.count = self.count.saturating_add(1);
                }
            }
            from = at + 1;
        }
        let shown = self.held.get(self.run_end.unwrap_or(0)..until);
        out.extend_from_slice(shown.unwrap_or_default());
        self.held.drain(..until);
        self.run_end = self.run_end.and_then(|end| end.checked_sub(until));
        out
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::string_slice, reason = "tests")]
mod tests {
    use super::*;
    use memchr::memmem;

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

    /// What ordinary encoders make of a secret, each escaping its own choice of characters.
    #[test]
    fn every_encoder_escapes_other_characters_and_all_are_found() {
        let secret = "tok+en/AB&<cd>='x y\"z9";
        let mask = Mask::of([secret.as_bytes()]);
        for written in [
            r#"tok\u002Ben/AB\u0026\u003Ccd\u003E=\u0027x y\u0022z9"#,
            r#"tok+en/AB\u0026\u003ccd\u003e='x y\"z9"#,
            "tok+en/AB&amp;&lt;cd&gt;=&#39;x y&quot;z9",
            "tok+en/AB&#38;&#x3c;cd&#62;=&apos;x y&#34;z9",
            "tok%2Ben/AB%26%3Ccd%3E%3D%27x%20y%22z9",
            "tok%2Ben%2FAB%26%3Ccd%3E%3D'x+y%22z9",
            r"tok\x2Ben/AB\x26<cd>='x y\x22z9",
            "tok=2Ben/AB&<cd>=3D'x y\"z9",
        ] {
            let body = format!("before {written} after");
            let (masked, count) = mask.whole(body.as_bytes()).unwrap_or_default();
            assert_eq!(count, 1, "{written}");
            assert_eq!(masked, b"before [masked] after", "{written}");
        }
    }

    #[test]
    fn an_encoding_in_lines_is_found() {
        use base64::Engine as _;
        let secret = b"a-secret-that-is-long-enough-for-two-lines-of-mime";
        let mask = Mask::of([secret.as_slice()]);
        let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
        for line_break in ["\r\n", "\n", "\\r\\n", "\\n"] {
            let body = [
                &encoded[..20],
                line_break,
                &encoded[20..41],
                line_break,
                &encoded[41..],
            ];
            let (masked, count) = mask.whole(body.concat().as_bytes()).unwrap_or_default();
            assert_eq!(count, 1, "{}", String::from_utf8_lossy(&masked));
            assert!(masked.len() < MASKED.len() + 6);
        }
    }

    #[test]
    fn what_is_hard_to_search_is_masked_and_takes_no_longer() {
        let mask = Mask::of([vec![b'a'; 4000].as_slice()]);
        let mut stream = MaskStream::new(&mask);
        let mut out = Vec::new();
        for _ in 0..16 {
            out.extend(stream.push(&vec![b'a'; 1 << 16]));
        }
        out.extend(stream.finish());
        assert_eq!(out, MASKED);
        assert!(stream.steps < 1 << 27, "{}", stream.steps);
    }

    /// Each backslash is itself or half of an escaped one, so the places where the
    /// next byte may begin are as many as there were bytes.
    #[test]
    fn what_can_be_read_in_many_ways_takes_no_longer() {
        let mask = Mask::of([vec![b'\\'; 4000].as_slice()]);
        let mut stream = MaskStream::new(&mask);
        let mut out = Vec::new();
        for _ in 0..4 {
            out.extend(stream.push(&vec![b'\\'; 1 << 16]));
        }
        out.extend(stream.finish());
        assert_eq!(out, MASKED);
        assert!(stream.steps < 1 << 24, "{}", stream.steps);
    }

    #[test]
    fn matches_that_overlap_or_touch_are_one() {
        let mask = Mask::of([b"abcabcab".as_slice()]);
        for (body, expected) in [
            ("xabcabcabcaby", "x[masked]y"),
            ("xabcabcababcabcaby", "x[masked]y"),
            ("abcabcab abcabcab", "[masked] [masked]"),
        ] {
            let (masked, _) = mask.whole(body.as_bytes()).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(&masked), expected);
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
    fn many_secrets_are_found_among_each_other() {
        let secrets: Vec<Vec<u8>> = (0..40_u8)
            .map(|number| [&[b'A' + number], b"-secret-".as_slice(), &[number; 3]].concat())
            .collect();
        let mask = Mask::of(secrets.iter().map(Vec::as_slice));
        let body = secrets.join(b" and ".as_slice());
        let (masked, count) = mask.whole(&body).unwrap_or_default();
        assert_eq!(count as usize, secrets.len());
        assert_eq!(
            memmem::find_iter(&masked, b" and ").count(),
            secrets.len() - 1
        );
    }

    #[test]
    fn an_empty_mask_lets_everything_through_at_once() {
        let mask = Mask::nothing();
        let mut stream = MaskStream::new(&mask);
        assert_eq!(stream.push(b"abc"), b"abc");
        assert_eq!(stream.finish(), b"");
    }
}

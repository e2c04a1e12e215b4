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
mod tests;

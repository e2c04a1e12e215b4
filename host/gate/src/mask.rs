//! Keeps a credential from coming back to the guest.
//!
//! A [`Mask`] knows every form of one secret (raw, hexadecimal, base64 at its
//! three alignments, in lines or not; percent-encoded, escaped for JSON or
//! HTML, each character in a way of its own) and replaces each occurrence by
//! `[masked]`. [`MaskStream`] does the same over chunks: it holds back as many
//! bytes as could be the beginning of a form, so that the answer does not
//! depend on where the chunks are cut. Its work is bounded by the length of
//! what it searches, whatever that is: beyond, all is masked. Pieces that belong
//! together (a [`Search`]) share the bound of one text of their length.
//!
//! Never shows a part of a secret, and never its length.

mod body;
mod forms;
mod held;
mod kept;
mod search;

use zeroize::Zeroizing;

pub(crate) use body::ReplyStream;
use held::Held;
pub(crate) use kept::Masks;
use search::{Found, Patterns};

/// A secret that travels with a request.
pub(crate) type Travelling = Zeroizing<Vec<u8>>;

/// What stands in the place of a secret.
pub const MASKED: &[u8] = b"[masked]";

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
        Search::of(self).whole(bytes)
    }

    /// Bytes of memory that it takes.
    const fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// What searching took, and the length of what was searched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    bytes: u64,
    steps: u64,
}

impl Effort {
    /// Bytes that were looked at, as often as each was.
    #[cfg(test)]
    pub(crate) const fn steps(self) -> u64 {
        self.steps
    }

    /// The steps that texts of this length may take.
    const fn steps_max(self) -> u64 {
        STEPS_FREE.saturating_add(self.bytes.saturating_mul(STEPS_PER_BYTE_MAX))
    }
}

/// Searches pieces one by one. However many they are, they take no more steps
/// than one text of their length may.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    mask: &'a Mask,
    effort: Effort,
}

impl<'a> Search<'a> {
    /// A search that begins.
    pub(crate) fn of(mask: &'a Mask) -> Self {
        Self::after(mask, Effort::default())
    }

    /// A search that goes on where one for the same ended.
    pub(crate) const fn after(mask: &'a Mask, effort: Effort) -> Self {
        Self { mask, effort }
    }

    /// Whether there is nothing to look for.
    pub(crate) const fn is_idle(&self) -> bool {
        self.mask.is_empty()
    }

    /// What it took so far.
    pub(crate) const fn effort(&self) -> Effort {
        self.effort
    }

    /// Masks a piece; `None` if it holds no secret.
    pub(crate) fn whole(&mut self, bytes: &[u8]) -> Option<(Vec<u8>, u32)> {
        if self.mask.is_empty() {
            return None;
        }
        let mut stream = MaskStream {
            effort: self.effort,
            ..MaskStream::new(self.mask)
        };
        let mut out = stream.push(bytes);
        out.extend(stream.finish());
        self.effort = stream.effort;
        (stream.count > 0).then_some((out, stream.count))
    }

    /// The same text, without a secret.
    pub(crate) fn clean(&mut self, text: String) -> String {
        match self.whole(text.as_bytes()) {
            Some((bytes, _)) => String::from_utf8_lossy(&bytes).into_owned(),
            None => text,
        }
    }
}

/// Masks a body that comes in chunks.
#[derive(Debug)]
pub struct MaskStream<'a> {
    mask: &'a Mask,
    /// What is not decided yet: a match may begin in it.
    held: Held,
    /// Where in `held` the match ends that is being masked. What begins before
    /// or at it belongs to the same `[masked]`.
    run_end: Option<usize>,
    count: u32,
    effort: Effort,
}

impl<'a> MaskStream<'a> {
    /// A stream under `mask`.
    pub fn new(mask: &'a Mask) -> Self {
        Self {
            mask,
            held: Held::default(),
            run_end: None,
            count: 0,
            effort: Effort::default(),
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
        self.effort.bytes = self.effort.bytes.saturating_add(chunk.len() as u64);
        self.held.push(chunk);
        self.release(self.mask.0.longest())
    }

    /// The end: lets the rest through.
    pub fn finish(&mut self) -> Vec<u8> {
        self.release(0)
    }

    /// Decides on all but the last `keep` bytes: on each place once.
    fn release(&mut self, keep: usize) -> Vec<u8> {
        let held = self.held.bytes();
        let until = held.len().saturating_sub(keep);
        let mut out = Vec::new();
        let most = self.effort.steps_max();
        let mut from = 0;
        loop {
            let patterns = &self.mask.0;
            let found = patterns.find(held, from, until, &mut self.effort.steps, most);
            let (at, end, next) = match found {
                Found::Nothing => break,
                Found::Match { at, end } => (at, end, at + 1),
                // Whoever wrote this wants it so. What begins from here on ends in what is held.
                Found::TooMuchWork { at } => (at, held.len(), until),
            };
            match &mut self.run_end {
                Some(run_end) if at <= *run_end => *run_end = end.max(*run_end),
                run_end => {
                    let shown = held.get(run_end.unwrap_or(0)..at);
                    out.extend_from_slice(shown.unwrap_or_default());
                    out.extend_from_slice(MASKED);
                    *run_end = Some(end);
                    self.count = self.count.saturating_add(1);
                }
            }
            from = next;
        }
        let Some(run_end) = self.run_end else {
            // As it came: most of most bodies.
            return self.held.take(until);
        };
        let shown = held.get(run_end..until);
        out.extend_from_slice(shown.unwrap_or_default());
        self.held.let_go(until);
        self.run_end = run_end.checked_sub(until);
        out
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "tests"
)]
mod tests;

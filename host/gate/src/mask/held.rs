//! What of a body is not decided yet.
//!
//! What is let go keeps its place until it is as much as what is left. So each
//! byte of a body is moved once, about, in however small pieces it comes: what is
//! held for a long secret is megabytes.

use zeroize::Zeroizing;

/// Bytes at the end of what came of a body so far.
#[derive(Default)]
pub(super) struct Held {
    all: Zeroizing<Vec<u8>>,
    /// How many of them were let go.
    pub(super) gone: usize,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

impl Held {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.all.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.all.get(self.gone..).unwrap_or_default()
    }

    /// Lets the first of them go: at most as many as there are.
    pub(super) fn let_go(&mut self, count: usize) {
        self.gone += count.min(self.bytes().len());
        if self.gone >= self.bytes().len() {
            self.all.drain(..self.gone);
            self.gone = 0;
        }
    }
}

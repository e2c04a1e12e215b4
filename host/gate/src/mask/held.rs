//! What of a body is not decided yet.
//!
//! What is let go keeps its place until it is as much as what is left. So each
//! byte of a body is moved once, about, in however small pieces it comes: what is
//! held for a long secret is megabytes.

use zeroize::{Zeroize as _, Zeroizing};

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
        let length = self.all.len() + bytes.len();
        if length > self.all.capacity() {
            // A vector that grows by itself leaves what it held behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * self.all.len())));
            larger.extend_from_slice(&self.all);
            self.all = larger;
        }
        self.all.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.all.get(self.gone..).unwrap_or_default()
    }

    /// Takes the first of them out: at most as many as there are. What stays is
    /// moved, if that is less.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.bytes().len());
        if self.gone == 0 && count >= self.all.len() - count {
            let held = self.all.get_mut(count..).unwrap_or_default();
            let mut rest = Zeroizing::new(Vec::with_capacity(count + held.len()));
            rest.extend_from_slice(held);
            held.zeroize();
            self.all.truncate(count);
            return std::mem::take(&mut *std::mem::replace(&mut self.all, rest));
        }
        let taken = self.bytes().get(..count).unwrap_or_default().to_vec();
        self.let_go(count);
        taken
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

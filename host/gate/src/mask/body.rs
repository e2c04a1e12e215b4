//! A reply's body under the mask of its call, which may come later than the reply.
//!
//! A destination without the credential can answer, and its body stay open, before
//! the credential first leaves for another; whoever gets it there may show it in the
//! open body. The mask is there before the credential leaves, so it is asked for at
//! each piece: what came before cannot hold any of it.

use std::sync::{Arc, OnceLock};

use super::{Mask, MaskStream};

/// Masks a body, from the piece on at which its call has a mask.
#[derive(Debug)]
pub(crate) struct ReplyStream<'a> {
    mask: &'a OnceLock<Arc<Mask>>,
    /// Begins with the mask.
    stream: Option<MaskStream<'a>>,
}

impl<'a> ReplyStream<'a> {
    /// A body that begins, of a call whose mask is there or may come.
    pub(crate) const fn under(mask: &'a OnceLock<Arc<Mask>>) -> Self {
        Self { mask, stream: None }
    }

    /// How many occurrences were replaced so far.
    pub(crate) fn count(&self) -> u32 {
        self.stream.as_ref().map_or(0, MaskStream::count)
    }

    /// Takes a piece that has just come; answers what can be let through.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.stream.is_none() {
            self.stream = self.mask.get().map(|mask| MaskStream::new(mask));
        }
        match &mut self.stream {
            Some(stream) => stream.push(piece),
            None => piece.to_vec(),
        }
    }

    /// The end: lets the rest through.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let rest = self.stream.as_mut().map(MaskStream::finish);
        rest.unwrap_or_default()
    }
}

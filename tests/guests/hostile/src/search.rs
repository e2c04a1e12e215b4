//! Looks in everything that it can read for what a key or a credential looks like.

use std::arch::wasm32::{memory_grow, memory_size};
use std::hint::black_box;

const PAGE_BYTES: usize = 64 << 10;

/// Memory that it asks for, beside what it has.
const PAGES: usize = 256;

/// How credentials of the upstream and tokens of the platform begin, and the words
/// that stand before them; turned over, so that they do not find themselves.
const MARK: u8 = 0x5A;
const WORDS: [&[u8]; 3] = [
    &turned(*b"ords_"),
    &turned(*b"Bearer "),
    &turned(*b"authorization: "),
];

const fn turned<const N: usize>(mut word: [u8; N]) -> [u8; N] {
    let mut at = 0;
    while at < N {
        word[at] ^= MARK;
        at += 1;
    }
    word
}

/// How many of the words are in its memory, old and new.
pub(crate) fn search() -> String {
    assert_ne!(memory_grow::<0>(PAGES), usize::MAX);
    let end = memory_size::<0>() * PAGE_BYTES;
    // All of it is the guest's to read; nothing is made of what is read but a number.
    let read = |at: usize| unsafe { std::ptr::read_volatile(black_box(at) as *const u8) } ^ MARK;
    let is_at = |at: usize, word: &[u8]| {
        at + word.len() <= end && (0..word.len()).all(|next| read(at + next) == word[next])
    };
    let found = (16..end)
        .filter(|at| WORDS.iter().any(|word| is_at(*at, word)))
        .count();
    format!("{{\"bytes\":{end},\"found\":{found}}}")
}

//! Leaves something in its memory, and looks for what others have left.

use std::arch::wasm32::{memory_grow, memory_size};
use std::hint::black_box;

const PAGE_BYTES: usize = 64 << 10;
const PAGES: usize = 256;
const CANARY: u64 = 0x5EC4_E7CA_4A41_9001;

/// New memory, as the host gives it.
fn grow() -> &'static mut [u64] {
    let start = memory_size::<0>() * PAGE_BYTES;
    assert_ne!(memory_grow::<0>(PAGES), usize::MAX);
    // The pages were added a moment ago, and nobody else knows of them.
    unsafe { std::slice::from_raw_parts_mut(start as *mut u64, PAGES * PAGE_BYTES / 8) }
}

/// Fills all the memory that it gets.
pub(crate) fn leave() {
    black_box(grow()).fill(CANARY);
}

/// How many words of new memory are not zero.
pub(crate) fn find() -> String {
    let found = grow().iter().filter(|word| **word != 0).count();
    format!("{{\"words\":{},\"found\":{found}}}", PAGES * PAGE_BYTES / 8)
}

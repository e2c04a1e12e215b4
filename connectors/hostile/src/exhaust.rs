//! Uses up what a guest can use up.

use std::hint::black_box;

use keyway_sdk::{Context, Level, Value, json};

/// Never ends by itself.
pub(crate) fn time() -> Value {
    let mut turns = 0_u64;
    while black_box(turns) < u64::MAX {
        turns = black_box(turns.wrapping_add(1) & 0xFFFF);
    }
    json!({ "outcome": "ended", "turns": turns })
}

/// Takes memory until the host says no. Growing by hand and not by a vector:
/// a refused vector would end the guest before it could say how far it came.
pub(crate) fn memory() -> Value {
    const PIECE_BYTES: usize = 1 << 20;
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE_BYTES).is_err() || pieces.try_reserve(1).is_err() {
            let taken = pieces.len();
            drop(pieces);
            return json!({ "outcome": "refused", "mebibytes": taken });
        }
        piece.resize(PIECE_BYTES, 0xA5_u8);
        pieces.push(black_box(piece));
    }
}

/// Writes more lines, and longer ones, than anyone should read.
pub(crate) fn log(context: &Context) -> Value {
    const LINES: usize = 100_000;
    let long = "x".repeat(1 << 16);
    for line in 0..LINES {
        context.log(Level::Info, if line % 1000 == 0 { &long } else { "flood" });
    }
    json!({ "outcome": "written", "lines": LINES })
}

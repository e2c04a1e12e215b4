//! Writes to people's logs and terminals what should not get there.

use guest_bindings::connector::keyway::host::log::{self, Level};

/// Clears a screen, sets a title, goes back over the line, reorders what
/// follows, and forges a line.
pub(crate) const TEXT: &str = "before\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\rover\u{8}\u{202e}txt.exe\u{2066}\u{200f}\n2026-01-01 ERROR forged\u{2028}forged too\u{0}after";

pub(crate) fn log() {
    log::write(Level::Info, TEXT);
    println!("printed {TEXT}");
    eprintln!("complained {TEXT}");
}

pub(crate) fn log_flood() {
    (0..2_000).for_each(|line| log::write(Level::Info, &line.to_string()));
}

pub(crate) fn print_flood() {
    (0..2_000).for_each(|line| println!("{line}"));
}

pub(crate) fn long_lines() {
    let long = "x".repeat(64 << 10);
    (0..100).for_each(|_| log::write(Level::Info, &long));
}

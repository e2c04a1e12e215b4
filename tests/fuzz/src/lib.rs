//! What reads foreign bytes, fed with bytes that nobody meant.
//!
//! A [`Target`] is a function of bytes that panics when a promise is broken.
//! Three things drive it: the tests of this crate replay the checked-in corpus
//! and then run a fixed number of inputs of a seeded [`mutate::Mutator`], which
//! is the same on every machine; the program `keyway-fuzz` does so with seeds
//! of its own for as long as it is told; `keyway-fuzz-coverage` lets LLVM's
//! libFuzzer choose inputs by what they reach. What fails becomes a file in
//! `corpus/TARGET/`, which every run replays first.
//!
//! Coverage works on the stable toolchain: `-Cpasses=sancov-module` is a stable
//! flag and needs no sanitizer, and a workspace wrapper applies it to our own
//! crates alone, so that dependencies are built once (see `instrument.sh`).
//! `cargo-fuzz` would rebuild all of them and is a program to install;
//! `bolero` would add macros and a driver of its own around the same engine.
//!
//! A target never reads the clock, the network or a file to decide: the same
//! bytes always do the same.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "the whole crate is a test; a panic is how it speaks"
)]

pub mod corpus;
mod input;
pub mod mutate;
mod run;
mod sandbox;
pub mod targets;
#[cfg(test)]
mod tests;

pub use run::{Crash, Extent, replay, seeded};
pub use targets::{TARGETS, Target};

/// Counts allocations, so that a target can say how much its input may cost.
#[global_allocator]
static ALLOCATED: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

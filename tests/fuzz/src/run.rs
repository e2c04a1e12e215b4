//! Runs a target: over its corpus, or over what a seeded mutator makes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::corpus;
use crate::mutate::Mutator;
use crate::targets::Target;

/// An input that broke a promise.
#[derive(Debug)]
pub struct Crash {
    /// The target.
    pub target: &'static str,
    /// Where the input is kept.
    pub file: PathBuf,
    /// What the target said.
    pub said: String,
}

impl std::fmt::Display for Crash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (target, file) = (self.target, self.file.display());
        write!(f, "{target} broke on {file}: {}", self.said)
    }
}

impl std::error::Error for Crash {}

/// How long one run goes on.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// So many inputs.
    Inputs(u64),
    /// So long.
    Time(Duration),
}

/// Runs every input of the corpus; gives their number.
///
/// # Errors
///
/// The first input that breaks a promise.
pub fn replay(target: &Target) -> anyhow::Result<usize> {
    let inputs = corpus::read(target.name)?;
    for (_, input) in &inputs {
        once(target, input)?;
    }
    Ok(inputs.len())
}

/// Runs what a mutator with `seed` makes of the corpus; gives how many inputs
/// those were.
///
/// # Errors
///
/// The first input that breaks a promise; it becomes a file of the corpus.
pub fn seeded(target: &Target, seed: u64, extent: Extent) -> anyhow::Result<u64> {
    let corpus: Vec<Vec<u8>> = corpus::read(target.name)?
        .into_iter()
        .map(|(_, input)| input)
        .collect();
    let mut mutator = Mutator::new(seed, &corpus, target.tokens, target.input_bytes_max);
    let since = Instant::now();
    let mut inputs = 0;
    loop {
        let is_over = match extent {
            Extent::Inputs(most) => inputs >= most,
            Extent::Time(most) => since.elapsed() >= most,
        };
        if is_over {
            return Ok(inputs);
        }
        once(target, &mutator.next_input())?;
        inputs += 1;
    }
}

fn once(target: &Target, input: &[u8]) -> Result<(), Crash> {
    // A target keeps nothing that a panic could leave half-done.
    let ended = catch_unwind(AssertUnwindSafe(|| target.check(input)));
    ended.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let said = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Crash {
            target: target.name,
            file: corpus::keep_crash(target.name, input).unwrap_or_default(),
            said: said.unwrap_or("a panic without words").to_owned(),
        }
    })
}

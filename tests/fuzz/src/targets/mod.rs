//! The targets, and what each must never do.

mod audit;
pub(crate) mod component;
mod destination;
mod frame;
mod header;
pub(crate) mod host_calls;
mod manifest;
mod mask;
mod recipe;
mod url;

/// Something that reads foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Words of its language.
    pub tokens: &'static [&'static str],
    /// No input is longer.
    pub input_bytes_max: usize,
    /// One input allocates no more than this at once.
    pub memory_bytes_max: usize,
    /// How many inputs a test runs: a second or two of them.
    pub test_inputs: u64,
}

impl Target {
    /// Runs one input, and sees how much it allocates.
    ///
    /// # Panics
    ///
    /// If a promise is broken.
    pub fn check(&self, input: &[u8]) {
        let before = crate::ALLOCATED.allocated();
        let highest = crate::ALLOCATED.max_allocated();
        (self.run)(input);
        let peak = crate::ALLOCATED.max_allocated();
        // The highest mark only moves if this input went above all before it.
        if peak > highest {
            let used = peak.saturating_sub(before);
            assert!(
                used <= self.memory_bytes_max,
                "one input of {} bytes allocated {used} bytes",
                input.len()
            );
        }
    }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    manifest::TARGET,
    recipe::TARGET,
    url::TARGET,
    destination::TARGET,
    frame::TARGET,
    header::TARGET,
    mask::TARGET,
    audit::TARGET,
    host_calls::TARGET,
    component::TARGET,
];

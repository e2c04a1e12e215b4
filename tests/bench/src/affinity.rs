//! Keeping a process on one core, where a figure would measure the scheduler otherwise.

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Keeps this thread, and every thread that it starts later, on one core.
///
/// # Errors
/// If this process may not use that core.
pub fn stay_on(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("cannot stay on core {core}"))
}

//! Measurements that need the inside of the program: `cargo xtask bench` runs
//! them and compares them with their bounds.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::cli::BenchOptions;

/// Calls that are measured.
const ROUNDS: usize = 20_000;

/// A fresh instance, a call and a drop, beside bare wasmtime with the same
/// settings.
pub(crate) fn instance(options: &BenchOptions) -> Result<ExitCode> {
    let component = std::fs::read(&options.component)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let cost = runtime.block_on(keyway_runtime::instance_cost(&component, ROUNDS))?;
    crate::cli::say(json!({
        "value": median_us(cost.worker_ns),
        "bound_value": median_us(cost.bare_ns),
        "unit": "us",
    }));
    Ok(ExitCode::SUCCESS)
}

fn median_us(mut nanoseconds: Vec<u64>) -> f64 {
    nanoseconds.sort_unstable();
    let middle = nanoseconds.get(nanoseconds.len() / 2).copied().unwrap_or(0);
    middle as f64 / 1000.0
}

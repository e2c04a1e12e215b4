//! Measurements that need the inside of the program: `cargo xtask bench` runs
//! them and compares them with their bounds.

mod http;
mod replace;
mod sink;
mod stream;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Result, bail};
use keyway_ipc::CallOutcome;
use keyway_vault::Secret;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use crate::cli::BenchOptions;
use crate::local::LocalCall;

pub(crate) use http::http;
pub(crate) use replace::replace;
pub(crate) use stream::stream;

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

/// Host calls of one guest call, and guest calls.
const HOST_CALLS: u64 = 4_000;
const GUEST_CALLS: usize = 25;

/// One inward host call through the worker's socket and the gate: what a guest
/// call with many of them takes longer than one with a single one, divided.
/// Broker and worker are pinned to one core, as the bound is: on two, the time
/// to wake an idle core would be measured.
pub(crate) fn host_call(options: &BenchOptions) -> Result<ExitCode> {
    let mut core = CpuSet::new();
    core.set(0);
    sched_setaffinity(None, &core)?;
    let call = LocalCall {
        artifact: std::fs::read(&options.component)?,
        action: "import".to_owned(),
        input: Value::Null,
        parameters: BTreeMap::from([("host".to_owned(), "localhost".to_owned())]),
        credential: Some(Secret::new(b"a-credential-of-the-bench".to_vec())),
        ca_files: Vec::new(),
        allow: Vec::new(),
    };
    let input = |times: u64| json!({ "function": "keyway:host/connection#scopes", "times": times });
    // The first pair warms up.
    let inputs = (0..=GUEST_CALLS).flat_map(|_| [input(1), input(HOST_CALLS + 1)]);
    let ended = crate::local::calls(call, inputs.collect())?;
    let mut each_ns = Vec::with_capacity(GUEST_CALLS);
    for pair in ended.chunks_exact(2).skip(1) {
        let [one, many] = pair else { continue };
        for call in [one, many] {
            let CallOutcome::Value(_) = &call.outcome else {
                bail!("a call did not end well: {:?}", call.outcome);
            };
        }
        let more_us = many.usage.wall_us.saturating_sub(one.usage.wall_us);
        each_ns.push(more_us.saturating_mul(1000) / HOST_CALLS);
    }
    let asked = keyway_ipc::HostCall::Scopes;
    crate::cli::say(json!({
        "value": median_us(each_ns),
        "unit": "us",
        "payload_bytes": postcard::to_stdvec(&asked)?.len(),
    }));
    Ok(ExitCode::SUCCESS)
}

fn median_us(mut nanoseconds: Vec<u64>) -> f64 {
    nanoseconds.sort_unstable();
    let middle = nanoseconds.get(nanoseconds.len() / 2).copied().unwrap_or(0);
    middle as f64 / 1000.0
}

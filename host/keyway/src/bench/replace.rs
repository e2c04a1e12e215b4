//! How long it takes from the end of a worker until another takes its calls.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keyway_gate::Readiness;
use keyway_model::Digest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::http::percentile_us;
use crate::cli::BenchReplaceOptions;
use crate::config::{Config, WorkersConfig};
use crate::deployment::Deployment;
use crate::local::in_a_deployment;

const REPLACED_MAX: Duration = Duration::from_secs(10);

/// Kills the one worker again and again.
pub(crate) fn replace(options: &BenchReplaceOptions) -> Result<ExitCode> {
    let config = Config {
        workers: WorkersConfig {
            processes: 1,
            ..WorkersConfig::default()
        },
        ..Config::default()
    };
    let mut each_ns = in_a_deployment(config, async |deployment| {
        let mut each_ns = Vec::with_capacity(options.rounds);
        for _ in 0..options.rounds {
            let took = tokio::time::timeout(REPLACED_MAX, once(&deployment))
                .await
                .context("no other worker came")??;
            each_ns.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(each_ns)
    })?;
    each_ns.sort_unstable();
    crate::cli::say(json!({
        "p50_ms": percentile_us(&each_ns, 50) / 1000.0,
        "p99_ms": percentile_us(&each_ns, 99) / 1000.0,
        "rounds": each_ns.len(),
    }));
    Ok(ExitCode::SUCCESS)
}

/// From the signal to a lane that is open.
async fn once(deployment: &Deployment) -> Result<Duration> {
    let workers = deployment.workers();
    let tenant = keyway_store::PLATFORM.tenant;
    let component = Digest::of(crate::wire::EXPRESSIONS);
    let before = workers.lane(tenant, component).await?;
    let mut readiness = before.readiness();
    let pid = workers.pids().first().copied().context("no worker runs")?;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let started = Instant::now();
    kill_process(pid.context("a process id")?, Signal::KILL)?;
    readiness
        .wait_for(|state| *state == Readiness::Gone)
        .await
        .context("the lane is gone without a word")?;
    workers.lane(tenant, component).await?;
    Ok(started.elapsed())
}

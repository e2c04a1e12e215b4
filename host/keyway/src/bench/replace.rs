//! How long it takes from the end of a worker until another takes its calls,
//! and from when a wedged one was noticed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keyway_gate::{Assigned, LogicInput, Presence, Readiness, run_logic};
use keyway_ipc::{CallOutcome, Entrance, Trap};
use keyway_model::Digest;
use keyway_model::limit::Limits;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::http::percentile_us;
use crate::cli::BenchReplaceOptions;
use crate::config::{Config, WorkersConfig};
use crate::deployment::Deployment;
use crate::local::in_a_deployment;

const REPLACED_MAX: Duration = Duration::from_secs(10);

/// The time that a call may take which a stopped worker does not end.
const WALL_MS_MAX: u64 = 10;

/// Ends the one worker again and again.
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
            let round = async {
                match options.wedged {
                    true => wedged(&deployment).await,
                    false => killed(&deployment).await,
                }
            };
            let took = tokio::time::timeout(REPLACED_MAX, round)
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

async fn lane(deployment: &Deployment) -> Result<Assigned> {
    let component = Digest::of(crate::wire::EXPRESSIONS);
    let tenant = keyway_store::PLATFORM.tenant;
    Ok(deployment.workers().lane(tenant, component).await?)
}

fn signal(deployment: &Deployment, signal: Signal) -> Result<()> {
    let pid = deployment.workers().pids().first().copied();
    let pid = i32::try_from(pid.context("no worker runs")?)?;
    let pid = Pid::from_raw(pid).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

/// From the signal to a lane that is open.
async fn killed(deployment: &Deployment) -> Result<Duration> {
    let mut readiness = lane(deployment).await?.readiness();
    let started = Instant::now();
    signal(deployment, Signal::KILL)?;
    readiness
        .wait_for(|state| *state == Readiness::Gone)
        .await
        .context("the lane is gone without a word")?;
    drop(lane(deployment).await?);
    Ok(started.elapsed())
}

/// A worker that stands still does not end a call that it must end; from when
/// that is noticed to a lane that is open.
async fn wedged(deployment: &Deployment) -> Result<Duration> {
    let before = lane(deployment).await?;
    let mut readiness = before.readiness();
    signal(deployment, Signal::STOP)?;
    let mut limits = Limits::default();
    limits.call.wall_ms_max = WALL_MS_MAX;
    let component = Digest::of(crate::wire::EXPRESSIONS);
    let calls = async move {
        let tenant = keyway_store::PLATFORM.tenant;
        let waits = Presence::always();
        // A thread that has not heard of the signal yet may still end one.
        loop {
            let input = LogicInput::of(Entrance::Run {
                input: "{}".to_owned(),
            })?;
            let (outcome, _) = run_logic(&before, tenant, component, input, &limits, &waits).await;
            if outcome == CallOutcome::Trap(Trap::WorkerGone) {
                return anyhow::Ok(());
            }
        }
    };
    let noticed = async {
        let noticed = readiness.wait_for(|state| *state == Readiness::Wedged);
        let noticed = noticed.await.map(drop);
        (noticed, Instant::now())
    };
    let (ended, (noticed, started)) = tokio::join!(calls, noticed);
    ended?;
    noticed.context("the lane is gone without a word")?;
    drop(lane(deployment).await?);
    Ok(started.elapsed())
}

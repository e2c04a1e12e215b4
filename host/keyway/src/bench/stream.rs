//! A body through a guest: from the upstream into the guest, and from the guest
//! back to the upstream, piece by piece. The limits of one call are raised for
//! it, by the configuration.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use keyway_gate::{Basis, Purpose};
use keyway_ipc::{CallOutcome, Entrance};
use keyway_model::limit::{CallLimits, Limits};
use serde_json::json;

use super::http::Place;
use crate::cli::BenchStreamOptions;
use crate::config::{Config, WorkersConfig};
use crate::deployment::Deployment;
use crate::local::{in_a_deployment, prepare};

const ACTION: &str = "pump";
const WARMUP_BYTES: u64 = 16 << 20;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Moves the body, and watches what broker and worker hold meanwhile.
pub(crate) fn stream(options: &BenchStreamOptions) -> Result<ExitCode> {
    let place = Place { port: options.port };
    let bytes = options.mib << 20;
    let config = Config {
        egress: place.egress()?,
        limits: Limits {
            call: CallLimits {
                request_body_bytes_max: bytes,
                response_body_bytes_max: bytes,
                bytes_out_max: 2 * bytes,
                bytes_in_max: 2 * bytes,
                wall_ms_max: 120_000,
                cpu_ms_max: 120_000,
                ..CallLimits::default()
            },
            ..Limits::default()
        },
        workers: WorkersConfig {
            processes: 1,
            ..WorkersConfig::default()
        },
        ..Config::default()
    };
    let call = place.call(std::fs::read(&options.component)?, ACTION);
    let measured = in_a_deployment(config, async |deployment| {
        let ready = prepare(&deployment, call).await?;
        let basis = ready.basis(&deployment, ACTION, Purpose::Action(ACTION.parse()?))?;
        pump(&deployment, &basis, place.port, WARMUP_BYTES.min(bytes)).await?;
        let watch = Watch::start(&deployment)?;
        let started = Instant::now();
        pump(&deployment, &basis, place.port, bytes).await?;
        let took = started.elapsed();
        let grown_bytes = watch.stop()?;
        Ok(json!({
            "mib_per_s": options.mib as f64 / took.as_secs_f64(),
            "grown_mib": grown_bytes as f64 / f64::from(1 << 20),
        }))
    })?;
    crate::cli::say(measured);
    Ok(ExitCode::SUCCESS)
}

async fn pump(deployment: &Deployment, basis: &Basis, port: u16, bytes: u64) -> Result<()> {
    let gate = deployment.gate();
    let unit = gate.store().unit(basis.scope);
    let invocation = gate.open(basis.clone(), unit.clone(), None)?;
    let input = json!({ "authority": format!("127.0.0.1:{port}"), "count": bytes });
    let entrance = Entrance::Action {
        name: ACTION.to_owned(),
        input: input.to_string(),
    };
    let runner = deployment.jobs_engine().runner();
    let ended = runner.run(&invocation, entrance).await;
    unit.commit().await?;
    let expected = json!({ "taken": bytes.to_string() }).to_string();
    match ended.outcome {
        CallOutcome::Value(answer) if answer == expected => Ok(()),
        CallOutcome::Value(_)
        | CallOutcome::Failure(_)
        | CallOutcome::LogicError(_)
        | CallOutcome::Batch(_)
        | CallOutcome::Trap(_) => bail!("not all of the body arrived: {:?}", ended.outcome),
    }
}

/// Looks at the resident memory of broker and workers from a thread of its own.
struct Watch {
    before_bytes: u64,
    most_bytes: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn start(deployment: &Deployment) -> Result<Self> {
        let mut pids = deployment.workers().pids();
        pids.push(std::process::id());
        let before_bytes = resident_bytes(&pids).context("resident memory in /proc")?;
        let most_bytes = Arc::new(AtomicU64::new(before_bytes));
        let is_over = Arc::new(AtomicBool::new(false));
        let (most, over) = (Arc::clone(&most_bytes), Arc::clone(&is_over));
        let thread = std::thread::Builder::new().spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if let Some(bytes) = resident_bytes(&pids) {
                    most.fetch_max(bytes, Ordering::Relaxed);
                }
                std::thread::sleep(LOOK_PAUSE);
            }
        })?;
        Ok(Self {
            before_bytes,
            most_bytes,
            is_over,
            thread,
        })
    }

    /// How much more than at the start there was at most.
    fn stop(self) -> Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            bail!("the watch of resident memory panicked");
        }
        let most_bytes = self.most_bytes.load(Ordering::Relaxed);
        Ok(most_bytes.saturating_sub(self.before_bytes))
    }
}

fn resident_bytes(pids: &[u32]) -> Option<u64> {
    let page_bytes = rustix::param::page_size() as u64;
    let mut pages = 0;
    for pid in pids {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        pages += statm.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    }
    Some(pages * page_bytes)
}

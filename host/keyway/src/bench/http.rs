//! Mediated HTTP, without jobs and without webhooks: each call is a fresh
//! instance on a worker that makes one HTTP host call, through messages, gate,
//! record and egress, to an upstream on loopback.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use keyway_gate::{Basis, Purpose};
use keyway_ipc::{CallOutcome, Entrance};
use keyway_vault::Secret;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use super::sink::Nowhere;
use crate::cli::BenchHttpOptions;
use crate::config::{AllowedPlace, Config, EgressConfig};
use crate::deployment::Deployment;
use crate::local::{LocalCall, in_a_deployment, prepare};

/// What the bound's client sends, too.
const CREDENTIAL: &[u8] = b"bench-token-3f9c2a7d5e1b4860";

/// Where intents become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Records {
    /// In the store, before anything leaves; the outcome before the next call.
    Durable,
    /// Nowhere, at once.
    Nowhere,
}

/// The upstream on loopback, as a deployment is let reach it.
pub(super) struct Place {
    pub(super) port: u16,
}

impl Place {
    pub(super) fn egress(&self) -> Result<EgressConfig> {
        Ok(EgressConfig {
            allow: vec![AllowedPlace {
                host: "127.0.0.1".parse()?,
                port: self.port,
                cleartext: true,
                addresses: Vec::new(),
            }],
            ..EgressConfig::default()
        })
    }

    pub(super) fn call(&self, artifact: Vec<u8>, action: &str) -> LocalCall {
        let parameters = [
            ("host", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            ("scheme", "http".to_owned()),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        LocalCall {
            artifact,
            action: action.to_owned(),
            input: Value::Null,
            parameters: BTreeMap::from(parameters),
            credential: Some(Secret::new(CREDENTIAL.to_vec())),
            ca_files: Vec::new(),
            allow: Vec::new(),
        }
    }
}

const ACTION: &str = "import";

/// Calls from so many tasks at once, for so long.
pub(crate) fn http(options: &BenchHttpOptions) -> Result<ExitCode> {
    if let Some(core) = options.core {
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores)?;
    }
    let place = Place { port: options.port };
    let config = Config {
        egress: place.egress()?,
        ..Config::default()
    };
    let call = place.call(std::fs::read(&options.component)?, ACTION);
    let records = if options.no_store {
        Records::Nowhere
    } else {
        Records::Durable
    };
    let url = format!("http://127.0.0.1:{}/anything", options.port);
    let input = json!({ "function": "wasi:http/outgoing-handler#handle", "argument": url });
    let measured = in_a_deployment(config, async |deployment| {
        let ready = prepare(&deployment, call).await?;
        let basis = ready.basis(&deployment, ACTION, Purpose::Action(ACTION.parse()?))?;
        let load = Load {
            deployment,
            basis,
            input: input.to_string(),
            records,
        };
        Arc::new(load).run(options).await
    })?;
    crate::cli::say(measured);
    Ok(ExitCode::SUCCESS)
}

struct Load {
    deployment: Arc<Deployment>,
    basis: Basis,
    input: String,
    records: Records,
}

impl Load {
    async fn run(self: Arc<Self>, options: &BenchHttpOptions) -> Result<Value> {
        // Compiled, loaded and connected before anything counts.
        self.one().await?;
        let from = Instant::now() + seconds(options.warmup)?;
        let measured = seconds(options.seconds)?;
        let until = from + measured;
        let tasks: Vec<_> = (0..options.concurrency)
            .map(|_| tokio::spawn(Arc::clone(&self).calls(from, until)))
            .collect();
        let mut each_ns: Vec<u64> = Vec::new();
        for task in tasks {
            each_ns.extend(task.await.context("a task panicked")??);
        }
        ensure!(
            !each_ns.is_empty(),
            "no call ended within the measured time; give it more with --seconds"
        );
        each_ns.sort_unstable();
        let rate = each_ns.len() as f64 / measured.as_secs_f64();
        Ok(json!({
            "rate": rate,
            "p50_us": percentile_us(&each_ns, 50),
            "p99_us": percentile_us(&each_ns, 99),
            "calls": each_ns.len(),
        }))
    }

    /// One call after the other; how long those took that began and ended in time.
    async fn calls(self: Arc<Self>, from: Instant, until: Instant) -> Result<Vec<u64>> {
        let mut each_ns = Vec::new();
        loop {
            let started = Instant::now();
            if started >= until {
                return Ok(each_ns);
            }
            self.one().await?;
            let ended = Instant::now();
            if started >= from && ended <= until {
                each_ns.push(u64::try_from((ended - started).as_nanos()).unwrap_or(u64::MAX));
            }
        }
    }

    async fn one(&self) -> Result<()> {
        let gate = self.deployment.gate();
        let unit = gate.store().unit(self.basis.scope);
        let invocation = gate.open(self.basis.clone(), unit.clone(), None)?;
        let invocation = match self.records {
            Records::Durable => invocation,
            Records::Nowhere => invocation.dangerous_recording_into(Arc::new(Nowhere)),
        };
        let entrance = Entrance::Action {
            name: ACTION.to_owned(),
            input: self.input.clone(),
        };
        let runner = self.deployment.jobs_engine().runner();
        let ended = runner.run(&invocation, entrance).await;
        match self.records {
            Records::Durable => unit.commit().await?,
            Records::Nowhere => drop(unit.take_pending()),
        }
        match ended.outcome {
            CallOutcome::Value(answer) if answer.contains("status 200") => Ok(()),
            CallOutcome::Value(answer) => bail!("the upstream did not answer 200: {answer}"),
            CallOutcome::Failure(_)
            | CallOutcome::LogicError(_)
            | CallOutcome::Batch(_)
            | CallOutcome::Trap(_) => Err(anyhow!("a call did not end well: {:?}", ended.outcome)),
        }
    }
}

pub(super) fn seconds(given: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(given).context("a number of seconds")
}

/// Of sorted nanoseconds.
pub(super) fn percentile_us(sorted_ns: &[u64], percent: usize) -> f64 {
    let at = sorted_ns.len().saturating_sub(1) * percent / 100;
    sorted_ns.get(at).copied().unwrap_or(0) as f64 / 1000.0
}

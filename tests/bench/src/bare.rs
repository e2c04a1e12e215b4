//! The bound of `http_call` and `http_added`: the same component on the same engine in this one process, with a bare
//! pooled hyper client behind `wasi:http`. Nothing is decided, limited, recorded or searched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use keyway_runtime::{Bare, BareSender};
use serde::Serialize;

use crate::latency::Latencies;

/// How the bound is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The connector `hostile`, which calls what it is told.
    #[arg(long)]
    pub component: std::path::PathBuf,
    /// The upstream's port on 127.0.0.1.
    #[arg(long)]
    pub port: u16,
    /// Calls under way at once.
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Seconds before that, which are not.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// The core that it stays on.
    #[arg(long)]
    pub core: Option<usize>,
    /// Threads; 0 is one for each core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Calls per second.
    pub rate: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Latency that 99 of 100 calls did not exceed.
    pub p99_us: f64,
    /// Calls in the measured time.
    pub calls: usize,
}

#[derive(Debug)]
struct Pooled(Client<HttpConnector, Full<Bytes>>);

#[async_trait::async_trait]
impl BareSender for Pooled {
    async fn send(&self, request: hyper::Request<Bytes>) -> Option<hyper::Response<Bytes>> {
        let mut request = request.map(Full::new);
        // The client sets its own.
        request.headers_mut().remove(HOST);
        let credential = HeaderValue::from_static("Bearer bench-token-3f9c2a7d5e1b4860");
        request.headers_mut().insert(AUTHORIZATION, credential);
        let (head, body) = self.0.request(request).await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(hyper::Response::from_parts(head, body))
    }
}

/// Runs the load; wants a runtime.
///
/// # Errors
/// If the component is no connector, or a call does not end well.
pub async fn run(options: Options) -> anyhow::Result<Outcome> {
    let component = std::fs::read(&options.component)
        .with_context(|| format!("cannot read {}", options.component.display()))?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(options.concurrency.max(1))
        .build(connector);
    let bare = Arc::new(Bare::new(&component, Arc::new(Pooled(client)))?);
    let url = format!("http://127.0.0.1:{}/anything", options.port);
    let input =
        serde_json::json!({ "function": "wasi:http/outgoing-handler#handle", "argument": url });
    let input: Arc<str> = input.to_string().into();
    one(&bare, &input).await?;

    let measured = Duration::try_from_secs_f64(options.seconds).context("--seconds")?;
    let from = Instant::now() + Duration::try_from_secs_f64(options.warmup).context("--warmup")?;
    let tasks: Vec<_> = (0..options.concurrency)
        .map(|_| {
            tokio::spawn(calls(
                Arc::clone(&bare),
                Arc::clone(&input),
                from,
                from + measured,
            ))
        })
        .collect();
    let mut all = Latencies::default();
    for task in tasks {
        all.merge(task.await.context("a task panicked")??);
    }
    let calls = all.count();
    anyhow::ensure!(
        calls > 0,
        "no call ended within the measured time; give it more with --seconds"
    );
    Ok(Outcome {
        rate: Duration::from_secs(calls as u64).as_secs_f64() / measured.as_secs_f64(),
        p50_us: all.percentile_us(50),
        p99_us: all.percentile_us(99),
        calls,
    })
}

async fn calls(
    bare: Arc<Bare>,
    input: Arc<str>,
    from: Instant,
    until: Instant,
) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    loop {
        let started = Instant::now();
        if started >= until {
            return Ok(latencies);
        }
        one(&bare, &input).await?;
        let ended = Instant::now();
        if started >= from && ended <= until {
            latencies.add(ended - started);
        }
    }
}

async fn one(bare: &Bare, input: &str) -> anyhow::Result<()> {
    let answer = bare.invoke("import", input).await?;
    anyhow::ensure!(
        answer.contains("status 200"),
        "the upstream did not answer 200: {answer}"
    );
    Ok(())
}

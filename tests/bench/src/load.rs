//! A closed-loop load generator: each connection sends, waits for the whole reply, checks it, and sends again.
//!
//! It shares the machine with what it measures, so it is light: the request is encoded once, and a reply is searched,
//! not parsed. Closed loops do not correct for coordinated omission; the same holds for the bound beside.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::Uri;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::latency::Latencies;
use crate::reply;

/// Bytes of one reply that are read at most.
const REPLY_BYTES_MAX: usize = 1024 * 1024;
/// Failed requests in a row after which a connection gives up.
const FAILURES_MAX: u64 = 100;

/// What to send, how much of it, and what must come back.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to send it: `http://HOST:PORT/PATH`.
    #[arg(long)]
    pub url: Uri,
    /// File with the JSON body to POST; the bench's own order if absent.
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Seconds before that, which are not.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// The status that every reply must have.
    #[arg(long, default_value_t = 200)]
    pub status: u16,
    /// Text that every reply's body must contain.
    #[arg(long)]
    pub expect: Option<String>,
}

/// What came of a run.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Good replies per second.
    pub rate: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Latency that 99 of 100 requests did not exceed.
    pub p99_us: f64,
    /// Good replies in the measured time.
    pub requests: usize,
    /// Replies with a wrong status or body, and broken connections, warm-up included.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
}

/// One connection's share of the outcome.
#[derive(Debug, Default)]
pub(crate) struct Share {
    pub(crate) latencies: Latencies,
    errors: u64,
    first_error: Option<String>,
}

/// What every connection does, and until when.
pub(crate) struct Plan {
    address: String,
    request: Vec<u8>,
    status: u16,
    expect: Option<String>,
    pub(crate) measured_from: Instant,
    pub(crate) until: Instant,
}

/// Runs the load; wants a current-thread runtime inside a [`tokio::task::LocalSet`].
///
/// # Errors
/// If the body cannot be read or the URL is not a clear one.
pub async fn run(options: Options) -> anyhow::Result<Outcome> {
    let plan = Rc::new(Plan::new(&options)?);
    let connections: Vec<_> = (0..options.connections)
        .map(|_| tokio::task::spawn_local(connection(Rc::clone(&plan))))
        .collect();
    let mut all = Share::default();
    for connection in connections {
        let share = connection.await.context("a connection panicked")?;
        all.latencies.merge(share.latencies);
        all.errors += share.errors;
        all.first_error = all.first_error.or(share.first_error);
    }
    Ok(all.outcome(plan.seconds()))
}

impl Share {
    /// Counts a failure, and keeps the first of them.
    pub(crate) fn failed(&mut self, fault: String) {
        self.errors += 1;
        self.first_error.get_or_insert(fault);
    }

    /// What came of so many measured seconds.
    pub(crate) fn outcome(mut self, seconds: f64) -> Outcome {
        let requests = self.latencies.count();
        Outcome {
            rate: Duration::from_secs(requests as u64).as_secs_f64() / seconds,
            p50_us: self.latencies.percentile_us(50),
            p99_us: self.latencies.percentile_us(99),
            requests,
            errors: self.errors,
            first_error: self.first_error,
        }
    }
}

impl Plan {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let seconds = Duration::try_from_secs_f64(options.seconds).context("--seconds")?;
        let body = match &options.body_file {
            Some(file) => std::fs::read(file)
                .with_context(|| format!("cannot read the body file {}", file.display()))?,
            None => crate::work::ORDER.to_vec(),
        };
        anyhow::ensure!(
            options.url.scheme_str() == Some("http"),
            "--url must be a clear http:// URL"
        );
        let authority = options.url.authority().context("--url names no host")?;
        let path = options
            .url
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        let warmup = Duration::try_from_secs_f64(options.warmup).context("--warmup")?;
        let measured_from = Instant::now() + warmup;
        Ok(Self {
            address: authority.to_string(),
            request,
            status: options.status,
            expect: options.expect.clone(),
            measured_from,
            until: measured_from + seconds,
        })
    }

    /// Seconds that are measured.
    pub(crate) fn seconds(&self) -> f64 {
        (self.until - self.measured_from).as_secs_f64()
    }

    /// A connection to what is loaded.
    #[expect(
        clippy::disallowed_methods,
        reason = "the load generator is outside the product; it must reach the listener under test as any client would"
    )]
    pub(crate) async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)
            .await
            .context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// One request and its reply, which must be the right one.
    pub(crate) async fn exchange(
        &self,
        stream: &mut TcpStream,
        buffer: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        stream.write_all(&self.request).await?;
        one_reply(self, stream, buffer).await
    }
}

/// One connection; a failure opens a new one, and too many in a row end it.
async fn connection(plan: Rc<Plan>) -> Share {
    let mut share = Share::default();
    let mut failures = 0;
    while Instant::now() < plan.until && failures < FAILURES_MAX {
        let before = share.latencies.count();
        let Err(fault) = requests(&plan, &mut share).await else {
            break;
        };
        failures = if share.latencies.count() > before {
            1
        } else {
            failures + 1
        };
        share.failed(format!("{fault:#}"));
    }
    share
}

/// Requests over one connection until the time is over or something is wrong.
async fn requests(plan: &Plan, share: &mut Share) -> anyhow::Result<()> {
    let mut stream = plan.connect().await?;
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut sent_at = Instant::now();
    while sent_at < plan.until {
        plan.exchange(&mut stream, &mut buffer).await?;
        let now = Instant::now();
        if sent_at >= plan.measured_from && now <= plan.until {
            share.latencies.add(now - sent_at);
        }
        sent_at = now;
    }
    Ok(())
}

async fn one_reply(
    plan: &Plan,
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    buffer.clear();
    loop {
        anyhow::ensure!(
            stream.read_buf(buffer).await? > 0,
            "the connection ended within a reply"
        );
        anyhow::ensure!(buffer.len() <= REPLY_BYTES_MAX, "a reply is over 1 MiB");
        let Some(reply) = reply::parse(buffer).map_err(|fault| anyhow::anyhow!("{fault:?}"))?
        else {
            continue;
        };
        let body = buffer.get(reply.body_at..reply.end).unwrap_or_default();
        anyhow::ensure!(
            reply.end == buffer.len()
                && reply.status == plan.status
                && contains(body, plan.expect.as_deref()),
            "a reply was {} {}",
            reply.status,
            String::from_utf8_lossy(body)
        );
        return Ok(());
    }
}

fn contains(body: &[u8], expected: Option<&str>) -> bool {
    expected.is_none_or(|expected| {
        body.windows(expected.len().max(1))
            .any(|part| part == expected.as_bytes())
    })
}

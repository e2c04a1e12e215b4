//! The bound of `host_call`: a bare round trip between two processes that are pinned to one core.
//!
//! Both on one core, because on two it measures how long an idle core takes to wake, which is not software.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;
use tokio::net::UnixStream;

use crate::frames::{self, Message};
use crate::latency::Latencies;

/// How the round trip is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Bytes of content in each message.
    #[arg(long, default_value_t = 128)]
    pub bytes: usize,
    /// Round trips that are measured.
    #[arg(long, default_value_t = 50_000)]
    pub trips: u32,
    /// Round trips before that, which are not.
    #[arg(long, default_value_t = 5_000)]
    pub warmup: u32,
    /// The core that both processes are pinned to.
    #[arg(long, default_value_t = 0)]
    pub core: usize,
    /// Be the answering process, with the socket as standard input.
    #[arg(long, hide = true)]
    pub answer: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Median round trip.
    pub p50_us: f64,
    /// Round trip that 99 of 100 did not exceed.
    pub p99_us: f64,
    /// Bytes of content in each message.
    pub bytes: usize,
}

/// Starts the answering process and measures round trips to it; wants a [`tokio::task::LocalSet`].
///
/// # Errors
/// If a process cannot be pinned or started, or the socket breaks.
pub async fn ask(options: Options) -> anyhow::Result<Outcome> {
    pin(options.core)?;
    let (near, far) = StdUnixStream::pair().context("cannot make a socket pair")?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut answering = Command::new(program)
        .args(["--answer", "--core", &options.core.to_string()])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(far)))
        .spawn()
        .context("cannot start the answering process")?;
    let measured = measure(options, near).await;
    // Off this thread, because the flusher needs its turn to close the socket that the other side reads.
    let ended = tokio::task::spawn_blocking(move || answering.wait())
        .await?
        .context("cannot wait for the answering process")?;
    anyhow::ensure!(ended.success(), "the answering process failed: {ended}");
    measured
}

async fn measure(options: Options, near: StdUnixStream) -> anyhow::Result<Outcome> {
    let (sender, mut receiver) = frames::split(nonblocking(near)?);
    let mut latencies = Latencies::default();
    let content = Bytes::from(vec![b'k'; options.bytes]);
    for trip in 0..options.warmup.saturating_add(options.trips) {
        let message = Message {
            call: u64::from(trip),
            content: content.clone(),
        };
        let sent_at = Instant::now();
        sender.send(&message)?;
        let answer = receiver
            .next()
            .await?
            .context("the answering process has gone")?;
        anyhow::ensure!(
            answer.call == message.call,
            "an answer belongs to another call"
        );
        if trip >= options.warmup {
            latencies.add(sent_at.elapsed());
        }
    }
    Ok(Outcome {
        p50_us: latencies.percentile_us(50),
        p99_us: latencies.percentile_us(99),
        bytes: options.bytes,
    })
}

/// Answers every message with itself until the other side closes; wants a [`tokio::task::LocalSet`].
///
/// # Errors
/// If standard input is no socket, or it breaks.
pub async fn answer(options: Options) -> anyhow::Result<()> {
    pin(options.core)?;
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("standard input")?;
    let (sender, mut receiver) = frames::split(nonblocking(StdUnixStream::from(socket))?);
    while let Some(message) = receiver.next().await? {
        sender.send(&message)?;
    }
    Ok(())
}

fn nonblocking(socket: StdUnixStream) -> anyhow::Result<UnixStream> {
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket).context("the socket cannot be watched")
}

fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("cannot pin to core {core}"))
}

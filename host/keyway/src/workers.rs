//! Starts worker processes, watches them, and replaces those that end.
//!
//! A worker is this same program, run as `keyway worker`, with an empty
//! environment, one Unix socket as its standard input, and nothing else. Over
//! that socket it is handed its lanes.

use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use keyway_gate::{Lane, Readiness};
use keyway_model::limit::CallLimits;
use parking_lot::RwLock;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

/// How long a worker may take to say that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait before a worker that ended at once is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// The workers of a broker.
#[derive(Debug)]
pub struct Workers {
    program: PathBuf,
    lanes_each: usize,
    limits: CallLimits,
    slots: RwLock<Vec<Option<Running>>>,
    changed: Notify,
}

#[derive(Debug)]
struct Running {
    pid: Option<u32>,
    lanes: Vec<Arc<Lane>>,
}

/// Why no worker can be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The process cannot be started.
    #[error("a worker process cannot be started: {0}")]
    Start(#[from] io::Error),
    /// It did not become ready.
    #[error("a worker process did not become ready within {} s", READY_TIMEOUT.as_secs())]
    NotReady,
}

impl Workers {
    /// Starts `processes` workers of `lanes_each` lanes, with room for guests
    /// of these limits, and waits until each is ready. A supervisor replaces each that ends.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] if the first start of one fails.
    pub async fn start(
        program: PathBuf,
        processes: usize,
        lanes_each: usize,
        limits: CallLimits,
    ) -> Result<Arc<Self>, WorkerError> {
        let workers = Arc::new(Self {
            program,
            lanes_each,
            limits,
            slots: RwLock::new((0..processes).map(|_| None).collect()),
            changed: Notify::new(),
        });
        for slot in 0..processes {
            let child = workers.start_one(slot).await?;
            tokio::spawn(Arc::clone(&workers).supervise(slot, child));
        }
        Ok(workers)
    }

    /// The lane with the least to do; waits while there is none.
    pub async fn lane(&self) -> Arc<Lane> {
        loop {
            let changed = self.changed.notified();
            if let Some(lane) = self.least_loaded() {
                return lane;
            }
            changed.await;
        }
    }

    /// Process ids of the workers that run.
    pub fn pids(&self) -> Vec<u32> {
        self.slots
            .read()
            .iter()
            .flatten()
            .filter_map(|running| running.pid)
            .collect()
    }

    /// Whether a worker takes calls.
    pub fn are_ready(&self) -> bool {
        self.least_loaded().is_some()
    }

    fn least_loaded(&self) -> Option<Arc<Lane>> {
        let slots = self.slots.read();
        let lanes = slots.iter().flatten().flat_map(|running| &running.lanes);
        lanes
            .filter(|lane| lane.is_open())
            .min_by_key(|lane| lane.busy())
            .cloned()
    }

    async fn start_one(&self, slot: usize) -> Result<Child, WorkerError> {
        let (control, theirs) = UnixStream::pair()?;
        let mut child = Command::new(&self.program)
            .arg("worker")
            .arg(format!(
                "--memory-bytes-max={}",
                self.limits.memory_bytes_max
            ))
            .arg(format!(
                "--table-elements-max={}",
                self.limits.table_elements_max
            ))
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(report(stderr, child.id()));
        }
        let lanes = self.hand_over_lanes(&control)?;
        // The end of the stream tells the worker that it has all of its lanes.
        drop(control);
        for lane in &lanes {
            let mut readiness = lane.readiness();
            let ready = readiness.wait_for(|state| *state != Readiness::Starting);
            let state = tokio::time::timeout(READY_TIMEOUT, ready)
                .await
                .map_err(|_| WorkerError::NotReady)?;
            if !matches!(state.as_deref(), Ok(Readiness::Ready { .. })) {
                return Err(WorkerError::NotReady);
            }
        }
        if let Some(place) = self.slots.write().get_mut(slot) {
            *place = Some(Running {
                pid: child.id(),
                lanes,
            });
        }
        self.changed.notify_waiters();
        Ok(child)
    }

    /// Makes the lanes and sends their far ends to the worker.
    fn hand_over_lanes(&self, control: &UnixStream) -> io::Result<Vec<Arc<Lane>>> {
        let mut lanes = Vec::with_capacity(self.lanes_each);
        for _ in 0..self.lanes_each {
            let (ours, theirs) = keyway_ipc::pair()?;
            send_descriptor(control, &theirs.into())?;
            let link = keyway_ipc::over_socket(ours.into())?;
            let (lane, reader) = Lane::over(link);
            tokio::spawn(reader);
            lanes.push(lane);
        }
        Ok(lanes)
    }

    /// Waits for the end of a worker, or for a call that it does not end, and
    /// starts another in its place.
    async fn supervise(self: Arc<Self>, slot: usize, mut child: Child) {
        loop {
            let lanes: Vec<Arc<Lane>> = self
                .slots
                .read()
                .get(slot)
                .and_then(Option::as_ref)
                .map(|r| r.lanes.clone())
                .unwrap_or_default();
            tokio::select! {
                ended = child.wait() => tracing::warn!(status = ?ended.ok(), "a worker ended"),
                () = wedged(&lanes) => {
                    tracing::error!(pid = child.id(), "a worker does not end a call; it is killed");
                    if let Err(error) = child.kill().await {
                        tracing::error!(%error, "a worker cannot be killed");
                    }
                }
            }
            if let Some(place) = self.slots.write().get_mut(slot) {
                *place = None;
            }
            child = loop {
                match self.start_one(slot).await {
                    Ok(child) => break child,
                    Err(error) => {
                        tracing::error!(%error, "a worker cannot be replaced; trying again");
                        tokio::time::sleep(RESTART_PAUSE).await;
                    }
                }
            };
        }
    }
}

/// Comes back when one of the lanes has a call that does not end.
async fn wedged(lanes: &[Arc<Lane>]) {
    let waits = lanes.iter().map(|lane| {
        let mut readiness = lane.readiness();
        Box::pin(async move {
            readiness
                .wait_for(|state| *state == Readiness::Wedged)
                .await
                .is_ok()
        })
    });
    let mut waiting: Vec<_> = waits.collect();
    while !waiting.is_empty() {
        let (is_wedged, _, rest) = futures_util::future::select_all(waiting).await;
        if is_wedged {
            return;
        }
        waiting = rest;
    }
    std::future::pending().await
}

/// What a worker says on standard error goes to the host's log.
async fn report(stderr: tokio::process::ChildStderr, pid: Option<u32>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(pid, %line, "a worker says");
    }
}

fn send_descriptor(control: &UnixStream, descriptor: &OwnedFd) -> io::Result<()> {
    let borrowed = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    message.push(SendAncillaryMessage::ScmRights(&borrowed));
    sendmsg(
        control,
        &[IoSlice::new(b"L")],
        &mut message,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

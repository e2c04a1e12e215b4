//! Worker processes that serve the same calls: started, watched, and replaced
//! when they end.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use keyway_gate::{Assigned, Lane, LaneSetup, OnLoss, Readiness, Room};
use keyway_ipc::{End, LayerState, Standing};
use keyway_model::Digest;
use keyway_model::limit::CallLimits;
use keyway_runtime::WEAKER_REMEDY;
use parking_lot::RwLock;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::process::Child;
use tokio::sync::{Notify, watch};

use crate::confined::{Confined, report};
use crate::workers::age;
use crate::workers::ends::{ended_by, kill, left, left_behind, stopped, without_lanes};
use crate::workers::suspicion::Crash;

/// How long a worker may take to say that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait before a worker that cannot be started is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// How a worker is started.
#[derive(Clone, Debug)]
pub(crate) struct WorkerPlan {
    pub(crate) confined: Confined,
    /// Threads, each with a lane of its own.
    pub(crate) lanes: usize,
    /// Components that each lane has.
    pub(crate) room: Room,
    pub(crate) limits: CallLimits,
    pub(crate) worker_memory_bytes_max: u64,
    /// Time on processors over a worker's life.
    pub(crate) cpu_seconds_max: u64,
}

/// Who hears of a worker that ended, with the components that it ran.
pub(crate) type OnCrash = Arc<dyn Fn(&BTreeSet<Digest>, Crash) + Send + Sync>;

/// Who hears what happens to the workers of a pool.
#[derive(Clone)]
pub(crate) struct Watchers {
    /// At once, before any call that ran can be made again.
    pub(crate) on_loss: OnLoss,
    /// When it is known how the worker ended.
    pub(crate) on_crash: OnCrash,
}

/// Worker processes that serve the same calls.
pub(crate) struct Pool {
    plan: WorkerPlan,
    slots: RwLock<Vec<Option<Running>>>,
    changed: Notify,
    stop: watch::Sender<bool>,
    watchers: Watchers,
}

struct Running {
    pid: Option<u32>,
    lanes: Vec<Arc<Lane>>,
    standing: Arc<Standing>,
}

/// Why no worker can be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WorkerError {
    /// The process cannot be started.
    #[error("a worker process cannot be started: {0}")]
    Start(#[from] io::Error),
    /// It did not become ready.
    #[error("a worker process did not become ready within {} s", READY_TIMEOUT.as_secs())]
    NotReady,
    /// It ended before it was ready.
    #[error("a worker process ended before it was ready; what it said is in the log")]
    Ended,
    /// A layer of its confinement is missing.
    #[error("a worker cannot be confined: {layer}: {why}; {WEAKER_REMEDY}")]
    Confinement {
        /// Which layer.
        layer: String,
        /// Why.
        why: String,
    },
}

impl Pool {
    /// Starts `processes` workers and waits until each is ready. A supervisor
    /// replaces each that ends, until the pool is stopped.
    pub(crate) async fn start(
        plan: WorkerPlan,
        processes: usize,
        watchers: Watchers,
    ) -> Result<Arc<Self>, WorkerError> {
        let pool = Arc::new(Self {
            plan,
            slots: RwLock::new((0..processes).map(|_| None).collect()),
            changed: Notify::new(),
            stop: watch::Sender::new(false),
            watchers,
        });
        for slot in 0..processes {
            let child = pool.start_one(slot).await?;
            tokio::spawn(Arc::clone(&pool).supervise(slot, child));
        }
        Ok(pool)
    }

    /// Gives a call to the lane with the least to do; waits while there is none.
    pub(crate) async fn lane(&self) -> Assigned {
        loop {
            let changed = self.changed.notified();
            if let Some(lane) = self.least_loaded() {
                return lane.assign();
            }
            changed.await;
        }
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        let slots = self.slots.read();
        slots.iter().flatten().filter_map(|one| one.pid).collect()
    }

    /// Whether a worker takes calls.
    pub(crate) fn is_ready(&self) -> bool {
        self.least_loaded().is_some()
    }

    /// How its workers stand: all of them are started alike.
    pub(crate) fn standing(&self) -> Option<Arc<Standing>> {
        let slots = self.slots.read();
        slots
            .iter()
            .flatten()
            .next()
            .map(|one| Arc::clone(&one.standing))
    }

    /// Calls that were given to its workers and have not ended.
    pub(crate) fn busy(&self) -> usize {
        let slots = self.slots.read();
        let lanes = slots.iter().flatten().flat_map(|one| &one.lanes);
        lanes.map(|lane| lane.busy()).sum()
    }

    /// Ends the calls of a component.
    pub(crate) fn end_calls_of(&self, component: &Digest, why: &str) {
        let slots = self.slots.read();
        for lane in slots.iter().flatten().flat_map(|one| &one.lanes) {
            lane.end_calls_of(component, why);
        }
    }

    /// Ends its workers, and whatever they still run.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn least_loaded(&self) -> Option<Arc<Lane>> {
        let slots = self.slots.read();
        // Of lanes with as much to do, one of a worker whose other lanes have less.
        let lanes = slots.iter().flatten().flat_map(|running| {
            let all: usize = running.lanes.iter().map(|lane| lane.busy()).sum();
            running.lanes.iter().map(move |lane| (lane, all))
        });
        lanes
            .filter(|(lane, _)| lane.is_open())
            .min_by_key(|(lane, all)| (lane.busy(), *all))
            .map(|(lane, _)| Arc::clone(lane))
    }

    async fn start_one(&self, slot: usize) -> Result<Child, WorkerError> {
        let (control, theirs) = UnixStream::pair()?;
        let limits = &self.plan.limits;
        let mut child = self
            .plan
            .confined
            .command()
            .arg(format!("--memory-bytes-max={}", limits.memory_bytes_max))
            .arg(format!(
                "--table-elements-max={}",
                limits.table_elements_max
            ))
            .arg(format!(
                "--worker-memory-bytes-max={}",
                self.plan.worker_memory_bytes_max
            ))
            .arg(format!("--cpu-seconds-max={}", self.plan.cpu_seconds_max))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(report(stderr, child.id()));
        }
        let lanes = self.hand_over_lanes(&control)?;
        // The end of the stream tells the worker that it has all of its lanes.
        drop(control);
        let mut standing = Arc::default();
        for lane in &lanes {
            standing = ready(lane).await?;
        }
        self.admit(&standing)?;
        if let Some(place) = self.slots.write().get_mut(slot) {
            *place = Some(Running {
                pid: child.id(),
                lanes,
                standing,
            });
        }
        self.changed.notify_waiters();
        Ok(child)
    }

    /// Whether a worker that stands so may run guests.
    fn admit(&self, standing: &Standing) -> Result<(), WorkerError> {
        for report in &standing.layers {
            if let LayerState::Refused(why) = &report.state
                && !self.plan.confined.is_weaker
            {
                return Err(WorkerError::Confinement {
                    layer: report.layer.clone(),
                    why: why.clone(),
                });
            }
        }
        Ok(())
    }

    /// Makes the lanes and sends their far ends to the worker.
    fn hand_over_lanes(&self, control: &UnixStream) -> io::Result<Vec<Arc<Lane>>> {
        let mut lanes = Vec::with_capacity(self.plan.lanes);
        let (stop, on_loss) = (self.stop.clone(), Arc::clone(&self.watchers.on_loss));
        let setup = LaneSetup {
            room: self.plan.room,
            // A worker that is ended on purpose is no loss.
            on_loss: Arc::new(move |left| {
                if !*stop.borrow() {
                    on_loss(left);
                }
            }),
        };
        for _ in 0..self.plan.lanes {
            let (ours, theirs) = keyway_ipc::pair()?;
            send_end(control, &theirs)?;
            let link = keyway_ipc::over_pipes(ours)?;
            let (lane, reader) = Lane::over(link, setup.clone());
            tokio::spawn(reader);
            lanes.push(lane);
        }
        Ok(lanes)
    }

    /// Waits for the end of a worker, for a call that it does not end, or until it is
    /// old, and starts another in its place.
    async fn supervise(self: Arc<Self>, slot: usize, mut child: Child) {
        let mut stop = self.stop.subscribe();
        loop {
            let (pid, lanes) = (child.id(), self.lanes_of(slot));
            let crash = tokio::select! {
                ended = child.wait() => ended_by(ended),
                () = left(&lanes, Readiness::Wedged) => {
                    tracing::error!(pid, "a worker is given up and killed");
                    kill(&mut child).await;
                    Crash::Wedged
                }
                () = left(&lanes, Readiness::Gone) => without_lanes(&mut child).await,
                () = age::is_old(pid, self.plan.cpu_seconds_max) => {
                    match self.start_one(slot).await {
                        Ok(young) => {
                            let old = std::mem::replace(&mut child, young);
                            tokio::spawn(age::leave(old, lanes, stop.clone()));
                        }
                        Err(error) => {
                            tracing::error!(%error, "an old worker cannot be replaced yet");
                            tokio::time::sleep(RESTART_PAUSE).await;
                        }
                    }
                    continue;
                }
                () = stopped(&mut stop) => {
                    kill(&mut child).await;
                    self.empty(slot);
                    return;
                }
            };
            tracing::warn!(%crash, "a worker ended");
            self.empty(slot);
            (self.watchers.on_crash)(&left_behind(&lanes).await, crash);
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

    fn lanes_of(&self, slot: usize) -> Vec<Arc<Lane>> {
        let slots = self.slots.read();
        let running = slots.get(slot).and_then(Option::as_ref);
        running.map(|one| one.lanes.clone()).unwrap_or_default()
    }

    fn empty(&self, slot: usize) {
        if let Some(place) = self.slots.write().get_mut(slot) {
            *place = None;
        }
    }
}

/// Waits until the worker says that it is ready.
async fn ready(lane: &Lane) -> Result<Arc<Standing>, WorkerError> {
    let mut readiness = lane.readiness();
    let ready = readiness.wait_for(|state| *state != Readiness::Starting);
    let state = tokio::time::timeout(READY_TIMEOUT, ready)
        .await
        .map_err(|_| WorkerError::NotReady)?;
    match state.as_deref() {
        Ok(Readiness::Ready(standing)) => Ok(Arc::clone(standing)),
        Ok(Readiness::Starting | Readiness::Wedged | Readiness::Gone) | Err(_) => {
            Err(WorkerError::Ended)
        }
    }
}

fn send_end(control: &UnixStream, end: &End) -> io::Result<()> {
    let borrowed = end.as_descriptors();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(End::DESCRIPTORS))];
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

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("pids", &self.pids())
            .finish_non_exhaustive()
    }
}

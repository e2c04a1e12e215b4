//! How a worker is started: confined, handed its lanes, and looked at before it has its
//! first call.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use keyway_confine::Layer;
use keyway_gate::{Lane, LaneSetup, OnLoss, Readiness, Room};
use keyway_ipc::{End, LayerState, Standing};
use keyway_model::Digest;
use keyway_model::limit::{CallLimits, WORKER_READY_SECONDS_MAX};
use keyway_runtime::WEAKER_REMEDY;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::process::Child;
use tokio::time::Instant;

use super::suspicion::Crash;
use crate::confined::{Confined, report};

/// How long a worker may take to say that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(WORKER_READY_SECONDS_MAX);

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

/// Who hears how a worker stands that was started.
pub(crate) type OnStart = Arc<dyn Fn(&Standing) + Send + Sync>;

/// Who hears of a worker that ended, with the components that it ran.
pub(crate) type OnCrash = Arc<dyn Fn(&BTreeSet<Digest>, Crash) + Send + Sync>;

/// Who hears what happens to the workers of a pool.
#[derive(Clone)]
pub(crate) struct Watchers {
    /// Before it has its first call.
    pub(crate) on_start: OnStart,
    /// At once, before any call that ran can be made again.
    pub(crate) on_loss: OnLoss,
    /// When it is known how the worker ended.
    pub(crate) on_crash: OnCrash,
}

/// A worker process that was started. It does not outlive this.
pub(super) struct Worker {
    pub(super) child: Child,
    pub(super) running: Arc<Running>,
}

/// What a worker is known and reached by.
pub(super) struct Running {
    pub(super) pid: Option<u32>,
    pub(super) lanes: Vec<Arc<Lane>>,
    pub(super) standing: Arc<Standing>,
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

impl WorkerPlan {
    /// Starts a worker, and waits until it is ready.
    pub(super) async fn start(&self, watchers: &Watchers) -> Result<Worker, WorkerError> {
        let (control, theirs) = UnixStream::pair()?;
        let limits = &self.limits;
        let mut child = self
            .confined
            .command()
            .arg(format!("--memory-bytes-max={}", limits.memory_bytes_max))
            .arg(format!(
                "--table-elements-max={}",
                limits.table_elements_max
            ))
            .arg(format!(
                "--worker-memory-bytes-max={}",
                self.worker_memory_bytes_max
            ))
            .arg(format!("--cpu-seconds-max={}", self.cpu_seconds_max))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(report(stderr, child.id()));
        }
        let lanes = self.hand_over_lanes(&control, watchers)?;
        // The end of the stream tells the worker that it has all of its lanes.
        drop(control);
        let mut standing = Arc::default();
        let deadline = Instant::now() + READY_TIMEOUT;
        for lane in &lanes {
            standing = ready(lane, deadline).await?;
        }
        self.admit(&standing)?;
        (watchers.on_start)(&standing);
        let running = Running {
            pid: child.id(),
            lanes,
            standing,
        };
        Ok(Worker {
            child,
            running: Arc::new(running),
        })
    }

    /// Whether a worker that stands so may run guests: one that is silent about a layer
    /// lacks it.
    fn admit(&self, standing: &Standing) -> Result<(), WorkerError> {
        if self.confined.is_weaker {
            return Ok(());
        }
        for layer in Layer::ALL {
            let mut reports = standing.layers.iter();
            let report = reports.find(|report| report.layer == layer.name());
            let why = match report.map(|report| &report.state) {
                Some(LayerState::Held | LayerState::Covered(_)) => continue,
                Some(LayerState::Refused(why)) => why.clone(),
                None => "the worker does not say how it stands".to_owned(),
            };
            return Err(WorkerError::Confinement {
                layer: layer.name().to_owned(),
                why,
            });
        }
        Ok(())
    }

    /// Makes the lanes and sends their far ends to the worker.
    fn hand_over_lanes(
        &self,
        control: &UnixStream,
        watchers: &Watchers,
    ) -> io::Result<Vec<Arc<Lane>>> {
        let mut lanes = Vec::with_capacity(self.lanes);
        let setup = LaneSetup {
            room: self.room,
            on_loss: Arc::clone(&watchers.on_loss),
        };
        for _ in 0..self.lanes {
            let (ours, theirs) = keyway_ipc::pair()?;
            send_end(control, &theirs)?;
            let link = keyway_ipc::over_pipes(ours)?;
            let (lane, reader) = Lane::over(link, setup.clone());
            tokio::spawn(reader);
            lanes.push(lane);
        }
        Ok(lanes)
    }
}

/// Waits until the worker says that it is ready.
async fn ready(lane: &Lane, deadline: Instant) -> Result<Arc<Standing>, WorkerError> {
    let mut readiness = lane.readiness();
    let ready = readiness.wait_for(|state| *state != Readiness::Starting);
    let state = tokio::time::timeout_at(deadline, ready)
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

#[cfg(test)]
impl WorkerPlan {
    /// Workers of a program that cannot be started.
    pub(super) fn without_a_program() -> Self {
        Self::of("/dev/null".into())
    }

    /// Workers of this program, with a lane each.
    pub(super) fn of(program: std::path::PathBuf) -> Self {
        Self {
            confined: Confined {
                program,
                user: None,
                compile: keyway_runtime::CompileLimits::default(),
                compile_wall_seconds_max: 1,
                is_weaker: false,
            },
            lanes: 1,
            room: Room::default(),
            limits: CallLimits::default(),
            worker_memory_bytes_max: 1 << 20,
            cpu_seconds_max: 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use keyway_ipc::LayerReport;

    use super::*;

    #[test]
    fn a_worker_that_is_silent_about_a_layer_is_not_admitted() {
        let plan = WorkerPlan::without_a_program();
        let report = |layer: Layer| LayerReport {
            layer: layer.name().to_owned(),
            state: LayerState::Held,
        };
        let whole = Standing {
            quick_reset: true,
            layers: Layer::ALL.map(report).into(),
        };
        assert!(plan.admit(&whole).is_ok());
        for layer in Layer::ALL {
            let mut silent = whole.clone();
            silent.layers.retain(|report| report.layer != layer.name());
            let said = plan.admit(&silent).map_err(|error| error.to_string());
            assert!(said.is_err_and(|said| said.contains(layer.name())));
        }
        assert!(plan.admit(&Standing::default()).is_err());
    }
}

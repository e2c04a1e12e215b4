//! How workers end: by themselves, or killed because they serve nobody any more.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use keyway_gate::{Lane, Readiness};
use keyway_model::Digest;
use tokio::process::Child;
use tokio::sync::watch;

use super::suspicion::Crash;

/// How long a worker may live on without one of its lanes.
const WITHOUT_LANES_MAX: Duration = Duration::from_secs(1);

/// What shows that a worker has ended, or has to be.
pub(super) enum Sign {
    /// Its process has ended.
    Ended(io::Result<ExitStatus>),
    /// It was given up.
    Wedged,
    /// It has closed a lane.
    WithoutLanes,
}

/// Waits until something shows that a worker has ended, or has to be.
pub(super) async fn sign(child: &mut Child, lanes: &[Arc<Lane>]) -> Sign {
    tokio::select! {
        ended = child.wait() => Sign::Ended(ended),
        () = left(lanes, Readiness::Wedged) => Sign::Wedged,
        () = left(lanes, Readiness::Gone) => Sign::WithoutLanes,
    }
}

/// How the worker ends, or is ended, of which this was seen.
pub(super) async fn end(child: &mut Child, seen: Sign) -> Crash {
    match seen {
        Sign::Ended(ended) => ended_by(ended),
        Sign::Wedged => {
            tracing::error!(pid = child.id(), "a worker is given up and killed");
            kill(child).await;
            Crash::Wedged
        }
        Sign::WithoutLanes => without_lanes(child).await,
    }
}

/// Ends a worker on purpose, whatever it still runs: nobody is suspected of that. Answers
/// with its crash if it ended by itself before.
pub(super) async fn dismiss(child: &mut Child, lanes: &[Arc<Lane>]) -> Option<Crash> {
    for lane in lanes {
        lane.dismiss();
    }
    kill(child).await;
    // It may have been without calls because it was ending: then it was not killed.
    let crash = ended_by(child.wait().await);
    (crash != Crash::Killed).then_some(crash)
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|is_stopped| *is_stopped).await);
}

fn ended_by(ended: io::Result<ExitStatus>) -> Crash {
    Crash::by(ended.ok().and_then(|status| status.signal()))
}

async fn kill(child: &mut Child) {
    if let Err(error) = child.kill().await {
        tracing::error!(%error, "a worker cannot be killed");
    }
}

/// The components of the calls that a worker left, once its lanes know that it
/// is gone.
pub(super) async fn left_behind(lanes: &[Arc<Lane>]) -> BTreeSet<Digest> {
    let mut left = BTreeSet::new();
    for lane in lanes {
        // Its process is gone, and with it the other end.
        left.extend(lane.left_behind().await);
    }
    left
}

/// How a worker ends that has closed a lane. One that does not, is killed: it
/// serves nobody any more.
async fn without_lanes(child: &mut Child) -> Crash {
    match tokio::time::timeout(WITHOUT_LANES_MAX, child.wait()).await {
        Ok(ended) => ended_by(ended),
        Err(_) => {
            tracing::error!(pid = child.id(), "a worker closed a lane; it is killed");
            kill(child).await;
            Crash::Ended { signal: None }
        }
    }
}

/// Comes back when one of the lanes is in this state.
async fn left(lanes: &[Arc<Lane>], awaited: Readiness) {
    let waits = lanes.iter().map(|lane| {
        let mut readiness = lane.readiness();
        let awaited = awaited.clone();
        Box::pin(async move { readiness.wait_for(|state| *state == awaited).await.is_ok() })
    });
    let mut waiting: Vec<_> = waits.collect();
    while !waiting.is_empty() {
        let (is_so, _, rest) = futures_util::future::select_all(waiting).await;
        if is_so {
            return;
        }
        waiting = rest;
    }
    std::future::pending().await
}

//! One guest call that runs, as the broker has it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use keyway_ipc::{CallId, CallOutcome, HostCall, HostReply, RequestId, Sender, ToWorker, Trap};
use keyway_model::limit::{CallLimits, LANE_UNDER_WAY_BYTES_MAX, RETAINED_BYTES_MAX};
use tokio::sync::mpsc;

use super::{Event, Lane};
use crate::over::within;

/// What both sides have said in one call that the other has to be held to.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Events of the worker that wait unread.
    pub(super) waiting: AtomicUsize,
    /// Bytes of host calls that are under way.
    under_way_bytes: AtomicUsize,
    /// Why the host cannot go on, once the broker has told the guest.
    host_failed: OnceLock<Trap>,
}

/// What a host call that is under way holds of this process's memory, until it
/// has ended.
#[derive(Debug)]
#[must_use = "the host call counts as under way until this is dropped"]
pub(crate) struct Charge {
    lane: Arc<Lane>,
    said: Arc<Said>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        let sums = [&self.said.under_way_bytes, &self.lane.under_way_bytes];
        for sum in sums {
            sum.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// A guest call that runs. Dropping it cancels it.
#[derive(Debug)]
pub(crate) struct RunningCall {
    lane: Arc<Lane>,
    pub(super) call: CallId,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    said: Arc<Said>,
    /// What its worker holds it to.
    limits: CallLimits,
    /// Whether the worker has heard of it: only then can it be held to end it.
    pub(super) is_sent: bool,
}

impl RunningCall {
    /// One whose worker has not heard of it.
    pub(super) fn new(
        lane: &Arc<Lane>,
        call: CallId,
        events: mpsc::UnboundedReceiver<Event>,
        said: Arc<Said>,
        limits: CallLimits,
    ) -> Self {
        Self {
            lane: Arc::clone(lane),
            call,
            events,
            said,
            limits,
            is_sent: false,
        }
    }

    /// The next event; `None` if the worker is gone, or says what is not its
    /// to say.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        self.said.waiting.fetch_sub(1, Ordering::Relaxed);
        self.lane
            .waiting_bytes
            .fetch_sub(event.bytes(), Ordering::Relaxed);
        let Event::Done(outcome, usage) = event else {
            return Some(event);
        };
        match self.believed(outcome) {
            Ok(outcome) => Some(Event::Done(outcome, usage)),
            Err(why) => {
                self.give_up(why);
                None
            }
        }
    }

    /// How the call ended, if its worker may say so; else why not.
    fn believed(&self, outcome: CallOutcome) -> Result<CallOutcome, &'static str> {
        // After these a call is made again, so a worker cannot be the one who
        // decides that.
        if let CallOutcome::Trap(Trap::Host(_) | Trap::WorkerGone) = outcome {
            let trap = self.said.host_failed.get().cloned();
            return trap
                .map(CallOutcome::Trap)
                .ok_or("it says that the host failed, which the host knows nothing of");
        }
        // A guest that gives more is ended by its worker.
        if outcome.unless_within(&self.limits).is_err() {
            return Err("it answers with more than a guest may");
        }
        Ok(outcome)
    }

    /// Counts what a host call holds beside those that are under way.
    ///
    /// # Errors
    ///
    /// Why the call has to end: it holds too much, or all of the worker's do.
    pub(crate) fn charge(&self, call: &HostCall) -> Result<Charge, Trap> {
        let bytes = call.bytes();
        let sums = [&self.said.under_way_bytes, &self.lane.under_way_bytes];
        let [own, all] = sums.map(|sum| sum.fetch_add(bytes, Ordering::Relaxed) + bytes);
        let charge = Charge {
            lane: Arc::clone(&self.lane),
            said: Arc::clone(&self.said),
            bytes,
        };
        within("RETAINED_BYTES_MAX", own as u64, RETAINED_BYTES_MAX)?;
        if all > LANE_UNDER_WAY_BYTES_MAX {
            let why = format!(
                "host calls of its worker hold {LANE_UNDER_WAY_BYTES_MAX} bytes: it may be made again when some have ended"
            );
            return Err(Trap::Host(why));
        }
        Ok(charge)
    }

    /// Says that the worker does not keep the protocol: it has to go.
    pub(crate) fn give_up(&self, why: &str) {
        tracing::error!(why, "a worker does not keep the protocol");
        self.lane.give_up();
    }

    /// Sends an answer of the broker to the guest.
    pub(crate) fn line(&self) -> Line {
        Line {
            sender: self.lane.sender.clone(),
            call: self.call,
            said: Arc::clone(&self.said),
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.events.close();
        while let Ok(event) = self.events.try_recv() {
            let bytes = event.bytes();
            self.lane.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        if self.lane.forget(self.call, self.is_sent) {
            let (lane, call) = (Arc::clone(&self.lane), self.call);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(lane.cancel(call));
            }
        }
    }
}

/// The way back to one guest call.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sender: Sender<ToWorker>,
    pub(crate) call: CallId,
    said: Arc<Said>,
}

impl Line {
    /// Answers a host call; a worker that is gone needs no answer.
    pub(crate) async fn reply(&self, request: RequestId, reply: HostReply) {
        if let HostReply::Trap(trap @ Trap::Host(_)) = &reply {
            self.note_host_failed(trap);
        }
        self.send(ToWorker::Reply {
            call: self.call,
            request,
            reply,
        })
        .await;
    }

    pub(crate) async fn chunk(&self, request: RequestId, bytes: Bytes) {
        self.send(ToWorker::Chunk {
            call: self.call,
            request,
            bytes,
        })
        .await;
    }

    pub(crate) async fn send(&self, message: ToWorker) {
        if self.sender.send(message).await.is_err() {
            tracing::debug!(call = ?self.call, "an answer came too late: the worker is gone");
        }
    }

    /// Notes that the host cannot go on: the call may end for that.
    pub(super) fn note_host_failed(&self, trap: &Trap) {
        self.said.host_failed.get_or_init(|| trap.clone());
    }
}

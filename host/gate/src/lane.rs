//! The broker's end of a link to a worker: guest calls go out, their host
//! calls come in.
//!
//! A lane routes; it decides nothing. Each guest call has a queue of events
//! that the task which waits for the call reads: no task for a host call, and
//! a call that is not served in time holds up no other.

mod event;
mod held;
mod ran;
mod route;
mod running;
mod stray;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyway_ipc::{
    CallId, CallOutcome, Closed, Invoke, Link, Sender, Standing, ToBroker, ToWorker, Trap, Usage,
};
use keyway_model::limit::{CALL_END_GRACE_MS_MAX, LANE_SENDING_MS_MAX};
use keyway_model::{Digest, TenantId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

pub(crate) use event::Event;
pub use held::{Assigned, Held};
use ran::Ran;
use running::Said;
pub(crate) use running::{Charge, Line, RunningCall};
use stray::Strays;

use crate::shelf::{Room, Shelf};

use crate::presence::Presence;

/// How long after its limit, or after it was cancelled, a guest call may take
/// to end before its worker is given up, and all other calls with it. Many
/// calls may reach their ends at once, on a machine that has other things to do.
pub(crate) const END_GRACE: Duration = Duration::from_millis(CALL_END_GRACE_MS_MAX);

/// The group of a tenant's calls. A worker sees no id: only which of its calls
/// belong together.
pub(crate) fn group_of(tenant: TenantId) -> u64 {
    let digest = Digest::of(&tenant.bits().to_be_bytes());
    let first = digest.as_bytes().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

/// Who hears which components were there when a worker was lost. Before any of
/// their calls does, which may be made again at once.
pub type OnLoss = Arc<dyn Fn(&BTreeSet<Digest>) + Send + Sync>;

/// How a lane is set up.
#[derive(Clone)]
pub struct LaneSetup {
    /// How many components the worker has.
    pub room: Room,
    /// Who hears of its loss.
    pub on_loss: OnLoss,
}

impl Default for LaneSetup {
    fn default() -> Self {
        Self {
            room: Room::default(),
            on_loss: Arc::new(|_| ()),
        }
    }
}

impl fmt::Debug for LaneSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneSetup")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// One link to a worker.
pub struct Lane {
    sender: Sender<ToWorker>,
    calls: Mutex<HashMap<CallId, Queue>>,
    /// Components that the worker has.
    shelf: Mutex<Shelf<()>>,
    /// Components that left the shelf and that the worker was not yet told to
    /// let go. One load at a time, so that it hears of both in this order.
    unloading: tokio::sync::Mutex<Vec<Digest>>,
    /// Calls that were cancelled and have not ended yet.
    ending: Mutex<HashMap<CallId, Digest>>,
    /// Components whose calls ran when the worker ended.
    left: Mutex<BTreeSet<Digest>>,
    /// Components whose calls have ended here not long ago.
    ran: Mutex<Ran>,
    /// Components that the worker was told to load, and how often it has not
    /// answered about each.
    loading: Mutex<HashMap<Digest, u32>>,
    next_call: AtomicU64,
    /// Calls that were given to it.
    busy: AtomicUsize,
    /// Bytes of events that wait unread.
    waiting_bytes: AtomicUsize,
    /// Bytes of host calls that are under way.
    under_way_bytes: AtomicUsize,
    /// What the worker says that belongs to no call.
    strays: Mutex<Strays>,
    open: AtomicBool,
    /// Whether its worker is ended on purpose.
    is_dismissed: AtomicBool,
    ready: watch::Sender<Readiness>,
    /// Whether nothing more comes from the worker.
    is_over: watch::Sender<bool>,
    on_loss: OnLoss,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("busy", &self.busy())
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// How far a worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It has not said anything yet.
    Starting,
    /// It takes calls, and stands so.
    Ready(Arc<Standing>),
    /// It does not end a call that it must end; it has to be killed.
    Wedged,
    /// It is gone.
    Gone,
}

#[derive(Debug)]
struct Queue {
    artifact: Digest,
    events: mpsc::UnboundedSender<Event>,
    said: Arc<Said>,
    /// Whether the worker has said that the call has ended, read or not.
    is_over: bool,
}

/// The worker at the other end of a lane is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker is gone")]
pub struct WorkerGone;

impl Lane {
    /// A lane over `link`. The future reads it and ends when the worker does.
    pub fn over(
        link: Link<ToWorker, ToBroker>,
        setup: LaneSetup,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send) {
        let lane = Arc::new(Self {
            sender: link.sender,
            calls: Mutex::default(),
            shelf: Mutex::new(Shelf::within(setup.room)),
            unloading: tokio::sync::Mutex::default(),
            ending: Mutex::default(),
            left: Mutex::default(),
            ran: Mutex::default(),
            loading: Mutex::default(),
            next_call: AtomicU64::new(1),
            busy: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            under_way_bytes: AtomicUsize::new(0),
            strays: Mutex::new(Strays::from(Instant::now())),
            open: AtomicBool::new(true),
            is_dismissed: AtomicBool::new(false),
            ready: watch::Sender::new(Readiness::Starting),
            is_over: watch::Sender::new(false),
            on_loss: setup.on_loss,
        });
        let reader = Arc::clone(&lane).read(link.receiver);
        (lane, reader)
    }

    /// How many calls were given to it and have not ended.
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Whether the worker is still there.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Says that the worker does not end a call that it must end: it has to go.
    pub fn give_up(&self) {
        self.open.store(false, Ordering::Release);
        self.tell_loss(&self.present());
        self.ready.send_replace(Readiness::Wedged);
    }

    /// Says that the worker is about to be ended on purpose: it takes no more calls, and
    /// that it goes is no loss, whatever has run there or still runs.
    pub fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Release);
        self.open.store(false, Ordering::Release);
    }

    fn tell_loss(&self, left: &BTreeSet<Digest>) {
        if !self.is_dismissed.load(Ordering::Acquire) {
            (self.on_loss)(left);
        }
    }

    /// The components whose calls run, or have run not long ago.
    fn present(&self) -> BTreeSet<Digest> {
        let calls = self.calls.lock();
        let running = calls.values().filter(|queue| !queue.is_over);
        let mut present: BTreeSet<Digest> = running.map(|queue| queue.artifact).collect();
        present.extend(self.ending.lock().values().copied());
        present.extend(self.ran.lock().recent(Instant::now()));
        present
    }

    /// Waits until nothing more comes from the worker: answers with the
    /// components whose calls ran then, or had run not long before, also of a worker
    /// that was ended on purpose.
    pub async fn left_behind(&self) -> BTreeSet<Digest> {
        // The sender lives as long as this does.
        drop(self.is_over.subscribe().wait_for(|is_over| *is_over).await);
        self.left.lock().clone()
    }

    /// Ends the calls of a component, whose worker is held to end them, too.
    pub fn end_calls_of(&self, artifact: &Digest, why: &str) {
        let calls: Vec<CallId> = {
            let calls = self.calls.lock();
            let of_it = calls
                .iter()
                .filter(|(_, queue)| queue.artifact == *artifact);
            of_it.map(|(call, _)| *call).collect()
        };
        for call in calls {
            let trap = Trap::Component(why.to_owned());
            self.post(call, Event::Done(CallOutcome::Trap(trap), Usage::default()));
        }
    }

    /// Follows the worker's readiness.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.ready.subscribe()
    }

    /// Starts a guest call.
    pub(crate) async fn start(
        self: &Arc<Self>,
        mut invoke: Invoke,
    ) -> Result<RunningCall, WorkerGone> {
        let call = CallId(self.next_call.fetch_add(1, Ordering::Relaxed));
        invoke.call = call;
        let (events, receiver) = mpsc::unbounded_channel();
        let said = Arc::new(Said::default());
        let (heard, limits) = (Arc::clone(&said), invoke.limits);
        let mut running = RunningCall::new(self, call, receiver, heard, limits);
        let queue = Queue {
            artifact: invoke.artifact,
            events,
            said,
            is_over: false,
        };
        self.calls.lock().insert(call, queue);
        if !self.is_open() {
            return Err(WorkerGone);
        }
        self.in_time(self.sender.send(ToWorker::Invoke(Box::new(invoke))))
            .await?;
        running.is_sent = true;
        Ok(running)
    }

    /// Forgets a call; says whether the worker still has to be told to end it.
    fn forget(&self, call: CallId, is_sent: bool) -> bool {
        let mut calls = self.calls.lock();
        let Some(queue) = calls.remove(&call) else {
            // It said too much, and lost its queue.
            return self.is_open() && self.ending.lock().contains_key(&call);
        };
        if queue.is_over {
            return false;
        }
        if is_sent && self.is_open() {
            self.ending.lock().insert(call, queue.artifact);
        }
        self.is_open()
    }

    /// Waits until something is sent. A worker that reads nothing for so long is given up.
    async fn in_time(
        &self,
        sending: impl Future<Output = Result<(), Closed>>,
    ) -> Result<(), WorkerGone> {
        match tokio::time::timeout(Duration::from_millis(LANE_SENDING_MS_MAX), sending).await {
            Ok(sent) => sent.map_err(|_| WorkerGone),
            Err(_) => {
                tracing::error!("a worker does not read what it is sent");
                self.give_up();
                Err(WorkerGone)
            }
        }
    }

    /// Tells the worker to end a call. One that does not is given up.
    async fn cancel(self: Arc<Self>, call: CallId) {
        let reason = Presence::cancelled();
        let cancel = ToWorker::Cancel { call, reason };
        if self.in_time(self.sender.send(cancel)).await.is_err() {
            return;
        }
        tokio::time::sleep(END_GRACE).await;
        // It stays there, so that its component is suspected, too.
        if self.is_open() && self.ending.lock().contains_key(&call) {
            tracing::error!(?call, "a worker does not end a call that was cancelled");
            self.give_up();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

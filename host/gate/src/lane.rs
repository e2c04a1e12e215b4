//! The broker's end of a link to a worker: guest calls go out, their host
//! calls come in.
//!
//! A lane routes; it decides nothing. Each guest call has a queue of events
//! that the task which waits for the call reads: no task for a host call, and
//! a call that is not served in time holds up no other.

mod event;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use keyway_ipc::{CallId, Invoke, Link, Receiver, Sender, Standing, ToBroker, ToWorker};
use keyway_model::{Digest, TenantId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

pub(crate) use event::Event;

use crate::presence::Presence;

/// How long after its limit, or after it was cancelled, a guest call may take
/// to end before its worker is given up, and all other calls with it. Many
/// calls may reach their ends at once, on a machine that has other things to do.
pub(crate) const END_GRACE: Duration = Duration::from_secs(1);

/// Events of one guest call that may wait unread: a worker that exceeds this
/// is not keeping the protocol and loses the call.
const EVENTS_MAX: usize = 4_096;

/// Characters of a worker's reason why it cannot load code that are logged.
const LOAD_FAILURE_CHARS_MAX: usize = 300;

/// Bytes of all events of a lane that may wait unread: more than the windows of
/// all its bodies and the ends of all its calls take.
const EVENT_BYTES_MAX: usize = 256 << 20;
/// The group of a tenant's calls. A worker sees no id: only which of its calls
/// belong together.
pub(crate) fn group_of(tenant: TenantId) -> u64 {
    let digest = Digest::of(&tenant.bits().to_be_bytes());
    let first = digest.as_bytes().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

/// One link to a worker.
#[derive(Debug)]
pub struct Lane {
    sender: Sender<ToWorker>,
    calls: Mutex<HashMap<CallId, Queue>>,
    loaded: Mutex<HashSet<Digest>>,
    /// Calls that were cancelled and have not ended yet.
    ending: Mutex<HashMap<CallId, Digest>>,
    /// Components whose calls ran when the worker ended.
    left: Mutex<BTreeSet<Digest>>,
    /// Components whose calls have ended here: code that got out of its sandbox
    /// may outlive its call.
    ran: Mutex<BTreeSet<Digest>>,
    /// Components that the worker was told to load and has not answered about.
    loading: Mutex<HashSet<Digest>>,
    next_call: AtomicU64,
    busy: AtomicUsize,
    /// Bytes of events that wait unread.
    waiting_bytes: AtomicUsize,
    open: AtomicBool,
    ready: watch::Sender<Readiness>,
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
    waiting: Arc<AtomicUsize>,
    /// Whether the worker has said that the call has ended, read or not.
    is_over: bool,
}

/// The worker at the other end of a lane is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker is gone")]
pub struct WorkerGone;

impl Lane {
    /// A lane over `link`. The future reads it and ends when the worker does.
    pub fn over(link: Link<ToWorker, ToBroker>) -> (Arc<Self>, impl Future<Output = ()> + Send) {
        let lane = Arc::new(Self {
            sender: link.sender,
            calls: Mutex::default(),
            loaded: Mutex::default(),
            ending: Mutex::default(),
            left: Mutex::default(),
            ran: Mutex::default(),
            loading: Mutex::default(),
            next_call: AtomicU64::new(1),
            busy: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            open: AtomicBool::new(true),
            ready: watch::Sender::new(Readiness::Starting),
        });
        let reader = Arc::clone(&lane).read(link.receiver);
        (lane, reader)
    }

    /// How many guest calls run on it.
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
        self.ready.send_replace(Readiness::Wedged);
    }

    /// The components whose calls ran when the worker ended, or had run before.
    pub fn left_behind(&self) -> BTreeSet<Digest> {
        self.left.lock().clone()
    }

    /// Follows the worker's readiness.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.ready.subscribe()
    }

    /// Whether the worker has a component already.
    pub fn has(&self, artifact: &Digest) -> bool {
        self.loaded.lock().contains(artifact)
    }

    /// Makes sure that the worker has a component. `code` is asked for the
    /// sealed memory file with the compiled code, at most once.
    ///
    /// # Errors
    ///
    /// [`WorkerGone`], or the error of `code`.
    pub async fn load<E: From<WorkerGone>>(
        &self,
        artifact: Digest,
        code: impl FnOnce() -> Result<(OwnedFd, u64), E>,
    ) -> Result<(), E> {
        if self.loaded.lock().contains(&artifact) {
            return Ok(());
        }
        let (descriptor, length) = code()?;
        let load = ToWorker::Load { artifact, length };
        self.loading.lock().insert(artifact);
        self.sender
            .send_with(load, descriptor)
            .await
            .map_err(|_| WorkerGone)?;
        self.loaded.lock().insert(artifact);
        Ok(())
    }

    /// Starts a guest call.
    pub(crate) async fn start(
        self: &Arc<Self>,
        mut invoke: Invoke,
    ) -> Result<RunningCall, WorkerGone> {
        let call = CallId(self.next_call.fetch_add(1, Ordering::Relaxed));
        invoke.call = call;
        let (events, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut running = RunningCall {
            lane: Arc::clone(self),
            call,
            events: receiver,
            waiting: Arc::clone(&waiting),
            is_sent: false,
        };
        self.busy.fetch_add(1, Ordering::Relaxed);
        let queue = Queue {
            artifact: invoke.artifact,
            events,
            waiting,
            is_over: false,
        };
        self.calls.lock().insert(call, queue);
        if !self.is_open() {
            return Err(WorkerGone);
        }
        self.sender
            .send(ToWorker::Invoke(Box::new(invoke)))
            .await
            .map_err(|_| WorkerGone)?;
        running.is_sent = true;
        Ok(running)
    }

    /// Notes that a call has ended, and says whether that is news: a call ends
    /// once. Whoever drops it looks under the same lock, so an end is never missed.
    fn note_end(&self, call: CallId) -> bool {
        let mut calls = self.calls.lock();
        self.ending.lock().remove(&call);
        calls.get_mut(&call).is_some_and(|queue| {
            self.ran.lock().insert(queue.artifact);
            !std::mem::replace(&mut queue.is_over, true)
        })
    }

    /// Forgets a call; says whether the worker still has to be told to end it.
    fn forget(&self, call: CallId, is_sent: bool) -> bool {
        let mut calls = self.calls.lock();
        let Some(queue) = calls.remove(&call).filter(|queue| !queue.is_over) else {
            return false;
        };
        if is_sent && self.is_open() {
            self.ending.lock().insert(call, queue.artifact);
        }
        self.is_open()
    }

    /// Tells the worker to end a call. One that does not is given up.
    async fn cancel(self: Arc<Self>, call: CallId) {
        let reason = Presence::cancelled();
        let cancel = ToWorker::Cancel { call, reason };
        if self.sender.send(cancel).await.is_err() {
            return;
        }
        tokio::time::sleep(END_GRACE).await;
        if self.is_open() && self.ending.lock().remove(&call).is_some() {
            tracing::error!(?call, "a worker does not end a call that was cancelled");
            self.give_up();
        }
    }

    async fn read(self: Arc<Self>, mut receiver: Receiver<ToBroker>) {
        while let Ok(Some(incoming)) = receiver.receive().await {
            self.route(incoming.message);
        }
        self.open.store(false, Ordering::Release);
        {
            let mut calls = self.calls.lock();
            let running = calls.drain().filter(|(_, queue)| !queue.is_over);
            let mut left = self.left.lock();
            left.extend(running.map(|(_, queue)| queue.artifact));
            left.extend(self.ending.lock().drain().map(|(_, artifact)| artifact));
            left.extend(self.ran.lock().iter().copied());
        }
        self.ready.send_if_modified(|state| {
            // A worker that has to be killed stays so.
            let is_news = *state != Readiness::Wedged;
            if is_news {
                *state = Readiness::Gone;
            }
            is_news
        });
    }

    /// What the worker says of itself counts once, before its first call: after
    /// that, a guest may speak through it.
    fn stand(&self, standing: Standing) {
        self.ready.send_if_modified(|state| {
            let is_first = *state == Readiness::Starting;
            if is_first {
                *state = Readiness::Ready(Arc::new(standing));
            }
            is_first
        });
    }

    fn route(&self, message: ToBroker) {
        match message {
            ToBroker::Ready(standing) => self.stand(standing),
            ToBroker::Loaded { artifact, failed } => {
                if !self.loading.lock().remove(&artifact) {
                    tracing::error!("a worker does not keep the protocol: it was not told to load");
                    self.give_up();
                } else if let Some(reason) = failed {
                    // A worker that was taken over could say anything.
                    let reason: String =
                        reason.escape_debug().take(LOAD_FAILURE_CHARS_MAX).collect();
                    tracing::error!(%artifact, %reason, "a worker cannot load compiled code");
                    self.loaded.lock().remove(&artifact);
                }
            }
            ToBroker::Host {
                call,
                request,
                host_call,
            } => self.post(call, Event::Host(request, host_call)),
            ToBroker::Chunk {
                call,
                request,
                bytes,
            } => self.post(call, Event::Body(request, Some(bytes))),
            ToBroker::ChunkEnd {
                call,
                request,
                complete: true,
            } => self.post(call, Event::Body(request, None)),
            ToBroker::ChunkEnd {
                call,
                request,
                complete: false,
            } => {
                self.post(call, Event::BodyAborted(request));
            }
            ToBroker::Credit {
                call,
                request,
                bytes,
            } => self.post(call, Event::Credit(request, bytes)),
            ToBroker::Forget { call, request } => self.post(call, Event::Forget(request)),
            ToBroker::Done {
                call,
                outcome,
                usage,
            } => {
                if self.note_end(call) {
                    self.post(call, Event::Done(outcome, usage));
                }
            }
        }
    }

    /// Hands an event to the task that waits for its call. An event of a call
    /// that nobody waits for is dropped; a call with too many loses its queue,
    /// which ends it.
    fn post(&self, call: CallId, event: Event) {
        let mut calls = self.calls.lock();
        let Some(queue) = calls.get(&call) else {
            return;
        };
        let waiting = queue.waiting.fetch_add(1, Ordering::Relaxed);
        let bytes = event.bytes();
        let waiting_bytes = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting_bytes + bytes > EVENT_BYTES_MAX || event.is_swollen() {
            drop(calls);
            tracing::error!("a worker does not keep the protocol: it says more than it was let");
            self.give_up();
        } else if waiting >= EVENTS_MAX || queue.events.send(event).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            calls.remove(&call);
        }
    }
}

/// A guest call that runs. Dropping it cancels it.
#[derive(Debug)]
pub(crate) struct RunningCall {
    lane: Arc<Lane>,
    call: CallId,
    events: mpsc::UnboundedReceiver<Event>,
    waiting: Arc<AtomicUsize>,
    /// Whether the worker has heard of it: only then can it be held to end it.
    is_sent: bool,
}

impl RunningCall {
    /// The next event; `None` if the worker is gone.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.lane
            .waiting_bytes
            .fetch_sub(event.bytes(), Ordering::Relaxed);
        Some(event)
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
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.lane.busy.fetch_sub(1, Ordering::Relaxed);
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
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

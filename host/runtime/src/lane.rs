//! One lane: a link to the broker, and the calls that came over it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keyway_ipc::fair::{Groups, ToLong};
use keyway_ipc::{
    CallId, CallOutcome, Incoming, Invoke, Link, RequestId, Sender, ToBroker, ToWorker, Trap,
};
use keyway_model::Digest;
use keyway_model::limit::FRAME_BYTES_MAX;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::live::LiveCall;
use crate::load::Loaded;
use crate::mailbox::Mailbox;
use crate::worker::Worker;

/// How often calls are looked at for whether their time is over. A timer for
/// each call would cost a call that is quick two system calls.
const TIME_TICK: Duration = Duration::from_millis(5);

/// The calls that are alive on one lane.
type Calls = Arc<Mutex<HashMap<CallId, Arc<LiveCall>>>>;

struct Lane {
    worker: Arc<Worker>,
    broker: Sender<ToBroker>,
    calls: Calls,
    /// What the broker had loaded over this lane and not yet unloaded.
    components: HashMap<Digest, Arc<Loaded>>,
    groups: Groups,
    tasks: JoinSet<()>,
    /// Tells who watches the time that there is a call.
    begun: Arc<Notify>,
}

/// Serves one lane until the broker is gone; then ends the calls that are left
/// and waits for them. Runs on the current tokio runtime and spawns a task for
/// each group of calls.
pub async fn serve_lane(worker: Arc<Worker>, link: Link<ToBroker, ToWorker>) {
    serve_beside(worker, link, None).await;
}

/// The same, with a thread that goes on with calls that compute for long.
pub(crate) async fn serve_beside(
    worker: Arc<Worker>,
    link: Link<ToBroker, ToWorker>,
    long: Option<ToLong>,
) {
    let Link {
        sender,
        mut receiver,
    } = link;
    let standing = worker.standing();
    let mut lane = Lane {
        worker,
        broker: sender.clone(),
        calls: Calls::default(),
        components: HashMap::new(),
        groups: Groups::beside(long),
        tasks: JoinSet::new(),
        begun: Arc::default(),
    };
    let watching = watch_time(Arc::clone(&lane.calls), Arc::clone(&lane.begun));
    let watching = tokio::spawn(watching);
    if sender.send(ToBroker::Ready(standing)).await.is_ok() {
        while let Ok(Some(incoming)) = receiver.receive().await {
            lane.take(incoming).await;
        }
    }
    lane.stop().await;
    watching.abort();
}

/// Ends the calls whose time is over; sleeps while there is none.
async fn watch_time(calls: Calls, begun: Arc<Notify>) {
    loop {
        begun.notified().await;
        loop {
            tokio::time::sleep(TIME_TICK).await;
            let alive: Vec<_> = calls.lock().values().cloned().collect();
            if alive.is_empty() {
                break;
            }
            for call in alive {
                call.end_if_late();
            }
        }
    }
}

impl Lane {
    async fn take(&mut self, incoming: Incoming<ToWorker>) {
        match incoming.message {
            ToWorker::Load { artifact, length } => {
                let loaded = self.worker.load(artifact, length, incoming.descriptor);
                let failed = match loaded {
                    Ok(loaded) => {
                        self.components.insert(artifact, loaded);
                        None
                    }
                    Err(reason) => Some(reason),
                };
                // A broker that is gone is noticed at the next receive.
                self.broker
                    .send(ToBroker::Loaded { artifact, failed })
                    .await
                    .ok();
            }
            ToWorker::Unload { artifact } => {
                self.components.remove(&artifact);
            }
            ToWorker::Invoke(invoke) => self.invoke(*invoke),
            ToWorker::Reply {
                call,
                request,
                reply,
            } => {
                self.deliver(call, request, |mailbox| mailbox.put_reply(reply));
            }
            ToWorker::Chunk {
                call,
                request,
                bytes,
            } => {
                self.deliver(call, request, |mailbox| mailbox.put_chunk(bytes));
            }
            ToWorker::ChunkEnd {
                call,
                request,
                failed,
            } => {
                self.deliver(call, request, |mailbox| mailbox.put_end(failed));
            }
            ToWorker::Credit {
                call,
                request,
                bytes,
            } => {
                self.deliver(call, request, |mailbox| mailbox.put_credit(bytes));
            }
            ToWorker::Cancel { call, reason } => {
                if let Some(call) = self.call(call) {
                    drop(call.end(reason));
                }
            }
        }
    }

    fn invoke(&mut self, invoke: Invoke) {
        let broker = self.broker.clone();
        let bytes_max = invoke.memory_bytes_per_workspace_max;
        let memory = self.worker.memory().share(invoke.group, bytes_max);
        let live = LiveCall::new(invoke.call, invoke.limits, memory, broker);
        let call = Arc::new(live);
        self.calls.lock().insert(invoke.call, Arc::clone(&call));
        self.begun.notify_one();
        let (worker, calls) = (Arc::clone(&self.worker), Arc::clone(&self.calls));
        let broker = self.broker.clone();
        let loaded = self.components.get(&invoke.artifact).cloned();
        let first = invoke.artifact.as_bytes().first_chunk().copied();
        let kind = u64::from_be_bytes(first.unwrap_or_default());
        self.groups.spawn_kind(invoke.group, kind, async move {
            let (outcome, usage) = worker.run(&call, loaded, invoke).await;
            let call = call.id();
            calls.lock().remove(&call);
            let done = ToBroker::Done {
                call,
                outcome,
                usage,
            };
            if broker.send(done).await.is_err() {
                // Longer than a frame, which no limit lets it be; or nobody is left to tell.
                let outcome = CallOutcome::Trap(Trap::Limit {
                    name: "FRAME_BYTES_MAX".to_owned(),
                    value: FRAME_BYTES_MAX as u64,
                });
                let done = ToBroker::Done {
                    call,
                    outcome,
                    usage,
                };
                broker.send(done).await.ok();
            }
        });
    }

    fn call(&self, call: CallId) -> Option<Arc<LiveCall>> {
        self.calls.lock().get(&call).cloned()
    }

    /// What arrives for a call that is over is dropped.
    fn deliver(&self, call: CallId, request: RequestId, put: impl FnOnce(&Mailbox)) {
        if let Some(mailbox) = self.call(call).and_then(|call| call.mailbox(request)) {
            put(&mailbox);
        }
    }

    async fn stop(self) {
        let Self {
            broker,
            calls,
            groups,
            mut tasks,
            ..
        } = self;
        for call in calls.lock().values() {
            drop(call.end(Trap::Host("the broker is gone".to_owned())));
        }
        drop(broker);
        groups.join().await;
        while tasks.join_next().await.is_some() {}
    }
}

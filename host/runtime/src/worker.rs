//! The worker: components that are loaded, lanes that bring calls.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use keyway_ipc::{
    CallId, CallOutcome, Incoming, Invoke, Link, RequestId, Sender, ToBroker, ToWorker, Trap, Usage,
};
use keyway_model::Digest;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use wasmtime::Engine;

use crate::engine::{self, EngineError, PoolSize};
use crate::linker::Linkers;
use crate::live::LiveCall;
use crate::load::{self, Loaded};
use crate::mailbox::Mailbox;
use crate::run;

/// I/O is looked at after so many tasks; more calls share one look.
const EVENT_INTERVAL: u32 = 31;

/// Why a worker process cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A thread, a runtime or a socket cannot be had.
    #[error("a lane of the worker cannot be set up")]
    Lane(#[from] io::Error),
    /// A lane has panicked.
    #[error("a lane of the worker broke off")]
    Broken,
}

/// What all lanes of a worker share.
pub struct Worker {
    engine: Engine,
    linkers: Linkers,
    components: RwLock<HashMap<Digest, Arc<Loaded>>>,
    /// One permit for each slot of the pool.
    slots: Semaphore,
    is_quick: bool,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("is_quick", &self.is_quick)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker with nothing loaded. Starts the one thread that it needs
    /// beside its lanes.
    ///
    /// # Errors
    ///
    /// [`EngineError`], if the machine cannot give what `size` asks for.
    pub fn new(size: &PoolSize) -> Result<Arc<Self>, EngineError> {
        let engine = engine::runner(size)?;
        Ok(Arc::new(Self {
            linkers: Linkers::new(&engine).map_err(EngineError::Settings)?,
            engine,
            components: RwLock::default(),
            slots: Semaphore::new(size.instances_max as usize),
            is_quick: engine::quick_reset_available(),
        }))
    }

    fn load(&self, artifact: Digest, length: u64, file: Option<OwnedFd>) -> Option<String> {
        if self.components.read().contains_key(&artifact) {
            return None;
        }
        let Some(file) = file else {
            return Some("no descriptor came with the message".to_owned());
        };
        match load::load(&self.engine, &self.linkers, file, length) {
            Ok(loaded) => {
                self.components.write().insert(artifact, Arc::new(loaded));
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    async fn run(&self, call: &Arc<LiveCall>, invoke: Invoke) -> (CallOutcome, Usage) {
        let loaded = self.components.read().get(&invoke.artifact).cloned();
        let Some(loaded) = loaded else {
            let trap = Trap::Component(format!("{} is not loaded", invoke.artifact));
            return (CallOutcome::Trap(trap), run::usage(call, 0));
        };
        match call.wait(self.slots.acquire()).await {
            Ok(Ok(_slot)) => run::run(&self.engine, &loaded, call, invoke).await,
            Ok(Err(_)) | Err(_) => {
                let verdict = call.verdict();
                let trap = verdict.unwrap_or_else(|| Trap::Host("the worker stops".to_owned()));
                (CallOutcome::Trap(trap), run::usage(call, 0))
            }
        }
    }
}

/// The calls that are alive on one lane.
type Calls = Arc<Mutex<HashMap<CallId, Arc<LiveCall>>>>;

struct Lane {
    worker: Arc<Worker>,
    broker: Sender<ToBroker>,
    aside: mpsc::UnboundedSender<ToBroker>,
    calls: Calls,
    tasks: JoinSet<()>,
}

/// Serves one lane until the broker is gone; then ends the calls that are left
/// and waits for them. Runs on the current tokio runtime and spawns a task for
/// each call.
pub async fn serve_lane(worker: Arc<Worker>, link: Link<ToBroker, ToWorker>) {
    let Link {
        sender,
        mut receiver,
    } = link;
    let (aside, waiting) = mpsc::unbounded_channel();
    let quick_reset = worker.is_quick;
    let mut lane = Lane {
        worker,
        broker: sender.clone(),
        aside,
        calls: Calls::default(),
        tasks: JoinSet::new(),
    };
    lane.tasks.spawn(send_aside(waiting, sender.clone()));
    if sender.send(ToBroker::Ready { quick_reset }).await.is_ok() {
        while let Ok(Some(incoming)) = receiver.receive().await {
            lane.take(incoming).await;
        }
    }
    lane.stop().await;
}

/// Sends what was said where nothing could wait.
async fn send_aside(mut waiting: mpsc::UnboundedReceiver<ToBroker>, broker: Sender<ToBroker>) {
    while let Some(message) = waiting.recv().await {
        if broker.send(message).await.is_err() {
            return;
        }
    }
}

impl Lane {
    async fn take(&mut self, incoming: Incoming<ToWorker>) {
        match incoming.message {
            ToWorker::Load { artifact, length } => {
                let failed = self.worker.load(artifact, length, incoming.descriptor);
                // A broker that is gone is noticed at the next receive.
                self.broker
                    .send(ToBroker::Loaded { artifact, failed })
                    .await
                    .ok();
            }
            ToWorker::Unload { artifact } => {
                self.worker.components.write().remove(&artifact);
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
        while self.tasks.try_join_next().is_some() {}
    }

    fn invoke(&mut self, invoke: Invoke) {
        let (broker, aside) = (self.broker.clone(), self.aside.clone());
        let call = Arc::new(LiveCall::new(invoke.call, invoke.limits, broker, aside));
        self.calls.lock().insert(invoke.call, Arc::clone(&call));
        let (worker, calls) = (Arc::clone(&self.worker), Arc::clone(&self.calls));
        let broker = self.broker.clone();
        self.tasks.spawn(async move {
            let (outcome, usage) = worker.run(&call, invoke).await;
            calls.lock().remove(&call.id());
            // Nobody is left to tell if this fails.
            broker
                .send(ToBroker::Done {
                    call: call.id(),
                    outcome,
                    usage,
                })
                .await
                .ok();
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
            aside,
            calls,
            mut tasks,
            ..
        } = self;
        for call in calls.lock().values() {
            drop(call.end(Trap::Host("the broker is gone".to_owned())));
        }
        // With the last sender the task that sends aside ends.
        drop((broker, aside));
        while tasks.join_next().await.is_some() {}
    }
}

/// The body of a worker process: one thread for each socket, until the broker
/// has closed them all. Every thread that the process will ever have exists
/// when the first message is read.
///
/// # Errors
///
/// [`ProcessError`], if the machine cannot give threads, memory or sockets, or
/// if a lane has panicked.
pub fn run_process(lanes: Vec<OwnedFd>, size: &PoolSize) -> Result<(), ProcessError> {
    let worker = Worker::new(size)?;
    let mut threads = Vec::with_capacity(lanes.len());
    for (number, socket) in lanes.into_iter().enumerate() {
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        let worker = Arc::clone(&worker);
        let thread = thread::Builder::new()
            .name(format!("keyway-lane-{number}"))
            .spawn(move || run_lane(worker, stream))?;
        threads.push(thread);
    }
    drop(worker);
    for thread in threads {
        thread.join().map_err(|_| ProcessError::Broken)??;
    }
    Ok(())
}

fn run_lane(worker: Arc<Worker>, stream: UnixStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()?;
    runtime.block_on(async {
        let stream = tokio::net::UnixStream::from_std(stream)?;
        serve_lane(worker, keyway_ipc::over_socket(stream)).await;
        Ok(())
    })
}

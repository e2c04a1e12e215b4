//! The worker: the engine, the components that are loaded, and the room for
//! calls. All lanes share it.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use keyway_ipc::{CallOutcome, Invoke, LayerReport, Standing, Trap, Usage};
use keyway_model::Digest;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::engine::{self, EngineError, PoolSize, Runner};
use crate::linker::Linkers;
use crate::live::LiveCall;
use crate::load::{self, Loaded};
use crate::memory::Memory;
use crate::run;

/// What all lanes of a worker share.
pub struct Worker {
    runner: Runner,
    linkers: Linkers,
    components: RwLock<HashMap<Digest, Arc<Loaded>>>,
    /// One permit for each slot of the pool.
    slots: Semaphore,
    memory: Arc<Memory>,
    is_quick: bool,
    /// Where calls go on that compute at length.
    long_thread: OnceLock<Handle>,
    /// Components whose last call computed at length.
    long_before: Mutex<HashSet<Digest>>,
    /// How the layers of confinement stand, once they do.
    confinement: OnceLock<Vec<LayerReport>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("is_quick", &self.is_quick)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker with nothing loaded. Opens what the engine needs, and starts no
    /// thread.
    ///
    /// # Errors
    ///
    /// [`EngineError`], if the machine cannot give what `size` asks for.
    pub fn new(size: &PoolSize) -> Result<Arc<Self>, EngineError> {
        let runner = Runner::new(size)?;
        Ok(Arc::new(Self {
            linkers: Linkers::new(&runner.engine).map_err(EngineError::Settings)?,
            runner,
            components: RwLock::default(),
            slots: Semaphore::new(size.instances_max as usize),
            memory: Arc::new(Memory::new(size.memory_total_bytes_max)),
            is_quick: engine::quick_reset_available(),
            long_thread: OnceLock::new(),
            long_before: Mutex::default(),
            confinement: OnceLock::new(),
        }))
    }

    /// Starts the one thread that it needs beside its lanes.
    ///
    /// # Errors
    ///
    /// [`EngineError::Ticker`], if there is no thread to be had.
    pub fn start_clock(&self) -> Result<(), EngineError> {
        self.runner.start_clock()
    }

    /// Loads compiled code, unless another lane has done so already; says why
    /// it failed.
    pub(crate) fn load(
        &self,
        artifact: Digest,
        length: u64,
        file: Option<OwnedFd>,
    ) -> Option<String> {
        if self.components.read().contains_key(&artifact) {
            return None;
        }
        let Some(file) = file else {
            return Some("no descriptor came with the message".to_owned());
        };
        match load::load(&self.runner, &self.linkers, file, length) {
            Ok(loaded) => {
                self.components.write().insert(artifact, Arc::new(loaded));
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Forgets a component; calls that run keep it until they end.
    pub(crate) fn unload(&self, artifact: &Digest) {
        self.components.write().remove(artifact);
        self.long_before.lock().remove(artifact);
    }

    /// What the broker is told when the worker stands ready.
    pub(crate) fn standing(&self) -> Standing {
        Standing {
            quick_reset: self.is_quick,
            layers: self.confinement.get().cloned().unwrap_or_default(),
        }
    }

    /// Notes how the process was confined. The first time counts.
    pub(crate) fn confined(&self, layers: Vec<LayerReport>) {
        self.confinement.get_or_init(|| layers);
    }

    /// Notes the thread on which long calls go on. The first counts.
    pub(crate) fn has_long_thread(&self, thread: Handle) {
        self.long_thread.get_or_init(|| thread);
    }

    /// The thread on which long calls go on; none outside of a worker process.
    pub(crate) fn long_thread(&self) -> Option<&Handle> {
        self.long_thread.get()
    }

    /// Notes whether a component's call computed at length.
    pub(crate) fn was_long(&self, artifact: Digest, is_long: bool) {
        let mut long = self.long_before.lock();
        if is_long {
            long.insert(artifact);
        } else {
            long.remove(&artifact);
        }
    }

    /// Whether a component's last call computed at length.
    pub(crate) fn is_long(&self, artifact: &Digest) -> bool {
        self.long_before.lock().contains(artifact)
    }

    /// The memory that all calls share.
    pub(crate) const fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Runs one call when there is room for it.
    pub(crate) async fn run(&self, call: &Arc<LiveCall>, invoke: Invoke) -> (CallOutcome, Usage) {
        let loaded = self.components.read().get(&invoke.artifact).cloned();
        let Some(loaded) = loaded else {
            let trap = Trap::Component(format!("{} is not loaded", invoke.artifact));
            return (CallOutcome::Trap(trap), run::usage(call, 0));
        };
        match call.wait(self.slots.acquire()).await {
            Ok(Ok(_slot)) => run::run(&self.runner.engine, &loaded, call, invoke).await,
            Ok(Err(_)) | Err(_) => {
                let verdict = call.verdict();
                let trap = verdict.unwrap_or_else(|| Trap::Host("the worker stops".to_owned()));
                (CallOutcome::Trap(trap), run::usage(call, 0))
            }
        }
    }
}

//! The worker: the engine, the components that are loaded, and the room for
//! calls. All lanes share it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};

use keyway_ipc::{CallOutcome, Invoke, LayerReport, Standing, Trap, Usage};
use keyway_model::Digest;
use parking_lot::Mutex;
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
    /// What any lane has loaded: each lane keeps what it has until it is told
    /// to let it go, and calls keep what they run.
    components: Mutex<HashMap<Digest, Weak<Loaded>>>,
    /// One permit for each slot of the pool.
    slots: Semaphore,
    memory: Arc<Memory>,
    /// How it stands, once its layers of confinement do.
    standing: OnceLock<Standing>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("standing", &self.standing)
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
            components: Mutex::default(),
            slots: Semaphore::new(size.instances_max as usize),
            memory: Arc::new(Memory::new(size.worker_memory_bytes_max)),
            standing: OnceLock::new(),
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

    /// Loads compiled code, unless another lane has done so already; or says why
    /// not.
    pub(crate) fn load(
        &self,
        artifact: Digest,
        length: u64,
        file: Option<OwnedFd>,
    ) -> Result<Arc<Loaded>, String> {
        let mut components = self.components.lock();
        if let Some(loaded) = components.get(&artifact).and_then(Weak::upgrade) {
            return Ok(loaded);
        }
        let file = file.ok_or("no descriptor came with the message")?;
        let loaded = load::load(&self.runner, &self.linkers, file, length);
        let loaded = Arc::new(loaded.map_err(|error| error.to_string())?);
        components.retain(|_, loaded| loaded.strong_count() > 0);
        components.insert(artifact, Arc::downgrade(&loaded));
        Ok(loaded)
    }

    /// What the broker is told when the worker stands ready.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.get().cloned().unwrap_or_default()
    }

    /// Notes how the process was confined, and asks the engine for its fast path
    /// from in there: what the filter refuses is not there. The first time counts.
    pub(crate) fn confined(&self, layers: Vec<LayerReport>) {
        self.standing.get_or_init(|| Standing {
            quick_reset: self.runner.is_quick() && engine::quick_reset_available(),
            layers,
        });
    }

    /// The memory that all calls share.
    pub(crate) const fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Runs one call of what its lane had loaded, when there is room for it.
    pub(crate) async fn run(
        &self,
        call: &Arc<LiveCall>,
        loaded: Option<Arc<Loaded>>,
        invoke: Invoke,
    ) -> (CallOutcome, Usage) {
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

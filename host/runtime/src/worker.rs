//! The worker: the engine, the components that are loaded, and the room for
//! calls. All lanes share it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use keyway_ipc::{CallOutcome, Invoke, Trap, Usage};
use keyway_model::Digest;
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use wasmtime::Engine;

use crate::engine::{self, EngineError, PoolSize};
use crate::linker::Linkers;
use crate::live::LiveCall;
use crate::load::{self, Loaded};
use crate::run;

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
        match load::load(&self.engine, &self.linkers, file, length) {
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
    }

    /// Whether instances are reset the quick way.
    pub(crate) const fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Runs one call when there is room for it.
    pub(crate) async fn run(&self, call: &Arc<LiveCall>, invoke: Invoke) -> (CallOutcome, Usage) {
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

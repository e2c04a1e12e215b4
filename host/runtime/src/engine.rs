//! The engine and its settings, which compiler and worker must share.
//!
//! Every setting that differs from wasmtime's own is here, with its reason, so
//! that a change to what guests may use is a change to this file.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::code::{CodeOfTheBroker, Maps};
use keyway_model::limit::{
    CORE_INSTANCES_MAX, CallLimits, GUEST_CALLS_PER_WORKER_MAX, MEMORIES_MAX, STACK_BYTES_MAX,
    TABLES_MAX, WORKER_MEMORY_BYTES_MAX,
};
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmFeatures,
};

/// The engine that runs guests and its version, for people. wasmtime does not tell it:
/// a test holds this to `Cargo.lock`.
pub const ENGINE: &str = "wasmtime 48.0.8";

/// How often a guest that computes is asked to let others go on: what one
/// tenant's endless loop costs another's guest each time it has something to do.
const TICK: Duration = Duration::from_millis(1);

/// Bytes of a slot that are cleared instead of given back to the kernel.
const MEMORY_KEPT_BYTES: usize = 256 << 10;
const TABLE_KEPT_BYTES: usize = 64 << 10;
const STACK_KEPT_BYTES: usize = 64 << 10;

/// Address space of one linear memory, and of the guard behind it: with these
/// no bounds check is compiled in.
const MEMORY_RESERVED_BYTES: u64 = 4 << 30;
const MEMORY_GUARD_BYTES: u64 = 32 << 20;

/// The stack of one call. What a guest may not use of it is for the functions of
/// the host, which run on the same stack.
const STACK_BYTES: usize = 2 << 20;

/// What guests may be written with: what compilers for WASI 0.2 emit. All else
/// is refused, and so is what a later wasmtime would enable by itself.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// wasmtime refuses the settings, or the machine cannot give the memory.
    #[error(
        "the sandbox cannot be set up on this machine; lower the number of instances or see the cause"
    )]
    Settings(#[source] wasmtime::Error),
    /// No thread for the clock that interrupts guests.
    #[error("the thread that interrupts guests cannot be started; raise the limit on threads")]
    Ticker(#[source] std::io::Error),
}

/// How much a worker sets aside for guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Guest calls at once; further ones wait.
    pub instances_max: u32,
    /// The largest linear memory that any call may be allowed, in bytes.
    pub memory_bytes_max: usize,
    /// The most table elements that any call may be allowed.
    pub table_elements_max: usize,
    /// Linear memory of all calls together, in bytes.
    pub worker_memory_bytes_max: u64,
}

/// Writable memory that a worker has beside what its guests may grow: its own,
/// and for each slot a stack, tables and what is kept of a linear memory.
const OWN_DATA_BYTES: u64 = 512 << 20;
const SLOT_DATA_BYTES: u64 = 4 << 20;

impl PoolSize {
    /// Writable memory that a worker of this size may need beside what it has when it starts, in bytes.
    pub fn data_bytes_more(&self) -> u64 {
        // A slot that was used stays writable as far as it ever grew, although its
        // pages are given back.
        let memory = u64::try_from(self.memory_bytes_max).unwrap_or(u64::MAX);
        let slot = SLOT_DATA_BYTES.saturating_add(memory);
        let slots = u64::from(self.instances_max).saturating_mul(slot);
        OWN_DATA_BYTES.saturating_add(slots)
    }
}

impl Default for PoolSize {
    fn default() -> Self {
        let limits = CallLimits::default();
        Self {
            instances_max: GUEST_CALLS_PER_WORKER_MAX,
            memory_bytes_max: usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX),
            table_elements_max: limits.table_elements_max as usize,
            worker_memory_bytes_max: WORKER_MEMORY_BYTES_MAX,
        }
    }
}

/// Whether this process can reset instances the quick way. Ask once before it is
/// locked down, since the first answer opens `/proc/self/pagemap`; each further
/// one scans again.
pub fn quick_reset_available() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

/// Names the compiler and its settings: compiled code is good for exactly the
/// workers whose fingerprint is the same.
///
/// # Errors
///
/// [`EngineError::Settings`], if wasmtime refuses its settings.
pub fn fingerprint() -> Result<String, EngineError> {
    let engine = compiler()?;
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Ok(format!("wasmtime-48-{:016x}", hasher.finish()))
}

/// An engine that compiles and cannot run.
pub(crate) fn compiler() -> Result<Engine, EngineError> {
    Engine::new(&shared_settings()).map_err(EngineError::Settings)
}

/// An engine that runs and cannot compile, and the code that it runs.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) engine: Engine,
    pub(crate) maps: Arc<Maps>,
    /// Whether instances are reset the quick way: for sure, or not at all.
    is_quick: bool,
}

impl Runner {
    /// An engine whose clock stands still. Opens `/proc/self/pagemap`, and
    /// starts no thread.
    pub(crate) fn new(size: &PoolSize) -> Result<Self, EngineError> {
        let maps = Arc::new(Maps::default());
        let is_quick = quick_reset_available();
        let mut config = shared_settings();
        config.enable_compiler(false);
        config.with_custom_code_memory(Some(Arc::new(CodeOfTheBroker(Arc::clone(&maps)))));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(size, is_quick)));
        let engine = Engine::new(&config).map_err(EngineError::Settings)?;
        Ok(Self {
            engine,
            maps,
            is_quick,
        })
    }

    /// Whether instances are reset the quick way.
    pub(crate) const fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Starts the thread by which guests that compute are interrupted. It runs
    /// when this comes back: what a thread does at its start is not to be
    /// caught by the filter of system calls.
    pub(crate) fn start_clock(&self) -> Result<(), EngineError> {
        let ticked = self.engine.weak();
        let (started, runs) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("keyway-epoch".to_owned())
            .spawn(move || {
                // Only a process that has panicked does not hear of it.
                started.send(()).ok();
                tick(&ticked);
            })
            .map_err(EngineError::Ticker)?;
        runs.recv()
            .map_err(|lost| EngineError::Ticker(io::Error::other(lost)))
    }
}

/// Ends when the engine does.
fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        thread::sleep(TICK);
    }
}

/// What compiled code depends on.
fn shared_settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Guests are of WASI 0.2; without component-model async a crossing costs half.
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES_MAX)
        .memory_reservation(MEMORY_RESERVED_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_init_cow(true)
        .async_stack_size(STACK_BYTES)
        .async_stack_zeroing(true)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(FEATURES, true)
        // A backtrace of a guest's frames is of no use to the host.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}

fn pool(size: &PoolSize, is_quick: bool) -> PoolingAllocationConfig {
    let calls = size.instances_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(calls.saturating_mul(MEMORIES_MAX))
        .total_tables(calls.saturating_mul(TABLES_MAX))
        .total_stacks(calls)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memory_size(size.memory_bytes_max)
        .table_elements(size.table_elements_max)
        .max_unused_warm_slots(calls)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .async_stack_keep_resident(STACK_KEPT_BYTES)
        // At once, and not sixteen of up to 64 MiB together while others wait.
        .decommit_batch_size(1)
        // Either for sure or not at all: a worker that says `quick` is quick.
        .pagemap_scan(if is_quick { Enabled::Yes } else { Enabled::No });
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_twice() -> Result<(), EngineError> {
        assert_eq!(fingerprint()?, fingerprint()?);
        Ok(())
    }

    /// Every setting as wasmtime itself shows it, features and all.
    fn settings() -> String {
        let (shared, pool) = (shared_settings(), pool(&PoolSize::default(), true));
        let is_zeroed = Engine::new(&shared).map(|engine| engine.get_async_stack_zeroing());
        format!(
            "{shared:#?}\n{pool:#?}\nguest stack {STACK_BYTES_MAX}\nstack {STACK_BYTES}\n\
             stack zeroed {is_zeroed:?}\n",
        )
    }

    #[test]
    fn every_setting_of_the_engine_is_the_one_that_was_reviewed() {
        let reviewed = include_str!("../tests/engine.snapshot");
        let settings = settings();
        let differing: Vec<String> = settings
            .lines()
            .zip(reviewed.lines())
            .filter(|(now, then)| now != then)
            .map(|(now, then)| format!("{then} -> {now}"))
            .collect();
        assert!(
            settings == reviewed,
            "the engine has other settings than `host/runtime/tests/engine.snapshot`; if that is \
             meant, review what guests can do now and put these in: {differing:#?}\n{settings}"
        );
    }
}

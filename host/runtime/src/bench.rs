//! What a call costs in the worker, beside what it costs in bare wasmtime with
//! the same engine: for `cargo xtask bench`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other outcome is none that can be measured"
)]

use std::sync::Arc;
use std::time::Instant;

use keyway_ipc::{CallId, CallOutcome, Entrance, Invoke, ToWorker, Trap, in_process};
use keyway_model::Digest;
use keyway_model::limit::{CallLimits, Quotas, WORKER_MEMORY_BYTES_MAX};
use wasmtime::component::Linker;
use wasmtime::{Engine, Store};

use crate::bindings::code::CodePre;
use crate::compile::{CompileError, compile};
use crate::engine::{EngineError, PoolSize, Runner};
use crate::linker::Linkers;
use crate::live::LiveCall;
use crate::load::{self, LoadError, Loaded};
use crate::memory::{Memory, Share};
use crate::run;
use crate::sealed::seal;

mod bare;
pub use bare::{Bare, BareSender};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The component does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// wasmtime's own.
    #[error("the bare call failed: {0:#}")]
    Bare(wasmtime::Error),
    /// The call did not answer its input.
    #[error("the call ended otherwise: {0:?}")]
    Outcome(CallOutcome),
}

/// Nanoseconds of each call, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct InstanceCost {
    /// With limits, host interfaces and supervision.
    pub worker_ns: Vec<u64>,
    /// An empty store, an instance, the call, and nothing else.
    pub bare_ns: Vec<u64>,
}

/// Measures fresh instance, call and drop of `component`, which must be of the
/// world `code` and answer its input; the two kinds take turns.
///
/// # Errors
///
/// [`BenchError`], if the component is not such a one.
pub async fn instance_cost(component: &[u8], rounds: usize) -> Result<InstanceCost, BenchError> {
    let code = compile(component)?.code;
    let runner = Runner::new(&PoolSize::default())?;
    runner.start_clock()?;
    let engine = runner.engine.clone();
    let linkers = Linkers::new(&engine).map_err(BenchError::Bare)?;
    let file = seal(&code).map_err(LoadError::from)?;
    let loaded = load::load(&runner, &linkers, file, code.len() as u64)?;
    let bare = bare_pre(&runner, &code)?;
    let mut cost = InstanceCost::default();
    let memory = Arc::new(Memory::new(WORKER_MEMORY_BYTES_MAX));
    let quota = Quotas::default().memory_bytes_per_workspace_max;
    for round in 0..rounds {
        let start = Instant::now();
        let share = memory.share(0, quota);
        in_worker(&engine, &loaded, CallId(round as u64), share).await?;
        cost.worker_ns.push(elapsed_ns(start));
        let start = Instant::now();
        in_wasmtime(&engine, &bare)
            .await
            .map_err(BenchError::Bare)?;
        cost.bare_ns.push(elapsed_ns(start));
    }
    Ok(cost)
}

fn elapsed_ns(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

const INPUT: &str = r#"{"order":1}"#;

async fn in_worker(
    engine: &Engine,
    loaded: &Loaded,
    call: CallId,
    memory: Share,
) -> Result<(), BenchError> {
    let (ours, _theirs) = in_process::<_, ToWorker>();
    let limits = CallLimits::default();
    let live = LiveCall::new(call, limits, memory, ours.sender);
    let live = Arc::new(live);
    let entrance = Entrance::Run {
        input: INPUT.to_owned(),
    };
    let artifact = Digest::from_bytes([0; 32]);
    let invoke = Invoke {
        call,
        group: 0,
        artifact,
        entrance,
        limits,
        memory_bytes_per_workspace_max: Quotas::default().memory_bytes_per_workspace_max,
        reserved_headers: Vec::new(),
        parameters: None,
    };
    match run::run(engine, loaded, &live, invoke).await.0 {
        CallOutcome::Value(text) if text == INPUT => Ok(()),
        other => Err(BenchError::Outcome(other)),
    }
}

fn bare_pre(runner: &Runner, code: &[u8]) -> Result<CodePre<()>, BenchError> {
    let file = seal(code).map_err(LoadError::from)?;
    let component = load::trust(runner, file, code.len() as u64)?;
    let mut linker = Linker::<()>::new(&runner.engine);
    linker
        .define_unknown_imports_as_traps(&component)
        .map_err(BenchError::Bare)?;
    linker
        .instantiate_pre(&component)
        .and_then(CodePre::new)
        .map_err(BenchError::Bare)
}

async fn in_wasmtime(engine: &Engine, pre: &CodePre<()>) -> wasmtime::Result<()> {
    let mut store = Store::new(engine, ());
    // Far more ticks than the call takes.
    store.set_epoch_deadline(1 << 40);
    let guest = pre.instantiate_async(&mut store).await?;
    let answer = guest
        .keyway_guest_logic()
        .call_run(&mut store, INPUT)
        .await?;
    answer.map(drop).map_err(|text| Trap::Guest(text).into())
}

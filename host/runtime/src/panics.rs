//! A panic in a function of the host: there is none on purpose, so this build
//! for tests has one, which [`provoke`] raises on a guest's own word. It ends
//! that call, and nothing else.

use std::sync::Arc;

use keyway_ipc::{CallId, CallOutcome, Entrance, Invoke, ToWorker, Trap, in_process};
use keyway_model::Digest;
use keyway_model::limit::CallLimits;
use wasmtime::Engine;

use crate::compile::compile;
use crate::engine::{PoolSize, Runner};
use crate::linker::Linkers;
use crate::live::LiveCall;
use crate::load::{self, Loaded};
use crate::memory::Memory;
use crate::run;
use crate::sealed::seal;

const WORD: &str = "panic in the host";

/// Called by the host's function `log.write` in this build only.
pub(crate) fn provoke(message: &str) {
    assert_ne!(message, WORD, "as the guest of a test wants it");
}

/// Logic that writes its input to the log and answers with it.
pub(crate) const GUEST: &str = r#"(component
  (import "keyway:host/log@0.1.0" (instance $log
    (type $levels (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $levels)))
    (export "write" (func (param "level" $level) (param "message" string)))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $write (canon lower (func $log "write") (memory $memory "memory")))
  (core module $guest
    (import "host" "memory" (memory 1))
    (import "host" "write" (func $write (param i32 i32 i32)))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "run") (param i32 i32) (result i32)
      (call $write (i32.const 1) (local.get 0) (local.get 1))
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get 0))
      (i32.store (i32.const 24) (local.get 1))
      i32.const 16))
  (core instance $guest (instantiate $guest (with "host" (instance
    (export "write" (func $write))
    (export "memory" (memory $memory "memory"))))))
  (func $run (param "input" string) (result (result string (error string)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $guest "realloc"))))
  (instance $logic (export "run" (func $run)))
  (export "keyway:guest/logic@0.1.0" (instance $logic)))"#;

/// More than one call takes.
const MEMORY_BYTES: u64 = 1 << 30;

pub(crate) async fn call(engine: &Engine, loaded: &Loaded, input: &str) -> CallOutcome {
    let (ours, _theirs) = in_process::<_, ToWorker>();
    let (call, limits) = (CallId(1), CallLimits::default());
    let memory = Arc::new(Memory::new(MEMORY_BYTES)).share(0, MEMORY_BYTES);
    let live = Arc::new(LiveCall::new(call, limits, memory, ours.sender));
    let input = input.to_owned();
    let invoke = Invoke {
        call,
        group: 0,
        artifact: Digest::from_bytes([0; 32]),
        entrance: Entrance::Run { input },
        limits,
        memory_bytes_per_workspace_max: MEMORY_BYTES,
        reserved_headers: Vec::new(),
        parameters: None,
    };
    run::run(engine, loaded, &live, invoke).await.0
}

#[tokio::test]
async fn a_panic_of_a_host_function_ends_its_call_and_nothing_else() -> anyhow::Result<()> {
    let code = compile(&wat::parse_str(GUEST)?)?.code;
    let runner = Runner::new(&PoolSize {
        instances_max: 1,
        ..PoolSize::default()
    })?;
    runner.start_clock()?;
    let engine = runner.engine.clone();
    let linkers = Linkers::new(&engine)?;
    let loaded = load::load(&runner, &linkers, seal(&code)?, code.len() as u64)?;
    // The one slot of the pool is free again each time.
    for _ in 0..3 {
        let honest = call(&engine, &loaded, "honest").await;
        assert_eq!(honest, CallOutcome::Value("honest".to_owned()));
        let CallOutcome::Trap(Trap::Component(said)) = call(&engine, &loaded, WORD).await else {
            anyhow::bail!("it did not end in a trap of the component");
        };
        assert!(said.contains("panicked"), "{said}");
    }
    Ok(())
}

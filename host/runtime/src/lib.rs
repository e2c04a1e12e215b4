//! The sandbox: compiles guests, loads them, and runs each call in an instance
//! of its own that is thrown away afterwards.
//!
//! The only crate that names wasmtime. It speaks `ipc` messages and nothing
//! else: what a guest asks of the outside becomes a message to the broker, and
//! the broker decides. It holds no secret, and opens and starts nothing once
//! [`run_process`] has locked its process in.
//!
//! Follow one call: [`serve_lane`] receives it, `run` gives it an instance,
//! `live` is what it shares with the lane, `host` answers what it asks for.

mod answer;
mod bench;
mod bindings;
mod code;
mod compile;
mod confine;
mod convert;
mod engine;
mod host;
mod lane;
mod ledger;
mod limiter;
mod linker;
mod live;
mod load;
mod log_book;
mod mailbox;
mod memory;
mod meter;
#[cfg(test)]
mod mixed;
#[cfg(test)]
mod panics;
mod process;
mod run;
mod sealed;
mod shape;
mod worker;

pub use answer::{Compiled, NoAnswer, read_answer};
pub use bench::{Bare, BareSender, BenchError, InstanceCost, instance_cost};
pub use compile::{
    CompileError, CompileLimits, WEAKER_REMEDY, Weaker, compile, compile_process, imports,
};
pub use engine::{ENGINE, EngineError, PoolSize, fingerprint, quick_reset_available};
pub use lane::serve_lane;
pub use linker::{World, linked_interfaces};
pub use load::LoadError;
pub use process::{ProcessError, run_process};
pub use sealed::{SealError, seal};
pub use worker::Worker;

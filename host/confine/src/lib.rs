//! What a process gives up before it touches anything that a guest made.
//!
//! A worker and the compiler begin as the program that the broker started and
//! lock themselves in, layer by layer, in the one order that works (each type
//! below is a step, and each step is taken once):
//!
//! 1. [`Confinement::begin`], alone and before anything is opened: inherited
//!    descriptors are closed, root becomes an unprivileged user.
//! 2. The engine is made. It opens `/proc/self/pagemap`, which only a process
//!    that is dumpable can.
//! 3. [`Confinement::before_threads`]: no new privileges, not dumpable, ends
//!    with its broker, no files, no ports (Landlock holds for one thread and
//!    those that it starts).
//! 4. Threads are started, each with its event queue.
//! 5. [`Threaded::close`]: limits, no memory that is written and run, and the
//!    filter of system calls, which ends the process at anything unforeseen.
//!
//! Never asks for anything back, never weakens a layer by itself: what the
//! kernel refuses stands in the [`Report`], and the broker decides.

mod filter;
mod kernel;
mod layer;
mod limits;
mod steps;

pub use filter::{allowed_system_calls, refused_system_calls};
pub use layer::{Layer, LayerReport, LayerState, Report};
pub use limits::Limits;
pub use steps::{Confinement, Start, Threaded, stand_back, stand_back_for_all};

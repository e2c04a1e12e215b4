//! The expression engine of recipes.
//!
//! `check` parses CEL while a recipe is applied and answers with trees;
//! `run` evaluates trees while a job runs, and parses no expression. Nothing
//! here reaches outside: the component imports the log and no network.
//!
//! The evaluator is ours and not the `cel` crate's, because a call has a fresh
//! instance: building that crate's environment costs more than a whole run
//! here. Its evaluator is the reference of the tests instead.

mod check;
#[cfg(target_family = "wasm")]
mod component;
mod evaluate;
mod functions;
mod operators;
mod run;
mod tree;
mod value;

pub use check::check;
pub use run::run;

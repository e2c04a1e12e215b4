//! Recipes as running jobs.
//!
//! [`compile`] turns a recipe into a [`Definition`] with the help of the
//! sandboxed expression component; [`machine`] runs one job of it, step by
//! step, without I/O: it says what to do next and is told what came of it.
//! [`labels`] masks what people may not see of a job. [`Jobs`] drives machines:
//! it does what they say, through a [`StepRunner`] and the store.

mod accepted;
mod act;
pub mod compile;
pub mod definition;
mod definitions;
mod driver;
pub mod job;
mod journal;
pub mod labels;
mod live;
pub mod machine;
mod poll;
mod pollers;
mod resume;
mod runner;
mod segment;
pub mod tree;

pub use act::direct_actor;

pub use accepted::{Accepted, Answer, webhook_event};
pub use definition::Definition;
pub use driver::{DriveError, Jobs};
pub use journal::{JournalPage, read_journal};
pub use live::{NoRoom, Room};
pub use machine::{
    Act, Cause, Entry, JobFacts, Machine, Next, Outcome, Record, Reply, completed_before_failure,
};
pub use poll::{PollError, Polled};
pub use runner::{EvaluateError, StepRunner};

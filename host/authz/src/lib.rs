//! Decides, proves and records.
//!
//! The gate is a chain of types, and this crate holds its links:
//! [`Grant::decide_http`] makes a [`Permit`] or a [`Denial`]; [`Permit::record`]
//! makes an [`Entry`] once the intent is durable; the entry opens the way out;
//! [`Entry::close`] makes a [`Closing`] that the store writes with the change.
//! No link can be made without the one before, and none can be used twice.
//!
//! Never reaches out: the one way to anything durable is the [`Sink`] that the
//! caller hands in.

mod decide;
mod denial;
mod inward;
pub mod log;
mod operation;
mod permit;
mod policy;
mod record;
mod recorder;

pub use decide::{Carry, Grant, GrantedCredential, HttpRule, HttpRules};
pub use denial::{Denial, DenialReason};
pub use inward::{Admitted, Inward, InwardDenied};
pub use operation::{
    ControlCall, HttpSend, NamesSecret, Operation, ScratchChange, ScratchEdit, StateChange,
    StateWrite,
};
pub use permit::{BodyOut, Closing, Ending, Entry, Permit};
pub use policy::{Judgement, Policy, PolicyRequest, Principal, Resource, decide_control};
pub use record::{Actor, Decision, Intent, Outcome, OutcomeKind, Record, Tally, Target};
pub use recorder::{Recorder, Sink, SinkError};

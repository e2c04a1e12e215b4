//! How a guest call ends, and what it consumed.

use keyway_model::Failure;
use keyway_model::limit::POLL_EVENTS_MAX;
use serde::{Deserialize, Serialize};

use crate::bounded;

/// How a guest call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallOutcome {
    /// With a value: JSON text.
    Value(String),
    /// A poll found this.
    Batch(PollBatch),
    /// With a failure of the connector's own.
    Failure(Failure),
    /// Logic ended with an error text of its own.
    LogicError(String),
    /// It was ended.
    Trap(Trap),
}

impl CallOutcome {
    /// Bytes of what the guest gave, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Value(text) | Self::LogicError(text) => text.len(),
            Self::Failure(failure) => failure.to_string().len(),
            Self::Batch(batch) => batch
                .events
                .iter()
                .map(|event| event.deduplication_key.len() + event.payload.len() + OWN_BYTES)
                .sum(),
            Self::Trap(trap) => trap.to_string().len(),
        }
    }
}

/// What a value costs beside its content.
const OWN_BYTES: usize = 64;

/// What a poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollBatch {
    /// Oldest first.
    #[serde(deserialize_with = "bounded::at_most::<_, _, POLL_EVENTS_MAX>")]
    pub events: Vec<PollEvent>,
    /// Where the next poll goes on.
    pub cursor: Option<String>,
    /// Whether there is more at once.
    pub more: bool,
}

/// One thing that a poll found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollEvent {
    /// Names the thing for ever.
    pub deduplication_key: String,
    /// JSON.
    pub payload: String,
}

/// Why a guest call was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Trap {
    /// Over a limit.
    #[error("the call exceeded `{name}` ({value})")]
    Limit {
        /// The limit's name in `keyway_model::limit`.
        name: String,
        /// Its value.
        value: u64,
    },
    /// The guest's own fault: unreachable code, a bad memory access, a panic.
    #[error("the guest trapped: {0}")]
    Guest(String),
    /// It was cancelled.
    #[error("the call was cancelled: {0}")]
    Cancelled(String),
    /// The audit log cannot be written, or something of the host's failed.
    #[error("the host could not go on: {0}")]
    Host(String),
    /// Something that the call relied on was changed by somebody else. It ends,
    /// and is not made again.
    #[error("the call cannot go on: {0}")]
    Spoiled(String),
    /// The worker ended before the call did; only the broker says this.
    #[error("the worker ended before the call did")]
    WorkerGone,
    /// The component does not have the export, or is not loaded.
    #[error("the component cannot be called: {0}")]
    Component(String),
}

/// What a guest call consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// From start to end, in microseconds.
    pub wall_us: u64,
    /// The largest linear memory, in bytes.
    pub memory_bytes: u64,
    /// Host calls.
    pub host_calls: u32,
    /// Log lines that the guest wrote.
    pub log_lines: u32,
    /// Log lines that were dropped for a limit.
    pub log_lines_dropped: u32,
    /// Connection parameters that were read inside the worker.
    pub parameter_reads: u32,
    /// Request bodies that were refused inside the worker for their length.
    pub bodies_refused: u32,
}

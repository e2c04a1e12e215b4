//! How a guest call ends, and what it consumed.

use keyway_model::Failure;
use keyway_model::limit::{
    CallLimits, POLL_CURSOR_BYTES_MAX, POLL_EVENTS_MAX, POLL_KEY_BYTES_MAX, TRAP_BYTES_MAX,
};
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
            Self::Batch(batch) => batch.bytes() + batch.events.len() * OWN_BYTES,
            Self::Trap(trap) => trap.to_string().len(),
        }
    }

    /// Whether it is within what the guest of a call with these limits may give. Both
    /// sides look: the worker, which ends a guest that gives more, and the broker, which
    /// does not believe that.
    ///
    /// # Errors
    ///
    /// The end of such a guest.
    pub fn unless_within(&self, limits: &CallLimits) -> Result<(), Trap> {
        let value_bytes = match self {
            Self::Value(text) | Self::LogicError(text) => text.len(),
            Self::Failure(failure) => failure.message().len(),
            Self::Batch(batch) => {
                batch.unless_within()?;
                batch.bytes()
            }
            Self::Trap(trap) => {
                return within("TRAP_BYTES_MAX", trap.to_string().len(), TRAP_BYTES_MAX);
            }
        };
        let value_bytes_max = limits.value_bytes_max as usize;
        within("value_bytes_max", value_bytes, value_bytes_max)
    }
}

fn within(name: &str, bytes: usize, bytes_max: usize) -> Result<(), Trap> {
    if bytes > bytes_max {
        return Err(Trap::Limit {
            name: name.to_owned(),
            value: bytes_max as u64,
        });
    }
    Ok(())
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

impl PollBatch {
    /// Bytes of what the guest gave: all of it together counts as its output.
    fn bytes(&self) -> usize {
        let cursor = self.cursor.as_ref().map_or(0, String::len);
        let events = self.events.iter();
        let sizes = events.map(|event| event.deduplication_key.len() + event.payload.len());
        cursor + sizes.sum::<usize>()
    }

    fn unless_within(&self) -> Result<(), Trap> {
        let cursor_bytes = self.cursor.as_ref().map_or(0, String::len);
        within("POLL_CURSOR_BYTES_MAX", cursor_bytes, POLL_CURSOR_BYTES_MAX)?;
        self.events.iter().try_for_each(|event| {
            let key_bytes = event.deduplication_key.len();
            within("POLL_KEY_BYTES_MAX", key_bytes, POLL_KEY_BYTES_MAX)
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(cursor: usize, events: &[(usize, usize)]) -> CallOutcome {
        let event = |(key, payload): &(usize, usize)| PollEvent {
            deduplication_key: "k".repeat(*key),
            payload: "p".repeat(*payload),
        };
        CallOutcome::Batch(PollBatch {
            events: events.iter().map(event).collect(),
            cursor: Some("c".repeat(cursor)),
            more: false,
        })
    }

    fn over(outcome: &CallOutcome, value_bytes_max: u32) -> Option<String> {
        let limits = CallLimits {
            value_bytes_max,
            ..CallLimits::default()
        };
        match outcome.unless_within(&limits) {
            Ok(()) => None,
            Err(Trap::Limit { name, .. }) => Some(name),
            Err(other) => Some(other.to_string()),
        }
    }

    #[test]
    fn an_outcome_may_have_as_many_bytes_as_the_guest_gave_and_no_more() {
        let text = || "x".repeat(7);
        let outcomes = [
            CallOutcome::Value(text()),
            CallOutcome::LogicError(text()),
            // The words that people read before the message are not the guest's.
            CallOutcome::Failure(Failure::InvalidInput(text())),
            batch(1, &[(1, 2), (1, 2)]),
        ];
        for outcome in outcomes {
            assert_eq!(over(&outcome, 7), None, "{outcome:?}");
            assert_eq!(over(&outcome, 6).as_deref(), Some("value_bytes_max"));
        }
    }

    #[test]
    fn cursors_keys_and_words_of_traps_are_held_to_limits_of_their_own() {
        let (cursor, key) = (POLL_CURSOR_BYTES_MAX, POLL_KEY_BYTES_MAX);
        assert_eq!(over(&batch(cursor, &[(key, 0)]), 1 << 20), None);
        let beyond = over(&batch(cursor + 1, &[]), 1 << 20);
        assert_eq!(beyond.as_deref(), Some("POLL_CURSOR_BYTES_MAX"));
        let beyond = over(&batch(0, &[(1, 0), (key + 1, 0)]), 1 << 20);
        assert_eq!(beyond.as_deref(), Some("POLL_KEY_BYTES_MAX"));
        // A guest may be ended however little it was to give.
        let trap = |bytes| CallOutcome::Trap(Trap::Guest("x".repeat(bytes)));
        assert_eq!(over(&trap(1 << 10), 1), None);
        let beyond = over(&trap(TRAP_BYTES_MAX + 1), 1 << 20);
        assert_eq!(beyond.as_deref(), Some("TRAP_BYTES_MAX"));
    }

    #[test]
    fn the_cursor_of_a_poll_counts_among_its_bytes() {
        let empty = batch(0, &[(3, 4)]).bytes();
        assert_eq!(batch(1_000, &[(3, 4)]).bytes(), empty + 1_000);
    }
}

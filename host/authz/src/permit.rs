//! The proofs: [`Permit`], [`Entry`], [`Closing`].
//!
//! A permit says that one operation was allowed once:
//!
//! ```
//! use keyway_authz::{HttpSend, Permit, Recorder, Entry, SinkError};
//! async fn once(permit: Permit<HttpSend>, recorder: &Recorder) -> Result<(), SinkError> {
//!     let entry: Entry<HttpSend> = permit.record(recorder).await?;
//!     # drop(entry);
//!     Ok(())
//! }
//! ```
//!
//! It cannot be used twice:
//!
//! ```compile_fail,E0382
//! use keyway_authz::{HttpSend, Permit, Recorder, Entry, SinkError};
//! async fn twice(permit: Permit<HttpSend>, recorder: &Recorder) -> Result<(), SinkError> {
//!     let entry: Entry<HttpSend> = permit.record(recorder).await?;
//!     let again: Entry<HttpSend> = permit.record(recorder).await?;
//!     # drop((entry, again));
//!     Ok(())
//! }
//! ```
//!
//! It cannot be forged, because its fields are private:
//!
//! ```compile_fail,E0451
//! use keyway_authz::{Actor, HttpSend, Permit};
//! fn forge(operation: HttpSend, actor: Actor) -> Permit<HttpSend> {
//!     Permit { operation, actor, rule: String::new() }
//! }
//! ```
//!
//! It cannot be copied, while what it speaks of can be looked at:
//!
//! ```
//! use keyway_authz::{HttpSend, Permit};
//! fn look(permit: &Permit<HttpSend>) -> keyway_model::net::Method { permit.operation().method() }
//! ```
//!
//! ```compile_fail,E0599
//! use keyway_authz::{HttpSend, Permit};
//! fn copy(permit: &Permit<HttpSend>) -> Permit<HttpSend> { Permit::clone(permit) }
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyway_model::time::{Clock, Timestamp};
use keyway_model::{EntryId, Scope};

use crate::operation::Operation;
use crate::record::{Actor, Decision, Intent, Outcome, OutcomeKind, Record};
use crate::recorder::{Recorder, Sink, SinkError};

/// Proof that one operation was allowed, once.
#[derive(Debug)]
#[must_use = "a permit that is not recorded and used allows nothing"]
pub struct Permit<O: Operation> {
    operation: O,
    actor: Actor,
    rule: String,
}

impl<O: Operation> Permit<O> {
    pub(crate) const fn mint(operation: O, actor: Actor, rule: String) -> Self {
        Self {
            operation,
            actor,
            rule,
        }
    }

    /// What was allowed.
    pub const fn operation(&self) -> &O {
        &self.operation
    }

    /// Writes the intent and waits until it is durable.
    ///
    /// # Errors
    ///
    /// The sink's error; then nothing may happen, and nothing can, for there
    /// is no entry.
    pub async fn record(self, recorder: &Recorder) -> Result<Entry<O>, SinkError> {
        let (id, at) = (EntryId::random(), recorder.clock().now());
        let intent = self.intent(id, at);
        recorder
            .sink()
            .append(recorder.scope(), Record::Intent(intent))
            .await?;
        Ok(self.into_entry(id, at, recorder))
    }

    /// The entry together with its intent, for a change that lives in the same
    /// database: the store writes intent, change and outcome in one
    /// transaction. The intent is not durable until that transaction is.
    pub fn record_with_change(self, recorder: &Recorder) -> (Entry<O>, Record) {
        let (id, at) = (EntryId::random(), recorder.clock().now());
        let intent = self.intent(id, at);
        (self.into_entry(id, at, recorder), Record::Intent(intent))
    }

    fn intent(&self, id: EntryId, at: Timestamp) -> Intent {
        Intent {
            id,
            at,
            actor: self.actor.clone(),
            operation: self.operation.name().to_owned(),
            target: self.operation.target(),
            decision: Decision::Allowed {
                rule: self.rule.clone(),
            },
        }
    }

    fn into_entry(self, id: EntryId, at: Timestamp, recorder: &Recorder) -> Entry<O> {
        let open = Open {
            id,
            scope: recorder.scope(),
            sink: Arc::clone(recorder.sink()),
            clock: recorder.clock().clone(),
            body: BodyOut::Whole(0),
        };
        Entry {
            operation: self.operation,
            rule: self.rule,
            recorded_at: at,
            open: Some(open),
        }
    }
}

/// Proof that the intent of one operation is recorded. Opens the way out for
/// that operation and for no other. An entry that is dropped without being
/// closed is closed as `unknown`.
#[derive(Debug)]
#[must_use = "an entry that is not closed ends as `unknown`"]
pub struct Entry<O: Operation> {
    operation: O,
    rule: String,
    recorded_at: Timestamp,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    id: EntryId,
    scope: Scope,
    sink: Arc<dyn Sink>,
    clock: Clock,
    body: BodyOut,
}

/// What leaves of an operation's body. However the operation ends, its outcome
/// says how much that was.
#[derive(Clone, Debug)]
pub enum BodyOut {
    /// So many bytes, all at once.
    Whole(u64),
    /// As many as were counted when it ends.
    Counted(Arc<AtomicU64>),
}

impl BodyOut {
    fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => *bytes,
            Self::Counted(bytes) => bytes.load(Ordering::Relaxed),
        }
    }
}

impl<O: Operation> Entry<O> {
    /// What was allowed and recorded.
    pub const fn operation(&self) -> &O {
        &self.operation
    }

    /// The rule that allowed it.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// When the intent was recorded.
    pub const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// Whose operation it is.
    pub fn scope(&self) -> Option<Scope> {
        self.open.as_ref().map(|open| open.scope)
    }

    /// Says what is about to leave: from here on the outcome names its bytes,
    /// unless it says that nothing left.
    pub fn sends(&mut self, body: BodyOut) {
        if let Some(open) = &mut self.open {
            open.body = body;
        }
    }

    /// Ends the operation. `outcome` gives all but the id and the time.
    pub fn close(mut self, outcome: Ending) -> Closing {
        match self.open.take() {
            Some(open) => Closing {
                scope: open.scope,
                record: open.outcome(outcome),
            },
            None => unreachable!("an entry is open until it is closed, and closing consumes it"),
        }
    }
}

impl Open {
    fn outcome(&self, ending: Ending) -> Record {
        let left = match ending.kind {
            OutcomeKind::Refused => 0,
            OutcomeKind::Done | OutcomeKind::Failed | OutcomeKind::Unknown => self.body.bytes(),
        };
        Record::Outcome(Outcome {
            id: self.id,
            at: self.clock.now(),
            kind: ending.kind,
            status: ending.status,
            bytes_out: ending.bytes_out.max(left),
            bytes_in: ending.bytes_in,
            masked: ending.masked,
            detail: ending.detail.map(|text| text.chars().take(300).collect()),
        })
    }
}

impl<O: Operation> Drop for Entry<O> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let unknown = open.outcome(Ending::of(OutcomeKind::Unknown));
            open.sink.queue(open.scope, unknown);
        }
    }
}

/// How an operation ended, as its caller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How it ended.
    pub kind: OutcomeKind,
    /// The status of an HTTP reply.
    pub status: Option<u16>,
    /// Bytes of body that left.
    pub bytes_out: u64,
    /// Bytes of body that came back.
    pub bytes_in: u64,
    /// Occurrences of a secret that were masked.
    pub masked: u32,
    /// Our own words on a failure.
    pub detail: Option<String>,
}

impl Ending {
    /// An ending of this kind, with nothing to count.
    pub const fn of(kind: OutcomeKind) -> Self {
        Self {
            kind,
            status: None,
            bytes_out: 0,
            bytes_in: 0,
            masked: 0,
            detail: None,
        }
    }

    /// The same ending with words on it.
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}

/// The outcome of one operation, to be written by the store together with the
/// change that it describes.
#[derive(Debug)]
#[must_use = "an outcome that is not committed is lost"]
pub struct Closing {
    scope: Scope,
    record: Record,
}

impl Closing {
    /// Takes the closing apart, for the store.
    pub fn into_parts(self) -> (Scope, Record) {
        (self.scope, self.record)
    }
}

//! What a writer can be asked for: [`Change`], sealed already.
//!
//! A change is made by the view that it belongs to, which seals its content
//! there and then; what waits in a unit of work or in the writer's queue is
//! ciphertext. The SQL of every write stands where the change is made.

use keyway_authz::log::RecordKind;
use keyway_model::{ConnectionId, EntryId, JobId, RecipeId, Scope, Timestamp};
use rusqlite::types::Value;

use crate::error::StoreError;

/// A change of the database, to be pushed into a [`Unit`](crate::Unit).
#[derive(Debug)]
#[must_use = "a change happens only when a unit of work with it is committed"]
pub struct Change {
    pub(crate) writes: Vec<Write>,
}

impl Change {
    pub(crate) fn of(write: impl Into<Write>) -> Self {
        Self {
            writes: vec![write.into()],
        }
    }

    pub(crate) fn all<W: Into<Write>>(writes: impl IntoIterator<Item = W>) -> Self {
        Self {
            writes: writes.into_iter().map(Into::into).collect(),
        }
    }

    pub(crate) fn and(mut self, write: impl Into<Write>) -> Self {
        self.writes.push(write.into());
        self
    }
}

/// One thing that the writer does.
#[derive(Debug)]
pub(crate) enum Write {
    /// A statement.
    Statement(Statement),
    /// An audit record; the writer gives it its sequence.
    Audit(AuditRow),
    /// A job, unless its event was seen before.
    JobIfNew(Box<JobIfNew>),
    /// Nothing in the database, but something to do when the group is durable.
    Then(After),
}

/// A job, and the statement that remembers its event; that affects no row if
/// the event was seen before.
#[derive(Debug)]
pub(crate) struct JobIfNew {
    pub(crate) seen: Statement,
    pub(crate) create: Statement,
    pub(crate) job: JobId,
}

/// A statement with its values, and how to read its refusal.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) values: Vec<Value>,
    /// What it means if no row was affected; `None` if that is fine.
    pub(crate) nothing_done: Option<StoreError>,
    /// What it means if a uniqueness constraint refuses it.
    pub(crate) not_unique: Option<StoreError>,
}

impl Statement {
    pub(crate) const fn new(sql: &'static str, values: Vec<Value>) -> Self {
        Self {
            sql,
            values,
            nothing_done: None,
            not_unique: None,
        }
    }

    pub(crate) fn or_if_nothing(self, error: StoreError) -> Self {
        Self {
            nothing_done: Some(error),
            ..self
        }
    }

    pub(crate) fn or_if_not_unique(self, error: StoreError) -> Self {
        Self {
            not_unique: Some(error),
            ..self
        }
    }
}

impl From<Statement> for Write {
    fn from(statement: Statement) -> Self {
        Self::Statement(statement)
    }
}

impl From<After> for Write {
    fn from(after: After) -> Self {
        Self::Then(after)
    }
}

/// An audit record, sealed, without its sequence.
#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) scope: Scope,
    pub(crate) kind: RecordKind,
    pub(crate) entry: EntryId,
    pub(crate) at: Timestamp,
    pub(crate) content: [u8; 32],
    pub(crate) leaf: [u8; 32],
    pub(crate) envelope: Vec<u8>,
}

/// What the store's caches must learn when a group is durable.
#[derive(Clone, Debug)]
pub(crate) enum After {
    /// The connection has another credential, or none.
    Credential(Scope, ConnectionId),
    /// A webhook leads to this recipe.
    Webhook([u8; 32], Scope, RecipeId),
    /// No webhook leads to this recipe any more.
    NoWebhook(Scope, RecipeId),
}

/// Shorthand for the values of statements.
pub(crate) mod value {
    use keyway_model::{Scope, Timestamp};
    use rusqlite::types::Value;

    pub(crate) fn blob(bytes: impl Into<Vec<u8>>) -> Value {
        Value::Blob(bytes.into())
    }

    pub(crate) fn id(bits: u128) -> Value {
        Value::Blob(bits.to_be_bytes().to_vec())
    }

    pub(crate) fn tenant(scope: Scope) -> Value {
        id(scope.tenant.bits())
    }

    pub(crate) fn environment(scope: Scope) -> Value {
        Value::Integer(i64::from(scope.environment.code()))
    }

    pub(crate) const fn time(at: Timestamp) -> Value {
        Value::Integer(at.micros())
    }

    /// A counter. SQLite counts to 2⁶³ - 1, and so does this.
    pub(crate) fn count(number: u64) -> Value {
        Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

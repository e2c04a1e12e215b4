//! The one way from a decision to a durable record.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keyway_model::Scope;
use keyway_model::time::Clock;

use crate::record::Record;

/// Why a record could not be written. Then nothing runs.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit log cannot be written: {0}")]
pub struct SinkError(pub String);

/// Where records become durable. The store implements it.
#[async_trait]
pub trait Sink: Send + Sync + fmt::Debug {
    /// Writes `record` and returns when it is durable.
    async fn append(&self, scope: Scope, record: Record) -> Result<(), SinkError>;

    /// Writes `record` some time soon; used where nobody can wait.
    fn queue(&self, scope: Scope, record: Record);
}

/// A sink together with whose records they are.
#[derive(Clone, Debug)]
pub struct Recorder {
    sink: Arc<dyn Sink>,
    scope: Scope,
    clock: Clock,
}

impl Recorder {
    /// A recorder for `scope`.
    pub fn new(sink: Arc<dyn Sink>, scope: Scope, clock: Clock) -> Self {
        Self { sink, scope, clock }
    }

    /// Whose records it writes.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The clock that records are stamped with.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) const fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }
}

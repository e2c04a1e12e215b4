//! What the engine needs from whoever runs guests. The engine knows this
//! trait, and no sandbox.

use std::fmt;

use async_trait::async_trait;
use keyway_gate::{Active, Ended, Invocation, Presence, TooLong};
use keyway_ipc::Entrance;
use keyway_model::Scope;

/// Runs guests for the engine, each when its tenant's turn has come.
#[async_trait]
pub trait StepRunner: Send + Sync + fmt::Debug {
    /// Evaluates one segment of expressions, which is of this scope, as a part of
    /// what is active.
    async fn evaluate(
        &self,
        scope: Scope,
        request: String,
        active: &Active,
    ) -> Result<String, EvaluateError>;

    /// Compiles the expressions of a recipe, which is of this scope, for a
    /// caller that may go away.
    async fn check(
        &self,
        scope: Scope,
        request: String,
        presence: &Presence,
    ) -> Result<String, EvaluateError>;

    /// Runs one guest call under `invocation`.
    async fn run(&self, invocation: &Invocation, entrance: Entrance) -> Ended;
}

/// Why a segment has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// Whoever asked has gone away.
    #[error("nobody waits for the answer any more")]
    Cancelled,
    /// The worker ended; expressions have no effects, so another may try.
    #[error("the worker ended")]
    WorkerGone,
    /// They are too long, with what they look at.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The expressions exceed a limit, or the component does not answer.
    #[error("{0}")]
    Failed(String),
}

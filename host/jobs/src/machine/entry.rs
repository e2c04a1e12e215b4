//! One line of a job's journal.

use keyway_model::{EffectClass, Failure, Json, Timestamp};
use serde::{Deserialize, Serialize};

/// One line of a job's journal: what became of one step, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The line's number in the journal, from 0.
    pub position: u32,
    /// The step and its iteration: `create`, `each[3]/create`.
    pub key: String,
    /// The step's id.
    pub step: String,
    /// The step's kind: `action`, `transform`, …
    pub kind: String,
    /// What happened.
    pub record: Record,
    /// An action's input, kept for people to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// When.
    pub at: Timestamp,
}

/// What happened to a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// An action is about to be called; what came of it is a later line.
    Started {
        /// What may be repeated if there is no later line.
        effect: EffectClass,
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// The step is done and never runs again.
    Completed {
        /// What the step gave.
        output: Json,
    },
    /// The step failed, and the job with it.
    Failed {
        /// Why.
        cause: Cause,
    },
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Cause {
    /// The connector says so.
    #[error("{0}")]
    Action(Failure),
    /// An expression has no value.
    #[error("the expression has no value: {0}")]
    Expression(String),
    /// A limit is exceeded.
    #[error("a limit is exceeded: {0}")]
    Limit(String),
    /// A reply cannot be sent as the step says.
    #[error("the reply cannot be sent: {0}")]
    Reply(String),
    /// A `stop` step ended the job as failed.
    #[error("the recipe stopped the job: {0}")]
    Stop(String),
}

impl Cause {
    /// The case, for tables and programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Action(failure) => failure.kind(),
            Self::Expression(_) => "expression",
            Self::Limit(_) => "limit",
            Self::Reply(_) => "reply",
            Self::Stop(_) => "stop",
        }
    }

    /// The text, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::Action(failure) => failure.message(),
            Self::Expression(text) | Self::Limit(text) | Self::Reply(text) | Self::Stop(text) => {
                text
            }
        }
    }
}

impl Entry {
    /// The size of what the line holds, in bytes of JSON.
    pub fn bytes(&self) -> usize {
        let output = match &self.record {
            Record::Completed { output } => output.text().len(),
            Record::Started { .. } => 0,
            Record::Failed { cause } => cause.message().len(),
        };
        output + self.input.as_ref().map_or(0, |input| input.text().len()) + self.key.len()
    }
}

//! How a job ends.

use keyway_model::JobState;
use keyway_model::recipe::StopOutcome;
use serde_json::Value;

use super::entry::Cause;

/// How a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Succeeded {
        /// What a `stop` step said.
        reason: Option<String>,
    },
    /// At a step that failed, or at a `stop` that says so.
    Failed(Failed),
    /// At an effect of class `once` that may or may not have happened.
    Review(Review),
}

/// Where and why a job failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The step and its iteration.
    pub key: String,
    /// The step's id.
    pub step: String,
    /// Why.
    pub cause: Cause,
}

/// What a person has to look at before the job can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The step and its iteration.
    pub key: String,
    /// The step's id.
    pub step: String,
    /// The attempt whose outcome is unknown, from 1.
    pub attempt: u32,
}

impl Outcome {
    /// The state that the job is in from now on.
    pub const fn state(&self) -> JobState {
        match self {
            Self::Succeeded { .. } => JobState::Succeeded,
            Self::Failed(_) => JobState::Failed,
            Self::Review(_) => JobState::Review,
        }
    }
}

/// The outcome of a `stop` step whose output is `output`.
pub(super) fn stopped(key: &str, step: &str, outcome: StopOutcome, output: &Value) -> Outcome {
    let reason = output.get("reason").unwrap_or(output);
    let reason = match reason {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            reason.to_string()
        }
    };
    match outcome {
        StopOutcome::Succeeded => Outcome::Succeeded {
            reason: Some(reason).filter(|reason| !reason.is_empty()),
        },
        StopOutcome::Failed => Outcome::Failed(Failed {
            key: key.to_owned(),
            step: step.to_owned(),
            cause: Cause::Stop(reason),
        }),
    }
}

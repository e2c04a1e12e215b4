//! What a job knows about itself.

use keyway_model::{Digest, JobId, Name, Timestamp};
use serde::Serialize;

/// What a job knows about itself. Never changes while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// The job.
    pub id: JobId,
    /// The job that this one goes on for, if it is the rerun of a failed step;
    /// else the job itself. Idempotency keys are made from it, so that going on
    /// repeats no effect that the upstream already knows.
    pub origin: JobId,
    /// The recipe's name.
    pub recipe: Name,
    /// The recipe's version, pinned when the job was accepted.
    pub version: u32,
    /// When the job was accepted.
    pub started_at: Timestamp,
}

/// The variable `job` of expressions.
#[derive(Debug, Serialize)]
pub(crate) struct JobVariable<'f> {
    id: String,
    recipe: &'f str,
    version: u32,
    started_at: String,
}

impl JobFacts {
    /// The idempotency key of the step `key`: 32 hexadecimal digits, the same
    /// for every attempt (REL-03).
    pub(super) fn idempotency_key(&self, key: &str) -> String {
        let bytes = [self.origin.to_bytes().as_slice(), key.as_bytes()].concat();
        let digest = Digest::of(&bytes);
        let (half, _) = digest.as_bytes().split_at(16);
        half.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn variable(&self) -> JobVariable<'_> {
        JobVariable {
            id: self.id.to_string(),
            recipe: self.recipe.as_str(),
            version: self.version,
            started_at: self.started_at.to_string(),
        }
    }
}

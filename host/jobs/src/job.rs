//! What is kept of a job: its event, its journal's rows, how it ended.

use keyway_gate::Seen;
use keyway_model::{Digest, JobId, Json, Name, RecipeId, Timestamp};
use keyway_store::JobOf;
use serde::{Deserialize, Serialize};

use crate::machine::{Entry, JobFacts, Outcome};

/// What a job is made of, sealed with it when it is accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobRecord {
    /// Which recipe.
    pub recipe: RecipeId,
    /// Its name.
    pub name: Name,
    /// Its version, pinned.
    pub version: u32,
    /// What started it: the variable `trigger` of expressions.
    pub trigger: Json,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whose idempotency keys it uses: its own, or those of the job that it
    /// goes on for.
    pub keys_of: JobId,
    /// The job that it reruns.
    pub reruns: Option<JobId>,
}

impl JobRecord {
    /// What of it is stored in clear.
    pub const fn of(&self) -> JobOf {
        JobOf {
            recipe: self.recipe,
            version: self.version,
            origin: self.reruns,
        }
    }

    /// What the machine needs to know.
    pub fn facts(&self, id: JobId) -> JobFacts {
        JobFacts {
            id,
            origin: self.keys_of,
            recipe: self.name.clone(),
            version: self.version,
            started_at: self.accepted_at,
        }
    }
}

/// One row of a journal: what the machine knows, and what people may see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JournalRow {
    /// What the machine goes on from.
    pub entry: Entry,
    /// The connector that ran, for an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<(Digest, Name)>,
    /// What the guest did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// How a job ended, sealed with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobSummary {
    /// Why it failed or waits, for people. May quote what the outside said,
    /// so it is masked before it is shown.
    pub failure: Option<String>,
    /// The same without anything of the outside: `create: transient`.
    pub kind: Option<String>,
    /// The key of the step where.
    pub step: Option<String>,
}

impl JobSummary {
    /// The summary of `outcome`, unless there is nothing to say; `unsure` is why a
    /// call was cut off of which nobody knows what it has done.
    pub fn of(outcome: &Outcome, unsure: Option<&str>) -> Option<Self> {
        match outcome {
            Outcome::Succeeded { .. } => None,
            Outcome::Failed(failed) => Some(Self {
                failure: Some(format!(
                    "{}: {}: {}",
                    failed.key,
                    failed.cause.kind(),
                    failed.cause.message()
                )),
                kind: Some(format!("{}: {}", failed.key, failed.cause.kind())),
                step: Some(failed.key.clone()),
            }),
            Outcome::Review(review) => Some(Self {
                failure: Some(format!(
                    "{}: attempt {} may or may not have had its effect{}; look at the outside system, then rerun or leave it",
                    review.key,
                    review.attempt,
                    unsure.map(|why| format!(" ({why})")).unwrap_or_default()
                )),
                kind: Some(format!(
                    "{}: it is not known whether it had its effect",
                    review.key
                )),
                step: Some(review.key.clone()),
            }),
        }
    }
}

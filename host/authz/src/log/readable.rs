//! Audit records as people read them: flat JSON, fields in one order, times as
//! RFC 3339. This text is what the leaf hashes, what is sealed, what a listing
//! shows and what an export carries, so there is one form and not four.

use keyway_model::time::Timestamp;
use keyway_model::{Digest, EntryId, InvocationId, JobId, RecipeId};
use serde::{Deserialize, Serialize};

use crate::denial::DenialReason;
use crate::record::{Actor, Decision, OutcomeKind, Record, Target};

/// One record, in the words of DESIGN section 3. Fields that do not apply are
/// left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum ReadableRecord {
    /// Before an operation, or in its place.
    Intent(ReadableIntent),
    /// After an operation.
    Outcome(ReadableOutcome),
    /// After an invocation.
    Tally(ReadableTally),
}

/// Who acted, and through whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadableActor {
    /// `platform:UID` or a token's id.
    pub principal: String,
    /// The recipe that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<RecipeId>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe_version: Option<u32>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The connector's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Digest>,
    /// Its action or trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<InvocationId>,
}

/// Where an operation went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ReadableTarget {
    /// To the outside.
    Http {
        /// The method.
        method: String,
        /// Scheme, host and port.
        origin: String,
        /// The path template that matched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// To a connection's state.
    State {
        /// The connection.
        connection: String,
    },
    /// To something of Keyway's own.
    Resource {
        /// The kind.
        kind: String,
        /// Its id, digest or name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// To scratch files of the invocation; which of them is not told.
    Scratch,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub enum ReadableDecision {
    /// Allowed.
    Allowed {
        /// By which rule.
        rule: String,
    },
    /// Denied.
    Denied {
        /// Why.
        reason: DenialReason,
        /// What would allow it.
        remedy: String,
    },
}

/// An intent or a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadableIntent {
    /// Names the operation.
    pub id: EntryId,
    /// When, RFC 3339.
    pub time: String,
    /// What.
    pub operation: String,
    /// Where.
    pub target: ReadableTarget,
    /// The decision.
    #[serde(flatten)]
    pub decision: ReadableDecision,
    /// Who.
    pub actor: ReadableActor,
}

/// An outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadableOutcome {
    /// The intent's id.
    pub id: EntryId,
    /// When, RFC 3339.
    pub time: String,
    /// `done`, `failed`, `refused` or `unknown`.
    pub outcome: String,
    /// The status of an HTTP reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of body that left.
    pub bytes_out: u64,
    /// Bytes of body that came back.
    pub bytes_in: u64,
    /// Occurrences of a secret that were masked.
    pub masked: u32,
    /// On a failure, in our own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A tally.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadableTally {
    /// Names the record.
    pub id: EntryId,
    /// When, RFC 3339.
    pub time: String,
    /// Log lines kept.
    pub log_lines: u32,
    /// Log lines dropped.
    pub log_lines_dropped: u32,
    /// Reads of parameters and scopes.
    pub connection_reads: u32,
    /// Reads of state.
    pub state_reads: u32,
    /// Reads and lists of scratch files; left out where there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scratch_reads: u32,
    /// Inward calls denied.
    pub denied: u32,
    /// Why the guest did not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Whose calls.
    pub actor: ReadableActor,
}

impl ReadableRecord {
    /// The canonical JSON: this type's fields in this order, without spaces.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and enums always encode")
    }

    /// The entry that the record belongs to.
    pub const fn id(&self) -> EntryId {
        match self {
            Self::Intent(intent) => intent.id,
            Self::Outcome(outcome) => outcome.id,
            Self::Tally(tally) => tally.id,
        }
    }

    /// The job that the record speaks of, if it does.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Intent(intent) => intent.actor.job,
            Self::Tally(tally) => tally.actor.job,
            Self::Outcome(_) => None,
        }
    }
}

impl From<&Record> for ReadableRecord {
    fn from(record: &Record) -> Self {
        match record {
            Record::Intent(intent) => Self::Intent(ReadableIntent {
                id: intent.id,
                time: time(intent.at),
                operation: intent.operation.clone(),
                target: target(&intent.target),
                decision: decision(&intent.decision),
                actor: actor(&intent.actor),
            }),
            Record::Outcome(outcome) => Self::Outcome(ReadableOutcome {
                id: outcome.id,
                time: time(outcome.at),
                outcome: outcome_word(outcome.kind).to_owned(),
                status: outcome.status,
                bytes_out: outcome.bytes_out,
                bytes_in: outcome.bytes_in,
                masked: outcome.masked,
                detail: outcome.detail.clone(),
            }),
            Record::Tally(tally) => Self::Tally(ReadableTally {
                id: tally.id,
                time: time(tally.at),
                log_lines: tally.log_lines,
                log_lines_dropped: tally.log_lines_dropped,
                connection_reads: tally.connection_reads,
                state_reads: tally.state_reads,
                scratch_reads: tally.scratch_reads,
                denied: tally.denied,
                ended: tally.ended.clone(),
                actor: actor(&tally.actor),
            }),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn time(at: Timestamp) -> String {
    at.to_string()
}

fn actor(actor: &Actor) -> ReadableActor {
    ReadableActor {
        principal: actor.principal.to_string(),
        recipe: actor.recipe.map(|(recipe, _)| recipe),
        recipe_version: actor.recipe.map(|(_, version)| version),
        job: actor.job,
        step: actor.step.clone(),
        connector: actor.connector,
        action: actor.action.clone(),
        invocation: actor.invocation,
    }
}

fn target(target: &Target) -> ReadableTarget {
    match target.clone() {
        Target::Http {
            method,
            origin,
            path,
        } => ReadableTarget::Http {
            method,
            origin,
            path,
        },
        Target::State { connection } => ReadableTarget::State { connection },
        Target::Resource { kind, id } => ReadableTarget::Resource { kind, id },
        Target::Scratch => ReadableTarget::Scratch,
    }
}

fn decision(decision: &Decision) -> ReadableDecision {
    match decision.clone() {
        Decision::Allowed { rule } => ReadableDecision::Allowed { rule },
        Decision::Denied { reason, remedy } => ReadableDecision::Denied { reason, remedy },
    }
}

const fn outcome_word(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Done => "done",
        OutcomeKind::Failed => "failed",
        OutcomeKind::Refused => "refused",
        OutcomeKind::Unknown => "unknown",
    }
}

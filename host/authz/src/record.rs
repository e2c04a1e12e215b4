//! Audit records: what is written before and after an operation.
//!
//! Every field is typed and chosen: a place, an id, a count, an enum. There is
//! no map and no free bytes, so a body, a query string or a secret has nowhere
//! to go. `detail` texts are our own, of a bounded length.

use keyway_model::time::Timestamp;
use keyway_model::{Digest, EntryId, InvocationId, JobId, RecipeId};
use serde::{Deserialize, Serialize};

use crate::denial::DenialReason;
use crate::policy::Principal;

/// One audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Before an operation: who, what, where, and the decision.
    Intent(Intent),
    /// After it: what came of it.
    Outcome(Outcome),
    /// After an invocation: how often its inward calls were made.
    Tally(Tally),
}

/// Who acts, and through whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// On whose rights.
    pub principal: Principal,
    /// The recipe and its version, if a recipe runs.
    pub recipe: Option<(RecipeId, u32)>,
    /// The job, if one runs.
    pub job: Option<JobId>,
    /// The step's key in the job's journal.
    pub step: Option<String>,
    /// The connector's digest, if a guest acts.
    pub connector: Option<Digest>,
    /// The action or trigger of the connector.
    pub action: Option<String>,
    /// The invocation of the guest.
    pub invocation: Option<InvocationId>,
}

impl Actor {
    /// A person or an API client that acts directly.
    pub const fn directly(principal: Principal) -> Self {
        Self {
            principal,
            recipe: None,
            job: None,
            step: None,
            connector: None,
            action: None,
            invocation: None,
        }
    }
}

/// What is about to happen, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Names the operation; the outcome carries the same id.
    pub id: EntryId,
    /// When it was decided.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What, for example `http.send` or `recipe:update`.
    pub operation: String,
    /// Where.
    pub target: Target,
    /// Allowed or denied, and by what.
    pub decision: Decision,
}

/// Where an operation goes. A path is the template that matched, or, for a
/// denial, nothing; a query string never appears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A request to the outside.
    Http {
        /// The method.
        method: String,
        /// `scheme://host:port`.
        origin: String,
        /// The path template that matched; for a denial, `None`.
        path: Option<String>,
    },
    /// A change of a connection's state.
    State {
        /// The connection.
        connection: String,
    },
    /// Something that the control path works on.
    Resource {
        /// The kind, for example `recipe`.
        kind: String,
        /// Its id or digest, if one exists.
        id: Option<String>,
    },
    /// A change of the scratch files of one guest call.
    Scratch,
}

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// Allowed, by this rule.
    Allowed {
        /// The rule that matched, in words that find it again.
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

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The id of the intent.
    pub id: EntryId,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub kind: OutcomeKind,
    /// The status of an HTTP reply.
    pub status: Option<u16>,
    /// Bytes of body that left.
    pub bytes_out: u64,
    /// Bytes of body that came back.
    pub bytes_in: u64,
    /// How many occurrences of a secret were masked in the reply.
    pub masked: u32,
    /// Our own words on a failure; at most 300 characters.
    pub detail: Option<String>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeKind {
    /// It was done.
    Done,
    /// It failed, and is known to have failed.
    Failed,
    /// Nothing left: it was refused after the decision, for example because
    /// the name resolves to a private address.
    Refused,
    /// Nobody knows: the host ended before it could see.
    Unknown,
}

/// One invocation: its inward calls, counted, and how the host ended it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Names this record.
    pub id: EntryId,
    /// When the invocation ended.
    pub at: Timestamp,
    /// Whose calls they were.
    pub actor: Actor,
    /// Log lines that were kept.
    pub log_lines: u32,
    /// Log lines that were dropped for a limit.
    pub log_lines_dropped: u32,
    /// Reads of connection parameters and scopes.
    pub connection_reads: u32,
    /// Reads of state.
    pub state_reads: u32,
    /// Reads and lists of scratch files.
    pub scratch_reads: u32,
    /// Inward calls that were denied, and request bodies that no request was made for:
    /// they are longer than they may be.
    pub denied: u32,
    /// Why the guest did not end by itself, in our own words: the limit that
    /// it exceeded, for example.
    pub ended: Option<String>,
}

//! The shapes of the HTTP API, version 1. The CLI prints the same ones with
//! `--json`.

use std::collections::{BTreeMap, BTreeSet};

use keyway_gate::Seen;
use keyway_model::job::JobState;
use keyway_model::limit::{LimitName, LimitSet};
use keyway_model::{
    AlarmId, ApprovalId, ConnectionId, Digest, Environment, JobId, Name, RecipeId, TenantId,
    TokenId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /api/v1/workspaces`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// Its name.
    pub name: Name,
}

/// A workspace.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Workspace {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: Name,
    /// When it was created, RFC 3339.
    pub created_at: String,
}

/// `POST …/limits`: lowers limits, or lets the platform's hold again.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewLimits {
    /// Limits with their new values.
    pub set: LimitSet,
    /// Limits that are not lowered any more.
    pub unset: Vec<LimitName>,
}

/// One limit of a workspace in one environment.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WorkspaceLimit {
    /// Its name.
    pub name: LimitName,
    /// What it counts.
    pub unit: String,
    /// The platform's value.
    pub platform: u64,
    /// The most that a manifest may ask for.
    pub ceiling: u64,
    /// What the workspace lowered it to.
    pub workspace: Option<u64>,
    /// What holds for a connector that asks for nothing else.
    pub holds: u64,
}

/// `POST /api/v1/tokens`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// For which workspace.
    pub workspace: Name,
    /// For which environment; for all of them if not said.
    pub environment: Option<Environment>,
    /// `admin`, `operator` or `analyst`.
    pub role: String,
    /// What it is for, in words.
    pub label: String,
    /// How long it lives, in seconds; at most a year.
    pub expires_in_seconds: u64,
}

/// A token, without its secret part.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Its workspace.
    pub workspace: Name,
    /// Its environment; all if absent.
    pub environment: Option<Environment>,
    /// Its role.
    pub role: String,
    /// What it is for.
    pub label: String,
    /// When it was created.
    pub created_at: String,
    /// When it ends.
    pub expires_at: String,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A condition that a person must see.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Alarm {
    /// Its id.
    pub id: AlarmId,
    /// `component-quarantined`, `connector-left-out`, `forbidden-system-call`,
    /// `forged-code`, `killed-workers`, `weaker-workers` or `wedged-workers`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// What has happened.
    pub text: String,
    /// When it was raised.
    pub raised_at: String,
    /// When somebody had looked at it.
    pub acknowledged_at: Option<String>,
    /// Who.
    pub acknowledged_by: Option<String>,
}

/// The answer to [`NewToken`]: the one time that the secret part is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CreatedToken {
    /// The token, without its secret part.
    #[serde(flatten)]
    pub token: Token,
    /// What a client sends as `Authorization: Bearer`.
    pub secret: String,
}

/// An installed connector.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ConnectorSummary {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: String,
    /// The artifact's digest.
    pub digest: Digest,
    /// The artifact's size.
    pub bytes: u64,
    /// `approved`, `revoked`, `ended`, `not approved`, `left out`: its manifest is not
    /// taken any more, or `quarantined`: it ended too many workers, and runs again when
    /// its alarm is acknowledged.
    pub state: String,
    /// When it was installed.
    pub installed_at: String,
}

/// An installed connector with its capability page and approvals.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ConnectorDetail {
    /// In short.
    #[serde(flatten)]
    pub summary: ConnectorSummary,
    /// What it can do: the capability page.
    pub page: Value,
    /// The same for people.
    pub page_text: String,
    /// Every approval, newest last.
    pub approvals: Vec<Approval>,
}

/// `POST …/connectors/{digest}/approve`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// Why, in words.
    pub why: String,
    /// The capabilities to approve; all that the manifest declares if absent.
    pub capabilities: Option<BTreeSet<String>>,
    /// For how many days; for ever if absent.
    pub days: Option<u32>,
}

/// A stored consent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// What was approved.
    pub digest: Digest,
    /// Which capabilities.
    pub capabilities: BTreeSet<String>,
    /// By whom.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: String,
    /// Until when.
    pub until: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
}

/// `POST …/connections`. The credential never comes back.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewConnection {
    /// Its name.
    pub name: Name,
    /// For which connector.
    pub connector: Name,
    /// What the manifest's `[parameters]` ask for.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// The secret; `user:password` for `basic`.
    pub credential: Option<String>,
    /// If given, the only hosts that it may reach.
    #[serde(default)]
    pub hosts: BTreeSet<String>,
    /// What it says about TLS; without it, the platform's settings hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<NewTls>,
}

/// What a new connection says about TLS. The key never comes back.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewTls {
    /// Certificates in PEM that replace every other root.
    pub roots: Option<String>,
    /// Pins, as `sha256/` and base64: the server's key must be one of them.
    pub pins: Vec<String>,
    /// A client certificate and what it was signed with, in PEM.
    pub client_certificate: Option<String>,
    /// Its key, in PEM.
    pub client_key: Option<String>,
}

impl std::fmt::Debug for NewTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewTls")
            .field("pins", &self.pins)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewConnection")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A connection, without its credential.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Its name.
    pub name: Name,
    /// Its connector.
    pub connector: Name,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// The only hosts that it may reach, if it is bound to some.
    pub hosts: BTreeSet<String>,
    /// Whether it has a credential.
    pub has_credential: bool,
    /// Whether it trusts roots of its own, and no others.
    #[serde(default)]
    pub own_roots: bool,
    /// The keys that a server may have, if it names some.
    #[serde(default)]
    pub pins: Vec<String>,
    /// Whether it shows a client certificate.
    #[serde(default)]
    pub has_client_certificate: bool,
    /// When it was created.
    pub created_at: String,
}

/// The answer to `POST …/connections/{name}/check`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Checked {
    /// Whether the upstream accepts it.
    pub ok: bool,
    /// Who the credential belongs to, or what went wrong.
    pub message: String,
    /// What the guest did.
    pub seen: Seen,
}

/// `POST …/recipes` and `POST …/recipes/validate`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeText {
    /// YAML or JSON.
    pub text: String,
}

/// A recipe.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Recipe {
    /// Its id.
    pub id: RecipeId,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: u32,
    /// `started` or `stopped`.
    pub state: String,
    /// `webhook` or `poll`.
    pub trigger: String,
    /// Where to post events, if it has a webhook.
    pub webhook_url: Option<String>,
    /// On whose rights its jobs run.
    pub owner: String,
    /// When this version was applied.
    pub applied_at: String,
}

/// A recipe with its text.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RecipeDetail {
    /// In short.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// As it was applied.
    pub text: String,
}

/// A job.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its recipe.
    pub recipe: Name,
    /// The recipe's version.
    pub recipe_version: u32,
    /// How it stands.
    pub state: JobState,
    /// When it was accepted.
    pub created_at: String,
    /// When it changed last.
    pub updated_at: String,
    /// The job that it reruns.
    pub reruns: Option<JobId>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// A job with its steps, masked.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct JobDetail {
    /// In short.
    #[serde(flatten)]
    pub job: Job,
    /// What started it, masked.
    pub trigger: Value,
    /// Its steps, masked.
    pub steps: Vec<JobStep>,
    /// What the caller was answered, masked.
    pub reply: Option<Value>,
}

/// One step of a job, masked.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct JobStep {
    /// Its key.
    pub key: String,
    /// What it is.
    pub kind: String,
    /// `done`, `failed` or `unknown`.
    pub state: String,
    /// What went in.
    pub input: Option<Value>,
    /// What came out.
    pub output: Option<Value>,
    /// Why it failed.
    pub failure: Option<String>,
    /// What its guest did.
    pub seen: Option<Seen>,
    /// When it ended.
    pub at: String,
}

/// `POST …/jobs/{id}/rerun`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rerun {
    /// From where.
    pub from: RerunFrom,
}

/// From where a job is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RerunFrom {
    /// From its beginning, with the same event.
    Trigger,
    /// From the step that failed, with the outputs of the steps before it.
    Failed,
}

/// One line of `audit list`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AuditLine {
    /// Its place in the log.
    pub sequence: u64,
    /// `intent`, `outcome` or `tally`.
    pub kind: String,
    /// The record, as people read it; null if it was erased.
    pub record: Value,
}

/// What went wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Problem {
    /// What went wrong and what to do.
    pub error: ProblemText,
}

/// See [`Problem`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ProblemText {
    /// A word that programs act on: `denied`, `not-found`, `invalid`,
    /// `conflict`, `unauthenticated`, `too-many`, `internal`.
    pub code: String,
    /// What went wrong and what to do, for people.
    pub message: String,
}

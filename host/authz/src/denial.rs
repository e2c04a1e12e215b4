//! Why something was not allowed, which is recorded as what was allowed is.

use serde::{Deserialize, Serialize};

use crate::policy::{Principal, Resource};
use crate::record::{Actor, Decision, Intent, Record, Target};
use crate::recorder::{Recorder, SinkError};

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenialReason {
    /// No rule names the scheme, host and port.
    Destination,
    /// A rule names the destination, but not with this method.
    Method,
    /// A rule names destination and method, but not this path.
    Path,
    /// The request is not one that could be decided on.
    Malformed,
    /// The guest filled the slot of the credential, in the query or in a header.
    Header,
    /// A credential would travel in clear.
    Cleartext,
    /// The capability is not granted.
    Capability,
    /// The approval was revoked, or has ended.
    Approval,
    /// The owner of the job has lost the right.
    Principal,
    /// The platform's ceiling does not allow it.
    Ceiling,
    /// The role does not allow it.
    Role,
    /// A limit is exceeded.
    Limit,
    /// A redirect that is not followed, wherever it leads.
    Redirect,
    /// Nobody knows who calls.
    Unknown,
}

/// Why one operation was not allowed. Must be recorded, too.
#[derive(Debug)]
#[must_use = "a denial must be recorded"]
pub struct Denial(Box<Denied>);

#[derive(Debug)]
struct Denied {
    actor: Actor,
    operation: String,
    target: Target,
    reason: DenialReason,
    remedy: String,
}

/// Enough of a text for a record.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

impl Denial {
    /// A denial with its remedy.
    pub(crate) fn new(
        actor: Actor,
        operation: String,
        target: Target,
        reason: DenialReason,
        remedy: String,
    ) -> Self {
        Self(Box::new(Denied {
            actor,
            operation,
            target,
            reason,
            remedy,
        }))
    }

    /// A refusal of something that never became a request to decide on: an
    /// event over a limit, or one that cannot be read.
    pub fn of_request(
        principal: Principal,
        operation: &str,
        resource: &Resource,
        reason: DenialReason,
        why: &str,
    ) -> Self {
        let target = Target::Resource {
            kind: resource.kind.to_owned(),
            id: resource.id.clone(),
        };
        let actor = Actor::directly(principal);
        Self::new(actor, operation.to_owned(), target, reason, cut(why))
    }

    /// Why.
    pub fn reason(&self) -> DenialReason {
        self.0.reason
    }

    /// What would allow it; for authors and administrators, never for guests.
    pub fn remedy(&self) -> &str {
        &self.0.remedy
    }

    /// Records the denial and waits until it is durable.
    ///
    /// # Errors
    ///
    /// The sink's error; the operation stays denied.
    pub async fn record(self, recorder: &Recorder) -> Result<(), SinkError> {
        let record = self.into_record(recorder);
        recorder.sink().append(recorder.scope(), record).await
    }

    fn into_record(self, recorder: &Recorder) -> Record {
        let Denied {
            actor,
            operation,
            target,
            reason,
            remedy,
        } = *self.0;
        Record::Intent(Intent {
            id: keyway_model::EntryId::random(),
            at: recorder.clock().now(),
            actor,
            operation,
            target,
            decision: Decision::Denied { reason, remedy },
        })
    }
}

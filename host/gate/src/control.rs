//! The path of every API call: decide, record, do, close.
//!
//! A call whose only effect is in the database writes intent, change and
//! outcome in one transaction. A call that only reads writes intent and
//! outcome before the answer leaves.

use std::sync::Arc;

use keyway_authz::{
    ControlCall, Denial, DenialReason, Ending, Entry, OutcomeKind, Policy, PolicyRequest,
    Principal, Recorder, Resource, SinkError, decide_control,
};
use keyway_model::Scope;
use keyway_store::{Change, StoreError, Unit};

use crate::Gate;

/// Why an API call did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The role does not allow it. What is in another workspace looks the same.
    #[error("not allowed: {remedy}")]
    Denied {
        /// Why.
        reason: DenialReason,
        /// What would allow it.
        remedy: String,
    },
    /// It does not exist, or not for whoever asks.
    #[error("{0}")]
    NotFound(String),
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
    /// A limit is exceeded: its name, its value, and what to do.
    #[error("{0}")]
    Limit(String),
    /// Whoever asked went away, and what it waited for was ended.
    #[error("cancelled: whoever asked went away")]
    Cancelled,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something of ours failed.
    #[error("{0}")]
    Internal(String),
}

/// One API call that was allowed and is under way.
#[derive(Debug)]
pub struct Call {
    entry: Entry<ControlCall>,
    unit: Unit,
    recorder: Recorder,
}

impl Gate {
    /// Decides an API call. Its intent is written with the call's changes, or
    /// before its answer.
    ///
    /// # Errors
    ///
    /// [`ControlError::Denied`], after the denial is recorded.
    pub async fn begin(
        self: &Arc<Self>,
        principal: Principal,
        operation: &'static str,
        resource: Resource,
        log: Scope,
    ) -> Result<Call, ControlError> {
        let unit = self.store.unit(log);
        let recorder = Recorder::new(Arc::new(unit.clone()), log, self.clock.clone());
        let request = PolicyRequest {
            principal,
            operation,
            resource,
        };
        let policy: &dyn Policy = &*self.policy;
        match decide_control(policy, request) {
            Ok(permit) => {
                let (entry, intent) = permit.record_with_change(&recorder);
                unit.record(intent);
                Ok(Call {
                    entry,
                    unit,
                    recorder,
                })
            }
            Err(denial) => Err(denied(denial, &recorder).await),
        }
    }
}

impl Gate {
    /// Records that something was refused for a limit or its shape, before
    /// anything could be decided on.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn refuse(
        &self,
        principal: Principal,
        operation: &'static str,
        resource: Resource,
        log: Scope,
        (reason, why): (DenialReason, &str),
    ) -> Result<(), SinkError> {
        let unit = self.store.unit(log);
        let recorder = Recorder::new(Arc::new(unit), log, self.clock.clone());
        Denial::of_request(principal, operation, &resource, reason, why)
            .record(&recorder)
            .await
    }
}

async fn denied(denial: Denial, recorder: &Recorder) -> ControlError {
    let (reason, remedy) = (denial.reason(), denial.remedy().to_owned());
    match denial.record(recorder).await {
        Ok(()) => ControlError::Denied { reason, remedy },
        Err(error) => ControlError::Internal(error.to_string()),
    }
}

impl Call {
    /// Makes the intent durable now, for a call that will reach outside.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn commit_intent(&self) -> Result<(), ControlError> {
        Ok(self.unit.commit().await?)
    }

    /// Ends the call: its changes, its intent and its outcome, in one
    /// transaction.
    ///
    /// # Errors
    ///
    /// The store's; then nothing of the call has happened.
    pub async fn done(self, changes: Vec<Change>) -> Result<(), ControlError> {
        for change in changes {
            self.unit.push(change);
        }
        self.unit
            .close(self.entry.close(Ending::of(OutcomeKind::Done)));
        Ok(self.unit.commit().await?)
    }

    /// Ends a call that finds done what it asks for, and says so in its outcome.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn nothing_to_do(self, why: String) -> Result<(), ControlError> {
        let ending = Ending::of(OutcomeKind::Done).because(why);
        self.unit.close(self.entry.close(ending));
        Ok(self.unit.commit().await?)
    }

    /// Ends the call before anything of it is durable, since what it asks for is
    /// over a limit: in the place of its intent, a denial is recorded.
    pub async fn over(self, text: String) -> ControlError {
        let PolicyRequest {
            principal,
            operation,
            resource,
        } = self.entry.operation().request();
        let reason = DenialReason::Limit;
        let denial = Denial::of_request(*principal, operation, resource, reason, &text);
        drop(self.unit.take_pending());
        drop(self.entry.close(Ending::of(OutcomeKind::Refused)));
        match denial.record(&self.recorder).await {
            Ok(()) => ControlError::Limit(text),
            Err(error) => ControlError::Internal(error.to_string()),
        }
    }

    /// Ends the call without a change, because of `error`.
    pub async fn failed(self, error: ControlError) -> ControlError {
        let ending = Ending::of(OutcomeKind::Failed).because(error.to_string());
        self.unit.close(self.entry.close(ending));
        match self.unit.commit().await {
            Ok(()) => error,
            Err(store) => store.into(),
        }
    }
}

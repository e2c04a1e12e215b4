//! The audit log: list, export, key. Reading it is recorded too.

use keyway_authz::DenialReason;
use keyway_gate::ControlError;
use keyway_model::limit::LISTED_MAX;
use keyway_roles::Environments;
use keyway_store::{AuditRecord, Export};

use super::reads::{Read, aside};
use super::{Caller, Deployment};
use crate::api::AuditFilter;
use crate::api::types::AuditLine;

impl Deployment {
    /// Lists records of the environment, the oldest first: the newest ones, or
    /// those that follow a sequence number.
    pub(crate) async fn audit(
        &self,
        caller: Caller,
        filter: AuditFilter,
    ) -> Result<Read<Vec<AuditLine>>, ControlError> {
        let allowed = self.begin(&caller, "audit:list", "audit", None).await?;
        let limit = filter.limit.unwrap_or(50).min(LISTED_MAX);
        let wanted = keyway_store::AuditFilter {
            environment: Some(allowed.scope.environment),
            after: filter.after,
            limit,
            ..keyway_store::AuditFilter::default()
        };
        let (allowed, place) = self.read_place(allowed).await?;
        let records = self
            .gate
            .store()
            .audit(allowed.scope.tenant)
            .list(wanted)
            .await?;
        let value = aside(|| lines(records)).await??;
        allowed.answer(Read { value, place }).await
    }

    /// Exports the whole log of the workspace with its signed checkpoint.
    pub(crate) async fn export_audit(&self, caller: Caller) -> Result<Read<Export>, ControlError> {
        let reaches_all = self.reaches_every_environment(&caller);
        let allowed = self.begin(&caller, "audit:export", "audit", None).await?;
        if !reaches_all {
            return allowed.fail(one_environment()).await;
        }
        let tenant = allowed.scope.tenant;
        let (allowed, place) = self.read_place(allowed).await?;
        allowed.answer(()).await?;
        let value = self.gate.store().audit(tenant).export_from(0).await?;
        Ok(Read { value, place })
    }

    /// The public key that checkpoints are signed with.
    pub async fn audit_key(&self, caller: Caller) -> Result<String, ControlError> {
        let allowed = self.begin(&caller, "audit:export", "audit", None).await?;
        let key = self
            .gate
            .store()
            .audit_key(allowed.scope.tenant)?
            .to_string();
        allowed.answer(key).await
    }

    /// Whether the caller may see what happened in every environment: the log
    /// is one tree for them all.
    fn reaches_every_environment(&self, caller: &Caller) -> bool {
        let membership = self.roles.membership(caller.principal);
        membership.is_none_or(|own| own.environments == Environments::All)
    }
}

/// Records as they are shown, the oldest first.
fn lines(mut records: Vec<AuditRecord>) -> Result<Vec<AuditLine>, ControlError> {
    records.sort_by_key(|record| record.sequence);
    let line = |record: AuditRecord| {
        let readable = record.record.map(|readable| readable.to_json());
        let readable = readable.map(|json| serde_json::from_str(&json)).transpose();
        let readable = readable.map_err(|error| ControlError::Internal(error.to_string()))?;
        Ok(AuditLine {
            sequence: record.sequence,
            kind: record.header.kind.to_string(),
            record: readable.unwrap_or(serde_json::Value::Null),
        })
    };
    records.into_iter().map(line).collect()
}

fn one_environment() -> ControlError {
    ControlError::Denied {
        reason: DenialReason::Role,
        remedy: "the export holds the records of every environment: use a token that was created with --all-environments".to_owned(),
    }
}

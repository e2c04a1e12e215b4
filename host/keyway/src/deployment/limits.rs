//! A workspace's limits in one environment: shown, lowered, given back.

use keyway_gate::ControlError;
use keyway_gate::resource::LimitsRecord;
use keyway_model::Scope;
use keyway_model::limit::{LimitName, effective};

use super::{Caller, Deployment};
use crate::api::types::{NewLimits, WorkspaceLimit};

impl Deployment {
    /// Shows every limit: the platform's, the workspace's, and what holds.
    pub async fn limits(&self, caller: Caller) -> Result<Vec<WorkspaceLimit>, ControlError> {
        let allowed = self.begin(&caller, "limits:show", "limits", None).await?;
        let all = self.limits_of(allowed.scope);
        allowed.answer(all).await
    }

    /// Lowers limits; what is set holds from the next call on.
    pub async fn set_limits(
        &self,
        caller: Caller,
        new: NewLimits,
    ) -> Result<Vec<WorkspaceLimit>, ControlError> {
        let allowed = self
            .begin(&caller, "limits:set", "limits", Some(changed(&new)))
            .await?;
        let scope = allowed.scope;
        let record = match self.lowered(scope, &new) {
            Ok(record) => record,
            Err(error) => return allowed.fail(error).await,
        };
        let change = record.change(&self.gate.store().tenant(scope)).await?;
        allowed.call.done(vec![change]).await?;
        self.gate
            .registry()
            .update(scope, |view| view.put_limits(record));
        Ok(self.limits_of(scope))
    }

    fn lowered(&self, scope: Scope, new: &NewLimits) -> Result<LimitsRecord, ControlError> {
        let invalid = |error: &dyn std::fmt::Display| ControlError::Invalid(error.to_string());
        let platform = &self.gate.ceiling().limits;
        platform.allows(&new.set).map_err(|error| invalid(&error))?;
        if let Some(name) = new.set.beyond_workspaces() {
            return Err(ControlError::Invalid(format!(
                "`{name}` holds for all workspaces together: it is set in [limits] of keyway.toml"
            )));
        }
        let mut record = LimitsRecord::clone(self.view(scope).limits());
        record.revision += 1;
        for (name, value) in new.set.entries() {
            record
                .set
                .set(name, value)
                .map_err(|error| invalid(&error))?;
        }
        for name in &new.unset {
            if new.set.value(*name).is_some() {
                return Err(ControlError::Invalid(format!(
                    "`{name}` is set and given back at once: do one of the two"
                )));
            }
            record.set.remove(*name);
        }
        Ok(record)
    }

    fn limits_of(&self, scope: Scope) -> Vec<WorkspaceLimit> {
        let platform = &self.gate.ceiling().limits;
        let view = self.view(scope);
        let lowered = &view.limits().set;
        let holds = effective(platform, lowered, &Default::default());
        LimitName::all()
            .map(|name| WorkspaceLimit {
                name,
                unit: name.info().unit.to_string(),
                platform: platform.default.value(name),
                ceiling: platform.ceiling.value(name),
                workspace: lowered.value(name),
                holds: holds.value(name),
            })
            .collect()
    }
}

/// What a call changes, for its audit record.
fn changed(new: &NewLimits) -> String {
    let set = new
        .set
        .entries()
        .map(|(name, value)| format!("{name}={value}"));
    let unset = new.unset.iter().map(|name| format!("{name}=default"));
    set.chain(unset).collect::<Vec<_>>().join(" ")
}

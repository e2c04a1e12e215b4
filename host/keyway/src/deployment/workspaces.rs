//! Workspaces: created, listed, shown.

use keyway_authz::{Principal, Resource};
use keyway_gate::{Call, ControlError};
use keyway_model::manifest::suggest;
use keyway_model::{Environment, Name, Scope, TenantId};
use keyway_store::Workspace as Row;

use super::Deployment;
use crate::api::types::{NewWorkspace, Workspace};

impl Deployment {
    pub(super) async fn begin_platform(
        &self,
        who: Principal,
        operation: &'static str,
        kind: &'static str,
        id: Option<String>,
        about: Option<Scope>,
    ) -> Result<Call, ControlError> {
        let log = self.home_of(who);
        let resource = Resource {
            kind,
            id,
            scope: about,
        };
        self.gate.begin(who, operation, resource, log).await
    }

    /// Knows a workspace from now on, and whether it has workers of its own.
    pub(super) fn know_workspace(&self, name: Name, tenant: TenantId) {
        if self.config.workers.own.contains(&name) {
            self.workers.set_own(tenant);
        }
        self.workspaces.write().insert(name, tenant);
    }

    /// What `[workers] own` names and is not there, in words: a name that is
    /// mistyped would leave its workspace among the others without a word. A
    /// workspace may be created later, so it is no error.
    pub fn own_but_unknown(&self) -> Vec<String> {
        let known = self.workspaces.read();
        let names: Vec<&str> = known.keys().map(Name::as_str).collect();
        let unknown = self.config.workers.own.iter();
        let unknown = unknown.filter(|name| !known.contains_key(*name));
        let words = unknown.map(|name| {
            let near = suggest::nearest(name.as_str(), names.iter().copied());
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            format!(
                "[workers] own names the workspace `{name}`, and there is none: {near}it gets workers of its own when it is created"
            )
        });
        words.collect()
    }

    /// Creates a workspace with keys for its three environments.
    pub async fn create_workspace(
        &self,
        who: Principal,
        new: NewWorkspace,
    ) -> Result<Workspace, ControlError> {
        let call = self
            .begin_platform(
                who,
                "workspace:create",
                "workspace",
                Some(new.name.to_string()),
                None,
            )
            .await?;
        if self.workspaces.read().contains_key(&new.name) {
            let error =
                ControlError::Conflict(format!("there is a workspace `{}` already", new.name));
            return Err(call.failed(error).await);
        }
        let (id, change) = self
            .gate
            .store()
            .directory()
            .new_workspace(&new.name)
            .await?;
        call.done(vec![change]).await?;
        self.know_workspace(new.name.clone(), id);
        Ok(Workspace {
            id,
            name: new.name,
            created_at: self.gate.clock().now().to_string(),
        })
    }

    /// Lists workspaces, for the platform administrator.
    pub async fn workspaces(&self, who: Principal) -> Result<Vec<Workspace>, ControlError> {
        let call = self
            .begin_platform(who, "workspace:list", "workspace", None, None)
            .await?;
        let rows = self.gate.store().directory().workspaces().await?;
        let mut all: Vec<Workspace> = rows.into_iter().map(shown).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        call.done(Vec::new()).await?;
        Ok(all)
    }

    /// Shows one workspace. For a token, another than its own is not there.
    pub async fn workspace(&self, who: Principal, name: &str) -> Result<Workspace, ControlError> {
        let named: Option<Name> = name.parse().ok();
        let tenant = named
            .as_ref()
            .and_then(|name| self.workspaces.read().get(name).copied());
        let own = self.roles.membership(who);
        // Of its own workspace, a token sees what its reach sees.
        let reach = own.and_then(|own| own.scopes().next());
        let about = match (reach, tenant) {
            (Some(reach), Some(tenant)) if reach.tenant == tenant => reach,
            (_, tenant) => Scope {
                tenant: tenant.unwrap_or(TenantId::from_bits(u128::MAX)),
                environment: Environment::Development,
            },
        };
        let nothing_there = || {
            let name: String = name.chars().take(80).collect();
            ControlError::NotFound(format!("there is no workspace `{name}`"))
        };
        let id = Some(name.chars().take(80).collect());
        let begun = self
            .begin_platform(who, "workspace:show", "workspace", id, Some(about))
            .await;
        let call = match begun {
            Ok(call) => call,
            Err(ControlError::Denied { .. }) if self.is_foreign(who, tenant) => {
                return Err(nothing_there());
            }
            Err(error) => return Err(error),
        };
        let rows = self.gate.store().directory().workspaces().await?;
        match rows.into_iter().find(|row| Some(row.tenant) == tenant) {
            None => Err(call.failed(nothing_there()).await),
            Some(row) => {
                call.done(Vec::new()).await?;
                Ok(shown(row))
            }
        }
    }
}

fn shown(row: Row) -> Workspace {
    Workspace {
        id: row.tenant,
        name: row.name,
        created_at: row.created_at.to_string(),
    }
}

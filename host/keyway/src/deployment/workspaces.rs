//! Workspaces and tokens.

use std::time::Duration;

use aws_lc_rs::rand;
use keyway_authz::{DenialReason, Judgement, PolicyRequest, Principal, Resource};
use keyway_gate::{Call, ControlError};
use keyway_model::manifest::suggest;
use keyway_model::{Digest, Environment, Name, Scope, TenantId, TokenId};
use keyway_roles::{Environments, Membership, Role};
use keyway_store::Token as TokenRow;

use super::Deployment;
use crate::api::types::{CreatedToken, NewToken, NewWorkspace, Token, Workspace};

/// The longest life of a token.
const TOKEN_SECONDS_MAX: u64 = 366 * 86_400;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// How a token begins, so that scanners find one that leaked.
const TOKEN_PREFIX: &str = "kwt_";

impl Deployment {
    async fn begin_platform(
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

    /// Lists workspaces: all for the platform administrator, its own for a
    /// token.
    pub async fn workspaces(&self, who: Principal) -> Result<Vec<Workspace>, ControlError> {
        let own = self.roles.membership(who);
        let (operation, kind) = if own.is_some() {
            ("workspace:show", "workspace")
        } else {
            ("workspace:list", "workspace")
        };
        let about = own.and_then(|own| own.scopes().next());
        let call = self
            .begin_platform(who, operation, kind, None, about)
            .await?;
        let rows = self.gate.store().directory().workspaces().await?;
        let visible = rows
            .into_iter()
            .filter(|row| own.as_ref().is_none_or(|own| own.tenant == row.tenant));
        let mut all: Vec<Workspace> = visible
            .map(|row| Workspace {
                id: row.tenant,
                name: row.name,
                created_at: row.created_at.to_string(),
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        call.done(Vec::new()).await?;
        Ok(all)
    }

    /// Creates a token. Its secret part is in this answer and nowhere else.
    pub async fn create_token(
        &self,
        who: Principal,
        new: NewToken,
    ) -> Result<CreatedToken, ControlError> {
        let tenant = self.workspaces.read().get(&new.workspace).copied();
        let owner = tenant.unwrap_or(TenantId::from_bits(u128::MAX));
        let about = Scope {
            tenant: owner,
            environment: new.environment.unwrap_or(Environment::Development),
        };
        let no_workspace =
            || ControlError::NotFound(format!("there is no workspace `{}`", new.workspace));
        let call = match self
            .begin_platform(who, "token:create", "token", None, Some(about))
            .await
        {
            Ok(call) => call,
            Err(ControlError::Denied { .. }) if self.is_foreign(who, tenant) => {
                return Err(no_workspace());
            }
            Err(error) => return Err(error),
        };
        let Some(tenant) = tenant else {
            return Err(call.failed(no_workspace()).await);
        };
        if new.environment.is_none() && !self.reaches_everywhere(who, tenant) {
            let error = ControlError::Denied {
                reason: DenialReason::Role,
                remedy: "your own token works in one environment: name that environment".to_owned(),
            };
            return Err(call.failed(error).await);
        }
        let Some(role) = Role::from_word(&new.role) else {
            let known: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
            let error = ControlError::Invalid(format!(
                "there is no role `{}`: write one of {}",
                new.role,
                known.join(", ")
            ));
            return Err(call.failed(error).await);
        };
        if new.expires_in_seconds == 0 || new.expires_in_seconds > TOKEN_SECONDS_MAX {
            let error = ControlError::Invalid("a token lives 1 to 366 days".to_owned());
            return Err(call.failed(error).await);
        }
        let secret = random_token()?;
        let now = self.gate.clock().now();
        let row = TokenRow {
            id: TokenId::random(),
            hash: *Digest::of(secret.as_bytes()).as_bytes(),
            tenant: Some(tenant),
            environment: new.environment,
            role: role.as_str().to_owned(),
            label: new.label.chars().take(200).collect(),
            created_at: now,
            expires_at: now.plus(Duration::from_secs(new.expires_in_seconds)),
            revoked_at: None,
            used_at: None,
        };
        let change = self.gate.store().directory().put_token(&row).await?;
        call.done(vec![change]).await?;
        self.admit(&row);
        Ok(CreatedToken {
            token: self.shown_token(&row),
            secret,
        })
    }

    /// Whether `who` may make tokens in every environment of a workspace, so
    /// that a token of one environment makes none for all.
    fn reaches_everywhere(&self, who: Principal, tenant: TenantId) -> bool {
        Environment::ALL.into_iter().all(|environment| {
            let scope = Some(Scope {
                tenant,
                environment,
            });
            let resource = Resource {
                kind: "token",
                id: None,
                scope,
            };
            let request = PolicyRequest {
                principal: who,
                operation: "token:create",
                resource,
            };
            matches!(self.gate.policy().judge(&request), Judgement::Allow { .. })
        })
    }

    fn is_foreign(&self, who: Principal, tenant: Option<TenantId>) -> bool {
        self.roles
            .membership(who)
            .is_some_and(|own| Some(own.tenant) != tenant)
    }

    /// Lists tokens: all for the platform administrator, those of its own
    /// workspace for an admin.
    pub async fn tokens(&self, who: Principal) -> Result<Vec<Token>, ControlError> {
        let own = self.roles.membership(who);
        let about = own.as_ref().and_then(|own| own.scopes().next());
        let call = self
            .begin_platform(who, "token:list", "token", None, about)
            .await?;
        let rows = self.gate.store().directory().tokens().await?;
        let visible = rows.iter().filter(|row| {
            own.as_ref()
                .is_none_or(|own| Some(own.tenant) == row.tenant)
        });
        let all = visible.map(|row| self.shown_token(row)).collect();
        call.done(Vec::new()).await?;
        Ok(all)
    }

    /// Revokes a token: its rights end now, also those of running jobs.
    pub async fn revoke_token(&self, who: Principal, id: &str) -> Result<Token, ControlError> {
        let rows = self.gate.store().directory().tokens().await?;
        let found = rows.into_iter().find(|row| row.id.to_string() == id);
        let about = found.as_ref().and_then(|row| {
            let environment = row.environment.unwrap_or(Environment::Development);
            row.tenant.map(|tenant| Scope {
                tenant,
                environment,
            })
        });
        let no_token = || {
            ControlError::NotFound(format!(
                "there is no token `{}`",
                id.chars().take(80).collect::<String>()
            ))
        };
        let foreign = self.is_foreign(who, found.as_ref().and_then(|row| row.tenant));
        let begun = self
            .begin_platform(who, "token:revoke", "token", Some(id.to_owned()), about)
            .await;
        let call = match begun {
            Ok(call) => call,
            Err(ControlError::Denied { .. }) if foreign => return Err(no_token()),
            Err(error) => return Err(error),
        };
        let Some(mut row) = found else {
            return Err(call.failed(no_token()).await);
        };
        row.revoked_at = Some(self.gate.clock().now());
        call.done(vec![self.gate.store().directory().revoke_token(row.id)])
            .await?;
        self.roles.remove(Principal::Token(row.id));
        Ok(self.shown_token(&row))
    }

    /// The principal of a token that holds now.
    pub(crate) async fn authenticate(&self, token: &str) -> Option<Principal> {
        if !token.starts_with(TOKEN_PREFIX) {
            return None;
        }
        let hash = *Digest::of(token.as_bytes()).as_bytes();
        let row = self
            .gate
            .store()
            .directory()
            .token_by_hash(&hash)
            .await
            .ok()
            .flatten()?;
        let holds = row.revoked_at.is_none() && self.gate.clock().now() < row.expires_at;
        holds.then_some(Principal::Token(row.id))
    }

    /// Gives a token's rights to its principal.
    pub(super) fn admit(&self, row: &TokenRow) {
        let (Some(role), Some(tenant)) = (Role::from_word(&row.role), row.tenant) else {
            return;
        };
        let environments = row.environment.map_or(Environments::All, Environments::One);
        self.expiries.lock().insert(row.id, row.expires_at);
        self.roles.set_principal(
            Principal::Token(row.id),
            Membership {
                tenant,
                environments,
                role,
            },
        );
    }

    /// Takes the rights of every token whose time is over: recipes that run on
    /// them stop at their next host call.
    pub(crate) fn end_expired_tokens(&self) {
        let now = self.gate.clock().now();
        self.expiries.lock().retain(|id, expires_at| {
            let holds = now < *expires_at;
            if !holds {
                self.roles.remove(Principal::Token(*id));
            }
            holds
        });
    }

    fn shown_token(&self, row: &TokenRow) -> Token {
        let unnamed = || "unnamed".parse::<Name>().ok();
        Token {
            id: row.id,
            workspace: row
                .tenant
                .and_then(|tenant| self.workspace_name(tenant))
                .or_else(unnamed)
                .unwrap_or_else(|| unreachable!("`unnamed` is a name")),
            environment: row.environment,
            role: row.role.clone(),
            label: row.label.clone(),
            created_at: row.created_at.to_string(),
            expires_at: row.expires_at.to_string(),
            revoked: row.revoked_at.is_some(),
        }
    }
}

fn random_token() -> Result<String, ControlError> {
    let mut bytes = [0; TOKEN_BYTES];
    rand::fill(&mut bytes)
        .map_err(|_| ControlError::Internal("the random source failed".to_owned()))?;
    Ok(format!("{TOKEN_PREFIX}{}", hex::encode(bytes)))
}

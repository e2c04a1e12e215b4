//! Tokens: created, listed, revoked; and which principal one of them is.

use std::time::Duration;

use aws_lc_rs::rand;
use keyway_authz::{DenialReason, Judgement, PolicyRequest, Principal, Resource};
use keyway_gate::ControlError;
use keyway_model::limit::{ApiLimits, LimitSet, TOKEN_SECONDS_MAX, TOKENS_ENDED_KEPT_MAX};
use keyway_model::{Digest, Environment, Name, Scope, TenantId, TokenId};
use keyway_roles::{Environments, Membership, Role};
use keyway_store::Token as TokenRow;

use super::Deployment;
use super::held::Place;
use crate::api::types::{CreatedToken, NewToken, Token};

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// How a token begins, so that scanners find one that leaked.
const TOKEN_PREFIX: &str = "kwt_";

impl Deployment {
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
            let error = ControlError::Invalid(format!(
                "a token lives for 1 s to `TOKEN_SECONDS_MAX` ({TOKEN_SECONDS_MAX}), 366 days"
            ));
            return Err(call.failed(error).await);
        }
        let now = self.gate.clock().now();
        let limits = self.gate.limits(about, &LimitSet::default());
        let max = limits.api.tokens_per_workspace_max;
        let Some(_place) = Place::reserve(&self.tokens, tenant, max, now) else {
            return Err(call.over(too_many(max)).await);
        };
        let secret = random_token()?;
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

    pub(super) fn is_foreign(&self, who: Principal, tenant: Option<TenantId>) -> bool {
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
        let directory = self.gate.store().directory();
        let rows = match own {
            Some(own) => directory.tokens_of(own.tenant).await?,
            None => directory.tokens().await?,
        };
        let all = rows.iter().map(|row| self.shown_token(row)).collect();
        call.done(Vec::new()).await?;
        Ok(all)
    }

    /// Revokes a token: its rights end now, also those of running jobs.
    pub async fn revoke_token(&self, who: Principal, id: &str) -> Result<Token, ControlError> {
        let found = match id.parse::<TokenId>() {
            Ok(id) => self.gate.store().directory().token_by_id(id).await?,
            Err(_) => None,
        };
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
        self.tokens.lock().remove(row.id);
        self.roles.remove(Principal::Token(row.id));
        Ok(self.shown_token(&row))
    }

    /// The principal of a token that holds now. Asks no database, since whoever
    /// calls may make tokens up.
    pub(crate) fn authenticate(&self, token: &str) -> Option<Principal> {
        if !token.starts_with(TOKEN_PREFIX) {
            return None;
        }
        let hash = *Digest::of(token.as_bytes()).as_bytes();
        let held = self.tokens.lock().find(&hash, self.gate.clock().now());
        held.map(Principal::Token)
    }

    /// Whose token a principal is, and what of the API's limits holds for it: those
    /// of the one environment that its token reaches or, if it reaches all, of the
    /// one that it names; else the platform's.
    pub(crate) fn api_limits(
        &self,
        who: Principal,
        named: Option<Environment>,
    ) -> (Option<TenantId>, ApiLimits) {
        let platform = self.gate.ceiling().limits.default.api;
        let Some(own) = self.roles.membership(who) else {
            return (None, platform);
        };
        let environment = match own.environments {
            Environments::One(environment) => Some(environment),
            Environments::All => named,
        };
        let limits = environment.map(|environment| {
            let scope = Scope {
                tenant: own.tenant,
                environment,
            };
            self.gate.limits(scope, &LimitSet::default()).api
        });
        (Some(own.tenant), limits.unwrap_or(platform))
    }

    /// Gives a token's rights to its principal.
    pub(super) fn admit(&self, row: &TokenRow) {
        let (Some(role), Some(tenant)) = (Role::from_word(&row.role), row.tenant) else {
            return;
        };
        let environments = row.environment.map_or(Environments::All, Environments::One);
        self.tokens.lock().put(row, tenant);
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
        let ended = self.tokens.lock().take_expired(self.gate.clock().now());
        let ended = ended.into_iter().map(Principal::Token);
        self.roles.remove_all(ended);
    }

    /// Of the tokens that have ended, each workspace keeps so many.
    pub(crate) fn forget_ended_tokens(&self) {
        let directory = self.gate.store().directory();
        directory.forget_ended_tokens(TOKENS_ENDED_KEPT_MAX);
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

fn too_many(max: u32) -> String {
    format!(
        "the workspace exceeds `tokens_per_workspace_max` ({max}), tokens that hold in any of its \
         environments counted; revoke one, or ask the platform administrator to raise it under [limits]"
    )
}

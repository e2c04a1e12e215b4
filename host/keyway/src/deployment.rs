//! A deployment: every verb that reads or changes it, each decided, recorded
//! and done through the gate's control path.

mod alarms;
mod audit;
mod connections;
mod connectors;
mod held;
mod hooks;
mod jobs;
mod limits;
mod load;
mod making;
pub(crate) mod reads;
mod recipes;
mod shown;
mod strangers;
mod tokens;
mod workspaces;

use std::collections::HashMap;
use std::sync::Arc;

use keyway_authz::{DenialReason, Principal, Resource};
use keyway_fair::Admission;
use keyway_gate::{Call, ControlError, Gate, View};
use keyway_jobs::Jobs;
use keyway_model::limit::WEBHOOK_BODIES_MAX;
use keyway_model::{Environment, Name, RecipeId, Scope, TenantId};
use keyway_roles::Roles;
use parking_lot::{Mutex, RwLock};

use crate::artifacts::Artifacts;
use crate::config::Config;
use crate::refusals::Refusals;
use crate::strangers::Strangers;
use crate::workers::Workers;

use held::Held;
pub(crate) use load::cache_key;
use making::Making;
pub(crate) use shown::masked_call;

/// A deployment that is put together.
#[derive(Debug)]
pub struct Deployment {
    gate: Arc<Gate>,
    roles: Arc<Roles>,
    artifacts: Arc<Artifacts>,
    workers: Arc<Workers>,
    jobs: Arc<Jobs>,
    config: Config,
    workspaces: RwLock<HashMap<Name, TenantId>>,
    hooks: RwLock<HashMap<[u8; 32], (Scope, RecipeId)>>,
    webhook_base: RwLock<String>,
    /// The tokens that have rights.
    tokens: Mutex<Held>,
    making: Making,
    reads: reads::Reads,
    /// Places for bodies of events.
    bodies: Admission<RecipeId>,
    /// Events that were refused.
    refusals: Refusals,
    /// Callers without a token.
    strangers: Strangers,
}

/// Who calls, and about which workspace and environment.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Principal,
    workspace: String,
    environment: String,
}

impl Caller {
    /// A caller of a route under `/workspaces/{ws}/{env}`.
    pub fn at(principal: Principal, (workspace, environment): (String, String)) -> Self {
        Self {
            principal,
            workspace,
            environment,
        }
    }
}

/// A call that was allowed, and whose it is.
pub(crate) struct Allowed {
    pub(crate) call: Call,
    pub(crate) scope: Scope,
    pub(crate) principal: Principal,
}

impl Deployment {
    pub(crate) fn new(
        gate: Arc<Gate>,
        roles: Arc<Roles>,
        artifacts: Arc<Artifacts>,
        workers: Arc<Workers>,
        jobs: Arc<Jobs>,
        config: Config,
    ) -> Arc<Self> {
        let strangers = gate.ceiling().limits.default.api;
        let strangers = Strangers::new(strangers.calls_without_token_per_second_max);
        Arc::new(Self {
            gate,
            roles,
            artifacts,
            workers,
            jobs,
            config,
            workspaces: RwLock::default(),
            hooks: RwLock::default(),
            webhook_base: RwLock::default(),
            tokens: Mutex::default(),
            making: Making::default(),
            reads: reads::Reads::new(),
            bodies: Admission::of(WEBHOOK_BODIES_MAX),
            refusals: Refusals::default(),
            strangers,
        })
    }

    /// The platform's configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The engine.
    pub const fn jobs_engine(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// The workers.
    pub const fn workers(&self) -> &Arc<Workers> {
        &self.workers
    }

    /// The gate.
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Says where webhooks arrive, once it is known.
    pub(crate) fn set_webhook_base(&self, base: String) {
        *self.webhook_base.write() = base;
    }

    /// Decides a call about something in a workspace. A workspace that is not
    /// there and one that the caller may not see look the same.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        operation: &'static str,
        kind: &'static str,
        id: Option<String>,
    ) -> Result<Allowed, ControlError> {
        let environment: Environment = caller.environment.parse().map_err(|_| {
            ControlError::NotFound(format!(
                "there is no environment `{}`: write development, test or production",
                caller.environment
            ))
        })?;
        let known = caller
            .workspace
            .parse::<Name>()
            .ok()
            .and_then(|name| self.workspaces.read().get(&name).copied());
        let tenant = known.unwrap_or(TenantId::from_bits(u128::MAX));
        let scope = Scope {
            tenant,
            environment,
        };
        let own = self
            .roles
            .membership(caller.principal)
            .map(|membership| membership.tenant);
        let foreign = known.is_none() || own.is_some_and(|own| own != tenant);
        let log = if foreign {
            self.home_of(caller.principal)
        } else {
            scope
        };
        let resource = Resource {
            kind,
            id,
            scope: Some(scope),
        };
        let nothing_there =
            || ControlError::NotFound(format!("there is no workspace `{}`", caller.workspace));
        match self
            .gate
            .begin(caller.principal, operation, resource, log)
            .await
        {
            Ok(call) if known.is_some() => Ok(Allowed {
                call,
                scope,
                principal: caller.principal,
            }),
            Ok(call) => Err(call.failed(nothing_there()).await),
            Err(ControlError::Denied { .. }) if foreign => Err(nothing_there()),
            Err(error) => Err(error),
        }
    }

    /// Where a caller's own calls are recorded when they name nothing of its
    /// workspace.
    fn home_of(&self, principal: Principal) -> Scope {
        self.roles
            .membership(principal)
            .and_then(|membership| membership.scopes().next())
            .unwrap_or(keyway_store::PLATFORM)
    }

    /// Records that a call was refused before anything could be decided on: in
    /// the caller's own log.
    pub(crate) async fn refused_call(
        &self,
        principal: Principal,
        operation: &'static str,
        why: (DenialReason, &str),
    ) {
        let log = self.home_of(principal);
        let resource = Resource {
            kind: "route",
            id: None,
            scope: None,
        };
        let recorded = self.gate.refuse(principal, operation, resource, log, why);
        if let Err(error) = recorded.await {
            tracing::error!(%error, "a refused call could not be recorded");
        }
    }

    pub(crate) fn view(&self, scope: Scope) -> Arc<View> {
        self.gate.registry().view(scope)
    }

    pub(crate) fn workspace_name(&self, tenant: TenantId) -> Option<Name> {
        self.workspaces
            .read()
            .iter()
            .find(|(_, id)| **id == tenant)
            .map(|(name, _)| name.clone())
    }
}

impl Allowed {
    /// Ends a call that changes nothing, with its answer.
    pub(crate) async fn answer<T>(self, value: T) -> Result<T, ControlError> {
        self.call.done(Vec::new()).await?;
        Ok(value)
    }

    /// Ends a call without a change.
    pub(crate) async fn fail<T>(self, error: ControlError) -> Result<T, ControlError> {
        Err(self.call.failed(error).await)
    }
}

//! What a deployment reads when it starts: workspaces, tokens, everything of
//! every scope, and the jobs that had not ended.

use std::sync::Arc;

use anyhow::{Context, Result};
use keyway_authz::{Principal, Resource};
use keyway_gate::resource::{
    ApprovalRecord, ConnectionRecord, ConnectorRecord, LimitsRecord, RecipeRecord,
};
use keyway_gate::{Connector, LeftOut};
use keyway_model::{Environment, Scope};
use keyway_runtime::ENGINE;
use keyway_store::{PLATFORM, Store};
use keyway_vault::Secret;

use super::Deployment;

/// This program, as records name it.
const PROGRAM: &str = concat!("keyway ", env!("CARGO_PKG_VERSION"));

impl Deployment {
    /// Reads everything that decisions need into memory.
    pub(crate) async fn load(self: &Arc<Self>) -> Result<()> {
        let alarms = self.load_alarms().await?;
        let store = self.gate.store();
        for row in store.directory().workspaces().await? {
            for environment in Environment::ALL {
                let scope = Scope {
                    tenant: row.tenant,
                    environment,
                };
                let place = || format!("workspace `{}`, environment {environment}", row.name);
                let left_out = self.load_scope(scope).await.with_context(place)?;
                self.note_left_out((&row.name, environment), &left_out, &alarms)
                    .await?;
            }
            self.know_workspace(row.name, row.tenant);
        }
        let now = self.gate.clock().now();
        for token in store.directory().tokens().await? {
            if token.revoked_at.is_none() && now < token.expires_at {
                self.admit(&token);
            }
        }
        Ok(())
    }

    /// Answers with the connectors that do not run.
    async fn load_scope(self: &Arc<Self>, scope: Scope) -> Result<Vec<Arc<LeftOut>>> {
        let store = self.gate.store().tenant(scope);
        let connectors = ConnectorRecord::all(&store).await?;
        let approvals = ApprovalRecord::all(&store).await?;
        let connections = ConnectionRecord::all(&store).await?;
        let recipes = RecipeRecord::all(&store).await?;
        let limits = LimitsRecord::of(&store).await?.unwrap_or_default();
        let mut parsed = Vec::with_capacity(connectors.len());
        let mut left_out = Vec::new();
        for record in connectors {
            match Connector::of(record.clone()) {
                Ok(connector) => parsed.push(connector),
                // Installed when limits were wider: it does not run, and holds up nobody else.
                Err(why) => left_out.push(Arc::new(LeftOut { record, why })),
            }
        }
        self.gate.registry().update(scope, |view| {
            view.put_limits(limits);
            parsed
                .into_iter()
                .for_each(|connector| view.add_connector(connector));
            left_out
                .iter()
                .for_each(|one| view.leave_out(Arc::clone(one)));
            view.put_approvals(approvals);
            connections
                .into_iter()
                .for_each(|connection| view.put_connection(connection));
        });
        for recipe in recipes {
            self.put_in_force(scope, recipe);
        }
        Ok(left_out)
    }

    /// Records that the deployment starts, with its version and that of the engine which runs
    /// guests: whoever reads the log later knows what ran when. Without a place for the record
    /// nothing is served.
    pub(crate) async fn record_start(&self) -> Result<()> {
        let resource = Resource {
            kind: "deployment",
            id: Some(format!("{PROGRAM}, {ENGINE}")),
            scope: None,
        };
        let who = Principal::Platform(rustix::process::geteuid().as_raw());
        let recorded = async {
            let call = self
                .gate
                .begin(who, "deployment:start", resource, PLATFORM)
                .await?;
            call.done(Vec::new()).await
        };
        recorded
            .await
            .context("the start cannot be recorded in the audit log")
    }

    /// Lets every job that had not ended go on.
    pub(crate) async fn resume_jobs(&self) -> Result<()> {
        for unfinished in self.gate.store().unfinished_jobs().await? {
            self.jobs
                .resume_surely(unfinished.scope, unfinished.id)
                .await;
        }
        Ok(())
    }

    /// Ends well: no new job starts, what is written is durable.
    pub(crate) async fn end(&self) {
        self.record_strangers().await;
        self.record_refused_events().await;
        if let Err(error) = self.gate.store().make_checkpoints().await {
            tracing::error!(%error, "the last checkpoint could not be made");
        }
    }
}

/// The key of the cache of compiled code, made at the first start.
pub(crate) async fn cache_key(store: &Store) -> Result<Secret> {
    store
        .platform_secret("cache-key")
        .await
        .context("the key of the cache of compiled code")
}

//! What a deployment reads when it starts: workspaces, tokens, everything of
//! every scope, and the jobs that had not ended.

use std::sync::Arc;

use anyhow::{Context, Result};
use keyway_gate::Connector;
use keyway_gate::resource::{
    ApprovalRecord, ConnectionRecord, ConnectorRecord, LimitsRecord, RecipeRecord,
};
use keyway_model::{Environment, Scope};
use keyway_store::Store;
use keyway_vault::Secret;

use super::Deployment;

impl Deployment {
    /// Reads everything that decisions need into memory.
    pub(crate) async fn load(self: &Arc<Self>) -> Result<()> {
        self.load_alarms().await?;
        let store = self.gate.store();
        for row in store.directory().workspaces().await? {
            for environment in Environment::ALL {
                self.load_scope(Scope {
                    tenant: row.tenant,
                    environment,
                })
                .await
                .with_context(|| format!("workspace `{}`, environment {environment}", row.name))?;
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

    async fn load_scope(self: &Arc<Self>, scope: Scope) -> Result<()> {
        let store = self.gate.store().tenant(scope);
        let connectors = ConnectorRecord::all(&store).await?;
        let approvals = ApprovalRecord::all(&store).await?;
        let connections = ConnectionRecord::all(&store).await?;
        let recipes = RecipeRecord::all(&store).await?;
        let limits = LimitsRecord::of(&store).await?.unwrap_or_default();
        let mut parsed = Vec::with_capacity(connectors.len());
        for record in connectors {
            let (name, digest) = (record.name.clone(), record.digest);
            match Connector::of(record) {
                Ok(connector) => parsed.push(connector),
                // Installed when limits were wider: it does not run, and holds up nobody else.
                Err(error) => {
                    tracing::error!(%name, %digest, %error, "an installed connector is not taken any more; install one that is");
                }
            }
        }
        self.gate.registry().update(scope, |view| {
            view.put_limits(limits);
            parsed
                .into_iter()
                .for_each(|connector| view.add_connector(connector));
            view.put_approvals(approvals);
            connections
                .into_iter()
                .for_each(|connection| view.put_connection(connection));
        });
        for recipe in recipes {
            self.put_in_force(scope, recipe);
        }
        Ok(())
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

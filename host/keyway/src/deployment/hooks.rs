//! Which recipe a webhook's path belongs to.

use std::sync::Arc;

use keyway_authz::{DenialReason, Principal, Resource};
use keyway_gate::resource::RecipeRecord;
use keyway_jobs::definition::Definition;
use keyway_model::recipe::Trigger;
use keyway_model::{Digest, Scope};

use super::Deployment;

impl Deployment {
    /// The recipe that takes events at this path, if one does now.
    pub(crate) fn hook(&self, path: &str) -> Option<(Scope, Arc<RecipeRecord>)> {
        let hash = *Digest::of(path.as_bytes()).as_bytes();
        let (scope, id) = self.hooks.read().get(&hash).copied()?;
        let recipe = self.view(scope).recipe_by_id(id).cloned()?;
        recipe.started.then_some((scope, recipe))
    }

    /// How long a body this recipe takes: its own limit, within the platform's.
    pub(crate) fn body_bytes_max(&self, recipe: &RecipeRecord) -> usize {
        let platform = self.config.webhook.body_bytes_max;
        let own = self
            .body_limits
            .lock()
            .get(&(recipe.id, recipe.version))
            .copied();
        own.unwrap_or_else(|| {
            let limit = match Definition::from_json(&recipe.definition)
                .map(|definition| definition.trigger)
            {
                Ok(Trigger::Webhook(webhook)) => webhook.body_bytes_max.min(platform),
                _ => platform,
            };
            self.body_limits
                .lock()
                .insert((recipe.id, recipe.version), limit);
            limit
        })
    }

    /// Records that an event was refused before it became a job.
    pub(crate) async fn refused(
        &self,
        scope: Scope,
        recipe: &RecipeRecord,
        why: (DenialReason, &str),
    ) {
        let resource = Resource {
            kind: "webhook",
            id: Some(recipe.id.to_string()),
            scope: Some(scope),
        };
        let principal = Principal::Webhook(recipe.id);
        if let Err(error) = self
            .gate
            .refuse(principal, "webhook:receive", resource, scope, why)
            .await
        {
            tracing::error!(%error, "a refused event could not be recorded");
        }
    }
}

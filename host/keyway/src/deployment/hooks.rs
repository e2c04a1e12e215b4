//! Which recipe a webhook's path belongs to.

use std::sync::Arc;
use std::time::Instant;

use keyway_authz::{DenialReason, Principal, Resource};
use keyway_fair::{Place, Wish};
use keyway_gate::resource::RecipeRecord;
use keyway_model::limit::WEBHOOK_BODIES_PER_RECIPE_MAX;
use keyway_model::recipe::Trigger;
use keyway_model::{Digest, RecipeId, Scope};

use super::Deployment;
use crate::refusals::Refused;

impl Deployment {
    /// The recipe that takes events at this path, if one does now: a path that it had
    /// before its present one takes none.
    pub(crate) fn hook(&self, path: &str) -> Option<(Scope, Arc<RecipeRecord>)> {
        let hash = *Digest::of(path.as_bytes()).as_bytes();
        let (scope, id) = self.hooks.read().get(&hash).copied()?;
        let recipe = self.view(scope).recipe_by_id(id).cloned()?;
        let is_its_path = recipe.webhook.as_deref() == Some(path);
        (recipe.started && is_its_path).then_some((scope, recipe))
    }

    /// How long a body this recipe takes: its own limit, within the platform's.
    pub(crate) fn body_bytes_max(&self, scope: Scope, recipe: &RecipeRecord) -> usize {
        let platform = self.config.webhook.body_bytes_max;
        let definition = self.jobs.definition_in_force(scope, recipe);
        match definition.as_deref().map(|definition| &definition.trigger) {
            Ok(Trigger::Webhook(webhook)) => webhook.body_bytes_max.min(platform),
            Ok(Trigger::Poll(_)) | Err(_) => platform,
        }
    }

    /// A place for the body of an event, when it is the recipe's turn.
    pub(crate) async fn body_place(&self, scope: Scope, recipe: &RecipeRecord) -> Place<RecipeId> {
        let wish = Wish {
            tenant: scope.tenant,
            tenant_max: usize::MAX,
            line: recipe.id,
            line_max: WEBHOOK_BODIES_PER_RECIPE_MAX,
        };
        self.bodies.enter(wish).await
    }

    /// Counts an event that was refused before it became a job, and records those
    /// of a second together.
    pub(crate) async fn refused(
        &self,
        scope: Scope,
        recipe: &RecipeRecord,
        why: (DenialReason, &'static str),
    ) {
        let about = (scope, recipe.id);
        if let Some(refused) = self.refusals.count(about, why, Instant::now()) {
            self.record_refused(refused).await;
        }
    }

    /// Records those that nothing came after.
    pub(crate) async fn record_refused_events(&self) {
        for refused in self.refusals.take_due(Instant::now()) {
            self.record_refused(refused).await;
        }
    }

    async fn record_refused(&self, refused: Refused) {
        let resource = Resource {
            kind: "webhook",
            id: Some(refused.recipe.to_string()),
            scope: Some(refused.scope),
        };
        let (who, operation) = (Principal::Webhook(refused.recipe), "webhook:receive");
        let why = (refused.reason, refused.text.as_str());
        let recorded = self
            .gate
            .refuse(who, operation, resource, refused.scope, why);
        if let Err(error) = recorded.await {
            tracing::error!(%error, refused = refused.text, "refused events could not be recorded");
        }
    }
}

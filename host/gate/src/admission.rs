//! Places for guest calls, by turns of tenants and of their connectors.

use keyway_fair::{Place, Wish};
use keyway_model::limit::Limits;
use keyway_model::{Digest, RecipeId, Scope};

use crate::Gate;

/// What a tenant's places are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineOf {
    /// A connector in one environment.
    Connector(Scope, Digest),
    /// Expressions.
    Logic,
    /// The jobs of a recipe.
    Recipe(RecipeId),
}

impl Gate {
    /// Waits until a call of logic for `scope` may run.
    pub async fn place_for_logic(&self, scope: Scope, limits: &Limits) -> Place<LineOf> {
        let quotas = &limits.quotas;
        let wish = Wish {
            tenant: scope.tenant,
            tenant_max: quotas.guest_calls_per_workspace_max as usize,
            line: LineOf::Logic,
            line_max: usize::MAX,
        };
        self.calls.enter(wish).await
    }
}

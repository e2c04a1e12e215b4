//! Webhooks: which secret path leads to which recipe. Only the path's hash is
//! kept here; the path itself lies sealed in the recipe.

use keyway_model::{Digest, RecipeId};

use super::TenantStore;
use crate::change::{After, Change, Statement, value};
use crate::error::StoreError;

impl TenantStore {
    /// Lets the webhook with this secret part of its path lead to `recipe`,
    /// and no other webhook.
    pub fn put_webhook(&self, path_secret: &str, recipe: RecipeId) -> Change {
        let hash = *Digest::of(path_secret.as_bytes()).as_bytes();
        let values = vec![
            value::blob(hash),
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(recipe.bits()),
        ];
        let sql =
            "INSERT INTO webhook (path_hash, tenant, environment, recipe) VALUES (?, ?, ?, ?)";
        let insert = Statement::new(sql, values).or_if_not_unique(StoreError::NameTaken("webhook"));
        let (scope, gone) = (self.scope, self.delete_webhook(recipe));
        gone.and(insert).and(After::Webhook(hash, scope, recipe))
    }

    /// Lets no webhook lead to `recipe` any more.
    pub fn delete_webhook(&self, recipe: RecipeId) -> Change {
        let sql = "DELETE FROM webhook WHERE tenant = ? AND environment = ? AND recipe = ?";
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(recipe.bits()),
        ];
        Change::of(Statement::new(sql, values)).and(After::NoWebhook(self.scope, recipe))
    }
}

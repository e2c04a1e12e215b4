//! The JSON Schema of recipes, for editors.

use serde_json::Value;

/// The JSON Schema (draft 2020-12) of the format, the same as
/// `docs/recipe.schema.json`. It knows the shape; what depends on more than
/// one place (ids used twice, `respond` without a webhook) only the parser
/// knows.
pub fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/recipe.schema.json"))
        .expect("a test reads this very file")
}

//! The strict parser of recipes: YAML or JSON text in, a [`Recipe`] out.
//!
//! What it does not understand it refuses, with line, column and remedy; it
//! never drops a field or guesses. Expressions stay text here: the sandboxed
//! expression component parses them. Whether a connector, an action or a
//! connection exists is not known here either; [`Recipe::references`] lists
//! them for the host's check. The format is described in `docs/recipes.md`.

mod block;
mod error;
mod fields;
mod json;
mod pointer;
mod references;
mod reply;
mod schema;
mod step;
mod template;
mod tree;
mod trigger;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

pub use error::{Place, RecipeError, RecipeErrors};
pub use pointer::{Pointer, PointerError, Segment};
pub use references::{Reference, ReferenceKind};
pub use reply::{FRAMING_HEADERS, header_name_is_free};
pub use schema::schema;
pub use step::{Action, Foreach, If, Respond, Step, StepKind, Stop, StopOutcome};
pub use template::{Expression, Template};
pub use trigger::{Poll, Trigger, Webhook};
pub use words::StepId;

use crate::limit;
use crate::name::Name;
use error::Errors;
use fields::Fields;
use tree::Located;

/// How a recipe's text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, without tags and merge keys.
    Yaml,
    /// JSON (RFC 8259).
    Json,
    /// JSON if the first character is `{`, else YAML.
    #[default]
    Detect,
}

/// What a tenant wants done: a trigger and the steps that follow it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The recipe's name.
    pub name: Name,
    /// For people, at most 2,000 characters.
    pub description: Option<String>,
    /// What starts a job.
    pub trigger: Trigger,
    /// What a job does, in order; never empty.
    pub steps: Vec<Step>,
}

impl Recipe {
    /// The recipe that `text` describes, or everything that is wrong with it.
    pub fn parse(text: &str, format: Format) -> Result<Self, RecipeErrors> {
        if text.len() > limit::DOCUMENT_BYTES_MAX {
            let error = RecipeError::new(
                Place::START,
                "",
                format!("the recipe is {} bytes long", text.len()),
                format!(
                    "write at most {} (DOCUMENT_BYTES_MAX)",
                    limit::DOCUMENT_BYTES_MAX
                ),
            );
            return Err(RecipeErrors::from(error));
        }
        let tree = match format.of(text) {
            Format::Json => json::read(text),
            Format::Yaml | Format::Detect => yaml::read(text),
        }?;
        let mut errors = Errors::default();
        tree.refuse_repeated_keys("", &mut errors);
        let recipe = read(&tree, &mut errors);
        errors.unless_none(recipe)
    }
}

impl Format {
    fn of(self, text: &str) -> Self {
        match self {
            Self::Detect if text.trim_start().starts_with('{') => Self::Json,
            Self::Detect => Self::Yaml,
            Self::Yaml | Self::Json => self,
        }
    }
}

fn read(tree: &Located, errors: &mut Errors) -> Option<Recipe> {
    let fields = Fields::of(tree, "", "the recipe", errors)?;
    fields.allow(&["recipe", "description", "trigger", "steps"], errors);
    let name = fields.required("recipe", "recipe: order-intake", errors);
    let name = name.and_then(|node| words::name(node, "recipe", errors));
    let description = match fields.optional("description") {
        Some(node) => words::line(node, "description", 2_000, errors).map(Some),
        None => Some(None),
    };
    let trigger = fields.required("trigger", "trigger: { webhook: {} }", errors);
    let trigger = trigger.and_then(|node| trigger::read(node, errors));
    let answers = trigger
        .as_ref()
        .is_none_or(|trigger| matches!(trigger, Trigger::Webhook(_)));
    let steps = fields.required("steps", "steps: [ … ]", errors);
    let steps = steps.and_then(|node| block::read_all(node, answers, errors));
    Some(Recipe {
        name: name?,
        description: description?,
        trigger: trigger?,
        steps: steps?,
    })
}

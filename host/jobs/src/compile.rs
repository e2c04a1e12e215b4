//! From a recipe to a definition, with the expression component in between.
//!
//! The host parses no expression. [`check_request`] asks the sandboxed
//! component for the tree of every expression, saying where each stands among
//! the steps, and so which variables and earlier steps it may name; [`finish`]
//! puts the trees into a [`Definition`], or the component's complaints at their
//! lines.

mod request;

use std::collections::HashMap;

use keyway_model::recipe::{Place, Recipe, RecipeError, RecipeErrors, Step, StepKind, Template};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::definition::{ActionDefinition, Block, Definition, StepDefinition, Work};
use crate::tree::Tree;
use request::{Source, sources};

pub use request::check_request;

/// Why a recipe has no definition.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Its expressions are wrong.
    #[error(transparent)]
    Recipe(RecipeErrors),
    /// The expression component did not keep its contract.
    #[error(
        "the expression component's answer cannot be used: {0}; reinstall Keyway if this stays"
    )]
    Answer(String),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    trees: Vec<AnswerTree>,
    #[serde(default)]
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct AnswerTree {
    id: String,
    tree: Box<RawValue>,
}

/// What the component says about one expression.
#[derive(Deserialize)]
struct Complaint {
    id: String,
    #[serde(default)]
    pointer: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    line: usize,
    #[serde(default)]
    column: usize,
    message: String,
    #[serde(default)]
    remedy: String,
}

/// The definition of `recipe`, from the component's answer to
/// [`check_request`].
pub fn finish(recipe: &Recipe, response: &str) -> Result<Definition, CompileError> {
    let answer: Answer =
        serde_json::from_str(response).map_err(|error| CompileError::Answer(error.to_string()))?;
    let sources = sources(recipe);
    let sources: HashMap<&str, &Source<'_>> = sources
        .iter()
        .map(|source| (source.id.as_str(), source))
        .collect();
    let errors = answer.errors.iter().map(|complaint| {
        let source = sources.get(complaint.id.as_str()).copied();
        complaint.at(source)
    });
    if let Some(errors) = RecipeErrors::of(errors.collect()) {
        return Err(CompileError::Recipe(errors));
    }
    let trees = answer
        .trees
        .into_iter()
        .map(|found| (found.id, Tree::new(found.tree)))
        .collect();
    let mut trees = Trees(trees);
    let steps = trees.block(&recipe.steps)?;
    Ok(Definition::new(
        recipe.name.clone(),
        recipe.trigger.clone(),
        steps,
    ))
}

impl Complaint {
    /// The complaint as an error at its place in the recipe's text.
    fn at(&self, source: Option<&Source<'_>>) -> RecipeError {
        let start = source.map_or(Place::START, |source| source.place_of(&self.pointer));
        let later = self.line.saturating_sub(1);
        let place = Place {
            line: start.line + later,
            column: start.column,
        };
        let within = match (self.source.is_empty(), self.column) {
            (true, _) | (false, 0) => self.message.clone(),
            (false, column) => {
                let shown: String = self.source.chars().take(120).collect();
                format!("{} (at character {column} of `{shown}`)", self.message)
            }
        };
        let remedy = match self.remedy.as_str() {
            "" => "compare it with docs/expressions.md",
            remedy => remedy,
        };
        RecipeError::new(
            place,
            format!("{}{}", self.id, self.pointer),
            within,
            remedy,
        )
    }
}

/// The trees that are not yet in a step.
struct Trees(HashMap<String, Tree>);

impl Trees {
    fn take(&mut self, step: &Step, part: &str) -> Result<Tree, CompileError> {
        let id = format!("{}.{part}", step.id);
        let missing = || CompileError::Answer(format!("it has no tree for `{id}`"));
        self.0.remove(&id).ok_or_else(missing)
    }

    fn optional(
        &mut self,
        step: &Step,
        part: &str,
        template: Option<&Template>,
    ) -> Result<Option<Tree>, CompileError> {
        template.map(|_| self.take(step, part)).transpose()
    }

    fn block(&mut self, steps: &[Step]) -> Result<Block, CompileError> {
        let step = |step: &Step| {
            Ok(StepDefinition {
                id: step.id.clone(),
                work: self.work(step)?,
            })
        };
        steps.iter().map(step).collect()
    }

    fn work(&mut self, step: &Step) -> Result<Work, CompileError> {
        Ok(match &step.kind {
            StepKind::Transform(_) => Work::Transform {
                value: self.take(step, "transform")?,
            },
            StepKind::Action(action) => Work::Action(ActionDefinition {
                connector: action.connector.clone(),
                action: action.action.clone(),
                connection: action.connection.clone(),
                mask: action.mask,
                input: self.take(step, "input")?,
            }),
            StepKind::If(choice) => Work::If {
                condition: self.take(step, "if")?,
                then: self.block(&choice.then)?,
                otherwise: self.block(&choice.otherwise)?,
            },
            StepKind::Foreach(foreach) => Work::Foreach {
                items: self.take(step, "foreach")?,
                variable: foreach.variable.clone(),
                body: self.block(&foreach.steps)?,
            },
            StepKind::Respond(respond) => Work::Respond {
                status: self.take(step, "status")?,
                headers: self.optional(step, "headers", respond.headers.as_ref())?,
                body: self.take(step, "body")?,
            },
            StepKind::Stop(stop) => Work::Stop {
                outcome: stop.outcome,
                reason: self.take(step, "reason")?,
            },
        })
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what must be"
)]
mod tests;

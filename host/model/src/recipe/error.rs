//! What is wrong with a recipe, where, and what to write instead.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Errors that one look at a recipe reports at most.
const ERRORS_MAX: usize = 20;

/// Where something stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The first character.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong. Prints as
/// `12:3: what is wrong; what to write instead`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{line}:{column}: {message}; {remedy}")]
pub struct RecipeError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Where in the tree of fields, for example `steps[2].then[0].action`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl RecipeError {
    /// The error that `message` describes, at `place`.
    pub fn new(
        place: Place,
        path: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            line: place.line,
            column: place.column,
            path: path.into(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// Everything that is wrong with a recipe, in the order of its lines; never
/// empty, at most 20.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecipeErrors(Vec<RecipeError>);

impl RecipeErrors {
    /// The errors in `found`, or none.
    pub fn of(mut found: Vec<RecipeError>) -> Option<Self> {
        found.sort_by_key(|error| (error.line, error.column));
        found.dedup();
        found.truncate(ERRORS_MAX);
        (!found.is_empty()).then_some(Self(found))
    }

    /// One error after the other.
    pub fn iter(&self) -> impl Iterator<Item = &RecipeError> {
        self.0.iter()
    }

    /// The errors as lines that start with the file's name.
    pub fn in_file(&self, file: &str) -> String {
        let lines: Vec<String> = self
            .0
            .iter()
            .map(|error| format!("{file}:{error}"))
            .collect();
        lines.join("\n")
    }
}

impl From<RecipeError> for RecipeErrors {
    fn from(error: RecipeError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(RecipeError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for RecipeErrors {}

/// Where the parser puts errors while it looks further.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<RecipeError>);

impl Errors {
    pub(super) fn add(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(RecipeError::new(place, path, message, remedy));
    }

    /// `value` if nothing was wrong.
    pub(super) fn unless_none<T>(self, value: Option<T>) -> Result<T, RecipeErrors> {
        match (RecipeErrors::of(self.0), value) {
            (Some(errors), _) => Err(errors),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(RecipeErrors::from(RecipeError::new(
                Place::START,
                "",
                "the recipe could not be read",
                "compare it with docs/recipes.md",
            ))),
        }
    }
}

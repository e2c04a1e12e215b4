//! Compiles the templates and expressions of a recipe to trees, or says what is
//! wrong with them and where.

mod compile;
mod names;
mod nesting;
mod place;
mod template;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub(crate) const SOURCE_BYTES_MAX: usize = 4096;
pub(crate) const DEPTH_MAX: usize = 64;

/// Checks a request as `docs/expressions.md` describes it.
///
/// # Errors
/// If the request is not one; what is wrong with a template is part of the
/// answer instead.
pub fn check(request: &str) -> Result<String, String> {
    let request: Request = serde_json::from_str(request)
        .map_err(|error| format!("the check request is not valid: {error}"))?;
    let mut answer = Answer::default();
    for entry in &request.templates {
        let names = request.names(entry.place)?;
        let mut problems = Vec::new();
        let tree = match (entry.kind, &entry.value) {
            (Kind::Template, value) => template::compile(value, &names, &mut problems),
            (Kind::Expression, Json::String(source)) => {
                compile::expression(source, source, 0, "", 0, &names, &mut problems)
            }
            (Kind::Expression, _) => {
                problems.push(Problem::of_place(
                    "",
                    "an expression is a string",
                    "quote it",
                ));
                Json::Null
            }
        };
        if problems.is_empty() {
            answer.trees.push(Compiled {
                id: &entry.id,
                tree,
            });
        }
        answer
            .errors
            .extend(problems.into_iter().map(|problem| Located {
                id: &entry.id,
                problem,
            }));
    }
    serde_json::to_string(&answer).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    blocks: Vec<Block>,
    templates: Vec<Entry>,
}

/// Steps that follow one another, and the variables that they alone see.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    /// Where it stands in the block around it, which comes before it.
    place: Option<Position>,
    variables: Vec<String>,
    steps: Vec<String>,
}

/// In a block, after so many of its steps.
#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct Position {
    block: usize,
    after: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    kind: Kind,
    value: Json,
    place: Position,
}

impl Request {
    /// What may be named at `place`: the variables of its block and of those around
    /// it, and their steps before it.
    fn names(&self, place: Position) -> Result<Names<'_>, String> {
        let mut blocks = Vec::new();
        let mut within = Some(place);
        while let Some(Position {
            block: number,
            after,
        }) = within
        {
            let block = self.blocks.get(number);
            let block = block.ok_or_else(|| format!("the check request has no block {number}"))?;
            blocks.push((block, after));
            within = block.place;
            if within.is_some_and(|outer| outer.block >= number) {
                return Err(format!("block {number} comes before the one around it"));
            }
        }
        let mut names = Names::default();
        for (block, after) in blocks.into_iter().rev() {
            for variable in &block.variables {
                if !names.variables.contains(&variable.as_str()) {
                    names.variables.push(variable);
                }
            }
            names
                .steps
                .extend(block.steps.iter().take(after).map(String::as_str));
        }
        Ok(names)
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Template,
    Expression,
}

#[derive(Serialize, Default)]
struct Answer<'a> {
    trees: Vec<Compiled<'a>>,
    errors: Vec<Located<'a>>,
}

#[derive(Serialize)]
struct Compiled<'a> {
    id: &'a str,
    tree: Json,
}

#[derive(Serialize)]
struct Located<'a> {
    id: &'a str,
    #[serde(flatten)]
    problem: Problem,
}

/// The names that an expression may use.
#[derive(Default)]
pub(crate) struct Names<'a> {
    pub(crate) variables: Vec<&'a str>,
    pub(crate) steps: Vec<&'a str>,
}

/// What is wrong, where, and what to do.
#[derive(Serialize, Debug)]
pub(crate) struct Problem {
    /// JSON pointer inside the template's value.
    pub(crate) pointer: String,
    /// The expression.
    pub(crate) source: String,
    /// Inside the string that holds the expression; both count from 1.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Problem {
    pub(crate) fn of_place(pointer: &str, message: &str, remedy: &str) -> Self {
        Self {
            pointer: pointer.to_owned(),
            source: String::new(),
            line: 1,
            column: 1,
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

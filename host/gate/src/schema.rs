//! The JSON Schemas of a manifest's inputs, compiled once, checked before any
//! call is made.
//!
//! Schema and input may both be a hostile tenant's, and the check holds up
//! every other. So a check counts its steps and ends at their limit
//! ([`metered`]), a pattern that may be slow is none ([`patterns`]), and of
//! what does not fit the first few places are told.

use std::collections::HashMap;
use std::fmt::{self, Display, Write as _};

use jsonschema::{PatternOptions, ValidationError, Validator};
use keyway_model::Name;
use keyway_model::limit::{
    SCHEMA_PATTERN_TABLES_BYTES_MAX, SCHEMA_PLACES_STEPS_MAX, SCHEMA_STEPS_MAX,
};
use keyway_model::manifest::Manifest;
use serde_json::Value;

mod metered;
mod outline;
mod patterns;
#[cfg(test)]
mod tests;

use metered::{Aim, Meter, Metered, MeteredJson};
use outline::{Outline, Weights};
use patterns::Tables;

/// Problems that are told at once, at most.
const PROBLEMS_MAX: usize = 10;

/// Characters of one problem, and of its place.
const PROBLEM_CHARS: usize = 500;

/// Bytes that the engine may need for one pattern: its tables are small, and it
/// keeps a few forms of the pattern beside them.
const ENGINE_BYTES: usize = 4 * SCHEMA_PATTERN_TABLES_BYTES_MAX;

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("; "))]
pub struct SchemaError {
    /// Each with the place in the value; values themselves are not repeated,
    /// since they may be labelled.
    pub problems: Vec<String>,
}

impl SchemaError {
    fn of(problem: String) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

/// The input schemas of one connector.
#[derive(Debug)]
pub struct Schemas {
    actions: HashMap<Name, Compiled>,
    triggers: HashMap<Name, Compiled>,
}

impl Schemas {
    /// Compiles every input schema of `manifest`.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] for a schema that is not one, or has a pattern that may
    /// be slow.
    pub fn of(manifest: &Manifest) -> Result<Self, SchemaError> {
        let mut tables = Tables::default();
        let mut actions = HashMap::new();
        for (name, action) in &manifest.actions {
            let place = format!("[actions.{name}.input]");
            let compiled = Compiled::of(&place, &action.input.value, &mut tables)?;
            actions.insert(name.clone(), compiled);
        }
        let mut triggers = HashMap::new();
        for (name, trigger) in &manifest.triggers {
            let place = format!("[triggers.{name}.input]");
            let compiled = Compiled::of(&place, &trigger.input.value, &mut tables)?;
            triggers.insert(name.clone(), compiled);
        }
        Ok(Self { actions, triggers })
    }

    /// Checks an action's input.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] with the first places that do not fit.
    pub fn check_action(&self, action: &Name, input: &Value) -> Result<(), SchemaError> {
        self.actions
            .get(action)
            .map_or(Ok(()), |schema| schema.check(input))
    }

    /// Checks a trigger's input.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] with the first places that do not fit.
    pub fn check_trigger(&self, trigger: &Name, input: &Value) -> Result<(), SchemaError> {
        self.triggers
            .get(trigger)
            .map_or(Ok(()), |schema| schema.check(input))
    }
}

/// Checks `value` against a schema that is used once.
///
/// # Errors
///
/// [`SchemaError`] with the first places that do not fit.
pub fn check_against(schema: &Value, value: &Value) -> Result<(), SchemaError> {
    Compiled::of("the schema", schema, &mut Tables::default())?.check(value)
}

/// One schema, ready to check with.
#[derive(Debug)]
struct Compiled {
    validator: Validator<MeteredJson>,
    weights: Weights,
}

impl Compiled {
    fn of(place: &str, schema: &Value, tables: &mut Tables) -> Result<Self, SchemaError> {
        let mut schema = schema.clone();
        let Outline { weights, patterns } = Outline::of(&mut schema);
        for (at, pattern) in patterns {
            tables.add(&pattern).map_err(|reason| {
                SchemaError::of(format!(
                    "{place} at {at}: the pattern `{}` is not taken: {reason}",
                    cut(&pattern)
                ))
            })?;
        }
        let engine = PatternOptions::regex()
            .size_limit(ENGINE_BYTES)
            .dfa_size_limit(ENGINE_BYTES);
        let validator = jsonschema::options_for::<MeteredJson>()
            .with_pattern_options(engine)
            .build(&schema)
            .map_err(|error| {
                let error = cut(&error);
                SchemaError::of(format!("{place} is not a JSON Schema: {error}"))
            })?;
        Ok(Self { validator, weights })
    }

    fn check(&self, value: &Value) -> Result<(), SchemaError> {
        let meter = Meter::new(SCHEMA_STEPS_MAX, Aim::Verdict, self.weights);
        let fits = self.validator.is_valid(Metered::root(value, &meter));
        if meter.is_spent() {
            return Err(SchemaError::of(format!(
                "at /: checking it takes more steps than `SCHEMA_STEPS_MAX` ({SCHEMA_STEPS_MAX}): give fewer values at once, or make the connector's schema simpler"
            )));
        }
        if fits {
            return Ok(());
        }
        Err(SchemaError {
            problems: self.problems(value),
        })
    }

    /// The first problems of a value that does not fit; one where finding more
    /// takes too long, without its place where that does.
    fn problems(&self, value: &Value) -> Vec<String> {
        let meter = Meter::new(SCHEMA_PLACES_STEPS_MAX, Aim::Places, self.weights);
        let errors = self.validator.iter_errors(Metered::root(value, &meter));
        if !meter.is_spent() {
            return errors.take(PROBLEMS_MAX).map(|e| told(&e)).collect();
        }
        drop(errors);
        // A branch tells of all that is in it, others of the first alone.
        if !self.weights.branches {
            let meter = Meter::new(SCHEMA_STEPS_MAX, Aim::Verdict, self.weights);
            let first = self.validator.validate(Metered::root(value, &meter));
            if let (Err(error), false) = (first, meter.is_spent()) {
                return vec![told(&error)];
            }
        }
        vec![format!(
            "at /: somewhere it does not fit; finding where takes more steps than `SCHEMA_PLACES_STEPS_MAX` ({SCHEMA_PLACES_STEPS_MAX}): try a part of it"
        )]
    }
}

/// A problem, with its place and without the value.
fn told(error: &ValidationError<'_>) -> String {
    let place = match error.instance_path().as_str() {
        "" => "/".to_owned(),
        place => cut(place),
    };
    let problem = error.masked_with("the value");
    format!("at {place}: {}", cut(&problem))
}

/// The beginning of what is told, whose length is somebody else's choice; the rest
/// of it is not even written.
fn cut(told: &(impl Display + ?Sized)) -> String {
    let mut beginning = Beginning {
        text: String::new(),
        chars_left: PROBLEM_CHARS,
    };
    match write!(beginning, "{told}") {
        Ok(()) => beginning.text,
        Err(fmt::Error) => beginning.text + "…",
    }
}

/// A text that ends where it is long enough.
struct Beginning {
    text: String,
    chars_left: usize,
}

impl fmt::Write for Beginning {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for character in more.chars() {
            self.chars_left = self.chars_left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

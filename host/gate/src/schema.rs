//! The JSON Schemas of a manifest's inputs, compiled once, checked before any
//! call is made.

use std::collections::HashMap;

use jsonschema::Validator;
use keyway_model::Name;
use keyway_model::manifest::Manifest;
use serde_json::Value;

/// Problems that are told at once, at most.
const PROBLEMS_MAX: usize = 10;

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("; "))]
pub struct SchemaError {
    /// Each with the place in the value; values themselves are not repeated,
    /// since they may be labelled.
    pub problems: Vec<String>,
}

/// The input schemas of one connector.
#[derive(Debug)]
pub struct Schemas {
    actions: HashMap<Name, Validator>,
    triggers: HashMap<Name, Validator>,
}

impl Schemas {
    /// Compiles every input schema of `manifest`.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] for a schema that is not one.
    pub fn of(manifest: &Manifest) -> Result<Self, SchemaError> {
        let compile = |place: String, schema: &Value| {
            jsonschema::validator_for(schema).map_err(|error| SchemaError {
                problems: vec![format!("{place} is not a JSON Schema: {error}")],
            })
        };
        let actions = manifest.actions.iter().map(|(name, action)| {
            Ok((
                name.clone(),
                compile(format!("[actions.{name}.input]"), &action.input.value)?,
            ))
        });
        let triggers = manifest.triggers.iter().map(|(name, trigger)| {
            Ok((
                name.clone(),
                compile(format!("[triggers.{name}.input]"), &trigger.input.value)?,
            ))
        });
        Ok(Self {
            actions: actions.collect::<Result<_, _>>()?,
            triggers: triggers.collect::<Result<_, _>>()?,
        })
    }

    /// Checks an action's input.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] with every place that does not fit.
    pub fn check_action(&self, action: &Name, input: &Value) -> Result<(), SchemaError> {
        self.actions
            .get(action)
            .map_or(Ok(()), |schema| check(schema, input))
    }

    /// Checks a trigger's input.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] with every place that does not fit.
    pub fn check_trigger(&self, trigger: &Name, input: &Value) -> Result<(), SchemaError> {
        self.triggers
            .get(trigger)
            .map_or(Ok(()), |schema| check(schema, input))
    }
}

fn check(schema: &Validator, value: &Value) -> Result<(), SchemaError> {
    if schema.is_valid(value) {
        return Ok(());
    }
    let problems = schema.iter_errors(value).take(PROBLEMS_MAX).map(|error| {
        let place = error.instance_path().to_string();
        let place = if place.is_empty() {
            "/".to_owned()
        } else {
            place
        };
        format!("at {place}: {}", error.masked_with("the value"))
    });
    Err(SchemaError {
        problems: problems.collect(),
    })
}

/// Checks `value` against a schema that is used once.
///
/// # Errors
///
/// [`SchemaError`] with every place that does not fit.
pub fn check_against(schema: &Value, value: &Value) -> Result<(), SchemaError> {
    let validator = jsonschema::validator_for(schema).map_err(|error| SchemaError {
        problems: vec![format!("not a JSON Schema: {error}")],
    })?;
    check(&validator, value)
}

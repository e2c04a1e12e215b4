//! What is in a schema that a check's steps alone do not tell.
//!
//! A step is a look at a value ([`super::metered`]). So a schema must look:
//! thousands of alternatives that are `true` are gone through without a look.
//! Such ones are written here in a form that does look and decides the same.
//! And some looks cost more than others; how much is the schema's choice.

use serde_json::{Map, Value, json};

use super::metered::text_steps;

/// A number that is far from 1 is divided digit by digit.
const FAR_STEPS: u64 = 500;

/// So many schemas are at hand while others of the same input are gone through;
/// what is beyond has to be fetched.
const SCHEMAS_AT_HAND: u64 = 1_000;

/// Alternatives of a pattern that a text is compared with in one step: where they
/// are plain texts, the engine goes through them one by one.
const ALTERNATIVES_AT_ONCE: u64 = 8;

/// Keywords that hand on what they are given.
const IN_PLACE: [&str; 5] = ["allOf", "anyOf", "oneOf", "not", "if"];

/// What looks cost in one schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    /// Steps of each look: more than one in a large schema.
    pub(super) look: u64,
    /// What each name of an object may be held against: patterns, and schemas
    /// of `propertyNames`.
    pub(super) names: u64,
    /// Steps of a look at a text, whatever its length.
    pub(super) text: u64,
    /// Steps of a look at a number.
    pub(super) number: u64,
    /// Steps of a look at a number that is far from 1.
    pub(super) far_number: u64,
    /// Steps of an error: it holds a copy of what it tells of the schema.
    pub(super) error: u64,
    /// Whether there are `anyOf` or `oneOf`.
    pub(super) branches: bool,
}

impl Weights {
    /// Those of the simplest schema.
    pub(super) const LEAST: Self = Self {
        look: 1,
        names: 0,
        text: 3,
        number: 1,
        far_number: 1,
        error: 4,
        branches: false,
    };
}

/// What was found in a schema.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) weights: Weights,
    /// Patterns, each with the place of the schema that it is in.
    pub(super) patterns: Vec<(String, String)>,
}

impl Outline {
    /// Looks through `schema`, and lets each part of it look at what it decides
    /// about.
    pub(super) fn of(schema: &mut Value) -> Self {
        let mut walk = Walk {
            here: Vec::new(),
            in_names: false,
            schemas: 0,
            outline: Self {
                weights: Weights::LEAST,
                patterns: Vec::new(),
            },
        };
        walk.schema(schema);
        walk.outline.weights.look += walk.schemas / SCHEMAS_AT_HAND;
        walk.outline
    }
}

struct Walk {
    here: Vec<String>,
    in_names: bool,
    schemas: u64,
    outline: Outline,
}

impl Walk {
    fn schema(&mut self, schema: &mut Value) {
        let Value::Object(keywords) = schema else {
            return;
        };
        self.schemas += 1;
        if self.in_names {
            self.outline.weights.names += 1;
        }
        for (keyword, value) in keywords.iter_mut() {
            self.here.push(keyword.clone());
            self.keyword(keyword, value);
            self.here.pop();
        }
    }

    fn keyword(&mut self, keyword: &str, value: &mut Value) {
        match (keyword, value) {
            ("pattern", Value::String(pattern)) => self.pattern(pattern),
            ("required", Value::Array(names)) => {
                names.iter().for_each(|name| self.copied(name));
            }
            ("patternProperties", Value::Object(schemas)) => {
                for (pattern, schema) in schemas {
                    self.outline.weights.names += 1 + alternatives_steps(pattern);
                    self.pattern(pattern);
                    self.below(pattern, schema);
                }
            }
            ("properties", Value::Object(schemas)) => schemas
                .iter_mut()
                .for_each(|(name, schema)| self.below(name, schema)),
            ("prefixItems", Value::Array(schemas)) => schemas
                .iter_mut()
                .enumerate()
                .for_each(|(at, schema)| self.below(&at.to_string(), schema)),
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                self.outline.weights.branches |= keyword != "allOf";
                for (at, schema) in schemas.iter_mut().enumerate() {
                    self.below(&at.to_string(), schema);
                    let_look(schema);
                }
            }
            ("if" | "then" | "else", schema) => {
                self.schema(schema);
                if let Value::Object(keywords) = schema {
                    let_keywords_look(keywords);
                }
            }
            ("not", schema) => {
                self.schema(schema);
                // It is told in its own words, so only one that hands on is changed.
                if let Value::Object(keywords) = schema
                    && IN_PLACE.iter().any(|word| keywords.contains_key(*word))
                {
                    let_keywords_look(keywords);
                }
                self.copied(schema);
            }
            ("propertyNames", schema) => {
                let outside = std::mem::replace(&mut self.in_names, true);
                self.schema(schema);
                self.in_names = outside;
            }
            ("enum", Value::Array(values))
                if self.in_names && !values.iter().all(Value::is_string) =>
            {
                self.outline.weights.names += values.len() as u64;
            }
            ("multipleOf", Value::Number(step)) => self.multiple_of(step.as_f64()),
            (
                "items"
                | "contains"
                | "additionalProperties"
                | "unevaluatedItems"
                | "unevaluatedProperties",
                schema,
            ) => self.schema(schema),
            _ => {}
        }
    }

    fn below(&mut self, name: &str, schema: &mut Value) {
        self.here.push(name.to_owned());
        self.schema(schema);
        self.here.pop();
    }

    fn pattern(&mut self, pattern: &str) {
        let place = format!("/{}", self.here.join("/"));
        self.outline.patterns.push((place, pattern.to_owned()));
        let steps = alternatives_steps(pattern);
        let weights = &mut self.outline.weights;
        if self.in_names {
            weights.names += steps;
        }
        weights.text = weights.text.max(Weights::LEAST.text + steps);
        weights.error = weights.error.max(text_steps(pattern.len()));
    }

    /// What an error holds a copy of, at most.
    fn copied(&mut self, told: &Value) {
        let weights = &mut self.outline.weights;
        weights.error = weights.error.max(copy_steps(told));
    }

    /// Whole numbers are divided at once, others as fractions of any length.
    fn multiple_of(&mut self, step: Option<f64>) {
        let weights = &mut self.outline.weights;
        match step {
            Some(step) if step.fract() == 0.0 => {}
            Some(step) if step.abs() >= 1e-12 => {
                weights.number = weights.number.max(10);
                weights.far_number = FAR_STEPS;
            }
            Some(_) | None => (weights.number, weights.far_number) = (FAR_STEPS, FAR_STEPS),
        }
    }
}

fn alternatives_steps(pattern: &str) -> u64 {
    pattern.matches('|').count() as u64 / ALTERNATIVES_AT_ONCE
}

/// Steps of a copy of `value`.
fn copy_steps(value: &Value) -> u64 {
    let inside: u64 = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text_steps(text.len()),
        Value::Array(elements) => elements.iter().map(copy_steps).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| text_steps(name.len()) + copy_steps(value))
            .sum(),
    };
    1 + inside
}

/// Gives an alternative that may decide without a look one that decides nothing.
fn let_look(schema: &mut Value) {
    match schema {
        Value::Bool(true) => *schema = json!({ "type": any() }),
        Value::Bool(false) => *schema = json!({ "not": { "type": any() } }),
        Value::Object(keywords) => let_keywords_look(keywords),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

fn let_keywords_look(keywords: &mut Map<String, Value>) {
    let looks = ["type", "const", "enum"];
    if !looks.iter().any(|keyword| keywords.contains_key(*keyword)) {
        keywords.insert("type".to_owned(), any());
    }
}

/// The type of every value.
fn any() -> Value {
    json!(["array", "boolean", "null", "number", "object", "string"])
}

//! The JSON Schemas of inputs and outputs, and the fields that must not show.
//!
//! Only the structure is checked here, keyword by keyword; compiling the
//! schema is the gate's. Keywords that this page does not list are refused,
//! because a schema with a keyword that nobody acts on promises what it does
//! not keep. `sensitive = true` marks a value that is masked for people. What a
//! schema costs whoever compiles it and checks inputs with it is bounded here
//! ([`Tally`]).

use crate::limit::SCHEMA_DEPTH_MAX;
use serde::Serialize;
use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::error::ManifestError;
use super::reader::{Node, cut};
use super::sensitive::{SensitivePaths, Step};
use super::suggest;

mod tally;

pub(super) use tally::Tally;

/// A JSON Schema (2020-12) whose structure is sound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schema {
    /// The schema itself.
    pub value: Value,
    /// Which values of an instance must not show.
    pub sensitive: SensitivePaths,
}

impl Schema {
    /// The schema of an empty object: what an action without `input` takes.
    pub fn nothing() -> Self {
        let value = serde_json::json!({ "type": "object", "additionalProperties": false });
        Self {
            value,
            sensitive: SensitivePaths::default(),
        }
    }
}

const TYPES: [&str; 7] = [
    "object", "array", "string", "number", "integer", "boolean", "null",
];

/// What a keyword's value is.
#[derive(Clone, Copy)]
enum Keyword {
    /// `type`.
    Type,
    /// `sensitive`.
    Sensitive,
    /// Any JSON.
    Anything,
    /// A list that is not empty.
    List,
    /// `enum`.
    Enum,
    /// `required`.
    Required,
    Text,
    /// `pattern`.
    Pattern,
    /// A whole number from 0.
    Count,
    Number,
    Bool,
    /// A schema for the value itself.
    Same,
    /// A list of schemas for the value itself.
    AllSame,
    /// A schema of a condition, in which nothing can be marked.
    Condition,
    /// A schema for each element or each further property.
    Every,
    /// A list of schemas for elements.
    Elements,
    /// Schemas by property name.
    Properties,
    /// Schemas by pattern of property names.
    Patterns,
}

const KEYWORDS: [(&str, Keyword); 43] = [
    ("type", Keyword::Type),
    ("sensitive", Keyword::Sensitive),
    ("default", Keyword::Anything),
    ("const", Keyword::Anything),
    ("examples", Keyword::List),
    ("enum", Keyword::Enum),
    ("required", Keyword::Required),
    ("title", Keyword::Text),
    ("description", Keyword::Text),
    ("$comment", Keyword::Text),
    ("format", Keyword::Text),
    ("pattern", Keyword::Pattern),
    ("contentEncoding", Keyword::Text),
    ("contentMediaType", Keyword::Text),
    ("minLength", Keyword::Count),
    ("maxLength", Keyword::Count),
    ("minItems", Keyword::Count),
    ("maxItems", Keyword::Count),
    ("minContains", Keyword::Count),
    ("maxContains", Keyword::Count),
    ("minProperties", Keyword::Count),
    ("maxProperties", Keyword::Count),
    ("minimum", Keyword::Number),
    ("maximum", Keyword::Number),
    ("exclusiveMinimum", Keyword::Number),
    ("exclusiveMaximum", Keyword::Number),
    ("multipleOf", Keyword::Number),
    ("uniqueItems", Keyword::Bool),
    ("readOnly", Keyword::Bool),
    ("writeOnly", Keyword::Bool),
    ("deprecated", Keyword::Bool),
    ("allOf", Keyword::AllSame),
    ("anyOf", Keyword::AllSame),
    ("oneOf", Keyword::AllSame),
    ("then", Keyword::Same),
    ("else", Keyword::Same),
    ("if", Keyword::Condition),
    ("not", Keyword::Condition),
    ("propertyNames", Keyword::Condition),
    ("items", Keyword::Every),
    ("prefixItems", Keyword::Elements),
    ("properties", Keyword::Properties),
    ("patternProperties", Keyword::Patterns),
];

/// More keywords whose schema is for each element or each further property.
const EVERY: [&str; 4] = [
    "additionalProperties",
    "contains",
    "unevaluatedItems",
    "unevaluatedProperties",
];

pub(super) fn read(node: &Node<'_>, tally: &Tally) -> Result<Schema, ManifestError> {
    let has_type = node.fields()?.any(|(name, _)| name == "type");
    if !has_type {
        return Err(node.error_at_key(
            format!("`{}` has no `type`", node.path),
            "add `type = \"object\"`",
        ));
    }
    let mut walk = Walk {
        here: Vec::new(),
        depth: 0,
        path_bytes: 0,
        sensitive: SensitivePaths::default(),
        in_condition: false,
        tally,
    };
    walk.schema(node)?;
    Ok(Schema {
        value: json(node)?,
        sensitive: walk.sensitive,
    })
}

/// What the keyword that holds a schema adds to its path: the longest, or a number more.
const KEYWORD_BYTES: usize = 24;

/// Where the walk stands in the instance that the schema describes.
struct Walk<'t> {
    here: Vec<Step>,
    /// Schemas around the one that is read.
    depth: usize,
    /// Bytes of the names on the way to it.
    path_bytes: usize,
    sensitive: SensitivePaths,
    in_condition: bool,
    tally: &'t Tally,
}

impl Walk<'_> {
    fn schema(&mut self, node: &Node<'_>) -> Result<(), ManifestError> {
        self.tally.schemas(1, node)?;
        if self.depth > SCHEMA_DEPTH_MAX {
            return Err(node.error_at_key(
                "the schema nests too deeply",
                format!("nest at most `SCHEMA_DEPTH_MAX` ({SCHEMA_DEPTH_MAX}) schemas"),
            ));
        }
        if matches!(node.value, DeValue::Boolean(_)) {
            return Ok(());
        }
        let path_bytes = self.path_bytes + self.depth * KEYWORD_BYTES;
        self.tally.paths(1 + node.len(), path_bytes, node)?;
        self.depth += 1;
        for (name, value) in node.fields()? {
            let keyword = keyword(name).ok_or_else(|| unknown(name, &value))?;
            self.keyword(keyword, &value)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn keyword(&mut self, keyword: Keyword, value: &Node<'_>) -> Result<(), ManifestError> {
        match keyword {
            Keyword::Type => check_type(value),
            Keyword::Sensitive => self.mark(value),
            Keyword::Anything => self.tally.values(value),
            Keyword::List => value.list().and_then(|_| self.tally.values(value)),
            Keyword::Enum => self.tally.enumerated(value),
            Keyword::Required => {
                self.tally.schemas(value.len(), value)?;
                value
                    .list()?
                    .try_for_each(|name| self.tally.name(name.text()?, &name))
            }
            Keyword::Text => value.text().map(drop),
            Keyword::Pattern => self.tally.pattern(value.text()?, value),
            Keyword::Count => check_count(value),
            Keyword::Number => check_number(value),
            Keyword::Bool if value.value.is_bool() => Ok(()),
            Keyword::Bool => {
                Err(value.error("not true or false", "write true or false without quotes"))
            }
            Keyword::Same => self.schema(value),
            Keyword::AllSame => value.list()?.try_for_each(|schema| self.schema(&schema)),
            Keyword::Condition => self.condition(value),
            Keyword::Every => self.below(Step::Any, value),
            Keyword::Elements => value
                .list()?
                .try_for_each(|schema| self.below(Step::Any, &schema)),
            Keyword::Properties => value.fields()?.try_for_each(|(name, schema)| {
                self.tally.name(name, &schema)?;
                let step = Step::Key(name.to_owned());
                self.named(name, |walk| walk.below(step, &schema))
            }),
            Keyword::Patterns => value.fields()?.try_for_each(|(pattern, schema)| {
                self.tally.pattern(pattern, &schema)?;
                self.named(pattern, |walk| walk.below(Step::Any, &schema))
            }),
        }
    }

    /// Reads what stands below a name; in a path, two characters become two each.
    fn named(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        let before = self.path_bytes;
        self.path_bytes += 1 + name.len() + name.matches(['~', '/']).count();
        let result = read(self);
        self.path_bytes = before;
        result
    }

    fn below(&mut self, step: Step, node: &Node<'_>) -> Result<(), ManifestError> {
        self.here.push(step);
        let result = self.schema(node);
        self.here.pop();
        result
    }

    fn condition(&mut self, node: &Node<'_>) -> Result<(), ManifestError> {
        let outside = std::mem::replace(&mut self.in_condition, true);
        let result = self.schema(node);
        self.in_condition = outside;
        result
    }

    fn mark(&mut self, node: &Node<'_>) -> Result<(), ManifestError> {
        let Some(marked) = node.value.as_bool() else {
            return Err(node.error(
                "`sensitive` is not true or false",
                "write `sensitive = true`",
            ));
        };
        if marked && self.in_condition {
            return Err(node.error_at_key(
                "`sensitive` inside a condition marks nothing",
                "mark the property where it is described",
            ));
        }
        if marked {
            self.sensitive.insert(self.here.clone());
        }
        Ok(())
    }
}

fn keyword(name: &str) -> Option<Keyword> {
    if EVERY.contains(&name) {
        return Some(Keyword::Every);
    }
    KEYWORDS
        .iter()
        .find(|(word, _)| *word == name)
        .map(|(_, keyword)| *keyword)
}

fn unknown(name: &str, node: &Node<'_>) -> ManifestError {
    let remedy = match name {
        "$ref" | "$defs" | "definitions" => "write the schema out where it is used".to_owned(),
        _ => suggest::remedy(name, KEYWORDS.iter().map(|(word, _)| *word).chain(EVERY)),
    };
    node.error_at_key(format!("unknown schema keyword `{}`", cut(name)), remedy)
}

fn check_type(node: &Node<'_>) -> Result<(), ManifestError> {
    let words = TYPES.map(|word| (word, ()));
    if node.value.is_array() {
        return node
            .set(|entry| entry.choice(&words).and_then(|()| entry.text()))
            .map(drop);
    }
    node.choice(&words)
}

fn check_number(node: &Node<'_>) -> Result<(), ManifestError> {
    match json(node)?.is_number() {
        true => Ok(()),
        false => Err(node.error("not a number", "write a number without quotes")),
    }
}

fn check_count(node: &Node<'_>) -> Result<(), ManifestError> {
    match json(node)?.is_u64() {
        true => Ok(()),
        false => Err(node.error("not a whole number from 0", "write a number such as 10")),
    }
}

/// The TOML value as JSON. Dates, infinities and what exceeds 64 bits have no
/// JSON form.
fn json(node: &Node<'_>) -> Result<Value, ManifestError> {
    let no_form = || {
        node.error(
            "has no form in JSON",
            "write a text, a finite number, true, false, a list or a table",
        )
    };
    Ok(match node.value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| no_form())?,
        DeValue::Float(number) => {
            let finite = number.as_str().parse().ok().and_then(Number::from_f64);
            Value::Number(finite.ok_or_else(no_form)?)
        }
        DeValue::Array(elements) if elements.is_empty() => Value::Array(Vec::new()),
        DeValue::Array(_) => Value::Array(
            node.list()?
                .map(|element| json(&element))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(_) => {
            let fields = node
                .fields()?
                .map(|(name, value)| Ok((name.to_owned(), json(&value)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, ManifestError>>()?)
        }
        DeValue::Datetime(_) => return Err(no_form()),
    })
}

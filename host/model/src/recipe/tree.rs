//! A document as values that know where they stand, before anything is known
//! about recipes.

use serde_json::{Number, Value};

use super::error::{Errors, Place};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Located>),
    Map(Vec<(Key, Located)>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Place,
}

impl Located {
    /// What the author would call it.
    pub(super) const fn type_word(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing (null)",
            Content::Bool(_) => "true or false",
            Content::Number(_) => "a number",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// The plain JSON value.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(value) => Value::Number(value.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(elements) => elements.iter().map(Self::to_value).collect(),
            Content::Map(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.to_value()));
                Value::Object(fields.collect())
            }
        }
    }

    /// Adds an error for every key that stands twice in one map.
    pub(super) fn refuse_repeated_keys(&self, path: &str, errors: &mut Errors) {
        match &self.content {
            Content::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    element.refuse_repeated_keys(&format!("{path}[{index}]"), errors);
                }
            }
            Content::Map(fields) => {
                let mut seen = std::collections::HashMap::new();
                for (key, value) in fields {
                    let child = join(path, &key.name);
                    if let Some(first) = seen.insert(&key.name, key.place.line) {
                        errors.add(
                            key.place,
                            &child,
                            format!("`{}` is written twice", cut(&key.name)),
                            format!("remove this one or the one in line {first}"),
                        );
                    }
                    value.refuse_repeated_keys(&child, errors);
                }
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {}
        }
    }
}

/// The path of the field `name` inside `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        cut(name)
    } else {
        format!("{path}.{}", cut(name))
    }
}

/// At most 80 characters of what the author wrote.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

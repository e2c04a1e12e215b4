//! Values with expressions in them, and expressions that stand alone. Both
//! stay text here and keep their places for the errors of the component that
//! parses them.

use serde_json::Value;

use super::error::{Errors, Place};
use super::tree::{Content, Located};
use super::words;

/// A JSON value whose texts may hold `${ expression }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The value, with its expressions as text.
    pub value: Value,
    /// Where the value stands.
    pub place: Place,
    /// JSON pointers of the texts that hold expressions, and where they stand.
    places: Vec<(String, Place)>,
}

/// An expression that stands alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// The expression, without `${ }` around it.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

impl Template {
    pub(super) fn of(node: &Located) -> Self {
        let mut places = Vec::new();
        note_places(node, "", &mut places);
        Self {
            value: node.to_value(),
            place: node.place,
            places,
        }
    }

    /// The template that is just `value`, for a field that was left out.
    pub(super) fn constant(value: impl Into<Value>, place: Place) -> Self {
        Self {
            value: value.into(),
            place,
            places: Vec::new(),
        }
    }

    /// Whether it holds no expression.
    pub fn is_constant(&self) -> bool {
        self.places.is_empty()
    }

    /// Where the text at `pointer` stands, or the whole if that is unknown.
    pub fn place_of(&self, pointer: &str) -> Place {
        let found = self.places.iter().find(|(known, _)| known == pointer);
        found.map_or(self.place, |(_, place)| *place)
    }
}

impl Expression {
    pub(super) fn of(node: &Located, path: &str, errors: &mut Errors) -> Option<Self> {
        let text = words::text(node, path, errors)?.trim();
        let bare = text
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'));
        let bare = bare.unwrap_or(text).trim();
        if bare.is_empty() {
            let remedy = "write an expression: `steps.create.status == 'accepted'`";
            errors.add(node.place, path, format!("`{path}` is empty"), remedy);
            return None;
        }
        Some(Self {
            text: bare.to_owned(),
            place: node.place,
        })
    }
}

fn note_places(node: &Located, pointer: &str, places: &mut Vec<(String, Place)>) {
    match &node.content {
        Content::Text(text) if text.contains("${") => places.push((pointer.to_owned(), node.place)),
        Content::List(elements) => {
            for (index, element) in elements.iter().enumerate() {
                note_places(element, &format!("{pointer}/{index}"), places);
            }
        }
        Content::Map(fields) => {
            for (key, value) in fields {
                let name = key.name.replace('~', "~0").replace('/', "~1");
                note_places(value, &format!("{pointer}/{name}"), places);
            }
        }
        Content::Text(_) | Content::Null | Content::Bool(_) | Content::Number(_) => {}
    }
}

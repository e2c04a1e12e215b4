//! JSON text to a tree with places.
//!
//! Each value is first taken as raw text, whose address tells where it stands,
//! and then read one level deep.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{Place, RecipeError, RecipeErrors};
use super::tree::{Content, Key, Located};
use crate::limit::{DOCUMENT_LEVELS_MAX, DOCUMENT_NODES_MAX};

pub(super) fn read(text: &str) -> Result<Located, RecipeErrors> {
    let lines = Lines::of(text);
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        let place = Place {
            line: error.line().max(1),
            column: error.column().max(1),
        };
        RecipeErrors::from(not_json(place, &message))
    })?;
    lines.value(raw, 0).map_err(RecipeErrors::from)
}

fn not_json(place: Place, message: &str) -> RecipeError {
    let remedy = "look for a missing comma, quote or bracket just before it";
    RecipeError::new(
        place,
        "",
        format!("this is not the JSON of a recipe: {message}"),
        remedy,
    )
}

/// The text with the offsets at which its lines start.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// Values that were read, and keys.
    nodes: Cell<usize>,
    /// The offset and the place that were asked for last: what comes next in the same line
    /// is counted from there.
    last: Cell<(usize, Place)>,
    #[cfg(test)]
    counted_bytes: Cell<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let later = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(later).collect(),
            nodes: Cell::new(0),
            last: Cell::new((0, Place { line: 1, column: 1 })),
            #[cfg(test)]
            counted_bytes: Cell::new(0),
        }
    }

    /// Where `part`, a piece of the text, starts.
    fn place(&self, part: &str) -> Place {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let (from, column) = match self.last.get() {
            (last, place) if place.line == line && last <= offset => (last, place.column),
            _ => (start, 1),
        };
        let between = self.text.get(from..offset).unwrap_or_default();
        #[cfg(test)]
        self.counted_bytes
            .set(self.counted_bytes.get() + between.len());
        let place = Place {
            line,
            column: column + between.chars().count(),
        };
        self.last.set((offset, place));
        place
    }

    fn value(&self, raw: &'t RawValue, level: usize) -> Result<Located, RecipeError> {
        let text = raw.get();
        let place = self.place(text);
        if level > DOCUMENT_LEVELS_MAX {
            return Err(RecipeError::new(
                place,
                "",
                format!(
                    "lists and maps are nested more than `DOCUMENT_LEVELS_MAX` ({DOCUMENT_LEVELS_MAX}) levels deep"
                ),
                "build the value in several steps",
            ));
        }
        self.count(place)?;
        let broken = |error: serde_json::Error| not_json(place, &error.to_string());
        let content = match text.as_bytes().first() {
            Some(b'{') => {
                let fields = serde_json::Deserializer::from_str(text)
                    .deserialize_map(Fields)
                    .map_err(broken)?;
                let field = |(key, value): (&'t RawValue, &'t RawValue)| {
                    Ok((self.key(key)?, self.value(value, level + 1)?))
                };
                Content::Map(
                    fields
                        .into_iter()
                        .map(field)
                        .collect::<Result<_, RecipeError>>()?,
                )
            }
            Some(b'[') => {
                let elements: Vec<&'t RawValue> = serde_json::from_str(text).map_err(broken)?;
                let elements = elements
                    .into_iter()
                    .map(|element| self.value(element, level + 1));
                Content::List(elements.collect::<Result<_, RecipeError>>()?)
            }
            _ => match serde_json::from_str(text).map_err(broken)? {
                Value::Bool(value) => Content::Bool(value),
                Value::Number(value) => Content::Number(value),
                Value::String(value) => Content::Text(value),
                Value::Null | Value::Array(_) | Value::Object(_) => Content::Null,
            },
        };
        Ok(Located { place, content })
    }

    fn count(&self, place: Place) -> Result<(), RecipeError> {
        let nodes = self.nodes.get() + 1;
        self.nodes.set(nodes);
        if nodes > DOCUMENT_NODES_MAX {
            return Err(RecipeError::new(
                place,
                "",
                format!(
                    "the recipe has more than `DOCUMENT_NODES_MAX` ({DOCUMENT_NODES_MAX}) keys and values"
                ),
                "make several recipes of it, or bring what is long with the event",
            ));
        }
        Ok(())
    }

    fn key(&self, raw: &'t RawValue) -> Result<Key, RecipeError> {
        let place = self.place(raw.get());
        self.count(place)?;
        let name = serde_json::from_str(raw.get());
        let name = name.map_err(|error| not_json(place, &error.to_string()))?;
        Ok(Key { name, place })
    }
}

/// Reads a map as pairs of raw texts, those of repeated keys included.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
mod tests {
    use super::*;

    #[test]
    fn places_in_one_long_line_are_counted_once() {
        let list = vec!["1"; 10_000].join(", ");
        let text = format!("{{\"é\": [{list}], \"é\\u0061\": {{\"b\": [\"ü\", 2]}}}}");
        let lines = Lines::of(&text);
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        let read = lines.value(raw, 0).unwrap();
        assert!(lines.counted_bytes.get() <= text.len());
        // The last value of all: in characters, and not in bytes.
        let last = text.chars().count() - "2]}}".len() + 1;
        let Content::Map(fields) = read.content else {
            panic!("it is a map")
        };
        let Content::Map(inner) = &fields[1].1.content else {
            panic!("it is a map")
        };
        let Content::List(elements) = &inner[0].1.content else {
            panic!("it is a list")
        };
        let place = elements[1].place;
        assert_eq!((place.line, place.column), (1, last));
        assert_eq!(fields[1].0.name, "éa");
    }
}

//! YAML text to a tree with places.
//!
//! YAML 1.2 booleans only; no merge keys, no unknown tags, no second document;
//! aliases within a budget, so that a small text cannot become a large tree.
//! The parser calls itself for each level and takes up to 40 kB of stack for
//! one in a build without optimization, so it runs on a stack of its own.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Options, SnippetMode, Spanned};

use super::error::{Place, RecipeError, RecipeErrors};
use super::tree::{Content, Key, Located};
use crate::limit::{DOCUMENT_BYTES_MAX, DOCUMENT_LEVELS_MAX, DOCUMENT_NODES_MAX};

/// Stack for [`DOCUMENT_LEVELS_MAX`] levels, with room to spare.
const STACK_BYTES: usize = 8 << 20;

/// Bytes of all texts, with those that aliases repeat; the parser counts one that has
/// an anchor twice.
const TEXT_BYTES: usize = 4 * DOCUMENT_BYTES_MAX;

pub(super) fn read(text: &str) -> Result<Located, RecipeErrors> {
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(STACK_BYTES);
        let parser = parser.spawn_scoped(scope, || parse(text)).ok();
        parser
            .and_then(|parser| parser.join().ok())
            .unwrap_or_else(|| {
                let message = "the recipe could not be parsed: the machine has no room for it now";
                Err(RecipeErrors::from(RecipeError::new(
                    Place::START,
                    "",
                    message,
                    "try again",
                )))
            })
    })
}

fn parse(text: &str) -> Result<Located, RecipeErrors> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let at = error.location().unwrap_or(serde_saphyr::Location::UNKNOWN);
        let message = error.render_with_options(serde_saphyr::render_options! {
            snippets: SnippetMode::Off,
        });
        let message = message.lines().next().unwrap_or_default().to_owned();
        let message = match message.contains("ScalarBytes") {
            true => format!(
                "with what aliases repeat, its texts are longer than {TEXT_BYTES} bytes, \
                 four times DOCUMENT_BYTES_MAX"
            ),
            false => without_place(&message),
        };
        RecipeErrors::from(RecipeError::new(
            place(at),
            "",
            format!("this is not the YAML of a recipe: {message}"),
            "compare indentation and quotes with the lines before it",
        ))
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: DOCUMENT_LEVELS_MAX,
            max_nodes: DOCUMENT_NODES_MAX,
            max_events: 4 * DOCUMENT_NODES_MAX,
            max_total_scalar_bytes: TEXT_BYTES,
            max_aliases: 1_000,
            max_anchors: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: DOCUMENT_NODES_MAX,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 1_000,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The message without the place at its end, which the error names itself.
fn without_place(message: &str) -> String {
    let end = message.find(" at line ").unwrap_or(message.len());
    message
        .get(..end)
        .unwrap_or(message)
        .trim_end_matches(':')
        .to_owned()
}

fn place(at: serde_saphyr::Location) -> Place {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).max(1);
    Place {
        line: number(at.line()),
        column: number(at.column()),
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            place: place(spanned.referenced),
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON knows")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value);
        number
            .map(Content::Number)
            .ok_or_else(|| E::custom("JSON does not know this number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Content::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key {
                place: place(key.referenced),
                name: key.value,
            };
            fields.push((key, map.next_value()?));
        }
        Ok(Content::Map(fields))
    }
}

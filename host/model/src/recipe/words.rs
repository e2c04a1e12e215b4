//! The small values of a recipe: names, ids, lines of text, durations.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Errors;
use super::tree::{Content, Located, cut};
use crate::name::Name;

/// Words that CEL keeps for itself, and the variables that Keyway sets.
const RESERVED: [&str; 25] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "index",
    "job",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "steps",
    "trigger",
    "true",
    "var",
    "void",
    "while",
];

/// A step's id, or the name of a variable: 1 to 63 characters, a lower-case
/// letter, then lower-case letters, digits and `_`; no word of CEL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StepId(String);

impl StepId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a step that has none: its kind and its number in the recipe.
    pub(super) fn generated(kind: &str, number: usize) -> Self {
        Self(format!("{kind}_{number}"))
    }
}

impl FromStr for StepId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let letters = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
            && text.len() <= 63;
        if !letters {
            return Err(format!(
                "`{}` is not an identifier: write 1 to 63 characters, a lower-case letter first, then lower-case letters, digits or `_`",
                cut(text)
            ));
        }
        if RESERVED.contains(&text) {
            return Err(format!("`{text}` is a word of expressions: choose another"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for StepId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StepId> for String {
    fn from(id: StepId) -> Self {
        id.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The text in `node`.
pub(super) fn text<'t>(node: &'t Located, path: &str, errors: &mut Errors) -> Option<&'t str> {
    if let Content::Text(text) = &node.content {
        return Some(text);
    }
    let message = format!("`{path}` is {}", node.type_word());
    errors.add(
        node.place,
        path,
        message,
        "write a text, in quotes if it looks like a number",
    );
    None
}

/// The [`Name`] in `node`.
pub(super) fn name(node: &Located, path: &str, errors: &mut Errors) -> Option<Name> {
    parsed(node, path, errors)
}

/// The identifier in `node`.
pub(super) fn step_id(node: &Located, path: &str, errors: &mut Errors) -> Option<StepId> {
    parsed(node, path, errors)
}

/// A text whose parser's errors have the form "what is wrong: what to write".
fn parsed<T>(node: &Located, path: &str, errors: &mut Errors) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text(node, path, errors)?
        .parse()
        .map_err(|error: T::Err| {
            let error = error.to_string();
            let (message, remedy) = error.split_once(": ").unwrap_or((&error, "change it"));
            errors.add(node.place, path, message, remedy);
        })
        .ok()
}

/// A text for people of 1 to `characters_max` characters.
pub(super) fn line(
    node: &Located,
    path: &str,
    characters_max: usize,
    errors: &mut Errors,
) -> Option<String> {
    let text = text(node, path, errors)?;
    let characters = text.chars().count();
    if text.trim().is_empty() || characters > characters_max {
        let message = format!("`{path}` has {characters} characters");
        errors.add(
            node.place,
            path,
            message,
            format!("write 1 to {characters_max}"),
        );
        return None;
    }
    Some(text.to_owned())
}

/// `connector.action` in `node`.
pub(super) fn dotted(node: &Located, path: &str, errors: &mut Errors) -> Option<(Name, Name)> {
    let text = text(node, path, errors)?;
    let names = text
        .split_once('.')
        .and_then(|(connector, action)| Some((connector.parse().ok()?, action.parse().ok()?)));
    if names.is_none() {
        let message = format!("`{}` does not name an action", cut(text));
        let remedy = "write the connector's name, a dot and the action's name: `orders.create`";
        errors.add(node.place, path, message, remedy);
    }
    names
}

/// A whole number from `least` to `most`.
pub(super) fn whole(
    node: &Located,
    path: &str,
    (least, most): (usize, usize),
    errors: &mut Errors,
) -> Option<usize> {
    if let Content::Number(number) = &node.content
        && let Some(value) = number
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
        && (least..=most).contains(&value)
    {
        return Some(value);
    }
    let message = format!("`{path}` is not a number that fits");
    errors.add(
        node.place,
        path,
        message,
        format!("write a whole number from {least} to {most}"),
    );
    None
}

/// `true` or `false` in `node`.
pub(super) fn yes_or_no(node: &Located, path: &str, errors: &mut Errors) -> Option<bool> {
    if let Content::Bool(value) = node.content {
        return Some(value);
    }
    let message = format!("`{path}` is {}", node.type_word());
    errors.add(
        node.place,
        path,
        message,
        "write true or false, without quotes",
    );
    None
}

/// A duration such as `60s`, `5m` or `1h`, from a second to 31 days.
pub(super) fn duration(node: &Located, path: &str, errors: &mut Errors) -> Option<Duration> {
    let text = text(node, path, errors)?;
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let seconds = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .filter(|(digits, _)| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|(digits, seconds)| digits.parse::<u64>().ok()?.checked_mul(*seconds))
        .filter(|seconds| (1..=31 * 86_400).contains(seconds));
    if seconds.is_none() {
        let message = format!("`{}` is not a duration from 1s to 31d", cut(text));
        errors.add(
            node.place,
            path,
            message,
            "write a number and s, m, h or d: `60s`",
        );
    }
    seconds.map(Duration::from_secs)
}

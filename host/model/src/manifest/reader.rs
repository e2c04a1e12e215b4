//! A strict walk over TOML that knows where everything stands.
//!
//! Every table says which fields it knows; an unknown one is an error with its
//! line, never dropped. Nothing here knows what a manifest is.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ManifestError, at};
use super::suggest;
use crate::name::Name;

/// Characters of one key that a path shows.
const SHOWN_CHARS: usize = 80;

/// One value of the document, with its place.
#[derive(Clone, Debug)]
pub(super) struct Node<'d> {
    text: &'d str,
    /// Where errors about the value as a whole point to: its key.
    key: Range<usize>,
    span: Range<usize>,
    /// The keys that lead here, joined by dots; long ones are cut.
    pub(super) path: String,
    /// The value itself.
    pub(super) value: &'d DeValue<'d>,
}

/// A table whose every field is known.
#[derive(Debug)]
pub(super) struct Table<'d> {
    node: Node<'d>,
    fields: &'d DeTable<'d>,
}

impl<'d> Node<'d> {
    /// The whole of `document`, which was parsed from `text`.
    pub(super) fn root(text: &'d str, document: &'d DeValue<'d>) -> Self {
        Self {
            text,
            key: 0..0,
            span: 0..0,
            path: String::new(),
            value: document,
        }
    }

    /// An error about this value.
    pub(super) fn error(
        &self,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ManifestError {
        at(self.text, &self.span, &self.path, message, remedy)
    }

    /// An error about this value's place: something is missing in it.
    pub(super) fn error_at_key(
        &self,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ManifestError {
        at(self.text, &self.key, &self.path, message, remedy)
    }

    fn child(&self, key: &'d Spanned<Cow<'d, str>>, value: &'d Spanned<DeValue<'d>>) -> Self {
        let name = shown(key.get_ref());
        let path = if self.path.is_empty() {
            name.into_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Self {
            text: self.text,
            key: key.span(),
            span: value.span(),
            path,
            value: value.get_ref(),
        }
    }

    fn wrong_type(&self, expected: &str) -> ManifestError {
        let found = self.value.type_str();
        self.error(
            format!("`{}` is a TOML {found}", self.path),
            format!("write {expected}"),
        )
    }

    /// The table's fields in any order, without a check of their names.
    pub(super) fn fields(
        &self,
    ) -> Result<impl Iterator<Item = (&'d str, Self)> + use<'d>, ManifestError> {
        let DeValue::Table(table) = self.value else {
            return Err(self.wrong_type("a table"));
        };
        let node = self.clone();
        Ok(table
            .iter()
            .map(move |(key, value)| (key.get_ref().as_ref(), node.child(key, value))))
    }

    /// The table, after a check that it holds nothing but `known` fields.
    pub(super) fn table(&self, known: &[&str]) -> Result<Table<'d>, ManifestError> {
        let DeValue::Table(fields) = self.value else {
            return Err(self.wrong_type("a table"));
        };
        for key in fields.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let place = if self.path.is_empty() {
                    "the manifest"
                } else {
                    &format!("`{}`", self.path)
                };
                let message = format!("unknown field `{}` in {place}", cut(name));
                let remedy = suggest::remedy(name, known.iter().copied());
                return Err(at(self.text, &key.span(), &self.path, message, remedy));
            }
        }
        Ok(Table {
            node: self.clone(),
            fields,
        })
    }

    /// The table as a map from names that the author chose.
    pub(super) fn named(&self) -> Result<Vec<(Name, Self)>, ManifestError> {
        self.fields()?
            .map(|(key, node)| match key.parse::<Name>() {
                Ok(name) => Ok((name, node)),
                Err(_) => Err(node.error_at_key(
                    format!("`{}` is not a name", cut(key)),
                    "write 1 to 63 characters, a lower-case letter first, then lower-case letters, digits, `-` or `_`",
                )),
            })
            .collect()
    }

    /// The text.
    pub(super) fn text(&self) -> Result<&'d str, ManifestError> {
        self.value
            .as_str()
            .ok_or_else(|| self.wrong_type("a text in quotes"))
    }

    /// The whole number, 0 or more.
    pub(super) fn number(&self) -> Result<u64, ManifestError> {
        let DeValue::Integer(integer) = self.value else {
            return Err(self.wrong_type("a whole number"));
        };
        u64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| {
            self.error(
                format!("`{}` is negative or too large", self.path),
                "write a whole number from 1",
            )
        })
    }

    /// One line of 1 to `most` characters for people.
    pub(super) fn words(&self, most: usize) -> Result<String, ManifestError> {
        let text = self.text()?;
        if text.trim().is_empty() || text.chars().count() > most || text.chars().any(is_hidden) {
            return Err(self.error(
                format!(
                    "`{}` is empty, too long, or has a character that does not show",
                    self.path
                ),
                format!("write one line of 1 to {most} characters"),
            ));
        }
        Ok(text.to_owned())
    }

    /// The text, read as a `T`.
    pub(super) fn parse<T>(&self, remedy: &str) -> Result<T, ManifestError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text()?
            .parse()
            .map_err(|e: T::Err| self.error(e.to_string(), remedy))
    }

    /// The text, which must be one of `choices`.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ManifestError> {
        let text = self.text()?;
        choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let words = choices.iter().map(|(word, _)| *word);
                self.error(
                    format!("`{}` does not know `{}`", self.path, cut(text)),
                    suggest::remedy(text, words),
                )
            })
    }

    /// The elements of a list that must not be empty.
    pub(super) fn list(&self) -> Result<impl Iterator<Item = Self> + use<'d>, ManifestError> {
        let DeValue::Array(elements) = self.value else {
            return Err(self.wrong_type("a list in brackets"));
        };
        if elements.is_empty() {
            return Err(self.error(
                format!("`{}` is empty", self.path),
                "list at least one, or remove the field",
            ));
        }
        let node = self.clone();
        let element = move |(index, value): (usize, &'d Spanned<DeValue<'d>>)| Self {
            text: node.text,
            key: value.span(),
            span: value.span(),
            path: format!("{}[{index}]", node.path),
            value: value.get_ref(),
        };
        Ok(elements.iter().enumerate().map(element))
    }

    /// How many elements the list has; 0 if it is none.
    pub(super) fn len(&self) -> usize {
        self.value.as_array().map_or(0, |elements| elements.len())
    }

    /// That the list has no more elements than the limit `name` lets it.
    pub(super) fn at_most(
        &self,
        (name, most): (&str, usize),
        remedy: &str,
    ) -> Result<(), ManifestError> {
        let count = self.len();
        if count > most {
            let message = format!(
                "`{}` has {count} entries, more than `{name}` ({most})",
                self.path
            );
            return Err(self.error(message, remedy));
        }
        Ok(())
    }

    /// The elements of a list, each read by `read`, none of them twice.
    pub(super) fn set<T: Clone + Eq + Hash>(
        &self,
        read: impl Fn(&Self) -> Result<T, ManifestError>,
    ) -> Result<Vec<T>, ManifestError> {
        let (mut values, mut known) = (Vec::new(), HashSet::new());
        for node in self.list()? {
            let value = read(&node)?;
            if !known.insert(value.clone()) {
                return Err(node.error(
                    format!("`{}` repeats an earlier entry", node.path),
                    "remove it",
                ));
            }
            values.push(value);
        }
        Ok(values)
    }
}

impl<'d> Table<'d> {
    /// The field `name`, if it is there.
    pub(super) fn optional(&self, name: &str) -> Option<Node<'d>> {
        let (key, value) = self.fields.get_key_value(name)?;
        Some(self.node.child(key, value))
    }

    /// The field `name`; `example` shows how to write it.
    pub(super) fn required(&self, name: &str, example: &str) -> Result<Node<'d>, ManifestError> {
        self.optional(name)
            .ok_or_else(|| self.missing(name, example))
    }

    /// The error that the field `name` is missing.
    pub(super) fn missing(&self, name: &str, example: &str) -> ManifestError {
        let place = if self.node.path.is_empty() {
            "the manifest"
        } else {
            &format!("`{}`", self.node.path)
        };
        self.node.error_at_key(
            format!("{place} has no `{name}`"),
            format!("add `{example}`"),
        )
    }
}

/// At most 80 characters of what the author wrote, without hidden ones.
pub(super) fn cut(text: &str) -> String {
    text.chars()
        .filter(|c| !is_hidden(*c))
        .take(SHOWN_CHARS)
        .collect()
}

/// A key as a part of a path: each value below it has one.
fn shown(key: &str) -> Cow<'_, str> {
    match key.len() > SHOWN_CHARS {
        true => Cow::Owned(cut(key)),
        false => Cow::Borrowed(key),
    }
}

/// Characters that steer a terminal or turn text around: a page for reviewers
/// must show what is written.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::cell::Cell;

    use super::*;

    thread_local!(static COMPARED: Cell<usize> = const { Cell::new(0) });

    #[derive(Clone, Eq)]
    struct Entry<'d>(&'d str);

    impl Hash for Entry<'_> {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    impl PartialEq for Entry<'_> {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    #[test]
    fn entries_of_a_long_list_are_not_compared_each_with_each() {
        let entries: Vec<_> = (0..1_000).map(|at| format!("'{at}'")).collect();
        let text = format!("all = [{}]", entries.join(","));
        let document = DeValue::Table(DeTable::parse(&text).unwrap().into_inner());
        let root = Node::root(&text, &document).table(&["all"]).unwrap();
        let all = root.optional("all").unwrap();
        let read = all.set(|entry| entry.text().map(Entry)).unwrap();
        assert_eq!(read.len(), 1_000);
        assert!(COMPARED.get() < 1_000, "{}", COMPARED.get());
    }
}

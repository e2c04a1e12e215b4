//! A map whose fields are asked for by name, and which knows no others.

use super::error::{Errors, Place};
use super::tree::{Content, Key, Located, cut, join};
use crate::manifest::suggest;

/// The fields of one map.
#[derive(Debug)]
pub(super) struct Fields<'t> {
    pub(super) place: Place,
    pub(super) path: String,
    what: &'static str,
    entries: &'t [(Key, Located)],
}

impl<'t> Fields<'t> {
    /// The fields of `node`, which must be a map. `what` is what the author
    /// would call it.
    pub(super) fn of(
        node: &'t Located,
        path: &str,
        what: &'static str,
        errors: &mut Errors,
    ) -> Option<Self> {
        if let Content::Map(entries) = &node.content {
            return Some(Self {
                place: node.place,
                path: path.to_owned(),
                what,
                entries,
            });
        }
        let message = format!("{what} is {}", node.type_word());
        errors.add(
            node.place,
            path,
            message,
            "write a map of fields: `name: value`",
        );
        None
    }

    /// Adds an error for every field that is not one of `known`.
    pub(super) fn allow(&self, known: &[&str], errors: &mut Errors) {
        for (key, _) in self.entries {
            if !known.contains(&key.name.as_str()) {
                let message = format!("unknown field `{}` in {}", cut(&key.name), self.what);
                let remedy = suggest::remedy(&key.name, known.iter().copied());
                errors.add(key.place, &join(&self.path, &key.name), message, remedy);
            }
        }
    }

    /// The field `name`, if it is there.
    pub(super) fn optional(&self, name: &str) -> Option<&'t Located> {
        self.entries
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(_, value)| value)
    }

    /// The field `name`; `example` shows how to write it.
    pub(super) fn required(
        &self,
        name: &str,
        example: &str,
        errors: &mut Errors,
    ) -> Option<&'t Located> {
        let found = self.optional(name);
        if found.is_none() {
            let message = format!("{} has no `{name}`", self.what);
            errors.add(self.place, &self.path, message, format!("add `{example}`"));
        }
        found
    }

    /// The names of the fields, in the order of the text.
    pub(super) fn names(&self) -> impl Iterator<Item = &'t Key> {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The path of the field `name`.
    pub(super) fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

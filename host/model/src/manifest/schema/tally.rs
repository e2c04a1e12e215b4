//! What all schemas of one manifest come to.
//!
//! They are compiled, and inputs are checked with them, where every tenant is
//! served. So whatever costs there is counted over the manifest and refused by
//! the name of its limit; what the check of one input costs is the gate's to count.

use std::cell::Cell;

use toml::de::DeValue;

use super::super::error::ManifestError;
use super::super::reader::{Node, cut};
use crate::limit::{
    ENUM_MIXED_VALUES_MAX, ENUM_VALUES_MAX, SCHEMA_NAME_BYTES_MAX, SCHEMA_NODES_MAX,
    SCHEMA_PATHS_BYTES_MAX, SCHEMA_PATTERN_BYTES_MAX, SCHEMA_PATTERNS_MAX, SCHEMA_VALUES_MAX,
};

/// What the schemas that were read so far come to.
#[derive(Debug, Default)]
pub(in crate::manifest) struct Tally {
    schemas: Cell<usize>,
    paths_bytes: Cell<usize>,
    patterns: Cell<usize>,
    values: Cell<usize>,
}

impl Tally {
    /// So many further schemas, or names of `required`.
    pub(super) fn schemas(&self, more: usize, node: &Node<'_>) -> Result<(), ManifestError> {
        if counted(&self.schemas, more) > SCHEMA_NODES_MAX {
            return Err(node.error_at_key(
                format!("the manifest has more schemas than `SCHEMA_NODES_MAX` ({SCHEMA_NODES_MAX}), names of `required` among them"),
                "describe less, or make it two connectors",
            ));
        }
        Ok(())
    }

    /// So many keywords whose path has so many bytes.
    pub(super) fn paths(
        &self,
        keywords: usize,
        path_bytes: usize,
        node: &Node<'_>,
    ) -> Result<(), ManifestError> {
        let more = keywords.saturating_mul(path_bytes);
        if counted(&self.paths_bytes, more) > SCHEMA_PATHS_BYTES_MAX {
            return Err(node.error_at_key(
                format!("the paths of what the manifest's schemas say have more bytes than `SCHEMA_PATHS_BYTES_MAX` ({SCHEMA_PATHS_BYTES_MAX})"),
                "nest less deeply, or give what contains much a shorter name or pattern",
            ));
        }
        Ok(())
    }

    /// The name of a property, described or required.
    pub(super) fn name(&self, name: &str, node: &Node<'_>) -> Result<(), ManifestError> {
        if name.len() > SCHEMA_NAME_BYTES_MAX {
            return Err(node.error_at_key(
                format!(
                    "the name `{}` has more bytes than `SCHEMA_NAME_BYTES_MAX` ({SCHEMA_NAME_BYTES_MAX})",
                    cut(name)
                ),
                "describe it by `additionalProperties` or `patternProperties`, and leave it out of `required`",
            ));
        }
        Ok(())
    }

    /// A pattern; whether it is one is the gate's to say.
    pub(super) fn pattern(&self, pattern: &str, node: &Node<'_>) -> Result<(), ManifestError> {
        if pattern.len() > SCHEMA_PATTERN_BYTES_MAX {
            return Err(node.error_at_key(
                format!(
                    "the pattern `{}` has more bytes than `SCHEMA_PATTERN_BYTES_MAX` ({SCHEMA_PATTERN_BYTES_MAX})",
                    cut(pattern)
                ),
                "list texts in `enum`, or write a simpler pattern",
            ));
        }
        if counted(&self.patterns, 1) > SCHEMA_PATTERNS_MAX {
            return Err(node.error_at_key(
                format!(
                    "the manifest has more patterns than `SCHEMA_PATTERNS_MAX` ({SCHEMA_PATTERNS_MAX})"
                ),
                "keep those that the service itself insists on",
            ));
        }
        Ok(())
    }

    /// The values of an `enum`.
    pub(super) fn enumerated(&self, node: &Node<'_>) -> Result<(), ManifestError> {
        node.at_most(
            ("ENUM_VALUES_MAX", ENUM_VALUES_MAX),
            "leave the check to the service",
        )?;
        if is_mixed(node)? {
            node.at_most(
                ("ENUM_MIXED_VALUES_MAX", ENUM_MIXED_VALUES_MAX),
                "list texts alone, or whole numbers alone: only those are looked up at once",
            )?;
        }
        self.values(node)
    }

    /// A value of any form, or a list of such.
    pub(super) fn values(&self, node: &Node<'_>) -> Result<(), ManifestError> {
        if counted(&self.values, values_in(node.value)) > SCHEMA_VALUES_MAX {
            return Err(node.error_at_key(
                format!("the manifest has more values in `enum`, `const`, `default` and `examples` than `SCHEMA_VALUES_MAX` ({SCHEMA_VALUES_MAX})"),
                "give fewer examples, or leave some of the checks to the service",
            ));
        }
        Ok(())
    }
}

/// The sum with `more`.
fn counted(sum: &Cell<usize>, more: usize) -> usize {
    sum.set(sum.get().saturating_add(more));
    sum.get()
}

/// Whether an `enum` is neither of texts alone nor of whole numbers alone. TOML
/// has no null.
fn is_mixed(node: &Node<'_>) -> Result<bool, ManifestError> {
    let (mut texts, mut numbers) = (true, true);
    for element in node.list()? {
        texts &= matches!(element.value, DeValue::String(_));
        numbers &= matches!(element.value, DeValue::Integer(_));
    }
    Ok(!texts && !numbers)
}

/// How many values there are in one, itself included.
fn values_in(value: &DeValue<'_>) -> usize {
    let inside: usize = match value {
        DeValue::Array(elements) => elements
            .iter()
            .map(|element| values_in(element.get_ref()))
            .sum(),
        DeValue::Table(fields) => fields
            .iter()
            .map(|(_, field)| values_in(field.get_ref()))
            .sum(),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => 0,
    };
    1 + inside
}

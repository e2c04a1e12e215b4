//! Expression trees, and which variables they can look at.
//!
//! The expression component alone reads a tree. The host knows just enough of
//! the encoding (`docs/expressions.md`) to send no variable that a tree cannot
//! name: every value that is sent costs its parsing in a fresh instance.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An expression's tree: JSON that only the expression component reads.
#[derive(Clone, Debug)]
pub struct Tree {
    raw: Box<RawValue>,
    uses: Uses,
}

/// What a tree may look at. Never less than it does; a name of a macro's own
/// variable may count, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) trigger: bool,
    pub(crate) job: bool,
    /// All outputs, whatever their step.
    all_steps: bool,
    steps: BTreeSet<String>,
}

impl Tree {
    /// The tree that the component sent.
    pub fn new(raw: Box<RawValue>) -> Self {
        let mut uses = Uses::default();
        match serde_json::from_str::<Value>(raw.get()) {
            Ok(tree) => uses.note(&tree),
            Err(_) => uses = Uses::everything(),
        }
        Self { raw, uses }
    }

    pub(crate) const fn uses(&self) -> &Uses {
        &self.uses
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.raw.get() == other.raw.get()
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::new)
    }
}

impl Uses {
    fn everything() -> Self {
        Self {
            trigger: true,
            job: true,
            all_steps: true,
            steps: BTreeSet::new(),
        }
    }

    /// Whether the output of step `id` may be looked at.
    pub(crate) fn step(&self, id: &str) -> bool {
        self.all_steps || self.steps.contains(id)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.trigger |= other.trigger;
        self.job |= other.job;
        self.all_steps |= other.all_steps;
        self.steps.extend(other.steps.iter().cloned());
    }

    /// Notes the variables of a tree. Anything that is not an operation on
    /// `steps` by a member's name counts as a look at all of them.
    fn note(&mut self, tree: &Value) {
        match tree {
            Value::Array(operation) => match operation.as_slice() {
                [Value::String(v), Value::String(name)] if v == "v" => self.note_variable(name),
                [Value::String(word), of, Value::String(member)]
                    if (word == "." || word == "has") && is_steps(of) =>
                {
                    self.steps.insert(member.clone());
                }
                parts => parts.iter().for_each(|part| self.note(part)),
            },
            Value::Object(_) => *self = Self::everything(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn note_variable(&mut self, name: &str) {
        match name {
            "trigger" => self.trigger = true,
            "job" => self.job = true,
            "steps" => self.all_steps = true,
            _ => {}
        }
    }
}

fn is_steps(tree: &Value) -> bool {
    matches!(tree.as_array().map(Vec::as_slice), Some([Value::String(v), Value::String(name)])
        if v == "v" && name == "steps")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn uses(tree: &str) -> Uses {
        serde_json::from_str::<Tree>(tree).unwrap().uses
    }

    #[test]
    fn members_of_steps_are_told_apart() {
        let uses = uses(r#"["+",[".",["v","steps"],"a"],["has",["v","steps"],"b"]]"#);
        assert!(uses.step("a") && uses.step("b") && !uses.step("c"));
        assert!(!uses.trigger && !uses.job);
    }

    #[test]
    fn a_look_at_all_steps_is_one_at_each() {
        for tree in [
            r#"["v","steps"]"#,
            r#"["at",["v","steps"],[".",["v","job"],"id"]]"#,
            r#"["each","map",["v","steps"],"s",null,["v","s"]]"#,
        ] {
            assert!(uses(tree).step("any"), "{tree}");
        }
    }

    #[test]
    fn a_variable_counts_wherever_it_stands() {
        let uses = uses(r#"["map","k",["list",["f","size",[".",["v","trigger"],"body"]]]]"#);
        assert!(uses.trigger && !uses.job && !uses.step("any"));
    }

    #[test]
    fn what_is_not_of_the_encoding_counts_as_everything() {
        let uses = uses(r#"["list",{"v":"steps"}]"#);
        assert!(uses.trigger && uses.job && uses.step("any"));
    }
}

//! Which values of an input or output must not show.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// One step down into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The property of this name.
    Key(String),
    /// Every element of an array and every property of an object.
    Any,
}

/// Where sensitive values are: JSON pointers (RFC 6901) in which `*` stands
/// for every element or property.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensitivePaths(BTreeSet<Vec<Step>>);

impl SensitivePaths {
    pub(super) fn insert(&mut self, steps: Vec<Step>) {
        self.0.insert(steps);
    }

    /// Whether nothing is sensitive.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, for example `/items/*/price`; the empty one is the whole
    /// value.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .map(|steps| steps.iter().map(write_step).collect())
    }

    /// Calls `visit` with every sensitive value inside `value`. A value inside
    /// one that was already visited may be visited, too.
    pub fn visit_mut(&self, value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
        for steps in &self.0 {
            descend(steps, value, visit);
        }
    }
}

fn write_step(step: &Step) -> String {
    match step {
        Step::Key(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        Step::Any => "/*".to_owned(),
    }
}

fn descend(steps: &[Step], value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    let Some((step, rest)) = steps.split_first() else {
        return visit(value);
    };
    match (step, value) {
        (Step::Key(name), Value::Object(fields)) => {
            if let Some(field) = fields.get_mut(name) {
                descend(rest, field, visit);
            }
        }
        (Step::Any, Value::Object(fields)) => fields
            .values_mut()
            .for_each(|field| descend(rest, field, visit)),
        (Step::Any, Value::Array(elements)) => {
            elements
                .iter_mut()
                .for_each(|element| descend(rest, element, visit));
        }
        _ => {}
    }
}

impl Serialize for SensitivePaths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.patterns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_marked_value_is_visited_and_no_other() {
        let mut paths = SensitivePaths::default();
        paths.insert(vec![
            Step::Key("items".to_owned()),
            Step::Any,
            Step::Key("a/b".to_owned()),
        ]);
        paths.insert(vec![Step::Key("email".to_owned())]);
        let mut value = serde_json::json!({
            "email": "a@b", "items": [{ "a/b": 1, "c": 2 }, { "c": 3 }, 4], "email2": "x"
        });
        paths.visit_mut(&mut value, &mut |value| *value = Value::from("•••"));
        let expected = serde_json::json!({
            "email": "•••", "items": [{ "a/b": "•••", "c": 2 }, { "c": 3 }, 4], "email2": "x"
        });
        assert_eq!(value, expected);
        assert_eq!(
            paths.patterns().collect::<Vec<_>>(),
            ["/email", "/items/*/a~1b"]
        );
    }
}

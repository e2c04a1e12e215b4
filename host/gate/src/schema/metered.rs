//! JSON that counts how often it is looked at.
//!
//! The validator reaches a value only through these types. Each look takes
//! steps from a meter; when it is spent there is nothing more to see, so that
//! the validator soon ends, and its verdict is not to be used. Adds nothing to
//! what JSON Schema means.

use std::borrow::Cow;
use std::cell::Cell;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object};
use serde_json::{Map, Number, Value, map};

use super::outline::Weights;

mod alike;

/// Bytes of text that are looked at in one step.
const TEXT_BYTES: usize = 8;

/// Elements of a list whose marks are gone through in one step.
const MARKS: usize = 16;

/// What a check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Whether a value fits.
    Verdict,
    /// Where it does not: each look may become a few errors that hold their place.
    Places,
    /// Whether a name of an object fits, which is told as it is.
    Name,
}

/// The steps that a check may take.
#[derive(Debug)]
pub(super) struct Meter {
    /// `None` when it is spent.
    left: Cell<Option<u64>>,
    aim: Aim,
    weights: Weights,
}

impl Meter {
    pub(super) const fn new(steps: u64, aim: Aim, weights: Weights) -> Self {
        Self {
            left: Cell::new(Some(steps)),
            aim,
            weights,
        }
    }

    /// Whether the check wanted more steps than there were.
    pub(super) const fn is_spent(&self) -> bool {
        self.left.get().is_none()
    }

    /// How many of `steps` were taken.
    #[cfg(test)]
    pub(super) fn taken(&self, steps: u64) -> u64 {
        steps - self.left.get().unwrap_or(0)
    }

    fn take(&self, steps: u64) -> Option<()> {
        let left = self.left.get().and_then(|left| left.checked_sub(steps));
        self.left.set(left);
        left.map(drop)
    }
}

/// Steps of a text of so many bytes.
pub(super) const fn text_steps(bytes: usize) -> u64 {
    1 + (bytes / TEXT_BYTES) as u64
}

/// The representation, as the validator names it.
#[derive(Debug)]
pub(super) struct MeteredJson;

impl Json for MeteredJson {
    type Node<'a> = Metered<'a>;
    type PreparedKey = String;
    type StringBuffer = Name;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Name,
        string: &str,
        look: impl FnOnce(Metered<'_>) -> T,
    ) -> T {
        buffer.value = Value::String(string.to_owned());
        look(Metered::root(&buffer.value, &buffer.meter))
    }
}

/// A name of an object, as a value of its own. All that is done with it was
/// taken from the meter when the name was gone through.
#[derive(Debug)]
pub(super) struct Name {
    value: Value,
    meter: Meter,
}

impl Default for Name {
    fn default() -> Self {
        Self {
            value: Value::Null,
            meter: Meter::new(u64::MAX, Aim::Name, Weights::LEAST),
        }
    }
}

/// A value under a meter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metered<'a> {
    value: &'a Value,
    meter: &'a Meter,
    /// Of the pointer that leads here.
    place_bytes: usize,
}

impl<'a> Metered<'a> {
    pub(super) const fn root(value: &'a Value, meter: &'a Meter) -> Self {
        Self {
            value,
            meter,
            place_bytes: 0,
        }
    }

    const fn below(&self, value: &'a Value, key_bytes: usize) -> Self {
        Self {
            value,
            meter: self.meter,
            place_bytes: self.place_bytes + 1 + key_bytes,
        }
    }

    fn look(&self, steps: u64) -> Option<&'a Value> {
        let steps = steps.saturating_mul(self.meter.weights.look);
        let steps = match self.meter.aim {
            Aim::Verdict | Aim::Name => steps,
            Aim::Places => steps.saturating_mul(text_steps(self.place_bytes)),
        };
        self.meter.take(steps).map(|()| self.value)
    }
}

impl<'a> Node<'a, MeteredJson> for Metered<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<Members<'a>> {
        // Where it does not fit, an object may lack several names at once.
        let steps = match self.meter.aim {
            Aim::Verdict | Aim::Name => 1,
            Aim::Places => 4,
        };
        let members = self.look(steps)?.as_object()?;
        Some(Members { of: *self, members })
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        let elements = self.look(1)?.as_array()?;
        Some(Elements {
            of: *self,
            elements,
        })
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let text = self.look(1)?.as_str()?;
        let steps = self.meter.weights.text;
        self.look(steps.saturating_add(text_steps(text.len())))?;
        Some(Cow::Borrowed(text))
    }

    fn as_number(&self) -> Option<&'a Number> {
        let number = self.look(1)?.as_number()?;
        let weights = &self.meter.weights;
        let is_near = number.as_f64().is_some_and(|n| n.abs() < 1e18);
        self.look(match is_near {
            true => weights.number,
            false => weights.far_number,
        })?;
        Some(number)
    }

    fn as_boolean(&self) -> Option<bool> {
        self.look(1)?.as_bool()
    }

    fn is_null(&self) -> bool {
        self.look(1).is_some_and(Value::is_null)
    }

    fn is_number(&self) -> bool {
        self.look(1).is_some_and(Value::is_number)
    }

    fn json_type(&self) -> JsonType {
        self.look(1);
        match self.value {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        alike::equals(self, expected)
    }

    /// What an error holds of the value that it is about. One of a branch is copied
    /// into that of the whole, and where elements are not evaluated each is written
    /// out. Nobody is shown it, so it is nothing.
    fn to_value(&self) -> Cow<'a, Value> {
        self.meter.take(self.meter.weights.error);
        match self.meter.aim {
            Aim::Name => Cow::Borrowed(self.value),
            Aim::Verdict | Aim::Places => Cow::Owned(Value::Null),
        }
    }

    /// Asked before the elements of a list that are evaluated are marked, with each
    /// schema that may do so: all marks are gone through, and nothing is looked at.
    fn identity(&self) -> Option<NodeIdentity> {
        if let Value::Array(elements) = self.value {
            self.look((elements.len() / MARKS) as u64);
        }
        Some(NodeIdentity::new(std::ptr::from_ref(self.value).addr()))
    }
}

/// An object under a meter.
#[derive(Debug)]
pub(super) struct Members<'a> {
    of: Metered<'a>,
    members: &'a Map<String, Value>,
}

impl<'a> Object<'a, MeteredJson> for Members<'a> {
    type Node = Metered<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.members.len()
    }

    fn get(&self, key: &String) -> Option<Metered<'a>> {
        self.of.look(text_steps(key.len()))?;
        let value = self.members.get(key)?;
        Some(self.of.below(value, key.len()))
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter {
            of: self.of,
            rest: self.members.iter(),
        }
    }
}

/// The members of an object, one by one.
#[derive(Debug)]
pub(super) struct MembersIter<'a> {
    of: Metered<'a>,
    rest: map::Iter<'a>,
}

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, Metered<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.rest.next()?;
        let names = self.of.meter.weights.names;
        let steps = text_steps(name.len()).saturating_add(3);
        self.of.look(steps.saturating_mul(1 + names))?;
        Some((name.as_str(), self.of.below(value, name.len())))
    }
}

/// A list under a meter.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    of: Metered<'a>,
    elements: &'a [Value],
}

impl<'a> Array<'a, MeteredJson> for Elements<'a> {
    type Node = Metered<'a>;
    type ElementsIter = ElementsIter<'a>;

    fn len(&self) -> usize {
        self.elements.len()
    }

    fn elements(&self) -> ElementsIter<'a> {
        ElementsIter {
            of: self.of,
            rest: self.elements.iter(),
        }
    }

    fn is_unique(&self) -> bool {
        alike::all_differ(self.elements())
    }
}

/// The elements of a list, one by one.
#[derive(Debug)]
pub(super) struct ElementsIter<'a> {
    of: Metered<'a>,
    rest: std::slice::Iter<'a, Value>,
}

impl<'a> Iterator for ElementsIter<'a> {
    type Item = Metered<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.rest.next()?;
        self.of.look(1)?;
        // An index of seven digits, which is more than an input can have.
        Some(self.of.below(value, 7))
    }
}

//! Which values are alike, in steps: numbers by value, objects in any order.

use std::collections::HashSet;

use jsonschema::json::Node;
use serde_json::{Number, Value};

use super::{Metered, text_steps};

/// Whether the value is the one that a schema names.
pub(super) fn equals(this: &Metered<'_>, expected: &Value) -> bool {
    match (this.value, expected) {
        (Value::Array(these), Value::Array(those)) => {
            let mut pairs = these.iter().zip(those);
            this.look(1).is_some()
                && these.len() == those.len()
                && pairs.all(|(one, other)| equals(&this.below(one, 0), other))
        }
        (Value::Object(these), Value::Object(those)) => {
            this.look(1).is_some()
                && these.len() == those.len()
                && these.iter().all(|(name, one)| {
                    let looked = this.look(text_steps(name.len()));
                    let other = looked.and_then(|_| those.get(name));
                    other.is_some_and(|other| equals(&this.below(one, name.len()), other))
                })
        }
        (Value::String(one), Value::String(other)) => {
            let compared = one.len().min(other.len());
            this.look(text_steps(compared)).is_some() && one == other
        }
        (one, other) => this.look(1).is_some() && one.equals_value(other),
    }
}

/// Whether no two elements are alike. Written out, they are told apart at once,
/// whatever they are. What is kept grows with what was looked at: two alike may be
/// the first of many.
pub(super) fn all_differ<'a>(mut elements: impl Iterator<Item = Metered<'a>>) -> bool {
    let mut known = HashSet::new();
    elements.all(|element| {
        let mut written = Vec::new();
        let is_written = element.look(4).and_then(|_| write(&element, &mut written));
        is_written.is_some() && known.insert(written)
    })
}

/// Writes a value so that those that are alike, and no others, are written alike.
fn write(this: &Metered<'_>, out: &mut Vec<u8>) -> Option<()> {
    match this.look(1)? {
        Value::Null => out.push(b'n'),
        Value::Bool(value) => out.push(if *value { b't' } else { b'f' }),
        Value::Number(number) => {
            this.look(if number.is_f64() { 20 } else { 2 })?;
            out.push(b'0');
            out.extend(digits(number).bytes());
            out.push(b';');
        }
        Value::String(text) => write_text(this, text, out)?,
        Value::Array(elements) => {
            this.look(2)?;
            out.push(b'[');
            for element in elements {
                write(&this.below(element, 0), out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Putting them in order compares each with a few others.
            let compared = 2 + members.len().checked_ilog2().unwrap_or(0);
            this.look(2 + u64::from(compared) * members.len() as u64)?;
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in sorted {
                write_text(this, name, out)?;
                write(&this.below(value, name.len()), out)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

fn write_text(this: &Metered<'_>, text: &str, out: &mut Vec<u8>) -> Option<()> {
    this.look(text_steps(text.len()))?;
    out.push(b'"');
    out.extend(text.len().to_le_bytes());
    out.extend(text.bytes());
    Some(())
}

/// A number's value, written in one way: 1 and 1.0 alike, 0 and -0.0, too.
fn digits(number: &Number) -> String {
    // From here on, no number that is written without a point is kept exactly.
    const WHOLE_END: f64 = 18_446_744_073_709_551_616.0;
    match number.as_f64() {
        Some(n) if number.is_f64() && n.fract() == 0.0 && n.abs() < WHOLE_END => {
            format!("{:.0}", n + 0.0)
        }
        Some(n) if number.is_f64() => format!("x{:x}", n.to_bits()),
        Some(_) | None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::metered::{Aim, Meter};
    use crate::schema::outline::Weights;

    #[test]
    fn of_a_list_without_end_only_as_much_is_kept_as_was_looked_at() {
        let meter = Meter::new(u64::MAX, Aim::Verdict, Weights::LEAST);
        let value = Value::Bool(true);
        // It says of itself that it is as long as can be.
        let endless = std::iter::repeat(Metered::root(&value, &meter));
        assert!(!all_differ(endless));
        assert!(meter.taken(u64::MAX) < 20);
    }
}

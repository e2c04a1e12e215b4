//! What of a job must not show.
//!
//! Labels come from the marks in a connector's schemas, from the trigger's
//! `sensitive` list and from `mask: true`. They travel with values: a text that
//! is labelled in one place is masked wherever it shows up in the same job.
//! Only for display; an approved destination receives the real value.

use aho_corasick::{AhoCorasick, MatchKind};
use keyway_model::recipe::{Pointer, Segment};
use serde_json::{Value, json};

/// What people see inside a longer text.
const MASK: &str = "•••";

/// Texts that are shorter are masked only where they are labelled: elsewhere
/// they say nothing, and masking them would hide everything.
const TRAVELLING_BYTES_MIN: usize = 4;

/// Which parts of a value are labelled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<Pointer>);

impl Labels {
    /// Labels at these places.
    pub fn at(pointers: impl IntoIterator<Item = Pointer>) -> Self {
        Self(pointers.into_iter().collect())
    }

    /// A label on the whole value.
    pub fn whole() -> Self {
        Self(vec![Pointer::default()])
    }

    /// Whether nothing is labelled.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn visit(&self, value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
        for pointer in &self.0 {
            descend(pointer.segments(), value, visit);
        }
    }
}

fn descend(segments: &[Segment], value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    let Some((segment, rest)) = segments.split_first() else {
        return visit(value);
    };
    match (segment, value) {
        (Segment::Every, Value::Array(elements)) => {
            elements
                .iter_mut()
                .for_each(|element| descend(rest, element, visit));
        }
        (Segment::Every, Value::Object(fields)) => {
            fields
                .values_mut()
                .for_each(|field| descend(rest, field, visit));
        }
        (Segment::Name(name), Value::Object(fields)) => {
            if let Some(field) = fields.get_mut(name) {
                descend(rest, field, visit);
            }
        }
        (Segment::Name(name), Value::Array(elements)) => {
            let element = name
                .parse::<usize>()
                .ok()
                .and_then(|index| elements.get_mut(index));
            if let Some(element) = element {
                descend(rest, element, visit);
            }
        }
        _ => {}
    }
}

/// Collects the labelled values of one job before anything of it is shown.
#[derive(Debug, Default)]
pub struct Collector {
    texts: Vec<String>,
}

impl Collector {
    /// Notes every text and long number of `value` that `labels` mark.
    pub fn learn(&mut self, value: &Value, labels: &Labels) {
        if !labels.is_empty() {
            let mut copy = value.clone();
            labels.visit(&mut copy, &mut |labelled| note(labelled, &mut self.texts));
        }
    }

    /// The mask for this job.
    pub fn into_mask(mut self) -> Result<Mask, MaskError> {
        let written: Vec<String> = self
            .texts
            .iter()
            .flat_map(|text| other_ways(text))
            .collect();
        self.texts.extend(written);
        self.texts.sort_unstable();
        self.texts.dedup();
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&self.texts)
            .map_err(MaskError)?;
        Ok(Mask {
            search,
            replacements: vec![MASK; self.texts.len()],
        })
    }
}

/// How a text may be written inside another: in a URL, in a form, in JSON.
fn other_ways(text: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let json = serde_json::to_string(text).unwrap_or_default();
    let mut ways = vec![
        form.replace('+', "%20"),
        form,
        json.trim_matches('"').to_owned(),
    ];
    ways.retain(|way| way != text);
    ways
}

fn note(labelled: &Value, texts: &mut Vec<String>) {
    match labelled {
        Value::String(text) if text.len() >= TRAVELLING_BYTES_MIN => texts.push(text.clone()),
        Value::Number(number) => {
            let text = number.to_string();
            if text.len() >= TRAVELLING_BYTES_MIN {
                texts.push(text);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| note(element, texts)),
        Value::Object(fields) => fields.values().for_each(|field| note(field, texts)),
        Value::String(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// The labelled values of a job are too many to be searched for. Show nothing.
#[derive(Debug, thiserror::Error)]
#[error("the job's labelled values are too many to mask: show none of its values")]
pub struct MaskError(#[source] aho_corasick::BuildError);

/// Masks the values of one job.
#[derive(Debug)]
pub struct Mask {
    search: AhoCorasick,
    replacements: Vec<&'static str>,
}

impl Mask {
    /// `value` as people may see it: `{"$masked": true}` where `labels` mark
    /// it, `•••` where a labelled value shows up inside another text.
    pub fn view(&self, value: &Value, labels: &Labels) -> Value {
        let mut view = value.clone();
        self.hide_known(&mut view);
        labels.visit(&mut view, &mut |labelled| *labelled = masked());
        view
    }

    /// `text` as people may see it, for example an error's text.
    pub fn text(&self, text: &str) -> String {
        self.search.replace_all(text, &self.replacements)
    }

    fn hide_known(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.search.is_match(text.as_str()) => {
                let hidden = self.text(text);
                *value = if hidden == MASK {
                    masked()
                } else {
                    Value::String(hidden)
                };
            }
            Value::Number(number) if self.search.is_match(number.to_string().as_str()) => {
                *value = masked();
            }
            Value::Array(elements) => elements
                .iter_mut()
                .for_each(|element| self.hide_known(element)),
            Value::Object(fields) => {
                let hides = |key: &String| self.search.is_match(key.as_str());
                if fields.keys().any(hides) {
                    let taken = std::mem::take(fields).into_iter();
                    fields.extend(taken.map(|(key, field)| (self.text(&key), field)));
                }
                fields.values_mut().for_each(|field| self.hide_known(field));
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }
}

fn masked() -> Value {
    json!({ "$masked": true })
}

/// `value` with `labels` masked, and nothing learnt from elsewhere.
pub fn masked_view(value: &Value, labels: &Labels) -> Value {
    let mut view = value.clone();
    labels.visit(&mut view, &mut |labelled| *labelled = masked());
    view
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests say what must be")]
mod tests {
    use super::*;

    fn labels(pointers: &[&str]) -> Labels {
        Labels::at(pointers.iter().map(|pointer| pointer.parse().unwrap()))
    }

    #[test]
    fn labelled_values_are_masked_and_others_are_not() {
        let value = json!({ "email": "a@b.c", "items": [{ "note": 1, "n": 2 }], "id": 3 });
        let view = masked_view(&value, &labels(&["/email", "/items/*/note"]));
        let mask = json!({ "$masked": true });
        assert_eq!(
            view,
            json!({ "email": mask, "items": [{ "note": mask, "n": 2 }], "id": 3 })
        );
        assert_eq!(masked_view(&value, &Labels::whole()), mask);
        assert_eq!(masked_view(&value, &Labels::default()), value);
    }

    #[test]
    fn a_labelled_value_is_masked_wherever_it_shows_up() {
        let mut collector = Collector::default();
        let trigger = json!({ "card": 4_111_111_111_111_111_u64, "email": "a@b.c", "pin": "12" });
        collector.learn(&trigger, &labels(&["/card", "/email", "/pin"]));
        let mask = collector.into_mask().unwrap();
        let elsewhere = json!({ "to": "<a@b.c>", "same": "a@b.c", "n": 4_111_111_111_111_111_u64, "a@b.c": "12", "m": 12 });
        let masked = masked();
        assert_eq!(
            mask.view(&elsewhere, &Labels::default()),
            json!({ "to": "<•••>", "same": masked, "n": masked, "•••": "12", "m": 12 })
        );
        assert_eq!(
            mask.text("no mail to a@b.c, card 4111111111111111"),
            "no mail to •••, card •••"
        );
    }

    #[test]
    fn a_job_without_labels_shows_everything() {
        let mask = Collector::default().into_mask().unwrap();
        let value = json!({ "a": "text", "b": [1, null] });
        assert_eq!(mask.view(&value, &Labels::default()), value);
    }
}

//! [`Json`]: a JSON text that is known to be one, and is carried unparsed.
//!
//! What a job holds is written by one guest and read by another; between them
//! it is stored, and rarely looked into. So it travels as text: a clone costs
//! nothing, and writing it into a larger text is a copy. Only [`Json::canonical`]
//! makes one of what came from outside: there, a repeated member or a depth
//! that a reader refuses would mean different things to different readers.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON text.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Reads a text from outside and writes it again, compact: each member
    /// once (the last one counts) and at most 127 levels deep.
    ///
    /// # Errors
    ///
    /// If it is not JSON, or deeper.
    pub fn canonical(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Value>(text).and_then(|value| Self::of(&value))
    }

    /// The text of anything that has one.
    ///
    /// # Errors
    ///
    /// If it has none, for example because a key of a map is not a text.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(|raw| Self(raw.into()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The value, to look into; `None` if it is nested too deeply to be read.
    pub fn to_value(&self) -> Option<Value> {
        serde_json::from_str(self.text()).ok()
    }

    /// The elements, if it is a list.
    pub fn elements(&self) -> Option<Vec<Self>> {
        serde_json::from_str(self.text()).ok()
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::of(&value).expect("every `Value` has a text: its keys are texts")
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

/// As a value, so that neither space nor the order of members matters.
impl PartialEq<Value> for Json {
    fn eq(&self, other: &Value) -> bool {
        self.to_value().as_ref() == Some(other)
    }
}

/// Says how much there is, not what: it may be a tenant's.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.text().len())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_from_outside_has_each_member_once() {
        let json = Json::canonical(br#"{ "a": 1, "b": [ ], "a": 2 }"#).expect("it is JSON");
        assert_eq!(json.text(), r#"{"a":2,"b":[]}"#);
        assert!(Json::canonical(b"{").is_err());
    }

    #[test]
    fn a_text_that_no_reader_would_take_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(Json::canonical(deep.as_bytes()).is_err());
    }

    #[test]
    fn it_is_carried_as_it_is() {
        let text = r#"{"x":{"n":1.0},"y":[1,"a"]}"#;
        let read: Json = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(serde_json::to_string(&read).ok().as_deref(), Some(text));
        assert_eq!(read, json!({ "y": [1, "a"], "x": { "n": 1.0 } }));
    }

    #[test]
    fn a_list_is_taken_apart() {
        let elements = Json::from(json!([1, { "a": null }])).elements();
        let expected = vec![Json::from(json!(1)), Json::from(json!({ "a": null }))];
        assert_eq!(elements, Some(expected));
        assert_eq!(Json::from(json!({})).elements(), None);
        assert_eq!(Json::from(json!("[1]")).elements(), None);
    }

    #[test]
    fn its_debug_form_shows_nothing_of_it() {
        assert_eq!(
            format!("{:?}", Json::from(json!("secret"))),
            "Json(8 bytes)"
        );
    }
}

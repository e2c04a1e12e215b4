//! The values of expressions, and their JSON forms.
//!
//! Integers stay integers. A JSON number beyond 64 bits becomes
//! [`Value::Beyond`], which may lie around in a payload but fails any use, so
//! that no digit is lost unseen.

use std::fmt;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error, Serialize, SerializeMap, Serializer};

/// The members of a map, in the order in which they came.
pub(crate) type Members = Vec<(Rc<str>, Value)>;

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(Rc<str>),
    Bytes(Rc<[u8]>),
    List(Rc<Vec<Value>>),
    Map(Rc<Members>),
    /// A whole number of the input that does not fit 64 bits.
    Beyond,
}

impl Value {
    pub(crate) fn string(text: &str) -> Self {
        Self::String(Rc::from(text))
    }

    pub(crate) fn list(items: Vec<Value>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(crate) fn size(length: usize) -> Self {
        Self::Int(i64::try_from(length).unwrap_or(i64::MAX))
    }

    /// The type's name, as error texts say it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Beyond => "number beyond 64 bits",
        }
    }
}

/// The value of `key`, if the map has it.
pub(crate) fn member<'a>(members: &'a [(Rc<str>, Value)], key: &str) -> Option<&'a Value> {
    members
        .iter()
        .find(|(known, _)| &**known == key)
        .map(|(_, value)| value)
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Double(value) if value.is_finite() => serializer.serialize_f64(*value),
            Self::Double(value) => Err(S::Error::custom(format_args!(
                "the number {value} has no JSON form; guard the division that made it"
            ))),
            Self::String(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_str(&STANDARD.encode(value)),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members.iter() {
                    map.serialize_entry(&**key, value)?;
                }
                map.end()
            }
            Self::Beyond => Err(S::Error::custom(
                "a whole number of the input does not fit 64 bits; ask for it as a string",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

pub(crate) struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Beyond, Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // The reader hands whole numbers over 64 bits as floats. A float of
        // that size that was written with an exponent cannot be told apart,
        // and is refused with them.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        Ok(if value.abs() >= LIMIT {
            Value::Beyond
        } else {
            Value::Double(value)
        })
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        Ok(Value::Map(Rc::new(read_members(&mut map)?)))
    }
}

/// Reads the members of an object; of a repeated key the last counts, as in
/// most readers of JSON.
pub(crate) fn read_members<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Members, A::Error> {
    // Looking for repeated keys in a list is quadratic, so only small maps
    // are looked at; the first of a large map's repeated keys counts.
    const LOOKED_AT_MAX: usize = 64;
    let mut members = Members::new();
    while let Some(Key(key)) = map.next_key()? {
        let value = map.next_value()?;
        let known = if members.len() > LOOKED_AT_MAX {
            None
        } else {
            members.iter_mut().find(|(known, _)| *known == key)
        };
        match known {
            Some((_, slot)) => *slot = value,
            None => members.push((key, value)),
        }
    }
    Ok(members)
}

struct Key(Rc<str>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, value: &str) -> Result<Key, E> {
                Ok(Key(Rc::from(value)))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

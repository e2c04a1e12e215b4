//! Limits by name: all of them, or the few that somebody sets.
//!
//! A name that is not known is refused with the list of names; so is a value
//! that no call could live with.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::table::adjustable;
use super::{ApiLimits, CallLimits, Level, LimitInfo, NetworkLimits, Quotas};
use crate::manifest::suggest;

/// Every limit that somebody may change, with its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What one guest call may consume.
    pub call: CallLimits,
    /// What a workspace and its connectors may consume over all calls.
    pub quotas: Quotas,
    /// What the way out may use and wait for.
    pub network: NetworkLimits,
    /// What callers may ask of the API.
    pub api: ApiLimits,
}

/// The name of a limit that somebody may change.
#[derive(Clone, Copy, Debug)]
pub struct LimitName(&'static LimitInfo);

/// Some limits with their values: what a workspace sets, or a manifest asks
/// for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LimitSet(BTreeMap<LimitName, Value>);

/// A value of a limit, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
struct Value(u64);

/// What is wrong with a limit that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongLimit {
    /// There is none of this name.
    #[error("there is no limit `{name}`; {remedy}")]
    Unknown {
        /// As it was written.
        name: String,
        /// The nearest name, and all of them.
        remedy: String,
    },
    /// Nothing could run under it.
    #[error("a limit is a whole number from 1; write one, or leave the limit out")]
    Zero,
    /// Not `name=value`.
    #[error("`{0}` is not `limit=value`, for example `cpu_ms_max=1000`")]
    Form(String),
}

impl Limits {
    /// The value of a limit.
    pub fn value(&self, name: LimitName) -> u64 {
        let name = name.as_str();
        let value = self.call.by_name(name).or(self.quotas.by_name(name));
        let value = value.or(self.network.by_name(name));
        value.or(self.api.by_name(name)).unwrap_or_default()
    }

    pub(super) fn put(&mut self, name: LimitName, value: u64) {
        self.call.put(name.as_str(), value);
        self.quotas.put(name.as_str(), value);
        self.network.put(name.as_str(), value);
        self.api.put(name.as_str(), value);
    }

    /// Every limit with its value, in the order of the table.
    pub fn entries(&self) -> impl Iterator<Item = (LimitName, u64)> + '_ {
        LimitName::all().map(|name| (name, self.value(name)))
    }
}

impl LimitName {
    /// Every name, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        adjustable().map(Self)
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        self.0.name
    }

    /// What is known of the limit.
    pub const fn info(self) -> &'static LimitInfo {
        self.0
    }
}

impl PartialEq for LimitName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for LimitName {}

impl PartialOrd for LimitName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LimitName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.name.cmp(other.0.name)
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl FromStr for LimitName {
    type Err = WrongLimit;

    fn from_str(text: &str) -> Result<Self, WrongLimit> {
        Self::all().find(|name| name.0.name == text).ok_or_else(|| {
            let all: Vec<&str> = Self::all().map(Self::as_str).collect();
            let near = suggest::nearest(text, all.iter().copied());
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            WrongLimit::Unknown {
                name: text.chars().filter(|c| !c.is_control()).take(80).collect(),
                remedy: format!("{near}the limits are: {}", all.join(", ")),
            }
        })
    }
}

impl TryFrom<u64> for Value {
    type Error = WrongLimit;

    fn try_from(value: u64) -> Result<Self, WrongLimit> {
        if value == 0 {
            return Err(WrongLimit::Zero);
        }
        Ok(Self(value))
    }
}

impl From<Value> for u64 {
    fn from(value: Value) -> Self {
        value.0
    }
}

impl LimitSet {
    /// The value of a limit, if it is among them.
    pub fn value(&self, name: LimitName) -> Option<u64> {
        self.0.get(&name).map(|value| value.0)
    }

    /// Adds or replaces one.
    ///
    /// # Errors
    ///
    /// [`WrongLimit::Zero`].
    pub fn set(&mut self, name: LimitName, value: u64) -> Result<(), WrongLimit> {
        self.0.insert(name, Value::try_from(value)?);
        Ok(())
    }

    /// Takes one away.
    pub fn remove(&mut self, name: LimitName) {
        self.0.remove(&name);
    }

    /// Reads `name=value`.
    ///
    /// # Errors
    ///
    /// [`WrongLimit`], in words for whoever typed it.
    pub fn parse_entry(text: &str) -> Result<(LimitName, u64), WrongLimit> {
        let wrong = || WrongLimit::Form(text.chars().take(80).collect());
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let name = name.trim().parse()?;
        let value = value.trim().replace('_', "");
        Ok((
            name,
            Value::try_from(value.parse::<u64>().map_err(|_| wrong())?)?.0,
        ))
    }

    /// What is set, by name.
    pub fn entries(&self) -> impl Iterator<Item = (LimitName, u64)> + '_ {
        self.0.iter().map(|(name, value)| (*name, value.0))
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that a manifest may not ask for, if there is one.
    pub fn beyond_manifests(&self) -> Option<LimitName> {
        self.first_below(Level::Manifest)
    }

    /// The first that no workspace may lower, if there is one.
    pub fn beyond_workspaces(&self) -> Option<LimitName> {
        self.first_below(Level::Workspace)
    }

    fn first_below(&self, level: Level) -> Option<LimitName> {
        self.0.keys().copied().find(|name| name.0.level < level)
    }
}

impl Serialize for LimitName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for LimitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries())
    }
}

/// One flat table; what it does not name has its default.
impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Limits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of limits")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Limits, A::Error> {
                let mut limits = Limits::default();
                while let Some(name) = map.next_key::<LimitName>()? {
                    limits.put(name, map.next_value::<Value>()?.0);
                }
                Ok(limits)
            }
        }
        deserializer.deserialize_map(Table)
    }
}

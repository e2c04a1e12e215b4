//! What a leaf is made of.
//!
//! ```text
//! leaf    = SHA-256(0x00 ‖ header ‖ content ‖ SHA-256(envelope))
//! content = SHA-256(salt ‖ the record's JSON)
//! header  = "keyway audit 1" LF tenant LF environment LF kind LF time LF id LF
//! ```
//!
//! The header stays clear in the store and is what an erased record still
//! proves. The salt lies inside the envelope with the record: without it, a
//! guess at an erased record cannot be checked against its leaf.

use std::fmt;

use keyway_model::{EntryId, Environment, Scope, Timestamp};
use serde::{Deserialize, Serialize};

use super::tree::Hash;
use crate::record::{Decision, Record};

/// Which kind of record it is: clear, so that open intents are found without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// An operation that was allowed and is about to happen.
    Intent,
    /// An operation that was denied; it has no outcome.
    Denial,
    /// What came of an intent.
    Outcome,
    /// Inward calls of an invocation, counted.
    Tally,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Intent, Self::Denial, Self::Outcome, Self::Tally];

    /// The kind of `record`.
    pub const fn of(record: &Record) -> Self {
        match record {
            Record::Intent(intent) => match intent.decision {
                Decision::Allowed { .. } => Self::Intent,
                Decision::Denied { .. } => Self::Denial,
            },
            Record::Outcome(_) => Self::Outcome,
            Record::Tally(_) => Self::Tally,
        }
    }

    /// The number under which it is stored and bound.
    pub const fn code(self) -> u8 {
        match self {
            Self::Intent => 1,
            Self::Denial => 2,
            Self::Outcome => 3,
            Self::Tally => 4,
        }
    }

    /// The kind stored under `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Denial => "denial",
            Self::Outcome => "outcome",
            Self::Tally => "tally",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of a record that stays clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose record it is.
    pub scope: Scope,
    /// Which kind.
    pub kind: RecordKind,
    /// When.
    pub at: Timestamp,
    /// The entry that it belongs to.
    pub id: EntryId,
}

impl Header {
    /// The header of `record` in `scope`.
    pub const fn of(scope: Scope, record: &Record) -> Self {
        let (id, at) = match record {
            Record::Intent(intent) => (intent.id, intent.at),
            Record::Outcome(outcome) => (outcome.id, outcome.at),
            Record::Tally(tally) => (tally.id, tally.at),
        };
        Self {
            scope,
            kind: RecordKind::of(record),
            at,
            id,
        }
    }

    /// The bytes that go into the leaf.
    pub fn to_text(&self) -> String {
        let Scope {
            tenant,
            environment,
        } = self.scope;
        header_text(
            &tenant.to_string(),
            environment,
            self.kind,
            &self.at.to_string(),
            &self.id.to_string(),
        )
    }

    /// The leaf under this header.
    pub fn leaf(&self, content: &Hash, envelope: &Hash) -> Hash {
        leaf(&self.to_text(), content, envelope)
    }
}

pub(super) fn header_text(
    tenant: &str,
    environment: Environment,
    kind: RecordKind,
    time: &str,
    id: &str,
) -> String {
    format!("keyway audit 1\n{tenant}\n{environment}\n{kind}\n{time}\n{id}\n")
}

pub(super) fn leaf(header: &str, content: &Hash, envelope: &Hash) -> Hash {
    Hash::leaf(&[header.as_bytes(), content.as_bytes(), envelope.as_bytes()])
}

/// Sixteen random bytes that go with one record.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Salt([u8; 16]);

/// Text that is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a salt is 32 hexadecimal digits")]
pub struct SaltError;

impl Salt {
    /// How many bytes a salt has.
    pub const BYTES: usize = 16;

    /// A new one.
    pub fn random() -> Self {
        Self(keyway_model::random::bytes())
    }

    /// The salt with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The content hash of the record whose JSON is `text`.
    pub fn content(&self, text: &str) -> Hash {
        Hash::of(&[&self.0, text.as_bytes()])
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> Self {
        hex::encode(salt.0)
    }
}

impl TryFrom<String> for Salt {
    type Error = SaltError;
    fn try_from(text: String) -> Result<Self, SaltError> {
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| SaltError)?;
        Ok(Self(bytes))
    }
}

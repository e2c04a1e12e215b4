//! Identifiers. Two ids never share a type, and none of them is guessable.
//!
//! Every id is 128 bits, random but for the time in a job's, written as `prefix_` and 32 hexadecimal
//! digits. A [`Scope`] is the pair that every row, key, cache and grant
//! carries: whose it is, and in which environment.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::Environment;
use crate::time::Timestamp;

/// Text that is not an id of the expected kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not {expected}: write {shape}")]
pub struct IdError {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// What kind of id was expected.
    pub expected: &'static str,
    /// The shape of such an id.
    pub shape: String,
}

fn random_bits() -> u128 {
    u128::from_be_bytes(crate::random::bytes())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(u128);

        impl $name {
            /// A new id of 128 random bits.
            pub fn random() -> Self {
                Self(random_bits())
            }
            /// The id with these bits, for reading a stored row.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }
            /// The bits, for storing and for binding ciphertexts.
            pub const fn bits(self) -> u128 {
                self.0
            }
            /// The bits in network order.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }
            /// The id whose bits in network order are `bytes`.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{:032x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|digits| digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|digits| u128::from_str_radix(digits, 16).ok())
                    .map(Self)
                    .ok_or_else(|| IdError {
                        text: text.chars().take(80).collect(),
                        expected: $what,
                        shape: concat!($prefix, "_ and 32 lower-case hexadecimal digits").to_owned(),
                    })
            }
        }
    )+};
}

ids! {
    /// One deployment of Keyway: a data directory or database.
    DeploymentId = "dep", "a deployment id";
    /// One tenant; people see it as a workspace.
    TenantId = "ws", "a workspace id";
    /// One connection.
    ConnectionId = "con", "a connection id";
    /// One recipe, over all its versions.
    RecipeId = "rcp", "a recipe id";
    /// One run of a recipe.
    JobId = "job", "a job id";
    /// One guest call's authority.
    InvocationId = "inv", "an invocation id";
    /// One audit entry: the intent and the outcome of one operation.
    EntryId = "ent", "an audit entry id";
    /// One API token.
    TokenId = "tok", "a token id";
    /// One approval.
    ApprovalId = "apr", "an approval id";
    /// One alarm.
    AlarmId = "alm", "an alarm id";
}

/// Whose something is, and in which environment: part of every key, row,
/// grant and cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantId,
    /// The environment inside the tenant.
    pub environment: Environment,
}

/// The SHA-256 of an artifact: the name that approvals are bound to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// As text where people may read it, else as its bytes.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            Deserialize::deserialize(deserializer).map(Self)
        }
    }
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(out)
    }

    /// A digest that was stored as raw bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 32];
        text.strip_prefix("sha256:")
            .filter(|digits| hex::decode_to_slice(digits, &mut bytes).is_ok())
            .map(|_| Self(bytes))
            .ok_or_else(|| IdError {
                text: text.chars().take(80).collect(),
                expected: "a digest",
                shape: "sha256: and 64 hexadecimal digits".to_owned(),
            })
    }
}

impl JobId {
    /// A new id of the microseconds since 1970 and 72 random bits. Jobs of one
    /// time lie side by side in every index, so that many of them are written
    /// with one page; and the order of ids is that of jobs, so that a list of
    /// them needs no index of its own.
    pub fn at(time: Timestamp) -> Self {
        const RANDOM_BITS: u32 = 72;
        let microseconds = u128::try_from(time.micros()).unwrap_or_default();
        Self((microseconds << RANDOM_BITS) | (random_bits() >> (128 - RANDOM_BITS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_jobs_are_in_the_order_of_their_time() {
        let at = |micros| JobId::at(Timestamp::from_micros(micros));
        let (first, second) = (at(1_700_000_000_000_000), at(1_700_000_000_000_001));
        assert!(first < second);
        assert_ne!(first, at(1_700_000_000_000_000));
    }

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = JobId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, JobId::random());
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = JobId::random().to_string();
        assert!(id.parse::<RecipeId>().is_err());
        assert!(id.to_uppercase().parse::<JobId>().is_err());
    }

    #[test]
    fn a_digest_reads_back_what_it_prints() {
        let digest = Digest::of(b"artifact");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("sha256:00".parse::<Digest>().is_err());
    }
}

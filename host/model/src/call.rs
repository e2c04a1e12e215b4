//! What a guest call is asked to do and how it may fail.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What may be repeated after a crash. Declared for each action; `Once` is
/// the default because it is the one that is never wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Changes nothing outside.
    Read,
    /// Doing it twice is the same as doing it once.
    Idempotent,
    /// The upstream honours an idempotency key, which the host sends.
    Keyed,
    /// Must never be repeated without a person's decision.
    #[default]
    Once,
}

impl EffectClass {
    /// Whether an attempt whose outcome is unknown may be repeated.
    pub const fn repeats(self) -> bool {
        match self {
            Self::Read | Self::Idempotent | Self::Keyed => true,
            Self::Once => false,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Keyed => "keyed",
            Self::Once => "once",
        }
    }
}

impl fmt::Display for EffectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a connector's call failed. The engine acts on the case, never on the
/// text; the cases are those of `failure` in `wit/world.wit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The input does not fit the action.
    #[error("invalid input: {0}")]
    InvalidInput(String),
    /// The upstream does not accept the credential.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    /// The upstream, or Keyway, refuses the operation.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The upstream does not know what was named.
    #[error("not found: {0}")]
    NotFound(String),
    /// The upstream's state does not allow the operation.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The upstream asks to slow down.
    #[error("rate limited: {}", .0.message)]
    RateLimited(RateLimit),
    /// May pass.
    #[error("transient: {0}")]
    Transient(String),
    /// Will not pass by itself.
    #[error("permanent: {0}")]
    Permanent(String),
}

/// The upstream's wish to be called later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// For people.
    pub message: String,
    /// Seconds to wait, if the upstream said so.
    pub retry_after_seconds: Option<u32>,
}

impl Failure {
    /// The case, as recipes and tables name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InvalidInput(_) => "invalid-input",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
            Self::RateLimited(_) => "rate-limited",
            Self::Transient(_) => "transient",
            Self::Permanent(_) => "permanent",
        }
    }

    /// The same failure with its text changed.
    pub fn map_message(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::InvalidInput(text) => Self::InvalidInput(change(text)),
            Self::Unauthorized(text) => Self::Unauthorized(change(text)),
            Self::Forbidden(text) => Self::Forbidden(change(text)),
            Self::NotFound(text) => Self::NotFound(change(text)),
            Self::Conflict(text) => Self::Conflict(change(text)),
            Self::Transient(text) => Self::Transient(change(text)),
            Self::Permanent(text) => Self::Permanent(change(text)),
            Self::RateLimited(limit) => Self::RateLimited(RateLimit {
                message: change(limit.message),
                ..limit
            }),
        }
    }

    /// The text, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::InvalidInput(text)
            | Self::Unauthorized(text)
            | Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Transient(text)
            | Self::Permanent(text) => text,
            Self::RateLimited(limit) => &limit.message,
        }
    }
}

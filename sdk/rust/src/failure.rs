//! Why a call failed. The host acts on the case alone, never on the text.

use std::fmt;

use crate::bindings::keyway::guest::types;

/// Why a call failed. The case decides what the host does; the text is for
/// people and is masked before they see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The input does not fit the action. Not retried.
    InvalidInput(String),
    /// The upstream does not accept the credential.
    Unauthorized(String),
    /// The upstream, or Keyway, refuses this operation.
    Forbidden(String),
    /// The upstream does not know the thing that was named.
    NotFound(String),
    /// The upstream's state does not allow the operation.
    Conflict(String),
    /// The upstream asks to slow down.
    RateLimited {
        /// For people.
        message: String,
        /// Seconds to wait, if the upstream said so.
        retry_after_seconds: Option<u32>,
    },
    /// A failure that may pass: a timeout, a 5xx, a reset.
    Transient(String),
    /// A failure that will not pass by itself.
    Permanent(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(text)
            | Self::Unauthorized(text)
            | Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::RateLimited { message: text, .. }
            | Self::Transient(text)
            | Self::Permanent(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::InvalidInput(text) => Self::InvalidInput(text),
            Failure::Unauthorized(text) => Self::Unauthorized(text),
            Failure::Forbidden(text) => Self::Forbidden(text),
            Failure::NotFound(text) => Self::NotFound(text),
            Failure::Conflict(text) => Self::Conflict(text),
            Failure::RateLimited {
                message,
                retry_after_seconds,
            } => Self::RateLimited(types::RateLimit {
                message,
                retry_after_seconds,
            }),
            Failure::Transient(text) => Self::Transient(text),
            Failure::Permanent(text) => Self::Permanent(text),
        }
    }
}

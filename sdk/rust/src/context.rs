//! What a call may ask of the host: facts about its connection, a small store,
//! files for the time of the call, and HTTP.

use std::fmt;

use crate::bindings::keyway::host::{connection, state};
use crate::{Failure, Http, Scratch};

/// The host, as one call sees it.
#[derive(Debug)]
pub struct Context(());

impl Context {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// The value of a connection parameter that the manifest declares, or
    /// `None` if the connection does not set it or the capability `connection`
    /// is not granted.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        connection::parameter(name)
    }

    /// The scopes that were granted to the connection; empty if its
    /// authorization scheme knows none.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        connection::scopes()
    }

    /// HTTP. Every request is decided by the host, which also adds the
    /// credential.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new()
    }

    /// `scheme://host:port` from the connection parameters `scheme`, `host` and
    /// `port`; without them `https` and the scheme's own port.
    ///
    /// # Errors
    /// If the connection has no parameter `host`.
    pub fn origin(&self) -> Result<String, Failure> {
        origin_of(
            self.parameter("scheme").as_deref(),
            self.parameter("host").as_deref(),
            self.parameter("port").as_deref(),
        )
    }

    /// The store of this connection, for cursors and caches.
    #[must_use]
    pub fn state(&self) -> State {
        State(())
    }

    /// Files for the time of this call, for what does not fit into memory.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        Scratch::new()
    }
}

fn origin_of(
    scheme: Option<&str>,
    host: Option<&str>,
    port: Option<&str>,
) -> Result<String, Failure> {
    let scheme = scheme.unwrap_or("https");
    let host = host.ok_or_else(|| {
        Failure::Permanent(
            "no parameter `host`: set it on the connection, and have the capability `connection` approved".to_owned(),
        )
    })?;
    Ok(match (scheme, port) {
        (_, None) | ("https", Some("443")) | ("http", Some("80")) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

/// A small store, private to one connection of one workspace and environment,
/// sealed at rest.
#[derive(Debug)]
pub struct State(());

impl State {
    /// The value under `key`, or `None`. Keys are 1 to 256 bytes.
    ///
    /// # Errors
    /// If the capability `state` is not granted, or a limit is exceeded.
    pub fn get(&self, key: &str) -> Result<Option<String>, StateRefusal> {
        state::get(key).map_err(Into::into)
    }

    /// Sets `key` to `value`, at most 64 KiB. Durable when it returns.
    ///
    /// # Errors
    /// If the capability `state` is not granted, or a limit is exceeded.
    pub fn set(&self, key: &str, value: &str) -> Result<(), StateRefusal> {
        state::set(key, value).map_err(Into::into)
    }

    /// Removes `key`; removing an absent key is not an error.
    ///
    /// # Errors
    /// If the capability `state` is not granted, or a limit is exceeded.
    pub fn delete(&self, key: &str) -> Result<(), StateRefusal> {
        state::delete(key).map_err(Into::into)
    }
}

/// Why a state operation was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateRefusal {
    /// The capability `state` is not granted to this call.
    Denied,
    /// A limit is exceeded; the text names the limit and its value.
    Limit(String),
}

impl fmt::Display for StateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str(
                "the capability `state` is not granted; name it under `capabilities` in \
                 `connector.toml`, and have it approved",
            ),
            Self::Limit(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StateRefusal {}

impl From<state::Refusal> for StateRefusal {
    fn from(refusal: state::Refusal) -> Self {
        match refusal {
            state::Refusal::Denied => Self::Denied,
            state::Refusal::Limit(text) => Self::Limit(text),
        }
    }
}

impl From<StateRefusal> for Failure {
    fn from(refusal: StateRefusal) -> Self {
        match refusal {
            StateRefusal::Denied => Self::Forbidden(refusal.to_string()),
            StateRefusal::Limit(text) => Self::Permanent(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn an_origin_leaves_the_own_port_of_its_scheme_out() {
        assert_eq!(
            origin_of(None, Some("h"), Some("443")).as_deref(),
            Ok("https://h")
        );
        assert_eq!(
            origin_of(Some("http"), Some("h"), Some("80")).as_deref(),
            Ok("http://h")
        );
        assert_eq!(
            origin_of(Some("http"), Some("h"), Some("8")).as_deref(),
            Ok("http://h:8")
        );
    }

    #[test]
    fn an_origin_without_a_host_is_refused() {
        assert!(origin_of(Some("https"), None, Some("443")).is_err());
    }
}

//! Inward calls: what a guest asks of the host alone.
//!
//! They reach nothing outside and change nothing, so none has a record of its
//! own: the grant decides, the limits of the call count, and the record of the
//! invocation tells how many there were and how many were denied.

use keyway_model::manifest::Capability;

/// A function of the host that only tells or only listens (class `inward` of
/// `wit/imports.toml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inward {
    /// `keyway:host/log#write`.
    LogWrite,
    /// `keyway:host/connection#parameter`.
    ConnectionParameter,
    /// `keyway:host/connection#scopes`.
    ConnectionScopes,
    /// `keyway:host/state#get`.
    StateGet,
    /// `keyway:host/scratch#read`.
    ScratchRead,
    /// `keyway:host/scratch#list`.
    ScratchList,
}

/// Proof that the grant holds one inward call; whoever serves one asks for it.
#[derive(Debug)]
#[must_use = "an admitted call is served"]
pub struct Admitted(pub(crate) ());

/// Why an inward call was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a denial must be counted"]
pub struct InwardDenied {
    /// The call.
    pub call: Inward,
    /// What would allow it; for authors and administrators, never for guests.
    pub remedy: String,
}

impl Inward {
    /// Every inward call.
    pub const ALL: [Self; 6] = [
        Self::LogWrite,
        Self::ConnectionParameter,
        Self::ConnectionScopes,
        Self::StateGet,
        Self::ScratchRead,
        Self::ScratchList,
    ];

    /// The capability that it needs.
    pub const fn capability(self) -> Capability {
        match self {
            Self::LogWrite => Capability::Log,
            Self::ConnectionParameter | Self::ConnectionScopes => Capability::Connection,
            Self::StateGet => Capability::State,
            Self::ScratchRead | Self::ScratchList => Capability::Scratch,
        }
    }

    /// `interface#function`, as the table of imports writes it without a version.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LogWrite => "log#write",
            Self::ConnectionParameter => "connection#parameter",
            Self::ConnectionScopes => "connection#scopes",
            Self::StateGet => "state#get",
            Self::ScratchRead => "scratch#read",
            Self::ScratchList => "scratch#list",
        }
    }
}

//! Where a credential goes in a request. Never the credential itself.

use serde::{Deserialize, Serialize};

/// The place in a request that the manifest declares for the credential. The
/// host fills it after the decision; a guest that fills it itself is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialSlot {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617); the credential is `user:password`.
    Basic,
    /// A header of this name, lower-case.
    Header(String),
    /// A query parameter of this name.
    Query(String),
    /// The client certificate in the agreement on TLS (RFC 8446 section 4.4.2).
    ClientCertificate,
}

impl CredentialSlot {
    /// The header that the slot occupies, lower-case, if it is one.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Bearer | Self::Basic => Some("authorization"),
            Self::Header(name) => Some(name),
            Self::Query(_) | Self::ClientCertificate => None,
        }
    }
}

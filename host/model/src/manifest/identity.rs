//! Who a connector is, and which host services it may import.

use std::collections::BTreeSet;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::error::ManifestError;
use super::reader::Node;
use crate::name::Name;

/// A kind of host service that a component may import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Requests to the declared destinations.
    Http,
    /// Lines in the job's log.
    Log,
    /// A small store of the connection's own.
    State,
    /// The connection's parameters and scopes.
    Connection,
    /// Files for the time of one call.
    Scratch,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 5] = [
        Self::Http,
        Self::Log,
        Self::State,
        Self::Connection,
        Self::Scratch,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Log => "log",
            Self::State => "state",
            Self::Connection => "connection",
            Self::Scratch => "scratch",
        }
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities([bool; Capability::ALL.len()]);

impl Capabilities {
    /// All of them.
    pub const ALL: Self = Self([true; Capability::ALL.len()]);

    /// Whether `capability` is among them.
    pub const fn contains(self, capability: Capability) -> bool {
        let [http, log, state, connection, scratch] = self.0;
        match capability {
            Capability::Http => http,
            Capability::Log => log,
            Capability::State => state,
            Capability::Connection => connection,
            Capability::Scratch => scratch,
        }
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(members: I) -> Self {
        let mut set = Self::default();
        let [http, log, state, connection, scratch] = &mut set.0;
        for member in members {
            *(match member {
                Capability::Http => &mut *http,
                Capability::Log => &mut *log,
                Capability::State => &mut *state,
                Capability::Connection => &mut *connection,
                Capability::Scratch => &mut *scratch,
            }) = true;
        }
        set
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The table `[connector]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The connector's name.
    pub name: Name,
    /// The connector's version, as [semver.org](https://semver.org) defines it.
    pub version: Version,
    /// One line for people, at most 80 characters.
    pub title: String,
    /// What it is for, at most 2,000 characters.
    pub description: String,
    /// The host services that it may import.
    pub capabilities: BTreeSet<Capability>,
}

pub(super) fn read(node: &Node<'_>) -> Result<Identity, ManifestError> {
    let table = node.table(&["name", "version", "title", "description", "capabilities"])?;
    let name = table.required("name", "name = \"orders\"")?;
    let version = table.required("version", "version = \"0.1.0\"")?;
    let title = table.required("title", "title = \"Orders\"")?;
    Ok(Identity {
        name: name.parse("choose another name")?,
        version: version.parse("write three numbers, for example \"0.1.0\"")?,
        title: title.words(80)?,
        description: table
            .optional("description")
            .map(|n| n.words(2_000))
            .transpose()?
            .unwrap_or_default(),
        capabilities: table
            .optional("capabilities")
            .map(|n| n.set(|entry| entry.choice(&Capability::ALL.map(|c| (c.as_str(), c)))))
            .transpose()?
            .unwrap_or_default()
            .into_iter()
            .collect(),
    })
}

//! Parameters of a connection: what a tenant fills in, such as a subdomain.
//!
//! None of them is secret. They are checked once, when the connection is
//! made, and checked again by every destination that holds one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::ManifestError;
use super::reader::{Node, cut};
use super::{Manifest, suggest};
use crate::name::Name;
use crate::net::{HostName, NetError, Scheme};

/// What a parameter may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// A host name or address, or one label of a host name.
    Host,
    /// A port, 1 to 65535.
    Port,
    /// One line of 1 to 256 characters.
    Text,
    /// `https` or `http`.
    Scheme,
}

impl ParameterKind {
    const WORDS: [(&'static str, Self); 4] = [
        ("host", Self::Host),
        ("port", Self::Port),
        ("text", Self::Text),
        ("scheme", Self::Scheme),
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Port => "port",
            Self::Text => "text",
            Self::Scheme => "scheme",
        }
    }

    /// Reads a value of this kind.
    fn read(self, text: &str) -> Result<ParameterValue, String> {
        let words = |e: NetError| e.to_string();
        Ok(match self {
            Self::Host => ParameterValue::Host(text.parse().map_err(words)?),
            Self::Scheme => ParameterValue::Scheme(text.parse().map_err(words)?),
            Self::Port => ParameterValue::Port(read_port(text)?),
            Self::Text if is_line(text) => ParameterValue::Text(text.to_owned()),
            Self::Text => return Err("write one line of 1 to 256 characters".to_owned()),
        })
    }
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn read_port(text: &str) -> Result<u16, String> {
    let digits_only = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if port > 0 && digits_only => Ok(port),
        _ => Err(NetError::Port(cut(text)).to_string()),
    }
}

fn is_line(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// One parameter that the manifest declares: `[parameters.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// What it may hold.
    pub kind: ParameterKind,
    /// One line for people.
    pub title: String,
    /// What it holds when the connection says nothing.
    pub default: Option<ParameterValue>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// A host name or address.
    Host(HostName),
    /// A port; never 0.
    Port(u16),
    /// One line.
    Text(String),
    /// A scheme.
    Scheme(Scheme),
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Port(port) => port.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Scheme(scheme) => scheme.fmt(f),
        }
    }
}

pub(super) fn read(node: &Node<'_>) -> Result<Parameter, ManifestError> {
    let table = node.table(&["kind", "title", "default"])?;
    let kind = table
        .required("kind", "kind = \"text\"")?
        .choice(&ParameterKind::WORDS)?;
    let title = table.required("title", "title = \"Shop\"")?.words(80)?;
    let default = table
        .optional("default")
        .map(|n| {
            let remedy = format!("write a {kind} in quotes, or remove the default");
            kind.read(n.text()?).map_err(|e| n.error(e, remedy))
        })
        .transpose()?;
    Ok(Parameter {
        kind,
        title,
        default,
    })
}

/// The parameters of one connection, each of its kind, none missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Parameters(BTreeMap<Name, ParameterValue>);

/// Why parameters do not fit a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The manifest declares no such parameter.
    #[error("the connector has no parameter `{name}`; {remedy}")]
    Unknown {
        /// What was given.
        name: String,
        /// What to write instead.
        remedy: String,
    },
    /// A parameter without a default was not given.
    #[error("parameter `{name}` ({title}) is missing; give a {kind}")]
    Missing {
        /// Which one.
        name: Name,
        /// Its title.
        title: String,
        /// Its kind.
        kind: ParameterKind,
    },
    /// A value is not of the parameter's kind.
    #[error("parameter `{name}` is not a {kind}: {reason}")]
    Malformed {
        /// Which one.
        name: Name,
        /// Its kind.
        kind: ParameterKind,
        /// What is wrong.
        reason: String,
    },
}

impl Parameters {
    /// Checks `given` against what `manifest` declares, and fills in defaults.
    ///
    /// # Errors
    ///
    /// The first parameter that is unknown, missing or malformed.
    pub fn parse(
        manifest: &Manifest,
        given: BTreeMap<String, String>,
    ) -> Result<Self, ParameterError> {
        let declared = &manifest.parameters;
        for name in given.keys() {
            if !declared.keys().any(|known| known.as_str() == name) {
                let remedy = suggest::remedy(name, declared.keys().map(Name::as_str));
                return Err(ParameterError::Unknown {
                    name: cut(name),
                    remedy,
                });
            }
        }
        let mut values = BTreeMap::new();
        for (name, parameter) in declared {
            let kind = parameter.kind;
            let value = match (given.get(name.as_str()), &parameter.default) {
                (Some(text), _) => kind
                    .read(text)
                    .map_err(|reason| ParameterError::Malformed {
                        name: name.clone(),
                        kind,
                        reason,
                    })?,
                (None, Some(default)) => default.clone(),
                (None, None) => {
                    let title = parameter.title.clone();
                    return Err(ParameterError::Missing {
                        name: name.clone(),
                        title,
                        kind,
                    });
                }
            };
            values.insert(name.clone(), value);
        }
        Ok(Self(values))
    }

    /// The value of the parameter `name`.
    pub fn get(&self, name: &Name) -> Option<&ParameterValue> {
        self.0.get(name)
    }

    /// The value of the parameter that a guest names.
    pub fn find(&self, name: &str) -> Option<&ParameterValue> {
        self.0
            .iter()
            .find(|(known, _)| known.as_str() == name)
            .map(|(_, value)| value)
    }

    /// Every parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &ParameterValue)> {
        self.0.iter()
    }
}

//! Destinations: the places that a connector's requests may go to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use toml::de::DeValue;

use super::error::ManifestError;
use super::parameter::{Parameter, ParameterKind, ParameterValue, Parameters};
use super::pattern::{HostPattern, PortPattern, ResolveError, whole_parameter};
use super::reader::{Node, Table};
use super::suggest;
use crate::name::Name;
use crate::net::{Origin, Scheme};

/// What a destination is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestinationRole {
    /// The upstream's API.
    #[default]
    Api,
    /// Where big content goes.
    Upload,
    /// Where people consent.
    Authorize,
    /// Where tokens are issued.
    Token,
    /// Where tokens are revoked.
    Revoke,
    /// Where webhooks come from; nothing is sent there.
    WebhookSource,
}

impl DestinationRole {
    const WORDS: [(&'static str, Self); 6] = [
        ("api", Self::Api),
        ("upload", Self::Upload),
        ("authorize", Self::Authorize),
        ("token", Self::Token),
        ("revoke", Self::Revoke),
        ("webhook-source", Self::WebhookSource),
    ];
}

/// What happens to a reply that points elsewhere (3xx with `location`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    /// The connector gets it as it is.
    #[default]
    Return,
    /// The host asks there, if the action may: each hop is a request of its own,
    /// with its own decision and its own record.
    Follow,
}

impl Redirects {
    const WORDS: [(&'static str, Self); 2] = [("return", Self::Return), ("follow", Self::Follow)];
}

/// One place: `[destinations.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// What it is for.
    pub role: DestinationRole,
    /// The schemes that it may be reached by; one or two.
    pub schemes: Vec<Scheme>,
    /// The parameter, of kind `scheme`, that chooses between two schemes.
    pub scheme: Option<Name>,
    /// The host.
    #[serde(serialize_with = "as_text")]
    pub host: HostPattern,
    /// The port.
    #[serde(serialize_with = "as_text")]
    pub port: PortPattern,
    /// What happens to redirects from there.
    pub redirects: Redirects,
}

fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Destination {
    /// The origins that the destination is with these parameters: one, or one
    /// per scheme if no parameter chooses the scheme.
    ///
    /// # Errors
    ///
    /// A parameter that would lead outside of what the manifest says.
    pub fn resolve(&self, parameters: &Parameters) -> Result<Vec<Origin>, ResolveError> {
        let host = self.host.resolve(parameters)?;
        self.resolve_schemes(parameters)?
            .into_iter()
            .map(|scheme| {
                let port = self.port.resolve(parameters, scheme)?;
                Ok(Origin {
                    scheme,
                    host: host.clone(),
                    port,
                })
            })
            .collect()
    }

    fn resolve_schemes(&self, parameters: &Parameters) -> Result<Vec<Scheme>, ResolveError> {
        let Some(parameter) = &self.scheme else {
            return Ok(self.schemes.clone());
        };
        match parameters.get(parameter) {
            Some(ParameterValue::Scheme(scheme)) if self.schemes.contains(scheme) => {
                Ok(vec![*scheme])
            }
            Some(ParameterValue::Scheme(scheme)) => Err(ResolveError::Scheme {
                parameter: parameter.clone(),
                scheme: *scheme,
                allowed: self
                    .schemes
                    .iter()
                    .map(|s| s.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
            _ => Err(ResolveError::Parameter {
                parameter: parameter.clone(),
                kind: "scheme",
            }),
        }
    }

    /// The parameters that it is filled in from.
    pub fn parameters(&self) -> impl Iterator<Item = &Name> {
        self.scheme
            .iter()
            .chain(self.host.parameter())
            .chain(self.port.parameter())
    }
}

impl fmt::Display for Destination {
    /// `https://{shop}.example.com:8443`, or `https|http://…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes = self
            .schemes
            .iter()
            .map(|s| s.as_str())
            .collect::<Vec<_>>()
            .join("|");
        match &self.scheme {
            Some(parameter) => write!(f, "{{{parameter}}}://{}", self.host)?,
            None => write!(f, "{schemes}://{}", self.host)?,
        }
        match &self.port {
            PortPattern::Default => Ok(()),
            PortPattern::Fixed(_) | PortPattern::Parameter(_) => write!(f, ":{}", self.port),
        }
    }
}

/// The parameters that the manifest declares.
type Declared = BTreeMap<Name, Parameter>;

pub(super) fn read(node: &Node<'_>, declared: &Declared) -> Result<Destination, ManifestError> {
    let table = node.table(&["role", "schemes", "scheme", "host", "port", "redirects"])?;
    let redirects = table
        .optional("redirects")
        .map(|n| n.choice(&Redirects::WORDS))
        .transpose()?;
    let role = table
        .optional("role")
        .map(|n| n.choice(&DestinationRole::WORDS))
        .transpose()?;
    let schemes = table
        .required("schemes", "schemes = [\"https\"]")?
        .set(|entry| entry.parse::<Scheme>("remove other schemes"))?;
    let host = table.required("host", "host = \"api.example.com\"")?;
    Ok(Destination {
        role: role.unwrap_or_default(),
        redirects: redirects.unwrap_or_default(),
        scheme: read_scheme(&table, schemes.len(), declared)?,
        schemes,
        host: read_host(&host, declared)?,
        port: table
            .optional("port")
            .map_or(Ok(PortPattern::Default), |n| read_port(&n, declared))?,
    })
}

fn read_scheme(
    table: &Table<'_>,
    schemes: usize,
    declared: &Declared,
) -> Result<Option<Name>, ManifestError> {
    let Some(node) = table.optional("scheme") else {
        return Ok(None);
    };
    let name = whole_parameter(node.text()?).ok_or_else(|| {
        node.error(
            "`scheme` is not a parameter",
            "write `scheme = \"{name}\"`, or only `schemes`",
        )
    })?;
    if schemes < 2 {
        return Err(node.error(
            "a parameter chooses the scheme, but `schemes` leaves no choice",
            "write `schemes = [\"https\", \"http\"]`, or remove `scheme`",
        ));
    }
    let parameter = refer(&node, name, declared, &[ParameterKind::Scheme])?;
    Ok(Some(parameter))
}

fn read_host(node: &Node<'_>, declared: &Declared) -> Result<HostPattern, ManifestError> {
    let remedy = "write a host such as \"api.example.com\", a parameter \"{host}\", or one label of a host \"{shop}.example.com\"";
    let host: HostPattern = node.parse(remedy)?;
    let kinds: &[ParameterKind] = match &host {
        HostPattern::Literal(_) => return Ok(host),
        HostPattern::Parameter(_) => &[ParameterKind::Host],
        HostPattern::Label { .. } => &[ParameterKind::Host, ParameterKind::Text],
    };
    if let Some(name) = host.parameter() {
        refer(node, name.as_str(), declared, kinds)?;
    }
    Ok(host)
}

fn read_port(node: &Node<'_>, declared: &Declared) -> Result<PortPattern, ManifestError> {
    let refuse = || {
        node.error(
            "not a port",
            "write a number from 1 to 65535, or a parameter such as \"{port}\"",
        )
    };
    if let DeValue::Integer(number) = node.value {
        let port = u16::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|port| *port > 0);
        return port.map(PortPattern::Fixed).ok_or_else(refuse);
    }
    let name = node
        .value
        .as_str()
        .and_then(whole_parameter)
        .ok_or_else(refuse)?;
    Ok(PortPattern::Parameter(refer(
        node,
        name,
        declared,
        &[ParameterKind::Port],
    )?))
}

/// The name of a declared parameter of one of these kinds.
fn refer(
    node: &Node<'_>,
    name: &str,
    declared: &Declared,
    kinds: &[ParameterKind],
) -> Result<Name, ManifestError> {
    let Some((name, parameter)) = declared.iter().find(|(known, _)| known.as_str() == name) else {
        let remedy = match declared.is_empty() {
            true => format!("declare it: [parameters.{name}]"),
            false => suggest::remedy(name, declared.keys().map(Name::as_str)),
        };
        return Err(node.error(format!("unknown parameter `{name}`"), remedy));
    };
    if kinds.contains(&parameter.kind) {
        return Ok(name.clone());
    }
    let words = kinds
        .iter()
        .map(|kind| kind.as_str())
        .collect::<Vec<_>>()
        .join("\" or \"");
    Err(node.error(
        format!("parameter `{name}` is of kind `{}`", parameter.kind),
        format!("declare it with kind = \"{words}\", or use another parameter here"),
    ))
}

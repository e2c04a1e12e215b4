//! Patterns of a destination: scheme, host and port, literal or filled in
//! from a parameter, and what they become.

use std::fmt;
use std::str::FromStr;

use super::parameter::{ParameterValue, Parameters};
use crate::name::Name;
use crate::net::{HostName, Scheme};

/// Which host a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Always this one.
    Literal(HostName),
    /// Whatever the parameter, of kind `host`, names.
    Parameter(Name),
    /// `PREFIX{parameter}SUFFIX`: the parameter is exactly one label, the rest
    /// is literal and at least two labels follow.
    Label {
        /// The labels before, each with its dot; may be empty.
        prefix: String,
        /// The parameter.
        parameter: Name,
        /// The labels after, beginning with a dot.
        suffix: String,
    },
}

/// Which port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortPattern {
    /// The scheme's own.
    Default,
    /// Always this one; never 0.
    Fixed(u16),
    /// The parameter's, of kind `port`.
    Parameter(Name),
}

/// Why a destination has no origin with the parameters given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The parameters are those of another manifest.
    #[error(
        "the connection has no `{kind}` in parameter `{parameter}`; create the connection again"
    )]
    Parameter {
        /// Which parameter.
        parameter: Name,
        /// What it should hold.
        kind: &'static str,
    },
    /// The parameter would reach beyond its place in the template.
    #[error(
        "parameter `{parameter}` is `{value}`, which is not one label of `{template}`; write letters, digits and `-` only"
    )]
    Label {
        /// Which parameter.
        parameter: Name,
        /// Its value.
        value: String,
        /// The template.
        template: String,
    },
    /// The host that comes out is not one under the literal part.
    #[error("`{host}` is not a host of `{template}`; choose another value for `{parameter}`")]
    Host {
        /// Which parameter.
        parameter: Name,
        /// What came out.
        host: String,
        /// The template.
        template: String,
    },
    /// The scheme is not among those that the destination allows.
    #[error(
        "parameter `{parameter}` is `{scheme}`, which the destination does not allow; write one of: {allowed}"
    )]
    Scheme {
        /// Which parameter.
        parameter: Name,
        /// Its value.
        scheme: Scheme,
        /// What is allowed.
        allowed: String,
    },
}

/// The parameter's name, if `text` is exactly `{name}`.
pub(super) fn whole_parameter(text: &str) -> Option<&str> {
    text.strip_prefix('{')?
        .strip_suffix('}')
        .filter(|name| !name.contains(['{', '}']))
}

impl HostPattern {
    /// The parameter that it is filled in from.
    pub const fn parameter(&self) -> Option<&Name> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(parameter) | Self::Label { parameter, .. } => Some(parameter),
        }
    }

    /// Fills the parameter in, and checks the host that comes out.
    pub(super) fn resolve(&self, parameters: &Parameters) -> Result<HostName, ResolveError> {
        match self {
            Self::Literal(host) => Ok(host.clone()),
            Self::Parameter(name) => match parameters.get(name) {
                Some(ParameterValue::Host(host)) => Ok(host.clone()),
                _ => Err(ResolveError::Parameter {
                    parameter: name.clone(),
                    kind: "host",
                }),
            },
            Self::Label {
                prefix,
                parameter,
                suffix,
            } => {
                let label = match parameters.get(parameter) {
                    Some(ParameterValue::Host(host)) => host.as_str(),
                    Some(ParameterValue::Text(text)) => text,
                    _ => {
                        return Err(ResolveError::Parameter {
                            parameter: parameter.clone(),
                            kind: "host",
                        });
                    }
                };
                self.join(prefix, parameter, label, suffix)
            }
        }
    }

    fn join(
        &self,
        prefix: &str,
        parameter: &Name,
        label: &str,
        suffix: &str,
    ) -> Result<HostName, ResolveError> {
        let template = self.to_string();
        if !is_label(label) {
            let (parameter, value) = (parameter.clone(), label.chars().take(80).collect());
            return Err(ResolveError::Label {
                parameter,
                value,
                template,
            });
        }
        let written = format!("{prefix}{label}{suffix}");
        // Checked again after substitution: what a parser makes of the whole
        // must be what was written, and a name.
        match written.parse::<HostName>() {
            Ok(host) if host.as_str() == written && host.ip().is_none() => Ok(host),
            _ => Err(ResolveError::Host {
                parameter: parameter.clone(),
                host: written,
                template,
            }),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = |text: &str| text.parse::<Name>().map_err(|e| e.to_string());
        if let Some(parameter) = whole_parameter(text) {
            return Ok(Self::Parameter(name(parameter)?));
        }
        let Some((prefix, rest)) = text.split_once('{') else {
            let host: HostName = text
                .parse()
                .map_err(|e: crate::net::NetError| e.to_string())?;
            return if host.as_str() == text {
                Ok(Self::Literal(host))
            } else {
                Err(format!(
                    "`{text}` is read as `{host}`, which should be written here"
                ))
            };
        };
        let Some((parameter, suffix)) = rest.split_once('}') else {
            return Err(format!("`{text}` has a `{{` without `}}`"));
        };
        if suffix.contains(['{', '}']) || prefix.contains('}') {
            return Err(format!("`{text}` holds more than one parameter"));
        }
        let literal_labels: Vec<&str> = suffix.split('.').skip(1).collect();
        let stands_alone = (prefix.is_empty() || prefix.ends_with('.')) && suffix.starts_with('.');
        if !stands_alone {
            return Err(format!(
                "in `{text}` the parameter is not a whole label before literal ones"
            ));
        }
        let labels_before = prefix
            .strip_suffix('.')
            .into_iter()
            .flat_map(|labels| labels.split('.'));
        if literal_labels.len() < 2
            || !literal_labels
                .iter()
                .copied()
                .chain(labels_before)
                .all(is_label)
        {
            return Err(format!(
                "in `{text}` fewer than two literal labels follow the parameter, or one is malformed"
            ));
        }
        if literal_labels
            .last()
            .is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(format!("`{text}` would be an address, not a name"));
        }
        Ok(Self::Label {
            prefix: prefix.to_owned(),
            parameter: name(parameter)?,
            suffix: suffix.to_owned(),
        })
    }
}

/// One label of a host name, in normal form.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(host) if host.as_str().contains(':') => write!(f, "[{host}]"),
            Self::Literal(host) => host.fmt(f),
            Self::Parameter(name) => write!(f, "{{{name}}}"),
            Self::Label {
                prefix,
                parameter,
                suffix,
            } => write!(f, "{prefix}{{{parameter}}}{suffix}"),
        }
    }
}

impl PortPattern {
    /// The parameter that it is filled in from.
    pub const fn parameter(&self) -> Option<&Name> {
        match self {
            Self::Default | Self::Fixed(_) => None,
            Self::Parameter(name) => Some(name),
        }
    }

    pub(super) fn resolve(
        &self,
        parameters: &Parameters,
        scheme: Scheme,
    ) -> Result<u16, ResolveError> {
        match self {
            Self::Default => Ok(scheme.default_port()),
            Self::Fixed(port) => Ok(*port),
            Self::Parameter(name) => match parameters.get(name) {
                Some(ParameterValue::Port(port)) => Ok(*port),
                _ => Err(ResolveError::Parameter {
                    parameter: name.clone(),
                    kind: "port",
                }),
            },
        }
    }
}

impl fmt::Display for PortPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Fixed(port) => port.fmt(f),
            Self::Parameter(name) => write!(f, "{{{name}}}"),
        }
    }
}

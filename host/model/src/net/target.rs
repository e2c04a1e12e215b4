//! Request targets: parsed once, by the WHATWG parser; what could be read in two
//! ways is refused.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{HostName, NetError, Origin, Scheme, path};

/// A request's target, taken apart: what the decision is about and what the
/// request is rebuilt from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestUrl {
    /// Where the request goes.
    pub origin: Origin,
    /// The path, percent-encoded, beginning with `/`, without dot segments.
    pub path: String,
    /// The query without `?`, percent-encoded.
    pub query: Option<String>,
}

impl RequestUrl {
    /// `path?query`, as it stands in a request line.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Whether the query names a parameter, however it is written: servers
    /// differ in case and in what separates parameters.
    pub fn names_parameter(&self, name: &str) -> bool {
        let query = self.query.as_deref().unwrap_or_default();
        query
            .split(['&', ';'])
            .flat_map(|part| url::form_urlencoded::parse(part.as_bytes()))
            .any(|(known, _)| known.trim().eq_ignore_ascii_case(name))
    }
}

impl FromStr for RequestUrl {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        refuse_ambiguous(text)?;
        let rest = text.split_once(':').map_or("", |(_, rest)| rest);
        refuse_other_slashes(rest)?;
        let url = Url::parse(text).map_err(|e| NetError::NotAUrl(e.to_string()))?;
        if url.fragment().is_some() {
            return Err(NetError::Fragment);
        }
        Self::from_parsed(&url)
    }
}

impl RequestUrl {
    /// Where a reference in a reply from here leads, such as `location`
    /// (RFC 9110 section 10.2.2). A fragment is left out, as it is never sent.
    ///
    /// # Errors
    ///
    /// What [`RequestUrl::from_str`] would refuse.
    pub fn join(&self, reference: &str) -> Result<Self, NetError> {
        refuse_ambiguous(reference)?;
        let first = reference.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some(scheme) = first.strip_suffix(':') {
            refuse_other_slashes(reference.get(scheme.len() + 1..).unwrap_or_default())?;
        } else if first.contains(':') || reference.starts_with("///") {
            return Err(NetError::NotAUrl("write two slashes and a host".to_owned()));
        }
        let malformed = |e: url::ParseError| NetError::NotAUrl(e.to_string());
        let here = format!("{}{}", self.origin, self.path_and_query());
        let here = Url::parse(&here).map_err(malformed)?;
        Self::from_parsed(&here.join(reference).map_err(malformed)?)
    }

    fn from_parsed(url: &Url) -> Result<Self, NetError> {
        let scheme: Scheme = url.scheme().parse()?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NetError::UserInfo);
        }
        let host = url.host().ok_or_else(|| NetError::Host(String::new()))?;
        let port = url.port().unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(NetError::Port("0".to_owned()));
        }
        if path::is_ambiguous(url.path()) {
            return Err(NetError::AmbiguousPath);
        }
        Ok(Self {
            origin: Origin {
                scheme,
                host: HostName::from_parsed(&host)?,
                port,
            },
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
        })
    }
}

/// Refuses all but two slashes between scheme and host: the WHATWG parser takes
/// any number of them, none as well.
fn refuse_other_slashes(rest: &str) -> Result<(), NetError> {
    if rest.starts_with("//") && !rest.starts_with("///") {
        return Ok(());
    }
    Err(NetError::NotAUrl("write `https://` and a host".to_owned()))
}

/// Refuses characters that parsers drop, or read as others.
fn refuse_ambiguous(text: &str) -> Result<(), NetError> {
    let bad = |c: &char| c.is_control() || *c == ' ' || *c == '\\';
    text.chars()
        .find(bad)
        .map_or(Ok(()), |bad| Err(NetError::Character(bad)))
}

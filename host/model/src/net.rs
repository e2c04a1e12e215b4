//! Places on the network: schemes, hosts, ports, methods, paths, URLs.
//!
//! [`RequestUrl`] is parsed once, by the WHATWG parser, from what a guest
//! wrote. What is decided on and what is sent are both built from its parts,
//! never from the guest's text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Host;

mod header;
mod path;
mod target;

pub use header::{has_reserved_prefix, is_reserved_header};
pub use path::{PathTemplate, PathTemplateError};
pub use target::RequestUrl;

/// Why a URL, host, port or method was not accepted.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetError {
    /// Not a URL at all.
    #[error("not a URL: {0}")]
    NotAUrl(String),
    /// A scheme other than http and https.
    #[error("scheme `{0}` is not supported: write http or https")]
    Scheme(String),
    /// `user:password@` in front of the host.
    #[error("a URL must not hold a user name or password: use a connection")]
    UserInfo,
    /// A `#fragment`, which is never sent.
    #[error("a request URL must not have a fragment")]
    Fragment,
    /// A control character, space or backslash, which parsers read differently.
    #[error("the URL holds a character that must be percent-encoded: {0:?}")]
    Character(char),
    /// An encoded slash, backslash or dot segment, which servers read differently.
    #[error("the path holds an encoded `/`, `\\` or dot segment")]
    AmbiguousPath,
    /// Not a host name.
    #[error("`{0}` is not a host name or address")]
    Host(String),
    /// Port 0, or not a number up to 65535.
    #[error("`{0}` is not a port: write 1 to 65535")]
    Port(String),
    /// Not one of the methods that a connector may use.
    #[error("method `{0}` is not supported: use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")]
    Method(String),
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// TLS.
    Https,
    /// In clear.
    Http,
}

impl Scheme {
    /// As written in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port when a URL names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl FromStr for Scheme {
    type Err = NetError;
    fn from_str(text: &str) -> Result<Self, NetError> {
        match text {
            "https" => Ok(Self::Https),
            "http" => Ok(Self::Http),
            other => Err(NetError::Scheme(other.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host in its one normal form: lower-case ASCII name without a final dot,
/// or an IP address (IPv6 without brackets).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HostName(String);

impl HostName {
    /// The normal form as text; an IPv6 address without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, if this host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    fn from_parsed(host: &Host<&str>) -> Result<Self, NetError> {
        match host {
            Host::Ipv4(ip) => Ok(Self(ip.to_string())),
            Host::Ipv6(ip) => Ok(Self(ip.to_string())),
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if name.split('.').all(is_label) && name.len() <= 253 {
                    Ok(Self(name.to_ascii_lowercase()))
                } else {
                    Err(NetError::Host(name.chars().take(80).collect()))
                }
            }
        }
    }
}

/// Letters, digits, `-` and `_`. The WHATWG parser lets more through (`{`, `"`,
/// `;`, `*`), which no name server knows and other parsers read as an end.
fn is_label(label: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&label.len()) && label.bytes().all(is_part)
}

impl FromStr for HostName {
    type Err = NetError;
    /// Reads a host as a URL would hold it; numeric forms such as `0x7f.1`
    /// become the address that they mean.
    fn from_str(text: &str) -> Result<Self, NetError> {
        let refuse = || NetError::Host(text.chars().take(80).collect());
        let bare_ipv6 = text.parse::<std::net::Ipv6Addr>().is_ok();
        let bracketed = if bare_ipv6 {
            format!("[{text}]")
        } else {
            text.to_owned()
        };
        if bracketed.contains(['/', '@', '?', '#', '\\', '%'])
            || bracketed.contains(char::is_whitespace)
        {
            return Err(refuse());
        }
        let host = Host::parse(&bracketed).map_err(|_| refuse())?;
        match &host {
            Host::Domain(name) => Self::from_parsed(&Host::Domain(name.as_str())),
            Host::Ipv4(ip) => Ok(Self(ip.to_string())),
            Host::Ipv6(ip) => Ok(Self(ip.to_string())),
        }
    }
}

impl TryFrom<String> for HostName {
    type Error = NetError;
    fn try_from(text: String) -> Result<Self, NetError> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(host: HostName) -> Self {
        host.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The methods that a connector may use. CONNECT, TRACE and private methods
/// are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are those of RFC 9110")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// As it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

impl FromStr for Method {
    type Err = NetError;
    fn from_str(text: &str) -> Result<Self, NetError> {
        Ok(match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            other => return Err(NetError::Method(other.chars().take(20).collect())),
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Scheme, host and port: what a connection is opened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: HostName,
    /// The port; never 0.
    pub port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        if host.0.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(url: &str) -> String {
        url.parse::<RequestUrl>()
            .map(|u| u.origin.host.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn numeric_and_unicode_hosts_become_what_they_mean() {
        for url in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://１２７.0.0.1/",
        ] {
            assert_eq!(host_of(url), "127.0.0.1", "{url}");
        }
        assert_eq!(host_of("https://EXAMPLE.com./"), "example.com");
        assert_eq!(host_of("https://[::ffff:127.0.0.1]/"), "::ffff:127.0.0.1");
    }

    #[test]
    fn a_url_that_two_parsers_could_read_differently_is_refused() {
        for url in [
            "https://user@host/",
            "https://host/#x",
            "https://host/a\\b",
            "https://host/a b",
            "ftp://host/",
            "https://host:0/",
            "https://host/a%2fb",
            "https://host/a%5Cb",
            "/relative",
            "https://",
            "https:host/",
            "https:/host/",
            "https:///host/",
            "https:{//host/",
            "https://a{b/",
            "https://a;b/",
            "https://a,b/",
            "https://a\"b/",
            "https://*.example.com/",
        ] {
            assert!(url.parse::<RequestUrl>().is_err(), "{url}");
        }
    }

    #[test]
    fn dot_segments_are_resolved_before_anything_is_decided() {
        let url: RequestUrl = "https://host/a/../%2e%2e/b/./c?x=1"
            .parse()
            .expect("the case is a URL");
        assert_eq!(url.path, "/b/c");
        assert_eq!(url.path_and_query(), "/b/c?x=1");
        assert_eq!(url.origin.to_string(), "https://host:443");
    }

    #[test]
    fn a_reference_leads_where_rfc_3986_says_or_nowhere() {
        let here: RequestUrl = "https://a.test:8443/b/c?d=e".parse().expect("a URL");
        for (reference, there) in [
            ("/x", "https://a.test:8443/x"),
            ("x?y=z#fragment", "https://a.test:8443/b/x?y=z"),
            ("../../x", "https://a.test:8443/x"),
            ("?y", "https://a.test:8443/b/c?y"),
            ("", "https://a.test:8443/b/c?d=e"),
            ("//b.test/x", "https://b.test:443/x"),
            ("http://B.test:80/", "http://b.test:80/"),
            ("//2130706433/", "https://127.0.0.1:443/"),
        ] {
            let url = here.join(reference).expect("the case is a reference");
            let found = format!("{}{}", url.origin, url.path_and_query());
            assert_eq!(found, there, "{reference}");
        }
        for reference in [
            "//user@b.test/",
            "https://b.test:0/",
            "ftp://b.test/",
            "javascript:alert(1)",
            "https:b.test/",
            "https:/b.test/",
            "https:///b.test/",
            "http:x",
            "///b.test/",
            "////b.test/",
            "b.test:443",
            "/\\b.test/",
            "\\\\b.test/",
            "/a b",
            "/a\r\nx: y",
            "\t//b.test/",
            "/a%2f..",
            "https://",
        ] {
            assert!(here.join(reference).is_err(), "{reference}");
        }
    }

    #[test]
    fn a_host_with_url_syntax_in_it_is_refused() {
        for host in ["a/b", "a@b", "a?b", "a#b", "a b", "", "a%2eb", "x..y"] {
            assert!(host.parse::<HostName>().is_err(), "{host}");
        }
        assert_eq!(
            "::1".parse::<HostName>().map(|h| h.to_string()),
            Ok("::1".to_owned())
        );
    }
}

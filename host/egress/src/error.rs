//! What can go wrong on the way out, in words for operators.
//!
//! A guest never sees these texts: the gate gives it one uniform answer, so
//! that it cannot map a private network by trying.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keyway_model::net::{HostName, Origin};

use crate::address::AddressClass;

/// Whether a request may have had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not one byte of it reached the upstream.
    No,
    /// Some of it may have.
    Maybe,
}

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// The name's addresses.
    Resolve,
    /// A connection.
    Connect,
    /// The agreement on TLS.
    Tls,
    /// The reply's head.
    Head,
    /// The next piece of the reply's body.
    Idle,
    /// The end of the exchange.
    Total,
}

impl Wait {
    /// The limit's name, as it is configured.
    const fn limit(self) -> &'static str {
        match self {
            Self::Resolve => "resolve_ms_max",
            Self::Connect => "connect_ms_max",
            Self::Tls => "tls_ms_max",
            Self::Head => "response_head_ms_max",
            Self::Idle => "response_idle_ms_max",
            Self::Total => "exchange_ms_max",
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Resolve => "the addresses of the host",
            Self::Connect => "a connection",
            Self::Tls => "the TLS handshake",
            Self::Head => "the head of the reply",
            Self::Idle => "the next bytes of the reply",
            Self::Total => "the end of the exchange",
        }
    }
}

/// Which limit was exceeded, by its name in `keyway_model::limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `request_headers_max`, a count.
    RequestHeaders,
    /// `request_header_bytes_max`.
    RequestHeaderBytes,
    /// `request_body_bytes_max`.
    RequestBodyBytes,
    /// `response_header_bytes_max`.
    ReplyHeaderBytes,
    /// `response_interims_max`, a count.
    ReplyInterims,
    /// `response_body_bytes_max`.
    ReplyBodyBytes,
    /// `response_expansion_max`, a ratio.
    ReplyExpansion,
    /// `upstream_connections_max`.
    Connections,
    /// `connections_per_connector_max`.
    ConnectionsEach,
    /// `connects_per_second_max`.
    ConnectsPerSecond,
    /// `lookups_per_second_max`.
    LookupsPerSecond,
    /// `bytes_in_per_minute_max`.
    BytesInPerMinute,
    /// `bytes_out_per_minute_max`.
    BytesOutPerMinute,
}

impl Limit {
    const fn name(self) -> &'static str {
        match self {
            Self::RequestHeaders => "request_headers_max",
            Self::RequestHeaderBytes => "request_header_bytes_max",
            Self::RequestBodyBytes => "request_body_bytes_max",
            Self::ReplyHeaderBytes => "response_header_bytes_max",
            Self::ReplyInterims => "response_interims_max",
            Self::ReplyBodyBytes => "response_body_bytes_max",
            Self::ReplyExpansion => "response_expansion_max",
            Self::Connections => "upstream_connections_max",
            Self::ConnectionsEach => "connections_per_connector_max",
            Self::ConnectsPerSecond => "connects_per_second_max",
            Self::LookupsPerSecond => "lookups_per_second_max",
            Self::BytesInPerMinute => "bytes_in_per_minute_max",
            Self::BytesOutPerMinute => "bytes_out_per_minute_max",
        }
    }
}

/// Why a header cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeaderProblem {
    /// The host writes it, or it belongs to one hop.
    #[error("it is written by the host")]
    Reserved,
    /// Space or tab at either end of the value.
    #[error("its value begins or ends with white space")]
    Whitespace,
    /// `content-length` is not one decimal number.
    #[error("it is not one decimal number")]
    NotANumber,
    /// `content-length` differs from the length of the body.
    #[error("it differs from the length of the body")]
    WrongLength,
}

/// Why an exchange failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// A header that must not be sent.
    #[error("header `{name}` cannot be sent: {problem}")]
    Header {
        /// The header's name.
        name: String,
        /// What is wrong with it.
        problem: HeaderProblem,
    },
    /// A target that HTTP cannot express.
    #[error("the request to {origin} cannot be written: {detail}")]
    Target {
        /// Where it was to go.
        origin: Origin,
        /// What is wrong; never the path or the query.
        detail: &'static str,
    },
    /// A credential would travel in clear.
    #[error(
        "a credential would travel in clear to {origin}: use https, or add [[egress.allow]] host = \"{}\", port = {}, cleartext = true",
        origin.host, origin.port
    )]
    Cleartext {
        /// Where it was to go.
        origin: Origin,
    },
    /// The name has no addresses.
    #[error("{host} does not resolve: {detail}")]
    Unresolvable {
        /// The name.
        host: HostName,
        /// What the resolver said.
        detail: String,
    },
    /// Every address of the host is one that must not be reached.
    #[error(
        "{host} is {address} ({class}), which is not a public address: {}",
        remedy(host, *port, *class)
    )]
    AddressDenied {
        /// The host.
        host: HostName,
        /// The port.
        port: u16,
        /// The first of its addresses.
        address: IpAddr,
        /// What that address is.
        class: AddressClass,
    },
    /// No connection could be opened.
    #[error("cannot connect to {origin}")]
    Connect {
        /// Where to.
        origin: Origin,
        /// Why not, for the last address tried.
        #[source]
        source: Arc<io::Error>,
    },
    /// TLS was not agreed, or the certificate does not hold.
    #[error("no trusted TLS with {origin}")]
    Tls {
        /// With whom.
        origin: Origin,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// Something took too long.
    #[error(
        "`{}` ({}) is exceeded: no more is waited for {}",
        which.limit(), after.as_millis(), which.what()
    )]
    Timeout {
        /// What was waited for.
        which: Wait,
        /// How long.
        after: Duration,
    },
    /// The connection broke.
    #[error("the connection to {origin} broke")]
    Reset {
        /// Which.
        origin: Origin,
        /// Whether the request may have arrived.
        sent: Sent,
        /// How it broke.
        #[source]
        source: Source,
    },
    /// Something is larger than its limit.
    #[error("`{}` ({max}) is exceeded: the exchange was ended", limit.name())]
    TooLarge {
        /// Which limit.
        limit: Limit,
        /// Its value.
        max: u64,
        /// Whether the request may have arrived.
        sent: Sent,
    },
    /// More of the network is used than may be: by one connector of a workspace,
    /// or, where the limit is of all together, by all.
    #[error("`{}` ({max}) is exceeded: wait before the next request", limit.name())]
    Quota {
        /// Which limit.
        limit: Limit,
        /// Its value.
        max: u64,
        /// Whether the request may have arrived.
        sent: Sent,
    },
    /// The upstream does not speak HTTP as it should.
    #[error("{origin} does not answer in valid HTTP")]
    Protocol {
        /// Who.
        origin: Origin,
        /// What was wrong.
        #[source]
        source: Source,
    },
    /// The request's body could not be read to its end, or was not as long as said.
    #[error("the body of the request failed")]
    RequestBody {
        /// Why.
        #[source]
        source: Source,
    },
    /// The reply is encoded in a way that cannot be searched.
    #[error("the reply has content-encoding `{coding}`: {detail}")]
    ContentCoding {
        /// The coding, cut to 40 characters.
        coding: String,
        /// What is wrong with it.
        detail: &'static str,
    },
}

/// The cause of an error, shared so that the error can be passed on.
pub(crate) type Source = Arc<dyn Error + Send + Sync>;

/// Why the way out cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A PEM text that holds no readable certificate.
    #[error("extra root {index} is not a PEM certificate: {detail}")]
    Root {
        /// Which, counted from 1.
        index: usize,
        /// What is wrong.
        detail: String,
    },
    /// A PEM text that holds no readable list of revoked certificates.
    #[error("list {index} of revoked certificates is not in PEM: {detail}")]
    Revoked {
        /// Which, counted from 1.
        index: usize,
        /// What is wrong.
        detail: String,
    },
    /// The roots of a connection cannot be read.
    #[error("the connection's roots are not PEM certificates: {0}")]
    Roots(String),
    /// There is more of something than one connection may bring.
    #[error("`{name}` ({max}) is exceeded: {what}")]
    TooMuch {
        /// The limit.
        name: &'static str,
        /// Its value.
        max: usize,
        /// What there is too much of, and what to do.
        what: String,
    },
    /// The client certificate of a connection cannot be read.
    #[error("the client certificate is not in PEM: {0}")]
    ClientCertificate(String),
    /// The key of a client certificate cannot be read.
    #[error("the key of the client certificate is not a private key in PEM")]
    ClientKey,
    /// The TLS library refuses its own settings.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// What to do about an address that is denied.
fn remedy(host: &HostName, port: u16, class: AddressClass) -> String {
    if class == AddressClass::OwnListener {
        return "a request never reaches Keyway itself, and no entry in [[egress.allow]] changes that: name another port".to_owned();
    }
    format!("if it is meant to be reached, add [[egress.allow]] host = \"{host}\", port = {port}")
}

impl EgressError {
    /// Whether the request may have had an effect; what a `once` action is
    /// judged by.
    pub const fn was_sent(&self) -> Sent {
        match self {
            Self::Header { .. }
            | Self::Target { .. }
            | Self::Cleartext { .. }
            | Self::Unresolvable { .. }
            | Self::AddressDenied { .. }
            | Self::Connect { .. }
            | Self::Tls { .. } => Sent::No,
            Self::Timeout { which, .. } => match which {
                Wait::Resolve | Wait::Connect | Wait::Tls => Sent::No,
                Wait::Head | Wait::Idle | Wait::Total => Sent::Maybe,
            },
            Self::Reset { sent, .. } | Self::TooLarge { sent, .. } | Self::Quota { sent, .. } => {
                *sent
            }
            Self::Protocol { .. } | Self::RequestBody { .. } | Self::ContentCoding { .. } => {
                Sent::Maybe
            }
        }
    }

    /// The error and its causes in one line, for records and operators.
    pub fn operator_text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.ends_with(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            cause = error.source();
        }
        text
    }
}

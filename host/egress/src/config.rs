//! What a platform administrator decides about the way out.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keyway_model::limit::{CallLimits, Limits as Configured, NetworkLimits};
use keyway_model::net::HostName;

use crate::resolve::{Resolve, SystemResolver};

/// A place that may be reached although its address is not public.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowedPlace {
    /// The host, exactly as a URL names it.
    pub host: HostName,
    /// The port, exactly.
    pub port: u16,
    /// Whether a credential may travel there in clear.
    pub cleartext: bool,
    /// The addresses that the host may have there. With none named, any but
    /// a cloud's metadata, multicast and unspecified ones: a name that turns to
    /// those is not what was meant, unless the host is that very address.
    pub addresses: Vec<IpAddr>,
}

/// How the way out is set up.
#[derive(Clone)]
pub struct EgressConfig {
    /// Private or loopback places that may be reached, each by host and port.
    pub allowed: Vec<AllowedPlace>,
    /// Addresses that are refused although they are public: those of this
    /// machine's own interfaces.
    pub also_denied: Vec<IpAddr>,
    /// PEM texts of certificate authorities to trust beside Mozilla's.
    pub extra_roots_pem: Vec<String>,
    /// PEM texts of lists of certificates that were revoked (RFC 5280
    /// section 5); they hold for every connection.
    pub revoked_pem: Vec<String>,
    /// How long each part of an exchange may take that says nothing of it.
    pub timeouts: Timeouts,
    /// How large each part of an exchange may be that says nothing of it; and
    /// what holds for all together.
    pub limits: Limits,
    /// How names become addresses.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for EgressConfig {
    /// Public places only, Mozilla's roots, the machine's name servers.
    fn default() -> Self {
        let Bounds { limits, timeouts } = Bounds::of(&Configured::default());
        Self {
            allowed: Vec::new(),
            also_denied: Vec::new(),
            extra_roots_pem: Vec::new(),
            revoked_pem: Vec::new(),
            timeouts,
            limits,
            resolver: Arc::new(SystemResolver::new()),
        }
    }
}

impl fmt::Debug for EgressConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressConfig")
            .field("allowed", &self.allowed)
            .field("also_denied", &self.also_denied)
            .field("extra_roots", &self.extra_roots_pem.len())
            .field("revoked", &self.revoked_pem.len())
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// How long each part of an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A name becomes addresses.
    pub resolve: Duration,
    /// A connection opens, over all addresses; also the wait for a free one
    /// when [`Limits::connections_max`] are open.
    pub connect: Duration,
    /// TLS is agreed.
    pub tls: Duration,
    /// From the start to the reply's head, connecting included: give it more
    /// than the three above together, so that a failure to connect is known
    /// as one.
    pub head: Duration,
    /// Between two pieces of the reply's body.
    pub idle: Duration,
    /// From the start to the last byte of the reply.
    pub total: Duration,
    /// How long an unused connection is kept.
    pub keep: Duration,
}

impl Timeouts {
    /// The same times, as they are configured.
    pub const fn of(limits: &NetworkLimits) -> Self {
        Self {
            resolve: Duration::from_millis(limits.resolve_ms_max),
            connect: Duration::from_millis(limits.connect_ms_max),
            tls: Duration::from_millis(limits.tls_ms_max),
            head: Duration::from_millis(limits.response_head_ms_max),
            idle: Duration::from_millis(limits.response_idle_ms_max),
            total: Duration::from_millis(limits.exchange_ms_max),
            keep: Duration::from_millis(limits.idle_connection_ms_max),
        }
    }
}

/// How large each part of an exchange may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Addresses of one name that are looked at.
    pub addresses_max: usize,
    /// Headers of a request.
    pub request_headers_max: usize,
    /// Bytes of a request's header names and values.
    pub request_header_bytes_max: usize,
    /// Bytes of a request's body.
    pub request_body_bytes_max: u64,
    /// Bytes of a reply's head.
    pub reply_header_bytes_max: u32,
    /// Interim replies (1xx) before a reply.
    pub reply_interims_max: u32,
    /// Bytes of a reply's body, as received and as decoded, each.
    pub reply_body_bytes_max: u64,
    /// How many bytes one byte of an encoded reply may become.
    pub reply_expansion_max: u32,
    /// Connections open at once, over all tenants.
    pub connections_max: usize,
    /// Connections open at once for one connector of one environment.
    pub connections_each_max: usize,
    /// New connections in a second for one connector of one environment.
    pub connects_per_second_max: u32,
    /// Look-ups of names in a second for one connector of one environment.
    pub lookups_per_second_max: u32,
    /// Bytes received in a minute for one connector of one environment, as they are
    /// on the wire. What goes over it is paid before the next exchange begins.
    pub bytes_in_per_minute_max: u64,
    /// Bytes sent, likewise.
    pub bytes_out_per_minute_max: u64,
    /// Unused connections kept for one connection of a tenant and one origin.
    pub idle_connections_max: usize,
    /// Places whose connections are kept; the least recently used goes first.
    pub places_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(&CallLimits::default(), &NetworkLimits::default())
    }
}

impl Limits {
    /// The same sizes, as they are configured.
    pub const fn of(call: &CallLimits, network: &NetworkLimits) -> Self {
        Self {
            addresses_max: network.addresses_max as usize,
            request_headers_max: call.request_headers_max as usize,
            request_header_bytes_max: call.request_header_bytes_max as usize,
            request_body_bytes_max: call.request_body_bytes_max,
            reply_header_bytes_max: call.response_header_bytes_max,
            reply_interims_max: network.response_interims_max,
            reply_body_bytes_max: call.response_body_bytes_max,
            reply_expansion_max: network.response_expansion_max,
            connections_max: network.upstream_connections_max as usize,
            connections_each_max: network.connections_per_connector_max as usize,
            connects_per_second_max: network.connects_per_second_max,
            lookups_per_second_max: network.lookups_per_second_max,
            bytes_in_per_minute_max: network.bytes_in_per_minute_max,
            bytes_out_per_minute_max: network.bytes_out_per_minute_max,
            idle_connections_max: network.idle_connections_max as usize,
            places_max: network.upstream_places_max as usize,
        }
    }
}

/// How large and how long: for everything, or lower, for one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sizes.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
}

impl Bounds {
    /// What is configured. What counts over all workspaces (connections, places,
    /// how long they are kept) is heard only when the way out is set up.
    pub const fn of(configured: &Configured) -> Self {
        Self {
            limits: Limits::of(&configured.call, &configured.network),
            timeouts: Timeouts::of(&configured.network),
        }
    }
}

//! From a name to addresses.
//!
//! Only looks up; what may be reached is decided in `vet`. The name servers are
//! those that the platform's configuration names, or the machine's own
//! (`/etc/resolv.conf`); `/etc/hosts` is read, a search list never: a guest's
//! name is a whole name. No environment variable has a say.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use keyway_model::net::HostName;

/// Why a name has no addresses, in the resolver's words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// Turns names into addresses.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of `host`, as far as they are known.
    async fn resolve(&self, host: &HostName) -> Result<Vec<IpAddr>, ResolveError>;
}

/// Asks the machine's name servers, or those that it was given.
pub struct SystemResolver(Result<TokioResolver, String>);

impl SystemResolver {
    /// A resolver with the machine's configuration. Without a readable
    /// `/etc/resolv.conf`, only `/etc/hosts` answers.
    pub fn new() -> Self {
        let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no name servers are configured: only /etc/hosts answers");
            with_servers(&[])
        });
        Self::from_builder(builder)
    }

    /// A resolver that asks these name servers, by UDP and TCP, in no
    /// particular order.
    pub fn asking(servers: &[SocketAddr]) -> Self {
        Self::from_builder(with_servers(servers))
    }

    fn from_builder(mut builder: Builder) -> Self {
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Self(builder.build().map_err(|error| error.to_string()))
    }
}

type Builder = ResolverBuilder<TokioRuntimeProvider>;

fn with_servers(servers: &[SocketAddr]) -> Builder {
    let name_servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
            way.port = server.port();
            way
        });
        NameServerConfig::new(server.ip(), true, connections.to_vec())
    });
    let mut config = ResolverConfig::default();
    config.name_servers = name_servers.collect();
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &HostName) -> Result<Vec<IpAddr>, ResolveError> {
        let resolver = self
            .0
            .as_ref()
            .map_err(|error| ResolveError(error.clone()))?;
        // The final dot makes it a whole name: no search list.
        let found = resolver
            .lookup_ip(format!("{host}."))
            .await
            .map_err(|error| ResolveError(error.to_string()))?;
        Ok(found.iter().collect())
    }
}

/// Knows some names and asks nobody.
#[derive(Clone, Debug, Default)]
pub struct FixedResolver(HashMap<HostName, Vec<IpAddr>>);

impl FixedResolver {
    /// A resolver that knows exactly these names.
    pub fn new(names: impl IntoIterator<Item = (HostName, Vec<IpAddr>)>) -> Self {
        Self(names.into_iter().collect())
    }
}

#[async_trait]
impl Resolve for FixedResolver {
    async fn resolve(&self, host: &HostName) -> Result<Vec<IpAddr>, ResolveError> {
        self.0
            .get(host)
            .cloned()
            .ok_or_else(|| ResolveError("the name is not known".to_owned()))
    }
}

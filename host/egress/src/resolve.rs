//! From a name to addresses.
//!
//! Only looks up; what may be reached is decided in `vet`. The machine's own
//! configuration is used (`/etc/resolv.conf`, `/etc/hosts`), but never its
//! search list: a guest's name is a whole name.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
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

/// Asks the machine's name servers.
pub struct SystemResolver(Result<TokioResolver, String>);

impl SystemResolver {
    /// A resolver with the machine's configuration. Without a readable
    /// `/etc/resolv.conf`, only `/etc/hosts` answers.
    pub fn new() -> Self {
        let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no name servers are configured: only /etc/hosts answers");
            TokioResolver::builder_with_config(
                ResolverConfig::default(),
                TokioRuntimeProvider::default(),
            )
        });
        let mut builder = builder;
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Self(builder.build().map_err(|error| error.to_string()))
    }
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

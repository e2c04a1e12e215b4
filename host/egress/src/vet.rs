//! Which addresses may be dialled.
//!
//! A [`Vetted`] exists only after every address in it was classified, and it is
//! the only thing that `dial` takes. So the address that was judged is the
//! address that is dialled, whatever the name server says a moment later.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every class that is not named here is treated alike, and denied"
)]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use keyway_model::net::{HostName, Origin};
use tokio::time::timeout;

use crate::address::{AddressClass, classify, reached};
use crate::config::{AllowedPlace, Bounds, EgressConfig};
use crate::error::{EgressError, Wait};
use crate::resolve::Resolve;

/// Addresses of one origin, each of which may be dialled. Never empty.
#[derive(Debug)]
pub(crate) struct Vetted(Vec<SocketAddr>);

impl Vetted {
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }
}

/// The platform's rules on addresses.
#[derive(Debug)]
pub(crate) struct Vetting {
    resolver: Arc<dyn Resolve>,
    also_denied: Vec<IpAddr>,
    allowed: HashMap<(HostName, u16), AllowedPlace>,
}

impl Vetting {
    pub(crate) fn new(config: &EgressConfig) -> Self {
        let by_place = |place: &AllowedPlace| ((place.host.clone(), place.port), place.clone());
        let allowed = config.allowed.iter().map(by_place).collect();
        Self {
            resolver: Arc::clone(&config.resolver),
            also_denied: config.also_denied.clone(),
            allowed,
        }
    }

    /// Resolves the origin's host once and keeps the addresses that may be
    /// dialled.
    pub(crate) async fn vet(
        &self,
        origin: &Origin,
        bounds: &Bounds,
    ) -> Result<Vetted, EgressError> {
        let addresses = self.addresses_of(&origin.host, bounds).await?;
        let listed = self.listed(origin);
        let mut denied = None;
        let mut vetted = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.class_of(address) {
                AddressClass::Public => vetted.push(SocketAddr::new(address, origin.port)),
                class if listed.is_some_and(|place| place.may_be_at(address, class)) => {
                    vetted.push(SocketAddr::new(address, origin.port));
                }
                class => denied = denied.or(Some((address, class))),
            }
        }
        match denied {
            Some((address, class)) if vetted.is_empty() => Err(EgressError::AddressDenied {
                host: origin.host.clone(),
                port: origin.port,
                address,
                class,
            }),
            None if vetted.is_empty() => Err(EgressError::Unresolvable {
                host: origin.host.clone(),
                detail: "it has no addresses".to_owned(),
            }),
            _ => Ok(Vetted(vetted)),
        }
    }

    /// Whether the platform lets a credential travel in clear to this origin.
    pub(crate) fn allows_clear_credential(&self, origin: &Origin) -> bool {
        self.listed(origin).is_some_and(|place| place.cleartext)
    }

    fn listed(&self, origin: &Origin) -> Option<&AllowedPlace> {
        self.allowed.get(&(origin.host.clone(), origin.port))
    }

    async fn addresses_of(
        &self,
        host: &HostName,
        Bounds { limits, timeouts }: &Bounds,
    ) -> Result<Vec<IpAddr>, EgressError> {
        if let Some(address) = host.ip() {
            return Ok(vec![address]);
        }
        let lookup = timeout(timeouts.resolve, self.resolver.resolve(host));
        let answer = lookup.await.map_err(|_| EgressError::Timeout {
            which: Wait::Resolve,
            after: timeouts.resolve,
        })?;
        let mut addresses = answer.map_err(|error| EgressError::Unresolvable {
            host: host.clone(),
            detail: error.0.chars().take(200).collect(),
        })?;
        addresses.truncate(limits.addresses_max);
        Ok(addresses)
    }

    fn class_of(&self, address: IpAddr) -> AddressClass {
        match classify(address) {
            AddressClass::Public if self.also_denied.contains(&reached(address)) => {
                AddressClass::OwnInterface
            }
            class => class,
        }
    }
}

impl AllowedPlace {
    /// Whether the place is what the platform meant, with this address.
    fn may_be_at(&self, address: IpAddr, class: AddressClass) -> bool {
        if !self.addresses.is_empty() {
            return self.addresses.contains(&reached(address));
        }
        match class {
            AddressClass::CloudMetadata | AddressClass::Multicast | AddressClass::Unspecified => {
                self.host.ip() == Some(address)
            }
            _ => true,
        }
    }
}

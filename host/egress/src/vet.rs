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

use parking_lot::RwLock;

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
    /// Where this deployment listens, as it was bound.
    listeners: RwLock<Vec<SocketAddr>>,
    allowed: HashMap<(HostName, u16), AllowedPlace>,
}

impl Vetting {
    pub(crate) fn new(config: &EgressConfig) -> Self {
        let by_place = |place: &AllowedPlace| ((place.host.clone(), place.port), place.clone());
        let allowed = config.allowed.iter().map(by_place).collect();
        Self {
            resolver: Arc::clone(&config.resolver),
            also_denied: config.also_denied.clone(),
            listeners: RwLock::default(),
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
            match self.class_of(address, origin.port) {
                AddressClass::OwnListener => {
                    denied = denied.or(Some((address, AddressClass::OwnListener)));
                }
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

    fn class_of(&self, address: IpAddr, port: u16) -> AddressClass {
        match classify(address) {
            class if self.is_own_listener(address, class, port) => AddressClass::OwnListener,
            AddressClass::Public if self.also_denied.contains(&reached(address)) => {
                AddressClass::OwnInterface
            }
            class => class,
        }
    }
}

impl Vetting {
    /// From now on, nothing that is dialled is this listener.
    pub(crate) fn never_reach(&self, listener: SocketAddr) {
        self.listeners.write().push(listener);
    }

    /// Whether who dials this reaches a listener of this deployment. One that is
    /// bound to every address is reached by each of this machine's.
    fn is_own_listener(&self, address: IpAddr, class: AddressClass, port: u16) -> bool {
        let address = reached(address);
        let is_this_machine = matches!(class, AddressClass::Loopback | AddressClass::Unspecified)
            || self.also_denied.contains(&address);
        let is_it = |listener: &SocketAddr| {
            listener.port() == port
                && (reached(listener.ip()) == address
                    || is_this_machine
                        && (listener.ip().is_unspecified() || address.is_unspecified()))
        };
        self.listeners.read().iter().any(is_it)
    }

    /// Whether a connection has come to a listener of this deployment all the
    /// same, by an address that this machine was given later: then both its ends
    /// have that address.
    pub(crate) fn has_come_home(
        &self,
        peer: SocketAddr,
        local: impl FnOnce() -> Option<SocketAddr>,
    ) -> bool {
        let is_it = |listener: &SocketAddr| {
            listener.port() == peer.port() && listener.ip().is_unspecified()
        };
        self.listeners.read().iter().any(is_it)
            && local().is_none_or(|local| reached(local.ip()) == reached(peer.ip()))
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_this_machine_was_given_later_is_known_by_both_ends() {
        let vetting = Vetting::new(&EgressConfig::default());
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        vetting.never_reach(at("0.0.0.0:8080"));
        vetting.never_reach(at("192.0.2.1:9090"));
        let home = |peer: &str, local: &str| vetting.has_come_home(at(peer), || Some(at(local)));
        assert!(home("192.0.2.7:8080", "192.0.2.7:40000"));
        assert!(!home("192.0.2.7:8080", "192.0.2.1:40000"));
        assert!(!home("192.0.2.7:8081", "192.0.2.7:40000"));
        assert!(!home("192.0.2.7:9090", "192.0.2.7:40000"));
        assert!(vetting.has_come_home(at("192.0.2.7:8080"), || None));
    }
}

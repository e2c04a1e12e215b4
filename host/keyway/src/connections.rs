//! Connections of one listener, counted by the address that they come from.
//!
//! One address holds at most as many as are free, so that some together cannot keep
//! all others out. Whoever is over is closed at once: a connection that waited in
//! the kernel's queue would hold up those behind it.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_model::limit::LISTENER_CONNECTIONS_MAX;
use parking_lot::Mutex;

use crate::strangers::Peer;

/// The connections of a listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    peers: HashMap<Peer, usize>,
}

/// One connection; it counts until this is dropped.
#[derive(Debug)]
#[must_use = "the connection counts until this is dropped"]
pub(crate) struct Stay {
    connections: Connections,
    peer: Peer,
}

impl Connections {
    /// Lets one more of `peer` stay, if it has not its share.
    pub(crate) fn enter(&self, peer: Peer) -> Option<Stay> {
        let mut held = self.0.lock();
        let own = held.peers.get(&peer).copied().unwrap_or(0);
        if own >= LISTENER_CONNECTIONS_MAX.saturating_sub(held.all) {
            return None;
        }
        held.all += 1;
        held.peers.insert(peer, own + 1);
        Some(Stay {
            connections: self.clone(),
            peer,
        })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut held = self.connections.0.lock();
        held.all -= 1;
        if let Some(own) = held.peers.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                held.peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn fill(connections: &Connections, last: u8) -> Vec<Stay> {
        let peer = Peer::at(IpAddr::from([192, 0, 2, last]));
        std::iter::from_fn(|| connections.enter(peer)).collect()
    }

    #[test]
    fn addresses_that_open_all_they_can_leave_some_for_another() {
        let connections = Connections::default();
        let mut held: Vec<_> = (1..5).map(|last| fill(&connections, last)).collect();
        let counts: Vec<_> = held.iter().map(Vec::len).collect();
        assert_eq!(counts, [512, 256, 128, 64]);
        assert!(!fill(&connections, 9).is_empty());
        // Who closes one may open one.
        held[0].truncate(8);
        assert!(!fill(&connections, 1).is_empty());
        held.clear();
        assert_eq!(connections.0.lock().all, 0);
        assert!(connections.0.lock().peers.is_empty());
    }
}

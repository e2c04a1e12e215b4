//! What one connector of one environment may use of the network.
//!
//! Each has an account: connections that are open, and buckets that fill with
//! time for new connections, look-ups of names and bytes on the wire, TLS and
//! heads included. Bytes are paid afterwards: an exchange ends, and the next one
//! waits until the debt is paid. No account can see or use up another's. What an
//! account is held to is what holds for the latest call of its connector.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_model::{Digest, Scope};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::config::Bounds;
use crate::error::{EgressError, Limit, Sent};

/// Accounts that are remembered before those that owe nothing are forgotten.
const ACCOUNTS_KEPT: usize = 4_096;

const SECOND: f64 = 1.0;
const MINUTE: f64 = 60.0;

/// Whose account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) scope: Scope,
    /// `None` if no connector acts, but the platform itself.
    pub(crate) connector: Option<Digest>,
}

/// All accounts.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    known: Mutex<HashMap<Owner, Arc<Account>>>,
}

/// What one connector of one environment uses.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) owner: Owner,
    connections: Arc<Semaphore>,
    held: Mutex<Held>,
}

/// What an account is held to, and what it used of it.
#[derive(Debug)]
struct Held {
    bounds: Bounds,
    /// Connections that are open beyond the limit since it was lowered: so many
    /// of those that close make no room.
    surplus: usize,
    connects: Bucket,
    lookups: Bucket,
    bytes_in: Bucket,
    bytes_out: Bucket,
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

impl Accounts {
    /// The account of an owner, held to `bounds` from now on.
    pub(crate) fn of(&self, owner: Owner, bounds: &Bounds) -> Arc<Account> {
        let mut known = self.known.lock();
        if known.len() >= ACCOUNTS_KEPT && !known.contains_key(&owner) {
            let now = Instant::now();
            known.retain(|_, account| Arc::strong_count(account) > 1 || account.owes(now));
        }
        let account = known
            .entry(owner)
            .or_insert_with(|| Arc::new(Account::new(owner, bounds)));
        account.hold_to(bounds);
        Arc::clone(account)
    }
}

impl Account {
    fn new(owner: Owner, bounds: &Bounds) -> Self {
        let now = Instant::now();
        let limits = &bounds.limits;
        Self {
            owner,
            connections: Arc::new(Semaphore::new(limits.connections_each_max)),
            held: Mutex::new(Held {
                bounds: *bounds,
                surplus: 0,
                connects: Bucket::full(limits.connects_per_second_max.into(), SECOND, now),
                lookups: Bucket::full(limits.lookups_per_second_max.into(), SECOND, now),
                bytes_in: Bucket::full(limits.bytes_in_per_minute_max, MINUTE, now),
                bytes_out: Bucket::full(limits.bytes_out_per_minute_max, MINUTE, now),
            }),
        }
    }

    /// Holds the account to other limits, if they are others. What was used stays
    /// used: changing limits to and fro gives nothing away.
    pub(crate) fn hold_to(&self, bounds: &Bounds) {
        let mut held = self.held.lock();
        if held.bounds == *bounds {
            return;
        }
        let (now, limits) = (Instant::now(), &bounds.limits);
        let before = held.bounds.limits.connections_each_max;
        self.make_room_for(limits.connections_each_max, before, &mut held.surplus);
        held.connects
            .resize(limits.connects_per_second_max.into(), SECOND, now);
        held.lookups
            .resize(limits.lookups_per_second_max.into(), SECOND, now);
        held.bytes_in
            .resize(limits.bytes_in_per_minute_max, MINUTE, now);
        held.bytes_out
            .resize(limits.bytes_out_per_minute_max, MINUTE, now);
        held.bounds = *bounds;
    }

    fn make_room_for(&self, connections: usize, before: usize, surplus: &mut usize) {
        if let Some(fewer) = before.checked_sub(connections) {
            *surplus += fewer - self.connections.forget_permits(fewer);
        } else {
            let more = connections - before;
            let forgiven = more.min(*surplus);
            *surplus -= forgiven;
            self.connections.add_permits(more - forgiven);
        }
    }

    /// What the account is held to.
    pub(crate) fn bounds(&self) -> Bounds {
        self.held.lock().bounds
    }

    fn owes(&self, now: Instant) -> bool {
        let mut held = self.held.lock();
        let Held {
            connects,
            lookups,
            bytes_in,
            bytes_out,
            ..
        } = &mut *held;
        [connects, lookups, bytes_in, bytes_out]
            .into_iter()
            .any(|bucket| !bucket.is_full(now))
    }

    /// Counts one look-up of a name.
    pub(crate) fn look_up(&self) -> Result<(), EgressError> {
        let mut held = self.held.lock();
        if held.lookups.take(Instant::now()) {
            return Ok(());
        }
        let max = held.bounds.limits.lookups_per_second_max.into();
        Err(over(Limit::LookupsPerSecond, max))
    }

    /// Counts one new connection.
    pub(crate) fn connect(&self) -> Result<(), EgressError> {
        let mut held = self.held.lock();
        if held.connects.take(Instant::now()) {
            return Ok(());
        }
        let max = held.bounds.limits.connects_per_second_max.into();
        Err(over(Limit::ConnectsPerSecond, max))
    }

    /// Room for one connection, if there is some.
    pub(crate) fn connection_now(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let permit = Arc::clone(&self.connections).try_acquire_owned().ok()?;
            if let Some(permit) = self.unless_surplus(permit) {
                return Some(permit);
            }
        }
    }

    /// Room for one connection, as soon as there is some.
    pub(crate) async fn connection(&self) -> Result<OwnedSemaphorePermit, EgressError> {
        loop {
            let permit = Arc::clone(&self.connections).acquire_owned().await;
            let permit = permit.map_err(|_| self.too_many_connections())?;
            if let Some(permit) = self.unless_surplus(permit) {
                return Ok(permit);
            }
        }
    }

    fn unless_surplus(&self, permit: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        let mut held = self.held.lock();
        if held.surplus == 0 {
            return Some(permit);
        }
        held.surplus -= 1;
        permit.forget();
        None
    }

    /// The error of one connection too many.
    pub(crate) fn too_many_connections(&self) -> EgressError {
        let max = self.bounds().limits.connections_each_max;
        over(Limit::ConnectionsEach, max as u64)
    }

    /// Counts bytes on the wire.
    pub(crate) fn moved(&self, way: Way, bytes: usize) {
        let mut held = self.held.lock();
        match way {
            Way::In => held.bytes_in.charge(bytes as u64),
            Way::Out => held.bytes_out.charge(bytes as u64),
        }
    }

    /// Refuses while there is a debt of bytes.
    pub(crate) fn has_paid(&self) -> Result<(), EgressError> {
        let now = Instant::now();
        let mut held = self.held.lock();
        let limits = held.bounds.limits;
        if held.bytes_in.is_empty(now) {
            let max = limits.bytes_in_per_minute_max;
            return Err(over(Limit::BytesInPerMinute, max));
        }
        if held.bytes_out.is_empty(now) {
            let max = limits.bytes_out_per_minute_max;
            return Err(over(Limit::BytesOutPerMinute, max));
        }
        Ok(())
    }
}

const fn over(limit: Limit, max: u64) -> EgressError {
    EgressError::Quota {
        limit,
        max,
        sent: Sent::No,
    }
}

#[cfg(test)]
mod tests {
    use keyway_model::{Environment, TenantId};

    use super::*;

    fn bounds(change: impl FnOnce(&mut Bounds)) -> Bounds {
        let mut bounds = Bounds::of(&keyway_model::limit::Limits::default());
        change(&mut bounds);
        bounds
    }

    fn owner() -> Owner {
        Owner {
            scope: Scope {
                tenant: TenantId::random(),
                environment: Environment::Production,
            },
            connector: None,
        }
    }

    #[test]
    fn accounts_that_owe_nothing_are_forgotten_and_others_are_not() {
        let accounts = Accounts::default();
        let (debtor, bounds) = (owner(), bounds(|_| {}));
        for _ in 0..2 {
            accounts.of(debtor, &bounds).moved(Way::In, 1 << 40);
        }
        for _ in 0..2 * ACCOUNTS_KEPT {
            drop(accounts.of(owner(), &bounds));
        }
        assert!(accounts.known.lock().len() <= ACCOUNTS_KEPT);
        assert!(accounts.of(debtor, &bounds).has_paid().is_err());
    }

    #[test]
    fn a_changed_limit_holds_at_once_and_changing_it_to_and_fro_gives_nothing_away() {
        let accounts = Accounts::default();
        let owner = owner();
        let of = |connects, connections| {
            accounts.of(
                owner,
                &bounds(|it| {
                    it.limits.connects_per_second_max = connects;
                    it.limits.connections_each_max = connections;
                }),
            )
        };
        let mut open: Vec<_> = (0..8).map_while(|_| of(4, 5).connection_now()).collect();
        assert_eq!(open.len(), 5);
        let tries = |connects| {
            (0..20)
                .filter(|_| of(connects, 2).connect().is_ok())
                .count()
        };
        // A bucket fills all the while; a few microseconds bring no token.
        assert_eq!([tries(4), tries(1), tries(4)], [4, 0, 0]);
        assert!(of(4, 2).connection_now().is_none());
        open.truncate(2);
        assert!(of(4, 2).connection_now().is_none(), "two are still open");
        open.truncate(1);
        open.extend(of(4, 2).connection_now());
        assert_eq!(open.len(), 2);
        assert!(of(4, 2).connection_now().is_none());
        open.extend((0..9).map_while(|_| of(4, 5).connection_now()));
        assert_eq!(open.len(), 5);
    }
}

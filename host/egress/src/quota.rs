//! What one connector of one tenant may use of the network.
//!
//! Each has an account: connections that are open, and buckets that fill with
//! time for new connections, look-ups of names and bytes on the wire, TLS and
//! heads included. Bytes are paid afterwards: an exchange ends, and the next one
//! waits until the debt is paid. No account can see or use up another's.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_model::{Digest, TenantId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Limits;
use crate::error::{EgressError, Limit, Sent};

/// Accounts that are remembered before those that owe nothing are forgotten.
const ACCOUNTS_KEPT: usize = 4_096;

/// Whose account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantId,
    /// `None` if no connector acts, but the platform itself.
    pub(crate) connector: Option<Digest>,
}

/// All accounts.
#[derive(Debug)]
pub(crate) struct Accounts {
    limits: Limits,
    known: Mutex<HashMap<Owner, Arc<Account>>>,
}

/// What one connector of one tenant uses.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) owner: Owner,
    pub(crate) connections: Arc<Semaphore>,
    limits: Limits,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
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
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            known: Mutex::default(),
        }
    }

    pub(crate) fn of(&self, owner: Owner) -> Arc<Account> {
        let mut known = self.known.lock();
        if known.len() >= ACCOUNTS_KEPT && !known.contains_key(&owner) {
            let now = Instant::now();
            known.retain(|_, account| Arc::strong_count(account) > 1 || account.owes(now));
        }
        let account = known
            .entry(owner)
            .or_insert_with(|| Arc::new(Account::new(owner, self.limits)));
        Arc::clone(account)
    }
}

impl Account {
    fn new(owner: Owner, limits: Limits) -> Self {
        let now = Instant::now();
        let per_minute = |max: u64| Bucket::full(max, 60.0, now);
        Self {
            owner,
            connections: Arc::new(Semaphore::new(limits.connections_each_max)),
            limits,
            buckets: Mutex::new(Buckets {
                connects: Bucket::full(limits.connects_per_second_max.into(), 1.0, now),
                lookups: Bucket::full(limits.lookups_per_second_max.into(), 1.0, now),
                bytes_in: per_minute(limits.bytes_in_per_minute_max),
                bytes_out: per_minute(limits.bytes_out_per_minute_max),
            }),
        }
    }

    fn owes(&self, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        let Buckets {
            connects,
            lookups,
            bytes_in,
            bytes_out,
        } = &mut *buckets;
        [connects, lookups, bytes_in, bytes_out]
            .into_iter()
            .any(|bucket| !bucket.is_full(now))
    }

    /// Counts one look-up of a name.
    pub(crate) fn look_up(&self) -> Result<(), EgressError> {
        let max = self.limits.lookups_per_second_max.into();
        let taken = self.buckets.lock().lookups.take(Instant::now());
        taken
            .then_some(())
            .ok_or(over(Limit::LookupsPerSecond, max))
    }

    /// Counts one new connection.
    pub(crate) fn connect(&self) -> Result<(), EgressError> {
        let max = self.limits.connects_per_second_max.into();
        let taken = self.buckets.lock().connects.take(Instant::now());
        taken
            .then_some(())
            .ok_or(over(Limit::ConnectsPerSecond, max))
    }

    /// The error of one connection too many.
    pub(crate) fn too_many_connections(&self) -> EgressError {
        over(
            Limit::ConnectionsEach,
            self.limits.connections_each_max as u64,
        )
    }

    /// Counts bytes on the wire.
    pub(crate) fn moved(&self, way: Way, bytes: usize) {
        let mut buckets = self.buckets.lock();
        match way {
            Way::In => buckets.bytes_in.charge(bytes as u64),
            Way::Out => buckets.bytes_out.charge(bytes as u64),
        }
    }

    /// Refuses while there is a debt of bytes.
    pub(crate) fn has_paid(&self) -> Result<(), EgressError> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock();
        if buckets.bytes_in.is_empty(now) {
            return Err(over(
                Limit::BytesInPerMinute,
                self.limits.bytes_in_per_minute_max,
            ));
        }
        if buckets.bytes_out.is_empty(now) {
            return Err(over(
                Limit::BytesOutPerMinute,
                self.limits.bytes_out_per_minute_max,
            ));
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

/// Fills evenly with time up to a capacity; may be in debt.
#[derive(Debug)]
struct Bucket {
    capacity: f64,
    per_second: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket, of `capacity` in `seconds`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a limit beyond 2^53 may be off by one"
    )]
    fn full(capacity: u64, seconds: f64, now: Instant) -> Self {
        let capacity = capacity as f64;
        Self {
            capacity,
            per_second: capacity / seconds,
            level: capacity,
            filled: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = self
            .capacity
            .min(passed.mul_add(self.per_second, self.level));
        self.filled = now;
    }

    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let enough = self.level >= 1.0;
        if enough {
            self.level -= 1.0;
        }
        enough
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what one read or write moves is far below 2^53"
    )]
    fn charge(&mut self, amount: u64) {
        self.level -= amount as f64;
    }

    fn is_empty(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level < 1.0
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= self.capacity
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_capacity_at_once_and_then_as_much_as_time_brings() {
        let start = Instant::now();
        let mut bucket = Bucket::full(3, 1.0, start);
        let taken = |bucket: &mut Bucket, now| {
            std::iter::repeat_with(|| bucket.take(now))
                .take_while(|taken| *taken)
                .count()
        };
        assert_eq!(taken(&mut bucket, start), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(700)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 3);
    }

    #[test]
    fn a_debt_is_paid_by_time() {
        let start = Instant::now();
        let mut bucket = Bucket::full(60, 60.0, start);
        bucket.charge(90);
        assert!(bucket.is_empty(start + Duration::from_secs(30)));
        assert!(!bucket.is_empty(start + Duration::from_secs(32)));
    }

    #[test]
    fn accounts_that_owe_nothing_are_forgotten_and_others_are_not() {
        let accounts = Accounts::new(Limits {
            connects_per_second_max: 1,
            ..Limits::default()
        });
        let owner = || Owner {
            tenant: TenantId::random(),
            connector: None,
        };
        let debtor = owner();
        for _ in 0..2 {
            accounts.of(debtor).moved(Way::In, 1 << 40);
        }
        for _ in 0..2 * ACCOUNTS_KEPT {
            drop(accounts.of(owner()));
        }
        assert!(accounts.known.lock().len() <= ACCOUNTS_KEPT);
        assert!(accounts.of(debtor).has_paid().is_err());
    }
}

//! The tokens that hold, in memory: found by hash, counted by workspace.

use std::collections::HashMap;

use keyway_model::{TenantId, Timestamp, TokenId};
use keyway_store::Token;
use parking_lot::Mutex;

/// Every token that has rights.
#[derive(Debug, Default)]
pub(super) struct Held {
    by_hash: HashMap<[u8; 32], One>,
    /// Those that are being made.
    reserved: HashMap<TenantId, u32>,
}

#[derive(Clone, Copy, Debug)]
struct One {
    id: TokenId,
    tenant: TenantId,
    expires_at: Timestamp,
}

/// The place of a token that is being made, until this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub(super) struct Place<'h> {
    held: &'h Mutex<Held>,
    tenant: TenantId,
}

impl Held {
    /// Holds a token from now on.
    pub(super) fn put(&mut self, token: &Token, tenant: TenantId) {
        let one = One {
            id: token.id,
            tenant,
            expires_at: token.expires_at,
        };
        self.by_hash.insert(token.hash, one);
    }

    /// The token of this hash, if it holds now.
    pub(super) fn find(&self, hash: &[u8; 32], now: Timestamp) -> Option<TokenId> {
        let one = self.by_hash.get(hash)?;
        (now < one.expires_at).then_some(one.id)
    }

    /// Holds a token no more.
    pub(super) fn remove(&mut self, id: TokenId) {
        self.by_hash.retain(|_, one| one.id != id);
    }

    /// Takes out those whose time is over.
    pub(super) fn take_expired(&mut self, now: Timestamp) -> Vec<TokenId> {
        let expired = self.by_hash.extract_if(|_, one| one.expires_at <= now);
        expired.map(|(_, one)| one.id).collect()
    }

    fn of(&self, tenant: TenantId, now: Timestamp) -> usize {
        let all = self.by_hash.values();
        let own = all.filter(|one| one.tenant == tenant && now < one.expires_at);
        own.count() + self.reserved.get(&tenant).copied().unwrap_or(0) as usize
    }
}

impl<'h> Place<'h> {
    /// A place among the `max` of a workspace, if there is one.
    pub(super) fn reserve(
        held: &'h Mutex<Held>,
        tenant: TenantId,
        max: u32,
        now: Timestamp,
    ) -> Option<Self> {
        let mut all = held.lock();
        if all.of(tenant, now) >= max as usize {
            return None;
        }
        *all.reserved.entry(tenant).or_default() += 1;
        Some(Self { held, tenant })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.held.lock();
        if let Some(count) = all.reserved.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                all.reserved.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ACME: TenantId = TenantId::from_bits(1);
    const RIVAL: TenantId = TenantId::from_bits(2);

    fn token(number: u8, expires_at: Timestamp) -> Token {
        Token {
            id: TokenId::from_bits(number.into()),
            hash: [number; 32],
            tenant: Some(ACME),
            environment: None,
            role: "admin".to_owned(),
            label: String::new(),
            created_at: expires_at,
            expires_at,
            revoked_at: None,
            used_at: None,
        }
    }

    #[test]
    fn tokens_that_hold_and_those_that_are_being_made_count_and_no_others() {
        let now = keyway_model::time::Clock::System.now();
        let later = now.plus(Duration::from_secs(9));
        let held = Mutex::new(Held::default());
        held.lock().put(&token(1, later), ACME);
        held.lock().put(&token(2, now), ACME);
        let reserve = |tenant, max| Place::reserve(&held, tenant, max, now);
        let being_made = reserve(ACME, 2);
        assert!(being_made.is_some());
        assert!(reserve(ACME, 2).is_none());
        assert!(reserve(RIVAL, 1).is_some());
        drop(being_made);
        assert!(reserve(ACME, 2).is_some());
        held.lock().remove(TokenId::from_bits(1));
        assert!(reserve(ACME, 1).is_some());
        assert!(held.lock().reserved.is_empty());
    }

    #[test]
    fn a_token_is_found_by_its_hash_until_its_time_is_over() {
        let now = keyway_model::time::Clock::System.now();
        let later = now.plus(Duration::from_secs(9));
        let mut held = Held::default();
        held.put(&token(1, later), ACME);
        assert_eq!(held.find(&[1; 32], now), Some(TokenId::from_bits(1)));
        assert_eq!(held.find(&[2; 32], now), None);
        assert_eq!(held.find(&[1; 32], later), None);
        assert_eq!(held.take_expired(now), []);
        assert_eq!(held.take_expired(later), [TokenId::from_bits(1)]);
        assert_eq!(held.find(&[1; 32], now), None);
    }
}

//! What the vault promises, seen from outside a module. Each test builds a
//! deployment with its own root key.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod commitment;
mod credentials;
mod envelopes;
mod isolation;
mod life_of_keys;
mod root_files;
mod vectors;

use std::sync::Arc;
use std::time::Duration;

use keyway_model::{Clock, DeploymentId, Environment, Scope, TenantId, Timestamp};

use crate::*;

const NOON: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const PLACE: Place = Place {
    table: "jobs",
    column: "event",
    row: 7,
    row_version: 1,
};

/// A deployment as the store would keep it: keys at rest, and a keyring.
struct Deployment {
    id: DeploymentId,
    root: Arc<RootKey>,
    platform_key: WrappedKey<PlatformKeyName>,
    clock: Clock,
    limits: KeyLimits,
    keyring: Keyring,
}

impl Deployment {
    fn new() -> Self {
        Self::with(KeyLimits::default())
    }

    fn with(limits: KeyLimits) -> Self {
        let (id, root, clock) = (
            DeploymentId::random(),
            Arc::new(RootKey::random().unwrap()),
            Clock::manual(NOON),
        );
        let platform_key = new_platform_key(root.as_ref(), id).unwrap().stored();
        let keyring = Keyring::new(id, root.clone(), &platform_key, clock.clone(), limits).unwrap();
        Self {
            id,
            root,
            platform_key,
            clock,
            limits,
            keyring,
        }
    }

    /// The same deployment after a restart.
    fn restarted(&self) -> Keyring {
        Keyring::new(
            self.id,
            self.root.clone(),
            &self.platform_key,
            self.clock.clone(),
            self.limits,
        )
        .unwrap()
    }

    fn tenant_key(&self, scope: Scope, term: Term) -> WrappedKey<TenantKeyName> {
        self.keyring.new_tenant_key(scope, term).unwrap().stored()
    }

    /// A new scope's keys.
    fn keys(&self) -> ScopeKeys {
        let scope = scope();
        self.keyring
            .load(scope, &[self.tenant_key(scope, Term::FIRST)])
            .unwrap()
    }

    /// A new scope's keys, ready to seal items of `class`.
    fn keys_for(&self, class: KeyClass) -> ScopeKeys {
        let keys = self.keys();
        ready(&keys, class);
        keys
    }
}

fn scope() -> Scope {
    Scope {
        tenant: TenantId::random(),
        environment: Environment::Production,
    }
}

/// Makes, stores and loads a data key.
fn ready(keys: &ScopeKeys, class: KeyClass) -> WrappedKey<DataKeyName> {
    let key = keys.new_data_key(class).unwrap().stored();
    keys.load(&key).unwrap();
    key
}

const MINUTE: Duration = Duration::from_secs(60);

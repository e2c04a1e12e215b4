//! The keyring: every scope's unwrapped keys, for a limited time.
//!
//! The only cache of unwrapped keys. After [`KeyLimits::held`] a scope's keys
//! are no longer handed out and must be loaded again, so a root key that was
//! taken away stops working everywhere within twice that time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keyway_model::{Clock, DeploymentId, Scope, Timestamp};
use parking_lot::RwLock;

use crate::error::VaultError;
use crate::name::{KeyId, PlatformKeyName, TenantKeyName, Term};
use crate::root::{RootKeyProvider, fresh_secret};
use crate::scope_keys::{ScopeKeys, ScopeRing};
use crate::secret::Secret;
use crate::suite::Suite;
use crate::wrapped::{NewKey, WrappedKey};

/// What the keyring allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// How long a scope's keys are handed out after they were loaded. A handle
    /// that was handed out works for as long again, and no longer.
    pub held: Duration,
    /// How many items one data key seals in one process.
    pub items_max: u64,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            held: Duration::from_secs(300),
            items_max: 1 << 32,
        }
    }
}

/// What all scopes of a deployment share.
pub(crate) struct Shared {
    pub(crate) deployment: DeploymentId,
    pub(crate) platform_key: Secret,
    pub(crate) platform_key_id: KeyId,
    pub(crate) suite: Suite,
    pub(crate) clock: Clock,
    pub(crate) limits: KeyLimits,
}

/// The unwrapped keys of a deployment.
pub struct Keyring {
    root: Arc<dyn RootKeyProvider>,
    shared: Arc<Shared>,
    scopes: RwLock<HashMap<Scope, (Timestamp, Arc<ScopeRing>)>>,
}

/// Makes the platform's part of the job-data keys, once, when a deployment is
/// set up.
///
/// # Errors
///
/// The root-key provider's.
pub fn new_platform_key(
    root: &dyn RootKeyProvider,
    deployment: DeploymentId,
) -> Result<NewKey<PlatformKeyName>, VaultError> {
    let name = PlatformKeyName {
        deployment,
        root: root.id(),
        id: KeyId::random()?,
    };
    NewKey::make(name, &fresh_secret()?, |secret, binding| {
        root.wrap(secret, binding)
    })
}

impl Keyring {
    /// A keyring that holds no scope yet.
    ///
    /// # Errors
    ///
    /// [`VaultError::OtherRoot`] if the data directory was made under another
    /// root key, [`VaultError::OtherDeployment`] if the platform key is
    /// another deployment's, [`VaultError::Mismatch`] if it was changed.
    pub fn new(
        deployment: DeploymentId,
        root: Arc<dyn RootKeyProvider>,
        platform_key: &WrappedKey<PlatformKeyName>,
        clock: Clock,
        limits: KeyLimits,
    ) -> Result<Self, VaultError> {
        let name = platform_key.name();
        check_origin(deployment, name.deployment, root.as_ref(), name.root)?;
        let shared = Shared {
            deployment,
            platform_key: root.unwrap(platform_key.wrapped(), &platform_key.binding())?,
            platform_key_id: name.id,
            suite: Suite::for_this_machine(),
            clock,
            limits,
        };
        Ok(Self {
            root,
            shared: Arc::new(shared),
            scopes: RwLock::default(),
        })
    }

    /// The keys of `scope`. Take them anew for every operation.
    ///
    /// # Errors
    ///
    /// [`VaultError::ScopeNotLoaded`]: then [`Keyring::load`] them.
    pub fn scope(&self, scope: Scope) -> Result<ScopeKeys, VaultError> {
        let now = self.shared.clock.now();
        match self.scopes.read().get(&scope) {
            Some((loaded_at, ring)) if now.since(*loaded_at) <= self.shared.limits.held => {
                Ok(ScopeKeys::new(Arc::clone(ring)))
            }
            Some(_) | None => Err(VaultError::ScopeNotLoaded(scope)),
        }
    }

    /// Makes a tenant key for `scope`. Its first is of [`Term::FIRST`]; a later
    /// term takes over the sealing when it is loaded.
    ///
    /// # Errors
    ///
    /// The root-key provider's.
    pub fn new_tenant_key(
        &self,
        scope: Scope,
        term: Term,
    ) -> Result<NewKey<TenantKeyName>, VaultError> {
        let (deployment, root) = (self.shared.deployment, self.root.id());
        let name = TenantKeyName {
            deployment,
            scope,
            term,
            root,
            id: KeyId::random()?,
        };
        NewKey::make(name, &fresh_secret()?, |secret, binding| {
            self.root.wrap(secret, binding)
        })
    }

    /// Unwraps the tenant keys of `scope`, of all its terms, and holds them for
    /// the limited time. Asks the root-key provider, so it may block.
    ///
    /// # Errors
    ///
    /// When a key is not this scope's, this deployment's, or this root key's,
    /// or was changed; and when there is none.
    pub fn load(
        &self,
        scope: Scope,
        keys: &[WrappedKey<TenantKeyName>],
    ) -> Result<ScopeKeys, VaultError> {
        if keys.is_empty() {
            return Err(VaultError::ScopeNotLoaded(scope));
        }
        let now = self.shared.clock.now();
        let ring = Arc::new(ScopeRing::new(Arc::clone(&self.shared), scope, now));
        for key in keys {
            let name = key.name();
            check_origin(
                self.shared.deployment,
                name.deployment,
                self.root.as_ref(),
                name.root,
            )?;
            if name.scope != scope {
                return Err(VaultError::OtherScope);
            }
            ring.add_tenant_key(name, &self.root.unwrap(key.wrapped(), &key.binding())?);
        }
        self.scopes.write().insert(scope, (now, Arc::clone(&ring)));
        Ok(ScopeKeys::new(ring))
    }

    /// Wipes the keys of `scope`, also from under the handles that were handed
    /// out: for a tenant that was deleted, or whose root key was taken away.
    pub fn forget(&self, scope: Scope) {
        if let Some((_, ring)) = self.scopes.write().remove(&scope) {
            ring.wipe();
        }
    }

    /// Drops the scopes whose time is over; returns how many. Call it now and
    /// then, so that unused keys leave memory.
    pub fn evict(&self) -> usize {
        let now = self.shared.clock.now();
        let mut scopes = self.scopes.write();
        let before = scopes.len();
        scopes.retain(|_, (loaded_at, _)| now.since(*loaded_at) <= self.shared.limits.held);
        before - scopes.len()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Keyring({}, {} scopes)",
            self.shared.deployment,
            self.scopes.read().len()
        )
    }
}

fn check_origin(
    deployment: DeploymentId,
    made_for: DeploymentId,
    root: &dyn RootKeyProvider,
    wrapped_by: KeyId,
) -> Result<(), VaultError> {
    if wrapped_by != root.id() {
        return Err(VaultError::OtherRoot {
            wrapped_by,
            offered: root.id(),
        });
    }
    if made_for != deployment {
        return Err(VaultError::OtherDeployment);
    }
    Ok(())
}

//! One tenant's keys in one environment: [`ScopeKeys`] seals and opens.
//!
//! A credential opens for an entry that names it:
//!
//! ```
//! # use keyway_authz::{Entry, HttpSend};
//! # use keyway_vault::{Envelope, ScopeKeys, Secret, VaultError};
//! fn inject(keys: &ScopeKeys, entry: &Entry<HttpSend>, sealed: &Envelope) -> Result<Secret, VaultError> {
//!     keys.open_secret(entry, 1, sealed)
//! }
//! ```
//!
//! Without one, there is no call to write:
//!
//! ```compile_fail,E0308
//! # use keyway_authz::{HttpSend, Permit};
//! # use keyway_vault::{Envelope, ScopeKeys, Secret, VaultError};
//! fn inject(keys: &ScopeKeys, entry: &Permit<HttpSend>, sealed: &Envelope) -> Result<Secret, VaultError> {
//!     keys.open_secret(entry, 1, sealed)
//! }
//! ```
//! ```compile_fail,E0061
//! # use keyway_vault::{Envelope, ScopeKeys, Secret, VaultError};
//! fn inject(keys: &ScopeKeys, sealed: &Envelope) -> Result<Secret, VaultError> {
//!     keys.open_secret(1, sealed)
//! }
//! ```
//!
//! Nor does an entry of an operation without credentials do:
//!
//! ```compile_fail,E0277
//! # use keyway_authz::{Entry, StateWrite};
//! # use keyway_vault::{Envelope, ScopeKeys, Secret, VaultError};
//! fn inject(keys: &ScopeKeys, entry: &Entry<StateWrite>, sealed: &Envelope) -> Result<Secret, VaultError> {
//!     keys.open_secret(entry, 1, sealed)
//! }
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyway_authz::{Entry, NamesSecret};
use keyway_model::{ConnectionId, Scope, Timestamp};
use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::binding::{Binding, Place};
use crate::error::VaultError;
use crate::frame::Envelope;
use crate::item::SealingKey;
use crate::keyring::Shared;
use crate::name::{DataKeyName, KeyClass, KeyId, TenantKeyName, Term};
use crate::root::fresh_secret;
use crate::secret::{Plaintext, Secret};
use crate::suite::Suite;
use crate::wrapped::{NewKey, WrappedKey};

/// The keys of one scope, shared by all its handles.
pub(crate) struct ScopeRing {
    shared: Arc<Shared>,
    scope: Scope,
    loaded_at: Timestamp,
    keys: RwLock<Keys>,
}

#[derive(Default)]
struct Keys {
    tenant: BTreeMap<Term, Arc<SealingKey>>,
    data: HashMap<KeyId, Arc<DataKey>>,
    sealing: HashMap<(KeyClass, i64), Arc<DataKey>>,
}

struct DataKey {
    key: SealingKey,
    class: KeyClass,
    sealed: AtomicU64,
}

impl ScopeRing {
    pub(crate) fn new(shared: Arc<Shared>, scope: Scope, loaded_at: Timestamp) -> Self {
        Self {
            shared,
            scope,
            loaded_at,
            keys: RwLock::default(),
        }
    }

    pub(crate) fn add_tenant_key(&self, name: &TenantKeyName, secret: &Secret) {
        let key = SealingKey::new(
            b"keyway tenant key 1",
            secret.expose(),
            name.id,
            name.term,
            Suite::Aes256Gcm,
        );
        self.keys.write().tenant.insert(name.term, Arc::new(key));
    }

    pub(crate) fn wipe(&self) {
        *self.keys.write() = Keys::default();
    }
}

/// A handle on the keys of one tenant in one environment. It adds its own
/// deployment, tenant and environment to every place, so what it seals opens
/// nowhere else, and what others sealed does not open here.
#[derive(Clone)]
pub struct ScopeKeys(Arc<ScopeRing>);

impl ScopeKeys {
    pub(crate) const fn new(ring: Arc<ScopeRing>) -> Self {
        Self(ring)
    }

    /// Whose keys these are.
    pub fn scope(&self) -> Scope {
        self.0.scope
    }

    /// Seals `plaintext` for `place`, under the key of `class` for the present
    /// period.
    ///
    /// # Errors
    ///
    /// [`VaultError::NoSealingKey`]: load the stored key of that class and
    /// period, or make one. [`VaultError::KeyUsedUp`]: make one.
    /// [`VaultError::CredentialNeedsEntry`] for the class of credentials, which
    /// [`ScopeKeys::seal_secret`] seals.
    pub fn seal(
        &self,
        class: KeyClass,
        place: &Place,
        plaintext: &[u8],
    ) -> Result<Envelope, VaultError> {
        match class {
            KeyClass::Credential(_) => Err(VaultError::CredentialNeedsEntry),
            KeyClass::JobData
            | KeyClass::MaskedJob(_)
            | KeyClass::Recipe
            | KeyClass::Audit
            | KeyClass::State
            | KeyClass::Directory => self.seal_any(class, place, plaintext),
        }
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    ///
    /// [`VaultError::KeyNotLoaded`]: load the data key with that id.
    /// [`VaultError::CredentialNeedsEntry`] for a credential.
    /// [`VaultError::Mismatch`] if the envelope does not belong there.
    pub fn open(&self, place: &Place, envelope: &Envelope) -> Result<Plaintext, VaultError> {
        let key = self.data_key(envelope)?;
        if matches!(key.class, KeyClass::Credential(_)) {
            return Err(VaultError::CredentialNeedsEntry);
        }
        Ok(Plaintext::new(self.open_any(&key, place, envelope)?))
    }

    /// Seals the credential of `connection`, at its one place.
    ///
    /// # Errors
    ///
    /// As [`ScopeKeys::seal`], for [`KeyClass::Credential`].
    pub fn seal_secret(
        &self,
        connection: ConnectionId,
        row_version: u64,
        secret: &Secret,
    ) -> Result<Envelope, VaultError> {
        let place = Place::credential(connection, row_version);
        self.seal_any(KeyClass::Credential(connection), &place, secret.expose())
    }

    /// Opens the credential of the connection that `entry` names. There is no
    /// other way to one.
    ///
    /// # Errors
    ///
    /// [`VaultError::EntryNamesNoCredential`] if the entry names none, or is
    /// another scope's; [`VaultError::Mismatch`] if the envelope is not the
    /// credential of that connection in that version.
    pub fn open_secret<O: NamesSecret>(
        &self,
        entry: &Entry<O>,
        row_version: u64,
        envelope: &Envelope,
    ) -> Result<Secret, VaultError> {
        let Some(connection) = entry
            .operation()
            .secret()
            .filter(|_| entry.scope() == Some(self.0.scope))
        else {
            return Err(VaultError::EntryNamesNoCredential);
        };
        let key = self.data_key(envelope)?;
        if key.class != KeyClass::Credential(connection) {
            return Err(VaultError::Mismatch);
        }
        let place = Place::credential(connection, row_version);
        Ok(Secret::from_wiped(self.open_any(&key, &place, envelope)?))
    }

    /// Makes a data key for `class` and the present period, wrapped by the
    /// tenant key of the newest term. Store it, then [`ScopeKeys::load`] it.
    ///
    /// # Errors
    ///
    /// [`VaultError::ScopeNotLoaded`] if the handle is too old.
    pub fn new_data_key(&self, class: KeyClass) -> Result<NewKey<DataKeyName>, VaultError> {
        let now = self.check_age()?;
        let keys = self.0.keys.read();
        let (term, tenant_key) = keys
            .tenant
            .last_key_value()
            .ok_or(VaultError::ScopeNotLoaded(self.0.scope))?;
        let name = DataKeyName {
            deployment: self.0.shared.deployment,
            scope: self.0.scope,
            class,
            period: class.period_at(now),
            term: *term,
            tenant_key: tenant_key.id(),
            platform_key: class.is_history().then_some(self.0.shared.platform_key_id),
            suite: self.0.shared.suite,
            id: KeyId::random()?,
        };
        NewKey::make(name, &fresh_secret()?, |secret, binding| {
            Ok(tenant_key.seal(binding, secret.expose())?.into_bytes())
        })
    }

    /// Unwraps a data key: it opens what it sealed, and seals for its class and
    /// period if it was wrapped under the newest term.
    ///
    /// # Errors
    ///
    /// [`VaultError::OtherScope`] for another's key,
    /// [`VaultError::TenantKeyNotLoaded`] if its term is not loaded,
    /// [`VaultError::Mismatch`] if it or its name was changed.
    pub fn load(&self, wrapped: &WrappedKey<DataKeyName>) -> Result<(), VaultError> {
        self.check_age()?;
        let name = wrapped.name();
        if name.deployment != self.0.shared.deployment {
            return Err(VaultError::OtherDeployment);
        }
        if name.scope != self.0.scope {
            return Err(VaultError::OtherScope);
        }
        let mut keys = self.0.keys.write();
        if keys.data.contains_key(&name.id) {
            return Ok(());
        }
        let tenant_key = keys
            .tenant
            .get(&name.term)
            .filter(|key| key.id() == name.tenant_key);
        let tenant_key = tenant_key.ok_or(VaultError::TenantKeyNotLoaded(name.term))?;
        let envelope = Envelope::from_bytes(wrapped.wrapped().to_vec())?;
        let secret = Secret::from_wiped(tenant_key.open(&wrapped.binding(), &envelope)?);
        let key = DataKey {
            key: self.sealing_key(name, &secret)?,
            class: name.class,
            sealed: AtomicU64::new(0),
        };
        let key = Arc::new(key);
        if keys
            .tenant
            .last_key_value()
            .is_some_and(|(newest, _)| *newest == name.term)
        {
            keys.sealing
                .insert((name.class, name.period), Arc::clone(&key));
        }
        keys.data.insert(name.id, key);
        Ok(())
    }

    /// Wipes one data key: for a period or a job whose key was deleted.
    pub fn forget(&self, id: KeyId) {
        let mut keys = self.0.keys.write();
        keys.data.remove(&id);
        keys.sealing.retain(|_, key| key.key.id() != id);
    }

    /// The key that seals. For job data it comes from the tenant's data key and
    /// the platform's key together: docs/decisions/0001.
    fn sealing_key(&self, name: &DataKeyName, secret: &Secret) -> Result<SealingKey, VaultError> {
        let shared = &self.0.shared;
        let make = |purpose: &[u8], secret: &[u8]| {
            SealingKey::new(purpose, secret, name.id, name.term, name.suite)
        };
        match (name.class.is_history(), name.platform_key) {
            (false, None) => Ok(make(b"keyway data key 1", secret.expose())),
            (true, Some(id)) if id == shared.platform_key_id => {
                let both = Zeroizing::new([secret.expose(), shared.platform_key.expose()].concat());
                Ok(make(b"keyway job data key 1", &both))
            }
            (true, Some(id)) => Err(VaultError::OtherPlatformKey(id)),
            (true, None) | (false, Some(_)) => Err(VaultError::NotAWrappedKey),
        }
    }

    fn seal_any(
        &self,
        class: KeyClass,
        place: &Place,
        plaintext: &[u8],
    ) -> Result<Envelope, VaultError> {
        let period = class.period_at(self.check_age()?);
        let key = self.0.keys.read().sealing.get(&(class, period)).cloned();
        let key = key.ok_or(VaultError::NoSealingKey { class, period })?;
        let limit = self.0.shared.limits.items_max;
        let one_more = |sealed: u64| (sealed < limit).then_some(sealed + 1);
        if key
            .sealed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_err()
        {
            return Err(VaultError::KeyUsedUp(class));
        }
        key.key.seal(&self.binding(place, key.key.id()), plaintext)
    }

    fn open_any(
        &self,
        key: &DataKey,
        place: &Place,
        envelope: &Envelope,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        key.key.open(&self.binding(place, key.key.id()), envelope)
    }

    fn data_key(&self, envelope: &Envelope) -> Result<Arc<DataKey>, VaultError> {
        self.check_age()?;
        let id = envelope.key_id()?;
        self.0
            .keys
            .read()
            .data
            .get(&id)
            .cloned()
            .ok_or(VaultError::KeyNotLoaded(id))
    }

    fn binding(&self, place: &Place, key: KeyId) -> Binding {
        Binding::item(self.0.shared.deployment, self.0.scope, place, key)
    }

    /// The time that it is, unless the handle is older than a handle may be.
    fn check_age(&self) -> Result<Timestamp, VaultError> {
        let now = self.0.shared.clock.now();
        let age_max = self.0.shared.limits.held.saturating_mul(2);
        if now.since(self.0.loaded_at) > age_max {
            return Err(VaultError::ScopeNotLoaded(self.0.scope));
        }
        Ok(now)
    }
}

impl fmt::Debug for ScopeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ScopeKeys({}, {})",
            self.0.scope.tenant, self.0.scope.environment
        )
    }
}

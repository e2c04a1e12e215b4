//! The root key: wraps tenants' keys and the platform's, and nothing else.

use std::fmt;

use aws_lc_rs::rand;

use crate::binding::Binding;
use crate::error::VaultError;
use crate::frame::Envelope;
use crate::item::{SealingKey, derive};
use crate::name::{KeyId, Term};
use crate::secret::Secret;
use crate::suite::Suite;

pub(crate) const ROOT_BYTES: usize = 32;

/// Something that holds the root key: a file, a device, a service. May block.
pub trait RootKeyProvider: Send + Sync + fmt::Debug {
    /// Which root key it is: a fingerprint that tells nothing about the key.
    fn id(&self) -> KeyId;

    /// Wraps `key`, bound to `binding`.
    ///
    /// # Errors
    ///
    /// When the provider cannot be used.
    fn wrap(&self, key: &Secret, binding: &Binding) -> Result<Vec<u8>, VaultError>;

    /// Unwraps what [`RootKeyProvider::wrap`] made for the same binding.
    ///
    /// # Errors
    ///
    /// [`VaultError::Mismatch`] for anything else.
    fn unwrap(&self, wrapped: &[u8], binding: &Binding) -> Result<Secret, VaultError>;
}

/// A root key in memory, usually from its file: [`RootKey::open_or_create`].
pub struct RootKey {
    key: SealingKey,
}

impl RootKey {
    /// A new root key that is nowhere but in memory: for embedders that keep it
    /// elsewhere, and for tests.
    ///
    /// # Errors
    ///
    /// [`VaultError::NoRandomness`].
    pub fn random() -> Result<Self, VaultError> {
        Ok(Self::from_secret(&fresh_secret()?))
    }

    /// The root key with these bytes; they should be 32 random ones.
    pub fn from_secret(secret: &Secret) -> Self {
        let print = derive(b"keyway root key id 1", secret.expose(), &[]);
        let mut id = [0; 16];
        id.iter_mut()
            .zip(print.iter())
            .for_each(|(to, from)| *to = *from);
        let id = KeyId::from_bytes(id);
        let key = SealingKey::new(
            b"keyway root key 1",
            secret.expose(),
            id,
            Term(0),
            Suite::Aes256Gcm,
        );
        Self { key }
    }
}

impl RootKeyProvider for RootKey {
    fn id(&self) -> KeyId {
        self.key.id()
    }

    fn wrap(&self, key: &Secret, binding: &Binding) -> Result<Vec<u8>, VaultError> {
        Ok(self.key.seal(binding, key.expose())?.into_bytes())
    }

    fn unwrap(&self, wrapped: &[u8], binding: &Binding) -> Result<Secret, VaultError> {
        let envelope = Envelope::from_bytes(wrapped.to_vec())?;
        Ok(Secret::from_wiped(self.key.open(binding, &envelope)?))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.key.id())
    }
}

/// 32 random bytes: a new key of any kind.
pub(crate) fn fresh_secret() -> Result<Secret, VaultError> {
    let mut bytes = vec![0; ROOT_BYTES];
    rand::fill(&mut bytes).map_err(|_| VaultError::NoRandomness)?;
    Ok(Secret::new(bytes))
}

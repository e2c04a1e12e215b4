//! Keys at rest: wrapped by the key above them, and bound to their name.
//!
//! A key is made wrapped, and the only way to use it is to load its wrapped
//! form. [`NewKey`] gives that form for loading only when the caller says that
//! it is stored, because data under a key that is lost is lost.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::binding::Binding;
use crate::error::VaultError;
use crate::name::KeyName;
use crate::secret::Secret;

/// A key, wrapped by the key above it, with its name in clear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey<N> {
    name: N,
    wrapped: Vec<u8>,
}

impl<N: KeyName> WrappedKey<N> {
    /// The key's name, for the columns by which it is found.
    pub const fn name(&self) -> &N {
        &self.name
    }

    /// A wrapped key that was stored as `bytes`. Whether it is authentic shows
    /// when it is loaded.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotAWrappedKey`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VaultError> {
        match postcard::take_from_bytes(bytes) {
            Ok((key, [])) => Ok(key),
            Ok(_) | Err(_) => Err(VaultError::NotAWrappedKey),
        }
    }

    /// The bytes, for storing.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("names and byte strings always encode")
    }

    pub(crate) fn binding(&self) -> Binding {
        self.name.binding()
    }

    pub(crate) fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }
}

impl<N: KeyName> fmt::Debug for WrappedKey<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

/// A key that was just made, and that must be stored before anything is sealed
/// under it.
#[must_use = "store the key, then load what `stored` returns"]
#[derive(Debug)]
pub struct NewKey<N: KeyName>(WrappedKey<N>);

impl<N: KeyName> NewKey<N> {
    /// Wraps `secret` with `wrap`, bound to `name`.
    pub(crate) fn make(
        name: N,
        secret: &Secret,
        wrap: impl FnOnce(&Secret, &Binding) -> Result<Vec<u8>, VaultError>,
    ) -> Result<Self, VaultError> {
        let wrapped = wrap(secret, &name.binding())?;
        Ok(Self(WrappedKey { name, wrapped }))
    }

    /// The key's name, for the columns by which it is found.
    pub const fn name(&self) -> &N {
        self.0.name()
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// Says that the key is durably stored; returns the form that can be loaded.
    pub fn stored(self) -> WrappedKey<N> {
        self.0
    }
}

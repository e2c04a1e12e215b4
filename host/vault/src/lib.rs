//! Seals what is stored: envelopes bound to a tenant and a place, and the keys
//! that they need.
//!
//! Root key → tenant keys (one per tenant, environment and [`Term`]) → data
//! keys (one per [`KeyClass`] and period) → one key per item. A [`Keyring`]
//! holds what is unwrapped, for a limited time; [`ScopeKeys`] is the view of
//! one tenant in one environment, which cannot name another's place.
//!
//! Bytes to bytes: the one thing here that touches a disk is the root key's
//! file. A credential opens only through [`ScopeKeys::open_secret`], for an
//! audit entry that names it; nothing else in Keyway can decrypt one.

mod binding;
mod error;
mod frame;
mod item;
mod keyring;
mod name;
mod page;
mod root;
mod root_file;
mod scope_keys;
mod secret;
mod suite;
#[cfg(test)]
mod tests;
mod wrapped;

pub use binding::{Binding, Place};
pub use error::VaultError;
pub use frame::Envelope;
pub use keyring::{KeyLimits, Keyring, new_platform_key};
pub use name::{DataKeyName, KeyClass, KeyId, KeyName, PlatformKeyName, TenantKeyName, Term};
pub use page::{PAGE_OVERHEAD_BYTES, PageKey, PagePlace, Seal};
pub use root::{RootKey, RootKeyProvider};
pub use root_file::RootFileError;
pub use scope_keys::ScopeKeys;
pub use secret::{Plaintext, Secret};
pub use suite::Suite;
pub use wrapped::{NewKey, WrappedKey};

//! What can go wrong in the vault. No text here ever carries content.

use keyway_model::Scope;

use crate::name::{KeyClass, KeyId, Term};

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The keyring does not hold this scope's keys, or held them too long.
    #[error("the keys of {} ({}) are not loaded: load the scope's tenant keys into the keyring", .0.tenant, .0.environment)]
    ScopeNotLoaded(Scope),
    /// The tenant key that wraps a data key is not loaded.
    #[error("the tenant key of term {0} is not loaded: load all terms of the scope")]
    TenantKeyNotLoaded(Term),
    /// No data key to seal with.
    #[error(
        "no data key for {class} in period {period} is loaded: load it, or make one with `new_data_key`"
    )]
    NoSealingKey {
        /// The class.
        class: KeyClass,
        /// The period, as [`KeyClass::period_at`] counts.
        period: i64,
    },
    /// The data key has sealed as many items as one key may.
    #[error("the data key for {0} is used up: make a new one with `new_data_key`")]
    KeyUsedUp(KeyClass),
    /// The data key that an envelope names is not loaded.
    #[error("the data key {0} is not loaded: load it; if it was deleted, its data is erased")]
    KeyNotLoaded(KeyId),
    /// A key of another tenant or environment was offered.
    #[error("the key belongs to another workspace or environment")]
    OtherScope,
    /// A key of another deployment was offered.
    #[error(
        "the key belongs to another deployment: this is not the data directory that it was made for"
    )]
    OtherDeployment,
    /// A key was wrapped by another root key.
    #[error(
        "the data was made under root key {wrapped_by}, and this is root key {offered}: give the root key file that belongs to this data directory"
    )]
    OtherRoot {
        /// The root key that is needed.
        wrapped_by: KeyId,
        /// The root key at hand.
        offered: KeyId,
    },
    /// A job-data key needs another platform key than the one that is loaded.
    #[error("job history was sealed under platform key {0}, which is not loaded")]
    OtherPlatformKey(KeyId),
    /// The value does not belong here, or was changed: the two cannot be told apart.
    #[error("the sealed value does not belong to this place, or it was changed")]
    Mismatch,
    /// Bytes that are not an envelope.
    #[error("not an envelope: {0}")]
    NotAnEnvelope(&'static str),
    /// An envelope of a suite that this version does not know.
    #[error(
        "envelope suite {0} is unknown: it was written by a newer version of Keyway, or changed"
    )]
    UnknownSuite(u8),
    /// Bytes that are not a wrapped key.
    #[error("not a wrapped key: the stored row is damaged")]
    NotAWrappedKey,
    /// Credentials are sealed and opened by doors of their own.
    #[error(
        "a credential is sealed with `seal_secret` and opened with `open_secret` and an audit entry that names it"
    )]
    CredentialNeedsEntry,
    /// The entry does not name a credential.
    #[error("the audit entry names no credential of this scope")]
    EntryNamesNoCredential,
    /// The value is too long for one envelope.
    #[error("the value has {bytes} bytes, and one envelope takes {bytes_max}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system's random source failed")]
    NoRandomness,
}

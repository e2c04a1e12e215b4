//! The names of keys: what a key is for, whose it is, which one it is.
//!
//! A name is clear, stored beside its wrapped key, and bound into it: a wrapped
//! key under a changed name does not open.

use std::fmt;

use aws_lc_rs::rand;
use keyway_model::{ConnectionId, DeploymentId, JobId, Scope, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::binding::Binding;
use crate::error::VaultError;
use crate::suite::Suite;

/// Which key: 128 random bits, or a root key's fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyId([u8; 16]);

impl KeyId {
    pub(crate) fn random() -> Result<Self, VaultError> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).map_err(|_| VaultError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The id that was stored as these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for storing.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key_{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The generation of a tenant's key, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term(pub u32);

impl Term {
    /// A tenant's first key.
    pub const FIRST: Self = Self(1);

    /// The next generation.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a data key seals. Each class has keys of its own, so that deleting a
/// key erases one thing and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyClass {
    /// Job history: events and journals. One key an hour, mixed with the platform's key.
    JobData,
    /// The journal of one job with masked steps; its key is deleted when the job ends.
    MaskedJob(JobId),
    /// The credential of one connection. Opens only for an entry that names it.
    Credential(ConnectionId),
    /// Recipes.
    Recipe,
    /// Audit records. One key a day.
    Audit,
    /// State that connectors keep.
    State,
    /// Names and settings: of workspaces, connections, connectors, people.
    Directory,
}

impl KeyClass {
    /// The number under which the class is stored and bound.
    pub const fn code(self) -> u8 {
        match self {
            Self::JobData => 1,
            Self::MaskedJob(_) => 2,
            Self::Credential(_) => 3,
            Self::Recipe => 4,
            Self::Audit => 5,
            Self::State => 6,
            Self::Directory => 7,
        }
    }

    /// The one job or connection that the key is for; 0 for the other classes.
    pub const fn subject(self) -> u128 {
        match self {
            Self::MaskedJob(job) => job.bits(),
            Self::Credential(connection) => connection.bits(),
            Self::JobData | Self::Recipe | Self::Audit | Self::State | Self::Directory => 0,
        }
    }

    /// The period that `now` lies in: hours since 1970 for job data, days for
    /// audit, and 0 for classes whose keys have no period.
    pub const fn period_at(self, now: Timestamp) -> i64 {
        match self {
            Self::JobData => now.hour(),
            Self::Audit => now.hour().div_euclid(24),
            Self::MaskedJob(_)
            | Self::Credential(_)
            | Self::Recipe
            | Self::State
            | Self::Directory => 0,
        }
    }

    /// Whether the platform's key goes into the sealing key, too.
    pub(crate) const fn is_history(self) -> bool {
        matches!(self, Self::JobData | Self::MaskedJob(_))
    }
}

impl fmt::Display for KeyClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JobData => f.write_str("job data"),
            Self::MaskedJob(job) => write!(f, "the masked steps of {job}"),
            Self::Credential(connection) => write!(f, "the credential of {connection}"),
            Self::Recipe => f.write_str("recipes"),
            Self::Audit => f.write_str("audit records"),
            Self::State => f.write_str("connector state"),
            Self::Directory => f.write_str("names and settings"),
        }
    }
}

/// A name that a wrapped key is bound to.
pub trait KeyName: sealed::Sealed + Serialize + DeserializeOwned + fmt::Debug {
    /// The canonical bytes that the wrapping binds.
    #[doc(hidden)]
    fn binding(&self) -> Binding;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::PlatformKeyName {}
    impl Sealed for super::TenantKeyName {}
    impl Sealed for super::DataKeyName {}
}

/// The platform's part of every job-data key: one per deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformKeyName {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The root key that wraps it.
    pub root: KeyId,
    /// Which key it is.
    pub id: KeyId,
}

/// A tenant's key in one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantKeyName {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Whose key it is.
    pub scope: Scope,
    /// Its generation.
    pub term: Term,
    /// The root key that wraps it.
    pub root: KeyId,
    /// Which key it is.
    pub id: KeyId,
}

/// A tenant's data key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataKeyName {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Whose key it is.
    pub scope: Scope,
    /// What it seals.
    pub class: KeyClass,
    /// In which period, as [`KeyClass::period_at`] counts.
    pub period: i64,
    /// The generation of the tenant key that wraps it.
    pub term: Term,
    /// The tenant key that wraps it.
    pub tenant_key: KeyId,
    /// The platform key that goes into the sealing key of job data.
    pub platform_key: Option<KeyId>,
    /// The one cipher suite that it is used with.
    pub suite: Suite,
    /// Which key it is.
    pub id: KeyId,
}

impl KeyName for PlatformKeyName {
    fn binding(&self) -> Binding {
        Binding::of(&[
            b"keyway platform key 1",
            &self.deployment.to_bytes(),
            &self.root.0,
            &self.id.0,
        ])
    }
}

impl KeyName for TenantKeyName {
    fn binding(&self) -> Binding {
        Binding::of(&[
            b"keyway tenant key 1",
            &self.deployment.to_bytes(),
            &self.scope.tenant.to_bytes(),
            &[self.scope.environment.code()],
            &self.term.0.to_be_bytes(),
            &self.root.0,
            &self.id.0,
        ])
    }
}

impl KeyName for DataKeyName {
    fn binding(&self) -> Binding {
        Binding::of(&[
            b"keyway data key 1",
            &self.deployment.to_bytes(),
            &self.scope.tenant.to_bytes(),
            &[self.scope.environment.code()],
            &[self.class.code()],
            &self.class.subject().to_be_bytes(),
            &self.period.to_be_bytes(),
            &self.term.0.to_be_bytes(),
            &self.tenant_key.0,
            self.platform_key.as_ref().map_or(&[], |id| &id.0),
            &[self.suite.code()],
            &self.id.0,
        ])
    }
}

//! Alarms: conditions that a person must see, kept until one has.

use keyway_authz::Principal;
use keyway_model::AlarmId;
use keyway_model::time::Timestamp;
use keyway_store::{Change, Kind, StoreError, TenantStore};
use serde::{Deserialize, Serialize};

use crate::resource::{list, put};

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// A component ended too many workers and runs no more, until this alarm is
    /// acknowledged.
    ComponentQuarantined,
    /// Compiled code in the cache was changed by somebody else. It was not used.
    ForgedCode,
    /// Guests run although a layer of their confinement is missing.
    WeakerWorkers,
    /// A worker that several components may use tried a system call that no worker makes:
    /// code may have got out of its sandbox. Those that had been in it run on, each in a
    /// worker of its own at first.
    ForbiddenSystemCall,
    /// Workers of a component's own did not end calls, again and again, and were killed.
    /// It runs on, since a machine that is too busy looks the same.
    WedgedWorkers,
    /// Workers of a component's own were killed, again and again, for want of memory or
    /// because they had used up their time on processors. It runs on, since a machine that
    /// is too small, or an administrator, looks the same.
    KilledWorkers,
    /// Connectors of one workspace and environment were installed under wider limits on
    /// manifests and are not taken any more: calls of them are refused, and none that one
    /// has replaced runs for it.
    ConnectorLeftOut,
}

impl AlarmKind {
    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ComponentQuarantined => "component-quarantined",
            Self::ForgedCode => "forged-code",
            Self::WeakerWorkers => "weaker-workers",
            Self::ForbiddenSystemCall => "forbidden-system-call",
            Self::WedgedWorkers => "wedged-workers",
            Self::KilledWorkers => "killed-workers",
            Self::ConnectorLeftOut => "connector-left-out",
        }
    }
}

/// An alarm. Those of a deployment belong to the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// Names the alarm.
    pub id: AlarmId,
    /// What it is about.
    pub kind: AlarmKind,
    /// Which thing it is about: digests of components, names of layers of confinement,
    /// the workspace and environment of connectors, or `workers`.
    pub subject: String,
    /// What has happened, for people.
    pub text: String,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// When somebody had looked at it, and who.
    pub acknowledged: Option<(Timestamp, Principal)>,
}

impl AlarmRecord {
    /// Stores it.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn change(&self, store: &TenantStore) -> Result<Change, StoreError> {
        let version = 1 + u64::from(self.acknowledged.is_some());
        put(store, Kind::Alarm, self.id.into(), None, version, self).await
    }

    /// Every one of a scope.
    ///
    /// # Errors
    ///
    /// When one cannot be opened.
    pub async fn all(store: &TenantStore) -> Result<Vec<Self>, StoreError> {
        list(store, Kind::Alarm).await
    }
}

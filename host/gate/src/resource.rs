//! What a workspace owns, as it is kept: each of these is sealed whole.

use std::collections::{BTreeMap, BTreeSet};

use keyway_authz::Principal;
use keyway_model::limit::LimitSet;
use keyway_model::net::HostName;
use keyway_model::time::Timestamp;
use keyway_model::{ApprovalId, ConnectionId, Digest, Name, RecipeId};
use keyway_store::{Change, Kind, NewResource, RowId, StoreError, TenantStore};
use serde::{Deserialize, Serialize};

use crate::tls::TlsRecord;

/// An installed connector: the artifact itself is kept once for all, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorRecord {
    /// The artifact.
    pub digest: Digest,
    /// The name that its manifest gives.
    pub name: Name,
    /// The version that its manifest gives.
    pub version: String,
    /// The manifest, as it stands in the artifact.
    pub manifest: String,
    /// What the component imports.
    pub imports: Vec<String>,
    /// The artifact's size.
    pub bytes: u64,
    /// When it was installed.
    pub installed_at: Timestamp,
    /// By whom.
    pub installed_by: Principal,
}

/// A tenant's stored consent to one connector digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// Names the approval.
    pub id: ApprovalId,
    /// What was approved.
    pub digest: Digest,
    /// The connector's name.
    pub connector: Name,
    /// The capabilities that were approved: at most those that the manifest declares.
    pub capabilities: BTreeSet<String>,
    /// By whom.
    pub by: Principal,
    /// Why, in the words of whoever approved.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// Until when; for ever if not said.
    pub until: Option<Timestamp>,
    /// Goes up with each change of this record.
    pub revision: u64,
    /// When it was revoked, and by whom.
    pub revoked: Option<(Timestamp, Principal)>,
}

impl ApprovalRecord {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.until.is_none_or(|until| now < until)
    }
}

/// A tenant's authorized link to an outside system. The credential is kept
/// apart and opens only for an entry that names this connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRecord {
    /// Names the connection.
    pub id: ConnectionId,
    /// The name that people use.
    pub name: Name,
    /// Which connector it is for.
    pub connector: Name,
    /// Non-secret parameters, as given.
    pub parameters: BTreeMap<String, String>,
    /// If not empty, the only hosts that this connection may reach, whatever
    /// the manifest says.
    pub hosts: BTreeSet<HostName>,
    /// What it says about TLS. The key of a client certificate is kept with
    /// the credential.
    #[serde(default, skip_serializing_if = "TlsRecord::is_empty")]
    pub tls: TlsRecord,
    /// The version of the credential; 0 if there is none.
    pub credential_version: u64,
    /// Who created it.
    pub created_by: Principal,
    /// When.
    pub created_at: Timestamp,
}

/// The limits that a tenant has lowered, in one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsRecord {
    /// What was lowered, and to what.
    pub set: LimitSet,
    /// Goes up with each change; 0 before the first.
    pub revision: u64,
}

/// A recipe and its compiled form, one version of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipeRecord {
    /// Names the recipe over all versions.
    pub id: RecipeId,
    /// The name that people use.
    pub name: Name,
    /// 1, 2, 3 …
    pub version: u32,
    /// As it was applied.
    pub text: String,
    /// Compiled: what a job runs.
    pub definition: String,
    /// On whose rights its jobs run.
    pub owner: Principal,
    /// When this version was applied.
    pub applied_at: Timestamp,
    /// The secret part of the webhook's path, if it has one.
    pub webhook: Option<String>,
    /// Whether it takes new events.
    pub started: bool,
    /// Goes up with each change of this record.
    pub revision: u64,
}

impl ConnectorRecord {
    /// Stores it.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn change(&self, store: &TenantStore) -> Result<Change, StoreError> {
        // Installing the same artifact again changes nothing but the time.
        let version = u64::try_from(self.installed_at.micros()).unwrap_or(1);
        put(
            store,
            Kind::Connector,
            self.digest.into(),
            None,
            version,
            self,
        )
        .await
    }

    /// Every one of a scope.
    ///
    /// # Errors
    ///
    /// When one cannot be opened.
    pub async fn all(store: &TenantStore) -> Result<Vec<Self>, StoreError> {
        list(store, Kind::Connector).await
    }
}

impl ApprovalRecord {
    /// Stores it.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn change(&self, store: &TenantStore) -> Result<Change, StoreError> {
        put(
            store,
            Kind::Approval,
            self.id.into(),
            None,
            self.revision,
            self,
        )
        .await
    }

    /// Keeps one no more, if it is kept still.
    pub fn forget(store: &TenantStore, id: ApprovalId) -> Change {
        store.forget(Kind::Approval, id)
    }

    /// Every one of a scope.
    ///
    /// # Errors
    ///
    /// When one cannot be opened.
    pub async fn all(store: &TenantStore) -> Result<Vec<Self>, StoreError> {
        list(store, Kind::Approval).await
    }
}

impl ConnectionRecord {
    /// Stores it.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn change(&self, store: &TenantStore) -> Result<Change, StoreError> {
        put(
            store,
            Kind::Connection,
            self.id.into(),
            Some(&self.name),
            1,
            self,
        )
        .await
    }

    /// Every one of a scope.
    ///
    /// # Errors
    ///
    /// When one cannot be opened.
    pub async fn all(store: &TenantStore) -> Result<Vec<Self>, StoreError> {
        list(store, Kind::Connection).await
    }
}

impl LimitsRecord {
    /// Stores it.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn change(&self, store: &TenantStore) -> Result<Change, StoreError> {
        let row = Digest::of(b"limits").into();
        put(store, Kind::Limits, row, None, self.revision, self).await
    }

    /// That of a scope, if anything was ever set.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn of(store: &TenantStore) -> Result<Option<Self>, StoreError> {
        Ok(list(store, Kind::Limits).await?.pop())
    }
}

impl RecipeRecord {
    /// Stores it as what is in force; `NewVersion::Yes` keeps it as a version
    /// for the jobs that are pinned to it, too.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn changes(
        &self,
        store: &TenantStore,
        version: NewVersion,
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = vec![
            put(
                store,
                Kind::Recipe,
                self.id.into(),
                Some(&self.name),
                self.revision,
                self,
            )
            .await?,
        ];
        if version == NewVersion::Yes {
            let row = RowId::of_version(self.id, self.version);
            changes.push(put(store, Kind::RecipeVersion, row, None, 1, self).await?);
        }
        Ok(changes)
    }

    /// Every one of a scope, in the version that is in force.
    ///
    /// # Errors
    ///
    /// When one cannot be opened.
    pub async fn all(store: &TenantStore) -> Result<Vec<Self>, StoreError> {
        list(store, Kind::Recipe).await
    }
}

/// Whether a recipe is stored as a version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewVersion {
    /// It was applied.
    Yes,
    /// It was only started or stopped.
    No,
}

pub(crate) async fn put<T: Serialize>(
    store: &TenantStore,
    kind: Kind,
    id: RowId,
    name: Option<&Name>,
    version: u64,
    body: &T,
) -> Result<Change, StoreError> {
    let name = name.map(Name::as_str);
    store
        .put(NewResource {
            kind,
            id,
            name,
            version,
            state: 0,
            body,
        })
        .await
}

pub(crate) async fn list<T: serde::de::DeserializeOwned>(
    store: &TenantStore,
    kind: Kind,
) -> Result<Vec<T>, StoreError> {
    Ok(store
        .list(kind)
        .await?
        .into_iter()
        .map(|stored| stored.body)
        .collect())
}

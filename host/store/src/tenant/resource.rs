//! What a workspace owns, in one table: each thing sealed whole, found by its
//! kind and id or by the keyed hash of its name.

use keyway_model::{AlarmId, ApprovalId, ConnectionId, Digest, RecipeId, Timestamp};
use keyway_vault::{KeyClass, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;

use super::TenantStore;
use crate::change::{Change, Statement, value};
use crate::error::StoreError;
use crate::row;

const PUT: &str = "INSERT INTO resource \
    (tenant, environment, kind, id, name_mac, version, state, created, updated, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9) \
    ON CONFLICT (tenant, environment, kind, id) DO UPDATE SET \
    name_mac = excluded.name_mac, version = excluded.version, state = excluded.state, \
    updated = excluded.updated, body = excluded.body \
    WHERE resource.version < excluded.version";

/// What kind of thing a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An installed connector.
    Connector,
    /// An approval.
    Approval,
    /// A connection, without its credential.
    Connection,
    /// A recipe in its current version.
    Recipe,
    /// One version of a recipe.
    RecipeVersion,
    /// Where a poll trigger is.
    PollCursor,
    /// An alarm of the platform.
    Alarm,
    /// What the tenant has lowered of its limits.
    Limits,
}

impl Kind {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Connector => 1,
            Self::Approval => 2,
            Self::Connection => 3,
            Self::Recipe => 4,
            Self::RecipeVersion => 5,
            Self::PollCursor => 6,
            Self::Alarm => 7,
            Self::Limits => 8,
        }
    }

    const fn class(self) -> KeyClass {
        match self {
            Self::Connector | Self::Approval | Self::Connection | Self::Alarm | Self::Limits => {
                KeyClass::Directory
            }
            Self::Recipe | Self::RecipeVersion => KeyClass::Recipe,
            Self::PollCursor => KeyClass::State,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Approval => "approval",
            Self::Connection => "connection",
            Self::Recipe => "recipe",
            Self::RecipeVersion => "recipe version",
            Self::PollCursor => "poll cursor",
            Self::Alarm => "alarm",
            Self::Limits => "limits",
        }
    }

    /// The table goes with the kind, so a body cannot be moved to another kind.
    const fn place(self, id: RowId, version: u64) -> Place {
        let table = match self {
            Self::Connector => "resource/connector",
            Self::Approval => "resource/approval",
            Self::Connection => "resource/connection",
            Self::Recipe => "resource/recipe",
            Self::RecipeVersion => "resource/recipe-version",
            Self::PollCursor => "resource/poll-cursor",
            Self::Alarm => "resource/alarm",
            Self::Limits => "resource/limits",
        };
        Place {
            table,
            column: "body",
            row: id.0,
            row_version: version,
        }
    }
}

/// Which resource of its kind: an id, or 128 bits of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowId(u128);

impl RowId {
    /// The row of version `version` of `recipe`.
    pub fn of_version(recipe: RecipeId, version: u32) -> Self {
        Self::of(&[recipe.to_bytes().as_slice(), &version.to_be_bytes()].concat())
    }

    fn of(bytes: &[u8]) -> Self {
        Digest::of(bytes).into()
    }

    pub(super) fn to_vec(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl From<Digest> for RowId {
    fn from(digest: Digest) -> Self {
        let bytes = digest
            .as_bytes()
            .first_chunk::<16>()
            .copied()
            .unwrap_or_default();
        Self(u128::from_be_bytes(bytes))
    }
}

impl From<ConnectionId> for RowId {
    fn from(id: ConnectionId) -> Self {
        Self(id.bits())
    }
}

impl From<RecipeId> for RowId {
    fn from(id: RecipeId) -> Self {
        Self(id.bits())
    }
}

impl From<ApprovalId> for RowId {
    fn from(id: ApprovalId) -> Self {
        Self(id.bits())
    }
}

impl From<AlarmId> for RowId {
    fn from(id: AlarmId) -> Self {
        Self(id.bits())
    }
}

/// A resource to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewResource<'a, T: ?Sized> {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: RowId,
    /// Its name, which no other of its kind may have; `None` if names may repeat.
    pub name: Option<&'a str>,
    /// Its version: from 1, and higher each time that it is replaced.
    pub version: u64,
    /// A small number of the caller's that stays clear, for example whether it is started.
    pub state: u8,
    /// The content, sealed whole.
    pub body: &'a T,
}

/// A resource as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResource<T> {
    /// Which one.
    pub id: RowId,
    /// Its version.
    pub version: u64,
    /// The caller's small number.
    pub state: u8,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When it was stored last.
    pub updated_at: Timestamp,
    /// The content.
    pub body: T,
}

impl TenantStore {
    /// Stores a resource, new or in the place of an older version. Committing
    /// it fails with [`StoreError::NameTaken`] if another of its kind has the
    /// name, and with [`StoreError::Stale`] if a version as high is there.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn put<T: Serialize + ?Sized>(
        &self,
        resource: NewResource<'_, T>,
    ) -> Result<Change, StoreError> {
        let NewResource {
            kind,
            id,
            name,
            version,
            state,
            body,
        } = resource;
        let name_mac = match name {
            Some(name) => value::blob(self.name_mac(kind, name).await?),
            None => rusqlite::types::Value::Null,
        };
        let sealed = self
            .seal(kind.as_str(), kind.class(), &kind.place(id, version), body)
            .await?;
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::count(u64::from(kind.code())),
            value::blob(id.to_vec()),
            name_mac,
            value::count(version),
            value::count(u64::from(state)),
            value::time(self.store.clock.now()),
            value::blob(sealed),
        ];
        let put = Statement::new(PUT, values)
            .or_if_nothing(StoreError::Stale(kind.as_str()))
            .or_if_not_unique(StoreError::NameTaken(kind.as_str()));
        Ok(Change::of(put))
    }

    /// Gives a resource another small number, and leaves its content.
    pub fn set_state(&self, kind: Kind, id: impl Into<RowId>, state: u8) -> Change {
        let sql = "UPDATE resource SET state = ?, updated = ? \
            WHERE tenant = ? AND environment = ? AND kind = ? AND id = ?";
        let mut values = vec![
            value::count(u64::from(state)),
            value::time(self.store.clock.now()),
        ];
        values.extend(self.key(kind, id.into()));
        Change::of(Statement::new(sql, values).or_if_nothing(StoreError::NotFound(kind.as_str())))
    }

    /// Deletes a resource.
    pub fn delete(&self, kind: Kind, id: impl Into<RowId>) -> Change {
        let deletion = self.deletion(kind, id.into());
        Change::of(deletion.or_if_nothing(StoreError::NotFound(kind.as_str())))
    }

    /// Deletes a resource if it is there still.
    pub fn forget(&self, kind: Kind, id: impl Into<RowId>) -> Change {
        Change::of(self.deletion(kind, id.into()))
    }

    fn deletion(&self, kind: Kind, id: RowId) -> Statement {
        let sql =
            "DELETE FROM resource WHERE tenant = ? AND environment = ? AND kind = ? AND id = ?";
        Statement::new(sql, self.key(kind, id).to_vec())
    }

    /// The resource with this id.
    ///
    /// # Errors
    ///
    /// When it cannot be read or opened.
    pub async fn get<T: DeserializeOwned>(
        &self,
        kind: Kind,
        id: impl Into<RowId>,
    ) -> Result<Option<StoredResource<T>>, StoreError> {
        let sql = "SELECT id, version, state, created, updated, body FROM resource \
            WHERE tenant = ? AND environment = ? AND kind = ? AND id = ?";
        self.one(kind, sql, id.into().to_vec()).await
    }

    /// The resource of this name.
    ///
    /// # Errors
    ///
    /// When it cannot be read or opened.
    pub async fn by_name<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<StoredResource<T>>, StoreError> {
        let sql = "SELECT id, version, state, created, updated, body FROM resource \
            WHERE tenant = ? AND environment = ? AND kind = ? AND name_mac = ?";
        self.one(kind, sql, self.name_mac(kind, name).await?.to_vec())
            .await
    }

    /// Every resource of `kind`, in the order in which they were first stored.
    ///
    /// # Errors
    ///
    /// When one cannot be read or opened.
    pub async fn list<T: DeserializeOwned>(
        &self,
        kind: Kind,
    ) -> Result<Vec<StoredResource<T>>, StoreError> {
        let sql = "SELECT id, version, state, created, updated, body FROM resource \
            WHERE tenant = ? AND environment = ? AND kind = ? ORDER BY rowid";
        let rows = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(i64::from(kind.code()))
            .fetch_all(&self.store.reads)
            .await?;
        let mut all = Vec::with_capacity(rows.len());
        for one in &rows {
            all.push(self.opened(kind, one).await?);
        }
        Ok(all)
    }

    /// One version of a recipe.
    ///
    /// # Errors
    ///
    /// When it cannot be read or opened.
    pub async fn recipe_version<T: DeserializeOwned>(
        &self,
        recipe: RecipeId,
        version: u32,
    ) -> Result<Option<T>, StoreError> {
        let found = self
            .get(Kind::RecipeVersion, RowId::of_version(recipe, version))
            .await?;
        Ok(found.map(|stored| stored.body))
    }

    async fn one<T: DeserializeOwned>(
        &self,
        kind: Kind,
        sql: &'static str,
        by: Vec<u8>,
    ) -> Result<Option<StoredResource<T>>, StoreError> {
        let found = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(i64::from(kind.code()))
            .bind(by)
            .fetch_optional(&self.store.reads)
            .await?;
        match found {
            Some(one) => self.opened(kind, &one).await.map(Some),
            None => Ok(None),
        }
    }

    async fn opened<T: DeserializeOwned>(
        &self,
        kind: Kind,
        one: &SqliteRow,
    ) -> Result<StoredResource<T>, StoreError> {
        let id = RowId(u128::from_be_bytes(row::bytes(one, "id")?));
        let version = row::number(one, "version")?;
        let body = self
            .open(
                kind.as_str(),
                &kind.place(id, version),
                row::blob(one, "body")?,
            )
            .await?;
        Ok(StoredResource {
            id,
            version,
            state: row::number(one, "state")?,
            created_at: row::time(one, "created")?,
            updated_at: row::time(one, "updated")?,
            body,
        })
    }

    async fn name_mac(&self, kind: Kind, name: &str) -> Result<[u8; 32], StoreError> {
        self.store
            .keys
            .mac(self.scope, &[b"name", &[kind.code()], name.as_bytes()])
            .await
    }

    fn key(&self, kind: Kind, id: RowId) -> [rusqlite::types::Value; 4] {
        [
            value::tenant(self.scope),
            value::environment(self.scope),
            value::count(u64::from(kind.code())),
            value::blob(id.to_vec()),
        ]
    }
}

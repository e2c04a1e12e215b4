//! The platform's directory: workspaces and API tokens.

use std::fmt;
use std::sync::Arc;

use keyway_model::{Environment, Name, Scope, TenantId, Timestamp, TokenId};
use keyway_vault::{KeyClass, Place};
use rusqlite::types::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::change::{Change, Statement, Write, value};
use crate::error::StoreError;
use crate::row;
use crate::store::{Inner, PLATFORM};

const SELECT_TOKENS: &str = "SELECT id, hash, tenant, environment, role, label, created, expires, revoked, last_used \
    FROM token ORDER BY created, id";
const SELECT_TOKENS_OF: &str = "SELECT id, hash, tenant, environment, role, label, created, expires, revoked, last_used \
    FROM token WHERE tenant = ? ORDER BY created, id";
const SELECT_TOKEN_BY_ID: &str = "SELECT id, hash, tenant, environment, role, label, created, expires, revoked, last_used \
    FROM token WHERE id = ?";
const SELECT_TOKEN: &str = "SELECT id, hash, tenant, environment, role, label, created, expires, revoked, last_used \
    FROM token WHERE hash = ?";

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The tenant that it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: Name,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An API token, without itself: only its SHA-256 is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Names the token.
    pub id: TokenId,
    /// The SHA-256 of the token, which has 256 random bits.
    pub hash: [u8; 32],
    /// Whose it is; `None` for the platform.
    pub tenant: Option<TenantId>,
    /// In which environment it works; `None` for all.
    pub environment: Option<Environment>,
    /// The role.
    pub role: String,
    /// What it is for, in somebody's words; sealed.
    pub label: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, as far as that was written.
    pub used_at: Option<Timestamp>,
}

/// The view of the directory.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

const fn label(id: TokenId) -> Place {
    Place {
        table: "token",
        column: "label",
        row: id.bits(),
        row_version: 0,
    }
}

impl Directory {
    pub(crate) const fn new(store: Arc<Inner>) -> Self {
        Self(store)
    }

    /// A new workspace with keys for each of its environments. Committing it
    /// fails with [`StoreError::NameTaken`] if there is one of that name.
    ///
    /// # Errors
    ///
    /// When the root key cannot be used.
    pub async fn new_workspace(&self, name: &Name) -> Result<(TenantId, Change), StoreError> {
        let tenant = TenantId::random();
        let values = vec![
            value::id(tenant.bits()),
            Value::Text(name.as_str().to_owned()),
            value::time(self.0.clock.now()),
        ];
        let insert = Statement::new(
            "INSERT INTO workspace (tenant, name, created) VALUES (?, ?, ?)",
            values,
        )
        .or_if_not_unique(StoreError::NameTaken("workspace"));
        let keys = self.0.keys.new_tenant(tenant).await?;
        Ok((tenant, Change::all(std::iter::once(insert).chain(keys))))
    }

    /// Creates a workspace by itself, for embedders and tests; the control path
    /// commits [`Directory::new_workspace`] with its record.
    ///
    /// # Errors
    ///
    /// As [`Directory::new_workspace`] and its commit.
    pub async fn create_workspace(&self, name: &Name) -> Result<TenantId, StoreError> {
        let (tenant, change) = self.new_workspace(name).await?;
        self.0
            .writer
            .write(change.writes)
            .await
            .map_err(|refused| refused.error)?;
        Ok(tenant)
    }

    /// Every workspace, by name.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        let rows = sqlx::query("SELECT tenant, name, created FROM workspace ORDER BY name")
            .fetch_all(&self.0.reads)
            .await?;
        rows.iter().map(workspace).collect()
    }

    /// The workspace of this name.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn workspace_by_name(&self, name: &Name) -> Result<Option<Workspace>, StoreError> {
        let found = sqlx::query("SELECT tenant, name, created FROM workspace WHERE name = ?")
            .bind(name.as_str())
            .fetch_optional(&self.0.reads)
            .await?;
        found.as_ref().map(workspace).transpose()
    }

    /// A new token.
    ///
    /// # Errors
    ///
    /// When its label cannot be sealed.
    pub async fn put_token(&self, token: &Token) -> Result<Change, StoreError> {
        let scope = label_scope(token.tenant, token.environment);
        let place = label(token.id);
        let sealed = self
            .0
            .keys
            .seal(scope, KeyClass::Directory, &place, token.label.as_bytes())
            .await?;
        let time_or_null = |at: Option<Timestamp>| at.map_or(Value::Null, value::time);
        let values = vec![
            value::id(token.id.bits()),
            value::blob(token.hash),
            token
                .tenant
                .map_or(Value::Null, |tenant| value::id(tenant.bits())),
            token.environment.map_or(Value::Null, |environment| {
                value::count(u64::from(environment.code()))
            }),
            Value::Text(token.role.clone()),
            value::blob(sealed.into_bytes()),
            value::time(token.created_at),
            value::time(token.expires_at),
            time_or_null(token.revoked_at),
            time_or_null(token.used_at),
        ];
        let sql = "INSERT INTO token \
            (id, hash, tenant, environment, role, label, created, expires, revoked, last_used) \
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        Ok(Change::of(
            Statement::new(sql, values).or_if_not_unique(StoreError::NameTaken("token")),
        ))
    }

    /// Forgets tokens that have ended, by a person or by time, but for the
    /// `kept_max` of each workspace that were made last. Nobody needs to wait for it.
    pub fn forget_ended_tokens(&self, kept_max: u32) {
        let sql = "DELETE FROM token WHERE id IN (SELECT id FROM (SELECT id, \
            row_number() OVER (PARTITION BY tenant ORDER BY created DESC, id DESC) AS place \
            FROM token WHERE revoked IS NOT NULL OR expires <= ?1) WHERE place > ?2)";
        let values = vec![
            value::time(self.0.clock.now()),
            value::count(kept_max.into()),
        ];
        self.0
            .writer
            .leave(vec![Write::Statement(Statement::new(sql, values))]);
    }

    /// Revokes a token, unless it is revoked.
    pub fn revoke_token(&self, id: TokenId) -> Change {
        let sql = "UPDATE token SET revoked = ? WHERE id = ? AND revoked IS NULL";
        let values = vec![value::time(self.0.clock.now()), value::id(id.bits())];
        Change::of(Statement::new(sql, values).or_if_nothing(StoreError::NotFound("token")))
    }

    /// Says that a token was used. Nobody needs to wait for it.
    pub fn token_used(&self, id: TokenId) {
        let sql = "UPDATE token SET last_used = ? WHERE id = ?";
        let values = vec![value::time(self.0.clock.now()), value::id(id.bits())];
        self.0
            .writer
            .leave(vec![Write::Statement(Statement::new(sql, values))]);
    }

    /// Every token, the oldest first.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or its label opened.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let rows = sqlx::query(SELECT_TOKENS).fetch_all(&self.0.reads).await?;
        self.opened_tokens(&rows).await
    }

    /// Every token of one workspace, the oldest first.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or its label opened.
    pub async fn tokens_of(&self, tenant: TenantId) -> Result<Vec<Token>, StoreError> {
        let rows = sqlx::query(SELECT_TOKENS_OF)
            .bind(tenant.to_bytes().to_vec())
            .fetch_all(&self.0.reads)
            .await?;
        self.opened_tokens(&rows).await
    }

    async fn opened_tokens(&self, rows: &[SqliteRow]) -> Result<Vec<Token>, StoreError> {
        let mut tokens = Vec::with_capacity(rows.len());
        for one in rows {
            tokens.push(self.token(one).await?);
            // There may be many, and others want their turn.
            tokio::task::yield_now().await;
        }
        Ok(tokens)
    }

    /// The token of this id, whether or not it is still good.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or its label opened.
    pub async fn token_by_id(&self, id: TokenId) -> Result<Option<Token>, StoreError> {
        let found = sqlx::query(SELECT_TOKEN_BY_ID)
            .bind(id.to_bytes().to_vec())
            .fetch_optional(&self.0.reads)
            .await?;
        match found {
            Some(one) => self.token(&one).await.map(Some),
            None => Ok(None),
        }
    }

    /// The token with this hash, whether or not it is still good.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or its label opened.
    pub async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let found = sqlx::query(SELECT_TOKEN)
            .bind(hash.to_vec())
            .fetch_optional(&self.0.reads)
            .await?;
        match found {
            Some(one) => self.token(&one).await.map(Some),
            None => Ok(None),
        }
    }

    async fn token(&self, one: &SqliteRow) -> Result<Token, StoreError> {
        let id = TokenId::from_bytes(row::bytes(one, "id")?);
        let tenant = row::optional_bytes(one, "tenant")?.map(TenantId::from_bytes);
        let environment = match one.try_get::<Option<i64>, _>("environment")? {
            Some(_) => Some(row::environment(one)?),
            None => None,
        };
        let scope = label_scope(tenant, environment);
        let opened = self
            .0
            .keys
            .open(scope, "token label", &label(id), row::blob(one, "label")?)
            .await?;
        Ok(Token {
            id,
            hash: row::bytes(one, "hash")?,
            tenant,
            environment,
            role: one.try_get("role")?,
            label: String::from_utf8_lossy(opened.as_bytes()).into_owned(),
            created_at: row::time(one, "created")?,
            expires_at: row::time(one, "expires")?,
            revoked_at: row::optional_time(one, "revoked")?,
            used_at: row::optional_time(one, "last_used")?,
        })
    }
}

/// Under whose keys a token's label is.
fn label_scope(tenant: Option<TenantId>, environment: Option<Environment>) -> Scope {
    match tenant {
        Some(tenant) => Scope {
            tenant,
            environment: environment.unwrap_or(Environment::Production),
        },
        None => PLATFORM,
    }
}

fn workspace(one: &SqliteRow) -> Result<Workspace, StoreError> {
    let name: &str = one.try_get("name")?;
    Ok(Workspace {
        tenant: TenantId::from_bytes(row::bytes(one, "tenant")?),
        name: name
            .parse()
            .map_err(|error| StoreError::encoding("workspace name", error))?,
        created_at: row::time(one, "created")?,
    })
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({})", self.0.deployment)
    }
}

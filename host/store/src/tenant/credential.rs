//! Credentials: kept apart from their connections, sealed under a key of their
//! own, opened only for an audit entry that names the connection.

use std::sync::Arc;

use keyway_authz::{Entry, NamesSecret};
use keyway_model::ConnectionId;
use keyway_vault::{Envelope, KeyClass, Secret};
use sqlx::Row;

use super::TenantStore;
use crate::cache::SealedCredential;
use crate::change::{After, Change, Statement, value};
use crate::error::StoreError;
use crate::row;

impl TenantStore {
    /// Stores the credential of `connection`, in the place of an older version.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn credential(
        &self,
        connection: ConnectionId,
        version: u64,
        secret: &Secret,
    ) -> Result<Change, StoreError> {
        let sealed = self
            .store
            .keys
            .seal_secret(self.scope, connection, version, secret)
            .await?;
        let sql = "INSERT INTO credential (tenant, environment, connection, version, body) VALUES (?, ?, ?, ?, ?) \
            ON CONFLICT (tenant, environment, connection) DO UPDATE SET \
            version = excluded.version, body = excluded.body WHERE credential.version < excluded.version";
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(connection.bits()),
            value::count(version),
            value::blob(sealed.into_bytes()),
        ];
        let put = Statement::new(sql, values).or_if_nothing(StoreError::Stale("credential"));
        Ok(Change::of(put).and(After::Credential(self.scope, connection)))
    }

    /// Deletes the credential of `connection` and the key that sealed it, so
    /// that no copy of the database opens it either.
    pub fn delete_credential(&self, connection: ConnectionId) -> Change {
        let class = KeyClass::Credential(connection);
        let row = Statement::new(
            "DELETE FROM credential WHERE tenant = ? AND environment = ? AND connection = ?",
            vec![
                value::tenant(self.scope),
                value::environment(self.scope),
                value::id(connection.bits()),
            ],
        );
        let key = Statement::new(
            "DELETE FROM wrapped_key WHERE tenant = ? AND environment = ? AND class = ? AND subject = ?",
            vec![
                value::tenant(self.scope),
                value::environment(self.scope),
                value::count(u64::from(class.code())),
                value::id(class.subject()),
            ],
        );
        Change::of(row)
            .and(key)
            .and(After::Credential(self.scope, connection))
    }

    /// Opens the credential that `entry` names. What stays in memory is the
    /// envelope, never the plaintext.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none, and the vault's.
    pub async fn open_credential<O: NamesSecret>(
        &self,
        entry: &Entry<O>,
    ) -> Result<Secret, StoreError> {
        let connection = entry
            .operation()
            .secret()
            .ok_or(StoreError::NotFound("credential"))?;
        let sealed = self.sealed_credential(connection).await?;
        let open = |keys: &keyway_vault::ScopeKeys| {
            keys.open_secret(entry, sealed.version, &sealed.envelope)
        };
        self.store.keys.with(self.scope, "credential", open).await
    }

    async fn sealed_credential(
        &self,
        connection: ConnectionId,
    ) -> Result<SealedCredential, StoreError> {
        let cache = &self.store.cache;
        if let Some(known) = cache.credential(self.scope, connection) {
            return Ok(known);
        }
        let generation = cache.generation();
        let sql = "SELECT version, body FROM credential WHERE tenant = ? AND environment = ? AND connection = ?";
        let found = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(connection.to_bytes().to_vec())
            .fetch_optional(&self.store.reads)
            .await?
            .ok_or(StoreError::NotFound("credential"))?;
        let envelope = Arc::new(Envelope::from_bytes(found.try_get("body")?)?);
        let sealed = SealedCredential {
            version: row::number(&found, "version")?,
            envelope,
        };
        cache.keep(generation, self.scope, connection, sealed.clone());
        Ok(sealed)
    }
}

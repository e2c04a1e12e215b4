//! A connection's state: small values under keys that the connector chooses.

use keyway_authz::{Entry, StateChange, StateWrite};
use keyway_model::ConnectionId;
use keyway_vault::{KeyClass, Place};
use sqlx::Row;

use super::TenantStore;
use crate::change::{Change, Statement, value};
use crate::error::StoreError;

/// The row is named by the MAC of connection and key, so a value cannot be
/// moved under another key or to another connection.
fn place(key_mac: &[u8; 32]) -> Place {
    let row = key_mac.first_chunk::<16>().copied().unwrap_or_default();
    Place {
        table: "state",
        column: "body",
        row: u128::from_be_bytes(row),
        row_version: 0,
    }
}

impl TenantStore {
    /// The value under `key`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or opened.
    pub async fn state(
        &self,
        connection: ConnectionId,
        key: &str,
    ) -> Result<Option<String>, StoreError> {
        let key_mac = self.state_key(connection, key).await?;
        let sql = "SELECT body FROM state WHERE tenant = ? AND environment = ? AND connection = ? AND key_mac = ?";
        let found = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(connection.to_bytes().to_vec())
            .bind(key_mac.to_vec())
            .fetch_optional(&self.store.reads)
            .await?;
        match found {
            Some(row) => self
                .open("state", &place(&key_mac), row.try_get("body")?)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// The change that `entry` allows. A connection holds at most `keys_max`
    /// keys; calls that run at once may each add the last one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Limit`] if the key would be one too many, and when the
    /// value cannot be sealed.
    pub async fn state_change(
        &self,
        entry: &Entry<StateWrite>,
        keys_max: u32,
    ) -> Result<Change, StoreError> {
        let write = entry.operation();
        let connection = write.connection();
        let key_mac = self.state_key(connection, write.key()).await?;
        let mut values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(connection.bits()),
            value::blob(key_mac),
        ];
        let text = match write.change() {
            StateChange::Set(text) => text,
            StateChange::Delete => {
                let sql = "DELETE FROM state \
                    WHERE tenant = ? AND environment = ? AND connection = ? AND key_mac = ?";
                return Ok(Change::of(Statement::new(sql, values)));
            }
        };
        if self.other_keys(connection, &key_mac).await? >= u64::from(keys_max) {
            return Err(StoreError::Limit {
                name: "state_keys_max",
                value: u64::from(keys_max),
            });
        }
        values.push(value::blob(
            self.seal("state", KeyClass::State, &place(&key_mac), text)
                .await?,
        ));
        let sql = "INSERT INTO state (tenant, environment, connection, key_mac, body) VALUES (?, ?, ?, ?, ?) \
            ON CONFLICT (tenant, environment, connection, key_mac) DO UPDATE SET body = excluded.body";
        Ok(Change::of(Statement::new(sql, values)))
    }

    async fn other_keys(
        &self,
        connection: ConnectionId,
        key_mac: &[u8; 32],
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM state \
            WHERE tenant = ? AND environment = ? AND connection = ? AND key_mac <> ?";
        let count: i64 = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(connection.to_bytes().to_vec())
            .bind(key_mac.to_vec())
            .fetch_one(&self.store.reads)
            .await?
            .try_get(0)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn state_key(&self, connection: ConnectionId, key: &str) -> Result<[u8; 32], StoreError> {
        self.store
            .keys
            .mac(
                self.scope,
                &[b"state", &connection.to_bytes(), key.as_bytes()],
            )
            .await
    }
}

//! Poll triggers: cursor, de-duplication keys and jobs in one transaction.
//!
//! Whether a key was seen before is decided by the writer, inside the
//! transaction that remembers it, so no job is missed and none made twice.

use keyway_model::{JobId, RecipeId};
use keyway_vault::{KeyClass, Place};
use serde::Serialize;
use sqlx::Row;

use super::TenantStore;
use super::job::JobOf;
use super::resource::{Kind, RowId};
use crate::change::{Change, JobIfNew, Statement, Write, value};
use crate::error::StoreError;

const fn cursor(recipe: RecipeId) -> Place {
    Place {
        table: "resource/poll-cursor",
        column: "body",
        row: recipe.bits(),
        row_version: 0,
    }
}

impl TenantStore {
    /// A new job, unless `deduplication_key` was seen for its recipe before.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn job_if_new<T: Serialize + ?Sized>(
        &self,
        deduplication_key: &str,
        id: JobId,
        of: JobOf,
        record: &T,
    ) -> Result<Change, StoreError> {
        let recipe = of.recipe.to_bytes();
        let parts: [&[u8]; 3] = [b"deduplication", &recipe, deduplication_key.as_bytes()];
        let key_mac = self.store.keys.mac(self.scope, &parts).await?;
        let sql = "INSERT OR IGNORE INTO deduplication (tenant, environment, recipe, key_mac, seen) \
            VALUES (?, ?, ?, ?, ?)";
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(of.recipe.bits()),
            value::blob(key_mac),
            value::time(self.store.clock.now()),
        ];
        let create = self.insert_job(id, of, record).await?;
        let seen = Statement::new(sql, values);
        let write = Write::JobIfNew(Box::new(JobIfNew {
            seen,
            create,
            job: id,
        }));
        Ok(Change::of(write))
    }

    /// Where the poll trigger of `recipe` is.
    ///
    /// # Errors
    ///
    /// When it cannot be read or opened.
    pub async fn poll_cursor(&self, recipe: RecipeId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT body FROM resource WHERE tenant = ? AND environment = ? AND kind = ? AND id = ?";
        let found = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(i64::from(Kind::PollCursor.code()))
            .bind(RowId::from(recipe).to_vec())
            .fetch_optional(&self.store.reads)
            .await?;
        match found {
            Some(row) => {
                self.open("poll cursor", &cursor(recipe), row.try_get("body")?)
                    .await
            }
            None => Ok(None),
        }
    }

    /// Moves the poll trigger of `recipe`; `None` is its beginning.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn set_poll_cursor(
        &self,
        recipe: RecipeId,
        at: Option<&str>,
    ) -> Result<Change, StoreError> {
        let sealed = self
            .seal("poll cursor", KeyClass::State, &cursor(recipe), &at)
            .await?;
        let sql = "INSERT INTO resource (tenant, environment, kind, id, version, state, created, updated, body) \
            VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5, ?6) ON CONFLICT (tenant, environment, kind, id) \
            DO UPDATE SET updated = excluded.updated, body = excluded.body";
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::count(u64::from(Kind::PollCursor.code())),
            value::blob(RowId::from(recipe).to_vec()),
            value::time(self.store.clock.now()),
            value::blob(sealed),
        ];
        Ok(Change::of(Statement::new(sql, values)))
    }
}

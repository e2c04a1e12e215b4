//! Jobs and their journals.
//!
//! History is sealed under the hour's job-data key. Rows of masked steps are
//! sealed under a key of the job's own, which goes when the job ends.

use keyway_model::{JobId, JobState, RecipeId, Timestamp};
use keyway_vault::{KeyClass, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;

use super::TenantStore;
use crate::change::{Change, Statement, value};
use crate::error::StoreError;
use crate::row;

pub(super) const INSERT_JOB: &str = "INSERT INTO job \
    (tenant, environment, id, recipe, recipe_version, state, created, updated, origin, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)";

const SELECT_JOB: &str = "SELECT id, recipe, recipe_version, state, created, updated, origin, body, summary \
    FROM job WHERE tenant = ? AND environment = ? AND id = ?";

const SELECT_JOBS: &str = "SELECT id, recipe, recipe_version, state, created, updated, origin, summary \
    FROM job WHERE tenant = ?1 AND environment = ?2 AND (?3 IS NULL OR recipe = ?3) \
    AND (?4 IS NULL OR state = ?4) AND id < ?5 ORDER BY id DESC LIMIT ?6";

/// Jobs that are read at once for a list.
const PAGE: u32 = 50;

/// A job as it is stored: `R` is what was kept when it was accepted, `S` how
/// it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredJob<R, S> {
    /// Which job.
    pub id: JobId,
    /// Of which recipe.
    pub recipe: RecipeId,
    /// In which version, pinned.
    pub recipe_version: u32,
    /// Where it is.
    pub state: JobState,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its state changed last.
    pub updated_at: Timestamp,
    /// The job that it reruns.
    pub origin: Option<JobId>,
    /// What was kept when it was accepted.
    pub record: R,
    /// How it ended, if it has.
    pub summary: Option<S>,
}

/// What a job is, in clear: which recipe, and what it reruns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobOf {
    /// The recipe.
    pub recipe: RecipeId,
    /// Its version, pinned.
    pub version: u32,
    /// The job that this one reruns.
    pub origin: Option<JobId>,
}

const fn body(job: JobId) -> Place {
    Place {
        table: "job",
        column: "body",
        row: job.bits(),
        row_version: 0,
    }
}

const fn summary(job: JobId) -> Place {
    Place {
        table: "job",
        column: "summary",
        row: job.bits(),
        row_version: 0,
    }
}

const fn entry(job: JobId, position: u32) -> Place {
    Place {
        table: "journal",
        column: "body",
        row: job.bits(),
        row_version: position as u64,
    }
}

impl TenantStore {
    /// A new job, queued. `record` is sealed whole.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn create_job<T: Serialize + ?Sized>(
        &self,
        id: JobId,
        of: JobOf,
        record: &T,
    ) -> Result<Change, StoreError> {
        Ok(Change::of(self.insert_job(id, of, record).await?))
    }

    pub(super) async fn insert_job<T: Serialize + ?Sized>(
        &self,
        id: JobId,
        of: JobOf,
        record: &T,
    ) -> Result<Statement, StoreError> {
        let sealed = self
            .seal("job", KeyClass::JobData, &body(id), record)
            .await?;
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(id.bits()),
            value::id(of.recipe.bits()),
            value::count(u64::from(of.version)),
            value::count(u64::from(JobState::Queued.code())),
            value::time(self.store.clock.now()),
            of.origin.map_or(rusqlite::types::Value::Null, |origin| {
                value::id(origin.bits())
            }),
            value::blob(sealed),
        ];
        Ok(Statement::new(INSERT_JOB, values))
    }

    /// A row of the job's journal, at a position that is not taken.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn journal_row<T: Serialize + ?Sized>(
        &self,
        job: JobId,
        position: u32,
        row: &T,
    ) -> Result<Change, StoreError> {
        self.insert_row(job, position, KeyClass::JobData, row).await
    }

    /// A row that opens only until [`TenantStore::erase_masked`] is committed.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub async fn masked_journal_row<T: Serialize + ?Sized>(
        &self,
        job: JobId,
        position: u32,
        row: &T,
    ) -> Result<Change, StoreError> {
        self.insert_row(job, position, KeyClass::MaskedJob(job), row)
            .await
    }

    async fn insert_row<T: Serialize + ?Sized>(
        &self,
        job: JobId,
        position: u32,
        class: KeyClass,
        row: &T,
    ) -> Result<Change, StoreError> {
        let sealed = self
            .seal("journal row", class, &entry(job, position), row)
            .await?;
        let sql =
            "INSERT INTO journal (tenant, environment, job, position, body) VALUES (?, ?, ?, ?, ?)";
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(job.bits()),
            value::count(u64::from(position)),
            value::blob(sealed),
        ];
        Ok(Change::of(
            Statement::new(sql, values).or_if_not_unique(StoreError::Stale("journal")),
        ))
    }

    /// Deletes the job's own key, and with it what its masked rows hold.
    pub fn erase_masked(&self, job: JobId) -> Change {
        let class = KeyClass::MaskedJob(job);
        let sql = "DELETE FROM wrapped_key WHERE tenant = ? AND environment = ? AND class = ? AND subject = ?";
        let values = vec![
            value::tenant(self.scope),
            value::environment(self.scope),
            value::count(u64::from(class.code())),
            value::id(class.subject()),
        ];
        Change::of(Statement::new(sql, values))
    }

    /// Puts a job into `state`.
    pub fn job_state(&self, id: JobId, state: JobState) -> Change {
        let sql =
            "UPDATE job SET state = ?, updated = ? WHERE tenant = ? AND environment = ? AND id = ?";
        let values = vec![
            value::count(u64::from(state.code())),
            value::time(self.store.clock.now()),
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(id.bits()),
        ];
        Change::of(Statement::new(sql, values).or_if_nothing(StoreError::NotFound("job")))
    }

    /// Ends a job in `state`, with its summary if there is anything to say.
    ///
    /// # Errors
    ///
    /// When the summary cannot be sealed.
    pub async fn finish_job<T: Serialize + ?Sized>(
        &self,
        id: JobId,
        state: JobState,
        how: Option<&T>,
    ) -> Result<Change, StoreError> {
        let sealed = match how {
            Some(how) => {
                let place = summary(id);
                let sealed = self.seal("job summary", KeyClass::JobData, &place, how);
                value::blob(sealed.await?)
            }
            None => rusqlite::types::Value::Null,
        };
        let sql = "UPDATE job SET state = ?, updated = ?, summary = ? WHERE tenant = ? AND environment = ? AND id = ?";
        let values = vec![
            value::count(u64::from(state.code())),
            value::time(self.store.clock.now()),
            sealed,
            value::tenant(self.scope),
            value::environment(self.scope),
            value::id(id.bits()),
        ];
        Ok(Change::of(
            Statement::new(sql, values).or_if_nothing(StoreError::NotFound("job")),
        ))
    }

    /// Whether there is such a job.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn job_exists(&self, id: JobId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM job WHERE tenant = ? AND environment = ? AND id = ?";
        let found = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(id.to_bytes().to_vec())
            .fetch_optional(&self.store.reads)
            .await?;
        Ok(found.is_some())
    }

    /// A job.
    ///
    /// # Errors
    ///
    /// When it cannot be read or opened.
    pub async fn job<R: DeserializeOwned, S: DeserializeOwned>(
        &self,
        id: JobId,
    ) -> Result<Option<StoredJob<R, S>>, StoreError> {
        let found = sqlx::query(SELECT_JOB)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(id.to_bytes().to_vec())
            .fetch_optional(&self.store.reads)
            .await?;
        match found {
            Some(one) => {
                let place = body(id);
                let record = self.open("job", &place, row::blob(&one, "body")?).await?;
                self.opened_job(&one, record).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// What was kept when the job was accepted.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], or when it cannot be read or opened.
    pub async fn job_record<R: DeserializeOwned>(&self, id: JobId) -> Result<R, StoreError> {
        let job = self.job::<R, serde::de::IgnoredAny>(id).await?;
        job.map(|job| job.record).ok_or(StoreError::NotFound("job"))
    }

    /// Jobs without what was kept of them, which may be large, the newest first:
    /// of one recipe if `recipe` says so, in one state if `state` says so, and at
    /// most `limit`. Others take their turn between a few of them.
    ///
    /// # Errors
    ///
    /// When one cannot be read or opened.
    pub async fn jobs<S: DeserializeOwned>(
        &self,
        recipe: Option<RecipeId>,
        state: Option<JobState>,
        limit: u32,
    ) -> Result<Vec<StoredJob<(), S>>, StoreError> {
        let mut jobs = Vec::new();
        let mut before = [u8::MAX; 16];
        loop {
            let left = limit.saturating_sub(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
            let rows = sqlx::query(SELECT_JOBS)
                .bind(self.tenant_bytes())
                .bind(self.environment_code())
                .bind(recipe.map(|recipe| recipe.to_bytes().to_vec()))
                .bind(state.map(|state| i64::from(state.code())))
                .bind(before.to_vec())
                .bind(i64::from(left.min(PAGE)))
                .fetch_all(&self.store.reads)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(jobs);
            };
            before = row::bytes(last, "id")?;
            for one in &rows {
                jobs.push(self.opened_job(one, ()).await?);
                tokio::task::yield_now().await;
            }
        }
    }

    /// The job's journal, in order.
    ///
    /// # Errors
    ///
    /// When a row cannot be read or opened; [`StoreError::Erased`] for a
    /// masked row of a job that has ended.
    pub async fn journal<T: DeserializeOwned>(&self, job: JobId) -> Result<Vec<T>, StoreError> {
        let sql = "SELECT position, body FROM journal WHERE tenant = ? AND environment = ? AND job = ? \
            ORDER BY position";
        let rows = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(self.environment_code())
            .bind(job.to_bytes().to_vec())
            .fetch_all(&self.store.reads)
            .await?;
        let mut journal = Vec::with_capacity(rows.len());
        for one in &rows {
            let place = entry(job, row::number(one, "position")?);
            journal.push(
                self.open("journal row", &place, row::blob(one, "body")?)
                    .await?,
            );
            // A row may be large, and others want their turn.
            tokio::task::yield_now().await;
        }
        Ok(journal)
    }

    async fn opened_job<R, S: DeserializeOwned>(
        &self,
        one: &SqliteRow,
        record: R,
    ) -> Result<StoredJob<R, S>, StoreError> {
        use sqlx::Row;
        let id = JobId::from_bytes(row::bytes(one, "id")?);
        let ended: Option<Vec<u8>> = one.try_get("summary")?;
        Ok(StoredJob {
            id,
            recipe: RecipeId::from_bytes(row::bytes(one, "recipe")?),
            recipe_version: row::number(one, "recipe_version")?,
            state: row::job_state(one)?,
            created_at: row::time(one, "created")?,
            updated_at: row::time(one, "updated")?,
            origin: row::optional_bytes(one, "origin")?.map(JobId::from_bytes),
            record,
            summary: match ended {
                Some(sealed) => Some(self.open("job summary", &summary(id), sealed).await?),
                None => None,
            },
        })
    }
}

//! Lists records as people read them, the newest first.

use keyway_authz::log::{Hash, Header, ReadableRecord, RecordKind, Salt};
use keyway_model::{EntryId, Environment, JobId, Scope, Timestamp};
use sqlx::sqlite::SqliteRow;

use super::AuditLog;
use crate::error::StoreError;
use crate::{record, row};

/// Rows that are read at once.
const PAGE: u32 = 500;

/// Which records, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditFilter {
    /// In this environment only.
    pub environment: Option<Environment>,
    /// Of this kind only.
    pub kind: Option<RecordKind>,
    /// Of this operation only: its intent and its outcome.
    pub entry: Option<EntryId>,
    /// That name this job.
    pub job: Option<JobId>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// With a sequence below this one: to go on after the last of a page.
    pub before: Option<u64>,
    /// With a sequence above this one, the oldest first: to follow the log.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self {
            environment: None,
            kind: None,
            entry: None,
            job: None,
            since: None,
            before: None,
            after: None,
            limit: 100,
        }
    }
}

/// One record of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place in the log, from 0.
    pub sequence: u64,
    /// The part that stays clear.
    pub header: Header,
    /// The record; `None` if it was erased.
    pub record: Option<ReadableRecord>,
}

/// A row of the log, opened as far as it can be.
pub(super) struct Row {
    pub(super) sequence: u64,
    pub(super) header: Header,
    pub(super) content: Hash,
    pub(super) leaf: Hash,
    pub(super) envelope: Hash,
    /// Salt and JSON; `None` if the record was erased.
    pub(super) record: Option<(Salt, String)>,
}

impl AuditLog {
    /// Records that `filter` lets through, the newest first; the oldest first
    /// where it has `after`.
    ///
    /// # Errors
    ///
    /// When one cannot be read or opened.
    pub async fn list(&self, filter: AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        if filter.after.is_some() {
            let mut found = Vec::new();
            for one in &self.page(u64::MAX, &filter).await? {
                found.extend(listed(self.opened(one).await?, &filter)?);
                tokio::task::yield_now().await;
            }
            return Ok(found);
        }
        let mut before = filter.before.unwrap_or(u64::MAX).min(self.size());
        let mut found = Vec::new();
        while before > 0 && found.len() < filter.limit as usize {
            let rows = self.page(before, &filter).await?;
            let Some(last) = rows.last() else { break };
            before = row::number(last, "sequence")?;
            for one in &rows {
                let opened = self.opened(one).await?;
                tokio::task::yield_now().await;
                if let Some(listed) = listed(opened, &filter)? {
                    found.push(listed);
                }
                if found.len() >= filter.limit as usize {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn page(&self, before: u64, filter: &AuditFilter) -> Result<Vec<SqliteRow>, StoreError> {
        const NEWEST_FIRST: &str = "SELECT sequence, environment, kind, entry, time, content, leaf, envelope FROM audit \
            WHERE tenant = ?1 AND sequence < ?2 AND (?3 IS NULL OR environment = ?3) \
            AND (?4 IS NULL OR kind = ?4) AND (?5 IS NULL OR entry = ?5) AND (?6 IS NULL OR time >= ?6) \
            AND sequence > ?8 ORDER BY sequence DESC LIMIT ?7";
        const OLDEST_FIRST: &str = "SELECT sequence, environment, kind, entry, time, content, leaf, envelope FROM audit \
            WHERE tenant = ?1 AND sequence < ?2 AND (?3 IS NULL OR environment = ?3) \
            AND (?4 IS NULL OR kind = ?4) AND (?5 IS NULL OR entry = ?5) AND (?6 IS NULL OR time >= ?6) \
            AND sequence > ?8 ORDER BY sequence LIMIT ?7";
        let sql = if filter.after.is_some() {
            OLDEST_FIRST
        } else {
            NEWEST_FIRST
        };
        let after = filter
            .after
            .map_or(-1, |after| i64::try_from(after).unwrap_or(i64::MAX));
        let rows = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .bind(i64::try_from(before).unwrap_or(i64::MAX))
            .bind(
                filter
                    .environment
                    .map(|environment| i64::from(environment.code())),
            )
            .bind(filter.kind.map(|kind| i64::from(kind.code())))
            .bind(filter.entry.map(|entry| entry.to_bytes().to_vec()))
            .bind(filter.since.map(Timestamp::micros))
            .bind(i64::from(filter.limit.min(PAGE)))
            .bind(after)
            .fetch_all(&self.store.reads)
            .await?;
        Ok(rows)
    }

    pub(super) async fn opened(&self, one: &SqliteRow) -> Result<Row, StoreError> {
        let scope = Scope {
            tenant: self.tenant,
            environment: row::environment(one)?,
        };
        let kind = RecordKind::from_code(row::number(one, "kind")?)
            .ok_or_else(|| StoreError::encoding("audit record", "its kind is unknown"))?;
        let id = EntryId::from_bytes(row::bytes(one, "entry")?);
        let header = Header {
            scope,
            kind,
            at: row::time(one, "time")?,
            id,
        };
        let envelope = row::blob(one, "envelope")?;
        let envelope_hash = Hash::of(&[&envelope]);
        let opened = self
            .store
            .keys
            .open(scope, "audit record", &record::place(id, kind), envelope)
            .await;
        let record = match opened {
            Ok(plain) => {
                let (salt, text) = record::parse(plain.as_bytes())?;
                Some((salt, text.to_owned()))
            }
            Err(StoreError::Erased(_)) => None,
            Err(other) => return Err(other),
        };
        Ok(Row {
            sequence: row::number(one, "sequence")?,
            header,
            content: Hash::from_bytes(row::bytes(one, "content")?),
            leaf: Hash::from_bytes(row::bytes(one, "leaf")?),
            envelope: envelope_hash,
            record,
        })
    }
}

fn listed(row: Row, filter: &AuditFilter) -> Result<Option<AuditRecord>, StoreError> {
    let record: Option<ReadableRecord> = match &row.record {
        Some((_, text)) => Some(
            serde_json::from_str(text)
                .map_err(|error| StoreError::encoding("audit record", error))?,
        ),
        None => None,
    };
    let job = record.as_ref().and_then(ReadableRecord::job);
    let fits = filter.job.is_none() || filter.job == job;
    Ok(fits.then_some(AuditRecord {
        sequence: row.sequence,
        header: row.header,
        record,
    }))
}

//! At start: where the log ends, and which intents nobody will close any more.
//!
//! An entry lives in the memory of one process. An intent without an outcome
//! is therefore an operation of which nobody knows how it ended, and says so
//! from now on. The scan begins at the settled mark of the last checkpoint.

use std::collections::BTreeMap;

use keyway_authz::log::RecordKind;
use keyway_authz::{Outcome, OutcomeKind, Record};
use keyway_model::{EntryId, Environment, Scope};
use sqlx::Row;

use super::AuditLog;
use crate::change::Write;
use crate::error::StoreError;
use crate::heads::Head;
use crate::{record, row};

/// Rows that are read at once.
const PAGE: i64 = 10_000;

/// Outcomes that are written in one group.
const GROUP: usize = 500;

impl AuditLog {
    pub(crate) async fn close_left_behind(&self) -> Result<(), StoreError> {
        let size = self.stored_size().await?;
        self.store.heads.set(self.tenant, Head::of_size(size));
        let open = self.open_intents(size).await?;
        if !open.is_empty() {
            tracing::warn!(tenant = %self.tenant, intents = open.len(), "operations ended with the former process; they are closed as unknown");
        }
        let open: Vec<_> = open.into_iter().collect();
        for some in open.chunks(GROUP) {
            let mut writes = Vec::with_capacity(some.len());
            for (id, environment) in some {
                let scope = Scope {
                    tenant: self.tenant,
                    environment: *environment,
                };
                let row = record::seal(&self.store.keys, scope, &self.unknown(*id)).await?;
                writes.push(Write::Audit(row));
            }
            self.store
                .writer
                .write(writes)
                .await
                .map_err(|refused| refused.error)?;
        }
        Ok(())
    }

    async fn stored_size(&self) -> Result<u64, StoreError> {
        let sql = "SELECT max(sequence) FROM audit WHERE tenant = ?";
        let found = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .fetch_one(&self.store.reads)
            .await?;
        let last: Option<i64> = found.try_get(0)?;
        Ok(last
            .and_then(|last| u64::try_from(last).ok())
            .map_or(0, |last| last + 1))
    }

    async fn open_intents(&self, size: u64) -> Result<BTreeMap<EntryId, Environment>, StoreError> {
        let sql = "SELECT settled FROM checkpoint WHERE tenant = ? ORDER BY size DESC LIMIT 1";
        let last = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .fetch_optional(&self.store.reads)
            .await?;
        let settled: u64 = last.map_or(Ok(0), |last| row::number(&last, "settled"))?;
        let mut open = BTreeMap::new();
        let mut from = i64::try_from(settled).unwrap_or(i64::MAX);
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        while from < size {
            let sql = "SELECT environment, kind, entry FROM audit \
                WHERE tenant = ? AND sequence >= ? AND sequence < ? ORDER BY sequence";
            let rows = sqlx::query(sql)
                .bind(self.tenant_bytes())
                .bind(from)
                .bind(from.saturating_add(PAGE))
                .fetch_all(&self.store.reads)
                .await?;
            for one in &rows {
                let entry = EntryId::from_bytes(row::bytes(one, "entry")?);
                match RecordKind::from_code(row::number(one, "kind")?) {
                    Some(RecordKind::Intent) => drop(open.insert(entry, row::environment(one)?)),
                    Some(RecordKind::Outcome) => drop(open.remove(&entry)),
                    Some(RecordKind::Denial | RecordKind::Tally) | None => {}
                }
            }
            from = from.saturating_add(PAGE);
        }
        Ok(open)
    }

    fn unknown(&self, id: EntryId) -> Record {
        Record::Outcome(Outcome {
            id,
            at: self.store.clock.now(),
            kind: OutcomeKind::Unknown,
            status: None,
            bytes_out: 0,
            bytes_in: 0,
            masked: 0,
            detail: Some("Keyway ended before it saw how this ended".to_owned()),
        })
    }
}

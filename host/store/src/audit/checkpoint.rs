//! Signs tree heads: at most 10 seconds or 1,000 records apart.
//!
//! A checkpoint goes on from the last one: its subtree roots are kept, their
//! root is compared with the one that was signed, and the leaves since then
//! are added. What does not agree with what was signed is never signed over.

use std::collections::HashMap;
use std::time::Duration;

use keyway_authz::log::{Checkpoint, CompactRange, Hash, origin};
use keyway_model::{TenantId, Timestamp};
use parking_lot::Mutex;
use rusqlite::types::Value;
use sqlx::Row;

use super::AuditLog;
use crate::change::{Statement, value};
use crate::error::StoreError;
use crate::heads::Heads;
use crate::row;

/// Records after which a checkpoint is due.
const RECORDS_MAX: u64 = 1_000;

/// Time after which a checkpoint is due, if there is any record.
const INTERVAL_MAX: Duration = Duration::from_secs(10);

/// A checkpoint, as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) range: CompactRange,
    pub(super) note: String,
    pub(super) settled: u64,
    at: Timestamp,
}

/// Makes checkpoints, one at a time, and remembers the last of each log.
#[derive(Debug, Default)]
pub(crate) struct Notary {
    signing: tokio::sync::Mutex<()>,
    last: Mutex<HashMap<TenantId, (u64, Timestamp)>>,
}

impl Notary {
    pub(crate) fn due(&self, heads: &Heads, now: Timestamp) -> bool {
        let last = self.last.lock();
        heads.sizes().into_iter().any(|(tenant, size)| {
            let (signed, at) = last
                .get(&tenant)
                .copied()
                .unwrap_or((0, Timestamp::from_micros(0)));
            let new = size.saturating_sub(signed);
            new >= RECORDS_MAX || (new > 0 && now.since(at) >= INTERVAL_MAX)
        })
    }
}

impl AuditLog {
    /// Signs a checkpoint over every durable record and answers with it; the
    /// last one, if nothing was added since.
    ///
    /// # Errors
    ///
    /// [`StoreError::LogInconsistent`] if what is stored does not go on from
    /// the last checkpoint; then nothing is signed.
    pub async fn make_checkpoint(&self) -> Result<String, StoreError> {
        let store = &self.store;
        let _one_at_a_time = store.notary.signing.lock().await;
        let (size, settled) = store.heads.extent(self.tenant);
        let last = self.last_checkpoint().await?;
        let known = last.as_ref().map_or(0, |last| last.range.size());
        if let Some(last) = last.as_ref().filter(|last| last.range.size() == size) {
            self.remember(size, last.at);
            return Ok(last.note.clone());
        }
        if size < known {
            return Err(self.inconsistent(known, "there are fewer records than it covers"));
        }
        let range = last.map_or_else(CompactRange::empty, |last| last.range);
        let range = self.with_leaves(range, size).await?;
        let checkpoint = Checkpoint {
            origin: origin(store.deployment, self.tenant),
            size,
            root: range.root(),
        };
        let note = checkpoint.sign(&store.log_key)?;
        let now = store.clock.now();
        self.keep(Signed {
            range,
            note: note.clone(),
            settled,
            at: now,
        })
        .await?;
        self.remember(size, now);
        Ok(note)
    }

    /// The last checkpoint, checked: signed by this deployment, over the range
    /// that is stored with it.
    pub(super) async fn last_checkpoint(&self) -> Result<Option<Signed>, StoreError> {
        let sql = "SELECT size, settled, range, note, created FROM checkpoint \
            WHERE tenant = ? ORDER BY size DESC LIMIT 1";
        let found = sqlx::query(sql)
            .bind(self.tenant_bytes())
            .fetch_optional(&self.store.reads)
            .await?;
        let Some(found) = found else { return Ok(None) };
        let size: u64 = row::number(&found, "size")?;
        let note: String = found.try_get("note")?;
        let name = origin(self.store.deployment, self.tenant);
        let signed = Checkpoint::open(&note, &self.store.log_key.verifier(&name)?)?;
        let range = range_of(size, &row::blob(&found, "range")?)
            .ok_or_else(|| self.inconsistent(size, "its subtree roots are damaged"))?;
        if signed.size != size || signed.root != range.root() {
            return Err(self.inconsistent(
                size,
                "its subtree roots do not give the root that was signed",
            ));
        }
        let (settled, at) = (
            row::number(&found, "settled")?,
            row::time(&found, "created")?,
        );
        Ok(Some(Signed {
            range,
            note,
            settled,
            at,
        }))
    }

    async fn keep(&self, signed: Signed) -> Result<(), StoreError> {
        let range: Vec<u8> = signed
            .range
            .roots()
            .iter()
            .flat_map(|root| *root.as_bytes())
            .collect();
        let values = vec![
            value::id(self.tenant.bits()),
            value::count(signed.range.size()),
            value::count(signed.settled),
            value::blob(range),
            Value::Text(signed.note),
            value::time(signed.at),
        ];
        let sql = "INSERT INTO checkpoint (tenant, size, settled, range, note, created) VALUES (?, ?, ?, ?, ?, ?)";
        let insert = Statement::new(sql, values).into();
        self.store
            .writer
            .write(vec![insert])
            .await
            .map(drop)
            .map_err(|refused| refused.error)
    }

    fn remember(&self, size: u64, at: Timestamp) {
        self.store
            .notary
            .last
            .lock()
            .insert(self.tenant, (size, at));
    }

    const fn inconsistent(&self, size: u64, why: &'static str) -> StoreError {
        StoreError::LogInconsistent {
            tenant: self.tenant,
            size,
            why,
        }
    }
}

fn range_of(size: u64, bytes: &[u8]) -> Option<CompactRange> {
    let (roots, rest) = bytes.as_chunks::<32>();
    let roots = roots.iter().copied().map(Hash::from_bytes).collect();
    rest.is_empty()
        .then(|| CompactRange::from_parts(size, roots))
        .flatten()
}

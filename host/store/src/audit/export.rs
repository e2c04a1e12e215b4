//! Exports a log as JSON lines that can be verified without Keyway: see
//! [`keyway_authz::log::line`] for the format.

use keyway_authz::log::line::{ExportHeader, ExportRecord, ExportTail, LeafHashes};
use keyway_authz::log::{Checkpoint, CompactRange};

use super::AuditLog;
use crate::error::StoreError;

/// Records that are read at once.
const PAGE: u64 = 500;

/// An export under way. It ends at a checkpoint that was made when it began.
#[derive(Debug)]
pub struct Export {
    log: AuditLog,
    header: Option<ExportHeader>,
    next: u64,
    size: u64,
    tail: Option<ExportTail>,
}

impl AuditLog {
    /// The whole log as text.
    ///
    /// # Errors
    ///
    /// As [`AuditLog::export_from`] and [`Export::next`].
    pub async fn export(&self) -> Result<String, StoreError> {
        let mut export = self.export_from(0).await?;
        let mut text = String::new();
        while let Some(part) = export.next().await? {
            text.push_str(&part);
        }
        Ok(text)
    }

    /// The log from the record with sequence `from` on. The subtree roots of
    /// what is left out go with it, so that what is there can be verified.
    ///
    /// # Errors
    ///
    /// When no checkpoint can be made; [`StoreError::NotFound`] if the log is
    /// shorter.
    pub async fn export_from(&self, from: u64) -> Result<Export, StoreError> {
        let note = self.make_checkpoint().await?;
        let key = self.store.log_key.verifier(&keyway_authz::log::origin(
            self.store.deployment,
            self.tenant,
        ))?;
        let size = Checkpoint::open(&note, &key)?.size;
        if from > size {
            return Err(StoreError::NotFound("record"));
        }
        let before = self.with_leaves(CompactRange::empty(), from).await?;
        let header = ExportHeader::new(self.store.deployment, self.tenant, &key, before);
        Ok(Export {
            log: self.clone(),
            header: Some(header),
            next: from,
            size,
            tail: Some(ExportTail::new(note)),
        })
    }
}

impl Export {
    /// The next part, a number of whole lines; `None` after the last.
    ///
    /// # Errors
    ///
    /// When a record cannot be read or opened.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        if let Some(header) = self.header.take() {
            return Ok(Some(header.to_line()));
        }
        if self.next < self.size {
            return self.records().await.map(Some);
        }
        Ok(self.tail.take().map(|tail| tail.to_line()))
    }

    async fn records(&mut self) -> Result<String, StoreError> {
        let to = self.size.min(self.next.saturating_add(PAGE));
        let sql = "SELECT sequence, environment, kind, entry, time, content, leaf, envelope FROM audit \
            WHERE tenant = ? AND sequence >= ? AND sequence < ? ORDER BY sequence";
        let rows = sqlx::query(sql)
            .bind(self.log.tenant_bytes())
            .bind(i64::try_from(self.next).unwrap_or(i64::MAX))
            .bind(i64::try_from(to).unwrap_or(i64::MAX))
            .fetch_all(&self.log.store.reads)
            .await?;
        let mut text = String::new();
        for one in &rows {
            let row = self.log.opened(one).await?;
            let hashes = LeafHashes {
                leaf: row.leaf,
                content: row.content,
                envelope: row.envelope,
            };
            let record = ExportRecord::new(row.sequence, &row.header, hashes, row.record);
            text.push_str(&record.to_line());
            tokio::task::yield_now().await;
        }
        self.next = to;
        Ok(text)
    }
}

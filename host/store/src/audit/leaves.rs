//! Reads the leaves of a log, off the thread of those who wait.
//!
//! A busy log has ten thousand new ones every few seconds. Turning as many rows
//! into hashes takes tens of milliseconds, in which a thread that serves others
//! serves nobody.

use std::path::Path;

use keyway_authz::log::{CompactRange, Hash};
use keyway_model::TenantId;
use rusqlite::{Connection, OpenFlags};

use super::AuditLog;
use crate::error::StoreError;

/// Leaves that are read in one go: while it lasts, the write-ahead log grows.
const PAGE: u64 = 10_000;

impl AuditLog {
    /// `range` and the leaves behind it, until it has `size`.
    pub(super) async fn with_leaves(
        &self,
        range: CompactRange,
        size: u64,
    ) -> Result<CompactRange, StoreError> {
        let (database, tenant) = (self.store.home.database(), self.tenant);
        let read = tokio::task::spawn_blocking(move || extend(&database, tenant, range, size));
        read.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn extend(
    database: &Path,
    tenant: TenantId,
    mut range: CompactRange,
    size: u64,
) -> Result<CompactRange, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    while range.size() < size {
        add_page(&connection, tenant, &mut range, size)?;
    }
    Ok(range)
}

fn add_page(
    connection: &Connection,
    tenant: TenantId,
    range: &mut CompactRange,
    size: u64,
) -> Result<(), StoreError> {
    let sql = "SELECT sequence, leaf FROM audit WHERE tenant = ? AND sequence >= ? AND sequence < ? \
        ORDER BY sequence";
    let from = range.size();
    let to = size.min(from.saturating_add(PAGE));
    let inconsistent = |why| StoreError::LogInconsistent {
        tenant,
        size: from,
        why,
    };
    let bound = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((tenant.to_bytes(), bound(from), bound(to)))?;
    while let Some(row) = rows.next()? {
        let (sequence, leaf): (i64, [u8; 32]) = (row.get(0)?, row.get(1)?);
        if sequence != bound(range.size()) {
            return Err(inconsistent("a record after it is missing"));
        }
        range.push(Hash::from_bytes(leaf));
    }
    if range.size() == to {
        Ok(())
    } else {
        Err(inconsistent("records after it are missing"))
    }
}

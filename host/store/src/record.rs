//! Seals an audit record: from the record to the row that the writer inserts.

use keyway_authz::Record;
use keyway_authz::log::{Hash, Header, ReadableRecord, RecordKind, Salt};
use keyway_model::{EntryId, Scope};
use keyway_vault::{Envelope, KeyClass, Place, VaultError};

use crate::change::AuditRow;
use crate::error::StoreError;
use crate::keys::Keys;

/// The place of a record's envelope. An intent and its outcome share the
/// entry's id, so the kind takes the version's part.
pub(crate) fn place(entry: EntryId, kind: RecordKind) -> Place {
    Place {
        table: "audit",
        column: "envelope",
        row: entry.bits(),
        row_version: u64::from(kind.code()),
    }
}

/// A record as it goes into its envelope: salt, then the JSON that people read.
struct Plain {
    header: Header,
    salted: Vec<u8>,
}

impl Plain {
    fn of(scope: Scope, record: &Record) -> Self {
        let salt = Salt::random();
        let text = ReadableRecord::from(record).to_json();
        Self {
            header: Header::of(scope, record),
            salted: [salt.as_bytes(), text.as_bytes()].concat(),
        }
    }

    fn place(&self) -> Place {
        place(self.header.id, self.header.kind)
    }

    fn into_row(self, envelope: Envelope) -> AuditRow {
        let content = Hash::of(&[&self.salted]);
        let envelope = envelope.into_bytes();
        let leaf = self.header.leaf(&content, &Hash::of(&[&envelope]));
        AuditRow {
            scope: self.header.scope,
            kind: self.header.kind,
            entry: self.header.id,
            at: self.header.at,
            content: *content.as_bytes(),
            leaf: *leaf.as_bytes(),
            envelope,
        }
    }
}

/// Seals `record`.
pub(crate) async fn seal(
    keys: &Keys,
    scope: Scope,
    record: &Record,
) -> Result<AuditRow, StoreError> {
    let plain = Plain::of(scope, record);
    let envelope = keys
        .seal(scope, KeyClass::Audit, &plain.place(), &plain.salted)
        .await?;
    Ok(plain.into_row(envelope))
}

/// Seals `record`, if the keys are at hand.
pub(crate) fn seal_now(keys: &Keys, scope: Scope, record: &Record) -> Result<AuditRow, VaultError> {
    let plain = Plain::of(scope, record);
    let envelope = keys.seal_now(scope, KeyClass::Audit, &plain.place(), &plain.salted)?;
    Ok(plain.into_row(envelope))
}

/// A record that was opened: its salt, and its JSON as it was written.
pub(crate) fn parse(plaintext: &[u8]) -> Result<(Salt, &str), StoreError> {
    let damaged = || StoreError::encoding("audit record", "it is too short, or not text");
    let (salt, text) = plaintext
        .split_first_chunk::<{ Salt::BYTES }>()
        .ok_or_else(damaged)?;
    Ok((
        Salt::from_bytes(*salt),
        std::str::from_utf8(text).map_err(|_| damaged())?,
    ))
}

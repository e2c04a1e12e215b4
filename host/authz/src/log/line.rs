//! The lines of an export.
//!
//! ```json
//! {"format":"keyway-audit-1","deployment":"dep_…","tenant":"ws_…","key":"keyway/dep_…/ws_…+…","from":0,"before":[]}
//! {"sequence":0,"environment":"production","kind":"intent","time":"…","id":"ent_…","leaf":"…","envelope":"…","salt":"…","record":{…}}
//! {"sequence":1,"environment":"production","kind":"outcome","time":"…","id":"ent_…","leaf":"…","envelope":"…","erased":"…"}
//! {"checkpoint":"keyway/dep_…/ws_…\n2\n…\n\n— …\n"}
//! ```
//!
//! `record` is the JSON that the leaf hashes, byte for byte. `erased` stands in
//! the place of an erased record and is its content hash. `before` holds the
//! subtree roots of the records before `from`. `leaf` only helps to name a
//! record that was changed, and the key in the header only helps to find the
//! right one: a verifier computes the leaf, and uses the key that it was given.

use keyway_model::{DeploymentId, EntryId, Environment, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::leaf::{Header, RecordKind, Salt, header_text, leaf};
use super::note::VerifierKey;
use super::tree::{CompactRange, Hash};

/// The name of the format.
pub const FORMAT: &str = "keyway-audit-1";

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHeader {
    /// [`FORMAT`].
    pub format: String,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The tenant.
    pub tenant: TenantId,
    /// The log's public key, as its owner says.
    pub key: String,
    /// The sequence of the first record.
    pub from: u64,
    /// The subtree roots of the records before it, the largest first.
    pub before: Vec<Hash>,
}

impl ExportHeader {
    /// The header of an export that begins after the leaves of `before`.
    pub fn new(
        deployment: DeploymentId,
        tenant: TenantId,
        key: &VerifierKey,
        before: CompactRange,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            deployment,
            tenant,
            key: key.to_string(),
            from: before.size(),
            before: before.roots().to_vec(),
        }
    }

    /// The line, with its line feed.
    pub fn to_line(&self) -> String {
        to_line(self)
    }
}

/// The hashes of one record, as the store keeps them.
#[derive(Clone, Copy, Debug)]
pub struct LeafHashes {
    /// The leaf.
    pub leaf: Hash,
    /// The content hash.
    pub content: Hash,
    /// The SHA-256 of the envelope.
    pub envelope: Hash,
}

/// The line of one record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRecord {
    /// Its place in the log, from 0.
    pub sequence: u64,
    /// Where in the tenant.
    pub environment: Environment,
    /// Which kind.
    pub kind: RecordKind,
    /// When, RFC 3339.
    pub time: String,
    /// The entry that it belongs to.
    pub id: EntryId,
    /// The leaf, as the store keeps it.
    pub leaf: Hash,
    /// The SHA-256 of the envelope in the store.
    pub envelope: Hash,
    /// The content hash of a record that was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Hash>,
    /// The record's salt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<Salt>,
    /// The record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<RawValue>>,
}

impl ExportRecord {
    /// The line of a record with its salt and JSON, or, if it was erased, with
    /// its content hash.
    pub fn new(
        sequence: u64,
        header: &Header,
        hashes: LeafHashes,
        record: Option<(Salt, String)>,
    ) -> Self {
        let LeafHashes {
            leaf,
            content,
            envelope,
        } = hashes;
        let (salt, record) = record.unzip();
        let record = record.and_then(|text| RawValue::from_string(text).ok());
        Self {
            sequence,
            environment: header.scope.environment,
            kind: header.kind,
            time: header.at.to_string(),
            id: header.id,
            leaf,
            envelope,
            erased: record.is_none().then_some(content),
            salt: salt.filter(|_| record.is_some()),
            record,
        }
    }

    /// The line, with its line feed.
    pub fn to_line(&self) -> String {
        to_line(self)
    }

    /// The content hash; `None` if the line has neither a record with its salt
    /// nor its hash, or both.
    fn content(&self) -> Option<Hash> {
        match (&self.record, self.salt, self.erased) {
            (Some(record), Some(salt), None) => Some(salt.content(record.get())),
            (None, None, Some(content)) => Some(content),
            _ => None,
        }
    }

    /// The leaf that this line stands for in the log of `tenant`.
    pub(super) fn computed_leaf(&self, tenant: TenantId) -> Option<Hash> {
        let header = header_text(
            &tenant.to_string(),
            self.environment,
            self.kind,
            &self.time,
            &self.id.to_string(),
        );
        Some(leaf(&header, &self.content()?, &self.envelope))
    }
}

/// The last line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportTail {
    /// The signed checkpoint that covers every record of the export.
    pub checkpoint: String,
}

impl ExportTail {
    /// The last line with this signed checkpoint.
    pub const fn new(checkpoint: String) -> Self {
        Self { checkpoint }
    }

    /// The line, with its line feed.
    pub fn to_line(&self) -> String {
        to_line(self)
    }
}

fn to_line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).expect("text, numbers and hashes always encode");
    line.push('\n');
    line
}

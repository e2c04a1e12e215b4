//! The audit log's public formats: what a verifier must know, and all of it pure.
//!
//! Records of one tenant are the leaves of one RFC 6962 Merkle tree. A
//! checkpoint (C2SP `tlog-checkpoint` in a `signed-note`, Ed25519) signs the
//! root. An export is JSON lines: a header, the records as people read them,
//! the checkpoint. [`verify`] needs the export and the log's public key, and
//! nothing else: no database, no network, no Keyway.

pub mod checkpoint;
pub mod leaf;
pub mod line;
pub mod note;
pub mod proof;
pub mod readable;
pub mod tree;
mod verify;

pub use checkpoint::{Checkpoint, origin};
pub use leaf::{Header, RecordKind, Salt};
pub use note::{LogKey, NoteError, VerifierKey};
pub use readable::ReadableRecord;
pub use tree::{CompactRange, Hash};
pub use verify::{Problem, Report, VerifyError, verify, verify_since};

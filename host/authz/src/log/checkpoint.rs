//! Checkpoints: signed tree heads in the C2SP `tlog-checkpoint` format.
//!
//! ```text
//! keyway/dep_…/ws_…            the origin, which is also the key's name
//! 20852163                     how many records
//! CsUYapGGPo4dkMgIAUqom/…      the root, base64
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyway_model::{DeploymentId, TenantId};

use super::note::{LogKey, NoteError, VerifierKey};
use super::tree::Hash;

/// The name of one tenant's log.
pub fn origin(deployment: DeploymentId, tenant: TenantId) -> String {
    format!("keyway/{deployment}/{tenant}")
}

/// A tree head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many records it holds.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed form.
    ///
    /// # Errors
    ///
    /// If the origin cannot name a key.
    pub fn sign(&self, key: &LogKey) -> Result<String, NoteError> {
        let root = STANDARD.encode(self.root.as_bytes());
        key.sign(
            &self.origin,
            &format!("{}\n{}\n{root}\n", self.origin, self.size),
        )
    }

    /// Checks the signature of `note` and reads the checkpoint in it.
    ///
    /// # Errors
    ///
    /// The note's, and [`NoteError::NotANote`] for text that is no checkpoint
    /// or names another log than the key.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let checkpoint = Self::parse(key.open(note)?).ok_or(NoteError::NotANote)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(NoteError::NotANote)
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (origin, digits, root) = (lines.next()?, lines.next()?, lines.next()?);
        let size: u64 = digits.parse().ok()?;
        let root: [u8; 32] = STANDARD.decode(root).ok()?.try_into().ok()?;
        let plain = size.to_string() == digits && lines.all(|extension| !extension.is_empty());
        plain.then(|| Self {
            origin: origin.to_owned(),
            size,
            root: Hash::from_bytes(root),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn signed(size: u64) -> (Checkpoint, LogKey, String) {
        let key = LogKey::from_seed(&[1; 32]).unwrap();
        let origin = origin(DeploymentId::from_bits(1), TenantId::from_bits(2));
        let checkpoint = Checkpoint {
            origin,
            size,
            root: Hash::of(&[b"root"]),
        };
        let note = checkpoint.sign(&key).unwrap();
        (checkpoint, key, note)
    }

    #[test]
    fn a_checkpoint_reads_back_what_was_signed() {
        let (checkpoint, key, note) = signed(20_852_163);
        let verifier = key.verifier(&checkpoint.origin).unwrap();
        assert_eq!(Checkpoint::open(&note, &verifier), Ok(checkpoint));
        assert!(note.lines().nth(1) == Some("20852163"));
    }

    #[test]
    fn a_checkpoint_of_another_size_does_not_open() {
        let (checkpoint, key, note) = signed(5);
        let verifier = key.verifier(&checkpoint.origin).unwrap();
        assert!(Checkpoint::open(&note.replacen("\n5\n", "\n4\n", 1), &verifier).is_err());
        assert_eq!(Checkpoint::parse("a\n05\nAA==\n"), None);
    }
}

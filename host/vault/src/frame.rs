//! The envelope's frame: bytes in a fixed order.
//!
//! | bytes | part |
//! |---|---|
//! | 4 | magic `KWE1` |
//! | 1 | suite |
//! | 4 | term of the tenant key, big-endian |
//! | 16 | data-key id |
//! | 32 | salt |
//! | 12 or 24 | nonce, as long as the suite's |
//! | 32 | commitment |
//! | n | ciphertext |
//! | 16 | tag |
//!
//! All before the nonce is the *header*; it goes into the item's key
//! derivation whole, so a changed header is another key.

use std::fmt;

use crate::error::VaultError;
use crate::name::{KeyId, Term};
use crate::suite::{NONCE_BYTES_MAX, Suite, TAG_BYTES};

pub(crate) const MAGIC: [u8; 4] = *b"KWE1";
pub(crate) const SALT_BYTES: usize = 32;
pub(crate) const COMMITMENT_BYTES: usize = 32;
pub(crate) const HEADER_BYTES: usize = MAGIC.len() + 1 + 4 + 16 + SALT_BYTES;
/// The most that an envelope adds to its content.
pub(crate) const OVERHEAD_BYTES_MAX: usize =
    HEADER_BYTES + NONCE_BYTES_MAX + COMMITMENT_BYTES + TAG_BYTES;

/// A sealed value: what the store keeps in place of content.
///
/// Made by [`ScopeKeys::seal`](crate::ScopeKeys::seal), or read back from the
/// store with [`Envelope::from_bytes`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Envelope(Vec<u8>);

impl Envelope {
    /// An envelope that was stored as `bytes`. Checks the shape of the frame;
    /// whether it is authentic shows when it is opened.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotAnEnvelope`] or [`VaultError::UnknownSuite`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, VaultError> {
        Frame::parse(&bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) const fn from_sealed(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for storing.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, for storing.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The data key that it was sealed with.
    ///
    /// # Errors
    ///
    /// As [`Envelope::from_bytes`].
    pub fn key_id(&self) -> Result<KeyId, VaultError> {
        Ok(Frame::parse(&self.0)?.key_id)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.0.len())
    }
}

/// A frame, taken apart.
pub(crate) struct Frame<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) suite: Suite,
    pub(crate) term: Term,
    pub(crate) key_id: KeyId,
    pub(crate) nonce: &'a [u8],
    pub(crate) commitment: &'a [u8],
    /// Ciphertext and tag.
    pub(crate) body: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, VaultError> {
        let short = VaultError::NotAnEnvelope("it is too short");
        let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(short);
        };
        let Some((magic, fields)) = header.split_first_chunk::<4>() else {
            return Err(short);
        };
        if *magic != MAGIC {
            return Err(VaultError::NotAnEnvelope("it does not begin with KWE1"));
        }
        let Some((&[code], fields)) = fields.split_first_chunk::<1>() else {
            return Err(short);
        };
        let suite = Suite::from_code(code).ok_or(VaultError::UnknownSuite(code))?;
        let Some((term, fields)) = fields.split_first_chunk::<4>() else {
            return Err(short);
        };
        let Some((key_id, _salt)) = fields.split_first_chunk::<16>() else {
            return Err(short);
        };
        let Some((nonce, rest)) = rest.split_at_checked(suite.nonce_bytes()) else {
            return Err(short);
        };
        let Some((commitment, body)) = rest.split_at_checked(COMMITMENT_BYTES) else {
            return Err(short);
        };
        if body.len() < TAG_BYTES {
            return Err(short);
        }
        let (term, key_id) = (Term(u32::from_be_bytes(*term)), KeyId::from_bytes(*key_id));
        Ok(Self {
            header,
            suite,
            term,
            key_id,
            nonce,
            commitment,
            body,
        })
    }
}

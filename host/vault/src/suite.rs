//! The two cipher suites, and nothing else of them than seal and open.
//!
//! Keys here are used for one item only, so a random nonce of 96 bits is ample.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const NONCE_BYTES_MAX: usize = 24;

/// The cipher that a data key is used with. It comes from the key, never from
/// the envelope: whoever writes envelopes cannot choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Suite {
    /// AES-256 in Galois counter mode (NIST SP 800-38D), by aws-lc-rs.
    Aes256Gcm,
    /// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), by the crate `chacha20poly1305`.
    XChaCha20Poly1305,
}

/// A tag that is not right, or a value that is too long for the cipher.
#[derive(Debug)]
pub(crate) struct CipherError;

impl Suite {
    /// The suite that is fastest and constant-time here: AES where the CPU has
    /// instructions for it.
    pub fn for_this_machine() -> Self {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        let has_aes = std::arch::is_x86_feature_detected!("aes");
        #[cfg(target_arch = "aarch64")]
        let has_aes = std::arch::is_aarch64_feature_detected!("aes");
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
        let has_aes = false;
        if has_aes {
            Self::Aes256Gcm
        } else {
            Self::XChaCha20Poly1305
        }
    }

    /// The number in an envelope.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::XChaCha20Poly1305 => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::XChaCha20Poly1305),
            _ => None,
        }
    }

    pub(crate) const fn nonce_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm => 12,
            Self::XChaCha20Poly1305 => NONCE_BYTES_MAX,
        }
    }

    /// Encrypts `body` where it lies and returns the tag.
    pub(crate) fn seal(
        self,
        key: &[u8; 32],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], CipherError> {
        let mut tag = [0; TAG_BYTES];
        match self {
            Self::Aes256Gcm => {
                let (key, nonce) = (aes_key(key)?, aes_nonce(nonce)?);
                let made = key
                    .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
                    .map_err(|_| CipherError)?;
                tag.copy_from_slice(made.as_ref());
            }
            Self::XChaCha20Poly1305 => {
                let nonce = XNonce::try_from(nonce).map_err(|_| CipherError)?;
                let made = XChaCha20Poly1305::new(key.into())
                    .encrypt_inout_detached(&nonce, aad, body.into())
                    .map_err(|_| CipherError)?;
                tag.copy_from_slice(&made);
            }
        }
        Ok(tag)
    }

    /// Decrypts `body`, ciphertext and then tag, where it lies; the plaintext
    /// is what stands before the tag.
    pub(crate) fn open(
        self,
        key: &[u8; 32],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<(), CipherError> {
        match self {
            Self::Aes256Gcm => {
                let (key, nonce) = (aes_key(key)?, aes_nonce(nonce)?);
                key.open_in_place(nonce, Aad::from(aad), body)
                    .map_err(|_| CipherError)?;
            }
            Self::XChaCha20Poly1305 => {
                let nonce = XNonce::try_from(nonce).map_err(|_| CipherError)?;
                let (body, tag) = body
                    .split_last_chunk_mut::<TAG_BYTES>()
                    .ok_or(CipherError)?;
                XChaCha20Poly1305::new(key.into())
                    .decrypt_inout_detached(&nonce, aad, body.into(), &Tag::from(*tag))
                    .map_err(|_| CipherError)?;
            }
        }
        Ok(())
    }
}

fn aes_key(key: &[u8; 32]) -> Result<LessSafeKey, CipherError> {
    UnboundKey::new(&aead::AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| CipherError)
}

fn aes_nonce(nonce: &[u8]) -> Result<Nonce, CipherError> {
    Nonce::try_assume_unique_for_key(nonce).map_err(|_| CipherError)
}

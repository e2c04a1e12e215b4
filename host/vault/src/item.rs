//! Sealing and opening one item under one key.
//!
//! ```text
//! expanding key = HKDF-SHA-512(salt = purpose, secret = the key, info = id)      once per key
//! k_enc ‖ k_com = HKDF-Expand(expanding key, info = the envelope's header)       once per item
//! commitment    = HMAC-SHA-256(k_com, suite ‖ key id ‖ nonce ‖ SHA-256(binding))
//! ```
//!
//! The header holds 256 random bits of salt, so every item has a key of its
//! own. The commitment is checked, in constant time, before anything is
//! decrypted: neither cipher by itself commits to its key.

use aws_lc_rs::{constant_time, digest, hkdf, hmac, rand};
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::error::VaultError;
use crate::frame::{
    COMMITMENT_BYTES, Envelope, Frame, HEADER_BYTES, MAGIC, OVERHEAD_BYTES_MAX, SALT_BYTES,
};
use crate::name::{KeyId, Term};
use crate::suite::{NONCE_BYTES_MAX, Suite};

/// How long one item may be.
pub(crate) const ITEM_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A key, ready to seal items.
pub(crate) struct SealingKey {
    expanding: hmac::Key,
    id: KeyId,
    term: Term,
    suite: Suite,
}

/// The two keys of one item.
struct ItemKeys {
    encryption: Zeroizing<[u8; 32]>,
    commitment: Zeroizing<[u8; 32]>,
}

struct Okm64;

impl hkdf::KeyType for Okm64 {
    fn len(&self) -> usize {
        64
    }
}

/// HKDF-SHA-512 (RFC 5869) to 64 bytes.
pub(crate) fn derive(purpose: &[u8], secret: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut out = Zeroizing::new([0; 64]);
    hkdf::Salt::new(hkdf::HKDF_SHA512, purpose)
        .extract(secret)
        .expand(info, Okm64)
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .expect("64 bytes are one block of SHA-512, and the infos are short");
    out
}

/// HKDF-Expand for 64 bytes, the first block: `HMAC(key, info ‖ 1)`. The HMAC
/// key is prepared once, which halves the cost of every item.
fn expand(key: &hmac::Key, header: &[u8]) -> Zeroizing<[u8; 64]> {
    let mut out = Zeroizing::new([0; 64]);
    let info = [header, &[1]].concat();
    hmac::sign_to_buffer(key, &info, out.as_mut_slice())
        .expect("64 bytes are one tag of HMAC-SHA-512");
    out
}

impl SealingKey {
    pub(crate) fn new(purpose: &[u8], secret: &[u8], id: KeyId, term: Term, suite: Suite) -> Self {
        let expanding = derive(purpose, secret, &[&id.to_bytes()]);
        let expanding = hmac::Key::new(hmac::HMAC_SHA512, expanding.as_slice());
        Self {
            expanding,
            id,
            term,
            suite,
        }
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn seal(&self, binding: &Binding, plaintext: &[u8]) -> Result<Envelope, VaultError> {
        if plaintext.len() > ITEM_BYTES_MAX {
            return Err(VaultError::TooLong {
                bytes: plaintext.len(),
                bytes_max: ITEM_BYTES_MAX,
            });
        }
        let mut random = [0; SALT_BYTES + NONCE_BYTES_MAX];
        rand::fill(&mut random).map_err(|_| VaultError::NoRandomness)?;
        let (salt, nonce) = random.split_at(SALT_BYTES);
        let (nonce, _) = nonce.split_at(self.suite.nonce_bytes());

        let mut frame = Vec::with_capacity(plaintext.len() + OVERHEAD_BYTES_MAX);
        frame.extend_from_slice(&MAGIC);
        frame.push(self.suite.code());
        frame.extend_from_slice(&self.term.0.to_be_bytes());
        frame.extend_from_slice(&self.id.to_bytes());
        frame.extend_from_slice(salt);
        debug_assert_eq!(frame.len(), HEADER_BYTES);
        let keys = self.item_keys(&frame);
        frame.extend_from_slice(nonce);
        frame.extend_from_slice(&keys.commit(self.suite, self.id, nonce, binding));

        let body_at = frame.len();
        frame.extend_from_slice(plaintext);
        let (_, body) = frame.split_at_mut(body_at);
        let tag = self
            .suite
            .seal(&keys.encryption, nonce, binding.as_bytes(), body)
            .expect("key and nonce have the suite's lengths, and the body is far below its limit");
        frame.extend_from_slice(&tag);
        Ok(Envelope::from_sealed(frame))
    }

    /// Opens an envelope. Whatever is wrong with it, the error is the same.
    pub(crate) fn open(
        &self,
        binding: &Binding,
        envelope: &Envelope,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let frame = Frame::parse(envelope.as_bytes())?;
        let keys = self.item_keys(frame.header);
        let expected = keys.commit(frame.suite, frame.key_id, frame.nonce, binding);
        let is_ours = (frame.suite, frame.term, frame.key_id) == (self.suite, self.term, self.id);
        if constant_time::verify_slices_are_equal(&expected, frame.commitment).is_err() || !is_ours
        {
            return Err(VaultError::Mismatch);
        }
        let mut body = Zeroizing::new(frame.body.to_vec());
        frame
            .suite
            .open(&keys.encryption, frame.nonce, binding.as_bytes(), &mut body)
            .map_err(|_| VaultError::Mismatch)?;
        let length = body.len().saturating_sub(crate::suite::TAG_BYTES);
        body.truncate(length);
        Ok(body)
    }

    /// The key of the cipher alone, for the test that shows why it is not enough.
    #[cfg(test)]
    pub(crate) fn encryption_key(&self, header: &[u8]) -> [u8; 32] {
        *self.item_keys(header).encryption
    }

    fn item_keys(&self, header: &[u8]) -> ItemKeys {
        let okm = expand(&self.expanding, header);
        let (encryption, commitment) = okm.split_at(32);
        let mut keys = ItemKeys {
            encryption: Zeroizing::default(),
            commitment: Zeroizing::default(),
        };
        keys.encryption.copy_from_slice(encryption);
        keys.commitment.copy_from_slice(commitment);
        keys
    }
}

impl ItemKeys {
    fn commit(
        &self,
        suite: Suite,
        key: KeyId,
        nonce: &[u8],
        binding: &Binding,
    ) -> [u8; COMMITMENT_BYTES] {
        let place = digest::digest(&digest::SHA256, binding.as_bytes());
        let message = [
            &[suite.code()],
            key.to_bytes().as_slice(),
            nonce,
            place.as_ref(),
        ]
        .concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.commitment.as_slice());
        let mut out = [0; COMMITMENT_BYTES];
        hmac::sign_to_buffer(&key, &message, &mut out)
            .expect("32 bytes are one tag of HMAC-SHA-256");
        out
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_short_way_of_expanding_is_hkdf_expand() {
        let (key, header) = ([7; 64], [9; HEADER_BYTES]);
        let mut expected = [0; 64];
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA512, &key);
        prk.expand(&[&header], Okm64)
            .unwrap()
            .fill(&mut expected)
            .unwrap();
        assert_eq!(
            *expand(&hmac::Key::new(hmac::HMAC_SHA512, &key), &header),
            expected
        );
    }
}

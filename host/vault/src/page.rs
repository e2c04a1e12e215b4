//! Seals pages of files that live no longer than this process wants them to.
//!
//! A [`PageKey`] is random, is in memory only, and is never wrapped or stored:
//! when it is dropped, or the process ends in any way, what it sealed is noise.
//! Each page is bound to its file and number, and opens only with the [`Seal`]
//! that was given when it was last written, so an older or another page in its
//! place is found out.
//!
//! It does not commit to its key, as envelopes do: nobody can bring a page of
//! another key, since no other key has anything to do with these files.

use std::fmt;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::error::VaultError;
use crate::suite::{NONCE_BYTES_MAX, Suite, TAG_BYTES};

/// What sealing adds to a page, in bytes.
pub const PAGE_OVERHEAD_BYTES: usize = TAG_BYTES;

/// A key for the pages of a few files.
pub struct PageKey {
    suite: Suite,
    key: Zeroizing<[u8; 32]>,
    /// Pages sealed so far: the next one's nonce, which is never used again.
    sealed: u64,
}

/// Where a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePlace {
    /// The file's number, never used for another file under the same key.
    pub file: u64,
    /// The page's number in it.
    pub page: u64,
}

/// Which of the pages of a place is the present one. Kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal(u64);

impl PageKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// [`VaultError::NoRandomness`].
    pub fn random() -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(key.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
        Ok(Self {
            suite: Suite::for_this_machine(),
            key,
            sealed: 0,
        })
    }

    /// Turns `page` into its sealed form, which is longer by
    /// [`PAGE_OVERHEAD_BYTES`].
    ///
    /// # Errors
    ///
    /// [`VaultError::TooLong`] for what no cipher takes at once.
    pub fn seal(&mut self, place: PagePlace, page: &mut Vec<u8>) -> Result<Seal, VaultError> {
        let seal = Seal(self.sealed);
        self.sealed += 1;
        let (nonce, binding) = (seal.nonce(), place.binding());
        let nonce = nonce.split_at(self.suite.nonce_bytes()).0;
        let bytes = page.len();
        let sealed = self.suite.seal(&self.key, nonce, binding.as_bytes(), page);
        let tag = sealed.map_err(|_| VaultError::TooLong {
            bytes,
            bytes_max: crate::item::ITEM_BYTES_MAX,
        })?;
        page.extend_from_slice(&tag);
        Ok(seal)
    }

    /// Turns the sealed form back into the page.
    ///
    /// # Errors
    ///
    /// [`VaultError::Mismatch`] if it is not exactly what was last written
    /// there; then nothing of it is given out.
    pub fn open(&self, place: PagePlace, seal: Seal, page: &mut Vec<u8>) -> Result<(), VaultError> {
        let (nonce, binding) = (seal.nonce(), place.binding());
        let nonce = nonce.split_at(self.suite.nonce_bytes()).0;
        let opened = self.suite.open(&self.key, nonce, binding.as_bytes(), page);
        if opened.is_err() {
            page.clear();
            return Err(VaultError::Mismatch);
        }
        page.truncate(page.len().saturating_sub(TAG_BYTES));
        Ok(())
    }
}

impl Seal {
    fn nonce(self) -> [u8; NONCE_BYTES_MAX] {
        let mut nonce = [0; NONCE_BYTES_MAX];
        let count = self.0.to_be_bytes();
        nonce
            .iter_mut()
            .zip(count)
            .for_each(|(to, from)| *to = from);
        nonce
    }
}

impl PagePlace {
    fn binding(self) -> Binding {
        let (file, page) = (self.file.to_be_bytes(), self.page.to_be_bytes());
        Binding::of(&[b"keyway scratch page 1", &file, &page])
    }
}

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageKey({} sealed)", self.sealed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const PLACE: PagePlace = PagePlace { file: 3, page: 5 };

    fn sealed(key: &mut PageKey, text: &str) -> (Seal, Vec<u8>) {
        let mut page = text.as_bytes().to_vec();
        let seal = key.seal(PLACE, &mut page).unwrap();
        (seal, page)
    }

    #[test]
    fn a_page_opens_where_it_was_sealed_and_shows_nothing_before() {
        let mut key = PageKey::random().unwrap();
        let (seal, mut page) = sealed(&mut key, "a tenant's row");
        assert_eq!(page.len(), 14 + PAGE_OVERHEAD_BYTES);
        assert!(!page.windows(6).any(|window| window == b"tenant"));
        key.open(PLACE, seal, &mut page).unwrap();
        assert_eq!(page, b"a tenant's row");
    }

    #[test]
    fn another_place_another_key_an_older_page_and_a_changed_page_do_not_open() {
        let mut key = PageKey::random().unwrap();
        let (old_seal, old) = sealed(&mut key, "old");
        let (seal, page) = sealed(&mut key, "new");
        let mut flipped = page.clone();
        *flipped.first_mut().unwrap() ^= 1;
        let other_file = PagePlace { file: 4, ..PLACE };
        let other_page = PagePlace { page: 6, ..PLACE };
        let other_key = PageKey::random().unwrap();
        let tried = [
            (&key, other_file, seal, &page),
            (&key, other_page, seal, &page),
            (&key, PLACE, seal, &old),
            (&key, PLACE, old_seal, &page),
            (&key, PLACE, seal, &flipped),
            (&other_key, PLACE, seal, &page),
        ];
        for (index, (key, place, seal, page)) in tried.into_iter().enumerate() {
            let mut page = page.clone();
            let refused = key.open(place, seal, &mut page);
            assert!(matches!(refused, Err(VaultError::Mismatch)), "{index}");
            assert!(page.is_empty(), "{index}");
        }
        key.open(PLACE, old_seal, &mut old.clone()).unwrap();
        key.open(PLACE, seal, &mut page.clone()).unwrap();
        assert!(key.open(PLACE, seal, &mut Vec::new()).is_err());
    }

    #[test]
    fn the_same_page_is_never_sealed_alike() {
        let mut key = PageKey::random().unwrap();
        assert_ne!(sealed(&mut key, "same").1, sealed(&mut key, "same").1);
    }
}

//! The Merkle tree of RFC 6962, section 2.1, with SHA-256.
//!
//! A [`CompactRange`] holds the roots of the full subtrees that the leaves so
//! far make, at most 64 hashes, so that a log grows without reading what it
//! already holds.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// A SHA-256 hash: of a leaf, a node, or a part of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hash([u8; 32]);

/// Text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 lower-case hexadecimal digits")]
pub struct HashError;

impl Hash {
    /// The hash of `parts`, one after the other.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        Self(out)
    }

    /// The hash of a leaf with this content.
    pub fn leaf(parts: &[&[u8]]) -> Self {
        let mut all: Vec<&[u8]> = Vec::with_capacity(parts.len() + 1);
        all.push(&[0]);
        all.extend_from_slice(parts);
        Self::of(&all)
    }

    /// The hash of the node above `left` and `right`.
    pub fn node(left: &Self, right: &Self) -> Self {
        Self::of(&[&[1], &left.0, &right.0])
    }

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = HashError;
    fn try_from(text: String) -> Result<Self, HashError> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            Ok(()) | Err(_) => Err(HashError),
        }
    }
}

/// The tree over the first `size` leaves, as the roots of its full subtrees,
/// the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactRange {
    size: u64,
    roots: Vec<Hash>,
}

impl CompactRange {
    /// The tree over no leaf.
    pub const fn empty() -> Self {
        Self {
            size: 0,
            roots: Vec::new(),
        }
    }

    /// The tree over `size` leaves with these subtree roots, if there are as
    /// many as such a tree has.
    pub fn from_parts(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// How many leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, the largest first.
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut below = self.size;
        while below & 1 == 1 {
            match self.roots.pop() {
                Some(left) => node = Hash::node(&left, &node),
                None => unreachable!("there is a root for each bit that is set in the size"),
            }
            below >>= 1;
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The root of the tree. For no leaf, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut from_smallest = self.roots.iter().rev();
        let Some(first) = from_smallest.next() else {
            return Hash::of(&[]);
        };
        from_smallest.fold(*first, |right, left| Hash::node(left, &right))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The leaves and roots that Certificate Transparency's first
    /// implementation published and every other one is tested with.
    pub(crate) const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    pub(crate) fn leaf_hashes() -> Vec<Hash> {
        LEAVES
            .iter()
            .map(|text| Hash::leaf(&[&hex::decode(text).unwrap()]))
            .collect()
    }

    #[test]
    fn roots_agree_with_the_published_ones() {
        let mut range = CompactRange::empty();
        assert_eq!(
            range.root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for (leaf, root) in leaf_hashes().into_iter().zip(ROOTS) {
            range.push(leaf);
            assert_eq!(range.root().to_string(), root);
        }
    }

    #[test]
    fn a_range_goes_on_from_its_parts() {
        let mut whole = CompactRange::empty();
        for (at, leaf) in leaf_hashes().into_iter().enumerate() {
            whole.push(leaf);
            let parts = CompactRange::from_parts(whole.size(), whole.roots().to_vec());
            assert_eq!(parts, Some(whole.clone()), "after leaf {at}");
        }
        assert_eq!(CompactRange::from_parts(3, whole.roots().to_vec()), None);
    }

    #[test]
    fn a_hash_in_capitals_or_of_another_length_is_refused() {
        let text = Hash::of(&[b"x"]).to_string();
        assert!(Hash::try_from(text.clone()).is_ok());
        assert!(Hash::try_from(text.to_uppercase()).is_err());
        assert!(Hash::try_from(text.replacen('2', "", 1)).is_err());
    }
}

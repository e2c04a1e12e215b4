//! Inclusion and consistency proofs (RFC 6962, sections 2.1.1 and 2.1.2; the
//! checking follows RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use super::tree::{CompactRange, Hash};

/// The root over `leaves`.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut range = CompactRange::empty();
    leaves.iter().for_each(|leaf| range.push(*leaf));
    range.root()
}

/// Where the left subtree of `size` leaves ends: the largest power of two
/// below `size`.
fn split(size: usize) -> usize {
    debug_assert!(size > 1, "a tree of one leaf does not split");
    1 << (usize::BITS - 1 - (size - 1).leading_zeros())
}

/// Proves that leaf `index` is in the tree over `leaves`; `None` if it is not.
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut path, sibling) = if index < at {
        (inclusion(left, index)?, root(right))
    } else {
        (inclusion(right, index - at)?, root(left))
    };
    path.push(sibling);
    Some(path)
}

/// Proves that the tree over the first `size` of `leaves` is the beginning of
/// the tree over all; `None` if there are not so many, or `size` is 0.
pub fn consistency(leaves: &[Hash], size: usize) -> Option<Vec<Hash>> {
    (1..=leaves.len())
        .contains(&size)
        .then(|| subproof(leaves, size, true))
}

fn subproof(leaves: &[Hash], size: usize, whole: bool) -> Vec<Hash> {
    if size == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![root(leaves)]
        };
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut path, sibling) = if size <= at {
        (subproof(left, size, whole), root(right))
    } else {
        (subproof(right, size - at, false), root(left))
    };
    path.push(sibling);
    path
}

/// Whether `proof` shows that `leaf` is at `index` of the tree of `size`
/// leaves under `root`.
pub fn includes(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut node) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            node = Hash::node(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = Hash::node(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && node == root
}

/// One tree head: how many leaves, and the root over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Whether `proof` shows that `old` is the beginning of `new`.
pub fn extends(old: Head, new: Head, proof: &[Hash]) -> bool {
    if old.size == 0 || old.size > new.size {
        return false;
    }
    if old.size == new.size {
        return proof.is_empty() && old.root == new.root;
    }
    let first = old.size.is_power_of_two().then_some(old.root);
    let mut path = first.iter().chain(proof);
    let Some(start) = path.next() else {
        return false;
    };
    let (mut at, mut last) = (old.size - 1, new.size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old_root, mut new_root) = (*start, *start);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_root = Hash::node(sibling, &old_root);
            new_root = Hash::node(sibling, &new_root);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_root = Hash::node(&new_root, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old_root == old.root && new_root == new.root
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::tree::tests::leaf_hashes;
    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|at| Hash::leaf(&[&[at]])).collect()
    }

    #[test]
    fn a_proof_agrees_with_the_published_one() {
        let proof: Vec<_> = inclusion(&leaf_hashes(), 0)
            .unwrap()
            .iter()
            .map(Hash::to_string)
            .collect();
        assert_eq!(
            proof,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        );
    }

    #[test]
    fn every_leaf_of_every_tree_is_proved_and_no_other() {
        for size in 1..=33 {
            let all = leaves(size);
            let head = root(&all);
            for (index, leaf) in all.iter().enumerate() {
                let proof = inclusion(&all, index).unwrap();
                assert!(includes(*leaf, index as u64, u64::from(size), &proof, head));
                assert!(!includes(
                    *leaf,
                    index as u64 + 1,
                    u64::from(size),
                    &proof,
                    head
                ));
                assert!(!includes(
                    Hash::leaf(&[b"other"]),
                    index as u64,
                    u64::from(size),
                    &proof,
                    head
                ));
                let mut longer = proof.clone();
                longer.push(head);
                assert!(!includes(
                    *leaf,
                    index as u64,
                    u64::from(size),
                    &longer,
                    head
                ));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!includes(
                        *leaf,
                        index as u64,
                        u64::from(size),
                        shorter,
                        head
                    ));
                }
            }
            assert_eq!(inclusion(&all, usize::from(size)), None);
        }
    }

    #[test]
    fn every_beginning_of_every_tree_is_proved_and_no_other() {
        for size in 1..=33_u8 {
            let all = leaves(size);
            let new = Head {
                size: u64::from(size),
                root: root(&all),
            };
            for old_size in 1..=usize::from(size) {
                let old = Head {
                    size: old_size as u64,
                    root: root(&all[..old_size]),
                };
                let proof = consistency(&all, old_size).unwrap();
                assert!(extends(old, new, &proof));
                let forged = Head {
                    root: Hash::of(&[b"fork"]),
                    ..old
                };
                assert!(!extends(forged, new, &proof));
                assert!(!extends(
                    old,
                    Head {
                        root: forged.root,
                        ..new
                    },
                    &proof
                ));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!extends(old, new, shorter));
                }
            }
            assert_eq!(consistency(&all, 0), None);
        }
    }
}

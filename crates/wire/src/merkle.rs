//! The Merkle tree of RFC 6962 (section 2.1): an incremental hash of a log with O(log n) proofs.
//!
//! [`Frontier`] appends and gives the root, keeping only the O(log n) left subtrees. [`Tree`] keeps every leaf hash
//! and makes inclusion and consistency proofs; the verifiers need neither.

use sha2::{Digest, Sha256};

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::hash::Hash;

/// The hash of a leaf: `SHA-256(0x00 || data)`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(data);
    Hash(hasher.finalize().into())
}

/// The hash of a node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(&left.0);
    input[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(input).into())
}

/// The root of the empty tree: `SHA-256("")`.
pub fn empty_root() -> Hash {
    Hash::of(&[])
}

/// The root over `leaves`, given as leaf hashes.
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    frontier.extend(leaves);
    frontier.root()
}

/// A growing tree reduced to its complete left subtrees, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    len: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Leaves so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True if there is no leaf yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // One merge for every trailing one bit of the old length.
        for _ in 0..self.len.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each set bit");
            node = node_hash(&left, &node);
        }
        self.peaks.push(node);
        self.len += 1;
    }

    /// Appends many leaf hashes.
    pub fn extend(&mut self, leaves: &[Hash]) {
        for leaf in leaves {
            self.push(*leaf);
        }
    }

    /// The tree head.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

impl Encode for Frontier {
    fn encode(&self, out: &mut Vec<u8>) {
        self.len.encode(out);
        self.peaks.encode(out);
    }
}

impl Decode for Frontier {
    const SIZE_MIN: usize = 12;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = u64::decode(r)?;
        let peaks: Vec<Hash> = r.list("frontier", 64)?;
        if peaks.len() as u32 != len.count_ones() {
            return Err(DecodeError::Invalid { what: "frontier", why: "one peak for each set bit of the length" });
        }
        Ok(Frontier { len, peaks })
    }
}

/// All leaf hashes of a log, for making proofs.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    leaves: Vec<Hash>,
}

/// The largest power of two smaller than `n`, for `n >= 2`.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

impl Tree {
    /// A tree over `leaves`.
    pub fn new(leaves: Vec<Hash>) -> Tree {
        Tree { leaves }
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.leaves.push(leaf);
    }

    /// Leaves so far.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// True if there is no leaf yet.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// The root over the first `len` leaves, or `None` past the end.
    pub fn root(&self, len: usize) -> Option<Hash> {
        self.leaves.get(..len).map(root_of)
    }

    /// The audit path of leaf `index` in the tree of the first `len` leaves (RFC 6962, 2.1.1).
    pub fn inclusion(&self, index: usize, len: usize) -> Option<Vec<Hash>> {
        if index >= len || len > self.leaves.len() {
            return None;
        }
        let mut path = Vec::new();
        let (mut from, mut to) = (0, len);
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                path.push(root_of(&self.leaves[middle..to]));
                to = middle;
            } else {
                path.push(root_of(&self.leaves[from..middle]));
                from = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The proof that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 6962, 2.1.2).
    pub fn consistency(&self, old: usize, new: usize) -> Option<Vec<Hash>> {
        if old == 0 || old > new || new > self.leaves.len() {
            return None;
        }
        let mut path = Vec::new();
        let (mut from, mut to) = (0, new);
        let mut whole = true;
        while old != to {
            let middle = from + split(to - from);
            if old <= middle {
                path.push(root_of(&self.leaves[middle..to]));
                to = middle;
            } else {
                path.push(root_of(&self.leaves[from..middle]));
                from = middle;
                whole = false;
            }
        }
        if !whole {
            path.push(root_of(&self.leaves[from..to]));
        }
        path.reverse();
        Some(path)
    }
}

/// Checks an audit path: `leaf` stands at `index` of the tree of `len` leaves with this `root`.
pub fn verify_inclusion(leaf: &Hash, index: u64, len: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= len {
        return false;
    }
    let (mut fnode, mut snode) = (index, len - 1);
    let mut node = *leaf;
    for sibling in path {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            node = node_hash(sibling, &node);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && node == *root
}

/// Checks a consistency proof between two tree heads of the same log.
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> bool {
    if old == 0 || old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    let mut path = path.iter();
    let mut fnode = old - 1;
    let mut snode = new - 1;
    while fnode & 1 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut left, mut right) = (*first, *first);
    for sibling in path {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            left = node_hash(sibling, &left);
            right = node_hash(sibling, &right);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            right = node_hash(&right, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && left == *old_root && right == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::decode_hex_bytes;

    /// The leaves and roots of RFC 6962's reference implementation (certificate-transparency, `merkle_tree_test.cc`).
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
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

    fn leaves() -> Vec<Hash> {
        LEAVES.iter().map(|l| leaf_hash(&decode_hex_bytes(l).unwrap())).collect()
    }

    #[test]
    fn roots_of_the_reference_implementation() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in leaves().into_iter().zip(ROOTS) {
            frontier.push(leaf);
            assert_eq!(frontier.root().to_string(), root);
            assert_eq!(Frontier::from_bytes(&frontier.to_bytes()).as_ref(), Ok(&frontier));
        }
    }

    #[test]
    fn every_proof_of_small_trees() {
        let leaves: Vec<Hash> = (0..33u8).map(|n| leaf_hash(&[n])).collect();
        let tree = Tree::new(leaves.clone());
        for len in 1..=33 {
            let root = tree.root(len).unwrap();
            for (index, leaf) in leaves[..len].iter().enumerate() {
                let path = tree.inclusion(index, len).unwrap();
                assert!(verify_inclusion(leaf, index as u64, len as u64, &path, &root));
                assert!(!verify_inclusion(&leaf_hash(b"x"), index as u64, len as u64, &path, &root));
                for other in (0..len).filter(|o| *o != index) {
                    assert!(!verify_inclusion(leaf, other as u64, len as u64, &path, &root));
                }
                let mut longer = path.clone();
                longer.push(Hash::ZERO);
                assert!(!verify_inclusion(leaf, index as u64, len as u64, &longer, &root));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!verify_inclusion(leaf, index as u64, len as u64, shorter, &root));
                }
            }
            for old in 1..=len {
                let old_root = tree.root(old).unwrap();
                let path = tree.consistency(old, len).unwrap();
                assert!(verify_consistency(old as u64, &old_root, len as u64, &root, &path));
                if old != len {
                    assert!(!verify_consistency(old as u64, &Hash::ZERO, len as u64, &root, &path));
                    assert!(!verify_consistency(old as u64, &old_root, len as u64, &Hash::ZERO, &path));
                }
            }
        }
    }
}

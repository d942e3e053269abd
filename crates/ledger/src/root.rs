//! One hash over all tables, and proofs that a row is there or is not.
//!
//! A binary Merkle tree of fixed shape over 2^16 buckets, SHA-256 throughout:
//!
//! ```text
//! key hash    K(row)  = H(0x02 || table number || key)
//! value hash  V(row)  = H(0x03 || value)
//! bucket              = 0 if it holds no row, else H(0x00 || K V || K V ...), by ascending K
//! node                = 0 if both children are 0, else H(0x01 || left || right)
//! root                = the node over all buckets
//! ```
//!
//! Zero stands for "no rows below", which no digest is. A row's bucket has a class bit, 0 for the tables users see and
//! 1 for bookkeeping, so that the rows kept for "at most once" never make the others' buckets longer; then fifteen
//! bits: the first of its key hash. A result row stands near its session instead, `sequence / 64` buckets on, so that
//! the rows of one block, whose sequences follow each other, share buckets.
//!
//! The tree is kept in memory and updated once per block: each touched bucket is hashed once, each node above them
//! once. Who may write rows can aim keys at one bucket and make it long: a command of 64 KiB can put thousands there. Touching one of
//! its rows then costs time linear in their number, 8 ms for 65,536 of them, and there no proof can be read any more; quotas
//! limit who can do that.

use sha2::{Digest, Sha256};
use wire::{Hash, merkle, struct_codec};

use crate::state::{State, Table};

/// Levels of nodes above the buckets.
pub const DEPTH: usize = 16;
/// Rows of one bucket that a proof may carry.
pub const PROOF_ROWS_MAX: usize = 1 << 16;
const BUCKETS: usize = 1 << DEPTH;
const CLASS_BUCKETS: usize = BUCKETS / 2;
/// Sequences whose result rows share a bucket.
const SEQUENCES_PER_BUCKET: u64 = 64;
const EMPTY: [u8; 32] = [0; 32];

fn key_hash(table: Table, key: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([2, table.number()]).chain_update(key).finalize().into())
}

fn value_hash(value: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([3]).chain_update(value).finalize().into())
}

/// The first fifteen bits of a hash.
fn first_bits(hash: &Hash) -> usize {
    usize::from(u16::from_be_bytes([hash.0[0], hash.0[1]])) >> 1
}

/// The key of the session that a bookkeeping row belongs to: a result's key ends in eight bytes of sequence.
fn session_of(table: Table, key: &[u8]) -> &[u8] {
    if table == Table::Results { &key[..key.len().saturating_sub(8)] } else { key }
}

/// The bucket of a row, given its key hash and, for a result, the key hash of its session.
fn bucket_of(table: Table, key: &[u8], hash: &Hash, session: &Hash) -> usize {
    match table {
        Table::Results => {
            let sequence = &key[session_of(table, key).len()..];
            let sequence = sequence.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
            let run = (sequence / SEQUENCES_PER_BUCKET) % CLASS_BUCKETS as u64;
            CLASS_BUCKETS + (first_bits(session) + run as usize) % CLASS_BUCKETS
        }
        Table::Sessions | Table::Usage => CLASS_BUCKETS + first_bits(hash),
        _ => first_bits(hash),
    }
}

/// Key hash and bucket of one row.
fn place(table: Table, key: &[u8]) -> (Hash, usize) {
    let hash = key_hash(table, key);
    (hash, bucket_of(table, key, &hash, &key_hash(Table::Sessions, session_of(table, key))))
}

/// Key hash and value hash of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHash {
    /// The key hash.
    pub key: Hash,
    /// The value hash.
    pub value: Hash,
}
struct_codec!(RowHash { key: Hash, value: Hash });

fn bucket_hash(rows: &[RowHash]) -> [u8; 32] {
    if rows.is_empty() {
        return EMPTY;
    }
    let mut hasher = Sha256::new();
    hasher.update([0]);
    for row in rows {
        hasher.update(row.key.0);
        hasher.update(row.value.0);
    }
    hasher.finalize().into()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    if *left == EMPTY && *right == EMPTY { EMPTY } else { merkle::node_hash(&Hash(*left), &Hash(*right)).0 }
}

/// The tree over all rows.
///
/// Invariants: the rows of each bucket ascend strictly by key hash; every node is the hash of its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    buckets: Vec<Vec<RowHash>>,
    /// A heap: node `n` has children `2n` and `2n + 1`; bucket `b` is node `BUCKETS + b`; node 1 is the root. Raw
    /// arrays, not `Hash`, so that the zeroed pages of an empty tree are never touched.
    nodes: Vec<[u8; 32]>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { buckets: vec![Vec::new(); BUCKETS], nodes: vec![EMPTY; 2 * BUCKETS] }
    }
}

impl Tree {
    /// The tree over all rows of `state`.
    pub fn of(state: &State) -> Tree {
        let mut tree = Tree::default();
        let rows: Vec<_> = state.rows().collect();
        tree.update(rows.iter().map(|(table, key, value)| (*table, key.as_slice(), Some(value.as_slice()))));
        tree
    }

    /// The root.
    pub fn root(&self) -> Hash {
        Hash(self.nodes[1])
    }

    /// Puts rows in place, or removes those that are `None`. A row may stand in `changes` several times: the last
    /// counts.
    pub fn update<'r>(&mut self, changes: impl IntoIterator<Item = (Table, &'r [u8], Option<&'r [u8]>)>) {
        struct Touch<'r> {
            bucket: usize,
            key: Hash,
            order: usize,
            value: Option<&'r [u8]>,
        }
        let mut touches: Vec<Touch<'r>> = Vec::new();
        // The commands of a block come in runs of one session.
        let mut session: (&[u8], Hash) = (&[], key_hash(Table::Sessions, &[]));
        for (order, (table, key, value)) in changes.into_iter().enumerate() {
            if table.is_bookkeeping() && session.0 != session_of(table, key) {
                session = (session_of(table, key), key_hash(Table::Sessions, session_of(table, key)));
            }
            let hash = if table == Table::Sessions { session.1 } else { key_hash(table, key) };
            touches.push(Touch { bucket: bucket_of(table, key, &hash, &session.1), key: hash, order, value });
        }
        touches.sort_unstable_by(|a, b| (a.bucket, &a.key, a.order).cmp(&(b.bucket, &b.key, b.order)));

        let mut level: Vec<usize> = Vec::new();
        for bucket_touches in touches.chunk_by(|a, b| a.bucket == b.bucket) {
            let bucket = bucket_touches[0].bucket;
            let rows = &mut self.buckets[bucket];
            for row_touches in bucket_touches.chunk_by(|a, b| a.key == b.key) {
                let last = row_touches.last().expect("chunks are not empty");
                match (rows.binary_search_by(|row| row.key.cmp(&last.key)), last.value) {
                    (Ok(at), Some(value)) => rows[at].value = value_hash(value),
                    (Ok(at), None) => drop(rows.remove(at)),
                    (Err(at), Some(value)) => rows.insert(at, RowHash { key: last.key, value: value_hash(value) }),
                    (Err(_), None) => {}
                }
            }
            self.nodes[BUCKETS + bucket] = bucket_hash(rows);
            level.push(BUCKETS + bucket);
        }
        for _ in 0..DEPTH {
            level.iter_mut().for_each(|n| *n /= 2);
            level.dedup();
            for n in &level {
                self.nodes[*n] = node(&self.nodes[2 * n], &self.nodes[2 * n + 1]);
            }
        }
    }

    /// The proof of what the tree holds under a key, be it a row or none.
    pub fn prove(&self, table: Table, key: &[u8]) -> Proof {
        let (_, bucket) = place(table, key);
        let mut at = BUCKETS + bucket;
        let mut path = Vec::with_capacity(DEPTH);
        while at > 1 {
            path.push(Hash(self.nodes[at ^ 1]));
            at /= 2;
        }
        Proof { rows: self.buckets[bucket].clone(), path }
    }
}

/// What a bucket holds and how it hangs from the root. Shows presence or absence of any row of that bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// All rows of the bucket, by ascending key hash.
    pub rows: Vec<RowHash>,
    /// The siblings, from the bucket up to the root.
    pub path: Vec<Hash>,
}

impl wire::Encode for Proof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.rows.encode(out);
        self.path.encode(out);
    }
}

impl wire::Decode for Proof {
    const SIZE_MIN: usize = 8;
    fn decode(r: &mut wire::Reader<'_>) -> Result<Self, wire::DecodeError> {
        Ok(Proof { rows: r.list("rows of a proof", PROOF_ROWS_MAX)?, path: r.list("path of a proof", DEPTH)? })
    }
}

impl Proof {
    /// True if the proof shows that under `root` the row of `table` and `key` is `value`, or is absent for `None`.
    pub fn verify(&self, root: &Hash, table: Table, key: &[u8], value: Option<&[u8]>) -> bool {
        if self.path.len() != DEPTH || !self.rows.is_sorted_by(|a, b| a.key < b.key) {
            return false;
        }
        let (hash, bucket) = place(table, key);
        let mut at = bucket;
        let top = self.path.iter().fold(bucket_hash(&self.rows), |below, sibling| {
            let above = if at & 1 == 0 { node(&below, &sibling.0) } else { node(&sibling.0, &below) };
            at /= 2;
            above
        });
        let found = self.rows.iter().find(|row| row.key == hash).map(|row| row.value);
        top == root.0 && found == value.map(value_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Decode, Encode};

    fn filled(count: u32) -> Tree {
        let rows: Vec<[u8; 4]> = (0..count).map(u32::to_be_bytes).collect();
        let mut tree = Tree::default();
        tree.update(rows.iter().map(|r| (Table::Rows, r.as_slice(), Some(r.as_slice()))));
        tree
    }

    #[test]
    fn an_empty_tree_has_the_zero_root_and_proves_absence() {
        let mut tree = Tree::default();
        assert_eq!(tree.root(), Hash::ZERO);
        assert!(tree.prove(Table::Rows, b"x").verify(&Hash::ZERO, Table::Rows, b"x", None));
        tree.update([(Table::Rows, b"x".as_slice(), Some(b"1".as_slice()))]);
        assert_ne!(tree.root(), Hash::ZERO);
        tree.update([(Table::Rows, b"x".as_slice(), None)]);
        assert_eq!(tree, Tree::default());
    }

    #[test]
    fn the_root_depends_on_rows_and_not_on_their_order() {
        let whole = filled(500);
        let mut bit_by_bit = Tree::default();
        for n in (0..500u32).rev() {
            let row = n.to_be_bytes();
            bit_by_bit.update([(Table::Rows, row.as_slice(), Some(b"other".as_slice()))]);
            bit_by_bit
                .update([(Table::Rows, row.as_slice(), None), (Table::Rows, row.as_slice(), Some(row.as_slice()))]);
        }
        assert_eq!(whole, bit_by_bit);
        assert_ne!(filled(499).root(), whole.root());
    }

    #[test]
    fn proofs_of_presence_and_absence() {
        let tree = filled(3000);
        let root = tree.root();
        for n in (0..3100u32).step_by(50) {
            let key = n.to_be_bytes();
            let proof = tree.prove(Table::Rows, &key);
            assert_eq!(Proof::from_bytes(&proof.to_bytes()).as_ref(), Ok(&proof));
            let present = n < 3000;
            assert_eq!(proof.verify(&root, Table::Rows, &key, Some(&key)), present);
            assert_eq!(proof.verify(&root, Table::Rows, &key, None), !present);
            assert!(!proof.verify(&root, Table::Rows, &key, Some(b"x")));
            assert!(!proof.verify(&root, Table::Parties, &key, Some(&key)));
            assert!(!proof.verify(&Hash::of(b"x"), Table::Rows, &key, None));
            for at in 0..DEPTH {
                let mut bent = proof.clone();
                bent.path[at] = Hash::of(b"x");
                assert!(!bent.verify(&root, Table::Rows, &key, present.then_some(&key[..])));
            }
            let mut short = proof.clone();
            short.rows.pop();
            short.path.pop();
            assert!(!short.verify(&root, Table::Rows, &key, None));
        }
    }

    #[test]
    fn results_of_neighbouring_sequences_share_a_bucket_and_odd_keys_do_no_harm() {
        let bucket = |sequence: u64| {
            let key = [b"session".as_slice(), &sequence.to_be_bytes()].concat();
            place(Table::Results, &key).1
        };
        assert_eq!(bucket(64), bucket(127));
        assert_ne!(bucket(127), bucket(128));
        assert!(bucket(u64::MAX) >= CLASS_BUCKETS && bucket(u64::MAX) < BUCKETS);
        let tree = Tree::default();
        for key in [b"".as_slice(), b"short"] {
            assert!(tree.prove(Table::Results, key).verify(&Hash::ZERO, Table::Results, key, None));
        }
    }
}

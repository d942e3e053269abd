//! What keeping the state root costs: the ledger's tree of buckets beside others, in turns in one run.
//!
//! `cargo run --release --manifest-path bench/roots/Cargo.toml [blocks]`. No member of the workspace, since nothing else needs what
//! it compares with.
//!
//! Each turn changes the same 2,000 of 200,000 rows in all of them, as a block of 1,000 transfers does. The trees of buckets with other
//! numbers and with BLAKE3 are the same thing in few lines; `jmt` is a Jellyfish Merkle tree with its nodes in memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jmt::mock::MockTreeStore;
use jmt::{KeyHash, Sha256Jmt};
use ledger::Table;
use ledger::root::Tree;
use sha2::{Digest, Sha256};

const ROWS: usize = 200_000;
const TOUCHED: usize = 2_000;

type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

fn blake3(parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    *hasher.finalize().as_bytes()
}

/// A binary tree over `2^depth` buckets of (key hash, value hash), hashed level by level once per block.
struct Buckets {
    depth: usize,
    hash: fn(&[&[u8]]) -> Hash,
    rows: Vec<Vec<[Hash; 2]>>,
    nodes: Vec<Hash>,
}

impl Buckets {
    fn new(depth: usize, hash: fn(&[&[u8]]) -> Hash) -> Buckets {
        Buckets { depth, hash, rows: vec![Vec::new(); 1 << depth], nodes: vec![[0; 32]; 2 << depth] }
    }

    fn update<'r>(&mut self, changes: impl Iterator<Item = (&'r [u8], &'r [u8])>) {
        let mut level = Vec::new();
        for (key, value) in changes {
            let row = [(self.hash)(&[&[2], key]), (self.hash)(&[&[3], value])];
            let bucket = usize::from(row[0][0]) << 16 | usize::from(row[0][1]) << 8 | usize::from(row[0][2]);
            let bucket = bucket >> (24 - self.depth);
            let rows = &mut self.rows[bucket];
            match rows.binary_search_by(|r| r[0].cmp(&row[0])) {
                Ok(at) => rows[at] = row,
                Err(at) => rows.insert(at, row),
            }
            level.push(bucket);
        }
        level.sort_unstable();
        level.dedup();
        for bucket in &mut level {
            let bytes = self.rows[*bucket].concat().concat();
            *bucket += 1 << self.depth;
            self.nodes[*bucket] = (self.hash)(&[&[0], &bytes]);
        }
        for _ in 0..self.depth {
            level.iter_mut().for_each(|n| *n /= 2);
            level.dedup();
            for n in &level {
                self.nodes[*n] = (self.hash)(&[&[1], &self.nodes[2 * n], &self.nodes[2 * n + 1]]);
            }
        }
    }
}

/// Microseconds for one row.
fn median(mut of: Vec<Duration>) -> f64 {
    of.sort();
    of[of.len() / 2].as_secs_f64() * 1e6 / TOUCHED as f64
}

fn main() {
    let blocks: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(60);
    let keys: Vec<Vec<u8>> = (0..ROWS).map(|n| format!("lineage of thirty-two bytes, here {n:08}").into_bytes()).collect();
    let value = |block: usize| format!("a row of about a hundred bytes, changed by block {block:>40}").into_bytes();
    let mut own = Tree::default();
    let mut others = [
        ("2^14 buckets, SHA-256", Buckets::new(14, sha256)),
        ("2^16 buckets, SHA-256", Buckets::new(16, sha256)),
        ("2^18 buckets, SHA-256", Buckets::new(18, sha256)),
        ("2^16 buckets, BLAKE3", Buckets::new(16, blake3)),
        ("2^18 buckets, BLAKE3", Buckets::new(18, blake3)),
    ];
    let store = MockTreeStore::default();
    let jmt = Sha256Jmt::new(&store);
    let grow = |values: Vec<(KeyHash, Option<Vec<u8>>)>, version: u64| {
        let (root, batch) = jmt.put_value_set(values, version).expect("in memory");
        store.write_tree_update_batch(batch).expect("in memory");
        black_box(root);
    };
    let first = value(0);
    own.update(keys.iter().map(|key| (Table::Rows, key.as_slice(), Some(first.as_slice()))));
    others.iter_mut().for_each(|(_, tree)| tree.update(keys.iter().map(|key| (key.as_slice(), first.as_slice()))));
    grow(keys.iter().map(|key| (KeyHash(sha256(&[key])), Some(first.clone()))).collect(), 0);

    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); others.len() + 2];
    for block in 1..=blocks {
        let value = value(block);
        let touched: Vec<&[u8]> =
            (0..TOUCHED).map(|n| keys[(block * 7919 + n * 104_729) % ROWS].as_slice()).collect();
        let begun = Instant::now();
        own.update(touched.iter().map(|key| (Table::Rows, *key, Some(value.as_slice()))));
        times[0].push(begun.elapsed());
        for ((_, tree), times) in others.iter_mut().zip(&mut times[1..]) {
            let begun = Instant::now();
            tree.update(touched.iter().map(|key| (*key, value.as_slice())));
            times.push(begun.elapsed());
        }
        let begun = Instant::now();
        grow(touched.iter().map(|key| (KeyHash(sha256(&[key])), Some(value.clone()))).collect(), block as u64);
        times.last_mut().expect("one for each").push(begun.elapsed());
    }
    let names = ["the ledger's (2^16, SHA-256)"].into_iter().chain(others.iter().map(|o| o.0)).chain(["jmt, SHA-256"]);
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    println!("medians of {blocks} blocks, microseconds for each of {TOUCHED} rows changed among {ROWS}");
    for (name, time) in names.zip(&medians) {
        println!("{name:30} {time:6.2}   {:5.2} times the ledger's", time / medians[0]);
    }
}

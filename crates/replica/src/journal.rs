//! The records of the log, where they stand, and answers to peers from them.

use std::collections::BTreeMap;

use consensus::VerifiedBlock;
use store::{Disk, RecordAt, Store, StoreError};
use wire::limits::{BLOCK_BYTES_MAX, FETCH_BLOCKS_MAX, FRAME_BYTES_MAX};
use wire::peer::{Blocks, Fetch, FetchBlock};
use wire::{Block, BlockDigest, Certificate, Decode, Encode, Height};

/// A block: voted for, proposed, or committed. Its encoding is [`Block`]'s.
pub const BLOCK: u8 = 1;
/// A commit certificate. Everything up to its block is committed; that block's record stands earlier in the log.
pub const COMMIT: u8 = 2;
/// Evidence against a node.
pub const EVIDENCE: u8 = 3;

/// Committed heights of which the digest is remembered, for answering requests by digest.
const DIGESTS_MAX: usize = 4096;

/// Where blocks and certificates stand in the log.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Committed blocks: height h stands at h - 1.
    committed: Vec<RecordAt>,
    /// Commit certificates by the height of their block. Not every height has one.
    commits: BTreeMap<Height, RecordAt>,
    /// Blocks in the log that are not committed (yet).
    uncommitted: BTreeMap<BlockDigest, (RecordAt, Height, BlockDigest)>,
    /// Recently committed blocks by digest.
    recent: BTreeMap<BlockDigest, Height>,
    recent_by_height: BTreeMap<Height, BlockDigest>,
}

impl Index {
    /// A block was appended.
    pub fn block(&mut self, block: &VerifiedBlock, at: RecordAt) {
        self.uncommitted.insert(block.digest, (at, block.header.height, block.header.parent));
    }

    /// Blocks up to and including this one are committed; call in order of height.
    ///
    /// # Panics
    /// If the block was never appended: committing what is not in the log is our bug.
    pub fn committed(&mut self, height: Height, digest: BlockDigest) {
        let (at, ..) = self.uncommitted.remove(&digest).expect("a block is appended before it is committed");
        assert_eq!(self.committed.len() as u64 + 1, height.0, "blocks are committed in order");
        self.committed.push(at);
        self.recent.insert(digest, height);
        self.recent_by_height.insert(height, digest);
        if self.recent_by_height.len() > DIGESTS_MAX
            && let Some((_, old)) = self.recent_by_height.pop_first()
        {
            self.recent.remove(&old);
        }
        // What conflicts with a committed block can never be asked for again.
        self.uncommitted.retain(|_, (_, h, _)| *h > height);
    }

    /// A commit certificate of this height was appended.
    pub fn commit(&mut self, height: Height, at: RecordAt) {
        self.commits.insert(height, at);
    }

    /// Committed blocks.
    pub fn height(&self) -> Height {
        Height(self.committed.len() as u64)
    }

    /// Answers a peer's request from the log, as far as it can.
    pub fn serve<D: Disk>(&self, store: &Store<D>, fetch: Fetch) -> Result<Option<Blocks>, StoreError> {
        match fetch {
            Fetch::Committed(from) => self.serve_committed(store, from),
            Fetch::Block(wanted) => self.serve_block(store, wanted),
        }
    }

    /// Committed blocks from a height on, up to one with a commit certificate in the log: as many as are comfortable,
    /// and more only if the first certificate comes later.
    fn serve_committed<D: Disk>(&self, store: &Store<D>, from: Height) -> Result<Option<Blocks>, StoreError> {
        if from == Height::ZERO || from > self.height() {
            return Ok(None);
        }
        let mut answer: Option<Blocks> = None;
        let mut blocks = Vec::new();
        let mut bytes = 0;
        for height in from.0..=self.height().0 {
            let block: Block = read(store, self.committed[height as usize - 1])?;
            bytes += block.entry_bytes() + 512;
            let budget = if answer.is_some() { BLOCK_BYTES_MAX } else { FRAME_BYTES_MAX - BLOCK_BYTES_MAX / 4 };
            let count = blocks.len() + answer.as_ref().map_or(0, |a| a.blocks.len());
            if bytes > budget || count >= FETCH_BLOCKS_MAX {
                break;
            }
            blocks.push(block);
            if let Some(at) = self.commits.get(&Height(height)) {
                let commit: Certificate = read(store, *at)?;
                let earlier = answer.take().map_or_else(Vec::new, |a| a.blocks);
                let all = earlier.into_iter().chain(blocks.drain(..)).collect();
                answer = Some(Blocks { blocks: all, commit: Some(commit) });
                if bytes > BLOCK_BYTES_MAX {
                    break;
                }
            }
        }
        Ok(answer)
    }

    fn serve_block<D: Disk>(&self, store: &Store<D>, wanted: FetchBlock) -> Result<Option<Blocks>, StoreError> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut bytes = 0;
        let mut digest = wanted.digest;
        while blocks.len() < FETCH_BLOCKS_MAX {
            let at = match (self.uncommitted.get(&digest), self.recent.get(&digest)) {
                (Some((at, ..)), _) => *at,
                (None, Some(height)) => self.committed[height.0 as usize - 1],
                (None, None) => break,
            };
            let block: Block = read(store, at)?;
            bytes += block.entry_bytes();
            if block.header.height <= wanted.above || bytes > BLOCK_BYTES_MAX && !blocks.is_empty() {
                break;
            }
            digest = block.header.parent;
            blocks.push(block);
        }
        blocks.reverse();
        Ok(if blocks.is_empty() { None } else { Some(Blocks { blocks, commit: None }) })
    }

    /// The commit certificate of the lowest height at or above `height`, if the log has one.
    pub fn certificate<D: Disk>(&self, store: &Store<D>, height: Height) -> Result<Option<Certificate>, StoreError> {
        self.commits.range(height..).next().map(|(_, at)| read(store, *at)).transpose()
    }

    /// A committed block.
    pub fn read_block<D: Disk>(&self, store: &Store<D>, height: Height) -> Result<Option<Block>, StoreError> {
        let at = height.0.checked_sub(1).and_then(|n| self.committed.get(n as usize));
        at.map(|at| read(store, *at)).transpose()
    }
}

/// Reads a record that this node wrote.
///
/// # Panics
/// If its checksum is good and its content is not: then what was written was wrong, which is our bug.
fn read<D: Disk, T: Decode>(store: &Store<D>, at: RecordAt) -> Result<T, StoreError> {
    let (_, bytes) = store.read(at)?;
    Ok(T::from_bytes(&bytes).expect("a record with a good checksum was written by this code"))
}

/// A block's record.
pub fn encode_block(block: &VerifiedBlock) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + block.entries.iter().map(|e| e.signed().bytes().len() + 4).sum::<usize>());
    block.header.encode(&mut out);
    wire::codec::encode_length(block.entries.len(), &mut out);
    for entry in &block.entries {
        wire::codec::encode_bytes(entry.signed().bytes(), &mut out);
    }
    out
}

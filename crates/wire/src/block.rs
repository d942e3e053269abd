//! Blocks: what the leader proposes, the log is made of, and certificates name.

use crate::codec::{Decode, DecodeError, Encode, Reader, encode_bytes, encode_length};
use crate::command::SignedCommand;
use crate::hash::{self, Hash};
use crate::ids::{BlockDigest, ClusterId, Epoch, Height, Index, Term, Time};
use crate::limits::{BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, COMMAND_BYTES_MAX};
use crate::merkle;
use crate::struct_codec;

/// What executing the log up to a height gave, as the proposer found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Executed {
    /// The height executed; committed when the block that claims it is proposed.
    pub height: Height,
    /// The root over all tables after that height.
    pub state_root: Hash,
    /// The RFC 6962 root over the receipts of all entries up to that height.
    pub receipts_root: Hash,
}
struct_codec!(Executed { height: Height, state_root: Hash, receipts_root: Hash });

/// A block without its entries. Its hash is the block's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// The membership it is ordered under.
    pub epoch: Epoch,
    /// The term of its first proposal. Part of the digest, so that anyone can see which certificates may count votes
    /// for its descendants (only those of this very term).
    pub term: Term,
    /// One more than its parent's.
    pub height: Height,
    /// The digest of the block below.
    pub parent: BlockDigest,
    /// The log index of its first entry: the number of entries below it.
    pub first_index: Index,
    /// How many entries it holds; may be zero.
    pub entry_count: u32,
    /// The RFC 6962 root over its own entries.
    pub entries_root: Hash,
    /// The RFC 6962 root over all entries of the log up to its last.
    pub log_root: Hash,
    /// The proposer's time, above its parent's.
    pub time: Time,
    /// What the proposer found by executing the log up to a committed height below.
    pub executed: Executed,
}
struct_codec!(BlockHeader {
    epoch: Epoch,
    term: Term,
    height: Height,
    parent: BlockDigest,
    first_index: Index,
    entry_count: u32,
    entries_root: Hash,
    log_root: Hash,
    time: Time,
    executed: Executed,
});

impl BlockHeader {
    /// The digest: SHA-256 over `domain || 0 || cluster id || header`.
    pub fn digest(&self, cluster: &ClusterId) -> BlockDigest {
        BlockDigest(hash::BLOCK.hash(&[&cluster.0.0, &self.to_bytes()]))
    }

    /// The log index after its last entry.
    pub fn next_index(&self) -> Option<Index> {
        self.first_index.0.checked_add(u64::from(self.entry_count)).map(Index)
    }
}

/// A block as received: header and signed commands, nothing checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: BlockHeader,
    /// The commands, in log order.
    pub entries: Vec<SignedCommand>,
}

impl Block {
    /// The leaf hashes of the entries, in order. A leaf is the whole signed command.
    pub fn leaves(&self) -> Vec<Hash> {
        self.entries.iter().map(SignedCommand::leaf).collect()
    }

    /// True if the entries are the ones the header names.
    pub fn entries_match(&self) -> bool {
        self.entries.len() == self.header.entry_count as usize
            && merkle::root_of(&self.leaves()) == self.header.entries_root
    }

    /// Bytes of all entries.
    pub fn entry_bytes(&self) -> usize {
        self.entries.iter().map(|e| e.bytes().len()).sum()
    }
}

impl Encode for Block {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        encode_length(self.entries.len(), out);
        for entry in &self.entries {
            encode_bytes(entry.bytes(), out);
        }
    }
}

impl Decode for Block {
    const SIZE_MIN: usize = BlockHeader::SIZE_MIN + 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = BlockHeader::decode(r)?;
        let count = r.length("block entries", 4, BLOCK_ENTRIES_MAX)?;
        let mut entries = Vec::with_capacity(count);
        let mut total = 0;
        for _ in 0..count {
            let bytes = r.bytes("command", COMMAND_BYTES_MAX)?;
            total += bytes.len();
            if total > BLOCK_BYTES_MAX {
                return Err(DecodeError::TooLong { what: "block", len: total, max: BLOCK_BYTES_MAX });
            }
            entries.push(SignedCommand::from_bytes(bytes)?);
        }
        Ok(Block { header, entries })
    }
}

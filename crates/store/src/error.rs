//! What can go wrong, sorted by who has to act: each text names what to change.

use thiserror::Error;

use crate::disk::DiskError;

/// Why a store could not be opened, or stopped working.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The disk failed. After this the store refuses every further commit.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// Bytes that were durable are not what was written. Nothing was changed on the disk.
    #[error(
        "{file} is damaged at byte {offset}{}: {reason}. Nothing was changed. This node must not vote from this \
         directory: keep it for diagnosis, check the disk, and bring the node back with an empty directory and a new \
         key", .record.map(|r| format!(", log record {r}")).unwrap_or_default()
    )]
    Corrupt {
        /// The segment or the safety file.
        file: String,
        /// Byte offset inside that file.
        offset: u64,
        /// Number of the log record, counted from 0 at the start of the log, where a record is concerned.
        record: Option<u64>,
        /// What does not check out.
        reason: String,
    },
    /// The directory belongs to another node or another cluster.
    #[error(
        "this data directory belongs to node {} of cluster {}, but this process is node {} of cluster {}: \
         point the data directory setting at this node's own directory, or start with the key and genesis it was \
         made with", hex(&.found.node), hex(&.found.cluster), hex(&.expected.node), hex(&.expected.cluster)
    )]
    WrongOwner {
        /// Whose directory it is.
        found: Box<Stamp>,
        /// Who tried to open it.
        expected: Box<Stamp>,
    },
    /// The directory is a copy, or was restored from one.
    #[error(
        "this data directory was copied or restored: {file} is not the file that was written here. If it is older \
         than what this node last voted on, the node would vote twice and could fork the ledger. If, and only if, the \
         original was stopped first, is complete and will never be started again, start once with \
         --accept-moved-directory; otherwise give the node an empty directory and a new key"
    )]
    Copied {
        /// The file whose identity differs.
        file: String,
    },
    /// The log knows of a later safety record than the one found.
    #[error(
        "safety.dat is older than the log: it holds generation {found}, but log record {record} was written after \
         generation {known}. The newer votes are lost, so this node must not vote: keep the directory for diagnosis \
         and bring the node back with an empty directory and a new key"
    )]
    Stale {
        /// Generation of the safety record found.
        found: u64,
        /// Generation the log proves.
        known: u64,
        /// The first record that proves it.
        record: u64,
    },
    /// A file of the store is not there.
    #[error(
        "{missing} is missing from the data directory although other files of the store are there: put the complete \
         directory back, or bring the node back with an empty directory and a new key"
    )]
    Missing {
        /// The missing file.
        missing: String,
    },
    /// There is no store here.
    #[error(
        "the data directory holds no ledger (or its creation was interrupted): if this node key has never voted, \
         create the directory; if it has, point the data directory setting at the place where it did"
    )]
    Empty,
    /// There is a store here already.
    #[error("the data directory already holds a ledger: open it, or choose an empty directory")]
    Exists,
    /// A record is larger than the store takes.
    #[error("a record of {bytes} bytes is larger than the limit of {max}: make the block smaller")]
    RecordTooLarge {
        /// Its payload bytes.
        bytes: usize,
        /// The most there may be.
        max: usize,
    },
    /// The safety payload does not fit its slot.
    #[error("a safety record of {bytes} bytes is larger than the limit of {max}: create with more safety_bytes_max")]
    SafetyTooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most there may be.
        max: usize,
    },
}

/// Whose data this is: stands in every segment header and every copy of the safety record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The cluster id.
    pub cluster: [u8; 32],
    /// The node's public key.
    pub node: [u8; 32],
}

impl Stamp {
    /// What the checksum chain of this owner's log starts from, so that another's records never fit.
    pub(crate) fn chain(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.cluster), &self.node)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

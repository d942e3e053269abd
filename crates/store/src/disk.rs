//! The small surface the store needs from a disk: named flat files, positional access, and a sync that means it.
//!
//! What an implementation owes its caller:
//!
//! * `write` and `allocate` may be kept in any part, in any order, at the granularity of a 512-byte sector, until
//!   `sync` of that file has returned `Ok`; after that they are on the medium.
//! * `create` and `remove` are durable when they return: the directory itself is synced.
//! * a failed `sync` says nothing about what is on the medium, and repeating it proves nothing.
//! * bytes that were allocated and never written read as zero.

use thiserror::Error;

/// What went wrong on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DiskError {
    /// No room left for the file to grow.
    #[error("no room left on the disk for {file}: free space on the volume of the data directory, then restart")]
    Full {
        /// The file that could not grow.
        file: String,
    },
    /// A file that should be there is not.
    #[error("{file} does not exist")]
    NotFound {
        /// The file asked for.
        file: String,
    },
    /// Another process holds the data directory.
    #[error("{directory} is in use by another process: stop that process, or give this one its own data directory")]
    Locked {
        /// The directory.
        directory: String,
    },
    /// Anything else the system reported.
    #[error("{file}: {text}")]
    Io {
        /// The file in question.
        file: String,
        /// What was being done and what the system answered.
        text: String,
    },
}

/// Work done by a disk since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Syncs of a file's data.
    pub syncs: u64,
    /// Bytes written, zeros for allocation included.
    pub bytes_written: u64,
}

/// Named flat files. See the module documentation for what `sync` owes.
pub trait Disk: Send {
    /// The names of all files, sorted.
    fn list(&self) -> Result<Vec<String>, DiskError>;

    /// The length of `file` in bytes.
    fn length(&self, file: &str) -> Result<u64, DiskError>;

    /// Fills `buffer` from `offset` on and returns how many bytes there were; fewer only at the end of the file.
    fn read(&self, file: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// Creates an empty file; an error if it exists. Durable on return.
    fn create(&mut self, file: &str) -> Result<(), DiskError>;

    /// Writes all of `bytes` at `offset`. Not durable before [`Disk::sync`].
    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Grows `file` to `length` bytes of reserved, zeroed space; nothing if it is that long already.
    /// On [`DiskError::Full`] the file may have grown in part.
    fn allocate(&mut self, file: &str, length: u64) -> Result<(), DiskError>;

    /// Makes every earlier write to `file` durable, and the length it needs.
    fn sync(&mut self, file: &str) -> Result<(), DiskError>;

    /// Removes `file`. Durable on return.
    fn remove(&mut self, file: &str) -> Result<(), DiskError>;

    /// A number that stays with this very file and that a copy of it does not share.
    fn identity(&self, file: &str) -> Result<u64, DiskError>;

    /// Work done so far.
    fn usage(&self) -> Usage;
}

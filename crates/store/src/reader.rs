//! Reading a store without owning it: for the offline verifier and for diagnosis.

use crate::batch::RecordAt;
use crate::dir::DirDisk;
use crate::disk::Disk;
use crate::error::{Stamp, StoreError};
use crate::log::Progress;
use crate::store::{Inspection, Recovered, inspect};

/// Attempts to read a store that somebody else is writing.
const ATTEMPTS: u32 = 3;

/// A store that is only read: no lock, no write, a torn tail left where it is.
///
/// It sees the log as it was when it was opened, also while a node goes on writing. Copies are welcome:
/// [`Recovered::moved`] says that it is one.
#[derive(Debug)]
pub struct LogReader<D: Disk> {
    disk: D,
    found: Inspection,
}

/// Opens the data directory `path` for reading only, whoever's it is.
pub fn open_read_only(
    path: impl AsRef<std::path::Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<LogReader<DirDisk>, StoreError> {
    LogReader::open(DirDisk::read_only(path)?, None, progress)
}

impl<D: Disk> LogReader<D> {
    /// Checks the whole store. `expected` is whose it must be, if that matters.
    pub fn open(disk: D, expected: Option<Stamp>, progress: &mut dyn FnMut(Progress)) -> Result<Self, StoreError> {
        // A node that is writing can make one look at it contradict itself. Damage is still there the next time.
        for _ in 1..ATTEMPTS {
            match inspect(&disk, expected, progress) {
                Ok(found) => return Ok(LogReader { disk, found }),
                Err(StoreError::Corrupt { .. } | StoreError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let found = inspect(&disk, expected, progress)?;
        Ok(LogReader { disk, found })
    }

    /// What was found, the safety record included.
    pub fn recovered(&self) -> &Recovered {
        &self.found.recovered
    }

    /// Hands every record to `each`, in order, without holding more than one in memory.
    pub fn replay<E: From<StoreError>>(&self, each: impl FnMut(RecordAt, u8, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.found.scan.log.replay(&self.disk, None, each)
    }

    /// Reads one record and checks it: its kind and its payload.
    pub fn read(&self, at: RecordAt) -> Result<(u8, Vec<u8>), StoreError> {
        self.found.scan.log.read(&self.disk, at)
    }
}

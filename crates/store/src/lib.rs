//! A durable log and a durable safety record, over a small [`Disk`] trait. Contents are opaque bytes.
//!
//! A replica may say nothing that it could forget. It appends blocks to a **log** and keeps its term, votes and lock
//! in a **safety record**; what it sends depends on both being on the medium. The store is that dependency:
//!
//! * **Durable before sent is a type.** Outgoing messages go into a [`Batch`] and come out of the [`Durable`] that
//!   [`Store::commit`] returns, and in no other way. One commit covers everything pending: two syncs, however many
//!   records.
//! * **A synced record is never treated as torn.** The safety record says how much of the log was synced. Below that,
//!   a record that does not check out is [`StoreError::Corrupt`]: it is named, nothing is changed, the node does not
//!   vote. Above it, the first record that does not check out ends the log, and nothing after it is believed again.
//! * **The safety record is as durable as the log.** It stands in two copies, and writing a generation never touches
//!   the one before.
//! * **A record is valid in one place of one log.** Its checksum covers its offset and the checksum of the record
//!   before, starting from the owner's stamp; it also names the safety generation that was durable when it was
//!   written. So misdirected, stale and foreign writes do not pass, and a log that is newer than its safety record
//!   gives it away ([`StoreError::Stale`]).
//! * **Errors are final.** After any error the store takes nothing more. A failed sync is not repeated.
//! * **A directory has one owner.** [`DirDisk`] locks it, its stamp names cluster and node, and a copied or restored
//!   directory is refused where it can be seen ([`StoreError::Copied`]).
//!
//! The crate is deterministic apart from [`DirDisk`]. [`MemDisk`] tears, flips, fills up and fails from a seed.
//! Left out on purpose: the log is never shortened, records are not compressed or encrypted, and damage is not
//! repaired; a damaged node returns under a new key, from its peers.
//!
//! The format and what an operator sees are in `docs/disk.md`; the modules `format`, `log` and `safety` have the
//! rules beside the code.

mod batch;
mod dir;
mod disk;
mod error;
mod format;
mod log;
mod mem;
mod reader;
mod safety;
mod store;

pub use batch::{Batch, Durable, RecordAt};
pub use dir::DirDisk;
pub use disk::{Disk, DiskError, Usage};
pub use error::{Stamp, StoreError};
pub use format::{RECORD_BYTES_MAX, RECORD_HEADER_BYTES, SAFETY_FILE, SEGMENT_HEADER_BYTES};
pub use log::Progress;
pub use mem::{Crash, Faults, Keep, MemDisk, SECTOR_BYTES, SplitMix};
pub use reader::{LogReader, open_read_only};
pub use store::{Options, Recovered, Store};

//! The safety file: the term, votes and lock of the engine, as opaque bytes, and how much of the log is synced.
//!
//! `safety.dat` has four slots. Generation `n` is written to slots `2 (n mod 2)` and `2 (n mod 2) + 1`, so writing it
//! never touches the two copies of generation `n - 1`. It is written only after everything in the log before it has
//! been synced. Reading takes the newest generation that has a copy that checks out:
//!
//! * both copies good: the normal case;
//! * one good: the write was torn, or a copy decayed; usable, counted in [`Safety::damaged`];
//! * none good: the write was torn and its generation was never promised, so the one before holds. That it was indeed
//!   never promised is checked against the log: every record names the generation that was durable when it was
//!   written, and a log that names a later one than was found is [`StoreError::Stale`];
//! * neither generation readable: [`StoreError::Corrupt`].

use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{SAFETY_FILE, SLOT_OVERHEAD, Superblock};

/// Slots in the file: two copies of two generations.
const SLOTS: u32 = 4;
/// Slot sizes are multiples of this, so that no two slots share a sector or a page.
const SLOT_ALIGN: u64 = 4096;

/// What the safety file holds.
#[derive(Debug)]
pub(crate) struct Safety {
    pub newest: Superblock,
    pub slot_bytes: u64,
    /// Copies of the newest generation that check out: 1 or 2.
    pub copies: u32,
    /// Slots that neither check out nor are empty.
    pub damaged: u32,
}

/// Bytes of a slot that takes a payload of `payload_max`.
pub(crate) fn slot_bytes(payload_max: usize) -> u64 {
    ((payload_max + SLOT_OVERHEAD) as u64).next_multiple_of(SLOT_ALIGN)
}

/// Bytes of the file.
pub(crate) fn file_bytes(slot_bytes: u64) -> u64 {
    slot_bytes * u64::from(SLOTS)
}

/// Writes both copies of `block` and syncs them.
pub(crate) fn write<D: Disk>(disk: &mut D, slot_bytes: u64, block: &Superblock) -> Result<(), StoreError> {
    let first = 2 * (block.generation % 2) as u32;
    for slot in [first, first + 1] {
        let bytes = block.encode(slot);
        if bytes.len() as u64 > slot_bytes {
            let max = slot_bytes as usize - SLOT_OVERHEAD;
            return Err(StoreError::SafetyTooLarge { bytes: bytes.len() - SLOT_OVERHEAD, max });
        }
        disk.write(SAFETY_FILE, u64::from(slot) * slot_bytes, &bytes)?;
    }
    Ok(disk.sync(SAFETY_FILE)?)
}

/// Reads the file and chooses the generation that holds.
pub(crate) fn load<D: Disk>(disk: &D) -> Result<Safety, StoreError> {
    let length = disk.length(SAFETY_FILE)?;
    let slot_bytes = length / u64::from(SLOTS);
    if slot_bytes == 0 || length % (SLOT_ALIGN * u64::from(SLOTS)) != 0 {
        // The space is synced before anything is written into it.
        return Err(if is_unfinished(disk)? { StoreError::Empty } else { corrupt(0, "the file has a wrong length") });
    }
    let mut good: Vec<Superblock> = Vec::new();
    let mut first_bad = None;
    let mut damaged = 0;
    let mut bytes = vec![0; slot_bytes as usize];
    for slot in 0..SLOTS {
        let n = disk.read(SAFETY_FILE, u64::from(slot) * slot_bytes, &mut bytes)?;
        match Superblock::decode(slot, &bytes[..n]) {
            Ok(block) => good.push(block),
            Err(_) if bytes[..n].iter().all(|b| *b == 0) => {}
            Err(reason) => {
                damaged += 1;
                first_bad = first_bad.or(Some((u64::from(slot) * slot_bytes, reason)));
            }
        }
    }
    let Some(newest) = good.iter().max_by_key(|block| block.generation).cloned() else {
        if is_unfinished(disk)? {
            return Err(StoreError::Empty);
        }
        let (offset, reason) = first_bad.unwrap_or((0, "all safety records are gone"));
        return Err(corrupt(offset, &format!("no copy of either generation is left; the first: {reason}")));
    };
    let copies: Vec<&Superblock> = good.iter().filter(|block| block.generation == newest.generation).collect();
    if copies.iter().any(|copy| **copy != newest) {
        return Err(corrupt(0, "two copies of one generation differ"));
    }
    Ok(Safety { copies: copies.len() as u32, newest, slot_bytes, damaged })
}

/// Whether the creation of the file was interrupted before it promised anything.
///
/// Creation writes generation 1 and opens the store, which writes generation 2 into the first two slots. So as long
/// as these are empty, nobody has been given a store.
pub(crate) fn is_unfinished<D: Disk>(disk: &D) -> Result<bool, StoreError> {
    let half = disk.length(SAFETY_FILE)? / 2;
    let mut bytes = vec![0; half as usize];
    let n = disk.read(SAFETY_FILE, 0, &mut bytes)?;
    Ok(bytes[..n].iter().all(|b| *b == 0))
}

fn corrupt(offset: u64, reason: &str) -> StoreError {
    StoreError::Corrupt { file: SAFETY_FILE.to_owned(), offset, record: None, reason: reason.to_owned() }
}

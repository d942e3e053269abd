//! The rows, and how one command sees them.
//!
//! Reads fall through to the rows; what is taken, put and closed stays in the [`Overlay`]. Dropping an overlay is the refusal of
//! the command: nothing happened. Finishing it gives a diff and the rows to put in place.

use std::collections::BTreeMap;
use std::ops::Bound;

use thiserror::Error;
use wire::codec::encode_bytes;
use wire::{Decode, DecodeError, Encode, Reader};

use crate::abort::Fault;
use crate::diff::{Bytes, Change, Diff};
use crate::ir::{Lineage, limits};
use crate::types::{Ty, Universe};
use crate::value::{self, Value};

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// Whose table.
    pub lineage: Lineage,
    /// The table; instances of protocol `n` are in [`crate::library::INSTANCES`]` + n`.
    pub table: u16,
    /// The key's canonical bytes.
    pub key: Vec<u8>,
}

impl Encode for RowKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.lineage.encode(out);
        self.table.encode(out);
        encode_bytes(&self.key, out);
    }
}

impl Decode for RowKey {
    const SIZE_MIN: usize = 38;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (lineage, table) = (Lineage::decode(r)?, u16::decode(r)?);
        Ok(RowKey { lineage, table, key: r.bytes("key", limits::VALUE_BYTES_MAX as usize)?.to_vec() })
    }
}

/// A row: its value, and the canonical bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The value.
    pub value: Value,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Row {
    /// The row of a value of a type.
    pub fn new(universe: &Universe, ty: Ty, value: Value) -> Row {
        let bytes = value::to_bytes(universe, ty, &value).into();
        Row { value, bytes }
    }

    /// The row of these bytes.
    ///
    /// # Errors
    /// If they are no value of the type.
    pub fn read(universe: &Universe, ty: Ty, bytes: Bytes) -> Result<Row, DecodeError> {
        Ok(Row { value: value::from_bytes(universe, ty, &bytes)?, bytes })
    }
}

/// The rows of a ledger.
pub trait Rows {
    /// A row.
    fn row(&self, key: &RowKey) -> Option<Row>;

    /// The first keys of a table after this one (or from the start), ascending by their bytes, `limit` at most.
    fn next_keys(&self, lineage: &Lineage, table: u16, after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>>;
}

/// A row written, in decoded form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The type of the table's rows.
    pub ty: Ty,
    /// Before.
    pub before: Option<Row>,
    /// After.
    pub after: Option<Row>,
}

/// Why a diff cannot be applied. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotApplicable {
    /// A row is not as the diff says it was.
    #[error("a row is not what the diff says it was")]
    Before(RowKey),
    /// A table that nobody declared.
    #[error("a change of an unknown table")]
    UnknownTable(RowKey),
    /// Bytes that are no row of their table.
    #[error("a row that is none of its table: {0}")]
    NotARow(DecodeError),
}

/// A key with its first bytes beside it. Most comparisons end there, without a visit to the rest, which lies elsewhere in memory:
/// with many rows that is most of the cost of finding one. Ordered as the bytes are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Zeros where the key is shorter. Equal heads leave it to the bytes, so that the padding decides nothing.
    head: [u64; 3],
    bytes: Box<[u8]>,
}

impl Key {
    fn new(bytes: &[u8]) -> Key {
        let mut padded = [0; 24];
        let len = bytes.len().min(24);
        padded[..len].copy_from_slice(&bytes[..len]);
        let mut head = [0; 3];
        for (word, chunk) in head.iter_mut().zip(padded.chunks_exact(8)) {
            *word = chunk.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        }
        Key { head, bytes: bytes.into() }
    }
}

/// Rows in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Tables apart, so that a lookup compares keys only.
    tables: BTreeMap<(Lineage, u16), BTreeMap<Key, Row>>,
}

impl Memory {
    /// Puts a row in place, or takes one away.
    pub fn set(&mut self, key: RowKey, row: Option<Row>) {
        match row {
            Some(row) => {
                self.tables.entry((key.lineage, key.table)).or_default().insert(Key::new(&key.key), row);
            }
            None => {
                if let Some(table) = self.tables.get_mut(&(key.lineage, key.table)) {
                    table.remove(&Key::new(&key.key));
                    if table.is_empty() {
                        self.tables.remove(&(key.lineage, key.table));
                    }
                }
            }
        }
    }

    /// All rows, by ascending key.
    pub fn iter(&self) -> impl Iterator<Item = (RowKey, &Row)> {
        self.tables.iter().flat_map(|((lineage, table), rows)| {
            rows.iter().map(|(key, row)| (RowKey { lineage: *lineage, table: *table, key: key.bytes.to_vec() }, row))
        })
    }

    /// The rows of a table after a key (or from the start), ascending by their keys' bytes.
    pub fn table_after<'m>(
        &'m self,
        lineage: &Lineage,
        table: u16,
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'m [u8], &'m Row)> + use<'m> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(Key::new(key)));
        let rows = self.tables.get(&(*lineage, table));
        rows.into_iter()
            .flat_map(move |rows| rows.range((from.clone(), Bound::Unbounded)).map(|(key, row)| (&*key.bytes, row)))
    }

    /// How many rows a table has.
    pub fn table_len(&self, lineage: &Lineage, table: u16) -> usize {
        self.tables.get(&(*lineage, table)).map_or(0, BTreeMap::len)
    }

    /// A row.
    pub fn found(&self, key: &RowKey) -> Option<&Row> {
        self.tables.get(&(key.lineage, key.table))?.get(&Key::new(&key.key))
    }

    fn check(&self, diff: &Diff) -> Result<(), NotApplicable> {
        let differs = |c: &&Change| self.found(&c.key).map(|r| &r.bytes) != c.before.as_ref();
        match diff.changes.iter().find(differs) {
            Some(change) => Err(NotApplicable::Before(change.key.clone())),
            None => Ok(()),
        }
    }

    /// Applies a diff. `resolve` gives the type of the rows of a table.
    ///
    /// # Errors
    /// If rows are not as the diff says they were, or would not be rows. Nothing is changed then.
    pub fn apply(
        &mut self,
        universe: &Universe,
        resolve: impl Fn(&Lineage, u16) -> Option<Ty>,
        diff: &Diff,
    ) -> Result<(), NotApplicable> {
        self.check(diff)?;
        let mut rows = Vec::with_capacity(diff.changes.len());
        for Change { key, after, .. } in &diff.changes {
            let ty = resolve(&key.lineage, key.table).ok_or_else(|| NotApplicable::UnknownTable(key.clone()))?;
            let read = |bytes: &Bytes| Row::read(universe, ty, bytes.clone()).map_err(NotApplicable::NotARow);
            rows.push(after.as_ref().map(read).transpose()?);
        }
        diff.changes.iter().zip(rows).for_each(|(change, row)| self.set(change.key.clone(), row));
        Ok(())
    }

    /// Applies a diff that was made here: `writes` are its rows, in order.
    ///
    /// # Errors
    /// If rows are not as the diff says they were. Nothing is changed then.
    pub fn write(&mut self, diff: &Diff, writes: Vec<Write>) -> Result<(), NotApplicable> {
        self.check(diff)?;
        diff.changes.iter().zip(writes).for_each(|(change, write)| self.set(change.key.clone(), write.after));
        Ok(())
    }
}

impl Rows for Memory {
    fn row(&self, key: &RowKey) -> Option<Row> {
        self.found(key).cloned()
    }

    fn next_keys(&self, lineage: &Lineage, table: u16, after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>> {
        let Some(rows) = self.tables.get(&(*lineage, table)) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(Key::new(key)));
        rows.range((from, Bound::Unbounded)).take(limit).map(|(key, _)| key.bytes.to_vec()).collect()
    }
}

/// Where a row is in the course of a command.
#[derive(Debug)]
enum Now {
    /// As it was before.
    Same,
    /// Taken out. Its size when it was.
    Out(u64),
    /// This, of this size.
    There(Value, u64),
    /// There is none any more.
    Gone,
}

#[derive(Debug)]
struct Slot {
    key: RowKey,
    ty: Ty,
    before: Option<Row>,
    now: Now,
}

/// A row as it is found.
pub(crate) enum Found<'o> {
    /// There is none.
    Missing,
    /// It is out.
    Busy,
    /// It is there, and so long.
    There(&'o Value, u64),
}

/// The rows as one command sees them.
pub(crate) struct Overlay<'c> {
    rows: &'c dyn Rows,
    slots: Vec<Slot>,
    /// The places of the slots by key, once there are more than a handful.
    index: BTreeMap<RowKey, usize>,
    /// Slots that scans have looked at.
    scanned: usize,
}

/// Slots that the scans of one command look at, at most. Each goes through all of them, and is charged for its keys only.
const SCANNED_MAX: usize = 1 << 16;

/// Up to so many slots are searched one by one.
const HANDFUL: usize = 8;

impl<'c> Overlay<'c> {
    /// The rows as they are.
    pub fn new(rows: &'c dyn Rows) -> Overlay<'c> {
        Overlay { rows, slots: Vec::with_capacity(4), index: BTreeMap::new(), scanned: 0 }
    }

    /// The number of a row, present or not, of a table whose rows have this type.
    pub fn number(&mut self, key: RowKey, ty: Ty) -> u32 {
        let known = if self.slots.len() <= HANDFUL {
            self.slots.iter().position(|s| s.key == key)
        } else {
            self.index.get(&key).copied()
        };
        let at = known.unwrap_or_else(|| {
            let at = self.slots.len();
            if at == HANDFUL {
                self.index = self.slots.iter().enumerate().map(|(n, s)| (s.key.clone(), n)).collect();
            }
            if at >= HANDFUL {
                self.index.insert(key.clone(), at);
            }
            let before = self.rows.row(&key);
            self.slots.push(Slot { key, ty, before, now: Now::Same });
            at
        });
        at as u32
    }

    /// Bytes of the key.
    pub fn key_size(&self, number: u32) -> u64 {
        self.slots[number as usize].key.key.len() as u64
    }

    /// What is there now.
    pub fn found(&self, number: u32) -> Found<'_> {
        let slot = &self.slots[number as usize];
        match (&slot.now, &slot.before) {
            (Now::Same, None) | (Now::Gone, _) => Found::Missing,
            (Now::Same, Some(row)) => Found::There(&row.value, row.bytes.len() as u64),
            (Now::Out(_), _) => Found::Busy,
            (Now::There(value, size), _) => Found::There(value, *size),
        }
    }

    /// Takes the row out.
    pub fn take(&mut self, number: u32) -> Result<Value, Fault> {
        let slot = &mut self.slots[number as usize];
        let (value, size) = match (std::mem::replace(&mut slot.now, Now::Gone), &slot.before) {
            (Now::Same, Some(row)) => (row.value.clone(), row.bytes.len() as u64),
            (Now::There(value, size), _) => (value, size),
            (Now::Out(size), _) => {
                slot.now = Now::Out(size);
                return Err(Fault::RowBusy);
            }
            (now @ (Now::Same | Now::Gone), _) => {
                slot.now = now;
                return Err(Fault::RowMissing);
            }
        };
        slot.now = Now::Out(size);
        Ok(value)
    }

    /// How long the row was when it was taken.
    pub fn taken_size(&self, number: u32) -> u64 {
        if let Now::Out(size) = self.slots[number as usize].now { size } else { 0 }
    }

    /// The type of the rows of that table.
    pub fn ty(&self, number: u32) -> Ty {
        self.slots[number as usize].ty
    }

    /// Puts a row of this size in place.
    pub fn put(&mut self, number: u32, value: Value, size: u64) {
        self.slots[number as usize].now = Now::There(value, size);
    }

    /// Leaves no row in place.
    pub fn close(&mut self, number: u32) {
        self.slots[number as usize].now = Now::Gone;
    }

    /// The first keys of a table after this one, as of now. Rows that are out count as there.
    ///
    /// # Errors
    /// If the scans of the command have looked at too many rows of its own.
    pub fn next_keys(
        &mut self,
        lineage: &Lineage,
        table: u16,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        self.scanned = self.scanned.saturating_add(self.slots.len());
        if self.scanned > SCANNED_MAX {
            return Err(Fault::OutOfCost(crate::cost::dimension::READS as u8));
        }
        let here = |s: &&Slot| {
            s.key.lineage == *lineage && s.key.table == table && after.is_none_or(|a| s.key.key.as_slice() > a)
        };
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for slot in self.slots.iter().filter(here) {
            match (&slot.before, &slot.now) {
                (Some(_), Now::Gone) => gone.push(&slot.key.key),
                (None, Now::Out(_) | Now::There(..)) => new.push(slot.key.key.clone()),
                _ => {}
            }
        }
        // So many more that enough are left without those that are gone.
        let mut keys = self.rows.next_keys(lineage, table, after, limit + gone.len());
        if !gone.is_empty() {
            gone.sort_unstable();
            keys.retain(|k| gone.binary_search(&k).is_err());
        }
        if !new.is_empty() {
            keys.extend(new);
            keys.sort_unstable();
        }
        keys.truncate(limit);
        Ok(keys)
    }

    /// The changes, ascending, and the rows to write for them.
    pub fn finish(self, universe: &Universe) -> (Vec<Change>, Vec<Write>) {
        let mut changed = Vec::with_capacity(self.slots.len());
        for Slot { key, ty, before, now } in self.slots {
            let after = match now {
                Now::Same => continue,
                Now::There(value, _) => Some(Row::new(universe, ty, value)),
                // The verifier lets no hole stay open.
                Now::Gone | Now::Out(_) => None,
            };
            let old = before.as_ref().map(|r| &r.bytes);
            let new = after.as_ref().map(|r| &r.bytes);
            if old != new {
                let change = Change { key, before: old.cloned(), after: new.cloned() };
                changed.push((change, Write { ty, before, after }));
            }
        }
        changed.sort_unstable_by(|a, b| a.0.key.cmp(&b.0.key));
        changed.into_iter().unzip()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_sort_as_their_bytes(
            a in proptest::collection::vec(0u8..3, 0..30),
            b in proptest::collection::vec(0u8..3, 0..30),
            cut in 0usize..30,
        ) {
            prop_assert_eq!(Key::new(&a).cmp(&Key::new(&b)), a.cmp(&b));
            let prefix = &a[..cut.min(a.len())];
            prop_assert_eq!(Key::new(prefix).cmp(&Key::new(&a)), prefix.cmp(&a[..]));
        }
    }
}

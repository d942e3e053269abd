//! What one command changed: rows with their bytes before and after, those of the ledger's own tables and those of contracts.
//!
//! A diff can be applied (each `before` is checked), inverted, and hashed. Its encoding is a length and the changes in
//! order, each the table, the key, and the two values as optional byte strings; then what contracts did, as [`hopper::diff`]
//! encodes it.

use hopper::diff::Diff as ContractDiff;
use wire::codec::{encode_bytes, encode_length};
use wire::hash::Domain;
use wire::limits::LIST_LEN_MAX;
use wire::{Decode, DecodeError, Encode, Hash, Reader};

use crate::state::Table;

/// Domain of a diff's hash.
pub const DIFF: Domain = Domain("juno/diff/2");

/// Bytes of one key or value that a decoder takes: a module with its proofs fits.
const ROW_BYTES_MAX: usize = 512 * 1024;

/// One row before and after, as canonical bytes; `None` where there is no row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The row's key.
    pub key: Vec<u8>,
    /// Its value before.
    pub before: Option<Vec<u8>>,
    /// Its value after; differs from `before`.
    pub after: Option<Vec<u8>>,
}

/// The changes of one command.
///
/// Invariant: `changes` ascend strictly by (table, key), and none is of table `Rows`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    changes: Vec<Change>,
    contract: ContractDiff,
}

impl Diff {
    /// A diff of these changes, which name each row once.
    pub(crate) fn new(mut changes: Vec<Change>) -> Diff {
        changes.sort_unstable_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
        debug_assert!(changes.is_sorted_by(|a, b| (a.table, &a.key) < (b.table, &b.key)));
        Diff { changes, contract: ContractDiff::default() }
    }

    /// The same, with what a contract did.
    pub(crate) fn with(self, contract: ContractDiff) -> Diff {
        Diff { contract, ..self }
    }

    /// What contracts did: rows, assets minted and burned, events, whose authority was used.
    pub fn contract(&self) -> &ContractDiff {
        &self.contract
    }

    /// The changes of the ledger's own tables, by ascending (table, key).
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// True if nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.contract.is_empty()
    }

    /// The diff that undoes this one.
    pub fn invert(&self) -> Diff {
        let swap = |c: &Change| Change {
            table: c.table,
            key: c.key.clone(),
            before: c.after.clone(),
            after: c.before.clone(),
        };
        Diff { changes: self.changes.iter().map(swap).collect(), contract: self.contract.invert() }
    }

    /// The digest in a receipt.
    pub fn hash(&self) -> Hash {
        let value = |v: &Option<Vec<u8>>| v.as_ref().map_or(1, |v| v.len() + 5);
        let size = |c: &Change| 5 + c.key.len() + value(&c.before) + value(&c.after);
        let mut bytes = Vec::with_capacity(24 + self.changes.iter().map(size).sum::<usize>());
        self.encode(&mut bytes);
        DIFF.hash(&[&bytes])
    }
}

fn encode_value(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            encode_bytes(bytes, out);
        }
    }
}

fn decode_value(r: &mut Reader<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    Ok(if bool::decode(r)? { Some(r.bytes("row", ROW_BYTES_MAX)?.to_vec()) } else { None })
}

impl Encode for Diff {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.changes.len(), out);
        for change in &self.changes {
            change.table.encode(out);
            encode_bytes(&change.key, out);
            encode_value(change.before.as_deref(), out);
            encode_value(change.after.as_deref(), out);
        }
        self.contract.encode(out);
    }
}

impl Decode for Diff {
    const SIZE_MIN: usize = 4 + ContractDiff::SIZE_MIN;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = r.length("changes", 7, LIST_LEN_MAX)?;
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..len {
            let change = Change {
                table: Table::decode(r)?,
                key: r.bytes("key", ROW_BYTES_MAX)?.to_vec(),
                before: decode_value(r)?,
                after: decode_value(r)?,
            };
            let invalid = |why| Err(DecodeError::Invalid { what: "diff", why });
            if changes.last().is_some_and(|last| (last.table, &last.key) >= (change.table, &change.key)) {
                return invalid("changes must be distinct and ascend by table and key");
            }
            if change.table == Table::Rows {
                return invalid("contracts' rows stand apart");
            }
            if change.before == change.after {
                return invalid("a change must change something");
            }
            changes.push(change);
        }
        Ok(Diff { changes, contract: ContractDiff::decode(r)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff() -> Diff {
        let change = |table, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>| Change {
            table,
            key: key.to_vec(),
            before: before.map(<[u8]>::to_vec),
            after: after.map(<[u8]>::to_vec),
        };
        Diff::new(vec![
            change(Table::Quotas, b"b", Some(b"1"), Some(b"2")),
            change(Table::Quotas, b"a", None, Some(b"")),
            change(Table::Parties, b"z", Some(b"1"), None),
        ])
    }

    #[test]
    fn sorted_exact_and_invertible() {
        let diff = diff();
        let keys: Vec<&[u8]> = diff.changes().iter().map(|c| c.key.as_slice()).collect();
        assert_eq!(keys, [b"z", b"a", b"b"]);
        assert_eq!(Diff::from_bytes(&diff.to_bytes()).as_ref(), Ok(&diff));
        assert_eq!(diff.invert().invert(), diff);
        assert_ne!(diff.invert().hash(), diff.hash());
    }

    #[test]
    fn other_orders_are_refused() {
        let mut swapped = diff();
        swapped.changes.swap(1, 2);
        assert!(Diff::from_bytes(&swapped.to_bytes()).is_err());
        let mut idle = diff();
        idle.changes[0].after = idle.changes[0].before.clone();
        assert!(Diff::from_bytes(&idle.to_bytes()).is_err());
    }
}

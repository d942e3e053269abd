//! What one command changed: rows with their bytes before and after, what was minted and burned, what was told, and whose
//! authority was used.
//!
//! A diff can be applied (each `before` is checked), inverted, composed, and hashed.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;
use wire::codec::{encode_bytes, encode_length};
use wire::hash::{Domain, Hasher};
use wire::limits::LIST_LEN_MAX;
use wire::{Decode, DecodeError, Encode, Hash, Name, Reader};

use crate::ir::{Lineage, ModuleId, limits};
use crate::state::{RowKey, Write};
use crate::types::{Kind, Nominal, Ty, Universe};
use crate::value::{self, Value};

/// Domain of a diff's hash.
pub const DIFF: Domain = Domain("hopper/diff/1");

/// Canonical bytes that several own: a row's.
pub type Bytes = Arc<[u8]>;

/// One row before and after, as canonical bytes; `None` where there is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which row.
    pub key: RowKey,
    /// Its value before.
    pub before: Option<Bytes>,
    /// Its value after; differs from `before`.
    pub after: Option<Bytes>,
}

/// What the world was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The version of the module that told it.
    pub module: ModuleId,
    /// Its place among the module's events.
    pub event: u16,
    /// Its fields' canonical bytes, one after the other.
    pub args: Vec<u8>,
}

/// The effect of a command, or of several.
///
/// Changes ascend strictly by key, assets strictly by name, with amounts above 0; parties ascend strictly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Rows.
    pub changes: Vec<Change>,
    /// How much of which asset was made. Things that are not measured count one each.
    pub minted: Vec<(Nominal, u128)>,
    /// How much of which asset was destroyed.
    pub burned: Vec<(Nominal, u128)>,
    /// In order.
    pub events: Vec<Event>,
    /// Parties whose authority was used.
    pub authority: Vec<Name>,
}

/// Two diffs do not follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotComposable {
    /// The second finds a row otherwise than the first leaves it.
    #[error("the second diff does not begin where the first ends")]
    Row,
    /// More was minted or burned than there are numbers.
    #[error("the amounts are too large")]
    Amount,
}

impl Diff {
    /// True if nothing changed and nothing was told.
    pub fn is_empty(&self) -> bool {
        *self == Diff::default()
    }

    /// The diff that undoes this one. What was told is not told again, and nobody's authority is needed.
    pub fn invert(&self) -> Diff {
        let swap = |c: &Change| Change { key: c.key.clone(), before: c.after.clone(), after: c.before.clone() };
        Diff {
            changes: self.changes.iter().map(swap).collect(),
            minted: self.burned.clone(),
            burned: self.minted.clone(),
            events: Vec::new(),
            authority: Vec::new(),
        }
    }

    /// The diff of this one and then `next`. Changes that cancel are dropped.
    ///
    /// # Errors
    /// If `next` does not begin where this one ends.
    pub fn then(&self, next: &Diff) -> Result<Diff, NotComposable> {
        let mut changes = Vec::with_capacity(self.changes.len() + next.changes.len());
        let (mut a, mut b) = (self.changes.iter().peekable(), next.changes.iter().peekable());
        while let Some(first) = a.peek().copied() {
            while let Some(second) = b.next_if(|second| second.key < first.key) {
                changes.push(second.clone());
            }
            a.next();
            match b.next_if(|second| second.key == first.key) {
                None => changes.push(first.clone()),
                Some(second) if second.before != first.after => return Err(NotComposable::Row),
                Some(second) if second.after == first.before => {}
                Some(second) => changes.push(Change { after: second.after.clone(), ..first.clone() }),
            }
        }
        changes.extend(b.cloned());
        let mut authority = [self.authority.as_slice(), &next.authority].concat();
        authority.sort_unstable();
        authority.dedup();
        Ok(Diff {
            changes,
            minted: sum(&self.minted, &next.minted)?,
            burned: sum(&self.burned, &next.burned)?,
            events: [self.events.as_slice(), &next.events].concat(),
            authority,
        })
    }

    /// The digest in a receipt.
    pub fn hash(&self) -> Hash {
        let mut hasher = Hasher::new(DIFF);
        hasher.update(&self.to_bytes());
        hasher.finish()
    }
}

fn sum(a: &[(Nominal, u128)], b: &[(Nominal, u128)]) -> Result<Vec<(Nominal, u128)>, NotComposable> {
    let mut sums: BTreeMap<Nominal, u128> = a.iter().copied().collect();
    for (asset, amount) in b {
        let held = sums.entry(*asset).or_default();
        *held = held.checked_add(*amount).ok_or(NotComposable::Amount)?;
    }
    Ok(sums.into_iter().collect())
}

// ---- codec

fn encode_row(row: Option<&[u8]>, out: &mut Vec<u8>) {
    match row {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            encode_bytes(bytes, out);
        }
    }
}

fn decode_row(r: &mut Reader<'_>) -> Result<Option<Bytes>, DecodeError> {
    Ok(if bool::decode(r)? { Some(r.bytes("row", limits::VALUE_BYTES_MAX as usize)?.into()) } else { None })
}

fn encode_amounts(amounts: &[(Nominal, u128)], out: &mut Vec<u8>) {
    encode_length(amounts.len(), out);
    for (asset, amount) in amounts {
        asset.lineage.encode(out);
        asset.index.encode(out);
        amount.encode(out);
    }
}

fn ascending<T: Ord>(items: impl Iterator<Item = T> + Clone, why: &'static str) -> Result<(), DecodeError> {
    if items.clone().zip(items.skip(1)).all(|(a, b)| a < b) {
        Ok(())
    } else {
        Err(DecodeError::Invalid { what: "diff", why })
    }
}

fn decode_amounts(r: &mut Reader<'_>) -> Result<Vec<(Nominal, u128)>, DecodeError> {
    let len = r.length("amounts", 50, LIST_LEN_MAX)?;
    let mut amounts = Vec::new();
    for _ in 0..len {
        let asset = Nominal { lineage: Lineage::decode(r)?, index: u16::decode(r)? };
        amounts.push((asset, u128::decode(r)?));
    }
    ascending(amounts.iter().map(|a| a.0), "assets must be distinct and ascend")?;
    if amounts.iter().any(|a| a.1 == 0) {
        return Err(DecodeError::Invalid { what: "diff", why: "an amount must not be zero" });
    }
    Ok(amounts)
}

impl Encode for Diff {
    fn encode(&self, out: &mut Vec<u8>) {
        let row = |row: &Option<Bytes>| row.as_ref().map_or(1, |r| 5 + r.len());
        out.reserve(
            64 + self.changes.iter().map(|c| 38 + c.key.key.len() + row(&c.before) + row(&c.after)).sum::<usize>(),
        );
        encode_length(self.changes.len(), out);
        for change in &self.changes {
            change.key.encode(out);
            encode_row(change.before.as_deref(), out);
            encode_row(change.after.as_deref(), out);
        }
        encode_amounts(&self.minted, out);
        encode_amounts(&self.burned, out);
        encode_length(self.events.len(), out);
        for event in &self.events {
            event.module.encode(out);
            event.event.encode(out);
            encode_bytes(&event.args, out);
        }
        self.authority.encode(out);
    }
}

impl Decode for Diff {
    const SIZE_MIN: usize = 20;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = r.length("changes", 40, LIST_LEN_MAX)?;
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..len {
            let change = Change { key: RowKey::decode(r)?, before: decode_row(r)?, after: decode_row(r)? };
            if change.before == change.after {
                return Err(DecodeError::Invalid { what: "diff", why: "a change must change something" });
            }
            changes.push(change);
        }
        ascending(changes.iter().map(|c| &c.key), "changes must be distinct and ascend")?;
        let (minted, burned) = (decode_amounts(r)?, decode_amounts(r)?);
        let len = r.length("events", 38, LIST_LEN_MAX)?;
        let mut events = Vec::new();
        for _ in 0..len {
            let (module, event) = (ModuleId::decode(r)?, u16::decode(r)?);
            events.push(Event { module, event, args: r.bytes("event", limits::VALUE_BYTES_MAX as usize)?.to_vec() });
        }
        let authority: Vec<Name> = r.list("authority", LIST_LEN_MAX)?;
        ascending(authority.iter(), "parties must be distinct and ascend")?;
        Ok(Diff { changes, minted, burned, events, authority })
    }
}

// ---- conservation

/// A diff under which assets appear or vanish. With verified code there is none; a ledger checks every diff all the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotConserved {
    /// A row of a table that nobody declared.
    #[error("a change of an unknown table")]
    UnknownTable,
    /// Bytes that are no row of their table.
    #[error("a row that is none of its table: {0}")]
    NotARow(DecodeError),
    /// More after than before and minted, or less.
    #[error("asset {} of lineage {} is not conserved", .0.index, .0.lineage.0.short())]
    Asset(Nominal),
    /// The sum of an asset is above all numbers.
    #[error("the amounts are too large")]
    Amount,
}

/// Sums of assets before and after.
#[derive(Default)]
struct Sums(Vec<(Nominal, [u128; 2])>);

impl Sums {
    fn add(&mut self, asset: Nominal, side: usize, amount: u128) -> Result<(), NotConserved> {
        let at = match self.0.iter().position(|s| s.0 == asset) {
            Some(at) => at,
            None => {
                self.0.push((asset, [0, 0]));
                self.0.len() - 1
            }
        };
        let sum = &mut self.0[at].1[side];
        *sum = sum.checked_add(amount).ok_or(NotConserved::Amount)?;
        Ok(())
    }

    /// Adds what is in a value of a type.
    fn count(&mut self, universe: &Universe, ty: Ty, value: &Value, side: usize) -> Result<(), NotConserved> {
        if !universe.info(ty).holds_asset {
            return Ok(());
        }
        let mut todo = vec![(ty, value)];
        while let Some((ty, value)) = todo.pop() {
            let mut visit = |ty: Ty, value| {
                if universe.info(ty).holds_asset {
                    todo.push((ty, value));
                }
            };
            match (universe.kind(ty), value) {
                (Kind::Option(of), Value::Variant(_, fields)) => fields.iter().for_each(|v| visit(*of, v)),
                (Kind::Enum(_, _, variants), Value::Variant(variant, fields)) => {
                    if let Some(shape) = variants.get(usize::from(*variant)) {
                        shape.fields.iter().zip(fields.iter()).for_each(|(f, v)| visit(f.1, v));
                    }
                }
                (Kind::List(of, _), Value::List(items)) => items.iter().for_each(|v| visit(*of, v)),
                (Kind::Map(_, of, _), Value::Map(entries)) => entries.values().for_each(|v| visit(*of, v)),
                (Kind::Tuple(types), Value::Fields(fields)) => {
                    types.iter().zip(fields.iter()).for_each(|(t, v)| visit(*t, v));
                }
                (Kind::Record(_, shape), Value::Fields(fields)) => {
                    shape.fields.iter().zip(fields.iter()).for_each(|(f, v)| visit(f.1, v));
                }
                (Kind::Asset { of, shape, measured, .. }, Value::Fields(fields)) => {
                    shape.fields.iter().zip(fields.iter()).for_each(|(f, v)| visit(f.1, v));
                    let amount = if *measured { fields.first().and_then(Value::int).unwrap_or(0) } else { 1 };
                    self.add(*of, side, amount.unsigned_abs())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// After and burned must be before and minted.
    fn check(mut self, diff: &Diff) -> Result<(), NotConserved> {
        for (asset, amount) in &diff.minted {
            self.add(*asset, 0, *amount)?;
        }
        for (asset, amount) in &diff.burned {
            self.add(*asset, 1, *amount)?;
        }
        match self.0.iter().find(|(_, [before, after])| before != after) {
            Some((asset, _)) => Err(NotConserved::Asset(*asset)),
            None => Ok(()),
        }
    }
}

/// Checks that of each asset as much more is in the rows after as was minted, less what was burned. `resolve` gives the type of
/// the rows of a table.
///
/// # Errors
/// If that is not so, or bytes are no row.
pub fn check_conservation(
    universe: &Universe,
    resolve: impl Fn(&Lineage, u16) -> Option<Ty>,
    diff: &Diff,
) -> Result<(), NotConserved> {
    let mut sums = Sums::default();
    for change in &diff.changes {
        let ty = resolve(&change.key.lineage, change.key.table).ok_or(NotConserved::UnknownTable)?;
        for (side, bytes) in [&change.before, &change.after].into_iter().enumerate() {
            if let Some(bytes) = bytes {
                let row = value::from_bytes(universe, ty, bytes).map_err(NotConserved::NotARow)?;
                sums.count(universe, ty, &row, side)?;
            }
        }
    }
    sums.check(diff)
}

/// The same for rows that are decoded already: `writes` are those of the diff, in order.
///
/// # Errors
/// If assets are not conserved.
pub fn check_writes(universe: &Universe, writes: &[Write], diff: &Diff) -> Result<(), NotConserved> {
    let mut sums = Sums::default();
    for write in writes {
        for (side, row) in [&write.before, &write.after].into_iter().enumerate() {
            if let Some(row) = row {
                sums.count(universe, write.ty, &row.value, side)?;
            }
        }
    }
    sums.check(diff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> RowKey {
        RowKey { lineage: Lineage(Hash::of(&[n % 2])), table: u16::from(n % 3), key: vec![n] }
    }

    /// Rows by their number; absent if not there.
    type Rows = BTreeMap<u8, u8>;

    fn rows() -> impl Strategy<Value = Rows> {
        proptest::collection::btree_map(0u8..12, 0u8..3, 0..8)
    }

    fn between(a: &Rows, b: &Rows, amount: u128) -> Diff {
        let bytes = |n: Option<&u8>| n.map(|n| Bytes::from(vec![*n; usize::from(*n)]));
        let mut changes: Vec<Change> = (0u8..12)
            .map(|n| Change { key: key(n), before: bytes(a.get(&n)), after: bytes(b.get(&n)) })
            .filter(|c| c.before != c.after)
            .collect();
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        let asset = |index| Nominal { lineage: Lineage(Hash::ZERO), index };
        let some = |index: u16, n: u128| if n == 0 { vec![] } else { vec![(asset(index), n)] };
        Diff {
            changes,
            minted: some(1, amount),
            burned: some((amount % 3) as u16, amount / 2),
            events: vec![Event { module: ModuleId(Hash::ZERO), event: 3, args: amount.to_bytes() }],
            authority: vec![Name::new(&format!("p{}", amount % 4)).unwrap()],
        }
    }

    proptest! {
        #[test]
        fn laws(a in rows(), b in rows(), c in rows(), d in rows(), n in 0u128..9) {
            let (x, y, z) = (between(&a, &b, n), between(&b, &c, n + 1), between(&c, &d, n / 2));
            prop_assert_eq!(Diff::from_bytes(&x.to_bytes()), Ok(x.clone()));
            let xy = x.then(&y).unwrap();
            prop_assert_eq!(xy.then(&z).unwrap(), x.then(&y.then(&z).unwrap()).unwrap());
            prop_assert_eq!(&xy.changes, &between(&a, &c, 0).changes);
            prop_assert_eq!(Diff::from_bytes(&xy.to_bytes()), Ok(xy));
            prop_assert_eq!(x.invert().changes, between(&b, &a, 0).changes);
            prop_assert!(x.then(&x.invert()).unwrap().changes.is_empty());
            prop_assert_eq!(x.then(&Diff::default()).unwrap(), x.clone());
            if !x.changes.is_empty() {
                prop_assert_eq!(x.then(&x), Err(NotComposable::Row));
                prop_assert_ne!(x.hash(), x.invert().hash());
            }
        }

        #[test]
        fn what_is_read_is_what_was_written(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in any::<u8>()) {
            if let Ok(diff) = Diff::from_bytes(&bytes) {
                prop_assert_eq!(diff.to_bytes(), bytes);
            }
            let whole = between(&[(1, 1), (2, 0)].into(), &[(2, 2)].into(), 5).to_bytes();
            prop_assert!(Diff::from_bytes(&whole[..usize::from(cut) % whole.len()]).is_err());
        }
    }

    #[test]
    fn other_orders_are_refused() {
        let good = between(&Rows::new(), &[(1, 1), (2, 2)].into(), 5);
        let refused = |change: fn(&mut Diff)| {
            let mut diff = good.clone();
            change(&mut diff);
            assert!(Diff::from_bytes(&diff.to_bytes()).is_err());
        };
        refused(|d| d.changes.swap(0, 1));
        refused(|d| d.changes[0].after = None);
        refused(|d| d.minted[0].1 = 0);
        refused(|d| d.minted.push(d.minted[0]));
        refused(|d| d.authority.push(d.authority[0].clone()));
    }
}

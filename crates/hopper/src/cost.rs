//! What operations cost, in six dimensions.
//!
//! An operation costs a step, and one more for each operand; dearer ones say so below. What depends on the size of an operand
//! is a [`PerUnit`]; for a type whose values all have one size it is part of the base. What depends on rows is known when they
//! are found; [`Charge::rows`] says how much it is at most. So the meter never shows more than a bound made of charges.
//!
//! These numbers are version 0 of the table of costs. Changing one changes what replicas agree on.

use wire::{Decode, DecodeError, Encode, Reader};

use crate::abort::Fault;
use crate::ir::{End, Function, FunctionKind, Guard, GuardNode, Linear, Measure as Quantity, Op, Prop, Relation, Var};
use crate::library::TableInfo;
use crate::types::{Kind, Ty, Universe};

/// A cost: `[steps, reads, read bytes, writes, write bytes, crypto]`. Sums saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cost(pub [u64; 6]);

impl Encode for Cost {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|n| n.encode(out));
    }
}

impl Decode for Cost {
    const SIZE_MIN: usize = 48;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut cost = Cost::ZERO;
        for n in &mut cost.0 {
            *n = u64::decode(r)?;
        }
        Ok(cost)
    }
}

/// Places in a [`Cost`].
pub mod dimension {
    /// Interpreter steps; about 10 ns each.
    pub const STEPS: usize = 0;
    /// Rows looked up.
    pub const READS: usize = 1;
    /// Bytes of rows read.
    pub const READ_BYTES: usize = 2;
    /// Rows written.
    pub const WRITES: usize = 3;
    /// Bytes of rows written, and of events.
    pub const WRITE_BYTES: usize = 4;
    /// Steps of cryptography.
    pub const CRYPTO: usize = 5;
}

impl Cost {
    /// Nothing.
    pub const ZERO: Cost = Cost([0; 6]);

    /// The sum, saturating.
    pub fn plus(self, other: Cost) -> Cost {
        let mut sum = self;
        for (a, b) in sum.0.iter_mut().zip(other.0) {
            *a = a.saturating_add(b);
        }
        sum
    }

    /// The smaller of both in each dimension.
    pub fn min(self, other: Cost) -> Cost {
        Cost(std::array::from_fn(|n| self.0[n].min(other.0[n])))
    }

    /// True if no dimension is above that of `limit`.
    pub fn within(&self, limit: &Cost) -> bool {
        self.0.iter().zip(limit.0).all(|(a, b)| *a <= b)
    }
}

/// What of an operand a charge depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The length of its canonical bytes.
    Bytes,
    /// Elements, entries, bytes of a text.
    Length,
}

/// `times * measure(var) / per`, rounded up, in one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerUnit {
    /// The operand.
    pub var: Var,
    /// Its type. `None` where the declaration says it: of a parameter on entry, of an error's field on abort.
    pub ty: Option<Ty>,
    /// What of it.
    pub measure: Measure,
    /// In which dimension.
    pub dimension: usize,
    /// Times.
    pub times: u64,
    /// Divided by; at least 1.
    pub per: u64,
}

/// What one operation costs, but for the blocks inside it and the function it calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charge {
    /// In any case.
    pub base: Cost,
    /// Depending on operands; charged before the work. Those of `Check` are charged if it aborts only.
    pub operands: Vec<PerUnit>,
    /// At most so much more for the rows that it looks up or writes; what they really cost is known, and charged, when they are found.
    pub rows: Cost,
}

/// Bytes of a row or key that the meter counts at most: there are no longer ones.
fn stored_max(universe: &Universe, ty: Ty) -> u64 {
    universe.info(ty).bytes_max.min(crate::ir::limits::VALUE_BYTES_MAX)
}

/// A call, without its arguments.
const CALL: u64 = 4;
/// A node of a guard.
const GUARD_NODE: u64 = 5;
/// A multiplication with 256 bits.
const WIDE: u64 = 6;
/// A digest, without its bytes.
const HASH: u64 = 20;
/// A digest, for every 64 bytes.
const HASH_BLOCK: u64 = 3;
/// An Ed25519 signature, without the message's bytes.
const SIGNATURE: u64 = 4500;
/// An event, without its bytes.
const EVENT: u64 = 20;
/// A key found by a scan.
pub(crate) const SCAN_KEY: u64 = 30;

/// What a charge depends on beside the operation.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// The types.
    pub universe: &'k Universe,
    /// The types of the variables in scope before the operation.
    pub vars: &'k [Ty],
    /// [`crate::library::OpInfo::ty`].
    pub ty: Ty,
    /// The module's tables.
    pub tables: &'k [TableInfo],
    /// Those of its instances.
    pub protocols: &'k [TableInfo],
}

impl Charge {
    fn steps(n: u64) -> Charge {
        let mut charge = Charge::default();
        charge.add(dimension::STEPS, n);
        charge
    }

    fn add(&mut self, dimension: usize, n: u64) {
        self.base.0[dimension] = self.base.0[dimension].saturating_add(n);
    }

    fn more(&mut self, dimension: usize, n: u64) {
        self.rows.0[dimension] = self.rows.0[dimension].saturating_add(n);
    }

    fn length(&mut self, var: Var, dimension: usize, times: u64, per: u64) {
        self.operands.push(PerUnit { var, ty: None, measure: Measure::Length, dimension, times, per });
    }

    fn bytes(&mut self, known: &Known<'_>, var: Var, dimension: usize, times: u64, per: u64) {
        let Some(ty) = known.vars.get(usize::from(var)).copied() else { return };
        let info = known.universe.info(ty);
        if info.fixed {
            self.add(dimension, info.bytes_max.saturating_mul(times).div_ceil(per));
        } else {
            self.operands.push(PerUnit { var, ty: Some(ty), measure: Measure::Bytes, dimension, times, per });
        }
    }

    fn undeclared(&mut self, var: Var, dimension: usize, times: u64, per: u64) {
        self.operands.push(PerUnit { var, ty: None, measure: Measure::Bytes, dimension, times, per });
    }

    fn guard(&mut self, guard: &Guard) {
        self.add(dimension::STEPS, GUARD_NODE.saturating_mul(guard.len() as u64));
        let party =
            |n: &&GuardNode| matches!(n, GuardNode::Party { .. } | GuardNode::Role { .. } | GuardNode::IfSome { .. });
        self.add(dimension::READS, guard.iter().filter(party).count() as u64);
    }

    /// A row looked up.
    fn read(&mut self, known: &Known<'_>, table: &TableInfo, row: bool) {
        self.add(dimension::READS, 1);
        let row = if row { stored_max(known.universe, table.row) } else { 0 };
        self.more(dimension::READ_BYTES, stored_max(known.universe, table.key).saturating_add(row));
    }

    /// A row written, `times` of it counted: before and after.
    fn write(&mut self, known: &Known<'_>, key: u64, row: Ty, times: u64) {
        self.add(dimension::WRITES, 1);
        self.more(dimension::WRITE_BYTES, stored_max(known.universe, row).saturating_mul(times).saturating_add(key));
    }

    fn props(&mut self, props: &[Prop]) {
        for prop in props {
            match prop {
                Prop::AtMostZero { linear } | Prop::Zero { linear } => self.linear(linear),
                Prop::Same { a, b } | Prop::Differ { a, b } => {
                    self.add(dimension::STEPS, 3);
                    self.undeclared(a.var, dimension::STEPS, 1, 16);
                    self.undeclared(b.var, dimension::STEPS, 1, 16);
                }
            }
        }
    }

    fn linear(&mut self, linear: &Linear) {
        self.add(dimension::STEPS, 1 + linear.terms.len() as u64);
        for term in &linear.terms {
            if let Quantity::Sum(_) = term.measure {
                // As many numbers as elements, each of a byte at least.
                self.undeclared(term.place.var, dimension::STEPS, 1, 1);
            }
        }
    }
}

/// What an operation costs, but for the blocks inside it and the function it calls.
#[allow(clippy::too_many_lines, reason = "one arm for each operation, in the order of the list")]
pub fn charge(op: &Op, known: &Known<'_>) -> Charge {
    use dimension::{CRYPTO, STEPS, WRITE_BYTES, WRITES};
    let mut charge = Charge::steps(1 + op.operands().len() as u64);
    let key_max = |info: &TableInfo| stored_max(known.universe, info.key);
    let table = |n: u16| known.tables.get(usize::from(n));
    let protocol = |n: u16| known.protocols.get(usize::from(n));
    match op {
        Op::MulDiv { .. } | Op::Share { .. } => charge.add(STEPS, WIDE),
        Op::Compare { op: Relation::Equal | Relation::NotEqual, a, b } => {
            charge.bytes(known, *a, STEPS, 1, 16);
            charge.bytes(known, *b, STEPS, 1, 16);
        }
        Op::Concat { a, b, .. } => {
            let list = matches!(known.universe.kind(known.ty), Kind::List(..));
            for v in [a, b] {
                charge.length(*v, STEPS, 1, if list { 2 } else { 16 });
            }
        }
        Op::Slice { a, .. } => {
            let list = matches!(known.universe.kind(known.ty), Kind::List(..));
            charge.length(*a, STEPS, 1, if list { 2 } else { 16 });
        }
        Op::Get { place } => charge.add(STEPS, place.path.len() as u64),
        Op::Unpack { .. } | Op::With { .. } => {
            charge.add(STEPS, known.universe.fields(known.ty).map_or(0, |f| f.len() as u64));
        }
        Op::Check { args, .. } => {
            for v in args {
                charge.bytes(known, *v, STEPS, 1, 16);
            }
        }
        // A list or map that is seen elsewhere, too, is copied.
        Op::Push { list, .. } => charge.length(*list, STEPS, 1, 2),
        Op::MapPut { map, key, .. } | Op::MapTake { map, key } => {
            charge.length(*map, STEPS, 2, 1);
            charge.bytes(known, *key, STEPS, 1, 4);
        }
        Op::MapGet { key, .. } | Op::MapHas { key, .. } => charge.bytes(known, *key, STEPS, 1, 4),
        Op::Fold { over, .. } => charge.length(*over, STEPS, 1, 2),
        Op::Call { .. } => charge.add(STEPS, CALL - 1),
        Op::Hash { a, .. } => {
            charge.add(CRYPTO, HASH);
            charge.length(*a, CRYPTO, HASH_BLOCK, 64);
        }
        Op::VerifySignature { message, .. } => {
            charge.add(CRYPTO, SIGNATURE);
            charge.length(*message, CRYPTO, HASH_BLOCK, 64);
        }
        Op::Authority { guard } | Op::Require { guard } => charge.guard(guard),
        Op::Take { table: t, .. } | Op::Has { table: t, .. } | Op::Peek { table: t, .. } => {
            if let Some(info) = table(*t) {
                charge.read(known, info, true);
            }
        }
        Op::Put { hole, .. } | Op::Close { hole } => {
            let key = match known.vars.get(usize::from(*hole)).map(|ty| known.universe.kind(*ty)) {
                Some(Kind::RowHole(of)) => table(of.index).map_or(0, key_max),
                _ => 0,
            };
            charge.write(known, key, known.ty, if matches!(op, Op::Put { .. }) { 2 } else { 1 });
        }
        Op::Insert { table: t, .. } => {
            if let Some(info) = table(*t) {
                charge.read(known, info, false);
                charge.write(known, key_max(info), info.row, 1);
            }
        }
        Op::Scan { table: t, .. } => {
            if let Some(info) = table(*t) {
                charge.read(known, info, false);
                let found = match known.universe.kind(known.ty) {
                    Kind::List(_, max) => u64::from(*max),
                    _ => 0,
                };
                charge.more(STEPS, found.saturating_mul(SCAN_KEY));
                charge.more(dimension::READS, found);
                charge.more(dimension::READ_BYTES, found.saturating_mul(key_max(info)));
            }
        }
        Op::Start { protocol: p, .. } => {
            // The new id is a digest.
            charge.add(CRYPTO, HASH + HASH_BLOCK);
            if let Some(info) = protocol(*p) {
                charge.write(known, key_max(info), info.row, 1);
            }
        }
        Op::Enter { protocol: p, .. } => {
            if let Some(info) = protocol(*p) {
                charge.read(known, info, true);
                charge.add(
                    STEPS,
                    known.universe.variants(info.row).map_or(0, |v| v.iter().map(Vec::len).max().unwrap_or(0) as u64),
                );
            }
        }
        Op::Become { .. } => charge.write(known, 32, known.ty, 2),
        Op::Emit { args, .. } => {
            charge.add(STEPS, EVENT);
            for v in args {
                charge.bytes(known, *v, STEPS, 1, 16);
                charge.bytes(known, *v, WRITE_BYTES, 1, 1);
            }
        }
        Op::Split { .. } | Op::Join { .. } | Op::Zero { .. } | Op::Mint { .. } | Op::Create { .. } => {
            charge.add(STEPS, known.universe.fields(known.ty).map_or(0, |f| f.len() as u64));
            if let Op::Join { a, b } = op {
                charge.bytes(known, *a, STEPS, 1, 16);
                charge.bytes(known, *b, STEPS, 1, 16);
            }
        }
        _ => {}
    }
    debug_assert!(charge.operands.iter().all(|u| u.per > 0));
    debug_assert!(charge.base.0[WRITES] <= 1);
    charge
}

/// What entering a function costs as a command or view, before its body. The sizes of its parameters are its operands.
pub fn entry(function: &Function) -> Charge {
    if !matches!(function.kind, FunctionKind::Action | FunctionKind::View) {
        // What a caller proves costs nothing, and the call itself was charged there.
        return Charge::default();
    }
    let mut charge = Charge::steps(CALL + function.params.len() as u64);
    // Arguments are read, and held against the invariants of their types.
    for n in 0..function.params.len() {
        charge.undeclared(n as Var, dimension::STEPS, 1, 4);
    }
    charge.guard(&function.by);
    charge.props(&function.requires);
    charge
}

/// What the end of a block costs.
pub fn end(end: &End) -> Charge {
    match end {
        End::Yield { vars } => Charge::steps(1 + vars.len() as u64),
        End::Abort { args, .. } => {
            let mut charge = Charge::steps(1 + args.len() as u64);
            for v in args {
                charge.undeclared(*v, dimension::STEPS, 1, 16);
            }
            charge
        }
    }
}

/// What each round of a loop with so many accumulators costs beside its block.
pub fn round(accumulators: usize) -> Charge {
    Charge::steps(1 + accumulators as u64)
}

/// What was spent, and how much may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    spent: Cost,
    limit: Cost,
}

impl Meter {
    /// Nothing spent yet.
    pub fn new(limit: Cost) -> Meter {
        Meter { spent: Cost::ZERO, limit }
    }

    /// What was spent; never above the limit.
    pub fn spent(&self) -> Cost {
        self.spent
    }

    /// What may still be spent in a dimension.
    pub fn left(&self, dimension: usize) -> u64 {
        self.limit.0[dimension] - self.spent.0[dimension]
    }

    /// Spends.
    ///
    /// # Errors
    /// `OutOfCost` with the first dimension in which that is too much. Nothing is spent then.
    #[inline]
    pub fn charge(&mut self, cost: &Cost) -> Result<(), Fault> {
        let sum = self.spent.plus(*cost);
        if !sum.within(&self.limit) {
            let at = (0..6).find(|n| sum.0[*n] > self.limit.0[*n]).unwrap_or(0);
            return Err(Fault::OutOfCost(at as u8));
        }
        self.spent = sum;
        Ok(())
    }

    /// Spends in one dimension.
    ///
    /// # Errors
    /// As [`Meter::charge`].
    #[inline]
    pub fn charge_one(&mut self, dimension: usize, n: u64) -> Result<(), Fault> {
        if n > self.left(dimension) {
            return Err(Fault::OutOfCost(dimension as u8));
        }
        self.spent.0[dimension] += n;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_stops_at_its_limit() {
        let mut meter = Meter::new(Cost([10, 1, 0, 0, 0, 0]));
        assert_eq!(meter.charge(&Cost([9, 1, 0, 0, 0, 0])), Ok(()));
        assert_eq!(meter.charge(&Cost([2, 1, 0, 0, 0, 0])), Err(Fault::OutOfCost(0)));
        assert_eq!(meter.charge(&Cost([1, 1, 0, 0, 0, 0])), Err(Fault::OutOfCost(1)));
        assert_eq!(meter.charge_one(5, 1), Err(Fault::OutOfCost(5)));
        assert_eq!(meter.charge(&Cost([u64::MAX; 6])), Err(Fault::OutOfCost(0)));
        assert_eq!(meter.charge_one(0, 1), Ok(()));
        assert_eq!(meter.spent(), Cost([10, 1, 0, 0, 0, 0]));
    }
}

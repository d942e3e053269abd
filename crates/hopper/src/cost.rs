//! What operations cost, in six dimensions. (Written together with the evaluators; the interface is fixed.)

use crate::ir::Var;

/// A cost: `[steps, reads, read bytes, writes, write bytes, crypto]`. Sums saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cost(pub [u64; 6]);

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
    /// Depending on operands; charged before the work.
    pub operands: Vec<PerUnit>,
    /// At most so much more for the rows that it looks up or writes; what they really cost is known, and charged, when they are found.
    pub rows: Cost,
}

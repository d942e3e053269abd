//! Rules with one taken out: the planted faults. They exist here and nowhere else.

use std::cell::Cell;

/// A rule that can be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removed {
    /// One of ordering.
    Ordering(consensus::Rule),
    /// One of the ledger.
    Ledger(ledger::Rule),
    /// Clients believe a result only when nodes of weight above F agree on it.
    ClientsCount,
}

thread_local! {
    static REMOVED: Cell<Option<Removed>> = const { Cell::new(None) };
}

/// All rules but the one that [`without`] took out on this thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutant;

impl consensus::Rules for Mutant {
    fn holds(rule: consensus::Rule) -> bool {
        REMOVED.get() != Some(Removed::Ordering(rule))
    }
}

impl ledger::Rules for Mutant {
    fn keeps(rule: ledger::Rule) -> bool {
        REMOVED.get() != Some(Removed::Ledger(rule))
    }
}

/// Runs `work` with a rule taken out of [`Mutant`] on this thread.
pub fn without<T>(rule: Removed, work: impl FnOnce() -> T) -> T {
    let before = REMOVED.replace(Some(rule));
    let result = work();
    REMOVED.set(before);
    result
}

//! The rules a replica runs under: those of ordering and those of the ledger.

/// Both sets of rules. Whoever has both has this.
pub trait Rules: consensus::Rules + ledger::Rules {}

impl<R: consensus::Rules + ledger::Rules> Rules for R {}

/// All rules, as the product runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standard;

impl consensus::Rules for Standard {
    #[inline(always)]
    fn holds(_: consensus::Rule) -> bool {
        true
    }
}

impl ledger::Rules for Standard {
    #[inline(always)]
    fn keeps(_: ledger::Rule) -> bool {
        true
    }
}

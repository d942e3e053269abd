//! The rules that a simulator takes out one by one, to see that its checks notice.
//!
//! [`Standard`] keeps all of them and is the only implementation outside the simulator; with it every question asked here
//! is a constant.

/// A rule that the ledger's promises rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// At most one command takes effect per (party, session, sequence).
    AtMostOnce,
    /// No command takes effect in a block whose time is above its expiry.
    Expiry,
    /// A balance falls only if the guard of the account's owner is satisfied by the command's signers.
    OwnerSigns,
}

impl Rule {
    /// All of them.
    pub const ALL: &[Rule] = &[Rule::AtMostOnce, Rule::Expiry, Rule::OwnerSigns];
}

/// Which rules are in force.
pub trait Rules {
    /// True if `rule` is in force.
    fn keeps(rule: Rule) -> bool;
}

/// All rules, as the product runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standard;

impl Rules for Standard {
    #[inline(always)]
    fn keeps(_: Rule) -> bool {
        true
    }
}

//! What clients may still ask about: commands under way, and the newest results. All bounded; what falls out is found
//! in the ledger's own results, without its diff.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use ledger::Diff;
use wire::{CommandId, Outcome, Receipt, Time};

use crate::node::limits::{PENDING_COMMANDS_MAX, RECENT_BYTES_MAX, RECENT_COMMANDS_MAX};

/// How a command ended, as far as this node has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was ordered and executed.
    Executed {
        /// What became of it.
        receipt: Box<Receipt>,
        /// What it changed.
        diff: Box<Diff>,
        /// The time of its block.
        time: Time,
    },
    /// It will never be ordered as it stands.
    Refused(Outcome),
}

impl Fate {
    /// Memory it takes, roughly.
    fn bytes(&self) -> usize {
        let map_and_queue = 160;
        map_and_queue
            + match self {
                Fate::Refused(outcome) => outcome.text.len(),
                Fate::Executed { receipt, diff, .. } => {
                    let value = |v: &Option<Vec<u8>>| v.as_ref().map_or(0, Vec::len);
                    let row = |c: &ledger::Change| 80 + c.key.len() + value(&c.before) + value(&c.after);
                    let value = |v: &Option<hopper::diff::Bytes>| v.as_ref().map_or(0, |v| v.len());
                    let contract = diff.contract();
                    let contract_row =
                        |c: &hopper::diff::Change| 140 + c.key.key.len() + value(&c.before) + value(&c.after);
                    let told: usize = contract.events.iter().map(|e| 64 + e.args.len()).sum();
                    let amounts = 64 * (contract.minted.len() + contract.burned.len() + contract.authority.len());
                    200 + receipt.outcome.text.len()
                        + receipt.result.len()
                        + diff.changes().iter().map(row).sum::<usize>()
                        + contract.changes.iter().map(contract_row).sum::<usize>()
                        + told
                        + amounts
                }
            }
    }
}

/// The newest fates.
///
/// Invariant: `order` names exactly the keys of `fates`, oldest first; `bytes` is the sum of their sizes.
#[derive(Debug, Default)]
pub struct Recent {
    fates: HashMap<CommandId, Arc<Fate>>,
    order: VecDeque<CommandId>,
    bytes: usize,
}

impl Recent {
    /// The fate of a command, if it is among the newest.
    pub fn get(&self, id: &CommandId) -> Option<&Arc<Fate>> {
        self.fates.get(id)
    }

    /// Adds a fate. A first execution stands: a repetition of the same command does not replace it, but a refusal
    /// gives way to an execution.
    pub fn insert(&mut self, id: CommandId, fate: Fate) {
        let size = fate.bytes();
        match self.fates.get_mut(&id) {
            Some(old) if matches!(**old, Fate::Executed { .. }) => return,
            Some(old) => {
                self.bytes = self.bytes - old.bytes() + size;
                *old = Arc::new(fate);
            }
            None => {
                self.bytes += size;
                self.fates.insert(id, Arc::new(fate));
                self.order.push_back(id);
            }
        }
        while self.order.len() > RECENT_COMMANDS_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(fate) = self.fates.remove(&oldest) {
                self.bytes -= fate.bytes();
            }
        }
    }
}

/// Commands under way.
///
/// Invariant: `ids` is a subset of what `order` names; an entry of `order` that is not in `ids` is done.
#[derive(Debug, Default)]
pub struct Pending {
    ids: HashSet<CommandId>,
    order: VecDeque<CommandId>,
}

impl Pending {
    /// Adds a command; past the limit the oldest is forgotten.
    pub fn insert(&mut self, id: CommandId) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        while self.ids.len() > PENDING_COMMANDS_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.ids.remove(&oldest);
        }
        // Done entries are swept once they outnumber the others.
        if self.order.len() > 2 * self.ids.len() + 1024 {
            self.order.retain(|id| self.ids.contains(id));
        }
    }

    /// A command is done.
    pub fn remove(&mut self, id: &CommandId) {
        self.ids.remove(id);
    }

    /// True if the command is under way.
    pub fn contains(&self, id: &CommandId) -> bool {
        self.ids.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Hash, Height, Index, OutcomeCode};

    fn id(n: u32) -> CommandId {
        CommandId(Hash::of(&n.to_be_bytes()))
    }

    fn executed(n: u32) -> Fate {
        let receipt = Receipt {
            index: Index(n.into()),
            height: Height(1),
            command: id(n),
            outcome: Outcome::applied(),
            diff: Hash::ZERO,
            cost: [0; 6],
            result: Vec::new(),
        };
        Fate::Executed { receipt: Box::new(receipt), diff: Box::default(), time: Time(1) }
    }

    fn refused(len: usize) -> Fate {
        Fate::Refused(Outcome { code: OutcomeCode(9), text: "x".repeat(len) })
    }

    #[test]
    fn the_first_execution_stands() {
        let mut recent = Recent::default();
        recent.insert(id(1), refused(3));
        recent.insert(id(1), executed(1));
        recent.insert(id(1), refused(3));
        assert_eq!(**recent.get(&id(1)).unwrap(), executed(1));
    }

    #[test]
    fn bounded_by_count_and_by_bytes() {
        let mut recent = Recent::default();
        for n in 0..RECENT_COMMANDS_MAX as u32 + 10 {
            recent.insert(id(n), executed(n));
        }
        assert_eq!(recent.order.len(), RECENT_COMMANDS_MAX);
        assert!(recent.get(&id(9)).is_none() && recent.get(&id(10)).is_some());
        let mut recent = Recent::default();
        for n in 0..100 {
            recent.insert(id(n), refused(RECENT_BYTES_MAX / 10));
        }
        assert!(recent.bytes <= RECENT_BYTES_MAX && recent.order.len() == recent.fates.len());
    }

    #[test]
    fn pending_forgets_the_oldest() {
        let mut pending = Pending::default();
        for n in 0..PENDING_COMMANDS_MAX as u32 + 1 {
            pending.insert(id(n));
        }
        assert!(!pending.contains(&id(0)) && pending.contains(&id(1)));
        for n in 0..PENDING_COMMANDS_MAX as u32 + 1 {
            pending.remove(&id(n));
        }
        pending.insert(id(0));
        assert!(pending.order.len() < 3000, "done entries are swept");
    }
}

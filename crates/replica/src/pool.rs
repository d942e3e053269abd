//! Commands admitted and not yet executed.
//!
//! Every voter keeps the commands it has admitted until they are executed or expire, whoever leads, so that a new leader
//! can order them and a leader that starves one is found out. A command's deadline is cleared only by its being
//! executed or its expiry; others' commits do not clear it. Since commands are kept in order of arrival, the oldest one
//! decides.

use std::collections::{BTreeMap, VecDeque};

use wire::limits::POOL_BYTES_MAX;
use wire::{CommandId, Time, VerifiedCommand};

/// Blocks with room left that may be committed after a command was passed on to everyone, beyond twice the pipeline,
/// before it counts as starved.
///
/// An honest leader takes everything that waits into a block, in order of arrival, unless the block is full. So a block
/// with room that was proposed after the leader had the command, and does not hold it, shows that it is passed over;
/// some such blocks may have been under way when the command reached the leader.
pub const PASSED_OVER_MAX: u64 = 8;

/// One waiting command.
#[derive(Debug, Clone)]
struct Pending {
    command: VerifiedCommand,
    arrived_ms: u64,
    /// Blocks with room committed when it was passed on to everyone in this term.
    roomy_then: Option<u64>,
    /// Submitted to this node, which answers for its getting through.
    own: bool,
}

/// The pool.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// In order of arrival.
    pending: BTreeMap<u64, Pending>,
    by_id: BTreeMap<CommandId, u64>,
    next: u64,
    /// As the leader of the current term: commands not proposed in it yet.
    queue: VecDeque<u64>,
    /// When the first command of the queue began to wait.
    queued_since_ms: u64,
    /// Up to here commands were passed on at half their deadline in this term.
    passed_on: u64,
    /// Committed blocks that had room left.
    roomy_blocks: u64,
    /// Bytes of all that waits.
    bytes: usize,
    max: usize,
}

/// Why a command was not taken into the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It is there already.
    Known,
    /// The pool is full.
    Full,
}

impl Pool {
    /// An empty pool for at most `max` commands.
    pub fn new(max: usize) -> Pool {
        Pool { max, ..Pool::default() }
    }

    /// Commands waiting.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// True while the command waits.
    pub fn contains(&self, id: &CommandId) -> bool {
        self.by_id.contains_key(id)
    }

    /// When the first of these commands arrived, of those that wait here.
    pub fn first_arrival<'c>(&self, commands: impl Iterator<Item = &'c VerifiedCommand>) -> Option<u64> {
        commands.filter_map(|c| self.by_id.get(&c.id())).filter_map(|n| self.pending.get(n)).map(|p| p.arrived_ms).min()
    }

    /// Takes a command in.
    pub fn insert(&mut self, command: VerifiedCommand, own: bool, now_ms: u64, leading: bool) -> Result<(), NotTaken> {
        if let Some(n) = self.by_id.get(&command.id()) {
            if own && let Some(pending) = self.pending.get_mut(n) {
                pending.own = true;
            }
            return Err(NotTaken::Known);
        }
        let bytes = command.signed().bytes().len();
        if self.pending.len() >= self.max || self.bytes + bytes > POOL_BYTES_MAX {
            return Err(NotTaken::Full);
        }
        self.bytes += bytes;
        let n = self.next;
        self.next += 1;
        self.by_id.insert(command.id(), n);
        self.pending.insert(n, Pending { command, arrived_ms: now_ms, roomy_then: None, own });
        if leading {
            if self.queue.is_empty() {
                self.queued_since_ms = now_ms;
            }
            self.queue.push_back(n);
        }
        Ok(())
    }

    /// A command was executed, or can never be.
    pub fn remove(&mut self, id: &CommandId) {
        if let Some(pending) = self.by_id.remove(id).and_then(|n| self.pending.remove(&n)) {
            self.bytes -= pending.command.signed().bytes().len();
        }
        if self.pending.is_empty() {
            self.queue.clear();
        }
    }

    /// A new term began. If this node leads it, everything waiting is to be proposed, but for `in_flight`, which the
    /// term inherits.
    pub fn new_term(&mut self, leading: bool, in_flight: impl Iterator<Item = CommandId>, now_ms: u64) {
        self.passed_on = 0;
        for pending in self.pending.values_mut() {
            pending.roomy_then = None;
        }
        self.queue.clear();
        self.queued_since_ms = now_ms;
        if leading {
            let inherited: std::collections::BTreeSet<u64> =
                in_flight.filter_map(|id| self.by_id.get(&id).copied()).collect();
            self.queue.extend(self.pending.keys().filter(|n| !inherited.contains(n)));
        }
    }

    /// A block was committed; `roomy` if more commands would have fitted.
    pub fn note_block(&mut self, roomy: bool) {
        self.roomy_blocks += u64::from(roomy);
        // Commands proposed and executed meanwhile, or executed in a block of another leader.
        while self.queue.front().is_some_and(|n| !self.pending.contains_key(n)) {
            self.queue.pop_front();
        }
    }

    /// Commands to propose.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// When the oldest command to propose began to wait; meaningless if there is none.
    pub fn queued_since_ms(&self) -> u64 {
        self.queued_since_ms
    }

    /// Takes commands to propose, in order of arrival, up to a count and a number of bytes.
    pub fn take(&mut self, entries_max: usize, bytes_max: usize, now_ms: u64) -> Vec<VerifiedCommand> {
        let mut taken = Vec::with_capacity(self.queue.len().min(entries_max));
        let mut bytes = 0;
        while taken.len() < entries_max
            && let Some(n) = self.queue.front()
        {
            if let Some(pending) = self.pending.get(n) {
                bytes += pending.command.signed().bytes().len();
                if bytes > bytes_max && !taken.is_empty() {
                    break;
                }
                taken.push(pending.command.clone());
            }
            self.queue.pop_front();
        }
        self.queued_since_ms = now_ms;
        taken
    }

    /// When the oldest command arrived.
    pub fn oldest(&self) -> Option<u64> {
        self.pending.values().next().map(|p| p.arrived_ms)
    }

    /// Blocks with room that were committed since the oldest command was passed on to everyone.
    pub fn oldest_passed_over(&self) -> u64 {
        let then = self.pending.values().next().and_then(|p| p.roomy_then);
        then.map_or(0, |then| self.roomy_blocks - then)
    }

    /// The oldest command, and whether it was submitted here.
    pub fn oldest_command(&self) -> Option<(&VerifiedCommand, bool)> {
        self.pending.values().next().map(|p| (&p.command, p.own))
    }

    /// Removes and returns the oldest commands that have expired, those submitted here apart from the others.
    pub fn expire(&mut self, time: Time) -> Vec<(VerifiedCommand, bool)> {
        let mut expired = Vec::new();
        while let Some(entry) = self.pending.first_entry() {
            if entry.get().command.expiry >= time {
                break;
            }
            let pending = entry.remove();
            self.bytes -= pending.command.signed().bytes().len();
            self.by_id.remove(&pending.command.id());
            expired.push((pending.command, pending.own));
        }
        expired
    }

    /// The commands submitted here.
    pub fn own(&self) -> impl Iterator<Item = &VerifiedCommand> {
        self.pending.values().filter(|p| p.own).map(|p| &p.command)
    }

    /// Commands that arrived at or before a moment and were not passed on yet in this term; each is given out once.
    pub fn to_pass_on(&mut self, arrived_by_ms: u64) -> Vec<VerifiedCommand> {
        let mut due = Vec::new();
        for (n, pending) in self.pending.range_mut(self.passed_on..) {
            if pending.arrived_ms > arrived_by_ms {
                break;
            }
            pending.roomy_then = Some(self.roomy_blocks);
            due.push(pending.command.clone());
            self.passed_on = n + 1;
        }
        due
    }

    /// When the first command not yet passed on in this term arrived.
    pub fn next_to_pass_on(&self) -> Option<u64> {
        self.pending.range(self.passed_on..).next().map(|(_, p)| p.arrived_ms)
    }
}

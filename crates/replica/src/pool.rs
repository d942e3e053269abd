//! Commands admitted and not yet executed.
//!
//! Every voter keeps the commands it has admitted until they are executed or expire, whoever leads, so that a new leader
//! can order them and a leader that starves one is found out. A command's deadline is cleared only by its being
//! executed or its expiry; others' commits do not clear it. Since commands are kept in order of arrival, the oldest one
//! decides.

use std::collections::{BTreeMap, VecDeque};

use wire::{CommandId, Time, VerifiedCommand};

/// Entries that may be ordered ahead of a waiting command before it counts as starved although blocks are committed.
/// More than any honest leader has queued.
pub const OVERTAKING_MAX: u64 = 200_000;

/// One waiting command.
#[derive(Debug, Clone)]
struct Pending {
    command: VerifiedCommand,
    arrived_ms: u64,
    /// Log entries when it arrived.
    entries_then: u64,
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

    /// Takes a command in.
    pub fn insert(
        &mut self,
        command: VerifiedCommand,
        own: bool,
        now_ms: u64,
        entries: u64,
        leading: bool,
    ) -> Result<(), NotTaken> {
        if let Some(n) = self.by_id.get(&command.id()) {
            if own && let Some(pending) = self.pending.get_mut(n) {
                pending.own = true;
            }
            return Err(NotTaken::Known);
        }
        if self.pending.len() >= self.max {
            return Err(NotTaken::Full);
        }
        let n = self.next;
        self.next += 1;
        self.by_id.insert(command.id(), n);
        self.pending.insert(n, Pending { command, arrived_ms: now_ms, entries_then: entries, own });
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
        if let Some(n) = self.by_id.remove(id) {
            self.pending.remove(&n);
        }
        if self.pending.is_empty() {
            self.queue.clear();
        }
    }

    /// A new term began. If this node leads it, everything waiting is to be proposed, but for `in_flight`, which the
    /// term inherits.
    pub fn new_term(&mut self, leading: bool, in_flight: impl Iterator<Item = CommandId>, now_ms: u64) {
        self.passed_on = 0;
        self.queue.clear();
        self.queued_since_ms = now_ms;
        if leading {
            let inherited: std::collections::BTreeSet<u64> =
                in_flight.filter_map(|id| self.by_id.get(&id).copied()).collect();
            self.queue.extend(self.pending.keys().filter(|n| !inherited.contains(n)));
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

    /// When the oldest command arrived, and how many log entries there were then.
    pub fn oldest(&self) -> Option<(u64, u64)> {
        self.pending.values().next().map(|p| (p.arrived_ms, p.entries_then))
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
        for (n, pending) in self.pending.range(self.passed_on..) {
            if pending.arrived_ms > arrived_by_ms {
                break;
            }
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

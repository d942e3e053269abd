//! Running the calls of a block side by side.
//!
//! Before a block is executed in order, each of its calls may be run on a worker against the rows as they are before the block,
//! with a note of every row it looks up and every table it scans: its footprint. In order, a run then stands if nothing it has
//! looked at was changed by a command before it; otherwise the call runs again. What stands is what running in order would have
//! given, bit for bit: a call depends on its command, the block's time, the tables of parties and modules, and the rows it looks up
//! (optimistic concurrency control, Kung and Robinson 1981; for blocks, Block-STM, Gelashvili and others 2023).
//!
//! The tables that a call may touch are known beforehand, since the verifier infers them; a call none of whose tables was
//! changed stands without a look at its rows.
//!
//! Workers are the caller's: this crate starts no threads.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Mutex;

use hopper::cost::Cost;
use hopper::ir::Lineage;
use hopper::state::{Memory, Row, RowKey, Rows};
use wire::{Hash, Time, VerifiedCommand};

use crate::call::{self, Context, Effect, Failure, Prepared};
use crate::diff::Diff;
use crate::outcome::Refusal;
use crate::request::Request;
use crate::state::State;

/// Somebody who runs jobs.
pub trait Workers {
    /// Runs `job(0)` to `job(count - 1)`, each once, in any order and on any thread, and returns when all are done.
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync));
}

/// Rows, with a note of what was looked at.
struct Watched<'s> {
    rows: &'s Memory,
    seen: RefCell<Footprint>,
}

/// What a run has looked at.
#[derive(Debug, Default)]
struct Footprint {
    rows: Vec<RowKey>,
    scanned: Vec<(Lineage, u16)>,
}

impl Rows for Watched<'_> {
    fn row(&self, key: &RowKey) -> Option<Row> {
        self.seen.borrow_mut().rows.push(key.clone());
        self.rows.row(key)
    }

    fn next_keys(&self, lineage: &Lineage, table: u16, after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>> {
        self.seen.borrow_mut().scanned.push((*lineage, table));
        self.rows.next_keys(lineage, table, after, limit)
    }
}

/// A call that ran ahead of its turn.
pub(crate) struct Guess {
    pub request: Request,
    pub prepared: Prepared,
    pub result: Result<Effect, Failure>,
    pub cost: Cost,
    /// The hash of the diff, if the call changes rows of contracts only.
    pub hash: Option<Hash>,
    footprint: Footprint,
}

/// What the commands of a block have changed so far.
#[derive(Default)]
pub(crate) struct Dirty {
    rows: BTreeSet<RowKey>,
    tables: BTreeSet<(Lineage, u16)>,
    /// Parties or modules: what any call may depend on.
    everything: bool,
}

impl Dirty {
    /// Takes note of what a command changed.
    pub fn add(&mut self, diff: &Diff) {
        self.everything |=
            diff.changes().iter().any(|c| !matches!(c.table, crate::Table::Notes | crate::Table::Supply));
        for change in &diff.contract().changes {
            self.tables.insert((change.key.lineage, change.key.table));
            self.rows.insert(change.key.clone());
        }
    }

    /// True if a guess stands.
    pub fn spares(&self, guess: &Guess) -> bool {
        let seen = &guess.footprint;
        let row = |key: &RowKey| self.tables.contains(&(key.lineage, key.table)) && self.rows.contains(key);
        !self.everything && !seen.scanned.iter().any(|t| self.tables.contains(t)) && !seen.rows.iter().any(row)
    }
}

/// Runs the calls of a block ahead of their turn: a guess for each command that is a call.
pub(crate) fn guess(
    state: &State,
    time: Time,
    everybody: bool,
    entries: &[VerifiedCommand],
    workers: &dyn Workers,
) -> Vec<Option<Guess>> {
    // Several to a job, so that handing them out costs little.
    const JOB: usize = 32;
    let jobs: Vec<Mutex<Vec<Option<Guess>>>> = entries.chunks(JOB).map(|_| Mutex::default()).collect();
    workers.run(jobs.len(), &|n| {
        let chunk = &entries[n * JOB..entries.len().min((n + 1) * JOB)];
        let made = chunk.iter().map(|command| one(state, time, everybody, command)).collect();
        *jobs[n].lock().expect("nobody panics with it") = made;
    });
    jobs.into_iter().flat_map(|job| job.into_inner().expect("nobody panics with it")).collect()
}

fn one(state: &State, time: Time, everybody: bool, command: &VerifiedCommand) -> Option<Guess> {
    // Not for commands that will be refused, as far as that is known: nobody is charged for them.
    let signed = state.party(&command.party).is_some_and(|row| row.guard.is_satisfied_by(&command.signers));
    let fresh = state.result(&(command.party.clone(), command.session), command.sequence).is_none();
    if !signed || !fresh || time > command.expiry {
        return None;
    }
    let request = Request::from_payload(&command.payload).ok()?;
    let Request::Call(call) = &request else { return None };
    let prepared = call::prepare(state, call, time, command.signers.len(), false).ok()?;
    let watched = Watched { rows: state.contract_rows(), seen: RefCell::default() };
    let context = Context { party: &command.party, signers: &command.signers, command: command.id(), time, everybody };
    let (result, cost) = call::run(state, &watched, call, prepared.clone(), &context);
    // What it says depends on how much of an asset there is when its turn comes.
    if result.as_ref().is_err_and(|f| matches!(f.refusal, Refusal::SupplyCap { .. } | Refusal::NotConserved(_))) {
        return None;
    }
    let hash = match &result {
        Ok(effect) if effect.writes.is_empty() => Some(Diff::default().with(effect.diff.clone()).hash()),
        _ => None,
    };
    Some(Guess { request, prepared, result, cost, hash, footprint: watched.seen.into_inner() })
}

//! Reads. A query is no log entry: it is answered from one replica's tables, at the height it has executed. What the
//! answer is worth (local, proven by a certified root, linearizable) is the replica's business.

use std::ops::Bound;

use hopper::cost::Cost;
use hopper::ir::{FunctionKind, Lineage, ModuleId};
use wire::limits::SIGNERS_MAX;
use wire::{CommandId, Guard, Hash, Height, Index, Name, Outcome, PublicKey, Receipt, Time};

use crate::amount::Amount;
use crate::call::{self, Context};
use crate::cash::AccountRow;
use crate::diff::Diff;
use crate::execute::Ledger;
use crate::modules::{LineageRow, ModuleRow};
use crate::request::{Call, Status};
use crate::state::NoteRow;

/// Modules in one answer, at most.
pub const MODULES_PAGE_MAX: usize = 1000;
/// Accounts in one answer, at most.
pub const ACCOUNTS_PAGE_MAX: usize = 1000;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// One account.
    Account(Name),
    /// Accounts by ascending name: shorter names first, then by their letters.
    Accounts {
        /// Only those after this name.
        after: Option<Name>,
        /// So many at most, and never more than [`ACCOUNTS_PAGE_MAX`].
        limit: usize,
    },
    /// One party.
    Party(Name),
    /// The sum of all balances.
    Supply,
    /// The bytes kept at a log index.
    Note(Index),
    /// The first result of a (party, session, sequence).
    Result {
        /// The party.
        party: Name,
        /// The session.
        session: u64,
        /// The sequence.
        sequence: u64,
    },
    /// What became of a command.
    Command(CommandId),
    /// Counts and heights.
    Totals,
    /// Modules, by ascending id.
    Modules {
        /// Only those after this one.
        after: Option<ModuleId>,
        /// So many at most, and never more than [`MODULES_PAGE_MAX`].
        limit: usize,
    },
    /// A module that was deployed.
    Module(ModuleId),
    /// Runs a view, or an action without effect: what it would do if it came next.
    Run {
        /// In whose name.
        party: Name,
        /// The keys that sign; `None` if everyone's agreement is taken for granted.
        signers: Option<Vec<PublicKey>>,
        /// What.
        call: Call,
    },
}

/// A module in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSummary {
    /// Its id.
    pub id: ModuleId,
    /// Its name: a hint, anybody can deploy a module of any name.
    pub name: String,
    /// The id of its lineage's first version.
    pub lineage: Lineage,
    /// True if no later version replaces it.
    pub newest: bool,
    /// The first block's time at which it is in force.
    pub live_from: Time,
    /// How much of it may be used.
    pub status: Status,
}

/// What a view gave, or an action would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ends.
    pub outcome: Outcome,
    /// The result's canonical bytes, or those of why there is none.
    pub result: Vec<u8>,
    /// The result for people.
    pub result_text: String,
    /// What it would change.
    pub diff: Diff,
    /// What it costs.
    pub cost: Cost,
}

/// An account with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: Name,
    /// The rest.
    pub row: AccountRow,
}

/// Counts and heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// The height executed.
    pub height: Height,
    /// The time of the last block.
    pub time: Time,
    /// Log entries executed, refused ones included.
    pub entries: u64,
    /// Parties.
    pub parties: u64,
    /// Accounts.
    pub accounts: u64,
    /// Notes.
    pub notes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Results held for retries.
    pub results: u64,
    /// The sum of all balances.
    pub supply: Amount,
    /// The root over all tables.
    pub state_root: Hash,
    /// The root over all receipts.
    pub receipts_root: Hash,
}

/// The answer to a [`Query`], of the variant of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The account, if it exists.
    Account(Option<Account>),
    /// A page of accounts.
    Accounts {
        /// By ascending name.
        accounts: Vec<Account>,
        /// True if there are more after the last.
        more: bool,
    },
    /// The party's guard, if it is registered.
    Party(Option<(Name, Guard)>),
    /// The sum of all balances.
    Supply(Amount),
    /// The note, if there is one.
    Note(Option<NoteRow>),
    /// The receipt, if it is still held.
    Result(Option<Receipt>),
    /// The receipt, if it is still held.
    Command(Option<Receipt>),
    /// Counts and heights.
    Totals(Totals),
    /// A page of modules.
    Modules {
        /// By ascending id.
        modules: Vec<ModuleSummary>,
        /// True if there are more after the last.
        more: bool,
    },
    /// The module with who has its roles, if there is one.
    Module(Option<(ModuleRow, LineageRow)>),
    /// What came of a run.
    Ran(Box<Ran>),
}

impl Ledger {
    /// Answers from the tables as they are.
    pub fn query(&self, query: &Query) -> Answer {
        let state = self.state();
        match query {
            Query::Account(name) => Answer::Account(state.account(name).map(|row| Account { name: name.clone(), row })),
            Query::Accounts { after, limit } => self.accounts_after(after.as_ref(), *limit),
            Query::Party(name) => Answer::Party(state.party(name).map(|row| (name.clone(), row.guard.clone()))),
            Query::Supply => Answer::Supply(state.supply()),
            Query::Note(index) => Answer::Note(state.notes().get(index).cloned()),
            Query::Result { party, session, sequence } => {
                Answer::Result(state.result(&(party.clone(), *session), *sequence).cloned())
            }
            Query::Command(id) => Answer::Command(self.receipt_of(id).cloned()),
            Query::Totals => Answer::Totals(self.totals()),
            Query::Modules { after, limit } => self.modules_after(after.as_ref(), *limit),
            Query::Module(id) => Answer::Module(state.modules().get(id).map(|row| {
                let lineage = state.code().unit(id).and_then(|unit| state.lineage(&unit.lineage));
                (row.clone(), lineage.cloned().unwrap_or_default())
            })),
            Query::Run { party, signers, call } => Answer::Ran(Box::new(self.dry_run(party, signers.as_deref(), call))),
        }
    }

    fn modules_after(&self, after: Option<&ModuleId>, limit: usize) -> Answer {
        let (state, code) = (self.state(), self.state().code());
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = state.modules().range((from, Bound::Unbounded));
        let summary = |(id, row): (&ModuleId, &ModuleRow)| {
            let unit = code.unit(id)?;
            Some(ModuleSummary {
                id: *id,
                name: unit.module.name.to_string(),
                lineage: unit.lineage,
                newest: code.head(&unit.lineage).is_some_and(|head| head.id == *id),
                live_from: row.live_from,
                status: row.status,
            })
        };
        let modules = rows.by_ref().take(limit.min(MODULES_PAGE_MAX)).filter_map(summary).collect();
        Answer::Modules { modules, more: rows.next().is_some() }
    }

    /// Runs a view, or an action without effect.
    fn dry_run(&self, party: &Name, signers: Option<&[PublicKey]>, call: &Call) -> Ran {
        let (state, time) = (self.state(), self.time());
        // No more than a command can have: guards are checked against them.
        let signers = signers.map(|keys| &keys[..keys.len().min(SIGNERS_MAX)]);
        let nothing =
            |outcome, result, cost| Ran { outcome, result, result_text: String::new(), diff: Diff::default(), cost };
        let unit = state.code().unit(&call.module);
        let kind = unit.and_then(|u| u.module.functions.get(usize::from(call.function))).map(|f| f.kind);
        let context = Context {
            party,
            signers: signers.unwrap_or_default(),
            command: CommandId(Hash::ZERO),
            time,
            everybody: signers.is_none(),
        };
        let prepared = match call::prepare(state, call, time, context.signers.len(), kind == Some(FunctionKind::View)) {
            Ok(prepared) => prepared,
            Err(refusal) => return nothing(refusal.outcome(), Vec::new(), Cost::ZERO),
        };
        let (effect, cost) = call::run(state, state.contract_rows(), call, prepared, &context);
        match effect {
            Err(failure) => nothing(failure.refusal.outcome(), failure.result, cost),
            Ok(effect) => Ran {
                outcome: Outcome::applied(),
                result_text: effect.result_text(state, call),
                result: effect.result,
                diff: Diff::new(state.changes(&effect.writes)).with(effect.diff),
                cost,
            },
        }
    }

    /// The receipt of the entry that executed a command, while its result row is held.
    pub fn receipt_of(&self, command: &CommandId) -> Option<&Receipt> {
        let (key, sequence) = self.state().command(command)?;
        self.state().result(key, sequence)
    }

    /// Counts and heights.
    pub fn totals(&self) -> Totals {
        let state = self.state();
        Totals {
            height: self.height(),
            time: self.time(),
            entries: self.next_index().get(),
            parties: state.parties().len() as u64,
            accounts: state.accounts_len() as u64,
            notes: state.notes().len() as u64,
            sessions: state.sessions().len() as u64,
            results: state.results_len() as u64,
            supply: state.supply(),
            state_root: self.state_root(),
            receipts_root: self.receipts_root(),
        }
    }

    fn accounts_after(&self, after: Option<&Name>, limit: usize) -> Answer {
        let mut rows = self.state().accounts_after(after);
        let page = rows.by_ref().take(limit.min(ACCOUNTS_PAGE_MAX));
        let accounts = page.map(|(name, row)| Account { name, row }).collect();
        Answer::Accounts { accounts, more: rows.next().is_some() }
    }
}

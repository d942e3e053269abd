//! The tables.
//!
//! | table | key | row |
//! |---|---|---|
//! | parties | name | guard |
//! | rows | lineage, table of the module, key | what contracts keep, accounts among it |
//! | notes | log index | party, command, bytes |
//! | supply | asset | how much there is of it |
//! | sessions | party, session | the highest sequence executed |
//! | results | party, session, sequence | the receipt of the command executed |
//! | modules | module id | code, proofs, since when, status |
//! | lineages | lineage | who has which role |
//! | quotas | party | what it may spend |
//! | usage | party | what it has spent in the latest window |
//!
//! Keys and rows have one canonical encoding each; diffs, the root and proofs are made of those bytes. Sessions, results and
//! usage are bookkeeping. They count for the state root like the others. Their changes are kept in a diff of their own, since
//! a result row holds the hash of its command's diff and so cannot be in it, and since a command that is refused changes them
//! too.

use std::collections::BTreeMap;

use hopper::cost::Cost;
use hopper::ir::{Lineage, ModuleId};
use hopper::state::{Memory, NotApplicable, RowKey};
use hopper::types::Nominal;
use thiserror::Error;
use wire::limits::SEQUENCE_WINDOW;
use wire::{
    CommandId, Decode, DecodeError, Encode, Guard, Index, Name, Reader, Receipt, Time, enum_codec, struct_codec,
};

use crate::amount::Amount;
use crate::cash::{self, AccountRow};
use crate::diff::{Change, Diff};
use crate::lookup::CommandLookup;
use crate::modules::{self, Code, LineageRow, ModuleRow};
use crate::request::Quota;

/// Result rows below the window that one command removes, at most. More than one, so that a backlog shrinks; bounded,
/// so that a jump of the sequence costs nobody a long pause.
pub const PRUNE_ROWS_MAX: usize = 4;

/// The name of a table. The numbers are part of diffs and of the state root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Who may sign for whom.
    Parties,
    /// What contracts keep.
    Rows,
    /// Bytes kept by `DATA##CODE`.
    Notes,
    /// How much there is of each asset.
    Supply,
    /// Bookkeeping: the highest sequence of each (party, session).
    Sessions,
    /// Bookkeeping: the first result of each (party, session, sequence) inside the window.
    Results,
    /// Code.
    Modules,
    /// What the versions of a module share.
    Lineages,
    /// What parties may spend.
    Quotas,
    /// Bookkeeping: what they have spent.
    Usage,
}
enum_codec!(Table {
    1 => Parties, 2 => Rows, 3 => Notes, 4 => Supply, 5 => Sessions, 6 => Results, 7 => Modules, 8 => Lineages,
    9 => Quotas, 10 => Usage
});

impl Table {
    /// All tables, by ascending number.
    pub const ALL: [Table; 10] = [
        Table::Parties,
        Table::Rows,
        Table::Notes,
        Table::Supply,
        Table::Sessions,
        Table::Results,
        Table::Modules,
        Table::Lineages,
        Table::Quotas,
        Table::Usage,
    ];

    /// The number in canonical bytes.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// True for the tables that only serve "at most once" and quotas.
    pub fn is_bookkeeping(self) -> bool {
        matches!(self, Table::Sessions | Table::Results | Table::Usage)
    }
}

/// A party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyRow {
    /// Whose signatures count as the party's.
    pub guard: Guard,
}
struct_codec!(PartyRow { guard: Guard });

/// Bytes kept by a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRow {
    /// The command's party.
    pub party: Name,
    /// The command.
    pub command: CommandId,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Encode for NoteRow {
    fn encode(&self, out: &mut Vec<u8>) {
        self.party.encode(out);
        self.command.encode(out);
        wire::codec::encode_bytes(&self.data, out);
    }
}

impl Decode for NoteRow {
    const SIZE_MIN: usize = Name::SIZE_MIN + 32 + 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(NoteRow {
            party: Name::decode(r)?,
            command: CommandId::decode(r)?,
            data: r.bytes("note", wire::limits::PAYLOAD_BYTES_MAX)?.to_vec(),
        })
    }
}

/// A session of a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionRow {
    /// The highest sequence with a recorded result; 0 before the first.
    pub highest: u64,
}
struct_codec!(SessionRow { highest: u64 });

/// What a party with a quota has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageRow {
    /// The window, counted from 1970 in windows.
    pub window: u64,
    /// In it.
    pub spent: Cost,
}
struct_codec!(UsageRow { window: u64, spent: Cost });

impl UsageRow {
    /// What was spent in the window of a time.
    pub fn at(self, quota: &Quota, time: Time) -> UsageRow {
        let window = time.get() / quota.window_ms.max(1);
        if self.window == window { self } else { UsageRow { window, spent: Cost::ZERO } }
    }
}

/// Party and session.
pub type SessionKey = (Name, u64);

/// One row to be put in place, or removed where that is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Party(Name, Option<PartyRow>),
    Note(Index, Option<NoteRow>),
    Supply(Nominal, Option<u128>),
    Session(SessionKey, Option<SessionRow>),
    Result(SessionKey, u64, Option<Receipt>),
    Module(ModuleId, Option<ModuleRow>),
    Lineage(Lineage, Option<LineageRow>),
    Quota(Name, Option<Quota>),
    Usage(Name, Option<UsageRow>),
}

/// Why a diff does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// A row is not what the diff says it was before.
    #[error("a row of table {0:?} is not what the diff says it was; apply diffs in the order they were made")]
    Before(Table),
    /// A key or row has the wrong form.
    #[error("a row of table {0:?} has the wrong form: {1}")]
    Form(Table, DecodeError),
    /// A contract's row does not fit.
    #[error("{0}; apply diffs in the order they were made")]
    Row(#[from] NotApplicable),
    /// Modules that no ledger deployed.
    #[error("the modules do not stand up to the verifier: {0}")]
    Modules(String),
}

/// Canonical bytes of a small key or row, without growing step by step.
pub(crate) fn row_bytes(value: &impl Encode) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    value.encode(&mut out);
    out
}

fn asset_bytes(asset: &Nominal) -> Vec<u8> {
    let mut out = Vec::with_capacity(34);
    asset.lineage.encode(&mut out);
    asset.index.encode(&mut out);
    out
}

fn asset_of(key: &[u8]) -> Result<Nominal, DecodeError> {
    let (lineage, index) = <(Lineage, u16)>::from_bytes(key)?;
    Ok(Nominal { lineage, index })
}

/// All tables.
///
/// Invariants: of each asset the rows hold as much as `supply` says; `results` has no empty inner map; `commands` has one
/// entry for each result row and nothing else; `code` is what follows from `modules`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    parties: BTreeMap<Name, PartyRow>,
    rows: Memory,
    notes: BTreeMap<Index, NoteRow>,
    supply: BTreeMap<Nominal, u128>,
    sessions: BTreeMap<SessionKey, SessionRow>,
    results: BTreeMap<SessionKey, BTreeMap<u64, Receipt>>,
    modules: BTreeMap<ModuleId, ModuleRow>,
    lineages: BTreeMap<Lineage, LineageRow>,
    quotas: BTreeMap<Name, Quota>,
    usage: BTreeMap<Name, UsageRow>,
    /// Where the result of each command stands. Derived from `results`; no part of the root.
    commands: CommandLookup,
    /// The modules, verified. Derived from `modules`; no part of the root.
    code: Code,
}

impl State {
    /// The tables at genesis: two parties, one module, no account.
    pub fn genesis(administrators: Guard, treasury: Guard, created: Time) -> State {
        let mut state = State { code: Code::genesis(), ..State::default() };
        for (name, guard) in [(crate::operation::ADMIN, administrators), (crate::operation::TREASURY, treasury)] {
            let name = Name::new(name).expect("a reserved name is a name");
            state.parties.insert(name, PartyRow { guard });
        }
        let (module, lineage) = modules::genesis_rows(created);
        state.modules.insert(cash::id(), module);
        state.lineages.insert(cash::lineage(), lineage);
        state
    }

    /// The party of this name.
    pub fn party(&self, name: &Name) -> Option<&PartyRow> {
        self.parties.get(name)
    }

    /// The account of this name.
    pub fn account(&self, name: &Name) -> Option<AccountRow> {
        self.rows.found(&cash::account_key(name)).map(AccountRow::of)
    }

    /// All accounts, by ascending key: shorter names first, then by their letters.
    pub fn accounts(&self) -> impl Iterator<Item = (Name, AccountRow)> + '_ {
        self.accounts_after(None)
    }

    /// The accounts after a name, in that order.
    pub fn accounts_after(&self, name: Option<&Name>) -> impl Iterator<Item = (Name, AccountRow)> + '_ {
        let after = name.map(Encode::to_bytes);
        let rows = self.rows.table_after(&cash::lineage(), cash::ACCOUNTS, after.as_deref());
        rows.map(|(key, row)| (Name::from_bytes(key).expect("accounts are kept by name"), AccountRow::of(row)))
    }

    /// How many accounts there are.
    pub fn accounts_len(&self) -> usize {
        self.rows.table_len(&cash::lineage(), cash::ACCOUNTS)
    }

    /// All parties, by ascending name.
    pub fn parties(&self) -> &BTreeMap<Name, PartyRow> {
        &self.parties
    }

    /// What contracts keep.
    pub fn contract_rows(&self) -> &Memory {
        &self.rows
    }

    /// All notes, by ascending log index.
    pub fn notes(&self) -> &BTreeMap<Index, NoteRow> {
        &self.notes
    }

    /// The sum of all balances.
    pub fn supply(&self) -> Amount {
        Amount::from_units(self.supply_of(&cash::coin())).expect("supplies are capped")
    }

    /// How much there is of an asset.
    pub fn supply_of(&self, asset: &Nominal) -> u128 {
        self.supply.get(asset).copied().unwrap_or(0)
    }

    /// How much there is of each asset of which there is some.
    pub fn supplies(&self) -> &BTreeMap<Nominal, u128> {
        &self.supply
    }

    /// All sessions, by ascending party and session.
    pub fn sessions(&self) -> &BTreeMap<SessionKey, SessionRow> {
        &self.sessions
    }

    /// The session's row; the default (highest 0) for one that was never used.
    pub fn session(&self, key: &SessionKey) -> SessionRow {
        self.sessions.get(key).copied().unwrap_or_default()
    }

    /// The first result of this party, session and sequence, while it is held.
    pub fn result(&self, key: &SessionKey, sequence: u64) -> Option<&Receipt> {
        self.results.get(key)?.get(&sequence)
    }

    /// Where the result of a command stands, while it is held.
    pub fn command(&self, id: &CommandId) -> Option<(&SessionKey, u64)> {
        self.commands.find(id)
    }

    /// Result rows held.
    pub fn results_len(&self) -> usize {
        self.commands.len()
    }

    /// All modules.
    pub fn modules(&self) -> &BTreeMap<ModuleId, ModuleRow> {
        &self.modules
    }

    /// Who has which role in a lineage.
    pub fn lineage(&self, lineage: &Lineage) -> Option<&LineageRow> {
        self.lineages.get(lineage)
    }

    /// The modules, verified.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// For deploying into; the row follows with [`State::put_all`].
    pub(crate) fn code_mut(&mut self) -> &mut Code {
        &mut self.code
    }

    /// What a party may spend; `None` if that is not limited.
    pub fn quota(&self, party: &Name) -> Option<&Quota> {
        self.quotas.get(party)
    }

    /// What a party has spent in the window of its last command.
    pub fn usage(&self, party: &Name) -> UsageRow {
        self.usage.get(party).copied().unwrap_or_default()
    }

    /// The canonical bytes of one row, or `None` if there is no such row.
    ///
    /// # Errors
    /// If `key` is no key of that table.
    pub fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        if table == Table::Rows {
            return Ok(self.rows.found(&RowKey::from_bytes(key)?).map(|row| row.bytes.to_vec()));
        }
        Ok(self.bytes_of(&Write::decode(table, key, None)?))
    }

    /// The bytes of the row that a write is about, as it is.
    fn bytes_of(&self, write: &Write) -> Option<Vec<u8>> {
        match write {
            Write::Party(name, _) => self.parties.get(name).map(row_bytes),
            Write::Note(index, _) => self.notes.get(index).map(row_bytes),
            Write::Supply(asset, _) => self.supply.get(asset).map(row_bytes),
            Write::Session(key, _) => self.sessions.get(key).map(row_bytes),
            Write::Result(key, sequence, _) => self.result(key, *sequence).map(row_bytes),
            Write::Module(id, _) => self.modules.get(id).map(row_bytes),
            Write::Lineage(lineage, _) => self.lineages.get(lineage).map(row_bytes),
            Write::Quota(party, _) => self.quotas.get(party).map(row_bytes),
            Write::Usage(party, _) => self.usage.get(party).map(row_bytes),
        }
    }

    /// The changes that writes are, without those that change nothing.
    pub(crate) fn changes(&self, writes: &[Write]) -> Vec<Change> {
        let change = |write: &Write| {
            let (table, key) = write.key();
            Change { table, key, before: self.bytes_of(write), after: write.after() }
        };
        let mut changes: Vec<Change> = writes.iter().map(change).filter(|c| c.before != c.after).collect();
        changes.sort_unstable_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
        changes
    }

    /// Every row as (table, key, value), in canonical bytes, table by table.
    pub fn rows(&self) -> impl Iterator<Item = (Table, Vec<u8>, Vec<u8>)> + '_ {
        fn table<K: Encode, V: Encode>(
            table: Table,
            rows: &BTreeMap<K, V>,
        ) -> impl Iterator<Item = (Table, Vec<u8>, Vec<u8>)> + '_ {
            rows.iter().map(move |(key, row)| (table, key.to_bytes(), row.to_bytes()))
        }
        let results = self.results.iter().flat_map(|(key, rows)| {
            rows.iter().map(|(sequence, row)| (Table::Results, result_key(&key.to_bytes(), *sequence), row.to_bytes()))
        });
        let contracts = self.rows.iter().map(|(key, row)| (Table::Rows, key.to_bytes(), row.bytes.to_vec()));
        table(Table::Parties, &self.parties)
            .chain(contracts)
            .chain(table(Table::Notes, &self.notes))
            .chain(self.supply.iter().map(|(asset, n)| (Table::Supply, asset_bytes(asset), n.to_bytes())))
            .chain(table(Table::Sessions, &self.sessions))
            .chain(results)
            .chain(table(Table::Modules, &self.modules))
            .chain(table(Table::Lineages, &self.lineages))
            .chain(table(Table::Quotas, &self.quotas))
            .chain(table(Table::Usage, &self.usage))
    }

    /// Applies a diff, whole or not at all. If it changes modules, all of them are verified anew.
    ///
    /// # Errors
    /// If a row is not what the diff says it was before, or has the wrong form.
    pub fn apply(&mut self, diff: &Diff) -> Result<(), ApplyError> {
        let mut writes = Vec::with_capacity(diff.changes().len());
        for change in diff.changes() {
            let form = |e| ApplyError::Form(change.table, e);
            if self.row(change.table, &change.key).map_err(form)? != change.before {
                return Err(ApplyError::Before(change.table));
            }
            writes.push(Write::decode(change.table, &change.key, change.after.as_deref()).map_err(form)?);
        }
        let modules = writes.iter().any(|w| matches!(w, Write::Module(..)));
        let code = match modules {
            false => None,
            true => {
                let mut rows = self.modules.clone();
                for write in &writes {
                    if let Write::Module(id, row) = write {
                        put(&mut rows, *id, row.clone());
                    }
                }
                Some(Code::load(&rows).map_err(ApplyError::Modules)?)
            }
        };
        let resolve = |lineage: &Lineage, table| self.code.row_type(lineage, table);
        self.rows.apply(&self.code.library().universe, resolve, diff.contract())?;
        if let Some(code) = code {
            self.code = code;
        }
        self.put_all(writes);
        Ok(())
    }

    /// Puts the rows of a contract in place.
    ///
    /// # Panics
    /// If they are not those that the diff was made from.
    pub(crate) fn write_rows(&mut self, diff: &hopper::diff::Diff, writes: Vec<hopper::state::Write>) {
        self.rows.write(diff, writes).expect("the diff was made from these rows");
    }

    /// Puts rows in place. The code is the caller's business.
    pub(crate) fn put_all(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Party(name, row) => put(&mut self.parties, name, row),
                Write::Note(index, row) => put(&mut self.notes, index, row),
                Write::Supply(asset, supply) => put(&mut self.supply, asset, supply),
                Write::Session(key, row) => put(&mut self.sessions, key, row),
                Write::Result(key, sequence, row) => self.put_result(key, sequence, row),
                Write::Module(id, row) => put(&mut self.modules, id, row),
                Write::Lineage(lineage, row) => put(&mut self.lineages, lineage, row),
                Write::Quota(party, row) => put(&mut self.quotas, party, row),
                Write::Usage(party, row) => put(&mut self.usage, party, row),
            }
        }
    }

    fn put_result(&mut self, key: SessionKey, sequence: u64, row: Option<Receipt>) {
        let old = match row {
            Some(receipt) => {
                let command = receipt.command;
                let old = self.results.entry(key.clone()).or_default().insert(sequence, receipt);
                if let Some(old) = &old {
                    self.commands.remove(&old.command);
                }
                self.commands.insert(command, key, sequence);
                return;
            }
            None => self.results.get_mut(&key).and_then(|rows| rows.remove(&sequence)),
        };
        if let Some(old) = old {
            self.commands.remove(&old.command);
        }
        if self.results.get(&key).is_some_and(BTreeMap::is_empty) {
            self.results.remove(&key);
        }
    }

    /// Records the first result of (party, session, sequence) and removes a few rows that fell below the window.
    ///
    /// `bytes` are the receipt's. The caller checked that there is no such row and that the sequence lies inside the window.
    pub(crate) fn record(&mut self, key: &SessionKey, sequence: u64, receipt: Receipt, bytes: Vec<u8>) -> Diff {
        let key_bytes = row_bytes(key);
        let mut changes = Vec::with_capacity(3);
        let session = self.session(key);
        if sequence > session.highest {
            let before = (session.highest > 0).then(|| session.to_bytes());
            let after = SessionRow { highest: sequence };
            changes.push(Change {
                table: Table::Sessions,
                key: key_bytes.clone(),
                before,
                after: Some(after.to_bytes()),
            });
            match self.sessions.get_mut(key) {
                Some(row) => *row = after,
                None => drop(self.sessions.insert(key.clone(), after)),
            }
        }
        let floor = session.highest.max(sequence).saturating_sub(SEQUENCE_WINDOW);
        let rows = match self.results.get_mut(key) {
            Some(rows) => rows,
            None => self.results.entry(key.clone()).or_default(),
        };
        for _ in 0..PRUNE_ROWS_MAX {
            let Some(lowest) = rows.first_entry().filter(|e| *e.key() <= floor) else { break };
            let (old_sequence, old) = lowest.remove_entry();
            self.commands.remove(&old.command);
            changes.push(Change {
                table: Table::Results,
                key: result_key(&key_bytes, old_sequence),
                before: Some(old.to_bytes()),
                after: None,
            });
        }
        changes.push(Change {
            table: Table::Results,
            key: result_key(&key_bytes, sequence),
            before: None,
            after: Some(bytes),
        });
        self.commands.insert(receipt.command, key.clone(), sequence);
        let old = rows.insert(sequence, receipt);
        assert!(old.is_none(), "a first result is never overwritten");
        Diff::new(changes)
    }
}

/// The canonical key of a result row: the session's key, then the sequence.
fn result_key(session: &[u8], sequence: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(session.len() + 8);
    key.extend_from_slice(session);
    sequence.encode(&mut key);
    key
}

fn put<K: Ord, V>(rows: &mut BTreeMap<K, V>, key: K, row: Option<V>) {
    match row {
        Some(row) => rows.insert(key, row),
        None => rows.remove(&key),
    };
}

impl Write {
    /// Table and key.
    fn key(&self) -> (Table, Vec<u8>) {
        match self {
            Write::Party(name, _) => (Table::Parties, row_bytes(name)),
            Write::Note(index, _) => (Table::Notes, row_bytes(index)),
            Write::Supply(asset, _) => (Table::Supply, asset_bytes(asset)),
            Write::Session(key, _) => (Table::Sessions, row_bytes(key)),
            Write::Result(key, sequence, _) => (Table::Results, result_key(&row_bytes(key), *sequence)),
            Write::Module(id, _) => (Table::Modules, row_bytes(id)),
            Write::Lineage(lineage, _) => (Table::Lineages, row_bytes(lineage)),
            Write::Quota(party, _) => (Table::Quotas, row_bytes(party)),
            Write::Usage(party, _) => (Table::Usage, row_bytes(party)),
        }
    }

    /// The bytes of the row.
    fn after(&self) -> Option<Vec<u8>> {
        match self {
            Write::Party(_, row) => row.as_ref().map(row_bytes),
            Write::Note(_, row) => row.as_ref().map(row_bytes),
            Write::Supply(_, row) => row.as_ref().map(row_bytes),
            Write::Session(_, row) => row.as_ref().map(row_bytes),
            Write::Result(_, _, row) => row.as_ref().map(row_bytes),
            Write::Module(_, row) => row.as_ref().map(row_bytes),
            Write::Lineage(_, row) => row.as_ref().map(row_bytes),
            Write::Quota(_, row) => row.as_ref().map(row_bytes),
            Write::Usage(_, row) => row.as_ref().map(row_bytes),
        }
    }

    /// Reads a key and a row of `table`, which is not that of contracts' rows.
    fn decode(table: Table, key: &[u8], value: Option<&[u8]>) -> Result<Write, DecodeError> {
        fn row<T: Decode>(value: Option<&[u8]>) -> Result<Option<T>, DecodeError> {
            value.map(T::from_bytes).transpose()
        }
        Ok(match table {
            Table::Parties => Write::Party(Name::from_bytes(key)?, row(value)?),
            Table::Rows => return Err(DecodeError::Invalid { what: "table", why: "contracts' rows stand apart" }),
            Table::Notes => Write::Note(Index::from_bytes(key)?, row(value)?),
            Table::Supply => Write::Supply(asset_of(key)?, row(value)?),
            Table::Sessions => Write::Session(SessionKey::from_bytes(key)?, row(value)?),
            Table::Results => {
                let (session, sequence) = <(SessionKey, u64)>::from_bytes(key)?;
                Write::Result(session, sequence, row(value)?)
            }
            Table::Modules => Write::Module(ModuleId::from_bytes(key)?, row(value)?),
            Table::Lineages => Write::Lineage(Lineage::from_bytes(key)?, row(value)?),
            Table::Quotas => Write::Quota(Name::from_bytes(key)?, row(value)?),
            Table::Usage => Write::Usage(Name::from_bytes(key)?, row(value)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Hash, Height, Outcome};

    fn receipt(index: u64) -> Receipt {
        Receipt {
            index: Index(index),
            height: Height(1),
            command: CommandId(Hash::of(&index.to_be_bytes())),
            outcome: Outcome::applied(),
            diff: Hash::ZERO,
            cost: [0; 6],
            result: Vec::new(),
        }
    }

    fn record(state: &mut State, key: &SessionKey, sequence: u64) -> Diff {
        let receipt = receipt(sequence);
        let bytes = receipt.to_bytes();
        state.record(key, sequence, receipt, bytes)
    }

    #[test]
    fn table_numbers_are_those_of_the_codec() {
        for table in Table::ALL {
            assert_eq!(table.to_bytes(), [table.number()]);
        }
    }

    #[test]
    fn rows_below_the_window_go_a_few_at_a_time() {
        let mut state = State::default();
        let key = (Name::new("p").unwrap(), 7);
        for sequence in 1..=10 {
            record(&mut state, &key, sequence);
        }
        let far = 10 + SEQUENCE_WINDOW;
        let before = state.clone();
        let diff = record(&mut state, &key, far);
        assert_eq!(state.results_len(), 10 + 1 - PRUNE_ROWS_MAX);
        assert_eq!(diff.changes().len(), 1 + PRUNE_ROWS_MAX + 1);
        let mut back = state.clone();
        back.apply(&diff.invert()).unwrap();
        assert_eq!(back, before);
        back.apply(&diff).unwrap();
        assert_eq!(back, state);
        record(&mut state, &key, far - 1);
        record(&mut state, &key, far - 2);
        assert_eq!(state.results_len(), 3, "the window holds what is inside it and nothing else");
        assert_eq!(state.command(&receipt(10).command), None);
        assert_eq!(state.command(&receipt(far).command), Some((&key, far)));
    }

    #[test]
    fn a_diff_that_does_not_fit_changes_nothing() {
        let mut state = State::default();
        let key = (Name::new("p").unwrap(), 7);
        let diff = record(&mut state, &key, 1);
        let before = state.clone();
        assert!(matches!(state.apply(&diff), Err(ApplyError::Before(_))));
        assert_eq!(state, before);
        let odd = Change { table: Table::Quotas, key: vec![1], before: None, after: Some(vec![]) };
        assert!(matches!(state.apply(&Diff::new(vec![odd])), Err(ApplyError::Form(Table::Quotas, _))));
        assert_eq!(state, before);
    }
}

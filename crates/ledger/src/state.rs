//! The tables.
//!
//! | table | key | row |
//! |---|---|---|
//! | parties | name | guard |
//! | accounts | name | owner, balance, pass-through |
//! | notes | log index | party, command, bytes |
//! | supply | (none) | the sum of all balances |
//! | sessions | party, session | the highest sequence executed |
//! | results | party, session, sequence | the receipt of the command executed |
//!
//! Keys and rows have one canonical encoding each; diffs, the root and proofs are made of those bytes. The last two
//! tables are bookkeeping: what "at most once" needs. They count for the state root like the others. Their changes
//! are kept in a diff of their own, since a result row holds the hash of its command's diff and so cannot be in it.

use std::collections::BTreeMap;
use std::ops::Bound;

use thiserror::Error;
use wire::limits::SEQUENCE_WINDOW;
use wire::{CommandId, Decode, DecodeError, Encode, Guard, Index, Name, Reader, Receipt, enum_codec, struct_codec};

use crate::amount::Amount;
use crate::diff::{Change, Diff};
use crate::lookup::CommandLookup;

/// Result rows below the window that one command removes, at most. More than one, so that a backlog shrinks; bounded,
/// so that a jump of the sequence costs nobody a long pause.
pub const PRUNE_ROWS_MAX: usize = 4;

/// The name of a table. The numbers are part of diffs and of the state root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Who may sign for whom.
    Parties,
    /// Balances.
    Accounts,
    /// Bytes kept by `DATA##CODE`.
    Notes,
    /// One row: the sum of all balances.
    Supply,
    /// Bookkeeping: the highest sequence of each (party, session).
    Sessions,
    /// Bookkeeping: the first result of each (party, session, sequence) inside the window.
    Results,
}
enum_codec!(Table { 1 => Parties, 2 => Accounts, 3 => Notes, 4 => Supply, 5 => Sessions, 6 => Results });

impl Table {
    /// All tables, by ascending number.
    pub const ALL: [Table; 6] =
        [Table::Parties, Table::Accounts, Table::Notes, Table::Supply, Table::Sessions, Table::Results];

    /// The number in canonical bytes.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// True for the tables that only serve "at most once".
    pub fn is_bookkeeping(self) -> bool {
        matches!(self, Table::Sessions | Table::Results)
    }
}

/// A party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyRow {
    /// Whose signatures count as the party's.
    pub guard: Guard,
}
struct_codec!(PartyRow { guard: Guard });

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The party whose guard every debit needs.
    pub owner: Name,
    /// What it holds.
    pub balance: Amount,
    /// True if others may name it in the middle of a path without the owner's signature.
    pub pass_through: bool,
}
struct_codec!(AccountRow { owner: Name, balance: Amount, pass_through: bool });

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

/// Party and session.
pub type SessionKey = (Name, u64);

/// One row to be put in place, or removed where that is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Party(Name, Option<PartyRow>),
    Account(Name, Option<AccountRow>),
    Note(Index, Option<NoteRow>),
    Supply(Amount),
    Session(SessionKey, Option<SessionRow>),
    Result(SessionKey, u64, Option<Receipt>),
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
}

/// A name with its first sixteen bytes beside it. Most comparisons end there, without a visit to the text, which lies
/// elsewhere in memory: with many accounts that is most of the cost of finding one. Ordered as names are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    prefix: [u64; 2],
    name: Name,
}

impl Key {
    fn new(name: Name) -> Key {
        // Names hold no zero byte, so the padding sorts a shorter name first, as it should.
        let mut bytes = [0; 16];
        let len = name.as_str().len().min(16);
        bytes[..len].copy_from_slice(&name.as_str().as_bytes()[..len]);
        let half = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Key { prefix: [half(0), half(8)], name }
    }
}

impl Encode for Key {
    fn encode(&self, out: &mut Vec<u8>) {
        self.name.encode(out);
    }
}

/// Canonical bytes of a small key or row, without growing step by step.
pub(crate) fn row_bytes(value: &impl Encode) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    value.encode(&mut out);
    out
}

/// All tables.
///
/// Invariants: the balances sum to `supply`; `results` has no empty inner map; `commands` has one entry for each
/// result row and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    parties: BTreeMap<Name, PartyRow>,
    accounts: BTreeMap<Key, AccountRow>,
    notes: BTreeMap<Index, NoteRow>,
    supply: Amount,
    sessions: BTreeMap<SessionKey, SessionRow>,
    results: BTreeMap<SessionKey, BTreeMap<u64, Receipt>>,
    /// Where the result of each command stands. Derived from `results`; no part of the root.
    commands: CommandLookup,
}

impl State {
    /// The tables at genesis: two parties, no account.
    pub fn genesis(administrators: Guard, treasury: Guard) -> State {
        let mut state = State::default();
        for (name, guard) in [(crate::operation::ADMIN, administrators), (crate::operation::TREASURY, treasury)] {
            let name = Name::new(name).expect("a reserved name is a name");
            state.parties.insert(name, PartyRow { guard });
        }
        state
    }

    /// The party of this name.
    pub fn party(&self, name: &Name) -> Option<&PartyRow> {
        self.parties.get(name)
    }

    /// The account of this name.
    pub fn account(&self, name: &Name) -> Option<&AccountRow> {
        self.accounts.get(&Key::new(name.clone()))
    }

    /// All accounts, by ascending name.
    pub fn accounts(&self) -> impl Iterator<Item = (&Name, &AccountRow)> {
        self.accounts_after(None)
    }

    /// The accounts after a name, by ascending name.
    pub fn accounts_after(&self, name: Option<&Name>) -> impl Iterator<Item = (&Name, &AccountRow)> {
        let from = name.map_or(Bound::Unbounded, |name| Bound::Excluded(Key::new(name.clone())));
        self.accounts.range((from, Bound::Unbounded)).map(|(key, row)| (&key.name, row))
    }

    /// How many accounts there are.
    pub fn accounts_len(&self) -> usize {
        self.accounts.len()
    }

    /// All parties, by ascending name.
    pub fn parties(&self) -> &BTreeMap<Name, PartyRow> {
        &self.parties
    }

    /// All notes, by ascending log index.
    pub fn notes(&self) -> &BTreeMap<Index, NoteRow> {
        &self.notes
    }

    /// The sum of all balances.
    pub fn supply(&self) -> Amount {
        self.supply
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

    /// The canonical bytes of one row, or `None` if there is no such row.
    ///
    /// # Errors
    /// If `key` is no key of that table.
    pub fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        Ok(match Write::decode(table, key, None)? {
            Write::Party(name, _) => self.parties.get(&name).map(Encode::to_bytes),
            Write::Account(name, _) => self.account(&name).map(Encode::to_bytes),
            Write::Note(index, _) => self.notes.get(&index).map(Encode::to_bytes),
            Write::Supply(_) => Some(self.supply.to_bytes()),
            Write::Session(key, _) => self.sessions.get(&key).map(Encode::to_bytes),
            Write::Result(key, sequence, _) => self.result(&key, sequence).map(Encode::to_bytes),
        })
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
        table(Table::Parties, &self.parties)
            .chain(table(Table::Accounts, &self.accounts))
            .chain(table(Table::Notes, &self.notes))
            .chain(std::iter::once((Table::Supply, Vec::new(), self.supply.to_bytes())))
            .chain(table(Table::Sessions, &self.sessions))
            .chain(results)
    }

    /// Applies a diff, whole or not at all.
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
            if change.table == Table::Supply && change.after.is_none() {
                return Err(form(DecodeError::Invalid { what: "supply", why: "its row is never removed" }));
            }
            writes.push(Write::decode(change.table, &change.key, change.after.as_deref()).map_err(form)?);
        }
        self.put_all(writes);
        Ok(())
    }

    /// Puts rows in place.
    pub(crate) fn put_all(&mut self, writes: Vec<Write>) {
        fn put<K: Ord, V>(rows: &mut BTreeMap<K, V>, key: K, row: Option<V>) {
            match row {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
        for write in writes {
            match write {
                Write::Party(name, row) => put(&mut self.parties, name, row),
                Write::Account(name, row) => put(&mut self.accounts, Key::new(name), row),
                Write::Note(index, row) => put(&mut self.notes, index, row),
                Write::Supply(supply) => self.supply = supply,
                Write::Session(key, row) => put(&mut self.sessions, key, row),
                Write::Result(key, sequence, row) => self.put_result(key, sequence, row),
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

impl Write {
    /// Reads a key and a row of `table`.
    fn decode(table: Table, key: &[u8], value: Option<&[u8]>) -> Result<Write, DecodeError> {
        fn row<T: Decode>(value: Option<&[u8]>) -> Result<Option<T>, DecodeError> {
            value.map(T::from_bytes).transpose()
        }
        Ok(match table {
            Table::Parties => Write::Party(Name::from_bytes(key)?, row(value)?),
            Table::Accounts => Write::Account(Name::from_bytes(key)?, row(value)?),
            Table::Notes => Write::Note(Index::from_bytes(key)?, row(value)?),
            Table::Supply if key.is_empty() => Write::Supply(row(value)?.unwrap_or_default()),
            Table::Supply => return Err(DecodeError::Trailing { what: "key of the supply", extra: key.len() }),
            Table::Sessions => Write::Session(SessionKey::from_bytes(key)?, row(value)?),
            Table::Results => {
                let (session, sequence) = <(SessionKey, u64)>::from_bytes(key)?;
                Write::Result(session, sequence, row(value)?)
            }
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
        }
    }

    fn record(state: &mut State, key: &SessionKey, sequence: u64) -> Diff {
        let receipt = receipt(sequence);
        let bytes = receipt.to_bytes();
        state.record(key, sequence, receipt, bytes)
    }

    #[test]
    fn names_with_a_prefix_sort_as_names() {
        let texts = ["a", "a-b", "ab", "abcdefghijklmnop", "abcdefghijklmnopq", "abcdefghijklmnopr", "b", "B", "0"];
        let mut names: Vec<Name> = texts.iter().map(|t| Name::new(t).unwrap()).collect();
        let mut keys: Vec<Key> = names.iter().cloned().map(Key::new).collect();
        names.sort();
        keys.sort();
        assert!(keys.iter().map(|k| &k.name).eq(&names));
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
        let odd = Change { table: Table::Accounts, key: vec![1], before: None, after: Some(vec![]) };
        assert!(matches!(state.apply(&Diff::new(vec![odd])), Err(ApplyError::Form(Table::Accounts, _))));
        assert_eq!(state, before);
    }
}

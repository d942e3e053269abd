//! What one command reads and writes before it is known to succeed.
//!
//! Reads fall through to the tables; writes stay here. Dropping an overlay is the refusal of the command: nothing
//! happened. Finishing it turns the writes into a diff and into rows to put in place.

use wire::{Encode, Index, Name};

use crate::amount::Amount;
use crate::diff::{Change, Diff};
use crate::state::{AccountRow, NoteRow, PartyRow, State, Table, Write, row_bytes};

/// A row that was read: as it was, and as it is for this command.
#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    before: Option<V>,
    after: Option<V>,
}

/// The tables as one command sees them.
#[derive(Debug)]
pub struct Overlay<'s> {
    state: &'s State,
    parties: Vec<Slot<Name, PartyRow>>,
    /// A handful at most (the accounts of one path), so a list is searched.
    accounts: Vec<Slot<Name, AccountRow>>,
    notes: Vec<Slot<Index, NoteRow>>,
    supply: Amount,
}

impl<'s> Overlay<'s> {
    /// The tables, nothing written yet.
    pub fn new(state: &'s State) -> Overlay<'s> {
        Overlay {
            state,
            parties: Vec::new(),
            accounts: Vec::with_capacity(2),
            notes: Vec::new(),
            supply: state.supply(),
        }
    }

    /// The party of this name.
    pub fn party(&self, name: &Name) -> Option<&PartyRow> {
        match self.parties.iter().find(|s| s.key == *name) {
            Some(slot) => slot.after.as_ref(),
            None => self.state.party(name),
        }
    }

    /// Puts a party in place.
    pub fn set_party(&mut self, name: &Name, row: PartyRow) {
        match self.parties.iter_mut().find(|s| s.key == *name) {
            Some(slot) => slot.after = Some(row),
            None => {
                let before = self.state.party(name).cloned();
                self.parties.push(Slot { key: name.clone(), before, after: Some(row) });
            }
        }
    }

    fn account_slot(&mut self, name: &Name) -> &mut Slot<Name, AccountRow> {
        let at = self.accounts.iter().position(|s| s.key == *name).unwrap_or_else(|| {
            let row = self.state.account(name);
            self.accounts.push(Slot { key: name.clone(), before: row.cloned(), after: row.cloned() });
            self.accounts.len() - 1
        });
        &mut self.accounts[at]
    }

    /// The account of this name, for reading and changing.
    pub fn account_mut(&mut self, name: &Name) -> Option<&mut AccountRow> {
        self.account_slot(name).after.as_mut()
    }

    /// Puts an account in place.
    pub fn set_account(&mut self, name: &Name, row: AccountRow) {
        self.account_slot(name).after = Some(row);
    }

    /// The sum of all balances.
    pub fn supply(&self) -> Amount {
        self.supply
    }

    /// Sets the sum of all balances.
    pub fn set_supply(&mut self, supply: Amount) {
        self.supply = supply;
    }

    /// Keeps a note.
    pub fn set_note(&mut self, index: Index, row: NoteRow) {
        let before = self.state.notes().get(&index).cloned();
        self.notes.push(Slot { key: index, before, after: Some(row) });
    }

    /// The writes as a diff and as rows.
    ///
    /// # Panics
    /// If the balances did not move exactly as the supply did. That is a fault of the rules, not of the command, and
    /// nothing built on such a state could be trusted.
    pub(crate) fn finish(self) -> (Diff, Vec<Write>) {
        let balance = |row: &Option<AccountRow>| row.as_ref().map_or(0, |r| r.balance.units() as i128);
        let moved: i128 = self.accounts.iter().map(|s| balance(&s.after) - balance(&s.before)).sum();
        let minted = self.supply.units() as i128 - self.state.supply().units() as i128;
        assert_eq!(moved, minted, "balances move exactly as the supply does");

        let mut changes = Vec::with_capacity(2);
        let mut writes = Vec::with_capacity(2);
        emit(self.parties, Table::Parties, &mut changes, &mut writes, Write::Party);
        emit(self.accounts, Table::Accounts, &mut changes, &mut writes, Write::Account);
        emit(self.notes, Table::Notes, &mut changes, &mut writes, Write::Note);
        if self.supply != self.state.supply() {
            changes.push(Change {
                table: Table::Supply,
                key: Vec::new(),
                before: Some(self.state.supply().to_bytes()),
                after: Some(self.supply.to_bytes()),
            });
            writes.push(Write::Supply(self.supply));
        }
        (Diff::new(changes), writes)
    }
}

/// Moves the slots that changed into `changes` and `writes`.
fn emit<K: Encode, V: Encode + PartialEq>(
    slots: Vec<Slot<K, V>>,
    table: Table,
    changes: &mut Vec<Change>,
    writes: &mut Vec<Write>,
    write: fn(K, Option<V>) -> Write,
) {
    for slot in slots.into_iter().filter(|s| s.before != s.after) {
        changes.push(Change {
            table,
            key: row_bytes(&slot.key),
            before: slot.before.as_ref().map(row_bytes),
            after: slot.after.as_ref().map(row_bytes),
        });
        writes.push(write(slot.key, slot.after));
    }
}

//! A model of the ledger, small enough to be seen to be right: who owns what, and which sequences are used.

use std::collections::{BTreeMap, BTreeSet};

use wire::{CommandId, Height, Receipt, Time};

use super::{Agreed, Failure};
use crate::clients::{Known, Wish};

/// The outcome "the same command was executed before".
const REPEATED: u16 = 1;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Books {
    parties: BTreeSet<String>,
    /// Owner and units.
    accounts: BTreeMap<String, (String, u128)>,
    minted: u128,
    /// The first result at each (party, session, sequence).
    results: BTreeMap<(String, u64, u64), Receipt>,
    next_index: u64,
    time: Option<Time>,
}

impl Books {
    /// Enters a block.
    pub fn block(
        &mut self,
        height: Height,
        agreed: &Agreed,
        known: &BTreeMap<CommandId, Known>,
    ) -> Result<(), Failure> {
        if self.time.is_some_and(|last| agreed.time <= last) {
            return Err(Failure::new("books", format!("the time of block {height} is not above its parent's")));
        }
        self.time = Some(agreed.time);
        for receipt in &agreed.receipts {
            let Some(command) = known.get(&receipt.command) else {
                return Err(Failure::new("books", format!("{receipt:?}: a command that no client signed")));
            };
            self.entry(height, agreed.time, receipt, command)
                .map_err(|why| Failure::new("books", format!("{receipt:?} of {command:?}: {why}")))?;
            self.next_index += 1;
        }
        Ok(())
    }

    fn entry(&mut self, height: Height, time: Time, receipt: &Receipt, command: &Known) -> Result<(), String> {
        let applied = receipt.outcome.code.0 == 0;
        let key = (command.party.clone(), command.session, command.sequence);
        if let Some(first) = self.results.get(&key) {
            if first.command == receipt.command {
                let same = receipt == first || receipt.outcome.code.0 == REPEATED;
                return if same { Ok(()) } else { Err(format!("its first result was {first:?}")) };
            }
            return if applied { Err(format!("its sequence was used by {first:?}")) } else { Ok(()) };
        }
        if receipt.index.0 != self.next_index || receipt.height != height {
            return Err(format!("it stands at index {} of height {height}", self.next_index));
        }
        let founder = command.party == "admin" || command.party == "treasury";
        if time > command.expiry || !(founder || self.parties.contains(&command.party)) {
            return if applied { Err("it expired, or its party is unknown".to_owned()) } else { Ok(()) };
        }
        let should = self.apply(command);
        self.results.insert(key, receipt.clone());
        if should == applied { Ok(()) } else { Err(format!("by the books it is applied: {should}")) }
    }

    /// Carries a wish out, if the rules allow it.
    fn apply(&mut self, command: &Known) -> bool {
        match &command.wish {
            Wish::Register(party) => command.party == "admin" && self.parties.insert(party.clone()),
            Wish::Open(account) => {
                let free = !self.accounts.contains_key(account);
                if free {
                    self.accounts.insert(account.clone(), (command.party.clone(), 0));
                }
                free
            }
            Wish::Mint(account, units) => match self.accounts.get_mut(account) {
                Some((_, balance)) if *units > 0 && command.party == "treasury" => {
                    *balance += units;
                    self.minted += units;
                    true
                }
                _ => false,
            },
            Wish::Transfer(from, to, units) => {
                let owned =
                    self.accounts.get(from).is_some_and(|(owner, held)| *owner == command.party && held >= units);
                let allowed = owned && *units > 0 && from != to && self.accounts.contains_key(to);
                if allowed {
                    self.accounts.entry(from.clone()).and_modify(|(_, held)| *held -= units);
                    self.accounts.entry(to.clone()).and_modify(|(_, held)| *held += units);
                }
                allowed
            }
            Wish::Note => true,
        }
    }

    /// Compares a node's balances with the books.
    pub fn compare(&self, machine: usize, balances: &BTreeMap<String, u128>, supply: u128) -> Result<(), Failure> {
        let ours: BTreeMap<String, u128> =
            self.accounts.iter().map(|(name, (_, units))| (name.clone(), *units)).collect();
        if ours != *balances {
            let text = format!("machine {machine} holds balances {balances:?}, the books say {ours:?}");
            return Err(Failure::new("funds", text));
        }
        let sum: u128 = balances.values().sum();
        if sum != supply || sum != self.minted {
            let text = format!("machine {machine}: balances {sum}, supply {supply}, minted {}", self.minted);
            return Err(Failure::new("funds", text));
        }
        Ok(())
    }
}

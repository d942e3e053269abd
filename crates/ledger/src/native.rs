//! The rules of the native operations.
//!
//! This is the seam at which a contract language takes over: a rule sees the [`Overlay`] and the [`Context`] and
//! answers with success or a [`Refusal`]. Numbering, expiry, guards of the command's party, receipts and roots are
//! none of its business.
//!
//! * **RegisterParty**: the command's party is `admin`. The name is free, the guard can be met, its keys are proper.
//! * **CreateAccount**: any party; it becomes the owner. The name is free. Accounts come into being in no other way.
//! * **Adjust**: the command's party is `treasury`. Minting needs no more; burning needs the signers to satisfy the
//!   guard of the account's owner too, and the account to hold the amount. The supply stays within its cap.
//! * **Transfer**: all accounts exist and are distinct; the guard of the first account's owner is satisfied by the
//!   command's signers; for each account between, either its owner's guard is or it allows passing through; the first
//!   account holds the amount. The accounts between keep their balances. All or nothing.
//! * **SetPassThrough**: the guard of the account's owner is satisfied by the command's signers.
//! * **Data**: keeps the bytes under the log index; with a transfer, both happen or neither.
//!
//! An amount of zero is refused. Whose party the command names does not matter where an owner's guard is asked for:
//! the signers do, so that two organisations can sign one command.
//!
//! Checks run in the order: role, amount, path, accounts, signers, balance. The first that fails is the outcome.

use wire::{CommandId, Guard, Index, Name, PublicKey};

use crate::amount::Amount;
use crate::operation::{ADMIN, Operation, TREASURY, Transfer};
use crate::outcome::Refusal;
use crate::overlay::Overlay;
use crate::state::{AccountRow, NoteRow, PartyRow};

/// What an operation may know of the command that carries it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// In whose name it was sent; the signers satisfy this party's guard.
    pub party: &'c Name,
    /// The keys that signed.
    pub signers: &'c [PublicKey],
    /// The command.
    pub command: CommandId,
    /// Its place in the log.
    pub index: Index,
}

impl Context<'_> {
    /// True if the signers satisfy the guard of `party`.
    fn speaks_for(&self, overlay: &Overlay<'_>, party: &Name) -> bool {
        party == self.party || overlay.party(party).is_some_and(|row| row.guard.is_satisfied_by(self.signers))
    }
}

/// Carries out one operation on the overlay.
///
/// # Errors
/// The reason for the refusal; the overlay must then be dropped.
pub fn run(operation: Operation, context: &Context<'_>, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    match operation {
        Operation::RegisterParty { name, guard } => register(name, guard, context, overlay),
        Operation::CreateAccount { name } => create(name, context, overlay),
        Operation::Adjust { account, negative, amount } => adjust(account, negative, amount, context, overlay),
        Operation::Transfer(body) => transfer(&body, context, overlay),
        Operation::SetPassThrough { account, allowed } => {
            owned(&account, context, overlay)?;
            existing(&account, overlay)?.pass_through = allowed;
            Ok(())
        }
        Operation::Data { data, then } => {
            if let Some(body) = then {
                transfer(&body, context, overlay)?;
            }
            let note = NoteRow { party: context.party.clone(), command: context.command, data };
            overlay.set_note(context.index, note);
            Ok(())
        }
    }
}

fn register(name: Name, guard: Guard, context: &Context<'_>, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    if context.party.as_str() != ADMIN {
        return Err(Refusal::NotAdministrator(context.party.clone()));
    }
    if overlay.party(&name).is_some() {
        return Err(Refusal::PartyExists(name));
    }
    guard.check().map_err(|e| Refusal::GuardRefused(e.to_string()))?;
    overlay.set_party(&name, PartyRow { guard });
    Ok(())
}

fn create(name: Name, context: &Context<'_>, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    if overlay.account_mut(&name).is_some() {
        return Err(Refusal::AccountExists(name));
    }
    let row = AccountRow { owner: context.party.clone(), balance: Amount::ZERO, pass_through: false };
    overlay.set_account(&name, row);
    Ok(())
}

fn adjust(
    account: Name,
    negative: bool,
    amount: Amount,
    context: &Context<'_>,
    overlay: &mut Overlay<'_>,
) -> Result<(), Refusal> {
    if context.party.as_str() != TREASURY {
        return Err(Refusal::NotTreasury(context.party.clone()));
    }
    if amount.is_zero() {
        return Err(Refusal::ZeroAmount);
    }
    let supply = overlay.supply();
    if negative {
        owned(&account, context, overlay)?;
        debit(&account, amount, "burn", overlay)?;
        overlay.set_supply(supply.checked_sub(amount).expect("the supply is no less than one balance"));
    } else {
        existing(&account, overlay)?;
        let Some(sum) = supply.checked_add(amount) else { return Err(Refusal::SupplyCap { amount, supply }) };
        credit(&account, amount, overlay)?;
        overlay.set_supply(sum);
    }
    Ok(())
}

fn transfer(body: &Transfer, context: &Context<'_>, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    let Transfer { path, amount } = body;
    if amount.is_zero() {
        return Err(Refusal::ZeroAmount);
    }
    let [from, hops @ .., to] = path.as_slice() else { unreachable!("decoding refuses a path of less than two") };
    if from == to {
        return Err(Refusal::SelfTransfer(from.clone()));
    }
    // At most sixteen names: comparing all pairs is cheaper than a set.
    if let Some(n) = (1..path.len()).find(|n| path[..*n].contains(&path[*n])) {
        return Err(Refusal::PathRepeats(path[n].clone()));
    }
    for name in path {
        existing(name, overlay)?;
    }
    owned(from, context, overlay)?;
    for hop in hops {
        let row = existing(hop, overlay)?;
        let (allowed, owner) = (row.pass_through, row.owner.clone());
        if !allowed && !context.speaks_for(overlay, &owner) {
            return Err(Refusal::HopMustSign { account: hop.clone(), owner });
        }
    }
    debit(from, *amount, "transfer", overlay)?;
    credit(to, *amount, overlay)
}

/// The account, which must exist.
fn existing<'o>(name: &Name, overlay: &'o mut Overlay<'_>) -> Result<&'o mut AccountRow, Refusal> {
    overlay.account_mut(name).ok_or_else(|| Refusal::UnknownAccount(name.clone()))
}

/// Checks that the signers speak for the owner of the account.
fn owned(account: &Name, context: &Context<'_>, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    let owner = existing(account, overlay)?.owner.clone();
    if !context.speaks_for(overlay, &owner) {
        return Err(Refusal::OwnerMustSign { account: account.clone(), owner });
    }
    Ok(())
}

fn debit(account: &Name, amount: Amount, what: &'static str, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    let row = existing(account, overlay)?;
    let Some(rest) = row.balance.checked_sub(amount) else {
        return Err(Refusal::Overdraft { account: account.clone(), balance: row.balance, what, need: amount });
    };
    row.balance = rest;
    Ok(())
}

fn credit(account: &Name, amount: Amount, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    let row = existing(account, overlay)?;
    row.balance = row.balance.checked_add(amount).expect("no balance exceeds the supply, which is capped");
    Ok(())
}

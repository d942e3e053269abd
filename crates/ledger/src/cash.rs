//! Money: module `bank.cash`, which every ledger has from genesis, as the classic commands and queries see it.
//!
//! The rules are the module's (`cash/bank.cash.hir`); nothing here decides anything. This file knows the places of its
//! functions, tables and errors, and the bytes of its rows.

use std::sync::{Arc, LazyLock};

use hopper::abort::{Abort, Fault};
use hopper::ir::{Lineage, Module, ModuleId, Proofs};
use hopper::library::{Library, Unit};
use hopper::state::{Row, RowKey};
use hopper::types::Nominal;
use hopper::value::Value;
use hopper::verify;
use wire::{Decode, DecodeError, Encode, Name, Reader};

use crate::amount::Amount;
use crate::operation::{Operation, PATH_ACCOUNTS_MAX, Transfer};
use crate::outcome::Refusal;
use crate::request::Call;
use crate::state::State;

/// The module's canonical bytes. `cargo run -p hopperc --example assemble` makes them of the text beside them.
pub const MODULE: &[u8] = include_bytes!("../cash/bank.cash.module");
/// Its proofs.
pub const PROOFS: &[u8] = include_bytes!("../cash/bank.cash.proofs");

/// Places of the module's functions.
pub mod function {
    /// Opens an account.
    pub const OPEN: u16 = 4;
    /// Mints.
    pub const ISSUE: u16 = 5;
    /// Burns.
    pub const BURN: u16 = 6;
    /// Moves money.
    pub const TRANSFER: u16 = 7;
    /// Moves money through other accounts.
    pub const TRANSFER_THROUGH: u16 = 8;
    /// Lets others pass money through an account.
    pub const PASS_THROUGH: u16 = 9;
    /// Moves money several times.
    pub const TRANSFER_ALL: u16 = 14;
}

/// Places of the module's errors.
mod error {
    pub const UNKNOWN_ACCOUNT: u16 = 0;
    pub const ACCOUNT_EXISTS: u16 = 1;
    pub const OWNER_MUST_SIGN: u16 = 2;
    pub const HOP_MUST_SIGN: u16 = 3;
    pub const OVERDRAFT: u16 = 4;
    pub const SELF_TRANSFER: u16 = 5;
    pub const PATH_REPEATS: u16 = 6;
}

/// The table of accounts.
pub const ACCOUNTS: u16 = 0;
/// The asset.
const COIN: u16 = 0;

/// A library with the module in it, made once.
static GENESIS: LazyLock<(Library, Arc<Unit>)> = LazyLock::new(|| {
    let mut library = Library::default();
    let module = Module::read(MODULE).expect("the module that is built in can be read");
    let proofs = Proofs::read(PROOFS).expect("so can its proofs");
    let unit = verify::deploy(&mut library, module, &proofs).expect("the verifier accepts the module that is built in");
    (library, unit)
});

/// A library that holds this module and nothing else.
pub fn library() -> Library {
    GENESIS.0.clone()
}

/// The module, verified.
pub fn unit() -> &'static Arc<Unit> {
    &GENESIS.1
}

/// Its id.
pub fn id() -> ModuleId {
    GENESIS.1.id
}

/// Its lineage.
pub fn lineage() -> Lineage {
    GENESIS.1.lineage
}

/// The coin.
pub fn coin() -> Nominal {
    Nominal { lineage: lineage(), index: COIN }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// What it holds.
    pub balance: Amount,
    /// The party whose authority every debit needs.
    pub owner: Name,
    /// True if others may name it in the middle of a path without the owner's signature.
    pub pass_through: bool,
    /// True if it pays nothing for now.
    pub frozen: bool,
}

/// Bytes of an amount in a row: a Nat96.
const AMOUNT_BYTES: usize = 12;

fn encode_amount(amount: Amount, out: &mut Vec<u8>) {
    out.extend_from_slice(&amount.units().to_be_bytes()[16 - AMOUNT_BYTES..]);
}

fn decode_amount(r: &mut Reader<'_>) -> Result<Amount, DecodeError> {
    let mut bytes = [0; 16];
    bytes[16 - AMOUNT_BYTES..].copy_from_slice(r.take(AMOUNT_BYTES, "amount")?);
    Amount::from_units(u128::from_be_bytes(bytes)).ok_or(DecodeError::Invalid { what: "amount", why: "above its cap" })
}

impl Encode for AccountRow {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_amount(self.balance, out);
        self.owner.encode(out);
        self.pass_through.encode(out);
        self.frozen.encode(out);
    }
}

impl Decode for AccountRow {
    const SIZE_MIN: usize = AMOUNT_BYTES + Name::SIZE_MIN + 2;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(AccountRow {
            balance: decode_amount(r)?,
            owner: Name::decode(r)?,
            pass_through: bool::decode(r)?,
            frozen: bool::decode(r)?,
        })
    }
}

impl AccountRow {
    /// The account that a row of the table is.
    pub fn of(row: &Row) -> AccountRow {
        let parts = |value: &Value| match value {
            Value::Fields(fields) => fields.clone(),
            _ => unreachable!("records have fields"),
        };
        let fields = parts(&row.value);
        let [coin, Value::Party(owner), Value::Bool(pass_through), Value::Bool(frozen)] = &fields[..] else {
            unreachable!("a row of the table of accounts has the type that the module gives it")
        };
        let units = parts(coin).first().and_then(Value::int).and_then(|n| u128::try_from(n).ok()).unwrap_or(0);
        let balance = Amount::from_units(units).expect("a Nat96 is an amount");
        AccountRow { balance, owner: owner.clone(), pass_through: *pass_through, frozen: *frozen }
    }
}

/// The key of an account's row.
pub fn account_key(name: &Name) -> RowKey {
    RowKey { lineage: lineage(), table: ACCOUNTS, key: name.to_bytes() }
}

/// The account whose row this is, if it is one.
pub fn account_of(key: &RowKey) -> Option<Name> {
    let ours = key.lineage == lineage() && key.table == ACCOUNTS;
    if ours { Name::from_bytes(&key.key).ok() } else { None }
}

/// The call of the module that a classic command is, if it is one.
pub fn call_of(operation: &Operation) -> Option<Call> {
    let mut args = Vec::with_capacity(64);
    let function = match operation {
        Operation::CreateAccount { name } => {
            name.encode(&mut args);
            function::OPEN
        }
        Operation::Adjust { account, negative, amount } => {
            account.encode(&mut args);
            encode_amount(*amount, &mut args);
            if *negative { function::BURN } else { function::ISSUE }
        }
        Operation::Transfer(transfer) => transfer_args(transfer, &mut args),
        Operation::SetPassThrough { account, allowed } => {
            account.encode(&mut args);
            allowed.encode(&mut args);
            function::PASS_THROUGH
        }
        _ => return None,
    };
    Some(Call { module: id(), function, args, limit: None, scopes: Vec::new() })
}

/// The call that a transfer is.
pub fn transfer_call(transfer: &Transfer) -> Call {
    let mut args = Vec::with_capacity(64);
    let function = transfer_args(transfer, &mut args);
    Call { module: id(), function, args, limit: None, scopes: Vec::new() }
}

/// Transfers that one command can make.
pub const PAYMENTS_MAX: usize = 64;

/// One of several transfers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The account that pays.
    pub from: Name,
    /// The one that is paid into.
    pub to: Name,
    /// How much.
    pub amount: Amount,
}

/// The call that makes transfers one after the other, all or none; [`PAYMENTS_MAX`] at most.
pub fn payments_call(payments: &[Payment]) -> Call {
    let mut args = Vec::with_capacity(4 + 32 * payments.len());
    wire::codec::encode_length(payments.len(), &mut args);
    for payment in payments {
        payment.from.encode(&mut args);
        payment.to.encode(&mut args);
        encode_amount(payment.amount, &mut args);
    }
    Call { module: id(), function: function::TRANSFER_ALL, args, limit: None, scopes: Vec::new() }
}

/// The transfers that a call makes, if it is one that makes several.
pub fn payments_of(call: &Call) -> Option<Vec<Payment>> {
    if call.module != id() || call.function != function::TRANSFER_ALL {
        return None;
    }
    let mut r = Reader::new(&call.args);
    let len = r.length("payments", 2 * Name::SIZE_MIN + AMOUNT_BYTES, PAYMENTS_MAX).ok()?;
    let mut payments = Vec::new();
    for _ in 0..len {
        let (from, to) = (Name::decode(&mut r).ok()?, Name::decode(&mut r).ok()?);
        payments.push(Payment { from, to, amount: decode_amount(&mut r).ok()? });
    }
    r.finish("payments").ok()?;
    Some(payments)
}

fn transfer_args(transfer: &Transfer, args: &mut Vec<u8>) -> u16 {
    let function = match transfer.path.as_slice() {
        [from, to] => {
            from.encode(args);
            to.encode(args);
            function::TRANSFER
        }
        _ => {
            transfer.path.encode(args);
            function::TRANSFER_THROUGH
        }
    };
    encode_amount(transfer.amount, args);
    function
}

/// The classic command that a call is, if it is one.
pub fn operation_of(call: &Call) -> Option<Operation> {
    if call.module != id() || call.limit.is_some() || !call.scopes.is_empty() {
        return None;
    }
    let mut r = Reader::new(&call.args);
    let operation = read_operation(call.function, &mut r).ok().flatten()?;
    r.finish("arguments").ok()?;
    Some(operation)
}

fn read_operation(function: u16, r: &mut Reader<'_>) -> Result<Option<Operation>, DecodeError> {
    Ok(Some(match function {
        function::OPEN => Operation::CreateAccount { name: Name::decode(r)? },
        function::ISSUE | function::BURN => Operation::Adjust {
            account: Name::decode(r)?,
            negative: function == function::BURN,
            amount: decode_amount(r)?,
        },
        function::TRANSFER => {
            let path = vec![Name::decode(r)?, Name::decode(r)?];
            Operation::Transfer(Transfer { path, amount: decode_amount(r)? })
        }
        function::TRANSFER_THROUGH => {
            let path: Vec<Name> = r.list("path", PATH_ACCOUNTS_MAX)?;
            // Shorter paths have another encoding, or none.
            if path.len() < 3 {
                return Ok(None);
            }
            Operation::Transfer(Transfer { path, amount: decode_amount(r)? })
        }
        function::PASS_THROUGH => Operation::SetPassThrough { account: Name::decode(r)?, allowed: bool::decode(r)? },
        _ => return Ok(None),
    }))
}

/// In the words of the classic language, why the module refused one of its commands; `None` if it has no word for it.
///
/// `party` sent the command, which found the tables in `state`.
pub fn refusal_of(operation: &Operation, abort: &Abort, party: &Name, state: &State) -> Option<Refusal> {
    match abort {
        Abort::Fault(fault) => Some(match (operation, fault) {
            (Operation::Adjust { account, .. }, Fault::RowMissing) => Refusal::UnknownAccount(account.clone()),
            (Operation::Transfer(transfer), Fault::RowMissing) => {
                Refusal::UnknownAccount(transfer.path.iter().find(|name| state.account(name).is_none())?.clone())
            }
            (Operation::Adjust { .. }, Fault::Unauthorized) => Refusal::NotTreasury(party.clone()),
            (Operation::Adjust { amount, negative: false, .. }, Fault::Overflow) => {
                Refusal::SupplyCap { amount: *amount, supply: state.supply() }
            }
            (Operation::Adjust { .. } | Operation::Transfer(_), Fault::RequirementFailed(0)) => Refusal::ZeroAmount,
            (Operation::Transfer(transfer), Fault::RequirementFailed(1)) => {
                Refusal::SelfTransfer(transfer.path.first()?.clone())
            }
            _ => return None,
        }),
        Abort::Error { module, error, args } if *module == id() => {
            let mut r = Reader::new(args);
            let refusal = read_refusal(operation, *error, &mut r).ok().flatten()?;
            r.finish("fields").ok()?;
            Some(refusal)
        }
        Abort::Error { .. } => None,
    }
}

fn read_refusal(operation: &Operation, error: u16, r: &mut Reader<'_>) -> Result<Option<Refusal>, DecodeError> {
    let account = Name::decode(r)?;
    Ok(Some(match error {
        error::UNKNOWN_ACCOUNT => Refusal::UnknownAccount(account),
        error::ACCOUNT_EXISTS => Refusal::AccountExists(account),
        error::OWNER_MUST_SIGN => Refusal::OwnerMustSign { account, owner: Name::decode(r)? },
        error::HOP_MUST_SIGN => Refusal::HopMustSign { account, owner: Name::decode(r)? },
        error::OVERDRAFT => {
            let what = if matches!(operation, Operation::Adjust { .. }) { "burn" } else { "transfer" };
            Refusal::Overdraft { account, balance: decode_amount(r)?, what, need: decode_amount(r)? }
        }
        error::SELF_TRANSFER => Refusal::SelfTransfer(account),
        error::PATH_REPEATS => Refusal::PathRepeats(account),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopper::value;

    #[test]
    fn places_are_those_of_the_module() {
        let module = &unit().module;
        for (place, name) in [
            (function::OPEN, "open"),
            (function::ISSUE, "issue"),
            (function::BURN, "burn"),
            (function::TRANSFER, "transfer"),
            (function::TRANSFER_THROUGH, "transfer_through"),
            (function::PASS_THROUGH, "pass_through"),
            (function::TRANSFER_ALL, "transfer_all"),
        ] {
            assert_eq!(module.functions[usize::from(place)].name.as_str(), name);
        }
        let errors: Vec<&str> = module.errors.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(
            errors[..7],
            [
                "UnknownAccount",
                "AccountExists",
                "OwnerMustSign",
                "HopMustSign",
                "Overdraft",
                "SelfTransfer",
                "PathRepeats"
            ]
        );
        assert_eq!(module.tables[usize::from(ACCOUNTS)].name.as_str(), "accounts");
        assert_eq!(module.assets[usize::from(COIN)].name.as_str(), "Coin");
        let roles: Vec<&str> = module.roles.iter().map(|r| r.as_str()).collect();
        assert_eq!(roles, [crate::operation::ADMIN, crate::operation::TREASURY]);
        assert_eq!(lineage().0, id().0);
    }

    #[test]
    fn rows_are_read_as_the_module_writes_them() {
        let universe = &GENESIS.0.universe;
        let owner = Name::new("bank-a").unwrap();
        let account = AccountRow { balance: Amount::MAX, owner: owner.clone(), pass_through: true, frozen: false };
        let ty = unit().tables[usize::from(ACCOUNTS)].row;
        let value = value::from_bytes(universe, ty, &account.to_bytes()).unwrap();
        let row = Row::new(universe, ty, value);
        assert_eq!(row.bytes[..], account.to_bytes());
        assert_eq!(AccountRow::of(&row), account);
        assert_eq!(AccountRow::from_bytes(&row.bytes), Ok(account));
        assert_eq!(account_of(&account_key(&owner)), Some(owner));
    }
}

//! Requests as people make them: the classic commands by name, and everything else as it is.
//!
//! An operation is another way to write a [`Request`]. The classic commands on accounts are calls of module `bank.cash`
//! ([`crate::cash`]); a call that is one of them reads back as the command.

use wire::{DecodeError, Guard, Name};

use crate::amount::Amount;
use crate::cash;
use crate::request::{Call, Request};

/// Accounts on the path of one transfer, at most.
pub const PATH_ACCOUNTS_MAX: usize = 16;
/// The party that registers parties; its guard is the genesis document's `administrators`.
pub const ADMIN: &str = "admin";
/// The party that mints and burns; its guard is the genesis document's `treasury`.
pub const TREASURY: &str = "treasury";

/// A request, before it is put into a command and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Registers a party. Sent by `admin`.
    RegisterParty {
        /// The new party's name.
        name: Name,
        /// Whose signatures count as the party's.
        guard: Guard,
    },
    /// Opens an account with balance zero, owned by the command's party.
    CreateAccount {
        /// The account's name.
        name: Name,
    },
    /// Mints into an account, or burns from it. Sent by `treasury`; a burn is signed by the account's owner too.
    Adjust {
        /// The account.
        account: Name,
        /// True to burn.
        negative: bool,
        /// How much.
        amount: Amount,
    },
    /// Moves an amount from the first account of the path to the last. The first account's owner signs; the owner of
    /// each account between signs too, or has opted into passing through.
    Transfer(Transfer),
    /// Says whether others may pass amounts through an account. Signed by its owner.
    SetPassThrough {
        /// The account.
        account: Name,
        /// True to allow.
        allowed: bool,
    },
    /// Keeps bytes under the command's log index, and does a transfer if one is given: both or neither.
    Data {
        /// The bytes.
        data: Vec<u8>,
        /// The transfer they belong to.
        then: Option<Transfer>,
    },
    /// Anything else.
    Other(Request),
}

/// The body of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// From, the accounts between, to. Two to [`PATH_ACCOUNTS_MAX`] names.
    pub path: Vec<Name>,
    /// How much.
    pub amount: Amount,
}

impl Operation {
    /// The payload of a command that asks for this.
    pub fn to_payload(&self) -> Vec<u8> {
        Request::from(self.clone()).to_payload()
    }

    /// Reads the payload of a command.
    ///
    /// # Errors
    /// If the bytes are not exactly one request.
    pub fn from_payload(payload: &[u8]) -> Result<Operation, DecodeError> {
        Ok(Operation::from(Request::from_payload(payload)?))
    }
}

impl From<Call> for Operation {
    fn from(call: Call) -> Operation {
        cash::operation_of(&call).unwrap_or(Operation::Other(Request::Call(call)))
    }
}

impl From<Request> for Operation {
    fn from(request: Request) -> Operation {
        match request {
            Request::RegisterParty { name, guard } => Operation::RegisterParty { name, guard },
            Request::Call(call) => Operation::from(call),
            Request::Note { data, then: None } => Operation::Data { data, then: None },
            Request::Note { data, then: Some(call) } => match cash::operation_of(&call) {
                Some(Operation::Transfer(transfer)) => Operation::Data { data, then: Some(transfer) },
                _ => Operation::Other(Request::Note { data, then: Some(call) }),
            },
            other => Operation::Other(other),
        }
    }
}

impl From<Operation> for Request {
    fn from(operation: Operation) -> Request {
        match operation {
            Operation::RegisterParty { name, guard } => Request::RegisterParty { name, guard },
            Operation::Data { data, then } => Request::Note { data, then: then.as_ref().map(cash::transfer_call) },
            Operation::Other(request) => request,
            account => Request::Call(cash::call_of(&account).expect("the rest are commands on accounts")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn one_encoding_each() {
        let transfer = Transfer { path: vec![name("A"), name("I"), name("B")], amount: Amount::from_units(5).unwrap() };
        let short = Transfer { path: vec![name("A"), name("B")], amount: Amount::ZERO };
        let all = [
            Operation::RegisterParty { name: name("p"), guard: Guard::Threshold { k: 1, keys: vec![] } },
            Operation::CreateAccount { name: name("A") },
            Operation::Adjust { account: name("A"), negative: true, amount: Amount::MAX },
            Operation::Adjust { account: name("A"), negative: false, amount: Amount::MAX },
            Operation::Transfer(transfer.clone()),
            Operation::Transfer(short.clone()),
            Operation::SetPassThrough { account: name("A"), allowed: true },
            Operation::Data { data: b"memo".to_vec(), then: None },
            Operation::Data { data: vec![], then: Some(transfer) },
            Operation::Data { data: vec![], then: Some(short) },
            Operation::Other(Request::RotateKeys { guard: Guard::Threshold { k: 1, keys: vec![] } }),
        ];
        for operation in all {
            let payload = operation.to_payload();
            assert_eq!(Operation::from_payload(&payload), Ok(operation));
        }
    }

    #[test]
    fn calls_that_are_no_classic_commands_stay_calls() {
        let transfer = Transfer { path: vec![name("A"), name("I"), name("B")], amount: Amount::ZERO };
        let call = cash::transfer_call(&transfer);
        for other in [
            Call { function: 13, ..call.clone() },
            Call { limit: Some(hopper::cost::Cost::ZERO), ..call.clone() },
            Call { args: vec![1], ..call.clone() },
            Call {
                args: cash::transfer_call(&Transfer { path: vec![name("A")], ..transfer.clone() }).args,
                ..call.clone()
            },
            Call { module: hopper::ir::ModuleId(wire::Hash::ZERO), ..call },
        ] {
            let request = Request::Call(other);
            assert_eq!(Operation::from(request.clone()), Operation::Other(request.clone()));
            assert_eq!(Request::from(Operation::from(request.clone())), request);
        }
    }
}

//! What a command asks of the ledger, and its canonical bytes.
//!
//! The payload of a [`wire::Command`] is a format version byte ([`PAYLOAD_VERSION`]), a tag byte, and the fields in
//! order. Decoding is exact: one operation, one encoding.

use wire::codec::encode_bytes;
use wire::limits::PAYLOAD_BYTES_MAX;
use wire::{Decode, DecodeError, Encode, Guard, Name, Reader};

use crate::amount::Amount;

/// The version byte at the start of every payload.
pub const PAYLOAD_VERSION: u8 = 1;
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
}

/// The body of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// From, the accounts between, to. Two to [`PATH_ACCOUNTS_MAX`] names.
    pub path: Vec<Name>,
    /// How much.
    pub amount: Amount,
}

impl Encode for Transfer {
    fn encode(&self, out: &mut Vec<u8>) {
        self.path.encode(out);
        self.amount.encode(out);
    }
}

impl Decode for Transfer {
    const SIZE_MIN: usize = 4 + 2 * Name::SIZE_MIN + 16;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let path: Vec<Name> = r.list("path", PATH_ACCOUNTS_MAX)?;
        if path.len() < 2 {
            return Err(DecodeError::Invalid { what: "path", why: "a transfer names at least two accounts" });
        }
        Ok(Transfer { path, amount: Amount::decode(r)? })
    }
}

impl Operation {
    /// The payload of a command that asks for this.
    pub fn to_payload(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// Reads the payload of a command.
    ///
    /// # Errors
    /// If the bytes are not exactly one operation.
    pub fn from_payload(payload: &[u8]) -> Result<Operation, DecodeError> {
        let mut r = Reader::new(payload);
        let operation = Operation::decode(&mut r)?;
        r.finish("payload")?;
        Ok(operation)
    }
}

impl Encode for Operation {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(PAYLOAD_VERSION);
        match self {
            Operation::RegisterParty { name, guard } => {
                out.push(1);
                name.encode(out);
                guard.encode(out);
            }
            Operation::CreateAccount { name } => {
                out.push(2);
                name.encode(out);
            }
            Operation::Adjust { account, negative, amount } => {
                out.push(3);
                account.encode(out);
                negative.encode(out);
                amount.encode(out);
            }
            Operation::Transfer(transfer) => {
                out.push(4);
                transfer.encode(out);
            }
            Operation::SetPassThrough { account, allowed } => {
                out.push(5);
                account.encode(out);
                allowed.encode(out);
            }
            Operation::Data { data, then } => {
                out.push(6);
                encode_bytes(data, out);
                then.encode(out);
            }
        }
    }
}

impl Decode for Operation {
    const SIZE_MIN: usize = 7;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            PAYLOAD_VERSION => {}
            tag => return Err(DecodeError::Tag { what: "payload version", tag: tag.into() }),
        }
        Ok(match u8::decode(r)? {
            1 => Operation::RegisterParty { name: Name::decode(r)?, guard: Guard::decode(r)? },
            2 => Operation::CreateAccount { name: Name::decode(r)? },
            3 => {
                Operation::Adjust { account: Name::decode(r)?, negative: bool::decode(r)?, amount: Amount::decode(r)? }
            }
            4 => Operation::Transfer(Transfer::decode(r)?),
            5 => Operation::SetPassThrough { account: Name::decode(r)?, allowed: bool::decode(r)? },
            6 => Operation::Data {
                data: r.bytes("data", PAYLOAD_BYTES_MAX)?.to_vec(),
                then: Option::<Transfer>::decode(r)?,
            },
            tag => return Err(DecodeError::Tag { what: "operation", tag: tag.into() }),
        })
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
        let all = [
            Operation::RegisterParty { name: name("p"), guard: Guard::Threshold { k: 1, keys: vec![] } },
            Operation::CreateAccount { name: name("A") },
            Operation::Adjust { account: name("A"), negative: true, amount: Amount::MAX },
            Operation::Transfer(transfer.clone()),
            Operation::SetPassThrough { account: name("A"), allowed: true },
            Operation::Data { data: b"memo".to_vec(), then: None },
            Operation::Data { data: vec![], then: Some(transfer) },
        ];
        for operation in all {
            let payload = operation.to_payload();
            assert_eq!(Operation::from_payload(&payload), Ok(operation));
            let mut long = payload.clone();
            long.push(0);
            assert!(Operation::from_payload(&long).is_err());
            assert!(Operation::from_payload(&payload[..payload.len() - 1]).is_err());
        }
    }

    #[test]
    fn paths_are_bounded() {
        for (len, good) in [(1, false), (2, true), (16, true), (17, false)] {
            let path = vec![name("A"); len];
            let payload = Operation::Transfer(Transfer { path, amount: Amount::ZERO }).to_payload();
            assert_eq!(Operation::from_payload(&payload).is_ok(), good, "{len}");
        }
        assert!(Operation::from_payload(&[2, 2]).is_err(), "unknown version");
        assert!(Operation::from_payload(&[]).is_err());
    }
}

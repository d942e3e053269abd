//! Receipts: what became of one command.

use std::fmt;

use crate::codec::{Decode, DecodeError, Encode, Reader, encode_bytes};
use crate::hash::{self, Hash};
use crate::ids::{CommandId, Height, Index};
use crate::limits::{OUTCOME_TEXT_BYTES_MAX, RESULT_BYTES_MAX};
use crate::merkle;
use crate::struct_codec;

/// A stable number for each way a command can end. 0 is success; the ledger names the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutcomeCode(pub u16);

impl OutcomeCode {
    /// The command took effect.
    pub const APPLIED: OutcomeCode = OutcomeCode(0);
}

impl Encode for OutcomeCode {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for OutcomeCode {
    const SIZE_MIN: usize = 2;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(OutcomeCode(u16::decode(r)?))
    }
}

/// How a command ended, the same on every replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The stable code.
    pub code: OutcomeCode,
    /// For people: what happened, with the figures; empty if there is nothing to add. At most 512 bytes.
    pub text: String,
}
struct_codec!(Outcome { code: OutcomeCode, text: String }
    check |o| o.text.len() <= OUTCOME_TEXT_BYTES_MAX, "text of an outcome is limited to 512 bytes");

impl Outcome {
    /// Success, with nothing to add.
    pub fn applied() -> Outcome {
        Outcome { code: OutcomeCode::APPLIED, text: String::new() }
    }

    /// True if the command took effect.
    pub fn is_applied(&self) -> bool {
        self.code == OutcomeCode::APPLIED
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_applied(), self.text.is_empty()) {
            (true, true) => f.write_str("applied"),
            (false, true) => write!(f, "refused (code {})", self.code.0),
            (_, false) => f.write_str(&self.text),
        }
    }
}

/// What became of one log entry. Every entry has one, also one that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's place in the log.
    pub index: Index,
    /// The height of its block.
    pub height: Height,
    /// The command.
    pub command: CommandId,
    /// How it ended.
    pub outcome: Outcome,
    /// The hash of its diff; the hash of the empty diff if it changed nothing.
    pub diff: Hash,
    /// What it cost: steps, rows read, bytes read, rows written, bytes written, cryptography.
    pub cost: [u64; 6],
    /// What the action gave, in canonical bytes; or, of one that the contract refused, why. Empty for the rest. At most 256 bytes.
    pub result: Vec<u8>,
}

impl Encode for Receipt {
    fn encode(&self, out: &mut Vec<u8>) {
        self.index.encode(out);
        self.height.encode(out);
        self.command.encode(out);
        self.outcome.encode(out);
        self.diff.encode(out);
        self.cost.iter().for_each(|n| n.encode(out));
        encode_bytes(&self.result, out);
    }
}

impl Decode for Receipt {
    const SIZE_MIN: usize = 8 + 8 + 32 + Outcome::SIZE_MIN + 32 + 6 * 8 + 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (index, height, command) = (Index::decode(r)?, Height::decode(r)?, CommandId::decode(r)?);
        let (outcome, diff) = (Outcome::decode(r)?, Hash::decode(r)?);
        let mut cost = [0; 6];
        for n in &mut cost {
            *n = u64::decode(r)?;
        }
        let result = r.bytes("result", RESULT_BYTES_MAX)?.to_vec();
        Ok(Receipt { index, height, command, outcome, diff, cost, result })
    }
}

impl Receipt {
    /// The receipt's digest, for naming it.
    pub fn digest(&self) -> Hash {
        hash::RECEIPT.hash(&[&self.to_bytes()])
    }

    /// The leaf of the receipts' tree.
    pub fn leaf(&self) -> Hash {
        merkle::leaf_hash(&self.to_bytes())
    }
}

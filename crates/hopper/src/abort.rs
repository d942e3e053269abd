//! How a command ends that changes nothing.

use std::fmt;

use wire::codec::encode_bytes;
use wire::{Decode, DecodeError, Encode, Reader};

use crate::ir::{ModuleId, limits};

/// What the machine refuses by itself. The numbers are part of receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 1: a number outside its type's range.
    Overflow,
    /// 2: a division by zero.
    DivisionByZero,
    /// 3: a text, bytes, list, map or stored value longer than it may be.
    TooLong,
    /// 4: a slice of what is not there.
    OutOfRange,
    /// 5: a list or map of assets that should be empty is not.
    NotEmpty,
    /// 6: two assets that do not mix.
    KindsDiffer,
    /// 7: those who would have to agree did not.
    Unauthorized,
    /// 8: no such row or instance.
    RowMissing,
    /// 9: there is such a row already.
    RowExists,
    /// 10: the row is out.
    RowBusy,
    /// 11: the instance is in another state.
    WrongState,
    /// 12: the requirement of this number does not hold of the arguments.
    RequirementFailed(u16),
    /// 13: more of this dimension (see [`crate::cost::dimension`]) than was granted.
    OutOfCost(u8),
    /// 14: the argument of this number breaks an invariant of its type.
    BadArgument(u16),
    /// 15: a signature is not good for this use.
    OutOfScope,
}

impl Fault {
    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Fault::Overflow => 1,
            Fault::DivisionByZero => 2,
            Fault::TooLong => 3,
            Fault::OutOfRange => 4,
            Fault::NotEmpty => 5,
            Fault::KindsDiffer => 6,
            Fault::Unauthorized => 7,
            Fault::RowMissing => 8,
            Fault::RowExists => 9,
            Fault::RowBusy => 10,
            Fault::WrongState => 11,
            Fault::RequirementFailed(_) => 12,
            Fault::OutOfCost(_) => 13,
            Fault::BadArgument(_) => 14,
            Fault::OutOfScope => 15,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIMENSIONS: [&str; 6] = ["steps", "reads", "bytes read", "writes", "bytes written", "cryptography"];
        f.write_str(match self {
            Fault::Overflow => "a number is outside its type's range",
            Fault::DivisionByZero => "division by zero",
            Fault::TooLong => "a value is longer than it may be",
            Fault::OutOfRange => "a slice is out of range",
            Fault::NotEmpty => "a list or map of assets is not empty",
            Fault::KindsDiffer => "these assets do not mix",
            Fault::Unauthorized => "not authorized",
            Fault::RowMissing => "there is no such row",
            Fault::RowExists => "there is such a row already",
            Fault::RowBusy => "the row is in use",
            Fault::WrongState => "the instance is in another state",
            Fault::OutOfScope => "a signer's scope does not allow this use of its signature",
            Fault::RequirementFailed(n) => return write!(f, "requirement {n} does not hold"),
            Fault::BadArgument(n) => return write!(f, "argument {n} breaks an invariant of its type"),
            Fault::OutOfCost(n) => {
                return write!(f, "out of {}", DIMENSIONS.get(usize::from(*n)).unwrap_or(&"cost"));
            }
        })
    }
}

impl Encode for Fault {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.number());
        match self {
            Fault::RequirementFailed(n) | Fault::BadArgument(n) => n.encode(out),
            Fault::OutOfCost(n) => n.encode(out),
            _ => {}
        }
    }
}

impl Decode for Fault {
    const SIZE_MIN: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(r)? {
            1 => Fault::Overflow,
            2 => Fault::DivisionByZero,
            3 => Fault::TooLong,
            4 => Fault::OutOfRange,
            5 => Fault::NotEmpty,
            6 => Fault::KindsDiffer,
            7 => Fault::Unauthorized,
            8 => Fault::RowMissing,
            9 => Fault::RowExists,
            10 => Fault::RowBusy,
            11 => Fault::WrongState,
            12 => Fault::RequirementFailed(u16::decode(r)?),
            13 => match u8::decode(r)? {
                n @ 0..6 => Fault::OutOfCost(n),
                n => return Err(DecodeError::Tag { what: "dimension", tag: n.into() }),
            },
            14 => Fault::BadArgument(u16::decode(r)?),
            15 => Fault::OutOfScope,
            tag => return Err(DecodeError::Tag { what: "fault", tag: tag.into() }),
        })
    }
}

/// Why a command ended without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abort {
    /// The machine refused.
    Fault(Fault),
    /// The module did.
    Error {
        /// The version of the module that raised it.
        module: ModuleId,
        /// Its place among the module's errors.
        error: u16,
        /// Its fields' canonical bytes, one after the other.
        args: Vec<u8>,
    },
}

impl From<Fault> for Abort {
    fn from(fault: Fault) -> Abort {
        Abort::Fault(fault)
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Abort::Fault(fault) => fault.fmt(f),
            Abort::Error { module, error, .. } => write!(f, "error {error} of module {}", module.0.short()),
        }
    }
}

impl Encode for Abort {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Abort::Fault(fault) => {
                out.push(1);
                fault.encode(out);
            }
            Abort::Error { module, error, args } => {
                out.push(2);
                module.encode(out);
                error.encode(out);
                encode_bytes(args, out);
            }
        }
    }
}

impl Decode for Abort {
    const SIZE_MIN: usize = 2;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(r)? {
            1 => Abort::Fault(Fault::decode(r)?),
            2 => Abort::Error {
                module: ModuleId::decode(r)?,
                error: u16::decode(r)?,
                args: r.bytes("arguments of an error", limits::VALUE_BYTES_MAX as usize)?.to_vec(),
            },
            tag => return Err(DecodeError::Tag { what: "abort", tag: tag.into() }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let faults = (1..=11).map(|n| vec![n]).chain([vec![12, 1, 2], vec![13, 5], vec![14, 0, 1], vec![15]]);
        for bytes in faults {
            let fault = Fault::from_bytes(&bytes).unwrap();
            assert_eq!((fault.to_bytes(), fault.number()), (bytes.clone(), bytes[0]));
            assert!(!fault.to_string().is_empty());
            let abort = Abort::Fault(fault);
            assert_eq!(Abort::from_bytes(&abort.to_bytes()), Ok(abort));
        }
        for bytes in [&[0][..], &[16], &[13, 6], &[1, 0]] {
            assert!(Fault::from_bytes(bytes).is_err());
        }
        let error = Abort::Error { module: ModuleId(wire::Hash::of(b"m")), error: 7, args: vec![1, 2, 3] };
        assert_eq!(Abort::from_bytes(&error.to_bytes()), Ok(error));
    }
}

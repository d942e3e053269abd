//! The canonical codec: fixed-width big-endian integers, `u32` lengths, one-byte tags, nothing optional about it.
//!
//! Decoding is exact and bounded. A list's claimed length is checked against the bytes that are really there before
//! anything is allocated, so a hostile length costs nothing.

use thiserror::Error;

/// Why bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The input ended before the value did.
    #[error("input ends early: {need} more bytes wanted for {what}")]
    Short {
        /// What was being read.
        what: &'static str,
        /// Bytes missing.
        need: usize,
    },
    /// Bytes are left over after the value.
    #[error("{extra} bytes after the end of {what}")]
    Trailing {
        /// What was being read.
        what: &'static str,
        /// Bytes left over.
        extra: usize,
    },
    /// An enum tag, flag or version that does not exist.
    #[error("unknown tag {tag} for {what}")]
    Tag {
        /// What was being read.
        what: &'static str,
        /// The tag found.
        tag: u64,
    },
    /// A list or byte string longer than its limit.
    #[error("{what} has {len} elements, the limit is {max}")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// The length claimed.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A value that breaks a rule of its type (an unsorted set, a bad name, ...).
    #[error("{what}: {why}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// The rule broken.
        why: &'static str,
    },
}

/// A value with one canonical encoding.
pub trait Encode {
    /// Appends the canonical bytes of `self` to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The canonical bytes of `self`.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// A value that can be read back from its canonical bytes, and from no others.
pub trait Decode: Sized {
    /// The fewest bytes any value of this type takes; bounds what a claimed list length may allocate.
    const SIZE_MIN: usize;

    /// Reads one value.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value that must fill `bytes` exactly.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let value = Self::decode(&mut r)?;
        r.finish(std::any::type_name::<Self>())?;
        Ok(value)
    }
}

/// A cursor over received bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes exactly `n` bytes.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(n) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(DecodeError::Short { what, need: n - self.rest.len() }),
        }
    }

    /// Takes a fixed-size array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N, what)?;
        Ok(bytes.try_into().expect("take returned N bytes"))
    }

    /// Reads a `u32` length of elements that take at least `size_min` bytes each, at most `max` of them.
    pub fn length(&mut self, what: &'static str, size_min: usize, max: usize) -> Result<usize, DecodeError> {
        let len = u32::decode(self)? as usize;
        if len > max {
            return Err(DecodeError::TooLong { what, len, max });
        }
        let need = len.saturating_mul(size_min);
        if need > self.rest.len() {
            return Err(DecodeError::Short { what, need: need - self.rest.len() });
        }
        Ok(len)
    }

    /// Reads a length-prefixed byte string of at most `max` bytes, without copying.
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.length(what, 1, max)?;
        self.take(len, what)
    }

    /// Reads a list of at most `max` elements.
    pub fn list<T: Decode>(&mut self, what: &'static str, max: usize) -> Result<Vec<T>, DecodeError> {
        let len = self.length(what, T::SIZE_MIN.max(1), max)?;
        (0..len).map(|_| T::decode(self)).collect()
    }

    /// Ends reading; leftover bytes are an error.
    pub fn finish(self, what: &'static str) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { what, extra }),
        }
    }
}

macro_rules! integer {
    ($($t:ty),*) => {$(
        impl Encode for $t {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
        impl Decode for $t {
            const SIZE_MIN: usize = size_of::<$t>();
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(<$t>::from_be_bytes(r.array(stringify!($t))?))
            }
        }
    )*};
}
integer!(u8, u16, u32, u64, u128, i128);

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Decode for bool {
    const SIZE_MIN: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::Tag { what: "bool", tag: tag.into() }),
        }
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    const SIZE_MIN: usize = N;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array("byte array")
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    const SIZE_MIN: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::decode(r)? { Some(T::decode(r)?) } else { None })
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.len(), out);
        for item in self {
            item.encode(out);
        }
    }
}

impl<T: Decode> Decode for Vec<T> {
    const SIZE_MIN: usize = 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.list("list", crate::limits::LIST_LEN_MAX)
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }
}

impl Decode for String {
    const SIZE_MIN: usize = 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = r.bytes("text", crate::limits::TEXT_BYTES_MAX)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(DecodeError::Invalid { what: "text", why: "not UTF-8" }),
        }
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl<T: Decode> Decode for Box<T> {
    const SIZE_MIN: usize = T::SIZE_MIN;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Box::new(T::decode(r)?))
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    const SIZE_MIN: usize = A::SIZE_MIN + B::SIZE_MIN;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::decode(r)?, B::decode(r)?))
    }
}

/// Appends a list length.
///
/// # Panics
/// If the length does not fit `u32`; every list of ours is bounded far below.
pub fn encode_length(len: usize, out: &mut Vec<u8>) {
    u32::try_from(len).expect("lists are bounded far below 2^32").encode(out);
}

/// Appends a length-prefixed byte string.
pub fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Implements [`Encode`] and [`Decode`] for a struct, field by field in the order given.
///
/// `struct_codec!(Type { a: A, b: B })`, optionally followed by `check |value| condition, "rule"` which refuses
/// decoded values that break the rule.
#[macro_export]
macro_rules! struct_codec {
    ($name:ident { $($field:ident : $t:ty),* $(,)? } $(check |$v:ident| $cond:expr, $why:literal)*) => {
        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::codec::Encode::encode(&self.$field, out);)*
            }
        }
        impl $crate::codec::Decode for $name {
            const SIZE_MIN: usize = 0 $(+ <$t as $crate::codec::Decode>::SIZE_MIN)*;
            fn decode(r: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                let value = $name { $($field: <$t as $crate::codec::Decode>::decode(r)?),* };
                $({
                    let $v = &value;
                    if !($cond) {
                        return Err($crate::codec::DecodeError::Invalid { what: stringify!($name), why: $why });
                    }
                })*
                Ok(value)
            }
        }
    };
}

/// Implements [`Encode`] and [`Decode`] for an enum whose variants are units or hold one value, with a tag byte.
///
/// `enum_codec!(Type { 0 => Unit, 1 => Holds(Inner) })`.
#[macro_export]
macro_rules! enum_codec {
    ($name:ident { $($tag:literal => $variant:ident $(($t:ty))?),* $(,)? }) => {
        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $($crate::enum_codec!(@pattern $name $variant value $($t)?) => {
                        out.push($tag);
                        $($crate::codec::Encode::encode($crate::enum_codec!(@value $t, value), out);)?
                    })*
                }
            }
        }
        impl $crate::codec::Decode for $name {
            const SIZE_MIN: usize = 1;
            fn decode(r: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                match <u8 as $crate::codec::Decode>::decode(r)? {
                    $($tag => Ok($name::$variant $((<$t as $crate::codec::Decode>::decode(r)?))?),)*
                    tag => Err($crate::codec::DecodeError::Tag { what: stringify!($name), tag: tag.into() }),
                }
            }
        }
    };
    (@pattern $name:ident $variant:ident $v:ident $t:ty) => { $name::$variant($v) };
    (@pattern $name:ident $variant:ident $v:ident) => { $name::$variant };
    (@value $t:ty, $v:ident) => { $v };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Pair {
        a: u32,
        b: Option<u64>,
    }
    struct_codec!(Pair { a: u32, b: Option<u64> } check |p| p.a != 13, "13 is unlucky");

    #[derive(Debug, PartialEq)]
    enum Either {
        Nothing,
        Number(u64),
    }
    enum_codec!(Either { 0 => Nothing, 7 => Number(u64) });

    #[test]
    fn round_trip_and_exactness() {
        let pair = Pair { a: 5, b: Some(9) };
        let bytes = pair.to_bytes();
        assert_eq!(Pair::from_bytes(&bytes), Ok(pair));
        let mut long = bytes.clone();
        long.push(0);
        assert!(matches!(Pair::from_bytes(&long), Err(DecodeError::Trailing { extra: 1, .. })));
        assert!(matches!(Pair::from_bytes(&bytes[..bytes.len() - 1]), Err(DecodeError::Short { .. })));
        let unlucky = Pair { a: 13, b: None }.to_bytes();
        assert!(matches!(Pair::from_bytes(&unlucky), Err(DecodeError::Invalid { why: "13 is unlucky", .. })));
    }

    #[test]
    fn enums_refuse_unknown_tags() {
        assert_eq!(Either::from_bytes(&Either::Number(3).to_bytes()), Ok(Either::Number(3)));
        assert_eq!(Either::from_bytes(&Either::Nothing.to_bytes()), Ok(Either::Nothing));
        assert!(matches!(Either::from_bytes(&[1]), Err(DecodeError::Tag { tag: 1, .. })));
        assert!(matches!(bool::from_bytes(&[2]), Err(DecodeError::Tag { tag: 2, .. })));
    }

    #[test]
    fn a_hostile_length_allocates_nothing() {
        let bytes = u32::MAX.to_be_bytes();
        assert!(Vec::<u64>::from_bytes(&bytes).is_err());
        assert!(String::from_bytes(&bytes).is_err());
        let bytes = 1_000_000u32.to_be_bytes();
        assert!(matches!(Vec::<u64>::from_bytes(&bytes), Err(DecodeError::Short { .. })));
    }
}

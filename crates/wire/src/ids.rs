//! Identifiers, each its own type: none converts into another by accident.

use std::fmt;
use std::sync::Arc;

use crate::codec::{Decode, DecodeError, Encode, Reader, encode_bytes};
use crate::hash::Hash;
use crate::limits::NAME_BYTES_MAX;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($t:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $t);

        impl $name {
            /// Zero.
            pub const ZERO: $name = $name(0);
            /// The largest value.
            pub const MAX: $name = $name(<$t>::MAX);

            /// The number itself.
            pub fn get(self) -> $t {
                self.0
            }

            /// The next value, or `None` at the end of the range (a peer may claim any number).
            pub fn next(self) -> Option<$name> {
                self.0.checked_add(1).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }

        impl Decode for $name {
            const SIZE_MIN: usize = <$t as Decode>::SIZE_MIN;
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok($name(<$t>::decode(r)?))
            }
        }
    };
}

number!(
    /// The number of the membership in force.
    Epoch(u64)
);
number!(
    /// A period with one leader, fixed by the schedule.
    Term(u64)
);
number!(
    /// The number of a block; genesis is height 0.
    Height(u64)
);
number!(
    /// The number of a log entry, one per client command; the first entry is index 0.
    Index(u64)
);
number!(
    /// A voter or learner, numbered in the membership.
    NodeId(u16)
);
number!(
    /// Milliseconds since the Unix epoch.
    Time(u64)
);

impl Time {
    /// This time plus `ms` milliseconds, saturating.
    pub fn plus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time, zero if it is later.
    pub fn since_ms(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Height {
    /// This height plus `n`, saturating.
    pub fn plus(self, n: u64) -> Height {
        Height(self.0.saturating_add(n))
    }
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub Hash);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = DecodeError;
            fn from_str(s: &str) -> Result<Self, DecodeError> {
                Ok($name(s.parse()?))
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }

        impl Decode for $name {
            const SIZE_MIN: usize = 32;
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok($name(Hash::decode(r)?))
            }
        }
    };
}

digest!(
    /// The hash of the genesis document; every signature is bound to it.
    ClusterId
);
digest!(
    /// The hash of a command without its signature bytes.
    CommandId
);
digest!(
    /// The hash of a block header.
    BlockDigest
);

/// A name of a party, account, node or cluster: 1 to 64 ASCII letters, digits, `_`, `.`, `:`, `@` or `-`, starting
/// with a letter, a digit, `_` or `@`, and not ending in `-` (so that `A->B` reads one way only).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks `text` and makes it a name.
    pub fn new(text: &str) -> Result<Name, DecodeError> {
        let invalid = |why| Err(DecodeError::Invalid { what: "name", why });
        if text.is_empty() {
            return invalid("a name must not be empty");
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(DecodeError::TooLong { what: "name", len: text.len(), max: NAME_BYTES_MAX });
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:@-".contains(&b)) {
            return invalid("a name holds only ASCII letters, digits and _ . : @ -");
        }
        let first = text.as_bytes()[0];
        if !(first.is_ascii_alphanumeric() || first == b'_' || first == b'@') {
            return invalid("a name starts with a letter, a digit, _ or @");
        }
        if text.ends_with('-') {
            return invalid("a name does not end in -");
        }
        Ok(Name(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = DecodeError;
    fn from_str(s: &str) -> Result<Self, DecodeError> {
        Name::new(s)
    }
}

impl Encode for Name {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.0.as_bytes(), out);
    }
}

impl Decode for Name {
    const SIZE_MIN: usize = 5;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = r.bytes("name", NAME_BYTES_MAX)?;
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Invalid { what: "name", why: "not ASCII" })?;
        Name::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["Acct1", "000", "TSLA", "bank-a.ops", "@treasury", "p:1", "_x"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a->", "-a", "ä", "a/b", "a-", &"x".repeat(65)] {
            assert!(Name::new(bad).is_err(), "{bad:?} must be refused");
        }
    }
}

//! SHA-256 and the domains that keep one use of it apart from another.
//!
//! SHA-256 rather than BLAKE3: what is hashed here is small (commands of a few hundred bytes, tree nodes of 64), and
//! with the processor's SHA instructions that is the faster of the two.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::codec::{Decode, DecodeError, Encode, Reader};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Thirty-two zero bytes.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The digest of `bytes`, with no domain.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }

    /// The first eight hexadecimal digits, for people.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl std::str::FromStr for Hash {
    type Err = DecodeError;
    fn from_str(s: &str) -> Result<Self, DecodeError> {
        Ok(Hash(decode_hex(s)?))
    }
}

impl Encode for Hash {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Hash {
    const SIZE_MIN: usize = 32;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Hash(r.array("hash")?))
    }
}

/// Lower-case hexadecimal of `bytes`.
pub fn encode_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Reads hexadecimal of exactly `N` bytes, either case.
pub fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], DecodeError> {
    let bytes = decode_hex_bytes(text)?;
    bytes.try_into().map_err(|_| DecodeError::Invalid { what: "hexadecimal", why: "wrong number of digits" })
}

/// Reads hexadecimal of any even number of digits, either case.
pub fn decode_hex_bytes(text: &str) -> Result<Vec<u8>, DecodeError> {
    let invalid = |why| DecodeError::Invalid { what: "hexadecimal", why };
    if !text.len().is_multiple_of(2) {
        return Err(invalid("an odd number of digits"));
    }
    let digit = |c: u8| (c as char).to_digit(16).ok_or(invalid("a digit is not 0-9 or a-f"));
    text.as_bytes().chunks_exact(2).map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

/// A domain: what a hash or a signature is for. Every domain names a format version, and none is a prefix of another
/// because each ends in a zero byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain(pub &'static str);

impl Domain {
    /// Starts a byte string for this domain: the name, then a zero byte.
    pub fn start(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(self.0.as_bytes());
        out.push(0);
        out
    }

    /// The digest of `parts`, one after the other, in this domain.
    pub fn hash(self, parts: &[&[u8]]) -> Hash {
        let mut hasher = Hasher::new(self);
        for part in parts {
            hasher.update(part);
        }
        hasher.finish()
    }
}

/// An incremental SHA-256 in a domain.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts a digest in `domain`.
    pub fn new(domain: Domain) -> Hasher {
        let mut inner = Sha256::new();
        inner.update(domain.0.as_bytes());
        inner.update([0]);
        Hasher(inner)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

/// Domain of a genesis document's hash, the cluster id.
pub const GENESIS: Domain = Domain("juno/genesis/1");
/// Domain of a block header's digest.
pub const BLOCK: Domain = Domain("juno/block/1");
/// Domain of a receipt's digest.
pub const RECEIPT: Domain = Domain("juno/receipt/1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal() {
        let hash = Hash::of(b"juno");
        assert_eq!(hash.to_string().parse::<Hash>(), Ok(hash));
        assert_eq!(decode_hex_bytes("0aFf"), Ok(vec![0x0a, 0xff]));
        assert!(decode_hex_bytes("0").is_err());
        assert!(decode_hex_bytes("zz").is_err());
        assert!("00".parse::<Hash>().is_err());
    }
}

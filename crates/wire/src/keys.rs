//! Ed25519 with one meaning of "valid": ZIP-215, cofactored, singly and in batches alike.
//!
//! All replicas must agree on which signatures are valid. RFC 8032 leaves the edge cases to the implementer, and some
//! libraries accept in a batch what they refuse singly. ZIP-215 pins every case, and `ed25519-zebra` implements it in
//! both forms; [`crate::edge`] holds the vectors, run as tests and as a self-test when a node starts.
//!
//! Batches are derandomised: the coefficients come from a hash of the whole batch, so a verdict is a function of the
//! bytes, also in a simulation. A forger would have to find a batch whose own hash gives the coefficients that cancel.

use std::fmt;

use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::hash::{decode_hex, encode_hex};

/// An Ed25519 public key as it is written, 32 bytes. Holding one says nothing about its validity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// Why a key may not be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes are not a point, or not the canonical bytes of one.
    #[error("public key is not the canonical encoding of a curve point")]
    NotCanonical,
    /// The point has a component of small order, so that one signature could fit several keys.
    #[error("public key is a point of small or mixed order")]
    SmallOrder,
}

impl PublicKey {
    /// Checks that the key may be registered: canonical bytes of a point in the prime-order subgroup.
    ///
    /// Verification itself accepts more (ZIP-215); a key that no honest key generation produces is refused here, once,
    /// rather than on every signature.
    pub fn check_registrable(&self) -> Result<(), KeyError> {
        let point = curve25519_dalek::edwards::CompressedEdwardsY(self.0).decompress().ok_or(KeyError::NotCanonical)?;
        if point.compress().0 != self.0 {
            return Err(KeyError::NotCanonical);
        }
        if point.is_small_order() || !point.is_torsion_free() {
            return Err(KeyError::SmallOrder);
        }
        Ok(())
    }

    /// Checks one signature (ZIP-215).
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        VerificationKey::try_from(self.0)
            .and_then(|key| key.verify(&signature.0.into(), message))
            .map_err(|_| BadSignature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0[..4]))
    }
}

impl std::str::FromStr for PublicKey {
    type Err = DecodeError;
    fn from_str(s: &str) -> Result<Self, DecodeError> {
        Ok(PublicKey(decode_hex(s)?))
    }
}

impl Encode for PublicKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for PublicKey {
    const SIZE_MIN: usize = 32;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(PublicKey(r.array("public key")?))
    }
}

/// An Ed25519 signature as it is written, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0[..4]))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl Encode for Signature {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Signature {
    const SIZE_MIN: usize = 64;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Signature(r.array("signature")?))
    }
}

/// A signature does not verify under the key it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// Why a signer could not sign. A file key never fails; a hardware module may.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("signer failed: {0}")]
pub struct SignerError(pub String);

/// Whatever can sign with one key: a file key now, a hardware module later.
pub trait Signer: Send + Sync {
    /// The key whose signatures this makes.
    fn public_key(&self) -> PublicKey;
    /// Signs `message`.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignerError>;
}

/// A secret key held in memory, wiped when dropped.
#[derive(Clone)]
pub struct SecretKey {
    seed: Zeroizing<[u8; 32]>,
    public: PublicKey,
    signing: SigningKey,
}

impl SecretKey {
    /// The key of an RFC 8032 seed.
    pub fn from_seed(seed: [u8; 32]) -> SecretKey {
        let signing = SigningKey::from(seed);
        let public = PublicKey(VerificationKeyBytes::from(&signing).into());
        SecretKey { seed: Zeroizing::new(seed), public, signing }
    }

    /// The seed, for writing a key file.
    pub fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `message`; Ed25519 is deterministic, so the same message gives the same bytes.
    pub fn sign_bytes(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public)
    }
}

impl Signer for SecretKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }
    fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(self.sign_bytes(message))
    }
}

/// Signatures per batch: past this the gain flattens and the working set leaves the cache.
pub const BATCH_LEN_MAX: usize = 256;

/// One signature to check: key, message, signature.
pub type Item<'a> = (PublicKey, &'a [u8], Signature);

/// Checks many signatures; the verdict of each equals that of [`PublicKey::verify`].
///
/// Returns one verdict per item, in order. A batch that fails is checked singly, so that the guilty are named.
pub fn verify_batch(items: &[Item<'_>]) -> Vec<Result<(), BadSignature>> {
    let mut verdicts = Vec::with_capacity(items.len());
    for chunk in items.chunks(BATCH_LEN_MAX) {
        if chunk.len() > 1 && verify_whole(chunk) {
            verdicts.extend(chunk.iter().map(|_| Ok(())));
        } else {
            verdicts.extend(chunk.iter().map(|(key, message, signature)| key.verify(message, signature)));
        }
    }
    verdicts
}

/// True if every signature of the batch is valid, by one equation.
fn verify_whole(items: &[Item<'_>]) -> bool {
    let mut seed = Sha256::new();
    let mut verifier = batch::Verifier::new();
    for (key, message, signature) in items {
        seed.update(key.0);
        seed.update(signature.0);
        seed.update((message.len() as u64).to_be_bytes());
        seed.update(message);
        let signature = ed25519_zebra::Signature::from(signature.0);
        verifier.queue((VerificationKeyBytes::from(key.0), signature, *message));
    }
    verifier.verify(ChaCha20Rng::from_seed(seed.finalize().into())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed([n; 32])
    }

    #[test]
    fn a_batch_names_the_guilty() {
        let keys: Vec<SecretKey> = (0..20).map(key).collect();
        let messages: Vec<Vec<u8>> = (0..600u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut items: Vec<Item<'_>> = messages
            .iter()
            .enumerate()
            .map(|(n, m)| (keys[n % 20].public(), m.as_slice(), keys[n % 20].sign_bytes(m)))
            .collect();
        assert!(verify_batch(&items).iter().all(Result::is_ok));
        items[17].2.0[40] ^= 1;
        items[599].0 = keys[0].public();
        let bad: Vec<usize> =
            verify_batch(&items).iter().enumerate().filter(|(_, v)| v.is_err()).map(|(n, _)| n).collect();
        assert_eq!(bad, [17, 599]);
    }

    #[test]
    fn registrable_keys() {
        assert_eq!(key(1).public().check_registrable(), Ok(()));
        // The identity, and the non-canonical encoding of y = 1 (p + 1).
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey(identity).check_registrable(), Err(KeyError::SmallOrder));
        let mut non_canonical = [0xff; 32];
        non_canonical[0] = 0xee;
        non_canonical[31] = 0x7f;
        assert_eq!(PublicKey(non_canonical).check_registrable(), Err(KeyError::NotCanonical));
    }

    /// RFC 8032, section 7.1, tests 1 and 2.
    #[test]
    fn rfc_8032_vectors() {
        let vectors = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ];
        for (seed, public, message, signature) in vectors {
            let key = SecretKey::from_seed(decode_hex(seed).unwrap());
            let message = crate::hash::decode_hex_bytes(message).unwrap();
            assert_eq!(key.public().to_string(), public);
            assert_eq!(key.sign_bytes(&message).to_string(), signature);
            assert_eq!(key.public().verify(&message, &key.sign_bytes(&message)), Ok(()));
        }
    }
}

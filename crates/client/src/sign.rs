//! Fast signing: the same bytes as [`wire::SecretKey`], in a little over half the time.
//!
//! Ed25519 signatures are deterministic, so which library makes them is nobody's business but the client's; a test
//! holds the two to the same bytes.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use thiserror::Error;
use wire::{PublicKey, SecretKey, Signature, Signer, SignerError};

/// A secret key in memory, ready to sign many commands.
pub struct FastKey {
    public: PublicKey,
    pair: Ed25519KeyPair,
}

/// The seed was refused by the signing library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key cannot be used for signing")]
pub struct BadKey;

impl FastKey {
    /// The key of an RFC 8032 seed.
    ///
    /// # Errors
    /// If the library refuses the seed, or derives another public key than `wire` does.
    pub fn from_seed(seed: &[u8; 32]) -> Result<FastKey, BadKey> {
        let public = SecretKey::from_seed(*seed).public();
        // Deriving the public key from the seed and comparing guards against signing under a key nobody knows.
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, &public.0).map_err(|_| BadKey)?;
        if pair.public_key().as_ref() != public.0 {
            return Err(BadKey);
        }
        Ok(FastKey { public, pair })
    }

    /// The same key, for fast signing.
    ///
    /// # Errors
    /// As [`FastKey::from_seed`].
    pub fn new(secret: &SecretKey) -> Result<FastKey, BadKey> {
        FastKey::from_seed(secret.seed())
    }
}

impl std::fmt::Debug for FastKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FastKey(of {:?})", self.public)
    }
}

impl Signer for FastKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        let signature = self.pair.sign(message);
        let bytes = signature.as_ref().try_into().map_err(|_| SignerError("signature is not 64 bytes".into()))?;
        Ok(Signature(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_as_the_reference() {
        for n in 0..200u8 {
            let secret = SecretKey::from_seed([n.wrapping_mul(37); 32]);
            let fast = FastKey::new(&secret).unwrap();
            let message: Vec<u8> = (0..usize::from(n) * 7).map(|i| (i * 31) as u8).collect();
            let signature = fast.sign(&message).unwrap();
            assert_eq!(signature, secret.sign_bytes(&message), "message of {} bytes", message.len());
            assert_eq!(fast.public_key().verify(&message, &signature), Ok(()));
        }
    }
}

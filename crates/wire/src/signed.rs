//! Statements of nodes: signed, and verified.

use std::sync::Arc;

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, Reader, encode_bytes};
use crate::genesis::Membership;
use crate::hash::Domain;
use crate::ids::{ClusterId, Epoch, NodeId};
use crate::keys::{Signature, Signer, SignerError};

/// Something a node signs. The statement names its author; the key is looked up from that name and from nowhere else.
pub trait Statement: Encode + Decode + Clone + std::fmt::Debug {
    /// What keeps signatures on this type apart from all others.
    const DOMAIN: Domain;
    /// The most bytes the statement takes.
    const BYTES_MAX: usize;
    /// Who says it.
    fn author(&self) -> NodeId;
    /// Under which membership.
    fn epoch(&self) -> Epoch;
}

/// Why a statement was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatementError {
    /// The author is not in the membership.
    #[error("node {0} is not in the membership of this epoch")]
    UnknownAuthor(NodeId),
    /// The statement is of another epoch.
    #[error("statement of epoch {0}, the membership is of another")]
    WrongEpoch(Epoch),
    /// The signature does not verify under the author's key, for this cluster.
    #[error("signature of node {0} does not verify for this cluster")]
    BadSignature(NodeId),
}

/// A statement with its signature, not checked yet. Keeps the received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    value: T,
    bytes: Arc<[u8]>,
    signature: Signature,
}

/// A statement whose signature was checked, or that was signed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(Signed<T>);

/// What is signed: `domain || 0 || cluster id || epoch || statement`.
fn preimage<T: Statement>(cluster: &ClusterId, epoch: Epoch, bytes: &[u8]) -> Vec<u8> {
    let mut out = T::DOMAIN.start();
    cluster.encode(&mut out);
    epoch.encode(&mut out);
    out.extend_from_slice(bytes);
    out
}

impl<T: Statement> Signed<T> {
    /// The statement as claimed, not checked.
    pub fn unverified(&self) -> &T {
        &self.value
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The signed bytes and the signature, as one message for a batch check.
    pub fn preimage(&self, cluster: &ClusterId) -> Vec<u8> {
        preimage::<T>(cluster, self.value.epoch(), &self.bytes)
    }

    /// Checks author, epoch and signature.
    pub fn verify(self, cluster: &ClusterId, membership: &Membership) -> Result<Verified<T>, StatementError> {
        let author = self.value.author();
        if self.value.epoch() != membership.epoch {
            return Err(StatementError::WrongEpoch(self.value.epoch()));
        }
        let voter = membership.voter(author).ok_or(StatementError::UnknownAuthor(author))?;
        voter.key.verify(&self.preimage(cluster), &self.signature).map_err(|_| StatementError::BadSignature(author))?;
        Ok(Verified(self))
    }
}

impl<T: Statement> Verified<T> {
    /// Signs a statement.
    ///
    /// # Errors
    /// If the signer cannot sign; the caller must then not act as if it had.
    pub fn sign(cluster: &ClusterId, value: T, signer: &dyn Signer) -> Result<Verified<T>, SignerError> {
        let bytes: Arc<[u8]> = value.to_bytes().into();
        let signature = signer.sign(&preimage::<T>(cluster, value.epoch(), &bytes))?;
        Ok(Verified(Signed { value, bytes, signature }))
    }

    /// Takes a statement from this node's own checksummed log, where only verified statements are ever written.
    pub fn from_own_log(signed: Signed<T>) -> Verified<T> {
        Verified(signed)
    }

    /// The statement with its signature, for sending on.
    pub fn signed(&self) -> &Signed<T> {
        &self.0
    }

    /// The statement with its signature, for sending on.
    pub fn into_signed(self) -> Signed<T> {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Statement> Encode for Signed<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(&self.bytes, out);
        self.signature.encode(out);
    }
}

impl<T: Statement> Decode for Signed<T> {
    const SIZE_MIN: usize = 4 + T::SIZE_MIN + 64;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = r.bytes("statement", T::BYTES_MAX)?;
        let value = T::from_bytes(bytes)?;
        Ok(Signed { value, bytes: bytes.into(), signature: Signature::decode(r)? })
    }
}

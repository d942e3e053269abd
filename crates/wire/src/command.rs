//! Commands of clients: signed, and verified.

use std::sync::Arc;

use crate::codec::{Decode, DecodeError, Encode, Reader, encode_bytes};
use crate::hash::{Domain, Hash};
use crate::ids::{ClusterId, CommandId, Name, Time};
use crate::keys::{self, BadSignature, PublicKey, Signature, Signer, SignerError};
use crate::limits::{PAYLOAD_BYTES_MAX, SIGNERS_MAX};
use crate::merkle;

/// The domain of command signatures and ids. Commands bind the cluster but no epoch, so they outlive a membership
/// change.
pub const COMMAND: Domain = Domain("juno/command/1");

/// The version byte at the start of every signed command.
pub const COMMAND_VERSION: u8 = 1;

/// A request to the ledger, before signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// In whose name it is sent; its guard must be satisfied by the signers.
    pub party: Name,
    /// Distinguishes the clients of one party; chosen at random by each client process.
    pub session: u64,
    /// Numbers the commands of a session; at most one command takes effect per (party, session, sequence).
    pub sequence: u64,
    /// Not executed in a block whose time is later.
    pub expiry: Time,
    /// What to do, as the ledger encodes it.
    pub payload: Vec<u8>,
    /// The keys that sign, in strictly ascending order. Part of what is signed: a signature cannot be dropped unseen.
    pub signers: Vec<PublicKey>,
}

impl Encode for Command {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(COMMAND_VERSION);
        self.party.encode(out);
        self.session.encode(out);
        self.sequence.encode(out);
        self.expiry.encode(out);
        encode_bytes(&self.payload, out);
        self.signers.encode(out);
    }
}

impl Decode for Command {
    const SIZE_MIN: usize = 1 + Name::SIZE_MIN + 8 + 8 + 8 + 4 + 4 + 32;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            COMMAND_VERSION => {}
            tag => return Err(DecodeError::Tag { what: "command version", tag: tag.into() }),
        }
        let command = Command {
            party: Name::decode(r)?,
            session: u64::decode(r)?,
            sequence: u64::decode(r)?,
            expiry: Time::decode(r)?,
            payload: r.bytes("payload", PAYLOAD_BYTES_MAX)?.to_vec(),
            signers: r.list("signers", SIGNERS_MAX)?,
        };
        let invalid = |why| Err(DecodeError::Invalid { what: "signers", why });
        if command.signers.is_empty() {
            return invalid("a command needs at least one signer");
        }
        if !command.signers.is_sorted_by(|a, b| a < b) {
            return invalid("signers must be distinct and in ascending order");
        }
        Ok(command)
    }
}

/// A command with its signatures, as received: not checked yet. Keeps the received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCommand {
    command: Command,
    bytes: Arc<[u8]>,
    /// Where the signatures start in `bytes`.
    body_len: usize,
}

impl SignedCommand {
    /// Signs a command with all of `signers`, which also become its list of signers.
    ///
    /// # Errors
    /// If a signer fails, or the result breaks a limit (payload too long, no signer, too many).
    pub fn sign(
        cluster: &ClusterId,
        mut command: Command,
        signers: &[&dyn Signer],
    ) -> Result<SignedCommand, SignerError> {
        let mut signers: Vec<&dyn Signer> = signers.to_vec();
        signers.sort_by_key(|s| s.public_key());
        signers.dedup_by_key(|s| s.public_key());
        command.signers = signers.iter().map(|s| s.public_key()).collect();
        let mut bytes = command.to_bytes();
        let message = preimage(cluster, &bytes);
        for signer in signers {
            signer.sign(&message)?.encode(&mut bytes);
        }
        SignedCommand::from_bytes(&bytes).map_err(|e| SignerError(format!("command cannot be sent: {e}")))
    }

    /// Reads a signed command that fills `bytes` exactly.
    pub fn from_bytes(bytes: &[u8]) -> Result<SignedCommand, DecodeError> {
        SignedCommand::from_shared(bytes.into())
    }

    /// Reads a signed command that fills `bytes` exactly, keeping them without a copy.
    pub fn from_shared(bytes: Arc<[u8]>) -> Result<SignedCommand, DecodeError> {
        let mut r = Reader::new(&bytes);
        let command = Command::decode(&mut r)?;
        let body_len = bytes.len() - r.remaining();
        r.take(64 * command.signers.len(), "signatures")?;
        r.finish("signed command")?;
        Ok(SignedCommand { command, bytes, body_len })
    }

    /// The command as claimed, not checked.
    pub fn unverified(&self) -> &Command {
        &self.command
    }

    /// All bytes, as signed and received.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The bytes before the signatures.
    fn body(&self) -> &[u8] {
        &self.bytes[..self.body_len]
    }

    /// The hash of the command without its signature bytes, in this cluster.
    pub fn id(&self, cluster: &ClusterId) -> CommandId {
        CommandId(COMMAND.hash(&[&cluster.0.0, self.body()]))
    }

    /// The leaf of the log's tree: it covers the signatures too.
    pub fn leaf(&self) -> Hash {
        merkle::leaf_hash(&self.bytes)
    }

    /// Signer and signature, in order.
    pub fn signatures(&self) -> impl Iterator<Item = (PublicKey, Signature)> + '_ {
        let signatures = self.bytes[self.body_len..].chunks_exact(64);
        self.command
            .signers
            .iter()
            .zip(signatures)
            .map(|(key, signature)| (*key, Signature(signature.try_into().expect("chunks of 64 bytes"))))
    }

    /// Checks all signatures.
    pub fn verify(self, cluster: &ClusterId) -> Result<VerifiedCommand, BadSignature> {
        VerifiedCommand::verify_all(cluster, vec![self])
            .pop()
            .expect("one verdict for one command")
            .map_err(|_| BadSignature)
    }
}

/// What is signed: `domain || 0 || cluster id || command`.
fn preimage(cluster: &ClusterId, body: &[u8]) -> Vec<u8> {
    let mut out = COMMAND.start();
    cluster.encode(&mut out);
    out.extend_from_slice(body);
    out
}

/// A command whose signatures were all checked. Whether its signers may act for its party is the ledger's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCommand {
    signed: SignedCommand,
    id: CommandId,
    leaf: Hash,
}

impl VerifiedCommand {
    /// Checks the signatures of many commands in batches; one verdict per command, in order. A refused command is
    /// handed back.
    pub fn verify_all(
        cluster: &ClusterId,
        commands: Vec<SignedCommand>,
    ) -> Vec<Result<VerifiedCommand, SignedCommand>> {
        let messages: Vec<Vec<u8>> = commands.iter().map(|c| preimage(cluster, c.body())).collect();
        let mut items = Vec::with_capacity(commands.len());
        for (command, message) in commands.iter().zip(&messages) {
            items.extend(command.signatures().map(|(key, signature)| (key, message.as_slice(), signature)));
        }
        let mut verdicts = keys::verify_batch(&items).into_iter();
        commands
            .into_iter()
            .map(|signed| {
                let count = signed.command.signers.len();
                // `all` would stop at the first bad one and leave the rest to the next command.
                let bad = verdicts.by_ref().take(count).filter(Result::is_err).count();
                if bad == 0 { Ok(VerifiedCommand::assume(cluster, signed)) } else { Err(signed) }
            })
            .collect()
    }

    /// Takes a command from this node's own checksummed log, where only verified commands are ever written.
    pub fn from_own_log(cluster: &ClusterId, signed: SignedCommand) -> VerifiedCommand {
        VerifiedCommand::assume(cluster, signed)
    }

    fn assume(cluster: &ClusterId, signed: SignedCommand) -> VerifiedCommand {
        VerifiedCommand { id: signed.id(cluster), leaf: signed.leaf(), signed }
    }

    /// The command's id.
    pub fn id(&self) -> CommandId {
        self.id
    }

    /// The leaf of the log's tree.
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// The command with its signatures, for sending on.
    pub fn signed(&self) -> &SignedCommand {
        &self.signed
    }
}

impl std::ops::Deref for VerifiedCommand {
    type Target = Command;
    fn deref(&self) -> &Command {
        &self.signed.command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn cluster(n: u8) -> ClusterId {
        ClusterId(Hash([n; 32]))
    }

    fn command() -> Command {
        Command {
            party: Name::new("alice").unwrap(),
            session: 1,
            sequence: 2,
            expiry: Time(3),
            payload: b"pay".to_vec(),
            signers: vec![],
        }
    }

    #[test]
    fn signing_and_verifying() {
        let (a, b) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let signed = SignedCommand::sign(&cluster(1), command(), &[&b, &a, &b]).unwrap();
        assert_eq!(signed.unverified().signers.len(), 2);
        let again = SignedCommand::from_bytes(signed.bytes()).unwrap();
        assert_eq!(again, signed);
        assert!(again.clone().verify(&cluster(1)).is_ok());
        assert_eq!(again.clone().verify(&cluster(2)), Err(BadSignature), "bound to its cluster");
        assert_ne!(again.id(&cluster(1)), again.id(&cluster(2)));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let a = SecretKey::from_seed([1; 32]);
        let signed = SignedCommand::sign(&cluster(1), command(), &[&a]).unwrap();
        for bit in 0..signed.bytes().len() * 8 {
            let mut bytes = signed.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = SignedCommand::from_bytes(&bytes) {
                assert!(changed.verify(&cluster(1)).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn one_bad_command_among_many_is_named() {
        let a = SecretKey::from_seed([1; 32]);
        let commands: Vec<SignedCommand> = (0..10)
            .map(|n| {
                SignedCommand::sign(&cluster((n == 6).into()), Command { sequence: n, ..command() }, &[&a]).unwrap()
            })
            .collect();
        let verdicts = VerifiedCommand::verify_all(&cluster(0), commands);
        let bad: Vec<usize> = (0..10).filter(|n| verdicts[*n].is_err()).collect();
        assert_eq!(bad, [6]);
    }

    #[test]
    fn signers_are_a_sorted_set() {
        let a = SecretKey::from_seed([1; 32]).public();
        let mut twice = command();
        twice.signers = vec![a, a];
        assert!(Command::from_bytes(&twice.to_bytes()).is_err());
        assert!(Command::from_bytes(&command().to_bytes()).is_err(), "no signer at all");
    }
}

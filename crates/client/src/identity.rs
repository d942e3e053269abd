//! Who signs, and the numbering of what is signed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wire::{ClusterId, Command, Name, PublicKey, SignedCommand, Signer, SignerError, Time};

/// How long a command stays valid unless the builder is told otherwise.
pub const EXPIRY_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// A party and the keys this client holds for it: one, or several if the party's guard is a threshold.
#[derive(Clone)]
pub struct Identity {
    party: Name,
    signers: Vec<Arc<dyn Signer>>,
}

impl Identity {
    /// A party that signs with `signers`.
    pub fn new(party: Name, signers: Vec<Arc<dyn Signer>>) -> Identity {
        Identity { party, signers }
    }

    /// The party's name.
    pub fn party(&self) -> &Name {
        &self.party
    }

    /// The keys held for it.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.signers.iter().map(|s| s.public_key())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({}, {} keys)", self.party, self.signers.len())
    }
}

/// The wall clock as ledger time.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A session id no other process will choose.
///
/// # Errors
/// If the system has no randomness to give.
pub fn random_session() -> Result<u64, SignerError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SignerError("the system gave no random bytes".into()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Makes the commands of one party in one session: numbers them from 1, dates them, signs them.
///
/// One builder per party: the ledger counts sequences per (party, session), so builders of several parties may share a
/// session id, and one [`crate::StreamClient::follow`] then covers them all.
#[derive(Debug, Clone)]
pub struct CommandBuilder {
    cluster: ClusterId,
    session: u64,
    next_sequence: u64,
    expiry: Duration,
    identity: Identity,
}

impl CommandBuilder {
    /// Starts at sequence 1 of `session`.
    pub fn new(cluster: ClusterId, session: u64, identity: Identity) -> CommandBuilder {
        CommandBuilder { cluster, session, next_sequence: 1, expiry: EXPIRY_DEFAULT, identity }
    }

    /// Sets how long after signing a command may still take effect.
    pub fn expiry(mut self, expiry: Duration) -> CommandBuilder {
        self.expiry = expiry;
        self
    }

    /// The session of the commands made.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// In whose name they are.
    pub fn party(&self) -> &Name {
        &self.identity.party
    }

    /// Goes on in another session, from sequence 1.
    ///
    /// A sequence that was refused before ordering is never answered by the ledger, and the window of sequences stops
    /// there in the end; a new session leaves the hole behind.
    pub fn restart(&mut self, session: u64) {
        self.session = session;
        self.next_sequence = 1;
    }

    /// A builder for the next `count` commands, which this one then leaves out: for signing on another thread.
    pub fn reserve(&mut self, count: u64) -> CommandBuilder {
        let reserved = self.clone();
        self.next_sequence = self.next_sequence.saturating_add(count);
        reserved
    }

    /// The next command, signed by the builder's own identity.
    ///
    /// # Errors
    /// If a signer fails, or the payload is too long. The sequence is then not used up.
    pub fn sign(&mut self, payload: Vec<u8>) -> Result<SignedCommand, SignerError> {
        self.sign_with(payload, &[])
    }

    /// The next command, signed by the builder's own identity and by `cosigners`.
    ///
    /// # Errors
    /// As [`CommandBuilder::sign`].
    pub fn sign_with(&mut self, payload: Vec<u8>, cosigners: &[&Identity]) -> Result<SignedCommand, SignerError> {
        let command = Command {
            party: self.identity.party.clone(),
            session: self.session,
            sequence: self.next_sequence,
            expiry: now().plus_ms(u64::try_from(self.expiry.as_millis()).unwrap_or(u64::MAX)),
            payload,
            signers: Vec::new(),
        };
        let all = std::iter::once(&self.identity).chain(cosigners.iter().copied());
        let signers: Vec<&dyn Signer> = all.flat_map(|i| i.signers.iter().map(AsRef::as_ref)).collect();
        let signed = SignedCommand::sign(&self.cluster, command, &signers)?;
        self.next_sequence += 1;
        Ok(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Hash, SecretKey};

    fn identity(party: &str, seeds: &[u8]) -> Identity {
        let signers = seeds.iter().map(|n| Arc::new(SecretKey::from_seed([*n; 32])) as Arc<dyn Signer>).collect();
        Identity::new(Name::new(party).unwrap(), signers)
    }

    #[test]
    fn commands_are_numbered_and_dated() {
        let cluster = ClusterId(Hash([7; 32]));
        let mut builder = CommandBuilder::new(cluster, 42, identity("alice", &[1])).expiry(Duration::from_secs(60));
        let before = now();
        let first = builder.sign(b"one".to_vec()).unwrap();
        let second = builder.sign_with(b"two".to_vec(), &[&identity("bob", &[2, 3])]).unwrap();
        assert_eq!((first.unverified().session, first.unverified().sequence), (42, 1));
        assert_eq!((second.unverified().session, second.unverified().sequence), (42, 2));
        assert!(first.unverified().expiry >= before.plus_ms(60_000));
        assert_eq!(second.unverified().signers.len(), 3);
        assert!(second.verify(&cluster).is_ok());
        let mut reserved = builder.reserve(10);
        assert_eq!(reserved.sign(vec![]).unwrap().unverified().sequence, 3);
        assert_eq!(builder.sign(vec![]).unwrap().unverified().sequence, 13);
        builder.restart(43);
        assert_eq!(builder.sign(vec![]).unwrap().unverified().sequence, 1);
    }

    #[test]
    fn a_failed_signature_uses_up_no_sequence() {
        let mut builder = CommandBuilder::new(ClusterId(Hash::ZERO), 1, identity("alice", &[1]));
        assert!(builder.sign(vec![0; wire::limits::PAYLOAD_BYTES_MAX + 1]).is_err());
        assert_eq!(builder.sign(vec![]).unwrap().unverified().sequence, 1);
    }
}

//! What a voter must never forget: the record behind its promises.

use wire::codec::{Decode, DecodeError, Encode, Reader};
use wire::{Certificate, ElectionCertificate, ElectionVote, Phase, Signed, Term, Verified, Vote};

use crate::certificate::{VerifiedCertificate, VerifiedElection};

/// The version byte of a stored safety record.
const SAFETY_VERSION: u8 = 1;

/// The promises a voter has made. Durable before any message that depends on it leaves; nothing in it ever decreases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Safety {
    /// The term entered.
    pub entered: Term,
    /// The election that began it; none in term 1.
    pub election: Option<VerifiedElection>,
    /// The highest election vote. From then on no vote of either phase for an earlier term.
    pub election_vote: Option<Verified<ElectionVote>>,
    /// The last `replicated` vote. For the leader of its term it is also its last proposal.
    pub replicated: Option<Verified<Vote>>,
    /// The last `certified` vote.
    pub certified: Option<Verified<Vote>>,
    /// The highest replication certificate held.
    pub lock: VerifiedCertificate,
}

impl Safety {
    /// The record of a node that has promised nothing: term 1, locked on the base.
    pub fn fresh(base: Certificate) -> Safety {
        Safety {
            entered: Term(1),
            election: None,
            election_vote: None,
            replicated: None,
            certified: None,
            lock: VerifiedCertificate::assume(base),
        }
    }

    /// The last vote of a phase.
    pub fn last(&self, phase: Phase) -> Option<&Verified<Vote>> {
        match phase {
            Phase::Replicated => self.replicated.as_ref(),
            Phase::Certified => self.certified.as_ref(),
        }
    }
}

impl Encode for Safety {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(SAFETY_VERSION);
        self.entered.encode(out);
        self.election.as_deref().encode(out);
        self.election_vote.as_ref().map(Verified::signed).encode(out);
        self.replicated.as_ref().map(Verified::signed).encode(out);
        self.certified.as_ref().map(Verified::signed).encode(out);
        (*self.lock).encode(out);
    }
}

impl Decode for Safety {
    const SIZE_MIN: usize = 1 + 8 + 4 + Certificate::SIZE_MIN;
    /// Reads this node's own record; it holds only what was verified before it was written.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            SAFETY_VERSION => {}
            tag => return Err(DecodeError::Tag { what: "safety record version", tag: tag.into() }),
        }
        Ok(Safety {
            entered: Term::decode(r)?,
            election: Option::<ElectionCertificate>::decode(r)?.map(VerifiedElection::from_own_log),
            election_vote: Option::<Signed<ElectionVote>>::decode(r)?.map(Verified::from_own_log),
            replicated: Option::<Signed<Vote>>::decode(r)?.map(Verified::from_own_log),
            certified: Option::<Signed<Vote>>::decode(r)?.map(Verified::from_own_log),
            lock: VerifiedCertificate::from_own_log(Certificate::decode(r)?),
        })
    }
}

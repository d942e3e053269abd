//! The statements of consensus, and the certificates made of them. Who checks what stands in the `consensus` crate.

use crate::block::BlockHeader;
use crate::codec::{Decode, DecodeError, Encode, Reader, encode_bytes};
use crate::command::SignedCommand;
use crate::hash::{Domain, Hash};
use crate::ids::{BlockDigest, Epoch, Height, NodeId, Term};
use crate::limits::{CERTIFICATE_HEADERS_MAX, COMMAND_BYTES_MAX, VOTERS_MAX};
use crate::receipt::Receipt;
use crate::signed::{Signed, Statement};
use crate::{enum_codec, struct_codec};

/// Which of the two rounds of votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The block is checked and durable at the voter.
    Replicated,
    /// The voter holds a replication certificate for the block, and has locked on it.
    Certified,
}

impl Encode for Phase {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Phase::Replicated => 1,
            Phase::Certified => 2,
        });
    }
}

impl Decode for Phase {
    const SIZE_MIN: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            1 => Ok(Phase::Replicated),
            2 => Ok(Phase::Certified),
            tag => Err(DecodeError::Tag { what: "phase", tag: tag.into() }),
        }
    }
}

/// A block named by where it stands in the order of certificates: first by term, then by height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The term of the votes.
    pub term: Term,
    /// The block's height.
    pub height: Height,
    /// The block's digest.
    pub digest: BlockDigest,
}
struct_codec!(Claim { term: Term, height: Height, digest: BlockDigest });

/// A leader's proposal of one block: the signed part of `AppendEntries`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The leader of the term.
    pub author: NodeId,
    /// The membership in force.
    pub epoch: Epoch,
    /// The term of this proposal.
    pub term: Term,
    /// The block's height.
    pub height: Height,
    /// The block's digest.
    pub digest: BlockDigest,
}
struct_codec!(Proposal { author: NodeId, epoch: Epoch, term: Term, height: Height, digest: BlockDigest });

/// A vote: the signed content of `AppendEntriesResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The voter.
    pub author: NodeId,
    /// The membership in force.
    pub epoch: Epoch,
    /// Which round.
    pub phase: Phase,
    /// The term voted in.
    pub term: Term,
    /// The block's height.
    pub height: Height,
    /// The block's digest.
    pub digest: BlockDigest,
}
struct_codec!(Vote { author: NodeId, epoch: Epoch, phase: Phase, term: Term, height: Height, digest: BlockDigest });

impl Vote {
    /// The block voted for, in the order of certificates.
    pub fn claim(&self) -> Claim {
        Claim { term: self.term, height: self.height, digest: self.digest }
    }
}

/// A vote to give up the current term for `term`'s scheduled leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionVote {
    /// The voter.
    pub author: NodeId,
    /// The membership in force.
    pub epoch: Epoch,
    /// The term asked for.
    pub term: Term,
    /// What the voter is bound by. Under Byzantine faults: its highest replication certificate. Under crash faults: its
    /// last durable `replicated` vote.
    pub claim: Claim,
}
struct_codec!(ElectionVote { author: NodeId, epoch: Epoch, term: Term, claim: Claim });

/// The leader's sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The leader of the term.
    pub author: NodeId,
    /// The membership in force.
    pub epoch: Epoch,
    /// The term it leads.
    pub term: Term,
    /// Its committed height.
    pub commit_height: Height,
}
struct_codec!(Heartbeat { author: NodeId, epoch: Epoch, term: Term, commit_height: Height });

/// A replica's word to a client on what became of its commands: the receipts of one block, signed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The replica.
    pub author: NodeId,
    /// The membership in force.
    pub epoch: Epoch,
    /// The height it has executed.
    pub height: Height,
    /// The receipts.
    pub receipts: Vec<Receipt>,
}
struct_codec!(Reply { author: NodeId, epoch: Epoch, height: Height, receipts: Vec<Receipt> });

macro_rules! statement {
    ($($t:ty, $domain:literal, $max:expr;)*) => {$(
        impl Statement for $t {
            const DOMAIN: Domain = Domain($domain);
            const BYTES_MAX: usize = $max;
            fn author(&self) -> NodeId {
                self.author
            }
            fn epoch(&self) -> Epoch {
                self.epoch
            }
        }
    )*};
}
statement! {
    Proposal, "juno/proposal/1", 128;
    Vote, "juno/vote/1", 128;
    ElectionVote, "juno/election-vote/1", 128;
    Heartbeat, "juno/heartbeat/1", 128;
    Reply, "juno/reply/1", crate::limits::FRAME_BYTES_MAX;
}

/// Votes of one phase and term by a quorum, each for the named block or for a descendant proposed in the same term.
///
/// With no votes and term 0 it is the base of an epoch: the genesis block, which needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The round of all its votes.
    pub phase: Phase,
    /// The block certified, and the term of all votes.
    pub claim: Claim,
    /// If any vote names a descendant: the headers from the block itself up to the highest one named.
    pub headers: Vec<BlockHeader>,
    /// The votes, by ascending author.
    pub votes: Vec<Signed<Vote>>,
}

impl Certificate {
    /// The base of an epoch: `digest` at `height`, in term 0.
    pub fn base(phase: Phase, height: Height, digest: BlockDigest) -> Certificate {
        Certificate { phase, claim: Claim { term: Term::ZERO, height, digest }, headers: vec![], votes: vec![] }
    }

    /// True for the base of an epoch.
    pub fn is_base(&self) -> bool {
        self.claim.term == Term::ZERO
    }
}

impl Encode for Certificate {
    fn encode(&self, out: &mut Vec<u8>) {
        self.phase.encode(out);
        self.claim.encode(out);
        self.headers.encode(out);
        self.votes.encode(out);
    }
}

impl Decode for Certificate {
    const SIZE_MIN: usize = 1 + Claim::SIZE_MIN + 4 + 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let certificate = Certificate {
            phase: Phase::decode(r)?,
            claim: Claim::decode(r)?,
            headers: r.list("certificate headers", CERTIFICATE_HEADERS_MAX)?,
            votes: r.list("certificate votes", VOTERS_MAX)?,
        };
        let sorted = |a: &Signed<Vote>, b: &Signed<Vote>| a.unverified().author < b.unverified().author;
        if !certificate.votes.is_sorted_by(sorted) {
            return Err(DecodeError::Invalid { what: "certificate votes", why: "authors must ascend" });
        }
        Ok(certificate)
    }
}

/// Election votes of a quorum for one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionCertificate {
    /// The term elected.
    pub term: Term,
    /// The votes, by ascending author.
    pub votes: Vec<Signed<ElectionVote>>,
    /// The proof of the highest claim among the votes; absent under crash faults, where claims need none.
    pub highest: Option<Certificate>,
}

impl Encode for ElectionCertificate {
    fn encode(&self, out: &mut Vec<u8>) {
        self.term.encode(out);
        self.votes.encode(out);
        self.highest.encode(out);
    }
}

impl Decode for ElectionCertificate {
    const SIZE_MIN: usize = 8 + 4 + 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let certificate = ElectionCertificate {
            term: Term::decode(r)?,
            votes: r.list("election votes", VOTERS_MAX)?,
            highest: Option::decode(r)?,
        };
        let sorted = |a: &Signed<ElectionVote>, b: &Signed<ElectionVote>| a.unverified().author < b.unverified().author;
        if !certificate.votes.is_sorted_by(sorted) {
            return Err(DecodeError::Invalid { what: "election votes", why: "authors must ascend" });
        }
        Ok(certificate)
    }
}

/// Proof that a node broke the protocol. Nothing else counts as proof: a late, replayed or useless message of an honest
/// node never matches any of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// Two proposals of one author for one (epoch, term, height).
    Proposals(Box<(Signed<Proposal>, Signed<Proposal>)>),
    /// Two votes of one author for one (epoch, term, phase, height).
    Votes(Box<(Signed<Vote>, Signed<Vote>)>),
    /// Two different election votes of one author for one term.
    ElectionVotes(Box<(Signed<ElectionVote>, Signed<ElectionVote>)>),
    /// A proposed block that holds a command with a bad signature.
    BadCommand(Box<BadCommand>),
}
enum_codec!(Evidence {
    1 => Proposals(Box<(Signed<Proposal>, Signed<Proposal>)>),
    2 => Votes(Box<(Signed<Vote>, Signed<Vote>)>),
    3 => ElectionVotes(Box<(Signed<ElectionVote>, Signed<ElectionVote>)>),
    4 => BadCommand(Box<BadCommand>),
});

impl Evidence {
    /// The node accused, as the first statement claims.
    pub fn accused(&self) -> NodeId {
        match self {
            Evidence::Proposals(pair) => pair.0.unverified().author,
            Evidence::Votes(pair) => pair.0.unverified().author,
            Evidence::ElectionVotes(pair) => pair.0.unverified().author,
            Evidence::BadCommand(bad) => bad.proposal.unverified().author,
        }
    }

    /// A short name of the offence, for logs and metrics.
    pub fn offence(&self) -> &'static str {
        match self {
            Evidence::Proposals(_) => "two_proposals",
            Evidence::Votes(_) => "two_votes",
            Evidence::ElectionVotes(_) => "two_election_votes",
            Evidence::BadCommand(_) => "bad_command_signature",
        }
    }
}

/// A bad command, tied to the proposal that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCommand {
    /// The proposal, signed by the accused.
    pub proposal: Signed<Proposal>,
    /// The header whose digest the proposal signs.
    pub header: BlockHeader,
    /// The place of the command in the block.
    pub position: u32,
    /// The audit path of the command in the header's entries root.
    pub path: Vec<Hash>,
    /// The command.
    pub command: SignedCommand,
}

impl Encode for BadCommand {
    fn encode(&self, out: &mut Vec<u8>) {
        self.proposal.encode(out);
        self.header.encode(out);
        self.position.encode(out);
        self.path.encode(out);
        encode_bytes(self.command.bytes(), out);
    }
}

impl Decode for BadCommand {
    const SIZE_MIN: usize = Signed::<Proposal>::SIZE_MIN + BlockHeader::SIZE_MIN + 12;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(BadCommand {
            proposal: Signed::decode(r)?,
            header: BlockHeader::decode(r)?,
            position: u32::decode(r)?,
            path: r.list("audit path", 64)?,
            command: SignedCommand::from_bytes(r.bytes("command", COMMAND_BYTES_MAX)?)?,
        })
    }
}

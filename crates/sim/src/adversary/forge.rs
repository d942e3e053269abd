//! Signs whatever it is asked to, with the keys of voters.

use wire::merkle::{self, Frontier};
use wire::peer::{AppendEntries, ElectionVoteMessage, HeartbeatMessage, Standing};
use wire::statement::Claim;
use wire::{
    Block, BlockDigest, BlockHeader, Certificate, ElectionCertificate, ElectionVote, Genesis, Heartbeat, Height,
    NodeId, Phase, Proposal, Signed, SignedCommand, Statement, Term, Time, Verified, Vote,
};

use crate::plan::voter_key;

/// Makes statements of one cluster.
#[derive(Clone)]
pub(super) struct Forge {
    pub genesis: Genesis,
    base: BlockHeader,
}

/// A block to build on: its header, and the log's tree up to it.
#[derive(Debug, Clone)]
pub(super) struct Tip {
    pub header: BlockHeader,
    pub frontier: Frontier,
}

impl Forge {
    pub fn new(genesis: Genesis) -> Forge {
        let base = replica::base_header(&genesis);
        Forge { genesis, base }
    }

    fn sign<T: Statement>(&self, voter: usize, value: T) -> Signed<T> {
        let cluster = self.genesis.cluster_id();
        Verified::sign(&cluster, value, &voter_key(voter)).expect("a key in memory signs").into_signed()
    }

    pub fn vote(&self, voter: usize, phase: Phase, claim: Claim) -> Signed<Vote> {
        let Claim { term, height, digest } = claim;
        let epoch = self.base.epoch;
        self.sign(voter, Vote { author: NodeId(voter as u16), epoch, phase, term, height, digest })
    }

    /// A vote that names `author`, signed by `voter`.
    pub fn vote_in_name_of(&self, voter: usize, author: usize, phase: Phase, claim: Claim) -> Signed<Vote> {
        let honest = self.vote(author, phase, claim).unverified().clone();
        let cluster = self.genesis.cluster_id();
        Verified::sign(&cluster, honest, &voter_key(voter)).expect("a key in memory signs").into_signed()
    }

    pub fn election_vote(&self, voter: usize, term: Term, claim: Claim) -> Signed<ElectionVote> {
        self.sign(voter, ElectionVote { author: NodeId(voter as u16), epoch: self.base.epoch, term, claim })
    }

    pub fn ask(&self, voter: usize, term: Term, highest: Certificate, standing: Standing) -> ElectionVoteMessage {
        let vote = self.election_vote(voter, term, highest.claim);
        ElectionVoteMessage { vote, highest: Some(highest), standing }
    }

    pub fn heartbeat(&self, voter: usize, term: Term, commit_height: Height, standing: Standing) -> HeartbeatMessage {
        let value = Heartbeat { author: NodeId(voter as u16), epoch: self.base.epoch, term, commit_height };
        HeartbeatMessage { heartbeat: self.sign(voter, value), standing }
    }

    pub fn append(
        &self,
        voter: usize,
        term: Term,
        block: Block,
        election: Option<ElectionCertificate>,
        claim: Option<Certificate>,
    ) -> AppendEntries {
        let digest = self.digest(&block.header);
        let height = block.header.height;
        let value = Proposal { author: NodeId(voter as u16), epoch: self.base.epoch, term, height, digest };
        AppendEntries { proposal: self.sign(voter, value), block, election, claim }
    }

    pub fn digest(&self, header: &BlockHeader) -> BlockDigest {
        header.digest(&self.genesis.cluster_id())
    }

    pub fn base_certificate(&self) -> Certificate {
        Certificate::base(Phase::Replicated, self.base.height, self.digest(&self.base))
    }

    pub fn base_commit(&self) -> Certificate {
        Certificate::base(Phase::Certified, self.base.height, self.digest(&self.base))
    }

    pub fn base_standing(&self) -> Standing {
        Standing { election: None, commit: self.base_commit() }
    }

    pub fn base_tip(&self) -> Tip {
        Tip { header: self.base.clone(), frontier: Frontier::default() }
    }

    /// The weight of a quorum.
    pub fn quorum(&self) -> u64 {
        let total: u64 = self.genesis.voters.iter().map(|v| v.weight).sum();
        (total + self.genesis.faulty_weight) / 2 + 1
    }

    /// The weight of these voters together.
    pub fn weight(&self, voters: impl Iterator<Item = NodeId>) -> u64 {
        voters.filter_map(|id| self.genesis.voters.get(usize::from(id.0))).map(|v| v.weight).sum()
    }
}

impl Tip {
    /// The next block, by all rules of a header.
    pub fn extend(&self, parent: BlockDigest, term: Term, entries: Vec<SignedCommand>, ms: u64) -> Block {
        let leaves: Vec<wire::Hash> = entries.iter().map(SignedCommand::leaf).collect();
        let mut frontier = self.frontier.clone();
        frontier.extend(&leaves);
        let header = BlockHeader {
            epoch: self.header.epoch,
            term,
            height: self.header.height.plus(1),
            parent,
            first_index: self.header.next_index().unwrap_or_default(),
            entry_count: entries.len() as u32,
            entries_root: merkle::root_of(&leaves),
            log_root: frontier.root(),
            time: Time(self.header.time.0.saturating_add(ms)),
            executed: self.header.executed,
        };
        Block { header, entries }
    }
}

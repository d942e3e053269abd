//! Every promise that leaves an honest voter, over its whole life, and every certificate it passes on.
//!
//! What an honest key signed is what its owner sent: the oracle keeps that list itself, so a certificate is judged without
//! any signature being checked. A voter's own votes inside a certificate it sends count as sent then (after a restart it
//! may have recalled them).

use std::collections::{BTreeMap, BTreeSet};

use wire::peer::Standing;
use wire::statement::Claim;
use wire::{
    BlockDigest, BlockHeader, Certificate, ClusterId, ElectionCertificate, ElectionVote, FaultModel, Height,
    PeerMessage, Phase, Signed, Term, Vote,
};

use super::Failure;
use crate::plan::Plan;

/// Headers kept for following chains of votes.
const HEADERS_MAX: usize = 4096;
/// Terms of which the obliged blocks are kept.
const TERMS_MAX: usize = 512;

/// See the module documentation.
pub(super) struct Votes {
    cluster: ClusterId,
    model: FaultModel,
    weights: Vec<u64>,
    quorum: u64,
    faulty: Vec<bool>,
    base: BlockDigest,
    headers: BTreeMap<BlockDigest, BlockHeader>,
    headers_by_height: BTreeSet<(Height, BlockDigest)>,
    votes: BTreeMap<(usize, Phase, Term, Height), BlockDigest>,
    /// The highest vote of each chain.
    last: BTreeMap<(usize, Phase, Term), (Height, BlockDigest)>,
    proposals: BTreeMap<(usize, Term, Height), BlockDigest>,
    election_votes: BTreeMap<(usize, Term), Claim>,
    asked: Vec<Term>,
    beat: Vec<Term>,
    /// The block that a certificate commits at each height.
    committed: BTreeMap<Height, BlockDigest>,
    /// The blocks that elections of a term oblige its first block to extend, as their votes say.
    obliged: BTreeMap<Term, BTreeSet<BlockDigest>>,
    /// What each voter last sent of where it stands: found good.
    standings: Vec<Option<Standing>>,
}

fn broken(text: impl Into<String>) -> Result<(), Failure> {
    Err(Failure::new("votes", text))
}

fn unsound(text: impl Into<String>) -> Result<(), Failure> {
    Err(Failure::new("certificates", text))
}

impl Votes {
    pub fn new(plan: &Plan) -> Votes {
        let weights: Vec<u64> = plan.genesis.voters.iter().map(|v| v.weight).collect();
        let total: u64 = weights.iter().sum();
        let quorum = match plan.genesis.fault_model {
            FaultModel::Byzantine => (total + plan.genesis.faulty_weight) / 2 + 1,
            FaultModel::Crash => total / 2 + 1,
        };
        let count = weights.len();
        Votes {
            cluster: plan.genesis.cluster_id(),
            model: plan.genesis.fault_model,
            quorum,
            weights,
            faulty: (0..count).map(|v| plan.is_faulty(v)).collect(),
            base: replica::base_claim(&plan.genesis).digest,
            headers: BTreeMap::new(),
            headers_by_height: BTreeSet::new(),
            votes: BTreeMap::new(),
            last: BTreeMap::new(),
            proposals: BTreeMap::new(),
            election_votes: BTreeMap::new(),
            asked: vec![Term::ZERO; count],
            beat: vec![Term::ZERO; count],
            committed: BTreeMap::new(),
            obliged: BTreeMap::new(),
            standings: vec![None; count],
        }
    }

    pub fn learn(&mut self, message: &PeerMessage) {
        if let PeerMessage::AppendEntries(append) = message {
            if let Some(election) = &append.election {
                self.learn_election(election);
            }
            let digest = append.block.header.digest(&self.cluster);
            let header = &append.block.header;
            if self.headers.insert(digest, header.clone()).is_none() {
                self.headers_by_height.insert((header.height, digest));
                if self.headers.len() > HEADERS_MAX
                    && let Some((_, old)) = self.headers_by_height.pop_first()
                {
                    self.headers.remove(&old);
                }
            }
        }
    }

    /// What the first block of a term may extend, if a quorum asked.
    fn learn_election(&mut self, election: &ElectionCertificate) {
        let votes = || election.votes.iter().map(|v| v.unverified());
        let authors: BTreeSet<usize> = votes().map(|v| usize::from(v.author.0)).collect();
        let weight: u64 = authors.iter().filter_map(|a| self.weights.get(*a)).sum();
        if weight >= self.quorum
            && votes().all(|v| v.term == election.term)
            && let Some(highest) = votes().map(|v| v.claim).max()
        {
            self.obliged.entry(election.term).or_default().insert(highest.digest);
            while self.obliged.len() > TERMS_MAX {
                self.obliged.pop_first();
            }
        }
    }

    /// The first vote of a term is for a block that extends, through blocks of that term, what an election obliges.
    fn first_vote(&self, voter: usize, v: &Vote) -> Result<(), Failure> {
        let mut at = v.digest;
        while let Some(header) = self.headers.get(&at) {
            if header.term != v.term {
                break;
            }
            at = header.parent;
        }
        // As far as the blocks between were seen.
        if !self.headers.contains_key(&at) && at != self.base {
            return Ok(());
        }
        let obliged =
            if v.term.0 == 1 { at == self.base } else { self.obliged.get(&v.term).is_none_or(|o| o.contains(&at)) };
        if obliged {
            return Ok(());
        }
        broken(format!("node {voter} votes first in term {} for a block on {at}, which no election obliges", v.term))
    }

    pub fn sent(&mut self, voter: usize, message: &PeerMessage) -> Result<(), Failure> {
        self.learn(message);
        match message {
            PeerMessage::Vote(vote) => {
                if usize::from(vote.unverified().author.0) != voter {
                    return broken(format!("node {voter} sends a vote of {}", vote.unverified().author));
                }
                self.vote(voter, vote.unverified(), true)
            }
            PeerMessage::AppendEntries(append) => {
                let p = append.proposal.unverified();
                if usize::from(p.author.0) != voter || (p.term.0 - 1) % self.weights.len() as u64 != voter as u64 {
                    return broken(format!("node {voter} proposes in term {}, which it does not lead", p.term));
                }
                let first = *self.proposals.entry((voter, p.term, p.height)).or_insert(p.digest);
                if first != p.digest {
                    return broken(format!("node {voter} proposes two blocks in term {} at {}", p.term, p.height));
                }
                append.election.as_ref().map_or(Ok(()), |e| self.election(voter, e))?;
                append.claim.as_ref().map_or(Ok(()), |c| self.commit(voter, c))
            }
            PeerMessage::ElectionVote(ask) => {
                let v = ask.vote.unverified();
                self.ask(voter, v)?;
                if let Some(highest) = &ask.highest {
                    if highest.claim != v.claim {
                        return unsound(format!("node {voter} attaches another certificate than it claims"));
                    }
                    self.certificate(voter, highest)?;
                }
                self.standing(voter, &ask.standing)
            }
            PeerMessage::Heartbeat(m) => {
                let beat = m.heartbeat.unverified();
                if beat.term < self.beat[voter] {
                    return broken(format!("node {voter} beats in term {} after {}", beat.term, self.beat[voter]));
                }
                self.beat[voter] = beat.term;
                self.standing(voter, &m.standing)
            }
            PeerMessage::Standing(standing) => self.standing(voter, standing),
            PeerMessage::Recall(recall) => self.standing(voter, &recall.standing),
            PeerMessage::Blocks(blocks) => blocks.commit.as_ref().map_or(Ok(()), |c| self.commit(voter, c)),
            _ => Ok(()),
        }
    }

    fn ask(&mut self, voter: usize, v: &ElectionVote) -> Result<(), Failure> {
        let first = *self.election_votes.entry((voter, v.term)).or_insert(v.claim);
        if usize::from(v.author.0) != voter || first != v.claim {
            return broken(format!("node {voter} asks twice for term {}: {first:?} and {:?}", v.term, v.claim));
        }
        self.asked[voter] = self.asked[voter].max(v.term);
        Ok(())
    }

    fn vote(&mut self, voter: usize, v: &Vote, fresh: bool) -> Result<(), Failure> {
        let first = *self.votes.entry((voter, v.phase, v.term, v.height)).or_insert(v.digest);
        if first != v.digest {
            return broken(format!("node {voter} votes twice: {:?} in term {} at {}", v.phase, v.term, v.height));
        }
        if fresh && v.term < self.asked[voter] {
            return broken(format!("node {voter} votes in term {} after asking for {}", v.term, self.asked[voter]));
        }
        if fresh && v.phase == Phase::Replicated && !self.last.contains_key(&(voter, v.phase, v.term)) {
            self.first_vote(voter, v)?;
        }
        let place = (v.height, v.digest);
        let last = self.last.entry((voter, v.phase, v.term)).or_insert(place);
        let (low, high) = if last.0 <= v.height { (*last, place) } else { (place, *last) };
        *last = high;
        // As far as the blocks between were seen.
        let mut at = high;
        while at.0 > low.0
            && let Some(header) = self.headers.get(&at.1)
        {
            at = (Height(at.0.0 - 1), header.parent);
        }
        if at.0 == low.0 && at != low {
            return broken(format!("node {voter} votes {:?} for two branches in term {}", v.phase, v.term));
        }
        Ok(())
    }

    fn standing(&mut self, voter: usize, standing: &Standing) -> Result<(), Failure> {
        if self.standings[voter].as_ref() == Some(standing) {
            return Ok(());
        }
        if let Some(election) = &standing.election {
            self.election(voter, election)?;
        }
        self.commit(voter, &standing.commit)?;
        self.standings[voter] = Some(standing.clone());
        Ok(())
    }

    fn commit(&mut self, voter: usize, commit: &Certificate) -> Result<(), Failure> {
        let phase = if self.model == FaultModel::Crash { Phase::Replicated } else { Phase::Certified };
        if commit.phase != phase {
            return unsound(format!("node {voter} takes a {:?} certificate for a commit", commit.phase));
        }
        self.certificate(voter, commit)?;
        let claim = commit.claim;
        let first = *self.committed.entry(claim.height).or_insert(claim.digest);
        if first != claim.digest {
            let text = format!("certificates commit {first} and {} at height {}", claim.digest, claim.height);
            return Err(Failure::new("agreement", text));
        }
        Ok(())
    }

    fn certificate(&mut self, voter: usize, certificate: &Certificate) -> Result<(), Failure> {
        let claim = certificate.claim;
        if certificate.is_base() {
            return if claim.digest == self.base { Ok(()) } else { unsound(format!("node {voter} has another base")) };
        }
        let mut linked = BTreeMap::from([(claim.digest, claim.height)]);
        let mut tip: Option<(BlockDigest, Height)> = None;
        for header in &certificate.headers {
            let digest = header.digest(&self.cluster);
            let follows = match tip {
                None => digest == claim.digest && header.height == claim.height,
                Some((parent, height)) => header.parent == parent && header.height.0 == height.0 + 1,
            };
            if !follows || header.term != claim.term {
                return unsound(format!("node {voter} sends a certificate of {claim:?} with headers out of line"));
            }
            linked.insert(digest, header.height);
            tip = Some((digest, header.height));
        }
        let mut authors = BTreeSet::new();
        for vote in &certificate.votes {
            let v = vote.unverified();
            let author = usize::from(v.author.0);
            let fits = v.phase == certificate.phase && v.term == claim.term && linked.get(&v.digest) == Some(&v.height);
            if !fits || !authors.insert(author) {
                return unsound(format!("node {voter} counts {v:?} for {claim:?}"));
            }
            self.vouch(voter, author, vote)?;
        }
        self.enough(voter, &authors, &claim)
    }

    /// The author of a vote that `voter` passes on has sent it, if it is honest.
    fn vouch(&mut self, voter: usize, author: usize, vote: &Signed<Vote>) -> Result<(), Failure> {
        let v = vote.unverified();
        if author == voter {
            return self.vote(voter, v, false);
        }
        let sent = self.votes.get(&(author, v.phase, v.term, v.height)) == Some(&v.digest);
        if self.faulty.get(author) == Some(&false) && !sent {
            return unsound(format!("node {voter} holds {v:?}, which its author never sent"));
        }
        Ok(())
    }

    fn enough(&self, voter: usize, authors: &BTreeSet<usize>, claim: &Claim) -> Result<(), Failure> {
        let weight: u64 = authors.iter().filter_map(|a| self.weights.get(*a)).sum();
        if weight >= self.quorum {
            return Ok(());
        }
        unsound(format!("node {voter} sends a certificate of weight {weight} for {claim:?}; {} is needed", self.quorum))
    }

    fn election(&mut self, voter: usize, election: &ElectionCertificate) -> Result<(), Failure> {
        self.learn_election(election);
        let mut authors = BTreeSet::new();
        let mut highest: Option<Claim> = None;
        for vote in &election.votes {
            let v = vote.unverified();
            let author = usize::from(v.author.0);
            if v.term != election.term || v.claim.term >= v.term || !authors.insert(author) {
                return unsound(format!("node {voter} counts {v:?} for term {}", election.term));
            }
            if author == voter {
                self.ask(voter, v)?;
            }
            let sent = self.election_votes.get(&(author, v.term)) == Some(&v.claim);
            if self.faulty.get(author) == Some(&false) && !sent {
                return unsound(format!("node {voter} holds {v:?}, which its author never sent"));
            }
            highest = highest.max(Some(v.claim));
        }
        let Some(highest) = highest else { return unsound(format!("node {voter} sends an election without votes")) };
        self.enough(voter, &authors, &highest)?;
        match (&election.highest, self.model) {
            (Some(proof), FaultModel::Byzantine) if proof.claim == highest && proof.phase == Phase::Replicated => {
                self.certificate(voter, proof)
            }
            (None, FaultModel::Crash) => Ok(()),
            _ => unsound(format!("node {voter} sends an election of term {} without its proof", election.term)),
        }
    }
}

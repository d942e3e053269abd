//! The votes of the current term: who supports which block, and who contradicts himself.

use std::collections::{BTreeMap, BTreeSet};

use wire::statement::Claim;
use wire::{BlockDigest, BlockHeader, Certificate, Evidence, Height, NodeId, Phase, Term, Verified, Vote};

use super::tree::Tree;
use crate::certificate::VerifiedCertificate;
use crate::quorum::{Quorum, QuorumReached};

/// What taking a vote in led to.
pub(crate) enum Taken {
    /// Known already.
    Repeated,
    /// The author voted for two blocks at one place.
    Contradiction(Evidence),
    /// These blocks gained a supporter.
    Supports(Vec<BlockDigest>),
}

/// The votes of one term, bounded by the window of heights the engine lets in.
#[derive(Debug, Clone, Default)]
pub(crate) struct VoteBook {
    votes: BTreeMap<(Phase, NodeId), BTreeMap<Height, Verified<Vote>>>,
    /// Who voted for a block or for a descendant of the same term.
    support: BTreeMap<(Phase, BlockDigest), BTreeSet<NodeId>>,
}

impl VoteBook {
    /// Takes in a vote of the current term.
    pub fn take(&mut self, vote: Verified<Vote>, tree: &Tree) -> Taken {
        let mine = self.votes.entry((vote.phase, vote.author)).or_default();
        if let Some(first) = mine.get(&vote.height) {
            if first.digest == vote.digest {
                return Taken::Repeated;
            }
            let pair = (first.signed().clone(), vote.into_signed());
            return Taken::Contradiction(Evidence::Votes(Box::new(pair)));
        }
        let (phase, author, term, digest) = (vote.phase, vote.author, vote.term, vote.digest);
        mine.insert(vote.height, vote);
        Taken::Supports(self.spread(phase, author, term, digest, tree))
    }

    /// Counts a vote for a block and for its ancestors of the same term, as far as they are held.
    fn spread(&mut self, phase: Phase, author: NodeId, term: Term, from: BlockDigest, tree: &Tree) -> Vec<BlockDigest> {
        let mut gained = Vec::new();
        let mut at = from;
        loop {
            let header = tree.node(&at).map(|node| node.header());
            // Votes of a term count only for blocks proposed in that term.
            if header.is_some_and(|h| h.term != term) {
                break;
            }
            if !self.support.entry((phase, at)).or_default().insert(author) && at != from {
                break;
            }
            gained.push(at);
            match header {
                Some(header) => at = header.parent,
                None => break,
            }
            if at == tree.root.digest {
                break;
            }
        }
        gained
    }

    /// A block became known: those who voted for it support its ancestors too.
    pub fn block_known(
        &mut self,
        header: &BlockHeader,
        digest: BlockDigest,
        term: Term,
        tree: &Tree,
    ) -> Vec<(Phase, BlockDigest)> {
        let mut gained = Vec::new();
        for phase in [Phase::Replicated, Phase::Certified] {
            let voters = match self.support.get(&(phase, digest)) {
                Some(_) if header.term != term => {
                    self.support.remove(&(phase, digest));
                    continue;
                }
                Some(voters) => voters.clone(),
                None => continue,
            };
            for author in voters {
                gained.extend(self.spread(phase, author, term, digest, tree).into_iter().map(|d| (phase, d)));
            }
        }
        gained
    }

    /// Proof that a block has a quorum of votes in a phase.
    pub fn reached(&self, phase: Phase, digest: &BlockDigest, quorum: &Quorum) -> Option<QuorumReached> {
        self.support.get(&(phase, *digest)).and_then(|voters| quorum.reached(voters))
    }

    /// Puts the certificate of a block together from its supporters' votes: for each the lowest vote that names the
    /// block or a descendant, with the headers that link them.
    pub fn certificate(
        &self,
        _proof: QuorumReached,
        phase: Phase,
        digest: &BlockDigest,
        tree: &Tree,
        quorum: &Quorum,
    ) -> Option<VerifiedCertificate> {
        let header = tree.node(digest)?.header();
        let mut votes = Vec::new();
        let mut highest = (header.height, *digest);
        for author in self.support.get(&(phase, *digest))? {
            let mut mine = self.votes.get(&(phase, *author))?.range(header.height..);
            let (height, vote) = mine.find(|(_, vote)| tree.descends(&vote.digest, digest))?;
            highest = highest.max((*height, vote.digest));
            votes.push(vote.signed().clone());
        }
        let claim = Claim { term: header.term, height: header.height, digest: *digest };
        let headers = if highest.0 == header.height { vec![] } else { linking_headers(tree, digest, &highest.1)? };
        // Supporters of different branches above the block cannot all be linked by one chain of headers.
        let linked = |vote: &Vote| {
            vote.digest == *digest
                || headers.iter().any(|h| h.height == vote.height) && tree.descends(&highest.1, &vote.digest)
        };
        let votes: Vec<_> = votes.into_iter().filter(|v| linked(v.unverified())).collect();
        quorum.reached(&votes.iter().map(|v| v.unverified().author).collect())?;
        Some(VerifiedCertificate::assume(Certificate { phase, claim, headers, votes }))
    }

    /// Forgets votes at or below a height.
    pub fn prune(&mut self, floor: Height, tree: &Tree) {
        for votes in self.votes.values_mut() {
            *votes = votes.split_off(&floor.plus(1));
        }
        self.votes.retain(|_, votes| !votes.is_empty());
        let named: BTreeSet<BlockDigest> =
            self.votes.values().flat_map(|votes| votes.values().map(|v| v.digest)).collect();
        self.support.retain(|(_, digest), _| tree.node(digest).is_some() || named.contains(digest));
    }
}

fn linking_headers(tree: &Tree, from: &BlockDigest, to: &BlockDigest) -> Option<Vec<BlockHeader>> {
    let mut headers = Vec::new();
    let mut at = *to;
    loop {
        let header = tree.node(&at)?.header().clone();
        let parent = header.parent;
        headers.push(header);
        if at == *from {
            break;
        }
        at = parent;
    }
    headers.reverse();
    Some(headers)
}

//! The votes of the current term: who supports which block, and who contradicts himself.

use std::collections::{BTreeMap, BTreeSet};

use wire::statement::Claim;
use wire::{BlockDigest, BlockHeader, Certificate, Evidence, Height, NodeId, Phase, Term, Verified, Vote};

use super::tree::Tree;
use crate::quorum::{Quorum, QuorumReached};
use crate::rules::{Rule, Rules};

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
    /// Votes held.
    pub fn len(&self) -> usize {
        self.votes.values().map(BTreeMap::len).sum()
    }

    /// Takes in a vote of the current term.
    pub fn take<R: Rules>(&mut self, vote: Verified<Vote>, tree: &Tree) -> Taken {
        let mine = self.votes.entry((vote.phase, vote.author)).or_default();
        if let Some(first) = mine.get(&vote.height) {
            if first.digest == vote.digest {
                return Taken::Repeated;
            }
            let pair = (first.signed().clone(), vote.into_signed());
            return Taken::Contradiction(Evidence::Votes(Box::new(pair)));
        }
        let (phase, author, digest, height) = (vote.phase, vote.author, vote.digest, vote.height);
        let term = vote.term;
        mine.insert(height, vote);
        match tree.node(&digest) {
            Some(node) if !names::<R>(node.header(), term, height) => Taken::Supports(vec![]),
            Some(_) => Taken::Supports(self.spread(phase, author, term, digest, tree)),
            None => {
                self.support.entry((phase, digest)).or_default().insert(author);
                Taken::Supports(vec![])
            }
        }
    }

    /// Counts a vote for a block that is held, and for its ancestors of the same term.
    fn spread(&mut self, phase: Phase, author: NodeId, term: Term, from: BlockDigest, tree: &Tree) -> Vec<BlockDigest> {
        let mut gained = Vec::new();
        let mut at = from;
        // Votes of a term count only for blocks proposed in that term.
        while let Some(node) = tree.node(&at).filter(|node| node.header().term == term) {
            if !self.support.entry((phase, at)).or_default().insert(author) && at != from {
                break;
            }
            gained.push(at);
            at = node.header().parent;
        }
        gained
    }

    /// A block became known: those who really voted for it support its ancestors too.
    pub fn block_known(
        &mut self,
        header: &BlockHeader,
        digest: BlockDigest,
        term: Term,
        tree: &Tree,
    ) -> Vec<(Phase, BlockDigest)> {
        let mut gained = Vec::new();
        for phase in [Phase::Replicated, Phase::Certified] {
            // Until now nobody could tell whether a vote's height is the block's.
            for author in self.support.remove(&(phase, digest)).unwrap_or_default() {
                let vote = self.votes.get(&(phase, author)).and_then(|mine| mine.get(&header.height));
                if vote.is_some_and(|v| v.digest == digest) && header.term == term {
                    gained.extend(self.spread(phase, author, term, digest, tree).into_iter().map(|d| (phase, d)));
                }
            }
        }
        gained
    }

    /// Proof that a block has a quorum of votes in a phase.
    pub fn reached(&self, phase: Phase, digest: &BlockDigest, quorum: &Quorum) -> Option<QuorumReached> {
        self.support.get(&(phase, *digest)).and_then(|voters| quorum.reached(voters))
    }

    /// Puts the certificate of a block together from its supporters' votes, with the headers that link them.
    ///
    /// Votes on different branches above the block cannot be linked by one chain of headers, so the lowest tip is taken
    /// below which a quorum has voted; `None` if there is no such chain.
    pub fn certificate<R: Rules>(
        &self,
        _proof: QuorumReached,
        phase: Phase,
        digest: &BlockDigest,
        tree: &Tree,
        quorum: &Quorum,
    ) -> Option<Certificate> {
        let header = tree.node(digest)?.header();
        let supporters = self.support.get(&(phase, *digest))?;
        // Every supporter's votes for the block or a descendant of the same term, by the height they really have.
        let mut votes: Vec<(Height, &Verified<Vote>)> = Vec::new();
        for author in supporters {
            let mine = self.votes.get(&(phase, *author)).into_iter().flat_map(|mine| mine.range(header.height..));
            votes.extend(mine.map(|(height, vote)| (*height, vote)).filter(|(height, vote)| {
                let named = tree.node(&vote.digest).map(|node| node.header());
                named.is_some_and(|h| names::<R>(h, header.term, *height)) && tree.descends(&vote.digest, digest)
            }));
        }
        votes.sort_by_key(|(height, vote)| (*height, vote.digest));
        let mut tips: Vec<BlockDigest> = votes.iter().map(|(_, vote)| vote.digest).collect();
        tips.dedup();
        for tip in tips {
            let mut chosen: BTreeMap<NodeId, &Verified<Vote>> = BTreeMap::new();
            for (_, vote) in votes.iter().filter(|(_, vote)| tree.descends(&tip, &vote.digest)) {
                chosen.entry(vote.author).or_insert(vote);
            }
            if quorum.reached(&chosen.keys().copied().collect()).is_some() {
                let claim = Claim { term: header.term, height: header.height, digest: *digest };
                let headers = if tip == *digest { vec![] } else { linking_headers(tree, digest, &tip)? };
                let votes = chosen.into_values().map(|vote| vote.signed().clone()).collect();
                return Some(Certificate { phase, claim, headers, votes });
            }
        }
        None
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

/// True if a vote of this term and height can mean this block.
fn names<R: Rules>(header: &BlockHeader, term: Term, height: Height) -> bool {
    header.height == height && header.term == term || !R::holds(Rule::VotesNameTheirBlock)
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

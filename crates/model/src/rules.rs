//! The rules of the protocol, as questions about a state.

use crate::blocks::{BlockId, BlockSet, Tree};
use crate::setting::{Faults, Setting, Weakening};
use crate::state::{Claim, State, Support, Voter};

/// A setting with its blocks.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// What is searched.
    pub setting: Setting,
    /// The blocks.
    pub tree: Tree,
}

impl Protocol {
    /// True if the rule is left out.
    pub fn lacks(&self, weakening: Weakening) -> bool {
        self.setting.lacks(weakening)
    }

    fn crash(&self) -> bool {
        self.setting.faults == Faults::Crash
    }

    /// What a vote of a term for a block counts for.
    pub fn counts_for(&self, id: BlockId) -> BlockSet {
        // The base needs no votes, and no certificate of a later term may name it.
        if self.lacks(Weakening::LinksAcrossTerms) { self.tree.ancestors(id) & !1 } else { self.tree.same_term(id) }
    }

    /// The blocks certified by votes of one term.
    fn certified_by(&self, state: &State, term: u8, votes: impl Fn(&Voter) -> &Support) -> BlockSet {
        let need = self.setting.honest_quorum();
        let sets = state.voters.iter().map(|voter| votes(voter).of(term));
        // Bit by bit addition: `at_least[k]` holds the blocks that more than k voters support.
        let mut at_least = [0; 8];
        for set in sets {
            for k in (1..at_least.len()).rev() {
                at_least[k] |= at_least[k - 1] & set;
            }
            at_least[0] |= set;
        }
        at_least.get(usize::from(need).wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// The blocks that have a replication certificate of a term.
    pub fn replication(&self, state: &State, term: u8) -> BlockSet {
        self.certified_by(state, term, |voter| &voter.replicated)
    }

    /// The blocks that have a commit certificate of a term.
    pub fn commits(&self, state: &State, term: u8) -> BlockSet {
        if self.crash() || self.lacks(Weakening::NoLockPhase) {
            // One round of votes commits, but only a block of the term voted in.
            return self.replication(state, term);
        }
        self.certified_by(state, term, |voter| &voter.certified)
    }

    /// The replication certificates of terms before `term`, the base's among them.
    pub fn certificates(&self, state: &State, term: u8) -> Vec<Claim> {
        let mut claims = vec![Claim::default()];
        for term in 1..term {
            let set = self.replication(state, term);
            claims.extend(members(set).map(|id| Claim::of(&self.tree, term, id)));
        }
        claims
    }

    /// What the elections that could be put together for a term oblige its first block to extend. Empty if there is no
    /// election yet; term 1 needs none and is obliged to extend the base.
    ///
    /// A claim obliges in some election if it can be the highest of a quorum's. A faulty voter can bring any certificate
    /// that exists, so, whoever has it, it is enough that the honest voters of the quorum claim nothing higher.
    pub fn obliged(&self, state: &State, term: u8) -> Vec<Claim> {
        if term == 1 {
            return vec![Claim::default()];
        }
        let asked: Vec<Claim> = state.voters.iter().filter_map(|voter| voter.asked(term)).collect();
        let need = usize::from(self.setting.honest_quorum());
        if asked.len() < need {
            return Vec::new();
        }
        let mut claims = if self.crash() {
            asked.clone()
        } else if self.lacks(Weakening::BareClaims) {
            let older = self.tree.ids().filter(|id| self.tree.block(*id).term < term);
            let bare = older.map(|id| Claim::of(&self.tree, self.tree.block(id).term, id));
            std::iter::once(Claim::default()).chain(bare).collect()
        } else {
            self.certificates(state, term)
        };
        if !self.lacks(Weakening::AnyCertificateObliges) {
            claims.retain(|claim| asked.iter().filter(|other| other.rank() <= claim.rank()).count() >= need);
        }
        claims
    }

    /// True if a voter can be in a term: it is there, or an election certificate brings it there.
    pub fn can_enter(&self, state: &State, voter: &Voter, term: u8) -> bool {
        term == voter.entered || term > voter.entered && !self.obliged(state, term).is_empty()
    }

    /// Rule 2 of the normal case, for `replicated` votes: what a voter may vote for.
    pub fn may_replicate(&self, state: &State, v: usize, id: BlockId) -> bool {
        let voter = &state.voters[v];
        let term = self.tree.block(id).term;
        let after = Weakening::ReplicatedAfterElectionVote;
        let silent = voter.left > term && !self.lacks(after) && !self.lacks(Weakening::CrashVotesAfterElectionVote);
        if silent || !self.can_enter(state, voter, term) || voter.replicated.of(term) >> id & 1 == 1 {
            return false;
        }
        self.named_in_order(state, id) && self.proposed(state, v, id) && self.follows(state, voter, id)
    }

    /// Blocks with the same term and parent differ in name only, so they are named in the order of their first vote.
    fn named_in_order(&self, state: &State, id: BlockId) -> bool {
        let seen = state.voters.iter().fold(0, |seen, voter| seen | voter.replicated.all());
        let path = members(self.tree.same_term(id));
        // A block's elder sibling has the number just below its own.
        path.into_iter().all(|at| self.tree.block(at).tag == 0 || seen >> (at - 1) & 1 == 1)
    }

    /// Under Byzantine faults a leader may propose anything. Under crash faults its own vote comes with its proposal, and
    /// it keeps to the rules.
    fn proposed(&self, state: &State, v: usize, id: BlockId) -> bool {
        let leader = self.leader(self.tree.block(id).term);
        !self.crash() || v == leader || state.voters[leader].replicated.all() >> id & 1 == 1
    }

    /// The leader of a term under crash faults.
    pub fn leader(&self, term: u8) -> usize {
        usize::from(term.saturating_sub(1)) % usize::from(self.setting.honest().max(1))
    }

    fn follows(&self, state: &State, voter: &Voter, id: BlockId) -> bool {
        let term = self.tree.block(id).term;
        match voter.last {
            Some(last) if last.term > term => false,
            Some(last) if last.term == term => {
                let descends = last.id() != id && self.tree.descends(id, last.id());
                let anew = self.lacks(Weakening::CrashLeaderProposesAnew) && voter.restarted;
                descends || (anew || self.lacks(Weakening::VotesUnchained)) && self.obliged_first(state, id)
            }
            _ => self.obliged_first(state, id),
        }
    }

    /// True if a block may be a voter's first of the term: it descends, through blocks of the term, from what an election
    /// obliges. Any election will do, since the voter takes over the one that the first block carries.
    fn obliged_first(&self, state: &State, id: BlockId) -> bool {
        let first = self.tree.first_of_term(id);
        let late = id != first && self.lacks(Weakening::LateFirstUnchecked);
        if late || self.lacks(Weakening::FirstBlockFree) {
            return true;
        }
        let parent = self.tree.block(first).parent;
        self.obliged(state, self.tree.block(id).term).iter().any(|claim| claim.id() == parent)
    }

    /// The certificates that a voter may vote `certified` for now.
    pub fn certifiable(&self, state: &State, voter: &Voter) -> Vec<Claim> {
        if self.crash() || self.lacks(Weakening::NoLockPhase) {
            return Vec::new();
        }
        let terms = voter.entered..=self.setting.terms();
        let silent = |term| voter.left > term && !self.lacks(Weakening::CertifiedAfterElectionVote);
        let open = terms.filter(|term| !silent(*term) && self.can_enter(state, voter, *term));
        let claims = open.flat_map(|term| {
            members(self.replication(state, term)).map(move |id| Claim::of(&self.tree, term, id)).collect::<Vec<_>>()
        });
        claims.filter(|claim| voter.last_certified.is_none_or(|last| last.rank() < claim.rank())).collect()
    }

    /// True if a voter may send an ElectionVote for a term: it has none out for a later one and can be in the term before.
    pub fn may_ask(&self, state: &State, voter: &Voter, term: u8) -> bool {
        term > 1
            && voter.left < term
            && voter.entered < term
            && term <= self.setting.terms()
            && self.can_enter(state, voter, term - 1)
    }

    /// What an ElectionVote reports.
    pub fn election_claim(&self, voter: &Voter) -> Claim {
        if self.crash() && !self.lacks(Weakening::CrashElectionByCertificate) {
            return voter.last.unwrap_or_default();
        }
        // Under crash faults there are no locks: the certificate reported may be the base's.
        voter.lock
    }
}

/// The blocks of a set.
pub fn members(set: BlockSet) -> impl Iterator<Item = BlockId> {
    (0..BlockSet::BITS as BlockId).filter(move |id| set >> id & 1 == 1)
}

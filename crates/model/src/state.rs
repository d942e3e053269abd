//! What a state of the search holds: of every honest voter, its statements and its promises.
//!
//! The statements are also the network. None is ever taken away, and a voter acts on any of them it wants or on none, which
//! covers loss, delay, reordering and duplication.

use crate::blocks::{BlockId, BlockSet, Tree};
use crate::setting::TERMS_MAX;

/// Term, height and block of a certificate or vote, in the order in which elections compare them. The term is that of the
/// votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Claim {
    /// The term voted in; 0 for the base.
    pub term: u8,
    /// The block's height.
    pub height: u8,
    /// The block.
    pub block: u8,
}

impl Claim {
    /// The certificate or vote of a term for a block.
    pub fn of(tree: &Tree, term: u8, id: BlockId) -> Claim {
        Claim { term, height: tree.block(id).height, block: id as u8 }
    }

    /// Term and height, by which elections order claims; which of two equals is taken is up to the adversary.
    pub fn rank(self) -> (u8, u8) {
        (self.term, self.height)
    }

    /// The block.
    pub fn id(self) -> BlockId {
        self.block.into()
    }
}

/// For each term, the blocks that votes of that term count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Support([BlockSet; TERMS_MAX]);

impl Support {
    /// The blocks of a term; none for terms out of range.
    pub fn of(&self, term: u8) -> BlockSet {
        self.0.get(usize::from(term).wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// Adds blocks.
    pub fn add(&mut self, term: u8, blocks: BlockSet) {
        if let Some(set) = self.0.get_mut(usize::from(term).wrapping_sub(1)) {
            *set |= blocks;
        }
    }

    /// The blocks of all terms.
    pub fn all(&self) -> BlockSet {
        self.0.iter().fold(0, |all, set| all | set)
    }
}

/// An honest voter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    /// What its `replicated` votes count for.
    pub replicated: Support,
    /// What its `certified` votes count for.
    pub certified: Support,
    /// The lowest claim it has signed in an ElectionVote for each term.
    pub asked: [Option<Claim>; TERMS_MAX],
    /// The term it has acted in last. A voter enters a term in the step in which it first acts there; having entered
    /// without acting is the same to everyone else.
    pub entered: u8,
    /// The term of its highest ElectionVote that it remembers; no vote in any earlier term.
    pub left: u8,
    /// Its last `replicated` vote that it remembers.
    pub last: Option<Claim>,
    /// Its last `certified` vote.
    pub last_certified: Option<Claim>,
    /// Its lock: as low as what it did and entered allows. A higher lock would only take possibilities from the adversary,
    /// since a claim in an election never does anything but rule out lower certificates.
    pub lock: Claim,
    /// It has restarted while it led the current term.
    pub restarted: bool,
}

impl Voter {
    /// A voter that has promised nothing.
    pub fn fresh() -> Voter {
        Voter {
            replicated: Support::default(),
            certified: Support::default(),
            asked: [None; TERMS_MAX],
            entered: 1,
            left: 0,
            last: None,
            last_certified: None,
            lock: Claim::default(),
            restarted: false,
        }
    }

    /// The claim of its ElectionVote for a term, if it has sent one.
    pub fn asked(&self, term: u8) -> Option<Claim> {
        self.asked.get(usize::from(term).wrapping_sub(1)).copied().flatten()
    }

    /// Takes note of an ElectionVote. Of two for one term the lower claim is the adversary's choice.
    pub fn ask(&mut self, term: u8, claim: Claim) {
        if let Some(asked) = self.asked.get_mut(usize::from(term).wrapping_sub(1)) {
            *asked = Some(asked.map_or(claim, |old| old.min(claim)));
        }
    }
}

/// A state: the honest voters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The honest voters; under Byzantine faults they are interchangeable and kept sorted.
    pub voters: Vec<Voter>,
}

/// A step of one honest voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Voter, block: votes `replicated` in the term of the block, which it enters if need be.
    Replicate(usize, BlockId),
    /// Voter, certificate: raises its lock to a replication certificate and votes `certified`.
    Certify(usize, Claim),
    /// Voter, term: sends an ElectionVote for the term, having entered the term before.
    Ask(usize, u8),
    /// Voter: crashes, forgets what was not durable, and starts again. With all rules in force that is nothing which any
    /// later step depends on, so the step exists only where a rule about durability is left out.
    Restart(usize),
}

impl Action {
    /// Who acts.
    pub fn voter(self) -> usize {
        match self {
            Action::Replicate(v, _) | Action::Certify(v, _) | Action::Ask(v, _) | Action::Restart(v) => v,
        }
    }
}

//! What the adversary has overheard and can use again. Bounded: the oldest is forgotten.

use std::collections::{BTreeMap, VecDeque};

use wire::peer::Standing;
use wire::statement::Claim;
use wire::{
    Block, BlockDigest, Certificate, ElectionCertificate, ElectionVote, Height, NodeId, PeerMessage, Phase, Signed,
    SignedCommand, Term, Vote,
};

use super::forge::{Forge, Tip};
use crate::random::Random;

/// Entries of each kind.
const KEPT: usize = 96;

type Ballot = BTreeMap<NodeId, Signed<Vote>>;
type Askers = BTreeMap<NodeId, (Signed<ElectionVote>, Certificate)>;

/// See the module documentation.
pub(super) struct Knowledge {
    pub term: Term,
    blocks: VecDeque<(BlockDigest, Block)>,
    tips: BTreeMap<BlockDigest, Tip>,
    ballots: BTreeMap<(Phase, Claim), Ballot>,
    askers: BTreeMap<Term, Askers>,
    certificates: BTreeMap<Claim, Certificate>,
    commits: BTreeMap<Claim, Certificate>,
    commands: VecDeque<SignedCommand>,
    tape: VecDeque<PeerMessage>,
    base: BlockDigest,
}

fn bound<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    while map.len() > KEPT {
        map.pop_first();
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    queue.push_back(item);
    if queue.len() > KEPT {
        queue.pop_front();
    }
}

impl Knowledge {
    pub fn new(forge: &Forge) -> Knowledge {
        let tip = forge.base_tip();
        let base = forge.digest(&tip.header);
        Knowledge {
            term: Term(1),
            blocks: VecDeque::new(),
            tips: BTreeMap::from([(base, tip)]),
            ballots: BTreeMap::new(),
            askers: BTreeMap::new(),
            certificates: BTreeMap::new(),
            commits: BTreeMap::new(),
            commands: VecDeque::new(),
            tape: VecDeque::new(),
            base,
        }
    }

    pub fn take(&mut self, forge: &Forge, _from: usize, message: &PeerMessage) {
        push(&mut self.tape, message.clone());
        match message {
            PeerMessage::AppendEntries(append) => {
                self.term = self.term.max(append.proposal.unverified().term);
                self.block(forge, &append.block);
            }
            PeerMessage::Blocks(blocks) => blocks.blocks.iter().for_each(|b| self.block(forge, b)),
            PeerMessage::Vote(vote) => {
                let v = vote.unverified();
                self.ballots.entry((v.phase, v.claim())).or_default().insert(v.author, vote.clone());
                bound(&mut self.ballots);
            }
            PeerMessage::ElectionVote(ask) => {
                self.standing(&ask.standing);
                if let Some(highest) = &ask.highest {
                    self.certificates.insert(highest.claim, highest.clone());
                    let v = ask.vote.unverified();
                    self.askers.entry(v.term).or_default().insert(v.author, (ask.vote.clone(), highest.clone()));
                    bound(&mut self.askers);
                }
            }
            PeerMessage::Heartbeat(m) => {
                self.term = self.term.max(m.heartbeat.unverified().term);
                self.standing(&m.standing);
            }
            PeerMessage::Standing(standing) => self.standing(standing),
            PeerMessage::Forward(commands) => commands.0.iter().for_each(|c| push(&mut self.commands, c.clone())),
            _ => {}
        }
        bound(&mut self.certificates);
        bound(&mut self.commits);
    }

    fn standing(&mut self, standing: &Standing) {
        self.commits.insert(standing.commit.claim, standing.commit.clone());
        if let Some(highest) = standing.election.as_ref().and_then(|e| e.highest.as_ref()) {
            self.certificates.insert(highest.claim, highest.clone());
        }
    }

    pub fn block(&mut self, forge: &Forge, block: &Block) {
        let digest = forge.digest(&block.header);
        if self.tips.contains_key(&digest) {
            return;
        }
        let Some(parent) = self.tips.get(&block.header.parent) else { return };
        let mut frontier = parent.frontier.clone();
        frontier.extend(&block.leaves());
        self.tips.insert(digest, Tip { header: block.header.clone(), frontier });
        push(&mut self.blocks, (digest, block.clone()));
        if self.tips.len() > 4 * KEPT {
            let floor = Height(block.header.height.0.saturating_sub(KEPT as u64));
            self.tips.retain(|_, tip| tip.header.height >= floor);
        }
    }

    /// Turns votes seen, with those of the guilty added, into certificates.
    pub fn assemble(&mut self, forge: &Forge, guilty: &[usize]) {
        let mut made = Vec::new();
        for ((phase, claim), ballot) in self.ballots.iter().rev().take(24) {
            let held = match phase {
                Phase::Replicated => &self.certificates,
                Phase::Certified => &self.commits,
            };
            let mine = guilty.iter().map(|n| NodeId(*n as u16)).filter(|id| !ballot.contains_key(id));
            let weight = forge.weight(ballot.keys().copied().chain(mine));
            if held.contains_key(claim) || weight < forge.quorum() {
                continue;
            }
            let mut ballot = ballot.clone();
            for n in guilty {
                ballot.insert(NodeId(*n as u16), forge.vote(*n, *phase, *claim));
            }
            let votes = ballot.into_values().collect();
            made.push(Certificate { phase: *phase, claim: *claim, headers: vec![], votes });
        }
        for certificate in made {
            match certificate.phase {
                Phase::Replicated => self.certificates.insert(certificate.claim, certificate),
                Phase::Certified => self.commits.insert(certificate.claim, certificate),
            };
        }
    }

    /// A valid election of a term, from a part of the votes seen and the guilty's own with claims of their choice.
    pub fn election(
        &mut self,
        forge: &Forge,
        random: &mut Random,
        guilty: &[usize],
        term: Term,
    ) -> Option<ElectionCertificate> {
        let mut votes = self.askers.get(&term).cloned().unwrap_or_default();
        for n in guilty {
            let certificate = self.certificate(random, term).unwrap_or_else(|| forge.base_certificate());
            votes.insert(NodeId(*n as u16), (forge.election_vote(*n, term, certificate.claim), certificate));
        }
        for id in votes.keys().copied().collect::<Vec<_>>() {
            let without = forge.weight(votes.keys().copied().filter(|other| *other != id));
            if without >= forge.quorum() && random.chance(400) {
                votes.remove(&id);
            }
        }
        if forge.weight(votes.keys().copied()) < forge.quorum() {
            return None;
        }
        let (_, highest) = votes.values().max_by_key(|(vote, _)| vote.unverified().claim)?.clone();
        Some(ElectionCertificate { term, votes: votes.into_values().map(|(v, _)| v).collect(), highest: Some(highest) })
    }

    pub fn certificate(&self, random: &mut Random, below: Term) -> Option<Certificate> {
        let held: Vec<&Certificate> =
            self.certificates.range(..Claim { term: below, ..lowest() }).map(|c| c.1).collect();
        let newest = random.chance(500);
        if newest { held.last().copied().cloned() } else { random.pick(&held).copied().cloned() }
    }

    /// A commit certificate of a later term made to count for this block.
    pub fn stretched_to(&self, forge: &Forge, digest: BlockDigest) -> Option<Certificate> {
        let target = &self.tips.get(&digest)?.header;
        let later = self.commits.values().rev().filter(|c| c.headers.is_empty() && c.claim.term > target.term);
        for certificate in later.take(6) {
            let mut headers = vec![self.tips.get(&certificate.claim.digest)?.header.clone()];
            while headers[0].height > target.height
                && headers.len() < 40
                && let Some(parent) = self.tips.get(&headers[0].parent)
            {
                headers.insert(0, parent.header.clone());
            }
            if forge.digest(&headers[0]) == digest {
                let claim = Claim { term: certificate.claim.term, height: target.height, digest };
                return Some(Certificate { claim, headers, ..certificate.clone() });
            }
        }
        None
    }

    /// A certificate in which the votes of a term are made to count for a block of an earlier one.
    pub fn stretched(&self, forge: &Forge, random: &mut Random, phase: Phase) -> Option<Certificate> {
        let held = match phase {
            Phase::Replicated => &self.certificates,
            Phase::Certified => &self.commits,
        };
        let plain: Vec<&Certificate> = held.values().rev().filter(|c| c.headers.is_empty() && !c.is_base()).collect();
        let certificate = (*random.pick(&plain[..plain.len().min(6)])?).clone();
        let mut headers = vec![self.tips.get(&certificate.claim.digest)?.header.clone()];
        // Down to the first block of an earlier term, and perhaps a little further.
        let mut further = random.below(4);
        loop {
            let header = self.tips.get(&headers[0].parent)?.header.clone();
            let older = header.term < certificate.claim.term;
            headers.insert(0, header);
            if older && further == 0 || headers.len() > 40 {
                break;
            }
            further -= u64::from(older);
        }
        let height = headers[0].height;
        let claim = Claim { term: certificate.claim.term, height, digest: forge.digest(&headers[0]) };
        (height.0 > 0).then_some(Certificate { claim, headers, ..certificate })
    }

    pub fn commit(&self, random: &mut Random, forge: &Forge) -> Certificate {
        let held: Vec<&Certificate> = self.commits.values().collect();
        random.pick(&held).copied().cloned().unwrap_or_else(|| forge.base_commit())
    }

    pub fn recent_block(&self, random: &mut Random) -> Option<Block> {
        let newest = self.blocks.len().min(8);
        let n = self.blocks.len().checked_sub(1 + random.index(newest))?;
        self.blocks.get(n).map(|(_, block)| block.clone())
    }

    /// A block at a height, other than one.
    pub fn block_at(&self, height: Height, other_than: BlockDigest) -> Option<BlockDigest> {
        self.blocks.iter().rev().find(|(d, b)| b.header.height == height && *d != other_than).map(|(d, _)| *d)
    }

    /// The newest tip, or that of a block.
    pub fn tip(&self, digest: Option<BlockDigest>) -> Option<(BlockDigest, Tip)> {
        let digest = digest.unwrap_or(self.base);
        self.tips.get(&digest).map(|tip| (digest, tip.clone()))
    }

    pub fn some_commands(&self, random: &mut Random) -> Vec<SignedCommand> {
        let commands: Vec<&SignedCommand> = self.commands.iter().collect();
        (0..random.below(3)).filter_map(|_| random.pick(&commands).map(|c| (*c).clone())).collect()
    }

    pub fn some_message(&self, random: &mut Random) -> Option<PeerMessage> {
        self.tape.get(random.index(self.tape.len())).cloned()
    }

    pub fn two_votes(&self, random: &mut Random) -> Option<(Signed<Vote>, Signed<Vote>)> {
        let votes: Vec<&Signed<Vote>> = self.ballots.values().flat_map(BTreeMap::values).collect();
        Some(((*random.pick(&votes)?).clone(), (*random.pick(&votes)?).clone()))
    }
}

fn lowest() -> Claim {
    Claim { term: Term::ZERO, height: Height::ZERO, digest: BlockDigest(wire::Hash([0; 32])) }
}

//! Deeds that each aim at one rule.

use wire::peer::Standing;
use wire::statement::Claim;
use wire::{Certificate, Height, PeerMessage, Phase, Term};

use super::forge::Forge;
use super::{Adversary, Strategy, Utterance, Whisper};

/// Statements at far heights that one deed sends, if the adversary is relentless, and else.
const BURSTS: (u64, u64) = (500, 20);

impl Adversary {
    /// Carries out a deed of this file; nothing for the other strategies.
    pub(super) fn craft(&mut self, from: usize, strategy: Strategy) -> Vec<Whisper> {
        match strategy {
            Strategy::ForgeVotes => self.forge_votes(from, None),
            Strategy::Foreign => {
                let foreign = self.foreign.clone();
                self.forge_votes(from, Some(foreign))
            }
            Strategy::Misplaced => self.misplaced(from),
            Strategy::Padded => self.padded(from),
            Strategy::Stretch => self.stretch(from),
            Strategy::InfiniteLog => self.infinite_log(from),
            Strategy::FarProposals => self.far_proposals(from),
            Strategy::FarVotes => self.far_votes(from),
            _ => vec![],
        }
    }

    fn burst(&self) -> u64 {
        if self.relentless { BURSTS.0 } else { BURSTS.1 }
    }

    fn all_others(&self, from: usize, message: &PeerMessage) -> Vec<Whisper> {
        let whisper = |to| Whisper { from, to, utterance: Utterance::Message(message.clone()) };
        (0..self.voters).filter(|to| *to != from).map(whisper).collect()
    }

    /// Votes in the names of others, signed with its own key, or by everyone's keys but for another cluster.
    fn forge_votes(&mut self, from: usize, foreign: Option<Forge>) -> Vec<Whisper> {
        let Some(block) = self.known.recent_block(&mut self.random) else { return vec![] };
        let digest = self.forge.digest(&block.header);
        let claim = Claim { term: block.header.term, height: block.header.height, digest };
        let mut said = Vec::new();
        for phase in [Phase::Replicated, Phase::Certified] {
            for other in 0..self.voters {
                let vote = match &foreign {
                    Some(forge) => forge.vote(other, phase, claim),
                    None => self.forge.vote_in_name_of(from, other, phase, claim),
                };
                said.extend(self.all_others(from, &PeerMessage::Vote(vote)));
            }
        }
        self.did(if foreign.is_some() { "votes of another cluster" } else { "votes in others' names" });
        said
    }

    /// Votes for a real block at a height that is not its own.
    fn misplaced(&mut self, from: usize) -> Vec<Whisper> {
        let mut said = Vec::new();
        for _ in 0..4 {
            let Some(block) = self.known.recent_block(&mut self.random) else { break };
            let digest = self.forge.digest(&block.header);
            let height = block.header.height.plus(1 + self.random.below(3));
            let phase = if self.chance(500) { Phase::Replicated } else { Phase::Certified };
            let vote = self.forge.vote(from, phase, Claim { term: block.header.term, height, digest });
            said.extend(self.all_others(from, &PeerMessage::Vote(vote)));
        }
        self.did("misplaced votes");
        said
    }

    /// A commit certificate that holds its own vote again and again.
    fn padded(&mut self, from: usize) -> Vec<Whisper> {
        let Some((parent, tip)) = self.known.tip(None).filter(|_| self.random.chance(100)).or_else(|| {
            let block = self.known.recent_block(&mut self.random)?;
            self.known.tip(Some(self.forge.digest(&block.header)))
        }) else {
            return vec![];
        };
        let block = tip.extend(parent, self.known.term, vec![], 1);
        let claim =
            Claim { term: block.header.term, height: block.header.height, digest: self.forge.digest(&block.header) };
        let vote = self.forge.vote(from, Phase::Certified, claim);
        let votes = vec![vote; self.voters];
        let commit = Certificate { phase: Phase::Certified, claim, headers: vec![], votes };
        let standing = Standing { election: None, commit: commit.clone() };
        let blocks = wire::peer::Blocks { blocks: vec![block], commit: Some(commit) };
        self.did("padded certificate");
        let mut said = self.all_others(from, &PeerMessage::Standing(Box::new(standing)));
        said.extend(self.all_others(from, &PeerMessage::Blocks(Box::new(blocks))));
        said
    }

    /// A certificate of a late term for a block of an earlier one, linked through headers of both, as a claim to the next
    /// term and as a commit.
    fn stretch(&mut self, from: usize) -> Vec<Whisper> {
        let mut said = Vec::new();
        let term = self.known.term;
        if let Some(stretched) = self.known.stretched(&self.forge, &mut self.random, Phase::Replicated) {
            let standing = self.forge.base_standing();
            let asked = if stretched.claim.term < term { term } else { Term(term.0 + 1) };
            let ask = self.forge.ask(from, asked, stretched, standing);
            said.extend(self.all_others(from, &PeerMessage::ElectionVote(Box::new(ask))));
        }
        if let Some(commit) = self.known.stretched(&self.forge, &mut self.random, Phase::Certified) {
            let standing = Standing { election: None, commit };
            said.extend(self.all_others(from, &PeerMessage::Standing(Box::new(standing))));
        }
        if !said.is_empty() {
            self.did("stretched certificate");
        }
        said
    }

    /// Puts a stretched commit certificate into what its replica sends.
    pub(super) fn stretch_own(&mut self, message: &mut PeerMessage) {
        if let PeerMessage::Blocks(blocks) = message
            && blocks.commit.is_some()
        {
            let found = blocks.blocks.iter().enumerate().rev().find_map(|(n, block)| {
                let digest = self.forge.digest(&block.header);
                self.known.stretched_to(&self.forge, digest).map(|commit| (n, commit))
            });
            if let Some((n, commit)) = found {
                blocks.blocks.truncate(n + 1);
                blocks.commit = Some(commit);
                self.did("stretched certificate");
            }
            return;
        }
        let standing = match message {
            PeerMessage::Heartbeat(m) => &mut m.standing,
            PeerMessage::ElectionVote(m) => &mut m.standing,
            PeerMessage::Standing(standing) => standing,
            PeerMessage::Recall(m) => &mut m.standing,
            _ => return,
        };
        if let Some(commit) = self.known.stretched(&self.forge, &mut self.random, Phase::Certified) {
            standing.commit = commit;
        }
    }

    /// A claim to a log without end, with the base as its proof.
    fn infinite_log(&mut self, from: usize) -> Vec<Whisper> {
        let Some(block) = self.known.recent_block(&mut self.random) else { return vec![] };
        let term = Term(self.known.term.0 + 1);
        let digest = self.forge.digest(&block.header);
        let claim = Claim { term: self.known.term, height: Height(u64::MAX / 2), digest };
        let vote = self.forge.election_vote(from, term, claim);
        let highest = Some(self.forge.base_certificate());
        let standing = self.forge.base_standing();
        let ask = wire::peer::ElectionVoteMessage { vote, highest, standing };
        self.did("infinite log");
        self.all_others(from, &PeerMessage::ElectionVote(Box::new(ask)))
    }

    /// Proposals far above anything, as the leader of the term.
    fn far_proposals(&mut self, from: usize) -> Vec<Whisper> {
        let term = self.known.term;
        if !self.leads(from, term) {
            return vec![];
        }
        let Some((parent, tip)) = self.known.tip(None) else { return vec![] };
        let start = 1000 + self.random.below(1_000_000);
        let mut said = Vec::new();
        for n in 0..self.burst() {
            let mut block = tip.extend(parent, term, vec![], 1);
            block.header.height = Height(start + n);
            block.header.parent.0.0[0] ^= 1;
            let append = self.forge.append(from, term, block, None, None);
            said.extend(self.all_others(from, &PeerMessage::AppendEntries(Box::new(append))));
        }
        self.did("far proposals");
        said
    }

    /// Votes far above anything.
    fn far_votes(&mut self, from: usize) -> Vec<Whisper> {
        let Some(block) = self.known.recent_block(&mut self.random) else { return vec![] };
        let digest = self.forge.digest(&block.header);
        let start = 1000 + self.random.below(1_000_000);
        let mut said = Vec::new();
        for n in 0..self.burst() {
            let claim = Claim { term: self.known.term, height: Height(start + n), digest };
            let vote = self.forge.vote(from, Phase::Replicated, claim);
            said.extend(self.all_others(from, &PeerMessage::Vote(vote)));
        }
        self.did("far votes");
        said
    }
}

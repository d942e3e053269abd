//! What the adversary says on its own, by strategy.

use wire::peer::{Blocks, Fetch, FetchBlock, Standing};
use wire::statement::Claim;
use wire::{Height, PeerMessage, Phase, Term};

use super::{Adversary, Strategy, Utterance, Whisper};

impl Adversary {
    pub(super) fn deed(&mut self, from: usize, strategy: Strategy) -> Vec<Whisper> {
        let term = self.known.term;
        let what = match strategy {
            Strategy::Propose | Strategy::Equivocate => return self.propose(from),
            Strategy::VoteAnything => return self.vote_anything(from),
            Strategy::Replay => return self.replay(from),
            Strategy::Elections => self.ask(from, term),
            Strategy::HeartbeatsOnly => self.heartbeat(from, term),
            Strategy::Stale => self.publish(term),
            Strategy::Absurd => self.absurd(from, term),
            Strategy::Accuse => self.accusation().map(PeerMessage::Evidence),
            Strategy::FalseBlocks => self.push_blocks(),
            Strategy::Garbage => {
                self.did("garbage");
                let bytes = (0..self.random.below(300)).map(|_| self.random.draw() as u8).collect::<Vec<u8>>();
                let audience = self.audience(from);
                let whisper = |to| Whisper { from, to, utterance: Utterance::Bytes(bytes.clone()) };
                return audience.into_iter().map(whisper).collect();
            }
            _ => return self.craft(from, strategy),
        };
        let Some(message) = what else { return vec![] };
        self.did(match strategy {
            Strategy::Elections => "ask for a term",
            Strategy::HeartbeatsOnly => "a heartbeat",
            Strategy::Stale => "publish a certificate",
            Strategy::Absurd => "absurd numbers",
            Strategy::Accuse => "useless evidence",
            _ => "unasked blocks",
        });
        self.tell(from, message)
    }

    /// A sign of life, as the leader of this term.
    fn heartbeat(&mut self, from: usize, term: Term) -> Option<PeerMessage> {
        if !self.leads(from, term) {
            return None;
        }
        let standing = self.forge.base_standing();
        Some(PeerMessage::Heartbeat(Box::new(self.forge.heartbeat(from, term, wire::Height::ZERO, standing))))
    }

    /// Proposes as the leader of this term or the next: different blocks to different nodes.
    fn propose(&mut self, from: usize) -> Vec<Whisper> {
        let now = self.known.term;
        let Some(term) = [now, Term(now.0 + 1)].into_iter().find(|t| self.leads(from, *t)) else { return vec![] };
        let mut said = Vec::new();
        for _ in 0..=self.random.below(2) {
            let guilty = self.guilty.clone();
            let election =
                if term.0 > 1 { self.known.election(&self.forge, &mut self.random, &guilty, term) } else { None };
            let obliged = election.as_ref().and_then(|e| e.highest.as_ref()).map(|c| c.claim.digest);
            let recent = self.known.recent_block(&mut self.random).map(|b| self.forge.digest(&b.header));
            let parent = if self.chance(500) { obliged.or(recent) } else { recent.or(obliged) };
            let Some((parent, tip)) = self.known.tip(parent) else { continue };
            let first = tip.header.term != term;
            let entries = self.known.some_commands(&mut self.random);
            let ms = 1 + self.random.below(50);
            let block = tip.extend(parent, term, entries, ms);
            self.known.block(&self.forge, &block);
            let append = self.forge.append(from, term, block, election.filter(|_| first), None);
            self.did("propose");
            said.extend(self.tell(from, PeerMessage::AppendEntries(Box::new(append))));
        }
        said
    }

    /// Votes for anything recent, in either phase.
    fn vote_anything(&mut self, from: usize) -> Vec<Whisper> {
        let mut said = Vec::new();
        for _ in 0..=self.random.below(3) {
            let Some(block) = self.known.recent_block(&mut self.random) else { break };
            let term = if self.chance(900) { block.header.term } else { self.known.term };
            let claim = Claim { term, height: block.header.height, digest: self.forge.digest(&block.header) };
            let phase = if self.chance(500) { Phase::Replicated } else { Phase::Certified };
            let vote = self.forge.vote(from, phase, claim);
            self.did("vote for anything");
            said.extend(self.tell(from, PeerMessage::Vote(vote)));
        }
        said
    }

    fn replay(&mut self, from: usize) -> Vec<Whisper> {
        let mut said = Vec::new();
        for _ in 0..self.random.below(8) {
            let Some(message) = self.known.some_message(&mut self.random) else { break };
            let to = self.random.index(self.voters);
            if to != from {
                self.did("replay");
                said.push(Whisper { from, to, utterance: Utterance::Message(message) });
            }
        }
        said
    }

    /// Asks for the next term, now and then far ahead.
    fn ask(&mut self, from: usize, term: Term) -> Option<PeerMessage> {
        let ahead = if self.chance(100) { self.random.below(1000) } else { 0 };
        let term = Term(term.0 + 1 + ahead);
        let certificate = self.some_certificate(term);
        let standing = self.forge.base_standing();
        Some(PeerMessage::ElectionVote(Box::new(self.forge.ask(from, term, certificate, standing))))
    }

    /// A commit certificate, an old one as often as not, with an election of its own making.
    fn publish(&mut self, term: Term) -> Option<PeerMessage> {
        let commit = self.known.commit(&mut self.random, &self.forge);
        let term = Term(term.0 + self.random.below(2));
        let guilty = self.guilty.clone();
        let election = if term.0 > 1 && self.chance(600) {
            self.known.election(&self.forge, &mut self.random, &guilty, term)
        } else {
            None
        };
        Some(PeerMessage::Standing(Box::new(Standing { election, commit })))
    }

    fn absurd(&mut self, from: usize, term: Term) -> Option<PeerMessage> {
        let digest = self.forge.digest(&self.known.recent_block(&mut self.random)?.header);
        let far = |random: &mut crate::random::Random| match random.below(3) {
            0 => u64::MAX - random.below(2),
            1 => random.draw(),
            _ => random.below(500),
        };
        let height = Height(far(&mut self.random));
        let other = if self.chance(500) { term } else { Term(far(&mut self.random).max(1)) };
        Some(match self.random.below(4) {
            0 | 1 => {
                let phase = if self.chance(500) { Phase::Replicated } else { Phase::Certified };
                PeerMessage::Vote(self.forge.vote(from, phase, Claim { term: other, height, digest }))
            }
            2 => {
                let standing = self.forge.base_standing();
                PeerMessage::Heartbeat(Box::new(self.forge.heartbeat(from, other, height, standing)))
            }
            _ => PeerMessage::Fetch(match self.random.below(2) {
                0 => Fetch::Committed(height),
                _ => Fetch::Block(FetchBlock { digest, above: height }),
            }),
        })
    }

    fn push_blocks(&mut self) -> Option<PeerMessage> {
        let block = self.known.recent_block(&mut self.random)?;
        Some(PeerMessage::Blocks(Box::new(Blocks { blocks: vec![block], commit: None })))
    }
}

//! A Byzantine voter, or several of one mind, driven by a seed: sees all that is said, holds its own keys and no others,
//! and does at random what has broken protocols before.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use store::SplitMix;
use wire::peer::{AppendEntries, Blocks, Fetch, Standing};
use wire::statement::Claim;
use wire::{
    Block, BlockDigest, Certificate, ElectionCertificate, ElectionVote, NodeId, PeerMessage, Phase, Signed,
    SignedCommand, Term, Vote,
};

use crate::evil::{Forge, Tape, Tip};
use crate::support::{Cluster, Letter};

/// The votes seen for one block in one phase and term.
type Ballot = BTreeMap<NodeId, Signed<Vote>>;

pub struct Adversary {
    pub guilty: Vec<u16>,
    forge: Forge,
    pub random: SplitMix,
    tape: Tape,
    read: usize,
    tips: BTreeMap<BlockDigest, Tip>,
    blocks: Vec<Block>,
    by_digest: BTreeMap<BlockDigest, usize>,
    ballots: BTreeMap<(Phase, Claim), Ballot>,
    election_votes: BTreeMap<Term, BTreeMap<NodeId, (Signed<ElectionVote>, Certificate)>>,
    certificates: BTreeMap<Claim, Certificate>,
    commits: BTreeMap<Claim, Certificate>,
    commands: Vec<SignedCommand>,
    fetches: Vec<Letter>,
    /// What was done, by name.
    pub deeds: BTreeMap<&'static str, usize>,
}

impl Adversary {
    pub fn new(c: &Cluster, guilty: &[u16], seed: u64, tape: Tape) -> Adversary {
        let forge = Forge::of(c);
        let base = forge.base_tip();
        let base_certificate = forge.base(Phase::Replicated);
        Adversary {
            guilty: guilty.to_vec(),
            random: SplitMix::new(seed),
            tape,
            read: 0,
            tips: BTreeMap::from([(base.digest(c), base)]),
            blocks: Vec::new(),
            by_digest: BTreeMap::new(),
            ballots: BTreeMap::new(),
            election_votes: BTreeMap::new(),
            certificates: BTreeMap::from([(base_certificate.claim, base_certificate)]),
            commits: BTreeMap::from([(forge.base(Phase::Certified).claim, forge.base(Phase::Certified))]),
            commands: Vec::new(),
            fetches: Vec::new(),
            deeds: BTreeMap::new(),
            forge,
        }
    }

    // ---- seeing

    fn observe(&mut self, c: &Cluster) {
        let letters: Vec<Letter> = self.tape.borrow()[self.read..].to_vec();
        self.read += letters.len();
        for letter in letters {
            match letter.message.clone() {
                PeerMessage::AppendEntries(append) => self.know_block(c, append.block),
                PeerMessage::Blocks(blocks) => blocks.blocks.into_iter().for_each(|b| self.know_block(c, b)),
                PeerMessage::Vote(vote) => self.know_vote(vote),
                PeerMessage::ElectionVote(message) => {
                    self.know_standing(message.standing);
                    if let Some(highest) = message.highest {
                        self.certificates.insert(highest.claim, highest.clone());
                        let v = message.vote.unverified();
                        let votes = self.election_votes.entry(v.term).or_default();
                        votes.insert(v.author, (message.vote.clone(), highest));
                    }
                }
                PeerMessage::Heartbeat(message) => self.know_standing(message.standing),
                PeerMessage::Standing(standing) => self.know_standing(*standing),
                PeerMessage::Forward(commands) => self.commands.extend(commands.0),
                PeerMessage::Fetch(_) if self.guilty.contains(&letter.to.0) => self.fetches.push(letter),
                _ => {}
            }
        }
    }

    fn know_standing(&mut self, standing: Standing) {
        self.commits.insert(standing.commit.claim, standing.commit);
        if let Some(highest) = standing.election.and_then(|e| e.highest) {
            self.certificates.insert(highest.claim, highest);
        }
    }

    fn know_vote(&mut self, vote: Signed<Vote>) {
        let v = vote.unverified();
        self.ballots.entry((v.phase, v.claim())).or_default().insert(v.author, vote);
    }

    fn know_block(&mut self, c: &Cluster, block: Block) {
        let digest = block.header.digest(&c.genesis.cluster_id());
        if self.by_digest.contains_key(&digest) {
            return;
        }
        if let Some(parent) = self.tips.get(&block.header.parent) {
            let mut frontier = parent.frontier.clone();
            frontier.extend(&block.leaves());
            self.tips.insert(digest, Tip { header: block.header.clone(), frontier });
        }
        self.by_digest.insert(digest, self.blocks.len());
        self.blocks.push(block);
    }

    // ---- choosing

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn me(&mut self) -> u16 {
        let n = self.below(self.guilty.len());
        self.guilty[n]
    }

    fn someone(&mut self, c: &Cluster) -> NodeId {
        let ids = c.ids();
        ids[self.below(ids.len())]
    }

    /// A random part of the honest nodes, often all.
    fn audience(&mut self, c: &Cluster) -> Vec<NodeId> {
        let all = self.chance(40);
        let honest: Vec<NodeId> = c.ids().into_iter().filter(|id| !self.guilty.contains(&id.0)).collect();
        honest.into_iter().filter(|_| all || self.chance(50)).collect()
    }

    fn send(&mut self, c: &mut Cluster, from: u16, to: Vec<NodeId>, message: &PeerMessage) {
        for to in to {
            c.post(NodeId(from), to, message.clone());
        }
    }

    fn weight(c: &Cluster, nodes: &BTreeSet<NodeId>) -> u64 {
        c.genesis.voters.iter().filter(|v| nodes.contains(&v.id)).map(|v| v.weight).sum()
    }

    fn quorum(c: &Cluster) -> u64 {
        (c.genesis.membership().total_weight() + c.genesis.faulty_weight) / 2 + 1
    }

    /// The term most honest nodes are in, about.
    fn term(&mut self, c: &Cluster) -> u64 {
        let terms: Vec<u64> = c.nodes.values().map(|n| n.status().term.0).collect();
        terms[self.below(terms.len())]
    }

    fn recent_block(&mut self) -> Option<Block> {
        let newest = self.blocks.len().min(8);
        let n = self.blocks.len().checked_sub(1 + self.below(newest))?;
        self.blocks.get(n).cloned()
    }

    fn any_certificate(&mut self, below: u64) -> Certificate {
        let held: Vec<Claim> = self.certificates.keys().filter(|claim| claim.term.0 < below).copied().collect();
        // The stale ones as often as the newest.
        let n = if self.chance(50) { held.len() - 1 } else { self.below(held.len()) };
        self.certificates[&held[n]].clone()
    }

    // ---- doing

    pub fn act(&mut self, c: &mut Cluster) {
        self.observe(c);
        self.assemble(c);
        type Deed = fn(&mut Adversary, &mut Cluster);
        let deeds: [(&'static str, u64, Deed); 8] = [
            ("propose", 25, Adversary::propose),
            ("vote", 30, Adversary::vote),
            ("ask", 8, Adversary::ask),
            ("publish", 8, Adversary::publish),
            ("replay", 8, Adversary::replay),
            ("answer", 10, Adversary::answer),
            ("heartbeat", 8, Adversary::heartbeat),
            ("accuse", 3, Adversary::accuse),
        ];
        let mut pick = self.random.below(100);
        for (name, share, deed) in deeds {
            if pick < share {
                *self.deeds.entry(name).or_default() += 1;
                return deed(self, c);
            }
            pick -= share;
        }
    }

    /// Turns all votes seen, and its own, into certificates; keeps them to itself.
    fn assemble(&mut self, c: &Cluster) {
        let quorum = Self::quorum(c);
        let mut made = Vec::new();
        for ((phase, claim), ballot) in &self.ballots {
            let known = match phase {
                Phase::Replicated => self.certificates.contains_key(claim),
                Phase::Certified => self.commits.contains_key(claim),
            };
            if known {
                continue;
            }
            let mut ballot = ballot.clone();
            for n in &self.guilty {
                ballot.insert(NodeId(*n), self.forge.vote(*n, *phase, *claim));
            }
            if Self::weight(c, &ballot.keys().copied().collect()) >= quorum {
                let votes = ballot.into_values().collect();
                made.push(Certificate { phase: *phase, claim: *claim, headers: vec![], votes });
            }
        }
        for certificate in made {
            match certificate.phase {
                Phase::Replicated => self.certificates.insert(certificate.claim, certificate),
                Phase::Certified => self.commits.insert(certificate.claim, certificate),
            };
        }
    }

    /// A valid election of a term from a random quorum of what it saw, with its own votes claiming what it likes.
    fn election(&mut self, c: &Cluster, term: u64) -> Option<ElectionCertificate> {
        let mut votes = self.election_votes.get(&Term(term)).cloned().unwrap_or_default();
        for n in self.guilty.clone() {
            let certificate = self.any_certificate(term);
            votes.insert(NodeId(n), (self.forge.election_vote(n, term, certificate.claim), certificate));
        }
        // Leave out whom it may: the rest still has to be a quorum.
        for id in c.ids() {
            let mut without: BTreeSet<NodeId> = votes.keys().copied().collect();
            without.remove(&id);
            if self.chance(40) && Self::weight(c, &without) >= Self::quorum(c) {
                votes.remove(&id);
            }
        }
        if Self::weight(c, &votes.keys().copied().collect()) < Self::quorum(c) {
            return None;
        }
        let (_, highest) = votes.values().max_by_key(|(vote, _)| vote.unverified().claim)?.clone();
        let votes = votes.into_values().map(|(vote, _)| vote).collect();
        Some(ElectionCertificate { term: Term(term), votes, highest: Some(highest) })
    }

    /// Proposes as the leader of a term of its own: different blocks to different nodes.
    fn propose(&mut self, c: &mut Cluster) {
        let now = self.term(c);
        let voters = c.genesis.voters.clone();
        let leader = |term: u64| voters[((term - 1) % voters.len() as u64) as usize].id.0;
        let Some(term) = [now, now + 1].into_iter().find(|t| self.guilty.contains(&leader(*t))) else { return };
        for _ in 0..=self.below(2) {
            let election = if term > 1 { self.election(c, term) } else { None };
            // On the block the election obliges, or on any recent one.
            let obliged =
                election.as_ref().and_then(|e| e.votes.iter().map(|v| v.unverified().claim).max()).map(|c| c.digest);
            let recent = self.recent_block().map(|b| b.header.digest(&c.genesis.cluster_id()));
            let parent = if self.chance(50) { obliged.or(recent) } else { recent.or(obliged) };
            let parent = parent.unwrap_or_else(|| self.forge.base_tip().digest(c));
            let Some(tip) = self.tips.get(&parent).cloned() else { continue };
            let first = tip.header.term.0 != term;
            let mut entries = Vec::new();
            for _ in 0..self.below(3) {
                if !self.commands.is_empty() {
                    let n = self.below(self.commands.len());
                    entries.push(self.commands[n].clone());
                }
            }
            let ms = 1 + self.random.below(50);
            let (block, _) = tip.extend(term, entries, parent, ms);
            self.know_block(c, block.clone());
            let message = self.forge.append(leader(term), term, block, election.filter(|_| first));
            let audience = self.audience(c);
            self.send(c, leader(term), audience, &message);
        }
    }

    /// Votes for anything, in either phase, to some.
    fn vote(&mut self, c: &mut Cluster) {
        for _ in 0..=self.below(3) {
            let Some(block) = self.recent_block() else { return };
            let term = if self.chance(90) { block.header.term } else { Term(self.term(c)) };
            let digest = block.header.digest(&c.genesis.cluster_id());
            let claim = Claim { term, height: block.header.height, digest };
            let phase = if self.chance(50) { Phase::Replicated } else { Phase::Certified };
            let me = self.me();
            let vote = self.forge.vote(me, phase, claim);
            let audience = self.audience(c);
            self.send(c, me, audience, &PeerMessage::Vote(vote));
        }
    }

    /// Asks for a next term, now and then with two different claims, or far ahead.
    fn ask(&mut self, c: &mut Cluster) {
        let term = self.term(c) + 1 + if self.chance(10) { self.random.below(1000) } else { 0 };
        let me = self.me();
        let certificate = self.any_certificate(term);
        let message = self.forge.election_vote_message(me, term, certificate, self.forge.base_standing());
        let audience = self.audience(c);
        self.send(c, me, audience, &message);
    }

    /// Publishes a certificate it holds, an old one as often as not, or an election of its own making.
    fn publish(&mut self, c: &mut Cluster) {
        let held: Vec<Claim> = self.commits.keys().copied().collect();
        let n = if self.chance(50) { held.len() - 1 } else { self.below(held.len()) };
        let commit = self.commits[&held[n]].clone();
        let term = self.term(c) + u64::from(self.chance(50));
        let election = if term > 1 && self.chance(60) { self.election(c, term) } else { None };
        let message = PeerMessage::Standing(Box::new(Standing { election, commit }));
        let (me, audience) = (self.me(), self.audience(c));
        self.send(c, me, audience, &message);
    }

    /// Sends old messages of anybody again, over its own link, to anybody.
    fn replay(&mut self, c: &mut Cluster) {
        for _ in 0..self.below(12) {
            let length = self.tape.borrow().len();
            let n = self.below(length);
            let message = self.tape.borrow()[n].message.clone();
            let (from, to) = (NodeId(self.me()), self.someone(c));
            if !self.guilty.contains(&to.0) {
                c.letters.push_back(Letter { from, to, message });
            }
        }
    }

    /// Answers requests for blocks, with what was asked for or with something else.
    fn answer(&mut self, c: &mut Cluster) {
        for letter in std::mem::take(&mut self.fetches) {
            let PeerMessage::Fetch(Fetch::Block(wanted)) = letter.message else { continue };
            let asked = self.by_digest.get(&wanted.digest).map(|n| self.blocks[*n].clone());
            let block = if self.chance(80) { asked } else { self.recent_block() };
            if let Some(block) = block {
                let message = PeerMessage::Blocks(Box::new(Blocks { blocks: vec![block], commit: None }));
                c.post(letter.to, letter.from, message);
            }
        }
    }

    fn heartbeat(&mut self, c: &mut Cluster) {
        let (me, term) = (self.me(), self.term(c));
        let message = self.forge.heartbeat(me, term, self.random.below(1000), self.forge.base_standing());
        let audience = self.audience(c);
        self.send(c, me, audience, &message);
    }

    /// Evidence against honest nodes, made of their real statements: it must prove nothing.
    fn accuse(&mut self, c: &mut Cluster) {
        let votes: Vec<Signed<Vote>> = self.ballots.values().flat_map(|b| b.values().cloned()).collect();
        let (a, b) = (self.below(votes.len()), self.below(votes.len()));
        let (Some(a), Some(b)) = (votes.get(a), votes.get(b)) else { return };
        let message = PeerMessage::Evidence(wire::Evidence::Votes(Box::new((a.clone(), b.clone()))));
        let (me, audience) = (self.me(), self.audience(c));
        self.send(c, me, audience, &message);
    }

    /// A proposal of a block, by whoever leads its term, as it stands.
    pub fn append_of(&self, author: u16, block: &Block) -> AppendEntries {
        match self.forge.append(author, block.header.term.0, block.clone(), None) {
            PeerMessage::AppendEntries(append) => *append,
            _ => unreachable!("a proposal was asked for"),
        }
    }
}

//! The adversary: one mind that holds the keys of the guilty, sees every message, and speaks the real wire.
//!
//! It acts in two ways. Each guilty voter runs a real replica, and what that replica sends is bent for each recipient
//! ([`Adversary::bend`]): so the lies are told by a node that is otherwise in step. And now and then it speaks on its
//! own ([`Adversary::act`]) with what it has overheard: blocks, votes, certificates, commands.
//!
//! A run has a set of [`Strategy`]s. Of these each guilty voter follows some at a time, and changes its mind every few
//! seconds, so that clusters also make progress between attacks and attacks meet states that only progress leads to.
//! Knowledge is bounded: the adversary remembers what is recent.

mod craft;
mod deeds;
mod forge;
mod knowledge;

use std::collections::{BTreeMap, BTreeSet};

use wire::peer::Recall;
use wire::statement::Claim;
use wire::{Certificate, Evidence, Genesis, Outcome, OutcomeCode, PeerMessage, Receipt, SignedCommand, Term};

use crate::random::Random;
use forge::Forge;
use knowledge::Knowledge;

/// What the guilty may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Different blocks, votes and election votes to different nodes.
    Equivocate,
    /// Nothing to some nodes.
    Withhold,
    /// Messages to some nodes late.
    Delay,
    /// Old messages of anybody again.
    Replay,
    /// Certificates and elections that are old, or put together from what suits.
    Stale,
    /// Receipts that never were.
    LieToClients,
    /// One client's commands are never seen.
    Censor,
    /// A leader that says nothing at all.
    Mute,
    /// A leader that sends heartbeats and no blocks.
    HeartbeatsOnly,
    /// A leader whose blocks come just before the timeout.
    SlowLeader,
    /// Heights and terms near their maximum, wrong heights with right digests.
    Absurd,
    /// Evidence that proves nothing.
    Accuse,
    /// Blocks on any parent, as the leader of a term.
    Propose,
    /// Votes for anything.
    VoteAnything,
    /// Election votes with claims that suit.
    Elections,
    /// Wrong answers to requests for blocks.
    FalseBlocks,
    /// Nothing recalled to nodes that restart.
    Forget,
    /// Bytes that are no message, or one cut off.
    Garbage,
    /// Votes in the names of others.
    ForgeVotes,
    /// Votes that all voters signed, for another cluster.
    Foreign,
    /// Votes for a real block at another height.
    Misplaced,
    /// Certificates that count one author many times.
    Padded,
    /// Certificates of a late term for blocks of an earlier one.
    Stretch,
    /// Election votes that claim a height without proof.
    InfiniteLog,
    /// Many proposals above the window.
    FarProposals,
    /// Many votes above the window.
    FarVotes,
}

impl Strategy {
    /// All of them.
    pub const ALL: &[Strategy] = &[
        Strategy::Equivocate,
        Strategy::Withhold,
        Strategy::Delay,
        Strategy::Replay,
        Strategy::Stale,
        Strategy::LieToClients,
        Strategy::Censor,
        Strategy::Mute,
        Strategy::HeartbeatsOnly,
        Strategy::SlowLeader,
        Strategy::Absurd,
        Strategy::Accuse,
        Strategy::Propose,
        Strategy::VoteAnything,
        Strategy::Elections,
        Strategy::FalseBlocks,
        Strategy::Forget,
        Strategy::Garbage,
        Strategy::ForgeVotes,
        Strategy::Foreign,
        Strategy::Misplaced,
        Strategy::Padded,
        Strategy::Stretch,
        Strategy::InfiniteLog,
        Strategy::FarProposals,
        Strategy::FarVotes,
    ];
}

/// What leaves a guilty voter: a message, or bytes.
#[derive(Debug, Clone)]
pub enum Utterance {
    /// A message of the real wire.
    Message(PeerMessage),
    /// The content of a frame, whatever it is.
    Bytes(Vec<u8>),
}

/// Something the adversary says on its own.
#[derive(Debug, Clone)]
pub struct Whisper {
    /// The guilty voter whose link it uses.
    pub from: usize,
    /// To whom.
    pub to: usize,
    /// What.
    pub utterance: Utterance,
}

/// What one guilty voter is up to.
#[derive(Debug, Clone, Default)]
struct Mood {
    until_us: u64,
    active: BTreeSet<Strategy>,
    /// Who is left out, or served late or otherwise.
    victims: BTreeSet<usize>,
}

/// See the module documentation.
pub struct Adversary {
    guilty: Vec<usize>,
    voters: usize,
    strategies: Vec<Strategy>,
    /// The party that is censored.
    censored: Option<String>,
    forge: Forge,
    /// Signs for another cluster with the same voters.
    foreign: Forge,
    known: Knowledge,
    moods: BTreeMap<usize, Mood>,
    random: Random,
    timeout_us: u64,
    /// Follows all strategies all the time, against everyone.
    relentless: bool,
    /// How often each strategy was used.
    pub deeds: BTreeMap<&'static str, u64>,
}

impl Adversary {
    /// An adversary with the keys of `guilty`.
    pub fn new(
        genesis: &Genesis,
        guilty: &[usize],
        strategies: &[Strategy],
        censored: Option<String>,
        relentless: bool,
        random: Random,
    ) -> Adversary {
        let forge = Forge::new(genesis.clone());
        let name = wire::Name::new("another").expect("a proper name");
        let foreign = Forge::new(Genesis { name, ..genesis.clone() });
        Adversary {
            guilty: guilty.to_vec(),
            voters: genesis.voters.len(),
            strategies: strategies.to_vec(),
            censored,
            known: Knowledge::new(&forge),
            forge,
            foreign,
            relentless,
            moods: BTreeMap::new(),
            random,
            timeout_us: genesis.parameters.timeout_base_ms * 1000,
            deeds: BTreeMap::new(),
        }
    }

    /// True if it holds any key.
    pub fn exists(&self) -> bool {
        !self.guilty.is_empty()
    }

    /// Overhears a message.
    pub fn overhear(&mut self, from: usize, message: &PeerMessage) {
        if self.exists() && !self.strategies.is_empty() {
            self.known.take(&self.forge, from, message);
        }
    }

    fn did(&mut self, what: &'static str) {
        *self.deeds.entry(what).or_default() += 1;
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.random.chance(per_mille)
    }

    /// What `voter` is up to now; drawn anew now and then.
    fn mood(&mut self, now_us: u64, voter: usize) -> Mood {
        if self.relentless {
            let active = self.strategies.iter().copied().collect();
            return Mood { until_us: u64::MAX, active, victims: (0..self.voters).collect() };
        }
        if let Some(mood) = self.moods.get(&voter)
            && mood.until_us > now_us
        {
            return mood.clone();
        }
        let idle = self.chance(200);
        let active =
            self.strategies.clone().into_iter().filter(|_| !idle && self.random.chance(600)).collect::<BTreeSet<_>>();
        let mood = Mood {
            until_us: now_us + self.random.between(500_000, 8_000_000),
            active,
            victims: self.random.part(self.voters, 400).into_iter().collect(),
        };
        self.moods.insert(voter, mood.clone());
        mood
    }

    /// What a guilty voter's replica wants to send to `to`, made into what is sent: each with how much later.
    pub fn bend(&mut self, now_us: u64, from: usize, to: usize, message: &PeerMessage) -> Vec<(u64, Utterance)> {
        let mood = self.mood(now_us, from);
        let on = |strategy| mood.active.contains(&strategy);
        let victim = mood.victims.contains(&to);
        let leading = matches!(message, PeerMessage::AppendEntries(_) | PeerMessage::Heartbeat(_));
        let proposal = matches!(message, PeerMessage::AppendEntries(_));
        let gives_up = matches!(message, PeerMessage::ElectionVote(_));
        if on(Strategy::HeartbeatsOnly) && gives_up && self.leads(from, self.known.term) {
            return vec![];
        }
        if on(Strategy::Mute) && leading || on(Strategy::HeartbeatsOnly) && proposal {
            self.did(if on(Strategy::Mute) { "mute" } else { "heartbeats only" });
            return vec![];
        }
        if on(Strategy::Withhold) && victim && self.chance(800) {
            self.did("withhold");
            return vec![];
        }
        let mut late_us = 0;
        if on(Strategy::SlowLeader) && proposal {
            self.did("slow leader");
            late_us = self.timeout_us * 9 / 10;
        } else if on(Strategy::Delay) && victim {
            self.did("delay");
            late_us = self.random.below(2 * self.timeout_us);
        }
        let mut bent = message.clone();
        if on(Strategy::Equivocate) && victim {
            self.equivocate(from, &mut bent);
        }
        if on(Strategy::Stale) && victim {
            self.make_stale(&mut bent);
        }
        if on(Strategy::Stretch) {
            self.stretch_own(&mut bent);
        }
        if on(Strategy::Forget)
            && let PeerMessage::Recall(recall) = &mut bent
        {
            self.did("forget");
            let standing = self.forge.base_standing();
            **recall = Recall { votes: vec![], election_vote: None, standing };
        }
        if on(Strategy::FalseBlocks)
            && let PeerMessage::Blocks(blocks) = &mut bent
            && self.chance(500)
            && let Some(block) = self.known.recent_block(&mut self.random)
        {
            self.did("false blocks");
            blocks.blocks = vec![block];
        }
        if on(Strategy::Garbage) && self.chance(50) {
            self.did("garbage");
            let mut bytes = bent.to_frame().split_off(4);
            let at = self.random.index(bytes.len());
            match self.random.below(2) {
                0 => bytes.truncate(at),
                _ => bytes[at] ^= 1 << self.random.below(8),
            }
            return vec![(late_us, Utterance::Bytes(bytes))];
        }
        vec![(late_us, Utterance::Message(bent))]
    }

    /// Another block, vote or election vote than the replica's own.
    fn equivocate(&mut self, from: usize, message: &mut PeerMessage) {
        match message {
            PeerMessage::AppendEntries(append) => {
                let mut block = append.block.clone();
                block.header.time.0 += 1 + self.random.below(3);
                let term = append.proposal.unverified().term;
                **append = self.forge.append(from, term, block, append.election.clone(), append.claim.clone());
                self.known.block(&self.forge, &append.block);
                self.did("equivocate: block");
            }
            PeerMessage::Vote(vote) => {
                let v = vote.unverified().clone();
                let other = self.known.block_at(v.height, v.digest);
                let Some(digest) = other else { return };
                *vote = self.forge.vote(from, v.phase, Claim { digest, ..v.claim() });
                self.did("equivocate: vote");
            }
            PeerMessage::ElectionVote(ask) => {
                let term = ask.vote.unverified().term;
                let Some(certificate) = self.known.certificate(&mut self.random, term) else { return };
                ask.vote = self.forge.election_vote(from, term, certificate.claim);
                ask.highest = Some(certificate);
                self.did("equivocate: election vote");
            }
            _ => {}
        }
    }

    /// The same with an older proof of where the sender stands.
    fn make_stale(&mut self, message: &mut PeerMessage) {
        let standing = match message {
            PeerMessage::Heartbeat(m) => &mut m.standing,
            PeerMessage::ElectionVote(m) => &mut m.standing,
            PeerMessage::Standing(standing) => standing,
            PeerMessage::Recall(m) => &mut m.standing,
            _ => return,
        };
        standing.commit = self.known.commit(&mut self.random, &self.forge);
        if self.random.chance(300) {
            standing.election = None;
        }
        self.did("stale standing");
    }

    /// True if a guilty voter's replica is not to see these commands.
    pub fn censors(&mut self, now_us: u64, voter: usize, message: &PeerMessage) -> bool {
        let PeerMessage::Forward(commands) = message else { return false };
        self.censors_commands(now_us, voter, &commands.0)
    }

    /// The same for commands of its own clients.
    pub fn censors_commands(&mut self, now_us: u64, voter: usize, commands: &[SignedCommand]) -> bool {
        let Some(party) = self.censored.clone() else { return false };
        let hit = commands.iter().any(|c| c.unverified().party.as_str() == party);
        let censors = hit && self.mood(now_us, voter).active.contains(&Strategy::Censor);
        if censors {
            self.did("censor");
        }
        censors
    }

    /// What a guilty voter tells a client instead of a receipt.
    pub fn lie(&mut self, now_us: u64, voter: usize, receipt: &Receipt) -> Receipt {
        let mut lie = receipt.clone();
        if self.mood(now_us, voter).active.contains(&Strategy::LieToClients) {
            self.did("lie to a client");
            match self.random.below(3) {
                0 => lie.index.0 += 1,
                1 => lie.outcome = Outcome { code: OutcomeCode(35), text: "no".to_owned() },
                _ => lie.outcome = Outcome::applied(),
            }
        }
        lie
    }

    /// What the adversary says on its own now.
    pub fn act(&mut self, now_us: u64) -> Vec<Whisper> {
        let Some(from) = self.random.pick(&self.guilty).copied() else { return vec![] };
        let mood = self.mood(now_us, from);
        self.known.assemble(&self.forge, &self.guilty);
        let active: Vec<Strategy> = mood.active.iter().copied().collect();
        match self.random.pick(&active) {
            Some(strategy) => self.deed(from, *strategy),
            None => vec![],
        }
    }

    /// A random part of the other voters, often all.
    fn audience(&mut self, from: usize) -> Vec<usize> {
        let all = self.relentless || self.chance(400);
        (0..self.voters).filter(|to| *to != from && (all || self.random.chance(500))).collect()
    }

    fn tell(&mut self, from: usize, message: PeerMessage) -> Vec<Whisper> {
        let audience = self.audience(from);
        let whisper = |to| Whisper { from, to, utterance: Utterance::Message(message.clone()) };
        audience.into_iter().map(whisper).collect()
    }

    fn accusation(&mut self) -> Option<Evidence> {
        let (a, b) = self.known.two_votes(&mut self.random)?;
        Some(Evidence::Votes(Box::new((a, b))))
    }

    fn some_certificate(&mut self, below: Term) -> Certificate {
        self.known.certificate(&mut self.random, below).unwrap_or_else(|| self.forge.base_certificate())
    }

    fn leads(&self, voter: usize, term: Term) -> bool {
        term.0 > 0 && (term.0 - 1) % self.voters as u64 == voter as u64
    }
}

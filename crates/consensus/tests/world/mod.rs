//! A few engines, their logs, and a network without surprises; everything they say and remember is written down.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use consensus::raft::Start;
use consensus::{
    Destination, Effects, Engine, EngineConfig, Now, Safety, VerifiedBlock, VerifiedCertificate, VerifiedMessage,
    Verifier,
};
use wire::merkle::Frontier;
use wire::peer::{Blocks, Commands, Fetch, Standing};
use wire::statement::Claim;
use wire::{
    BlockDigest, BlockHeader, Certificate, Command, ElectionCertificate, Executed, FaultModel, Genesis, Guard, Hash,
    Height, Name, NodeId, Parameters, PeerMessage, Phase, SecretKey, SignedCommand, Term, Time, VerifiedCommand, Voter,
};

pub const CREATED: Time = Time(1_700_000_000_000);

pub fn key(n: u16) -> SecretKey {
    SecretKey::from_seed([n as u8 + 1; 32])
}

pub fn genesis(fault_model: FaultModel, n: u16) -> Genesis {
    let voter = |id: u16| Voter {
        id: NodeId(id),
        name: Name::new(&format!("node-{id}")).unwrap(),
        key: key(id).public(),
        weight: 1,
    };
    Genesis {
        name: Name::new("transcript").unwrap(),
        created: CREATED,
        fault_model,
        faulty_weight: Genesis::faulty_weight_max(fault_model, n.into()),
        voters: (0..n).map(voter).collect(),
        administrators: Guard::Key(key(100).public()),
        treasury: Guard::Key(key(101).public()),
        parameters: Parameters::default(),
    }
}

/// What a node keeps over a restart.
#[derive(Default, Clone)]
struct Log {
    safety: Option<Safety>,
    blocks: BTreeMap<BlockDigest, Arc<VerifiedBlock>>,
    /// By height, from 1.
    committed: Vec<BlockDigest>,
    commits: BTreeMap<Height, Certificate>,
}

struct Node {
    engine: Engine,
    log: Log,
    /// Commands to propose, a block each.
    work: VecDeque<Vec<VerifiedCommand>>,
}

pub struct Letter {
    pub from: NodeId,
    pub to: NodeId,
    pub message: PeerMessage,
}

type Filter = Box<dyn FnMut(&Letter) -> bool>;

pub struct World {
    pub genesis: Genesis,
    nodes: BTreeMap<NodeId, Node>,
    down: BTreeMap<NodeId, Log>,
    verifier: Verifier,
    pub letters: VecDeque<Letter>,
    /// True if a letter arrives.
    pub network: Filter,
    pub held: Vec<Letter>,
    pub ms: u64,
    text: String,
    quiet: bool,
    labels: BTreeMap<BlockDigest, String>,
    /// Names of all messages delivered while something was written down.
    pub names: BTreeSet<&'static str>,
    sequence: u64,
}

impl World {
    pub fn new(fault_model: FaultModel, n: u16) -> World {
        let genesis = genesis(fault_model, n);
        let base = base_claim(&genesis);
        let verifier = Verifier::new(genesis.cluster_id(), genesis.membership(), base);
        let mut world = World {
            verifier,
            labels: BTreeMap::from([(base.digest, "base".to_owned())]),
            nodes: BTreeMap::new(),
            down: BTreeMap::new(),
            letters: VecDeque::new(),
            network: Box::new(|_| true),
            held: Vec::new(),
            ms: 0,
            text: String::new(),
            quiet: false,
            names: BTreeSet::new(),
            sequence: 0,
            genesis,
        };
        world.down = world.ids().into_iter().map(|id| (id, Log::default())).collect();
        world
    }

    /// A cluster that has started, with nothing written down yet.
    pub fn started(fault_model: FaultModel, n: u16) -> World {
        let mut world = World::new(fault_model, n);
        world.quiet = true;
        for id in world.ids() {
            world.start(id.0);
        }
        world.settle();
        world.ms = 10;
        world.quiet = false;
        world
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.genesis.voters.iter().map(|v| v.id).collect()
    }

    pub fn transcript(&self) -> &str {
        &self.text
    }

    /// A heading in the transcript.
    pub fn note(&mut self, text: &str) {
        self.line(&format!("-- {text}"));
    }

    /// Does something without writing it down.
    pub fn quietly(&mut self, what: impl FnOnce(&mut World)) {
        self.quiet = true;
        what(self);
        self.quiet = false;
    }

    fn line(&mut self, text: &str) {
        if !self.quiet {
            writeln!(self.text, "{text}").unwrap();
        }
    }

    fn now(&self) -> Now {
        Now { wall: CREATED.plus_ms(self.ms + 1), mono_ms: self.ms }
    }

    // ---- life of a node

    pub fn start(&mut self, n: u16) {
        let id = NodeId(n);
        let log = self.down.remove(&id).expect("it is down");
        let cluster = self.genesis.cluster_id();
        let base = base_header(&self.genesis);
        let (mut root, mut frontier) = (base.clone(), Frontier::default());
        let mut executed = vec![base.executed];
        let mut recent = vec![(Height::ZERO, base.digest(&cluster), Term::ZERO)];
        for digest in &log.committed {
            let block = &log.blocks[digest];
            let leaves: Vec<Hash> = block.entries.iter().map(VerifiedCommand::leaf).collect();
            frontier.extend(&leaves);
            root = block.header.clone();
            executed.push(execution(root.height));
            recent.push((root.height, *digest, root.term));
        }
        let above = |b: &&Arc<VerifiedBlock>| b.header.height > root.height;
        let mut blocks: Vec<Arc<VerifiedBlock>> = log.blocks.values().filter(above).cloned().collect();
        blocks.sort_by_key(|b| b.header.height);
        let phase = consensus::certificate::commit_phase(self.genesis.fault_model);
        let base = base_claim(&self.genesis);
        let commit = log.commits.values().next_back().cloned();
        let commit = commit.unwrap_or_else(|| Certificate::base(phase, base.height, base.digest));
        let start = Start {
            base,
            root,
            frontier,
            commit: VerifiedCertificate::from_own_log(commit),
            recent,
            safety: log.safety.clone(),
            blocks,
            executed,
        };
        let config = EngineConfig {
            cluster,
            me: id,
            membership: self.genesis.membership(),
            parameters: self.genesis.parameters.clone(),
            signer: Arc::new(key(n)),
        };
        let engine = Engine::new(config, start, self.now());
        self.nodes.insert(id, Node { engine, log, work: VecDeque::new() });
        self.line(&format!("{:>5} n{n} starts", self.ms));
        self.turn(id, |_, _, _| {});
    }

    /// Loses the power. Letters to it are lost.
    pub fn crash(&mut self, n: u16) {
        let node = self.nodes.remove(&NodeId(n)).expect("it is up");
        self.down.insert(NodeId(n), node.log);
        self.letters.retain(|l| l.to != NodeId(n));
        self.line(&format!("{:>5} n{n} crashes", self.ms));
    }

    /// What a crash just before the last write of commits leaves: the promises are there, the commits from them are not.
    pub fn forget_last_commit(&mut self, n: u16) -> Height {
        let log = self.down.get_mut(&NodeId(n)).expect("it is down");
        let (height, _) = log.commits.pop_last().expect("something was committed");
        log.committed.truncate(height.0 as usize - 1);
        height
    }

    pub fn committed(&self, n: u16) -> usize {
        self.nodes[&NodeId(n)].log.committed.len()
    }

    /// Commands that a client gives to a node, to go into one block.
    pub fn submit(&mut self, to: u16, count: usize) {
        let commands = self.commands(count);
        self.line(&format!("{:>5} n{to} <- client: {count} commands", self.ms));
        self.nodes.get_mut(&NodeId(to)).unwrap().work.push_back(commands);
        self.turn(NodeId(to), |_, _, _| {});
    }

    /// Commands that a node passes on.
    pub fn forward(&mut self, from: u16, to: u16, count: usize) {
        let commands = Commands(self.commands(count).iter().map(|c| c.signed().clone()).collect());
        self.post(NodeId(from), NodeId(to), PeerMessage::Forward(commands));
    }

    pub fn starve(&mut self, n: u16) {
        self.line(&format!("{:>5} n{n} finds a command overdue", self.ms));
        self.turn(NodeId(n), |engine, now, fx| {
            engine.on_starved(now, fx);
        });
    }

    fn commands(&mut self, count: usize) -> Vec<VerifiedCommand> {
        let cluster = self.genesis.cluster_id();
        let make = |sequence| {
            let command = Command {
                party: Name::new("alice").unwrap(),
                session: 1,
                sequence,
                expiry: CREATED.plus_ms(3_600_000),
                payload: b"anything".to_vec(),
                signers: vec![],
            };
            SignedCommand::sign(&cluster, command, &[&key(50)]).unwrap().verify(&cluster).unwrap()
        };
        self.sequence += count as u64;
        (self.sequence - count as u64..self.sequence).map(|n| make(n + 1)).collect()
    }

    // ---- turns

    fn turn(&mut self, id: NodeId, input: impl FnOnce(&mut Engine, Now, &mut Effects)) {
        let now = self.now();
        let mut fx = Effects::default();
        let node = self.nodes.get_mut(&id).unwrap();
        input(&mut node.engine, now, &mut fx);
        for _ in 0..50 {
            let node = self.nodes.get_mut(&id).unwrap();
            node.engine.settle(now, &mut fx);
            while let Some(room) = node.engine.room() {
                if !room.due && node.work.is_empty() {
                    break;
                }
                let commands = node.work.pop_front().unwrap_or_default();
                node.engine.propose(now, commands, false, &mut fx);
            }
            node.engine.seal(&mut fx);
            if fx.is_empty() {
                return;
            }
            self.carry_out(id, std::mem::take(&mut fx));
        }
        panic!("node {id} does not come to rest");
    }

    fn carry_out(&mut self, id: NodeId, mut fx: Effects) {
        for block in std::mem::take(&mut fx.blocks) {
            let label = self.label(&block.header);
            let below = self.labels.get(&block.header.parent).cloned().unwrap_or_else(|| "?".into());
            let entries = block.entries.len();
            self.line(&format!("        writes {label} on {below}, {entries} entries"));
            self.nodes.get_mut(&id).unwrap().log.blocks.insert(block.digest, block);
        }
        for evidence in &fx.evidence {
            self.line(&format!("        writes evidence: n{} {}", evidence.accused(), evidence.offence()));
        }
        for commit in std::mem::take(&mut fx.commits) {
            let text = self.certificate(&commit);
            self.line(&format!("        writes commit {text}"));
            self.nodes.get_mut(&id).unwrap().log.commits.insert(commit.claim.height, commit.into_inner());
        }
        if let Some(safety) = fx.safety.take() {
            let before = self.nodes[&id].log.safety.clone();
            let changes = self.changes(before.as_ref(), &safety);
            self.line(&format!("        syncs {}", changes.join(", ")));
            self.nodes.get_mut(&id).unwrap().log.safety = Some(safety);
        }
        for (to, message) in std::mem::take(&mut fx.outbox).release() {
            let text = self.describe(&message);
            match to {
                Destination::All => {
                    self.line(&format!("        -> all: {text}"));
                    for to in self.ids().into_iter().filter(|to| *to != id) {
                        self.post(id, to, message.clone());
                    }
                }
                Destination::One(to) => {
                    self.line(&format!("        -> n{to}: {text}"));
                    self.post(id, to, message);
                }
            }
        }
        for block in std::mem::take(&mut fx.committed) {
            let label = self.label(&block.header);
            self.line(&format!("        commits {label}"));
            let node = self.nodes.get_mut(&id).unwrap();
            node.engine.check_committed_claim(&block.header).expect("all execute alike");
            node.log.committed.push(block.digest);
            node.engine.on_executed(execution(block.header.height));
        }
        for (to, fetch) in std::mem::take(&mut fx.serve) {
            if let Some(message) = self.answer(id, fetch) {
                let text = self.describe(&message);
                self.line(&format!("        -> n{to}: {text}, from the log"));
                self.post(id, to, message);
            }
        }
        for alert in &fx.alerts {
            self.line(&format!("        alert: {alert}"));
        }
        if let Some(reason) = fx.halt {
            self.line(&format!("        halts: {reason}"));
        }
    }

    fn answer(&self, id: NodeId, fetch: Fetch) -> Option<PeerMessage> {
        let log = &self.nodes[&id].log;
        let (blocks, commit) = match fetch {
            Fetch::Committed(from) => {
                let (height, commit) = log.commits.range(from..).next_back()?;
                let heights = (from.0.max(1) - 1) as usize..height.0 as usize;
                (heights.map(|h| log.committed[h]).collect(), Some(commit.clone()))
            }
            Fetch::Block(wanted) => (vec![wanted.digest], None),
        };
        let blocks: Option<Vec<wire::Block>> = blocks.iter().map(|d| Some(log.blocks.get(d)?.to_block())).collect();
        Some(PeerMessage::Blocks(Box::new(Blocks { blocks: blocks?, commit })))
    }

    pub fn post(&mut self, from: NodeId, to: NodeId, message: PeerMessage) {
        let letter = Letter { from, to, message };
        if (self.network)(&letter) {
            self.letters.push_back(letter);
        } else {
            self.held.push(letter);
        }
    }

    /// Sends on what the network held back.
    pub fn release_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.letters.extend(held);
    }

    fn deliver(&mut self, letter: Letter) {
        let Letter { from, to, message } = letter;
        if !self.nodes.contains_key(&to) {
            return;
        }
        let text = self.describe(&message);
        self.line(&format!("{:>5} n{to} <- n{from}: {text}", self.ms));
        if !self.quiet {
            self.names.insert(message.name());
        }
        let frame = message.to_frame();
        let message = PeerMessage::from_frame(&frame[4..]).expect("what is sent can be read");
        match self.verifier.verify(from, message) {
            Ok(VerifiedMessage::Forward(commands)) => {
                self.nodes.get_mut(&to).unwrap().work.push_back(commands);
                self.turn(to, |_, _, _| {});
            }
            Ok(message) => self.turn(to, |engine, now, fx| engine.on_message(now, from, message, fx)),
            Err(offence) => self.line(&format!("        refused: {offence}")),
        }
    }

    /// Delivers all that is under way.
    pub fn settle(&mut self) {
        while let Some(letter) = self.letters.pop_front() {
            self.deliver(letter);
        }
    }

    /// Delivers, and lets `ms` pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.ms + ms;
        self.settle();
        while let Some(next) = self.nodes.values().map(|n| n.engine.wake_at()).min().filter(|next| *next <= end) {
            self.ms = self.ms.max(next);
            for id in self.ids() {
                if self.nodes.get(&id).is_some_and(|n| n.engine.wake_at() <= self.ms) {
                    self.line(&format!("{:>5} n{id} timer", self.ms));
                    self.turn(id, |_, _, _| {});
                }
            }
            self.settle();
        }
        self.ms = end;
    }

    // ---- in words

    /// `b3@1`: height 3, proposed in term 1; a second one at the same place gets a mark.
    fn label(&mut self, header: &BlockHeader) -> String {
        let digest = header.digest(&self.genesis.cluster_id());
        if let Some(label) = self.labels.get(&digest) {
            return label.clone();
        }
        let mut label = format!("b{}@{}", header.height, header.term);
        while self.labels.values().any(|other| *other == label) {
            label.push('\'');
        }
        self.labels.insert(digest, label.clone());
        label
    }

    fn block(&self, digest: &BlockDigest) -> String {
        self.labels.get(digest).cloned().unwrap_or_else(|| "?".into())
    }

    fn claim(&self, claim: &Claim) -> String {
        if claim.term == Term::ZERO {
            "base".into()
        } else {
            format!("{} in {}", self.block(&claim.digest), claim.term)
        }
    }

    /// The block, the term, and who voted; a voter with a mark named a descendant.
    fn certificate(&self, certificate: &Certificate) -> String {
        let voter = |v: &wire::Signed<wire::Vote>| {
            let v = v.unverified();
            let mark = if v.digest == certificate.claim.digest { "" } else { "+" };
            format!("{}{mark}", v.author)
        };
        let voters: Vec<String> = certificate.votes.iter().map(voter).collect();
        match certificate.is_base() {
            true => "base".into(),
            false => format!("{} by {}", self.claim(&certificate.claim), voters.join(" ")),
        }
    }

    fn election(&self, election: &ElectionCertificate) -> String {
        let vote = |v: &wire::Signed<wire::ElectionVote>| {
            let v = v.unverified();
            format!("{} ({})", v.author, self.claim(&v.claim))
        };
        let votes: Vec<String> = election.votes.iter().map(vote).collect();
        format!("election {} by {}", election.term, votes.join(" "))
    }

    fn standing(&self, standing: &Standing) -> String {
        let election = standing.election.as_ref().map_or("no election".into(), |e| format!("election {}", e.term));
        format!("[{election}, commit {}]", self.claim(&standing.commit.claim))
    }

    fn describe(&mut self, message: &PeerMessage) -> String {
        let name = message.name();
        let said = match message {
            PeerMessage::AppendEntries(m) => {
                let label = self.label(&m.block.header);
                let term = m.proposal.unverified().term;
                let election = m.election.as_ref().map(|e| format!(", {}", self.election(e)));
                let claim = m.claim.as_ref().map(|c| format!(", executed, commit {}", self.claim(&c.claim)));
                format!("{label} in {term}{}{}", election.unwrap_or_default(), claim.unwrap_or_default())
            }
            PeerMessage::Vote(v) => {
                let v = v.unverified();
                let phase = if v.phase == Phase::Replicated { "replicated" } else { "certified" };
                format!("{phase} {}", self.claim(&v.claim()))
            }
            PeerMessage::ElectionVote(m) => {
                let v = m.vote.unverified();
                format!("{} claims {} {}", v.term, self.claim(&v.claim), self.standing(&m.standing))
            }
            PeerMessage::Heartbeat(m) => {
                format!("{} {}", m.heartbeat.unverified().term, self.standing(&m.standing))
            }
            PeerMessage::Fetch(Fetch::Committed(from)) => format!("committed from {from}"),
            PeerMessage::Fetch(Fetch::Block(f)) => format!("{} above {}", self.block(&f.digest), f.above),
            PeerMessage::Blocks(m) => {
                let labels: Vec<String> = m.blocks.iter().map(|b| self.label(&b.header)).collect();
                let commit = m.commit.as_ref().map(|c| format!(", commit {}", self.certificate(c)));
                format!("{}{}", labels.join(" "), commit.unwrap_or_default())
            }
            PeerMessage::Evidence(e) => format!("n{} {}", e.accused(), e.offence()),
            PeerMessage::Forward(commands) => format!("{} commands", commands.0.len()),
            PeerMessage::Rejoin => String::new(),
            PeerMessage::Recall(m) => {
                let votes: Vec<String> = m.votes.iter().map(|v| self.claim(&v.unverified().claim())).collect();
                let asked = m.election_vote.as_ref().map(|v| format!(" asked {}", v.unverified().term));
                let asked = asked.unwrap_or_default();
                format!("votes [{}]{asked} {}", votes.join(", "), self.standing(&m.standing))
            }
            PeerMessage::Standing(m) => self.standing(m),
        };
        format!("{name} {said}").trim_end().to_owned()
    }

    fn changes(&self, before: Option<&Safety>, after: &Safety) -> Vec<String> {
        let fields = |safety: &Safety| {
            let vote = |v: &Option<wire::Verified<wire::Vote>>| v.as_ref().map(|v| self.claim(&v.claim()));
            let election = safety.election.as_deref().map_or("first".into(), |e| self.election(e));
            let asked = safety.election_vote.as_ref().map_or("nothing".into(), |v| v.term.to_string());
            [
                format!("term {} ({election})", safety.entered),
                format!("asked {asked}"),
                format!("replicated {}", vote(&safety.replicated).unwrap_or_else(|| "nothing".into())),
                format!("certified {}", vote(&safety.certified).unwrap_or_else(|| "nothing".into())),
                format!("lock {}", self.certificate(&safety.lock)),
            ]
        };
        let old = before.map(fields);
        let new = fields(after);
        new.into_iter()
            .enumerate()
            .filter(|(n, field)| old.as_ref().is_none_or(|o| o[*n] != *field))
            .map(|(_, f)| f)
            .collect()
    }
}

/// What executing a height gives; here every block gives the same on all nodes, by its height alone.
fn execution(height: Height) -> Executed {
    let root = Hash::of(&height.0.to_be_bytes());
    Executed { height, state_root: root, receipts_root: root }
}

fn base_header(genesis: &Genesis) -> BlockHeader {
    let mut header = genesis.base_header(Hash::ZERO);
    header.executed = execution(Height::ZERO);
    header
}

fn base_claim(genesis: &Genesis) -> Claim {
    let digest = base_header(genesis).digest(&genesis.cluster_id());
    Claim { term: Term::ZERO, height: Height::ZERO, digest }
}

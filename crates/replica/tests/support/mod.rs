//! A small deterministic cluster: real replicas, real signatures, disks in memory, and a network that a test can bend.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ledger::classic::{self, Classic};
use replica::{Config, Destination, Input, Now, Output, Replica, Verifier};
use store::{MemDisk, Options, Stamp, Store};
use wire::{
    Command, CommandId, Epoch, Evidence, FaultModel, Genesis, Guard, Height, Name, NodeId, Parameters, PeerMessage,
    PublicKey, Receipt, SecretKey, SignedCommand, Signer, Time, VerifiedCommand, Voter,
};

/// When a test's clocks start.
pub const START: Time = Time(1_700_000_000_000);

/// The key of a voter.
pub fn node_key(n: u16) -> SecretKey {
    SecretKey::from_seed([n as u8 + 1; 32])
}

/// The key of a party.
pub fn party_key(name: &str) -> SecretKey {
    SecretKey::from_seed(wire::Hash::of(name.as_bytes()).0)
}

/// A cluster's rules with `n` voters of weight 1.
pub fn genesis(fault_model: FaultModel, n: u16) -> Genesis {
    let voter = |id: u16| Voter {
        id: NodeId(id),
        name: Name::new(&format!("node-{id}")).unwrap(),
        key: node_key(id).public(),
        weight: 1,
    };
    let genesis = Genesis {
        name: Name::new("test").unwrap(),
        created: START,
        fault_model,
        faulty_weight: Genesis::faulty_weight_max(fault_model, n.into()),
        voters: (0..n).map(voter).collect(),
        administrators: Guard::Key(party_key("admin").public()),
        treasury: Guard::Key(party_key("treasury").public()),
        parameters: Parameters::default(),
    };
    genesis.check().unwrap();
    genesis
}

/// One message under way.
#[derive(Debug, Clone)]
pub struct Letter {
    pub from: NodeId,
    pub to: NodeId,
    pub message: PeerMessage,
}

/// What a test's network does with a letter.
pub enum Fate {
    Deliver,
    Drop,
    /// Deliver this instead.
    Replace(Box<PeerMessage>),
}

pub type Network = Box<dyn FnMut(&Letter) -> Fate>;

pub struct Cluster {
    pub genesis: Genesis,
    pub nodes: BTreeMap<NodeId, Replica<MemDisk>>,
    pub disks: BTreeMap<NodeId, MemDisk>,
    verifiers: BTreeMap<NodeId, Verifier>,
    pub letters: VecDeque<Letter>,
    pub network: Network,
    pub clock_ms: u64,
    /// How far the wall clock of a node is off.
    pub skew_ms: BTreeMap<NodeId, i64>,
    /// Receipts as executed by each node.
    pub receipts: BTreeMap<NodeId, BTreeMap<CommandId, Receipt>>,
    /// Block digest... by height, as each node committed it: (state root, number of entries).
    pub history: BTreeMap<NodeId, BTreeMap<Height, (wire::Hash, usize)>>,
    pub evidence: BTreeMap<NodeId, Vec<Evidence>>,
    pub halted: BTreeMap<NodeId, String>,
    pub refused: Vec<(CommandId, wire::Outcome)>,
    pub busy: BTreeSet<CommandId>,
    pub alerts: Vec<(NodeId, String)>,
    pub offences: Vec<(NodeId, NodeId, String)>,
    pub sent: BTreeMap<&'static str, usize>,
    sequence: u64,
}

impl Cluster {
    pub fn new(fault_model: FaultModel, n: u16) -> Cluster {
        Cluster::with(genesis(fault_model, n))
    }

    pub fn with(genesis: Genesis) -> Cluster {
        let mut cluster = Cluster::unstarted(genesis);
        for id in cluster.ids() {
            cluster.start(id);
        }
        cluster
    }

    /// A cluster whose nodes are started one by one.
    pub fn unstarted(genesis: Genesis) -> Cluster {
        let ids: Vec<NodeId> = genesis.voters.iter().map(|v| v.id).collect();
        let verifier = replica::verifier(&genesis);
        Cluster {
            nodes: BTreeMap::new(),
            disks: ids.iter().map(|id| (*id, MemDisk::new(id.0.into()))).collect(),
            verifiers: ids.iter().map(|id| (*id, verifier.clone())).collect(),
            letters: VecDeque::new(),
            network: Box::new(|_| Fate::Deliver),
            clock_ms: 0,
            skew_ms: BTreeMap::new(),
            receipts: BTreeMap::new(),
            history: BTreeMap::new(),
            evidence: BTreeMap::new(),
            halted: BTreeMap::new(),
            refused: Vec::new(),
            busy: BTreeSet::new(),
            alerts: Vec::new(),
            offences: Vec::new(),
            sent: BTreeMap::new(),
            sequence: 0,
            genesis,
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.genesis.voters.iter().map(|v| v.id).collect()
    }

    pub fn now(&self) -> Now {
        Now { wall: START.plus_ms(self.clock_ms + 1), mono_ms: self.clock_ms }
    }

    /// Both clocks as a node reads them.
    pub fn now_at(&self, id: NodeId) -> Now {
        let Now { wall, mono_ms } = self.now();
        Now { wall: Time(wall.0.saturating_add_signed(self.skew_ms.get(&id).copied().unwrap_or(0))), mono_ms }
    }

    pub fn options() -> Options {
        Options { segment_bytes: 1 << 20, reserve_bytes: 1 << 16, ..Options::default() }
    }

    /// Opens a node on its disk as it is, making the store if there is none.
    pub fn open(&self, id: NodeId, disk: MemDisk) -> Result<Replica<MemDisk>, String> {
        let key = node_key(id.0);
        let stamp = Stamp { cluster: self.genesis.cluster_id().0.0, node: key.public().0 };
        let fresh = disk.contents(store::SAFETY_FILE).is_none();
        let store = match fresh {
            true => Store::create(disk, stamp, Self::options()),
            false => Store::open(disk, stamp, Self::options(), &mut |_| {}),
        };
        let (store, _) = store.map_err(|e| e.to_string())?;
        let config = Config { genesis: self.genesis.clone(), me: id, signer: Arc::new(key), pool_commands_max: 10_000 };
        Replica::open(config, store, self.now_at(id), &mut |_| {}).map_err(|e| e.to_string())
    }

    pub fn start(&mut self, id: NodeId) {
        let disk = self.disks[&id].clone();
        let replica = self.open(id, disk).unwrap();
        self.nodes.insert(id, replica);
        self.turn(id, vec![]);
    }

    /// Power loss: nothing unsynced survives.
    pub fn crash(&mut self, id: NodeId) {
        self.crash_with(id, &store::Crash::default());
    }

    pub fn crash_with(&mut self, id: NodeId, crash: &store::Crash) {
        self.nodes.remove(&id);
        self.letters.retain(|l| l.to != id);
        self.disks.get_mut(&id).unwrap().crash(crash);
    }

    pub fn turn(&mut self, id: NodeId, inputs: Vec<Input>) {
        let now = self.now_at(id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let outputs = node.turn(now, inputs);
        self.take_outputs(id, outputs);
    }

    fn take_outputs(&mut self, id: NodeId, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { to: Destination::All, message } => {
                    for to in self.ids().into_iter().filter(|to| *to != id) {
                        self.post(id, to, message.clone());
                    }
                }
                Output::Send { to: Destination::One(to), message } => self.post(id, to, message),
                Output::Executed(block) => {
                    self.history.entry(id).or_default().insert(block.height, (block.state_root, block.entries.len()));
                    let mine = self.receipts.entry(id).or_default();
                    for entry in block.entries {
                        mine.entry(entry.receipt.command).or_insert(entry.receipt);
                    }
                }
                Output::Answer(receipt) => {
                    self.receipts.entry(id).or_default().entry(receipt.command).or_insert(receipt);
                }
                Output::Busy(command) => {
                    self.busy.insert(command);
                }
                Output::Refused { command, outcome } => self.refused.push((command, outcome)),
                Output::Evidence(evidence) => self.evidence.entry(id).or_default().push(evidence),
                Output::Alert(text) => self.alerts.push((id, text)),
                Output::Halted(reason) => {
                    self.halted.insert(id, reason.to_string());
                }
            }
        }
    }

    pub fn post(&mut self, from: NodeId, to: NodeId, message: PeerMessage) {
        *self.sent.entry(message.name()).or_default() += 1;
        let letter = Letter { from, to, message };
        match (self.network)(&letter) {
            Fate::Deliver => self.letters.push_back(letter),
            Fate::Drop => {}
            Fate::Replace(message) => self.letters.push_back(Letter { message: *message, ..letter }),
        }
    }

    /// Delivers one letter as its bytes would arrive.
    pub fn deliver(&mut self, letter: Letter) {
        let frame = letter.message.to_frame();
        let message = PeerMessage::from_frame(&frame[4..]).expect("what a node sends can be read");
        assert_eq!(message, letter.message, "one encoding");
        if !self.nodes.contains_key(&letter.to) {
            return;
        }
        match self.verifiers[&letter.to].verify(letter.from, message) {
            Ok(message) => self.turn(letter.to, vec![Input::Peer { from: letter.from, message }]),
            Err(offence) => {
                if let Some(evidence) = offence.evidence() {
                    self.turn(letter.to, vec![evidence.into()]);
                }
                self.offences.push((letter.to, letter.from, offence.to_string()));
            }
        }
    }

    /// Delivers everything under way and what it causes, then lets `ms` pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.clock_ms + ms;
        let mut rings = (self.clock_ms, 0);
        loop {
            let mut budget = 200_000;
            while let Some(letter) = self.letters.pop_front() {
                self.deliver(letter);
                budget -= 1;
                assert!(budget > 0, "the cluster does not come to rest");
            }
            let next = self.nodes.values().map(Replica::wake_at).min().unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            self.clock_ms = self.clock_ms.max(next);
            rings = if rings.0 == self.clock_ms { (rings.0, rings.1 + 1) } else { (self.clock_ms, 0) };
            assert!(rings.1 < 1_000, "a timer that rings without an end keeps a processor busy");
            for id in self.ids() {
                if self.nodes.get(&id).is_some_and(|n| n.wake_at() <= self.clock_ms) {
                    self.turn(id, vec![]);
                }
            }
        }
        self.clock_ms = end;
    }

    /// A signed command of a party, in the classic language.
    pub fn command(&mut self, party: &str, text: &str) -> SignedCommand {
        let key = party_key(party);
        self.command_signed(party, text, &[&key])
    }

    pub fn command_signed(&mut self, party: &str, text: &str, signers: &[&dyn Signer]) -> SignedCommand {
        let Classic::Operation(operation) = classic::parse(text).unwrap() else { panic!("{text} is a query") };
        self.sequence += 1;
        let command = Command {
            party: Name::new(party).unwrap(),
            session: 7,
            sequence: self.sequence,
            expiry: self.now().wall.plus_ms(3_600_000),
            payload: operation.to_payload(),
            signers: vec![],
        };
        SignedCommand::sign(&self.genesis.cluster_id(), command, signers).unwrap()
    }

    pub fn submit(&mut self, to: u16, command: &SignedCommand) -> CommandId {
        let cluster = self.genesis.cluster_id();
        let verified = command.clone().verify(&cluster).expect("tests sign properly");
        let id = verified.id();
        self.turn(NodeId(to), vec![Input::Commands(vec![verified])]);
        id
    }

    pub fn submit_text(&mut self, to: u16, party: &str, text: &str) -> CommandId {
        let command = self.command(party, text);
        self.submit(to, &command)
    }

    pub fn submit_all(&mut self, to: u16, commands: Vec<VerifiedCommand>) {
        self.turn(NodeId(to), vec![Input::Commands(commands)]);
    }

    /// Registers alice and bob, opens an account each, and credits alice with 1000.
    pub fn set_up(&mut self) {
        for party in ["alice", "bob"] {
            let key: PublicKey = party_key(party).public();
            self.submit_text(0, "admin", &format!("RegisterParty {party} {key}"));
        }
        self.run(100);
        self.submit_text(0, "alice", "CreateAccount A");
        self.submit_text(0, "bob", "CreateAccount B");
        self.run(100);
        let id = self.submit_text(0, "treasury", "AdjustAccount A 1000%1");
        self.run(100);
        let outcome = self.outcome(&id);
        assert_eq!(outcome.as_deref(), Some("applied"), "set-up must work: {:?} {:?}", self.refused, self.halted);
    }

    /// The outcome of a command on the nodes that executed it, if they agree.
    pub fn outcome(&self, id: &CommandId) -> Option<String> {
        let mut outcomes: Vec<String> =
            self.receipts.values().filter_map(|r| r.get(id)).map(|r| r.outcome.to_string()).collect();
        outcomes.dedup();
        assert!(outcomes.len() < 2, "nodes disagree on {id}: {outcomes:?}");
        outcomes.pop()
    }

    /// How many nodes executed a command.
    pub fn executed_on(&self, id: &CommandId) -> usize {
        self.receipts.values().filter(|r| r.contains_key(id)).count()
    }

    pub fn height(&self, id: u16) -> u64 {
        self.nodes[&NodeId(id)].status().height.0
    }

    pub fn term(&self, id: u16) -> u64 {
        self.nodes[&NodeId(id)].status().term.0
    }

    /// Agreement on every height, among `honest`.
    pub fn assert_agreement(&self, honest: &[u16]) {
        let mut agreed: BTreeMap<Height, (wire::Hash, usize)> = BTreeMap::new();
        for id in honest {
            for (height, found) in self.history.get(&NodeId(*id)).into_iter().flatten() {
                let first = agreed.entry(*height).or_insert(*found);
                assert_eq!(first, found, "node {id} differs at height {height}");
            }
        }
    }

    /// All of `nodes` stand at one height with one state root and one log root.
    pub fn assert_equal(&self, nodes: &[u16]) {
        let standing = |id: &u16| {
            let s = self.nodes[&NodeId(*id)].status();
            (s.height, s.state_root, s.receipts_root, s.log_root)
        };
        let first = standing(&nodes[0]);
        for id in nodes {
            assert_eq!(standing(id), first, "node {id} stands elsewhere");
        }
    }

    pub fn epoch(&self) -> Epoch {
        Epoch(1)
    }
}

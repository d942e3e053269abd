//! The event loop: production replicas in virtual time. All times are nanoseconds of virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use replica::{Destination, Input, Now, Output, Replica, VerifiedMessage, Verifier};
use store::MemDisk;
use wire::{CommandId, Genesis, NodeId, PeerMessage, Phase, SignedCommand, VerifiedCommand};

use super::cluster::{self, START};
use super::costs::{Costs, Machine};
use super::event::{Busy, Committed, Event, Timed};
use super::links::Links;
use super::packet::{self, Packet};
use super::stage::{Checks, Net, Take};

/// Messages of peers given to the replica in one turn, as in a node.
const TURN_MESSAGES_MAX: usize = 1024;
/// Commands given to the replica in one turn, as in a node.
const TURN_COMMANDS_MAX: usize = 8 * 1024;
const MS: u64 = 1_000_000;
/// Virtual time after which a run that gets nowhere is given up.
const STALLED_NS: u64 = 120_000 * MS;

struct Node {
    replica: Replica<MemDisk>,
    net: Net,
    checks: Checks,
    seen: BTreeSet<u64>,
    messages: VecDeque<(usize, VerifiedMessage, usize)>,
    admissions: VecDeque<Rc<[VerifiedCommand]>>,
    /// What the turn under way will put out.
    turn: Option<Vec<Output>>,
    wake_at: u64,
    replica_busy: u64,
    sync_busy: u64,
}

/// A cluster in virtual time.
pub struct Run {
    costs: Costs,
    machine: Machine,
    links: Links,
    verifier: Verifier,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<Timed>>,
    number: u64,
    now: u64,
    quorum_answer: usize,
    gateways: BTreeMap<CommandId, u32>,
    submitted: BTreeMap<CommandId, u64>,
    executed_by: BTreeMap<u64, usize>,
    /// Blocks that F + 1 nodes have executed, and when, with the latencies of their commands.
    pub blocks: Vec<Committed>,
    /// Messages sent, by name; a broadcast counts once for each receiver.
    pub sent: BTreeMap<&'static str, u64>,
    /// Alerts, refusals, evidence: none is expected.
    pub odd: Vec<String>,
    /// Time of this machine that the replicas' turns really took, all nodes together.
    pub turns_took: Duration,
}

impl Run {
    /// Fresh nodes, started at time 0.
    pub fn new(genesis: &Genesis, costs: &Costs, machine: &Machine, links: Links) -> Result<Run, String> {
        let n = genesis.voters.len();
        let node = |id| {
            Ok(Node {
                replica: cluster::open(genesis, id, now_at(0))?,
                net: Net::new(n, machine),
                checks: Checks::new(n, machine),
                seen: BTreeSet::new(),
                messages: VecDeque::new(),
                admissions: VecDeque::new(),
                turn: None,
                wake_at: u64::MAX,
                replica_busy: 0,
                sync_busy: 0,
            })
        };
        let mut run = Run {
            costs: costs.clone(),
            machine: machine.clone(),
            links,
            verifier: replica::verifier(genesis),
            nodes: (0..n).map(node).collect::<Result<_, String>>()?,
            queue: BinaryHeap::new(),
            number: 0,
            now: 0,
            quorum_answer: genesis.faulty_weight as usize + 1,
            gateways: BTreeMap::new(),
            submitted: BTreeMap::new(),
            executed_by: BTreeMap::new(),
            blocks: Vec::new(),
            sent: BTreeMap::new(),
            odd: Vec::new(),
            turns_took: Duration::ZERO,
        };
        for node in 0..n {
            run.turn(node)?;
        }
        Ok(run)
    }

    /// Virtual time.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How busy a node was so far; `leader` tells whose frames are the leader's.
    pub fn busy(&self, node: usize, leader: usize) -> Busy {
        let node = &self.nodes[node];
        Busy {
            replica: node.replica_busy,
            sync: node.sync_busy,
            checks: node.checks.busy,
            lane: node.checks.lane_busy[leader],
            io: node.net.busy,
            wire: node.net.wire_busy,
        }
    }

    /// The term that a node has entered; 1 unless a leader was given up.
    pub fn term(&self, node: usize) -> u64 {
        self.nodes[node].replica.status().term.0
    }

    /// Hands commands to their gateways, the nodes in turn; they arrive at time `at`. Checked here once for all.
    pub fn submit(&mut self, commands: Vec<SignedCommand>, at: u64) -> Result<(), String> {
        let mut shares = vec![Vec::new(); self.nodes.len()];
        for verdict in self.verifier.verify_commands(commands) {
            let command: VerifiedCommand = verdict.map_err(|_| "a signature made here does not verify")?;
            let gateway = self.gateways.len() % self.nodes.len();
            self.gateways.insert(command.id(), gateway as u32);
            self.submitted.insert(command.id(), at);
            shares[gateway].push(command);
        }
        for (node, share) in shares.into_iter().enumerate().filter(|(_, share)| !share.is_empty()) {
            self.schedule(at, node, Event::Submit(share));
        }
        Ok(())
    }

    /// Runs until F + 1 nodes have executed one more block with commands; gives the blocks executed then.
    pub fn step(&mut self) -> Result<Vec<Committed>, String> {
        let (known, deadline) = (self.blocks.len(), self.now + STALLED_NS);
        while self.blocks.len() == known {
            let Some(Reverse(timed)) = self.queue.pop() else { return Err("nothing left to happen".into()) };
            if timed.at > deadline {
                return Err(format!("no block in {} s of virtual time: {:?}", STALLED_NS / 1000 / MS, self.odd));
            }
            self.now = timed.at;
            self.happen(timed.node, timed.event)?;
        }
        Ok(self.blocks[known..].to_vec())
    }

    /// Runs until every node has executed the newest of [`Run::blocks`].
    pub fn catch_up(&mut self) -> Result<(), String> {
        let Some(height) = self.blocks.last().map(|block| block.height) else { return Ok(()) };
        let deadline = self.now + STALLED_NS;
        while self.executed_by.get(&height).is_none_or(|nodes| *nodes < self.nodes.len()) {
            let Some(Reverse(timed)) = self.queue.pop().filter(|next| next.0.at <= deadline) else {
                return Err(format!("not all nodes execute block {height}: {:?}", self.odd));
            };
            self.now = timed.at;
            self.happen(timed.node, timed.event)?;
        }
        Ok(())
    }

    fn schedule(&mut self, at: u64, node: usize, event: Event) {
        self.number += 1;
        self.queue.push(Reverse(Timed { at: at.max(self.now), number: self.number, node, event }));
    }

    fn happen(&mut self, n: usize, event: Event) -> Result<(), String> {
        let now = self.now;
        match event {
            Event::Arrive { from, packet } => {
                let at = self.nodes[n].net.receive(now, from, packet.bytes, &self.machine);
                self.schedule(at, n, Event::Received { from, packet });
            }
            Event::Received { from, packet } => {
                self.nodes[n].checks.push(from, packet);
                self.employ(n);
            }
            Event::Submit(commands) => {
                for portion in packet::portions(&commands) {
                    self.nodes[n].checks.submit(portion);
                }
                self.employ(n);
            }
            Event::Free { lane } => {
                self.nodes[n].checks.idle += 1;
                if let Some(lane) = lane {
                    self.nodes[n].checks.release(lane);
                }
                self.employ(n);
            }
            Event::Checked { from, packet, part } => {
                let (message, commands) = packet.parts[part].clone();
                self.nodes[n].messages.push_back((from, message, commands));
                self.turn(n)?;
            }
            Event::Admitted(commands) => {
                self.nodes[n].admissions.push_back(commands);
                self.turn(n)?;
            }
            Event::TurnOver => {
                let outputs = self.nodes[n].turn.take().unwrap_or_default();
                self.put_out(n, outputs)?;
                self.turn(n)?;
            }
            Event::Wake => {
                if self.nodes[n].wake_at <= now {
                    self.nodes[n].wake_at = u64::MAX;
                }
                self.turn(n)?;
            }
        }
        Ok(())
    }

    /// Gives work to idle checking threads.
    fn employ(&mut self, n: usize) {
        while self.nodes[n].checks.idle > 0
            && let Some(take) = self.nodes[n].checks.take()
        {
            let node = &mut self.nodes[n];
            node.checks.idle -= 1;
            let mut done = Vec::new();
            let mut at = self.now;
            let mut lane = None;
            match take {
                Take::Statements { lane: from, frames } => {
                    lane = Some(from);
                    for packet in frames {
                        at += packet.check_ns(0, n, &mut node.seen, &self.costs).round() as u64;
                        done.push((at, Event::Checked { from, packet, part: 0 }));
                    }
                    node.checks.lane_busy[from] += at - self.now;
                }
                Take::Forward { from, packet, part } => {
                    at += packet.check_ns(part, n, &mut node.seen, &self.costs).round() as u64;
                    done.push((at, Event::Checked { from, packet, part }));
                }
                Take::Commands(commands) => {
                    let each = self.costs.check_command_ns + self.costs.verify_batch_ns;
                    at += (commands.len() as f64 * each).round() as u64;
                    done.push((at, Event::Admitted(commands)));
                }
            }
            node.checks.busy += at - self.now;
            for (at, event) in done {
                self.schedule(at, n, event);
            }
            self.schedule(at, n, Event::Free { lane });
        }
    }

    /// Starts a turn of the replica if it is at rest and has something to do.
    fn turn(&mut self, n: usize) -> Result<(), String> {
        let now = now_at(self.now);
        let node = &mut self.nodes[n];
        let nothing = node.messages.is_empty() && node.admissions.is_empty();
        if node.turn.is_some() || nothing && node.replica.wake_at() > now.mono_ms && self.now > 0 {
            if node.turn.is_none() {
                self.set_alarm(n);
            }
            return Ok(());
        }
        let costs = &self.costs;
        let voters = self.links.nodes() as f64;
        let mut ns = costs.turn_ns;
        let mut inputs = Vec::new();
        while inputs.len() < TURN_MESSAGES_MAX
            && let Some((from, message, commands)) = node.messages.pop_front()
        {
            ns += match message {
                VerifiedMessage::Forward(_) => commands as f64 * costs.admit_command_ns,
                _ => costs.message_ns + voters * costs.message_voter_ns + commands as f64 * costs.vote_command_ns,
            };
            inputs.push(Input::Peer { from: NodeId(from as u16), message });
        }
        let mut commands = Vec::new();
        while commands.len() < TURN_COMMANDS_MAX
            && let Some(portion) = node.admissions.pop_front()
        {
            commands.extend_from_slice(&portion);
        }
        ns += commands.len() as f64 * costs.admit_command_ns;
        if !commands.is_empty() {
            inputs.push(Input::Commands(commands));
        }
        let before = (node.replica.store().usage().syncs, node.replica.store().log_bytes());
        let began = Instant::now();
        let outputs = node.replica.turn(now, inputs);
        self.turns_took += began.elapsed();
        let syncs = node.replica.store().usage().syncs - before.0;
        let safety = node.replica.store().safety().map_or(0, <[u8]>::len) as u64 * syncs / 2;
        let bytes = (node.replica.store().log_bytes() - before.1 + safety) as f64;
        let certificate_ns = costs.certificate_ns + voters * costs.certificate_voter_ns;
        for output in &outputs {
            ns += match output {
                Output::Send { message: PeerMessage::Vote(vote), .. } => match vote.unverified().phase {
                    Phase::Replicated => costs.sign_ns,
                    Phase::Certified => costs.sign_ns + certificate_ns,
                },
                Output::Send { message: PeerMessage::AppendEntries(append), .. } => {
                    costs.sign_ns + append.block.entries.len() as f64 * costs.lead_command_ns
                }
                Output::Send { message: PeerMessage::Heartbeat(_), .. } => costs.sign_ns,
                Output::Executed(block) => block.entries.len() as f64 * costs.execute_command_ns + certificate_ns,
                _ => 0.0,
            };
        }
        let sync_ns = syncs as f64 * self.machine.sync_ns + bytes * self.machine.disk_byte_ns;
        ns += sync_ns + bytes * costs.append_byte_ns;
        node.sync_busy += sync_ns.round() as u64;
        let ns = (ns.round() as u64).max(1);
        node.replica_busy += ns;
        node.turn = Some(outputs);
        self.schedule(self.now + ns, n, Event::TurnOver);
        Ok(())
    }

    fn set_alarm(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let at = node.replica.wake_at().saturating_mul(MS).max(self.now + 1);
        if at < node.wake_at {
            node.wake_at = at;
            self.schedule(at, n, Event::Wake);
        }
    }

    fn put_out(&mut self, n: usize, outputs: Vec<Output>) -> Result<(), String> {
        for output in outputs {
            match output {
                Output::Send { to, message } => self.send(n, to, &message)?,
                Output::Executed(block) => {
                    let ids: Vec<CommandId> = block.entries.iter().map(|e| e.receipt.command).collect();
                    self.executed(block.height.0, &ids);
                    let refused =
                        block.entries.iter().find(|e| e.receipt.outcome.code != ledger::Code::Applied.number());
                    self.odd.extend(refused.map(|e| format!("refused: {}", e.receipt.outcome)));
                }
                Output::Answer(_) => {}
                odd => self.odd.push(format!("node {n} at {} ms: {odd:?}", self.now / MS)),
            }
        }
        Ok(())
    }

    fn send(&mut self, n: usize, to: Destination, message: &PeerMessage) -> Result<(), String> {
        let nodes = self.nodes.len();
        let packet = Packet::new(NodeId(n as u16), message, &self.verifier, &self.gateways, nodes)?;
        let packet = Rc::new(packet);
        // Each node begins with the one after itself, so that no node is always served last.
        let all = (1..nodes).map(|step| (n + step) % nodes);
        let receivers: Vec<usize> = match to {
            Destination::All => all.collect(),
            Destination::One(to) => vec![usize::from(to.0)],
        };
        *self.sent.entry(message.name()).or_default() += receivers.len() as u64;
        for peer in receivers {
            let delay = self.links.delay_ns(n, peer);
            let at = self.nodes[n].net.send(self.now, peer, packet.bytes, delay, &self.machine);
            self.schedule(at, peer, Event::Arrive { from: n, packet: packet.clone() });
        }
        Ok(())
    }

    fn executed(&mut self, height: u64, ids: &[CommandId]) {
        let count = self.executed_by.entry(height).or_default();
        *count += 1;
        if *count != self.quorum_answer || ids.is_empty() {
            return;
        }
        let latencies = ids.iter().filter_map(|id| self.submitted.remove(id)).map(|at| self.now - at).collect();
        self.blocks.push(Committed { height, at: self.now, latencies });
    }
}

fn now_at(ns: u64) -> Now {
    Now { wall: START.plus_ms(ns / MS + 1), mono_ms: ns / MS }
}

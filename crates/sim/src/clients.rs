//! The clients: honest parties with accounts, who send commands, try again elsewhere, and believe what enough nodes say.
//!
//! First the cluster is founded: the administrators register a party for each client, each party opens its accounts, the
//! treasury funds them. Then each client sends a random mix of transfers: most of them good, some beyond the balance,
//! from another's account, to an account that is not there; notes; commands that expire soon; and now and then a second
//! command with a sequence already used. A command without a result is sent again after a while, through other nodes.
//!
//! A client accepts a result as the product's own client does ([`client::tally`]): when nodes of a weight above `F` gave
//! identical receipts (under crash faults one is enough). It gives a command up when as many refused it for a reason that stays, or when it has long expired.

use std::collections::{BTreeMap, VecDeque};

use client::tally::{Step, Tally};
use ledger::{Amount, Operation};
use wire::{
    ClusterId, Command, CommandId, FaultModel, Genesis, Guard, Index, Name, Outcome, Receipt, SignedCommand, Time,
};

use crate::plan::{Plan, party_key};
use crate::random::Random;

/// Units of one account after founding.
const FUNDS: u128 = 1000;
/// Commands of one client without a result, at most.
const PENDING_MAX: usize = 24;
/// Commands with an expiry at least this far ahead must get through once the network is healed.
const EXPIRY_MS_LONG: u64 = 3 * 3_600_000;

/// What a command asks for, as the oracles understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A party is registered.
    Register(String),
    /// An account is opened.
    Open(String),
    /// Units are minted into an account.
    Mint(String, u128),
    /// Units are moved.
    Transfer(String, String, u128),
    /// Bytes are kept.
    Note,
}

/// What is known about a command that was signed.
#[derive(Debug, Clone)]
pub struct Known {
    /// In whose name.
    pub party: String,
    /// Its session.
    pub session: u64,
    /// Its place in the session.
    pub sequence: u64,
    /// Not executed in a later block.
    pub expiry: Time,
    /// What it asks for.
    pub wish: Wish,
}

/// A command without a result yet.
struct Pending {
    command: SignedCommand,
    must: bool,
    expiry: Time,
    next_us: u64,
    tries: u64,
    tally: Tally,
    refusals: BTreeMap<usize, Outcome>,
    /// The highest index this crowd had accepted when the command was first sent.
    floor: Option<Index>,
    founding: bool,
}

/// What a node says about a command.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It was executed.
    Receipt(Receipt),
    /// It will not be taken as it stands.
    Refused(CommandId, Outcome),
    /// It is not taken now.
    Busy(CommandId),
}

/// A result that a client believes.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The result.
    pub receipt: Receipt,
    /// The highest index accepted by anyone before the command was first sent: this one must come later.
    pub floor: Option<Index>,
}

/// One client.
struct Client {
    party: String,
    session: u64,
    sequence: u64,
    next_us: u64,
    pending: usize,
}

/// A command on its way to a node.
pub struct Request {
    /// The node.
    pub to: usize,
    /// The command.
    pub command: SignedCommand,
}

/// All clients.
pub struct Crowd {
    cluster: ClusterId,
    clients: Vec<Client>,
    owner: BTreeMap<CommandId, usize>,
    pending: BTreeMap<CommandId, Pending>,
    founding: VecDeque<Vec<(String, Wish)>>,
    found_sequence: u64,
    accepted_max: Option<Index>,
    weights: Vec<u64>,
    enough: u64,
    hostile: bool,
    interval_us: u64,
    fanout: usize,
    retry_us: u64,
    random: Random,
    /// Commands signed, for the oracles.
    pub known: BTreeMap<CommandId, Known>,
    /// Results believed.
    pub accepted: u64,
    /// Commands given up.
    pub given_up: u64,
    /// What was sent, by kind.
    pub kinds: BTreeMap<&'static str, u64>,
}

fn account(client: usize, n: u64) -> String {
    format!("acct-{client}.{n}")
}

fn party(client: usize) -> String {
    format!("party-{client}")
}

impl Crowd {
    /// The clients of a plan.
    pub fn new(plan: &Plan, random: Random) -> Crowd {
        let genesis: &Genesis = &plan.genesis;
        let count = plan.clients;
        let register = (0..count).map(|c| ("admin".to_owned(), Wish::Register(party(c)))).collect();
        let each = |wish: fn(String) -> Wish, by: fn(usize) -> String| {
            (0..count).flat_map(|c| [0, 1].map(|n| (by(c), wish(account(c, n))))).collect::<Vec<_>>()
        };
        let open = each(Wish::Open, party);
        let fund = each(|a| Wish::Mint(a, FUNDS), |_| "treasury".to_owned());
        let client = |c| Client { party: party(c), session: 100 + c as u64, sequence: 0, next_us: 0, pending: 0 };
        let crash = genesis.fault_model == FaultModel::Crash;
        Crowd {
            cluster: genesis.cluster_id(),
            clients: (0..count).map(client).collect(),
            owner: BTreeMap::new(),
            pending: BTreeMap::new(),
            founding: VecDeque::from([register, open, fund]),
            found_sequence: 0,
            accepted_max: None,
            weights: genesis.voters.iter().map(|v| v.weight).collect(),
            enough: plan.enough.unwrap_or(if crash { 1 } else { genesis.faulty_weight + 1 }),
            hostile: plan.hostile,
            interval_us: plan.interval_us,
            fanout: plan.fanout,
            retry_us: 2000 * genesis.parameters.timeout_base_ms,
            random,
            known: BTreeMap::new(),
            accepted: 0,
            given_up: 0,
            kinds: BTreeMap::new(),
        }
    }

    /// Commands that must get through and have not.
    pub fn unanswered(&self) -> impl Iterator<Item = (&CommandId, &Known)> {
        self.pending.iter().filter(|(_, p)| p.must).filter_map(|(id, _)| self.known.get_key_value(id))
    }

    /// True if the cluster is not founded yet.
    pub fn is_founding(&self) -> bool {
        !self.founding.is_empty() || self.pending.values().any(|p| p.founding)
    }

    /// The party a censor picks.
    pub fn victim(plan: &Plan) -> Option<String> {
        (plan.clients > 0).then(|| party(0))
    }

    /// New commands, if `sending`, and old ones again. Also when to be asked next.
    pub fn tick(&mut self, now_us: u64, wall: Time, sending: bool) -> (Vec<Request>, u64) {
        let mut requests = Vec::new();
        self.give_up(wall);
        if !self.pending.values().any(|p| p.founding)
            && let Some(wave) = self.founding.pop_front()
        {
            for (by, wish) in wave {
                self.found_sequence += 1;
                let sequence = self.found_sequence;
                self.send(now_us, wall, None, &by, (1, sequence), wish, &mut requests);
            }
        }
        if !self.is_founding() && sending {
            for c in 0..self.clients.len() {
                if self.clients[c].next_us <= now_us && self.clients[c].pending < PENDING_MAX {
                    self.clients[c].next_us = now_us + 1 + self.interval_us / 2 + self.random.below(self.interval_us);
                    self.new_command(now_us, wall, c, &mut requests);
                }
            }
        }
        self.again(now_us, &mut requests);
        let retries = self.pending.values().map(|p| p.next_us);
        let idle = self.clients.iter().filter(|c| sending && c.pending < PENDING_MAX).map(|c| c.next_us);
        let next = retries.chain(idle).min().unwrap_or(u64::MAX);
        (requests, next.clamp(now_us + 1000, now_us + 1_000_000))
    }

    fn new_command(&mut self, now_us: u64, wall: Time, c: usize, requests: &mut Vec<Request>) {
        let count = self.clients.len();
        let from = account(c, self.random.below(2));
        let to = account(self.random.index(count), self.random.below(2));
        let amount = u128::from(self.random.below(200));
        let wish = match self.random.below(100) {
            0..70 => Wish::Transfer(from, to, amount),
            70..80 => Wish::Transfer(from, to, 100_000 + amount),
            80..85 => Wish::Transfer(account((c + 1) % (count + 1), 0), to, amount),
            85..90 => Wish::Transfer(from, "nobody".to_owned(), amount),
            90..95 => Wish::Open(account(c, self.random.below(3))),
            _ => Wish::Note,
        };
        let client = &mut self.clients[c];
        // Now and then a sequence that is used already, or will be by no one.
        let reused = client.sequence > 0 && self.random.chance(if self.hostile { 700 } else { 30 });
        if !reused {
            client.sequence += if self.random.chance(20) { 3 } else { 1 };
        }
        let (by, place) = (client.party.clone(), (client.session, client.sequence));
        self.send(now_us, wall, Some(c), &by, place, wish, requests);
    }

    #[allow(clippy::too_many_arguments)]
    fn send(
        &mut self,
        now_us: u64,
        wall: Time,
        client: Option<usize>,
        by: &str,
        (session, sequence): (u64, u64),
        wish: Wish,
        requests: &mut Vec<Request>,
    ) {
        let founding = client.is_none();
        let soon = !founding && self.random.chance(if self.hostile { 300 } else { 50 });
        let expiry = wall.plus_ms(if soon { self.random.below(5000) } else { EXPIRY_MS_LONG + 3_600_000 });
        let name = |text: &str| Name::new(text).expect("a proper name");
        let command = Command {
            party: name(by),
            session,
            sequence,
            expiry,
            payload: operation(&wish, self.random.draw()).to_payload(),
            signers: vec![],
        };
        let key = party_key(by);
        let signed = SignedCommand::sign(&self.cluster, command, &[&key]).expect("a key in memory signs");
        let id = signed.id(&self.cluster);
        if self.known.contains_key(&id) {
            return;
        }
        *self.kinds.entry(kind(&wish)).or_default() += 1;
        self.known.insert(id, Known { party: by.to_owned(), session, sequence, expiry, wish });
        if let Some(c) = client {
            self.owner.insert(id, c);
            self.clients[c].pending += 1;
        }
        let retry = self.retry_us / 2 + self.random.below(self.retry_us);
        let pending = Pending {
            must: !soon,
            expiry,
            next_us: now_us + retry,
            tries: 0,
            tally: Tally::default(),
            refusals: BTreeMap::new(),
            floor: self.accepted_max,
            founding,
            command: signed.clone(),
        };
        self.pending.insert(id, pending);
        self.spread(&signed, self.fanout, requests);
    }

    fn spread(&mut self, command: &SignedCommand, count: usize, requests: &mut Vec<Request>) {
        let mut nodes: Vec<usize> = (0..self.weights.len()).collect();
        self.random.shuffle(&mut nodes);
        requests.extend(nodes.into_iter().take(count).map(|to| Request { to, command: command.clone() }));
    }

    fn again(&mut self, now_us: u64, requests: &mut Vec<Request>) {
        let due: Vec<CommandId> = self.pending.iter().filter(|(_, p)| p.next_us <= now_us).map(|(id, _)| *id).collect();
        for id in due {
            let wait = self.retry_us / 2 + self.random.below(self.retry_us);
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            pending.next_us = now_us + wait;
            pending.tries += 1;
            let (command, tries) = (pending.command.clone(), pending.tries);
            let all = self.weights.len();
            self.spread(&command, if tries > 2 { all } else { self.fanout }, requests);
            *self.kinds.entry("retry").or_default() += 1;
        }
    }

    /// Takes a node's answer; the result, if that settles it.
    pub fn on_answer(&mut self, from: usize, answer: Answer) -> Option<Accepted> {
        match answer {
            Answer::Receipt(receipt) => {
                let pending = self.pending.get_mut(&receipt.command)?;
                if pending.tally.add(from, &receipt, &self.weights, self.enough - 1) != Step::Accepted {
                    return None;
                }
                let floor = pending.floor;
                self.settle(&receipt.command);
                self.accepted += 1;
                self.accepted_max = self.accepted_max.max(Some(receipt.index));
                Some(Accepted { receipt, floor })
            }
            Answer::Refused(id, outcome) => {
                let pending = self.pending.get_mut(&id)?;
                // 2: the sequence is used; 3: it is too old. Both stay. The rest may be a node that is behind, or early.
                if outcome.code.0 == 2 || outcome.code.0 == 3 {
                    pending.refusals.insert(from, outcome);
                    let weight: u64 = pending.refusals.keys().map(|node| self.weights[*node]).sum();
                    if weight >= self.enough {
                        self.settle(&id);
                        self.given_up += 1;
                    }
                }
                None
            }
            Answer::Busy(_) => None,
        }
    }

    fn settle(&mut self, id: &CommandId) {
        self.pending.remove(id);
        if let Some(c) = self.owner.remove(id) {
            self.clients[c].pending -= 1;
        }
    }

    /// Forgets what expired long ago by the right clock.
    fn give_up(&mut self, wall: Time) {
        let gone: Vec<CommandId> =
            self.pending.iter().filter(|(_, p)| p.expiry.plus_ms(10_000) < wall).map(|(id, _)| *id).collect();
        for id in gone {
            self.settle(&id);
            self.given_up += 1;
        }
    }
}

fn kind(wish: &Wish) -> &'static str {
    match wish {
        Wish::Register(_) => "register",
        Wish::Open(_) => "open",
        Wish::Mint(..) => "mint",
        Wish::Transfer(..) => "transfer",
        Wish::Note => "note",
    }
}

fn operation(wish: &Wish, salt: u64) -> Operation {
    let name = |text: &str| Name::new(text).expect("a proper name");
    let units = |n: u128| Amount::from_units(n).expect("far below the most");
    match wish {
        Wish::Register(party) => {
            Operation::RegisterParty { name: name(party), guard: Guard::Key(party_key(party).public()) }
        }
        Wish::Open(account) => Operation::CreateAccount { name: name(account) },
        Wish::Mint(account, n) => Operation::Adjust { account: name(account), negative: false, amount: units(*n) },
        Wish::Transfer(from, to, n) => {
            let path = vec![name(from), name(to)];
            Operation::Transfer(ledger::operation::Transfer { path, amount: units(*n) })
        }
        Wish::Note => Operation::Data { data: salt.to_be_bytes().to_vec(), then: None },
    }
}

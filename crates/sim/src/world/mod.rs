//! The run: one queue of events, in the order of the world's time.
//!
//! A run has two phases. In the first anything goes: the plan's schedule of faults, weather, and the adversary. Then
//! the network heals, disks work, clocks are set right, everyone starts who can, and at most `F` go on lying: now every
//! command of an honest client must get through, and all honest nodes learn it, within bounded time.
//!
//! Everything that happens is drawn from the plan's seed, and every event goes into one hash: the same seed gives the
//! same hash on any machine.

mod end;
mod faults;
mod turn;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use consensus::{Offence, VerifiedMessage, Verifier};
use replica::Rules;
use sha2::{Digest, Sha256};
use wire::{PeerMessage, SignedCommand};

use crate::adversary::{Adversary, Utterance};
use crate::clients::{Answer, Crowd};
use crate::clock::{Clock, START};
use crate::coverage::Coverage;
use crate::machine::Machine;
use crate::network::Network;
use crate::oracle::{Failure, Oracles};
use crate::plan::Plan;
use crate::random::Random;

/// Events of one run, at most: a run that needs more does not end.
const EVENTS_MAX: u64 = 60_000_000;
/// How often the adversary speaks on its own.
const DEED_US: u64 = 150_000;
/// Clients send no more when so many heights are executed.
const HEIGHTS_ENOUGH: u64 = 550;
/// The first phase lasts until so many heights are executed, or so long.
pub const HEIGHTS_MIN: u64 = 500;
/// See [`HEIGHTS_MIN`].
pub const SIMULATED_US_MIN: u64 = 300_000_000;

/// One frame on its way. What a verifier says of it is remembered, since that depends on the bytes alone.
pub struct Letter {
    /// The content.
    pub message: PeerMessage,
    /// Its hash, for the trace of all events.
    hash: [u8; 8],
    /// Sent by an honest machine as it was made.
    honest: bool,
    verdict: std::cell::OnceCell<Result<VerifiedMessage, Offence>>,
}

impl Letter {
    fn new(message: PeerMessage, honest: bool) -> Rc<Letter> {
        let digest = Sha256::digest(message.to_frame());
        let hash = digest[..8].try_into().expect("eight of thirty-two bytes");
        Rc::new(Letter { message, hash, honest, verdict: std::cell::OnceCell::new() })
    }
}

/// What can happen.
enum Event {
    /// A frame arrives; `life` of the link's end is not asked for, as a link outlives a process.
    Arrive { to: usize, from: usize, letter: Rc<Letter> },
    /// A client's command arrives.
    Request { to: usize, command: SignedCommand },
    /// A node's answer reaches its client.
    Answer { from: usize, answer: Answer },
    /// A process looks at what came in, or at its timers.
    Turn { machine: usize, life: u64, timer: bool },
    /// A machine starts again.
    Restart { machine: usize },
    /// The next fault of the schedule.
    Fault { step: usize },
    /// Clients look at what to send.
    Clients,
    /// The adversary says something on its own.
    Deed,
    /// The second phase begins.
    Heal,
}

impl Event {
    /// A number and the place, for the hash of all events.
    fn mark(&self) -> (u8, usize, usize) {
        match self {
            Event::Arrive { to, from, .. } => (1, *to, *from),
            Event::Request { to, .. } => (2, *to, 0),
            Event::Answer { from, .. } => (3, *from, 0),
            Event::Turn { machine, timer, .. } => (4, *machine, usize::from(*timer)),
            Event::Restart { machine } => (5, *machine, 0),
            Event::Fault { step } => (6, *step, 0),
            Event::Clients => (7, 0, 0),
            Event::Deed => (8, 0, 0),
            Event::Heal => (9, 0, 0),
        }
    }
}

struct Scheduled {
    at_us: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The rule broken, if one was.
    pub failure: Option<Failure>,
    /// The world's time at the end, in microseconds.
    pub simulated_us: u64,
    /// Events.
    pub events: u64,
    /// Heights executed.
    pub heights: u64,
    /// Log entries executed.
    pub entries: usize,
    /// Results that clients believe.
    pub accepted: u64,
    /// The highest term any node entered.
    pub terms: u64,
    /// The hash of all events.
    pub hash: String,
    /// What was exercised.
    pub coverage: Coverage,
}

/// Runs a plan under rules, and prints every event to `trace` if there is one.
pub fn run<'p, R: Rules>(plan: &'p Plan, trace: Option<&'p mut (dyn FnMut(&str) + 'p)>) -> Report {
    let mut report = Report {
        seed: plan.seed,
        failure: None,
        simulated_us: 0,
        events: 0,
        heights: 0,
        entries: 0,
        accepted: 0,
        terms: 0,
        hash: String::new(),
        coverage: Coverage::default(),
    };
    // A panic of the code under test is a finding like any other.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| World::<R>::new(plan, trace).run())) {
        Ok(finished) => report = finished,
        Err(why) => {
            let text = why.downcast_ref::<String>().cloned();
            let text = text.or_else(|| why.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            report.failure = Some(Failure::new("panic", text.unwrap_or_default()));
        }
    }
    report
}

/// See the module documentation.
pub struct World<'p, R: Rules> {
    plan: &'p Plan,
    now_us: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    machines: Vec<Machine<R>>,
    network: Network,
    verifier: Verifier<R>,
    crowd: Crowd,
    adversary: Adversary,
    oracles: Oracles,
    /// Draws everything that is nobody else's.
    random: Random,
    healed: bool,
    /// When every client's command must have got through.
    deadline_us: u64,
    events: u64,
    terms: u64,
    hash: Sha256,
    coverage: Coverage,
    trace: Option<&'p mut (dyn FnMut(&str) + 'p)>,
}

impl<'p, R: Rules> World<'p, R> {
    /// The world before its first event.
    pub fn new(plan: &'p Plan, trace: Option<&'p mut (dyn FnMut(&str) + 'p)>) -> World<'p, R> {
        let seed = plan.seed;
        let voter_of = |m: usize| match m.checked_sub(plan.genesis.voters.len()) {
            None => m,
            Some(double) => plan.twins[double],
        };
        let machines = (0..plan.machines())
            .map(|m| {
                let (drift, offset) = plan.clocks[m];
                let voter = voter_of(m);
                Machine::new(voter, m, !plan.is_faulty(voter), Clock::new(drift, offset))
            })
            .collect();
        let weather = plan.weather;
        let mut world = World {
            plan,
            now_us: 0,
            queue: BinaryHeap::new(),
            scheduled: 0,
            machines,
            network: Network::new(plan.matrix.clone(), weather, plan.machines(), Random::of(seed, "network")),
            verifier: replica::verifier_under(&plan.genesis),
            crowd: Crowd::new(plan, Random::of(seed, "clients")),
            adversary: Adversary::new(
                &plan.genesis,
                &plan.guilty,
                &plan.strategies,
                Crowd::victim(plan),
                plan.relentless,
                Random::of(seed, "adversary"),
            ),
            oracles: Oracles::new(plan),
            random: Random::of(seed, "world"),
            healed: false,
            deadline_us: u64::MAX,
            events: 0,
            terms: 0,
            hash: Sha256::new(),
            coverage: Coverage::default(),
            trace,
        };
        for strategy in &plan.strategies {
            world.coverage.hit("strategy", &format!("{strategy:?}"));
        }
        world
            .coverage
            .hit("model", &format!("{:?} with {} voters", plan.genesis.fault_model, plan.genesis.voters.len()));
        for machine in 0..plan.machines() {
            let at = world.random.below(20_000);
            world.schedule(at, Event::Restart { machine });
        }
        for (step, planned) in plan.steps.iter().enumerate() {
            world.schedule(planned.at_us, Event::Fault { step });
        }
        world.schedule(50_000, Event::Clients);
        if world.adversary.exists() && !plan.strategies.is_empty() {
            world.schedule(DEED_US, Event::Deed);
        }
        world.schedule(plan.safety_us, Event::Heal);
        world
    }

    /// Runs to the end, or to the first broken rule.
    pub fn run(mut self) -> Report {
        let failure = self.play().err();
        if let Some(failure) = &failure {
            self.note(|| format!("FAILED {failure}"));
        }
        for (what, count) in &self.adversary.deeds {
            self.coverage.add("deed", what, *count);
        }
        for (what, count) in &self.crowd.kinds {
            self.coverage.add("command", what, *count);
        }
        self.coverage.add("command", "accepted", self.crowd.accepted);
        self.coverage.add("command", "given up", self.crowd.given_up);
        let digest = self.hash.clone().finalize();
        Report {
            seed: self.plan.seed,
            failure,
            simulated_us: self.now_us,
            events: self.events,
            heights: self.oracles.height().0,
            entries: self.oracles.entries(),
            accepted: self.crowd.accepted,
            terms: self.terms,
            hash: digest.iter().take(8).map(|b| format!("{b:02x}")).collect(),
            coverage: self.coverage,
        }
    }

    fn play(&mut self) -> Result<(), Failure> {
        while let Some(Reverse(next)) = self.queue.pop() {
            if next.at_us > self.deadline_us {
                return self.too_late();
            }
            self.now_us = next.at_us;
            self.events += 1;
            if self.events > EVENTS_MAX {
                return Err(Failure::new("spin", format!("{EVENTS_MAX} events by {} ms", self.now_us / 1000)));
            }
            let (mark, a, b) = next.event.mark();
            self.hash.update(self.now_us.to_be_bytes());
            self.hash.update([mark, a as u8, b as u8]);
            self.happen(next.event)?;
            if self.healed && self.crowd.unanswered().next().is_none() && self.is_level() {
                return self.finish();
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Arrive { to, from, letter } => self.arrive(to, from, letter),
            Event::Request { to, command } => self.request(to, command),
            Event::Answer { from, answer } => return self.answered(from, answer),
            Event::Turn { machine, life, timer } => return self.turn(machine, life, timer),
            Event::Restart { machine } => return self.restart(machine),
            Event::Fault { step } => {
                if !self.healed {
                    self.inflict(step);
                }
            }
            Event::Clients => self.clients(),
            Event::Deed => self.deeds(),
            Event::Heal => {
                let done = self.oracles.height().0 >= HEIGHTS_MIN || self.now_us >= SIMULATED_US_MIN;
                if done || self.plan.is_short { self.heal() } else { self.again() }
            }
        }
        Ok(())
    }

    /// Not enough has happened: the schedule of faults once more.
    fn again(&mut self) {
        for (step, planned) in self.plan.steps.iter().enumerate() {
            self.schedule(self.now_us + planned.at_us, Event::Fault { step });
        }
        self.schedule((self.now_us + self.plan.safety_us).min(SIMULATED_US_MIN), Event::Heal);
    }

    fn schedule(&mut self, at_us: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at_us: at_us.max(self.now_us), number: self.scheduled, event }));
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        let at = self.now_us;
        if let Some(trace) = &mut self.trace {
            trace(&format!("{:>7}.{:03} {}", at / 1000, at % 1000, text()));
        }
    }

    /// The world's wall clock, if it were right.
    fn wall(&self) -> wire::Time {
        START.plus_ms(self.now_us / 1000 + 1)
    }

    // ---- clients

    fn clients(&mut self) {
        let enough = self.oracles.height().0 >= HEIGHTS_ENOUGH && !self.plan.is_short;
        let (requests, next) = self.crowd.tick(self.now_us, self.wall(), !self.healed && !enough);
        for request in requests {
            if let Some(delay) = self.network.client_delay_us(request.to) {
                self.schedule(self.now_us + delay, Event::Request { to: request.to, command: request.command });
            }
        }
        self.schedule(next, Event::Clients);
    }

    fn answered(&mut self, from: usize, answer: Answer) -> Result<(), Failure> {
        if let Some(accepted) = self.crowd.on_answer(from, answer) {
            self.note(|| format!("a client accepts {:?}", accepted.receipt));
            self.oracles.accepted(&accepted)?;
        }
        Ok(())
    }

    // ---- the adversary

    fn deeds(&mut self) {
        for whisper in self.adversary.act(self.now_us) {
            let letter = match whisper.utterance {
                Utterance::Message(message) => Some(Letter::new(message, false)),
                Utterance::Bytes(bytes) => self.read(&bytes),
            };
            if let Some(letter) = letter {
                self.oracles.learn(&letter.message);
                self.post(whisper.from, whisper.to, 0, &letter);
            }
        }
        let pause = DEED_US / 2 + self.random.below(DEED_US);
        self.schedule(self.now_us + pause, Event::Deed);
    }

    /// What a receiver makes of the content of a frame.
    fn read(&mut self, bytes: &[u8]) -> Option<Rc<Letter>> {
        match PeerMessage::from_frame(bytes) {
            Ok(message) => Some(Letter::new(message, false)),
            Err(_) => {
                self.coverage.hit("refused", "undecodable");
                None
            }
        }
    }

    /// Puts a letter on its way to a voter: to every machine that is that voter, or to one of its twins.
    fn post(&mut self, from: usize, to_voter: usize, late_us: u64, letter: &Rc<Letter>) {
        let doubles: Vec<usize> = self.doubles_of(to_voter);
        let only = if doubles.len() > 1 { self.random.below(3) as usize } else { usize::MAX };
        for (n, to) in doubles.into_iter().enumerate() {
            if only < 2 && only != n || to == from {
                continue;
            }
            let arrivals = self.network.arrivals(self.now_us + late_us, from, to);
            for at in [arrivals.first, arrivals.second].into_iter().flatten() {
                self.schedule(at, Event::Arrive { to, from, letter: letter.clone() });
            }
        }
    }

    /// The machines that hold a voter's key.
    fn doubles_of(&self, voter: usize) -> Vec<usize> {
        let twins = self.plan.twins.iter().enumerate().filter(|(_, v)| **v == voter);
        std::iter::once(voter).chain(twins.map(|(n, _)| self.plan.genesis.voters.len() + n)).collect()
    }

    /// The voters that are honest and whole, and whose machines are therefore to end level.
    fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.machines.len()).filter(|m| self.machines[*m].honest)
    }

    /// True if all honest machines stand at the height that the first of them reached.
    fn is_level(&self) -> bool {
        let height = self.oracles.height();
        self.honest().all(|m| {
            let replica = self.machines[m].replica.as_ref();
            replica.is_some_and(|r| r.ledger().height() == height)
        })
    }

    fn too_late(&self) -> Result<(), Failure> {
        let waiting: Vec<String> =
            self.crowd.unanswered().take(3).map(|(id, k)| format!("{id} {:?}", k.wish)).collect();
        let stand: Vec<String> = self
            .machines
            .iter()
            .enumerate()
            .map(|(m, machine)| match (&machine.replica, &machine.dead) {
                (Some(r), _) => {
                    let s = r.status();
                    let (role, term) = (s.role.name(), s.term);
                    format!(
                        "{m}: {role} t{term} h{}/{} pool {} above {}",
                        s.height, s.height_known, s.pool, s.uncommitted
                    )
                }
                (None, why) => format!("{m}: down {why:?}"),
            })
            .collect();
        let text = format!("unanswered {waiting:?}; {}", stand.join("; "));
        Err(Failure::new("liveness", text))
    }

    fn count_roles(&mut self) {
        let roles: BTreeMap<&'static str, u64> =
            self.machines.iter().filter_map(|m| m.replica.as_ref()).fold(BTreeMap::new(), |mut roles, r| {
                *roles.entry(r.status().role.name()).or_default() += 1;
                roles
            });
        for (role, count) in roles {
            self.coverage.add("role", role, count);
        }
    }
}

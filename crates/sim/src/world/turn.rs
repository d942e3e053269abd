//! What a machine does with what came in.

use std::rc::Rc;

use consensus::Destination;
use replica::{ExecutedBlock, HaltReason, Input, Output, Rules};
use sha2::Digest;
use wire::{PeerMessage, SignedCommand};

use super::{Event, Letter, World};
use crate::adversary::Utterance;
use crate::clients::Answer;
use crate::machine::Incoming;
use crate::oracle::Failure;
use crate::trace;

/// What waits at one machine, at most: a real node's queues are bounded as well, and drop.
const INBOX_MAX: usize = 20_000;
/// Timers that may ring at one moment.
const SPINS_MAX: u32 = 2000;

impl<R: Rules> World<'_, R> {
    pub(super) fn arrive(&mut self, to: usize, from: usize, letter: Rc<Letter>) {
        self.hash.update(letter.hash);
        let message = &letter.message;
        self.coverage.hit("message", message.name());
        let voter = self.machines[to].voter;
        let censored = !self.machines[to].honest && self.adversary.censors(self.now_us, voter, message);
        if !self.machines[to].is_up() || self.machines[to].inbox.len() >= INBOX_MAX || censored {
            return;
        }
        let sender = self.machines[from].voter;
        self.note(|| format!("{to} <- {from}: {}", trace::describe(&letter.message)));
        self.machines[to].inbox.push_back(Incoming::Letter { from: sender, letter });
        self.wake(to);
    }

    pub(super) fn request(&mut self, to: usize, command: SignedCommand) {
        let doubles = self.doubles_of(to);
        let to = doubles[self.random.index(doubles.len())];
        let voter = self.machines[to].voter;
        let one = std::slice::from_ref(&command);
        if !self.machines[to].honest && self.adversary.censors_commands(self.now_us, voter, one) {
            return;
        }
        if self.machines[to].is_up() && self.machines[to].inbox.len() < INBOX_MAX {
            self.machines[to].inbox.push_back(Incoming::Request(command));
            self.wake(to);
        }
    }

    /// Schedules a turn, unless one is.
    fn wake(&mut self, machine: usize) {
        let slice = self.plan.slice_us;
        let late = if slice > 0 { self.random.below(slice) } else { 0 };
        let m = &mut self.machines[machine];
        if m.turn_at_us.is_none() {
            let at = (self.now_us + late).max(m.busy_until_us);
            m.turn_at_us = Some(at);
            let life = m.life;
            self.schedule(at, Event::Turn { machine, life, timer: false });
        }
    }

    pub(super) fn turn(&mut self, machine: usize, life: u64, timer: bool) -> Result<(), Failure> {
        let now_us = self.now_us;
        let m = &mut self.machines[machine];
        if m.life != life || !m.is_up() {
            return Ok(());
        }
        if m.busy_until_us > now_us {
            // Busy, or standing still: later.
            let at = m.busy_until_us;
            if timer {
                m.wake_at_us = Some(at);
            } else {
                m.turn_at_us = Some(at);
            }
            self.schedule(at, Event::Turn { machine, life, timer });
            return Ok(());
        }
        if timer {
            if m.wake_at_us != Some(now_us) {
                return Ok(()); // Set anew since.
            }
            m.wake_at_us = None;
            m.spins = if m.spins.0 == now_us { (now_us, m.spins.1 + 1) } else { (now_us, 1) };
            if m.spins.1 > SPINS_MAX {
                return Err(Failure::new("spin", format!("machine {machine}: a timer rings for ever")));
            }
        } else {
            m.turn_at_us = None;
        }
        let incoming: Vec<Incoming> = m.inbox.drain(..).collect();
        let inputs = self.verify(machine, incoming)?;
        let m = &mut self.machines[machine];
        let now = m.clock.now(now_us);
        let Some(replica) = &mut m.replica else { return Ok(()) };
        let syncs = replica.store().usage().syncs;
        let outputs = replica.turn(now, inputs);
        let synced = replica.store().usage().syncs != syncs;
        let done_us = now_us + if synced { m.sync_us(now_us, self.plan.sync_us) } else { 0 };
        m.busy_until_us = done_us;
        self.carry_out(machine, done_us, outputs)?;
        self.set_timer(machine);
        self.look_at(machine)
    }

    /// Checks what came in, as a node does before its replica sees it.
    fn verify(&mut self, machine: usize, incoming: Vec<Incoming>) -> Result<Vec<Input>, Failure> {
        let mut inputs = Vec::with_capacity(incoming.len());
        let mut commands = Vec::new();
        for one in incoming {
            match one {
                Incoming::Request(command) => commands.push(command),
                Incoming::Letter { from, letter } => {
                    let id = wire::NodeId(from as u16);
                    let verdict = letter.verdict.get_or_init(|| self.verifier.verify(id, letter.message.clone()));
                    match verdict {
                        Ok(message) => inputs.push(Input::Peer { from: id, message: message.clone() }),
                        Err(offence) => {
                            if letter.honest {
                                let said = trace::describe(&letter.message);
                                let text =
                                    format!("machine {machine} refuses what honest {from} said: {offence}: {said}");
                                return Err(Failure::new("refused", text));
                            }
                            self.coverage.hit("refused", offence.name());
                            if let Some(evidence) = offence.evidence() {
                                inputs.push(evidence.into());
                            }
                        }
                    }
                }
            }
        }
        let ids: Vec<_> = commands.iter().map(|c| c.id(&self.plan.genesis.cluster_id())).collect();
        self.machines[machine].waiters.extend(ids.into_iter().map(|id| (id, ())));
        let verified: Vec<_> = self.verifier.verify_commands(commands).into_iter().flatten().collect();
        if !verified.is_empty() {
            inputs.push(Input::Commands(verified));
        }
        Ok(inputs)
    }

    pub(super) fn carry_out(&mut self, machine: usize, at_us: u64, outputs: Vec<Output>) -> Result<(), Failure> {
        let honest = self.machines[machine].honest;
        let later_us = at_us - self.now_us;
        for output in outputs {
            match output {
                Output::Send { to, message } => self.send(machine, later_us, to, message)?,
                Output::Executed(block) => self.executed(machine, at_us, block)?,
                Output::Answer(receipt) => self.reply(machine, at_us, Answer::Receipt(receipt)),
                Output::Busy(id) => self.reply(machine, at_us, Answer::Busy(id)),
                Output::Refused { command, outcome } => {
                    self.reply(machine, at_us, Answer::Refused(command, outcome));
                }
                Output::Evidence(evidence) => {
                    self.coverage.hit("evidence", evidence.offence());
                    if honest {
                        let accused = usize::from(evidence.accused().0);
                        self.oracles.accused(machine, accused, evidence.offence())?;
                    }
                }
                Output::Alert(text) => {
                    self.coverage.hit("alert", text.split(' ').next().unwrap_or("none"));
                    self.note(|| format!("{machine} alerts: {text}"));
                }
                Output::Halted(reason) => self.halted(machine, reason)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, machine: usize, later_us: u64, to: Destination, message: PeerMessage) -> Result<(), Failure> {
        let voter = self.machines[machine].voter;
        let honest = self.machines[machine].honest;
        if honest {
            self.oracles.sent(voter, &message)?;
        } else {
            self.oracles.learn(&message);
        }
        self.adversary.overhear(voter, &message);
        let recipients: Vec<usize> = match to {
            Destination::All => (0..self.plan.genesis.voters.len()).filter(|v| *v != voter).collect(),
            Destination::One(id) => vec![usize::from(id.0)],
        };
        let guilty = self.plan.guilty.contains(&voter);
        let letter = Letter::new(message, honest);
        for to in recipients {
            if !guilty {
                self.post(machine, to, later_us, &letter);
                continue;
            }
            for (late_us, utterance) in self.adversary.bend(self.now_us, voter, to, &letter.message) {
                let bent = match utterance {
                    Utterance::Message(message) => Some(Letter::new(message, false)),
                    Utterance::Bytes(bytes) => self.read(&bytes),
                };
                if let Some(bent) = bent {
                    self.oracles.learn(&bent.message);
                    self.post(machine, to, later_us + late_us, &bent);
                }
            }
        }
        Ok(())
    }

    fn executed(&mut self, machine: usize, at_us: u64, block: ExecutedBlock) -> Result<(), Failure> {
        self.note(|| format!("{machine} executes height {} with {} entries", block.height, block.entries.len()));
        if self.machines[machine].honest {
            self.oracles.executed(machine, &block, &self.crowd.known)?;
            self.coverage.hit("commit", if block.entries.is_empty() { "empty block" } else { "block" });
        }
        for entry in block.entries {
            let code = ledger::Code::of(entry.receipt.outcome.code).map_or("unknown", ledger::Code::name);
            self.coverage.hit("outcome", code);
            if self.machines[machine].waiters.remove(&entry.receipt.command).is_some() {
                self.reply(machine, at_us, Answer::Receipt(entry.receipt));
            }
        }
        Ok(())
    }

    fn reply(&mut self, machine: usize, at_us: u64, answer: Answer) {
        let voter = self.machines[machine].voter;
        let answer = match answer {
            Answer::Receipt(receipt) if self.plan.guilty.contains(&voter) => {
                Answer::Receipt(self.adversary.lie(self.now_us, voter, &receipt))
            }
            answer => answer,
        };
        if let Some(delay) = self.network.client_delay_us(machine) {
            self.schedule(at_us + delay, Event::Answer { from: voter, answer });
        }
    }

    fn halted(&mut self, machine: usize, reason: HaltReason) -> Result<(), Failure> {
        self.note(|| format!("{machine} halts: {reason}"));
        let m = &mut self.machines[machine];
        if let HaltReason::Disk(_) = &reason {
            self.coverage.hit("halt", "disk");
            if m.disk_fails || !m.honest {
                self.disk_gave_up(machine);
                return Ok(());
            }
        } else {
            self.coverage.hit("halt", "finding");
        }
        if m.honest {
            return Err(Failure::new("halt", format!("honest machine {machine} halts: {reason}")));
        }
        m.dead = Some(reason.to_string());
        Ok(())
    }

    /// Schedules the replica's next timer.
    pub(super) fn set_timer(&mut self, machine: usize) {
        let now_us = self.now_us;
        let m = &mut self.machines[machine];
        let Some(replica) = &m.replica else { return };
        let mono = replica.wake_at();
        if mono == u64::MAX {
            m.wake_at_us = None;
            return;
        }
        let at = m.clock.when(now_us, mono).max(m.busy_until_us);
        if m.wake_at_us != Some(at) {
            m.wake_at_us = Some(at);
            let life = m.life;
            self.schedule(at, Event::Turn { machine, life, timer: true });
        }
    }

    /// Bounds on what one node holds.
    fn look_at(&mut self, machine: usize) -> Result<(), Failure> {
        let m = &self.machines[machine];
        if !self.events.is_multiple_of(64) || !m.honest {
            return Ok(());
        }
        let Some(replica) = &m.replica else { return Ok(()) };
        let status = replica.status();
        self.terms = self.terms.max(status.term.0);
        // Two windows of votes in two phases for each voter, and one window of blocks and proposals with what it needs.
        let voters = self.plan.genesis.voters.len();
        let held_max = 400 * voters + 1000;
        if status.held > held_max || status.pool > self.plan.pool_max {
            let text = format!("machine {machine} holds {} items, {} commands", status.held, status.pool);
            return Err(Failure::new("memory", text));
        }
        if self.events.is_multiple_of(4096) {
            self.count_roles();
        }
        Ok(())
    }
}

//! The turn: admit, order, append, sync, send, apply, answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use consensus::{
    Destination, Effects, Engine, EngineConfig, HaltReason, Now, Rule, VerifiedBlock, VerifiedEvidence, VerifiedMessage,
};
use ledger::{Admission, Answer, Ledger, Query};
use store::{Batch, Disk, Store};
use wire::limits::{BLOCK_BYTES_MAX, BLOCK_TIME_AHEAD_MS_MAX, COMMAND_BYTES_MAX, SUBMIT_COMMANDS_MAX};
use wire::peer::{Commands, Fetch};
use wire::{
    ClusterId, CommandId, Encode, Epoch, Evidence, Executed, Genesis, Hash, Height, NodeId, Outcome, Parameters,
    PeerMessage, Receipt, Signer, Term, Time, VerifiedCommand,
};

use crate::journal::{self, Index};
use crate::pace::Pace;
use crate::pool::{NotTaken, PASSED_OVER_MAX, Pool};
use crate::recovery::{self, OpenError, Progress};
use crate::rules::{Rules, Standard};

/// What a replica is made from.
pub struct Config {
    /// The cluster.
    pub genesis: Genesis,
    /// Which voter this is.
    pub me: NodeId,
    /// Signs for it.
    pub signer: Arc<dyn Signer>,
    /// Commands that may wait before clients are told "busy".
    pub pool_commands_max: usize,
}

/// What comes in.
#[derive(Debug)]
pub enum Input {
    /// A peer's message, verified.
    Peer {
        /// The identity of the link.
        from: NodeId,
        /// The message.
        message: VerifiedMessage,
    },
    /// Commands of this node's clients, signatures checked.
    Commands(Vec<VerifiedCommand>),
}

/// What goes out, in order.
#[derive(Debug)]
pub enum Output {
    /// A message; what it promises is durable.
    Send {
        /// To whom.
        to: Destination,
        /// The message.
        message: PeerMessage,
    },
    /// A committed block was executed: answer those who wait for its commands.
    Executed(ExecutedBlock),
    /// A command was executed before: the first result.
    Answer(Receipt),
    /// Not taken, for now.
    Busy(CommandId),
    /// Not taken, and never will be as it stands.
    Refused {
        /// The command.
        command: CommandId,
        /// Why.
        outcome: Outcome,
    },
    /// New proof against a node.
    Evidence(Evidence),
    /// For the operator.
    Alert(String),
    /// The node stopped voting and executing. It still answers status, and queries at the height it reached.
    Halted(HaltReason),
}

/// A committed, executed block.
#[derive(Debug, Clone)]
pub struct ExecutedBlock {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: Time,
    /// Receipt and diff of each entry, for those who wait for it. The receipt of a command that was executed before is
    /// that of the first time, as for any retry; the log's own receipt of the repetition says so and stands in the tree.
    pub entries: Vec<ledger::Executed>,
    /// The session of each entry.
    pub sessions: Vec<u64>,
    /// The root over all tables after it.
    pub state_root: Hash,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Asks its peers what it signed before it started.
    Rejoining,
    /// Votes.
    Voter,
    /// Votes and proposes.
    Leader,
    /// Stopped by its own finding.
    Quarantined,
}

impl Role {
    /// The word used in status pages and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Role::Rejoining => "rejoining",
            Role::Voter => "voter",
            Role::Leader => "leader",
            Role::Quarantined => "quarantined",
        }
    }
}

/// Where a replica stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The membership in force.
    pub epoch: Epoch,
    /// The term entered.
    pub term: Term,
    /// Who leads it; none while this node has asked for another term.
    pub leader: Option<NodeId>,
    /// What this node does.
    pub role: Role,
    /// Committed and executed height.
    pub height: Height,
    /// The highest committed height it has proof of.
    pub height_known: Height,
    /// Time of the newest committed block.
    pub time: Time,
    /// Log entries executed.
    pub entries: u64,
    /// The root over all tables.
    pub state_root: Hash,
    /// The root over all receipts.
    pub receipts_root: Hash,
    /// The root over all log entries.
    pub log_root: Hash,
    /// Commands waiting.
    pub pool: usize,
    /// Blocks above the committed height.
    pub uncommitted: usize,
    /// Statements and blocks of the protocol held in memory; bounded whatever peers send.
    pub held: usize,
    /// Offences proven, by node.
    pub evidence: Vec<(NodeId, &'static str)>,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Why it stopped, if it did.
    pub halted: Option<String>,
}

/// Engine, store and ledger as one machine.
///
/// Invariant: what `ledger` has executed is exactly what `engine` has committed and `index` lists as committed.
pub struct Replica<D: Disk, R: Rules = Standard> {
    genesis: Genesis,
    cluster: ClusterId,
    me: NodeId,
    parameters: Parameters,
    engine: Engine<R>,
    store: Store<D>,
    ledger: Ledger,
    index: Index,
    pool: Pool,
    /// Term the pool's queue belongs to, and whether this node leads it.
    pool_term: (Term, bool),
    term_entered_ms: u64,
    committed_ms: u64,
    halted: Option<HaltReason>,
    pace: Pace,
    /// A safety record not written yet: only where the rule that it comes first is taken out.
    late_safety: Option<Vec<u8>>,
}

impl<D: Disk> Replica<D> {
    /// Takes up an opened store: re-executes its log, and starts from the promises in its safety record.
    ///
    /// # Errors
    /// If the log cannot be read or executed to the results its committed blocks certify.
    pub fn open(
        config: Config,
        store: Store<D>,
        now: Now,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replica<D>, OpenError> {
        Replica::open_under(config, store, now, progress)
    }
}

impl<D: Disk, R: Rules> Replica<D, R> {
    /// The same under rules of the caller's; for a simulator that takes one out.
    ///
    /// # Errors
    /// As [`Replica::open`].
    pub fn open_under(
        config: Config,
        store: Store<D>,
        now: Now,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replica<D, R>, OpenError> {
        config.genesis.check()?;
        let membership = config.genesis.membership();
        if membership.voter(config.me).is_none() {
            return Err(OpenError::NotAVoter(config.me));
        }
        let recovered = recovery::recover::<D, R>(&config.genesis, &store, progress)?;
        let cluster = config.genesis.cluster_id();
        let parameters = config.genesis.parameters.clone();
        let engine_config =
            EngineConfig { cluster, me: config.me, membership, parameters: parameters.clone(), signer: config.signer };
        let mut engine = Engine::<R>::under(engine_config, recovered.start, now);
        for evidence in recovered.evidence {
            engine.restore_evidence(evidence);
        }
        Ok(Replica {
            cluster,
            me: config.me,
            parameters,
            engine,
            store,
            ledger: recovered.ledger,
            index: recovered.index,
            pool: Pool::new(config.pool_commands_max),
            pool_term: (Term::ZERO, false),
            term_entered_ms: now.mono_ms,
            committed_ms: now.mono_ms,
            halted: None,
            pace: {
                let p = &config.genesis.parameters;
                Pace::new(p.slow_leader_percent, p.slow_leader_ms, p.timeout_base_ms / 16)
            },
            late_safety: None,
            genesis: config.genesis,
        })
    }

    /// Works on a batch of inputs, or, with none, on the timers. Everything pending is covered by one durable write as
    /// far as possible.
    pub fn turn(&mut self, now: Now, inputs: Vec<Input>) -> Vec<Output> {
        let mut out = Vec::new();
        if self.halted.is_some() {
            self.refuse_all(inputs, &mut out);
            return out;
        }
        let mut fx = Effects::default();
        let mut forwards = Vec::new();
        for input in inputs {
            match input {
                Input::Peer { from, message } => self.on_message(now, from, message, &mut fx),
                Input::Commands(commands) => self.on_commands(now, commands, &mut forwards, &mut out),
            }
        }
        self.forward(Destination::One(self.engine.status().leader), forwards, &mut out);
        self.watch_deadlines(now, &mut fx, &mut out);
        loop {
            self.engine.settle(now, &mut fx);
            self.follow_term(now, &mut out);
            self.propose(now, &mut fx);
            self.engine.seal(&mut fx);
            if fx.is_empty() || self.halted.is_some() {
                break;
            }
            self.carry_out(now, std::mem::take(&mut fx), &mut out);
        }
        out
    }

    /// `mono_ms` of the next timer.
    pub fn wake_at(&self) -> u64 {
        if self.halted.is_some() {
            return u64::MAX;
        }
        let mut at = self.engine.wake_at();
        if self.pool.queued() > 0 && self.engine.room().is_some() {
            at = at.min(self.pool.queued_since_ms() + self.parameters.batch_delay_ms);
        }
        if self.engine.certifies_idle() {
            at = at.min(self.committed_ms + self.parameters.heartbeat_ms);
        }
        if !R::holds(Rule::CommandDeadlines) {
            return at;
        }
        let timeout = self.engine.timeout_ms();
        // A node that has asked for another term, or may not vote yet, has nobody left to give up.
        if let (false, Some(arrived)) = (self.engine.status().electing, self.pool.oldest()) {
            at = at.min(arrived.max(self.term_entered_ms).max(self.committed_ms) + timeout);
        }
        if let Some(arrived) = self.pool.next_to_pass_on() {
            at = at.min(arrived.max(self.term_entered_ms) + timeout / 2);
        }
        at
    }

    // ---- admit

    fn on_message(&mut self, now: Now, from: NodeId, message: VerifiedMessage, fx: &mut Effects) {
        if let VerifiedMessage::Forward(commands) = message {
            for command in commands {
                // What cannot be admitted, or finds the pool full, is its sender's to try again.
                if self.ledger.admit(&command, self.admission_time(now)).is_ok() {
                    let _ = self.pool.insert(command, false, now.mono_ms, self.pool_term.1);
                }
            }
            return;
        }
        self.engine.on_message(now, from, message, fx);
    }

    fn on_commands(
        &mut self,
        now: Now,
        commands: Vec<VerifiedCommand>,
        forwards: &mut Vec<VerifiedCommand>,
        out: &mut Vec<Output>,
    ) {
        let time = self.admission_time(now);
        for command in commands {
            let id = command.id();
            match self.ledger.admit(&command, time) {
                Err(Admission::Executed(receipt)) => out.push(Output::Answer(*receipt)),
                Err(Admission::Refused(outcome)) => out.push(Output::Refused { command: id, outcome }),
                Ok(()) => {
                    let again = (!self.pool_term.1).then(|| command.clone());
                    match self.pool.insert(command, true, now.mono_ms, self.pool_term.1) {
                        Ok(()) => forwards.extend(again),
                        Err(NotTaken::Known) => {}
                        Err(NotTaken::Full) => out.push(Output::Busy(id)),
                    }
                }
            }
        }
    }

    /// The time against which expiry is judged at admission: about what the next block's will be.
    fn admission_time(&self, now: Now) -> Time {
        self.ledger.time().max(now.wall)
    }

    fn entries(&self) -> u64 {
        self.ledger.next_index().0
    }

    fn refuse_all(&self, inputs: Vec<Input>, out: &mut Vec<Output>) {
        for input in inputs {
            if let Input::Commands(commands) = input {
                out.extend(commands.iter().map(|c| Output::Busy(c.id())));
            }
        }
    }

    fn forward(&self, to: Destination, commands: Vec<VerifiedCommand>, out: &mut Vec<Output>) {
        if commands.is_empty() || to == Destination::One(self.me) {
            return;
        }
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for command in commands {
            bytes += command.signed().bytes().len();
            chunk.push(command.signed().clone());
            if bytes > BLOCK_BYTES_MAX / 2 || chunk.len() >= SUBMIT_COMMANDS_MAX {
                let message = PeerMessage::Forward(Commands(std::mem::take(&mut chunk)));
                out.push(Output::Send { to, message });
                bytes = 0;
            }
        }
        if !chunk.is_empty() {
            out.push(Output::Send { to, message: PeerMessage::Forward(Commands(chunk)) });
        }
    }

    // ---- order

    /// Keeps the pool in step with the engine's term: a new leader queues what waits, the others tell it.
    fn follow_term(&mut self, now: Now, out: &mut Vec<Output>) {
        let status = self.engine.status();
        if self.pool_term == (status.term, status.leads) {
            return;
        }
        let new_term = self.pool_term.0 != status.term;
        self.pool_term = (status.term, status.leads);
        if new_term {
            self.term_entered_ms = now.mono_ms;
            self.pace.new_term(now.mono_ms);
        }
        let inherited = self.engine.in_flight();
        let ids = inherited.iter().flat_map(|b| b.entries.iter().map(VerifiedCommand::id));
        self.pool.new_term(status.leads, ids, now.mono_ms);
        if !status.leads && !status.electing {
            let own: Vec<VerifiedCommand> = self.pool.own().cloned().collect();
            self.forward(Destination::One(status.leader), own, out);
        }
    }

    /// Proposes blocks while there is room and reason: the block before is committed, or a block is full, or the oldest
    /// command has waited for the batch delay, or the protocol is owed one.
    fn propose(&mut self, now: Now, fx: &mut Effects) {
        let (entries_max, bytes_max) =
            (self.parameters.block_entries_max as usize, self.parameters.block_bytes_max as usize);
        while let Some(room) = self.engine.room() {
            let queued = self.pool.queued();
            let waited = now.mono_ms.saturating_sub(self.pool.queued_since_ms()) >= self.parameters.batch_delay_ms;
            let work = queued > 0 && (room.in_flight == 0 || queued >= entries_max || waited);
            let idle_ms = now.mono_ms.saturating_sub(self.committed_ms);
            let certify = queued == 0 && idle_ms >= self.parameters.heartbeat_ms && self.engine.certifies_idle();
            if !(work || room.due || certify) {
                return;
            }
            let commands = self.pool.take(entries_max, bytes_max, now.mono_ms);
            if commands.is_empty() && !(room.due || certify) {
                return;
            }
            self.engine.propose(now, commands, certify, fx);
        }
    }

    /// Expired commands are dropped, half-overdue ones passed on to everyone, and an overdue one means that the leader
    /// is to be replaced: nothing was committed for a whole timeout, or blocks with room were committed without it.
    fn watch_deadlines(&mut self, now: Now, fx: &mut Effects, out: &mut Vec<Output>) {
        let time = self.admission_time(now);
        for (command, own) in self.pool.expire(time) {
            if let (true, Err(Admission::Refused(outcome))) = (own, self.ledger.admit(&command, time)) {
                out.push(Output::Refused { command: command.id(), outcome });
            }
        }
        let timeout = self.engine.timeout_ms();
        if now.mono_ms >= self.term_entered_ms + timeout / 2 {
            let due = self.pool.to_pass_on(now.mono_ms - timeout / 2);
            self.forward(Destination::All, due, out);
        }
        if !R::holds(Rule::CommandDeadlines) {
            return;
        }
        if self.pace.is_slow() && R::holds(Rule::SlowLeadersReplaced) && self.engine.on_starved(now, fx) {
            self.pace.leader_judged();
            out.push(Output::Alert(format!(
                "the leader of term {} commits less than {} % of what was usual; asking for another",
                self.pool_term.0, self.parameters.slow_leader_percent
            )));
        }
        let passed_over_max = PASSED_OVER_MAX + 2 * u64::from(self.parameters.pipeline_max);
        while let Some(arrived) = self.pool.oldest() {
            let since = arrived.max(self.term_entered_ms);
            let overdue = now.mono_ms.saturating_sub(since) >= timeout;
            let stalled = now.mono_ms.saturating_sub(self.committed_ms.max(since)) >= timeout;
            let passed_over = self.pool.oldest_passed_over() > passed_over_max;
            if !(overdue && (stalled || passed_over)) {
                break;
            }
            if !(R::holds(Rule::HopelessCommandsDropped) && self.drop_hopeless(time, out)) {
                self.engine.on_starved(now, fx);
                break;
            }
        }
    }

    /// Drops the oldest command if it cannot be admitted any more, say because another one was executed with its
    /// sequence, or if it expires so soon that a leader with a faster clock may have refused it: no leader is at fault
    /// for it. True if it was dropped.
    fn drop_hopeless(&mut self, time: Time, out: &mut Vec<Output>) -> bool {
        let Some((command, own)) = self.pool.oldest_command() else { return false };
        let judged = self.ledger.admit(command, time);
        let judged = judged.and_then(|()| self.ledger.admit(command, time.plus_ms(BLOCK_TIME_AHEAD_MS_MAX)));
        let Err(why) = judged else { return false };
        let id = command.id();
        if own {
            out.push(match why {
                Admission::Executed(receipt) => Output::Answer(*receipt),
                Admission::Refused(outcome) => Output::Refused { command: id, outcome },
            });
        }
        self.pool.remove(&id);
        true
    }

    // ---- append, sync, send, apply, answer

    fn carry_out(&mut self, now: Now, mut fx: Effects, out: &mut Vec<Output>) {
        out.extend(fx.alerts.drain(..).map(Output::Alert));
        if let Some(reason) = fx.halt.take() {
            self.stop(reason, out);
            return;
        }
        out.extend(fx.evidence.iter().map(|e| Output::Evidence((**e).clone())));
        let messages = match self.append_and_sync(&mut fx) {
            Ok(messages) => messages,
            Err(reason) => return self.stop(reason, out),
        };
        out.extend(messages.into_iter().map(|(to, message)| Output::Send { to, message }));
        for block in std::mem::take(&mut fx.committed) {
            if let Err(reason) = self.apply(now, &block, out) {
                return self.stop(reason, out);
            }
        }
        for (to, fetch) in std::mem::take(&mut fx.serve) {
            match self.answer_fetch(fetch) {
                Ok(Some(message)) => out.push(Output::Send { to: Destination::One(to), message }),
                Ok(None) => {}
                Err(reason) => return self.stop(reason, out),
            }
        }
    }

    /// Writes the turn's records, and hands out its messages only when what they promise is durable.
    fn append_and_sync(&mut self, fx: &mut Effects) -> Result<Vec<(Destination, PeerMessage)>, HaltReason> {
        let outbox = std::mem::take(&mut fx.outbox);
        let disk = |error: store::StoreError| HaltReason::Disk(error.to_string());
        if !R::holds(Rule::DurableBeforeSent) {
            self.write_behind(fx)?;
        }
        let (outbox, records) = match fx.safety.take() {
            Some(safety) => {
                let mut batch = Batch::new(outbox);
                append_blocks(&mut batch, fx);
                if !R::holds(Rule::CommitsAfterVotes) {
                    append_commits(&mut batch, fx);
                }
                batch.set_safety(safety.to_bytes());
                let (outbox, mut records) = self.store.commit(batch).map_err(disk)?.into_parts();
                // A commit certificate may count this turn's own vote. If it reached the log and the vote behind it did
                // not reach the safety record, a restart would hold a commit that its next election vote denies.
                let mut commits = Batch::new(());
                append_commits(&mut commits, fx);
                if !commits.is_empty() && R::holds(Rule::CommitsAfterVotes) {
                    records.extend(self.store.write(commits).map_err(disk)?);
                }
                (outbox, records)
            }
            // Without a new safety record the outbox promises nothing new; the records ride on the next sync.
            None => {
                let mut batch = Batch::new(());
                append_blocks(&mut batch, fx);
                append_commits(&mut batch, fx);
                let records = if batch.is_empty() { vec![] } else { self.store.write(batch).map_err(disk)? };
                (outbox, records)
            }
        };
        for (block, at) in fx.blocks.iter().zip(&records) {
            self.index.block(block, *at);
        }
        for (commit, at) in fx.commits.iter().rev().zip(records.iter().rev()) {
            self.index.commit(commit.claim.height, *at);
        }
        Ok(outbox.release())
    }

    /// The fault that every rule about durability is measured against: what is promised is written a turn too late.
    fn write_behind(&mut self, fx: &mut Effects) -> Result<(), HaltReason> {
        let late = std::mem::replace(&mut self.late_safety, fx.safety.take().map(|s| s.to_bytes()));
        if let Some(bytes) = late {
            let mut batch = Batch::new(());
            batch.set_safety(bytes);
            self.store.commit(batch).map_err(|e| HaltReason::Disk(e.to_string()))?.into_inner();
        }
        Ok(())
    }

    fn apply(&mut self, now: Now, block: &VerifiedBlock, out: &mut Vec<Output>) -> Result<(), HaltReason> {
        let header = &block.header;
        self.engine.check_committed_claim(header)?;
        self.index.committed(header.height, block.digest);
        let mut result =
            self.ledger.execute_block_under::<R>(header.height, header.time, header.first_index, &block.entries, None);
        self.engine.on_executed(Executed {
            height: header.height,
            state_root: result.state_root,
            receipts_root: result.receipts_root,
        });
        self.committed_ms = now.mono_ms;
        let waiting_since = self.pool.first_arrival(block.entries.iter());
        self.pace.committed(now.mono_ms, waiting_since, block.entries.len() as u64);
        for entry in &block.entries {
            self.pool.remove(&entry.id());
        }
        let bytes: usize = block.entries.iter().map(|e| e.signed().bytes().len()).sum();
        let roomy = block.entries.len() < self.parameters.block_entries_max as usize
            && bytes + COMMAND_BYTES_MAX <= self.parameters.block_bytes_max as usize;
        self.pool.note_block(roomy);
        // A new leader may order again what its predecessor's last blocks hold. Whoever waits for such a command, perhaps
        // at a node that restarted in between, is to hear the one result that stands.
        for entry in &mut result.entries {
            if entry.receipt.outcome.code == ledger::Code::Repeated.number()
                && let Some(first) = self.ledger.receipt_of(&entry.receipt.command)
            {
                entry.receipt = first.clone();
            }
        }
        out.push(Output::Executed(ExecutedBlock {
            height: header.height,
            time: header.time,
            entries: result.entries,
            sessions: block.entries.iter().map(|e| e.session).collect(),
            state_root: result.state_root,
        }));
        Ok(())
    }

    fn answer_fetch(&self, fetch: Fetch) -> Result<Option<PeerMessage>, HaltReason> {
        let blocks = self.index.serve(&self.store, fetch).map_err(|e| HaltReason::Disk(e.to_string()))?;
        Ok(blocks.map(|blocks| PeerMessage::Blocks(Box::new(blocks))))
    }

    fn stop(&mut self, reason: HaltReason, out: &mut Vec<Output>) {
        self.engine.halt();
        self.halted = Some(reason.clone());
        out.push(Output::Halted(reason));
    }

    // ---- questions

    /// Answers from this node's tables, at the height it has executed.
    pub fn query(&self, query: &Query) -> Answer {
        self.ledger.query(query)
    }

    /// What became of a command, while its result is held.
    pub fn find(&self, command: &CommandId) -> Option<Receipt> {
        self.ledger.receipt_of(command).cloned()
    }

    /// True while the command waits here.
    pub fn waits(&self, command: &CommandId) -> bool {
        self.pool.contains(command)
    }

    /// The evidence held, as verifiable statements.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.engine.evidence()
    }

    /// The genesis document.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The ledger, for tests and tools.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The store, for metrics.
    pub fn store(&self) -> &Store<D> {
        &self.store
    }

    /// Gives the store back, as a crash would leave it.
    pub fn into_store(self) -> Store<D> {
        self.store
    }

    /// Where this replica stands.
    pub fn status(&self) -> Status {
        let engine = self.engine.status();
        let role = match (&self.halted, engine.rejoined, engine.leads) {
            (Some(_), ..) => Role::Quarantined,
            (None, false, _) => Role::Rejoining,
            (None, true, true) => Role::Leader,
            (None, true, false) => Role::Voter,
        };
        let mut evidence: BTreeMap<(NodeId, &'static str), ()> = BTreeMap::new();
        evidence.extend(self.engine.evidence().map(|e| ((e.accused(), e.offence()), ())));
        let (root, _) = self.engine.committed();
        Status {
            node: self.me,
            cluster: self.cluster,
            epoch: root.epoch,
            term: engine.term,
            leader: (!engine.electing).then_some(engine.leader),
            role,
            height: engine.committed,
            height_known: engine.known_committed,
            time: self.ledger.time(),
            entries: self.entries(),
            state_root: self.ledger.state_root(),
            receipts_root: self.ledger.receipts_root(),
            log_root: root.log_root,
            pool: self.pool.len(),
            uncommitted: engine.uncommitted_blocks,
            held: engine.held,
            evidence: evidence.into_keys().collect(),
            log_bytes: self.store.log_bytes(),
            halted: self.halted.as_ref().map(ToString::to_string),
        }
    }
}

/// The first log records of a turn: blocks, so that a certificate's block always precedes it, and evidence.
fn append_blocks<T>(batch: &mut Batch<T>, fx: &Effects) {
    for block in &fx.blocks {
        batch.append(journal::BLOCK, &journal::encode_block(block));
    }
    for evidence in &fx.evidence {
        batch.append(journal::EVIDENCE, &evidence.to_bytes());
    }
}

/// The last log records of a turn: commit certificates.
fn append_commits<T>(batch: &mut Batch<T>, fx: &Effects) {
    for commit in &fx.commits {
        batch.append(journal::COMMIT, &commit.to_bytes());
    }
}

impl From<VerifiedEvidence> for Input {
    /// Evidence found by this node's own checks.
    fn from(evidence: VerifiedEvidence) -> Input {
        Input::Peer { from: evidence.accused(), message: VerifiedMessage::Evidence(evidence) }
    }
}

//! The engine with a stable leader: Raft's shape, safe against Byzantine voters. Sans-IO: messages, time and execution
//! results in; records to make durable, messages to send, and committed blocks out.
//!
//! # The protocol in one page
//!
//! **Normal case.** The leader of the term proposes blocks, several in flight. A voter that has checked a block and
//! everything below it makes the block and its vote durable, and only then sends `Vote(replicated)` to everyone. A
//! quorum of those votes is a *replication certificate*; whoever holds one raises its *lock* to it, durably, and votes
//! `certified`. A quorum of those is a *commit certificate*: the block and its ancestors are committed, executed,
//! answered. Under crash faults the first round already commits.
//!
//! **Votes chain.** Within a term each vote of a voter strictly descends from its last one, so a voter may skip to the
//! newest block: its vote counts for the ancestors proposed in the same term. (The header carries the term of the
//! block's first proposal, and certificates link votes through headers of their own term only. Were a chain allowed to
//! run into older terms, votes of a late term could be turned into a high certificate for an old block.)
//!
//! **Elections.** The leader of a term is fixed: voters take turns. A voter whose timer ends asks for the next term with
//! an `ElectionVote` that carries its highest certificate, and from then on casts no vote in any earlier term. A quorum
//! of them is the election certificate; everyone who sees one enters the term. The new leader's first block extends the
//! *obliged* block: the one of the highest certificate in the election. Voters check exactly that.
//!
//! **Why it is safe.** If b commits in term t, every election certificate of a later term contains an honest voter that
//! certified b or a descendant before leaving t, and reports a certificate at least as high. Certificates of one term
//! are comparable, because each honest voter's votes in a term form one chain; certificates of later terms descend from
//! b by induction; and a faulty voter can only raise the maximum with a real certificate. So the first block of every
//! later term extends b.
//!
//! **Durable before sent.** All messages of a turn leave through the [`Outbox`], which the store gives back only when
//! the turn's records and the [`Safety`] record are durable.
//!
//! # Left out here
//!
//! Membership changes, snapshots, `collector` dissemination, tentative and fast commits.

mod election;
mod repair;
mod safety;
#[cfg(test)]
mod tests;
mod tree;
mod turn;
mod votes;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

use thiserror::Error;
use wire::merkle::Frontier;
use wire::peer::{Fetch, Standing};
use wire::statement::Claim;
use wire::{
    BlockDigest, BlockHeader, ClusterId, ElectionVote, Epoch, Evidence, Executed, FaultModel, Height, Membership,
    NodeId, Parameters, PeerMessage, Phase, Proposal, Signer, Term, Time, Verified, Vote,
};

use crate::certificate::{VerifiedCertificate, commit_phase_under};
use crate::quorum::Quorum;
use crate::rules::{Rule, Rules, Standard};
use crate::verify::{VerifiedBlock, VerifiedEvidence, VerifiedMessage};

pub use safety::Safety;
use tree::{Root, Tree};
use votes::{Taken, VoteBook};

/// Both clocks, read by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, for the times of blocks.
    pub wall: Time,
    /// Milliseconds since any fixed point, never going back, for timers.
    pub mono_ms: u64,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Every other voter.
    All,
    /// One voter.
    One(NodeId),
}

/// Messages that must not leave before the turn's writes are durable. Goes into the durable write and comes out of it.
#[derive(Debug, Default)]
pub struct Outbox(Vec<(Destination, PeerMessage)>);

impl Outbox {
    /// The messages, in order. To be called on what the durable write returned, and nowhere else.
    pub fn release(self) -> Vec<(Destination, PeerMessage)> {
        self.0
    }

    /// True if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a turn asks for. In this order: make `blocks`, `commits`, `evidence` and (if set) `safety` durable; send the
/// outbox; execute and answer `committed`.
#[derive(Debug, Default)]
pub struct Effects {
    /// Blocks to append to the log, parents first.
    pub blocks: Vec<Arc<VerifiedBlock>>,
    /// Newer commit certificates to append, ascending. A long catch-up has several in one turn.
    pub commits: Vec<VerifiedCertificate>,
    /// New evidence to append and publish.
    pub evidence: Vec<VerifiedEvidence>,
    /// The new safety record, if it changed. If absent, nothing in the outbox is a promise and no sync is needed.
    pub safety: Option<Safety>,
    /// What to send once that is durable.
    pub outbox: Outbox,
    /// Blocks now committed, oldest first.
    pub committed: Vec<Arc<VerifiedBlock>>,
    /// Requests of peers to answer from the log.
    pub serve: Vec<(NodeId, Fetch)>,
    /// For the operator.
    pub alerts: Vec<String>,
    /// The node is wrong, or its machine is; nothing more may be sent or voted.
    pub halt: Option<HaltReason>,
}

impl Effects {
    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
            && self.commits.is_empty()
            && self.evidence.is_empty()
            && self.safety.is_none()
            && self.outbox.is_empty()
            && self.committed.is_empty()
            && self.serve.is_empty()
            && self.alerts.is_empty()
            && self.halt.is_none()
    }

    fn send(&mut self, to: Destination, message: PeerMessage) {
        self.outbox.0.push((to, message));
    }
}

/// Why a node stopped voting and executing. It never resumes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HaltReason {
    /// A certificate contradicts what this node has committed.
    #[error("certificate of term {} for height {} contradicts the block committed here at that height", .0.term, .0.height)]
    ConflictingCertificate(Claim),
    /// An election's obliged block lies below a block committed here in an earlier term.
    #[error("election of term {term} obliges height {}, below the height {} committed here", obliged.height, committed.height)]
    ElectionBelowCommit {
        /// The elected term.
        term: Term,
        /// The block it obliges.
        obliged: Claim,
        /// What is committed here.
        committed: Claim,
    },
    /// A committed block names another log than this node holds.
    #[error("committed block {height} names another log root than this node's log has: {found}")]
    LogDiffers {
        /// The block.
        height: Height,
        /// The root of this node's log.
        found: wire::Hash,
    },
    /// A committed block claims another result of execution than this node found.
    #[error("block {block} claims state root {} after height {height}, this node found {}", claimed.state_root, found.state_root)]
    ExecutionDiffers {
        /// The committed block that claims it.
        block: Height,
        /// The height executed.
        height: Height,
        /// What the quorum found.
        claimed: Box<Executed>,
        /// What this node found.
        found: Box<Executed>,
    },
    /// A peer holds a vote signed with this node's key that this node's record does not know: the data directory is an
    /// old copy, or another process uses the key.
    #[error(
        "a peer holds {what} of this node that its own record lacks: the data directory is an old copy, or another process signs with its key. Voting could contradict that vote. Restore nothing over a voter's directory; rejoin with a new key"
    )]
    RestoredCopy {
        /// What the peer showed.
        what: String,
    },
    /// The signer failed.
    #[error("{0}")]
    Signer(String),
    /// The disk failed.
    #[error("{0}")]
    Disk(String),
}

/// What an engine is made from.
pub struct EngineConfig {
    /// The cluster.
    pub cluster: ClusterId,
    /// This node.
    pub me: NodeId,
    /// The voters.
    pub membership: Membership,
    /// The rules on sizes and times.
    pub parameters: Parameters,
    /// Signs for this node.
    pub signer: Arc<dyn Signer>,
}

/// Where an engine starts: what its own log holds.
pub struct Start {
    /// The epoch's base block.
    pub base: Claim,
    /// The newest committed block.
    pub root: BlockHeader,
    /// The log's tree after it.
    pub frontier: Frontier,
    /// The newest commit certificate.
    pub commit: VerifiedCertificate,
    /// Digest and commit term of recently committed heights, ascending.
    pub recent: Vec<(Height, BlockDigest, Term)>,
    /// The durable safety record, or none on the first start.
    pub safety: Option<Safety>,
    /// Blocks above the committed one in the log, parents first.
    pub blocks: Vec<Arc<VerifiedBlock>>,
    /// Results of execution of recent heights.
    pub executed: Vec<Executed>,
}

/// Heights below the committed one of which digests and results are kept.
const RECENT_HEIGHTS: usize = 2048;

/// A block wanted by digest, and when it was last asked for.
#[derive(Debug, Clone, Copy)]
struct Want {
    /// Ask (again) then.
    ask_at: u64,
    /// How often it was asked for; decides whom to ask next.
    tries: usize,
}

/// The engine. Feed it with [`Engine::on_message`] and the other `on_` methods, then call [`Engine::settle`], propose if
/// there is [`Engine::room`], and [`Engine::seal`] the effects before carrying them out.
pub struct Engine<R: Rules = Standard> {
    cluster: ClusterId,
    me: NodeId,
    membership: Membership,
    quorum: Quorum,
    parameters: Parameters,
    signer: Arc<dyn Signer>,
    epoch: Epoch,
    base: Claim,

    /// Promises; written before anything that depends on them is sent.
    safety: Safety,
    /// `safety` changed since it was last handed out.
    safety_dirty: bool,
    /// Above the committed block.
    tree: Tree,
    /// The newest commit certificate whose block is committed here.
    commit: VerifiedCertificate,
    /// The newest commit certificate known; ahead of `commit` while blocks are missing.
    target: VerifiedCertificate,
    /// Digest and commit term of recent heights, for noticing contradictions.
    recent: BTreeMap<Height, (BlockDigest, Term)>,
    /// What execution gave at recent heights.
    executed: BTreeMap<Height, Executed>,

    votes: VoteBook,
    /// Votes of later terms, a few per author, looked at when that term is entered.
    early: BTreeMap<(NodeId, Phase), Vec<Verified<Vote>>>,
    /// Newest votes of every voter, for answering its `Rejoin`.
    newest: BTreeMap<(NodeId, Phase), Verified<Vote>>,
    /// The first proposal seen at each height of the current term.
    proposals: BTreeMap<Height, Verified<Proposal>>,
    /// Proposed blocks whose parent is missing, by height of the current term.
    orphans: BTreeMap<Height, (Verified<Proposal>, Arc<VerifiedBlock>)>,
    /// Election votes for later terms: at most [`election::ELECTION_TERMS_KEPT`] per author.
    election_votes: BTreeMap<NodeId, BTreeMap<Term, Asked>>,
    /// Since when a voter asks for the term after the current one, and how often this node has resigned for it.
    askers: BTreeMap<NodeId, Asker>,
    /// Newest election votes of every voter, for answering its `Rejoin`.
    newest_election_votes: BTreeMap<NodeId, Verified<ElectionVote>>,
    /// Evidence held, one per accused and offence.
    evidence: BTreeMap<(NodeId, &'static str), VerifiedEvidence>,

    /// Blocks asked for by digest.
    wanted: BTreeMap<BlockDigest, Want>,
    /// When committed blocks were last asked for, and how often.
    catch_up: Option<Want>,
    /// Weight that has answered this node's `Rejoin`; voting waits for a quorum of it (with itself).
    recalled: BTreeSet<NodeId>,
    /// That quorum has answered.
    rejoined: bool,

    /// The block the leader's next proposal extends.
    head: Option<BlockDigest>,
    /// What the leader's next proposal claims as executed: what it had found when it made the one before.
    claim_next: Executed,
    timers: Timers,
    halted: bool,
    /// What votes restored at the start support, still to be looked at.
    restored: Vec<(Phase, Vec<BlockDigest>)>,
    rules: PhantomData<R>,
}

/// An election vote and the certificate it claims.
#[derive(Debug, Clone)]
struct Asked {
    vote: Verified<ElectionVote>,
    highest: Option<VerifiedCertificate>,
}

/// A voter that has given up the current term.
#[derive(Debug, Clone, Copy, Default)]
struct Asker {
    since_ms: Option<u64>,
    resignations: u32,
}

/// Timers, in `mono_ms`.
#[derive(Debug, Clone, Default)]
struct Timers {
    /// Ask for the next term then.
    election_at: u64,
    /// Send the next heartbeat (leader), the election vote or the rejoin request again then.
    beat_at: u64,
    /// Ask again for missing blocks then.
    repair_at: u64,
    /// When a standing was last sent to each node, to bound how often.
    standing_ms: BTreeMap<NodeId, u64>,
    /// When this voter's last votes were last sent again.
    resent_ms: u64,
    /// Last time the committed height rose or a term was entered.
    progress_ms: u64,
    /// Since when there have been blocks in flight; none if there are none.
    in_flight_ms: Option<u64>,
}

/// The digest and weight of what the engine knows, for status pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStatus {
    /// The term entered.
    pub term: Term,
    /// Its leader.
    pub leader: NodeId,
    /// True if this node leads and may propose.
    pub leads: bool,
    /// True if an election vote for a later term is out.
    pub electing: bool,
    /// The committed height here.
    pub committed: Height,
    /// Statements and blocks held in memory, of all kinds; bounded whatever peers send.
    pub held: usize,
    /// The highest committed height known of.
    pub known_committed: Height,
    /// Blocks held above the committed one.
    pub uncommitted_blocks: usize,
    /// Whether enough peers have confirmed what this node signed before its start.
    pub rejoined: bool,
}

impl Engine {
    /// An engine at its starting point, with all rules in force. On a first start nothing is promised; otherwise exactly
    /// what `start.safety` says.
    pub fn new(config: EngineConfig, start: Start, now: Now) -> Engine {
        Engine::under(config, start, now)
    }
}

impl<R: Rules> Engine<R> {
    /// An engine under rules of the caller's, at its starting point. On a first start nothing is promised; otherwise exactly what `start.safety` says.
    pub fn under(config: EngineConfig, start: Start, now: Now) -> Engine<R> {
        let quorum = Quorum::under::<R>(&config.membership);
        let epoch = config.membership.epoch;
        let base = wire::Certificate::base(Phase::Replicated, start.base.height, start.base.digest);
        let digest = start.root.digest(&config.cluster);
        let root = Root { header: start.root, digest, frontier: start.frontier };
        let executed: BTreeMap<Height, Executed> = start.executed.into_iter().map(|e| (e.height, e)).collect();
        let claim_next = executed.values().next_back().copied().unwrap_or(root.header.executed);
        let mut engine = Engine {
            cluster: config.cluster,
            me: config.me,
            quorum,
            parameters: config.parameters,
            signer: config.signer,
            epoch,
            base: start.base,
            safety_dirty: start.safety.is_none(),
            safety: start.safety.unwrap_or_else(|| Safety::fresh(base)),
            tree: Tree::new(root),
            target: start.commit.clone(),
            commit: start.commit,
            recent: start.recent.into_iter().map(|(h, d, t)| (h, (d, t))).collect(),
            executed,
            votes: VoteBook::default(),
            early: BTreeMap::new(),
            newest: BTreeMap::new(),
            proposals: BTreeMap::new(),
            orphans: BTreeMap::new(),
            election_votes: BTreeMap::new(),
            askers: BTreeMap::new(),
            newest_election_votes: BTreeMap::new(),
            evidence: BTreeMap::new(),
            wanted: BTreeMap::new(),
            catch_up: None,
            recalled: BTreeSet::new(),
            rejoined: false,
            head: None,
            claim_next,
            timers: Timers::default(),
            halted: false,
            restored: Vec::new(),
            rules: PhantomData,
            membership: config.membership,
        };
        for block in start.blocks {
            let digest = block.digest;
            if engine.tree.insert(block)
                && let Some(node) = engine.tree.node_mut(&digest)
            {
                node.journaled = true;
            }
        }
        for vote in [&engine.safety.replicated, &engine.safety.certified].into_iter().flatten() {
            if vote.term == engine.safety.entered
                && let Taken::Supports(digests) = engine.votes.take::<R>(vote.clone(), &engine.tree)
            {
                engine.restored.push((vote.phase, digests));
            }
        }
        if !R::holds(Rule::ElectionVoteDurable) {
            engine.safety.election_vote = None;
        }
        let own = engine.safety.election_vote.clone().filter(|_| engine.has_asked());
        if let Some(vote) = own.filter(|_| R::holds(Rule::OwnElectionVoteCounts)) {
            // Its own vote counts here too: with everyone restarted there may be no quorum without it.
            let highest = engine.byzantine().then(|| engine.safety.lock.clone());
            engine.keep_election_vote(Asked { vote, highest });
        }
        engine.timers.progress_ms = now.mono_ms;
        engine.timers.beat_at = now.mono_ms;
        engine.timers.repair_at = u64::MAX;
        engine.reset_election_timer(now);
        engine.rejoined = engine.rejoin_complete();
        let obliged = engine.obliged();
        if obliged.height > engine.tree.root.header.height {
            engine.want(obliged.digest);
        }
        engine.resume_leading();
        engine
    }

    /// Takes in a verified message.
    pub fn on_message(&mut self, now: Now, from: NodeId, message: VerifiedMessage, fx: &mut Effects) {
        if self.halted {
            return;
        }
        match message {
            VerifiedMessage::AppendEntries(append) => self.on_append_entries(now, from, *append, fx),
            VerifiedMessage::Vote(vote) => self.on_vote(now, vote, fx),
            VerifiedMessage::ElectionVote(vote) => self.on_election_vote(now, *vote, fx),
            VerifiedMessage::Heartbeat(heartbeat) => self.on_heartbeat(now, *heartbeat, fx),
            VerifiedMessage::Fetch(fetch) => self.on_fetch(from, fetch, fx),
            VerifiedMessage::Blocks(blocks) => self.on_blocks(now, from, *blocks, fx),
            VerifiedMessage::Evidence(evidence) => self.on_evidence(evidence, fx),
            VerifiedMessage::Rejoin => self.on_rejoin(from, fx),
            VerifiedMessage::Recall(recall) => self.on_recall(now, from, *recall, fx),
            VerifiedMessage::Standing(standing) => self.on_standing(now, *standing, fx),
            // Commands are the replica's business; the engine orders bytes.
            VerifiedMessage::Forward(_) => {}
        }
    }

    /// A committed block was executed. Halts the node if a committed claim contradicts the result.
    pub fn on_executed(&mut self, executed: Executed) {
        self.executed.insert(executed.height, executed);
        while self.executed.len() > RECENT_HEIGHTS {
            self.executed.pop_first();
        }
    }

    /// Checks what a committed block claims against what this node found; to be called before executing the block.
    pub fn check_committed_claim(&mut self, header: &BlockHeader) -> Result<(), HaltReason> {
        let claimed = header.executed;
        match self.executed.get(&claimed.height) {
            Some(found) if *found != claimed => Err(HaltReason::ExecutionDiffers {
                block: header.height,
                height: claimed.height,
                claimed: Box::new(claimed),
                found: Box::new(*found),
            }),
            _ => Ok(()),
        }
    }

    /// Restores evidence found in this node's own log.
    pub fn restore_evidence(&mut self, evidence: Evidence) {
        let key = (evidence.accused(), evidence.offence());
        self.evidence.entry(key).or_insert_with(|| VerifiedEvidence::assume(evidence));
    }

    /// The evidence held.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.values().map(|e| &**e)
    }

    /// Stops the node for good.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// Where the engine stands.
    pub fn status(&self) -> EngineStatus {
        EngineStatus {
            term: self.safety.entered,
            leader: self.leader(self.safety.entered),
            leads: self.leads(),
            electing: !self.rejoined || self.has_asked(),
            committed: self.tree.root.header.height,
            known_committed: self.target.claim.height.max(self.tree.root.header.height),
            uncommitted_blocks: self.tree.len(),
            held: self.held(),
            rejoined: self.rejoined,
        }
    }

    fn held(&self) -> usize {
        let early: usize = self.early.values().map(Vec::len).sum();
        let asked: usize = self.election_votes.values().map(BTreeMap::len).sum();
        let others = [self.newest.len(), self.proposals.len(), self.orphans.len(), self.newest_election_votes.len()];
        let more = [self.evidence.len(), self.wanted.len(), self.askers.len(), self.recalled.len()];
        let sum: usize = others.into_iter().chain(more).sum();
        self.tree.len() + self.votes.len() + early + asked + sum
    }

    /// The newest committed header and its digest.
    pub fn committed(&self) -> (&BlockHeader, BlockDigest) {
        (&self.tree.root.header, self.tree.root.digest)
    }

    /// The newest commit certificate whose block is committed here.
    pub fn commit_certificate(&self) -> &VerifiedCertificate {
        &self.commit
    }

    /// The leader of a term: voters take turns, and nobody is ever skipped.
    pub fn leader(&self, term: Term) -> NodeId {
        let turn = term.0.saturating_sub(1) % self.membership.voters.len() as u64;
        self.membership.voters[turn as usize].id
    }

    /// `mono_ms` of the next timer.
    pub fn wake_at(&self) -> u64 {
        if self.halted {
            return u64::MAX;
        }
        let timers = [self.timers.election_at, self.timers.beat_at, self.timers.repair_at];
        timers.into_iter().chain(self.stuck_at()).min().unwrap_or(u64::MAX)
    }

    fn byzantine(&self) -> bool {
        self.membership.fault_model == FaultModel::Byzantine
    }

    fn commit_phase(&self) -> Phase {
        commit_phase_under::<R>(self.membership.fault_model)
    }

    /// True unless this voter has asked for a later term, or has not yet made sure of what it signed before its start.
    fn may_vote(&self) -> bool {
        self.rejoined && !(self.has_asked() && R::holds(Rule::SilenceAfterElectionVote))
    }

    /// True if an election vote for a later term is out.
    fn has_asked(&self) -> bool {
        self.safety.election_vote.as_ref().is_some_and(|v| v.term > self.safety.entered)
    }

    fn leads(&self) -> bool {
        self.leader(self.safety.entered) == self.me && self.may_vote() && !self.halted
    }

    fn standing(&self) -> Standing {
        let election = self.safety.election.as_deref().filter(|_| R::holds(Rule::StandingsShared));
        Standing { election: election.cloned(), commit: (*self.target).clone() }
    }

    fn fail(&mut self, reason: HaltReason, fx: &mut Effects) {
        self.halted = true;
        fx.halt.get_or_insert(reason);
    }

    /// Signs a statement; a signer that fails stops the node.
    fn sign<T: wire::Statement>(&mut self, value: T, fx: &mut Effects) -> Option<Verified<T>> {
        match Verified::sign(&self.cluster, value, &*self.signer) {
            Ok(signed) => Some(signed),
            Err(error) => {
                self.fail(HaltReason::Signer(error.to_string()), fx);
                None
            }
        }
    }

    fn accuse(&mut self, evidence: Evidence, fx: &mut Effects) {
        self.on_evidence(VerifiedEvidence::assume(evidence), fx);
    }

    fn on_evidence(&mut self, evidence: VerifiedEvidence, fx: &mut Effects) {
        let key = (evidence.accused(), evidence.offence());
        if self.evidence.contains_key(&key) {
            return;
        }
        self.evidence.insert(key, evidence.clone());
        fx.send(Destination::All, PeerMessage::Evidence((*evidence).clone()));
        fx.evidence.push(evidence);
    }
}

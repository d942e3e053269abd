//! Elections, heartbeats and timers; and making sure, after a start, of what this node signed before.

use std::collections::BTreeSet;

use wire::peer::{ElectionVoteMessage, HeartbeatMessage, Recall};
use wire::statement::Claim;
use wire::{
    BlockDigest, ElectionCertificate, ElectionVote, Evidence, Heartbeat, NodeId, PeerMessage, Phase, Term, Verified,
    Vote,
};

use super::{Asked, Destination, Effects, Engine, HaltReason, Now};
use crate::certificate::{VerifiedElection, obliged};
use crate::rules::{Rule, Rules};
use crate::verify::{VerifiedElectionVote, VerifiedHeartbeat, VerifiedRecall, VerifiedStanding};

/// Later terms of which one author's election votes are kept.
pub(super) const ELECTION_TERMS_KEPT: usize = 3;

/// Base timeouts for which a leader lets a single voter ask for the next term before it resigns, the first time.
const LONE_ASKER_TIMEOUTS: u64 = 4;

impl<R: Rules> Engine<R> {
    // ---- timers

    /// Milliseconds before a voter gives up the current term. Doubles with every term since the newest commit, so the
    /// same at all nodes that have exchanged certificates.
    pub fn timeout_ms(&self) -> u64 {
        let idle_terms = self.safety.entered.0.saturating_sub(self.target.claim.term.0).saturating_sub(1);
        let factor = 1u64.checked_shl(idle_terms.min(63) as u32).unwrap_or(u64::MAX);
        self.parameters.timeout_base_ms.saturating_mul(factor).min(self.parameters.timeout_cap_ms)
    }

    /// The leader has no heartbeat timer of its own; it is replaced when its voters' commands are not ordered.
    pub(super) fn reset_election_timer(&mut self, now: Now) {
        let leading = self.leader(self.safety.entered) == self.me;
        self.timers.election_at = if leading { u64::MAX } else { now.mono_ms + self.timeout_ms() };
    }

    /// When blocks in flight will have waited a whole timeout without anything being committed: the leader, even if it
    /// lives, does not get them through.
    pub(super) fn stuck_at(&self) -> Option<u64> {
        let since = self.timers.in_flight_ms.filter(|_| self.rejoined && !self.has_asked())?;
        Some(since.max(self.timers.progress_ms) + self.timeout_ms())
    }

    pub(super) fn run_timers(&mut self, now: Now, fx: &mut Effects) {
        if now.mono_ms >= self.timers.election_at {
            self.reset_election_timer(now);
            self.ask_next_term(now, fx);
        }
        match self.tree.len() {
            0 => self.timers.in_flight_ms = None,
            _ => {
                self.timers.in_flight_ms.get_or_insert(now.mono_ms);
            }
        }
        if self.stuck_at().is_some_and(|at| now.mono_ms >= at) {
            self.ask_next_term(now, fx);
        }
        if now.mono_ms >= self.timers.beat_at && !self.halted {
            self.timers.beat_at = now.mono_ms + self.parameters.heartbeat_ms;
            self.beat(now, fx);
        }
    }

    /// What is said again at every beat: the rejoin request, the election vote, or the leader's heartbeat.
    fn beat(&mut self, now: Now, fx: &mut Effects) {
        if !self.rejoined {
            fx.send(Destination::All, PeerMessage::Rejoin);
        } else if self.has_asked() {
            if R::holds(Rule::VotesResent) {
                self.send_election_vote(fx);
            }
        } else if self.leads() {
            self.send_heartbeat(fx);
            self.repropose(now, fx);
            self.resign_for_a_lone_asker(now, fx);
        }
    }

    /// A voter that gave up the term alone, say because it heard the leader a moment too late, may not vote in it again:
    /// it would stay mute, unseen, for as long as the leader does well. So after a while the leader asks for the next term
    /// too; with F + 1 asking, everyone joins at once, and the change of leader costs a few message delays.
    ///
    /// A faulty voter could ask without a reason. So the patience doubles with every resignation for the same voter.
    fn resign_for_a_lone_asker(&mut self, now: Now, fx: &mut Effects) {
        let patience = LONE_ASKER_TIMEOUTS * self.parameters.timeout_base_ms;
        let due = self.askers.values_mut().find(|asker| {
            let wait = patience.saturating_mul(1 << asker.resignations.min(30));
            asker.since_ms.is_some_and(|since| now.mono_ms.saturating_sub(since) >= wait)
        });
        if let Some(asker) = due {
            asker.resignations += 1;
            self.ask_next_term(now, fx);
        }
    }

    fn send_heartbeat(&mut self, fx: &mut Effects) {
        let value = Heartbeat {
            author: self.me,
            epoch: self.epoch,
            term: self.safety.entered,
            commit_height: self.tree.root.header.height,
        };
        let standing = self.standing();
        if let Some(heartbeat) = self.sign(value, fx) {
            let message = HeartbeatMessage { heartbeat: heartbeat.into_signed(), standing };
            fx.send(Destination::All, PeerMessage::Heartbeat(Box::new(message)));
        }
    }

    /// Without progress the newest proposal and the leader's own votes are sent again; a voter that lacks what lies
    /// below fetches it.
    fn repropose(&mut self, now: Now, fx: &mut Effects) {
        let stuck = now.mono_ms.saturating_sub(self.timers.progress_ms) >= 2 * self.parameters.heartbeat_ms;
        let stuck = stuck && R::holds(Rule::VotesResent);
        let Some(head) = self.head.filter(|head| stuck && *head != self.tree.root.digest) else { return };
        if self.tree.header(&head).is_some_and(|h| h.term == self.safety.entered)
            && let Some(append) = self.append_entries(&head, fx)
        {
            fx.send(Destination::All, append);
        }
        self.resend_votes(now, fx);
    }

    /// Sends this voter's last uncommitted votes again, byte for byte.
    pub(super) fn resend_votes(&mut self, now: Now, fx: &mut Effects) {
        if now.mono_ms.saturating_sub(self.timers.resent_ms) < self.parameters.heartbeat_ms || !self.may_vote() {
            return;
        }
        if !R::holds(Rule::VotesResent) {
            return;
        }
        self.timers.resent_ms = now.mono_ms;
        let root = self.tree.root.header.height;
        for phase in [Phase::Replicated, Phase::Certified] {
            if let Some(vote) = self.safety.last(phase)
                && vote.term == self.safety.entered
                && vote.height > root
            {
                fx.send(Destination::All, PeerMessage::Vote(vote.signed().clone()));
            }
        }
    }

    pub(super) fn on_heartbeat(&mut self, now: Now, message: VerifiedHeartbeat, fx: &mut Effects) {
        self.on_standing(now, message.standing, fx);
        let heartbeat = message.heartbeat;
        if self.halted || heartbeat.author != self.leader(heartbeat.term) {
            return;
        }
        if heartbeat.term < self.safety.entered {
            self.send_standing(now, heartbeat.author, fx);
        } else if heartbeat.term == self.safety.entered {
            if self.may_vote() {
                self.reset_election_timer(now);
            }
            self.resend_votes(now, fx);
        }
    }

    pub(super) fn on_standing(&mut self, now: Now, standing: VerifiedStanding, fx: &mut Effects) {
        self.on_commit_certificate(now, standing.commit, fx);
        if let (false, Some(election)) = (self.halted, standing.election) {
            self.on_election(now, election, fx);
        }
    }

    /// Tells a node that is behind where the others stand; at most once per heartbeat interval each.
    pub(super) fn send_standing(&mut self, now: Now, to: NodeId, fx: &mut Effects) {
        if !R::holds(Rule::StandingsShared) {
            return;
        }
        let last = self.timers.standing_ms.get(&to);
        if last.is_some_and(|last| now.mono_ms.saturating_sub(*last) < self.parameters.heartbeat_ms) {
            return;
        }
        self.timers.standing_ms.insert(to, now.mono_ms);
        fx.send(Destination::One(to), PeerMessage::Standing(Box::new(self.standing())));
    }

    // ---- elections

    /// A command known to this voter stayed unordered past its deadline: the leader is to be replaced. False if nothing
    /// came of it: this voter has asked for the next term before, or may not.
    pub fn on_starved(&mut self, now: Now, fx: &mut Effects) -> bool {
        let before = self.has_asked();
        self.ask_next_term(now, fx);
        !before && self.has_asked()
    }

    /// Asks for the next term, once; from here on no vote in the current one.
    pub(super) fn ask_next_term(&mut self, now: Now, fx: &mut Effects) {
        let Some(next) = self.safety.entered.next() else { return };
        if self.halted || !self.rejoined || self.has_asked() {
            return;
        }
        let claim = self.election_claim();
        let value = ElectionVote { author: self.me, epoch: self.epoch, term: next, claim };
        let Some(vote) = self.sign(value, fx) else { return };
        self.safety.election_vote = Some(vote.clone());
        self.safety_dirty = true;
        self.send_election_vote(fx);
        let highest = self.byzantine().then(|| self.safety.lock.clone());
        self.keep_election_vote(Asked { vote, highest });
        self.count_election(next, now, fx);
    }

    /// What an election vote reports: the lock, or, under crash faults, the last durable `replicated` vote.
    fn election_claim(&self) -> Claim {
        if self.byzantine() {
            return self.safety.lock.claim;
        }
        if !R::holds(Rule::CrashElectionsReportVotes) {
            return self.commit.claim;
        }
        self.safety.replicated.as_ref().map_or(self.base, |vote| vote.claim())
    }

    fn send_election_vote(&mut self, fx: &mut Effects) {
        let Some(vote) = &self.safety.election_vote else { return };
        let sealed = vote.claim == self.election_claim() || !R::holds(Rule::SilenceAfterElectionVote);
        debug_assert!(
            sealed || !R::holds(Rule::CrashElectionsReportVotes),
            "the lock stays put while an election vote is out"
        );
        let message = ElectionVoteMessage {
            vote: vote.signed().clone(),
            highest: self.byzantine().then(|| (*self.safety.lock).clone()),
            standing: self.standing(),
        };
        fx.send(Destination::All, PeerMessage::ElectionVote(Box::new(message)));
    }

    pub(super) fn on_election_vote(&mut self, now: Now, message: VerifiedElectionVote, fx: &mut Effects) {
        let behind = message.standing.commit.claim.height < self.target.claim.height;
        self.on_standing(now, message.standing, fx);
        let VerifiedElectionVote { vote, highest, .. } = message;
        if self.halted || vote.author == self.me {
            return;
        }
        if let (false, Some(old)) = (R::holds(Rule::OldCertificatesAreHistory), &highest) {
            self.raise_lock(old.clone(), fx);
        }
        if behind {
            // Perhaps it only cannot hear the leader.
            self.send_standing(now, vote.author, fx);
        }
        let newest = self.newest_election_votes.entry(vote.author).or_insert_with(|| vote.clone());
        if vote.term > newest.term {
            *newest = vote.clone();
        }
        if newest.term == vote.term && newest.claim != vote.claim {
            let pair = (newest.signed().clone(), vote.into_signed());
            self.accuse(Evidence::ElectionVotes(Box::new(pair)), fx);
            return;
        }
        if vote.term <= self.safety.entered {
            self.send_standing(now, vote.author, fx);
            return;
        }
        let term = vote.term;
        if Some(term) == self.safety.entered.next() {
            self.askers.entry(vote.author).or_default().since_ms.get_or_insert(now.mono_ms);
        }
        self.keep_election_vote(Asked { vote, highest });
        self.count_election(term, now, fx);
        // More than F ask for later terms: one of them is honest and has a reason.
        let asking: BTreeSet<NodeId> = self.election_votes.keys().copied().collect();
        if self.quorum.one_honest(&asking).is_some() || !R::holds(Rule::JoinAboveF) {
            self.ask_next_term(now, fx);
        }
    }

    pub(super) fn keep_election_vote(&mut self, asked: Asked) {
        let mine = self.election_votes.entry(asked.vote.author).or_default();
        mine.entry(asked.vote.term).or_insert(asked);
        // An author can only push out its own votes.
        while mine.len() > ELECTION_TERMS_KEPT {
            mine.pop_first();
        }
    }

    fn count_election(&mut self, term: Term, now: Now, fx: &mut Effects) {
        let asked: Vec<&Asked> = self.election_votes.values().filter_map(|votes| votes.get(&term)).collect();
        let authors: BTreeSet<NodeId> = asked.iter().map(|a| a.vote.author).collect();
        if term <= self.safety.entered || self.quorum.reached(&authors).is_none() {
            return;
        }
        let best = asked.iter().max_by_key(|a| a.vote.claim).expect("a quorum is not empty");
        let election = ElectionCertificate {
            term,
            highest: best.highest.as_deref().cloned(),
            votes: asked.iter().map(|a| a.vote.signed().clone()).collect(),
        };
        self.on_election(now, VerifiedElection::assume(election), fx);
    }

    /// Enters an elected term, if it is later than the current one.
    pub(super) fn on_election(&mut self, now: Now, election: VerifiedElection, fx: &mut Effects) {
        let later = election.term > self.safety.entered;
        if self.halted || !(later || election.term < self.safety.entered && !R::holds(Rule::TermsRise)) {
            return;
        }
        let Some(obliged) = obliged::<R>(&election) else { return };
        let committed = self.commit.claim;
        if committed.term < election.term && (obliged.term, obliged.height) < (committed.term, committed.height) {
            self.fail(HaltReason::ElectionBelowCommit { term: election.term, obliged, committed }, fx);
            return;
        }
        let highest = election.highest.clone();
        self.safety.entered = election.term;
        self.safety.election = Some(election);
        self.safety_dirty = true;
        if let Some(highest) = highest {
            self.raise_lock(crate::certificate::VerifiedCertificate::assume(highest), fx);
        }
        self.forget_term(obliged);
        self.take_early_votes(fx);
        if obliged.height > self.tree.root.header.height && !self.tree.holds(&obliged.digest) {
            self.want(obliged.digest);
        }
        self.timers.beat_at = now.mono_ms;
        self.timers.progress_ms = now.mono_ms;
        self.reset_election_timer(now);
        self.resume_leading();
    }

    /// Takes over the election that the leader's first block of the current term carries. This node may have entered the
    /// term by another quorum's votes, whose highest certificate is another one; what the first block extends is judged by
    /// the election it carries. Only before this node's first vote in the term, and only if the block does extend what that
    /// election obliges: anybody may attach any election to a proposal.
    pub(super) fn adopt_election(&mut self, election: VerifiedElection, parent: &BlockDigest, fx: &mut Effects) {
        let term = self.safety.entered;
        let voted = self.safety.replicated.as_ref().is_some_and(|vote| vote.term >= term);
        let Some(carried) = obliged::<R>(&election) else { return };
        if self.halted || voted || election.term != term || carried.digest != *parent || carried == self.obliged() {
            return;
        }
        let committed = self.commit.claim;
        if committed.term < term && (carried.term, carried.height) < (committed.term, committed.height) {
            self.fail(HaltReason::ElectionBelowCommit { term, obliged: carried, committed }, fx);
            return;
        }
        self.safety.election = Some(election);
        self.safety_dirty = true;
    }

    /// Drops what belonged to the term just left, except the blocks that promises refer to.
    fn forget_term(&mut self, obliged: Claim) {
        let term = self.safety.entered;
        self.votes = Default::default();
        for asker in self.askers.values_mut() {
            asker.since_ms = None;
        }
        self.proposals.clear();
        self.orphans.clear();
        self.wanted.clear();
        self.head = None;
        for votes in self.election_votes.values_mut() {
            votes.retain(|t, _| *t > term);
        }
        self.election_votes.retain(|_, votes| !votes.is_empty());
        let last = |phase| self.safety.last(phase).map(|v: &Verified<Vote>| v.digest);
        let mut tips = vec![obliged.digest, self.safety.lock.claim.digest, self.target.claim.digest];
        tips.extend([last(Phase::Replicated), last(Phase::Certified)].into_iter().flatten());
        self.tree.retain_chains(&tips);
    }

    fn take_early_votes(&mut self, fx: &mut Effects) {
        let term = self.safety.entered;
        let early = std::mem::take(&mut self.early);
        for ((author, phase), votes) in early {
            let (now, later): (Vec<_>, Vec<_>) =
                votes.into_iter().filter(|v| v.term >= term).partition(|v| v.term == term);
            if !later.is_empty() {
                self.early.insert((author, phase), later);
            }
            for vote in now {
                if vote.height > self.tree.root.header.height {
                    self.count_vote(vote, fx);
                }
            }
        }
    }

    // ---- rejoining

    /// A node that (re)started asks what this one holds of its votes.
    pub(super) fn on_rejoin(&mut self, from: NodeId, fx: &mut Effects) {
        let votes = [Phase::Replicated, Phase::Certified].into_iter();
        let recall = Recall {
            votes: votes.filter_map(|p| self.newest.get(&(from, p))).map(|v| v.signed().clone()).collect(),
            election_vote: self.newest_election_votes.get(&from).map(|v| v.signed().clone()),
            standing: self.standing(),
        };
        fx.send(Destination::One(from), PeerMessage::Recall(Box::new(recall)));
    }

    /// What a peer holds that is signed with this node's key. A vote this node's record lacks means that the record is
    /// an old copy: voting on could contradict it.
    pub(super) fn on_recall(&mut self, now: Now, from: NodeId, recall: VerifiedRecall, fx: &mut Effects) {
        if let Some(what) = self.unknown_own_vote(&recall) {
            if !self.rejoined {
                self.fail(HaltReason::RestoredCopy { what }, fx);
                return;
            }
            fx.alerts.push(format!("node {from} holds {what} signed with this node's key: somebody else uses the key"));
        }
        if !self.rejoined {
            self.recalled.insert(from);
            self.rejoined = self.rejoin_complete();
            if self.rejoined {
                self.timers.beat_at = now.mono_ms;
                self.reset_election_timer(now);
            }
        }
        self.on_standing(now, recall.standing, fx);
    }

    pub(super) fn rejoin_complete(&self) -> bool {
        let mut heard = self.recalled.clone();
        heard.insert(self.me);
        self.quorum.reached(&heard).is_some()
    }

    fn unknown_own_vote(&self, recall: &VerifiedRecall) -> Option<String> {
        for vote in recall.votes.iter().filter(|v| v.author == self.me) {
            let known = self.safety.last(vote.phase).is_some_and(|last| {
                let (theirs, ours) = ((vote.term, vote.height), (last.term, last.height));
                theirs < ours || theirs == ours && vote.digest == last.digest
            });
            if !known {
                return Some(format!("a vote of term {} for height {}", vote.term, vote.height));
            }
        }
        let vote = recall.election_vote.as_ref().filter(|v| v.author == self.me)?;
        let known = self
            .safety
            .election_vote
            .as_ref()
            .is_some_and(|ours| vote.term < ours.term || vote.term == ours.term && vote.claim == ours.claim);
        (!known).then(|| format!("an election vote for term {}", vote.term))
    }
}

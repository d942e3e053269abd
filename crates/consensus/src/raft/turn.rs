//! The normal case: proposals, checks, votes, certificates, commits.

use std::sync::Arc;

use wire::limits::{BLOCK_TIME_AHEAD_MS_MAX, WINDOW_HEIGHTS_MAX};
use wire::peer::AppendEntries;
use wire::statement::Claim;
use wire::{
    BlockDigest, BlockHeader, Evidence, Executed, Height, NodeId, PeerMessage, Phase, Proposal, Term, Time, Verified,
    VerifiedCommand, Vote, merkle,
};

use super::tree::Check;
use super::votes::Taken;
use super::{Destination, Effects, Engine, HaltReason, Now, RECENT_HEIGHTS};
use crate::certificate::{VerifiedCertificate, check_certificate, obliged};
use crate::rules::{Rule, Rules};
use crate::verify::{VerifiedAppend, VerifiedBlock};

/// Votes of a later term kept per author and phase.
const EARLY_VOTES_MAX: usize = 8;

/// What the leader may propose now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Blocks in flight above the committed one.
    pub in_flight: u64,
    /// A block is due even without commands: the first of a term, or one that certifies what execution gave.
    pub due: bool,
}

impl<R: Rules> Engine<R> {
    /// Brings the engine to rest after inputs: checks blocks, casts votes, commits, and runs the timers.
    pub fn settle(&mut self, now: Now, fx: &mut Effects) {
        if self.halted {
            return;
        }
        for (phase, digests) in std::mem::take(&mut self.restored) {
            // A voter that is a quorum by itself gets no other vote to count them by.
            self.look_at_support(phase, &digests, fx);
        }
        while !self.halted {
            self.resume_leading();
            let mut moved = self.adopt_orphans(fx);
            moved |= self.check_blocks(now, fx);
            moved |= self.cast_replicated(fx);
            moved |= self.cast_certified(fx);
            moved |= self.advance_commit(now, fx);
            if !moved {
                break;
            }
        }
        self.run_timers(now, fx);
        self.ask_for_missing(now, fx);
    }

    /// Ends a turn: hands the safety record out if it changed, so that it goes into the write that the outbox waits for.
    /// To be called after everything that may put a promise into the outbox, just before the effects are carried out.
    pub fn seal(&mut self, fx: &mut Effects) {
        if self.safety_dirty && !self.halted {
            fx.safety = Some(self.safety.clone());
            self.safety_dirty = false;
        }
    }

    // ---- proposing

    /// What the leader may propose now, or `None` if this node does not lead or its pipeline is full.
    pub fn room(&self) -> Option<Room> {
        if !self.leads() {
            return None;
        }
        let head = self.tree.header(&self.head?)?;
        let in_flight = head.height.0 - self.tree.root.header.height.0;
        // The first block of a term has room whatever the term inherits: without it nothing inherited would ever commit.
        let first = head.term != self.safety.entered;
        if in_flight >= u64::from(self.parameters.pipeline_max) && !first {
            return None;
        }
        Some(Room { in_flight, due: first })
    }

    /// True if nothing is in flight and what the last blocks with commands gave is not certified yet: an empty block
    /// would certify it.
    pub fn certifies_idle(&self) -> bool {
        let Some(Room { in_flight: 0, .. }) = self.room() else { return false };
        let root = &self.tree.root.header;
        let found = self.executed.get(&root.height);
        let results = |e: &Executed| (e.state_root, e.receipts_root);
        found.is_some_and(|found| results(found) != results(&root.executed))
    }

    /// Proposes a block of `commands`; call only with [`Engine::room`].
    pub fn propose(&mut self, now: Now, commands: Vec<VerifiedCommand>, latest_claim: bool, fx: &mut Effects) {
        let (Some(_), Some(head)) = (self.room(), self.head) else { return };
        let (Some(parent), Some(below)) = (self.tree.header(&head).cloned(), self.tree.frontier(&head)) else { return };
        let leaves: Vec<wire::Hash> = commands.iter().map(VerifiedCommand::leaf).collect();
        let mut frontier = below.clone();
        frontier.extend(&leaves);
        let newest = self.executed.values().next_back().copied();
        if let (true, Some(newest)) = (latest_claim, newest) {
            self.claim_next = newest;
        }
        let executed = if self.claim_next.height > parent.executed.height { self.claim_next } else { parent.executed };
        if let Some(newest) = newest {
            self.claim_next = newest;
        }
        let header = BlockHeader {
            epoch: self.epoch,
            term: self.safety.entered,
            height: parent.height.plus(1),
            parent: head,
            first_index: wire::Index(parent.first_index.0 + u64::from(parent.entry_count)),
            entry_count: commands.len() as u32,
            entries_root: merkle::root_of(&leaves),
            log_root: frontier.root(),
            time: Time(now.wall.0.max(parent.time.0.saturating_add(1))),
            executed,
        };
        let digest = header.digest(&self.cluster);
        self.tree.insert(Arc::new(VerifiedBlock { header, digest, entries: commands }));
        if let Some(node) = self.tree.node_mut(&digest) {
            node.check = Check::Passed;
        }
        self.head = Some(digest);
        let Some(append) = self.append_entries(&digest, fx) else { return };
        // The vote is what the leader may not contradict after a restart; it is durable before the proposal leaves.
        if self.cast(Phase::Replicated, self.claim_of(&digest), fx) {
            fx.send(Destination::All, append);
        }
    }

    /// The message that proposes a block held in the tree.
    pub(super) fn append_entries(&mut self, digest: &BlockDigest, fx: &mut Effects) -> Option<PeerMessage> {
        let block = self.tree.node(digest)?.block.clone();
        let parent = self.tree.header(&block.header.parent)?;
        let first = parent.term != self.safety.entered;
        let carries_claim = block.header.executed != parent.executed;
        let value = Proposal {
            author: self.me,
            epoch: self.epoch,
            term: self.safety.entered,
            height: block.header.height,
            digest: *digest,
        };
        let proposal = self.sign(value, fx)?;
        if let Some(node) = self.tree.node_mut(digest) {
            node.proposal = Some(proposal.clone());
        }
        self.proposals.insert(proposal.height, proposal.clone());
        Some(PeerMessage::AppendEntries(Box::new(AppendEntries {
            proposal: proposal.into_signed(),
            block: block.to_block(),
            election: if first { self.safety.election.as_deref().cloned() } else { None },
            claim: carries_claim.then(|| (*self.commit).clone()),
        })))
    }

    fn claim_of(&self, digest: &BlockDigest) -> Claim {
        let height = self.tree.header(digest).map_or(Height::ZERO, |h| h.height);
        Claim { term: self.safety.entered, height, digest: *digest }
    }

    // ---- proposals received

    pub(super) fn on_append_entries(&mut self, now: Now, from: NodeId, append: VerifiedAppend, fx: &mut Effects) {
        if let Some(election) = &append.election {
            self.on_election(now, election.clone(), fx);
        }
        if let Some(claim) = append.claim {
            self.on_commit_certificate(now, claim, fx);
        }
        let (proposal, block) = (append.proposal, append.block);
        if self.halted || proposal.author != self.leader(proposal.term) || block.header.term != proposal.term {
            return;
        }
        if proposal.term < self.safety.entered && R::holds(Rule::LeftTermsClosed) {
            self.send_standing(now, from, fx);
            return;
        }
        // Not entered yet, and the election was not attached: the sender's standing will bring it.
        if proposal.term > self.safety.entered {
            return;
        }
        // Also for a height that is committed by now: a contradiction does not become less of one.
        if let Some(first) = self.proposals.get(&proposal.height)
            && first.digest != proposal.digest
        {
            let pair = (first.signed().clone(), proposal.signed().clone());
            self.accuse(Evidence::Proposals(Box::new(pair)), fx);
            return;
        }
        if proposal.height <= self.tree.root.header.height {
            // A leader that proposes what is committed has missed the votes that committed it.
            self.send_standing(now, from, fx);
            return;
        }
        if let Some(election) = append.election {
            self.adopt_election(election, &block.header.parent, fx);
        }
        if proposal.height > self.window_floor().plus(WINDOW_HEIGHTS_MAX) && R::holds(Rule::ProposalWindow) {
            return;
        }
        match self.proposals.get(&proposal.height) {
            Some(_) => self.resend_votes(now, fx),
            None => {
                self.proposals.insert(proposal.height, proposal.clone());
                // A new proposal is a sign of life; a repeated one may be anybody's replay.
                if self.may_vote() {
                    self.reset_election_timer(now);
                }
            }
        }
        self.accept_proposal(proposal, block, fx);
    }

    /// The height from which windows are counted: a term may inherit a chain of uncommitted blocks longer than a window.
    pub(super) fn window_floor(&self) -> Height {
        self.tree.root.header.height.max(self.obliged().height)
    }

    fn accept_proposal(&mut self, proposal: Verified<Proposal>, block: Arc<VerifiedBlock>, fx: &mut Effects) {
        let digest = block.digest;
        if !self.tree.holds(&block.header.parent) {
            if self.tree.node(&digest).is_none() {
                self.want(block.header.parent);
                self.orphans.insert(proposal.height, (proposal, block));
            }
            return;
        }
        self.add_block(block, fx);
        if let Some(node) = self.tree.node_mut(&digest) {
            node.proposal.get_or_insert(proposal);
        }
    }

    /// Puts a block with a known parent into the tree and counts the votes that waited for it.
    pub(super) fn add_block(&mut self, block: Arc<VerifiedBlock>, fx: &mut Effects) -> bool {
        let (header, digest) = (block.header.clone(), block.digest);
        self.wanted.remove(&digest);
        if !self.tree.insert(block) {
            return false;
        }
        let gained = self.votes.block_known(&header, digest, self.safety.entered, &self.tree);
        for (phase, digest) in gained {
            self.look_at_support(phase, &[digest], fx);
        }
        true
    }

    fn adopt_orphans(&mut self, fx: &mut Effects) -> bool {
        let ready: Vec<Height> = self
            .orphans
            .iter()
            .filter(|(_, (_, block))| self.tree.holds(&block.header.parent))
            .map(|(height, _)| *height)
            .collect();
        for height in &ready {
            if let Some((proposal, block)) = self.orphans.remove(height) {
                self.accept_proposal(proposal, block, fx);
            }
        }
        !ready.is_empty()
    }

    // ---- checking blocks

    /// Checks every waiting block that can be checked now, parents first. True if one passed.
    fn check_blocks(&mut self, now: Now, fx: &mut Effects) -> bool {
        let mut moved = false;
        for (_, digest) in self.tree.ascending() {
            let Some(node) = self.tree.node(&digest) else { continue };
            if node.check != Check::Waiting {
                continue;
            }
            let verdict = self.check_block(&digest, now);
            if verdict == Check::Failed {
                let header = node.header();
                fx.alerts.push(format!(
                    "block {} at height {} of term {} breaks a rule or claims another state than this node found; not \
                     voting for it",
                    digest, header.height, header.term
                ));
            }
            if let Some(node) = self.tree.node_mut(&digest) {
                node.check = verdict;
            }
            moved |= verdict == Check::Passed;
        }
        moved
    }

    fn check_block(&self, digest: &BlockDigest, now: Now) -> Check {
        let Some(node) = self.tree.node(digest) else { return Check::Waiting };
        let header = node.header();
        let parent = match self.tree.node(&header.parent) {
            Some(parent) if parent.check == Check::Passed => parent.header(),
            Some(parent) => return parent.check,
            None => &self.tree.root.header,
        };
        let size = node.block.entries.iter().map(|e| e.signed().bytes().len()).sum::<usize>();
        let follows = Some(header.height) == parent.height.next()
            && header.epoch == self.epoch
            && header.term >= parent.term
            && Some(header.first_index) == parent.next_index()
            && header.log_root == node.frontier.root()
            && header.time > parent.time
            && header.executed.height < header.height
            && (header.executed == parent.executed || header.executed.height > parent.executed.height)
            && header.entry_count <= self.parameters.block_entries_max
            && size <= self.parameters.block_bytes_max as usize;
        if !follows {
            return Check::Failed;
        }
        // The only use of a voter's own clock: a block's time may not run far ahead of it.
        if header.time > now.wall.plus_ms(BLOCK_TIME_AHEAD_MS_MAX) && !self.is_time_settled(header, parent) {
            return Check::Waiting;
        }
        if header.executed == parent.executed {
            return Check::Passed;
        }
        match self.executed.get(&header.executed.height) {
            Some(found) if *found == header.executed => Check::Passed,
            Some(_) => Check::Failed,
            None => Check::Waiting,
        }
    }

    /// True if waiting for a block's time to come would serve nobody.
    ///
    /// Under crash faults a term may inherit what nobody but a leader with a wrong clock has voted for. It is settled all
    /// the same, and waiting for its time, and for that of the blocks that must come after it, could be an hour without
    /// commits. Under Byzantine faults whatever a term inherits has a quorum behind it, whose clocks were asked; and an
    /// exception would let a faulty leader push time ahead, a small step with each of many blocks.
    fn is_time_settled(&self, header: &BlockHeader, parent: &BlockHeader) -> bool {
        let least = header.time.0 == parent.time.0.saturating_add(1);
        !self.byzantine() && (least || header.term < self.safety.entered) && R::holds(Rule::PastNeedsNoClock)
    }

    // ---- voting

    /// Votes `replicated` for the newest block that this voter may vote for. True if it did.
    fn cast_replicated(&mut self, fx: &mut Effects) -> bool {
        if !self.may_vote() {
            return false;
        }
        let mut candidates: Vec<(Height, BlockDigest)> = self
            .tree
            .nodes()
            .filter(|(_, n)| n.check == Check::Passed && n.proposal.is_some() && self.is_open(n.header().term))
            .map(|(digest, n)| (n.header().height, *digest))
            .collect();
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        let Some((height, digest)) = candidates.into_iter().find(|(h, d)| self.follows_last_vote(*h, d)) else {
            return false;
        };
        let term = self.tree.header(&digest).map_or(self.safety.entered, |h| h.term);
        self.cast(Phase::Replicated, Claim { term, height, digest }, fx)
    }

    /// True if blocks of a term may be voted for now.
    fn is_open(&self, term: Term) -> bool {
        term == self.safety.entered || term < self.safety.entered && !R::holds(Rule::LeftTermsClosed)
    }

    /// Rule 2 of the normal case: a vote strictly descends from the last one of the term, or, if it is the first, from
    /// the obliged block through blocks of this term.
    fn follows_last_vote(&self, height: Height, digest: &BlockDigest) -> bool {
        let term = self.safety.entered;
        if !R::holds(Rule::LeftTermsClosed) {
            let last = self.safety.replicated.as_ref().map_or(Height::ZERO, |last| last.height);
            return last < height;
        }
        match &self.safety.replicated {
            Some(last) if last.term > term => false,
            Some(last) if last.term == term => {
                if height <= last.height {
                    return false;
                }
                if !R::holds(Rule::VotesChain) {
                    return true;
                }
                if last.height <= self.tree.root.header.height {
                    // Everything in the tree descends from the root; was the block voted for the committed one? So long
                    // ago that it is forgotten: if the root was committed in this very term, a quorum has voted for it,
                    // and by intersection no certificate of this term can name anything that conflicts with it.
                    return match self.recent.get(&last.height) {
                        Some((committed, _)) => *committed == last.digest,
                        None => self.tree.root.header.term == term && self.commit.claim.term == term,
                    };
                }
                self.tree.descends(digest, &last.digest)
            }
            _ => self.descends_from_obliged(digest) || !R::holds(Rule::FirstBlockObliged),
        }
    }

    fn descends_from_obliged(&self, digest: &BlockDigest) -> bool {
        let term = self.safety.entered;
        let obliged = self.obliged();
        let mut at = *digest;
        loop {
            if at == obliged.digest {
                return at != *digest;
            }
            match self.tree.header(&at) {
                Some(header) if header.term == term && at != self.tree.root.digest => at = header.parent,
                // The root itself was proposed in this term, so a quorum has checked what it descends from.
                Some(header) => return header.term == term,
                None => return false,
            }
        }
    }

    /// The block that the first block of the current term extends.
    pub(super) fn obliged(&self) -> Claim {
        self.safety.election.as_deref().and_then(obliged::<R>).unwrap_or(self.base)
    }

    /// Casts a vote: journals what it covers, records it, counts it, and lines it up for sending.
    pub(super) fn cast(&mut self, phase: Phase, claim: Claim, fx: &mut Effects) -> bool {
        let value = Vote {
            author: self.me,
            epoch: self.epoch,
            phase,
            term: claim.term,
            height: claim.height,
            digest: claim.digest,
        };
        let Some(vote) = self.sign(value, fx) else { return false };
        match phase {
            Phase::Replicated => {
                self.journal_chain(&claim.digest, fx);
                self.safety.replicated = Some(vote.clone());
            }
            Phase::Certified => self.safety.certified = Some(vote.clone()),
        }
        self.safety_dirty = true;
        fx.send(Destination::All, PeerMessage::Vote(vote.signed().clone()));
        self.count_vote(vote, fx);
        true
    }

    /// Puts a block and its ancestors into the batch to be written, as far as they are not written yet.
    fn journal_chain(&mut self, digest: &BlockDigest, fx: &mut Effects) {
        for digest in self.tree.chain(digest).unwrap_or_default() {
            if let Some(node) = self.tree.node_mut(&digest)
                && !node.journaled
            {
                node.journaled = true;
                fx.blocks.push(node.block.clone());
            }
        }
    }

    pub(super) fn on_vote(&mut self, now: Now, vote: Verified<Vote>, fx: &mut Effects) {
        if vote.author == self.me {
            return;
        }
        self.remember_newest(&vote);
        let root = self.tree.root.header.height;
        if vote.term < self.safety.entered || vote.height <= root {
            // Its author lacks what would move it on: an election, or a commit. A vote for the newest committed block
            // is usually just late.
            if vote.term < self.safety.entered || vote.height < root {
                self.send_standing_if_stale(now, &vote, fx);
            }
            return;
        }
        if vote.height > self.window_floor().plus(2 * WINDOW_HEIGHTS_MAX) && R::holds(Rule::VoteWindow) {
            return;
        }
        if vote.term > self.safety.entered {
            let early = self.early.entry((vote.author, vote.phase)).or_default();
            if early.len() >= EARLY_VOTES_MAX {
                early.remove(0);
            }
            early.push(vote);
            return;
        }
        self.count_vote(vote, fx);
    }

    /// Only a vote sent again shows that its author is stuck; one that is merely slower than the rest is normal.
    fn send_standing_if_stale(&mut self, now: Now, vote: &Verified<Vote>, fx: &mut Effects) {
        let behind = self.tree.root.header.height.0.saturating_sub(vote.height.0);
        if vote.term < self.safety.entered || behind > u64::from(self.parameters.pipeline_max) {
            self.send_standing(now, vote.author, fx);
        }
    }

    fn remember_newest(&mut self, vote: &Verified<Vote>) {
        let newest = self.newest.entry((vote.author, vote.phase)).or_insert_with(|| vote.clone());
        if (vote.term, vote.height) > (newest.term, newest.height) {
            *newest = vote.clone();
        }
    }

    pub(super) fn count_vote(&mut self, vote: Verified<Vote>, fx: &mut Effects) {
        let phase = vote.phase;
        match self.votes.take::<R>(vote, &self.tree) {
            Taken::Repeated => {}
            Taken::Contradiction(evidence) => self.accuse(evidence, fx),
            Taken::Supports(digests) => self.look_at_support(phase, &digests, fx),
        }
    }

    /// Builds the certificate of the highest of `digests` that has a quorum, if that is news.
    fn look_at_support(&mut self, phase: Phase, digests: &[BlockDigest], fx: &mut Effects) {
        let mut best: Option<(Claim, VerifiedCertificate)> = None;
        for digest in digests {
            let Some(node) = self.tree.node(digest) else { continue };
            let claim = Claim { term: node.header().term, height: node.header().height, digest: *digest };
            let known = match phase {
                Phase::Replicated if self.byzantine() => self.safety.lock.claim,
                _ => self.target.claim,
            };
            if (claim.term, claim.height) <= (known.term, known.height)
                || best.as_ref().is_some_and(|(b, _)| *b > claim)
            {
                continue;
            }
            let Some(proof) = self.votes.reached(phase, digest, &self.quorum) else { continue };
            let assembled = self.votes.certificate::<R>(proof, phase, digest, &self.tree, &self.quorum);
            let Some(certificate) = assembled else { continue };
            // What others would refuse must not enter our record: it could never be shown to anyone.
            match check_certificate::<R>(&certificate, &self.cluster, self.epoch, &self.base, &self.quorum) {
                Ok(()) => best = Some((claim, VerifiedCertificate::assume(certificate))),
                Err(why) => fx.alerts.push(format!("votes for height {} make no certificate: {why}", claim.height)),
            }
        }
        let Some((_, certificate)) = best else { return };
        if phase == self.commit_phase() {
            self.raise_target(certificate);
        } else {
            self.raise_lock(certificate, fx);
        }
    }

    /// A replication certificate: raises the lock if it is higher, and halts if it contradicts a commit.
    pub(super) fn raise_lock(&mut self, certificate: VerifiedCertificate, fx: &mut Effects) {
        if let Some((digest, term)) = self.recent.get(&certificate.claim.height)
            && *digest != certificate.claim.digest
            && (certificate.claim.term >= *term || !R::holds(Rule::OldCertificatesAreHistory))
            && !certificate.is_base()
        {
            self.fail(HaltReason::ConflictingCertificate(certificate.claim), fx);
            return;
        }
        // While an election vote is out the lock stays what that vote signed.
        let free = !self.has_asked() || !R::holds(Rule::SilenceAfterElectionVote);
        if self.byzantine() && free && certificate.claim > self.safety.lock.claim {
            self.safety.lock = certificate;
            self.safety_dirty = true;
        }
    }

    /// Votes `certified` for the locked block, once per lock of the current term.
    fn cast_certified(&mut self, fx: &mut Effects) -> bool {
        let claim = self.safety.lock.claim;
        let last = self.safety.certified.as_ref().map(|v| (v.term, v.height));
        let due = self.byzantine()
            && self.may_vote()
            && claim.term == self.safety.entered
            && !self.safety.lock.is_base()
            && last.is_none_or(|last| last < (claim.term, claim.height));
        due && self.cast(Phase::Certified, claim, fx)
    }

    // ---- committing

    pub(super) fn on_commit_certificate(&mut self, now: Now, certificate: VerifiedCertificate, fx: &mut Effects) {
        let claim = certificate.claim;
        if certificate.is_base() {
            return;
        }
        if let Some((digest, _)) = self.recent.get(&claim.height)
            && *digest != claim.digest
        {
            self.fail(HaltReason::ConflictingCertificate(claim), fx);
            return;
        }
        if claim.height > self.target.claim.height {
            self.raise_target(certificate);
            self.advance_commit(now, fx);
        } else if claim.height > self.tree.root.header.height && self.tree.holds(&claim.digest) {
            // On the way to a target whose block is not here yet.
            self.commit_to(now, certificate, fx);
        }
    }

    fn raise_target(&mut self, certificate: VerifiedCertificate) {
        if certificate.claim.height > self.target.claim.height {
            self.target = certificate;
        }
    }

    /// Commits up to the newest commit certificate, if all blocks up to it are held.
    pub(super) fn advance_commit(&mut self, now: Now, fx: &mut Effects) -> bool {
        let claim = self.target.claim;
        if claim.height <= self.tree.root.header.height || !self.tree.holds(&claim.digest) {
            return false;
        }
        self.commit_to(now, self.target.clone(), fx)
    }

    fn commit_to(&mut self, now: Now, certificate: VerifiedCertificate, fx: &mut Effects) -> bool {
        let claim = certificate.claim;
        let Some(chain) = self.tree.chain(&claim.digest) else { return false };
        self.journal_chain(&claim.digest, fx);
        for digest in chain {
            let Some(block) = self.tree.advance(&digest) else { break };
            let found = self.tree.root.frontier.root();
            if found != block.header.log_root {
                self.fail(HaltReason::LogDiffers { height: block.header.height, found }, fx);
                return false;
            }
            self.recent.insert(block.header.height, (digest, claim.term));
            fx.committed.push(block);
        }
        while self.recent.len() > RECENT_HEIGHTS {
            self.recent.pop_first();
        }
        self.commit = certificate;
        fx.commits.push(self.commit.clone());
        self.timers.progress_ms = now.mono_ms;
        self.after_commit();
        true
    }

    fn after_commit(&mut self) {
        let root = self.tree.root.header.height;
        self.votes.prune(root, &self.tree);
        let remembered = Height(root.0.saturating_sub(WINDOW_HEIGHTS_MAX));
        self.proposals = self.proposals.split_off(&remembered.plus(1));
        self.orphans = self.orphans.split_off(&root.plus(1));
        // What is still missing below an orphan is asked for; the rest is committed or lost.
        let needed: Vec<BlockDigest> = self.orphans.values().map(|(_, block)| block.header.parent).collect();
        let obliged = self.obliged().digest;
        self.wanted.retain(|digest, _| needed.contains(digest) || *digest == obliged);
        if self.head.is_some_and(|head| !self.tree.holds(&head)) {
            // What this leader proposed last lost to a block it did not propose; it may propose nothing more.
            self.head = None;
        }
        self.resume_leading();
    }

    /// As the leader of the current term: finds the block to extend. After a restart that is the last durable proposal,
    /// which is also the last `replicated` vote; before the first proposal it is the obliged block.
    pub(super) fn resume_leading(&mut self) {
        if self.leader(self.safety.entered) != self.me || self.head.is_some() {
            return;
        }
        let last = self.safety.replicated.as_ref().filter(|v| v.term == self.safety.entered);
        let last = last.filter(|_| R::holds(Rule::LeaderResumes));
        let digest = match last {
            Some(vote) => vote.digest,
            None => {
                let obliged = self.obliged().digest;
                if !self.tree.holds(&obliged) {
                    return;
                }
                obliged
            }
        };
        if self.tree.holds(&digest) {
            if let (Some(_), Some(node)) = (last, self.tree.node_mut(&digest)) {
                // It was checked before it was proposed.
                node.check = Check::Passed;
            }
            self.head = Some(digest);
        }
    }

    /// The uncommitted blocks below the leader's next proposal, oldest first.
    pub fn in_flight(&self) -> Vec<Arc<VerifiedBlock>> {
        let chain = self.head.and_then(|head| self.tree.chain(&head)).unwrap_or_default();
        chain.iter().filter_map(|digest| self.tree.node(digest)).map(|node| node.block.clone()).collect()
    }

    /// What this node found at its newest executed height.
    pub fn newest_executed(&self) -> Option<Executed> {
        self.executed.values().next_back().copied()
    }
}

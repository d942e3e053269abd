//! Signature checks, on threads of their own, before the replica sees anything.
//!
//! Peers' frames go first; clients' commands are pooled over all connections into large batches, taking whatever waits
//! and never waiting for more. One peer's frames are worked on by one thread at a time, so they stay in order.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use replica::{VerifiedMessage, Verifier};
use wire::{ClusterId, Membership, NodeId, PeerMessage, SignedCommand};

use crate::node::desk::{Desk, Origin};
use crate::node::frames::Frame;
use crate::node::inbox::{Admission, Inbox, Message};
use crate::node::limits::{
    COMMANDS_PER_TAKE, FRAMES_PER_TAKE, PEER_TAKES_IN_A_ROW, SUBMISSIONS_MAX, UNCHECKED_COMMANDS_MAX,
};
use crate::node::metrics::Metrics;
use crate::node::peers::Link;
use crate::node::stop::Alarm;

/// Commands of one client, not checked yet.
#[derive(Debug)]
pub struct Submission {
    /// The commands.
    pub commands: Vec<SignedCommand>,
    /// Who sent them.
    pub origin: Origin,
    /// The share of the clients' budget they were read under; given back once the replica has them.
    pub permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// Invariant: a peer stands in `ready` exactly if it has frames and no thread works on it.
#[derive(Debug, Default)]
struct Waiting {
    lanes: Vec<Lane>,
    ready: VecDeque<usize>,
    submissions: VecDeque<Submission>,
    commands: usize,
    peer_takes: u32,
    stopping: bool,
}

/// Frames of one peer. Bounded by the peer's budget, which every frame holds a share of.
#[derive(Debug)]
struct Lane {
    peer: NodeId,
    frames: VecDeque<(Frame, Arc<Link>)>,
    busy: bool,
}

enum Work {
    Frames { lane: usize, peer: NodeId, frames: Vec<(Frame, Arc<Link>)> },
    Commands(Vec<Submission>),
    Stop,
}

/// Everything that waits to be checked.
#[derive(Debug)]
pub struct Checks {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

impl Checks {
    /// Nothing waiting, from these peers.
    pub fn new(membership: &Membership) -> Checks {
        let lane = |id| Lane { peer: id, frames: VecDeque::new(), busy: false };
        let lanes = membership.voters.iter().map(|v| lane(v.id)).collect();
        Checks { waiting: Mutex::new(Waiting { lanes, ..Waiting::default() }), filled: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of this lock panics")
    }

    /// Adds a peer's frame.
    pub fn push_frame(&self, frame: Frame, link: Arc<Link>) {
        let mut waiting = self.lock();
        let Some(n) = waiting.lanes.iter().position(|lane| lane.peer == link.peer) else { return };
        let lane = &mut waiting.lanes[n];
        lane.frames.push_back((frame, link));
        if lane.frames.len() == 1 && !lane.busy {
            waiting.ready.push_back(n);
            drop(waiting);
            self.filled.notify_one();
        }
    }

    /// Adds a submission, or hands it back if too much waits.
    pub fn try_push(&self, submission: Submission) -> Result<(), Submission> {
        let mut waiting = self.lock();
        let full = waiting.submissions.len() >= SUBMISSIONS_MAX
            || waiting.commands + submission.commands.len() > UNCHECKED_COMMANDS_MAX;
        if waiting.stopping || full {
            return Err(submission);
        }
        waiting.commands += submission.commands.len();
        waiting.submissions.push_back(submission);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Commands waiting.
    pub fn commands(&self) -> usize {
        self.lock().commands
    }

    /// Ends the threads; what waits is dropped.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.filled.notify_all();
    }

    fn take(&self) -> Work {
        let idle = |w: &mut Waiting| w.ready.is_empty() && w.submissions.is_empty() && !w.stopping;
        let mut waiting = self.filled.wait_while(self.lock(), idle).expect("no holder of this lock panics");
        if waiting.stopping {
            return Work::Stop;
        }
        let commands_turn = waiting.peer_takes >= PEER_TAKES_IN_A_ROW && !waiting.submissions.is_empty();
        if !commands_turn && let Some(n) = waiting.ready.pop_front() {
            waiting.peer_takes = waiting.peer_takes.saturating_add(1);
            let lane = &mut waiting.lanes[n];
            lane.busy = true;
            let count = lane.frames.len().min(FRAMES_PER_TAKE);
            let work = Work::Frames { lane: n, peer: lane.peer, frames: lane.frames.drain(..count).collect() };
            return work;
        }
        waiting.peer_takes = 0;
        let mut taken = Vec::new();
        let mut commands = 0;
        while commands < COMMANDS_PER_TAKE
            && let Some(submission) = waiting.submissions.pop_front()
        {
            commands += submission.commands.len();
            taken.push(submission);
        }
        waiting.commands -= commands;
        Work::Commands(taken)
    }

    /// A thread is done with a peer's frames.
    fn release(&self, n: usize) {
        let mut waiting = self.lock();
        let lane = &mut waiting.lanes[n];
        lane.busy = false;
        if !lane.frames.is_empty() {
            waiting.ready.push_back(n);
            drop(waiting);
            self.filled.notify_one();
        }
    }
}

/// What a checking thread works with.
#[derive(Clone)]
pub struct Worker {
    /// The cluster.
    pub cluster: ClusterId,
    /// Decides what is valid; clones share what they have seen.
    pub verifier: Verifier,
    /// Where work comes from.
    pub checks: Arc<Checks>,
    /// Where checked messages and commands go.
    pub inbox: Arc<Inbox>,
    /// Who tells clients what was refused.
    pub desk: Arc<Desk>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Worker {
    /// Starts a thread.
    pub fn spawn(self, n: usize, alarm: Alarm) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(format!("juno-check-{n}")).spawn(move || {
            let _alarm = alarm;
            self.run();
        })
    }

    fn run(self) {
        loop {
            match self.checks.take() {
                Work::Frames { lane, peer, frames } => {
                    for (frame, link) in frames {
                        self.check_frame(peer, frame, &link);
                    }
                    self.checks.release(lane);
                }
                Work::Commands(submissions) => self.check_commands(submissions),
                Work::Stop => return,
            }
        }
    }

    fn check_frame(&self, from: NodeId, frame: Frame, link: &Link) {
        if link.is_closed_for_cause() {
            return;
        }
        let message = match PeerMessage::from_frame(&frame.content) {
            Ok(message) => message,
            Err(why) => {
                self.metrics.offence(from, "undecodable");
                link.close_for_cause(format!("a frame that is not a message: {why}"));
                return;
            }
        };
        let name = message.name();
        drop(frame.content);
        match self.verifier.verify(from, message) {
            Ok(message) => {
                self.metrics.received(name);
                self.inbox.push_message(Message { from, message, permit: frame.permit });
            }
            Err(offence) => {
                tracing::warn!(peer = %from, message = name, "refused: {offence}");
                self.metrics.offence(from, offence.name());
                link.offend(&offence.to_string());
                if let Some(evidence) = offence.evidence() {
                    let message = VerifiedMessage::Evidence(evidence);
                    self.inbox.push_message(Message { from, message, permit: frame.permit });
                }
            }
        }
    }

    fn check_commands(&self, submissions: Vec<Submission>) {
        let mut all = Vec::new();
        let mut rest = Vec::with_capacity(submissions.len());
        for submission in submissions {
            rest.push((submission.commands.len(), submission.origin, submission.permit));
            all.extend(submission.commands);
        }
        self.metrics.checked(all.len());
        let mut verdicts = self.verifier.verify_commands(all).into_iter();
        for (count, origin, permit) in rest {
            let mut admission = Admission { commands: Vec::with_capacity(count), forged: Vec::new(), origin, permit };
            for verdict in verdicts.by_ref().take(count) {
                match verdict {
                    Ok(command) => admission.commands.push(command),
                    Err(signed) => admission.forged.push(signed.id(&self.cluster)),
                }
            }
            if let Err(admission) = self.inbox.try_push_admission(admission) {
                self.desk.turn_away(admission);
            }
        }
    }
}

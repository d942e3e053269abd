//! What waits to have its signatures checked.
//!
//! Peers' statements go first, in order per peer: one peer's frames are worked on by one thread at a time. Commands
//! that peers pass on and commands of clients take turns after them: there may be thousands, and a vote must not wait
//! behind them. Clients' commands are pooled over all connections.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use tokio::sync::OwnedSemaphorePermit;
use wire::{Membership, NodeId, SignedCommand};

use crate::node::desk::Origin;
use crate::node::frames::Frame;
use crate::node::limits::{
    COMMANDS_PER_TAKE, FORWARD_BYTES_MAX, FRAMES_PER_TAKE, PEER_TAKES_IN_A_ROW, SUBMISSIONS_MAX, UNCHECKED_COMMANDS_MAX,
};
use crate::node::peers::Link;

/// Commands of one client, not checked yet.
#[derive(Debug)]
pub struct Submission {
    /// The commands.
    pub commands: Vec<SignedCommand>,
    /// Who sent them.
    pub origin: Origin,
    /// The share of the clients' budget they were read under; given back once the replica has them.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// A peer's frame, with the link it came over.
pub type PeerFrame = (Frame, Arc<Link>);

/// Invariant: a peer stands in `ready` exactly if it has statements and no thread works on them, and in
/// `forward_ready` exactly if it has forwards.
#[derive(Debug, Default)]
struct Waiting {
    lanes: Vec<Lane>,
    ready: VecDeque<usize>,
    forward_ready: VecDeque<usize>,
    submissions: VecDeque<Submission>,
    commands: usize,
    peer_takes: u32,
    forwards_next: bool,
    stopping: bool,
}

/// Frames of one peer. Bounded by the peer's budget, which every frame holds a share of; forwards by half of it, so
/// that statements always find room.
#[derive(Debug)]
struct Lane {
    peer: NodeId,
    statements: VecDeque<PeerFrame>,
    busy: bool,
    forwards: VecDeque<PeerFrame>,
    forward_bytes: usize,
}

/// What a thread is given to do.
#[derive(Debug)]
pub enum Work {
    /// Statements of a peer. To be followed by [`Checks::release`].
    Statements {
        /// What to release.
        lane: usize,
        /// In the order received.
        frames: Vec<PeerFrame>,
    },
    /// Commands passed on by a peer.
    Forward(PeerFrame),
    /// Commands of clients.
    Commands(Vec<Submission>),
    /// Nothing more: the node stops.
    Stop,
}

/// Everything that waits to be checked.
#[derive(Debug)]
pub struct Checks {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

/// The tag of [`wire::PeerMessage::Forward`], which follows the version byte.
const FORWARD_TAG: u8 = 8;

impl Checks {
    /// Nothing waiting, from these peers.
    pub fn new(membership: &Membership) -> Checks {
        let lane =
            |peer| Lane { peer, statements: VecDeque::new(), busy: false, forwards: VecDeque::new(), forward_bytes: 0 };
        let lanes = membership.voters.iter().map(|v| lane(v.id)).collect();
        Checks { waiting: Mutex::new(Waiting { lanes, ..Waiting::default() }), filled: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of this lock panics")
    }

    /// Adds a peer's frame. `false` if it was dropped: commands passed on beyond their bound, which their sender still
    /// has.
    pub fn push_frame(&self, frame: Frame, link: Arc<Link>) -> bool {
        let mut waiting = self.lock();
        let Some(n) = waiting.lanes.iter().position(|lane| lane.peer == link.peer) else { return false };
        let lane = &mut waiting.lanes[n];
        if frame.content.get(1) == Some(&FORWARD_TAG) {
            if lane.forward_bytes + frame.size() > FORWARD_BYTES_MAX {
                return false;
            }
            lane.forward_bytes += frame.size();
            lane.forwards.push_back((frame, link));
            if lane.forwards.len() > 1 {
                return true;
            }
            waiting.forward_ready.push_back(n);
        } else {
            lane.statements.push_back((frame, link));
            if lane.statements.len() > 1 || lane.busy {
                return true;
            }
            waiting.ready.push_back(n);
        }
        drop(waiting);
        self.filled.notify_one();
        true
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

    /// Waits for work and takes a bounded share of it.
    pub fn take(&self) -> Work {
        let mut waiting = self.filled.wait_while(self.lock(), |w| w.is_idle()).expect("no holder of this lock panics");
        if waiting.stopping {
            return Work::Stop;
        }
        let others_wait = !waiting.forward_ready.is_empty() || !waiting.submissions.is_empty();
        if (waiting.peer_takes < PEER_TAKES_IN_A_ROW || !others_wait)
            && let Some(statements) = waiting.take_statements()
        {
            return statements;
        }
        waiting.peer_takes = 0;
        waiting.forwards_next = !waiting.forwards_next;
        if (waiting.forwards_next || waiting.submissions.is_empty())
            && let Some(forward) = waiting.take_forward()
        {
            return Work::Forward(forward);
        }
        Work::Commands(waiting.take_submissions())
    }

    /// Takes statements if there are any: between two batches of commands, so that no vote waits for more than one.
    pub fn take_statements(&self) -> Option<Work> {
        self.lock().take_statements()
    }

    /// A thread is done with a peer's statements.
    pub fn release(&self, n: usize) {
        let mut waiting = self.lock();
        let lane = &mut waiting.lanes[n];
        lane.busy = false;
        if !lane.statements.is_empty() {
            waiting.ready.push_back(n);
            drop(waiting);
            self.filled.notify_one();
        }
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.forward_ready.is_empty() && self.submissions.is_empty() && !self.stopping
    }

    fn take_statements(&mut self) -> Option<Work> {
        let n = self.ready.pop_front()?;
        self.peer_takes = self.peer_takes.saturating_add(1);
        let lane = &mut self.lanes[n];
        lane.busy = true;
        let count = lane.statements.len().min(FRAMES_PER_TAKE);
        Some(Work::Statements { lane: n, frames: lane.statements.drain(..count).collect() })
    }

    /// One forward of one peer; peers take turns.
    fn take_forward(&mut self) -> Option<PeerFrame> {
        let n = self.forward_ready.pop_front()?;
        let lane = &mut self.lanes[n];
        let forward = lane.forwards.pop_front()?;
        lane.forward_bytes -= forward.0.size();
        if !lane.forwards.is_empty() {
            self.forward_ready.push_back(n);
        }
        Some(forward)
    }

    fn take_submissions(&mut self) -> Vec<Submission> {
        let mut taken = Vec::new();
        let mut commands = 0;
        while commands < COMMANDS_PER_TAKE
            && let Some(submission) = self.submissions.pop_front()
        {
            commands += submission.commands.len();
            taken.push(submission);
        }
        self.commands -= commands;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::limits::FRAME_OVERHEAD_BYTES;
    use tokio::sync::{Semaphore, oneshot};
    use wire::peer::Commands;
    use wire::{FaultModel, Name, PeerMessage, SecretKey, Voter};

    fn checks() -> Checks {
        let voter = |n: u8| Voter {
            id: NodeId(n.into()),
            name: Name::new(&format!("n{n}")).unwrap(),
            key: SecretKey::from_seed([n; 32]).public(),
            weight: 1,
        };
        Checks::new(&Membership {
            epoch: wire::Epoch(1),
            fault_model: FaultModel::Byzantine,
            faulty_weight: 1,
            voters: (1..=4).map(voter).collect(),
        })
    }

    fn push(checks: &Checks, peer: u16, content: &[u8]) -> bool {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        checks.push_frame(Frame { content: content.to_vec(), permit }, Link::new(NodeId(peer), 0))
    }

    fn submit(checks: &Checks) {
        let origin = Origin::Http(oneshot::channel().0);
        checks.try_push(Submission { commands: vec![], origin, permit: None }).unwrap();
    }

    /// What is taken, as text: `s2:5,6` for statements 5 and 6 of peer 2, `f3` for a forward of peer 3, `c` for
    /// clients.
    fn take(checks: &Checks) -> String {
        match checks.take() {
            Work::Statements { lane, frames } => {
                checks.release(lane);
                let numbers: Vec<String> = frames.iter().map(|(f, _)| f.content[2].to_string()).collect();
                format!("s{}:{}", frames[0].1.peer, numbers.join(","))
            }
            Work::Forward((_, link)) => format!("f{}", link.peer),
            Work::Commands(_) => "c".into(),
            Work::Stop => "stop".into(),
        }
    }

    const FORWARD: &[u8] = &[1, FORWARD_TAG, 0];

    #[test]
    fn the_tag_is_the_codecs() {
        assert_eq!(PeerMessage::Forward(Commands(vec![])).to_frame()[4..6], [1, FORWARD_TAG]);
    }

    #[test]
    fn statements_first_then_forwards_and_clients_in_turn() {
        let checks = checks();
        submit(&checks);
        push(&checks, 2, FORWARD);
        push(&checks, 2, FORWARD);
        push(&checks, 3, FORWARD);
        push(&checks, 2, &[1, 2, 50]);
        push(&checks, 3, &[1, 2, 60]);
        push(&checks, 2, &[1, 2, 51]);
        let order: Vec<String> = (0..6).map(|_| take(&checks)).collect();
        assert_eq!(order, ["s2:50,51", "s3:60", "f2", "c", "f3", "f2"]);
        checks.stop();
        assert_eq!(take(&checks), "stop");
    }

    #[test]
    fn statements_do_not_starve_clients() {
        let checks = checks();
        submit(&checks);
        let order: Vec<String> = (0..=PEER_TAKES_IN_A_ROW)
            .map(|n| {
                push(&checks, 2, &[1, 2, n as u8]);
                take(&checks)
            })
            .collect();
        assert_eq!(order.last().map(String::as_str), Some("c"));
        assert!(order[..order.len() - 1].iter().all(|o| o.starts_with("s2")), "{order:?}");
    }

    #[test]
    fn one_thread_at_a_time_per_peer() {
        let checks = checks();
        push(&checks, 2, &[1, 2, 1]);
        let Work::Statements { lane, .. } = checks.take() else { panic!() };
        push(&checks, 2, &[1, 2, 2]);
        assert!(checks.take_statements().is_none(), "in work");
        checks.release(lane);
        assert_eq!(take(&checks), "s2:2");
    }

    #[test]
    fn forwards_leave_room_for_statements() {
        let checks = checks();
        let mut big = FORWARD.to_vec();
        big.resize(FORWARD_BYTES_MAX / 2 - FRAME_OVERHEAD_BYTES, 0);
        assert!(push(&checks, 2, &big) && push(&checks, 2, &big) && !push(&checks, 2, FORWARD));
        assert!(push(&checks, 3, FORWARD), "each peer has its own bound");
        assert!(push(&checks, 2, &[1, 2, 9]));
    }
}

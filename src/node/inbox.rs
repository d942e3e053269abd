//! What waits for the replica thread: three bounded lanes, so that a flood of one kind delays no other.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use replica::VerifiedMessage;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wire::{CommandId, NodeId, Receipt, VerifiedCommand};

use crate::node::desk::Origin;
use crate::node::limits::{
    CHECKED_COMMANDS_MAX, REQUESTS_MAX, TURN_COMMANDS_MAX, TURN_MESSAGES_MAX, TURN_REQUESTS_MAX, TURN_ROWS_MAX,
};

/// A checked message of a peer.
#[derive(Debug)]
pub struct Message {
    /// The identity of the link it came over.
    pub from: NodeId,
    /// The message.
    pub message: VerifiedMessage,
    /// Its share of the peer's budget, given back once the replica has it. Forwarded commands give theirs back once
    /// checked: there are several messages to a frame of them.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// The checked commands of one submission, and who waits to hear of them.
#[derive(Debug)]
pub struct Admission {
    /// Those whose signatures are good.
    pub commands: Vec<VerifiedCommand>,
    /// Those whose are not.
    pub forged: Vec<CommandId>,
    /// Who sent them.
    pub origin: Origin,
    /// The share of the clients' budget they were read under.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// A question to the replica. Whoever asks may be gone by the time of the answer; that is no error.
#[derive(Debug)]
pub enum Request {
    /// Read the state.
    Query(Box<ledger::Query>, oneshot::Sender<ledger::Answer>),
    /// What became of commands.
    Find(Vec<CommandId>, oneshot::Sender<Vec<Option<Receipt>>>),
}

/// What running a call weighs beside rows that are read.
const RUN_ROWS: usize = 1000;

impl Request {
    /// Rows it reads, at most.
    fn rows(&self) -> usize {
        match self {
            Request::Query(query, _) => match &**query {
                ledger::Query::Accounts { limit, .. } => (*limit).min(ledger::query::ACCOUNTS_PAGE_MAX),
                ledger::Query::Modules { limit, .. } => (*limit).min(ledger::query::MODULES_PAGE_MAX),
                // As much work as the dearest command.
                ledger::Query::Run { .. } => RUN_ROWS,
                _ => 1,
            },
            Request::Find(ids, _) => ids.len(),
        }
    }
}

/// What one turn of the replica thread works on.
#[derive(Debug, Default)]
pub struct Taken {
    /// Messages, in the order received per peer.
    pub messages: Vec<Message>,
    /// Submissions, oldest first.
    pub admissions: Vec<Admission>,
    /// Questions.
    pub requests: Vec<Request>,
    /// The node stops: this is the last.
    pub stopping: bool,
}

#[derive(Debug, Default)]
struct Lanes {
    messages: VecDeque<Message>,
    admissions: VecDeque<Admission>,
    commands: usize,
    requests: VecDeque<Request>,
    stopping: bool,
}

/// The lanes.
#[derive(Debug, Default)]
pub struct Inbox {
    lanes: Mutex<Lanes>,
    filled: Condvar,
    emptied: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().expect("no holder of this lock panics")
    }

    /// Adds a message; waits for room, because a worker has nothing better to do while the replica is behind.
    pub fn push_message(&self, message: Message) {
        let full = |lanes: &mut Lanes| lanes.messages.len() >= TURN_MESSAGES_MAX && !lanes.stopping;
        let mut lanes = self.emptied.wait_while(self.lock(), full).expect("no holder of this lock panics");
        lanes.messages.push_back(message);
        drop(lanes);
        self.filled.notify_one();
    }

    /// Adds a submission, or hands it back if too many commands wait.
    pub fn try_push_admission(&self, admission: Admission) -> Result<(), Admission> {
        let mut lanes = self.lock();
        if lanes.stopping || lanes.commands + admission.commands.len() > CHECKED_COMMANDS_MAX {
            return Err(admission);
        }
        lanes.commands += admission.commands.len();
        lanes.admissions.push_back(admission);
        drop(lanes);
        self.filled.notify_one();
        Ok(())
    }

    /// Adds a question, or hands it back if too many wait.
    pub fn try_push_request(&self, request: Request) -> Result<(), Request> {
        let mut lanes = self.lock();
        if lanes.stopping || lanes.requests.len() >= REQUESTS_MAX {
            return Err(request);
        }
        lanes.requests.push_back(request);
        drop(lanes);
        self.filled.notify_one();
        Ok(())
    }

    /// Commands waiting.
    pub fn commands(&self) -> usize {
        self.lock().commands
    }

    /// Ends the replica thread after one more turn.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Waits for something to do, at most `wait`, and takes a bounded share of it.
    pub fn take(&self, wait: Duration) -> Taken {
        let deadline = Instant::now() + wait;
        let mut lanes = self.lock();
        while lanes.is_empty() && !lanes.stopping {
            let now = Instant::now();
            if now >= deadline {
                return Taken::default();
            }
            let waited = self.filled.wait_timeout(lanes, deadline - now);
            lanes = waited.expect("no holder of this lock panics").0;
        }
        let messages = lanes.messages.len().min(TURN_MESSAGES_MAX);
        let mut taken = Taken {
            messages: lanes.messages.drain(..messages).collect(),
            admissions: Vec::new(),
            requests: Vec::new(),
            stopping: lanes.stopping,
        };
        let mut rows = 0;
        while rows < TURN_ROWS_MAX
            && taken.requests.len() < TURN_REQUESTS_MAX
            && let Some(request) = lanes.requests.pop_front()
        {
            rows += request.rows();
            taken.requests.push(request);
        }
        let mut commands = 0;
        while commands < TURN_COMMANDS_MAX
            && let Some(admission) = lanes.admissions.pop_front()
        {
            commands += admission.commands.len();
            taken.admissions.push(admission);
        }
        lanes.commands -= commands;
        drop(lanes);
        self.emptied.notify_all();
        taken
    }
}

impl Lanes {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.admissions.is_empty() && self.requests.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_bounded_and_a_stop_is_seen() {
        let inbox = Inbox::default();
        let ask = || Request::Find(vec![], oneshot::channel().0);
        for _ in 0..REQUESTS_MAX {
            inbox.try_push_request(ask()).unwrap();
        }
        assert!(inbox.try_push_request(ask()).is_err());
        assert_eq!(inbox.take(Duration::ZERO).requests.len(), TURN_REQUESTS_MAX);
        let many = || Request::Find(vec![CommandId::default(); TURN_ROWS_MAX], oneshot::channel().0);
        let inbox = Inbox::default();
        (0..3).for_each(|_| inbox.try_push_request(many()).unwrap());
        assert_eq!(inbox.take(Duration::ZERO).requests.len(), 1, "long lists one at a time");
        inbox.stop();
        assert!(inbox.take(Duration::from_secs(60)).stopping);
        assert!(inbox.try_push_request(ask()).is_err());
    }

    #[test]
    fn waiting_ends_in_time() {
        let started = Instant::now();
        let taken = Inbox::default().take(Duration::from_millis(20));
        assert!(taken.requests.is_empty() && !taken.stopping);
        assert!(started.elapsed() >= Duration::from_millis(20));
    }
}

//! The replica thread: the only owner of the replica. Takes what the inbox holds, gives the replica a turn, hands on
//! what it puts out. It waits for nobody but the disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use replica::{Config, Input, Now, Output, Progress, Replica, Status};
use store::{DirDisk, Stamp, Store, StoreError};
use tokio::sync::{oneshot, watch};
use wire::{Genesis, NodeId, Signer};

use crate::node::desk::{Admitted, Told, wall_now};
use crate::node::error::NodeError;
use crate::node::inbox::{Inbox, Request, Taken};
use crate::node::limits::STATUS_INTERVAL;
use crate::node::metrics::Metrics;
use crate::node::outbox::{FrameBytes, Outboxes};
use crate::node::stop::Alarm;

/// How far the node is.
#[derive(Debug, Clone)]
pub enum Stage {
    /// It checks its files, and executes its log again.
    Opening {
        /// What is done, for people.
        progress: String,
    },
    /// It runs.
    Running {
        /// The replica's status.
        status: Arc<Status>,
        /// When it was taken.
        at: Instant,
    },
    /// It has stopped.
    Stopped,
}

impl Stage {
    /// The newest status, if there is one.
    pub fn status(&self) -> Option<&Arc<Status>> {
        match self {
            Stage::Running { status, .. } => Some(status),
            _ => None,
        }
    }
}

/// Longest sleep of an idle replica: the status it shows must stay younger than
/// [`STATUS_AGE_MAX`](crate::node::limits::STATUS_AGE_MAX).
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What the thread is started with.
pub struct ReplicaThread {
    /// What the organisations agreed on.
    pub genesis: Genesis,
    /// This node.
    pub me: NodeId,
    /// Signs for it.
    pub signer: Arc<dyn Signer>,
    /// Commands that may wait to be ordered.
    pub pool_commands_max: usize,
    /// The directory of the log.
    pub data: PathBuf,
    /// Whose directory it must be.
    pub stamp: Stamp,
    /// See [`crate::node::Options::accept_moved_directory`].
    pub accept_moved: bool,
    /// Where its work comes from.
    pub inbox: Arc<Inbox>,
    /// Where messages to peers go.
    pub outboxes: Arc<Outboxes>,
    /// Where everything else goes.
    pub desk: SyncSender<Told>,
    /// Where its status is shown.
    pub stage: watch::Sender<Stage>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What its monotonic clock counts from.
    pub started: Instant,
}

impl ReplicaThread {
    /// Starts the thread. The receiver gets how it ended; nothing, if it panicked.
    pub fn spawn(self, alarm: Alarm) -> io::Result<oneshot::Receiver<Result<(), NodeError>>> {
        let (sender, receiver) = oneshot::channel();
        std::thread::Builder::new().name("juno-replica".into()).spawn(move || {
            let _alarm = alarm;
            let ended = self.run();
            // The node may have been dropped meanwhile.
            let _ = sender.send(ended);
        })?;
        Ok(receiver)
    }

    /// Runs until the inbox says stop.
    fn run(self) -> Result<(), NodeError> {
        let mut replica = self.open()?;
        let mut published = self.publish(&replica);
        let mut changed = false;
        loop {
            let taken = self.inbox.take(self.wait(&replica, changed.then_some(published)));
            let stopping = taken.stopping;
            let requests = self.turn(&mut replica, taken);
            changed = true;
            if published.elapsed() >= STATUS_INTERVAL || stopping {
                published = self.publish(&replica);
                changed = false;
            }
            for request in requests {
                answer(&replica, request);
            }
            if stopping {
                let _ = self.stage.send_replace(Stage::Stopped);
                return Ok(());
            }
        }
    }

    /// One turn. Gives back the questions, to be answered from the state after it.
    fn turn(&self, replica: &mut Replica<DirDisk>, taken: Taken) -> Vec<Request> {
        let mut inputs = Vec::with_capacity(taken.messages.len() + 1);
        inputs.extend(taken.messages.into_iter().map(|m| Input::Peer { from: m.from, message: m.message }));
        let mut commands = Vec::new();
        let mut admitted = Vec::with_capacity(taken.admissions.len());
        for admission in taken.admissions {
            let ids = admission.commands.iter().map(|c| c.id()).collect();
            commands.extend(admission.commands);
            admitted.push(Admitted { ids, forged: admission.forged, origin: admission.origin });
        }
        if !commands.is_empty() {
            inputs.push(Input::Commands(commands));
        }
        let began = Instant::now();
        let outputs = replica.turn(self.now(), inputs);
        self.metrics.turn(began.elapsed());
        let mut told = Told { outputs: Vec::new(), admitted };
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    self.metrics.sent(message.name());
                    // Encoded once, shared among all it goes to.
                    let frame: FrameBytes = message.to_frame().into();
                    self.outboxes.send(to, frame);
                }
                other => told.outputs.push(other),
            }
        }
        if !told.outputs.is_empty() || !told.admitted.is_empty() {
            // The desk waits for no client, so this waits for the desk at most briefly; it is gone only after a panic,
            // which ends the node.
            let _ = self.desk.send(told);
        }
        taken.requests
    }

    fn open(&self) -> Result<Replica<DirDisk>, NodeError> {
        let fail = |why: String| NodeError::Store { path: self.data.clone(), why };
        let usual = store::Options::default();
        // The safety record holds up to three certificates, with a statement of some 140 bytes for each voter.
        let safety_bytes_max = usual.safety_bytes_max + 1024 * self.genesis.voters.len();
        let options = store::Options { accept_moved: self.accept_moved, safety_bytes_max, ..usual };
        let disk = || DirDisk::create(&self.data).map_err(|e| fail(e.to_string()));
        let mut checked = |p: store::Progress| self.opening(format!("checked {} of {} bytes", p.checked, p.total));
        let (store, found) = match Store::open(disk()?, self.stamp, options, &mut checked) {
            Err(StoreError::Empty) => Store::create(disk()?, self.stamp, options),
            other => other,
        }
        .map_err(|e| fail(e.to_string()))?;
        if found.moved {
            tracing::warn!("the data directory was moved or restored, and is taken as the original from now on");
        }
        tracing::info!(records = found.records, torn_bytes = found.torn_bytes, "opened {}", self.data.display());
        let config = Config {
            genesis: self.genesis.clone(),
            me: self.me,
            signer: self.signer.clone(),
            pool_commands_max: self.pool_commands_max,
        };
        let mut executed = |p: Progress| {
            self.opening(format!(
                "executed {} of {} log records, up to height {}",
                p.records, p.records_total, p.height
            ))
        };
        Replica::open(config, store, self.now(), &mut executed)
            .map_err(|e| NodeError::Open { path: self.data.clone(), why: e.to_string() })
    }

    fn opening(&self, progress: String) {
        self.stage.send_replace(Stage::Opening { progress });
    }

    fn publish(&self, replica: &Replica<DirDisk>) -> Instant {
        let at = Instant::now();
        self.stage.send_replace(Stage::Running { status: Arc::new(replica.status()), at });
        at
    }

    /// Until the replica's next timer, or until a changed status is to be shown.
    fn wait(&self, replica: &Replica<DirDisk>, unpublished_since: Option<Instant>) -> Duration {
        let timer = Duration::from_millis(replica.wake_at().saturating_sub(self.now().mono_ms)).min(WAIT_MAX);
        match unpublished_since {
            Some(published) => timer.min(STATUS_INTERVAL.saturating_sub(published.elapsed())),
            None => timer,
        }
    }

    fn now(&self) -> Now {
        Now { wall: wall_now(), mono_ms: self.started.elapsed().as_millis() as u64 }
    }
}

/// Answers a question. Whoever asked may have given up.
fn answer(replica: &Replica<DirDisk>, request: Request) {
    match request {
        Request::Query(query, sender) => drop(sender.send(replica.query(&query))),
        Request::Find(ids, sender) => drop(sender.send(ids.iter().map(|id| replica.find(id)).collect())),
    }
}

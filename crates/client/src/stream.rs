//! The client for many commands: a connection to every node, one bounded window of commands under way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use wire::limits::SEQUENCE_WINDOW;
use wire::{ClusterId, CommandId, Membership, NodeId, SignedCommand};

use crate::alert::Alert;
use crate::desk::{Desk, Done, Rules, frame_len};
use crate::identity::now;
use crate::link::{self, Dial};
use crate::tls::Trust;

/// How often waiting commands are looked at; every fifth time if they are many.
const TICK: Duration = Duration::from_millis(10);
const MANY: usize = 2048;

/// What a [`StreamClient`] needs to know.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// The cluster every signature is bound to.
    pub cluster: ClusterId,
    /// The voters, whose keys and weights decide what is believed.
    pub membership: Membership,
    /// `host:port`, or `tls://host:port`, of each node's binary stream. All nodes should be listed: replies of weight above `F` are needed.
    pub nodes: Vec<(NodeId, String)>,
    /// The read token the nodes ask for, or empty.
    pub token: String,
    /// The certificates trusted, for `tls://` addresses.
    pub trust: Option<Trust>,
    /// Commands under way at once; further submissions wait. At most [`WINDOW_MAX`].
    pub window: usize,
    /// Without enough replies for this long a command is sent to another node. Set it well above the latency of the
    /// cluster, and below the patience of the user.
    pub reply_timeout: Duration,
}

/// The most commands under way at once: a session's sequences may not run further ahead.
pub const WINDOW_MAX: usize = (SEQUENCE_WINDOW / 2) as usize;

impl StreamConfig {
    /// A configuration with the usual window and timeout.
    pub fn new(cluster: ClusterId, membership: Membership, nodes: Vec<(NodeId, String)>) -> StreamConfig {
        StreamConfig {
            cluster,
            membership,
            nodes,
            token: String::new(),
            trust: None,
            window: WINDOW_MAX,
            reply_timeout: Duration::from_secs(2),
        }
    }
}

/// Too few nodes are connected to accept any result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("nodes of weight {connected} answer, weight above {faulty} is needed: {}", .reasons.join("; "))]
pub struct NotReady {
    /// The weight of the nodes connected.
    pub connected: u64,
    /// `F`.
    pub faulty: u64,
    /// Each node that is not connected, with the reason.
    pub reasons: Vec<String>,
}

/// A submission was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// The same command is under way already.
    #[error("command {0} is under way already; wait for its result")]
    Duplicate(CommandId),
    /// The client was dropped.
    #[error("the client has ended")]
    Ended,
}

/// One node's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// The node.
    pub node: NodeId,
    /// Whether it has welcomed us.
    pub connected: bool,
    /// If not, why.
    pub reason: String,
}

/// The desk, shared by the links, the clock and the application. Locked for moments only, never across an await.
pub(crate) struct Shared {
    desk: Mutex<Desk>,
    /// Verdicts wait.
    done: Notify,
    /// Counts changes of connections.
    changed: watch::Sender<u64>,
    room: Semaphore,
    window: usize,
}

impl Shared {
    pub(crate) fn look_mut<R>(&self, f: impl FnOnce(&mut Desk) -> R) -> R {
        f(&mut self.desk.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn look<R>(&self, f: impl FnOnce(&Desk) -> R) -> R {
        self.look_mut(|desk| f(desk))
    }

    /// Changes the desk, and wakes whoever waits for what changed.
    pub(crate) fn update(&self, f: impl FnOnce(&mut Desk)) {
        let (done, connected) = self.look_mut(|desk| {
            let before = desk.connected_weight();
            f(desk);
            (!desk.done.is_empty(), before != desk.connected_weight())
        });
        if done {
            self.done.notify_one();
        }
        if connected {
            self.changed.send_modify(|n| *n += 1);
        }
    }
}

/// The sending half: cheap to clone, usable from many tasks.
#[derive(Clone)]
pub struct Submitter {
    shared: Arc<Shared>,
}

impl Submitter {
    /// Submits `commands` together, to one node, once the window has room. Each of them ends as one [`Done`] among the
    /// results. What exceeds the window or one frame goes as several submissions.
    ///
    /// # Errors
    /// [`SubmitError::Duplicate`] names a command that is under way; those before it in the list may have been sent.
    pub async fn submit(&self, commands: &[SignedCommand]) -> Result<(), SubmitError> {
        let mut rest = commands;
        while !rest.is_empty() {
            let len = frame_len(rest.iter().map(|c| c.bytes().len())).min(self.shared.window);
            let (piece, more) = rest.split_at(len);
            self.submit_piece(piece).await?;
            rest = more;
        }
        Ok(())
    }

    async fn submit_piece(&self, commands: &[SignedCommand]) -> Result<(), SubmitError> {
        let cluster = self.shared.look(|desk| desk.cluster);
        let ids: Vec<CommandId> = commands.iter().map(|c| c.id(&cluster)).collect();
        let count = u32::try_from(commands.len()).expect("a frame holds far fewer commands");
        // The permits come back as results are taken.
        let permits = self.shared.room.acquire_many(count).await.map_err(|_| SubmitError::Ended)?;
        let mut seen = HashSet::with_capacity(ids.len());
        self.shared.look_mut(|desk| {
            if let Some(id) = ids.iter().find(|id| desk.is_open(id) || !seen.insert(**id)) {
                return Err(SubmitError::Duplicate(*id));
            }
            desk.submit(&ids, commands, Instant::now());
            Ok(())
        })?;
        permits.forget();
        Ok(())
    }
}

/// A client of one cluster, connected to its nodes as long as it lives.
///
/// Built for ten thousands of commands under way: no task, channel or timer per command. Results come in the order in
/// which they were accepted.
pub struct StreamClient {
    shared: Arc<Shared>,
    /// Ends the links and the clock when dropped.
    _tasks: JoinSet<()>,
}

impl StreamClient {
    /// Starts connecting. Must be called within a tokio runtime.
    ///
    /// Nodes that are not in the membership are left out: nothing they say could count.
    pub fn start(config: StreamConfig) -> StreamClient {
        let window = config.window.clamp(1, WINDOW_MAX);
        let nodes: Vec<(NodeId, String)> =
            config.nodes.into_iter().filter(|(node, _)| config.membership.voter(*node).is_some()).collect();
        let ids: Vec<NodeId> = nodes.iter().map(|(node, _)| *node).collect();
        let rules = Rules { reply_timeout: config.reply_timeout };
        let desk = Desk::new(config.cluster, Arc::new(config.membership), &ids, rules);
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            done: Notify::new(),
            changed: watch::Sender::new(0),
            room: Semaphore::new(window),
            window,
        });
        let mut tasks = JoinSet::new();
        for (link, (_, address)) in nodes.into_iter().enumerate() {
            let dial = Dial { address, token: config.token.clone(), trust: config.trust.clone() };
            tasks.spawn(link::run(shared.clone(), link, dial));
        }
        tasks.spawn(tick(shared.clone()));
        StreamClient { shared, _tasks: tasks }
    }

    /// Waits until nodes of weight above `F` are connected, and for a moment longer for the rest of them, so that the
    /// first commands find the leader.
    ///
    /// # Errors
    /// If that takes longer than `patience`.
    pub async fn ready(&self, patience: Duration) -> Result<(), NotReady> {
        let all: u64 = self.shared.look(|desk| desk.links.len() as u64);
        let faulty = self.shared.look(|desk| desk.membership.faulty_weight);
        let deadline = tokio::time::Instant::now() + patience;
        let settle = tokio::time::Instant::now() + patience.min(Duration::from_millis(300));
        let mut changed = self.shared.changed.subscribe();
        loop {
            let (weight, links) = self
                .shared
                .look(|desk| (desk.connected_weight(), desk.links.iter().filter(|l| l.connected).count() as u64));
            let enough = weight > faulty;
            if links == all && enough {
                return Ok(());
            }
            let until = if enough { settle } else { deadline };
            if tokio::time::timeout_at(until, changed.changed()).await.is_ok() {
                continue;
            }
            if enough {
                return Ok(());
            }
            let links = self.links();
            let reasons = links.iter().filter(|l| !l.connected).map(|l| format!("node {}: {}", l.node, l.reason));
            return Err(NotReady { connected: weight, faulty, reasons: reasons.collect() });
        }
    }

    /// Asks every node for the replies to all commands of `session`, also those that another node took. Call it before
    /// the first submission of the session: a result is accepted only when several nodes report it.
    pub fn follow(&self, session: u64) {
        self.shared.look_mut(|desk| desk.follow(session));
    }

    /// Sends new submissions to this node while it answers; `None` goes back to the leader.
    pub fn prefer(&self, node: Option<NodeId>) {
        self.shared.look_mut(|desk| desk.prefer(node));
    }

    /// The sending half, for submitting from other tasks.
    pub fn submitter(&self) -> Submitter {
        Submitter { shared: self.shared.clone() }
    }

    /// Submits; see [`Submitter::submit`].
    ///
    /// # Errors
    /// As [`Submitter::submit`].
    pub async fn submit(&self, commands: &[SignedCommand]) -> Result<(), SubmitError> {
        self.submitter().submit(commands).await
    }

    /// Waits for verdicts, and takes all there are. Verdicts not taken keep their place in the window.
    pub async fn results(&mut self) -> Vec<Done> {
        loop {
            let done = self.shared.look_mut(|desk| std::mem::take(&mut desk.done));
            if !done.is_empty() {
                self.shared.room.add_permits(done.len());
                return done;
            }
            self.shared.done.notified().await;
        }
    }

    /// Submits `commands` together and waits for all their verdicts, in the order of the commands. Verdicts of commands
    /// submitted elsewhere meanwhile are dropped: use it alone.
    ///
    /// # Errors
    /// As [`Submitter::submit`].
    pub async fn execute(&mut self, commands: &[SignedCommand]) -> Result<Vec<Done>, SubmitError> {
        let cluster = self.shared.look(|desk| desk.cluster);
        let submitter = self.submitter();
        let submit = async {
            submitter.submit(commands).await?;
            // Only the collection of results ends this well.
            std::future::pending::<Result<(), SubmitError>>().await
        };
        let collect = async {
            let places: HashMap<CommandId, usize> =
                commands.iter().enumerate().map(|(n, command)| (command.id(&cluster), n)).collect();
            let mut slots: Vec<Option<Done>> = commands.iter().map(|_| None).collect();
            let mut missing = places.len();
            while missing > 0 {
                for done in self.results().await {
                    if let Some(n) = places.get(&done.id)
                        && slots[*n].replace(done).is_none()
                    {
                        missing -= 1;
                    }
                }
            }
            slots.into_iter().flatten().collect()
        };
        tokio::select! {
            ended = submit => Err(ended.err().unwrap_or(SubmitError::Ended)),
            done = collect => Ok(done),
        }
    }

    /// Commands without a verdict.
    pub fn under_way(&self) -> usize {
        self.shared.look(Desk::open_len)
    }

    /// The alerts since the last call.
    pub fn alerts(&self) -> Vec<Alert> {
        self.shared.look_mut(|desk| desk.alerts.take())
    }

    /// The state of every connection.
    pub fn links(&self) -> Vec<LinkStatus> {
        self.shared.look(|desk| {
            let status =
                |l: &crate::desk::Link| LinkStatus { node: l.node, connected: l.connected, reason: l.reason.clone() };
            desk.links.iter().map(status).collect()
        })
    }
}

async fn tick(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n in 0u64.. {
        interval.tick().await;
        let open = shared.look(Desk::open_len);
        if open > 0 && (open < MANY || n.is_multiple_of(5)) {
            shared.update(|desk| desk.tick(Instant::now(), now()));
        }
    }
}

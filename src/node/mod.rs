//! The shell of a node: sockets, files, clocks and threads around one synchronous [`replica::Replica`].
//!
//! ```text
//!  peers' links ──frames──▶┌────────┐ checked  ┌───────┐ turn ┌─────────────────┐──▶ outboxes ──▶ peers' links
//!                          │ checks │─────────▶│ inbox │─────▶│ replica thread  │
//!  streams, HTTP ─commands▶└────────┘          └───────┘      └─────────────────┘──▶ desk ──▶ streams, HTTP
//! ```
//!
//! * [`checks`], [`worker`]: decoding and signatures, on threads of their own; peers' statements first, commands in
//!   large batches.
//! * [`inbox`], [`thread`]: three bounded lanes, and the thread that owns the replica.
//! * [`outbox`], [`peers`], [`tls`]: mutual TLS 1.3 links, bound to the keys of the membership.
//! * [`desk`], [`recent`]: who asked, who is told; signs replies.
//! * [`stream`], [`http`], [`submit`]: the two ways in for clients.
//! * [`frames`], [`metrics`], [`limits`], [`options`], [`endpoints`], [`error`], [`stop`].
//!
//! Rules: every queue is bounded, in [`limits`]; the replica waits for nobody but its disk; a client's command is
//! answered or refused, never dropped in silence; a peer's frame may be dropped, counted, for the protocol sends again
//! what still matters; nothing reaches the replica unverified.

pub mod checks;
pub mod desk;
pub mod endpoints;
pub mod error;
pub mod frames;
pub mod http;
pub mod inbox;
pub mod limits;
pub mod metrics;
pub mod options;
pub mod outbox;
pub mod peers;
pub mod recent;
pub mod stop;
pub mod stream;
pub mod submit;
pub mod thread;
pub mod tls;
pub mod worker;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustls::ServerConfig;
use store::Stamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::{Membership, Signer};

pub use endpoints::Endpoints;
pub use error::NodeError;
pub use options::{Options, ReadAccess, TlsFiles};

use checks::Checks;
use desk::Desk;
use endpoints::bind;
use http::Api;
use inbox::Inbox;
use limits::STOP_TIMEOUT;
use metrics::Metrics;
use outbox::Outboxes;
use peers::Peers;
use stop::{Alarm, Stop};
use stream::Streams;
use submit::Submitter;
use thread::{ReplicaThread, Stage};
use tls::PeerTls;
use worker::Worker;

/// Runs a node until `shutdown` completes, or until it cannot go on.
///
/// Writes [`endpoints::FILE`] into the data directory once it runs, with the ports really bound.
///
/// # Errors
/// What keeps the node from starting or running; the message says what to change.
pub async fn run(options: Options, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
    wire::edge::self_test()?;
    let membership = Arc::new(check(&options)?);
    let listeners = Listeners::bind(&options).await?;
    let mut node = Node::start(options, membership, listeners)?;
    let ended = tokio::select! {
        ended = node.ended() => ended,
        () = shutdown => {
            tracing::info!("stopping");
            node.inbox.stop();
            node.ended().await
        }
    };
    node.finish().await;
    ended
}

/// Checks what the options say against the genesis document.
fn check(options: &Options) -> Result<Membership, NodeError> {
    let membership = options.genesis.membership();
    let me = membership.voter(options.me).ok_or(NodeError::NotAVoter(options.me))?;
    let found = options.key.public();
    if me.key != found {
        return Err(NodeError::WrongKey { node: me.id, expected: me.key, found });
    }
    let addressed = |id| id == options.me || options.peers.contains_key(&id);
    match membership.voters.iter().find(|v| !addressed(v.id)) {
        Some(voter) => Err(NodeError::NoAddress(voter.id)),
        None => Ok(membership),
    }
}

/// Everything the outside world connects to.
struct Listeners {
    peer: TcpListener,
    stream: TcpListener,
    http: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    endpoints: Endpoints,
}

impl Listeners {
    async fn bind(options: &Options) -> Result<Listeners, NodeError> {
        let tls = options.http_tls.as_ref().map(tls::client_facing).transpose()?;
        let bound = |b: &(TcpListener, SocketAddr)| b.1;
        let peer = bind("peer_listen", options.peer_listen).await?;
        let stream = bind("stream_listen", options.stream_listen).await?;
        let http = bind("http_listen", options.http_listen).await?;
        let endpoints = Endpoints { peer: bound(&peer), stream: bound(&stream), http: bound(&http) };
        Ok(Listeners { peer: peer.0, stream: stream.0, http: http.0, tls, endpoints })
    }
}

/// A running node: what is needed to see it end, and to end it.
struct Node {
    data: PathBuf,
    endpoints: Endpoints,
    inbox: Arc<Inbox>,
    checks: Arc<Checks>,
    outboxes: Arc<Outboxes>,
    stop: Stop,
    stage: watch::Receiver<Stage>,
    replica: oneshot::Receiver<Result<(), NodeError>>,
    desk: std::thread::JoinHandle<()>,
    panicked: mpsc::Receiver<&'static str>,
    dialling: JoinSet<()>,
    serving: JoinSet<()>,
}

impl Node {
    fn start(options: Options, membership: Arc<Membership>, listeners: Listeners) -> Result<Node, NodeError> {
        let cluster = options.genesis.cluster_id();
        let signer: Arc<dyn Signer> = Arc::new(options.key.clone());
        let stop = Stop::default();
        let metrics = Metrics::new(&membership);
        let inbox = Arc::new(Inbox::default());
        let checks = Arc::new(Checks::new(&membership));
        let outboxes = Arc::new(Outboxes::new(&membership, options.me, metrics.clone()));
        let desk = Arc::new(Desk::new(cluster, membership.epoch, options.me, signer.clone(), metrics.clone()));
        let submitter = Submitter { cluster, checks: checks.clone(), metrics: metrics.clone() };
        let (stage, stage_seen) = watch::channel(Stage::Opening { progress: "starting".into() });
        let (alarm, panicked) = Alarm::new();

        let (told, desk_thread) = desk.spawn(alarm.of("desk")).map_err(NodeError::Spawn)?;
        let worker = Worker {
            cluster,
            verifier: replica::verifier(&options.genesis),
            checks: checks.clone(),
            inbox: inbox.clone(),
            desk: desk.clone(),
            metrics: metrics.clone(),
        };
        for n in 0..workers(options.workers) {
            worker.clone().spawn(n, alarm.of("signature check")).map_err(NodeError::Spawn)?;
        }
        let thread = ReplicaThread {
            genesis: options.genesis,
            me: options.me,
            signer: signer.clone(),
            pool_commands_max: options.pool_commands_max,
            data: options.data.clone(),
            stamp: Stamp { cluster: cluster.0.0, node: options.key.public().0 },
            accept_moved: options.accept_moved_directory,
            inbox: inbox.clone(),
            outboxes: outboxes.clone(),
            desk: told,
            stage,
            metrics: metrics.clone(),
            started: Instant::now(),
        };
        let replica = thread.spawn(alarm.of("replica")).map_err(NodeError::Spawn)?;

        let (mut dialling, mut serving) = (JoinSet::new(), JoinSet::new());
        let tls = PeerTls::new(&cluster, membership.clone(), signer);
        let peers =
            Peers::new(tls, membership.clone(), outboxes.clone(), checks.clone(), metrics.clone(), stop.clone());
        for (peer, address) in options.peers.into_iter().filter(|(peer, _)| *peer != options.me) {
            dialling.spawn(peers.clone().dial(peer, address));
        }
        serving.spawn(peers.accept(listeners.peer));
        let streams = Arc::new(Streams {
            cluster,
            me: options.me,
            access: options.read_access.clone(),
            submitter: submitter.clone(),
            desk: desk.clone(),
            stage: stage_seen.clone(),
            budget: stream::clients_budget(),
            waiting: stream::streams_waiting(),
            metrics: metrics.clone(),
            stop: stop.clone(),
        });
        let api = Arc::new(Api {
            cluster,
            membership,
            access: options.read_access,
            submitter,
            desk,
            inbox: inbox.clone(),
            stage: stage_seen.clone(),
            budget: streams.budget.clone(),
            metrics: metrics.clone(),
        });
        serving.spawn(streams.accept(listeners.stream, listeners.tls.clone()));
        serving.spawn(http::serve(listeners.http, http::router(api), listeners.tls, metrics, stop.clone()));
        let Endpoints { peer, stream, http } = listeners.endpoints;
        tracing::info!(%peer, %stream, %http, "listening");
        Ok(Node {
            data: options.data,
            endpoints: listeners.endpoints,
            inbox,
            checks,
            outboxes,
            stop,
            stage: stage_seen,
            replica,
            desk: desk_thread,
            panicked,
            dialling,
            serving,
        })
    }

    /// Waits for the end of the replica, announcing the endpoints once it runs.
    async fn ended(&mut self) -> Result<(), NodeError> {
        Endpoints::remove(&self.data);
        let mut stage = self.stage.clone();
        let announce = async {
            // An error means the replica thread has ended, which the other branch reports.
            if stage.wait_for(|s| matches!(s, Stage::Running { .. })).await.is_ok() {
                if let Err(why) = self.endpoints.write(&self.data) {
                    tracing::error!("{why}");
                }
                tracing::info!("ready");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            thread = self.panicked.recv() => Err(NodeError::ThreadEnded(thread.unwrap_or("replica"))),
            ended = &mut self.replica => ended.unwrap_or(Err(NodeError::ThreadEnded("replica"))),
            () = announce => Ok(()),
        }
    }

    /// The replica has had its last turn: what it put out is delivered, clients are told goodbye, links are closed.
    async fn finish(mut self) {
        Endpoints::remove(&self.data);
        self.inbox.stop();
        self.checks.stop();
        let desk = self.desk;
        // After a panic the desk may never end; everything else has been told to.
        let _ = timeout(STOP_TIMEOUT, tokio::task::spawn_blocking(move || desk.join())).await;
        self.outboxes.close();
        self.stop.set();
        let closed = async {
            while self.serving.join_next().await.is_some() {}
            while self.dialling.join_next().await.is_some() {}
        };
        let _ = timeout(STOP_TIMEOUT, closed).await;
    }
}

/// Threads for signature checks.
fn workers(wanted: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if wanted == 0 { (processors / 2).max(1) } else { wanted.min(WORKERS_MAX) }
}

/// More threads than this only add contention.
const WORKERS_MAX: usize = 256;

//! Peer links. Each node dials every other voter for the frames it sends, and accepts links for those it receives, so
//! a link carries frames one way and a slow reader holds up nobody but itself.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wire::limits::FRAME_BYTES_MAX;
use wire::{Membership, NodeId};

use crate::node::checks::Checks;
use crate::node::frames::{FrameError, FrameReader};
use crate::node::limits::{
    HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, INBOUND_LINKS_MAX, KEEPALIVE, OFFENCES_PER_LINK_MAX, PEER_BYTES_MIN,
    PEER_UNACKNOWLEDGED, PEERS_BYTES_MAX, PENALTY_MAX, PENALTY_MIN, REDIAL_MAX, REDIAL_MIN, WARNING_INTERVAL,
};
use crate::node::metrics::Metrics;
use crate::node::outbox::{Outbox, Outboxes};
use crate::node::stop::Stop;
use crate::node::tls::{PeerTls, explain, server_name};

/// An accepted link, as those who read its frames see it.
#[derive(Debug)]
pub struct Link {
    /// Whose key the other end showed.
    pub peer: NodeId,
    number: u64,
    offences: AtomicU32,
    for_cause: AtomicBool,
    reason: Mutex<Option<String>>,
    closed: Notify,
}

impl Link {
    /// An open link.
    pub fn new(peer: NodeId, number: u64) -> Arc<Link> {
        Arc::new(Link {
            peer,
            number,
            offences: AtomicU32::new(0),
            for_cause: AtomicBool::new(false),
            reason: Mutex::new(None),
            closed: Notify::new(),
        })
    }

    /// True once the peer sent what costs it the link; frames of it that still wait are not worth checking.
    pub fn is_closed_for_cause(&self) -> bool {
        self.for_cause.load(Ordering::Relaxed)
    }

    /// Closes the link for what came over it.
    pub fn close_for_cause(&self, why: String) {
        self.for_cause.store(true, Ordering::Relaxed);
        self.close(why);
    }

    /// A frame was refused; too many close the link.
    pub fn offend(&self, why: &str) {
        if self.offences.fetch_add(1, Ordering::Relaxed) + 1 >= OFFENCES_PER_LINK_MAX {
            self.close_for_cause(format!("{OFFENCES_PER_LINK_MAX} refused frames, the last: {why}"));
        }
    }

    fn close(&self, why: String) {
        self.reason.lock().expect("no holder of this lock panics").get_or_insert(why);
        self.closed.notify_one();
    }
}

/// Links accepted from one identity, and how long it is kept out.
///
/// Invariant: `links` holds at most [`INBOUND_LINKS_MAX`], oldest first.
#[derive(Debug)]
struct Identity {
    links: VecDeque<Arc<Link>>,
    budget: Arc<Semaphore>,
    penalty: Duration,
    kept_out_until: Option<Instant>,
}

/// Both directions of all peer links.
pub struct Peers {
    tls: PeerTls,
    membership: Arc<Membership>,
    outboxes: Arc<Outboxes>,
    checks: Arc<Checks>,
    metrics: Arc<Metrics>,
    stop: Stop,
    identities: Mutex<HashMap<NodeId, Identity>>,
    warned: Mutex<Option<Instant>>,
}

impl Peers {
    /// Links of this node; none is up yet.
    pub fn new(
        tls: PeerTls,
        membership: Arc<Membership>,
        outboxes: Arc<Outboxes>,
        checks: Arc<Checks>,
        metrics: Arc<Metrics>,
        stop: Stop,
    ) -> Arc<Peers> {
        let budget = (PEERS_BYTES_MAX / membership.voters.len().max(1)).max(PEER_BYTES_MIN);
        let identity = || Identity {
            links: VecDeque::new(),
            budget: Arc::new(Semaphore::new(budget)),
            penalty: PENALTY_MIN,
            kept_out_until: None,
        };
        let identities = Mutex::new(membership.voters.iter().map(|v| (v.id, identity())).collect());
        Arc::new(Peers { tls, membership, outboxes, checks, metrics, stop, identities, warned: Mutex::new(None) })
    }

    fn identities(&self) -> MutexGuard<'_, HashMap<NodeId, Identity>> {
        self.identities.lock().expect("no holder of this lock panics")
    }

    /// Keeps a link to `peer` at `address`, dialling again whenever it ends, until the peer's outbox is closed.
    pub async fn dial(self: Arc<Self>, peer: NodeId, address: String) {
        let (Some(voter), Some(outbox)) = (self.membership.voter(peer), self.outboxes.of(peer)) else { return };
        let connector = TlsConnector::from(self.tls.dialling(voter.key));
        let mut wait = REDIAL_MIN;
        let mut told = String::new();
        while !outbox.is_closed() {
            let began = Instant::now();
            let ended = self.link_out(&connector, &address, &outbox).await;
            self.outboxes.set_connected(&outbox, false);
            let Err(why) = ended else { return };
            let why = explain(&why);
            if why != told {
                tracing::warn!(peer = %voter.name, %address, "no link: {why}; trying again");
                told = why;
            }
            if began.elapsed() > REDIAL_MAX {
                (wait, told) = (REDIAL_MIN, String::new());
            }
            if self.stop.or(sleep(jittered(wait))).await.is_none() {
                return;
            }
            wait = (wait * 2).min(REDIAL_MAX);
        }
    }

    /// One outgoing link, until it ends. `Ok` once the outbox is closed and written.
    async fn link_out(&self, connector: &TlsConnector, address: &str, outbox: &Outbox) -> io::Result<()> {
        let connect = async {
            let tcp = TcpStream::connect(address).await?;
            prepare(&tcp, PEER_UNACKNOWLEDGED)?;
            connector.connect(server_name(), tcp).await
        };
        let Some(connected) = self.stop.or(timeout(HANDSHAKE_TIMEOUT, connect)).await else { return Ok(()) };
        let link = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if !self.tls.same_cluster(link.get_ref().1) {
            return Err(io::Error::other(rustls::Error::NoApplicationProtocol));
        }
        let _counted = self.metrics.links_out();
        self.outboxes.set_connected(outbox, true);
        let (mut read, mut write) = tokio::io::split(link);
        // Nothing is ever sent back on this link: whatever can be read is its end.
        let mut nothing = [0; 1];
        // Only after its handshake does a node learn that the other refused it, so a link is not called up at once.
        let announce = async {
            sleep(LINK_SETTLED).await;
            tracing::info!(%address, "link up");
            std::future::pending().await
        };
        tokio::select! {
            never = announce => never,
            written = outbox.write_to(&mut write) => written,
            ended = read.read(&mut nothing) => Err(match ended {
                Ok(0) => io::Error::new(io::ErrorKind::ConnectionAborted, "the other node closed the link"),
                Ok(_) => io::Error::new(io::ErrorKind::InvalidData, "the other node sent bytes on a one-way link"),
                Err(why) => why,
            }),
        }
    }

    /// Accepts links until the node stops.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let acceptor = TlsAcceptor::from(self.tls.accepting());
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        while let Some(accepted) = self.stop.or(listener.accept()).await {
            let (tcp, from) = match accepted {
                Ok(accepted) => accepted,
                Err(why) => {
                    tracing::warn!("cannot accept a peer's connection: {why}");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(permit) = handshakes.clone().try_acquire_owned() else {
                self.metrics.dropped("handshakes_full", 1);
                continue;
            };
            let (peers, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                let handshake = async {
                    prepare(&tcp, PEER_UNACKNOWLEDGED)?;
                    acceptor.accept(tcp).await
                };
                let link = match timeout(HANDSHAKE_TIMEOUT, handshake).await {
                    Ok(Ok(link)) => link,
                    Ok(Err(why)) => {
                        peers.metrics.dropped("handshake_refused", 1);
                        return peers.warn_refused(from, &explain(&why));
                    }
                    Err(_) => return peers.metrics.dropped("handshake_timeout", 1),
                };
                drop(permit);
                match peers.tls.voter_of(link.get_ref().1) {
                    Some(peer) => peers.link_in(peer, link).await,
                    None => peers.metrics.dropped("handshake_refused", 1),
                }
            });
        }
    }

    /// Warns that a connection was refused, but not for each of a flood.
    fn warn_refused(&self, from: SocketAddr, why: &str) {
        let mut warned = self.warned.lock().expect("no holder of this lock panics");
        if warned.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL) {
            *warned = Some(Instant::now());
            tracing::warn!(%from, "refused a connection at the peer port: {why}");
        }
    }

    /// One incoming link, until it ends.
    async fn link_in(&self, peer: NodeId, link: tokio_rustls::server::TlsStream<TcpStream>) {
        let Some((handle, budget)) = self.admit(peer) else {
            return self.metrics.dropped("peer_kept_out", 1);
        };
        let _counted = self.metrics.links_in();
        let (read, _write) = tokio::io::split(link);
        let mut frames = FrameReader::new(read, FRAME_BYTES_MAX, budget);
        let reading = async {
            loop {
                match frames.next().await {
                    Ok(frame) => {
                        let taken = self.checks.push_frame(frame, handle.clone());
                        self.metrics.dropped("forwards_full", usize::from(!taken));
                    }
                    Err(why) => break why,
                }
            }
        };
        let ended = tokio::select! {
            why = reading => Some(why),
            () = handle.closed.notified() => None,
            () = self.stop.wait() => None,
        };
        match ended {
            Some(why @ FrameError::Length { .. }) => {
                self.metrics.offence(peer, "frame_length");
                handle.close_for_cause(why.to_string());
            }
            Some(why) => handle.close(why.to_string()),
            None => {}
        }
        self.release(&handle);
    }

    /// Books a link, closing the oldest of too many. `None` while the peer is kept out.
    fn admit(&self, peer: NodeId) -> Option<(Arc<Link>, Arc<Semaphore>)> {
        let mut identities = self.identities();
        let identity = identities.get_mut(&peer)?;
        if identity.kept_out_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        if identity.links.len() >= INBOUND_LINKS_MAX
            && let Some(oldest) = identity.links.pop_front()
        {
            oldest.close("the peer opened newer links".into());
        }
        let link = Link::new(peer, RandomState::new().build_hasher().finish());
        identity.links.push_back(link.clone());
        Some((link, identity.budget.clone()))
    }

    /// Books the end of a link. A peer at fault is kept out for a while, longer each time.
    fn release(&self, link: &Link) {
        let reason = link.reason.lock().expect("no holder of this lock panics").take().unwrap_or_default();
        let mut identities = self.identities();
        let Some(identity) = identities.get_mut(&link.peer) else { return };
        identity.links.retain(|l| l.number != link.number);
        if !link.is_closed_for_cause() {
            tracing::debug!(peer = %link.peer, "link ended: {reason}");
            return;
        }
        let now = Instant::now();
        // A long good time forgives.
        if identity.kept_out_until.is_some_and(|until| now > until + 10 * PENALTY_MAX) {
            identity.penalty = PENALTY_MIN;
        }
        identity.kept_out_until = Some(now + identity.penalty);
        let kept_out = identity.penalty;
        identity.penalty = (identity.penalty * 2).min(PENALTY_MAX);
        drop(identities);
        self.metrics.dropped("peer_closed_for_cause", 1);
        tracing::warn!(peer = %link.peer, ?kept_out, "closed a peer's link: {reason}");
    }
}

/// A link that lived this long was accepted by both ends.
const LINK_SETTLED: Duration = Duration::from_millis(500);

/// No delay; a silent other end is noticed within seconds, and so is one that takes no bytes for `unacknowledged`.
pub fn prepare(tcp: &TcpStream, unacknowledged: Duration) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 2).with_retries(3))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(unacknowledged))?;
    Ok(())
}

/// Between half of `wait` and all of it, so that nodes that lost each other do not dial in step.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 512;
    wait / 2 + wait / 2 * random as u32 / 512
}

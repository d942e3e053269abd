//! Bounded queues of frames on their way to connections. Whoever fills one never waits.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use replica::Destination;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;
use wire::limits::FRAME_BYTES_MAX;
use wire::{Membership, NodeId};

use crate::node::limits::{
    OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX, OUTBOX_OFFLINE_BYTES_MAX, OUTBOXES_BYTES_MAX, STALL_TIMEOUT, WRITE_BYTES,
};
use crate::node::metrics::Metrics;

/// A whole frame, shared among all it is sent to.
pub type FrameBytes = Arc<[u8]>;

/// Invariant: `bytes` is the sum of the lengths of `frames`, and neither exceeds its limit.
#[derive(Debug)]
struct Queue {
    frames: VecDeque<FrameBytes>,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
    shared: Option<Arc<Shared>>,
    closed: bool,
}

/// Bytes waiting in many queues together, and the most there may be.
#[derive(Debug)]
pub struct Shared {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// What a queue may hold when all together are full.
    share: usize,
}

impl Shared {
    /// A bound for at most `queues` queues.
    pub fn new(bytes_max: usize, queues: usize) -> Arc<Shared> {
        Arc::new(Shared { bytes: AtomicUsize::new(0), bytes_max, share: bytes_max / queues.max(1) })
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The queue. Filled from any thread, emptied by one writer task.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    ready: Notify,
}

impl Outbox {
    /// An empty queue with its limits.
    pub fn new(frames_max: usize, bytes_max: usize) -> Outbox {
        let queue = Queue { frames: VecDeque::new(), bytes: 0, frames_max, bytes_max, shared: None, closed: false };
        Outbox { queue: Mutex::new(queue), ready: Notify::new() }
    }

    /// An empty queue with its limits, which counts towards a common one.
    pub fn sharing(frames_max: usize, bytes_max: usize, shared: Arc<Shared>) -> Outbox {
        let mut outbox = Outbox::new(frames_max, bytes_max);
        outbox.queue.get_mut().expect("not shared yet").shared = Some(shared);
        outbox
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }

    /// Adds a frame; past a limit the oldest ones make room. Gives how many were dropped. For peers: the protocol sends
    /// again what still matters, and the newest statements matter most.
    pub fn push_newest(&self, frame: FrameBytes) -> usize {
        let dropped = {
            let mut queue = self.lock();
            if queue.closed || frame.len() > queue.bytes_max {
                return 1;
            }
            queue.push(frame);
            queue.trim()
        };
        self.ready.notify_one();
        dropped
    }

    /// Adds a frame, or gives `false` if there is no room. For clients, who are owed every reply or a goodbye.
    pub fn try_push(&self, frame: FrameBytes) -> bool {
        {
            let mut queue = self.lock();
            if queue.closed || !queue.has_room(frame.len()) {
                return false;
            }
            queue.push(frame);
        }
        self.ready.notify_one();
        true
    }

    /// Changes the limit on bytes, dropping the oldest frames beyond it. Gives how many were dropped.
    pub fn limit_bytes(&self, bytes_max: usize) -> usize {
        let mut queue = self.lock();
        queue.bytes_max = bytes_max;
        queue.trim()
    }

    /// Takes no further frames; the writer ends once it has written what is there, and `last`. With `last`, the frames
    /// that wait are dropped: its reader does not keep up.
    pub fn close(&self, last: Option<FrameBytes>) {
        {
            let mut queue = self.lock();
            if queue.closed {
                return;
            }
            queue.closed = true;
            if let Some(last) = last {
                while queue.pop().is_some() {}
                queue.push(last);
            }
        }
        self.ready.notify_one();
    }

    /// True once closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Takes the next write: several small frames in one buffer, or one large frame by itself. `None` once closed and
    /// empty.
    async fn take(&self, buffer: &mut Vec<u8>) -> Option<Option<FrameBytes>> {
        buffer.clear();
        loop {
            {
                let mut queue = self.lock();
                while let Some(frame) = queue.frames.front() {
                    if buffer.len() + frame.len() > WRITE_BYTES {
                        break;
                    }
                    buffer.extend_from_slice(frame);
                    queue.pop();
                }
                if !buffer.is_empty() {
                    return Some(None);
                }
                if let Some(frame) = queue.pop() {
                    return Some(Some(frame));
                }
                if queue.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// Writes frames to `to` until closed and empty, or until it fails or stalls.
    pub async fn write_to(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(WRITE_BYTES);
        while let Some(large) = self.take(&mut buffer).await {
            let bytes = large.as_deref().unwrap_or(&buffer);
            let written = async {
                to.write_all(bytes).await?;
                to.flush().await
            };
            timeout(STALL_TIMEOUT, written).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        to.shutdown().await
    }
}

/// Frames on their way to each other voter.
#[derive(Debug)]
pub struct Outboxes {
    peers: BTreeMap<NodeId, Arc<Outbox>>,
    connected_bytes_max: usize,
    metrics: Arc<Metrics>,
}

impl Outboxes {
    /// An empty queue for each voter but `me`.
    pub fn new(membership: &Membership, me: NodeId, metrics: Arc<Metrics>) -> Outboxes {
        let outbox = || Arc::new(Outbox::new(OUTBOX_FRAMES_MAX, OUTBOX_OFFLINE_BYTES_MAX));
        let others = membership.voters.iter().filter(|v| v.id != me);
        let connected_bytes_max =
            (OUTBOXES_BYTES_MAX / membership.voters.len().max(1)).clamp(2 * FRAME_BYTES_MAX, OUTBOX_BYTES_MAX);
        Outboxes { peers: others.map(|v| (v.id, outbox())).collect(), connected_bytes_max, metrics }
    }

    /// A link came up or went down: the peer's queue grows, or is cut to what would not be stale by the next link.
    pub fn set_connected(&self, outbox: &Outbox, connected: bool) {
        let (max, reason) = match connected {
            true => (self.connected_bytes_max, "peer_queue_full"),
            false => (OUTBOX_OFFLINE_BYTES_MAX, "peer_offline"),
        };
        self.metrics.dropped(reason, outbox.limit_bytes(max));
    }

    /// Queues a frame. Never waits: past a queue's limit its oldest frames make room, and are counted.
    pub fn send(&self, to: Destination, frame: FrameBytes) {
        for (_, outbox) in self.peers.iter().filter(|(id, _)| match to {
            Destination::All => true,
            Destination::One(peer) => peer == **id,
        }) {
            self.metrics.dropped("peer_queue_full", outbox.push_newest(frame.clone()));
        }
    }

    /// The queue of one peer.
    pub fn of(&self, peer: NodeId) -> Option<Arc<Outbox>> {
        self.peers.get(&peer).cloned()
    }

    /// Ends all writers once they have written what waits.
    pub fn close(&self) {
        self.peers.values().for_each(|outbox| outbox.close(None));
    }
}

impl Queue {
    fn has_room(&self, len: usize) -> bool {
        let crowded = |s: &Arc<Shared>| s.bytes() + len > s.bytes_max && self.bytes + len > s.share;
        self.frames.len() < self.frames_max
            && self.bytes + len <= self.bytes_max
            && !self.shared.as_ref().is_some_and(crowded)
    }

    fn push(&mut self, frame: FrameBytes) {
        self.bytes += frame.len();
        if let Some(shared) = &self.shared {
            shared.bytes.fetch_add(frame.len(), Ordering::Relaxed);
        }
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<FrameBytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        if let Some(shared) = &self.shared {
            shared.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        }
        Some(frame)
    }

    fn trim(&mut self) -> usize {
        let mut dropped = 0;
        while (self.bytes > self.bytes_max || self.frames.len() > self.frames_max) && self.pop().is_some() {
            dropped += 1;
        }
        dropped
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize, byte: u8) -> FrameBytes {
        vec![byte; len].into()
    }

    #[test]
    fn peers_lose_the_oldest_clients_lose_nothing() {
        let peer = Outbox::new(3, 100);
        assert_eq!((0..5).map(|n| peer.push_newest(frame(10, n))).sum::<usize>(), 2);
        assert_eq!(peer.push_newest(frame(95, 9)), 3, "bytes count too");
        assert_eq!(peer.push_newest(frame(101, 9)), 1, "what can never fit is dropped alone");
        assert_eq!(peer.bytes(), 95);
        let client = Outbox::new(3, 100);
        assert!(client.try_push(frame(60, 1)) && !client.try_push(frame(60, 2)) && client.try_push(frame(40, 3)));
    }

    #[test]
    fn when_all_together_are_full_the_largest_are_cut() {
        let shared = Shared::new(100, 4);
        let [greedy, modest] = [(); 2].map(|()| Outbox::sharing(10, 1000, shared.clone()));
        assert!(greedy.try_push(frame(90, 1)) && modest.try_push(frame(10, 1)));
        assert!(!greedy.try_push(frame(1, 1)), "has more than its share");
        assert!(modest.try_push(frame(15, 1)) && !modest.try_push(frame(1, 1)));
        drop(greedy);
        assert_eq!(shared.bytes(), 25, "what nobody reads any more does not count");
        assert!(modest.try_push(frame(75, 1)));
    }

    #[tokio::test]
    async fn writes_are_gathered_and_in_order() {
        let outbox = Outbox::new(1000, 1 << 20);
        let mut expected = Vec::new();
        for (n, len) in [3, WRITE_BYTES, 5, WRITE_BYTES + 1, 7].into_iter().enumerate() {
            expected.extend_from_slice(&frame(len, n as u8));
            assert!(outbox.try_push(frame(len, n as u8)));
        }
        outbox.close(None);
        let mut written = Vec::new();
        outbox.write_to(&mut written).await.unwrap();
        assert!(written == expected);
        assert!(!outbox.try_push(frame(1, 0)), "closed");
    }
}

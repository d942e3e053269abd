//! Bounded queues of frames on their way to connections. Whoever fills one never waits.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use replica::Destination;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;
use wire::{Membership, NodeId};

use crate::node::limits::{OUTBOX_FRAMES_MAX, OUTBOX_OFFLINE_BYTES_MAX, STALL_TIMEOUT, WRITE_BYTES};
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
    closed: bool,
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
        let queue = Queue { frames: VecDeque::new(), bytes: 0, frames_max, bytes_max, closed: false };
        Outbox { queue: Mutex::new(queue), ready: Notify::new() }
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
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
            queue.trim()
        };
        self.ready.notify_one();
        dropped
    }

    /// Adds a frame, or gives `false` if there is no room. For clients, who are owed every reply or a goodbye.
    pub fn try_push(&self, frame: FrameBytes) -> bool {
        {
            let mut queue = self.lock();
            let fits = queue.frames.len() < queue.frames_max && queue.bytes + frame.len() <= queue.bytes_max;
            if queue.closed || !fits {
                return false;
            }
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
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
                queue.frames.clear();
                queue.bytes = last.len();
                queue.frames.push_back(last);
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
    metrics: Arc<Metrics>,
}

impl Outboxes {
    /// An empty queue for each voter but `me`.
    pub fn new(membership: &Membership, me: NodeId, metrics: Arc<Metrics>) -> Outboxes {
        let outbox = || Arc::new(Outbox::new(OUTBOX_FRAMES_MAX, OUTBOX_OFFLINE_BYTES_MAX));
        let others = membership.voters.iter().filter(|v| v.id != me);
        Outboxes { peers: others.map(|v| (v.id, outbox())).collect(), metrics }
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
    fn pop(&mut self) -> Option<FrameBytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
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

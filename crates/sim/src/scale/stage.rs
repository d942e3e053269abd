//! The stages of one node before its replica thread: bytes in and out, and the threads that check signatures.

use std::collections::VecDeque;
use std::rc::Rc;

use wire::VerifiedCommand;

use super::costs::Machine;
use super::packet::Packet;

/// Frames of one peer that a worker takes at once.
const FRAMES_PER_TAKE: usize = 64;
/// Takes of peers' statements in a row while commands wait; then commands get one.
const PEER_TAKES_IN_A_ROW: u32 = 8;
/// Bytes gathered into one write.
const WRITE_BYTES: usize = 64 * 1024;

/// The threads for encryption and sockets, and the uplink. First come, first served; times in nanoseconds.
#[derive(Debug)]
pub struct Net {
    threads: Vec<u64>,
    wire_free: u64,
    writers: Vec<u64>,
    readers: Vec<u64>,
    /// When the last frame to each peer arrives there: a connection keeps order.
    arrivals: Vec<u64>,
    /// Nanoseconds that the threads were busy, all together.
    pub busy: u64,
    /// Nanoseconds that the uplink was busy.
    pub wire_busy: u64,
}

impl Net {
    /// At rest, with a connection to each of `n` nodes.
    pub fn new(n: usize, machine: &Machine) -> Net {
        Net {
            threads: vec![0; machine.io_threads],
            wire_free: 0,
            writers: vec![0; n],
            readers: vec![0; n],
            arrivals: vec![0; n],
            busy: 0,
            wire_busy: 0,
        }
    }

    fn tls(bytes: usize, coalesced: bool, machine: &Machine) -> u64 {
        let each = if coalesced && bytes < WRITE_BYTES { machine.tls_coalesced_ns } else { machine.tls_message_ns };
        (each + bytes as f64 * machine.tls_byte_ns).round() as u64
    }

    fn thread(&mut self, from: u64, ns: u64) -> u64 {
        self.busy += ns;
        let first = self.threads.iter_mut().min().expect("at least one thread");
        *first = (*first).max(from) + ns;
        *first
    }

    /// Gives when the last byte of a frame to `peer` arrives there, with a link that takes `delay`.
    pub fn send(&mut self, now: u64, peer: usize, bytes: usize, delay: u64, machine: &Machine) -> u64 {
        let behind = self.writers[peer] > now;
        let ready = self.thread(now, Net::tls(bytes, behind, machine)).max(self.writers[peer]);
        self.writers[peer] = ready;
        let on_wire = (bytes as f64 * machine.wire_byte_ns).round() as u64;
        self.wire_busy += on_wire;
        self.wire_free = self.wire_free.max(ready) + on_wire;
        self.arrivals[peer] = self.arrivals[peer].max(self.wire_free + delay);
        self.arrivals[peer]
    }

    /// Gives when a frame that arrives from `peer` is decrypted and may be checked.
    pub fn receive(&mut self, now: u64, peer: usize, bytes: usize, machine: &Machine) -> u64 {
        let behind = self.readers[peer] > now;
        self.readers[peer] = self.thread(now, Net::tls(bytes, behind, machine)).max(self.readers[peer]);
        self.readers[peer]
    }
}

/// What a checking thread works on at once.
#[derive(Debug)]
pub enum Take {
    /// Frames of one peer, in order.
    Statements {
        /// The peer.
        lane: usize,
        /// The frames.
        frames: Vec<Rc<Packet>>,
    },
    /// A portion of the commands that a peer passed on.
    Forward {
        /// The peer.
        from: usize,
        /// The frame.
        packet: Rc<Packet>,
        /// Which part of it.
        part: usize,
    },
    /// A portion of the commands of this node's clients.
    Commands(Rc<[VerifiedCommand]>),
}

#[derive(Debug, Default)]
struct Lane {
    frames: VecDeque<Rc<Packet>>,
    busy: bool,
}

/// What waits to be checked, in the order a node works it off: statements first and in order per peer, one thread for
/// one peer at a time; commands after them.
#[derive(Debug)]
pub struct Checks {
    lanes: Vec<Lane>,
    ready: VecDeque<usize>,
    forwards: VecDeque<(usize, Rc<Packet>, usize)>,
    submissions: VecDeque<Rc<[VerifiedCommand]>>,
    peer_takes: u32,
    forwards_next: bool,
    /// Threads with nothing to do.
    pub idle: usize,
    /// Nanoseconds that the threads were busy, all together.
    pub busy: u64,
    /// Nanoseconds spent on the frames of each peer.
    pub lane_busy: Vec<u64>,
}

impl Checks {
    /// Nothing waiting.
    pub fn new(n: usize, machine: &Machine) -> Checks {
        Checks {
            lanes: (0..n).map(|_| Lane::default()).collect(),
            ready: VecDeque::new(),
            forwards: VecDeque::new(),
            submissions: VecDeque::new(),
            peer_takes: 0,
            forwards_next: false,
            idle: machine.cores,
            busy: 0,
            lane_busy: vec![0; n],
        }
    }

    /// Adds a peer's frame.
    pub fn push(&mut self, from: usize, packet: Rc<Packet>) {
        if packet.forward {
            self.forwards.extend((0..packet.parts.len()).map(|part| (from, packet.clone(), part)));
            return;
        }
        let lane = &mut self.lanes[from];
        lane.frames.push_back(packet);
        if lane.frames.len() == 1 && !lane.busy {
            self.ready.push_back(from);
        }
    }

    /// Adds commands of clients.
    pub fn submit(&mut self, commands: Rc<[VerifiedCommand]>) {
        self.submissions.push_back(commands);
    }

    /// A thread is done with a peer's frames.
    pub fn release(&mut self, lane: usize) {
        self.lanes[lane].busy = false;
        if !self.lanes[lane].frames.is_empty() {
            self.ready.push_back(lane);
        }
    }

    /// What a free thread takes next.
    pub fn take(&mut self) -> Option<Take> {
        let others_wait = !self.forwards.is_empty() || !self.submissions.is_empty();
        if (self.peer_takes < PEER_TAKES_IN_A_ROW || !others_wait)
            && let Some(lane) = self.ready.pop_front()
        {
            self.peer_takes += 1;
            self.lanes[lane].busy = true;
            let frames = &mut self.lanes[lane].frames;
            let count = frames.len().min(FRAMES_PER_TAKE);
            return Some(Take::Statements { lane, frames: frames.drain(..count).collect() });
        }
        self.peer_takes = 0;
        self.forwards_next = !self.forwards_next;
        if (self.forwards_next || self.submissions.is_empty())
            && let Some((from, packet, part)) = self.forwards.pop_front()
        {
            return Some(Take::Forward { from, packet, part });
        }
        self.submissions.pop_front().map(Take::Commands)
    }
}

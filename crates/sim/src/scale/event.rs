//! What happens in a simulated cluster, and what is noted of it.

use std::rc::Rc;

use wire::VerifiedCommand;

use super::packet::Packet;

/// What may happen at a node.
#[derive(Debug)]
pub enum Event {
    /// The last byte of a frame is there.
    Arrive {
        /// The sender.
        from: usize,
        /// The frame.
        packet: Rc<Packet>,
    },
    /// It is decrypted.
    Received {
        /// The sender.
        from: usize,
        /// The frame.
        packet: Rc<Packet>,
    },
    /// Clients' commands are there.
    Submit(Vec<VerifiedCommand>),
    /// A message's check is done.
    Checked {
        /// The sender.
        from: usize,
        /// The frame.
        packet: Rc<Packet>,
        /// Which part of it.
        part: usize,
    },
    /// The check of a portion of clients' commands is done.
    Admitted(Rc<[VerifiedCommand]>),
    /// A checking thread is free; it had one peer's frames.
    Free {
        /// The peer.
        lane: Option<usize>,
    },
    /// The replica's turn is over.
    TurnOver,
    /// A timer of the replica may be due.
    Wake,
}

/// An event, when and where it happens. Events of one moment happen in the order in which they were scheduled.
#[derive(Debug)]
pub struct Timed {
    /// Nanoseconds of virtual time.
    pub at: u64,
    /// In the order of scheduling; no two events have the same.
    pub number: u64,
    /// The node.
    pub node: usize,
    /// What happens.
    pub event: Event,
}

impl PartialEq for Timed {
    fn eq(&self, other: &Timed) -> bool {
        self.number == other.number
    }
}
impl Eq for Timed {}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Timed) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timed {
    fn cmp(&self, other: &Timed) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// How long each stage of a node was busy, nanoseconds; threads of one stage added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Busy {
    /// The replica thread, syncs included.
    pub replica: u64,
    /// Of that, waiting for syncs.
    pub sync: u64,
    /// All checking threads.
    pub checks: u64,
    /// The one thread at a time that works on the leader's frames.
    pub lane: u64,
    /// The threads for encryption and sockets.
    pub io: u64,
    /// The uplink.
    pub wire: u64,
}

/// A block that F + 1 nodes have executed.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its height.
    pub height: u64,
    /// When the last of the F + 1 nodes had executed it.
    pub at: u64,
    /// From submission until then, one for each command.
    pub latencies: Vec<u64>,
}

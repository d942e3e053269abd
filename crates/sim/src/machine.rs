//! One machine: a disk, clocks, and, while it is up, a replica.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use replica::{Config, Replica, Rules};
use store::{Crash, Faults, Keep, MemDisk, Options, Stamp, Store};
use wire::{CommandId, Genesis, NodeId, SignedCommand};

use crate::clock::Clock;
use crate::plan::voter_key;
use crate::world::Letter;

/// What waits to be looked at.
#[derive(Clone)]
pub enum Incoming {
    /// A peer's frame.
    Letter {
        /// Whose link it came over.
        from: usize,
        /// The frame.
        letter: Rc<Letter>,
    },
    /// A client's command.
    Request(SignedCommand),
}

/// See the module documentation.
pub struct Machine<R: Rules> {
    /// The voter it is. Two machines are one voter if that is a twin.
    pub voter: usize,
    /// False for the guilty and the damaged: no oracle asks what they do.
    pub honest: bool,
    /// Its disk.
    pub disk: MemDisk,
    /// What is wrong with it.
    pub faults: Faults,
    /// An earlier image of it, for setting it back.
    pub image: Option<MemDisk>,
    /// Its clocks.
    pub clock: Clock,
    /// The process.
    pub replica: Option<Replica<MemDisk, R>>,
    /// Boots so far; what was scheduled for an earlier life is void.
    pub life: u64,
    /// What arrived and was not looked at.
    pub inbox: VecDeque<Incoming>,
    /// When the next turn is scheduled.
    pub turn_at_us: Option<u64>,
    /// When the next timer is scheduled.
    pub wake_at_us: Option<u64>,
    /// Busy with its disk, or standing still, until then.
    pub busy_until_us: u64,
    /// What each sync costs, and until when it costs more.
    pub slow_sync: (u64, u64),
    /// Down until then, if it is to lose its power at an operation of its disk.
    pub crash_at_operation: Option<u64>,
    /// The disk has been made to fail: the replica may stop for it.
    pub disk_fails: bool,
    /// It stopped for good, or its directory could not be opened.
    pub dead: Option<String>,
    /// Commands whose result a client waits for.
    pub waiters: BTreeMap<CommandId, ()>,
    /// Timer turns at the same time.
    pub spins: (u64, u32),
}

/// Small files: what matters happens at their edges.
pub fn options() -> Options {
    Options { segment_bytes: 1 << 18, reserve_bytes: 1 << 14, safety_bytes_max: 1 << 18, ..Options::default() }
}

impl<R: Rules> Machine<R> {
    /// A machine that has not started.
    pub fn new(voter: usize, number: usize, honest: bool, clock: Clock) -> Machine<R> {
        Machine {
            voter,
            honest,
            disk: MemDisk::new(number as u64 + 1),
            faults: Faults::default(),
            image: None,
            clock,
            replica: None,
            life: 0,
            inbox: VecDeque::new(),
            turn_at_us: None,
            wake_at_us: None,
            busy_until_us: 0,
            slow_sync: (0, 0),
            crash_at_operation: None,
            disk_fails: false,
            dead: None,
            waiters: BTreeMap::new(),
            spins: (0, 0),
        }
    }

    /// Opens the directory, making it the first time, and starts the process.
    ///
    /// # Errors
    /// Why the directory cannot be used, in the store's or the replica's words.
    pub fn start(&mut self, genesis: &Genesis, pool_max: usize, now_us: u64, mono_ms: u64) -> Result<(), String> {
        self.clock.boot(now_us, mono_ms);
        let key = voter_key(self.voter);
        let stamp = Stamp { cluster: genesis.cluster_id().0.0, node: key.public().0 };
        let fresh = self.disk.contents(store::SAFETY_FILE).is_none();
        let store = match fresh {
            true => Store::create(self.disk.clone(), stamp, options()),
            false => Store::open(self.disk.clone(), stamp, options(), &mut |_| {}),
        };
        let (store, _) = store.map_err(|e| e.to_string())?;
        let me = NodeId(self.voter as u16);
        // The same bytes as any signer makes, sooner.
        let signer = Arc::new(client::FastKey::new(&key).map_err(|e| e.to_string())?);
        let config = Config { genesis: genesis.clone(), me, signer, pool_commands_max: pool_max };
        let now = self.clock.now(now_us);
        let replica = Replica::open_under(config, store, now, &mut |_| {}).map_err(|e| e.to_string())?;
        self.replica = Some(replica);
        self.dead = None;
        Ok(())
    }

    /// The power is gone.
    pub fn lose_power(&mut self, seed: u64, keep: Keep, bit_flips: u32) {
        self.stop();
        self.disk.crash(&Crash { seed, keep, bit_flips });
        self.faults = Faults { capacity: self.faults.capacity, ..Faults::default() };
        self.disk.fail(self.faults);
    }

    /// The process is gone, with all that was in its memory.
    fn stop(&mut self) {
        self.life += 1;
        self.replica = None;
        self.inbox.clear();
        self.waiters.clear();
        self.turn_at_us = None;
        self.wake_at_us = None;
        self.busy_until_us = 0;
        self.crash_at_operation = None;
    }

    /// Sets what goes wrong with the disk.
    pub fn fail(&mut self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults);
        self.disk.fail(self.faults);
        self.disk_fails = true;
    }

    /// The disk works again.
    pub fn repair(&mut self) {
        self.faults = Faults::default();
        self.disk.fail(self.faults);
        self.disk_fails = false;
    }

    /// What a sync costs now.
    pub fn sync_us(&self, now_us: u64, usual_us: u64) -> u64 {
        if self.slow_sync.1 > now_us { usual_us.max(self.slow_sync.0) } else { usual_us }
    }

    /// True while the process runs.
    pub fn is_up(&self) -> bool {
        self.replica.is_some()
    }
}

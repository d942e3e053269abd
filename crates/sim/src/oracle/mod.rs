//! The oracles: rules restated, judged on what can be seen from outside. None of them calls the code it judges.
//!
//! | oracle | rule |
//! |---|---|
//! | agreement | all honest nodes execute one chain: one time, one list of receipts and one state root at each height; commit certificates at a height name one block; in the end the logs on the disks hold the same blocks |
//! | order | an honest node executes heights one by one, and reports none it has reported before in the same life |
//! | books | receipts are what a small model of the ledger gives: balances, conservation, at most one effect per (party, session, sequence), no effect after expiry, no command that nobody signed |
//! | promise | what a client accepted is in that chain, and an effect accepted before a command was sent comes before it |
//! | votes | no honest key signs two votes at one (phase, term, height), two proposals, or two election votes for a term; none below a term it asked for; the votes of a phase and term lie on one chain. Also across crashes |
//! | certificates | what an honest node sends on holds a quorum by own counting, each vote of an honest key having been sent |
//! | refused | no honest node's message is refused by another |
//! | evidence | honest nodes accuse only the faulty |
//! | halt | an honest node stops only for its disk |
//! | recovery | an honest node's directory opens after any crash |
//! | memory | blocks above the commit and commands that wait stay within bounds |
//! | spin | no timer rings for ever at one time |
//! | liveness | after the network has healed, every command gets through, and all honest nodes learn it, in bounded time |
//! | funds | in the end balances on every honest node are the model's |

mod books;
mod votes;

use std::collections::BTreeMap;
use std::fmt;

use replica::ExecutedBlock;
use wire::{BlockDigest, CommandId, Hash, Height, Index, PeerMessage, Receipt, Time};

use crate::clients::{Accepted, Known};
use crate::plan::Plan;
use books::Books;
use votes::Votes;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which oracle.
    pub oracle: &'static str,
    /// What it saw.
    pub text: String,
}

impl Failure {
    /// A failure of an oracle.
    pub fn new(oracle: &'static str, text: impl Into<String>) -> Failure {
        Failure { oracle, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.oracle, self.text)
    }
}

/// What is agreed at one height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The block's time.
    pub time: Time,
    /// The root over all tables after it.
    pub state_root: Hash,
    /// What became of its entries.
    pub receipts: Vec<Receipt>,
}

/// All that watch one run.
pub struct Oracles {
    votes: Votes,
    books: Books,
    faulty: Vec<bool>,
    chain: BTreeMap<Height, Agreed>,
    /// The last height each machine reported in its present life.
    reported: Vec<Option<Height>>,
    receipts: BTreeMap<Index, Receipt>,
    accepted: BTreeMap<CommandId, Receipt>,
    /// Up to here the books are kept: a restarted node may execute what nobody has reported yet.
    booked: Height,
    /// The highest height that a machine had executed when it booted.
    booted: Height,
}

impl Oracles {
    /// Oracles for one run.
    pub fn new(plan: &Plan) -> Oracles {
        Oracles {
            votes: Votes::new(plan),
            books: Books::default(),
            faulty: (0..plan.genesis.voters.len()).map(|v| plan.is_faulty(v)).collect(),
            chain: BTreeMap::new(),
            reported: vec![None; plan.machines()],
            receipts: BTreeMap::new(),
            accepted: BTreeMap::new(),
            booked: Height::ZERO,
            booted: Height::ZERO,
        }
    }

    /// The highest height any honest node executed.
    pub fn height(&self) -> Height {
        self.chain.keys().next_back().copied().unwrap_or_default()
    }

    /// Commands that took effect or were refused in the agreed chain.
    pub fn entries(&self) -> usize {
        self.receipts.len()
    }

    /// An honest voter sends a message.
    pub fn sent(&mut self, voter: usize, message: &PeerMessage) -> Result<(), Failure> {
        self.votes.sent(voter, message)
    }

    /// A block was proposed by anybody: its header links votes.
    pub fn learn(&mut self, message: &PeerMessage) {
        self.votes.learn(message);
    }

    /// A machine boots with a log up to `height`.
    pub fn booted(&mut self, machine: usize, height: Height, state_root: Hash) -> Result<(), Failure> {
        self.reported[machine] = Some(height);
        self.booted = self.booted.max(height);
        match self.chain.get(&height) {
            Some(agreed) if agreed.state_root != state_root => Err(Failure::new(
                "agreement",
                format!(
                    "machine {machine} starts at height {height} with state {state_root}, not {}",
                    agreed.state_root
                ),
            )),
            // It may have lost its power between the commit and the report.
            _ => Ok(()),
        }
    }

    /// An honest machine executed a block.
    pub fn executed(
        &mut self,
        machine: usize,
        block: &ExecutedBlock,
        known: &BTreeMap<CommandId, Known>,
    ) -> Result<(), Failure> {
        let height = block.height;
        let expected = self.reported[machine].unwrap_or_default().plus(1);
        if height != expected {
            let text = format!("machine {machine} executed height {height}, and {expected} was next");
            return Err(Failure::new("order", text));
        }
        self.reported[machine] = Some(height);
        let agreed = Agreed {
            time: block.time,
            state_root: block.state_root,
            receipts: block.entries.iter().map(|e| e.receipt.clone()).collect(),
        };
        match self.chain.get(&height) {
            Some(first) if *first != agreed => {
                let text = format!("machine {machine} executed {agreed:?} at height {height}, another {first:?}");
                return Err(Failure::new("agreement", text));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        for receipt in &agreed.receipts {
            self.receipts.entry(receipt.index).or_insert_with(|| receipt.clone());
        }
        self.chain.insert(height, agreed);
        while let Some(agreed) = self.chain.get(&self.booked.plus(1)) {
            self.booked = self.booked.plus(1);
            self.books.block(self.booked, agreed, known)?;
        }
        Ok(())
    }

    /// A client believes a result.
    pub fn accepted(&mut self, accepted: &Accepted) -> Result<(), Failure> {
        let receipt = &accepted.receipt;
        let held = self.receipts.get(&receipt.index);
        if held.is_some_and(|held| held != receipt) {
            return Err(Failure::new("promise", format!("a client accepted {receipt:?}, the log holds {held:?}")));
        }
        // A command that was sent twice may have been executed before the client heard of others' results.
        if accepted.floor.is_some_and(|floor| receipt.index <= floor) {
            let text = format!("{receipt:?} comes before index {:?}, accepted before it was sent", accepted.floor);
            return Err(Failure::new("promise", text));
        }
        self.accepted.insert(receipt.command, receipt.clone());
        Ok(())
    }

    /// In the end: everything accepted was executed, and the books are complete.
    pub fn settled(&self) -> Result<(), Failure> {
        for receipt in self.accepted.values() {
            if self.receipts.get(&receipt.index) != Some(receipt) && self.booked == self.height() {
                return Err(Failure::new("promise", format!("a client accepted {receipt:?}, which no node executed")));
            }
        }
        // What a single voter executed just before it lost its power, it never reports.
        if self.booked != self.height() && self.booted <= self.booked {
            return Err(Failure::new("order", format!("nobody executed the height after {}", self.booked)));
        }
        Ok(())
    }

    /// Evidence found or passed on by an honest node.
    pub fn accused(&self, by: usize, accused: usize, offence: &str) -> Result<(), Failure> {
        if self.faulty.get(accused).copied().unwrap_or(false) {
            return Ok(());
        }
        Err(Failure::new("evidence", format!("node {by} accuses honest node {accused} of {offence}")))
    }

    /// In the end: what an honest node's tables and log say.
    pub fn audit(&self, machine: usize, end: &Standing) -> Result<(), Failure> {
        if let Some(agreed) = self.chain.get(&end.height)
            && agreed.state_root != end.state_root
        {
            let text = format!("machine {machine} ends at height {} with another state", end.height);
            return Err(Failure::new("agreement", text));
        }
        for (id, receipt) in &self.accepted {
            let found = (end.find)(id);
            if let Some(found) = found
                && found != *receipt
            {
                let text = format!("machine {machine} holds {found:?}, a client accepted {receipt:?}");
                return Err(Failure::new("promise", text));
            }
        }
        if end.height == self.booked {
            self.books.compare(machine, &end.balances, end.supply)?;
        }
        Ok(())
    }

    /// In the end: blocks committed by the logs of two honest nodes.
    pub fn same_blocks(
        &self,
        (a, of_a): (usize, &BTreeMap<Height, BlockDigest>),
        (b, of_b): (usize, &BTreeMap<Height, BlockDigest>),
    ) -> Result<(), Failure> {
        for (height, digest) in of_a {
            if of_b.get(height).is_some_and(|other| other != digest) {
                let text = format!("the logs of {a} and {b} commit different blocks at height {height}");
                return Err(Failure::new("agreement", text));
            }
        }
        Ok(())
    }
}

/// What can be asked of a node in the end.
pub struct Standing<'a> {
    /// Its height.
    pub height: Height,
    /// The root over all tables.
    pub state_root: Hash,
    /// Units by account.
    pub balances: BTreeMap<String, u128>,
    /// Their sum, as the node states it.
    pub supply: u128,
    /// What it holds of a command.
    pub find: &'a dyn Fn(&CommandId) -> Option<Receipt>,
}

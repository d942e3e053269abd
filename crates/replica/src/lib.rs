//! Engine, store and ledger as one synchronous machine: the life of a command on one node.
//!
//! ```text
//! inputs -> admit -> order -> append -> sync -> send -> apply -> answer -> outputs
//! ```
//!
//! The order of the last five is the whole point of this crate, and [`Replica::turn`] is where it stands. The same
//! machine runs in a node, fed by sockets and clocks, and in a simulation, fed by a seed. It has no thread, clock or
//! randomness of its own; its only I/O is the [`store::Disk`] it was given.
//!
//! * [`machine`]: the turn.
//! * `pace`: whether the leader is slow.
//! * [`pool`]: commands admitted and not yet executed, their deadlines, and who is told of them.
//! * [`recovery`]: a restart re-executes the node's own log.
//! * [`journal`]: what the log records are, and answers to peers from it.
//! * [`audit`]: the same log checked by somebody who trusts nothing but the genesis document.

pub mod audit;
pub mod journal;
pub mod machine;
mod pace;
pub mod pool;
pub mod recovery;
mod rules;

pub use consensus::{Destination, HaltReason, Now, Offence, VerifiedEvidence, VerifiedMessage, Verifier};
pub use machine::{Config, ExecutedBlock, Input, Output, Replica, Role, Status};
pub use recovery::{OpenError, Progress};
pub use rules::{Rules, Standard};

use consensus::raft::Start;
use ledger::Ledger;
use wire::statement::Claim;
use wire::{BlockHeader, Genesis, Height, Term};

/// The header of block 0: agreed on with the genesis document, and claiming the ledger's first state.
pub fn base_header(genesis: &Genesis) -> BlockHeader {
    genesis.base_header(Ledger::new(genesis).state_root())
}

/// Block 0 as the base of the first epoch.
pub fn base_claim(genesis: &Genesis) -> Claim {
    let digest = base_header(genesis).digest(&genesis.cluster_id());
    Claim { term: Term::ZERO, height: Height::ZERO, digest }
}

/// A verifier of peers' messages and clients' commands for the first epoch of a cluster.
pub fn verifier(genesis: &Genesis) -> Verifier {
    verifier_under(genesis)
}

/// The same under rules of the caller's; for a simulator that takes one out.
pub fn verifier_under<R: consensus::Rules>(genesis: &Genesis) -> Verifier<R> {
    Verifier::under(genesis.cluster_id(), genesis.membership(), base_claim(genesis))
}

/// Where an engine of this cluster starts; see [`recovery`].
type EngineStart = Start;

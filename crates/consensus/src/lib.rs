//! Ordering engines: protocol state machines without I/O, clocks, threads or randomness.
//!
//! * [`quorum`]: the arithmetic of weights, apart and exhaustively tested.
//! * [`certificate`]: what makes a certificate valid, and the types that say that one is.
//! * [`verify`]: from received to verified messages, run before the engine sees anything.
//! * [`rules`]: the rules by name; a simulator takes them out one by one.
//! * [`raft`]: the engine with a stable leader. Its module documentation is the specification.

pub mod certificate;
pub mod quorum;
pub mod raft;
pub mod rules;
pub mod verify;

pub use certificate::{VerifiedCertificate, VerifiedElection};
pub use raft::{Destination, Effects, Engine, EngineConfig, HaltReason, Now, Outbox, Safety};
pub use rules::{Rule, Rules, Standard};
pub use verify::{Offence, VerifiedBlock, VerifiedEvidence, VerifiedMessage, Verifier};

//! The client's side of Juno: sign commands, submit them to any node, believe only what enough nodes swear to.
//!
//! A client knows the genesis document and nothing else. It talks to all nodes, because no single one is trusted:
//!
//! * **What counts.** The result of a command is accepted when replicas of total weight above `F` (the weight of faulty
//!   voters tolerated) sent verified replies with the *same* receipt; one of them at least is honest, so the result is
//!   true and durable. One replica alone proves nothing unless `F` is zero. See [`tally`].
//! * **Nothing is lost.** A node that hangs up, stays silent or says "busy" costs time: the same signed bytes go to
//!   another node. That is safe, because the ledger executes at most one command per (party, session, sequence) and
//!   answers a retry with the first result. Every submitted command ends as exactly one [`Done`].
//! * **Liars are named.** A reply with a forged signature, in another node's name, with two different receipts for one
//!   command, or against what was accepted, is reported as an [`Alert`] and never counted.
//!
//! [`StreamClient`] is for commands, many at a time; [`HttpClient`] is for queries and status. [`load`] measures.
//!
//! Left out for now: membership changes (the membership is the one of the genesis document), proofs of single rows.

mod alert;
mod desk;
pub mod http;
mod identity;
mod link;
pub mod load;
mod sign;
mod stream;
pub mod tally;
mod tls;

pub use alert::{Alert, AlertKind};
pub use desk::{Done, Verdict};
pub use http::{HttpClient, HttpError, HttpNode};
pub use identity::{CommandBuilder, EXPIRY_DEFAULT, Identity, now, random_session};
pub use sign::{BadKey, FastKey};
pub use stream::{LinkStatus, NotReady, StreamClient, StreamConfig, SubmitError, Submitter};
pub use tls::{Trust, TrustError};

//! What Juno says: the canonical codec, identifiers, hashes, keys, and every statement, command and message.
//!
//! Everything that two organisations must agree on byte for byte lives here, and nothing else. The crate is
//! deterministic: no clock, no randomness, no I/O. See `docs/wire.md` for the format in prose.
//!
//! Three rules hold throughout:
//!
//! * **One encoding.** `decode` accepts exactly the bytes that `encode` produces; trailing bytes, over-long lists,
//!   unknown tags and unsorted sets are errors, never normalised.
//! * **Signed is not verified.** [`Signed<T>`] is what arrived; [`Verified<T>`] can only be made by checking the
//!   signature (or by signing). The same holds for [`SignedCommand`] and [`VerifiedCommand`].
//! * **Nothing signed is ever re-encoded.** The received bytes stay with the decoded value.

pub mod block;
pub mod codec;
pub mod command;
pub mod edge;
pub mod genesis;
pub mod hash;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod merkle;
pub mod peer;
pub mod receipt;
pub mod signed;
pub mod statement;
pub mod stream;

pub use block::{Block, BlockHeader, Executed};
pub use codec::{Decode, DecodeError, Encode, Reader};
pub use command::{Command, SignedCommand, VerifiedCommand};
pub use genesis::{FaultModel, Genesis, Guard, Membership, Parameters, Voter};
pub use hash::{Hash, Hasher};
pub use ids::{BlockDigest, ClusterId, CommandId, Epoch, Height, Index, Name, NodeId, Term, Time};
pub use keys::{PublicKey, SecretKey, Signature, Signer, SignerError};
pub use peer::PeerMessage;
pub use receipt::{Outcome, OutcomeCode, Receipt};
pub use signed::{Signed, Statement, StatementError, Verified};
pub use statement::{Certificate, ElectionCertificate, ElectionVote, Evidence, Heartbeat, Phase, Proposal, Vote};

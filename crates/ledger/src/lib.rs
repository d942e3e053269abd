//! The ledger: parties, accounts, commands, receipts, queries. A value without clock, disk, network or randomness:
//! the same blocks give the same state, receipts and roots on every replica.
//!
//! ```text
//! text --classic--> Operation --payload of a signed command--> Ledger::execute_block --> receipts, diffs, roots
//!      \-> Query -----------------------------------------------> Ledger::query -------> Answer
//! ```
//!
//! * [`amount`]: exact quantities. A count of the smallest unit, six decimals, at most 2^96 units in all.
//! * [`operation`]: what a command asks for, and its canonical bytes (the payload of [`wire::Command`]).
//! * [`classic`]: the command language of Juno as text, to and from operations and queries.
//! * [`state`], [`diff`]: typed tables; each command's change as an invertible list of (before, after).
//! * [`overlay`]: what one command reads and writes before it is known to succeed.
//! * [`native`]: the rules of the operations. **The seam**: it sees an [`overlay::Overlay`] and a [`native::Context`]
//!   and nothing else, so another language can take its place without touching the rest.
//! * [`execute`]: the order of checks, at most once, receipts.
//! * [`root`]: one hash over all tables, with proofs of presence and absence of a row.
//! * [`outcome`]: the stable number of each way a command can end.
//! * [`rules`]: rules by name, which a simulator takes out one by one.
//! * [`query`]: reads. They are not log entries.
//!
//! Rules that hold after every command, whatever it was:
//!
//! 1. The sum of all balances equals the supply; the supply changes by minting and burning only.
//! 2. A balance falls only if the guard of the account's owner is satisfied by the command's signers. (An account in
//!    the middle of a path ends with the balance it had.)
//! 3. No balance is below zero and none is rounded.
//! 4. A refused command changes nothing but its own at-most-once record, and that only if its party's guard was
//!    satisfied.
//! 5. At most one command takes effect per (party, session, sequence).

pub mod amount;
pub mod classic;
pub mod diff;
pub mod execute;
mod lookup;
pub mod native;
pub mod operation;
pub mod outcome;
pub mod overlay;
pub mod query;
pub mod root;
pub mod rules;
pub mod state;

pub use amount::{Amount, AmountError, SignedAmount};
pub use classic::{Classic, ClassicError};
pub use diff::{Change, Diff};
pub use execute::{Admission, BlockResult, Executed, Ledger};
pub use operation::Operation;
pub use outcome::{Code, Refusal};
pub use query::{Answer, Query};
pub use root::Proof;
pub use rules::{Rule, Rules};
pub use state::{AccountRow, NoteRow, PartyRow, SessionRow, State, Table};

//! The ledger: parties, contracts, commands, receipts, queries. A value without clock, disk, network or randomness:
//! the same blocks give the same state, receipts and roots on every replica.
//!
//! ```text
//! text --classic--> Operation --> Request --payload of a signed command--> Ledger::execute_block --> receipts, diffs, roots
//!      \-> Query ---------------------------------------------------------> Ledger::query -------> Answer
//! ```
//!
//! * [`request`]: what a command asks for, and its canonical bytes (the payload of [`wire::Command`]).
//! * [`execute`]: the order of checks, at most once, receipts. `govern` has the rules of parties, modules and quotas, `call`
//!   those of calls, `world` what a contract may know of its command.
//! * [`parallel`]: calls of a block side by side, with the same result.
//! * [`modules`]: modules that were deployed. What they may do is the business of [`hopper`].
//! * [`cash`]: module `bank.cash`, which is there from genesis; [`operation`] and [`classic`] are the classic commands, a front
//!   to it: typed, and as text, [`transmatic`] Juno's programs. [`amount`] are its quantities: a count of the smallest unit, six decimals.
//! * [`state`], [`diff`]: typed tables; each command's change as an invertible list of (before, after).
//! * [`root`]: one hash over all tables, with proofs of presence and absence of a row.
//! * [`outcome`]: the stable number of each way a command can end; [`show`] writes values of contracts for people.
//! * [`rules`]: rules by name, which a simulator takes out one by one.
//! * [`query`]: reads. They are not log entries.
//!
//! Rules that hold after every command, whatever it was:
//!
//! 1. Of each asset the rows hold as much as was minted less what was burned, and less than 2^96. Re-checked on every diff.
//! 2. A balance falls only if the guard of the account's owner is satisfied by the command's signers, or by an allowance that
//!    such a command gave. (An account in the middle of a path ends with the balance it had.)
//! 3. No balance is below zero and none is rounded.
//! 4. A refused command changes nothing but its own at-most-once record and what its party has spent, and that only if its
//!    party's guard was satisfied.
//! 5. At most one command takes effect per (party, session, sequence).

pub mod amount;
mod call;
pub mod cash;
pub mod classic;
pub mod diff;
pub mod execute;
mod govern;
mod lookup;
pub mod modules;
pub mod operation;
pub mod outcome;
pub mod parallel;
pub mod query;
pub mod request;
pub mod root;
pub mod rules;
pub mod show;
pub mod state;
pub mod transmatic;
mod world;

pub use amount::{Amount, AmountError, SignedAmount};
pub use cash::AccountRow;
pub use classic::{Classic, ClassicError};
pub use diff::{Change, Diff};
pub use execute::{Admission, BlockResult, Executed, Ledger};
pub use operation::Operation;
pub use outcome::{Code, Refusal};
pub use query::{Answer, Query};
pub use request::Request;
pub use root::Proof;
pub use rules::{Rule, Rules};
pub use state::{NoteRow, PartyRow, SessionRow, State, Table};

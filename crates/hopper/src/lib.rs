//! Hopper, the trusted half: what every replica runs of the contract language.
//!
//! ```text
//! bytes --ir--> Module, Proofs --verify--> Unit in a Library
//! Unit, function, arguments, rows, signers --eval--> value, diff, cost
//! ```
//!
//! * [`ir`]: what a module is, byte for byte; the meaning of every operation.
//! * [`types`], [`value`]: types, each once; values and their canonical bytes.
//! * [`verify`]: what is checked before a module is deployed; [`lia`] replays its proofs, [`bound`] holds its cost bounds.
//! * [`library`]: modules that passed.
//! * [`eval`]: the machine that replicas run, and a second evaluator to test it against; [`cost`] is the table of costs and the
//!   meter, [`abort`] how commands end that change nothing.
//! * [`state`], [`diff`]: rows, what one command sees of them, and what it changed; [`show`] writes it for people.
//!
//! `docs/language.md` states the rules and what follows from them.

pub mod abort;
pub mod bound;
pub mod cost;
pub mod diff;
pub mod eval;
pub mod ir;
pub mod lia;
pub mod library;
mod node;
pub mod show;
pub mod state;
pub mod types;
pub mod value;
pub mod verify;

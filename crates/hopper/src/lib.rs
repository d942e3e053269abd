//! Hopper, the trusted half: what every replica runs of the contract language.
pub mod abort;
pub mod bound;
pub mod cost;
pub mod diff;
pub mod eval;
pub mod ir;
pub mod lia;
pub mod library;
mod node;
pub mod state;
pub mod types;
pub mod value;
pub mod verify;

//! Hopper, the trusted half: what every replica runs of the contract language.
pub mod bound;
pub mod cost;
pub mod ir;
pub mod library;
mod node;
pub mod types;
pub mod value;

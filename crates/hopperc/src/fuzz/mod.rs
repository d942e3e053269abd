//! Random and mutated modules, and what must hold of all that the verifier accepts.

pub mod mutate;
pub mod random;

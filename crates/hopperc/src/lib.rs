//! Hopper, the untrusted half: tools that make modules. What they get wrong the verifier of [`hopper`] refuses.
pub mod asm;
pub mod diagnostic;
pub mod elaborate;
pub mod front;
pub mod fuzz;
pub mod prove;
pub mod syntax;

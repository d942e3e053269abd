//! Hopper, the untrusted half: tools that make modules. What they get wrong the verifier of [`hopper`] refuses.
//!
//! ```text
//! contract --syntax--> tree --front--> module --prove--> module, proofs --deploy--> the verifier
//!               \--format--> contract     \--diagnostic--> what is wrong, why, how to mend it
//! ```
//!
//! * [`syntax`]: lexer, parser, formatter. `docs/hopper/grammar.md`.
//! * [`front`]: names, types, assets; lowering; what the verifier refuses, told in the author's words; costs.
//!   `docs/hopper/reference.md`.
//! * [`diagnostic`]: messages about places in a text.
//! * [`prove`], [`elaborate`]: the search for proofs.
//! * [`asm`]: the textual form of modules.
//! * [`lsp`]: the language server for editors.
//! * [`doc`]: pages about contracts.
//! * [`testing`]: runs `test` blocks; coverage.
//! * [`fuzz`]: random modules and mutants against the verifier.
//!
//! `lib/` has contracts.
pub mod asm;
pub mod diagnostic;
pub mod doc;
pub mod elaborate;
pub mod front;
pub mod fuzz;
pub mod literal;
pub mod lsp;
pub mod prove;
pub mod syntax;
pub mod testing;

//! From text to a tree that loses nothing, and back.
//!
//! ```text
//! text --lex--> tokens --parse--> tree of nodes, errors beside it --ast--> typed views
//!                                      \--format--> text
//! ```
//!
//! The tree holds every byte of the text, comments and faults too, so tools may show and change what is there. The parser takes any
//! text and never gives up: what it cannot place becomes an error node, and it goes on with the next statement or declaration.
//! `docs/hopper/grammar.md` has the rules.

pub mod ast;
mod expressions;
mod format;
mod items;
mod kind;
mod parser;
mod testing;
#[cfg(test)]
mod tests;

pub use format::format;
pub use kind::{Hopper, Lexed, Node, RESERVED, SyntaxKind, Token, lex};
pub use parser::{Parse, SyntaxError, parse};

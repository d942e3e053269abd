//! The node, its configuration and its command line: everything of Juno that touches sockets, files or clocks.

pub mod cli;
pub mod config;
pub mod local;
pub mod node;

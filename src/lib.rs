//! The node, its configuration and its command line: everything of Juno that touches sockets, files or clocks.

pub mod node;

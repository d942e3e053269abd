//! Why a node did not start, or stopped.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use wire::{NodeId, PublicKey};

/// Why a node did not start, or stopped. Each message says what to change.
#[derive(Debug, Error)]
pub enum NodeError {
    /// This machine's signature checks disagree with the other nodes'.
    #[error(transparent)]
    SelfTest(#[from] wire::edge::SelfTestError),
    /// The node is not one of the genesis document's voters.
    #[error(
        "node {0} is not a voter of this genesis document; set `me` to one of its voters, or use the right document"
    )]
    NotAVoter(NodeId),
    /// The key is not the one the genesis document names for this node.
    #[error(
        "the key file holds key {found}, but the genesis document names {expected} for node {node}; use that node's \
         key file, or set `me` to the node this key belongs to"
    )]
    WrongKey {
        /// This node.
        node: NodeId,
        /// Its key in the genesis document.
        expected: PublicKey,
        /// The public half of the key given.
        found: PublicKey,
    },
    /// A voter has no address.
    #[error("no address for voter {0}: add its `host:port` to `peers`")]
    NoAddress(NodeId),
    /// A listener could not be bound.
    #[error("{option}: cannot listen on {address}: {}", bind_advice(.source))]
    Bind {
        /// The option that holds the address.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A TLS file could not be read or used.
    #[error("{option} {path}: {why}")]
    Tls {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file of the data directory could not be written or read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data directory could not be opened.
    #[error("data directory {path}: {why}")]
    Store {
        /// The directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The replica could not resume from what the directory holds.
    #[error("cannot resume from {path}: {why}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A thread of the node ended on its own: a fault of this program, with the reason in the log above.
    #[error("the {0} thread ended unexpectedly; the reason stands in the log above. Start the node again")]
    ThreadEnded(&'static str),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}; raise the limit on processes")]
    Spawn(io::Error),
}

fn bind_advice(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use; stop the other process or choose another port (0 takes a free one)".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose one of its own, or 127.0.0.1, or 0.0.0.0 for all".into()
        }
        io::ErrorKind::PermissionDenied => "not permitted; choose a port above 1023".into(),
        _ => source.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_option_and_address() {
        let error = NodeError::Bind {
            option: "http_listen",
            address: "127.0.0.1:8080".parse().unwrap(),
            source: io::ErrorKind::AddrInUse.into(),
        };
        let text = error.to_string();
        assert!(text.contains("http_listen") && text.contains("127.0.0.1:8080") && text.contains("in use"), "{text}");
    }
}

//! What a node is started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use wire::{Genesis, NodeId, SecretKey};

/// Everything a node needs to know, already read and checked by whoever reads the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the organisations agreed on.
    pub genesis: Genesis,
    /// Which of its voters this node is.
    pub me: NodeId,
    /// The key this node signs with: its votes, its replies, and its end of every peer link.
    pub key: SecretKey,
    /// The directory of the log. Also holds `endpoints.json` once the node listens.
    pub data: PathBuf,
    /// Where other voters connect to. Port 0 takes a free one.
    pub peer_listen: SocketAddr,
    /// Where the other voters listen, as `host:port`.
    pub peers: BTreeMap<NodeId, String>,
    /// Where the HTTP API listens.
    pub http_listen: SocketAddr,
    /// Where the binary stream of fast clients listens.
    pub stream_listen: SocketAddr,
    /// TLS for the HTTP API and the client stream; plain TCP without it.
    pub http_tls: Option<TlsFiles>,
    /// Who may read.
    pub read_access: ReadAccess,
    /// Threads that check signatures; 0 means half the processors, at least one.
    pub workers: usize,
    /// Commands that may wait to be ordered before clients are told "busy".
    pub pool_commands_max: usize,
    /// Start although the directory seems to be a copy of another: the operator's word that the original is gone.
    pub accept_moved_directory: bool,
}

/// A certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the chain, the server's own certificate first.
    pub cert: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// Who may read balances, results and status. Sending a command needs no token: its signatures speak for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadAccess {
    /// Everyone who can connect.
    Open,
    /// Whoever shows one of these tokens.
    Token(Vec<String>),
}

impl ReadAccess {
    /// True if a reader who shows `token` may read. Compares in constant time, and with every token.
    pub fn admits(&self, token: Option<&str>) -> bool {
        use subtle::ConstantTimeEq;
        match self {
            ReadAccess::Open => true,
            ReadAccess::Token(tokens) => {
                let shown = token.unwrap_or_default().as_bytes();
                let found = tokens.iter().fold(0u8, |found, t| found | t.as_bytes().ct_eq(shown).unwrap_u8());
                found == 1 && !shown.is_empty()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let access = ReadAccess::Token(vec!["alpha".into(), String::new(), "beta".into()]);
        assert!(access.admits(Some("alpha")) && access.admits(Some("beta")));
        assert!(!access.admits(Some("alph")) && !access.admits(Some("")) && !access.admits(None));
        assert!(ReadAccess::Open.admits(None));
    }
}

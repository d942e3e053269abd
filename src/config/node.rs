//! `node.toml`: what one node is started with.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wire::{Genesis, NodeId};

use super::keys::{PassphraseSource, read_key};
use super::{ConfigError, beside, from_toml, quote, read_genesis, read_text};
use crate::node::{Options, ReadAccess, TlsFiles};

/// The default of `pool_commands_max`.
const POOL_COMMANDS_MAX: usize = 50_000;

/// The file's content, as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// The genesis document.
    pub genesis: PathBuf,
    /// The node's key file.
    pub key: PathBuf,
    /// The directory of its log.
    pub data: PathBuf,
    /// Where other voters connect to.
    pub peer_listen: SocketAddr,
    /// Where the HTTP API listens.
    pub http_listen: SocketAddr,
    /// Where the binary stream of fast clients listens.
    pub stream_listen: SocketAddr,
    /// Where the other voters are, by id. The node's own entry, if there is one, is not used.
    pub peers: BTreeMap<String, String>,
    /// TLS for the HTTP API.
    #[serde(default)]
    pub http_tls: Option<TlsTable>,
    /// Who may read.
    #[serde(default)]
    pub read_access: ReadAccessTable,
    /// The tokens, if readers need one.
    #[serde(default)]
    pub read_tokens: Vec<String>,
    /// Threads that check signatures; 0 means half the processors.
    #[serde(default)]
    pub workers: usize,
    /// Commands that may wait before clients are told "busy".
    #[serde(default = "pool_commands_max")]
    pub pool_commands_max: usize,
}

/// See [`TlsFiles`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsTable {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// Who may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadAccessTable {
    /// Everyone who can connect.
    #[default]
    Open,
    /// Whoever shows a token.
    Token,
}

fn pool_commands_max() -> usize {
    POOL_COMMANDS_MAX
}

impl NodeFile {
    /// The text of the file; reads back the same.
    pub fn to_toml(&self) -> String {
        let path = |p: &Path| quote(p.display());
        let mut out = format!(
            "# One node. Paths are relative to this file.\n\
             genesis = {}\nkey = {}\ndata = {}\n\n\
             peer_listen = \"{}\"\nhttp_listen = \"{}\"\nstream_listen = \"{}\"\n\n\
             # \"open\": everyone who can connect may read balances. \"token\": who shows one of read_tokens.\n\
             read_access = \"{}\"\n",
            path(&self.genesis),
            path(&self.key),
            path(&self.data),
            self.peer_listen,
            self.http_listen,
            self.stream_listen,
            match self.read_access {
                ReadAccessTable::Open => "open",
                ReadAccessTable::Token => "token",
            },
        );
        // Writing to a string cannot fail.
        if !self.read_tokens.is_empty() {
            let tokens: Vec<String> = self.read_tokens.iter().map(quote).collect();
            let _ = writeln!(out, "read_tokens = [{}]", tokens.join(", "));
        }
        let _ = write!(
            out,
            "# Threads that check signatures; 0 means half the processors.\nworkers = {}\n\
             # Commands that may wait before clients are told \"busy\".\npool_commands_max = {}\n",
            self.workers, self.pool_commands_max
        );
        if let Some(tls) = &self.http_tls {
            let _ = write!(out, "\n[http_tls]\ncert = {}\nkey = {}\n", path(&tls.cert), path(&tls.key));
        }
        out.push_str("\n# Where the voters are.\n[peers]\n");
        for (id, address) in &self.peers {
            let _ = writeln!(out, "{id} = {}", quote(address));
        }
        out
    }
}

/// Reads `node.toml`, the genesis document and the key, and checks that they belong together.
///
/// # Errors
/// Names the file and the field.
pub fn read_node(path: &Path, source: &PassphraseSource, accept_moved: bool) -> Result<Options, ConfigError> {
    let file: NodeFile = from_toml(path, &read_text(path)?)?;
    let genesis = read_genesis(&beside(path, &file.genesis))?;
    let peers = peers(path, &file, &genesis)?;
    let read_access = read_access(path, &file)?;
    if file.pool_commands_max == 0 {
        return Err(ConfigError::field(path, "pool_commands_max", "at least 1"));
    }
    let key_path = beside(path, &file.key);
    let key = read_key(&key_path, source)?;
    let Some(me) = genesis.membership().voter_of_key(&key.public()).map(|v| v.id) else {
        let why = format!(
            "{} holds the key {}, which is of no voter in {}; use this voter's key file",
            key_path.display(),
            key.public(),
            beside(path, &file.genesis).display(),
        );
        return Err(ConfigError::field(path, "key", why));
    };
    let missing: Vec<String> =
        genesis.voters.iter().filter(|v| v.id != me && !peers.contains_key(&v.id)).map(|v| v.id.to_string()).collect();
    if !missing.is_empty() {
        let why = format!("no address for voter {}; add: ID = \"host:port\"", missing.join(", "));
        return Err(ConfigError::field(path, "peers", why));
    }
    Ok(Options {
        me,
        key,
        data: beside(path, &file.data),
        peer_listen: file.peer_listen,
        peers: peers.into_iter().filter(|(id, _)| *id != me).collect(),
        http_listen: file.http_listen,
        stream_listen: file.stream_listen,
        http_tls: file.http_tls.map(|t| TlsFiles { cert: beside(path, &t.cert), key: beside(path, &t.key) }),
        read_access,
        workers: file.workers,
        pool_commands_max: file.pool_commands_max,
        accept_moved_directory: accept_moved,
        genesis,
    })
}

fn peers(path: &Path, file: &NodeFile, genesis: &Genesis) -> Result<BTreeMap<NodeId, String>, ConfigError> {
    let membership = genesis.membership();
    let mut peers = BTreeMap::new();
    for (id, address) in &file.peers {
        let field = || format!("peers.{id}");
        let id =
            id.parse().map(NodeId).map_err(|_| ConfigError::field(path, field(), "the id of a voter is a number"))?;
        if membership.voter(id).is_none() {
            return Err(ConfigError::field(path, field(), "the genesis document has no voter of this id"));
        }
        check_address(address).map_err(|why| ConfigError::field(path, field(), why))?;
        peers.insert(id, address.clone());
    }
    Ok(peers)
}

/// `host:port`.
pub(super) fn check_address(address: &str) -> Result<(), String> {
    let parts = address.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    parts.map(|_| ()).ok_or_else(|| format!("\"{address}\" is no address; write \"host:port\""))
}

fn read_access(path: &Path, file: &NodeFile) -> Result<ReadAccess, ConfigError> {
    let err = |why: &str| Err(ConfigError::field(path, "read_tokens", why));
    match (file.read_access, file.read_tokens.as_slice()) {
        (ReadAccessTable::Open, []) => Ok(ReadAccess::Open),
        (ReadAccessTable::Open, _) => {
            err("tokens are given but read_access is \"open\"; write read_access = \"token\"")
        }
        (ReadAccessTable::Token, []) => err("read_access is \"token\"; give at least one"),
        (ReadAccessTable::Token, tokens) if tokens.iter().any(|t| t.len() < 16) => {
            err("a token has at least 16 characters, so that it cannot be guessed")
        }
        (ReadAccessTable::Token, tokens) => {
            // The file holds secrets then.
            super::check_secret_mode(path)?;
            Ok(ReadAccess::Token(tokens.to_vec()))
        }
    }
}

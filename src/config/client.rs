//! `client.toml`: which cluster, where its nodes are, and in whose name this client signs.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::{FastKey, HttpClient, HttpNode, Identity, StreamConfig, Trust};
use serde::Deserialize;
use wire::{Genesis, Name, NodeId, Signer};

use super::keys::{PassphraseSource, read_key};
use super::node::check_address;
use super::{ConfigError, beside, from_toml, quote, read_genesis, read_text};

/// A client's configuration, read and checked; key files are opened only when an identity is used.
#[derive(Debug, Clone)]
pub struct ClientFile {
    /// The file it was read from.
    pub path: PathBuf,
    /// The cluster.
    pub genesis: Genesis,
    /// Where its nodes are.
    pub nodes: Vec<NodeEntry>,
    /// In whose name this client can sign; paths as seen from here.
    pub identities: Vec<IdentityEntry>,
    /// Who signs if nothing else is said.
    pub default_identity: Option<String>,
    /// The read token.
    pub token: Option<String>,
    /// PEM file of the certificates trusted for `https`.
    pub tls_ca: Option<PathBuf>,
}

/// One node's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// Its id in the genesis document.
    pub id: u16,
    /// Its HTTP API.
    pub http: String,
    /// Its binary stream.
    pub stream: String,
}

/// One party and its key files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityEntry {
    /// The party.
    pub party: String,
    /// Its keys held here: one, or several for a threshold guard.
    pub keys: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTable {
    genesis: PathBuf,
    default_identity: Option<String>,
    token: Option<String>,
    tls_ca: Option<PathBuf>,
    nodes: Vec<NodeEntry>,
    #[serde(default)]
    identities: Vec<IdentityEntry>,
}

impl ClientFile {
    /// Reads and checks the file and its genesis document.
    ///
    /// # Errors
    /// Names the field.
    pub fn read(path: &Path) -> Result<ClientFile, ConfigError> {
        let table: ClientTable = from_toml(path, &read_text(path)?)?;
        let genesis = read_genesis(&beside(path, &table.genesis))?;
        let membership = genesis.membership();
        for (n, node) in table.nodes.iter().enumerate() {
            let field = |name: &str| format!("nodes[{n}].{name}");
            if membership.voter(NodeId(node.id)).is_none() {
                let why = format!("the genesis document has no voter {}", node.id);
                return Err(ConfigError::field(path, field("id"), why));
            }
            if table.nodes[..n].iter().any(|other| other.id == node.id) {
                return Err(ConfigError::field(path, field("id"), format!("node {} is listed twice", node.id)));
            }
            check_address(node.stream.trim_start_matches("tls://"))
                .map_err(|why| ConfigError::field(path, field("stream"), why))?;
        }
        if table.nodes.is_empty() {
            return Err(ConfigError::field(path, "nodes", "name at least one node"));
        }
        for (n, identity) in table.identities.iter().enumerate() {
            let field = |name: &str| format!("identities[{n}].{name}");
            Name::new(&identity.party).map_err(|e| ConfigError::field(path, field("party"), e))?;
            if identity.keys.is_empty() {
                return Err(ConfigError::field(path, field("keys"), "name at least one key file"));
            }
        }
        let file = ClientFile {
            path: path.to_owned(),
            genesis,
            nodes: table.nodes,
            identities: table
                .identities
                .into_iter()
                .map(|i| IdentityEntry { keys: i.keys.iter().map(|k| beside(path, k)).collect(), ..i })
                .collect(),
            default_identity: table.default_identity,
            token: table.token,
            tls_ca: table.tls_ca.map(|ca| beside(path, &ca)),
        };
        if let Some(party) = &file.default_identity {
            file.entry(party).map_err(|why| ConfigError::field(path, "default_identity", why))?;
        }
        Ok(file)
    }

    /// The parties this client can sign for.
    pub fn parties(&self) -> impl Iterator<Item = &str> {
        self.identities.iter().map(|i| i.party.as_str())
    }

    fn entry(&self, party: &str) -> Result<&IdentityEntry, String> {
        self.identities.iter().find(|i| i.party == party).ok_or_else(|| {
            let known: Vec<&str> = self.parties().collect();
            format!("no identity \"{party}\"; there are: {}", known.join(", "))
        })
    }

    /// Opens the keys of a party; `None` means the default identity, or the only one.
    ///
    /// # Errors
    /// If there is no such identity, or a key file cannot be opened.
    pub fn identity(&self, party: Option<&str>, source: &PassphraseSource) -> Result<Identity, ConfigError> {
        let only = match self.identities.as_slice() {
            [only] => Some(only.party.as_str()),
            _ => None,
        };
        let Some(party) = party.or(self.default_identity.as_deref()).or(only) else {
            let why = "it is not said who signs; set it, or use --as PARTY";
            return Err(ConfigError::field(&self.path, "default_identity", why));
        };
        let entry = self.entry(party).map_err(|why| ConfigError::field(&self.path, "identities", why))?;
        let name = Name::new(party).map_err(|e| ConfigError::field(&self.path, "identities", e))?;
        let signers = entry.keys.iter().map(|path| {
            let key = read_key(path, source)?;
            let fast = FastKey::new(&key);
            fast.map(|k| Arc::new(k) as Arc<dyn Signer>)
                .map_err(|e| ConfigError::Form { path: path.clone(), why: e.to_string() })
        });
        Ok(Identity::new(name, signers.collect::<Result<_, _>>()?))
    }

    /// What a [`client::StreamClient`] needs.
    ///
    /// # Errors
    /// If the certificate file cannot be used.
    pub fn stream_config(&self) -> Result<StreamConfig, ConfigError> {
        let nodes = self.nodes.iter().map(|n| (NodeId(n.id), n.stream.clone())).collect();
        let mut config = StreamConfig::new(self.genesis.cluster_id(), self.genesis.membership(), nodes);
        config.token = self.token.clone().unwrap_or_default();
        config.trust = self.trust()?;
        Ok(config)
    }

    /// A client of the nodes' HTTP APIs.
    ///
    /// # Errors
    /// If the certificate file cannot be used.
    pub fn http_client(&self) -> Result<HttpClient, ConfigError> {
        let nodes = self.nodes.iter().map(|n| HttpNode { id: NodeId(n.id), url: n.http.clone() }).collect();
        Ok(HttpClient::new(nodes).token(self.token.clone()).trust(self.trust()?))
    }

    fn trust(&self) -> Result<Option<Trust>, ConfigError> {
        let read = |ca: &PathBuf| Trust::read(ca).map_err(|e| ConfigError::field(&self.path, "tls_ca", e));
        self.tls_ca.as_ref().map(read).transpose()
    }

    /// The text of a client's file; paths are written as given.
    pub fn to_toml(
        genesis: &Path,
        nodes: &[NodeEntry],
        identities: &[IdentityEntry],
        default_identity: Option<&str>,
    ) -> String {
        let mut out = format!(
            "# A client. Paths are relative to this file. Optional: token = \"...\" for nodes that ask readers for one,\n\
             # tls_ca = \"FILE\" with the certificates trusted for https.\n\
             genesis = {}\n",
            quote(genesis.display())
        );
        // Writing to a string cannot fail.
        if let Some(party) = default_identity {
            let _ = writeln!(out, "default_identity = {}", quote(party));
        }
        for node in nodes {
            let (http, stream) = (quote(&node.http), quote(&node.stream));
            let _ = write!(out, "\n[[nodes]]\nid = {}\nhttp = {http}\nstream = {stream}\n", node.id);
        }
        for identity in identities {
            let keys: Vec<String> = identity.keys.iter().map(|k| quote(k.display())).collect();
            let party = quote(&identity.party);
            let _ = write!(out, "\n[[identities]]\nparty = {party}\nkeys = [{}]\n", keys.join(", "));
        }
        out
    }
}

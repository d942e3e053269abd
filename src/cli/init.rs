//! `juno init`: a cluster for trials on one machine. All keys lie in one place and unencrypted, so it proves nothing to
//! anybody; a real cluster is founded with `juno genesis`.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use wire::genesis::Parameters;
use wire::{FaultModel, Genesis, Guard, Name, NodeId, SecretKey, Voter};

use super::CliError;
use super::genesis::FaultModelArg;
use crate::config::{
    ClientFile, ConfigError, IdentityEntry, NodeEntry, NodeFile, ReadAccessTable, generate_key, genesis_to_toml,
    write_key, write_new,
};

/// Parties whose keys are made. The first two exist from the start, the others wait to be registered.
const PARTIES: [&str; 4] = ["admin", "treasury", "alice", "bob"];
/// Nodes that one trial has at most.
const NODES_MAX: u16 = 64;

/// Make a cluster for trials on this machine: keys, genesis document, configurations.
#[derive(Args)]
pub(crate) struct Init {
    /// The directory to make; it must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How many nodes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    nodes: u16,
    /// What faulty nodes may do.
    #[arg(long, value_enum, default_value_t = FaultModelArg::Byzantine)]
    fault_model: FaultModelArg,
    /// Node N listens for peers on this port + N, for HTTP 1000 above, for the client stream 2000 above.
    #[arg(long, value_name = "PORT", default_value_t = 10000, value_parser = clap::value_parser!(u16).range(1024..=63000))]
    base_port: u16,
}

/// The ports of one node of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// For the other nodes.
    pub peer: u16,
    /// For the HTTP API.
    pub http: u16,
    /// For the binary stream.
    pub stream: u16,
}

/// A cluster for trials.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The directory to make.
    pub dir: PathBuf,
    /// What faulty nodes may do.
    pub fault_model: FaultModel,
    /// Node N has the Nth of these.
    pub ports: Vec<Ports>,
    /// What all nodes must agree on.
    pub parameters: Parameters,
}

/// Where everything of a trial is.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The genesis document.
    pub genesis: Genesis,
    /// Its file.
    pub genesis_file: PathBuf,
    /// The client's configuration.
    pub client_file: PathBuf,
    /// Each node's configuration.
    pub node_files: Vec<PathBuf>,
    /// The public key of each party made.
    pub parties: BTreeMap<String, wire::PublicKey>,
}

impl Init {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let base = self.base_port;
        let ports = (0..self.nodes).map(|n| Ports { peer: base + n, http: base + 1000 + n, stream: base + 2000 + n });
        let trial = Trial {
            dir: self.dir,
            fault_model: self.fault_model.into(),
            ports: ports.collect(),
            parameters: Parameters::default(),
        };
        let layout = trial.create()?;
        print!("{}", next_steps(&layout));
        Ok(ExitCode::SUCCESS)
    }
}

impl Trial {
    /// Makes keys and files.
    ///
    /// # Errors
    /// If the directory holds anything already, or cannot be written.
    pub fn create(&self) -> Result<Layout, CliError> {
        refuse_if_used(&self.dir)?;
        let make_dir = |dir: &Path| {
            let write = |e: std::io::Error| ConfigError::Write { path: dir.to_owned(), why: e.to_string() };
            fs::create_dir_all(dir).map_err(write)
        };
        make_dir(&self.dir.join("keys"))?;
        let mut parties = BTreeMap::new();
        for party in PARTIES {
            let key = generate_key()?;
            write_key(&self.dir.join(format!("keys/{party}.key")), &key, None)?;
            parties.insert(party.to_owned(), key.public());
        }
        let keys = self.ports.iter().map(|_| generate_key()).collect::<Result<Vec<SecretKey>, _>>()?;
        let genesis = self.genesis(&keys, &parties)?;
        let genesis_file = self.dir.join("genesis.toml");
        write_new(&genesis_file, &genesis_to_toml(&genesis), 0o644)?;
        let mut node_files = Vec::new();
        for (n, key) in keys.iter().enumerate() {
            let dir = self.dir.join(format!("node-{n}"));
            make_dir(&dir)?;
            write_key(&dir.join("node.key"), key, None)?;
            write_new(&dir.join("node.toml"), &self.node_file(n).to_toml(), 0o600)?;
            node_files.push(dir.join("node.toml"));
        }
        let client_file = self.dir.join("client.toml");
        write_new(&client_file, &self.client_toml(), 0o600)?;
        Ok(Layout { genesis, genesis_file, client_file, node_files, parties })
    }

    fn genesis(&self, keys: &[SecretKey], parties: &BTreeMap<String, wire::PublicKey>) -> Result<Genesis, CliError> {
        let name = |text: &str| Name::new(text).map_err(CliError::from);
        let voter = |(n, key): (usize, &SecretKey)| {
            let id = u16::try_from(n).map_err(|_| CliError::new("there are too many nodes"))?;
            Ok(Voter { id: NodeId(id), name: name(&format!("node-{n}"))?, key: key.public(), weight: 1 })
        };
        let genesis = Genesis {
            name: name("trial")?,
            created: client::now(),
            fault_model: self.fault_model,
            faulty_weight: Genesis::faulty_weight_max(self.fault_model, keys.len() as u64),
            voters: keys.iter().enumerate().map(voter).collect::<Result<_, CliError>>()?,
            administrators: Guard::Key(parties["admin"]),
            treasury: Guard::Key(parties["treasury"]),
            parameters: self.parameters.clone(),
        };
        genesis.check()?;
        Ok(genesis)
    }

    fn node_file(&self, n: usize) -> NodeFile {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let peer = |(n, ports): (usize, &Ports)| (n.to_string(), here(ports.peer).to_string());
        NodeFile {
            genesis: "../genesis.toml".into(),
            key: "node.key".into(),
            data: "data".into(),
            peer_listen: here(self.ports[n].peer),
            http_listen: here(self.ports[n].http),
            stream_listen: here(self.ports[n].stream),
            peers: self.ports.iter().enumerate().map(peer).collect(),
            http_tls: None,
            read_access: ReadAccessTable::Open,
            read_tokens: Vec::new(),
            workers: 0,
            pool_commands_max: 50_000,
        }
    }

    fn client_toml(&self) -> String {
        let node = |(n, ports): (usize, &Ports)| NodeEntry {
            id: n as u16,
            http: format!("http://127.0.0.1:{}", ports.http),
            stream: format!("127.0.0.1:{}", ports.stream),
        };
        let nodes: Vec<NodeEntry> = self.ports.iter().enumerate().map(node).collect();
        let identity =
            |party: &&str| IdentityEntry { party: (*party).to_owned(), keys: vec![format!("keys/{party}.key").into()] };
        let identities: Vec<IdentityEntry> = PARTIES.iter().map(identity).collect();
        ClientFile::to_toml(Path::new("genesis.toml"), &nodes, &identities, Some("alice"))
    }
}

/// Nothing is overwritten, nothing mixed with what is there.
fn refuse_if_used(dir: &Path) -> Result<(), CliError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(CliError::new(format!("{} is not empty; choose another directory", dir.display()))),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ConfigError::Read { path: dir.to_owned(), why: e.to_string() }.into())
        }
        _ => Ok(()),
    }
}

fn next_steps(layout: &Layout) -> String {
    let genesis = &layout.genesis;
    let nodes: String = layout.node_files.iter().map(|f| format!("  juno node --config {}\n", f.display())).collect();
    let (client, alice) = (layout.client_file.display(), &layout.parties["alice"]);
    format!(
        "Cluster {} of {} nodes, weight {} of which may be faulty.\nCluster id {}\n\n\
         Start the nodes, each in a terminal of its own:\n{nodes}\n\
         Then talk to them:\n  juno client --config {client}\n\n\
         First commands:\n  as admin\n  RegisterParty alice {alice}\n  as alice\n  CreateAccount Acct1\n  \
         CreateAccount Acct2\n  as treasury\n  AdjustAccount Acct1 100000%1\n  as alice\n  \
         transfer(Acct1->Acct2, 10%1)\n  ObserveAccounts\n  batch test:1000\n",
        genesis.name,
        genesis.voters.len(),
        genesis.faulty_weight,
        genesis.cluster_id(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PassphraseSource, read_genesis, read_node};

    #[test]
    fn a_trial_can_be_read_back_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let port = |n: u16| Ports { peer: 100 + n, http: 200 + n, stream: 300 + n };
        let trial = Trial {
            dir: dir.path().join("trial"),
            fault_model: FaultModel::Byzantine,
            ports: (0..4).map(port).collect(),
            parameters: Parameters::default(),
        };
        let layout = trial.create().unwrap();
        assert_eq!(read_genesis(&layout.genesis_file).unwrap(), layout.genesis);
        let nobody = PassphraseSource::default();
        for (n, file) in layout.node_files.iter().enumerate() {
            let options = read_node(file, &nobody, false).unwrap();
            assert_eq!(options.me, NodeId(n as u16));
            assert_eq!(options.peers.len(), 3);
            assert_eq!(options.stream_listen.port(), 300 + n as u16);
        }
        let client = ClientFile::read(&layout.client_file).unwrap();
        for party in PARTIES {
            let identity = client.identity(Some(party), &nobody).unwrap();
            assert_eq!(identity.keys().collect::<Vec<_>>(), [layout.parties[party]]);
        }
        assert_eq!(client.identity(None, &nobody).unwrap().party().as_str(), "alice");
        let again = trial.create().unwrap_err().to_string();
        assert!(again.ends_with("trial is not empty; choose another directory"), "{again}");
    }
}

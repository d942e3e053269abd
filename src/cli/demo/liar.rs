//! The lying node: two unmodified replicas with one key behind one address, in a cluster of their own.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use client::HttpClient;
use client::load::Shape;
use wire::NodeId;

use super::figures::Figures;
use super::stage::{self, Stage};
use super::{NODES, PATIENCE, ensure, say, step, text};
use crate::cli::CliError;
use crate::cli::init::Ports;
use crate::cli::twins::Splitter;
use crate::config::NodeFile;
use crate::local::LocalCluster;

/// The node that lies. It leads the first term, so that both twins propose.
const LIAR: usize = 0;
const HONEST: [usize; NODES - 1] = [1, 2, 3];
/// The twins may both happen to stay honest: the second may find out from its peers that another signs with its key, and
/// stop itself. Then the play begins anew.
const ATTEMPTS: usize = 8;

/// The twins' processes; killed when dropped.
struct Twins {
    processes: Vec<Child>,
    _splitters: Vec<Splitter>,
}

impl Drop for Twins {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub(super) async fn play(exe: &Path, dir: &Path, figures: &mut Figures) -> Result<(), CliError> {
    step("a lying node: two unmodified replicas share node-0's key behind its one address (Twins)");
    for attempt in 1..=ATTEMPTS {
        let dir = dir.join(attempt.to_string());
        std::fs::create_dir_all(&dir)?;
        let cluster = LocalCluster::create(exe, &dir.join("cluster"), NODES)?;
        if attempt_once(cluster, figures).await? {
            return Ok(());
        }
        say("the twins contradicted each other nowhere; once more");
    }
    Err(CliError::new("the demo failed: the twins never contradicted each other"))
}

/// True if the liar was caught.
async fn attempt_once(mut cluster: LocalCluster, figures: &mut Figures) -> Result<bool, CliError> {
    let twins = start_twins(&cluster).await?;
    // Give both time to listen, so that they join at the same moment.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for node in HONEST {
        cluster.start(node)?;
    }
    cluster.wait_ready(PATIENCE).await?;
    let mut stage = Stage::new(cluster).await?;
    for party in ["alice", "bob"] {
        let key = stage.public_key(party)?;
        stage.apply("admin", &format!("RegisterParty {party} {key}")).await?;
    }
    stage.apply("alice", "CreateAccount Acct1").await?;
    stage.apply("bob", "CreateAccount Acct2").await?;
    stage.apply("treasury", "AdjustAccount Acct1 100000%1").await?;
    let report = stage.load(Shape::Many(20), 2000).await?;
    let Some(offences) = named(&stage.http, Duration::from_secs(5)).await? else { return Ok(false) };
    say(format!("contained: {}", super::figures::line(&report)));
    say(format!("named: every honest node holds evidence against node-{LIAR}: {offences}"));
    let root = stage::agree(&stage.http, &HONEST, PATIENCE).await?;
    say(format!("the honest nodes' state roots are equal: {}", &root[..8]));
    let balance = stage.balance("Acct2").await?;
    ensure(balance.starts_with("2000"), &format!("Acct2 holds {balance}, 2000 transfers of 1 were accepted"))?;
    for node in HONEST {
        let audit = crate::cli::verify::check(&stage.cluster.data_dir(node), &stage.genesis, &mut |_| {})?.audit;
        let against: Vec<NodeId> = audit.evidence.iter().map(|(node, _)| *node).collect();
        ensure(against.iter().all(|n| usize::from(n.0) == LIAR), "an honest node was accused")?;
        say(format!(
            "node-{node}'s log audits: {} entries, {} certificates, evidence inside",
            audit.entries, audit.certificates
        ));
    }
    figures.liar = Some(report);
    drop(twins);
    Ok(true)
}

/// Starts two replicas with the liar's key and separate data, each on ports of its own, behind the liar's address.
async fn start_twins(cluster: &LocalCluster) -> Result<Twins, CliError> {
    let official = cluster.ports(LIAR);
    let config = cluster.node_config(LIAR);
    let home = config.parent().ok_or_else(|| CliError::new("a node's file has a directory"))?;
    let mut processes = Vec::new();
    let mut ports = Vec::new();
    for twin in ["a", "b"] {
        let own = crate::local::free_node_ports()?;
        let mut file: NodeFile = toml::from_str(&std::fs::read_to_string(&config)?)?;
        file.data = format!("data-{twin}").into();
        file.peer_listen.set_port(own.peer);
        file.http_listen.set_port(own.http);
        file.stream_listen.set_port(own.stream);
        let path = home.join(format!("twin-{twin}.toml"));
        std::fs::write(&path, file.to_toml())?;
        processes.push(cluster.spawn(&path, &home.join(format!("twin-{twin}.log")))?);
        ports.push(own);
    }
    let mut splitters = Vec::new();
    for port in [|p: Ports| p.peer, |p: Ports| p.http, |p: Ports| p.stream] {
        let at = |ports: Ports| ([127, 0, 0, 1], port(ports)).into();
        splitters.push(Splitter::start(at(official), [at(ports[0]), at(ports[1])]).await?);
    }
    Ok(Twins { processes, _splitters: splitters })
}

/// The offences that every honest node can prove, once each can prove one; nobody but the liar may be accused.
async fn named(http: &HttpClient, patience: Duration) -> Result<Option<String>, CliError> {
    let deadline = Instant::now() + patience;
    loop {
        let mut offences: Vec<String> = Vec::new();
        let mut holders = 0;
        for node in HONEST {
            let answer = http.get(NodeId(node as u16), "/v1/evidence").await?;
            let list = answer["evidence"].as_array().cloned().unwrap_or_default();
            holders += usize::from(!list.is_empty());
            for item in list {
                ensure(item["node"].as_u64() == Some(LIAR as u64), "an honest node was accused")?;
                offences.push(text(&item["offence"]));
            }
        }
        if holders == HONEST.len() {
            offences.sort();
            offences.dedup();
            return Ok(Some(offences.join(", ")));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

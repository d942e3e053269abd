//! The lying node: two unmodified replicas with one key behind one address, in a cluster of their own.
//!
//! A node that starts asks its peers what they hold of its votes, and stops if they hold one that it does not know: the
//! second twin would find the first one out. So the twins are brought up while nothing is going on, from copies of one
//! directory, and only then is there something to lie about. The node leads, so both twins propose.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use client::load::Shape;
use client::{HttpClient, HttpNode};
use wire::{FaultModel, NodeId, Parameters};

use super::figures::Figures;
use super::stage::{self, Stage};
use super::{NODES, PATIENCE, ensure, say, step, text};
use crate::cli::CliError;
use crate::cli::init::Ports;
use crate::cli::twins::{Route, Splitter};
use crate::config::NodeFile;
use crate::local::{LocalCluster, free_node_ports};

/// The node that lies: the leader of the first term.
const LIAR: usize = 0;
const HONEST: [usize; NODES - 1] = [1, 2, 3];
/// A slow machine may elect another leader while the twins start; then the play begins anew.
const ATTEMPTS: usize = 5;
/// The honest nodes' patience with a leader that is gone: long enough to put the twins in its place.
const TIMEOUT_MS: u64 = 4_000;

/// Transfers in one load.
const LOAD: u64 = 2000;

/// The twins' processes; killed when dropped.
struct Twins {
    processes: Vec<Child>,
    ports: Vec<Ports>,
    peers: Splitter,
    _others: Vec<Splitter>,
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
    let parameters = Parameters { timeout_base_ms: TIMEOUT_MS, ..Parameters::default() };
    for attempt in 1..=ATTEMPTS {
        let dir = dir.join(attempt.to_string());
        let cluster = LocalCluster::create_with(exe, &dir, NODES, FaultModel::Byzantine, parameters.clone())?;
        if attempt_once(cluster, figures).await? {
            return Ok(());
        }
        say("the twins did not get to lead together; once more");
    }
    Err(CliError::new("the demo failed: the twins never contradicted each other"))
}

/// True if the liar was caught.
async fn attempt_once(mut cluster: LocalCluster, figures: &mut Figures) -> Result<bool, CliError> {
    cluster.start_all()?;
    cluster.wait_ready(PATIENCE).await?;
    let mut stage = Stage::new(cluster).await?;
    for party in ["alice", "bob"] {
        let key = stage.public_key(party)?;
        stage.apply("admin", &format!("RegisterParty {party} {key}")).await?;
    }
    stage.apply("alice", "CreateAccount Acct1").await?;
    stage.apply("bob", "CreateAccount Acct2").await?;
    stage.apply("treasury", "AdjustAccount Acct1 100000%1").await?;
    // Long enough for the leader to certify the last results and have nothing more to say.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let Some(twins) = put_twins_in_place(&mut stage.cluster).await? else { return Ok(false) };
    // Commands that reach the leader through different nodes reach different twins, once every link has found its twin.
    let mut sent = 0;
    let offences = loop {
        let report = stage.load_through(&HONEST, LOAD).await?;
        sent += LOAD;
        say(format!("contained: {}", super::figures::line(&report)));
        match named(&stage.http, Duration::from_secs(2)).await? {
            Some(offences) => break offences,
            None if sent >= 5 * LOAD => return Ok(false),
            None => {}
        }
    };
    say(format!("named: every honest node holds evidence against node-{LIAR}: {offences}"));
    let again = stage.load(Shape::Many(1), LOAD).await?;
    sent += LOAD;
    say(format!("and with the liar still there: {}", super::figures::line(&again)));
    let root = stage::agree(&stage.http, &HONEST, PATIENCE).await?;
    say(format!("the honest nodes' state roots are equal: {}", &root[..8]));
    let balance = stage.balance("Acct2").await?;
    ensure(balance == format!("{sent}%1"), &format!("Acct2 holds {balance}, {sent} transfers of 1 were accepted"))?;
    for node in HONEST {
        let audit = crate::cli::verify::check(&stage.cluster.data_dir(node), &stage.genesis, &mut |_| {})?.audit;
        let against: Vec<NodeId> = audit.evidence.iter().map(|(node, _)| *node).collect();
        ensure(against.iter().all(|n| usize::from(n.0) == LIAR), "an honest node was accused")?;
        say(format!(
            "node-{node}'s log audits: {} entries, {} certificates, the evidence among its records",
            audit.entries, audit.certificates
        ));
    }
    figures.liar = Some(again);
    drop(twins);
    Ok(true)
}

/// Kills the liar and starts two replicas from copies of its directory, each on ports of its own, behind its address.
/// `None` if they do not both come to lead.
async fn put_twins_in_place(cluster: &mut LocalCluster) -> Result<Option<Twins>, CliError> {
    cluster.kill(LIAR);
    let official = cluster.ports(LIAR);
    let config = cluster.node_config(LIAR);
    let home = config.parent().ok_or_else(|| CliError::new("a node's file has a directory"))?.to_owned();
    let mut processes = Vec::new();
    let mut ports = Vec::new();
    for twin in ["a", "b"] {
        let own = free_node_ports()?;
        let data = home.join(format!("data-{twin}"));
        copy_dir(&cluster.data_dir(LIAR), &data)?;
        let mut file: NodeFile = toml::from_str(&std::fs::read_to_string(&config)?)?;
        file.data = data;
        file.peer_listen.set_port(own.peer);
        file.http_listen.set_port(own.http);
        file.stream_listen.set_port(own.stream);
        let path = home.join(format!("twin-{twin}.toml"));
        std::fs::write(&path, file.to_toml())?;
        // A copied directory is refused; the liar's operator insists.
        let args = ["--accept-moved-directory"];
        processes.push(cluster.spawn_with(&path, &home.join(format!("twin-{twin}.log")), &args)?);
        ports.push(own);
    }
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let split = |official: u16, a: u16, b: u16| Splitter::start(at(official), [at(a), at(b)]);
    let peers = split(official.peer, ports[0].peer, ports[1].peer).await?;
    let others = vec![
        split(official.http, ports[0].http, ports[1].http).await?,
        split(official.stream, ports[0].stream, ports[1].stream).await?,
    ];
    let twins = Twins { processes, ports, peers, _others: others };
    // First everyone talks to one twin, then to the other, until each has heard from a quorum that it may vote.
    for (n, own) in twins.ports.iter().enumerate() {
        twins.peers.route(Route::To(n));
        if let Err(why) = comes_to_lead(own.http).await {
            say(format!("twin {n} {why}"));
            return Ok(None);
        }
    }
    twins.peers.route(Route::InTurns);
    Ok(Some(twins))
}

/// Waits until a twin may vote; it must then lead, or there is nothing to contradict.
async fn comes_to_lead(http_port: u16) -> Result<(), String> {
    let url = format!("http://127.0.0.1:{http_port}");
    let http = HttpClient::new(vec![HttpNode { id: NodeId(LIAR as u16), url }]);
    let deadline = Instant::now() + Duration::from_millis(2 * TIMEOUT_MS);
    let mut seen = "does not answer".to_owned();
    while Instant::now() < deadline {
        if let Ok((_, status)) = http.get_any("/v1/status").await {
            seen = format!("is {} in term {}", text(&status["role"]), status["term"]);
            match status["role"].as_str() {
                Some("leader") => return Ok(()),
                Some("rejoining") => {}
                _ => return Err(seen),
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(seen)
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
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

//! A cluster of real node processes on this machine: for the demo, for replaying traces, for soaks and tests.
//!
//! Every node is its own operating-system process with its own data directory and its own ports on loopback; killing
//! one is `kill -9`. The processes end with the value that started them: they watch their standard input, so that even
//! a killed parent leaves none behind.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use client::HttpClient;
use thiserror::Error;
use wire::{FaultModel, NodeId, Parameters};

use crate::cli::init::{Ports, Trial};
use crate::config::{ClientFile, ConfigError};

/// Ports tried.
const FIRST_PORT: u16 = 15_000;
const LAST_PORT: u16 = 32_000;

/// A local cluster could not be made or run.
#[derive(Debug, Error)]
pub enum LocalError {
    /// A file could not be written, or a process not started.
    #[error("{what}: {why}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system says.
        why: io::Error,
    },
    /// The files could not be made.
    #[error("making the cluster's files failed: {0}")]
    Init(String),
    /// Too few ports are free.
    #[error("there are not {0} free ports on 127.0.0.1")]
    Ports(usize),
    /// A configuration file is not as it should be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A node ended by itself.
    #[error("node {node} ended by itself; the end of its log says:\n{log}")]
    Ended {
        /// The node.
        node: usize,
        /// The last lines of what it wrote.
        log: String,
    },
    /// The nodes did not come up in time.
    #[error("after {0:?} node {1} is not ready: {2}")]
    NotReady(Duration, usize, String),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> LocalError {
    let what = what.into();
    move |why| LocalError::Io { what, why }
}

/// The processes of a local cluster.
#[derive(Debug)]
pub struct LocalCluster {
    exe: PathBuf,
    dir: PathBuf,
    nodes: Vec<Option<Child>>,
    ports: Vec<Ports>,
}

impl LocalCluster {
    /// Writes the files of a cluster of `count` nodes into `dir`, with free ports and the usual parameters, and starts
    /// nothing yet.
    ///
    /// `exe` is the `juno` executable.
    ///
    /// # Errors
    /// If the directory is used already, or there are no free ports.
    pub fn create(exe: &Path, dir: &Path, count: usize) -> Result<LocalCluster, LocalError> {
        LocalCluster::create_with(exe, dir, count, FaultModel::Byzantine, Parameters::default())
    }

    /// The same with a fault model and parameters of the caller's.
    ///
    /// # Errors
    /// As [`LocalCluster::create`].
    pub fn create_with(
        exe: &Path,
        dir: &Path,
        count: usize,
        fault_model: FaultModel,
        parameters: Parameters,
    ) -> Result<LocalCluster, LocalError> {
        let ports = free_ports(3 * count)?;
        let ports: Vec<Ports> = ports.chunks_exact(3).map(|p| Ports { peer: p[0], http: p[1], stream: p[2] }).collect();
        let trial = Trial { dir: dir.to_owned(), fault_model, ports: ports.clone(), parameters };
        trial.create().map_err(|e| LocalError::Init(e.to_string()))?;
        Ok(LocalCluster { exe: exe.to_owned(), dir: dir.to_owned(), nodes: (0..count).map(|_| None).collect(), ports })
    }

    /// Nodes there are, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True for a cluster of no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The cluster's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ports of a node.
    pub fn ports(&self, node: usize) -> Ports {
        self.ports[node]
    }

    /// The configuration file of a node.
    pub fn node_config(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{node}")).join("node.toml")
    }

    /// The data directory of a node.
    pub fn data_dir(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{node}")).join("data")
    }

    /// What a node wrote to its output and error streams.
    pub fn log_file(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{node}")).join("node.log")
    }

    /// The client's configuration: addresses, and the identities `admin`, `treasury`, `alice` and `bob`.
    pub fn client_file(&self) -> Result<ClientFile, LocalError> {
        Ok(ClientFile::read(&self.dir.join("client.toml"))?)
    }

    /// Starts a node, if it does not run.
    pub fn start(&mut self, node: usize) -> Result<(), LocalError> {
        if self.nodes[node].is_none() {
            self.nodes[node] = Some(self.spawn(&self.node_config(node), &self.log_file(node))?);
        }
        Ok(())
    }

    /// Starts a node process with a configuration file of the caller's; its streams are appended to `log`.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn spawn(&self, config: &Path, log: &Path) -> Result<Child, LocalError> {
        self.spawn_with(config, log, &[])
    }

    /// The same with further arguments.
    ///
    /// # Errors
    /// As [`LocalCluster::spawn`].
    pub fn spawn_with(&self, config: &Path, log: &Path, args: &[&str]) -> Result<Child, LocalError> {
        let what = format!("opening {}", log.display());
        let log = File::options().create(true).append(true).open(log).map_err(io_error(what.clone()))?;
        let errors = log.try_clone().map_err(io_error(what))?;
        Command::new(&self.exe)
            .args(["node", "--stop-with-stdin", "--config"])
            .arg(config)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(io_error(format!("starting {}", self.exe.display())))
    }

    /// Starts all nodes.
    pub fn start_all(&mut self) -> Result<(), LocalError> {
        (0..self.nodes.len()).try_for_each(|node| self.start(node))
    }

    /// `kill -9`; returns when the process is gone.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Kills all nodes as close to at once as one thread can.
    pub fn kill_all(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
        }
        for node in 0..self.nodes.len() {
            self.kill(node);
        }
    }

    /// Asks a node to stop in its own time, by closing its standard input, and waits for it.
    pub fn stop(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }

    /// True while the node's process runs.
    pub fn runs(&mut self, node: usize) -> bool {
        self.nodes[node].as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The process id of a running node.
    pub fn process(&self, node: usize) -> Option<u32> {
        self.nodes[node].as_ref().map(Child::id)
    }

    /// Waits until all running nodes vote and know a leader.
    pub async fn wait_ready(&mut self, timeout: Duration) -> Result<(), LocalError> {
        let http = self.client_file()?.http_client()?.timeout(Duration::from_secs(1));
        let deadline = Instant::now() + timeout;
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_none() {
                continue;
            }
            loop {
                let not_ready = match health(&http, node).await {
                    Ok(()) => break,
                    Err(why) => why,
                };
                if !self.runs(node) {
                    return Err(LocalError::Ended { node, log: self.log_tail(node) });
                }
                if Instant::now() >= deadline {
                    return Err(LocalError::NotReady(timeout, node, not_ready));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// The last lines a node wrote.
    pub fn log_tail(&self, node: usize) -> String {
        let text = std::fs::read_to_string(self.log_file(node)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        self.kill_all();
    }
}

async fn health(http: &HttpClient, node: usize) -> Result<(), String> {
    http.get(NodeId(node as u16), "/v1/health").await.map(|_| ()).map_err(|e| e.to_string())
}

/// Ports for one more node.
///
/// # Errors
/// If there are none.
pub fn free_node_ports() -> Result<Ports, LocalError> {
    let ports = free_ports(3)?;
    Ok(Ports { peer: ports[0], http: ports[1], stream: ports[2] })
}

/// Ports given out by this process so far, free or not at the time.
static TRIED: AtomicU32 = AtomicU32::new(0);

/// Ports that are free now on loopback, outside the range from which the system draws ports for connections. Starts
/// looking at a place that differs between processes, so that clusters started at once do not meet, and never gives out
/// the same port twice before all were tried: whoever got one may not have bound it yet.
fn free_ports(count: usize) -> Result<Vec<u16>, LocalError> {
    let span = u32::from(LAST_PORT - FIRST_PORT);
    let start = std::process::id().wrapping_mul(97);
    let mut ports = Vec::with_capacity(count);
    for _ in 0..span {
        let n = start.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % span;
        let port = FIRST_PORT + n as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
        if ports.len() == count {
            return Ok(ports);
        }
    }
    Err(LocalError::Ports(count))
}

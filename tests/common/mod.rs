//! What the tests with real processes share. Every file of tests uses a part of it.
#![allow(dead_code, missing_docs)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use juno::cli::Connection;
use juno::config::PassphraseSource;
use juno::local::LocalCluster;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// One cluster at a time: two cores are few, and a test that measures wants them for itself.
static TURN: Mutex<()> = Mutex::const_new(());

pub async fn my_turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

pub fn exe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_juno"))
}

/// Log entries that [`Cluster::two_accounts`] makes.
pub const SET_UP_ENTRIES: u64 = 5;

/// A cluster of four processes, and the directory it lies in.
pub struct Cluster {
    pub local: LocalCluster,
    pub dir: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// With files written and nothing started.
    pub async fn prepared() -> Cluster {
        let turn = my_turn().await;
        let dir = tempfile::tempdir().unwrap();
        let local = LocalCluster::create(exe(), &dir.path().join("cluster"), 4).unwrap();
        Cluster { local, dir, _turn: turn }
    }

    /// Running, and with a leader.
    pub async fn running() -> Cluster {
        let mut cluster = Cluster::prepared().await;
        cluster.start().await;
        cluster
    }

    pub async fn start(&mut self) {
        self.local.start_all().unwrap();
        self.ready().await;
    }

    pub async fn ready(&mut self) {
        self.local.wait_ready(Duration::from_secs(30)).await.unwrap();
    }

    pub fn node_dir(&self, node: usize) -> PathBuf {
        self.local.node_config(node).parent().unwrap().to_owned()
    }

    pub async fn connection(&self) -> Connection {
        Connection::open(self.local.client_file().unwrap(), PassphraseSource::default()).await.unwrap()
    }

    /// `juno submit` in a party's name: exit code and everything it printed.
    pub fn submit(&self, party: &str, commands: &[&str]) -> (i32, String) {
        let config = self.local.dir().join("client.toml");
        let mut args = vec!["submit", "--config", config.to_str().unwrap(), "--as", party];
        args.extend(commands);
        juno(&args)
    }

    /// Registers alice and bob, with an account each; Alice has 100.
    pub fn two_accounts(&self) {
        let keys = self.local.dir().join("keys");
        for party in ["alice", "bob"] {
            let (_, key) = juno(&["key", "show", keys.join(format!("{party}.key")).to_str().unwrap()]);
            let register = format!("RegisterParty {party} {}", key.trim());
            assert_eq!(self.submit("admin", &[&register]).0, 0);
        }
        assert_eq!(self.submit("alice", &["CreateAccount A"]).0, 0);
        assert_eq!(self.submit("bob", &["CreateAccount B"]).0, 0);
        assert_eq!(self.submit("treasury", &["AdjustAccount A 100%1"]).0, 0);
    }

    /// What a node's API says, through the plainest of clients; status 0 if nobody is there.
    pub fn get(&self, node: usize, path: &str) -> (u16, Value) {
        self.request(node, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), &[])
    }

    pub fn post(&self, node: usize, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.request(node, &head, body)
    }

    fn request(&self, node: usize, head: &str, body: &[u8]) -> (u16, Value) {
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.local.ports(node).http)) else {
            return (0, Value::Null);
        };
        socket.set_read_timeout(Some(Duration::from_secs(70))).unwrap();
        socket.write_all(head.as_bytes()).unwrap();
        // A node that refuses a body by its length need not read it.
        let _ = socket.write_all(body);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| {
            panic!("node {node} does not answer but: {text}\n{}", self.local.log_tail(node));
        });
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())))
    }

    /// The exact balance of an account as a node sees it.
    pub fn balance(&self, node: usize, account: &str) -> String {
        let (status, answer) = self.get(node, &format!("/v1/accounts/{account}"));
        assert_eq!(status, 200, "{answer}");
        answer["balance"]["exact"].as_str().unwrap().to_owned()
    }

    /// Starts a node that must not come up; what it wrote before it ended, and that its exit code is not 0.
    pub fn refuses_to_start(&self, config: &Path) -> String {
        let log = self.dir.path().join("refused.log");
        let _ = std::fs::remove_file(&log);
        let mut child = self.local.spawn(config, &log).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("it started: {}", std::fs::read_to_string(&log).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(!status.success());
        std::fs::read_to_string(&log).unwrap()
    }
}

/// Runs `juno` to its end: exit code, and what it printed to both streams.
pub fn juno(args: &[&str]) -> (i32, String) {
    let output = Command::new(exe()).args(args).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// Asks until the answer is right.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Resident memory of a process, in MiB.
pub fn memory_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Processor time a process has used, in seconds.
pub fn processor_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Fields are counted from after the name, which may hold blanks: utime and stime are the 12th and 13th there.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|n| fields[*n].parse::<u64>().unwrap()).sum();
    // The unit of these files on Linux.
    ticks as f64 / 100.0
}

//! More than it can take: every command gets an answer, memory stays bounded, and nobody else is hurt.

use std::collections::{BTreeMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use client::{CommandBuilder, Identity, random_session};
use ledger::Operation;
use ledger::operation::Transfer;
use serde_json::{Value, json};
use store::SplitMix;
use wire::peer::Commands;
use wire::stream::{ClientFrame, Hello, NodeFrame};
use wire::{Encode, Name, SignedCommand};

mod common;
use common::{Cluster, eventually, memory_mib};

/// Commands that may wait in a node here.
const POOL: usize = 500;
/// What a node may hold at the height of a flood. The bounds in `src/node/limits.rs` add up to more; a flood of small
/// commands comes nowhere near them.
const MEMORY_MIB_MAX: u64 = 300;
/// Commands in one submission.
const TOGETHER: usize = 1000;

async fn small_pools() -> Cluster {
    let mut cluster = Cluster::prepared().await;
    for node in 0..4 {
        let path = cluster.local.node_config(node);
        let text = std::fs::read_to_string(&path).unwrap();
        let small = text.replace("pool_commands_max = 50000", &format!("pool_commands_max = {POOL}"));
        assert_ne!(small, text);
        std::fs::write(&path, small).unwrap();
    }
    cluster.start().await;
    cluster.two_accounts();
    cluster
}

/// Transfers of Alice's that all take effect, in submissions of [`TOGETHER`].
fn transfers(cluster: &Cluster, alice: &Identity, session: u64, submissions: usize) -> Vec<Vec<SignedCommand>> {
    let mut builder =
        CommandBuilder::new(cluster.local.client_file().unwrap().genesis.cluster_id(), session, alice.clone());
    let path = vec![Name::new("A").unwrap(), Name::new("B").unwrap()];
    let amount = "1%1000000".parse().unwrap();
    let payload = Operation::Transfer(Transfer { path, amount }).to_payload();
    let mut sign = || builder.sign(payload.clone()).unwrap();
    (0..submissions).map(|_| (0..TOGETHER).map(|_| sign()).collect()).collect()
}

fn memory(cluster: &Cluster) -> Vec<u64> {
    (0..4).map(|node| memory_mib(cluster.local.process(node).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_a_flood_over_http_is_answered() {
    let cluster = small_pools().await;
    let alice = cluster.connection().await.identity(Some("alice")).unwrap();
    let session = random_session().unwrap();
    let submissions = Mutex::new(transfers(&cluster, &alice, session, 40));
    let verdicts: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let accepted: Mutex<Vec<String>> = Mutex::default();
    let answers_429 = Mutex::new(0);
    // Eight clients that do not wait for anybody, each at one of four nodes.
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (cluster, submissions, verdicts) = (&cluster, &submissions, &verdicts);
            let (accepted, answers_429) = (&accepted, &answers_429);
            scope.spawn(move || {
                loop {
                    let Some(commands) = submissions.lock().unwrap().pop() else { return };
                    let count = commands.len();
                    let body = Commands(commands).to_bytes();
                    let (status, answer) = cluster.post(client % 4, "/v1/commands", "application/octet-stream", &body);
                    assert!([202, 429].contains(&status), "{status} {answer}");
                    *answers_429.lock().unwrap() += usize::from(status == 429);
                    let list = answer["commands"].as_array().unwrap();
                    assert_eq!(list.len(), count, "a verdict on each");
                    for command in list {
                        let verdict = command["verdict"].as_str().unwrap();
                        *verdicts.lock().unwrap().entry(verdict.to_owned()).or_default() += 1;
                        if verdict == "accepted" {
                            accepted.lock().unwrap().push(command["id"].as_str().unwrap().to_owned());
                        }
                    }
                }
            });
        }
    });
    let (verdicts, accepted) = (verdicts.into_inner().unwrap(), accepted.into_inner().unwrap());
    let peak = memory(&cluster);
    println!("{verdicts:?}, {} answers 429; memory {peak:?} MiB", answers_429.into_inner().unwrap());
    assert_eq!(verdicts.values().sum::<usize>(), 40 * TOGETHER);
    assert!(verdicts["busy"] > 0, "it was a flood");
    assert!(peak.iter().all(|mib| *mib < MEMORY_MIB_MAX), "{peak:?}");
    // "Accepted" is a promise to try; each of them ends with a receipt, and is known to all.
    for ids in accepted.chunks(4000) {
        let question = json!({ "ids": ids, "timeout_ms": 30_000 }).to_string();
        let (status, answer) = cluster.post(0, "/v1/wait", "application/json", question.as_bytes());
        assert_eq!((status, &answer["complete"]), (200, &Value::Bool(true)));
        assert!(answer["commands"].as_array().unwrap().iter().all(|c| c["outcome"]["applied"] == true));
    }
    let moved = format!("{}", accepted.len());
    eventually("the balance is what was accepted", || {
        let exact: ledger::Amount = cluster.balance(3, "B").parse().unwrap();
        exact.units().to_string() == moved
    })
    .await;
}

/// One client of the binary stream that writes as fast as it can and reads what it is told.
struct Flooder {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl Flooder {
    fn open(cluster: &Cluster, node: usize, session: u64) -> Flooder {
        let socket = TcpStream::connect(("127.0.0.1", cluster.local.ports(node).stream)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let id = cluster.local.client_file().unwrap().genesis.cluster_id();
        let mut flooder = Flooder { socket, bytes: Vec::new() };
        flooder.send(ClientFrame::Hello(Hello { cluster: id, token: String::new() }));
        assert!(matches!(flooder.next(), NodeFrame::Welcome(_)));
        flooder.send(ClientFrame::Follow(session));
        flooder
    }

    fn send(&mut self, frame: ClientFrame) {
        self.socket.write_all(&frame.to_frame()).unwrap();
    }

    fn next(&mut self) -> NodeFrame {
        let mut len = [0; 4];
        self.socket.read_exact(&mut len).unwrap();
        self.bytes.resize(u32::from_be_bytes(len) as usize, 0);
        self.socket.read_exact(&mut self.bytes).unwrap();
        NodeFrame::from_frame(&self.bytes).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_a_flood_over_a_stream_is_answered() {
    let cluster = small_pools().await;
    let alice = cluster.connection().await.identity(Some("alice")).unwrap();
    let session = random_session().unwrap();
    let submissions = transfers(&cluster, &alice, session, 40);
    let id = cluster.local.client_file().unwrap().genesis.cluster_id();
    let mut open: HashSet<_> = submissions.iter().flatten().map(|c| c.id(&id)).collect();
    let all = open.len();
    let mut reader = Flooder::open(&cluster, 0, session);
    let mut writer = Flooder { socket: reader.socket.try_clone().unwrap(), bytes: Vec::new() };
    let (mut busy, mut receipts, mut peak) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for commands in submissions {
                writer.send(ClientFrame::Submit(Commands(commands)));
            }
        });
        while !open.is_empty() {
            match reader.next() {
                NodeFrame::Busy(ids) => busy += ids.iter().filter(|id| open.remove(id)).count(),
                NodeFrame::Replies(reply) => {
                    let reply = reply.unverified();
                    receipts += reply.receipts.iter().filter(|r| open.remove(&r.command)).count();
                }
                NodeFrame::Refused(refused) => panic!("{refused:?}"),
                NodeFrame::Goodbye(why) => panic!("{why}; {} unanswered", open.len()),
                NodeFrame::Welcome(_) => {}
            }
            peak = peak.max(memory_mib(cluster.local.process(0).unwrap()));
        }
    });
    println!("of {all}: {busy} busy, {receipts} receipts; memory at most {peak} MiB");
    assert_eq!(busy + receipts, all);
    assert!(busy > 0 && receipts > 0);
    assert!(peak < MEMORY_MIB_MAX, "{peak} MiB");
}

/// What somebody may send who means no good, or has dialled the wrong port.
fn garbage(random: &mut SplitMix) -> Vec<u8> {
    let mut noise = |len: usize| -> Vec<u8> { (0..len).map(|_| random.draw() as u8).collect() };
    match noise(1)[0] % 6 {
        0 => noise(100_000),
        // A huge frame is announced, and some of it sent.
        1 => [vec![0x00, 0x7f, 0xff, 0xff], noise(200_000)].concat(),
        2 => [vec![0xff; 4], noise(50_000)].concat(),
        // A TLS handshake that goes nowhere.
        3 => [vec![0x16, 0x03, 0x01, 0x40, 0x00, 0x01], noise(30_000)].concat(),
        4 => [b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n".to_vec(), noise(300_000)]
            .concat(),
        _ => [b"GET /".to_vec(), vec![b'a'; 300_000]].concat(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_every_port_costs_nothing_that_lasts() {
    let cluster = Cluster::running().await;
    cluster.two_accounts();
    let before = memory(&cluster);
    let ports = cluster.local.ports(1);
    let until = Instant::now() + Duration::from_secs(8);
    let peak = Mutex::new(0);
    std::thread::scope(|scope| {
        for (n, port) in
            [ports.peer, ports.stream, ports.http, ports.peer, ports.stream, ports.http].into_iter().enumerate()
        {
            let (peak, cluster) = (&peak, &cluster);
            scope.spawn(move || {
                let mut random = SplitMix::new(n as u64);
                // Connections are kept open, as somebody would who wants to use them up.
                let mut held = Vec::new();
                while Instant::now() < until {
                    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                    socket.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
                    match socket.write_all(&garbage(&mut random)) {
                        Ok(()) => {}
                        // It takes no more of that, or has hung up: both are right.
                        Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {}
                        Err(_) => {}
                    }
                    held.push(socket);
                    if held.len() > 100 {
                        held.remove(0);
                    }
                    let mut peak = peak.lock().unwrap();
                    *peak = memory_mib(cluster.local.process(1).unwrap()).max(*peak);
                }
            });
        }
        // Meanwhile the cluster works, also through this node.
        for _ in 0..4 {
            assert_eq!(cluster.submit("alice", &["transfer(A->B, 1%1)"]).0, 0);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let (peak, after) = (peak.into_inner().unwrap(), memory(&cluster));
    println!("before {before:?}, node 1 at most {peak}, after {after:?} MiB");
    assert!(peak < MEMORY_MIB_MAX, "{peak} MiB");
    eventually("node 1 is well and votes", || cluster.get(1, "/v1/health").0 == 200).await;
    eventually("and knows what was paid", || cluster.balance(1, "B") == "4%1").await;
    for node in 0..4 {
        let log = std::fs::read_to_string(cluster.local.log_file(node)).unwrap();
        assert!(!log.contains("panicked"), "{log}");
        assert!(log.len() < 1_000_000, "garbage fills no log: {} bytes", log.len());
    }
}

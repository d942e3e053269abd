//! Real nodes in one process: sockets, threads, disk, signatures. What the simulator leaves out.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use juno::node::tls::{PeerTls, server_name};
use juno::node::{self, NodeError, Options, ReadAccess, TlsFiles};
use ledger::Operation;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use wire::hash::{decode_hex_bytes, encode_hex};
use wire::peer::Commands;
use wire::statement::Reply;
use wire::stream::{ClientFrame, Hello, NodeFrame};
use wire::{
    ClusterId, Command, Decode, Encode, FaultModel, Genesis, Guard, Hash, Name, NodeId, Parameters, SecretKey, Signed,
    SignedCommand, Time, Voter,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

fn wall_now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

fn genesis(voters: u8) -> Genesis {
    let voter =
        |n: u8| Voter { id: NodeId(n.into()), name: name(&format!("node{n}")), key: key(n).public(), weight: 1 };
    Genesis {
        name: name("test"),
        created: Time(wall_now()),
        fault_model: FaultModel::Byzantine,
        faulty_weight: Genesis::faulty_weight_max(FaultModel::Byzantine, voters.into()),
        voters: (1..=voters).map(voter).collect(),
        administrators: Guard::Key(key(100).public()),
        treasury: Guard::Key(key(101).public()),
        parameters: Parameters::default(),
    }
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Running {
    stop: watch::Sender<bool>,
    ended: JoinHandle<Result<(), NodeError>>,
    http: SocketAddr,
    stream: SocketAddr,
    peer: SocketAddr,
}

impl Running {
    async fn start(options: Options) -> Running {
        let (stop, stopped) = watch::channel(false);
        let data = options.data.clone();
        let shutdown = async move {
            let mut stopped = stopped;
            let _ = stopped.wait_for(|s| *s).await;
        };
        let ended = tokio::spawn(node::run(options, shutdown));
        let endpoints = loop {
            if let Ok(text) = std::fs::read_to_string(data.join("endpoints.json")) {
                break serde_json::from_str::<Value>(&text).unwrap();
            }
            assert!(!ended.is_finished(), "{:?}", ended.await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let address = |what: &str| endpoints[what].as_str().unwrap().parse().unwrap();
        Running { stop, ended, http: address("http"), stream: address("stream"), peer: address("peer") }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(10), self.ended).await.expect("stops in time").unwrap().unwrap();
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        http(self.http, "GET", path, "", b"").await
    }

    async fn submit(&self, commands: &[SignedCommand]) -> (u16, Value) {
        let list: Vec<String> = commands.iter().map(|c| encode_hex(c.bytes())).collect();
        http(self.http, "POST", "/v1/commands", "", json!({ "commands": list }).to_string().as_bytes()).await
    }
}

struct Cluster {
    genesis: Genesis,
    nodes: Vec<Running>,
    dirs: Vec<TempDir>,
    options: Vec<Options>,
}

impl Cluster {
    async fn start(voters: u8) -> Cluster {
        Cluster::start_with(voters, |_| {}).await
    }

    async fn start_with(voters: u8, change: impl Fn(&mut Options)) -> Cluster {
        let mut cluster = Cluster::prepare(voters, change);
        for options in &cluster.options {
            cluster.nodes.push(Running::start(options.clone()).await);
        }
        cluster
    }

    /// Everything but the nodes.
    fn prepare(voters: u8, change: impl Fn(&mut Options)) -> Cluster {
        let genesis = genesis(voters);
        let peers: BTreeMap<NodeId, String> =
            (1..=voters).map(|n| (NodeId(n.into()), free_port().to_string())).collect();
        let dirs: Vec<TempDir> = (0..voters).map(|_| TempDir::new().unwrap()).collect();
        let mut all = Vec::new();
        for n in 1..=voters {
            let me = NodeId(n.into());
            let mut options = Options {
                genesis: genesis.clone(),
                me,
                key: key(n),
                data: dirs[usize::from(n) - 1].path().join("data"),
                peer_listen: peers[&me].parse().unwrap(),
                peers: peers.clone(),
                http_listen: "127.0.0.1:0".parse().unwrap(),
                stream_listen: "127.0.0.1:0".parse().unwrap(),
                http_tls: None,
                read_access: ReadAccess::Open,
                workers: 1,
                pool_commands_max: 10_000,
                accept_moved_directory: false,
            };
            change(&mut options);
            all.push(options);
        }
        Cluster { genesis, nodes: Vec::new(), dirs, options: all }
    }

    fn id(&self) -> ClusterId {
        self.genesis.cluster_id()
    }

    fn sign(&self, party: &str, session: u64, sequence: u64, signer: u8, operation: Operation) -> SignedCommand {
        let command = Command {
            party: name(party),
            session,
            sequence,
            expiry: Time(wall_now() + 60_000),
            payload: operation.to_payload(),
            signers: vec![],
        };
        SignedCommand::sign(&self.id(), command, &[&key(signer)]).unwrap()
    }

    /// Submits to a node and waits for the result. A node that is a block behind the others does not know yet what they
    /// have registered: its refusal is that of a moment.
    async fn settle(&self, node: usize, command: &SignedCommand) -> Value {
        let mut tries = 0;
        let (status, answer) = loop {
            let (status, answer) = self.nodes[node].submit(std::slice::from_ref(command)).await;
            let behind = answer["commands"][0]["outcome"]["name"] == "UnknownParty";
            if !behind || tries == 100 {
                break (status, answer);
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(status, 202, "{answer}");
        let id = command.id(&self.id());
        let (status, answer) = self.nodes[node].get(&format!("/v1/commands/{id}/wait?timeout_ms=20000")).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
        drop(self.dirs);
    }
}

/// One request on a connection of its own.
async fn http(to: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Value) {
    let (status, text) = http_text(to, method, path, headers, body).await;
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{method} {path}: {e}: {text}"));
    (status, value)
}

async fn http_text(to: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut tcp = TcpStream::connect(to).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: juno\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    // A refused body may not be read to its end.
    let _ = tcp.write_all(body).await;
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    assert!(!chunked, "answers have a length");
    (status, body.to_owned())
}

/// A client stream, frame by frame.
struct Stream(TcpStream);

impl Stream {
    async fn open(to: SocketAddr, cluster: ClusterId, token: &str) -> (Stream, NodeFrame) {
        let mut stream = Stream(TcpStream::connect(to).await.unwrap());
        stream.send(ClientFrame::Hello(Hello { cluster, token: token.into() })).await;
        let first = stream.next().await.unwrap();
        (stream, first)
    }

    async fn send(&mut self, frame: ClientFrame) {
        self.0.write_all(&frame.to_frame()).await.unwrap();
    }

    async fn next(&mut self) -> Option<NodeFrame> {
        let len = self.0.read_u32().await.ok()?;
        let mut content = vec![0; len as usize];
        self.0.read_exact(&mut content).await.ok()?;
        Some(NodeFrame::from_frame(&content).unwrap())
    }
}

fn create(account: &str) -> Operation {
    Operation::CreateAccount { name: name(account) }
}

fn mint(account: &str, units: u128) -> Operation {
    Operation::Adjust { account: name(account), negative: false, amount: ledger::Amount::from_units(units).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_agree_answer_and_survive_a_restart() {
    let mut cluster = Cluster::start(4).await;
    let alice = key(50);
    let register = Operation::RegisterParty { name: name("alice"), guard: Guard::Key(alice.public()) };
    let answer = cluster.settle(0, &cluster.sign("admin", 1, 1, 100, register)).await;
    assert_eq!(answer["outcome"]["applied"], true, "{answer}");
    assert_eq!(answer["diff"][0]["table"], "parties", "{answer}");
    let answer = cluster.settle(1, &cluster.sign("alice", 1, 1, 50, create("A"))).await;
    assert_eq!(answer["outcome"]["applied"], true, "{answer}");
    let minted = cluster.sign("treasury", 1, 1, 101, mint("A", 2_500_000));
    let answer = cluster.settle(2, &minted).await;
    assert_eq!(answer["diff"][0]["after"]["balance"]["decimal"], "2.5", "{answer}");

    // The node's signed word can be checked with the genesis document alone.
    let reply = decode_hex_bytes(answer["reply"].as_str().unwrap()).unwrap();
    let reply = Signed::<Reply>::from_bytes(&reply).unwrap().verify(&cluster.id(), &cluster.genesis.membership());
    let reply = reply.unwrap();
    assert_eq!(reply.receipts[0].command, minted.id(&cluster.id()));
    assert_eq!(reply.author, NodeId(3));

    for node in &cluster.nodes {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (_, account) = node.get("/v1/accounts/A").await;
            if account["balance"]["exact"] == "5%2" {
                break;
            }
            assert!(Instant::now() < deadline, "{account}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        loop {
            let (status, health) = node.get("/v1/health").await;
            if status == 200 {
                break;
            }
            assert!(Instant::now() < deadline, "{health}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    // A retry gives the first result, from any node.
    let (status, again) = cluster.nodes[3].submit(std::slice::from_ref(&minted)).await;
    assert_eq!((status, &again["commands"][0]["verdict"]), (202, &json!("done")), "{again}");

    // One node stops and starts again from its own log.
    let last = cluster.nodes.pop().unwrap();
    last.stop().await;
    cluster.settle(0, &cluster.sign("alice", 1, 2, 50, create("B"))).await;
    cluster.nodes.push(Running::start(cluster.options[3].clone()).await);
    let answer = cluster.settle(3, &cluster.sign("alice", 1, 3, 50, create("C"))).await;
    assert_eq!(answer["outcome"]["applied"], true, "{answer}");
    let (_, accounts) = cluster.nodes[3].get("/v1/accounts").await;
    let names: Vec<&str> =
        accounts["accounts"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["A", "B", "C"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_answered_for_every_command() {
    let cluster = Cluster::start(4).await;
    let id = cluster.id();
    let (_, first) = Stream::open(cluster.nodes[0].stream, ClusterId(Hash([7; 32])), "").await;
    assert!(matches!(first, NodeFrame::Goodbye(why) if why.contains("cluster")));

    let (mut stream, first) = Stream::open(cluster.nodes[1].stream, id, "").await;
    assert!(matches!(first, NodeFrame::Welcome(w) if w.node == NodeId(2)));
    // A second stream, at another node, only follows.
    let (mut follower, _) = Stream::open(cluster.nodes[2].stream, id, "").await;
    follower.send(ClientFrame::Follow(77)).await;
    let (_, _) = (follower.send(ClientFrame::Follow(77)).await, tokio::time::sleep(Duration::from_millis(50)).await);

    let commands: Vec<SignedCommand> =
        (1..=500).map(|n| cluster.sign("admin", 77, n, 100, create(&format!("a{n}")))).collect();
    let forged = {
        let mut bytes = cluster.sign("admin", 77, 501, 100, create("x")).bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        // The last byte of s: still canonical in form, no longer a signature.
        SignedCommand::from_bytes(&bytes).unwrap()
    };
    let mut waiting: std::collections::HashSet<_> = commands.iter().map(|c| c.id(&id)).collect();
    let forged_id = forged.id(&id);
    stream.send(ClientFrame::Submit(Commands(commands.clone()))).await;
    stream.send(ClientFrame::Submit(Commands(vec![forged]))).await;
    let mut refused = false;
    while !waiting.is_empty() || !refused {
        match tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap() {
            NodeFrame::Replies(reply) => {
                let reply = reply.verify(&id, &cluster.genesis.membership()).unwrap();
                for receipt in &reply.receipts {
                    assert!(waiting.remove(&receipt.command), "answered once");
                    assert!(receipt.outcome.is_applied(), "{}", receipt.outcome);
                }
            }
            NodeFrame::Refused(refusal) => {
                assert_eq!(refusal.command, forged_id);
                assert!(refusal.outcome.text.contains("signature"));
                refused = true;
            }
            other => panic!("{other:?}"),
        }
    }
    let mut followed = 0;
    while followed < 500 {
        match tokio::time::timeout(Duration::from_secs(20), follower.next()).await.unwrap().unwrap() {
            NodeFrame::Replies(reply) => followed += reply.unverified().receipts.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(followed, 500);
    // Garbage ends the stream with a word, not the node.
    stream.0.write_all(&[0, 0, 0, 3, 9, 9, 9]).await.unwrap();
    assert!(matches!(stream.next().await, Some(NodeFrame::Goodbye(_))));
    // Stopping says goodbye too.
    cluster.stop().await;
    assert!(matches!(follower.next().await, Some(NodeFrame::Goodbye(why)) if why.contains("stopping")));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_change() {
    let token = ReadAccess::Token(vec!["open sesame".into()]);
    let cluster = Cluster::start_with(1, |options| options.read_access = token.clone()).await;
    let node = &cluster.nodes[0];
    let code = |answer: &(u16, Value)| (answer.0, answer.1["error"]["code"].as_str().unwrap_or("none").to_owned());
    let bearer = "Authorization: Bearer open sesame\r\n";

    let answer = node.get("/v1/accounts").await;
    assert_eq!(code(&answer), (401, "token_needed".into()));
    let answer = http(node.http, "GET", "/v1/accounts", bearer, b"").await;
    assert_eq!(answer, (200, json!({ "accounts": [], "next": null })));
    let answer = http(node.http, "GET", "/v1/accounts/nobody", bearer, b"").await;
    assert_eq!(code(&answer), (404, "unknown_account".into()));
    let answer = http(node.http, "GET", "/v1/commands/xyz", bearer, b"").await;
    assert_eq!(code(&answer), (400, "bad_id".into()));
    let answer = http(node.http, "GET", &format!("/v1/commands/{}", "0".repeat(64)), bearer, b"").await;
    assert_eq!(code(&answer), (404, "unknown_command".into()));
    let (_, first) = Stream::open(node.stream, cluster.id(), "guess").await;
    assert!(matches!(first, NodeFrame::Goodbye(why) if why.contains("token")));

    let post = |body: &'static str| http(node.http, "POST", "/v1/commands", "", body.as_bytes());
    assert_eq!(code(&post("{}").await), (400, "bad_json".into()));
    assert_eq!(code(&post(r#"{"commands": []}"#).await), (400, "no_commands".into()));
    let answer = post(r#"{"commands": ["00ff"]}"#).await;
    assert_eq!(code(&answer), (400, "undecodable_command".into()));
    assert!(answer.1["error"]["message"].as_str().unwrap().contains("command 0"));
    let foreign = SignedCommand::sign(
        &ClusterId(Hash([9; 32])),
        Command {
            party: name("admin"),
            session: 1,
            sequence: 1,
            expiry: Time(wall_now() + 1000),
            payload: vec![],
            signers: vec![],
        },
        &[&key(100)],
    );
    let answer = node.submit(&[foreign.unwrap()]).await;
    assert_eq!(code(&answer), (400, "refused".into()), "{}", answer.1);
    assert_eq!(answer.1["commands"][0]["outcome"]["name"], "BadSignature");

    let huge = vec![b' '; 8 * 1024 * 1024 + 1];
    let answer = http(node.http, "POST", "/v1/commands", "", &huge).await;
    assert_eq!(code(&answer), (413, "body_too_large".into()));
    assert_eq!(code(&node.get("/v2/nothing").await), (404, "no_such_path".into()));
    assert_eq!(code(&http(node.http, "DELETE", "/v1/commands", "", b"").await), (405, "wrong_method".into()));

    let (status, metrics) = http_text(node.http, "GET", "/metrics", "", b"").await;
    assert_eq!(status, 200);
    for line in ["juno_executed_height", "juno_turn_duration_seconds_count", "juno_halted", "# EOF"] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    // Sent as bytes, the answer is the same JSON.
    let bytes = Commands(vec![cluster.sign("admin", 5, 1, 100, create("A"))]).to_bytes();
    let kind = "Content-Type: application/octet-stream\r\n";
    let (status, answer) = http(node.http, "POST", "/v1/commands", kind, &bytes).await;
    assert_eq!((status, &answer["commands"][0]["verdict"]), (202, &json!("accepted")), "{answer}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_options_are_named() {
    let cluster = Cluster::start(1).await;
    let options = |change: &dyn Fn(&mut Options)| {
        let mut options = cluster.options[0].clone();
        options.peer_listen = "127.0.0.1:0".parse().unwrap();
        change(&mut options);
        options
    };
    let fails = async |options: Options| {
        let ran = tokio::time::timeout(Duration::from_secs(10), node::run(options, std::future::pending())).await;
        ran.expect("fails at once").unwrap_err().to_string()
    };
    let taken = cluster.nodes[0].http;
    let why = fails(options(&|o| o.http_listen = taken)).await;
    assert!(why.contains("http_listen") && why.contains(&taken.to_string()) && why.contains("in use"), "{why}");
    let why = fails(options(&|o| o.me = NodeId(9))).await;
    assert!(why.contains("node 9 is not a voter"), "{why}");
    let why = fails(options(&|o| o.key = key(3))).await;
    assert!(why.contains("key file"), "{why}");
    let why = fails(options(&|_| {})).await;
    assert!(why.contains("data directory"), "in use by the running node: {why}");
    let missing = TlsFiles { cert: "/nonexistent/cert.pem".into(), key: "/nonexistent/key.pem".into() };
    let why = fails(options(&|o| o.http_tls = Some(missing.clone()))).await;
    assert!(why.contains("http_tls.cert") && why.contains("/nonexistent/cert.pem"), "{why}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_garbage_at_the_peer_port_change_nothing() {
    let cluster = Cluster::start(1).await;
    let peer = cluster.nodes[0].peer;
    let mut held = Vec::new();
    for n in 0..200u8 {
        let mut tcp = TcpStream::connect(peer).await.unwrap();
        let _ = tcp.write_all(&[n; 600]).await;
        held.push(tcp);
    }
    let answer = cluster.settle(0, &cluster.sign("admin", 1, 1, 100, create("A"))).await;
    assert_eq!(answer["state"], "executed");
    let (_, metrics) = http_text(cluster.nodes[0].http, "GET", "/metrics", "", b"").await;
    assert!(metrics.contains("handshake"), "counted:\n{metrics}");
    cluster.stop().await;
}

/// Nodes of a cluster that cannot commit: too few of them run.
async fn one_of_four(change: impl Fn(&mut Options)) -> Cluster {
    let mut cluster = Cluster::prepare(4, change);
    cluster.nodes.push(Running::start(cluster.options[0].clone()).await);
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_clients_are_pushed_back_and_memory_is_bounded() {
    let cluster = one_of_four(|options| options.pool_commands_max = 100).await;
    let node = &cluster.nodes[0];
    let id = cluster.id();
    let commands: Vec<SignedCommand> =
        (1..=150).map(|n| cluster.sign("admin", 9, n, 100, create(&format!("a{n}")))).collect();
    let (status, answer) = node.submit(&commands).await;
    let count =
        |verdict: &str| answer["commands"].as_array().unwrap().iter().filter(|c| c["verdict"] == verdict).count();
    assert_eq!((status, count("accepted"), count("busy")), (202, 100, 50), "{answer}");
    // Nothing of this one is taken.
    let late = cluster.sign("admin", 9, 151, 100, create("late"));
    let list = json!({ "commands": [encode_hex(late.bytes())] }).to_string();
    let mut tcp = TcpStream::connect(node.http).await.unwrap();
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nHost: juno\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        list.len()
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    tcp.write_all(list.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429") && answer.to_lowercase().contains("retry-after: 1"), "{answer}");
    // What was taken is pending, also for a poll that waits.
    let (status, pending) = node.get(&format!("/v1/commands/{}/wait?timeout_ms=50", commands[0].id(&id))).await;
    assert_eq!((status, &pending["state"]), (200, &json!("pending")), "{pending}");
    let ids: Vec<String> = [&commands[0], &late].iter().map(|c| c.id(&id).to_string()).collect();
    let body = json!({ "ids": ids, "timeout_ms": 50 }).to_string();
    let (status, answer) = http(node.http, "POST", "/v1/wait", "", body.as_bytes()).await;
    assert_eq!((status, &answer["complete"], &answer["commands"][1]["state"]), (200, &json!(false), &json!("unknown")));

    // A stream hears "busy" for every command of a flood; none is lost.
    let (mut stream, _) = Stream::open(node.stream, id, "").await;
    let mut sent = 0;
    for chunk in 0..20u64 {
        let commands: Vec<SignedCommand> =
            (1..=100).map(|n| cluster.sign("admin", 1000 + chunk, n, 100, create("x"))).collect();
        sent += commands.len();
        stream.send(ClientFrame::Submit(Commands(commands))).await;
    }
    let mut busy = 0;
    while busy < sent {
        match tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap() {
            NodeFrame::Busy(ids) => busy += ids.len(),
            other => panic!("{other:?}"),
        }
    }
    let (status, health) = node.get("/v1/health").await;
    assert_eq!((status, &health["healthy"]), (503, &json!(false)), "{health}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_sends_garbage_is_cut_off_kept_out_and_counted() {
    let cluster = one_of_four(|_| {}).await;
    let node = &cluster.nodes[0];
    let membership = Arc::new(cluster.genesis.membership());
    // The second voter's key, in the hands of somebody who follows no protocol.
    let tls = PeerTls::new(&cluster.id(), membership, Arc::new(key(2)));
    let dial = async || {
        let tcp = TcpStream::connect(node.peer).await.unwrap();
        TlsConnector::from(tls.dialling(key(1).public())).connect(server_name(), tcp).await.unwrap()
    };
    let count = async |line: &str| {
        let (_, metrics) = http_text(node.http, "GET", "/metrics", "", b"").await;
        let value = metrics.lines().find_map(|l| l.strip_prefix(line)?.trim().parse::<u64>().ok());
        value.unwrap_or(0)
    };
    let undecodable = r#"juno_peer_offences_total{node="node2",offence="undecodable"}"#;
    let kept_out = r#"juno_frames_dropped_total{reason="peer_kept_out"}"#;
    for (bytes, offence) in [
        (vec![0, 0, 0, 2, 77, 77], undecodable),
        (vec![0xff; 64], r#"juno_peer_offences_total{node="node2",offence="frame_length"}"#),
    ] {
        let mut link = dial().await;
        link.write_all(&bytes).await.unwrap();
        link.flush().await.unwrap();
        let mut end = [0; 1];
        let ended = tokio::time::timeout(Duration::from_secs(5), link.read(&mut end)).await.expect("cut off");
        assert!(matches!(ended, Ok(0) | Err(_)));
        assert_eq!(count(offence).await, 1);
        // At once again: not let in.
        let mut link = dial().await;
        let ended = tokio::time::timeout(Duration::from_secs(5), link.read(&mut end)).await.expect("not let in");
        assert!(matches!(ended, Ok(0) | Err(_)));
        assert!(count(kept_out).await >= 1);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Truncation is no offence: any link may break. And of many links the oldest go.
    let mut link = dial().await;
    link.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
    link.shutdown().await.unwrap();
    let mut links = Vec::new();
    for _ in 0..6 {
        links.push(dial().await);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(count("juno_peer_links_inbound").await, 4);
    assert_eq!(count(undecodable).await, 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_be_served_over_tls() {
    let files = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["node.example".into()]).unwrap();
    let paths = TlsFiles { cert: files.path().join("cert.pem"), key: files.path().join("key.pem") };
    std::fs::write(&paths.cert, made.cert.pem()).unwrap();
    std::fs::write(&paths.key, made.signing_key.serialize_pem()).unwrap();
    let cluster = Cluster::start_with(1, |options| options.http_tls = Some(paths.clone())).await;
    let node = &cluster.nodes[0];

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let dial = async |to| {
        let tcp = TcpStream::connect(to).await.unwrap();
        connector.connect("node.example".try_into().unwrap(), tcp).await.unwrap()
    };
    let mut tls = dial(node.http).await;
    tls.write_all(b"GET /v1/totals HTTP/1.1\r\nHost: juno\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut tls = dial(node.stream).await;
    let hello = ClientFrame::Hello(Hello { cluster: cluster.id(), token: String::new() });
    tls.write_all(&hello.to_frame()).await.unwrap();
    let len = tls.read_u32().await.unwrap();
    let mut content = vec![0; len as usize];
    tls.read_exact(&mut content).await.unwrap();
    assert!(matches!(NodeFrame::from_frame(&content), Ok(NodeFrame::Welcome(_))));

    // Plain HTTP gets no answer.
    let mut tcp = TcpStream::connect(node.http).await.unwrap();
    tcp.write_all(b"GET /v1/health HTTP/1.1\r\nHost: juno\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    cluster.stop().await;

    // Key and certificate that do not belong together are named at the start.
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).unwrap();
    std::fs::write(&paths.key, other.signing_key.serialize_pem()).unwrap();
    let options = Cluster::prepare(1, |options| options.http_tls = Some(paths.clone())).options.remove(0);
    let why = node::run(options, std::future::pending()).await.unwrap_err().to_string();
    assert!(why.contains("http_tls.key") && why.contains("belong together"), "{why}");
}

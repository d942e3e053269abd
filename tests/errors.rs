//! Everything that goes wrong says what it is and what to change, and loses nothing: real processes.

use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use client::{CommandBuilder, StreamClient, Verdict, random_session};
use juno::cli::agreement::{agreed_balances, standing};
use juno::config::{genesis_to_toml, read_genesis};
use juno::node::tls::{PeerTls, explain, server_name};
use ledger::classic::{self, Classic};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use wire::hash::encode_hex;
use wire::{ClusterId, Hash, Name, SignedCommand};

mod common;
use common::{Cluster, SET_UP_ENTRIES, eventually, juno};

const PATIENCE: Duration = Duration::from_secs(30);

fn payload(text: &str) -> Vec<u8> {
    match classic::parse(text).unwrap() {
        Classic::Operation(operation) => operation.to_payload(),
        Classic::Query(_) => panic!("{text} only reads"),
    }
}

/// The sum of all balances, in the smallest unit, as two nodes agree.
async fn sum(cluster: &Cluster) -> u128 {
    let http = cluster.local.client_file().unwrap().http_client().unwrap();
    agreed_balances(&http, 2).await.unwrap().values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_commands_say_why_and_change_nothing() {
    let cluster = Cluster::running().await;
    cluster.two_accounts();
    let refused = [
        ("alice", "transfer(A->Nobody, 1%1)", 1, "account \"Nobody\" does not exist; check the name"),
        ("alice", "transfer(A->B, 101%1)", 1, "account \"A\" holds 100%1, the transfer needs 101%1"),
        ("bob", "transfer(A->B, 1%1)", 1, "wrong signer: account \"A\" belongs to party \"alice\""),
        ("alice", "transfer(A->B, 0%1)", 1, "the amount is zero"),
        ("alice", "transfer(A->B, 1%0)", 2, "zero below the line"),
        ("alice", "transfer(A->B, 1%3)", 2, "is not exact"),
        ("alice", "transfer(A->B, 1.5)", 2, "an amount is written n%d"),
        ("alice", "transfer(A->B 1%1)", 2, "expected `,`"),
        ("alice", "AdjustAccount A 5%1", 1, "may not mint or burn"),
        ("carol", "CreateAccount C", 2, "no identity \"carol\"; there are: admin, treasury, alice, bob"),
    ];
    for (party, command, code, words) in refused {
        let (found, text) = cluster.submit(party, &[command]);
        assert!(found == code && text.contains(words), "{command}: {found} {text}");
    }
    assert_eq!(cluster.balance(1, "A"), "100%1");
    assert_eq!(sum(&cluster).await, 100_000_000);

    // A key that is not the party's: it is the guard that counts, not the name.
    let file = cluster.local.client_file().unwrap();
    let mut connection = cluster.connection().await;
    let bob = connection.identity(Some("bob")).unwrap();
    let impostor = bob.keys().next().unwrap();
    let (cluster_id, session) = (file.genesis.cluster_id(), random_session().unwrap());
    connection.client.follow(session);
    let signer = connection.identity(Some("alice")).unwrap();
    assert_ne!(signer.keys().next().unwrap(), impostor);
    let as_alice = foreign_signature(&cluster, session);
    let done = connection.execute(&[as_alice]).await.unwrap();
    let text = format!("{:?}", done[0].verdict);
    assert!(text.contains("the guard of party \\\"alice\\\" is not satisfied"), "{text}");

    // Expired before it was sent.
    let mut late = CommandBuilder::new(cluster_id, session, signer.clone()).expiry(Duration::ZERO);
    let late = late.sign(payload("transfer(A->B, 1%1)")).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (status, answer) = post(&cluster, 0, &late);
    assert_eq!((status, &answer["commands"][0]["outcome"]["name"]), (400, &Value::from("Expired")), "{answer}");
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("expired at") && text.contains("sign it again with a later one"), "{text}");

    // Replayed: the first result again, and no second effect, at whatever node and over whatever line.
    let session = random_session().unwrap();
    connection.client.follow(session);
    let pay = CommandBuilder::new(cluster_id, session, signer).sign(payload("transfer(A->B, 1%1)")).unwrap();
    let first = connection.execute(std::slice::from_ref(&pay)).await.unwrap().remove(0);
    let Verdict::Accepted(receipt) = &first.verdict else { panic!("{first:?}") };
    let http = connection.http.clone();
    standing(&http, receipt.index.0 + 1, PATIENCE).await.unwrap();
    for node in 0..4 {
        let (status, answer) = post(&cluster, node, &pay);
        let again = &answer["commands"][0];
        assert_eq!((status, &again["verdict"]), (202, &Value::from("done")), "{answer}");
        assert_eq!(again["receipt"]["index"], receipt.index.0);
    }
    assert_eq!(cluster.balance(2, "A"), "99%1");
    assert_eq!(sum(&cluster).await, 100_000_000);
}

/// A command in Alice's name with Bob's signature.
fn foreign_signature(cluster: &Cluster, session: u64) -> SignedCommand {
    let key = cluster.local.dir().join("keys/bob.key");
    let key = juno::config::read_key(&key, &juno::config::PassphraseSource::default()).unwrap();
    let command = wire::Command {
        party: Name::new("alice").unwrap(),
        session,
        sequence: 1,
        expiry: client::now().plus_ms(60_000),
        payload: payload("transfer(A->B, 1%1)"),
        signers: vec![],
    };
    let genesis = cluster.local.client_file().unwrap().genesis;
    SignedCommand::sign(&genesis.cluster_id(), command, &[&key]).unwrap()
}

fn post(cluster: &Cluster, node: usize, command: &SignedCommand) -> (u16, Value) {
    let body = serde_json::json!({ "commands": [encode_hex(command.bytes())] }).to_string();
    cluster.post(node, "/v1/commands", "application/json", body.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_and_from_elsewhere() {
    let mut cluster = Cluster::running().await;
    cluster.two_accounts();
    let huge = vec![b' '; 8 * 1024 * 1024 + 1];
    let (status, answer) = cluster.post(0, "/v1/commands", "application/json", &huge);
    assert_eq!(status, 413);
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("8388608 bytes; send fewer commands"), "{text}");

    // A client that means another cluster is told so, on the stream.
    let file = cluster.local.client_file().unwrap();
    let mut config = file.stream_config().unwrap();
    config.cluster = ClusterId(Hash([7; 32]));
    let lost = StreamClient::start(config).ready(Duration::from_secs(2)).await.unwrap_err().to_string();
    assert!(lost.contains("cluster") && lost.contains(&file.genesis.cluster_id().to_string()), "{lost}");

    // A node whose key nobody has agreed on learns it at the handshake, and its counterpart says so.
    let tls = PeerTls::new(
        &file.genesis.cluster_id(),
        Arc::new(file.genesis.membership()),
        Arc::new(wire::SecretKey::from_seed([9; 32])),
    );
    let connector = tokio_rustls::TlsConnector::from(tls.dialling(file.genesis.voters[0].key));
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", cluster.local.ports(0).peer)).await.unwrap();
    let refused = match connector.connect(server_name(), tcp).await {
        Err(why) => why,
        // The last word of a handshake is the other end's: the dialler hears it when it reads.
        Ok(mut link) => link.read_u8().await.unwrap_err(),
    };
    let why = explain(&refused);
    assert!(why.contains("the other node does not know this node's key"), "{why}");
    let said = || std::fs::read_to_string(cluster.local.log_file(0)).unwrap();
    eventually("node 0 says so", || said().contains("a key that the genesis document does not name")).await;

    // A node of another cluster: same keys, same addresses, another genesis document. The three others go on without it.
    cluster.local.kill(3);
    let dir = cluster.node_dir(3);
    let genesis_path = cluster.local.dir().join("genesis.toml");
    let mut other = read_genesis(&genesis_path).unwrap();
    other.created.0 += 1;
    std::fs::write(dir.join("other.toml"), genesis_to_toml(&other)).unwrap();
    let text = std::fs::read_to_string(cluster.local.node_config(3)).unwrap();
    let config = dir.join("elsewhere.toml");
    let moved =
        text.replace("\"../genesis.toml\"", "\"other.toml\"").replace("data = \"data\"", "data = \"elsewhere\"");
    assert_ne!(moved, text);
    std::fs::write(&config, moved).unwrap();
    let log = dir.join("elsewhere.log");
    let mut stranger = cluster.local.spawn(&config, &log).unwrap();
    eventually("the stranger is told", || {
        std::fs::read_to_string(&log).unwrap().contains("give both nodes the same genesis document")
    })
    .await;
    let (status, answer) = cluster.get(3, "/v1/health");
    assert_eq!(status, 503, "{answer}");
    assert_eq!(cluster.submit("alice", &["transfer(A->B, 1%1)"]).0, 0);
    stranger.kill().unwrap();
    stranger.wait().unwrap();

    // The right one is welcome still.
    cluster.start().await;
    let http = file.http_client().unwrap();
    standing(&http, SET_UP_ENTRIES + 1, PATIENCE).await.unwrap();
    assert_eq!(cluster.balance(3, "A"), "99%1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_start_says_what_to_change() {
    let mut cluster = Cluster::running().await;
    let (dir, own) = (cluster.node_dir(3), std::fs::read_to_string(cluster.local.node_config(3)).unwrap());
    let changed = |name: &str, from: &str, to: &str| {
        let path = dir.join(name);
        assert!(own.contains(from), "{from} in {own}");
        std::fs::write(&path, own.replace(from, to)).unwrap();
        path
    };
    // All ports of node 3 are taken by node 3.
    let config = changed("same.toml", "data = \"data\"", "data = \"fresh\"");
    let said = cluster.refuses_to_start(&config);
    assert!(said.contains("peer_listen") && said.contains("the port is in use"), "{said}");

    cluster.local.stop(3);
    let squatter = TcpListener::bind(("127.0.0.1", cluster.local.ports(3).http)).unwrap();
    let said = cluster.refuses_to_start(&cluster.local.node_config(3));
    assert!(said.contains("http_listen") && said.contains("stop the other process or choose another port"), "{said}");
    drop(squatter);

    let config = changed("others.toml", "data = \"data\"", "data = \"../node-2/data\"");
    cluster.local.stop(2);
    let said = cluster.refuses_to_start(&config);
    assert!(said.contains("this data directory belongs to node"), "{said}");
    cluster.local.start(2).unwrap();
    cluster.ready().await;

    let key_line = own.lines().find(|l| l.starts_with("key = ")).unwrap();
    let bob = format!("key = \"{}\"", cluster.local.dir().join("keys/bob.key").display());
    let said = cluster.refuses_to_start(&changed("strange.toml", key_line, &bob));
    assert!(said.contains("which is of no voter") && said.contains("use this voter's key file"), "{said}");

    // A copy of a directory is no directory to vote from.
    let copy = cluster.node_dir(3).join("copy");
    copy_dir(&cluster.local.data_dir(3), &copy);
    let said = cluster.refuses_to_start(&changed("copy.toml", "data = \"data\"", "data = \"copy\""));
    assert!(said.contains("copied or restored") && said.contains("would vote twice"), "{said}");

    // Nothing that exists is overwritten.
    let key = cluster.local.dir().join("keys/alice.key");
    let before = std::fs::read(&key).unwrap();
    let (code, said) = juno(&["init", "--dir", cluster.local.dir().to_str().unwrap()]);
    assert!(code == 2 && said.contains("error:"), "{code} {said}");
    let (code, said) = juno(&["keygen", "--out", key.to_str().unwrap()]);
    assert!(code == 2 && !said.is_empty(), "{code} {said}");
    assert_eq!(std::fs::read(&key).unwrap(), before);
    cluster.start().await;
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_named_and_the_others_go_on() {
    let mut cluster = Cluster::running().await;
    cluster.two_accounts();
    cluster.local.stop(2);
    let segment = cluster.local.data_dir(2).join("log-00000000.seg");
    flip(&segment, 900);
    let said = cluster.refuses_to_start(&cluster.local.node_config(2));
    for words in ["log-00000000.seg is damaged", "log record", "must not vote"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let node = cluster.node_dir(2);
    let (code, said) = juno(&["verify", node.to_str().unwrap()]);
    assert!(code == 1 && said.contains("does not hold") && said.contains("log record"), "{code} {said}");
    let (code, said) = juno(&["verify", node.to_str().unwrap(), "--json"]);
    assert!(code == 1 && said.contains("\"sound\":false"), "{code} {said}");
    // Nothing was changed: with the bit as it was, all is as it was.
    assert_eq!(cluster.submit("alice", &["transfer(A->B, 1%1)"]).0, 0);
    flip(&segment, 900);
    cluster.start().await;
    standing(&cluster.local.client_file().unwrap().http_client().unwrap(), SET_UP_ENTRIES + 1, PATIENCE).await.unwrap();
    assert_eq!(cluster.balance(2, "A"), "99%1");

    // A sound log, while its node runs; by node directory, and by data directory and document.
    let (code, said) = juno(&["verify", node.to_str().unwrap()]);
    assert!(code == 0 && said.contains("The log is sound"), "{code} {said}");
    let (data, genesis) = (cluster.local.data_dir(2), cluster.local.dir().join("genesis.toml"));
    let (data, genesis) = (data.to_str().unwrap(), genesis.to_str().unwrap());
    let (code, said) = juno(&["verify", data, "--genesis", genesis, "--json"]);
    let answer: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!((code, &answer["sound"], &answer["evidence"]), (0, &true.into(), &serde_json::json!([])), "{said}");
    assert_eq!(answer["state_root"], cluster.get(2, "/v1/status").1["state_root"]);
    assert!(
        answer["entries"].as_u64() == Some(SET_UP_ENTRIES + 1) && answer["signatures"] == answer["entries"],
        "{said}"
    );
    assert_eq!(juno(&["verify", data]).0, 0, "the node.toml beside it names the document");
    // No log at all, or another cluster's document, is no verdict on a log.
    let (code, said) = juno(&["verify", cluster.dir.path().to_str().unwrap(), "--genesis", genesis]);
    assert!(code == 2 && said.contains("holds no ledger"), "{code} {said}");
    let mut other = read_genesis(Path::new(genesis)).unwrap();
    other.created.0 += 1;
    let path = cluster.dir.path().join("other.toml");
    std::fs::write(&path, genesis_to_toml(&other)).unwrap();
    let (code, said) = juno(&["verify", data, "--genesis", path.to_str().unwrap()]);
    assert!(code == 2 && said.contains("give the right one"), "{code} {said}");
}

fn flip(file: &Path, at: u64) {
    let mut file = std::fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 0x10;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
}

/// The disk is full: every write past some length of a file fails. A limit on the size of files does that to a process
/// without any privilege. (Every byte at which a disk may be full is tried in `crates/store/tests/crash.rs`.)
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_breaks_no_promise() {
    let mut cluster = Cluster::running().await;
    cluster.two_accounts();
    cluster.local.stop(1);
    let log = std::fs::File::create(cluster.dir.path().join("full.log")).unwrap();
    // Five mebibytes a file: the safety record fits, the log soon does not. The signal that comes with the
    // limit is ignored, so that writes fail as they do on a full disk.
    let mut shell = Command::new("bash");
    let mut full = shell
        .args(["-c", "trap '' XFSZ; ulimit -f 5120; exec \"$0\" \"$@\""])
        .arg(common::exe())
        .args(["node", "--stop-with-stdin", "--config"])
        .arg(cluster.local.node_config(1))
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap();
    eventually("node 1 votes", || cluster.get(1, "/v1/health").0 == 200).await;
    let memo = format!("{}##", "x".repeat(50_000));
    let memos: Vec<&str> = vec![&memo; 8];
    let mut halted = None;
    for _ in 0..16 {
        assert_eq!(cluster.submit("alice", &memos).0, 0, "the others go on");
        halted = cluster.get(1, "/v1/status").1["halted"].as_str().map(str::to_owned);
        if halted.is_some() {
            break;
        }
    }
    let halted = halted.expect("6 MB do not fit into 5");
    assert!(halted.contains("disk"), "{halted}");
    let (status, answer) = cluster.get(1, "/v1/health");
    assert!(status == 503 && answer.to_string().contains("stopped voting"), "{answer}");
    assert_eq!(cluster.submit("alice", &["transfer(A->B, 1%1)"]).0, 0);
    full.kill().unwrap();
    full.wait().unwrap();

    // With room again it takes up what it wrote, and catches up; no half-written promise stands in its way.
    cluster.start().await;
    let http = cluster.local.client_file().unwrap().http_client().unwrap();
    let entries = cluster.get(0, "/v1/status").1["entries"].as_u64().unwrap();
    standing(&http, entries, PATIENCE).await.unwrap();
    assert_eq!(cluster.balance(1, "A"), "99%1");
    assert_eq!(sum(&cluster).await, 100_000_000);
    let (code, said) = juno(&["verify", cluster.node_dir(1).to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
}

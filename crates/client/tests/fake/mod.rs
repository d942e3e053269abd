//! Nodes of a pretended cluster, on loopback, with real keys and the real stream protocol. They order and "execute"
//! through one shared book instead of a consensus; each may lie in its own way.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{CommandBuilder, FastKey, Identity, StreamClient, StreamConfig, random_session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use wire::genesis::{FaultModel, Guard, Parameters};
use wire::statement::Reply;
use wire::stream::{ClientFrame, NodeFrame, Refused, Welcome};
use wire::{
    CommandId, Epoch, Genesis, Hash, Height, Index, Name, NodeId, Outcome, OutcomeCode, Receipt, SecretKey,
    SignedCommand, Verified, Voter,
};

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Honest,
    /// Every reply goes out three times.
    Repeating,
    /// Signs receipts that say something else.
    Lying,
    /// Signs the true receipt, then another.
    TwoFaced,
    /// Spoils its own signature.
    Forging,
    /// Replies in the name of node 1, without its key.
    Impersonating,
    /// Takes commands and says nothing, ever.
    Mute,
    /// Says "busy" so many times, then is honest.
    Busy(u64),
    /// Refuses everything that is submitted to it.
    Refusing,
    /// Hangs up when commands arrive.
    HangingUp,
    /// Sends bytes that are no frame.
    Babbling,
}

/// The book all nodes execute from.
struct Book {
    executed: HashMap<CommandId, (u64, Receipt)>,
    news: broadcast::Sender<(u64, Vec<Receipt>)>,
    /// Commands that arrived at each node.
    submitted: Vec<AtomicU64>,
    busy_left: Vec<AtomicU64>,
}

/// A pretended cluster.
pub struct Cluster {
    pub genesis: Genesis,
    pub addresses: Vec<(NodeId, String)>,
    book: Arc<Mutex<Book>>,
    _tasks: JoinSet<()>,
}

pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n + 1; 32])
}

/// One node per manner, node 0 leading; `F` as given.
pub async fn cluster(manners: &[Manner], faulty_weight: u64) -> Cluster {
    let voters = (0..manners.len() as u8).map(|n| Voter {
        id: NodeId(n.into()),
        name: Name::new(&format!("n{n}")).unwrap(),
        key: key(n).public(),
        weight: 1,
    });
    let genesis = Genesis {
        name: Name::new("fake").unwrap(),
        created: client::now(),
        fault_model: FaultModel::Byzantine,
        faulty_weight,
        voters: voters.collect(),
        administrators: Guard::Key(key(100).public()),
        treasury: Guard::Key(key(101).public()),
        parameters: Parameters::default(),
    };
    let zeros = || manners.iter().map(|_| AtomicU64::new(0)).collect();
    let book = Arc::new(Mutex::new(Book {
        executed: HashMap::new(),
        news: broadcast::Sender::new(4096),
        submitted: zeros(),
        busy_left: manners
            .iter()
            .map(|m| AtomicU64::new(if let Manner::Busy(times) = m { *times } else { 0 }))
            .collect(),
    }));
    let mut tasks = JoinSet::new();
    let mut addresses = Vec::new();
    for (n, manner) in manners.iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push((NodeId(n as u16), listener.local_addr().unwrap().to_string()));
        tasks.spawn(listen(listener, n, *manner, genesis.clone(), book.clone()));
    }
    Cluster { genesis, addresses, book, _tasks: tasks }
}

impl Cluster {
    pub fn config(&self) -> StreamConfig {
        let mut config =
            StreamConfig::new(self.genesis.cluster_id(), self.genesis.membership(), self.addresses.clone());
        config.reply_timeout = Duration::from_millis(200);
        config
    }

    /// A client that follows its session, and the builder of its commands.
    pub async fn client(&self) -> (StreamClient, CommandBuilder) {
        self.client_of(self.config()).await
    }

    pub async fn client_of(&self, config: StreamConfig) -> (StreamClient, CommandBuilder) {
        let client = StreamClient::start(config);
        let session = random_session().unwrap();
        client.follow(session);
        client.ready(Duration::from_secs(5)).await.unwrap();
        (client, self.builder(session))
    }

    pub fn builder(&self, session: u64) -> CommandBuilder {
        let signer = Arc::new(FastKey::new(&key(200)).unwrap());
        let identity = Identity::new(Name::new("alice").unwrap(), vec![signer]);
        CommandBuilder::new(self.genesis.cluster_id(), session, identity)
    }

    /// What the book says of a command.
    pub fn truth(&self, id: &CommandId) -> Option<Receipt> {
        self.book.lock().unwrap().executed.get(id).map(|(_, receipt)| receipt.clone())
    }

    /// Commands executed, and submitted to node `n`, counting repetitions.
    pub fn executed(&self) -> usize {
        self.book.lock().unwrap().executed.len()
    }

    pub fn submitted(&self, n: usize) -> u64 {
        self.book.lock().unwrap().submitted[n].load(Relaxed)
    }
}

async fn listen(listener: TcpListener, n: usize, manner: Manner, genesis: Genesis, book: Arc<Mutex<Book>>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        connections.spawn(serve(socket, n, manner, genesis.clone(), book.clone()));
    }
}

async fn serve(socket: TcpStream, n: usize, manner: Manner, genesis: Genesis, book: Arc<Mutex<Book>>) {
    socket.set_nodelay(true).unwrap();
    let mut news = book.lock().unwrap().news.subscribe();
    let (mut read, mut write) = socket.into_split();
    let (frames, mut inbox) = tokio::sync::mpsc::channel::<ClientFrame>(16);
    let reader = tokio::spawn(async move {
        while let Ok(len) = read.read_u32().await {
            let mut content = vec![0; len as usize];
            if read.read_exact(&mut content).await.is_err() {
                return;
            }
            if frames.send(ClientFrame::from_frame(&content).unwrap()).await.is_err() {
                return;
            }
        }
    });
    let mut sessions = HashSet::new();
    loop {
        let answers = tokio::select! {
            frame = inbox.recv() => match frame {
                None => break,
                Some(ClientFrame::Hello(hello)) => {
                    assert_eq!(hello.cluster, genesis.cluster_id());
                    vec![NodeFrame::Welcome(Welcome { node: NodeId(n as u16), leader: Some(NodeId(0)) }).to_frame()]
                }
                Some(ClientFrame::Follow(session)) => {
                    sessions.insert(session);
                    vec![]
                }
                Some(ClientFrame::Submit(commands)) => {
                    book.lock().unwrap().submitted[n].fetch_add(commands.0.len() as u64, Relaxed);
                    match take(n, manner, &genesis, &book, commands.0) {
                        Some(answers) => answers,
                        None => break,
                    }
                }
            },
            Ok((session, receipts)) = news.recv() => {
                if sessions.contains(&session) { replies(n, manner, &genesis, receipts) } else { vec![] }
            }
        };
        for answer in answers {
            if write.write_all(&answer).await.is_err() {
                break;
            }
        }
    }
    reader.abort();
}

/// What a node does with submitted commands; `None` hangs up.
fn take(
    n: usize,
    manner: Manner,
    genesis: &Genesis,
    book: &Mutex<Book>,
    commands: Vec<SignedCommand>,
) -> Option<Vec<Vec<u8>>> {
    let cluster = genesis.cluster_id();
    let ids: Vec<CommandId> = commands.iter().map(|c| c.id(&cluster)).collect();
    let mut book = book.lock().unwrap();
    match manner {
        Manner::HangingUp => return None,
        Manner::Mute => return Some(vec![]),
        Manner::Busy(_) if book.busy_left[n].load(Relaxed) > 0 => {
            book.busy_left[n].fetch_sub(1, Relaxed);
            return Some(vec![NodeFrame::Busy(ids).to_frame()]);
        }
        Manner::Refusing => {
            let outcome = Outcome { code: OutcomeCode(9), text: "its expiry is too far ahead".into() };
            let refused =
                |id: &CommandId| NodeFrame::Refused(Refused { command: *id, outcome: outcome.clone() }).to_frame();
            return Some(ids.iter().map(refused).collect());
        }
        _ => {}
    }
    let mut fresh: HashMap<u64, Vec<Receipt>> = HashMap::new();
    let mut old = Vec::new();
    for (id, command) in ids.iter().zip(&commands) {
        if let Some((_, receipt)) = book.executed.get(id) {
            old.push(receipt.clone());
            continue;
        }
        let receipt = Receipt {
            index: Index(book.executed.len() as u64),
            height: Height(1),
            command: *id,
            outcome: Outcome::applied(),
            diff: Hash::of(&command.unverified().payload),
            cost: [0; 6],
            result: Vec::new(),
        };
        book.executed.insert(*id, (command.unverified().session, receipt.clone()));
        fresh.entry(command.unverified().session).or_default().push(receipt);
    }
    for news in fresh {
        let _ = book.news.send(news);
    }
    Some(if old.is_empty() { vec![] } else { replies(n, manner, genesis, old) })
}

/// The frames in which a node reports receipts.
fn replies(n: usize, manner: Manner, genesis: &Genesis, receipts: Vec<Receipt>) -> Vec<Vec<u8>> {
    let id = NodeId(n as u16);
    let frame = |author: NodeId, receipts: Vec<Receipt>| -> Vec<u8> {
        let reply = Reply { author, epoch: Epoch(1), height: Height(1), receipts };
        let signed = Verified::sign(&genesis.cluster_id(), reply, &key(n as u8)).unwrap().into_signed();
        NodeFrame::Replies(Box::new(signed)).to_frame()
    };
    let false_receipts = || {
        let lie =
            |r: &Receipt| Receipt { outcome: Outcome { code: OutcomeCode(3), text: "no money".into() }, ..r.clone() };
        receipts.iter().map(lie).collect::<Vec<_>>()
    };
    match manner {
        Manner::Mute => vec![],
        Manner::Repeating => vec![frame(id, receipts.clone()), frame(id, receipts.clone()), frame(id, receipts)],
        Manner::Lying => vec![frame(id, false_receipts())],
        Manner::TwoFaced => vec![frame(id, receipts.clone()), frame(id, false_receipts())],
        Manner::Impersonating => vec![frame(NodeId(1), false_receipts())],
        Manner::Forging => {
            let mut bytes = frame(id, receipts);
            *bytes.last_mut().unwrap() ^= 1;
            vec![bytes]
        }
        Manner::Babbling => vec![vec![0, 0, 0, 3, 1, 99, 99]],
        _ => vec![frame(id, receipts)],
    }
}

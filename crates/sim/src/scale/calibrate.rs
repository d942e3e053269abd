//! The costs of single steps, measured on this machine with production code: medians of several runs on one thread.

use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ledger::Ledger;
use replica::{Destination, Input, Now, Output, Replica, VerifiedMessage, Verifier};
use store::{Batch, MemDisk, Options, Stamp, Store};
use wire::keys::{Item, verify_batch};
use wire::peer::Commands as CommandList;
use wire::{Genesis, Hash, Index, NodeId, PeerMessage, SecretKey, SignedCommand, VerifiedCommand};

use super::cluster::{self, Commands, START};
use super::costs::Costs;
use super::packet::HASHES_PER_COMMAND;

/// Runs of which the median is taken.
const RUNS: usize = 15;
/// Commands in a block that is measured.
const BLOCK: usize = 1000;
/// Voters of the two clusters between whose turns the cost per voter is read off.
const VOTERS: (usize, usize) = (4, 40);

fn median(mut of: impl FnMut() -> f64) -> f64 {
    let mut found: Vec<f64> = (0..RUNS).map(|_| of()).collect();
    found.sort_by(f64::total_cmp);
    found[RUNS / 2]
}

/// Nanoseconds for one of `count` steps that `work` does.
fn each(count: usize, work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_nanos() as f64 / count as f64
}

/// Measures everything; takes a few seconds.
///
/// # Errors
/// If production code does not do what it is asked, which would be a fault.
pub fn measure() -> Result<Costs, String> {
    let (sign_ns, verify_ns, verify_batch_ns) = signatures();
    let text = vec![7u8; 1 << 20];
    let hash_byte_ns = median(|| each(text.len(), || _ = black_box(Hash::of(black_box(&text)))));
    let (check_command_ns, command_bytes) = checked_commands()?;
    let execute_command_ns = execution()?;
    let append_byte_ns = append()?;
    let turn_ns = idle_turn()?;
    let (few, many) = (votes(VOTERS.0)?, votes(VOTERS.1)?);
    let (message_ns, message_voter_ns) = line(few.vote - turn_ns, many.vote - turn_ns);
    let apart = turn_ns + sign_ns;
    let (certificate_ns, certificate_voter_ns) = line(few.certificate - apart, many.certificate - apart);
    let commands = command_turns()?;
    // What is charged apart: execution, and the bytes of the log.
    let apart = execute_command_ns + command_bytes * append_byte_ns;
    Ok(Costs {
        sign_ns,
        verify_ns,
        verify_batch_ns,
        hash_byte_ns,
        check_command_ns: (check_command_ns - HASHES_PER_COMMAND * command_bytes * hash_byte_ns).max(0.0),
        check_statement_ns: few.check,
        admit_command_ns: commands.admit,
        lead_command_ns: (commands.lead - apart).max(0.0),
        vote_command_ns: (commands.vote - apart).max(0.0),
        execute_command_ns,
        append_byte_ns,
        turn_ns,
        message_ns,
        message_voter_ns,
        certificate_ns,
        certificate_voter_ns,
    })
}

/// What does not grow with the number of voters, and what each of them adds, from the costs with few and with many.
fn line(few: f64, many: f64) -> (f64, f64) {
    let slope = ((many - few) / (VOTERS.1 - VOTERS.0) as f64).max(0.0);
    ((few - VOTERS.0 as f64 * slope).max(0.0), slope)
}

fn signatures() -> (f64, f64, f64) {
    let keys: Vec<SecretKey> = (0..64).map(|n| SecretKey::from_seed([n; 32])).collect();
    let messages: Vec<Vec<u8>> = (0..512u32).map(|n| n.to_be_bytes().repeat(32)).collect();
    let sign = |n: usize| keys[n % keys.len()].sign_bytes(&messages[n]);
    let signed: Vec<_> = (0..messages.len()).map(sign).collect();
    let items: Vec<Item<'_>> =
        (0..messages.len()).map(|n| (keys[n % keys.len()].public(), messages[n].as_slice(), signed[n])).collect();
    let count = messages.len();
    (
        median(|| each(count, || (0..count).for_each(|n| _ = black_box(sign(n))))),
        median(|| each(count, || items.iter().for_each(|(key, m, s)| assert!(key.verify(m, s).is_ok())))),
        median(|| each(count, || assert!(verify_batch(&items).iter().all(Result::is_ok)))),
    )
}

fn check_all(verifier: &Verifier, commands: Vec<SignedCommand>) -> Result<Vec<VerifiedCommand>, String> {
    let all: Result<Vec<_>, _> = verifier.verify_commands(commands).into_iter().collect();
    all.map_err(|_| "a signature made here does not verify".into())
}

/// Reading and checking commands whose signatures are remembered; and the bytes of one.
fn checked_commands() -> Result<(f64, f64), String> {
    let genesis = cluster::genesis(4, BLOCK);
    let verifier = replica::verifier(&genesis);
    let commands = Commands::new(&genesis, 1).transfers(BLOCK);
    let message = PeerMessage::Forward(CommandList(commands.clone()));
    let frame = message.to_frame();
    check_all(&verifier, commands)?;
    let ns = median(|| {
        each(BLOCK, || {
            let message = PeerMessage::from_frame(&frame[4..]);
            drop(black_box(message.map(|m| verifier.verify(NodeId(1), m))));
        })
    });
    // A block's tree over its commands hashes them once more than commands passed on.
    let leaves = median(|| {
        let PeerMessage::Forward(commands) = &message else { return 0.0 };
        each(BLOCK, || {
            let leaves: Vec<Hash> = commands.0.iter().map(SignedCommand::leaf).collect();
            black_box(wire::merkle::root_of(&leaves));
        })
    });
    Ok((ns + leaves, frame.len() as f64 / BLOCK as f64))
}

fn execution() -> Result<f64, String> {
    let genesis = cluster::genesis(4, BLOCK);
    let verifier = replica::verifier(&genesis);
    let mut commands = Commands::new(&genesis, 1);
    let mut ledger = Ledger::new(&genesis);
    let mut blocks: Vec<Vec<VerifiedCommand>> = Vec::new();
    for group in commands.set_up() {
        blocks.push(check_all(&verifier, group)?);
    }
    let warm = blocks.len();
    for _ in 0..RUNS {
        blocks.push(check_all(&verifier, commands.transfers(BLOCK))?);
    }
    let (mut found, mut index) = (Vec::new(), 0);
    for (n, block) in blocks.iter().enumerate() {
        let height = wire::Height(n as u64 + 1);
        let time = START.plus_ms(n as u64 + 1);
        found.push(each(block.len(), || drop(black_box(ledger.execute_block(height, time, Index(index), block)))));
        index += block.len() as u64;
    }
    let mut found = found.split_off(warm);
    found.sort_by(f64::total_cmp);
    Ok(found[RUNS / 2])
}

fn append() -> Result<f64, String> {
    let stamp = Stamp { cluster: [1; 32], node: [2; 32] };
    let (mut store, _) = Store::create(MemDisk::new(1), stamp, Options::default()).map_err(|e| e.to_string())?;
    let record = vec![3u8; 256 * 1024];
    let mut fault = None;
    let ns = median(|| {
        each(record.len(), || {
            let mut batch = Batch::new(());
            batch.append(1, &record);
            fault = store.write(batch).err();
        })
    });
    fault.map_or(Ok(ns), |error| Err(error.to_string()))
}

fn now() -> Now {
    Now { wall: START.plus_ms(1), mono_ms: 0 }
}

fn idle_turn() -> Result<f64, String> {
    let mut replica = cluster::open(&cluster::genesis(4, BLOCK), 0, now())?;
    replica.turn(now(), vec![]);
    Ok(median(|| each(1000, || (0..1000).for_each(|_| drop(replica.turn(now(), vec![]))))))
}

/// Turns of one kind: how many, and how long they took.
#[derive(Default, Clone, Copy)]
struct Spent {
    count: usize,
    time: Duration,
}

impl Spent {
    fn add(&mut self, began: Instant) {
        self.count += 1;
        self.time += began.elapsed();
    }

    fn ns(&self) -> f64 {
        self.time.as_nanos() as f64
    }

    fn mean(&self) -> f64 {
        self.ns() / self.count.max(1) as f64
    }
}

/// A cluster without time or delays: every message is delivered at once, one in a turn.
struct Bench {
    verifier: Verifier,
    replicas: Vec<Replica<MemDisk>>,
    letters: VecDeque<(usize, usize, Rc<VerifiedMessage>)>,
    frames: Vec<Vec<u8>>,
    /// Turns with a vote that lead to nothing.
    votes: Spent,
    /// Turns with a vote that completes a certificate, and so to the node's own vote.
    certificates: Spent,
    /// All turns of the leader, and of the voter after it.
    turns: [Spent; 2],
}

impl Bench {
    fn new(genesis: &Genesis) -> Result<Bench, String> {
        let n = genesis.voters.len();
        let mut bench = Bench {
            verifier: replica::verifier(genesis),
            replicas: (0..n).map(|id| cluster::open(genesis, id, now())).collect::<Result<_, _>>()?,
            letters: VecDeque::new(),
            frames: Vec::new(),
            votes: Spent::default(),
            certificates: Spent::default(),
            turns: [Spent::default(); 2],
        };
        for node in 0..n {
            bench.turn(node, vec![])?;
        }
        bench.settle()?;
        Ok(bench)
    }

    fn turn(&mut self, node: usize, inputs: Vec<Input>) -> Result<(), String> {
        let vote = matches!(inputs.first(), Some(Input::Peer { message: VerifiedMessage::Vote(_), .. }));
        let began = Instant::now();
        let outputs = self.replicas[node].turn(now(), inputs);
        match outputs.first() {
            None if vote => self.votes.add(began),
            Some(Output::Send { .. }) if vote => self.certificates.add(began),
            _ => {}
        }
        if let Some(turns) = self.turns.get_mut(node) {
            turns.add(began);
        }
        let n = self.replicas.len();
        for output in outputs {
            let Output::Send { to, message } = output else { continue };
            let frame = message.to_frame();
            if matches!(message, PeerMessage::Vote(_)) {
                self.frames.push(frame.clone());
            }
            let message = PeerMessage::from_frame(&frame[4..]).map_err(|e| e.to_string())?;
            let message = self.verifier.verify(NodeId(node as u16), message).map_err(|e| e.to_string())?;
            let message = Rc::new(message);
            match to {
                Destination::All => {
                    let peers = (0..n).filter(|peer| *peer != node);
                    self.letters.extend(peers.map(|peer| (node, peer, message.clone())));
                }
                Destination::One(peer) => self.letters.push_back((node, usize::from(peer.0), message)),
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), String> {
        while let Some((from, to, message)) = self.letters.pop_front() {
            let input = Input::Peer { from: NodeId(from as u16), message: (*message).clone() };
            self.turn(to, vec![input])?;
        }
        Ok(())
    }

    fn submit(&mut self, node: usize, commands: Vec<VerifiedCommand>) -> Result<(), String> {
        self.turn(node, vec![Input::Commands(commands)])
    }
}

/// Nanoseconds for votes in a cluster of one size.
struct VoteTurns {
    /// Checking a remembered vote.
    check: f64,
    /// A turn with a vote that leads to nothing.
    vote: f64,
    /// A turn with a vote that completes a certificate.
    certificate: f64,
}

fn votes(n: usize) -> Result<VoteTurns, String> {
    let genesis = cluster::genesis(n, BLOCK);
    let mut bench = Bench::new(&genesis)?;
    let mut commands = Commands::new(&genesis, 1);
    let all: Vec<SignedCommand> = commands.set_up().into_iter().flatten().take(3 * RUNS).collect();
    let (mut votes, mut certificates) = (Vec::new(), Vec::new());
    for group in check_all(&bench.verifier, all)?.chunks(3) {
        (bench.votes, bench.certificates) = (Spent::default(), Spent::default());
        for command in group {
            bench.submit(0, vec![command.clone()])?;
            bench.settle()?;
        }
        votes.push(bench.votes.mean());
        certificates.push(bench.certificates.mean());
    }
    votes.sort_by(f64::total_cmp);
    certificates.sort_by(f64::total_cmp);
    let frames = &bench.frames;
    let check = median(|| {
        each(frames.len(), || {
            for frame in frames {
                let message = PeerMessage::from_frame(&frame[4..]);
                drop(black_box(message.map(|m| bench.verifier.verify(NodeId(1), m))));
            }
        })
    });
    Ok(VoteTurns { check, vote: votes[RUNS / 2], certificate: certificates[RUNS / 2] })
}

/// Nanoseconds a command on the replica thread.
struct CommandTurns {
    admit: f64,
    lead: f64,
    vote: f64,
}

/// Whole blocks through a cluster of four: admission by itself, and everything after it.
fn command_turns() -> Result<CommandTurns, String> {
    let genesis = cluster::genesis(VOTERS.0, BLOCK);
    let mut bench = Bench::new(&genesis)?;
    let mut commands = Commands::new(&genesis, 1);
    for group in commands.set_up() {
        let group = check_all(&bench.verifier, group)?;
        bench.submit(0, group)?;
        bench.settle()?;
    }
    let (mut admit, mut lead, mut vote) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let block = check_all(&bench.verifier, commands.transfers(BLOCK))?;
        bench.turns = [Spent::default(); 2];
        // At a voter that does not lead, a turn with commands admits them and passes them on, and no more.
        bench.submit(1, block)?;
        let admitted = bench.turns[1].ns() / BLOCK as f64;
        bench.turns = [Spent::default(); 2];
        bench.settle()?;
        admit.push(admitted);
        lead.push(bench.turns[0].ns() / BLOCK as f64 - admitted);
        vote.push(bench.turns[1].ns() / BLOCK as f64);
    }
    for found in [&mut admit, &mut lead, &mut vote] {
        found.sort_by(f64::total_cmp);
    }
    let middle = RUNS / 2;
    Ok(CommandTurns { admit: admit[middle], lead: lead[middle], vote: vote[middle] })
}

//! One value of everything that crosses a wire or is agreed on, every field set, the same on every run.
#![allow(dead_code)]

use wire::merkle::{self, Frontier};
use wire::peer::{
    AppendEntries, Blocks, Commands, ElectionVoteMessage, Fetch, FetchBlock, HeartbeatMessage, Recall, Standing,
};
use wire::statement::{BadCommand, Claim, Reply};
use wire::stream::{ClientFrame, Hello, NodeFrame, Refused, Welcome};
use wire::{
    Block, BlockDigest, BlockHeader, Certificate, ClusterId, Command, CommandId, ElectionCertificate, ElectionVote,
    Encode, Epoch, Evidence, Executed, FaultModel, Genesis, Guard, Hash, Heartbeat, Height, Index, Name, NodeId,
    Outcome, OutcomeCode, Parameters, PeerMessage, Phase, Proposal, Receipt, SecretKey, Signed, SignedCommand,
    Statement, Term, Time, Verified, Vote, Voter,
};

/// An encoding with a name, and what decodes it.
pub struct Sample {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub kind: Kind,
}

/// Everything that is decoded as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Peer,
    Client,
    Node,
    Command,
    Block,
    Certificate,
    Election,
    Evidence,
    Genesis,
    Receipt,
    Reply,
    Frontier,
}

pub fn cluster() -> ClusterId {
    genesis().cluster_id()
}

pub fn key(n: u16) -> SecretKey {
    SecretKey::from_seed([n as u8 + 1; 32])
}

fn hash(n: u8) -> Hash {
    Hash([n; 32])
}

pub fn genesis() -> Genesis {
    let voter = |id: u16| Voter {
        id: NodeId(id),
        name: Name::new(&format!("node-{id}")).unwrap(),
        key: key(id).public(),
        weight: 1 + u64::from(id),
    };
    let mut keys = vec![key(100).public(), key(101).public(), key(102).public()];
    keys.sort();
    Genesis {
        name: Name::new("sample").unwrap(),
        created: Time(1_700_000_000_000),
        fault_model: FaultModel::Byzantine,
        faulty_weight: 2,
        voters: (0..4).map(voter).collect(),
        administrators: Guard::Threshold { k: 2, keys },
        treasury: Guard::Key(key(103).public()),
        parameters: Parameters::default(),
    }
}

fn sign<T: Statement>(n: u16, value: T) -> Signed<T> {
    Verified::sign(&cluster(), value, &key(n)).unwrap().into_signed()
}

pub fn command(sequence: u64) -> SignedCommand {
    let command = Command {
        party: Name::new("alice").unwrap(),
        session: 7,
        sequence,
        expiry: Time(1_700_000_100_000),
        payload: b"payload".to_vec(),
        signers: vec![],
    };
    SignedCommand::sign(&cluster(), command, &[&key(50), &key(51)]).unwrap()
}

pub fn block() -> Block {
    let entries = vec![command(1), command(2)];
    let leaves: Vec<Hash> = entries.iter().map(SignedCommand::leaf).collect();
    let header = BlockHeader {
        epoch: Epoch(1),
        term: Term(3),
        height: Height(9),
        parent: BlockDigest(hash(1)),
        first_index: Index(17),
        entry_count: 2,
        entries_root: merkle::root_of(&leaves),
        log_root: hash(2),
        time: Time(1_700_000_000_900),
        executed: Executed { height: Height(7), state_root: hash(3), receipts_root: hash(4) },
    };
    Block { header, entries }
}

fn claim() -> Claim {
    Claim { term: Term(3), height: Height(9), digest: block().header.digest(&cluster()) }
}

fn vote(n: u16, phase: Phase) -> Signed<Vote> {
    let Claim { term, height, digest } = claim();
    sign(n, Vote { author: NodeId(n), epoch: Epoch(1), phase, term, height, digest })
}

pub fn certificate(phase: Phase) -> Certificate {
    let votes = (1..4).map(|n| vote(n, phase)).collect();
    Certificate { phase, claim: claim(), headers: vec![block().header], votes }
}

fn election_vote(n: u16, term: u64) -> Signed<ElectionVote> {
    sign(n, ElectionVote { author: NodeId(n), epoch: Epoch(1), term: Term(term), claim: claim() })
}

pub fn election() -> ElectionCertificate {
    let votes = (1..4).map(|n| election_vote(n, 4)).collect();
    ElectionCertificate { term: Term(4), votes, highest: Some(certificate(Phase::Replicated)) }
}

fn standing() -> Standing {
    Standing { election: Some(election()), commit: certificate(Phase::Certified) }
}

fn proposal(n: u16, height: u64) -> Signed<Proposal> {
    let Claim { term, digest, .. } = claim();
    sign(n, Proposal { author: NodeId(n), epoch: Epoch(1), term, height: Height(height), digest })
}

fn receipt() -> Receipt {
    Receipt {
        index: Index(17),
        height: Height(9),
        command: CommandId(hash(5)),
        outcome: Outcome { code: OutcomeCode(35), text: "overdraft".into() },
        diff: hash(6),
        cost: [1, 2, 3, 4, 5, 6],
        result: vec![7],
    }
}

fn reply() -> Signed<Reply> {
    let receipts = vec![receipt(), Receipt { outcome: Outcome::applied(), ..receipt() }];
    sign(2, Reply { author: NodeId(2), epoch: Epoch(1), height: Height(9), receipts })
}

fn evidence() -> Vec<(&'static str, Evidence)> {
    let leaves: Vec<Hash> = block().leaves();
    let tree = merkle::Tree::new(leaves);
    let bad = BadCommand {
        proposal: proposal(2, 9),
        header: block().header,
        position: 1,
        path: tree.inclusion(1, 2).unwrap(),
        command: command(2),
    };
    vec![
        ("two proposals", Evidence::Proposals(Box::new((proposal(2, 9), proposal(2, 10))))),
        ("two votes", Evidence::Votes(Box::new((vote(2, Phase::Replicated), vote(2, Phase::Certified))))),
        ("two election votes", Evidence::ElectionVotes(Box::new((election_vote(2, 4), election_vote(2, 5))))),
        ("bad command", Evidence::BadCommand(Box::new(bad))),
    ]
}

fn peer_messages() -> Vec<PeerMessage> {
    let append = AppendEntries {
        proposal: proposal(2, 9),
        block: block(),
        election: Some(election()),
        claim: Some(certificate(Phase::Certified)),
    };
    let ask = ElectionVoteMessage {
        vote: election_vote(1, 4),
        highest: Some(certificate(Phase::Replicated)),
        standing: standing(),
    };
    let beat = Heartbeat { author: NodeId(2), epoch: Epoch(1), term: Term(3), commit_height: Height(8) };
    let recall = Recall {
        votes: vec![vote(1, Phase::Replicated), vote(1, Phase::Certified)],
        election_vote: Some(election_vote(1, 4)),
        standing: standing(),
    };
    vec![
        PeerMessage::AppendEntries(Box::new(append)),
        PeerMessage::Vote(vote(1, Phase::Replicated)),
        PeerMessage::ElectionVote(Box::new(ask)),
        PeerMessage::Heartbeat(Box::new(HeartbeatMessage { heartbeat: sign(2, beat), standing: standing() })),
        PeerMessage::Fetch(Fetch::Committed(Height(5))),
        PeerMessage::Blocks(Box::new(Blocks { blocks: vec![block()], commit: Some(certificate(Phase::Certified)) })),
        PeerMessage::Evidence(evidence().remove(1).1),
        PeerMessage::Forward(Commands(vec![command(1), command(2)])),
        PeerMessage::Rejoin,
        PeerMessage::Recall(Box::new(recall)),
        PeerMessage::Standing(Box::new(standing())),
        PeerMessage::Fetch(Fetch::Block(FetchBlock { digest: BlockDigest(hash(8)), above: Height(5) })),
    ]
}

/// All of them. Peer messages come first, in the order of their tags.
pub fn all() -> Vec<Sample> {
    let mut out = Vec::new();
    let mut push = |name: &'static str, kind: Kind, bytes: Vec<u8>| out.push(Sample { name, bytes, kind });
    for message in peer_messages() {
        push(message.name(), Kind::Peer, message.to_frame());
    }
    for (name, frame) in [
        ("hello", ClientFrame::Hello(Hello { cluster: cluster(), token: "secret".into() })),
        ("submit", ClientFrame::Submit(Commands(vec![command(1), command(2)]))),
        ("follow", ClientFrame::Follow(7)),
    ] {
        push(name, Kind::Client, frame.to_frame());
    }
    let refused = Refused { command: CommandId(hash(5)), outcome: receipt().outcome };
    for (name, frame) in [
        ("welcome", NodeFrame::Welcome(Welcome { node: NodeId(2), leader: Some(NodeId(1)) })),
        ("replies", NodeFrame::Replies(Box::new(reply()))),
        ("busy", NodeFrame::Busy(vec![CommandId(hash(5)), CommandId(hash(6))])),
        ("refused", NodeFrame::Refused(refused)),
        ("goodbye", NodeFrame::Goodbye("no such cluster here".into())),
    ] {
        push(name, Kind::Node, frame.to_frame());
    }
    push("command", Kind::Command, command(1).bytes().to_vec());
    push("block", Kind::Block, block().to_bytes());
    push("certificate", Kind::Certificate, certificate(Phase::Certified).to_bytes());
    push("election", Kind::Election, election().to_bytes());
    for (name, evidence) in evidence() {
        push(name, Kind::Evidence, evidence.to_bytes());
    }
    push("genesis", Kind::Genesis, genesis().to_bytes());
    push("receipt", Kind::Receipt, receipt().to_bytes());
    push("reply", Kind::Reply, reply().to_bytes());
    let mut frontier = Frontier::default();
    (0..5).for_each(|n| frontier.push(hash(n)));
    push("frontier", Kind::Frontier, frontier.to_bytes());
    out
}

//! Schedules that once stopped a cluster, or let one node stop it. Each test says which.

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use support::{Cluster, Fate, Network, node_key, party_key};
use wire::peer::Blocks;
use wire::{Block, Certificate, CommandId, FaultModel, Height, NodeId, PeerMessage, Phase, SignedCommand, Verified};

const TRANSFER: &str = "transfer(A->B, 1%1)";

fn cluster() -> Cluster {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c
}

fn cut_off(node: u16) -> Network {
    Box::new(move |l| if l.from == NodeId(node) || l.to == NodeId(node) { Fate::Drop } else { Fate::Deliver })
}

/// `count` transfers, one every `ms`, through the nodes in `through` by turns.
fn pay(c: &mut Cluster, count: usize, ms: u64, through: &[u16]) -> Vec<CommandId> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(c.submit_text(through[n % through.len()], "alice", TRANSFER));
        c.run(ms);
    }
    ids
}

/// Node 3 names the right digest with a height off by `delta`.
fn wrong_heights(c: &Cluster, delta: i64) -> Network {
    let cluster = c.genesis.cluster_id();
    Box::new(move |l| match &l.message {
        PeerMessage::Vote(vote) if l.from == NodeId(3) => {
            let mut vote = vote.unverified().clone();
            vote.height = Height(vote.height.0.saturating_add_signed(delta));
            let signed = Verified::sign(&cluster, vote, &node_key(3)).unwrap();
            Fate::Replace(Box::new(PeerMessage::Vote(signed.into_signed())))
        }
        _ => Fate::Deliver,
    })
}

/// Such a vote was counted, and made certificates that everybody else refused; locks and standings that held them could
/// never be shown again, and after an outage no term was ever entered.
#[test]
fn votes_with_a_wrong_height_poison_no_certificate() {
    for delta in [-1, 1, 7] {
        let mut c = cluster();
        c.network = wrong_heights(&c, delta);
        let mut ids = pay(&mut c, 10, 100, &[0, 1, 2]);
        c.network = Box::new(|_| Fate::Drop);
        c.run(4_000);
        c.network = wrong_heights(&c, delta);
        ids.extend(pay(&mut c, 10, 100, &[0, 1, 2]));
        c.run(20_000);
        assert!(ids.iter().all(|id| c.executed_on(id) >= 3), "delta {delta}");
        assert!(c.offences.iter().all(|(_, from, _)| *from == NodeId(3)), "delta {delta}: {:?}", c.offences.first());
    }
}

/// An answer held more blocks than its reader accepts, and one that ended below the newest certificate was thrown away,
/// so that a node more than one answer behind asked for the same blocks for ever.
#[test]
fn a_node_several_answers_behind_catches_up() {
    let mut c = cluster();
    c.network = cut_off(3);
    pay(&mut c, 300, 20, &[1]);
    assert!(c.height(0) > c.height(3) + 256);
    c.network = Box::new(|_| Fate::Deliver);
    c.run(3_000);
    c.assert_equal(&[0, 1, 2, 3]);
}

/// The same by bytes: each answer holds only a few of these blocks.
#[test]
fn a_node_many_megabytes_behind_catches_up() {
    let mut c = cluster();
    c.network = cut_off(3);
    let note = "x".repeat(60_000);
    for n in 0..150 {
        c.submit_text(n % 3, "alice", &format!("{note}##"));
        c.run(20);
    }
    c.network = Box::new(|_| Fate::Deliver);
    c.run(5_000);
    c.assert_equal(&[0, 1, 2, 3]);
}

/// A new leader that inherited a full pipeline had no room for the first block of its term, and without that block
/// nothing it inherited could commit.
#[test]
fn a_full_pipeline_is_inherited_and_commits() {
    let mut c = cluster();
    c.network = Box::new(|l| match &l.message {
        PeerMessage::Vote(v) if v.unverified().phase == Phase::Certified => Fate::Drop,
        _ => Fate::Deliver,
    });
    let mut ids = pay(&mut c, 8, 10, &[0]);
    assert_eq!(c.nodes[&NodeId(1)].status().uncommitted, 8, "the pipeline is full");
    c.crash(NodeId(0));
    c.run(4_000);
    c.network = Box::new(|_| Fate::Deliver);
    c.start(NodeId(0));
    c.run(30_000);
    ids.extend(pay(&mut c, 8, 10, &[0, 1, 2, 3]));
    c.run(30_000);
    assert!(ids.iter().all(|id| c.executed_on(id) == 4));
}

/// A command that waited while its node had already given up the leader kept a timer in the past: a turn without end.
#[test]
fn no_timer_stays_in_the_past() {
    let mut c = cluster();
    c.crash(NodeId(2));
    c.crash(NodeId(3));
    c.submit_text(1, "alice", TRANSFER);
    // `run` itself refuses a timer that rings without end.
    c.run(60_000);
    assert!(c.nodes.values().all(|node| node.wake_at() > c.clock_ms));
}

/// Commands that expire on their way to the leader counted as starved: clients could call elections.
#[test]
fn commands_about_to_expire_call_no_elections() {
    let mut c = cluster();
    let term = c.term(0);
    for _ in 0..3 {
        c.network = Box::new(|l| if matches!(l.message, PeerMessage::Forward(_)) { Fate::Drop } else { Fate::Deliver });
        for node in 1..4 {
            let mut command = c.command("alice", TRANSFER).unverified().clone();
            command.expiry = c.now().wall.plus_ms(50);
            let key = party_key("alice");
            let command = SignedCommand::sign(&c.genesis.cluster_id(), command, &[&key]).unwrap();
            c.submit(node, &command);
        }
        c.run(100);
        c.network = Box::new(|_| Fate::Deliver);
        c.run(6_000);
    }
    assert_eq!(c.term(0), term);
}

/// Unasked answers with the newest block alone reset a lagging node's turn-taking, so that it never asked anybody else.
#[test]
fn a_faulty_peer_cannot_hold_back_a_catch_up() {
    let mut c = cluster();
    let blocks: Rc<RefCell<BTreeMap<Height, Block>>> = Rc::default();
    let commit: Rc<RefCell<Option<Certificate>>> = Rc::default();
    let (seen_blocks, seen_commit) = (blocks.clone(), commit.clone());
    c.network = Box::new(move |l| {
        match &l.message {
            PeerMessage::AppendEntries(a) if l.to == NodeId(2) => {
                seen_blocks.borrow_mut().insert(a.block.header.height, a.block.clone());
            }
            PeerMessage::Heartbeat(h) if l.to == NodeId(2) => {
                *seen_commit.borrow_mut() = Some(h.standing.commit.clone());
            }
            _ => {}
        }
        if l.from == NodeId(3) || l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver }
    });
    pay(&mut c, 20, 250, &[1]);
    let commit = commit.borrow().clone().unwrap();
    let newest = blocks.borrow()[&commit.claim.height].clone();
    let bogus = PeerMessage::Blocks(Box::new(Blocks { blocks: vec![newest], commit: Some(commit) }));
    c.network = Box::new(|l| {
        let silent = l.from == NodeId(2) && l.to == NodeId(3) && matches!(l.message, PeerMessage::Blocks(_));
        if silent { Fate::Drop } else { Fate::Deliver }
    });
    for _ in 0..200 {
        c.letters.push_back(support::Letter { from: NodeId(2), to: NodeId(3), message: bogus.clone() });
        c.run(20);
    }
    assert_eq!(c.height(0), c.height(3));
}

/// A node that could not hear the leader, though it heard the others, fell behind and nobody told it.
#[test]
fn a_node_that_cannot_hear_the_leader_keeps_up() {
    let mut c = cluster();
    c.network = Box::new(|l| if l.from == NodeId(0) && l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver });
    pay(&mut c, 100, 100, &[1]);
    assert!(c.height(3) + 10 > c.height(0), "{} of {}", c.height(3), c.height(0));
}

/// A voter that gave up the term alone stayed mute until the leader failed: nobody else had a reason to change the term.
#[test]
fn a_voter_that_gave_up_alone_votes_again() {
    let mut c = cluster();
    let term = c.term(0);
    // Node 2 hears nobody for a little more than a timeout, and is heard again afterwards.
    c.network = Box::new(|l| if l.to == NodeId(2) { Fate::Drop } else { Fate::Deliver });
    c.run(2_000);
    c.network = Box::new(|_| Fate::Deliver);
    c.run(20_000);
    let electing = c.nodes.values().filter(|node| node.status().leader.is_none()).count();
    assert_eq!(electing, 0, "everyone knows a leader");
    assert_eq!(c.term(2), c.term(0));
    assert!(c.term(0) <= term + 2, "and one change of leader was enough: {}", c.term(0));
    // Now it is needed: a quorum of four is three.
    let leader = (c.term(0) - 1) % 4;
    let down = (0..4u16).find(|n| u64::from(*n) != leader && *n != 2).unwrap();
    c.crash(NodeId(down));
    let term = c.term(2);
    let id = c.submit_text(2, "alice", TRANSFER);
    c.run(1_000);
    assert_eq!(c.executed_on(&id), 3);
    assert_eq!(c.term(2), term, "without another election");
}

/// The first block after a quiet time counted as stuck since the quiet began: every burst asked for an election.
#[test]
fn a_command_after_a_quiet_time_changes_no_leader() {
    let mut c = cluster();
    let term = c.term(0);
    for _ in 0..3 {
        c.run(20_000);
        let id = c.submit_text(1, "alice", TRANSFER);
        c.run(500);
        assert_eq!(c.executed_on(&id), 4);
        assert!(c.nodes.values().all(|node| node.status().leader.is_some()), "nobody gives the leader up");
    }
    assert_eq!(c.term(0), term);
    assert_eq!(c.sent.get("election_vote"), None, "nobody even asks");
}

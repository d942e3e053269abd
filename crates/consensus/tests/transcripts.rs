//! The protocol as it is spoken: every message and every change of a safety record in a few small scenes.
//!
//! A change of the protocol shows as a difference in `snapshots/`; to take it over run with `INSTA_UPDATE=always`.
//!
//! How to read them: `b3@1` is the block of height 3 proposed in term 1. Unindented lines are what a node takes in, the
//! indented ones below are what it does about it, in this order: writes, one sync, and only then what it sends.

mod world;

use std::collections::BTreeSet;

use wire::statement::Claim;
use wire::{BlockHeader, Epoch, FaultModel, NodeId, PeerMessage, Phase, Proposal, Term, Time, Verified};
use world::{World, key};

fn is_vote(message: &PeerMessage, wanted: Phase) -> bool {
    matches!(message, PeerMessage::Vote(v) if v.unverified().phase == wanted)
}

/// Four nodes start and ask each other what they signed; the leader opens its term with an empty block.
fn start() -> World {
    let mut w = World::new(FaultModel::Byzantine, 4);
    for n in 0..4 {
        w.start(n);
    }
    w.settle();
    w
}

/// A block with commands, one of which came by way of another node; then a heartbeat.
fn normal() -> World {
    let mut w = World::started(FaultModel::Byzantine, 4);
    w.note("two commands reach node 2");
    w.forward(2, 0, 2);
    w.settle();
    w.note("nothing more happens until the heartbeat");
    w.run(200);
    w
}

/// Under crash faults one round of votes commits.
fn normal_crash() -> World {
    let mut w = World::started(FaultModel::Crash, 3);
    w.submit(0, 2);
    w.settle();
    w
}

/// A block that is certified and not committed when the leader dies: the next leader's first block must extend it.
fn election() -> World {
    let mut w = World::started(FaultModel::Byzantine, 4);
    w.note("the votes of the second round are lost");
    w.network = Box::new(|l| !is_vote(&l.message, Phase::Certified));
    w.submit(0, 1);
    w.settle();
    w.crash(0);
    w.held.clear();
    w.network = Box::new(|_| true);
    w.note("nodes 1 and 3 lose patience; 2 follows, because one of them is honest");
    w.starve(1);
    w.starve(3);
    w.settle();
    w
}

/// A voter that gets two blocks at once votes only for the newer one, and counts for both.
fn skipped() -> World {
    let mut w = World::started(FaultModel::Byzantine, 4);
    w.note("node 2 is deaf to the first block for a while; node 3 to everything");
    w.network = Box::new(|l| match &l.message {
        PeerMessage::AppendEntries(m) if l.to == NodeId(2) => m.block.entries.len() != 1,
        _ => l.to != NodeId(3) && l.from != NodeId(3),
    });
    w.submit(0, 1);
    w.submit(0, 2);
    w.settle();
    w.note("the first block arrives after the second");
    w.network = Box::new(|l| l.to != NodeId(3) && l.from != NodeId(3));
    w.held.retain(|l| l.to == NodeId(2));
    w.release_held();
    w.settle();
    w
}

/// A node that was cut off learns from a heartbeat what is committed, and fetches it.
fn catch_up() -> World {
    let mut w = World::started(FaultModel::Byzantine, 4);
    w.note("node 3 is cut off; two blocks are committed without it (not written down here)");
    w.network = Box::new(|l| l.to != NodeId(3) && l.from != NodeId(3));
    w.quietly(|w| {
        for _ in 0..2 {
            w.submit(0, 1);
            w.settle();
        }
    });
    w.held.clear();
    w.network = Box::new(|_| true);
    w.note("the network heals");
    w.run(300);
    w
}

/// A leader that crashes after its proposal is durable, and before anybody heard it, proposes the same block again.
fn leader_restart() -> World {
    let mut w = World::started(FaultModel::Byzantine, 4);
    w.note("the proposal is durable, and lost on its way");
    w.network = Box::new(|l| l.from != NodeId(0));
    w.submit(0, 1);
    w.settle();
    w.crash(0);
    w.held.clear();
    w.network = Box::new(|_| true);
    w.run(50);
    w.start(0);
    w.settle();
    w.note("without progress the newest proposal is repeated");
    w.run(450);
    w
}

/// A leader that proposes two blocks at one height: evidence, and no vote for the second.
fn two_proposals() -> World {
    let mut w = World::started(FaultModel::Byzantine, 4);
    w.network = Box::new(|l| l.from == NodeId(0) && matches!(l.message, PeerMessage::AppendEntries(_)));
    w.submit(0, 1);
    let first = w.letters.iter().find(|l| l.to == NodeId(1)).map(|l| l.message.clone()).unwrap();
    let PeerMessage::AppendEntries(mut second) = first else { unreachable!("only proposals are let through") };
    let header: &mut BlockHeader = &mut second.block.header;
    header.time = Time(header.time.0 + 1);
    let digest = header.digest(&w.genesis.cluster_id());
    let claim = Claim { term: Term(1), height: header.height, digest };
    let proposal =
        Proposal { author: NodeId(0), epoch: Epoch(1), term: claim.term, height: claim.height, digest: claim.digest };
    second.proposal = Verified::sign(&w.genesis.cluster_id(), proposal, &key(0)).unwrap().into_signed();
    w.letters.retain(|l| l.to == NodeId(1));
    w.note("node 1 hears another proposal too");
    w.network = Box::new(|l| l.to == NodeId(1) || matches!(l.message, PeerMessage::Evidence(_)));
    w.post(NodeId(0), NodeId(1), PeerMessage::AppendEntries(second));
    w.settle();
    w
}

/// A voter that comes back in an old term is told where the others stand.
fn old_term() -> World {
    let mut w = World::started(FaultModel::Byzantine, 4);
    w.note("the others elect while node 3 is away (not written down here)");
    w.network = Box::new(|l| l.to != NodeId(3) && l.from != NodeId(3));
    w.quietly(|w| {
        for n in 0..3 {
            w.starve(n);
        }
        w.settle();
    });
    w.held.clear();
    w.network = Box::new(|_| true);
    w.note("it asks for the term they are in already");
    w.starve(3);
    w.run(60);
    w
}

#[test]
fn transcripts() {
    type Scene = fn() -> World;
    let scenes: [(&str, Scene); 9] = [
        ("start", start),
        ("normal", normal),
        ("normal_crash", normal_crash),
        ("election", election),
        ("skipped", skipped),
        ("catch_up", catch_up),
        ("leader_restart", leader_restart),
        ("two_proposals", two_proposals),
        ("old_term", old_term),
    ];
    let mut spoken = BTreeSet::new();
    for (name, scene) in scenes {
        let world = scene();
        spoken.extend(world.names.iter().copied());
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(name, world.transcript());
        });
    }
    let all = [
        "append_entries",
        "blocks",
        "election_vote",
        "evidence",
        "fetch",
        "forward",
        "heartbeat",
        "recall",
        "rejoin",
        "standing",
        "vote",
    ];
    assert_eq!(spoken.into_iter().collect::<Vec<_>>(), all, "every message is spoken in some scene");
}

/// Nobody else will ever send it the votes that commit what it held.
#[test]
fn a_voter_alone_commits_at_once_what_its_own_votes_commit() {
    for model in [FaultModel::Byzantine, FaultModel::Crash] {
        let mut w = World::started(model, 1);
        w.submit(0, 1);
        w.settle();
        let before = w.committed(0);
        w.crash(0);
        let lost = w.forget_last_commit(0);
        assert_eq!(lost.0 as usize, before);
        w.start(0);
        assert_eq!(w.committed(0), before, "{model:?}");
    }
}

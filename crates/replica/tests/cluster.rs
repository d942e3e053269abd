//! Whole clusters of replicas in one thread: the normal case, lost leaders, restarts, partitions.

mod support;

use support::{Cluster, Fate, START};
use wire::{FaultModel, NodeId};

#[test]
fn four_nodes_order_and_execute() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    let id = c.submit_text(2, "alice", "transfer(A->B, 10%1)");
    c.run(500);
    assert_eq!(c.outcome(&id).as_deref(), Some("applied"));
    assert_eq!(c.executed_on(&id), 4);
    c.assert_equal(&[0, 1, 2, 3]);
    assert!(c.halted.is_empty() && c.evidence.is_empty() && c.offences.is_empty(), "{:?}", c.offences);
    assert_eq!(c.term(0), 1, "no election without cause");
}

#[test]
fn crash_model_with_three_nodes() {
    let mut c = Cluster::new(FaultModel::Crash, 3);
    c.run(50);
    c.set_up();
    let id = c.submit_text(1, "alice", "transfer(A->B, 10%1)");
    c.run(500);
    assert_eq!(c.executed_on(&id), 3);
    c.assert_equal(&[0, 1, 2]);
    c.crash(NodeId(0));
    let id = c.submit_text(1, "alice", "transfer(A->B, 10%1)");
    c.run(10_000);
    assert_eq!(c.executed_on(&id), 2);
    c.start(NodeId(0));
    c.run(2_000);
    c.assert_equal(&[0, 1, 2]);
}

#[test]
fn one_node_alone() {
    let mut c = Cluster::new(FaultModel::Byzantine, 1);
    c.set_up();
    let id = c.submit_text(0, "alice", "transfer(A->B, 10%1)");
    c.run(100);
    assert_eq!(c.outcome(&id).as_deref(), Some("applied"));
}

#[test]
fn a_dead_leader_is_replaced_and_catches_up() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.crash(NodeId(0));
    let id = c.submit_text(1, "alice", "transfer(A->B, 10%1)");
    c.run(10_000);
    assert_eq!(c.executed_on(&id), 3, "terms {:?}", [c.term(1), c.term(2), c.term(3)]);
    assert!(c.term(1) >= 2);
    c.start(NodeId(0));
    c.run(3_000);
    c.assert_equal(&[0, 1, 2, 3]);
    assert!(c.halted.is_empty(), "{:?}", c.halted);
}

#[test]
fn all_nodes_crash_and_nothing_acknowledged_is_lost() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    let ids: Vec<_> = (0..20).map(|n| c.submit_text(n % 4, "alice", "transfer(A->B, 1%1)")).collect();
    c.run(300);
    let receipts = c.receipts.clone();
    assert!(ids.iter().all(|id| c.executed_on(id) == 4));
    for id in c.ids() {
        c.crash(id);
    }
    for id in c.ids() {
        c.start(id);
    }
    c.run(5_000);
    c.assert_equal(&[0, 1, 2, 3]);
    for (id, receipt) in &receipts[&NodeId(0)] {
        assert_eq!(c.nodes[&NodeId(0)].find(id).as_ref(), Some(receipt));
    }
    let id = c.submit_text(3, "alice", "transfer(A->B, 1%1)");
    c.run(5_000);
    assert_eq!(c.executed_on(&id), 4);
}

#[test]
fn a_minority_partition_heals() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.network = Box::new(|l| if l.from == NodeId(3) || l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver });
    for _ in 0..30 {
        c.submit_text(1, "alice", "transfer(A->B, 1%1)");
        c.run(500);
    }
    let behind = c.height(3);
    assert!(c.height(0) > behind + 20);
    c.network = Box::new(|_| Fate::Deliver);
    c.run(20_000);
    c.assert_equal(&[0, 1, 2, 3]);
    let term = c.term(0);
    assert_eq!([c.term(1), c.term(2), c.term(3)], [term; 3]);
    let id = c.submit_text(3, "alice", "transfer(A->B, 1%1)");
    c.run(3_000);
    assert_eq!(c.executed_on(&id), 4);
}

#[test]
fn a_mute_leader_that_sends_heartbeats_is_replaced() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.network = Box::new(|l| match (&l.message, l.from) {
        (wire::PeerMessage::AppendEntries(_), NodeId(0)) => Fate::Drop,
        _ => Fate::Deliver,
    });
    let id = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(10_000);
    assert!(c.executed_on(&id) >= 3, "terms {} {}", c.term(0), c.term(1));
    c.assert_agreement(&[0, 1, 2, 3]);
}

#[test]
fn random_loss_only_delays() {
    for seed in 0..10 {
        let mut c = Cluster::new(FaultModel::Byzantine, 4);
        c.run(50);
        c.set_up();
        let mut random = store::SplitMix::new(seed);
        c.network = Box::new(move |_| if random.below(100) < 20 { Fate::Drop } else { Fate::Deliver });
        let mut ids = Vec::new();
        for n in 0..40 {
            ids.push(c.submit_text(n % 4, "alice", "transfer(A->B, 1%1)"));
            c.run(100);
        }
        c.network = Box::new(|_| Fate::Deliver);
        c.run(60_000);
        assert!(c.halted.is_empty(), "seed {seed}: {:?}", c.halted);
        assert!(ids.iter().all(|id| c.executed_on(id) == 4), "seed {seed}");
        c.assert_agreement(&[0, 1, 2, 3]);
        c.assert_equal(&[0, 1, 2, 3]);
        assert!(c.evidence.is_empty(), "seed {seed}: loss is no offence");
    }
}

#[test]
fn random_crashes_lose_nothing() {
    for seed in 0..10 {
        let mut c = Cluster::new(FaultModel::Byzantine, 4);
        c.run(50);
        c.set_up();
        let mut random = store::SplitMix::new(seed);
        let mut ids = Vec::new();
        for n in 0..40u16 {
            let victim = NodeId(random.below(4) as u16);
            if random.below(3) == 0 && c.nodes.contains_key(&victim) {
                c.crash_with(victim, &store::Crash { seed: random.draw(), keep: store::Keep::Some, bit_flips: 0 });
                c.run(random.below(2000));
                c.start(victim);
            }
            ids.push(c.submit_text(n % 4, "alice", "transfer(A->B, 1%1)"));
            c.run(random.below(400));
        }
        c.run(60_000);
        assert!(c.halted.is_empty(), "seed {seed}: {:?}", c.halted);
        c.assert_equal(&[0, 1, 2, 3]);
        // A command that only a crashed node had heard of may be gone; what anybody executed is everywhere.
        let acknowledged: std::collections::BTreeSet<_> = c.receipts.values().flat_map(|r| r.keys().copied()).collect();
        for id in &acknowledged {
            assert!(c.nodes[&NodeId(1)].find(id).is_some(), "seed {seed}");
        }
        assert!(ids.iter().filter(|id| acknowledged.contains(id)).count() > 30, "seed {seed}");
        assert!(c.evidence.is_empty(), "seed {seed}: a crash is no offence: {:?}", c.evidence);
    }
}

#[test]
fn block_times_rise_from_genesis() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    assert!(c.nodes[&NodeId(0)].status().time > START);
}

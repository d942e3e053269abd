//! S9: a node that loses its power at any disk operation forgets nothing it has said, and nothing acknowledged is lost.

#[path = "support/evil.rs"]
mod evil;
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use evil::{Watch, assert_durable, assert_one_chain, assert_only_guilty, seeds};
use store::{Crash, Faults, Keep, SplitMix};
use support::{Cluster, Fate};
use wire::{CommandId, FaultModel, NodeId, Receipt};

/// A cluster whose every letter is held against the watch.
fn watched(c: &mut Cluster, context: String) -> Rc<RefCell<Watch>> {
    let watch = Rc::new(RefCell::new(Watch::default()));
    let ours = watch.clone();
    c.network = Box::new(move |letter| {
        ours.borrow_mut().letter(letter, &context);
        Fate::Deliver
    });
    watch
}

/// Every vote, proposal and election vote on the wire is in the sender's durable record by then: judged by an image of
/// its disk that has lost all that was not synced. (A turn hands out its messages at its end; that they stay in when a
/// write in the middle of it fails is what the crash runs below show.)
#[test]
fn s9_nothing_is_promised_before_it_is_durable() {
    let mut c = Cluster::unstarted(support::genesis(FaultModel::Byzantine, 4));
    let (disks, genesis) = (c.disks.clone(), c.genesis.clone());
    let promises = Rc::new(RefCell::new(BTreeMap::<&'static str, usize>::new()));
    let count = promises.clone();
    c.network = Box::new(move |letter| {
        assert_durable(&genesis, letter, &disks[&letter.from], "no crash");
        *count.borrow_mut().entry(letter.message.name()).or_default() += 1;
        Fate::Deliver
    });
    for id in c.ids() {
        c.start(id);
    }
    c.run(50);
    c.set_up();
    for n in 0..6 {
        c.submit_text(n % 4, "alice", "transfer(A->B, 1%1)");
    }
    c.run(500);
    // The leader falls silent: the promises of an election count too.
    c.nodes.remove(&NodeId(0));
    c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(4_000);
    assert!(c.term(1) >= 2);
    let promises = promises.borrow();
    for kind in ["vote", "append_entries", "election_vote"] {
        assert!(promises[kind] > 0, "the run must contain every kind of promise: {promises:?}");
    }
}

/// The scripted run: commands, with node `victim` losing its power at disk operation `at` counted from its set-up.
/// Returns how many operations the victim did without a crash.
fn crash_run(victim: u16, at: Option<u64>, keep: Keep, seed: u64) -> u64 {
    let context = format!("victim {victim}, operation {at:?}, {keep:?}");
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    let watch = watched(&mut c, context.clone());
    c.run(50);
    c.set_up();
    let id = NodeId(victim);
    let before = c.disks[&id].operations();
    c.disks[&id].fail(Faults { fail_from: at.map(|at| before + at), ..Faults::default() });
    let mut acknowledged: BTreeMap<CommandId, Receipt> = BTreeMap::new();
    let mut down = false;
    for n in 0..4u16 {
        c.submit_text((victim + 1 + n) % 4, "alice", "transfer(A->B, 1%1)");
        c.run(120);
        if !down && c.halted.remove(&id).is_some() {
            down = true;
            acknowledged.extend(c.receipts.get(&id).into_iter().flatten().map(|(k, v)| (*k, v.clone())));
            c.crash_with(id, &Crash { seed, keep, bit_flips: 0 });
            c.start(id);
        }
    }
    let operations = c.disks[&id].operations() - before;
    c.run(4_000);
    let last = c.submit_text(victim, "alice", "transfer(A->B, 1%1)");
    c.run(8_000);
    assert_only_guilty(&c, &[], &context);
    assert_one_chain(&c, &[0, 1, 2, 3], &context);
    c.assert_equal(&[0, 1, 2, 3]);
    assert_eq!(c.executed_on(&last), 4, "{context}: it must go on");
    for (command, receipt) in &acknowledged {
        assert_eq!(c.nodes[&id].find(command).as_ref(), Some(receipt), "{context}: an acknowledged command is gone");
    }
    assert!(watch.borrow().seen > 100);
    assert_eq!(down, at.is_some(), "{context}: the fault must have happened");
    operations
}

#[test]
fn s9_power_loss_at_every_disk_operation() {
    for victim in [0, 2] {
        let operations = crash_run(victim, None, Keep::None, 0);
        assert!(operations > 30, "the run must write: {operations}");
        for at in 0..operations.min(60) {
            let keep = [Keep::None, Keep::Some, Keep::All][at as usize % 3];
            crash_run(victim, Some(at), keep, at);
        }
    }
}

/// All voters lose their power at once, each at an operation of its own, again and again.
#[test]
fn s9_all_nodes_lose_power_at_random_operations() {
    for seed in seeds(12) {
        let context = format!("seed {seed}");
        let mut random = SplitMix::new(seed);
        let mut c = Cluster::new(FaultModel::Byzantine, 4);
        let watch = watched(&mut c, context.clone());
        c.run(50);
        c.set_up();
        let mut acknowledged: BTreeMap<CommandId, Receipt> = BTreeMap::new();
        for round in 0..4 {
            for id in c.ids() {
                let at = c.disks[&id].operations() + random.below(40);
                c.disks[&id].fail(Faults { fail_from: Some(at), ..Faults::default() });
            }
            for n in 0..8 {
                c.submit_text(n % 4, "alice", "transfer(A->B, 1%1)");
                c.run(random.below(60));
            }
            for held in c.receipts.values() {
                acknowledged.extend(held.iter().map(|(k, v)| (*k, v.clone())));
            }
            // A node that acknowledged is one of a quorum that keeps: every one of them may lose its power.
            for id in c.ids() {
                c.halted.remove(&id);
                let keep = [Keep::None, Keep::Some, Keep::All][random.below(3) as usize];
                c.crash_with(id, &Crash { seed: random.draw(), keep, bit_flips: 0 });
            }
            for id in c.ids() {
                c.start(id);
            }
            c.run(10_000);
            assert_only_guilty(&c, &[], &format!("{context}, round {round}"));
        }
        let last = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
        c.run(20_000);
        assert_eq!(c.executed_on(&last), 4, "{context}: it must go on");
        assert_one_chain(&c, &[0, 1, 2, 3], &context);
        c.assert_equal(&[0, 1, 2, 3]);
        for (command, receipt) in &acknowledged {
            assert_eq!(c.nodes[&NodeId(3)].find(command).as_ref(), Some(receipt), "{context}: acknowledged and gone");
        }
        assert!(watch.borrow().seen > 100);
    }
}

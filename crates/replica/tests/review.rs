mod support;
use support::{Cluster, Fate, node_key, party_key};
use wire::{FaultModel, NodeId, PeerMessage, Phase, Verified, Vote, Height};

fn cl() -> Cluster { Cluster::new(FaultModel::Byzantine, 4) }

fn resign(c: &wire::ClusterId, v: &Vote) -> PeerMessage {
    let k = node_key(v.author.0);
    PeerMessage::Vote(Verified::sign(c, v.clone(), &k).unwrap().into_signed())
}

fn wrong_height(delta: i64) {
    let mut c = cl();
    c.run(50);
    c.set_up();
    let id = c.genesis.cluster_id();
    c.network = Box::new(move |l| match &l.message {
        PeerMessage::Vote(v) if l.from == NodeId(3) => {
            let mut v = v.unverified().clone();
            v.height = Height((v.height.0 as i64 + delta) as u64);
            Fate::Replace(Box::new(resign(&id, &v)))
        }
        _ => Fate::Deliver,
    });
    // 3's votes arrive before anyone else's: make node 2 slow is not needed; just try
    let mut ids = vec![];
    for n in 0..20 { ids.push(c.submit_text(n % 3, "alice", "transfer(A->B, 1%1)")); c.run(200); }
    c.run(60_000);
    println!("delta {delta}: executed {:?} heights {:?} terms {:?} halted {:?} offences {} e.g. {:?}",
        ids.iter().map(|i| c.executed_on(i)).collect::<Vec<_>>(),
        [c.height(0), c.height(1), c.height(2)], [c.term(0), c.term(1), c.term(2)], c.halted, c.offences.len(), c.offences.first());
    assert!(ids.iter().all(|i| c.executed_on(i) >= 3));
}
#[test] fn t1_vote_height_plus() { wrong_height(1) }
#[test] fn t1_vote_height_minus() { wrong_height(-1) }

#[test]
fn t2_catch_up_300_small_blocks() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    c.network = Box::new(|l| if l.from == NodeId(3) || l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver });
    for _ in 0..300 { c.submit_text(1, "alice", "transfer(A->B, 1%1)"); c.run(20); }
    println!("heights {} {}", c.height(0), c.height(3));
    c.network = Box::new(|_| Fate::Deliver);
    let end = c.clock_ms + 3_000; let mut n = 0u64;
    while c.clock_ms < end {
        let mut k = 0;
        while let Some(l) = c.letters.pop_front() { c.deliver(l); k += 1; if k > 5000 { println!("storm {:?} heights {} {}", c.sent, c.height(0), c.height(3)); panic!() } }
        let next = c.nodes.values().map(|n| n.wake_at()).min().unwrap();
        n += 1; if n > 5000 { println!("spin clock {} end {end} wake {:?} heights {} {} sent {:?}", c.clock_ms, c.nodes.values().map(|n| n.wake_at()).collect::<Vec<_>>(), c.height(0), c.height(3), c.sent); panic!() }
        c.clock_ms = c.clock_ms.max(next);
        for id in c.ids() { if c.nodes.get(&id).is_some_and(|n| n.wake_at() <= c.clock_ms) { c.turn(id, vec![]); } }
    }
    c.assert_equal(&[0, 1, 2, 3]);
}

#[test]
fn t3_full_pipeline_inherited() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    c.network = Box::new(|l| match &l.message {
        PeerMessage::Vote(v) if v.unverified().phase == Phase::Certified => Fate::Drop,
        _ => Fate::Deliver });
    let mut ids = vec![];
    for _ in 0..12 { ids.push(c.submit_text(0, "alice", "transfer(A->B, 1%1)")); c.run(10); }
    println!("uncommitted {:?}", c.nodes[&NodeId(1)].status().uncommitted);
    c.crash(NodeId(0));
    c.run(4_000);
    println!("terms {:?}", [c.term(1), c.term(2), c.term(3)]);
    c.network = Box::new(|_| Fate::Deliver);
    c.start(NodeId(0));
    c.run(30_000);
    for n in 0..8 { ids.push(c.submit_text(n % 4, "alice", "transfer(A->B, 1%1)")); }
    let end = c.clock_ms + 60_000; let mut spins = 0;
    while c.clock_ms < end {
        while let Some(l) = c.letters.pop_front() { c.deliver(l); }
        let next = c.nodes.values().map(|n| n.wake_at()).min().unwrap();
        if next <= c.clock_ms { spins += 1; if spins % 4 == 0 { c.clock_ms += 5; } }
        c.clock_ms = c.clock_ms.max(next);
        for id in c.ids() { if c.nodes.get(&id).is_some_and(|n| n.wake_at() <= c.clock_ms) { c.turn(id, vec![]); } }
    }
    println!("executed {:?} heights {:?} terms {:?}", ids.iter().map(|i| c.executed_on(i)).collect::<Vec<_>>(), [c.height(0),c.height(1),c.height(2),c.height(3)], [c.term(0),c.term(1),c.term(2),c.term(3)]);
    assert!(ids.iter().all(|i| c.executed_on(i) >= 3));
}

/// How many turns does a node ask for in 1 second of a stall?
#[test]
fn t4_wake_at_spin() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    c.crash(NodeId(2)); c.crash(NodeId(3));
    c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    let mut stuck = 0u64;
    // own loop, as run() would never return
    let end = c.clock_ms + 10_000;
    while c.clock_ms < end && stuck < 10_000 {
        while let Some(l) = c.letters.pop_front() { c.deliver(l); }
        let next = c.nodes.values().map(|n| n.wake_at()).min().unwrap();
        if next <= c.clock_ms { stuck += 1; } else { stuck = 0; }
        c.clock_ms = c.clock_ms.max(next);
        for id in c.ids() { if c.nodes.get(&id).is_some_and(|n| n.wake_at() <= c.clock_ms) { c.turn(id, vec![]); } }
    }
    assert!(stuck < 100, "spins at clock {} (wake_at in the past): {stuck}", c.clock_ms);
}

/// L2: a client with short-lived commands, idle cluster, no faulty node; links lose the one forward.
#[test]
fn t5_client_forces_elections() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    c.run(5_000);
    let t = c.term(0);
    for _round in 0..3 {
        // forwards are 100 ms late: the command has expired on the leader's clock when they come (modelled by loss)
        c.network = Box::new(|l| match &l.message { PeerMessage::Forward(_) => Fate::Drop, _ => Fate::Deliver });
        for node in 0..4u16 {
            let leader = ((c.term(0) - 1) % 4) as u16;
            if node == leader { continue; }
            let key = party_key("alice");
            let cmd = {
                let s = c.command("alice", "transfer(A->B, 1%1)");
                let mut v = s.unverified().clone();
                v.expiry = c.now().wall.plus_ms(50);
                wire::SignedCommand::sign(&c.genesis.cluster_id(), v, &[&key]).unwrap()
            };
            c.submit(node, &cmd);
        }
        c.run(100);
        c.network = Box::new(|_| Fate::Deliver);
        // step by hand; run() may spin
        let end = c.clock_ms + 6_000; let mut spins = 0;
        while c.clock_ms < end && spins < 100_000 {
            while let Some(l) = c.letters.pop_front() { c.deliver(l); }
            let next = c.nodes.values().map(|n| n.wake_at()).min().unwrap();
            if next <= c.clock_ms { spins += 1; c.clock_ms += 1; }
            c.clock_ms = c.clock_ms.max(next);
            for id in c.ids() { if c.nodes.get(&id).is_some_and(|n| n.wake_at() <= c.clock_ms) { c.turn(id, vec![]); } }
        }
        println!("term {} spins {spins}", c.term(0));
    }
    assert_eq!(c.term(0), t, "a client cannot force elections");
}

/// One faulty peer keeps a lagging node from ever catching up.
#[test]
fn t6_catch_up_hijack() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    c.network = Box::new(|l| if l.from == NodeId(3) || l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver });
    for _ in 0..20 { c.submit_text(1, "alice", "transfer(A->B, 1%1)"); c.run(50); }
    println!("heights {} {}", c.height(0), c.height(3));
    // faulty: 2. Whatever it is asked by 3, it answers with the newest block alone and its certificate (captured).
    use std::{cell::RefCell, rc::Rc};
    let seen: Rc<RefCell<Option<PeerMessage>>> = Rc::default();
    let s = seen.clone();
    let asks: Rc<RefCell<(u64, u64)>> = Rc::default();
    let a = asks.clone();
    c.network = Box::new(move |l| {
        if l.from == NodeId(3) && let PeerMessage::Fetch(_) = &l.message {
            if l.to == NodeId(2) { a.borrow_mut().0 += 1 } else { a.borrow_mut().1 += 1 }
        }
        if let PeerMessage::Blocks(b) = &l.message && l.to == NodeId(3) && l.from == NodeId(2) {
            let mut b = b.clone();
            if b.commit.is_some() && b.blocks.len() > 1 { let last = b.blocks.pop().unwrap(); b.blocks = vec![last]; }
            let m = PeerMessage::Blocks(b); *s.borrow_mut() = Some(m.clone());
            return Fate::Replace(Box::new(m));
        }
        Fate::Deliver
    });
    // the faulty node 2 sends its bogus answer unasked every 100 ms
    let mut msgs = 0;
    for _ in 0..200 {
        let m = seen.borrow().clone();
        if let Some(m) = m { c.letters.push_back(support::Letter { from: NodeId(2), to: NodeId(3), message: m }); msgs += 1; }
        // bounded delivery: 3 and 2 may ping-pong for ever
        let mut budget = 2000;
        while let Some(l) = c.letters.pop_front() { c.deliver(l); budget -= 1; if budget == 0 { break } }
        if budget == 0 { println!("ping-pong without end, asks {:?}", asks.borrow()); break; }
        let end = c.clock_ms + 100; 
        c.run(end - c.clock_ms);
    }
    println!("heights {} {} asks to faulty/others {:?} msgs {msgs}", c.height(0), c.height(3), asks.borrow());
    assert_eq!(c.height(0), c.height(3));
}

/// The leader is cut off from node 3 only in one direction; node 3 has good links with 1 and 2.
#[test]
fn t7_one_way_cut() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    c.network = Box::new(|l| if l.from == NodeId(0) && l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver });
    for _ in 0..200 { c.submit_text(1, "alice", "transfer(A->B, 1%1)"); c.run(100); }
    println!("heights {} {} terms {} {}", c.height(0), c.height(3), c.term(0), c.term(3));
    assert!(c.height(3) + 10 > c.height(0));
}

/// The disk fails at one operation: what left before must be in the safety record.
#[test]
fn t8_promises_before_durable() {
    for at in 1..60u64 {
        let mut c = cl();
        c.run(50);
        c.set_up();
        c.disks[&NodeId(0)].fail(store::Faults { fail_from: Some(c.disks[&NodeId(0)].operations() + at), ..Default::default() });
        c.submit_text(0, "alice", "transfer(A->B, 1%1)");
        let leader_votes: Vec<_> = c.letters.iter().filter_map(|l| match &l.message {
            PeerMessage::Vote(v) if l.from == NodeId(0) && l.to == NodeId(1) => Some(v.unverified().clone()), _ => None }).collect();
        println!("at {at} halted {} votes {}", c.halted.contains_key(&NodeId(0)), leader_votes.len());
        if c.halted.contains_key(&NodeId(0)) {
            // what does the disk hold?
            let mut disk = c.disks[&NodeId(0)].clone();
            disk.fail(store::Faults::default());
            disk.crash(&store::Crash::default());
            let key = node_key(0);
            let stamp = store::Stamp { cluster: c.genesis.cluster_id().0.0, node: { use wire::Signer; key.public_key().0 } };
            let (s, _) = store::Store::open(disk, stamp, Cluster::options(), &mut |_| {}).unwrap();
            use wire::Decode;
            let safety = consensus::Safety::from_bytes(s.safety().unwrap()).unwrap();
            for v in &leader_votes {
                let kept = safety.replicated.as_ref().is_some_and(|k| (k.term, k.height) >= (v.term, v.height));
                assert!(kept, "at {at}: vote for height {} left, record has {:?}; halted {:?}", v.height, safety.replicated.as_ref().map(|k| k.height), c.halted);
            }
        }
    }
}

/// As t1, with the faulty node's letters always first (fast links), then a short outage that forces an election.
fn poison(outage: bool, delta: u64) {
    let mut c = cl();
    c.run(50);
    c.set_up();
    let id = c.genesis.cluster_id();
    let net = move || -> support::Network { Box::new(move |l: &support::Letter| match &l.message {
        PeerMessage::Vote(v) if l.from == NodeId(3) => {
            let mut v = v.unverified().clone();
            v.height = Height(v.height.0 + delta);
            Fate::Replace(Box::new(resign(&id, &v)))
        }
        _ => Fate::Deliver,
    }) };
    c.network = net();
    fn go(c: &mut Cluster, ms: u64) {
        let end = c.clock_ms + ms;
        let mut spins = 0;
        let mut turns = 0u64;
        loop {
            let mut budget = 0;
            turns += 1;
            if turns > 20_000 { println!("gives up after 20000 turns at clock {} of {end}; wake {:?} terms {:?}", c.clock_ms, c.nodes.values().map(|n| n.wake_at()).collect::<Vec<_>>(), c.nodes.values().map(|n| n.status().term.0).collect::<Vec<_>>()); c.clock_ms = end; return; }
            while !c.letters.is_empty() {
                budget += 1; if budget > 20_000 { println!("storm at {}: {:?}; last {:?}", c.clock_ms, c.sent, c.letters.iter().take(6).map(|l| (l.from.0, l.to.0, l.message.name())).collect::<Vec<_>>()); panic!("storm"); }
                let at = c.letters.iter().position(|l| l.from == NodeId(3) || l.to == NodeId(3)).unwrap_or(0);
                let l = c.letters.remove(at).unwrap();
                c.deliver(l);
            }
            let next = c.nodes.values().map(|n| n.wake_at()).min().unwrap();
            if next > end { break }
            if next <= c.clock_ms { spins += 1; if spins > 3 { c.clock_ms += 1; spins = 0; } }
            c.clock_ms = c.clock_ms.max(next);
            for id in c.ids() { if c.nodes.get(&id).is_some_and(|n| n.wake_at() <= c.clock_ms) { c.turn(id, vec![]); } }
        }
        c.clock_ms = end;
    }
    let mut ids = vec![];
    for n in 0..10 { ids.push(c.submit_text(n % 3, "alice", "transfer(A->B, 1%1)")); go(&mut c, 200); }
    println!("before: executed {:?} heights {:?} terms {:?} offences {}", ids.iter().map(|i| c.executed_on(i)).collect::<Vec<_>>(), [c.height(0), c.height(1), c.height(2)], [c.term(0), c.term(1), c.term(2)], c.offences.len());
    if outage {
        c.network = Box::new(|_| Fate::Drop);
        go(&mut c, 4_000);
        c.network = net();
    }
    for n in 0..10 { ids.push(c.submit_text(n % 3, "alice", "transfer(A->B, 1%1)")); go(&mut c, 200); }
    go(&mut c, 15_000);
    println!("after: executed {:?} heights {:?} terms {:?} offences {}", ids.iter().map(|i| c.executed_on(i)).collect::<Vec<_>>(), [c.height(0), c.height(1), c.height(2)], [c.term(0), c.term(1), c.term(2)], c.offences.len());
    assert!(ids.iter().all(|i| c.executed_on(i) >= 3));
}
#[test] fn t9_poison_steady() { poison(false, 1) }
#[test] fn t9_poison_outage() { poison(true, 1) }
#[test] fn t9_control() { poison(true, 0) }

/// Unsolicited answers of one faulty peer stop the catch-up of a lagging node.
#[test]
fn t10_hijack() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    use std::{cell::RefCell, rc::Rc};
    // the newest AE and commit certificate, as the faulty node 2 sees them
    let block: Rc<RefCell<std::collections::BTreeMap<u64, wire::Block>>> = Rc::default();
    let commit: Rc<RefCell<Option<wire::Certificate>>> = Rc::default();
    let (b, k) = (block.clone(), commit.clone());
    let see = move |l: &support::Letter| match &l.message {
        PeerMessage::AppendEntries(a) if l.to == NodeId(2) => { b.borrow_mut().insert(a.block.header.height.0, a.block.clone()); }
        PeerMessage::Heartbeat(h) if l.to == NodeId(2) => { *k.borrow_mut() = Some(h.standing.commit.clone()); }
        _ => {}
    };
    let s1 = see.clone();
    c.network = Box::new(move |l| { s1(l); if l.from == NodeId(3) || l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver } });
    for _ in 0..20 { c.submit_text(1, "alice", "transfer(A->B, 1%1)"); c.run(250); }
    println!("heights {} {}", c.height(0), c.height(3));
    let commit = commit.borrow().clone().unwrap();
    let blk = block.borrow()[&commit.claim.height.0].clone();
    let bogus = PeerMessage::Blocks(Box::new(wire::peer::Blocks { blocks: vec![blk], commit: Some(commit) }));
    let asks: Rc<RefCell<std::collections::BTreeMap<u16, u64>>> = Rc::default();
    let a = asks.clone();
    c.network = Box::new(move |l| {
        if l.from == NodeId(3) && let PeerMessage::Fetch(_) = &l.message { *a.borrow_mut().entry(l.to.0).or_default() += 1; }
        // the faulty node answers nothing
        if l.from == NodeId(2) && l.to == NodeId(3) && matches!(l.message, PeerMessage::Blocks(_)) { return Fate::Drop; }
        Fate::Deliver
    });
    for _ in 0..300 {
        c.letters.push_back(support::Letter { from: NodeId(2), to: NodeId(3), message: bogus.clone() });
        c.run(20);
    }
    println!("after 6 s: heights {} {} asks by target {:?}", c.height(0), c.height(3), asks.borrow());
    assert_eq!(c.height(0), c.height(3));
}

/// RECENT_HEIGHTS is 100 in this copy.
#[test]
fn t11_back_after_many_blocks() {
    let mut c = cl();
    c.run(50);
    c.set_up();
    c.network = Box::new(|l| if l.from == NodeId(3) || l.to == NodeId(3) { Fate::Drop } else { Fate::Deliver });
    for _ in 0..150 { c.submit_text(1, "alice", "transfer(A->B, 1%1)"); c.run(5); }
    c.network = Box::new(|_| Fate::Deliver);
    c.run(1_000);
    println!("heights {} {} terms {} {}", c.height(0), c.height(3), c.term(0), c.term(3));
    let n = std::rc::Rc::new(std::cell::RefCell::new((0, 0)));
    let m = n.clone();
    c.network = Box::new(move |l| { if let PeerMessage::Vote(v) = &l.message && l.from == NodeId(3) && l.to == NodeId(0) { 
        match v.unverified().phase { Phase::Replicated => m.borrow_mut().0 += 1, Phase::Certified => m.borrow_mut().1 += 1 } } Fate::Deliver });
    for _ in 0..20 { c.submit_text(1, "alice", "transfer(A->B, 1%1)"); c.run(100); }
    println!("heights {} {} terms {} {}; votes of 3 (replicated, certified): {:?}", c.height(0), c.height(3), c.term(0), c.term(3), n.borrow());
    assert!(n.borrow().0 > 0);
}

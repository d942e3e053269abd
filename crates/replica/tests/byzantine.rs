//! Byzantine voters against whole clusters: scripted equivocation, random strategies, weights, and twins.

#[path = "support/adversary.rs"]
mod adversary;
#[path = "support/evil.rs"]
mod evil;
mod support;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use adversary::Adversary;
use evil::{Forge, Watch, assert_one_chain, assert_only_guilty, log, seeds};
use replica::Replica;
use store::{MemDisk, SplitMix};
use support::{Cluster, Fate};
use wire::peer::Blocks;
use wire::statement::Claim;
use wire::{FaultModel, Genesis, NodeId, PeerMessage, Phase};

/// A leader proposes A to some and B to others at one place and votes for both; who hears what, in which order, and
/// whose votes of the leader, runs through all cases. Without an election nothing more happens; then comes one, because
/// a client waits.
#[test]
fn s4_an_equivocating_leader_never_splits_the_rest() {
    let (mut split, mut committed_early) = (0, 0);
    for case in 0..27u32 {
        for support in 0..3u32 {
            let context = format!("case {case}, support {support}");
            let mut c = Cluster::new(FaultModel::Byzantine, 4);
            c.run(50);
            c.set_up();
            c.run(600);
            c.nodes.remove(&NodeId(0));
            let forge = Forge::of(&c);
            let tip = log(&c, 1).tip;
            let pay = c.command("alice", "transfer(A->B, 1%1)");
            let (a, a_tip) = tip.child(&c, 1, vec![pay], 3);
            let (b, b_tip) = tip.child(&c, 1, vec![], 5);
            let claims = [a_tip.claim(&c, 1), b_tip.claim(&c, 1)];
            let appends = [a, b].map(|block| forge.append(0, 1, block, None));
            for n in 1..4u16 {
                // 0: A first, 1: B first, 2: neither.
                let first = (case / 3u32.pow(u32::from(n) - 1) % 3) as usize;
                if first == 2 {
                    continue;
                }
                for which in [first, 1 - first] {
                    c.post(NodeId(0), NodeId(n), appends[which].clone());
                }
                for phase in [Phase::Replicated, Phase::Certified] {
                    let vote = |claim: Claim| PeerMessage::Vote(forge.vote(0, phase, claim));
                    // To each what it likes, or everything to all, or everything to one.
                    match support {
                        0 => c.post(NodeId(0), NodeId(n), vote(claims[first])),
                        1 => claims.iter().for_each(|claim| c.post(NodeId(0), NodeId(n), vote(*claim))),
                        _ if n == 1 => claims.iter().for_each(|claim| c.post(NodeId(0), NodeId(n), vote(*claim))),
                        _ => {}
                    }
                }
            }
            let before = tip.header.height.0;
            c.run(400);
            assert_one_chain(&c, &[1, 2, 3], &context);
            committed_early += u32::from((1..4).any(|n| c.height(n) > before));
            split += u32::from((1..4).all(|n| c.height(n) == before));
            let id = c.submit_text(2, "alice", "transfer(A->B, 2%1)");
            c.run(8_000);
            assert_one_chain(&c, &[1, 2, 3], &context);
            assert_only_guilty(&c, &[0], &context);
            assert_eq!(c.executed_on(&id), 3, "{context}: the next leader goes on");
            c.assert_equal(&[1, 2, 3]);
            // Whoever heard both holds the proof.
            if (0..27).contains(&case) && (1..4).any(|n| case / 3u32.pow(n - 1) % 3 != 2) {
                assert!(!c.evidence.is_empty(), "{context}: equivocation leaves evidence");
            }
        }
    }
    assert!(split > 5 && committed_early > 5, "both ends must occur: {split} stuck, {committed_early} committed");
}

/// Who voted `replicated` for a block, as far as the tape shows.
fn voters_for(tape: &evil::Tape, claim: Claim) -> BTreeSet<u16> {
    let author = |l: &support::Letter| match &l.message {
        PeerMessage::Vote(v) if v.unverified().claim() == claim => Some(v.unverified().author.0),
        _ => None,
    };
    tape.borrow().iter().filter_map(author).collect()
}

/// Gives a node a proposal whose parent it lacks, and then the parent, as it asks for it.
fn propose_on_a_fetched_parent(c: &mut Cluster, leader: u16, to: u16, proposal: PeerMessage, parent: wire::Block) {
    c.post(NodeId(leader), NodeId(to), proposal);
    c.run(1);
    let blocks = Blocks { blocks: vec![parent], commit: None };
    c.post(NodeId(leader), NodeId(to), PeerMessage::Blocks(Box::new(blocks)));
    c.run(1);
}

/// A voter's votes of one term form one chain: having voted for A it does not vote for a descendant of B, however far
/// that is ahead, and does vote for a descendant of A.
#[test]
fn s4_votes_of_a_term_form_one_chain() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    c.nodes.remove(&NodeId(0));
    let tape = evil::tape(&mut c);
    let forge = Forge::of(&c);
    let tip = log(&c, 1).tip;
    let (a, a_tip) = tip.child(&c, 1, vec![], 3);
    let (b, b_tip) = tip.child(&c, 1, vec![], 5);
    let (b2, b2_tip) = b_tip.child(&c, 1, vec![], 5);
    let (a2, a2_tip) = a_tip.child(&c, 1, vec![], 5);
    let (a3, a3_tip) = a2_tip.child(&c, 1, vec![], 5);
    c.post(NodeId(0), NodeId(1), forge.append(0, 1, a, None));
    c.run(1);
    assert!(voters_for(&tape, a_tip.claim(&c, 1)).contains(&1));
    propose_on_a_fetched_parent(&mut c, 0, 1, forge.append(0, 1, b2, None), b);
    assert_eq!(c.nodes[&NodeId(1)].status().uncommitted, 3, "it holds A, B and the block above B");
    assert!(voters_for(&tape, b2_tip.claim(&c, 1)).is_empty());
    propose_on_a_fetched_parent(&mut c, 0, 1, forge.append(0, 1, a3, None), a2);
    assert!(voters_for(&tape, a3_tip.claim(&c, 1)).contains(&1), "teeth: the same on the other branch");
}

/// The first block of a term must extend the block that its election obliges: neither a block beside it is voted for,
/// nor, later, one that descends from such a block through blocks of the term.
#[test]
fn s4_a_first_block_beside_the_obliged_one_is_refused() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    let forge = Forge::of(&c);
    let tip = log(&c, 0).tip;
    // A block is certified by all and committed by none.
    let tape = evil::Tape::default();
    let ours = tape.clone();
    c.network = Box::new(move |letter| {
        ours.borrow_mut().push(letter.clone());
        match &letter.message {
            PeerMessage::Vote(v) if v.unverified().phase == Phase::Certified => Fate::Drop,
            _ => Fate::Deliver,
        }
    });
    c.submit_text(0, "alice", "transfer(A->B, 1%1)");
    c.run(100);
    // The leader of term 2 is the test's from here.
    c.nodes.remove(&NodeId(1));
    while c.term(0) < 2 {
        c.run(10);
    }
    let asked = tape.borrow().iter().rev().find_map(|l| match &l.message {
        PeerMessage::ElectionVote(m) => m.highest.clone(),
        _ => None,
    });
    let certificate = asked.expect("somebody asked for term 2");
    let certified = tape.borrow().iter().find_map(|l| match &l.message {
        PeerMessage::AppendEntries(m) if m.proposal.unverified().digest == certificate.claim.digest => {
            Some(m.block.clone())
        }
        _ => None,
    });
    let certified = certified.unwrap();
    assert_eq!(certified.header.parent, tip.digest(&c));
    let election = forge.election(2, &[0, 2, 3], &certificate);
    let (beside, beside_tip) = tip.child(&c, 2, vec![], 5);
    let (later, later_tip) = beside_tip.child(&c, 2, vec![], 5);
    for to in [2, 3] {
        c.post(NodeId(1), NodeId(to), forge.append(1, 2, beside.clone(), Some(election.clone())));
        c.run(1);
        propose_on_a_fetched_parent(&mut c, 1, to, forge.append(1, 2, later.clone(), None), beside.clone());
        assert_eq!(c.term(to), 2);
        assert_eq!(c.nodes[&NodeId(to)].status().uncommitted, 3);
    }
    // Node 0 hears only the later one.
    propose_on_a_fetched_parent(&mut c, 1, 0, forge.append(1, 2, later, None), beside);
    assert!(voters_for(&tape, beside_tip.claim(&c, 2)).is_empty());
    assert!(voters_for(&tape, later_tip.claim(&c, 2)).is_empty());
    // Teeth: a block of the term on the obliged one is voted for at once.
    let mut frontier = tip.frontier.clone();
    frontier.extend(&certified.leaves());
    let obliged = evil::Tip { header: certified.header.clone(), frontier };
    let (_, first_tip) = obliged.child(&c, 2, vec![], 5);
    let (second, second_tip) = first_tip.child(&c, 2, vec![], 5);
    let (first, _) = obliged.child(&c, 2, vec![], 5);
    propose_on_a_fetched_parent(&mut c, 1, 2, forge.append(1, 2, second, None), first);
    assert!(voters_for(&tape, second_tip.claim(&c, 2)).contains(&2));
    assert_only_guilty(&c, &[1], "first block");
}

fn weighted(weights: &[u64], faulty: u64) -> Genesis {
    let mut genesis = support::genesis(FaultModel::Byzantine, weights.len() as u16);
    for (voter, weight) in genesis.voters.iter_mut().zip(weights) {
        voter.weight = *weight;
    }
    genesis.faulty_weight = faulty;
    genesis.check().unwrap();
    genesis
}

/// Delivers what is under way in random order, with losses and repetitions, until nothing is or the budget is spent;
/// then lets the next timer ring.
fn stir(c: &mut Cluster, random: &mut SplitMix, budget: u64) {
    for _ in 0..budget {
        if c.letters.is_empty() {
            break;
        }
        let n = random.below(c.letters.len() as u64) as usize;
        let letter = c.letters.swap_remove_back(n).unwrap();
        match random.below(100) {
            0..4 => {}
            4..8 => {
                c.letters.push_back(letter.clone());
                c.deliver(letter);
            }
            _ => c.deliver(letter),
        }
    }
    let next = c.nodes.values().map(Replica::wake_at).min().unwrap_or(u64::MAX);
    // Also lets time pass that no timer asked for.
    c.clock_ms = c.clock_ms.max(next.min(c.clock_ms + 40)) + random.below(20);
    for id in c.ids() {
        if c.nodes.get(&id).is_some_and(|n| n.wake_at() <= c.clock_ms) {
            c.turn(id, vec![]);
        }
    }
}

/// One run against random Byzantine voters: chaos, then silence and a whole network. Returns what was done.
fn random_run(genesis: Genesis, guilty: &[u16], seed: u64, rounds: u64) -> (BTreeMap<&'static str, usize>, u64, bool) {
    let context = format!("guilty {guilty:?}, seed {seed}");
    let mut c = Cluster::unstarted(genesis);
    let honest: Vec<u16> = c.ids().into_iter().map(|id| id.0).filter(|n| !guilty.contains(n)).collect();
    let watch = Rc::new(RefCell::new(Watch::default()));
    let tape = evil::Tape::default();
    let (ours, bad, kept, text) = (watch.clone(), guilty.to_vec(), tape.clone(), context.clone());
    c.network = Box::new(move |letter| {
        match bad.contains(&letter.from.0) {
            true => ours.borrow_mut().learn(letter),
            false => ours.borrow_mut().letter(letter, &text),
        }
        kept.borrow_mut().push(letter.clone());
        Fate::Deliver
    });
    for n in &honest {
        c.start(NodeId(*n));
    }
    c.run(50);
    let mut random = SplitMix::new(seed);
    let mut adversary = Adversary::new(&c, guilty, random.draw(), tape);
    for round in 0..rounds {
        if random.below(4) == 0 {
            let to = honest[random.below(honest.len() as u64) as usize];
            c.submit_text(to, "admin", &format!("RegisterParty p{round} {}", support::party_key("alice").public()));
        }
        for _ in 0..=random.below(3) {
            adversary.act(&mut c);
        }
        let budget = random.below(60);
        stir(&mut c, &mut random, budget);
        if random.below(10) == 0 {
            c.clock_ms += random.below(1_500);
        }
    }
    assert_one_chain(&c, &honest, &context);
    assert_only_guilty(&c, guilty, &context);
    // The network heals; the guilty fall silent.
    c.run(70_000);
    let id = c.submit_text(honest[0], "admin", &format!("RegisterParty last {}", support::party_key("bob").public()));
    c.run(70_000);
    assert_one_chain(&c, &honest, &context);
    assert_only_guilty(&c, guilty, &context);
    assert_eq!(c.executed_on(&id), honest.len(), "{context}: it must go on when the network heals");
    c.assert_equal(&honest);
    (adversary.deeds, c.term(honest[0]), !c.evidence.is_empty())
}

fn many_runs(genesis: impl Fn() -> Genesis, guilty: &[&[u16]], everyday: u64, rounds: u64) {
    let (mut deeds, mut terms, mut proven) = (BTreeMap::<&str, usize>::new(), 0, 0);
    let range = seeds(everyday);
    let count = range.end;
    for seed in range {
        let (done, term, evidence) = random_run(genesis(), guilty[seed as usize % guilty.len()], seed, rounds);
        done.into_iter().for_each(|(name, n)| *deeds.entry(name).or_default() += n);
        terms += term;
        proven += u64::from(evidence);
    }
    assert!(deeds.len() == 8 && deeds.values().all(|n| *n > 10), "every kind of deed: {deeds:?}");
    assert!(terms > count, "elections happen");
    assert!(proven > count / 2, "the guilty are found out in most runs: {proven} of {count}");
}

#[test]
fn s4_s5_s8_random_byzantine_voter_of_four() {
    many_runs(|| support::genesis(FaultModel::Byzantine, 4), &[&[0], &[1], &[2], &[3]], 28, 120);
}

#[test]
fn s7_random_byzantine_voters_of_seven() {
    many_runs(|| support::genesis(FaultModel::Byzantine, 7), &[&[0, 1], &[1, 4], &[5, 6]], 6, 120);
}

/// Weights 1, 1, 2, 3 tolerate a faulty weight of 2: the one voter of weight 2, or both of weight 1.
#[test]
fn s7_random_byzantine_voters_with_weights() {
    many_runs(|| weighted(&[1, 1, 2, 3], 2), &[&[2], &[0, 1]], 14, 120);
}

/// With weights 1, 1, 2, 3 a quorum weighs 5: the heaviest alone is none, nor with one light voter.
#[test]
fn s7_weight_counts_and_not_heads() {
    let c = Cluster::new_weighted(&[1, 1, 2, 3], 2);
    let forge = Forge::of(&c);
    let claim = forge.base_tip().child(&c, 1, vec![], 1).1.claim(&c, 1);
    let verifier = replica::verifier(&c.genesis);
    for set in 1u16..16 {
        let voters: Vec<u16> = (0..4).filter(|n| set >> n & 1 == 1).collect();
        let weight: u64 = voters.iter().map(|n| [1, 1, 2, 3][usize::from(*n)]).sum();
        let verdict = verifier.commit_certificate(forge.certificate(Phase::Certified, claim, &voters));
        assert_eq!(verdict.is_ok(), weight >= 5, "{voters:?}");
    }
}

impl Cluster {
    fn new_weighted(weights: &[u64], faulty: u64) -> Cluster {
        Cluster::with(weighted(weights, faulty))
    }
}

/// The other process with a voter's key.
struct Twin {
    id: NodeId,
    other: Replica<MemDisk>,
    /// Which of the two is in the cluster now.
    acting: Rc<Cell<usize>>,
    /// For each node: hears twin 0, twin 1, or (2) both.
    hears: Rc<RefCell<BTreeMap<NodeId, usize>>>,
}

impl Twin {
    fn swap(&mut self, c: &mut Cluster) {
        std::mem::swap(c.nodes.get_mut(&self.id).unwrap(), &mut self.other);
        self.acting.set(1 - self.acting.get());
    }

    fn deliver(&mut self, c: &mut Cluster, letter: support::Letter) {
        if letter.to != self.id {
            return c.deliver(letter);
        }
        let hears = self.hears.borrow().get(&letter.from).copied().unwrap_or(2);
        for _ in 0..2 {
            if hears == 2 || hears == self.acting.get() {
                c.deliver(letter.clone());
            }
            self.swap(c);
        }
    }

    /// Delivers all and lets time pass, for both.
    fn run(&mut self, c: &mut Cluster, random: &mut SplitMix, ms: u64, drop_percent: u64) {
        let end = c.clock_ms + ms;
        loop {
            while !c.letters.is_empty() {
                // Mostly in order, now and then not.
                let n = if random.below(5) == 0 { random.below(c.letters.len() as u64) as usize } else { 0 };
                let letter = c.letters.remove(n).unwrap();
                if random.below(100) >= drop_percent {
                    self.deliver(c, letter);
                }
            }
            let next = c.nodes.values().map(Replica::wake_at).chain([self.other.wake_at()]).min().unwrap();
            if next > end {
                break;
            }
            c.clock_ms = c.clock_ms.max(next);
            for id in c.ids() {
                for _ in 0..2 {
                    if c.nodes.get(&id).is_some_and(|n| n.wake_at() <= c.clock_ms) {
                        c.turn(id, vec![]);
                    }
                    if id != self.id {
                        break;
                    }
                    self.swap(c);
                }
            }
        }
        c.clock_ms = end;
    }
}

fn twins_run(seed: u64) -> (bool, bool) {
    let mut random = SplitMix::new(seed);
    let id = NodeId(random.below(4) as u16);
    let context = format!("twins of {id}, seed {seed}");
    let honest: Vec<u16> = (0..4).filter(|n| *n != id.0).collect();
    let mut c = Cluster::unstarted(support::genesis(FaultModel::Byzantine, 4));
    let (acting, hears) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(BTreeMap::new())));
    let watch = Rc::new(RefCell::new(Watch::default()));
    let (who, map, ours, text) = (acting.clone(), hears.clone(), watch.clone(), context.clone());
    c.network = Box::new(move |letter| {
        if letter.from != id {
            ours.borrow_mut().letter(letter, &text);
            return Fate::Deliver;
        }
        ours.borrow_mut().learn(letter);
        let heard = map.borrow().get(&letter.to).copied().unwrap_or(2);
        if heard == 2 || heard == who.get() { Fate::Deliver } else { Fate::Drop }
    });
    let other = c.open(id, MemDisk::new(1_000)).unwrap();
    for id in c.ids() {
        c.start(id);
    }
    let mut twin = Twin { id, other, acting, hears };
    twin.run(&mut c, &mut random, 50, 0);
    for round in 0..14 {
        // Who hears whom changes: split, or now and then both to all.
        for n in &honest {
            let side = [0, 1, 2, 0, 1][random.below(5) as usize];
            twin.hears.borrow_mut().insert(NodeId(*n), side);
        }
        for n in 0..=random.below(3) {
            let to = random.below(4) as u16;
            let text = format!("RegisterParty p{round}-{n} {}", support::party_key("alice").public());
            c.submit_text(to, "admin", &text);
            if random.below(2) == 0 {
                twin.swap(&mut c);
            }
        }
        let drop_percent = [0, 0, 10, 30][random.below(4) as usize];
        let ms = [20, 200, 2_000, 4_000][random.below(4) as usize];
        twin.run(&mut c, &mut random, ms, drop_percent);
    }
    assert_one_chain(&c, &honest, &context);
    assert_only_guilty(&c, &[id.0], &context);
    let proven = !c.evidence.is_empty();
    // One of the two is stopped, the network heals, and everybody hears the other.
    twin.hears.borrow_mut().clear();
    c.nodes.remove(&id);
    c.run(70_000);
    let last = c.submit_text(honest[0], "admin", &format!("RegisterParty last {}", support::party_key("bob").public()));
    c.run(70_000);
    assert_eq!(c.executed_on(&last), 3, "{context}: it must go on");
    assert_one_chain(&c, &honest, &context);
    assert_only_guilty(&c, &[id.0], &context);
    c.assert_equal(&honest);
    (proven, c.term(honest[0]) > 1)
}

#[test]
fn twins_with_one_key_split_nobody_and_blame_nobody_else() {
    let (mut proven, mut elections) = (0, 0);
    let range = seeds(24);
    let count = range.end;
    for seed in range {
        let (evidence, elected) = twins_run(seed);
        proven += u64::from(evidence);
        elections += u64::from(elected);
    }
    assert!(proven > count / 4, "twins must contradict each other in many runs: {proven} of {count}");
    assert!(elections > count / 4, "terms must change in many runs: {elections} of {count}");
}

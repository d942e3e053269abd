//! What must go on, and what must not happen, when somebody is mute, unfair, deaf, ahead of himself, or merely unlucky.

#[path = "support/evil.rs"]
mod evil;
mod support;

use evil::{Forge, Watch, assert_one_chain, assert_only_guilty, log, seeds};
use store::SplitMix;
use support::{Cluster, Fate};
use wire::peer::Standing;
use wire::statement::Claim;
use wire::{BlockDigest, FaultModel, Hash, Height, NodeId, PeerMessage, Phase, Term};

fn working() -> Cluster {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    c
}

fn terms(c: &Cluster) -> [u64; 4] {
    [0, 1, 2, 3].map(|n| c.term(n))
}

/// A leader that only shows signs of life is replaced within two timeouts, and keeps its place while nothing waits.
#[test]
fn l1_a_leader_that_sends_heartbeats_only_is_replaced() {
    let mut c = working();
    c.network = Box::new(|l| match &l.message {
        PeerMessage::AppendEntries(_) if l.from == NodeId(0) => Fate::Drop,
        _ => Fate::Deliver,
    });
    c.run(20_000);
    assert_eq!(terms(&c), [1; 4], "nothing waits");
    let id = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(2 * c.genesis.parameters.timeout_base_ms);
    assert!(c.executed_on(&id) >= 3, "terms {:?}", terms(&c));
    assert_only_guilty(&c, &[], "mute");
}

/// A leader that orders everyone but one client is replaced, although it commits all the time.
#[test]
fn l1_a_leader_that_starves_one_client_is_replaced() {
    let mut c = working();
    let victim = c.command("bob", "transfer(B->A, 1%1)");
    let starved = victim.clone();
    c.network = Box::new(move |l| match &l.message {
        PeerMessage::Forward(commands) if l.to == NodeId(0) && commands.0.contains(&starved) => Fate::Drop,
        _ => Fate::Deliver,
    });
    let id = c.submit(2, &victim);
    let mut others = 0;
    for _ in 0..200 {
        if c.executed_on(&id) > 0 {
            break;
        }
        c.submit_text(0, "alice", "transfer(A->B, 1%1)");
        others += 1;
        c.run(50);
    }
    assert!(others > 20, "it is given a fair chance");
    assert!(c.executed_on(&id) >= 3, "after {others} others: terms {:?}", terms(&c));
    assert!(c.term(1) > 1);
    assert_only_guilty(&c, &[], "starved");
}

/// A client that is merely behind a queue calls no election: the leader that serves everybody stays.
#[test]
fn l1_a_fair_leader_under_load_stays() {
    let mut c = working();
    for _ in 0..60 {
        for n in 0..4 {
            c.submit_text(n, "alice", "transfer(A->B, 1%1)");
        }
        c.run(50);
    }
    assert_eq!(terms(&c), [1; 4]);
}

#[test]
fn l3_a_healed_minority_rejoins_without_disturbing() {
    for (model, n) in [(FaultModel::Byzantine, 7u16), (FaultModel::Crash, 5)] {
        let mut c = Cluster::new(model, n);
        c.run(50);
        c.set_up();
        let cut = move |id: NodeId| id.0 >= n - 2;
        c.network = Box::new(move |l| if cut(l.from) == cut(l.to) { Fate::Deliver } else { Fate::Drop });
        for round in 0..20 {
            c.submit_text(1, "alice", "transfer(A->B, 1%1)");
            // The minority is asked too, and cannot answer.
            c.submit_text(n - 1, "alice", &format!("transfer(A->B, {}%1)", 2 + round % 2));
            c.run(1_000);
        }
        let (behind, term) = (c.height(n - 1), c.term(0));
        assert!(c.height(0) > behind + 10);
        c.network = Box::new(|_| Fate::Deliver);
        c.run(40_000);
        let all: Vec<u16> = (0..n).collect();
        c.assert_equal(&all);
        let after = c.term(0);
        assert!(all.iter().all(|n| c.term(*n) == after), "terms converge");
        assert!(after <= term + 2, "the minority has no say in terms: {term} to {after}");
        let id = c.submit_text(n - 1, "alice", "transfer(A->B, 1%1)");
        c.run(3_000);
        assert_eq!(c.executed_on(&id), usize::from(n));
        assert_only_guilty(&c, &[], "minority");
    }
}

#[test]
fn l4_l5_one_voter_that_asks_for_ever_higher_terms_moves_nobody() {
    let mut c = working();
    c.nodes.remove(&NodeId(3));
    let forge = Forge::of(&c);
    let standing = || Standing { election: None, commit: log(&c, 0).commits.pop().unwrap() };
    let highest = forge.certificate(Phase::Replicated, standing().commit.claim, &[0, 1, 2]);
    let standing = standing();
    let asks: Vec<u64> = (2..60).chain([u64::MAX - 1, u64::MAX]).collect();
    for (round, term) in asks.into_iter().enumerate() {
        for to in 0..3 {
            let ask = forge.election_vote_message(3, term, highest.clone(), standing.clone());
            c.post(NodeId(3), NodeId(to), ask);
        }
        if round % 10 == 0 {
            let id = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
            c.run(100);
            assert_eq!(c.executed_on(&id), 3, "commits go on");
        }
    }
    c.run(5_000);
    assert_eq!([c.term(0), c.term(1), c.term(2)], [1; 3]);
    assert!(c.evidence.is_empty(), "one vote for each term contradicts nothing");
    // Teeth: with one more voter it is weight above F, and the rest follows, to the next term and no further.
    c.nodes.remove(&NodeId(2));
    let id = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    for to in 0..2 {
        for author in [2, 3] {
            let ask = forge.election_vote_message(author, 70, highest.clone(), standing.clone());
            c.post(NodeId(author), NodeId(to), ask);
        }
    }
    c.run(500);
    assert_eq!([c.term(0), c.term(1)], [1; 2]);
    for to in 0..2 {
        c.post(NodeId(2), NodeId(to), forge.election_vote_message(2, 2, highest.clone(), standing.clone()));
    }
    c.run(500);
    assert_eq!([c.term(0), c.term(1)], [2; 2]);
    assert_eq!(c.executed_on(&id), 0, "two of four commit nothing");
    assert_only_guilty(&c, &[2, 3], "asks");
}

/// Numbers near their maximum, and votes for heights nobody will reach: refused or forgotten, and commits go on.
#[test]
fn l5_l6_absurd_terms_and_heights_are_kept_out() {
    let mut c = working();
    c.nodes.remove(&NodeId(3));
    let forge = Forge::of(&c);
    let tip = log(&c, 0).tip;
    let mut random = SplitMix::new(5);
    for round in 0..40u64 {
        for to in 0..3 {
            for _ in 0..60 {
                let mut digest = [0; 32];
                digest[..8].copy_from_slice(&random.draw().to_be_bytes());
                let number = |random: &mut SplitMix| match random.below(4) {
                    0 => u64::MAX,
                    1 => u64::MAX - random.below(100),
                    2 => random.draw(),
                    _ => c.height(0) + random.below(300),
                };
                let term = if random.below(2) == 0 { 1 } else { number(&mut random) };
                let claim =
                    Claim { term: Term(term), height: Height(number(&mut random)), digest: BlockDigest(Hash(digest)) };
                let phase = if random.below(2) == 0 { Phase::Replicated } else { Phase::Certified };
                c.post(NodeId(3), NodeId(to), PeerMessage::Vote(forge.vote(3, phase, claim)));
            }
            // Blocks on nothing, and blocks of terms that will never come. (Voter 3 leads term 4 and every fourth.)
            let mut lost = tip.clone();
            lost.header.height = Height(u64::MAX - 1);
            let (block, _) = lost.child(&c, u64::MAX - 3, vec![], 1);
            c.post(NodeId(3), NodeId(to), forge.append(3, u64::MAX - 3, block, None));
            lost.header.height = Height(c.height(0) + random.below(100));
            let (block, _) = lost.extend(4, vec![], BlockDigest(Hash([round as u8; 32])), 1);
            c.post(NodeId(3), NodeId(to), forge.append(3, 4, block, None));
            let beat = forge.heartbeat(3, u64::MAX - 3, u64::MAX, forge.base_standing());
            c.post(NodeId(3), NodeId(to), beat);
        }
        c.run(20);
    }
    for n in 0..3 {
        let status = c.nodes[&NodeId(n)].status();
        assert_eq!((status.uncommitted, status.term), (0, Term(1)));
        assert_eq!(status.height_known, status.height, "no claim without a certificate is believed");
    }
    let id = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(500);
    assert_eq!(c.executed_on(&id), 3);
    assert_only_guilty(&c, &[3], "absurd");
}

/// A voter whose link towards the leader, or from it, is dead is told by the others where they stand.
#[test]
fn l8_one_way_links() {
    for (from, to) in [(0, 3), (3, 0), (0, 1), (1, 0), (2, 3)] {
        let mut c = working();
        c.network = Box::new(move |l| match (l.from, l.to) {
            (f, t) if f == NodeId(from) && t == NodeId(to) => Fate::Drop,
            _ => Fate::Deliver,
        });
        for n in 0..4 {
            let id = c.submit_text(n, "alice", "transfer(A->B, 1%1)");
            c.run(8_000);
            assert!(c.executed_on(&id) >= 3, "link {from} to {to}, from {n}: terms {:?}", terms(&c));
        }
        c.network = Box::new(|_| Fate::Deliver);
        c.run(20_000);
        let id = c.submit_text(3, "alice", "transfer(A->B, 1%1)");
        c.run(8_000);
        assert_eq!(c.executed_on(&id), 4, "link {from} to {to}");
        c.assert_equal(&[0, 1, 2, 3]);
        assert_only_guilty(&c, &[], "one way");
    }
}

/// Any set of one-way links dies, changes, and comes back; clocks jump: commits resume.
#[test]
fn l8_random_one_way_partitions_and_clock_jumps() {
    for seed in seeds(12) {
        let context = format!("seed {seed}");
        let mut random = SplitMix::new(seed);
        let model = if seed % 4 == 3 { FaultModel::Crash } else { FaultModel::Byzantine };
        let mut c = Cluster::new(model, 4);
        c.run(50);
        c.set_up();
        let mut watch = Watch::default();
        for _ in 0..10 {
            let dead = random.draw() & random.draw();
            let link = |from: NodeId, to: NodeId| 1 << (from.0 * 4 + to.0);
            let seen = std::rc::Rc::new(std::cell::RefCell::new(std::mem::take(&mut watch)));
            let (ours, text) = (seen.clone(), context.clone());
            c.network = Box::new(move |l| {
                ours.borrow_mut().letter(l, &text);
                if dead & link(l.from, l.to) != 0 { Fate::Drop } else { Fate::Deliver }
            });
            let id = NodeId(random.below(4) as u16);
            // Hours ahead or behind; as far as the block times that come of it can be caught up with.
            c.skew_ms.insert(id, [0, 0, 3_000, -7_200_000][random.below(4) as usize]);
            for _ in 0..3 {
                c.submit_text(random.below(4) as u16, "alice", "transfer(A->B, 1%1)");
                c.run(random.below(3_000));
            }
            c.network = Box::new(|_| Fate::Deliver);
            watch = std::rc::Rc::try_unwrap(seen).map(std::cell::RefCell::into_inner).unwrap_or_default();
        }
        c.skew_ms.clear();
        // All monotonic clocks jump: the machines were suspended.
        c.clock_ms += 3_000_000;
        c.run(60_000);
        let id = c.submit_text(2, "treasury", "AdjustAccount A 1%1");
        c.run(30_000);
        assert_eq!(c.executed_on(&id), 4, "{context}: terms {:?}", terms(&c));
        assert_one_chain(&c, &[0, 1, 2, 3], &context);
        assert_only_guilty(&c, &[], &context);
        c.assert_equal(&[0, 1, 2, 3]);
    }
}

/// A leader whose clock runs hours ahead is not followed into the future, and is replaced.
#[test]
fn l8_a_leader_with_a_clock_far_ahead_is_replaced() {
    let mut c = working();
    c.skew_ms.insert(NodeId(0), 7_200_000);
    let id = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(10_000);
    assert!(c.executed_on(&id) >= 3, "terms {:?}", terms(&c));
    let ahead = c.nodes[&NodeId(1)].status().time.since_ms(c.now().wall);
    assert!(ahead <= wire::limits::BLOCK_TIME_AHEAD_MS_MAX);
    // One whose clock is behind leads as well as any other.
    c.skew_ms.insert(NodeId(1), -7_200_000);
    let id = c.submit_text(2, "alice", "transfer(A->B, 1%1)");
    c.run(10_000);
    assert!(c.executed_on(&id) >= 3);
    assert_only_guilty(&c, &[], "clock");
}

/// Two honest nodes may enter a term by different quorums of election votes, of which one holds a higher certificate.
/// What counts is the election that the leader's first block carries: the term must not be lost over it.
#[test]
fn elections_of_one_term_by_different_quorums_do_not_lose_the_term() {
    let mut c = working();
    let height = c.height(0);
    // Only node 3 hears the votes for the next block, so only node 3 holds its certificate.
    c.network = Box::new(|l| match &l.message {
        PeerMessage::Vote(_) if l.to != NodeId(3) || l.from == NodeId(3) => Fate::Drop,
        PeerMessage::Heartbeat(_) => Fate::Drop,
        // The leader of term 2 elects itself without node 3; the others elect it with node 3 and without its own vote.
        PeerMessage::ElectionVote(_) if l.from == NodeId(3) && l.to == NodeId(1) => Fate::Drop,
        PeerMessage::ElectionVote(_) if l.from == NodeId(1) => Fate::Drop,
        _ => Fate::Deliver,
    });
    let id = c.submit_text(0, "alice", "transfer(A->B, 1%1)");
    for _ in 0..4_000 {
        c.run(1);
        if terms(&c).iter().any(|t| *t >= 2) {
            break;
        }
    }
    assert_eq!(c.height(0), height);
    c.network = Box::new(|_| Fate::Deliver);
    c.run(1_000);
    assert_eq!(terms(&c), [2; 4]);
    assert_eq!(c.executed_on(&id), 4, "the term is lost although everybody in it is honest");
}

//! Attacks on the order: forged votes, bad certificates, withheld certificates, false claims, old terms, replays.
//!
//! Each test also shows that its attack has teeth: the same thing with what it lacked is accepted.

#[path = "support/evil.rs"]
mod evil;
mod support;

use evil::{Forge, Tape, Tip, assert_one_chain, assert_only_guilty, log, tape};
use store::SplitMix;
use support::{Cluster, Fate, Letter};
use wire::peer::Standing;
use wire::statement::Claim;
use wire::{
    BlockHeader, Certificate, Decode, Encode, Epoch, FaultModel, Hash, Height, NodeId, PeerMessage, Phase, Signed,
    Term, Vote,
};

/// A working cluster of four in which only the leader, node 0, is still heard, with one block proposed and only its own
/// vote for it. Whatever happens to that block now is the test's doing.
fn lonely_leader() -> (Cluster, Forge, Claim) {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    for n in 1..4 {
        c.nodes.remove(&NodeId(n));
    }
    let tape = tape(&mut c);
    c.submit_text(0, "alice", "transfer(A->B, 1%1)");
    c.run(10);
    let claim = proposals(&tape).pop().expect("the leader proposes");
    assert_eq!(claim.height.0, c.height(0) + 1);
    let forge = Forge::of(&c);
    (c, forge, claim)
}

fn proposals(tape: &Tape) -> Vec<Claim> {
    let claim = |letter: &Letter| match &letter.message {
        PeerMessage::AppendEntries(append) => {
            let p = append.proposal.unverified();
            Some(Claim { term: p.term, height: p.height, digest: p.digest })
        }
        _ => None,
    };
    tape.borrow().iter().filter_map(claim).collect()
}

fn send(c: &mut Cluster, from: u16, to: u16, message: PeerMessage) {
    c.post(NodeId(from), NodeId(to), message);
    c.run(1);
}

fn send_vote(c: &mut Cluster, from: u16, to: u16, vote: Signed<Vote>) {
    send(c, from, to, PeerMessage::Vote(vote));
}

#[test]
fn s1_votes_that_name_others_as_author_are_refused() {
    let (mut c, forge, claim) = lonely_leader();
    let before = c.height(0);
    for phase in [Phase::Replicated, Phase::Certified] {
        for author in [0, 1, 2] {
            send_vote(&mut c, 3, 0, forge.vote_signed_by(3, author, phase, claim));
            // The same over a link that claims to be the author's: the signature still names its maker.
            send_vote(&mut c, author.max(1), 0, forge.vote_signed_by(3, author, phase, claim));
        }
    }
    // Even contradicting forgeries are evidence against nobody.
    let other = Claim { digest: wire::BlockDigest(Hash([9; 32])), ..claim };
    send_vote(&mut c, 3, 0, forge.vote_signed_by(3, 1, Phase::Replicated, other));
    assert_eq!(c.offences.len(), 13, "{:?}", c.offences);
    assert!(c.evidence.is_empty());
    assert_eq!(c.height(0), before);
    // Teeth: the same votes with the right keys commit.
    for phase in [Phase::Replicated, Phase::Certified] {
        for author in [1, 2] {
            assert_eq!(c.height(0), before);
            send_vote(&mut c, author, 0, forge.vote(author, phase, claim));
        }
    }
    assert_eq!(c.height(0), before + 1);
}

#[test]
fn s2_certificates_with_bad_votes_are_refused() {
    let (mut c, forge, claim) = lonely_leader();
    let before = c.height(0);
    let verifier = replica::verifier(&c.genesis);
    let good = forge.certificate(Phase::Certified, claim, &[0, 1, 2]);
    let vote = |n, phase, claim| forge.vote(n, phase, claim);
    let with = |votes: Vec<Signed<Vote>>| Certificate { votes, ..good.clone() };
    let [a, b] = [vote(0, Phase::Certified, claim), vote(1, Phase::Certified, claim)];
    let epoch_2 = Vote { epoch: Epoch(2), ..vote(2, Phase::Certified, claim).unverified().clone() };
    let stranger = Vote { author: NodeId(9), ..vote(2, Phase::Certified, claim).unverified().clone() };
    let bad = [
        ("too light", with(vec![a.clone(), b.clone()])),
        ("a vote twice", with(vec![a.clone(), b.clone(), b.clone()])),
        ("a stale term", with(vec![a.clone(), b.clone(), vote(2, Phase::Certified, Claim { term: Term(0), ..claim })])),
        ("a later term", with(vec![a.clone(), b.clone(), vote(2, Phase::Certified, Claim { term: Term(2), ..claim })])),
        ("another phase", with(vec![a.clone(), b.clone(), vote(2, Phase::Replicated, claim)])),
        (
            "another height",
            with(vec![
                a.clone(),
                b.clone(),
                vote(2, Phase::Certified, Claim { height: claim.height.plus(1), ..claim }),
            ]),
        ),
        (
            "another block",
            with(vec![
                a.clone(),
                b.clone(),
                vote(2, Phase::Certified, Claim { digest: wire::BlockDigest(Hash([1; 32])), ..claim }),
            ]),
        ),
        ("another epoch", with(vec![a.clone(), b.clone(), forge.sign(2, epoch_2)])),
        ("a stranger", with(vec![a.clone(), b.clone(), forge.sign(2, stranger)])),
        ("a forged vote", with(vec![a.clone(), b.clone(), forge.vote_signed_by(3, 2, Phase::Certified, claim)])),
        ("the other phase throughout", forge.certificate(Phase::Replicated, claim, &[0, 1, 2])),
        ("a base that is none", Certificate::base(Phase::Certified, claim.height, claim.digest)),
        ("votes on the base", Certificate { claim: replica::base_claim(&c.genesis), ..good.clone() }),
    ];
    for (what, certificate) in bad {
        let standing = Standing { election: None, commit: certificate };
        let message = PeerMessage::Standing(Box::new(standing));
        // What the codec lets through must fall to the check; what it refuses cannot even arrive.
        assert!(verifier.verify(NodeId(3), message.clone()).is_err(), "{what}");
        let frame = message.to_frame();
        match PeerMessage::from_frame(&frame[4..]) {
            Ok(_) => send(&mut c, 3, 0, message),
            Err(_) => assert_eq!(what, "a vote twice"),
        }
        assert_eq!(c.height(0), before, "{what}");
    }
    assert!(c.evidence.is_empty() && c.halted.is_empty());
    // Teeth: the same certificate with three good votes commits.
    let standing = Standing { election: None, commit: good };
    send(&mut c, 3, 0, PeerMessage::Standing(Box::new(standing)));
    assert_eq!(c.height(0), before + 1);
}

/// Votes for descendants count, through headers of the certificate's own term and in no other way.
#[test]
fn s2_headers_link_votes_only_within_a_term() {
    let c = Cluster::new(FaultModel::Byzantine, 4);
    let forge = Forge::of(&c);
    let verifier = replica::verifier(&c.genesis);
    let chain = |terms: [u64; 3]| -> Vec<BlockHeader> {
        let mut tip = forge.base_tip();
        let mut headers = Vec::new();
        for term in terms {
            tip = tip.child(&c, term, vec![], 1).1;
            headers.push(tip.header.clone());
        }
        headers
    };
    let certificate = |headers: &[BlockHeader], at: [usize; 3]| {
        let claim = |n: usize| {
            let header: &BlockHeader = &headers[n];
            Claim { term: Term(2), height: header.height, digest: header.digest(&c.genesis.cluster_id()) }
        };
        let votes = [0, 1, 2].map(|n| forge.vote(n, Phase::Certified, claim(at[usize::from(n)])));
        Certificate { phase: Phase::Certified, claim: claim(0), headers: headers.to_vec(), votes: votes.to_vec() }
    };
    let one_term = chain([2, 2, 2]);
    assert!(verifier.commit_certificate(certificate(&one_term, [0, 1, 2])).is_ok(), "teeth");
    // Votes of a late term must not become a high certificate for a block of an old one: that forks.
    assert!(verifier.commit_certificate(certificate(&chain([1, 2, 2]), [0, 1, 2])).is_err());
    assert!(verifier.commit_certificate(certificate(&chain([2, 2, 3]), [0, 1, 2])).is_err());
    let mut gap = certificate(&one_term, [0, 1, 2]);
    gap.headers.remove(1);
    assert!(verifier.commit_certificate(gap).is_err(), "headers must be a chain");
    let mut reversed = certificate(&one_term, [0, 1, 2]);
    reversed.headers.reverse();
    assert!(verifier.commit_certificate(reversed).is_err());
    let mut bare = certificate(&one_term, [0, 1, 2]);
    bare.headers.clear();
    assert!(verifier.commit_certificate(bare).is_err());
    // Votes for ancestors never count.
    let mut below = certificate(&one_term, [0, 0, 0]);
    below.claim = Claim { term: Term(2), height: Height(2), digest: one_term[1].digest(&c.genesis.cluster_id()) };
    below.headers.remove(0);
    assert!(verifier.commit_certificate(below).is_err());
}

#[test]
fn s3_repeated_votes_count_once_and_a_wrong_digest_harms_nobody_else() {
    let (mut c, forge, claim) = lonely_leader();
    let before = c.height(0);
    let wrong = Claim { digest: wire::BlockDigest(Hash([7; 32])), ..claim };
    for phase in [Phase::Replicated, Phase::Certified] {
        for _ in 0..5 {
            send_vote(&mut c, 1, 0, forge.vote(1, phase, claim));
        }
        send_vote(&mut c, 3, 0, forge.vote(3, phase, wrong));
        assert_eq!(c.height(0), before, "one author is one vote");
        assert!(c.evidence.is_empty(), "one odd vote proves nothing yet");
        send_vote(&mut c, 2, 0, forge.vote(2, phase, claim));
    }
    assert_eq!(c.height(0), before + 1, "the rest commit");
    // The odd voter contradicts itself at the next height: that is evidence, against it alone.
    let tape = tape(&mut c);
    c.submit_text(0, "alice", "transfer(A->B, 1%1)");
    c.run(10);
    let claim = proposals(&tape).pop().unwrap();
    send_vote(&mut c, 3, 0, forge.vote(3, Phase::Replicated, Claim { digest: wrong.digest, ..claim }));
    send_vote(&mut c, 3, 0, forge.vote(3, Phase::Replicated, claim));
    let accused: Vec<u16> = c.evidence[&NodeId(0)].iter().map(|e| e.accused().0).collect();
    assert_eq!(accused, [3]);
}

#[test]
fn s5_blocks_below_the_commit_index_are_refused() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    // The leader turns bad.
    c.nodes.remove(&NodeId(0));
    c.run(1);
    let forge = Forge::of(&c);
    let honest = [1, 2, 3];
    let (height, before) = (c.height(1), log(&c, 1));
    let deep = Tip {
        header: before.blocks[&before.committed[&Height(1)]].header.clone(),
        frontier: {
            let mut frontier = wire::merkle::Frontier::default();
            frontier.extend(&before.blocks[&before.committed[&Height(1)]].leaves());
            frontier
        },
    };
    // A branch off height 1, up to above what is committed, the newest first and last.
    let mut branch = vec![];
    let mut tip = deep;
    while tip.header.height.0 < height + 2 {
        let (block, next) = tip.child(&c, 1, vec![], 7);
        branch.push(forge.append(0, 1, block, None));
        tip = next;
    }
    for message in branch.iter().rev().chain(&branch) {
        for to in honest {
            send(&mut c, 0, to, message.clone());
        }
    }
    assert!(c.halted.is_empty(), "{:?}", c.halted);
    assert_eq!(log(&c, 1).committed, before.committed);
    // The leader signed two proposals for each committed height, its first and the branch's: that is proof, and only
    // against the leader. Honest voters voted for none of it.
    assert_eq!(c.evidence.len(), honest.len());
    assert!(c.evidence.values().flatten().all(|e| e.accused() == NodeId(0)));
    let id = c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(10_000);
    assert_eq!(c.executed_on(&id), 3, "the next leader goes on");
    assert_one_chain(&c, &honest, "deep branch");
    assert_only_guilty(&c, &[0], "deep branch");
}

/// A replication certificate of term 1 for a block that lost to another in term 2 is history, not proof of anything.
#[test]
fn s5_an_old_withheld_certificate_published_late_halts_nobody() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    let forge = Forge::of(&c);
    let tip = log(&c, 0).tip;
    let lost = tip.child(&c, 1, vec![], 3).1.claim(&c, 1);
    c.nodes.remove(&NodeId(0));
    c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(4_000);
    let term = c.term(1);
    assert!(term >= 2);
    let new = log(&c, 1);
    assert!(new.committed[&lost.height] != lost.digest, "another block was committed there");
    let withheld = forge.certificate(Phase::Replicated, lost, &[0, 1, 2]);
    let standing = Standing { election: None, commit: forge.base(Phase::Certified) };
    for to in 1..4 {
        let vote = forge.election_vote_message(0, term + 1, withheld.clone(), standing.clone());
        send(&mut c, 0, to, vote);
    }
    assert!(c.halted.is_empty() && c.evidence.is_empty() && c.offences.is_empty(), "{:?}", c.offences);
    // It does not even disturb an election in which it takes part.
    c.network = Box::new(|l| match &l.message {
        PeerMessage::AppendEntries(_) | PeerMessage::Heartbeat(_) if l.from == NodeId(1) => Fate::Drop,
        _ => Fate::Deliver,
    });
    let id = c.submit_text(2, "alice", "transfer(A->B, 1%1)");
    c.run(10_000);
    assert!(c.term(2) > term && c.executed_on(&id) == 3);
    assert_only_guilty(&c, &[], "withheld");
    // Teeth: had it committed, by a commit certificate, every node that committed the other block must stop.
    let fork = forge.certificate(Phase::Certified, lost, &[0, 1, 2]);
    send(&mut c, 0, 2, PeerMessage::Standing(Box::new(Standing { election: None, commit: fork })));
    assert!(c.halted.contains_key(&NodeId(2)));
}

#[test]
fn s6_an_election_counts_certificates_and_not_claims() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    let forge = Forge::of(&c);
    let commit = log(&c, 0).commits.pop().unwrap();
    let standing = Standing { election: None, commit: commit.clone() };
    let infinite = Claim { term: Term(1), height: Height::MAX, digest: commit.claim.digest };
    let honest = forge.certificate(Phase::Replicated, commit.claim, &[0, 1, 2]);
    let mut offences = 0;
    let light = forge.certificate(Phase::Replicated, infinite, &[3]);
    let mut claims_more = forge.election_vote_message(3, 2, honest.clone(), standing.clone());
    if let PeerMessage::ElectionVote(message) = &mut claims_more {
        message.vote = forge.election_vote(3, 2, infinite);
    }
    let mut claims_bare = claims_more.clone();
    if let PeerMessage::ElectionVote(message) = &mut claims_bare {
        message.highest = None;
    }
    let own_term = forge.certificate(Phase::Replicated, Claim { term: Term(2), ..commit.claim }, &[0, 1, 2]);
    for bad in [
        forge.election_vote_message(3, 2, light.clone(), standing.clone()),
        claims_more,
        claims_bare,
        forge.election_vote_message(3, 2, own_term, standing.clone()),
        // An election of others that claims it.
        PeerMessage::Standing(Box::new(Standing {
            election: Some(forge.election(2, &[1, 2, 3], &light)),
            commit: commit.clone(),
        })),
    ] {
        offences += 1;
        send(&mut c, 3, 0, bad);
        assert_eq!(c.offences.len(), offences);
    }
    assert_eq!(c.term(0), 1);
    // Two claims in one election, the proof only of the lower.
    let mut mixed = forge.election(2, &[1, 2, 3], &honest);
    mixed.votes[2] = forge.election_vote(3, 2, infinite);
    send(&mut c, 3, 0, PeerMessage::Standing(Box::new(Standing { election: Some(mixed), commit: commit.clone() })));
    assert_eq!(c.offences.len(), offences + 1);
    assert_eq!(c.term(0), 1);
    // Teeth: with real claims the election counts.
    let election = forge.election(2, &[1, 2, 3], &honest);
    send(&mut c, 3, 0, PeerMessage::Standing(Box::new(Standing { election: Some(election), commit })));
    assert_eq!(c.term(0), 2);
}

#[test]
fn s8_a_term_never_decreases() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    let tape = tape(&mut c);
    c.run(50);
    c.set_up();
    c.crash(NodeId(0));
    c.submit_text(1, "alice", "transfer(A->B, 1%1)");
    c.run(4_000);
    c.start(NodeId(0));
    c.run(2_000);
    let terms: Vec<u64> = (0..4).map(|n| c.term(n)).collect();
    assert!(terms.iter().all(|t| *t >= 2));
    let log_root = c.nodes[&NodeId(2)].status().log_root;
    let first_term: Vec<Letter> = tape
        .borrow()
        .iter()
        .filter(|l| match &l.message {
            PeerMessage::Heartbeat(m) => m.heartbeat.unverified().term == Term(1),
            PeerMessage::AppendEntries(m) => m.proposal.unverified().term == Term(1),
            PeerMessage::Vote(v) => v.unverified().term == Term(1),
            PeerMessage::Standing(m) => m.election.is_none(),
            _ => false,
        })
        .cloned()
        .collect();
    assert!(first_term.len() > 20);
    let forge = Forge::of(&c);
    // A fresh, valid election of an old term, with which the node could be led back.
    let old = forge.election(1, &[1, 2, 3], &forge.base(Phase::Replicated));
    let standing = Standing { election: Some(old), commit: forge.base(Phase::Certified) };
    for to in c.ids() {
        for letter in &first_term {
            c.letters.push_back(Letter { to, ..letter.clone() });
        }
        c.post(NodeId(3), to, PeerMessage::Standing(Box::new(standing.clone())));
        let heartbeat = forge.heartbeat(0, 1, 99, standing.clone());
        c.post(NodeId(0), to, heartbeat);
    }
    c.run(1);
    // Also not over a restart.
    for id in c.ids() {
        c.crash(id);
        c.start(id);
    }
    c.run(1_000);
    for n in 0..4 {
        assert!(c.term(n) >= terms[usize::from(n)]);
    }
    assert_only_guilty(&c, &[], "old term");
    assert_eq!(c.nodes[&NodeId(2)].status().log_root, log_root);
}

/// Everything ever sent, to everyone, in any order and several times over: nothing changes.
#[test]
fn s10_replays_change_nothing() {
    for seed in evil::seeds(6) {
        let mut random = SplitMix::new(seed);
        let mut c = Cluster::new(FaultModel::Byzantine, 4);
        let tape = tape(&mut c);
        c.run(50);
        c.set_up();
        for n in 0..10 {
            c.submit_text(n % 4, "alice", "transfer(A->B, 1%1)");
            c.run(30);
        }
        if seed % 2 == 1 {
            c.crash(NodeId(0));
            c.submit_text(1, "alice", "transfer(A->B, 1%1)");
            c.run(4_000);
            c.start(NodeId(0));
        }
        c.run(3_000);
        let before: Vec<_> = (0..4).map(|n| log(&c, n).committed).collect();
        let letters = tape.borrow().clone();
        for _ in 0..2 * letters.len() {
            let letter = &letters[random.below(letters.len() as u64) as usize];
            let to = NodeId(random.below(4) as u16);
            if to != letter.from {
                c.letters.push_back(Letter { to, ..letter.clone() });
            }
        }
        c.run(0);
        let after: Vec<_> = (0..4).map(|n| log(&c, n).committed).collect();
        assert_eq!(after, before, "seed {seed}");
        assert!(c.offences.is_empty(), "seed {seed}: old messages are no offence: {:?}", c.offences);
        assert_only_guilty(&c, &[], &format!("seed {seed}"));
        let id = c.submit_text(2, "alice", "transfer(A->B, 1%1)");
        c.run(5_000);
        assert_eq!(c.executed_on(&id), 4, "seed {seed}");
        c.assert_equal(&[0, 1, 2, 3]);
    }
}

/// A cut-off, padded or foreign frame never becomes a message, and a statement of a stranger never counts.
#[test]
fn s14_frames_of_strangers_and_of_other_clusters_are_dropped() {
    let (mut c, forge, claim) = lonely_leader();
    let before = c.height(0);
    let other = Cluster::unstarted({
        let mut genesis = c.genesis.clone();
        genesis.name = wire::Name::new("other").unwrap();
        genesis
    });
    let foreign = Forge::of(&other);
    let good = forge.certificate(Phase::Certified, claim, &[1, 2, 3]);
    let theirs = foreign.certificate(Phase::Certified, claim, &[1, 2, 3]);
    let standing = |commit| PeerMessage::Standing(Box::new(Standing { election: None, commit }));
    send(&mut c, 1, 0, standing(theirs));
    for author in [1, 2, 3] {
        send_vote(&mut c, author, 0, foreign.vote(author, Phase::Replicated, claim));
        // Known nodes, unknown author.
        let stranger = Vote { author: NodeId(77), ..forge.vote(1, Phase::Replicated, claim).unverified().clone() };
        send_vote(&mut c, author, 0, forge.sign(author, stranger));
    }
    let heartbeat = foreign.heartbeat(0, 1, 5, forge.base_standing());
    send(&mut c, 1, 0, heartbeat);
    assert_eq!(c.offences.len(), 8, "{:?}", c.offences);
    assert_eq!(c.height(0), before);
    assert!(c.evidence.is_empty() && c.halted.is_empty());
    let frame = standing(good.clone()).to_frame();
    for cut in 4..frame.len() {
        assert!(PeerMessage::from_frame(&frame[4..cut]).is_err());
    }
    let mut padded = frame.clone();
    padded.push(0);
    assert!(PeerMessage::from_frame(&padded[4..]).is_err());
    // A list that claims four billion elements is refused before anything is allocated for it.
    let mut hostile = good.to_bytes();
    let at = hostile.len() - good.votes.iter().map(|v| v.to_bytes().len()).sum::<usize>() - 4;
    hostile[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(Certificate::from_bytes(&hostile).is_err());
    // Teeth.
    send(&mut c, 1, 0, standing(good));
    assert_eq!(c.height(0), before + 1);
}

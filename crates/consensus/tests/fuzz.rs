//! Hostile bytes for the decoder of the safety record: no panic, and one encoding for one record.

mod world;

use consensus::{Safety, VerifiedCertificate, VerifiedElection};
use proptest::prelude::*;
use wire::statement::Claim;
use wire::{
    BlockDigest, Certificate, Decode, ElectionCertificate, ElectionVote, Encode, Epoch, FaultModel, Hash, Height,
    NodeId, Phase, Statement, Term, Verified, Vote,
};

fn record() -> Safety {
    let cluster = world::genesis(FaultModel::Byzantine, 4).cluster_id();
    fn sign<T: Statement>(cluster: &wire::ClusterId, n: u16, value: T) -> Verified<T> {
        Verified::sign(cluster, value, &world::key(n)).unwrap()
    }
    let claim = Claim { term: Term(3), height: Height(9), digest: BlockDigest(Hash([5; 32])) };
    let vote = |n: u16, phase| {
        let Claim { term, height, digest } = claim;
        sign(&cluster, n, Vote { author: NodeId(n), epoch: Epoch(1), phase, term, height, digest })
    };
    let ask =
        |n: u16, term| sign(&cluster, n, ElectionVote { author: NodeId(n), epoch: Epoch(1), term: Term(term), claim });
    let votes = (0..3).map(|n| vote(n, Phase::Replicated).into_signed()).collect();
    let lock = Certificate { phase: Phase::Replicated, claim, headers: vec![], votes };
    let election = ElectionCertificate {
        term: Term(4),
        votes: (0..3).map(|n| ask(n, 4).into_signed()).collect(),
        highest: Some(lock.clone()),
    };
    Safety {
        entered: Term(4),
        election: Some(VerifiedElection::from_own_log(election)),
        election_vote: Some(ask(1, 5)),
        replicated: Some(vote(1, Phase::Replicated)),
        certified: Some(vote(1, Phase::Certified)),
        lock: VerifiedCertificate::from_own_log(lock),
    }
}

fn check(bytes: &[u8]) {
    if let Ok(safety) = Safety::from_bytes(bytes) {
        assert_eq!(safety.to_bytes(), bytes, "two encodings of one record");
    }
}

#[test]
fn a_record_comes_back_whole_and_never_in_part() {
    let bytes = record().to_bytes();
    assert_eq!(Safety::from_bytes(&bytes).as_ref(), Ok(&record()));
    for length in 0..bytes.len() {
        assert!(Safety::from_bytes(&bytes[..length]).is_err());
    }
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        check(&changed);
    }
    for at in 0..bytes.len() - 3 {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        check(&changed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_and_mutated(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        cut in 0usize..200,
    ) {
        check(&noise);
        let mut bytes = record().to_bytes();
        let at = at.index(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, noise);
        check(&bytes);
    }
}

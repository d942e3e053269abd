//! The hash of one encoding of every message: a change of the format is a decision, and shows here.
//!
//! If a change is meant: raise the version byte of what changed, run this test, and put in what it prints.

mod samples;

use std::fmt::Write;

use wire::Hash;

const GOLDEN: &str = include_str!("golden.txt");

#[test]
fn encodings_are_what_they_were() {
    let mut found = String::new();
    for sample in samples::all() {
        let (kind, name) = (format!("{:?}", sample.kind).to_lowercase(), sample.name);
        writeln!(found, "{kind:<11} {name:<18} {:>5} {}", sample.bytes.len(), Hash::of(&sample.bytes)).unwrap();
    }
    assert!(found == GOLDEN, "the format changed; if that is meant, tests/golden.txt becomes:\n{found}");
}

/// What everyone who joins a cluster must compute alike.
#[test]
fn names_by_hash_are_what_they_were() {
    let found = [
        samples::genesis().cluster_id().to_string(),
        samples::block().header.digest(&samples::cluster()).to_string(),
        samples::command(1).id(&samples::cluster()).to_string(),
        samples::command(1).leaf().to_string(),
    ];
    let expected: Vec<&str> = include_str!("golden_names.txt").lines().collect();
    assert_eq!(found.as_slice(), expected, "cluster id, block digest, command id, command leaf");
}

/// Every variant of every message has its sample, so that none can change unseen.
#[test]
fn every_peer_message_has_a_sample() {
    let tags: std::collections::BTreeSet<u8> =
        samples::all().iter().filter(|s| s.kind == samples::Kind::Peer).map(|s| s.bytes[5]).collect();
    assert_eq!(tags.into_iter().collect::<Vec<u8>>(), (1..=11).collect::<Vec<u8>>());
    assert!(wire::PeerMessage::from_frame(&[wire::peer::PEER_VERSION, 12]).is_err(), "a new message needs a sample");
}

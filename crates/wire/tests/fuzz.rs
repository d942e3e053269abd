//! Hostile bytes for every decoder: no panic, one encoding for one value, and nothing allocated on a claim alone.
//!
//! `JUNO_FUZZ_CASES` raises the number of cases for a soak.

mod samples;

use proptest::prelude::*;
use samples::{Kind, Sample};
use wire::merkle::Frontier;
use wire::statement::Reply;
use wire::stream::{ClientFrame, NodeFrame};
use wire::{
    Block, Certificate, Decode, ElectionCertificate, Encode, Evidence, Genesis, PeerMessage, Receipt, Signed,
    SignedCommand,
};

fn cases(everyday: u32) -> ProptestConfig {
    let cases = std::env::var("JUNO_FUZZ_CASES").ok().and_then(|s| s.parse().ok()).unwrap_or(everyday);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Decodes and encodes again: `None` if refused, and otherwise the bytes, which must be those that came.
fn again(kind: Kind, bytes: &[u8]) -> Option<Vec<u8>> {
    fn whole<T: Decode + Encode>(bytes: &[u8]) -> Option<Vec<u8>> {
        T::from_bytes(bytes).ok().map(|value| value.to_bytes())
    }
    // A frame's length is the reader's business; the decoder gets what follows it.
    let content = bytes.get(4..).unwrap_or_default();
    let framed = |frame: Option<Vec<u8>>| {
        frame.map(|mut frame| {
            let claimed = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
            assert_eq!(claimed, frame.len() - 4, "a frame says how long it is");
            frame[..4].copy_from_slice(&bytes[..4]);
            frame
        })
    };
    match kind {
        Kind::Peer => framed(PeerMessage::from_frame(content).ok().map(|m| m.to_frame())),
        Kind::Client => framed(ClientFrame::from_frame(content).ok().map(|m| m.to_frame())),
        Kind::Node => framed(NodeFrame::from_frame(content).ok().map(|m| m.to_frame())),
        Kind::Command => SignedCommand::from_bytes(bytes).ok().map(|c| {
            let body = c.unverified().to_bytes();
            assert_eq!(body, bytes[..body.len()], "what is signed is what was read");
            let signatures: Vec<u8> = c.signatures().flat_map(|(_, signature)| signature.0).collect();
            assert_eq!(c.bytes().as_ref(), bytes);
            [body, signatures].concat()
        }),
        Kind::Block => whole::<Block>(bytes),
        Kind::Certificate => whole::<Certificate>(bytes),
        Kind::Election => whole::<ElectionCertificate>(bytes),
        Kind::Evidence => whole::<Evidence>(bytes),
        Kind::Genesis => whole::<Genesis>(bytes),
        Kind::Receipt => whole::<Receipt>(bytes),
        Kind::Reply => whole::<Signed<Reply>>(bytes),
        Kind::Frontier => whole::<Frontier>(bytes),
    }
}

const KINDS: [Kind; 12] = [
    Kind::Peer,
    Kind::Client,
    Kind::Node,
    Kind::Command,
    Kind::Block,
    Kind::Certificate,
    Kind::Election,
    Kind::Evidence,
    Kind::Genesis,
    Kind::Receipt,
    Kind::Reply,
    Kind::Frontier,
];

fn check(kind: Kind, bytes: &[u8]) -> bool {
    match again(kind, bytes) {
        Some(encoded) => {
            assert_eq!(encoded, bytes, "{kind:?}: two encodings of one value");
            true
        }
        None => false,
    }
}

#[test]
fn samples_pass() {
    for Sample { name, bytes, kind } in samples::all() {
        assert!(check(kind, &bytes), "{name} must be readable");
    }
}

/// Every sample, cut off anywhere, and with anything after it.
#[test]
fn cut_off_and_padded() {
    for Sample { name, bytes, kind } in samples::all() {
        for length in 0..bytes.len() {
            assert!(again(kind, &bytes[..length]).is_none(), "{name} cut to {length}");
        }
        for byte in [0, 1, 0xff] {
            let mut padded = bytes.clone();
            padded.push(byte);
            assert!(again(kind, &padded).is_none(), "{name} with a byte more");
        }
    }
}

/// Every sample with each bit flipped in turn.
#[test]
fn every_flipped_bit() {
    for Sample { bytes, kind, .. } in samples::all() {
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            check(kind, &changed);
        }
    }
}

/// Every four bytes of every sample turned into an enormous length: refused, quickly, whatever they were. (That nothing
/// is set aside for four billion elements shows in that this test ends.)
#[test]
fn hostile_lengths_everywhere() {
    for Sample { bytes, kind, .. } in samples::all() {
        for at in 0..bytes.len().saturating_sub(3) {
            for length in [u32::MAX, 1 << 31, 1 << 20, 1 << 16] {
                let mut changed = bytes.clone();
                changed[at..at + 4].copy_from_slice(&length.to_be_bytes());
                check(kind, &changed);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Number(prop::sample::Index, u32),
    Splice(prop::sample::Index, prop::sample::Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    use Mutation::*;
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Set(at, byte)),
        (at(), 0u8..8).prop_map(|(at, bit)| Flip(at, bit)),
        (at(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, bytes)| Insert(at, bytes)),
        (at(), 1usize..100).prop_map(|(at, n)| Remove(at, n)),
        (at(), 1usize..200).prop_map(|(at, n)| Repeat(at, n)),
        (at(), prop_oneof![0u32..8, Just(u32::MAX), any::<u32>()]).prop_map(|(at, n)| Number(at, n)),
        (at(), at(), 1usize..200).prop_map(|(from, to, n)| Splice(from, to, n)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Mutation::Insert(at, more) => {
            let at = at.index(length);
            bytes.splice(at..at, more.iter().copied());
        }
        Mutation::Remove(at, n) => {
            let at = at.index(length);
            bytes.drain(at..(at + n).min(length));
        }
        Mutation::Repeat(at, n) => {
            let at = at.index(length);
            let part = bytes[at..(at + n).min(length)].to_vec();
            bytes.splice(at..at, part);
        }
        Mutation::Number(at, n) => {
            let at = at.index(length);
            for (byte, value) in bytes[at..].iter_mut().zip(n.to_be_bytes()) {
                *byte = value;
            }
        }
        Mutation::Splice(from, to, n) => {
            let (from, to) = (from.index(length), to.index(length));
            let part = bytes[from..(from + n).min(length)].to_vec();
            for (byte, value) in bytes[to..].iter_mut().zip(part) {
                *byte = value;
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600), tag in 0u8..12) {
        for kind in KINDS {
            check(kind, &bytes);
            // Behind a good version byte and a known tag more is reached.
            let frame = [&[0, 0, 0, 0, 1, tag], bytes.as_slice()].concat();
            check(kind, &frame);
        }
    }

    #[test]
    fn mutated_messages(which in any::<prop::sample::Index>(), changes in prop::collection::vec(mutation(), 1..5)) {
        thread_local!(static SAMPLES: Vec<Sample> = samples::all());
        SAMPLES.with(|samples| {
            let Sample { bytes, kind, .. } = which.get(samples);
            let mut bytes = bytes.clone();
            changes.iter().for_each(|change| mutate(&mut bytes, change));
            check(*kind, &bytes);
        });
    }

    /// Bytes of one type never pass for another of the signed statements: their signatures cannot be moved either.
    #[test]
    fn one_type_read_as_another(which in any::<prop::sample::Index>(), kind in 0usize..KINDS.len()) {
        thread_local!(static SAMPLES: Vec<Sample> = samples::all());
        SAMPLES.with(|samples| {
            let sample = which.get(samples);
            check(KINDS[kind], &sample.bytes);
        });
    }
}

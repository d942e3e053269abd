//! The edge cases on which Ed25519 implementations disagree, as vectors with ZIP-215's verdicts.
//!
//! Run as tests, and as a self-test when a node starts: a processor-specific backend that judged one of these
//! differently would fork the ledger, so such a node must not start.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use thiserror::Error;

use crate::keys::{Item, PublicKey, SecretKey, Signature, verify_batch};

/// One vector: a signature and the verdict every replica must reach.
#[derive(Debug, Clone)]
pub struct Vector {
    /// What the vector is about.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// The message.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Signature,
    /// ZIP-215's verdict.
    pub valid: bool,
}

/// This machine's Ed25519 disagrees with ZIP-215.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Ed25519 self-test failed on vector {vector:?} ({how}): this build or processor must not vote")]
pub struct SelfTestError {
    /// The vector's name.
    pub vector: String,
    /// Singly or in a batch.
    pub how: &'static str,
}

/// Every encoding, canonical or not, of the eight points of small order.
pub fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut encodings: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|p| p.compress().0).collect();
    // y = p + 0 ..= p + 18 fit in 255 bits without being reduced; and x = 0 with its sign bit set.
    for low in 0u8..19 {
        for sign in [0u8, 0x80] {
            let mut y = [0xff; 32];
            y[0] = 0xed + low;
            y[31] = 0x7f | sign;
            encodings.push(y);
        }
    }
    for low in [0x01u8, 0xec] {
        let mut y = [if low == 1 { 0 } else { 0xff }; 32];
        y[0] = low;
        y[31] = if low == 1 { 0x80 } else { 0xff };
        encodings.push(y);
    }
    encodings.retain(|e| CompressedEdwardsY(*e).decompress().is_some_and(|p| p.is_small_order()));
    encodings.sort_unstable();
    encodings.dedup();
    encodings
}

/// The order of the group, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn plus_order(s: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut carry = 0u16;
    for (n, byte) in out.iter_mut().enumerate() {
        let sum = u16::from(s[n]) + u16::from(L[n]) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    out
}

/// All vectors.
pub fn vectors() -> Vec<Vector> {
    let mut out = Vec::new();
    let small = small_order_encodings();
    // With s = 0 and A, R of small order, 8(R + kA) = 0 whatever k is: valid under ZIP-215, refused by cofactorless or
    // canonical-only checks.
    for (i, a) in small.iter().enumerate() {
        for (j, r) in small.iter().enumerate() {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            out.push(Vector {
                name: format!("small order, A {i}, R {j}, s = 0"),
                key: PublicKey(*a),
                message: b"Zcash".to_vec(),
                signature: Signature(signature),
                valid: true,
            });
        }
    }
    let secret = SecretKey::from_seed([7; 32]);
    let message = b"juno".to_vec();
    let good = secret.sign_bytes(&message);
    let mut push = |name: &str, key: PublicKey, message: &[u8], signature: [u8; 64], valid: bool| {
        out.push(Vector {
            name: name.to_owned(),
            key,
            message: message.to_vec(),
            signature: Signature(signature),
            valid,
        });
    };
    push("honest", secret.public(), &message, good.0, true);
    push("another message", secret.public(), b"junx", good.0, false);
    push("another key", SecretKey::from_seed([8; 32]).public(), &message, good.0, false);
    let mut s_plus_order = good.0;
    s_plus_order[32..].copy_from_slice(&plus_order(&good.0[32..]));
    push("s not reduced (s + L)", secret.public(), &message, s_plus_order, false);
    let mut s_high = good.0;
    s_high[63] |= 0xe0;
    push("s with its high bits set", secret.public(), &message, s_high, false);
    // y = 2 is on no point of the curve.
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    debug_assert!(CompressedEdwardsY(off_curve).decompress().is_none());
    let mut r_off_curve = good.0;
    r_off_curve[..32].copy_from_slice(&off_curve);
    push("R not on the curve", secret.public(), &message, r_off_curve, false);
    push("A not on the curve", PublicKey(off_curve), &message, good.0, false);
    // An honest R replaced by R + T for a torsion point T: k changes, so it must be refused.
    let r = CompressedEdwardsY(good.0[..32].try_into().expect("32 bytes")).decompress().expect("an honest R");
    let mut r_torsion = good.0;
    r_torsion[..32].copy_from_slice(&(r + EIGHT_TORSION[1]).compress().0);
    push("R with a torsion component, not re-signed", secret.public(), &message, r_torsion, false);
    for &(name, key, r, s) in MIXED_ORDER {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(r);
        signature[32..].copy_from_slice(s);
        push(name, PublicKey(*key), b"juno", signature, true);
    }
    out
}

type MixedOrder = (&'static str, &'static [u8; 32], &'static [u8; 32], &'static [u8; 32]);

/// Signatures whose key or R has a torsion component and which satisfy only the cofactored equation. Generated by the
/// test `mixed_order_vectors_are_what_they_claim`, which makes them again and compares.
const MIXED_ORDER: &[MixedOrder] = &include!("edge_mixed.in");

/// Checks every vector singly and in batches together with honest signatures.
pub fn self_test() -> Result<(), SelfTestError> {
    let vectors = vectors();
    let fail = |vector: &Vector, how| Err(SelfTestError { vector: vector.name.clone(), how });
    for vector in &vectors {
        if vector.key.verify(&vector.message, &vector.signature).is_ok() != vector.valid {
            return fail(vector, "singly");
        }
    }
    // One batch of all, which falls back to single checks, and one of the valid ones only, which must pass whole.
    for only_valid in [false, true] {
        let chosen: Vec<&Vector> = vectors.iter().filter(|v| v.valid || !only_valid).collect();
        let items: Vec<Item<'_>> = chosen.iter().map(|v| (v.key, v.message.as_slice(), v.signature)).collect();
        for (vector, verdict) in chosen.iter().zip(verify_batch(&items)) {
            if verdict.is_ok() != vector.valid {
                return fail(vector, "in a batch");
            }
        }
    }
    // Each invalid one beside a single honest signature, so that the batch equation itself must refuse it.
    let honest = vectors.iter().find(|v| v.name == "honest").expect("listed above");
    for vector in vectors.iter().filter(|v| !v.valid) {
        let items = [honest, vector].map(|v| (v.key, v.message.as_slice(), v.signature));
        if verify_batch(&items) != [Ok(()), Err(crate::keys::BadSignature)] {
            return fail(vector, "in a batch of two");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT as B;
    use curve25519_dalek::scalar::Scalar;
    use sha2::{Digest, Sha512};

    #[test]
    fn there_are_fourteen_small_order_encodings() {
        assert_eq!(small_order_encodings().len(), 14);
    }

    #[test]
    fn self_test_passes() {
        assert_eq!(self_test(), Ok(()));
        assert!(vectors().len() > 200);
    }

    type Made = (String, [u8; 32], [u8; 32], [u8; 32]);

    fn mixed() -> Vec<Made> {
        let mut out = Vec::new();
        for (key_torsion, r_torsion) in [(1, 0), (0, 1), (1, 3), (4, 0), (2, 6)] {
            let a = Scalar::from(123_456_789u64);
            let nonce = Scalar::from(987_654_321u64);
            let key = (B * a + EIGHT_TORSION[key_torsion]).compress().0;
            let r = (B * nonce + EIGHT_TORSION[r_torsion]).compress().0;
            let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(b"juno").finalize();
            let k = Scalar::from_bytes_mod_order_wide(&hash.into());
            let s = nonce + k * a;
            out.push((format!("torsion {key_torsion} in A, {r_torsion} in R"), key, r, s.to_bytes()));
        }
        out
    }

    #[test]
    fn mixed_order_vectors_are_what_they_claim() {
        let made = mixed();
        assert_eq!(made.len(), MIXED_ORDER.len());
        for ((name, key, r, s), kept) in made.iter().zip(MIXED_ORDER) {
            assert_eq!((name.as_str(), key, r, s), *kept);
        }
    }

    #[test]
    #[ignore = "prints edge_mixed.in anew"]
    fn print_mixed_order_vectors() {
        let hex = |b: &[u8]| b.iter().map(|x| format!("\\x{x:02x}")).collect::<String>();
        for (name, key, r, s) in mixed() {
            println!("    ({name:?}, b\"{}\", b\"{}\", b\"{}\"),", hex(&key), hex(&r), hex(&s));
        }
    }
}

//! Seeded generators: one for each concern, so that a change in how one is used leaves the others as they were.
//!
//! The generator is xoshiro256**, seeded by splitmix64 from a hash of the run's seed and the concern's name. It is small,
//! fast, the same on every machine, and no secret.

use sha2::{Digest, Sha256};

/// A generator.
#[derive(Debug, Clone)]
pub struct Random([u64; 4]);

impl Random {
    /// The generator of one concern of a run.
    pub fn of(seed: u64, concern: &str) -> Random {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        hash.update(concern.as_bytes());
        let digest = hash.finalize();
        let word = |n: usize| u64::from_be_bytes(digest[8 * n..8 * n + 8].try_into().expect("eight bytes"));
        Random([word(0), word(1), word(2), word(3) | 1])
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.draw() % bound }
    }

    /// An index below `bound`; 0 if `bound` is 0.
    pub fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `per_mille` of 1000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of `of`, or nothing if there is nothing.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let n = self.index(of.len());
        of.get(n)
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.index(n + 1));
        }
    }

    /// A random part of `0..count`, each with the given chance.
    pub fn part(&mut self, count: usize, per_mille: u64) -> Vec<usize> {
        (0..count).filter(|_| self.chance(per_mille)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concerns_are_apart_and_repeatable() {
        let draws = |concern| {
            let mut random = Random::of(7, concern);
            [random.draw(), random.draw(), random.draw()]
        };
        assert_eq!(draws("network"), draws("network"));
        assert_ne!(draws("network"), draws("disk"));
    }
}

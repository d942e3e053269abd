//! Counting replies: when is what the nodes say about one command true?
//!
//! Weight above `F` of nodes whose *verified* replies hold the identical receipt. The counter knows nothing of
//! signatures; its caller hands it only what was verified, together with the place of the author in the membership.

use wire::Receipt;

/// A set of voters by their place in the membership. No allocation up to 64 voters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VoterSet {
    low: u64,
    high: Vec<u64>,
}

impl VoterSet {
    /// Adds a voter; false if it was there already.
    pub fn insert(&mut self, place: usize) -> bool {
        let word = match place / 64 {
            0 => &mut self.low,
            n => {
                if self.high.len() < n {
                    self.high.resize(n, 0);
                }
                &mut self.high[n - 1]
            }
        };
        let bit = 1 << (place % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// True if the voter is in the set.
    pub fn contains(&self, place: usize) -> bool {
        let word = match place / 64 {
            0 => self.low,
            n => self.high.get(n - 1).copied().unwrap_or(0),
        };
        word & (1 << (place % 64)) != 0
    }
}

/// What one more verified receipt means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Not enough yet.
    Waiting,
    /// This voter said exactly this before.
    Repeated,
    /// This voter said something else before; from now on nothing it says of this command counts.
    TwoReceipts,
    /// Enough voters agree on the receipt just added.
    Accepted,
}

/// The receipts heard of for one command, by voter.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    votes: Vec<(usize, Receipt)>,
    liars: VoterSet,
}

impl Tally {
    /// Adds the verified receipt of the voter at `place`; `weights` are those of the membership, in its order.
    pub fn add(&mut self, place: usize, receipt: &Receipt, weights: &[u64], faulty_weight: u64) -> Step {
        if self.liars.contains(place) {
            return Step::Repeated;
        }
        if let Some(n) = self.votes.iter().position(|(voter, _)| *voter == place) {
            if self.votes[n].1 == *receipt {
                return Step::Repeated;
            }
            self.votes.swap_remove(n);
            self.liars.insert(place);
            return Step::TwoReceipts;
        }
        self.votes.push((place, receipt.clone()));
        let agreeing = self.votes.iter().filter(|(_, r)| r == receipt).map(|(voter, _)| weights[*voter]);
        if agreeing.sum::<u64>() > faulty_weight { Step::Accepted } else { Step::Waiting }
    }

    /// What the voter said, if it counts so far.
    pub fn said(&self, place: usize) -> Option<&Receipt> {
        self.votes.iter().find(|(voter, _)| *voter == place).map(|(_, receipt)| receipt)
    }

    /// Voters, and whether each said `receipt`.
    pub fn voters<'a>(&'a self, receipt: &'a Receipt) -> impl Iterator<Item = (usize, bool)> + 'a {
        self.votes.iter().map(move |(voter, r)| (*voter, r == receipt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{CommandId, Hash, Height, Index, Outcome};

    fn receipt(index: u64) -> Receipt {
        Receipt {
            index: Index(index),
            height: Height(1),
            command: CommandId(Hash([1; 32])),
            outcome: Outcome::applied(),
            diff: Hash::ZERO,
            cost: [0; 6],
            result: Vec::new(),
        }
    }

    #[test]
    fn weight_above_f_of_identical_receipts() {
        let weights = [1, 1, 1, 1];
        let mut tally = Tally::default();
        assert_eq!(tally.add(0, &receipt(1), &weights, 1), Step::Waiting);
        assert_eq!(tally.add(0, &receipt(1), &weights, 1), Step::Repeated, "one voter counts once");
        assert_eq!(tally.add(1, &receipt(2), &weights, 1), Step::Waiting, "another receipt is another count");
        assert_eq!(tally.add(3, &receipt(1), &weights, 1), Step::Accepted);
    }

    #[test]
    fn weights_count_not_heads() {
        let weights = [1, 1, 1, 5];
        let mut tally = Tally::default();
        assert_eq!(tally.add(0, &receipt(1), &weights, 2), Step::Waiting);
        assert_eq!(tally.add(1, &receipt(1), &weights, 2), Step::Waiting);
        assert_eq!(tally.add(2, &receipt(1), &weights, 2), Step::Accepted);
        assert_eq!(Tally::default().add(3, &receipt(1), &weights, 2), Step::Accepted);
        assert_eq!(Tally::default().add(0, &receipt(1), &weights, 0), Step::Accepted, "with F = 0 one is enough");
    }

    #[test]
    fn a_voter_with_two_stories_loses_its_vote() {
        let weights = [1, 1, 1, 1];
        let mut tally = Tally::default();
        assert_eq!(tally.add(0, &receipt(1), &weights, 1), Step::Waiting);
        assert_eq!(tally.add(0, &receipt(2), &weights, 1), Step::TwoReceipts);
        assert_eq!(tally.add(0, &receipt(1), &weights, 1), Step::Repeated);
        assert_eq!(tally.add(1, &receipt(1), &weights, 1), Step::Waiting);
        assert_eq!(tally.add(2, &receipt(1), &weights, 1), Step::Accepted);
    }

    #[test]
    fn voter_sets_grow() {
        let mut set = VoterSet::default();
        for place in [0, 63, 64, 4095] {
            assert!(set.insert(place));
            assert!(!set.insert(place));
            assert!(set.contains(place));
        }
        assert!(!set.contains(1) && !set.contains(65) && !set.contains(100_000));
    }
}

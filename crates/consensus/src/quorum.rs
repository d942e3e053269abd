//! Quorum arithmetic, apart from everything that uses it.
//!
//! With total weight `W` and faulty weight at most `F`:
//!
//! | fault model | requires | quorum `q`, the smallest sufficient weight |
//! |---|---|---|
//! | byzantine | `W >= 3F + 1` | `floor((W + F) / 2) + 1` |
//! | crash | `W >= 2F + 1` | `floor(W / 2) + 1` |
//!
//! Two quorums then share weight `2q - W > F` (byzantine), so an honest voter; and the honest voters alone reach one,
//! `W - F >= q`. [`QuorumReached`] and [`OneHonest`] are proofs of different facts; neither converts into the other.

use std::collections::BTreeSet;

use wire::{FaultModel, Membership, NodeId};

use crate::rules::{Rule, Rules, Standard};

/// Proof that distinct voters of weight at least `q` said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumReached(());

/// Proof that distinct voters of weight above `F` said something, so that one honest voter did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneHonest(());

/// The thresholds of one membership.
#[derive(Debug, Clone)]
pub struct Quorum {
    weights: Vec<(NodeId, u64)>,
    faulty: u64,
    quorum: u64,
}

impl Quorum {
    /// The thresholds of `membership`, which [`wire::Genesis::check`] has found sound.
    pub fn new(membership: &Membership) -> Quorum {
        Quorum::under::<Standard>(membership)
    }

    /// The thresholds under rules of the caller's.
    pub fn under<R: Rules>(membership: &Membership) -> Quorum {
        let total = membership.total_weight();
        let faulty = membership.faulty_weight;
        Quorum {
            weights: membership.voters.iter().map(|v| (v.id, v.weight)).collect(),
            faulty,
            quorum: match R::holds(Rule::QuorumIntersection) {
                true => quorum_weight(membership.fault_model, total, faulty),
                false => total / 2 + 1,
            },
        }
    }

    /// `q`.
    pub fn weight(&self) -> u64 {
        self.quorum
    }

    /// The weight of one voter; nobody else has any.
    pub fn weight_of(&self, node: NodeId) -> u64 {
        self.weights.binary_search_by_key(&node, |(id, _)| *id).map_or(0, |n| self.weights[n].1)
    }

    /// The weight of a set of voters. A set, so that nobody counts twice.
    pub fn weight_of_all(&self, nodes: &BTreeSet<NodeId>) -> u64 {
        nodes.iter().map(|node| self.weight_of(*node)).sum()
    }

    /// Proof that `nodes` are a quorum, if they are.
    pub fn reached(&self, nodes: &BTreeSet<NodeId>) -> Option<QuorumReached> {
        (self.weight_of_all(nodes) >= self.quorum).then_some(QuorumReached(()))
    }

    /// Proof that an honest voter is among `nodes`, if that must be so.
    pub fn one_honest(&self, nodes: &BTreeSet<NodeId>) -> Option<OneHonest> {
        (self.weight_of_all(nodes) > self.faulty).then_some(OneHonest(()))
    }
}

fn quorum_weight(model: FaultModel, total: u64, faulty: u64) -> u64 {
    match model {
        FaultModel::Byzantine => (total + faulty) / 2 + 1,
        FaultModel::Crash => total / 2 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Epoch, Genesis, Name, PublicKey, Voter};

    fn membership(fault_model: FaultModel, faulty_weight: u64, weights: &[u64]) -> Membership {
        let voter = |(n, weight): (usize, &u64)| Voter {
            id: NodeId(n as u16),
            name: Name::new(&format!("n{n}")).unwrap(),
            key: PublicKey([n as u8; 32]),
            weight: *weight,
        };
        Membership {
            epoch: Epoch(1),
            fault_model,
            faulty_weight,
            voters: weights.iter().enumerate().map(voter).collect(),
        }
    }

    fn subsets(n: usize) -> impl Iterator<Item = BTreeSet<NodeId>> {
        (0u32..1 << n).map(move |bits| (0..n as u16).filter(|i| bits >> i & 1 == 1).map(NodeId).collect())
    }

    #[test]
    fn the_table_of_the_specification() {
        for (n, q) in [(4, 3), (5, 4), (6, 4), (7, 5), (10, 7), (13, 9)] {
            let faulty = Genesis::faulty_weight_max(FaultModel::Byzantine, n);
            assert_eq!(quorum_weight(FaultModel::Byzantine, n, faulty), q, "n = {n}");
        }
        for (n, q) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            assert_eq!(quorum_weight(FaultModel::Crash, n, 0), q, "n = {n}");
        }
    }

    /// Every weighting of up to six voters with weights 1 to 3, every allowed F, every pair of quorums.
    #[test]
    fn quorums_intersect_where_they_must_and_the_honest_reach_one() {
        for n in 1..=6usize {
            for code in 0..3usize.pow(n as u32) {
                let weights: Vec<u64> = (0..n).map(|i| (code / 3usize.pow(i as u32) % 3 + 1) as u64).collect();
                let total: u64 = weights.iter().sum();
                for model in [FaultModel::Byzantine, FaultModel::Crash] {
                    for faulty in 0..=Genesis::faulty_weight_max(model, total) {
                        check(&membership(model, faulty, &weights), n);
                    }
                }
            }
        }
    }

    fn check(membership: &Membership, n: usize) {
        let quorum = Quorum::new(membership);
        let (total, faulty) = (membership.total_weight(), membership.faulty_weight);
        // Any two sets of weight q share at least 2q - W.
        let shared = 2 * quorum.weight() - total;
        match membership.fault_model {
            FaultModel::Byzantine => assert!(shared > faulty, "{membership:?}"),
            FaultModel::Crash => assert!(shared > 0, "{membership:?}"),
        }
        assert!(total - faulty >= quorum.weight(), "{membership:?}");
        for set in subsets(n) {
            let weight = quorum.weight_of_all(&set);
            assert_eq!(quorum.reached(&set).is_some(), weight >= quorum.weight());
            assert_eq!(quorum.one_honest(&set).is_some(), weight > faulty);
        }
    }

    #[test]
    fn strangers_weigh_nothing() {
        let quorum = Quorum::new(&membership(FaultModel::Byzantine, 1, &[1; 4]));
        assert_eq!(quorum.weight_of(NodeId(77)), 0);
        assert!(quorum.reached(&(4..100).map(NodeId).collect()).is_none());
    }
}

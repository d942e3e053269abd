//! How long a frame is under way from one node to another.

use std::collections::{BTreeMap, BTreeSet};

use store::SplitMix;

/// One region's round trip to another, milliseconds: half of all stay below the first, nine of ten below the second.
type RoundTrip = (f64, f64);

/// Delays on the critical path, nanoseconds, without any work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ways {
    /// From a gateway to the leader, in the middle of all gateways.
    pub forward: f64,
    /// With every vote to every voter: from proposal to commit at the leader, and at F + 1 nodes.
    pub broadcast: [f64; 2],
    /// With votes to the leader and certificates from it: the same.
    pub collector: [f64; 2],
}

/// Delays between nodes. Drawn in the order of the events, so that a seed decides them all.
#[derive(Debug, Clone)]
pub struct Links {
    nodes: usize,
    constant_ns: u64,
    /// By region, from and to; none for a constant delay.
    matrix: BTreeMap<(usize, usize), RoundTrip>,
    regions: usize,
    draw: SplitMix,
}

impl Links {
    /// The same delay, in nanoseconds one way, between any two of `nodes` nodes.
    pub fn constant(nodes: usize, delay_ns: f64) -> Links {
        let constant_ns = delay_ns.round() as u64;
        Links { nodes, constant_ns, matrix: BTreeMap::new(), regions: 0, draw: SplitMix::new(0) }
    }

    /// Delays from a table of round trips, `from,to,rtt_ms_p50,rtt_ms_p90`; the nodes are spread over its regions.
    ///
    /// # Errors
    /// If the text is not such a table, or lacks a pair of regions.
    pub fn matrix(nodes: usize, text: &str, seed: u64) -> Result<Links, String> {
        let mut lines = text.lines();
        if lines.next().map(str::trim) != Some("from,to,rtt_ms_p50,rtt_ms_p90") {
            return Err("a table of round trips begins with from,to,rtt_ms_p50,rtt_ms_p90".into());
        }
        let mut rows: BTreeMap<(&str, &str), RoundTrip> = BTreeMap::new();
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            let fields: Vec<&str> = line.split(',').collect();
            let wrong = || format!("not a row of round trips: {line}");
            let [from, to, half, most] = fields[..] else { return Err(wrong()) };
            let ms = |text: &str| text.parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms >= 0.0).ok_or_else(wrong);
            rows.insert((from, to), (ms(half)?, ms(most)?));
        }
        let names: BTreeSet<&str> = rows.keys().map(|(from, _)| *from).collect();
        let names: Vec<&str> = names.into_iter().collect();
        // Spread evenly over the sorted list, so that few nodes do not all stand in its first regions.
        let used: Vec<&str> = match nodes < names.len() {
            true => (0..nodes).map(|n| names[n * names.len() / nodes]).collect(),
            false => names,
        };
        let mut matrix = BTreeMap::new();
        for (a, from) in used.iter().enumerate() {
            for (b, to) in used.iter().enumerate() {
                let found = rows.get(&(*from, *to)).or_else(|| rows.get(&(*to, *from)));
                matrix.insert((a, b), *found.ok_or_else(|| format!("no round trip from {from} to {to}"))?);
            }
        }
        let regions = used.len();
        Ok(Links { nodes, constant_ns: 0, matrix, regions, draw: SplitMix::new(seed) })
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Nanoseconds one way for the next frame.
    pub fn delay_ns(&mut self, from: usize, to: usize) -> u64 {
        if self.matrix.is_empty() {
            return self.constant_ns;
        }
        let (half, most) = self.matrix[&(from % self.regions, to % self.regions)];
        let place = self.draw.below(1000) as f64 / 1000.0;
        // Straight from the median through the ninetieth percentile; below the median little varies.
        let ms = half + (most - half).max(0.0) * ((place - 0.5) / 0.4).max(0.0);
        (ms / 2.0 * 1e6).round() as u64
    }

    /// The median of a delay, nanoseconds one way.
    fn usual_ns(&self, from: usize, to: usize) -> f64 {
        match self.matrix.get(&(from % self.regions.max(1), to % self.regions.max(1))) {
            Some((half, _)) => half / 2.0 * 1e6,
            None => self.constant_ns as f64,
        }
    }

    /// The delays on the critical path, of usual ones, where node 0 leads and everyone waits for `quorum` votes.
    pub fn ways(&self, quorum: usize) -> Ways {
        let n = self.nodes;
        let nth = |mut all: Vec<f64>, place: usize| {
            all.sort_unstable_by(f64::total_cmp);
            all[place.min(all.len()) - 1]
        };
        // A node's own vote takes no time to reach it.
        let way = |from: usize, to: usize| if from == to { 0.0 } else { self.usual_ns(from, to) };
        let round = |at: &[f64]| -> Vec<f64> {
            (0..n).map(|to| nth((0..n).map(|from| at[from] + way(from, to)).collect(), quorum)).collect()
        };
        let proposed: Vec<f64> = (0..n).map(|to| way(0, to)).collect();
        let committed = round(&round(&proposed));
        let there_and_back = nth((0..n).map(|to| way(0, to) + way(to, 0)).collect(), quorum);
        let answers = (n - 1) / 3 + 1;
        Ways {
            forward: nth((0..n).map(|from| way(from, 0)).collect(), n / 2 + 1),
            broadcast: [committed[0], nth(committed, answers)],
            collector: [2.0 * there_and_back, 2.0 * there_and_back + nth(proposed, answers)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_round_trips() {
        let text = "from,to,rtt_ms_p50,rtt_ms_p90\na,a,1,2\na,b,10,20\nb,b,1,2\n";
        let mut links = Links::matrix(4, text, 7).unwrap();
        for _ in 0..100 {
            let ns = links.delay_ns(0, 1);
            assert!((5_000_000..=11_300_000).contains(&ns), "{ns}");
            assert!(links.delay_ns(1, 3) < 2_000_000);
        }
        // Nodes 0 and 2 stand in region a: a quorum of three needs one of the other region, twice.
        let ways = links.ways(3);
        assert_eq!((ways.broadcast[0], ways.collector[0]), (10_500_000.0, 20_000_000.0));
        let ways = Links::constant(4, 50.0).ways(3);
        assert_eq!((ways.forward, ways.broadcast, ways.collector), (50.0, [150.0; 2], [200.0, 250.0]));
        assert!(Links::matrix(4, "x", 7).is_err());
        assert!(Links::matrix(4, "from,to,rtt_ms_p50,rtt_ms_p90\na,a,1,2\nb,b,1,2\n", 7).is_err());
    }
}

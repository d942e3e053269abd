//! The network: who can reach whom, how long it takes, and what gets lost, doubled or overtaken.
//!
//! Delays come from a round-trip matrix: half a round trip, between four fifths of the median and twice the ninetieth
//! percentile. Every machine sits in one region of the matrix. On top of that the safety phase may lose, double and
//! hold back messages anywhere, and a schedule of faults cuts or slows links for a time, in one direction or both.
//! A cut link loses what is sent into it; what was under way still arrives.

use crate::random::Random;

/// One-way delays between regions, in microseconds: half the median and half the ninetieth percentile round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    delays: Vec<Vec<(u64, u64)>>,
}

impl Matrix {
    /// Reads a table with the columns `from,to,rtt_ms_p50,rtt_ms_p90`, the first line being the header.
    ///
    /// # Errors
    /// What is wrong, and in which line. A pair that is missing is an error too.
    pub fn parse(text: &str) -> Result<Matrix, String> {
        let mut names: Vec<&str> = Vec::new();
        let mut rows: Vec<(usize, usize, u64, u64)> = Vec::new();
        for (n, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |what: &str| format!("line {}: {what}", n + 1);
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            let [from, to, p50, p90] = columns[..] else { return Err(wrong("four columns are wanted")) };
            let mut number = |name| match names.iter().position(|known| *known == name) {
                Some(at) => at,
                None => {
                    names.push(name);
                    names.len() - 1
                }
            };
            let (from, to) = (number(from), number(to));
            let p50 = microseconds(p50).ok_or_else(|| wrong("the median is no number of milliseconds"))? / 2;
            let p90 = microseconds(p90).ok_or_else(|| wrong("the percentile is no number of milliseconds"))? / 2;
            rows.push((from, to, p50, p90.max(p50)));
        }
        let mut delays = vec![vec![None; names.len()]; names.len()];
        for (from, to, p50, p90) in rows {
            delays[from][to] = Some((p50, p90));
        }
        let full =
            delays.into_iter().map(|row| row.into_iter().collect::<Option<Vec<_>>>()).collect::<Option<Vec<_>>>();
        match full {
            Some(delays) if !delays.is_empty() => Ok(Matrix { delays }),
            _ => Err("every pair of regions needs a line".to_owned()),
        }
    }

    /// A matrix of so many regions, with medians up to `one_way_us_max`.
    pub fn generated(random: &mut Random, regions: usize, one_way_us_max: u64) -> Matrix {
        let mut half: Vec<Vec<(u64, u64)>> = Vec::with_capacity(regions);
        for a in 0..regions {
            let to = |b: usize, random: &mut Random| {
                let far = if a == b { 300 } else { one_way_us_max };
                let p50 = random.between(50, far.max(51));
                (p50, p50 + random.below(p50))
            };
            half.push((0..=a).map(|b| to(b, random)).collect());
        }
        // The same in both directions.
        let delays = (0..regions).map(|a| (0..regions).map(|b| half[a.max(b)][a.min(b)]).collect()).collect();
        Matrix { delays }
    }

    /// Regions.
    pub fn regions(&self) -> usize {
        self.delays.len()
    }

    /// A matrix of the same shape that keeps only these regions.
    pub fn only(&self, regions: &[usize]) -> Matrix {
        let row = |a: &usize| regions.iter().map(|b| self.delays[*a][*b]).collect();
        Matrix { delays: regions.iter().map(row).collect() }
    }

    /// The longest delay that [`Matrix::delay_us`] gives.
    pub fn longest_us(&self) -> u64 {
        self.delays.iter().flatten().map(|(_, p90)| 2 * p90).max().unwrap_or(0)
    }

    /// The delay of one message.
    pub fn delay_us(&self, random: &mut Random, from: usize, to: usize) -> u64 {
        let (p50, p90) = self.delays[from % self.delays.len()][to % self.delays.len()];
        match random.below(100) {
            0..50 => random.between(p50 * 4 / 5, p50),
            50..90 => random.between(p50, p90),
            _ => random.between(p90, 2 * p90),
        }
    }
}

/// A decimal number of milliseconds, in microseconds.
fn microseconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

/// What may happen to any message, in parts per thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// Lost.
    pub loss: u64,
    /// Delivered twice.
    pub duplication: u64,
    /// Held back for up to `held_us_max` more, so that later ones overtake it.
    pub holding: u64,
    /// See `holding`.
    pub held_us_max: u64,
}

/// One direction between two machines.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    cut_until_us: u64,
    slow_until_us: u64,
    slow_us: u64,
}

/// Links between all machines.
#[derive(Debug, Clone)]
pub struct Network {
    matrix: Matrix,
    weather: Weather,
    links: Vec<Vec<Link>>,
    random: Random,
}

impl Network {
    /// A network of so many machines.
    pub fn new(matrix: Matrix, weather: Weather, machines: usize, random: Random) -> Network {
        Network { matrix, weather, links: vec![vec![Link::default(); machines]; machines], random }
    }

    /// Nothing goes from `from` to `to` for a time.
    pub fn cut(&mut self, from: usize, to: usize, until_us: u64) {
        if from != to {
            self.links[from][to].cut_until_us = until_us;
        }
    }

    /// Everything from `from` to `to` takes longer for a time.
    pub fn slow(&mut self, from: usize, to: usize, by_us: u64, until_us: u64) {
        self.links[from][to].slow_until_us = until_us;
        self.links[from][to].slow_us = by_us;
    }

    /// All links work, and nothing is lost any more.
    pub fn heal(&mut self) {
        self.weather = Weather::default();
        self.links.iter_mut().flatten().for_each(|link| *link = Link::default());
    }

    /// When a message sent now arrives: never, once, or twice.
    pub fn arrivals(&mut self, now_us: u64, from: usize, to: usize) -> Arrivals {
        let link = self.links[from][to];
        if link.cut_until_us > now_us || self.random.chance(self.weather.loss) {
            return Arrivals::default();
        }
        let slow_us = if link.slow_until_us > now_us { link.slow_us } else { 0 };
        let first = now_us + slow_us + self.one_way_us(from, to);
        let second = self.random.chance(self.weather.duplication).then(|| now_us + 2 * self.one_way_us(from, to));
        Arrivals { first: Some(first), second }
    }

    fn one_way_us(&mut self, from: usize, to: usize) -> u64 {
        let delay = self.matrix.delay_us(&mut self.random, from, to).max(1);
        if self.random.chance(self.weather.holding) {
            return delay + self.random.below(self.weather.held_us_max);
        }
        delay
    }

    /// The delay between a client and a machine, and whether the message arrives at all.
    pub fn client_delay_us(&mut self, machine: usize) -> Option<u64> {
        if self.random.chance(self.weather.loss) {
            return None;
        }
        Some(self.one_way_us(machine, machine))
    }
}

/// Arrival times of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// The message.
    pub first: Option<u64>,
    /// Its double.
    pub second: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_read_exactly() {
        let text = "from,to,rtt_ms_p50,rtt_ms_p90\na,a,1.5,2\na,b,100.25,120\nb,a,100,90\nb,b,0.9,1\n";
        let matrix = Matrix::parse(text).unwrap();
        assert_eq!(matrix.delays, [[(750, 1000), (50_125, 60_000)], [(50_000, 50_000), (450, 500)]]);
        assert!(Matrix::parse("from,to,rtt_ms_p50,rtt_ms_p90\na,b,1,2\n").unwrap_err().contains("every pair"));
        assert!(Matrix::parse("h\na,a,x,1\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn a_cut_is_one_way_and_ends() {
        let mut random = Random::of(1, "matrix");
        let matrix = Matrix::generated(&mut random, 2, 1000);
        let mut network = Network::new(matrix, Weather::default(), 2, random);
        network.cut(0, 1, 500);
        assert_eq!(network.arrivals(499, 0, 1), Arrivals::default());
        assert!(network.arrivals(499, 1, 0).first.is_some());
        assert!(network.arrivals(500, 0, 1).first.is_some());
    }
}

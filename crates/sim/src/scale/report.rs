//! The figures as a table for people and as CSV.

use std::fmt::Write;

use super::load::Measured;
use super::model::Point;

/// Juno's published throughput in 2016, on other machines: voters and commands per second.
pub const JUNO_2016: [(usize, f64); 5] = [(4, 7729.0), (8, 3698.0), (12, 2147.0), (16, 1646.0), (20, 1179.0)];
/// Numbers of voters at which the closed form is evaluated, beside those simulated.
pub const CURVE: [usize; 20] =
    [4, 7, 10, 13, 20, 30, 40, 50, 70, 100, 150, 200, 300, 400, 700, 1000, 1500, 2000, 3000, 4000];

/// All that is known of one number of voters.
#[derive(Debug, Clone)]
pub struct Row {
    /// Voters.
    pub nodes: usize,
    /// What the simulation measured, if it ran.
    pub simulated: Option<Measured>,
    /// The closed form for votes to everyone.
    pub broadcast: Point,
    /// The closed form for votes to the leader.
    pub collector: Point,
}

/// What Juno published for this number of voters.
pub fn juno(nodes: usize) -> Option<f64> {
    JUNO_2016.iter().find(|(n, _)| *n == nodes).map(|(_, rate)| *rate)
}

/// The table: one line for each number of voters, `-` for what is not known.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let heads = [
        ["", "simulated", "closed", "", "full", "load", "one cmd", "closed", "", "collector", "collector", "Juno"],
        ["n", "cmd/s", "cmd/s", "ratio", "p50 ms", "p99 ms", "p50 ms", "ms", "ratio", "cmd/s", "ms", "2016"],
    ];
    for (head, end) in heads.iter().zip(["", "  what binds"]) {
        let widths = [5, 10, 9, 6, 8, 8, 9, 9, 6, 9, 9, 6];
        let cells: Vec<String> = head.iter().zip(widths).map(|(name, width)| format!("{name:>width$}")).collect();
        let _ = writeln!(out, "{}{end}", cells.join(" "));
    }
    for row in rows {
        let s = row.simulated.as_ref();
        let shown = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
        let binds = s.map_or_else(
            || row.broadcast.binds.to_owned(),
            |s| format!("{} ({:.0} % busy)", s.binds.0, s.binds.1 * 100.0),
        );
        let _ = writeln!(
            out,
            "{:>5} {:>10} {:>9.0} {:>6} {:>8} {:>8} {:>9} {:>9.2} {:>6} {:>9.0} {:>9.2} {:>6}  {}",
            row.nodes,
            shown(s.map(|s| s.rate), 0),
            row.broadcast.rate,
            shown(s.map(|s| s.rate / row.broadcast.rate), 3),
            shown(s.map(|s| s.full_p50_ms), 1),
            shown(s.map(|s| s.full_p99_ms), 1),
            shown(s.map(|s| s.light_p50_ms), 2),
            row.broadcast.latency_ms,
            shown(s.map(|s| s.light_p50_ms / row.broadcast.latency_ms), 3),
            row.collector.rate,
            row.collector.latency_ms,
            shown(juno(row.nodes), 0),
            binds
        );
    }
    out
}

/// The first line of the CSV. Rates are commands per second; `full` is under full load, `light` one command at a time.
pub const CSV_HEADER: &str = "nodes,simulated_rate,simulated_full_p50_ms,simulated_full_p99_ms,simulated_light_p50_ms,\
simulated_light_p99_ms,simulated_binds,simulated_block_commands,simulated_votes_per_block,broadcast_rate,\
broadcast_latency_ms,broadcast_binds,rate_ratio,latency_ratio,collector_rate,collector_latency_ms,collector_binds,\
juno_2016_rate";

/// The same as CSV; a cell is empty where nothing is known.
pub fn csv(rows: &[Row]) -> String {
    let mut out = format!("{CSV_HEADER}\n");
    for row in rows {
        let (b, c) = (&row.broadcast, &row.collector);
        let mut cells = vec![row.nodes.to_string()];
        match &row.simulated {
            Some(s) => cells.extend([
                format!("{:.1}", s.rate),
                format!("{:.3}", s.full_p50_ms),
                format!("{:.3}", s.full_p99_ms),
                format!("{:.3}", s.light_p50_ms),
                format!("{:.3}", s.light_p99_ms),
                s.binds.0.to_owned(),
                format!("{:.1}", s.block_commands),
                format!("{:.1}", s.votes_per_block),
            ]),
            None => cells.extend(std::iter::repeat_n(String::new(), 8)),
        }
        cells.extend([format!("{:.1}", b.rate), format!("{:.3}", b.latency_ms), b.binds.to_owned()]);
        match &row.simulated {
            Some(s) => {
                cells.extend([format!("{:.4}", s.rate / b.rate), format!("{:.4}", s.light_p50_ms / b.latency_ms)])
            }
            None => cells.extend([String::new(), String::new()]),
        }
        cells.extend([format!("{:.1}", c.rate), format!("{:.3}", c.latency_ms), c.binds.to_owned()]);
        cells.push(juno(row.nodes).map_or(String::new(), |rate| format!("{rate:.0}")));
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

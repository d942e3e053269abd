//! How throughput and latency change with the number of voters.
//!
//! Production replicas run in virtual time: what they do and when is decided by the code of the product, what it costs
//! by a table of costs measured on one core, and the machine around them by parameters. A closed form is checked
//! against these runs and evaluated where no run is affordable. `docs/scale.md` says which part is which.
//!
//! * [`costs`]: the table, and the machine.
//! * [`calibrate`]: measures the table.
//! * [`cluster`]: genesis document, replicas, commands.
//! * [`links`], [`packet`], [`stage`]: delays, messages, and a node's threads before its replica.
//! * [`event`], [`mod@run`]: what happens, and the event loop.
//! * [`load`]: clients, and what they measure.
//! * [`model`]: the closed form.
//! * [`report`], [`chart`]: table, CSV, picture.

pub mod calibrate;
pub mod chart;
pub mod cluster;
pub mod costs;
pub mod event;
pub mod links;
pub mod load;
pub mod model;
pub mod packet;
pub mod report;
pub mod run;
pub mod stage;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use costs::{Costs, Machine};
use links::{Links, Ways};
use load::Measured;
use model::{Model, Votes};
use report::Row;

/// Voters from which on a run has fewer blocks.
const MANY_NODES: usize = 30;
/// Full blocks before measuring begins: all that the clients' first commands fill, and two more.
const WARM_BLOCKS: usize = 12;

/// What to simulate, and on what.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// Numbers of voters to simulate
    #[arg(long, value_delimiter = ',', default_values_t = [4, 8, 12, 16, 20, 40, 100])]
    pub nodes: Vec<usize>,
    /// Blocks measured for up to 29 voters; with more voters, three fifths of it
    #[arg(long, default_value_t = 20)]
    pub blocks: usize,
    /// Write the figures as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the chart
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Use a saved set of costs instead of measuring
    #[arg(long, value_name = "FILE")]
    pub costs: Option<PathBuf>,
    /// Save the costs used
    #[arg(long, value_name = "FILE")]
    pub save_costs: Option<PathBuf>,
    /// Table of round trips between regions, `from,to,rtt_ms_p50,rtt_ms_p90`, instead of one delay
    #[arg(long, value_name = "FILE")]
    pub links: Option<PathBuf>,
    /// One way between two nodes, microseconds
    #[arg(long, default_value_t = 50.0)]
    pub delay_us: f64,
    /// Uplink of each node, Gbit/s
    #[arg(long, default_value_t = 10.0)]
    pub gbit: f64,
    /// One sync of a file, microseconds
    #[arg(long, default_value_t = 500.0)]
    pub sync_us: f64,
    /// Bandwidth of the disk, MB/s
    #[arg(long, default_value_t = 1000.0)]
    pub disk_mb_s: f64,
    /// Threads that check signatures, a core each
    #[arg(long, default_value_t = 4)]
    pub cores: usize,
    /// Threads for TLS and sockets, a core each
    #[arg(long, default_value_t = 2)]
    pub io_threads: usize,
    /// TLS and TCP at each end for a message by itself, microseconds
    #[arg(long, default_value_t = 8.0)]
    pub tls_message_us: f64,
    /// The same for a small message written together with others, microseconds
    #[arg(long, default_value_t = 0.16)]
    pub tls_coalesced_us: f64,
    /// The same for each 64 KiB, microseconds
    #[arg(long, default_value_t = 78.0)]
    pub tls_64k_us: f64,
    /// Most commands in a block
    #[arg(long, default_value_t = 2000)]
    pub block_commands: usize,
    /// Decides who pays whom, and the delays drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Args {
    fn machine(&self) -> Result<Machine, String> {
        let us = [self.delay_us, self.sync_us, self.tls_message_us, self.tls_coalesced_us, self.tls_64k_us];
        if us.iter().any(|us| !us.is_finite() || *us < 0.0) {
            return Err("times are at least zero".into());
        }
        if !(self.gbit > 0.0 && self.disk_mb_s > 0.0 && self.cores > 0 && self.io_threads > 0) {
            return Err("bandwidths and numbers of threads are above zero".into());
        }
        if self.nodes.iter().any(|n| !(2..=1000).contains(n)) {
            return Err("2 to 1000 voters can be simulated".into());
        }
        if !(1..=wire::limits::BLOCK_ENTRIES_MAX).contains(&self.block_commands) || self.blocks == 0 {
            return Err("a block holds 1 to 8192 commands, and at least one block is measured".into());
        }
        Ok(Machine {
            cores: self.cores,
            io_threads: self.io_threads,
            sync_ns: self.sync_us * 1e3,
            disk_byte_ns: 1e3 / self.disk_mb_s,
            wire_byte_ns: 8.0 / self.gbit,
            delay_ns: self.delay_us * 1e3,
            tls_message_ns: self.tls_message_us * 1e3,
            tls_coalesced_ns: self.tls_coalesced_us * 1e3,
            tls_byte_ns: self.tls_64k_us * 1e3 / 65_536.0,
            block_commands: self.block_commands,
        })
    }

    /// Blocks measured with so many voters.
    fn blocks(&self, nodes: usize) -> usize {
        if nodes < MANY_NODES { self.blocks } else { (self.blocks * 3 / 5).max(1) }
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Simulates, prints the table, and writes what is asked for. Progress and times of this machine go to standard error.
///
/// # Errors
/// A parameter out of range, a file that cannot be read or written, or a simulated cluster that stops.
pub fn run(args: &Args) -> Result<(), String> {
    let machine = args.machine()?;
    let costs = match &args.costs {
        Some(path) => read(path)?.parse::<Costs>().map_err(|e| format!("{}: {e}", path.display()))?,
        None => calibrate::measure()?,
    };
    if let Some(path) = &args.save_costs {
        write(path, &costs.to_string())?;
    }
    let matrix = args.links.as_deref().map(read).transpose()?;
    let links = |nodes| match &matrix {
        Some(text) => Links::matrix(nodes, text, args.seed),
        None => Ok(Links::constant(nodes, machine.delay_ns)),
    };
    let mut found = BTreeMap::new();
    for nodes in &args.nodes {
        let began = Instant::now();
        let blocks = args.blocks(*nodes);
        let measured = load::simulate(&costs, &machine, links(*nodes)?, WARM_BLOCKS, blocks, args.seed)?;
        eprintln!("{nodes} voters took {:.1} s: {}", began.elapsed().as_secs_f64(), remarks(&measured));
        found.insert(*nodes, measured);
    }
    let command_bytes = found.values().next().map_or(190.0, |m| m.command_bytes);
    let rows = rows(&costs, &machine, command_bytes, found, |nodes| Ok(links(nodes)?.ways(model::quorum(nodes))))?;
    print!("{costs}\n{}", report::table(&rows));
    if let Some(path) = &args.csv {
        write(path, &report::csv(&rows))?;
    }
    if let Some(path) = &args.svg {
        let caption = format!(
            "{} commands a block, {} + {} + 1 cores a node, {} Gbit/s, syncs of {} us{}",
            machine.block_commands,
            machine.cores,
            machine.io_threads,
            args.gbit,
            args.sync_us,
            if matrix.is_some() { ", wide-area links" } else { "" }
        );
        write(path, &chart::svg(&rows, &caption))?;
    }
    Ok(())
}

/// The numbers simulated and those of the curve, ascending, with the closed form at each.
fn rows(
    costs: &Costs,
    machine: &Machine,
    command_bytes: f64,
    mut simulated: BTreeMap<usize, Measured>,
    ways: impl Fn(usize) -> Result<Ways, String>,
) -> Result<Vec<Row>, String> {
    let mut all: Vec<usize> = simulated.keys().copied().chain(report::CURVE).collect();
    all.sort_unstable();
    all.dedup();
    let row = |nodes: usize| {
        // With many more nodes than regions a quorum's delay hardly changes any more, and all pairs would take long.
        let ways = ways(nodes.min(200))?;
        let model = Model { costs, machine, command_bytes, ways };
        Ok(Row {
            nodes,
            simulated: simulated.remove(&nodes),
            broadcast: model.at(nodes, Votes::Broadcast),
            collector: model.at(nodes, Votes::Collector),
        })
    };
    all.into_iter().map(row).collect()
}

fn remarks(measured: &Measured) -> String {
    let (really, charged) = measured.turns_s;
    let mut text = format!("turns really took {really:.2} s, charged {charged:.2} s");
    if measured.term > 1 {
        text += &format!("; the leader was replaced, the term is {}", measured.term);
    }
    if let Some(odd) = measured.odd.first() {
        text += &format!("; {} things unexpected, first: {odd}", measured.odd.len());
    }
    text
}

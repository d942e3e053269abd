//! Closed-loop clients on a simulated cluster, and what they measure.

use wire::SignedCommand;

use super::cluster::{self, Commands};
use super::costs::{Costs, Machine};
use super::event::{Busy, Committed};
use super::links::Links;
use super::run::Run;

/// Blocks' worth of commands that clients keep under way: all the leader may have in flight, and two that wait.
const WINDOW_BLOCKS: usize = 10;
/// Commands that the clients of the light load have under way.
const LIGHT_COMMANDS: usize = 1;
/// Rounds of the light load.
const LIGHT_ROUNDS: usize = 40;

/// What a simulated run measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Voters.
    pub nodes: usize,
    /// Commands executed at F + 1 nodes per virtual second, in the steady state.
    pub rate: f64,
    /// Median latency under full load, from the gateway to execution at F + 1 nodes, milliseconds.
    pub full_p50_ms: f64,
    /// The 99th percentile of the same.
    pub full_p99_ms: f64,
    /// Median latency with one command under way, milliseconds.
    pub light_p50_ms: f64,
    /// The 99th percentile of the same.
    pub light_p99_ms: f64,
    /// The stage that is busiest at the leader or at another voter, and its share of the time.
    pub binds: (&'static str, f64),
    /// Mean commands in a block.
    pub block_commands: f64,
    /// Votes sent and received per block, counted at the receivers.
    pub votes_per_block: f64,
    /// Bytes of one command.
    pub command_bytes: f64,
    /// The term at the end: 1 unless a leader was given up.
    pub term: u64,
    /// What should not happen.
    pub odd: Vec<String>,
    /// Seconds of this machine's time for the replicas' turns, all nodes together, and what was charged for them.
    pub turns_s: (f64, f64),
}

fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).map_or(0.0, |ns| *ns as f64 / 1e6)
}

/// Runs a cluster of `links.nodes()` voters: set-up, a light load, then `warm` and `blocks` full blocks.
///
/// # Errors
/// If the cluster stops, or production code refuses what it should take.
pub fn simulate(
    costs: &Costs,
    machine: &Machine,
    links: Links,
    warm: usize,
    blocks: usize,
    seed: u64,
) -> Result<Measured, String> {
    let nodes = links.nodes();
    let genesis = cluster::genesis(nodes, machine.block_commands);
    let mut commands = Commands::new(&genesis, seed);
    let groups = commands.set_up();
    let mut run = Run::new(&genesis, costs, machine, links)?;
    for group in groups {
        complete(&mut run, group)?;
        // A gateway that is a block behind would refuse what builds on it.
        run.catch_up()?;
    }
    let mut light = Vec::new();
    for _ in 0..LIGHT_ROUNDS {
        light.extend(complete(&mut run, commands.transfers(LIGHT_COMMANDS))?);
    }
    let window = WINDOW_BLOCKS * machine.block_commands;
    let first = commands.transfers(window);
    let bytes: usize = first.iter().map(|c| c.bytes().len()).sum();
    let at = run.now();
    run.submit(first, at)?;
    let mut full: Vec<Committed> = Vec::new();
    let (mut done, mut before, mut sent) = (0, None, 0);
    while done < (warm + blocks) * machine.block_commands {
        for block in run.step()? {
            done += block.latencies.len();
            // Whoever has an answer sends the next command.
            let at = run.now();
            run.submit(commands.transfers(block.latencies.len()), at)?;
            if before.is_some() {
                full.push(block);
            }
        }
        if before.is_none() && done >= warm * machine.block_commands {
            before = Some((run.now(), (0..nodes).map(|n| run.busy(n, 0)).collect::<Vec<Busy>>()));
            sent = run.sent.get("vote").copied().unwrap_or(0);
        }
    }
    let (began, busy) = before.ok_or("the warm-up took the whole run")?;
    let took = (run.now() - began) as f64;
    let executed: usize = full.iter().map(|b| b.latencies.len()).sum();
    let mut latencies: Vec<u64> = full.iter().flat_map(|b| b.latencies.iter().copied()).collect();
    let votes = run.sent.get("vote").copied().unwrap_or(0) - sent;
    let charged: u64 = (0..nodes).map(|n| run.busy(n, 0)).map(|b| b.replica - b.sync).sum();
    Ok(Measured {
        nodes,
        rate: executed as f64 * 1e9 / took,
        full_p50_ms: percentile(&mut latencies, 0.5),
        full_p99_ms: percentile(&mut latencies, 0.99),
        light_p50_ms: percentile(&mut light, 0.5),
        light_p99_ms: percentile(&mut light, 0.99),
        binds: busiest(&run, &busy, machine, took),
        block_commands: executed as f64 / full.len().max(1) as f64,
        votes_per_block: votes as f64 / full.len().max(1) as f64,
        command_bytes: bytes as f64 / window as f64,
        term: run.term(0),
        odd: run.odd.clone(),
        turns_s: (run.turns_took.as_secs_f64(), charged as f64 / 1e9),
    })
}

/// Submits commands and waits for all of them; gives their latencies.
fn complete(run: &mut Run, commands: Vec<SignedCommand>) -> Result<Vec<u64>, String> {
    let count = commands.len();
    let at = run.now();
    run.submit(commands, at)?;
    let mut latencies = Vec::new();
    while latencies.len() < count {
        latencies.extend(run.step()?.into_iter().flat_map(|b| b.latencies));
    }
    Ok(latencies)
}

/// The stage with the largest share of busy time: the leader's, or the mean of the others.
fn busiest(run: &Run, before: &[Busy], machine: &Machine, took: f64) -> (&'static str, f64) {
    let shares = |n: usize| {
        let (then, now) = (before[n], run.busy(n, 0));
        [
            (now.replica - then.replica) as f64 / took,
            (now.lane - then.lane) as f64 / took,
            (now.checks - then.checks) as f64 / took / machine.cores as f64,
            (now.io - then.io) as f64 / took / machine.io_threads as f64,
            (now.wire - then.wire) as f64 / took,
        ]
    };
    let leader = shares(0);
    let mut others = [0.0; 5];
    for n in 1..before.len() {
        let of = shares(n);
        others.iter_mut().zip(of).for_each(|(sum, share)| *sum += share / (before.len() - 1) as f64);
    }
    const NAMES: [[&str; 5]; 2] = [
        ["leader's replica thread", "-", "leader's checks", "leader's TLS", "leader's uplink"],
        ["voters' replica threads", "voters' block checks", "voters' checks", "voters' TLS", "voters' uplinks"],
    ];
    let all = NAMES[0].iter().zip(leader).chain(NAMES[1].iter().zip(others));
    all.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(("-", 0.0), |(name, share)| (*name, share.min(1.0)))
}

//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use replica::Standard;

use crate::coverage::Coverage;
use crate::network::Matrix;
use crate::plan::{Plan, Settings};
use crate::rules::Removed;
use crate::world::{Report, run};

/// Runs the production replica under seeded faults and an adversary, watched by independent oracles.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Args {
    /// One run, exactly as this seed draws it.
    #[arg(long)]
    seed: Option<u64>,
    /// Print every event of the run.
    #[arg(long)]
    trace: bool,
    /// If the run fails, do not make its schedule of faults smaller.
    #[arg(long)]
    no_shrink: bool,
    /// Round-trip times between regions, as a table `from,to,rtt_ms_p50,rtt_ms_p90`.
    #[arg(long, global = true)]
    rtt: Option<PathBuf>,
    /// So many voters in every run, and not as many as the seed draws.
    #[arg(long, global = true)]
    voters: Option<usize>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Many seeds, for some minutes or a count, with what they exercised.
    Swarm {
        /// How long.
        #[arg(long)]
        minutes: Option<u64>,
        /// How many seeds.
        #[arg(long)]
        seeds: Option<u64>,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// Threads.
        #[arg(long, default_value_t = 2)]
        threads: usize,
    },
    /// Every attack by name and every planted fault: the product survives, an oracle catches the mutant.
    Mutants {
        /// Only rows with this in their name.
        #[arg(long)]
        only: Option<String>,
        /// Seeds for the product; a mutant is given four times as many.
        #[arg(long, default_value_t = 6)]
        seeds: u64,
    },
    /// Throughput and latency of clusters of 4 to 4000 voters, with a model of what work costs.
    Scale(crate::scale::Args),
    /// Four calm voters and one command a second: how much is simulated in a minute of a core.
    Speed,
}

fn settings(args: &Args) -> Result<Settings, String> {
    let settings = Settings { voters: args.voters, ..Settings::default() };
    let Some(path) = &args.rtt else { return Ok(settings) };
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let matrix = Matrix::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Settings { matrix: Some(matrix), ..settings })
}

/// Runs what the command line asks for; exit code 1 if a rule was broken.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let settings = match settings(&args) {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let good = match (&args.command, args.seed) {
        (Some(Command::Swarm { minutes, seeds, first, threads }), _) => {
            crate::swarm::swarm(&settings, *minutes, *seeds, *first, *threads)
        }
        (Some(Command::Mutants { only, seeds }), _) => mutants(only.as_deref(), *seeds),
        (Some(Command::Scale(args)), _) => match crate::scale::run(args) {
            Ok(()) => true,
            Err(why) => {
                eprintln!("{why}");
                false
            }
        },
        (Some(Command::Speed), _) => speed(&settings),
        (None, Some(seed)) => one(&args, &settings, seed),
        (None, None) => {
            eprintln!("say --seed N, or swarm --minutes M; see --help");
            return ExitCode::from(2);
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One line on a run.
pub fn line(report: &Report) -> String {
    format!(
        "seed {}: {} heights, {} entries, {} accepted, {} terms, {} s simulated, {} events, hash {}",
        report.seed,
        report.heights,
        report.entries,
        report.accepted,
        report.terms,
        report.simulated_us / 1_000_000,
        report.events,
        report.hash
    )
}

fn one(args: &Args, settings: &Settings, seed: u64) -> bool {
    let plan = Plan::draw(seed, settings);
    println!("{}", plan.summary());
    let mut print = |text: &str| println!("{text}");
    let report = run::<Standard>(&plan, if args.trace { Some(&mut print) } else { None });
    println!("{}\n{}", line(&report), report.coverage);
    let Some(failure) = &report.failure else { return true };
    println!("FAILED {failure}");
    if !args.no_shrink {
        explain(&plan);
    }
    false
}

/// Makes a failing plan smaller and prints what is left.
fn explain(plan: &Plan) {
    if let Some(small) = crate::shrink::shrink::<Standard>(plan, 200) {
        println!("after {} runs this much still fails:\n{}", small.runs, small.plan.summary());
        for step in &small.plan.steps {
            println!("  {step}");
        }
        if let Some(failure) = &small.report.failure {
            println!("FAILED {failure}");
        }
    }
}

fn mutants(only: Option<&str>, seeds: u64) -> bool {
    println!("{:<22} {:<52} {:<28} {:<16} without it", "row", "attack", "rule", "as built");
    let mut good = true;
    for scenario in crate::scenario::all() {
        if only.is_some_and(|only| !scenario.row.contains(only)) {
            continue;
        }
        let start = Instant::now();
        let verdict = scenario.play(seeds);
        good &= verdict.is_good();
        let rule = match scenario.removed {
            Removed::Ordering(rule) => format!("{rule:?}"),
            Removed::Ledger(rule) => format!("{rule:?}"),
            Removed::ClientsCount => "ClientsCount".to_owned(),
        };
        let built = match &verdict.built {
            (seeds, None) => format!("clean, {seeds} seeds"),
            (_, Some(why)) => format!("FAILED {why}"),
        };
        let caught = match &verdict.caught {
            Some((seed, why)) => format!("seed {seed}: {}", why.chars().take(90).collect::<String>()),
            None => "SURVIVES".to_owned(),
        };
        println!(
            "{:<22} {:<52} {rule:<28} {built:<16} {caught} ({} s)",
            scenario.row,
            scenario.attack,
            start.elapsed().as_secs()
        );
    }
    good
}

fn speed(settings: &Settings) -> bool {
    let settings = Settings { calm: true, ..settings.clone() };
    let start = Instant::now();
    let mut coverage = Coverage::default();
    let mut simulated = 0;
    let mut good = true;
    for seed in 1..=4 {
        let report = run::<Standard>(&Plan::draw(seed, &settings), None);
        println!("{}", line(&report));
        good &= report.failure.is_none();
        simulated += report.simulated_us;
        coverage.merge(&report.coverage);
    }
    let spent = start.elapsed().as_secs_f64();
    println!("{:.1} cluster-hours a core-minute", simulated as f64 / 3.6e9 / (spent / 60.0));
    good
}

//! `juno soak`: `kill -9` under load, again and again, on real processes; what was acknowledged must still be there.
//!
//! A round: let the load run for a random while; kill a random node (every so often the leader, or all at once, or the
//! same node a second time while it comes back); see that the others go on; start what was killed; wait until every
//! command has its verdict and all nodes stand at one height. Then, while nothing moves:
//!
//! 1. every command acknowledged in the round is known to every node, with the receipt that was acknowledged;
//! 2. all nodes have the same roots;
//! 3. all balances are, on more nodes than may be faulty, exactly what the acknowledged receipts make them: so nothing
//!    was lost, nothing happened twice, and nothing happened that was not asked for.
//!
//! At the end everything acknowledged since the beginning is asked for once more, and every log is audited offline.

mod round;
pub mod traffic;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::verify::check;
use super::{CliError, Connection, REFUSED, runtime, style};
use crate::config::PassphraseSource;
use crate::local::LocalCluster;
use round::Soak as Running;
pub use round::{Round, Victims};

/// Kill nodes of a temporary cluster under load, and check that nothing acknowledged is lost.
///
/// Exit code 1 if anything was.
#[derive(Args)]
pub(crate) struct Soak {
    /// Rounds; each kills one node, or all.
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u64,
    /// What the random choices come from; printed, so that the same choices can be made again.
    #[arg(long)]
    seed: Option<u64>,
    /// Kill all nodes at once in every Kth round; 0 for never.
    #[arg(long, value_name = "K", default_value_t = 5)]
    all_at_once_every: u64,
    /// Commands a second.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
    /// Nodes of the cluster.
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(4..=13))]
    nodes: usize,
    /// Print JSON: one object for each round, and one at the end.
    #[arg(long)]
    json: bool,
}

/// What a soak does.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Rounds.
    pub kills: u64,
    /// Where the random choices come from.
    pub seed: u64,
    /// All at once in every so manyth round; 0 for never.
    pub all_at_once_every: u64,
    /// Commands a second.
    pub rate: u64,
    /// Nodes.
    pub nodes: usize,
}

/// What a soak found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The rounds done.
    pub rounds: Vec<Round>,
    /// Commands acknowledged, all together.
    pub acknowledged: u64,
    /// Log entries audited, by node.
    pub audited: Vec<u64>,
    /// Everything that should not have been.
    pub violations: Vec<String>,
}

impl Soak {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let seed = self.seed.map_or_else(client::random_session, Ok)?;
        let Soak { kills, all_at_once_every, rate, nodes, .. } = self;
        let options = Options { kills, seed, all_at_once_every, rate, nodes };
        let exe = std::env::current_exe().map_err(|e| CliError::new(format!("cannot find this program: {e}")))?;
        let mut dir = tempfile::Builder::new().prefix("juno-soak-").tempdir()?;
        if !self.json {
            println!("Soak of {kills} rounds on {nodes} nodes, {rate} commands/s, --seed {seed}");
        }
        let mut show = |round: &Round| match self.json {
            true => println!("{}", round.to_json()),
            false => anstream::println!("{round}"),
        };
        let report = runtime()?.block_on(async {
            tokio::select! {
                report = run(&exe, dir.path(), options, &mut show) => report,
                _ = tokio::signal::ctrl_c() => Err(CliError::new("interrupted")),
            }
        })?;
        if self.json {
            println!("{}", report.to_json(options));
        } else {
            anstream::println!("{}", report.to_text());
        }
        if report.violations.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        dir.disable_cleanup(true);
        anstream::eprintln!("everything the nodes left is in {}", dir.path().display());
        Ok(ExitCode::from(REFUSED))
    }
}

/// Runs a soak on a cluster of real processes in `dir`; `exe` is the `juno` executable. Ends after the first round with a
/// violation: what follows one proves nothing.
///
/// # Errors
/// If the cluster cannot be made or reached. What the soak is about goes into the report.
pub async fn run(
    exe: &Path,
    dir: &Path,
    options: Options,
    show: &mut (dyn FnMut(&Round) + Send),
) -> Result<Report, CliError> {
    let mut cluster = LocalCluster::create(exe, &dir.join("cluster"), options.nodes)?;
    cluster.start_all()?;
    cluster.wait_ready(round::PATIENCE).await?;
    let connection = Connection::open(cluster.client_file()?, PassphraseSource::default()).await?;
    let mut soak = Running::start(cluster, connection, options).await?;
    let mut report = Report::default();
    for number in 1..=options.kills {
        let round = soak.round(number).await;
        show(&round);
        report.violations.extend(round.violation.iter().map(|v| format!("round {number}: {v}")));
        report.rounds.push(round);
        if !report.violations.is_empty() {
            break;
        }
    }
    let (acknowledged, last_look) = soak.everything().await;
    report.acknowledged = acknowledged;
    report.violations.extend(last_look.err().map(|v| format!("at the end: {v}")));
    let mut cluster = soak.end();
    let genesis = cluster.client_file()?.genesis;
    for node in 0..cluster.len() {
        cluster.stop(node);
        match check(&cluster.data_dir(node), &genesis, &mut |_| {}) {
            Ok(checked) => {
                report.audited.push(checked.audit.entries);
                let evidence = checked.audit.evidence.iter();
                report
                    .violations
                    .extend(evidence.map(|e| format!("the log of node {node} accuses an honest node: {e:?}")));
            }
            Err(why) => report.violations.push(format!("the log of node {node}: {why}")),
        }
    }
    Ok(report)
}

impl Report {
    /// The longest and the median of some figure over the rounds that have it.
    fn spread(&self, figure: impl Fn(&Round) -> Option<u64>) -> Option<(u64, u64)> {
        let mut all: Vec<u64> = self.rounds.iter().filter_map(figure).collect();
        all.sort_unstable();
        Some((*all.get(all.len() / 2)?, *all.last()?))
    }

    fn figures(&self) -> [(&'static str, Option<(u64, u64)>); 4] {
        [
            ("next commit after the kill of the leader", self.spread(|r| r.gap_ms.filter(|_| r.leader))),
            ("next commit after the kill of another", self.spread(|r| r.gap_ms.filter(|_| !r.leader && !r.all()))),
            ("next commit after the start of all", self.spread(|r| r.gap_ms.filter(|_| r.all()))),
            ("from the start to voting again", self.spread(|r| r.back_ms)),
        ]
    }

    fn to_json(&self, options: Options) -> Value {
        let figures = self.figures();
        json!({
            "kills": self.rounds.len(),
            "seed": options.seed.to_string(),
            "rate": options.rate,
            "acknowledged": self.acknowledged,
            "figures_ms": figures.iter().filter_map(|(name, spread)| {
                spread.map(|(median, max)| json!({ "name": name, "median": median, "max": max }))
            }).collect::<Vec<_>>(),
            "audited_entries": self.audited,
            "violations": self.violations,
        })
    }

    fn to_text(&self) -> String {
        let count = |f: &dyn Fn(&Round) -> bool| self.rounds.iter().filter(|r| f(r)).count();
        let mut lines = vec![
            String::new(),
            format!(
                "{} rounds: {} times the leader, {} times all at once, {} times again while coming back",
                self.rounds.len(),
                count(&|r| r.leader),
                count(&|r| r.all()),
                count(&|r| r.twice)
            ),
        ];
        let rows = self.figures().into_iter().filter_map(|(name, spread)| {
            spread.map(|(median, max)| vec![name.to_owned(), format!("{median} ms"), format!("{max} ms")])
        });
        lines.push(style::table(&["", "median", "longest"], &rows.collect::<Vec<_>>()));
        lines.push(format!("{} commands acknowledged", self.acknowledged));
        lines.push(format!("audited offline: {:?} entries", self.audited));
        if self.violations.is_empty() {
            let text = "Nothing was lost: all of them were found on all nodes at the end, each with its receipt.";
            lines.push(style::paint(style::RESULT, text));
        } else {
            lines.extend(self.violations.iter().map(|v| style::paint(style::ERROR, format!("VIOLATION: {v}"))));
        }
        lines.join("\n")
    }
}

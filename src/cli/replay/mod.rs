//! `juno replay`: recorded transfers, each signed by its sender's own key, through a real cluster.
//!
//! * [`trace`]: what a file of rows is, and how one is made up.
//! * [`plan`]: who takes part, with which keys and how much.
//! * [`drive`]: set up, send, compare.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ledger::{Amount, Code};
use serde_json::{Value, json};
use wire::OutcomeCode;

pub mod drive;
pub mod plan;
pub mod trace;

use super::{CliError, Connection, PassphraseArgs, REFUSED, runtime, style};
use crate::config::{ClientFile, PassphraseSource};
use crate::local::LocalCluster;
use drive::{Manner, Part, Replayed, replay};
use trace::Trace;

/// How long the nodes of a temporary cluster may take to come up.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// Replay recorded transfers: each row is signed by its sender's own key, exact to the smallest unit.
///
/// Parties, accounts and funding are set up first, through signed commands too. Ends with exit code 1 if the sum of all
/// balances changed, or a row did not end as the ledger's rules say; nodes that disagree are an error.
#[derive(Args)]
pub(crate) struct Replay {
    /// A CSV file: block,index,sender,recipient,value_wei,gas,input_bytes
    file: PathBuf,
    /// Use this cluster, with the identities `admin` and `treasury`, instead of a temporary one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Nodes of the temporary cluster.
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "config")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    nodes: usize,
    /// Replay the first so many rows only.
    #[arg(long, value_name = "ROWS", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Where keys and names of the parties come from; a random one if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Rows in one submission.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=16384))]
    together: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Replay {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let named = |e| CliError::new(format!("{}: {e}", self.file.display()));
        let trace = Trace::read(&self.file, self.limit).map_err(named)?;
        let seed = self.seed.map_or_else(client::random_session, Ok)?;
        let manner = Manner { seed, together: self.together };
        let replayed = runtime()?.block_on(async {
            tokio::select! {
                replayed = self.go(&trace, manner) => replayed,
                // What the temporary cluster left is cleared away by leaving here.
                _ = tokio::signal::ctrl_c() => Err(CliError::new("interrupted")),
            }
        })?;
        let violations = replayed.violations();
        if self.json {
            println!("{}", to_json(&trace, manner, &replayed, &violations));
        } else {
            anstream::println!("{}", to_text(&trace, manner, &replayed, &violations));
        }
        Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }

    async fn go(&self, trace: &Trace, manner: Manner) -> Result<Replayed, CliError> {
        if let Some(config) = &self.config {
            let file = ClientFile::read(config)?;
            return over(file, self.passphrase.source(), trace, manner).await;
        }
        let exe = std::env::current_exe().map_err(|e| CliError::new(format!("cannot find this program: {e}")))?;
        on_own_cluster(&exe, self.nodes, trace, manner).await
    }
}

/// Replays on a cluster of real processes that lives as long as the replay.
///
/// # Errors
/// As [`replay`]; or if the cluster cannot be made.
pub async fn on_own_cluster(exe: &Path, nodes: usize, trace: &Trace, manner: Manner) -> Result<Replayed, CliError> {
    let dir = tempfile::Builder::new().prefix("juno-replay-").tempdir()?;
    let mut cluster = LocalCluster::create(exe, &dir.path().join("cluster"), nodes)?;
    cluster.start_all()?;
    cluster.wait_ready(READY_PATIENCE).await?;
    over(cluster.client_file()?, PassphraseSource::default(), trace, manner).await
}

async fn over(file: ClientFile, source: PassphraseSource, trace: &Trace, manner: Manner) -> Result<Replayed, CliError> {
    let mut connection = Connection::open(file, source).await?;
    let mut bar = Bar::new();
    replay(&mut connection, trace, manner, &mut |event| bar.show(event)).await
}

/// A bar for each part for a person who watches, a line for a log.
struct Bar {
    bar: ProgressBar,
    part: Option<(Part, usize, Instant)>,
}

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
        let form = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len}  {per_sec}");
        bar.set_style(form.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar { bar, part: None }
    }

    fn show(&mut self, event: Option<(Part, usize)>) {
        match event {
            None => {
                self.bar.inc(1);
                if self.part.is_some_and(|(_, count, _)| self.bar.position() >= count as u64) {
                    self.end();
                }
            }
            Some((part, count)) => {
                self.end();
                self.part = Some((part, count, Instant::now()));
                self.bar.set_message(part.name());
                self.bar.set_length(count as u64);
                self.bar.set_position(0);
            }
        }
    }

    fn end(&mut self) {
        let Some((part, count, since)) = self.part.take() else { return };
        self.bar.suspend(|| {
            let done = style::paint(style::FAINT, format!("{:>10}", part.name()));
            anstream::eprintln!("{done} {count} in {:.1} s", since.elapsed().as_secs_f64());
        });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end();
        self.bar.finish_and_clear();
    }
}

/// Refused rows by the name of the code.
fn refused(replayed: &Replayed) -> BTreeMap<&'static str, (u64, &str)> {
    let name = |code: &OutcomeCode| Code::of(*code).map_or("Refused", Code::name);
    replayed.report.refused.iter().map(|(code, (count, first))| (name(code), (*count, first.as_str()))).collect()
}

fn decimal(units: u128) -> String {
    Amount::from_units(units).map_or_else(|| units.to_string(), Amount::to_decimal)
}

fn to_json(trace: &Trace, manner: Manner, replayed: &Replayed, violations: &[String]) -> Value {
    let Replayed { plan, report, standing, .. } = replayed;
    let refused: BTreeMap<_, _> = refused(replayed).into_iter().map(|(name, (count, _))| (name, count)).collect();
    json!({
        "rows": trace.rows.len(),
        "seed": manner.seed.to_string(),
        "setup": {
            "parties": replayed.parties,
            "accounts": replayed.accounts,
            "funded": replayed.funded,
            "funding": plan.funding.name(),
            "minted_units": plan.total.units().to_string(),
            "seconds": replayed.setup.as_secs_f64(),
        },
        "seconds": report.elapsed.as_secs_f64(),
        "per_second": report.rate(),
        "latency_ms": { "p50": report.latency_ms(0.5), "p99": report.latency_ms(0.99) },
        "retries": report.retries,
        "applied": { "all": report.applied, "data": plan.expected.data },
        "refused": refused,
        "unanswered": report.unanswered,
        "balances": {
            "nodes": replayed.asked,
            "before_units": replayed.before.to_string(),
            "after_units": replayed.after.to_string(),
        },
        "agreed": {
            "nodes": replayed.nodes,
            "height": standing.height.0,
            "entries": standing.entries,
            "state_root": standing.state_root.to_string(),
            "receipts_root": standing.receipts_root.to_string(),
            "log_root": standing.log_root.to_string(),
        },
        "violations": violations,
    })
}

fn to_text(trace: &Trace, manner: Manner, replayed: &Replayed, violations: &[String]) -> String {
    let Replayed { plan, report, standing, .. } = replayed;
    let mut lines = vec![
        style::paint(style::RESULT, format!("Replayed {} rows (seed {})", trace.rows.len(), manner.seed)),
        format!(
            "  set up         {} parties, {} accounts, {} funded ({}: {} in all) in {:.1} s",
            replayed.parties,
            replayed.accounts,
            replayed.funded,
            plan.funding.name(),
            decimal(plan.total.units()),
            replayed.setup.as_secs_f64(),
        ),
        format!(
            "  throughput     {:.0} commands/s ({:.2} s from the first send to the last accepted reply)",
            report.rate(),
            report.elapsed.as_secs_f64()
        ),
        format!("  latency        p50 {:.1} ms, p99 {:.1} ms", report.latency_ms(0.5), report.latency_ms(0.99)),
        format!("  accepted       {}, of them {} data commands", report.applied, plan.expected.data),
    ];
    lines.extend(
        refused(replayed).iter().map(|(name, (count, first))| format!("  refused        {count} {name}: {first}")),
    );
    if report.retries > 0 {
        lines.push(format!("  sent again     {}", report.retries));
    }
    let same = |holds: bool| if holds { "equal" } else { "DIFFERENT" };
    lines.extend([
        format!("  balances       {} before", decimal(replayed.before)),
        format!(
            "                 {} after: {} on {} nodes",
            decimal(replayed.after),
            same(replayed.before == replayed.after),
            replayed.asked
        ),
        format!("  state root     {}", standing.state_root),
        format!("                 equal on {} nodes at height {}", replayed.nodes, standing.height),
    ]);
    lines.extend(violations.iter().map(|v| style::paint(style::ERROR, format!("  VIOLATION      {v}"))));
    lines.join("\n")
}

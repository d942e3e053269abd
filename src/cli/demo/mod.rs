//! `juno demo`: a real ledger on this machine, from its first election to a lying node, in about a minute.
//!
//! Four nodes as four processes, data in a temporary directory, ports that are free. Nothing is played back: every line
//! is printed when it has happened, and a step that does not hold ends the demo with exit code 1.

mod contracts;
mod figures;
mod liar;
mod stage;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use client::load::{Report, Shape};
use serde_json::Value;
use wire::NodeId;

use super::ceiling::Ceiling;
use super::client::Repl;
use super::{CliError, Connection, style, verify};
use crate::config::PassphraseSource;
use crate::local::LocalCluster;
use figures::Figures;
use stage::Stage;

/// How long anything may take before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);
const NODES: usize = 4;
const CREDIT: u64 = 100_000;

/// Show a ledger of four nodes at work, one of which fails and one of which lies.
#[derive(Args)]
pub(crate) struct Demo {
    /// End after the last step, instead of leaving the cluster up for you to try (without a terminal this is implied).
    #[arg(long)]
    exit: bool,
    /// Keep everything in this directory (it must not exist) instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let runtime = super::runtime()?;
        let stay = !self.exit && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let temporary = match &self.dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("juno-demo-").tempdir()?),
        };
        let home = match (&self.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => return Err(CliError::new("no directory for the demo")),
        };
        let (mut stage, figures) = runtime.block_on(async {
            tokio::select! {
                played = play(&home) => played,
                _ = tokio::signal::ctrl_c() => {
                    Err(CliError::new("interrupted; the nodes are stopped and their data is removed"))
                }
            }
        })?;
        figures.print();
        if stay {
            converse(&runtime, &stage)?;
        }
        stage.cluster.kill_all();
        drop(temporary);
        Ok(ExitCode::SUCCESS)
    }
}

/// Leaves the cluster to the person at the terminal.
fn converse(runtime: &tokio::runtime::Runtime, stage: &Stage) -> Result<(), CliError> {
    anstream::println!(
        "\nThe cluster is up, and you are alice. Try {} or {}; {} ends it.",
        style::paint(style::RESULT, "transfer(Acct1->Acct2, 5%1)"),
        style::paint(style::RESULT, "help"),
        style::paint(style::RESULT, "quit"),
    );
    let source = PassphraseSource::new(None);
    let connection = runtime.block_on(Connection::open(stage.cluster.client_file()?, source))?;
    Repl::new(super::runtime()?, connection, Some("alice".to_owned()))?.run().map(|_| ())
}

async fn play(home: &Path) -> Result<(Stage, Figures), CliError> {
    let started = Instant::now();
    let exe = std::env::current_exe()?;
    step("four nodes, four processes, four data directories");
    let mut cluster = LocalCluster::create(&exe, &home.join("cluster"), NODES)?;
    cluster.start_all()?;
    cluster.wait_ready(PATIENCE).await?;
    let mut stage = Stage::new(cluster).await?;
    let status = stage.status(0).await?;
    say(format!("cluster {}, F = 1 of 4 may lie, quorum 3", short(&status["cluster"])));
    say(format!("term {}: {} leads by turn, all four vote", status["term"], text(&status["leader"]["name"])));

    let mut figures = Figures::default();
    accounts(&mut stage).await?;
    one_transfer(&mut stage).await?;
    contracts::play(&mut stage).await?;
    figures.ceiling = Some(Ceiling::measure(&stage.genesis)?);
    throughput(&mut stage, &mut figures).await?;
    kill_the_leader(&mut stage, &mut figures).await?;
    verify_logs(&stage)?;
    liar::play(&exe, &home.join("liar"), &mut figures).await?;
    figures.elapsed = started.elapsed();
    Ok((stage, figures))
}

async fn accounts(stage: &mut Stage) -> Result<(), CliError> {
    step("parties and accounts, each command signed by its own party");
    for party in ["alice", "bob"] {
        let key = stage.public_key(party)?;
        stage.apply("admin", &format!("RegisterParty {party} {key}")).await?;
    }
    stage.apply("alice", "CreateAccount Acct1").await?;
    stage.apply("bob", "CreateAccount Acct2").await?;
    stage.apply("treasury", &format!("AdjustAccount Acct1 {CREDIT}%1")).await?;
    for account in ["Acct1", "Acct2"] {
        let balance = stage.balance(account).await?;
        say(format!("ObserveAccount {account}: {balance}"));
    }
    let refused = stage.command("bob", "transfer(Acct1->Acct2, 1%1)").await?;
    say(format!("bob tries to spend alice's money: {}", refused.outcome));
    ensure(!refused.outcome.is_applied(), "somebody spent another's money")
}

async fn one_transfer(stage: &mut Stage) -> Result<(), CliError> {
    step("one transfer, its diff and its receipt");
    let receipt = stage.apply("alice", "transfer(Acct1->Acct2, 10%1)").await?;
    let (path, id) = (format!("/v1/commands/{}", receipt.command), receipt.command.to_string());
    let (_, mut answer) = stage.http.get_any(&path).await?;
    // A node that is asked at once may still be at it.
    for _ in 0..40 {
        if answer["diff"].is_array() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
        answer = stage.http.get_any(&path).await?.1;
    }
    for change in answer["diff"].as_array().into_iter().flatten() {
        let balance = |side: &str| text(&change[side]["balance"]["exact"]);
        say(format!(
            "{} {}: {} -> {}",
            text(&change["table"]),
            key(&change["key"]),
            balance("before"),
            balance("after")
        ));
    }
    say(format!(
        "receipt: command {}, index {}, height {}, diff {}; the same from more than F nodes",
        &id[..8],
        receipt.index,
        receipt.height,
        &receipt.diff.to_string()[..8]
    ));
    Ok(())
}

async fn throughput(stage: &mut Stage, figures: &mut Figures) -> Result<(), CliError> {
    step("throughput: first send to last result accepted by the client, fsync on, everything on this machine");
    for (name, shape, count) in [
        ("batch test:1000", Shape::Batch, 1000),
        ("batch test:5000", Shape::Batch, 5000),
        ("many test:1000", Shape::Many(1), 1000),
        ("many test:5000", Shape::Many(1), 5000),
    ] {
        let report = stage.load(shape, count).await?;
        say(format!("{name:<16} {}", figures::line(&report)));
        ensure(report.applied == count, "a transfer of the load was not applied")?;
        figures.loads.push((name.to_owned(), report));
    }
    Ok(())
}

async fn kill_the_leader(stage: &mut Stage, figures: &mut Figures) -> Result<(), CliError> {
    step("kill -9 of the leader, under load");
    let before = stage.leader().await?;
    let victim = usize::from(before.0);
    let (report, outage) = stage.load_with_kill(victim, 5000).await?;
    let after = stage.leader_but(before).await?;
    say(format!(
        "node-{victim} killed; node-{after} leads; longest wait between two results {} ms",
        outage.as_millis()
    ));
    say(figures::line(&report));
    ensure(report.applied == 5000, "a transfer was lost")?;
    figures.loads.push(("5000 with the leader killed".to_owned(), report));
    figures.outage = Some(outage);
    stage.check_acknowledged().await?;
    say(format!("all {} acknowledged transfers are on all three others", stage.acknowledged()));
    stage.cluster.start(victim)?;
    let catching = Instant::now();
    let root = stage.agree(PATIENCE).await?;
    say(format!(
        "node-{victim} restarted and caught up in {} ms: four equal state roots {}",
        catching.elapsed().as_millis(),
        &root[..8]
    ));
    stage.check_acknowledged().await?;
    Ok(())
}

fn verify_logs(stage: &Stage) -> Result<(), CliError> {
    step("offline audit of every node's log, from the genesis document alone");
    let mut roots = Vec::new();
    for node in 0..stage.cluster.len() {
        let audit = verify::check(&stage.cluster.data_dir(node), &stage.genesis, &mut |_| {})?.audit;
        say(format!(
            "node-{node}: {} blocks, {} entries, {} signatures, {} certificates sound; state root {}",
            audit.height,
            audit.entries,
            audit.signatures,
            audit.certificates,
            audit.state_root.short()
        ));
        roots.push(audit.state_root);
    }
    roots.dedup();
    ensure(roots.len() == 1, "the logs do not end in the same state")
}

// ---- words

pub(super) fn step(text: &str) {
    anstream::println!("\n{} {text}", style::paint(style::PROMPT, "▸"));
}

pub(super) fn say(text: impl std::fmt::Display) {
    anstream::println!("  {text}");
}

pub(super) fn ensure(holds: bool, otherwise: &str) -> Result<(), CliError> {
    if holds { Ok(()) } else { Err(CliError::new(format!("the demo failed: {otherwise}"))) }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn key(value: &Value) -> String {
    match value {
        Value::Object(map) => map.values().map(text).collect::<Vec<_>>().join(" "),
        other => text(other),
    }
}

fn short(value: &Value) -> String {
    text(value).chars().take(8).collect()
}

/// The node of a status' leader.
pub(super) fn leader_of(status: &Value) -> Option<NodeId> {
    status["leader"]["node"].as_u64().and_then(|n| u16::try_from(n).ok()).map(NodeId)
}

/// A report's refusals, for messages.
pub(super) fn refusals(report: &Report) -> String {
    report.refused.values().map(|(count, text)| format!("{count} x {text}")).collect::<Vec<_>>().join("; ")
}

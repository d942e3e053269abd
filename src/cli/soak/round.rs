//! One round of a soak.

use std::fmt;
use std::time::{Duration, Instant};

use client::HttpClient;
use serde_json::{Value, json};
use store::SplitMix;
use wire::{NodeId, Receipt};

use super::Options;
use super::traffic::Traffic;
use crate::cli::agreement::{agreed_balances, have_receipts, standing};
use crate::cli::{CliError, Connection};
use crate::local::LocalCluster;

/// How long anything may take before it counts as a violation.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long the load runs before the kill, at most (milliseconds).
const BEFORE_MS_MAX: u64 = 500;
/// How long it runs on beside the dead node once a command was acknowledged, at most.
const BESIDE_MS_MAX: u64 = 300;
/// Acknowledgements that show that the others go on.
const GOING_ON: usize = 3;
/// One round in so many kills the leader on purpose.
const LEADER_ONE_IN: u64 = 3;
/// One round in so many kills the node again while it comes back.
const TWICE_ONE_IN: u64 = 4;

/// Who is killed in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victims {
    /// This node.
    One(usize),
    /// Everybody at once.
    All,
}

/// What a round did and found.
#[derive(Debug, Clone)]
pub struct Round {
    /// Its number, from 1.
    pub number: u64,
    /// Who was killed.
    pub victims: Victims,
    /// That was the leader.
    pub leader: bool,
    /// It was killed a second time while it came back.
    pub twice: bool,
    /// Milliseconds from the kill (of all: from their start) to the next acknowledgement of a command sent after it.
    pub gap_ms: Option<u64>,
    /// Milliseconds from the last start to voting again.
    pub back_ms: Option<u64>,
    /// Commands acknowledged while the node was down.
    pub beside: usize,
    /// Commands acknowledged in the round.
    pub acknowledged: usize,
    /// The height all nodes came to.
    pub height: u64,
    /// What should not have been.
    pub violation: Option<String>,
}

impl Round {
    /// True if all nodes were killed.
    pub fn all(&self) -> bool {
        self.victims == Victims::All
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        json!({
            "round": self.number,
            "killed": match self.victims { Victims::One(node) => json!(node), Victims::All => json!("all") },
            "leader": self.leader,
            "twice": self.twice,
            "gap_ms": self.gap_ms,
            "back_ms": self.back_ms,
            "acknowledged_while_down": self.beside,
            "acknowledged": self.acknowledged,
            "height": self.height,
            "violation": self.violation,
        })
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {:>3}: killed ", self.number)?;
        match self.victims {
            Victims::All => f.write_str("all nodes at once")?,
            Victims::One(node) => write!(f, "node {node}{}", if self.leader { ", the leader" } else { "" })?,
        }
        if let Some(gap) = self.gap_ms {
            write!(f, "; next commit after {gap} ms")?;
        }
        if self.beside > 0 {
            write!(f, "; {} acknowledged beside", self.beside)?;
        }
        if self.twice {
            f.write_str("; killed again coming back")?;
        }
        if let Some(back) = self.back_ms {
            write!(f, "; back after {back} ms")?;
        }
        match &self.violation {
            None => write!(f, "; {} commands found everywhere at height {}", self.acknowledged, self.height),
            Some(violation) => write!(f, "; VIOLATION: {violation}"),
        }
    }
}

/// A soak that runs.
pub(super) struct Soak {
    cluster: LocalCluster,
    traffic: Traffic,
    http: HttpClient,
    asked: usize,
    random: SplitMix,
    options: Options,
    /// Of the acknowledged commands, so many were looked for already.
    checked: usize,
    /// Log entries that must be there by what was acknowledged.
    entries: u64,
}

impl Soak {
    pub(super) async fn start(
        cluster: LocalCluster,
        connection: Connection,
        options: Options,
    ) -> Result<Soak, CliError> {
        let http = connection.http.clone();
        let faulty = connection.file.genesis.membership().faulty_weight;
        let asked = usize::try_from(faulty).map_or(options.nodes, |f| f + 1).min(options.nodes);
        let mut random = SplitMix::new(options.seed);
        let traffic = Traffic::start(connection, options.rate, random.draw()).await?;
        Ok(Soak { cluster, traffic, http, asked, random, options, checked: 0, entries: 0 })
    }

    /// One round. What goes wrong is a violation of it.
    pub(super) async fn round(&mut self, number: u64) -> Round {
        let every = self.options.all_at_once_every;
        let all = every > 0 && number.is_multiple_of(every);
        let leader = self.leader().await;
        let victims = match (all, leader) {
            (true, _) => Victims::All,
            (false, Some(leader)) if self.random.below(LEADER_ONE_IN) == 0 => Victims::One(leader),
            _ => Victims::One(self.random.below(self.options.nodes as u64) as usize),
        };
        let mut round = Round {
            number,
            victims,
            leader: leader.is_some_and(|leader| victims == Victims::One(leader)),
            twice: !all && self.random.below(TWICE_ONE_IN) == 0,
            gap_ms: None,
            back_ms: None,
            beside: 0,
            acknowledged: 0,
            height: 0,
            violation: None,
        };
        round.violation = self.play(&mut round).await.err().map(|e| format!("{e}{}", self.missing()));
        round
    }

    /// Nodes that should run and do not, with the end of what they wrote.
    fn missing(&mut self) -> String {
        let gone: Vec<usize> = (0..self.cluster.len()).filter(|n| !self.cluster.runs(*n)).collect();
        gone.iter().map(|n| format!("\nnode {n} does not run:\n{}", self.cluster.log_tail(*n))).collect()
    }

    async fn play(&mut self, round: &mut Round) -> Result<(), CliError> {
        self.traffic.resume();
        self.sleep_up_to(BEFORE_MS_MAX).await;
        match round.victims {
            Victims::One(node) => self.kill_one(node, round).await?,
            Victims::All => self.kill_all(round).await?,
        }
        self.traffic.pause(PATIENCE).await?;
        self.compare(round).await
    }

    async fn kill_one(&mut self, node: usize, round: &mut Round) -> Result<(), CliError> {
        self.cluster.kill(node);
        let killed = Instant::now();
        round.gap_ms = Some(self.wait_for_commits(killed).await?);
        self.sleep_up_to(BESIDE_MS_MAX).await;
        round.beside = self.acknowledged_since(killed).0;
        self.cluster.start(node)?;
        if round.twice {
            self.sleep_up_to(BESIDE_MS_MAX).await;
            self.cluster.kill(node);
            self.cluster.start(node)?;
        }
        self.come_back(round).await
    }

    async fn kill_all(&mut self, round: &mut Round) -> Result<(), CliError> {
        self.cluster.kill_all();
        let started = Instant::now();
        self.cluster.start_all()?;
        self.come_back(round).await?;
        round.gap_ms = Some(self.wait_for_commits(started).await?);
        Ok(())
    }

    async fn come_back(&mut self, round: &mut Round) -> Result<(), CliError> {
        let started = Instant::now();
        self.cluster.wait_ready(PATIENCE).await?;
        round.back_ms = Some(started.elapsed().as_millis() as u64);
        Ok(())
    }

    /// Waits until commands that were sent after `since` are acknowledged; milliseconds to the first of them.
    async fn wait_for_commits(&self, since: Instant) -> Result<u64, CliError> {
        loop {
            match self.acknowledged_since(since) {
                (count, Some(first)) if count >= GOING_ON => return Ok((first - since).as_millis() as u64),
                (count, _) if since.elapsed() > PATIENCE => {
                    let text = format!("only {count} commands were acknowledged in {PATIENCE:?} after the kill");
                    return Err(CliError::new(text));
                }
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Commands sent and acknowledged after a moment: how many, and when the first.
    fn acknowledged_since(&self, since: Instant) -> (usize, Option<Instant>) {
        let book = self.traffic.book();
        let later = book.acknowledged.iter().rev().take_while(|a| a.at > since).filter(|a| a.submitted > since);
        later.fold((0, None), |(count, _), a| (count + 1, Some(a.at)))
    }

    async fn compare(&mut self, round: &mut Round) -> Result<(), CliError> {
        let (receipts, expected, odd) = {
            let book = self.traffic.book();
            let new = book.acknowledged[self.checked..].iter().map(|a| a.receipt.clone());
            (new.collect::<Vec<Receipt>>(), book.balances.clone(), book.odd.first().cloned())
        };
        if let Some((id, why)) = odd {
            return Err(CliError::new(format!("command {id} ended without a receipt: {why:?}")));
        }
        round.acknowledged = receipts.len();
        let highest = receipts.iter().map(|r| r.index.0 + 1).max().unwrap_or(0);
        self.entries = self.entries.max(highest);
        let standing = standing(&self.http, self.entries, PATIENCE).await?;
        round.height = standing.height.0;
        have_receipts(&self.http, &receipts).await?;
        self.checked += receipts.len();
        let balances = agreed_balances(&self.http, self.asked).await?;
        if balances != expected {
            let differs = |(name, units): &(&String, &u128)| balances.get(*name) != Some(*units);
            let first = expected.iter().find(differs);
            let text = format!("balances are not what was acknowledged: {first:?} found {balances:?}");
            return Err(CliError::new(text));
        }
        Ok(())
    }

    /// Looks for everything that was ever acknowledged; how much that is.
    pub(super) async fn everything(&self) -> (u64, Result<(), CliError>) {
        let receipts: Vec<Receipt> = self.traffic.book().acknowledged.iter().map(|a| a.receipt.clone()).collect();
        let found = have_receipts(&self.http, &receipts).await.map_err(CliError::from);
        (receipts.len() as u64, found)
    }

    /// Ends the load; the cluster is left to whoever asks.
    pub(super) fn end(self) -> LocalCluster {
        self.cluster
    }

    async fn leader(&self) -> Option<usize> {
        let (_, status) = self.http.get_any("/v1/status").await.ok()?;
        let leader = status["leader"]["node"].as_u64().and_then(|n| u16::try_from(n).ok()).map(NodeId)?;
        Some(usize::from(leader.0))
    }

    async fn sleep_up_to(&mut self, ms: u64) {
        let ms = self.random.below(ms + 1);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

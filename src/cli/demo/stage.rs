//! A running cluster with a client that signs for several parties.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::load::{self, Report, Shape};
use client::{CommandBuilder, HttpClient, Identity, StreamClient, StreamConfig, Verdict, random_session};
use ledger::Request;
use ledger::classic::{self, Classic};
use serde_json::Value;
use wire::{CommandId, Genesis, NodeId, PublicKey, Receipt, SignedCommand, SignerError};

use super::contracts::name_of;
use super::{PATIENCE, ensure, leader_of, refusals, text};
use crate::cli::CliError;
use crate::config::PassphraseSource;
use crate::local::LocalCluster;

const TRANSFER: &str = "transfer(Acct1->Acct2, 1%1)";

pub(super) struct Stage {
    pub cluster: LocalCluster,
    pub genesis: Genesis,
    pub http: HttpClient,
    client: StreamClient,
    builders: BTreeMap<String, CommandBuilder>,
    identities: BTreeMap<String, Identity>,
    /// Commands whose results were accepted, with the receipts.
    accepted: BTreeMap<CommandId, Receipt>,
}

impl Stage {
    pub async fn new(cluster: LocalCluster) -> Result<Stage, CliError> {
        let file = cluster.client_file()?;
        let session = random_session()?;
        let client = StreamClient::start(file.stream_config()?);
        client.follow(session);
        client.ready(PATIENCE).await?;
        let mut builders = BTreeMap::new();
        let mut identities = BTreeMap::new();
        for party in file.parties() {
            let identity = file.identity(Some(party), &PassphraseSource::new(None))?;
            let builder = CommandBuilder::new(file.genesis.cluster_id(), session, identity.clone());
            builders.insert(party.to_owned(), builder);
            identities.insert(party.to_owned(), identity);
        }
        let http = file.http_client()?;
        Ok(Stage { cluster, genesis: file.genesis, http, client, builders, identities, accepted: BTreeMap::new() })
    }

    pub fn public_key(&self, party: &str) -> Result<PublicKey, CliError> {
        let identity = self.identities.get(party).and_then(|i| i.keys().next());
        identity.ok_or_else(|| CliError::new(format!("no key of {party}")))
    }

    fn builder(&mut self, party: &str) -> Result<&mut CommandBuilder, CliError> {
        self.builders.get_mut(party).ok_or_else(|| CliError::new(format!("no key of {party}")))
    }

    /// Sends one command in the classic language and waits for its receipt from more than F nodes.
    pub async fn command(&mut self, party: &str, line: &str) -> Result<Receipt, CliError> {
        let Classic::Operation(operation) = classic::parse(line)? else {
            return Err(CliError::new(format!("{line} is a query")));
        };
        self.request(&[party], operation.into()).await
    }

    /// Sends a request in the name of the first of the signers, signed by all of them.
    pub async fn request(&mut self, signers: &[&str], request: Request) -> Result<Receipt, CliError> {
        let (what, payload) = (name_of(&request), request.to_payload());
        let [party, others @ ..] = signers else { return Err(CliError::new("nobody signs")) };
        let others: Vec<Identity> = others.iter().filter_map(|p| self.identities.get(*p).cloned()).collect();
        let others: Vec<&Identity> = others.iter().collect();
        let signed = self.builder(party)?.sign_with(payload, &others)?;
        let done = self.client.execute(&[signed]).await?;
        match done.into_iter().next().map(|d| d.verdict) {
            Some(Verdict::Accepted(receipt)) => {
                self.accepted.insert(receipt.command, receipt.clone());
                Ok(receipt)
            }
            Some(Verdict::Refused(outcome)) => Err(CliError::new(format!("{what}: {outcome}"))),
            Some(Verdict::Unanswered) | None => Err(CliError::new(format!("{what}: no answer before it expired"))),
        }
    }

    /// The same, for a command that must take effect.
    pub async fn apply(&mut self, party: &str, line: &str) -> Result<Receipt, CliError> {
        let receipt = self.command(party, line).await?;
        ensure(receipt.outcome.is_applied(), &format!("{line}: {}", receipt.outcome))?;
        Ok(receipt)
    }

    /// An account's balance, as nodes of weight above F report it.
    pub async fn balance(&self, account: &str) -> Result<String, CliError> {
        let path = format!("/v1/accounts/{account}");
        let pick = |answer: Value| answer["balance"]["exact"].clone();
        let (balance, _) = self.http.get_agreed(&path, &self.genesis.membership(), pick).await?;
        Ok(balance.as_ref().map_or_else(|| "no such account".into(), text))
    }

    pub async fn load(&mut self, shape: Shape, count: u64) -> Result<Report, CliError> {
        let make = transfers(self.builder("alice")?, count)?;
        self.client.follow(make.session);
        let accepted = &mut self.accepted;
        let report = load::run(&mut self.client, make, shape, &mut |done| {
            if let Verdict::Accepted(receipt) = &done.verdict {
                accepted.insert(receipt.command, receipt.clone());
            }
        })
        .await?;
        if report.applied != count {
            let text = format!("{} of {count} applied; {}", report.applied, refusals(&report));
            return Err(CliError::new(text));
        }
        Ok(report)
    }

    /// A load during which a node is killed after a fifth of the results. Also returns the longest gap between results.
    ///
    /// The client keeps only a few commands under way, so that the load lasts through the change of leader.
    pub async fn load_with_kill(&mut self, victim: usize, count: u64) -> Result<(Report, Duration), CliError> {
        let config = StreamConfig { window: 200, ..self.cluster.client_file()?.stream_config()? };
        let mut client = StreamClient::start(config);
        client.ready(PATIENCE).await?;
        let make = transfers(self.builder("alice")?, count)?;
        client.follow(make.session);
        let Stage { cluster, accepted, .. } = self;
        let (mut seen, mut killed) = (0, false);
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        let report = load::run(&mut client, make, Shape::Many(10), &mut |done| {
            longest = longest.max(last.elapsed());
            last = Instant::now();
            seen += 1;
            if !killed && seen >= count / 5 {
                killed = true;
                cluster.kill(victim);
            }
            if let Verdict::Accepted(receipt) = &done.verdict {
                accepted.insert(receipt.command, receipt.clone());
            }
        })
        .await?;
        ensure(killed, "the load ended before the node was killed")?;
        Ok((report, longest))
    }

    /// A load submitted through several nodes at once, a part through each.
    pub async fn load_through(&mut self, nodes: &[usize], count: u64) -> Result<Report, CliError> {
        let share = count / nodes.len() as u64;
        let mut clients = Vec::new();
        for node in nodes {
            let client = StreamClient::start(self.cluster.client_file()?.stream_config()?);
            client.prefer(Some(NodeId(*node as u16)));
            client.ready(PATIENCE).await?;
            clients.push(client);
        }
        let mut loads = tokio::task::JoinSet::new();
        for (n, mut client) in clients.into_iter().enumerate() {
            let count = if n == 0 { count - share * (nodes.len() as u64 - 1) } else { share };
            let make = transfers(self.builder("alice")?, count)?;
            client.follow(make.session);
            loads.spawn(async move { load::run(&mut client, make, Shape::Many(1), &mut |_| {}).await });
        }
        let mut whole: Option<Report> = None;
        for report in loads.join_all().await {
            let report = report?;
            whole = Some(match whole {
                None => report,
                Some(mut whole) => {
                    whole.merge(report);
                    whole
                }
            });
        }
        let report = whole.ok_or_else(|| CliError::new("no node to send through"))?;
        ensure(report.applied == count, &format!("{} of {count} applied; {}", report.applied, refusals(&report)))?;
        Ok(report)
    }

    pub fn acknowledged(&self) -> usize {
        self.accepted.len()
    }

    pub async fn status(&self, node: usize) -> Result<Value, CliError> {
        Ok(self.http.get(NodeId(node as u16), "/v1/status").await?)
    }

    /// The leader that the nodes with the highest term name.
    pub async fn leader(&self) -> Result<NodeId, CliError> {
        self.leader_where(|_| true).await
    }

    /// The same, once it is another than `old`.
    pub async fn leader_but(&self, old: NodeId) -> Result<NodeId, CliError> {
        self.leader_where(|leader| leader != old).await
    }

    async fn leader_where(&self, wanted: impl Fn(NodeId) -> bool) -> Result<NodeId, CliError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answers = self.http.get_each("/v1/status").await;
            let statuses = answers.into_iter().filter_map(|(_, answer)| answer.ok());
            let newest = statuses.max_by_key(|s| s["term"].as_u64());
            if let Some(leader) = newest.as_ref().and_then(leader_of).filter(|l| wanted(*l)) {
                return Ok(leader);
            }
            ensure(Instant::now() < deadline, "no leader was found")?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until all nodes stand at one height with one state root, and returns the root.
    pub async fn agree(&self, patience: Duration) -> Result<String, CliError> {
        agree(&self.http, &(0..self.cluster.len()).collect::<Vec<_>>(), patience).await
    }

    /// Asks every running node for a sample of the accepted commands, and compares the receipts.
    pub async fn check_acknowledged(&mut self) -> Result<(), CliError> {
        let running: Vec<usize> = (0..self.cluster.len()).collect();
        let running: Vec<usize> = running.into_iter().filter(|n| self.cluster.runs(*n)).collect();
        agree(&self.http, &running, PATIENCE).await?;
        let ids: Vec<&CommandId> = self.accepted.keys().collect();
        for piece in ids.chunks(1000) {
            let body = serde_json::json!({ "ids": piece.iter().map(|id| id.to_string()).collect::<Vec<_>>() });
            for node in &running {
                let answer = self.http.post(NodeId(*node as u16), "/v1/wait?timeout_ms=0", &body).await?;
                let found = answer["commands"].as_array().map_or(&[][..], Vec::as_slice);
                ensure(found.len() == piece.len(), "a node does not answer for every command")?;
                for item in found {
                    let id: CommandId = text(&item["id"]).parse()?;
                    let receipt = self.accepted.get(&id);
                    let same = receipt.is_some_and(|r| item["index"].as_u64() == Some(r.index.0));
                    ensure(same, &format!("node {node} does not have acknowledged command {id} at its place"))?;
                }
            }
        }
        Ok(())
    }
}

/// Transfers of alice, each signed when it is asked for. In a session of their own: the builder moves to the thread that
/// signs.
struct Transfers {
    session: u64,
    builder: CommandBuilder,
    payload: Vec<u8>,
    left: u64,
}

fn transfers(alice: &CommandBuilder, count: u64) -> Result<Transfers, CliError> {
    let Classic::Operation(operation) = classic::parse(TRANSFER)? else {
        return Err(CliError::new("the load is a query"));
    };
    let session = random_session()?;
    let mut builder = alice.clone();
    builder.restart(session);
    Ok(Transfers { session, builder, payload: operation.to_payload(), left: count })
}

impl Iterator for Transfers {
    type Item = Result<SignedCommand, SignerError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.builder.sign(self.payload.clone()))
    }
}

/// Waits until these nodes stand at one height with one state root, and returns the root.
pub(super) async fn agree(http: &HttpClient, nodes: &[usize], patience: Duration) -> Result<String, CliError> {
    let deadline = Instant::now() + patience;
    loop {
        let mut seen: Vec<(u64, String)> = Vec::new();
        for node in nodes {
            if let Ok(status) = http.get(NodeId(*node as u16), "/v1/status").await {
                seen.push((status["height"].as_u64().unwrap_or(0), text(&status["state_root"])));
            }
        }
        let all = seen.len() == nodes.len();
        seen.dedup();
        if let (true, [(_, root)]) = (all, seen.as_slice()) {
            return Ok(root.clone());
        }
        ensure(Instant::now() < deadline, &format!("the nodes do not agree on a state: {seen:?}"))?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

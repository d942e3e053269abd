//! A connection of a client verb to its cluster: streams for commands, HTTP for reads, and the keys in use.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{CommandBuilder, Done, HttpClient, Identity, StreamClient, Verdict, random_session};
use ledger::Diff;
use wire::{NodeId, SignedCommand};

use super::{CliError, diff, style};
use crate::config::{ClientFile, PassphraseSource};

/// How long to wait for enough nodes before giving up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Streams to all nodes, the keys opened so far, and a session whose replies all nodes send here.
pub struct Connection {
    /// What it was made from.
    pub file: ClientFile,
    /// For commands.
    pub client: StreamClient,
    /// For reads.
    pub http: HttpClient,
    source: PassphraseSource,
    session: u64,
    identities: BTreeMap<String, Identity>,
    builders: BTreeMap<String, CommandBuilder>,
}

impl Connection {
    /// Connects to all nodes and waits until enough of them answer.
    ///
    /// # Errors
    /// If nodes of weight above `F` cannot be reached; it names them.
    pub async fn open(file: ClientFile, source: PassphraseSource) -> Result<Connection, CliError> {
        let client = StreamClient::start(file.stream_config()?);
        let session = random_session()?;
        client.follow(session);
        client.ready(PATIENCE).await?;
        let http = file.http_client()?;
        let (identities, builders) = Default::default();
        Ok(Connection { file, client, http, source, session, identities, builders })
    }

    /// The keys of a party, opened at first use; this may ask for a passphrase.
    ///
    /// # Errors
    /// If the client's file names no keys for it, or they cannot be opened.
    pub fn identity(&mut self, party: Option<&str>) -> Result<Identity, CliError> {
        if let Some(known) = party.and_then(|party| self.identities.get(party)) {
            return Ok(known.clone());
        }
        let identity = self.file.identity(party, &self.source)?;
        self.identities.insert(identity.party().to_string(), identity.clone());
        Ok(identity)
    }

    /// The builder of a party's commands.
    ///
    /// # Errors
    /// As [`Connection::identity`].
    pub fn builder(&mut self, party: Option<&str>) -> Result<&mut CommandBuilder, CliError> {
        let identity = self.identity(party)?;
        let (cluster, session) = (self.file.genesis.cluster_id(), self.session);
        let party = identity.party().to_string();
        Ok(self.builders.entry(party).or_insert_with(|| CommandBuilder::new(cluster, session, identity)))
    }

    /// Signs a command in a party's name, with the cosigners' keys too.
    ///
    /// # Errors
    /// If a key cannot be opened or used.
    pub fn sign(
        &mut self,
        party: Option<&str>,
        cosigners: &[String],
        payload: Vec<u8>,
    ) -> Result<SignedCommand, CliError> {
        let cosigners: Vec<Identity> =
            cosigners.iter().map(|party| self.identity(Some(party))).collect::<Result<_, _>>()?;
        let cosigners: Vec<&Identity> = cosigners.iter().collect();
        Ok(self.builder(party)?.sign_with(payload, &cosigners)?)
    }

    /// Submits commands together and waits for what becomes of each. Tells of nodes that misbehave.
    ///
    /// # Errors
    /// If they cannot be submitted.
    pub async fn execute(&mut self, commands: &[SignedCommand]) -> Result<Vec<Done>, CliError> {
        let done = self.client.execute(commands).await?;
        self.print_alerts();
        Ok(done)
    }

    /// Prints what there is to be told of misbehaving nodes.
    pub fn print_alerts(&self) {
        for alert in self.client.alerts() {
            anstream::eprintln!("{} {alert}", style::paint(style::ERROR, "alert:"));
        }
    }

    /// What an accepted command changed: asked of the nodes that vouched for it, and checked against the receipt.
    pub async fn diff(&self, done: &Done) -> Option<Diff> {
        let Verdict::Accepted(receipt) = &done.verdict else { return None };
        let path = format!("/v1/commands/{}", done.id);
        for node in &done.nodes {
            if let Ok(answer) = self.http.get(*node, &path).await
                && let Some(diff) = diff::checked(&answer, &receipt.diff)
            {
                return Some(diff);
            }
        }
        None
    }

    /// Sends new commands to this node, and asks it first; `None` goes back to the leader.
    ///
    /// # Errors
    /// If the client's file names no such node.
    pub fn prefer(&mut self, node: Option<NodeId>) -> Result<(), CliError> {
        if let Some(node) = node {
            if !self.file.nodes.iter().any(|n| n.id == node.0) {
                return Err(client::HttpError::UnknownNode(node).into());
            }
            self.http.prefer(node);
        }
        self.client.prefer(node);
        Ok(())
    }
}

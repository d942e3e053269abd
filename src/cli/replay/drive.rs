//! The replay itself: set up, send, compare. Prints nothing; whoever calls watches.

use std::time::{Duration, Instant};

use client::load::{Report, Shape, run};
use client::{BadKey, CommandBuilder, random_session};
use ledger::operation::{ADMIN, TREASURY};
use ledger::{Amount, Code, Operation};
use wire::{ClusterId, Name, OutcomeCode, SignedCommand, SignerError};

use super::plan::{Cast, Funding, Plan};
use super::trace::{Trace, Who};
use crate::cli::agreement::{self, Standing};
use crate::cli::{CliError, Connection};

/// Commands in one submission while setting up.
const SETUP_TOGETHER: usize = 512;
/// How long the nodes may take to come to one height after the last command.
const PATIENCE: Duration = Duration::from_secs(60);

/// One part of a replay, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Registering parties.
    Parties,
    /// Opening accounts.
    Accounts,
    /// Minting.
    Funding,
    /// The rows themselves.
    Rows,
}

impl Part {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Part::Parties => "parties",
            Part::Accounts => "accounts",
            Part::Funding => "funding",
            Part::Rows => "rows",
        }
    }
}

/// How a replay is done.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Where parties' keys and names come from.
    pub seed: u64,
    /// Rows in one submission.
    pub together: usize,
}

/// What came of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// What was set up.
    pub plan: Plan,
    /// Parties registered.
    pub parties: usize,
    /// Accounts opened.
    pub accounts: usize,
    /// Accounts funded.
    pub funded: usize,
    /// How long setting up took.
    pub setup: Duration,
    /// Of the rows.
    pub report: Report,
    /// The sum of all balances before the rows, in the smallest unit, as `asked` nodes agree.
    pub before: u128,
    /// And after.
    pub after: u128,
    /// Nodes that were asked for all balances, and agreed: more than may be faulty.
    pub asked: usize,
    /// Nodes that agree on `standing`: all.
    pub nodes: usize,
    /// Where all nodes stand at the end.
    pub standing: Standing,
}

impl Replayed {
    /// What should hold and does not. (That all nodes agree was a condition for having come here.)
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.before != self.after {
            found.push(format!("the balances summed to {} before and to {} after", self.before, self.after));
        }
        if self.report.unanswered > 0 {
            found.push(format!("{} commands were never answered", self.report.unanswered));
        }
        let refused = |code: Code| self.report.refused.get(&code.number()).map_or(0, |(count, _)| *count);
        let expected = self.plan.expected;
        let got = (self.report.applied, refused(Code::ZeroAmount), refused(Code::SelfTransfer));
        // Where funding is not ample, the order of execution decides which transfers find their money.
        if self.plan.funding == Funding::Ample
            && got != (expected.transfers + expected.data, expected.zero, expected.own)
        {
            found.push(format!("by the rules it should have been {expected:?}; applied, zero, own were {got:?}"));
        }
        found
    }
}

/// Replays a trace over a connection whose identities include `admin` and `treasury`. `watch` hears of each part when it
/// begins, with the number of its commands, and of each command that is done (`None`).
///
/// # Errors
/// If the set-up is refused, the cluster cannot be reached, or the nodes do not agree.
pub async fn replay(
    connection: &mut Connection,
    trace: &Trace,
    manner: Manner,
    watch: &mut (dyn FnMut(Option<(Part, usize)>) + Send),
) -> Result<Replayed, CliError> {
    let membership = connection.file.genesis.membership();
    // One more than may be faulty: voters are at least of weight 1.
    let asked = usize::try_from(membership.faulty_weight).map_or(usize::MAX, |f| f + 1).min(membership.voters.len());
    let http = connection.http.clone();
    let existing = agreement::agreed_balances(&http, asked).await?;
    let supply = Amount::from_units(existing.values().sum()).unwrap_or(Amount::MAX);
    let (plan, cast) = (Plan::new(trace, supply), Cast::new(trace, manner.seed)?);

    let started = Instant::now();
    let session = follow_new_session(connection)?;
    let mut stage = Setup { connection, cast: &cast, plan: &plan, session, watch };
    let parties = stage.parties().await?;
    let accounts = stage.accounts().await?;
    let funded = stage.fund().await?;
    let setup = started.elapsed();

    let entries = agreement::standing(&http, 0, PATIENCE).await?.entries;
    let before = agreement::agreed_balances(&http, asked).await?.values().sum();
    let session = follow_new_session(connection)?;
    watch(Some((Part::Rows, trace.rows.len())));
    let commands = sign_rows(trace, &cast, &plan, connection.file.genesis.cluster_id(), session)?;
    let report = run(&mut connection.client, commands, Shape::Many(manner.together), &mut |_| watch(None)).await?;
    connection.print_alerts();

    let standing = agreement::standing(&http, entries + executed(&report), PATIENCE).await?;
    let after = agreement::agreed_balances(&http, asked).await?.values().sum();
    let nodes = http.nodes().len();
    Ok(Replayed { plan, parties, accounts, funded, setup, report, before, after, asked, nodes, standing })
}

/// A session of its own for each part, so that sequences start at 1; all parties share it.
fn follow_new_session(connection: &Connection) -> Result<u64, CliError> {
    let session = random_session()?;
    connection.client.follow(session);
    Ok(session)
}

/// Commands of which it is certain that they are in the log: what the nodes refused at the door is not.
fn executed(report: &Report) -> u64 {
    let in_log = |code: &&OutcomeCode| Code::of(**code).is_some_and(|code| code >= Code::NotAdministrator);
    report.applied + report.refused.iter().filter(|(code, _)| in_log(code)).map(|(_, (count, _))| count).sum::<u64>()
}

/// Signs the rows one by one, as they are sent, each with its sender's own key.
fn sign_rows(
    trace: &Trace,
    cast: &Cast,
    plan: &Plan,
    cluster: ClusterId,
    session: u64,
) -> Result<impl Iterator<Item = Result<SignedCommand, SignerError>> + Send + 'static, CliError> {
    let builder = |(name, sends): (&Name, &bool)| sends.then(|| cast.builder(name, cluster, session)).transpose();
    let mut builders: Vec<Option<CommandBuilder>> =
        cast.names.iter().zip(&plan.sends).map(builder).collect::<Result<_, BadKey>>()?;
    let payloads: Vec<(Who, Vec<u8>)> =
        trace.rows.iter().map(|row| (row.from, cast.operation(row.from, &row.act).to_payload())).collect();
    Ok(payloads
        .into_iter()
        .map(move |(from, payload)| builders[from].as_mut().expect("the sender of a row sends").sign(payload)))
}

/// Makes parties, accounts and balances, each part after the one it depends on.
struct Setup<'a> {
    connection: &'a mut Connection,
    cast: &'a Cast,
    plan: &'a Plan,
    session: u64,
    watch: &'a mut (dyn FnMut(Option<(Part, usize)>) + Send),
}

impl Setup<'_> {
    async fn parties(&mut self) -> Result<usize, CliError> {
        let operations = self.cast.registrations(self.plan)?;
        let mut admin = self.official(ADMIN)?;
        let count = operations.len();
        let commands = operations.into_iter().map(move |operation| admin.sign(operation.to_payload()));
        self.send(Part::Parties, count, commands).await
    }

    async fn accounts(&mut self) -> Result<usize, CliError> {
        let kept = Cast::kept(self.plan);
        let (cluster, session) = (self.connection.file.genesis.cluster_id(), self.session);
        let mut keeper = self.cast.builder(&self.cast.keeper, cluster, session)?;
        let mut commands = Vec::new();
        for who in (0..self.cast.names.len()).filter(|who| self.plan.has_account[*who]) {
            let name = &self.cast.names[who];
            let payload = Operation::CreateAccount { name: name.clone() }.to_payload();
            commands.push(match kept.contains(&who) {
                true => keeper.sign(payload),
                false => self.cast.builder(name, cluster, session)?.sign(payload),
            });
        }
        self.send(Part::Accounts, commands.len(), commands.into_iter()).await
    }

    async fn fund(&mut self) -> Result<usize, CliError> {
        let grants = self.cast.names.iter().zip(&self.plan.grants).filter(|(_, amount)| !amount.is_zero());
        let mint = |(name, amount): (&Name, &Amount)| {
            Operation::Adjust { account: name.clone(), negative: false, amount: *amount }.to_payload()
        };
        let payloads: Vec<Vec<u8>> = grants.map(mint).collect();
        let mut treasury = self.official(TREASURY)?;
        let count = payloads.len();
        self.send(Part::Funding, count, payloads.into_iter().map(move |payload| treasury.sign(payload))).await
    }

    /// Signs for a party that exists from the start, with the keys of the client's file.
    fn official(&mut self, party: &str) -> Result<CommandBuilder, CliError> {
        let identity = self.connection.identity(Some(party))?;
        Ok(CommandBuilder::new(self.connection.file.genesis.cluster_id(), self.session, identity))
    }

    /// Sends the commands of one part; all of them must take effect.
    async fn send(
        &mut self,
        part: Part,
        count: usize,
        commands: impl Iterator<Item = Result<SignedCommand, SignerError>> + Send + 'static,
    ) -> Result<usize, CliError> {
        (self.watch)(Some((part, count)));
        let watch = &mut *self.watch;
        let shape = Shape::Many(SETUP_TOGETHER);
        let report = run(&mut self.connection.client, commands, shape, &mut |_| watch(None)).await?;
        if let Some((number, first)) = report.refused.values().next() {
            let text = format!("setting up {}: {number} commands were refused: {first}", part.name());
            return Err(CliError::new(text));
        }
        if report.unanswered > 0 {
            return Err(CliError::new(format!("setting up {}: {} unanswered", part.name(), report.unanswered)));
        }
        Ok(count)
    }
}

//! The load of a soak: a steady stream of signed transfers, and a book of everything that was acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use client::{CommandBuilder, Done, Identity, StreamClient, Verdict, random_session};
use ledger::operation::Transfer;
use ledger::{Amount, Operation};
use store::SplitMix;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use wire::{ClusterId, CommandId, Name, Outcome, Receipt, SignedCommand, SignerError};

use crate::cli::{CliError, Connection};

/// Accounts that send to each other.
const ACCOUNTS: usize = 16;
/// What each starts with.
const GRANT_UNITS: u128 = 1_000_000_000;
/// The most one transfer moves. Now and then it is more than there is: then a refusal must last too.
const MOVE_UNITS_MAX: u64 = 2_000;
/// One in so many asks for more than any account holds.
const OVERDRAFT_ONE_IN: u64 = 50;
/// Between two bursts.
const BURST_EVERY: Duration = Duration::from_millis(5);
/// Commands without a verdict, at most, in seconds of load. When no node answers, the stream stops there.
const UNDER_WAY_SECONDS: u64 = 2;
/// Sequences used of one session. Far below the window beyond which a ledger drops results: what was acknowledged in
/// the first round can then still be asked for in the last.
const SEQUENCES_PER_SESSION: u64 = 30_000;

/// One acknowledged command.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// What enough nodes signed.
    pub receipt: Receipt,
    /// When it was submitted.
    pub submitted: Instant,
    /// When it was acknowledged.
    pub at: Instant,
}

/// What became of the commands so far.
#[derive(Debug, Default)]
pub struct Book {
    /// Acknowledged, in order.
    pub acknowledged: Vec<Acknowledged>,
    /// What each account must hold, by the receipts alone.
    pub balances: BTreeMap<String, u128>,
    /// Those that ended without a receipt: refused at the door, or never answered.
    pub odd: Vec<(CommandId, Option<Outcome>)>,
    /// Submitted and without a verdict.
    under_way: HashMap<CommandId, Moved>,
    /// Nothing more is sent.
    paused: bool,
    /// Why the stream ended before its time.
    pub broken: Option<String>,
}

#[derive(Debug)]
struct Moved {
    from: usize,
    to: usize,
    units: u128,
    submitted: Instant,
}

impl Book {
    /// Commands without a verdict.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    fn settle(&mut self, done: &Done) {
        let Some(moved) = self.under_way.remove(&done.id) else { return };
        let receipt = match &done.verdict {
            Verdict::Accepted(receipt) => receipt.clone(),
            Verdict::Refused(outcome) => return self.odd.push((done.id, Some(outcome.clone()))),
            Verdict::Unanswered => return self.odd.push((done.id, None)),
        };
        if receipt.outcome.is_applied() {
            // Receipts arrive in another order than the log's, so a balance may pass through less than nothing here.
            let balance = |n: usize| account(n).to_string();
            let of = self.balances.entry(balance(moved.from)).or_default();
            *of = of.wrapping_sub(moved.units);
            let of = self.balances.entry(balance(moved.to)).or_default();
            *of = of.wrapping_add(moved.units);
        }
        self.acknowledged.push(Acknowledged { receipt, submitted: moved.submitted, at: Instant::now() });
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn account(n: usize) -> Name {
    Name::new(&format!("soak.{n}")).expect("letters, a dot and digits")
}

/// A running stream of commands; ends with this value.
pub struct Traffic {
    book: Arc<Mutex<Book>>,
    task: JoinHandle<()>,
}

impl Traffic {
    /// Registers a party, opens and funds its accounts, and starts to send `rate` commands a second, drawn from `seed`.
    ///
    /// # Errors
    /// If the set-up is refused.
    pub async fn start(mut connection: Connection, rate: u64, seed: u64) -> Result<Traffic, CliError> {
        let identity = connection.identity(Some("alice"))?;
        set_up(&mut connection, &identity).await?;
        let mut book = Book::default();
        book.balances.extend((0..ACCOUNTS).map(|n| (account(n).to_string(), GRANT_UNITS)));
        let book = Arc::new(Mutex::new(book));
        let cluster = connection.file.genesis.cluster_id();
        let session = random_session()?;
        connection.client.follow(session);
        let stream = Stream {
            builder: CommandBuilder::new(cluster, session, identity),
            cluster,
            used: 0,
            random: SplitMix::new(seed),
            rate,
            book: book.clone(),
        };
        let task = tokio::spawn(stream.run(connection.client));
        Ok(Traffic { book, task })
    }

    /// The book, as of now.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// Sends nothing more until [`Traffic::resume`], and waits until every command has its verdict.
    ///
    /// # Errors
    /// With the number of those that have none when patience ends.
    pub async fn pause(&self, patience: Duration) -> Result<(), CliError> {
        self.book().paused = true;
        let deadline = Instant::now() + patience;
        loop {
            let (under_way, broken) = {
                let book = self.book();
                (book.under_way(), book.broken.clone())
            };
            match (under_way, broken) {
                (_, Some(why)) => return Err(CliError::new(why)),
                (0, None) => return Ok(()),
                (n, None) if Instant::now() > deadline => {
                    return Err(CliError::new(format!("{n} commands have no answer after {patience:?}")));
                }
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Sends again.
    pub fn resume(&self) {
        self.book().paused = false;
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One party with its accounts, each funded by the treasury.
async fn set_up(connection: &mut Connection, identity: &Identity) -> Result<(), CliError> {
    let key = identity.keys().next().ok_or_else(|| CliError::new("the party has no key"))?;
    let register = Operation::RegisterParty { name: identity.party().clone(), guard: wire::Guard::Key(key) };
    let create = (0..ACCOUNTS).map(|n| Operation::CreateAccount { name: account(n) });
    let amount = Amount::from_units(GRANT_UNITS).expect("far below the cap");
    let mint = (0..ACCOUNTS).map(|n| Operation::Adjust { account: account(n), negative: false, amount });
    let steps = [
        ("admin", vec![register]),
        (identity.party().as_str(), create.collect()),
        ("treasury", mint.collect::<Vec<Operation>>()),
    ];
    for (party, operations) in steps {
        let sign = |operation: &Operation| connection.sign(Some(party), &[], operation.to_payload());
        let commands = operations.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
        for done in connection.execute(&commands).await? {
            match &done.verdict {
                Verdict::Accepted(receipt) if receipt.outcome.is_applied() => {}
                other => return Err(CliError::new(format!("setting up as {party}: {other:?}"))),
            }
        }
    }
    Ok(())
}

/// The task that sends and listens.
struct Stream {
    builder: CommandBuilder,
    cluster: ClusterId,
    /// Sequences used of the session.
    used: u64,
    random: SplitMix,
    rate: u64,
    book: Arc<Mutex<Book>>,
}

impl Stream {
    async fn run(mut self, mut client: StreamClient) {
        let mut bursts = interval(BURST_EVERY);
        bursts.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // In thousandths of a command, so that low rates are met too.
        let mut due = 0;
        loop {
            tokio::select! {
                _ = bursts.tick() => {
                    due = (due + self.rate * BURST_EVERY.as_millis() as u64).min(1000 * self.rate);
                    let count = due / 1000;
                    due %= 1000;
                    if let Err(why) = self.burst(&client, count).await {
                        lock(&self.book).broken = Some(why.to_string());
                        return;
                    }
                }
                results = client.results() => {
                    let mut book = lock(&self.book);
                    results.iter().for_each(|done| book.settle(done));
                }
            }
        }
    }

    async fn burst(&mut self, client: &StreamClient, count: u64) -> Result<(), CliError> {
        if self.used >= SEQUENCES_PER_SESSION {
            let session = random_session()?;
            client.follow(session);
            self.builder.restart(session);
            self.used = 0;
        }
        let commands = self.sign(count)?;
        Ok(client.submit(&commands).await?)
    }

    /// Signs and enters into the book, in one step: a pause that sees nothing under way is one.
    fn sign(&mut self, count: u64) -> Result<Vec<SignedCommand>, SignerError> {
        let book = self.book.clone();
        let mut book = lock(&book);
        let room = (UNDER_WAY_SECONDS * self.rate).saturating_sub(book.under_way() as u64);
        let count = if book.paused { 0 } else { count.min(room) };
        let mut commands = Vec::new();
        for _ in 0..count {
            let (payload, moved) = self.draw();
            let command = self.builder.sign(payload)?;
            self.used += 1;
            book.under_way.insert(command.id(&self.cluster), moved);
            commands.push(command);
        }
        Ok(commands)
    }

    fn draw(&mut self) -> (Vec<u8>, Moved) {
        let from = self.random.below(ACCOUNTS as u64) as usize;
        let to = (from + 1 + self.random.below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
        let units = match self.random.below(OVERDRAFT_ONE_IN) {
            0 => GRANT_UNITS * ACCOUNTS as u128 + 1,
            _ => u128::from(1 + self.random.below(MOVE_UNITS_MAX)),
        };
        let amount = Amount::from_units(units).expect("far below the cap");
        let operation = Operation::Transfer(Transfer { path: vec![account(from), account(to)], amount });
        (operation.to_payload(), Moved { from, to, units, submitted: Instant::now() })
    }
}

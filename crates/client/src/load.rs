//! Measuring: send many commands, wait for what becomes of each.
//!
//! The clock runs from the first send to the last *accepted* verdict: replies of enough nodes, checked, at the client.
//! Nothing a node says about its own speed enters. Signing is part of the time where it happens while sending
//! ([`Shape::Many`]); where all must be signed before the first byte goes out ([`Shape::Batch`]) it is reported apart.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use thiserror::Error;
use tokio::sync::mpsc;
use wire::{OutcomeCode, SignedCommand, SignerError};

use crate::desk::{Done, Verdict};
use crate::stream::{StreamClient, SubmitError};

/// Signed commands ready before they are sent, at most, in pieces of [`PIECE`].
const AHEAD: usize = 16;
const PIECE: usize = 64;

/// How commands are submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All in one submission; they are signed before the clock starts.
    Batch,
    /// In submissions of so many; 1 is "one by one". They are signed while others are on their way.
    Many(usize),
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Commands sent.
    pub count: u64,
    /// Commands that took effect.
    pub applied: u64,
    /// Commands the ledger or the nodes refused, by code; with the text of the first.
    pub refused: BTreeMap<OutcomeCode, (u64, String)>,
    /// Commands whose expiry passed without an answer.
    pub unanswered: u64,
    /// Submissions beyond the first of each command: retries after silence, "busy" or a lost connection.
    pub retries: u64,
    /// From the first send to the last verdict.
    pub elapsed: Duration,
    /// Of signing before the clock started.
    pub signing: Duration,
    /// Microseconds from submission to verdict, per command.
    pub latency: Histogram<u64>,
}

impl Report {
    fn new() -> Report {
        // A minute at three digits; what takes longer counts as a minute.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("fixed bounds are sound");
        Report {
            count: 0,
            applied: 0,
            refused: BTreeMap::new(),
            unanswered: 0,
            retries: 0,
            elapsed: Duration::ZERO,
            signing: Duration::ZERO,
            latency,
        }
    }

    fn add(&mut self, done: &Done) {
        self.count += 1;
        self.retries += u64::from(done.attempts.saturating_sub(1));
        self.latency.saturating_record(u64::try_from(done.latency.as_micros()).unwrap_or(u64::MAX));
        let outcome = match &done.verdict {
            Verdict::Accepted(receipt) => &receipt.outcome,
            Verdict::Refused(outcome) => outcome,
            Verdict::Unanswered => {
                self.unanswered += 1;
                return;
            }
        };
        if outcome.is_applied() {
            self.applied += 1;
        } else {
            self.refused.entry(outcome.code).or_insert_with(|| (0, outcome.to_string())).0 += 1;
        }
    }

    /// Adds what another client measured at the same time.
    pub fn merge(&mut self, other: Report) {
        self.count += other.count;
        self.applied += other.applied;
        self.unanswered += other.unanswered;
        self.retries += other.retries;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.signing = self.signing.max(other.signing);
        // Both have the bounds of `Report::new`.
        self.latency.add(&other.latency).expect("the same bounds");
        for (code, (count, text)) in other.refused {
            self.refused.entry(code).or_insert_with(|| (0, text)).0 += count;
        }
    }

    /// Commands per second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Commands refused, all codes together.
    pub fn refused_count(&self) -> u64 {
        self.refused.values().map(|(count, _)| count).sum()
    }

    /// The latency, in milliseconds, that this share of commands (0.5, 0.99, ...) stayed under.
    pub fn latency_ms(&self, share: f64) -> f64 {
        self.latency.value_at_quantile(share) as f64 / 1000.0
    }
}

/// A measurement ended early.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// A command could not be signed.
    #[error(transparent)]
    Sign(#[from] SignerError),
    /// A command could not be submitted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// Sends the commands that `make` yields, and waits for every verdict. `make` runs on a thread of its own, as it signs;
/// `on_done` sees each verdict as it comes.
///
/// The client's results must not be taken by anyone else meanwhile.
///
/// # Errors
/// If a command cannot be signed or submitted; what was sent before stays sent.
pub async fn run<M>(
    client: &mut StreamClient,
    make: M,
    shape: Shape,
    on_done: &mut (dyn FnMut(&Done) + Send),
) -> Result<Report, LoadError>
where
    M: Iterator<Item = Result<SignedCommand, SignerError>> + Send + 'static,
{
    let mut report = Report::new();
    let (started, total) = match shape {
        Shape::Batch => {
            let signing = Instant::now();
            let commands = tokio::task::spawn_blocking(move || make.collect::<Result<Vec<_>, _>>());
            let commands = commands.await.map_err(|e| SignerError(e.to_string()))??;
            report.signing = signing.elapsed();
            let started = Instant::now();
            let submitter = client.submitter();
            let total = commands.len() as u64;
            let sending = async move { submitter.submit(&commands).await.map(|()| total).map_err(LoadError::from) };
            (started, drive(client, sending, &mut report, on_done).await?)
        }
        Shape::Many(size) => {
            let (pieces, inbox) = mpsc::channel(AHEAD);
            let signer = tokio::task::spawn_blocking(move || sign_ahead(make, &pieces));
            let started = Instant::now();
            let total =
                drive(client, send_pieces(client.submitter(), inbox, size.max(1)), &mut report, on_done).await?;
            signer.await.map_err(|e| SignerError(e.to_string()))??;
            (started, total)
        }
    };
    debug_assert_eq!(report.count, total);
    report.elapsed = started.elapsed();
    Ok(report)
}

/// Signs ahead of the sender, in pieces; ends when there are no more, or the sender is gone.
fn sign_ahead<M>(make: M, pieces: &mpsc::Sender<Vec<SignedCommand>>) -> Result<(), SignerError>
where
    M: Iterator<Item = Result<SignedCommand, SignerError>>,
{
    let mut piece = Vec::with_capacity(PIECE);
    for command in make {
        piece.push(command?);
        if piece.len() == PIECE && pieces.blocking_send(std::mem::take(&mut piece)).is_err() {
            return Ok(());
        }
    }
    // An empty last piece is harmless.
    let _ = pieces.blocking_send(piece);
    Ok(())
}

async fn send_pieces(
    submitter: crate::stream::Submitter,
    mut inbox: mpsc::Receiver<Vec<SignedCommand>>,
    size: usize,
) -> Result<u64, LoadError> {
    let mut total = 0;
    let mut held: Vec<SignedCommand> = Vec::new();
    while let Some(piece) = inbox.recv().await {
        total += piece.len() as u64;
        held.extend(piece);
        let whole = held.len() - held.len() % size;
        for submission in held[..whole].chunks(size) {
            submitter.submit(submission).await?;
        }
        held.drain(..whole);
    }
    submitter.submit(&held).await?;
    Ok(total)
}

/// Runs `sending`, which returns how many were sent, and takes results until all of those have come.
async fn drive(
    client: &mut StreamClient,
    sending: impl Future<Output = Result<u64, LoadError>>,
    report: &mut Report,
    on_done: &mut (dyn FnMut(&Done) + Send),
) -> Result<u64, LoadError> {
    tokio::pin!(sending);
    let mut total = None;
    while total.is_none_or(|total| report.count < total) {
        tokio::select! {
            sent = &mut sending, if total.is_none() => total = Some(sent?),
            results = client.results() => {
                for done in &results {
                    report.add(done);
                    on_done(done);
                }
            }
        }
    }
    Ok(report.count)
}

//! `batch test:N` and `many test:N`: how fast is it?

use std::io::IsTerminal;

use client::load::{Report, Shape, run};
use client::{Done, Identity};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ledger::{Classic, Code, Operation, classic};

use super::{CliError, Connection, style};

/// What is sent if nothing else is said; Juno's own.
pub const COMMAND_DEFAULT: &str = "transfer(Acct1->Acct2, 1%1)";
/// From so many commands on, progress is shown.
const PROGRESS_FROM: u64 = 20_000;

/// Sends the same operation `count` times, each an individually signed command, and waits for all verdicts.
/// `on_done` sees each verdict.
///
/// # Errors
/// If a key cannot be opened, or commands cannot be signed or submitted.
pub async fn measure(
    connection: &mut Connection,
    party: Option<&str>,
    cosigners: &[String],
    operation: &Operation,
    count: u64,
    shape: Shape,
    on_done: &mut (dyn FnMut(&Done) + Send),
) -> Result<Report, CliError> {
    let cosigners: Vec<Identity> =
        cosigners.iter().map(|party| connection.identity(Some(party))).collect::<Result<_, _>>()?;
    let mut builder = connection.builder(party)?.reserve(count);
    let payload = operation.to_payload();
    let make = (0..count).map(move |_| builder.sign_with(payload.clone(), &cosigners.iter().collect::<Vec<_>>()));
    let report = run(&mut connection.client, make, shape, on_done).await?;
    connection.print_alerts();
    Ok(report)
}

/// Runs a load test and prints it the way Juno did: `Sending N ...`, then `Completed in S sec (R per sec)`.
pub(crate) async fn test(
    connection: &mut Connection,
    party: Option<&str>,
    cosigners: &[String],
    text: &str,
    count: u64,
    shape: Shape,
) -> Result<Report, CliError> {
    let operation = match classic::parse(text)? {
        Classic::Operation(operation) => operation,
        Classic::Query(_) => return Err(CliError::new(format!("`{text}` only reads; give a command"))),
    };
    let how = if shape == Shape::Batch { "batched" } else { "individually" };
    println!("Sending {count} '{text}' transactions {how}");
    let bar = progress(count);
    let mut on_done = |_: &Done| bar.inc(1);
    let report = measure(connection, party, cosigners, &operation, count, shape, &mut on_done).await;
    bar.finish_and_clear();
    let report = report?;
    anstream::println!("{}", describe(&report));
    Ok(report)
}

/// A bar on a terminal, if it will take a while.
fn progress(count: u64) -> ProgressBar {
    if count < PROGRESS_FROM || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr_with_hz(10));
    let form = ProgressStyle::with_template("{wide_bar} {pos} of {len}, {per_sec}");
    if let Ok(form) = form {
        bar.set_style(form);
    }
    bar
}

/// The figures of a run.
pub fn describe(report: &Report) -> String {
    let mut text = format!(
        "Completed in {:.3} sec ({:.0} per sec), latency p50 {:.1}, p99 {:.1}, max {:.1} ms",
        report.elapsed.as_secs_f64(),
        report.rate(),
        report.latency_ms(0.5),
        report.latency_ms(0.99),
        report.latency.max() as f64 / 1000.0,
    );
    if !report.signing.is_zero() {
        text += &format!("; signed before in {:.3} sec", report.signing.as_secs_f64());
    }
    if report.retries > 0 {
        text += &format!("; sent again: {}", report.retries);
    }
    text = style::paint(style::RESULT, text);
    for (code, (count, example)) in &report.refused {
        let name = Code::of(*code).map_or("Refused", Code::name);
        text += &format!("\n{}", style::paint(style::REFUSAL, format!("{count} {name}: {example}")));
    }
    if report.unanswered > 0 {
        let unanswered = format!("{} unanswered before they expired", report.unanswered);
        text += &format!("\n{}", style::paint(style::REFUSAL, unanswered));
    }
    text
}

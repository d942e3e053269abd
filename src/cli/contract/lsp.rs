//! `juno contract lsp`: the language server of Hopper, for editors.

use std::process::ExitCode;

use crate::cli::CliError;

/// Serves an editor over standard input and output. Contracts may import `bank.cash`, which every ledger has.
///
/// # Errors
/// If what comes in is no message, or nobody reads what goes out.
pub(crate) fn run() -> Result<ExitCode, CliError> {
    let orderly = hopperc::lsp::serve_stdio(ledger::cash::library());
    let orderly = orderly.map_err(|e| CliError::new(format!("the language server: {e}")))?;
    // The protocol wants 1 from a server that was sent away without `shutdown`.
    Ok(if orderly { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

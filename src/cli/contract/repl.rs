//! `juno contract repl`: contracts tried by hand, on a ledger in memory.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};

use super::local::{Local, WORDS};
use super::source;
use crate::cli::words::Words;
use crate::cli::{CliError, style};
use crate::config::generate_key;

/// Lines that are remembered.
const HISTORY_MAX: usize = 1000;

#[derive(Args)]
pub(crate) struct Repl {
    /// Contracts; each with those it imports.
    files: Vec<PathBuf>,
}

impl Repl {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let key = || generate_key().map_err(CliError::from);
        let mut local = Local::new(&source::contracts(&self.files)?, key)?;
        let config = Config::builder().completion_type(CompletionType::List).history_ignore_space(true);
        let config = config.max_history_size(HISTORY_MAX)?.build();
        let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config)?;
        let history = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".juno_contract_history"));
        if let Some(file) = &history {
            // The first time there is none.
            let _ = editor.load_history(file);
        }
        println!("A ledger in memory. `help` explains, `quit` ends.");
        loop {
            editor.set_helper(Some(Words { names: local.names(), complete }));
            let plain = format!("local {}>> ", local.prompt());
            let coloured = style::paint(style::PROMPT, &plain);
            match editor.readline(&(plain.as_str(), coloured.as_str())) {
                Ok(line) if matches!(line.trim(), "quit" | "exit") => break,
                Ok(line) => {
                    if !line.trim().is_empty() {
                        editor.add_history_entry(line.as_str())?;
                    }
                    match local.obey(&line, key) {
                        Ok(text) if text.is_empty() => {}
                        Ok(text) => println!("{text}"),
                        Err(error) => style::print_error(&error),
                    }
                }
                // Ctrl-C forgets the line, Ctrl-D ends.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(e) => return Err(e.into()),
            }
        }
        if let Some(file) = &history
            && let Err(e) = editor.save_history(file)
        {
            eprintln!("the history was not kept: {e}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the word to complete starts, and what it could be: at the start of a line a command, too.
fn complete(names: &BTreeSet<String>, typed: &str) -> (usize, Vec<String>) {
    let start = typed.rfind(|c: char| c.is_whitespace() || "(,@.[{".contains(c)).map_or(0, |at| at + 1);
    let part = &typed[start..];
    let words = WORDS.iter().filter(|_| start == 0).map(|w| (*w).to_owned());
    (start, words.chain(names.iter().cloned()).filter(|w| w.starts_with(part)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion() {
        let names: BTreeSet<String> = ["alice", "arbiter", "transfer"].map(str::to_owned).into();
        assert_eq!(complete(&names, "ex").1, ["exec ", "exit"]);
        assert_eq!(complete(&names, "exec tra"), (5, vec!["transfer".to_owned()]));
        assert_eq!(complete(&names, "exec transfer(@a").1, ["alice", "arbiter"]);
        assert_eq!(complete(&names, "transfer(alice, ar"), (16, vec!["arbiter".to_owned()]));
    }
}

//! `juno client`: the REPL.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use client::load::Shape;
use ledger::{Classic, Operation, classic};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use serde_json::Value;
use tokio::runtime::Runtime;
use wire::NodeId;

use super::line::{HELP, Line, WORDS, parse};
use super::query::{Trust, ask, read};
use super::words::Words;
use super::{CliError, ClientArgs, Connection, REFUSED, answer, load, runtime, status, style};

/// Lines of history kept.
const HISTORY_MAX: usize = 10_000;

/// Talk to a cluster line by line. Without a terminal it reads standard input and shows no prompt.
#[derive(Args)]
pub(crate) struct Client {
    /// In whose name to sign; the default identity of the client's configuration unless given.
    #[arg(long = "as", value_name = "PARTY")]
    party: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Client {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let runtime = runtime()?;
        let connection = runtime.block_on(Connection::open(self.client.read()?, self.client.passphrase.source()))?;
        Repl::new(runtime, connection, self.party)?.run()
    }
}

/// The state of a conversation.
pub(crate) struct Repl {
    runtime: Runtime,
    connection: Connection,
    party: String,
    cosigners: Vec<String>,
    /// Names to complete.
    names: BTreeSet<String>,
    refused: bool,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Line,
    End,
}

impl Repl {
    /// A conversation over an open connection.
    ///
    /// # Errors
    /// If the identity to sign with cannot be opened.
    pub(crate) fn new(runtime: Runtime, mut connection: Connection, party: Option<String>) -> Result<Repl, CliError> {
        let party = connection.identity(party.as_deref())?.party().to_string();
        Ok(Repl { runtime, connection, party, cosigners: Vec::new(), names: BTreeSet::new(), refused: false })
    }

    /// Reads lines until there are no more.
    ///
    /// # Errors
    /// Without a terminal, the first line that is not understood or cannot be sent ends it.
    pub(crate) fn run(mut self) -> Result<ExitCode, CliError> {
        if !std::io::stdin().is_terminal() {
            for line in std::io::stdin().lock().lines() {
                let line = line.map_err(|e| CliError::new(format!("standard input: {e}")))?;
                if self.obey(&line)? == Next::End {
                    break;
                }
            }
            return Ok(if self.refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS });
        }
        self.converse()?;
        Ok(ExitCode::SUCCESS)
    }

    fn converse(&mut self) -> Result<(), CliError> {
        let config = Config::builder().completion_type(CompletionType::List).history_ignore_space(true);
        let config = config.max_history_size(HISTORY_MAX)?.build();
        let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config)?;
        let history = history_file();
        if let Some(file) = &history {
            // The first time there is none.
            let _ = editor.load_history(file);
        }
        println!("Cluster {}. `help` explains, `quit` ends.", self.connection.file.genesis.name);
        self.learn_names();
        loop {
            editor.set_helper(Some(Words { names: self.names.clone(), complete }));
            let plain = match self.cosigners.as_slice() {
                [] => format!("hopper {}>> ", self.party),
                with => format!("hopper {}+{}>> ", self.party, with.join("+")),
            };
            let coloured = style::paint(style::PROMPT, &plain);
            match editor.readline(&(plain.as_str(), coloured.as_str())) {
                Ok(line) => {
                    if !line.trim().is_empty() {
                        editor.add_history_entry(line.as_str())?;
                    }
                    match self.obey(&line) {
                        Ok(Next::Line) => {}
                        Ok(Next::End) => break,
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
        Ok(())
    }

    fn obey(&mut self, line: &str) -> Result<Next, CliError> {
        let parsed = parse(line).map_err(CliError::new)?;
        match parsed {
            Line::Empty => {}
            Line::Help => println!("{HELP}"),
            Line::Quit => return Ok(Next::End),
            Line::As(party) => self.party = self.connection.identity(Some(&party))?.party().to_string(),
            Line::With(parties) => {
                for party in &parties {
                    self.connection.identity(Some(party))?;
                }
                self.cosigners = parties;
            }
            Line::Server(node) => self.connection.prefer(node.map(NodeId))?,
            Line::Status => {
                let table = self.runtime.block_on(status::table(&self.connection.file, &self.connection.http));
                anstream::println!("{table}");
            }
            Line::Identities => self.print_identities(),
            Line::Batch(count, text) => self.test(&text, count, Shape::Batch)?,
            Line::Many(count, text) => self.test(&text, count, Shape::Many(1))?,
            Line::Ledger(parsed) => match *parsed {
                Classic::Operation(operation) => self.submit(&operation)?,
                Classic::Query(query) => {
                    let raw = self.runtime.block_on(ask(&self.connection.http, &query, &Trust::Local))?;
                    print_result(&classic::answer_text(&read(&query, raw)?));
                }
            },
        }
        Ok(Next::Line)
    }

    fn submit(&mut self, operation: &Operation) -> Result<(), CliError> {
        let command = self.connection.sign(Some(&self.party), &self.cosigners, operation.to_payload())?;
        let connection = &mut self.connection;
        let done = self.runtime.block_on(interruptible(connection.execute(std::slice::from_ref(&command))))?;
        for done in &done {
            self.refused |= !answer::is_applied(done);
            let diff = if answer::is_applied(done) { self.runtime.block_on(self.connection.diff(done)) } else { None };
            print_result(&answer::describe(operation, done, diff.as_ref()));
        }
        match operation {
            Operation::CreateAccount { name } | Operation::RegisterParty { name, .. } => {
                self.names.insert(name.to_string());
            }
            _ => {}
        }
        Ok(())
    }

    fn test(&mut self, text: &str, count: u64, shape: Shape) -> Result<(), CliError> {
        let test = load::test(&mut self.connection, Some(&self.party), &self.cosigners, text, count, shape);
        let report = self.runtime.block_on(interruptible(test))?;
        self.refused |= report.applied < report.count;
        Ok(())
    }

    fn print_identities(&self) {
        for party in self.connection.file.parties() {
            let mark = if party == self.party {
                "signs"
            } else if self.cosigners.iter().any(|p| p == party) {
                "signs too"
            } else {
                ""
            };
            println!("{party}  {mark}");
        }
    }

    /// Accounts and parties, for completion. If no node answers there is nothing to complete, that is all.
    fn learn_names(&mut self) {
        self.names.extend(self.connection.file.parties().map(str::to_owned));
        let page = self.runtime.block_on(self.connection.http.get_any("/v1/accounts"));
        if let Ok((_, page)) = page {
            let accounts = page.get("accounts").and_then(Value::as_array).into_iter().flatten();
            self.names.extend(accounts.filter_map(|a| Some(a.get("name")?.as_str()?.to_owned())));
        }
    }
}

/// Ctrl-C stops waiting, nothing else.
async fn interruptible<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            Err(CliError::new("no longer waiting; what was sent may still take effect"))
        }
    }
}

fn print_result(text: &str) {
    anstream::println!("{} {text}", style::paint(style::RESULT, "result>>"));
}

/// Where the history is kept.
fn history_file() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".juno_history"))
}

/// Where the word to complete starts, and what it could be.
fn complete(names: &BTreeSet<String>, typed: &str) -> (usize, Vec<String>) {
    let whole: Vec<String> = WORDS.iter().filter(|w| w.starts_with(typed)).map(|w| (*w).to_owned()).collect();
    if !whole.is_empty() {
        return (0, whole);
    }
    let ends_name = |c: char| c.is_whitespace() || "(,>#".contains(c);
    let start = typed.rfind(ends_name).map_or(0, |at| at + 1);
    let part = &typed[start..];
    (start, names.iter().filter(|name| name.starts_with(part)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion() {
        let names: BTreeSet<String> = ["Acct1", "Acct2", "bob"].map(str::to_owned).into();
        let complete = |typed| complete(&names, typed);
        assert_eq!(complete("tra"), (0, vec!["transfer(".into()]));
        assert_eq!(complete("server").1, ["server ", "server leader"]);
        assert_eq!(complete("transfer(Ac"), (9, vec!["Acct1".into(), "Acct2".into()]));
        assert_eq!(complete("transfer(Acct1->b"), (16, vec!["bob".into()]));
        assert_eq!(complete("ObserveAccount A").1.len(), 2);
        assert_eq!(complete("many test:10 AdjustAccount Acct1"), (27, vec!["Acct1".into()]));
    }
}

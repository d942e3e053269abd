//! The lines of the REPL: its own few words, and the ledger's language.

use ledger::{Classic, classic};

use super::load::COMMAND_DEFAULT;

/// Commands in one test, at most.
const TEST_MAX: u64 = 10_000_000;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Nothing.
    Empty,
    /// A command or query of the ledger.
    Ledger(Box<Classic>),
    /// Sign in another party's name from now on.
    As(String),
    /// These sign too from now on; nobody, if empty.
    With(Vec<String>),
    /// N commands in one submission.
    Batch(u64, String),
    /// N submissions.
    Many(u64, String),
    /// Talk to this node first; none means the leader.
    Server(Option<u16>),
    /// Show all nodes.
    Status,
    /// Show who can sign.
    Identities,
    /// Explain.
    Help,
    /// End.
    Quit,
}

/// The first words that a line can have, for completion.
pub(crate) const WORDS: [&str; 21] = [
    "AdjustAccount ",
    "CreateAccount ",
    "ObserveAccount ",
    "ObserveAccounts",
    "ObserveParty ",
    "ObserveSupply",
    "PassThrough ",
    "RegisterParty ",
    "as ",
    "batch test:",
    "exit",
    "help",
    "identities",
    "many test:",
    "quit",
    "server ",
    "server leader",
    "status",
    "transfer(",
    "with ",
    "with nobody",
];

/// What `help` prints.
pub(crate) const HELP: &str = "\
Commands, signed and ordered:
  CreateAccount NAME                 opens an account of the signing party
  AdjustAccount NAME n%d             mints (treasury only); -n%d burns
  transfer(A->B, n%d)                moves an amount; transfer(A->I->B, n%d) through I
  DATA##transfer(A->B, n%d)          the same, and keeps DATA with it
  PassThrough NAME on|off            lets others pass amounts through an account
  RegisterParty NAME KEY             registers a party (admin only); NAME k KEY,KEY,... for a threshold
Queries, answered by one node:
  ObserveAccount NAME, ObserveAccounts, ObserveParty NAME, ObserveSupply
Here:
  as PARTY                           sign in this party's name
  with PARTY,PARTY...                these sign too; with nobody: no longer
  identities                         who can sign here
  batch test:N [COMMAND]             N commands in one submission, timed; default transfer(Acct1->Acct2, 1%1)
  many test:N [COMMAND]              N submissions, timed
  server N                           talk to node N; server leader: to the leader again
  status                             all nodes
  quit                               also: exit, Ctrl-D";

/// Reads a line.
///
/// # Errors
/// In words, with what to write instead.
pub(crate) fn parse(line: &str) -> Result<Line, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let alone = |parsed: Line| if rest.is_empty() { Ok(parsed) } else { Err(format!("`{word}` stands alone")) };
    // `DATA##...` may begin with any word.
    if line.contains("##") {
        return ledger(line);
    }
    match word {
        "" => Ok(Line::Empty),
        "help" | "?" => alone(Line::Help),
        "quit" | "exit" => alone(Line::Quit),
        "status" => alone(Line::Status),
        "identities" => alone(Line::Identities),
        "as" if rest.is_empty() || rest.contains(' ') => Err("write: as PARTY".to_owned()),
        "as" => Ok(Line::As(rest.to_owned())),
        "with" => with(rest),
        "server" => match rest {
            "leader" => Ok(Line::Server(None)),
            n => n.parse().map(|n| Line::Server(Some(n))).map_err(|_| "write: server N, or: server leader".to_owned()),
        },
        "batch" => test(word, rest).map(|(count, command)| Line::Batch(count, command)),
        "many" => test(word, rest).map(|(count, command)| Line::Many(count, command)),
        _ => ledger(line),
    }
}

fn ledger(line: &str) -> Result<Line, String> {
    classic::parse(line).map(|parsed| Line::Ledger(Box::new(parsed))).map_err(|e| e.to_string())
}

fn with(rest: &str) -> Result<Line, String> {
    if rest == "nobody" {
        return Ok(Line::With(Vec::new()));
    }
    let parties: Vec<String> = rest.split(',').map(|p| p.trim().to_owned()).collect();
    if parties.iter().any(|p| p.is_empty() || p.contains(' ')) {
        return Err("write: with PARTY,PARTY..., or: with nobody".to_owned());
    }
    Ok(Line::With(parties))
}

/// `test:N [COMMAND]`, also with blanks around the N, as Juno's own manual had it.
fn test(word: &str, rest: &str) -> Result<(u64, String), String> {
    let write = || format!("write: {word} test:N, or: {word} test:N COMMAND, with N from 1 to {TEST_MAX}");
    let rest = rest.strip_prefix("test:").ok_or_else(write)?.trim_start();
    let (number, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let count = number.parse().ok().filter(|n| (1..=TEST_MAX).contains(n)).ok_or_else(write)?;
    let command = if command.trim().is_empty() { COMMAND_DEFAULT } else { command.trim() };
    Ok((count, command.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let many = |n| Line::Many(n, COMMAND_DEFAULT.to_owned());
        for (text, expected) in [
            ("", Line::Empty),
            ("  help ", Line::Help),
            ("exit", Line::Quit),
            ("as alice", Line::As("alice".into())),
            ("with bob, carol", Line::With(vec!["bob".into(), "carol".into()])),
            ("with nobody", Line::With(vec![])),
            ("server 2", Line::Server(Some(2))),
            ("server leader", Line::Server(None)),
            ("many test:1000", many(1000)),
            ("many test: 5", many(5)),
            ("batch test: 500 AdjustAccount Acct1 2%1", Line::Batch(500, "AdjustAccount Acct1 2%1".into())),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert!(matches!(parse("transfer(A->B, 1%1)"), Ok(Line::Ledger(_))));
        assert!(matches!(parse("as you like it##transfer(A->B, 1%1)"), Ok(Line::Ledger(_))), "DATA may be any words");
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, expected) in [
            ("as", "write: as PARTY"),
            ("with ,", "write: with PARTY"),
            ("server x", "write: server N"),
            ("quit now", "`quit` stands alone"),
            ("batch", "write: batch test:N"),
            ("batch test:", "write: batch test:N"),
            ("many test:0", "write: many test:N"),
            ("many test:NaN", "write: many test:N"),
            ("transfer", "at character 9: expected `(`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}

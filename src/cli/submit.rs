//! `juno submit`

use std::io::Read;
use std::process::ExitCode;

use clap::Args;
use ledger::{Classic, Operation, classic};

use super::{CliError, Connection, REFUSED, SignArgs, answer, runtime};

/// Diffs are shown for so many commands at once, at most.
const DIFFS_MAX: usize = 20;

/// Sign commands, submit them together, and wait until enough nodes agree on the result of each.
#[derive(Args)]
pub(crate) struct Submit {
    /// Commands such as 'transfer(A->B, 10%1)'; `-` reads one per line from standard input.
    #[arg(required = true, value_name = "COMMAND")]
    commands: Vec<String>,
    #[command(flatten)]
    sign: SignArgs,
}

impl Submit {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let texts = commands(&self.commands)?;
        let operations = texts.iter().map(|text| operation(text)).collect::<Result<Vec<_>, _>>()?;
        runtime()?.block_on(self.submit(&texts, &operations))
    }

    async fn submit(self, texts: &[String], operations: &[Operation]) -> Result<ExitCode, CliError> {
        let mut connection = Connection::open(self.sign.client.read()?, self.sign.client.passphrase.source()).await?;
        let sign = |o: &Operation| connection.sign(self.sign.party.as_deref(), &self.sign.cosign, o.to_payload());
        let commands = operations.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
        let results = connection.execute(&commands).await?;
        for ((text, operation), done) in texts.iter().zip(operations).zip(&results) {
            let wanted = results.len() <= DIFFS_MAX && answer::is_applied(done);
            let diff = if wanted { connection.diff(done).await } else { None };
            if self.sign.json {
                println!("{}", answer::to_json(text, done, diff.as_ref()));
            } else {
                anstream::println!("{}", answer::describe(operation, done, diff.as_ref()));
            }
        }
        let all = results.iter().all(answer::is_applied);
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }
}

/// The commands given, with `-` replaced by the lines of standard input.
fn commands(given: &[String]) -> Result<Vec<String>, CliError> {
    let mut all = Vec::new();
    for text in given {
        if text != "-" {
            all.push(text.clone());
            continue;
        }
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input).map_err(|e| CliError::new(format!("standard input: {e}")))?;
        all.extend(input.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()));
    }
    if all.is_empty() { Err(CliError::new("standard input holds no command")) } else { Ok(all) }
}

fn operation(text: &str) -> Result<Operation, CliError> {
    match classic::parse(text) {
        Ok(Classic::Operation(operation)) => Ok(operation),
        Ok(Classic::Query(_)) => Err(CliError::new(format!("`{text}` only reads; use: juno query '{text}'"))),
        Err(e) => Err(CliError::new(format!("`{text}`: {e}"))),
    }
}

//! The command line: one file per verb.
//!
//! Exit codes, the same for every verb: 0 it is done; 1 the ledger refused a command; 2 wrong usage, a file that cannot
//! be used, or no connection. Answers go to standard output, everything else to standard error, so that a script can
//! read the one without the other. Colours appear only on a terminal.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ClientFile, ConfigError, PassphraseSource};

pub mod agreement;
mod answer;
mod ceiling;
mod client;
mod connection;
mod contract;
mod demo;
mod diff;
mod genesis;
pub mod init;
mod key;
mod keygen;
mod line;
pub mod load;
mod node;
mod query;
pub mod replay;
pub mod soak;
mod status;
mod style;
mod submit;
mod twins;
pub mod verify;
mod words;

pub use connection::Connection;

/// A permissioned ledger that stays right when some of its nodes lie.
#[derive(Parser)]
#[command(name = "juno", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Init(init::Init),
    Keygen(keygen::Keygen),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Genesis(genesis::GenesisVerb),
    Node(node::Node),
    Client(client::Client),
    Submit(submit::Submit),
    Query(query::Query),
    #[command(subcommand)]
    Contract(contract::Contract),
    Status(status::Status),
    Verify(verify::Verify),
    Replay(replay::Replay),
    Soak(soak::Soak),
    Demo(demo::Demo),
}

/// Why a verb failed, in words for the person who called it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError(String);

impl CliError {
    /// An error with this text.
    pub fn new(text: impl Display) -> CliError {
        CliError(text.to_string())
    }
}

impl Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for CliError {
    fn from(error: E) -> CliError {
        CliError(error.to_string())
    }
}

/// The ledger refused something.
pub(crate) const REFUSED: u8 = 1;
/// Wrong usage, files or connection. Also what clap exits with.
pub(crate) const FAILED: u8 = 2;

/// Runs the verb given on the command line.
pub fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Init(verb) => verb.run(),
        Verb::Keygen(verb) => verb.run(),
        Verb::Key(verb) => verb.run(),
        Verb::Genesis(verb) => verb.run(),
        Verb::Node(verb) => verb.run(),
        Verb::Client(verb) => verb.run(),
        Verb::Submit(verb) => verb.run(),
        Verb::Query(verb) => verb.run(),
        Verb::Contract(verb) => verb.run(),
        Verb::Status(verb) => verb.run(),
        Verb::Verify(verb) => verb.run(),
        Verb::Replay(verb) => verb.run(),
        Verb::Soak(verb) => verb.run(),
        Verb::Demo(verb) => verb.run(),
    };
    done.unwrap_or_else(|error| {
        style::print_error(&error);
        ExitCode::from(FAILED)
    })
}

/// What every verb that talks to a cluster takes.
#[derive(Args, Debug, Clone)]
pub(crate) struct ClientArgs {
    /// The client's configuration.
    #[arg(long, short, value_name = "FILE", default_value = "client.toml", env = "JUNO_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl ClientArgs {
    fn read(&self) -> Result<ClientFile, ConfigError> {
        ClientFile::read(&self.config)
    }
}

/// Who signs.
#[derive(Args)]
pub(crate) struct SignArgs {
    /// In whose name; the default identity of the client's configuration unless given.
    #[arg(long = "as", value_name = "PARTY")]
    party: Option<String>,
    /// Another party that signs too; may be given several times.
    #[arg(long, value_name = "PARTY")]
    cosign: Vec<String>,
    /// Print one JSON object per command.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Where the passphrase of an encrypted key comes from.
#[derive(Args, Debug, Clone)]
pub(crate) struct PassphraseArgs {
    /// A file (mode 0600) whose first line is the passphrase of encrypted keys. Else JUNO_PASSPHRASE, else a prompt.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    fn source(&self) -> PassphraseSource {
        PassphraseSource::new(self.passphrase_file.clone())
    }
}

/// The runtime of a verb that talks to nodes.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|e| CliError::new(format!("cannot start: {e}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}

//! `juno keygen`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CliError, PassphraseArgs};
use crate::config::{generate_key, write_key};

/// Make a key: the secret goes to a file only you can read, the public key is printed.
#[derive(Args)]
pub(crate) struct Keygen {
    /// The file to make; never an existing one.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Encrypt the file with a passphrase.
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    source: PassphraseArgs,
}

impl Keygen {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let encrypt = self.passphrase || self.source.passphrase_file.is_some();
        let passphrase = if encrypt { Some(self.source.source().for_sealing()?) } else { None };
        let key = generate_key()?;
        write_key(&self.out, &key, passphrase.as_ref().map(|p| p.as_str()))?;
        println!("{}", key.public());
        Ok(ExitCode::SUCCESS)
    }
}

//! `juno key`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{CliError, PassphraseArgs};
use crate::config::KeyFile;

/// Look at key files.
#[derive(Subcommand)]
pub(crate) enum Key {
    /// Print the public key of a key file; asks for no passphrase.
    Show {
        /// The key file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check that a key file can be opened, and that its secret belongs to its public key.
    Check {
        /// The key file.
        file: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

impl Key {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        match self {
            Key::Show { file, json: false } => println!("{}", KeyFile::read(&file)?.public),
            Key::Show { file, json: true } => {
                let key = KeyFile::read(&file)?;
                println!("{}", json!({ "public": key.public.to_string(), "encrypted": key.is_encrypted() }));
            }
            Key::Check { file, passphrase } => {
                let key = KeyFile::read(&file)?.open(&passphrase.source())?;
                println!("{} can sign", key.public());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

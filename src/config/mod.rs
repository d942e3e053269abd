//! The files a person writes or reads: the genesis document, key files, `node.toml`, `client.toml`, voter cards.
//!
//! Rules for all of them: an unknown field is an error, never ignored; an error names the file, the field and what to
//! change; paths in a file are relative to that file; what was written by `juno` reads back the same; nothing that
//! exists is overwritten.

use std::fmt::Display;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

mod client;
mod genesis;
mod keys;
mod node;
mod voter;

pub use client::{ClientFile, IdentityEntry, NodeEntry};
pub(crate) use genesis::fault_model_name;
pub use genesis::{genesis_from_toml, genesis_to_toml, read_genesis};
pub(crate) use keys::generate_key;
pub use keys::{KeyFile, PassphraseSource, check_secret_mode, read_key, write_key};
pub use node::{NodeFile, ReadAccessTable, TlsTable, read_node};
pub use voter::{read_voter, voter_to_toml};

/// A file that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {why}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It cannot be written.
    #[error("cannot write {}: {why}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It exists.
    #[error("{} exists and is not overwritten; move it away or choose another name", .0.display())]
    Exists(PathBuf),
    /// It is no TOML, or not of the form expected.
    #[error("{}: {why}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        why: String,
    },
    /// A field has a value that cannot be.
    #[error("{}: {field}: {why}", .path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Why not, and what to change.
        why: String,
    },
    /// A secret lies open.
    #[error("{} can be read by others (mode {mode:04o}); run: chmod 600 {}", .path.display(), .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A passphrase is needed and there is nobody to ask.
    #[error("{} is encrypted; set JUNO_PASSPHRASE, give --passphrase-file FILE, or run it at a terminal", .0.display())]
    PassphraseWanted(PathBuf),
    /// The passphrase does not open the file.
    #[error("{}: the passphrase is wrong, or the file is damaged", .0.display())]
    PassphraseWrong(PathBuf),
    /// A passphrase could not be asked for, or is unusable.
    #[error("passphrase: {0}")]
    Passphrase(String),
}

impl ConfigError {
    fn field(path: &Path, field: impl Display, why: impl Display) -> ConfigError {
        ConfigError::Field { path: path.to_owned(), field: field.to_string(), why: why.to_string() }
    }
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|e| ConfigError::Read { path: path.to_owned(), why: e.to_string() })
}

/// Parses TOML; the error carries line, column and the offending line.
pub(crate) fn from_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text)
        .map_err(|e| ConfigError::Form { path: path.to_owned(), why: e.to_string().trim_end().to_owned() })
}

/// Writes a new file with these permissions, durably; never over an old one.
pub fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), ConfigError> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => ConfigError::Exists(path.to_owned()),
        _ => ConfigError::Write { path: path.to_owned(), why: e.to_string() },
    };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// A path named in a file, as seen from where the file is.
pub(crate) fn beside(file: &Path, named: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(named)
}

/// A string as TOML writes it.
pub(crate) fn quote(text: impl Display) -> String {
    let mut out = String::from('"');
    for c in text.to_string().chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;

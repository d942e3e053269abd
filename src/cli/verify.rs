//! `juno verify`: a node's log checked by somebody who trusts nothing but the genesis document.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use replica::audit::{Audit, AuditError, audit};
use serde_json::{Value, json};
use store::{DiskError, StoreError, open_read_only};
use thiserror::Error;
use wire::{ClusterId, Genesis, PublicKey};

use super::{CliError, REFUSED, style};
use crate::config::{ConfigError, NodeFile, beside, from_toml, read_genesis, read_text};

/// Check a node's log offline: every hash, signature and certificate, and every result by executing it again.
///
/// Reads only, and works while the node runs. Exit code 1 if anything is wrong with the log; the first such thing is
/// named.
#[derive(Args)]
pub(crate) struct Verify {
    /// The node's data directory, or the directory that holds its node.toml.
    dir: PathBuf,
    /// The genesis document. Needed unless a node.toml names it.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a check found in a sound log.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Whose log it is, by the stamp in its files: the voter's name, or its key if the document knows no such voter.
    pub node: String,
    /// Bytes of log files read.
    pub bytes: u64,
    /// Bytes after the last whole record, left by a crash during a write.
    pub torn_bytes: u64,
    /// The directory is a copy.
    pub copied: bool,
    /// What was checked, and with which result.
    pub audit: Audit,
    /// How long it took.
    pub took: Duration,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading checksums: bytes of all bytes.
    Reading(u64, u64),
    /// Verifying and executing: records of all records.
    Executing(u64, u64),
}

/// Why a log did not pass.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The log belongs to a cluster with another genesis document.
    #[error(
        "this log belongs to cluster {found}, the genesis document is the one of cluster {expected}; give the right one"
    )]
    Cluster {
        /// The log's.
        found: ClusterId,
        /// The document's.
        expected: ClusterId,
    },
    /// Something is wrong with it.
    #[error(transparent)]
    Log(#[from] AuditError),
}

impl VerifyError {
    /// True if the log itself is at fault; false if there is none here, or the wrong document was given.
    pub fn is_finding(&self) -> bool {
        match self {
            VerifyError::Cluster { .. } => false,
            VerifyError::Log(AuditError::Store(StoreError::Empty | StoreError::Disk(DiskError::NotFound { .. }))) => {
                false
            }
            VerifyError::Log(_) => true,
        }
    }
}

/// Checks the log in the data directory `data` against a genesis document.
///
/// # Errors
/// The first thing found wrong.
pub fn check(data: &Path, genesis: &Genesis, watch: &mut dyn FnMut(Stage)) -> Result<Checked, VerifyError> {
    let started = Instant::now();
    let mut bytes = 0;
    let log = open_read_only(data, &mut |p| {
        bytes = p.total;
        watch(Stage::Reading(p.checked, p.total));
    });
    let log = log.map_err(AuditError::Store)?;
    let stamp = log.recovered().stamp;
    let (found, expected) = (ClusterId(wire::Hash(stamp.cluster)), genesis.cluster_id());
    if found != expected {
        return Err(VerifyError::Cluster { found, expected });
    }
    let key = PublicKey(stamp.node);
    let membership = genesis.membership();
    let node = membership.voter_of_key(&key).map_or_else(|| key.to_string(), |v| v.name.to_string());
    let audit = audit(genesis, &log, &mut |p| watch(Stage::Executing(p.records, p.records_total)))?;
    let recovered = log.recovered();
    Ok(Checked {
        node,
        bytes,
        torn_bytes: recovered.torn_bytes,
        copied: recovered.moved,
        audit,
        took: started.elapsed(),
    })
}

impl Verify {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let (data, genesis) = self.find()?;
        let document = read_genesis(&genesis)?;
        let bar = Bar::new();
        let checked = check(&data, &document, &mut |stage| bar.show(stage));
        bar.0.finish_and_clear();
        match checked {
            Ok(checked) if self.json => println!("{}", to_json(&checked, &document)),
            Ok(checked) => anstream::println!("{}", to_text(&checked, &document)),
            Err(why) if !why.is_finding() => {
                return Err(CliError::new(format!("{}: {why}", data.display())));
            }
            Err(why) => {
                if self.json {
                    println!("{}", json!({ "sound": false, "problem": why.to_string() }));
                } else {
                    let head = style::paint(style::ERROR, "This log does not hold:");
                    anstream::println!("{head} {why}");
                }
                return Ok(ExitCode::from(REFUSED));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The data directory and the genesis document meant.
    fn find(&self) -> Result<(PathBuf, PathBuf), CliError> {
        let own = self.dir.join("node.toml");
        if own.is_file() {
            let (data, genesis) = read_places(&own)?;
            return Ok((data, self.genesis.clone().unwrap_or(genesis)));
        }
        if let Some(genesis) = &self.genesis {
            return Ok((self.dir.clone(), genesis.clone()));
        }
        // A data directory given by itself: the node.toml that points at it usually lies one above.
        let absolute = self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone());
        if let Some(parent) = absolute.parent().map(|p| p.join("node.toml")).filter(|p| p.is_file()) {
            let (data, genesis) = read_places(&parent)?;
            if data.canonicalize().is_ok_and(|data| data == absolute) {
                return Ok((data, genesis));
            }
        }
        let text = format!("no node.toml belongs to {}; name the document with --genesis FILE", self.dir.display());
        Err(CliError::new(text))
    }
}

/// The data directory and the genesis document that a node.toml names.
fn read_places(path: &Path) -> Result<(PathBuf, PathBuf), ConfigError> {
    let file: NodeFile = from_toml(path, &read_text(path)?)?;
    Ok((beside(path, &file.data), beside(path, &file.genesis)))
}

/// A bar for a person who watches; nothing for a script.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len}  {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar(bar)
    }

    fn show(&self, stage: Stage) {
        let (word, done, total) = match stage {
            Stage::Reading(done, total) => ("reading", done, total),
            Stage::Executing(done, total) => ("checking", done, total),
        };
        self.0.set_message(word);
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

fn evidence(checked: &Checked, genesis: &Genesis) -> Vec<(String, &'static str)> {
    let membership = genesis.membership();
    let name = |id| membership.voter(id).map_or_else(|| id.to_string(), |v| v.name.to_string());
    checked.audit.evidence.iter().map(|(id, offence)| (name(*id), *offence)).collect()
}

fn to_json(checked: &Checked, genesis: &Genesis) -> Value {
    let a = &checked.audit;
    let evidence = evidence(checked, genesis);
    json!({
        "sound": true,
        "node": checked.node,
        "cluster": genesis.cluster_id().to_string(),
        "bytes": checked.bytes,
        "torn_bytes": checked.torn_bytes,
        "copied": checked.copied,
        "blocks": a.height.0,
        "entries": a.entries,
        "signatures": a.signatures,
        "certificates": a.certificates,
        "claims": a.claims,
        "certified_height": a.certified.0,
        "uncommitted_blocks": a.uncommitted,
        "state_root": a.state_root.to_string(),
        "receipts_root": a.receipts_root.to_string(),
        "log_root": a.log_root.to_string(),
        "evidence": evidence.iter().map(|(who, what)| json!({ "name": who, "offence": what })).collect::<Vec<_>>(),
        "seconds": checked.took.as_secs_f64(),
    })
}

fn to_text(checked: &Checked, genesis: &Genesis) -> String {
    let a = &checked.audit;
    let mut lines = vec![
        format!("{} of {} ({} bytes)", style::paint(style::RESULT, "The log is sound:"), checked.node, checked.bytes),
        format!("  blocks         {} committed, {} not yet", a.height, a.uncommitted),
        format!("  entries        {} executed again", a.entries),
        format!("  signatures     {} of clients", a.signatures),
        format!("  certificates   {}", a.certificates),
        format!("  claims         {} claimed results equal, certified up to height {}", a.claims, a.certified),
        format!("  state root     {}", a.state_root),
        format!("  receipts root  {}", a.receipts_root),
        format!("  log root       {}", a.log_root),
    ];
    let evidence = evidence(checked, genesis);
    match evidence.as_slice() {
        [] => lines.push("  evidence       none".into()),
        _ => {
            lines.extend(evidence.iter().map(|(who, what)| {
                format!("  evidence       {}", style::paint(style::REFUSAL, format!("{who}: {what}")))
            }))
        }
    }
    if checked.torn_bytes > 0 {
        lines
            .push(format!("  torn           {} bytes at the end, left by a crash; never promised", checked.torn_bytes));
    }
    if checked.copied {
        lines.push("  copy           this directory is a copy; no node may be started from it".into());
    }
    lines.push(format!("  took           {:.1} s", checked.took.as_secs_f64()));
    lines.join("\n")
}

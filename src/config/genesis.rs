//! `genesis.toml`: the genesis document as people read, compare and keep it.
//!
//! The text is for people; what is hashed are the canonical bytes of [`wire::Genesis`]. So comments, order of keys
//! and spacing may differ between two organisations' files, and the cluster id is still the same.

use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;
use wire::genesis::Parameters;
use wire::{FaultModel, Genesis, Guard, Name, NodeId, PublicKey, Time, Voter};

use super::{ConfigError, from_toml, read_text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisTable {
    name: String,
    created_ms: u64,
    fault_model: String,
    faulty_weight: u64,
    administrators: GuardTable,
    treasury: GuardTable,
    parameters: ParametersTable,
    voters: Vec<VoterTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuardTable {
    key: Option<String>,
    threshold: Option<u16>,
    keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VoterTable {
    pub(super) id: u16,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) weight: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParametersTable {
    block_entries_max: u32,
    block_bytes_max: u32,
    pipeline_max: u32,
    batch_delay_ms: u64,
    heartbeat_ms: u64,
    timeout_base_ms: u64,
    timeout_cap_ms: u64,
    slow_leader_percent: u32,
    slow_leader_ms: u64,
}

/// Reads and checks a genesis document.
///
/// # Errors
/// Names the field, also for what [`Genesis::check`] finds.
pub fn read_genesis(path: &Path) -> Result<Genesis, ConfigError> {
    genesis_from_toml(path, &read_text(path)?)
}

/// Reads and checks a genesis document from its text; `path` is for errors.
///
/// # Errors
/// As [`read_genesis`].
pub fn genesis_from_toml(path: &Path, text: &str) -> Result<Genesis, ConfigError> {
    let table: GenesisTable = from_toml(path, text)?;
    let voters = table.voters.iter().enumerate().map(|(n, voter)| {
        let field = |name: &str| format!("voters[{n}].{name}");
        Ok(Voter {
            id: NodeId(voter.id),
            name: Name::new(&voter.name).map_err(|e| ConfigError::field(path, field("name"), e))?,
            key: parse_key(path, &field("key"), &voter.key)?,
            weight: voter.weight,
        })
    });
    let p = table.parameters;
    let genesis = Genesis {
        name: Name::new(&table.name).map_err(|e| ConfigError::field(path, "name", e))?,
        created: Time(table.created_ms),
        fault_model: parse_fault_model(&table.fault_model)
            .map_err(|why| ConfigError::field(path, "fault_model", why))?,
        faulty_weight: table.faulty_weight,
        voters: voters.collect::<Result<_, ConfigError>>()?,
        administrators: guard(path, "administrators", table.administrators)?,
        treasury: guard(path, "treasury", table.treasury)?,
        parameters: Parameters {
            block_entries_max: p.block_entries_max,
            block_bytes_max: p.block_bytes_max,
            pipeline_max: p.pipeline_max,
            batch_delay_ms: p.batch_delay_ms,
            heartbeat_ms: p.heartbeat_ms,
            timeout_base_ms: p.timeout_base_ms,
            timeout_cap_ms: p.timeout_cap_ms,
            slow_leader_percent: p.slow_leader_percent,
            slow_leader_ms: p.slow_leader_ms,
        },
    };
    genesis.check().map_err(|e| ConfigError::Form { path: path.to_owned(), why: e.to_string() })?;
    Ok(genesis)
}

pub(super) fn parse_key(path: &Path, field: &str, text: &str) -> Result<PublicKey, ConfigError> {
    text.parse().map_err(|_| ConfigError::field(path, field, "a public key is 64 hexadecimal digits"))
}

/// `byzantine` or `crash`.
fn parse_fault_model(text: &str) -> Result<FaultModel, String> {
    match text {
        "byzantine" => Ok(FaultModel::Byzantine),
        "crash" => Ok(FaultModel::Crash),
        _ => Err(format!("\"{text}\" is no fault model; write \"byzantine\" or \"crash\"")),
    }
}

/// The name of a fault model, as it is written.
pub(crate) fn fault_model_name(model: FaultModel) -> &'static str {
    match model {
        FaultModel::Byzantine => "byzantine",
        FaultModel::Crash => "crash",
    }
}

fn guard(path: &Path, field: &str, table: GuardTable) -> Result<Guard, ConfigError> {
    let err = |why: &str| Err(ConfigError::field(path, field, why));
    match (table.key, table.threshold, table.keys) {
        (Some(key), None, None) => Ok(Guard::Key(parse_key(path, &format!("{field}.key"), &key)?)),
        (None, Some(k), Some(texts)) => {
            let keys = texts.iter().enumerate().map(|(n, key)| parse_key(path, &format!("{field}.keys[{n}]"), key));
            let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return err("a key is listed twice; name each key once");
            }
            Ok(Guard::Threshold { k, keys })
        }
        _ => err("give either key = \"...\", or threshold = k with keys = [\"...\", ...]"),
    }
}

/// The document as text; [`genesis_from_toml`] reads it back the same.
pub fn genesis_to_toml(genesis: &Genesis) -> String {
    let mut out = String::new();
    let p = &genesis.parameters;
    let guard_lines = |guard: &Guard| match guard {
        Guard::Key(key) => format!("key = \"{key}\"\n"),
        Guard::Threshold { k, keys } => {
            let keys: String = keys.iter().map(|key| format!("    \"{key}\",\n")).collect();
            format!("threshold = {k}\nkeys = [\n{keys}]\n")
        }
    };
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "# What the organisations of this cluster agreed on before the first block. The cluster id is a hash over the\n\
         # content (not over this text): compare it with all others (`juno genesis hash FILE`) before you start a node.\n\
         \n\
         name = \"{}\"\n\
         created_ms = {}\n\
         # \"byzantine\": faulty voters may do anything. \"crash\": they only stop.\n\
         fault_model = \"{}\"\n\
         # The largest total weight of faulty voters that is tolerated.\n\
         faulty_weight = {}\n\
         \n\
         # Who registers parties.\n\
         [administrators]\n{}\
         \n\
         # Who mints.\n\
         [treasury]\n{}\
         \n\
         [parameters]\n\
         block_entries_max = {}\n\
         block_bytes_max = {}\n\
         pipeline_max = {}\n\
         batch_delay_ms = {}\n\
         heartbeat_ms = {}\n\
         timeout_base_ms = {}\n\
         timeout_cap_ms = {}\n\
         slow_leader_percent = {}\n\
         slow_leader_ms = {}\n",
        genesis.name,
        genesis.created,
        fault_model_name(genesis.fault_model),
        genesis.faulty_weight,
        guard_lines(&genesis.administrators),
        guard_lines(&genesis.treasury),
        p.block_entries_max,
        p.block_bytes_max,
        p.pipeline_max,
        p.batch_delay_ms,
        p.heartbeat_ms,
        p.timeout_base_ms,
        p.timeout_cap_ms,
        p.slow_leader_percent,
        p.slow_leader_ms,
    );
    for v in &genesis.voters {
        let _ = write!(
            out,
            "\n[[voters]]\nid = {}\nname = \"{}\"\nkey = \"{}\"\nweight = {}\n",
            v.id, v.name, v.key, v.weight
        );
    }
    out
}

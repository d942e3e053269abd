//! `juno genesis`: the ceremony in which organisations found a cluster.
//!
//! Each makes a key (`juno keygen`) and a voter card (`juno genesis voter`), which holds no secret. One of them puts the
//! cards together (`juno genesis assemble`). All compare the hash (`juno genesis hash`), over a channel they trust,
//! before they start a node: the hash is the cluster id, and every signature is bound to it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use wire::genesis::Parameters;
use wire::{FaultModel, Genesis, Guard, Name, NodeId, PublicKey, Time, Voter};

use super::{CliError, style};
use crate::config::{KeyFile, fault_model_name, genesis_to_toml, read_genesis, read_voter, voter_to_toml, write_new};

/// Found a cluster: voter cards, the genesis document, its hash.
#[derive(Subcommand)]
pub(crate) enum GenesisVerb {
    Voter(VoterArgs),
    Assemble(Assemble),
    /// Print the cluster id, the hash that everyone compares.
    Hash {
        /// The genesis document.
        file: PathBuf,
    },
    /// Check a genesis document and print what it says.
    Show {
        /// The genesis document.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Write a voter card: the public part of a voter's key file.
#[derive(Args)]
pub(crate) struct VoterArgs {
    /// The voter's name: the organisation, or the host.
    #[arg(long)]
    name: Name,
    /// The voter's key file; its secret is not read.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How much its vote counts.
    #[arg(long, default_value_t = 1)]
    weight: u64,
    /// The card to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Put voter cards together into a genesis document.
#[derive(Args)]
pub(crate) struct Assemble {
    /// The cluster's name.
    #[arg(long)]
    name: Name,
    /// A voter card; the first becomes voter 0, the next voter 1.
    #[arg(long = "voter", value_name = "FILE", required = true)]
    voters: Vec<PathBuf>,
    /// The public key of an administrator; may be given several times.
    #[arg(long = "admin-key", value_name = "HEX", required = true)]
    admin_keys: Vec<PublicKey>,
    /// How many administrators must sign; needed if there are several.
    #[arg(long, value_name = "K")]
    admin_threshold: Option<u16>,
    /// The public key of the treasury; may be given several times.
    #[arg(long = "treasury-key", value_name = "HEX", required = true)]
    treasury_keys: Vec<PublicKey>,
    /// How many of the treasury's keys must sign; needed if there are several.
    #[arg(long, value_name = "K")]
    treasury_threshold: Option<u16>,
    /// What faulty voters may do.
    #[arg(long, value_enum, default_value_t = FaultModelArg::Byzantine)]
    fault_model: FaultModelArg,
    /// The largest total weight of faulty voters tolerated; the most that the weights allow unless given.
    #[arg(long, value_name = "F")]
    faulty_weight: Option<u64>,
    /// When the cluster was founded, in milliseconds since 1970; now unless given.
    #[arg(long, value_name = "MS")]
    created_ms: Option<u64>,
    /// The document to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What faulty voters may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FaultModelArg {
    /// Anything.
    Byzantine,
    /// Only stop.
    Crash,
}

impl From<FaultModelArg> for FaultModel {
    fn from(arg: FaultModelArg) -> FaultModel {
        match arg {
            FaultModelArg::Byzantine => FaultModel::Byzantine,
            FaultModelArg::Crash => FaultModel::Crash,
        }
    }
}

impl GenesisVerb {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        match self {
            GenesisVerb::Voter(args) => args.run(),
            GenesisVerb::Assemble(args) => args.run(),
            GenesisVerb::Hash { file } => {
                println!("{}", read_genesis(&file)?.cluster_id());
                Ok(ExitCode::SUCCESS)
            }
            GenesisVerb::Show { file, json } => {
                let genesis = read_genesis(&file)?;
                if json {
                    println!("{}", to_json(&genesis));
                } else {
                    anstream::println!("{}", describe(&genesis));
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl VoterArgs {
    fn run(self) -> Result<ExitCode, CliError> {
        let key = KeyFile::read(&self.key)?.public;
        if self.weight == 0 {
            return Err(CliError::new("--weight must be at least 1"));
        }
        write_new(&self.out, &voter_to_toml(&self.name, &key, self.weight), 0o644)?;
        println!("{key}");
        Ok(ExitCode::SUCCESS)
    }
}

impl Assemble {
    fn run(self) -> Result<ExitCode, CliError> {
        let voters = self.voters.iter().enumerate().map(|(n, path)| voter(n, path));
        let voters = voters.collect::<Result<Vec<_>, CliError>>()?;
        let fault_model = self.fault_model.into();
        let total = voters.iter().map(|v| v.weight).fold(0, u64::saturating_add);
        let genesis = Genesis {
            name: self.name,
            created: self.created_ms.map_or_else(client::now, Time),
            fault_model,
            faulty_weight: self.faulty_weight.unwrap_or_else(|| Genesis::faulty_weight_max(fault_model, total)),
            voters,
            administrators: guard("admin", self.admin_keys, self.admin_threshold)?,
            treasury: guard("treasury", self.treasury_keys, self.treasury_threshold)?,
            parameters: Parameters::default(),
        };
        genesis.check()?;
        write_new(&self.out, &genesis_to_toml(&genesis), 0o644)?;
        println!("{}", genesis.cluster_id());
        eprintln!(
            "Send {} to every voter; compare this hash with all of them before you start a node.",
            self.out.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn voter(n: usize, path: &Path) -> Result<Voter, CliError> {
    let id = u16::try_from(n).map_err(|_| CliError::new("there are too many voters"))?;
    let (name, key, weight) = read_voter(path)?;
    Ok(Voter { id: NodeId(id), name, key, weight })
}

fn guard(what: &str, mut keys: Vec<PublicKey>, threshold: Option<u16>) -> Result<Guard, CliError> {
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(CliError::new(format!("--{what}-key: a key is given twice; give each key once")));
    }
    match (keys.as_slice(), threshold) {
        ([key], None | Some(1)) => Ok(Guard::Key(*key)),
        (_, Some(k)) => Ok(Guard::Threshold { k, keys }),
        (_, None) => {
            Err(CliError::new(format!("{} keys are given; say with --{what}-threshold how many must sign", keys.len())))
        }
    }
}

fn guard_text(guard: &Guard) -> String {
    match guard {
        Guard::Key(key) => key.to_string(),
        Guard::Threshold { k, keys } => {
            let keys: Vec<String> = keys.iter().map(|key| format!("\n    {key}")).collect();
            format!("{k} of{}", keys.concat())
        }
    }
}

fn describe(genesis: &Genesis) -> String {
    let rows: Vec<Vec<String>> = genesis
        .voters
        .iter()
        .map(|v| vec![v.id.to_string(), v.name.to_string(), v.weight.to_string(), v.key.to_string()])
        .collect();
    let total = genesis.membership().total_weight();
    format!(
        "cluster         {}\nhash            {}\nfault model     {}: weight {} of {total} may be faulty\n\
         administrators  {}\ntreasury        {}\n\n{}",
        genesis.name,
        style::paint(style::RESULT, genesis.cluster_id()),
        fault_model_name(genesis.fault_model),
        genesis.faulty_weight,
        guard_text(&genesis.administrators),
        guard_text(&genesis.treasury),
        style::table(&["id", "voter", "weight", "key"], &rows),
    )
}

fn to_json(genesis: &Genesis) -> Value {
    let guard = |guard: &Guard| match guard {
        Guard::Key(key) => json!({ "key": key.to_string() }),
        Guard::Threshold { k, keys } => {
            json!({ "threshold": k, "keys": keys.iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
    };
    let voter =
        |v: &Voter| json!({ "id": v.id.0, "name": v.name.as_str(), "key": v.key.to_string(), "weight": v.weight });
    json!({
        "cluster": genesis.cluster_id().to_string(),
        "name": genesis.name.as_str(),
        "created_ms": genesis.created.0,
        "fault_model": fault_model_name(genesis.fault_model),
        "faulty_weight": genesis.faulty_weight,
        "administrators": guard(&genesis.administrators),
        "treasury": guard(&genesis.treasury),
        "voters": genesis.voters.iter().map(voter).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use wire::SecretKey;

    use super::*;
    use crate::config::write_key;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        verb: GenesisVerb,
    }

    fn run(words: &[&str]) -> Result<(), String> {
        let line = Line::try_parse_from(std::iter::once(&"genesis").chain(words)).map_err(|e| e.to_string())?;
        line.verb.run().map(|_| ()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_ceremony() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut words: Vec<String> = vec!["assemble".into(), "--name".into(), "clearing".into()];
        for n in 0..4u8 {
            let (key, card) = (path(&format!("{n}.key")), path(&format!("{n}.toml")));
            write_key(Path::new(&key), &SecretKey::from_seed([n + 1; 32]), Some("not needed for the public part"))
                .unwrap();
            run(&["voter", "--name", &format!("bank-{n}"), "--key", &key, "--weight", "2", "--out", &card]).unwrap();
            words.extend(["--voter".into(), card]);
        }
        let admins = [11, 10, 12].map(|n| SecretKey::from_seed([n; 32]).public().to_string());
        words.extend(admins.iter().flat_map(|key| ["--admin-key".to_owned(), key.clone()]));
        words.extend(["--treasury-key".into(), admins[0].clone(), "--created-ms".into(), "7".into()]);
        words.extend(["--out".into(), path("genesis.toml")]);
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();

        let unsaid = run(&words).unwrap_err();
        assert_eq!(unsaid, "3 keys are given; say with --admin-threshold how many must sign");
        words.extend(["--admin-threshold", "2"]);
        run(&words).unwrap();
        let genesis = read_genesis(Path::new(&path("genesis.toml"))).unwrap();
        assert_eq!(
            genesis.voters.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(),
            ["bank-0", "bank-1", "bank-2", "bank-3"]
        );
        assert_eq!((genesis.faulty_weight, genesis.created), (2, Time(7)), "as much as the weights allow");
        assert!(matches!(&genesis.administrators, Guard::Threshold { k: 2, keys } if keys.is_sorted()));
        assert!(matches!(genesis.treasury, Guard::Key(_)));
        assert!(run(&words).unwrap_err().contains("exists and is not overwritten"));

        // The same cards, put together elsewhere, have the same hash.
        let other = path("other.toml");
        let at = words.iter().position(|w| w.ends_with("genesis.toml")).unwrap();
        words[at] = &other;
        run(&words).unwrap();
        assert_eq!(read_genesis(Path::new(&other)).unwrap().cluster_id(), genesis.cluster_id());

        words.extend(["--faulty-weight", "3"]);
        assert_eq!(run(&words).unwrap_err(), "3 faulty weight needs a total weight of 10, the voters have 8");
    }
}

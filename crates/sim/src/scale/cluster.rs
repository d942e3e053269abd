//! The cluster that is simulated and calibrated with: genesis document, replicas on disks in memory, and commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::operation::Transfer;
use ledger::{Amount, Operation};
use replica::{Config, Now, Replica};
use store::{MemDisk, Options, SplitMix, Stamp, Store};
use wire::{
    Command, FaultModel, Genesis, Guard, Hash, Name, NodeId, Parameters, SecretKey, SignedCommand, Time, Voter,
};

/// When virtual time starts.
pub const START: Time = Time(1_700_000_000_000);
/// Parties that send transfers, each with a key and an account of its own.
pub const PARTIES: usize = 64;
/// Commands that may wait at one node; more than the load ever has under way.
const POOL_COMMANDS_MAX: usize = 1 << 20;

fn name(text: &str) -> Name {
    Name::new(text).expect("names made here are names")
}

fn key(of: &str) -> SecretKey {
    SecretKey::from_seed(Hash::of(of.as_bytes()).0)
}

fn node_key(node: usize) -> SecretKey {
    key(&format!("voter {node}"))
}

/// A genesis document for `n` voters of weight 1, Byzantine faults, and blocks of at most `block_commands` commands.
pub fn genesis(n: usize, block_commands: usize) -> Genesis {
    let voter = |node: usize| Voter {
        id: NodeId(node as u16),
        name: name(&format!("node-{node}")),
        key: node_key(node).public(),
        weight: 1,
    };
    let parameters = Parameters { block_entries_max: block_commands as u32, ..Parameters::default() };
    let genesis = Genesis {
        name: name("scale"),
        created: START,
        fault_model: FaultModel::Byzantine,
        faulty_weight: Genesis::faulty_weight_max(FaultModel::Byzantine, n as u64),
        voters: (0..n).map(voter).collect(),
        administrators: Guard::Key(key("admin").public()),
        treasury: Guard::Key(key("treasury").public()),
        parameters,
    };
    genesis.check().expect("a genesis document made here is a good one");
    genesis
}

/// A fresh replica on an empty disk in memory.
pub fn open(genesis: &Genesis, node: usize, now: Now) -> Result<Replica<MemDisk>, String> {
    let signer = node_key(node);
    let stamp = Stamp { cluster: genesis.cluster_id().0.0, node: signer.public().0 };
    let usual = Options::default();
    // As a node sizes it: three certificates, with a statement for each voter.
    let safety_bytes_max = usual.safety_bytes_max + 1024 * genesis.voters.len();
    let options = Options { safety_bytes_max, ..usual };
    let (store, _) = Store::create(MemDisk::new(node as u64), stamp, options).map_err(|e| e.to_string())?;
    let config = Config {
        genesis: genesis.clone(),
        me: NodeId(node as u16),
        signer: Arc::new(signer),
        pool_commands_max: POOL_COMMANDS_MAX,
    };
    Replica::open(config, store, now, &mut |_| {}).map_err(|e| e.to_string())
}

/// Makes signed commands.
pub struct Commands {
    genesis: Genesis,
    keys: Vec<SecretKey>,
    sequences: BTreeMap<String, u64>,
    next: usize,
    draw: SplitMix,
}

impl Commands {
    /// For one cluster. The seed decides who pays whom.
    pub fn new(genesis: &Genesis, seed: u64) -> Commands {
        let keys = (0..PARTIES).map(|n| key(&format!("party {n}"))).collect();
        Commands { genesis: genesis.clone(), keys, sequences: BTreeMap::new(), next: 0, draw: SplitMix::new(seed) }
    }

    fn sign(&mut self, party: &str, signer: &SecretKey, operation: &Operation) -> SignedCommand {
        let sequence = self.sequences.entry(party.to_owned()).or_default();
        *sequence += 1;
        let command = Command {
            party: name(party),
            session: 1,
            sequence: *sequence,
            expiry: START.plus_ms(20 * 3_600_000),
            payload: operation.to_payload(),
            signers: vec![],
        };
        SignedCommand::sign(&self.genesis.cluster_id(), command, &[signer]).expect("a key in memory signs")
    }

    /// What comes before the load, in groups that must be executed one after another: parties, accounts, funds.
    pub fn set_up(&mut self) -> Vec<Vec<SignedCommand>> {
        let (mut parties, mut accounts, mut funds) = (Vec::new(), Vec::new(), Vec::new());
        let amount = Amount::from_units(1 << 60).expect("2^60 is an amount");
        for n in 0..PARTIES {
            let (party, account, owner) = (format!("party-{n}"), name(&format!("account-{n}")), self.keys[n].clone());
            let register = Operation::RegisterParty { name: name(&party), guard: Guard::Key(owner.public()) };
            parties.push(self.sign("admin", &key("admin"), &register));
            accounts.push(self.sign(&party, &owner, &Operation::CreateAccount { name: account.clone() }));
            funds.push(self.sign(
                "treasury",
                &key("treasury"),
                &Operation::Adjust { account, negative: false, amount },
            ));
        }
        vec![parties, accounts, funds]
    }

    /// Transfers, by the parties in turn, each to another party.
    pub fn transfers(&mut self, count: usize) -> Vec<SignedCommand> {
        let amount = Amount::from_units(1).expect("1 is an amount");
        (0..count)
            .map(|_| {
                let from = self.next % PARTIES;
                self.next += 1;
                let to = (from + 1 + self.draw.below(PARTIES as u64 - 1) as usize) % PARTIES;
                let path = [from, to].iter().map(|n| name(&format!("account-{n}"))).collect();
                let owner = self.keys[from].clone();
                self.sign(&format!("party-{from}"), &owner, &Operation::Transfer(Transfer { path, amount }))
            })
            .collect()
    }
}

//! A ledger with known keys, and commands for it.
#![allow(dead_code, reason = "each test file uses its own part")]

use hopper::ir::{Module, ModuleId};
use hopper::library::Library;
use hopperc::{asm, elaborate};
use ledger::operation::Transfer;
use ledger::request::Deployment;
use ledger::{Amount, BlockResult, Classic, Code, Ledger, Operation, cash};
use wire::{
    ClusterId, Command, Encode, FaultModel, Genesis, Guard, Height, Index, Name, NodeId, Parameters, PublicKey,
    SecretKey, SignedCommand, Time, VerifiedCommand, Voter,
};

/// When the test genesis was made; blocks are a second apart.
pub const CREATED: u64 = 1_000_000;

pub fn key(n: u8) -> PublicKey {
    SecretKey::from_seed([n; 32]).public()
}

/// The key of `admin` and of `treasury`.
pub const ADMIN_KEY: u8 = 201;
pub const TREASURY_KEY: u8 = 202;

pub fn genesis() -> Genesis {
    Genesis {
        name: name("test"),
        created: Time(CREATED),
        fault_model: FaultModel::Byzantine,
        faulty_weight: 0,
        voters: vec![Voter { id: NodeId(1), name: name("n1"), key: key(200), weight: 1 }],
        administrators: Guard::Key(key(ADMIN_KEY)),
        treasury: Guard::Key(key(TREASURY_KEY)),
        parameters: Parameters::default(),
    }
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

pub fn operation(text: &str) -> Operation {
    match ledger::classic::parse(text).unwrap() {
        Classic::Operation(operation) => operation,
        Classic::Query(query) => panic!("{query:?} is no operation"),
    }
}

pub fn transfer(path: &[&str], units: u128) -> Operation {
    let path = path.iter().map(|n| name(n)).collect();
    Operation::Transfer(Transfer { path, amount: Amount::from_units(units).unwrap() })
}

/// A command as if its signatures had been checked: what the ledger gets. The ledger never looks at signatures.
pub fn unsigned(mut command: Command) -> VerifiedCommand {
    command.signers.sort();
    command.signers.dedup();
    let mut bytes = command.to_bytes();
    bytes.extend(std::iter::repeat_n(0, 64 * command.signers.len()));
    VerifiedCommand::from_own_log(&ClusterId::default(), SignedCommand::from_bytes(&bytes).unwrap())
}

/// A command of `party` in session 1, signed by the keys with these numbers, that does not expire soon.
pub fn command(party: &str, sequence: u64, keys: &[u8], operation: &Operation) -> VerifiedCommand {
    unsigned(Command {
        party: name(party),
        session: 1,
        sequence,
        expiry: Time(CREATED + 3_600_000),
        payload: operation.to_payload(),
        signers: keys.iter().map(|n| key(*n)).collect(),
    })
}

/// The next block, a second after the last.
pub fn block(ledger: &mut Ledger, entries: &[VerifiedCommand]) -> BlockResult {
    let (height, time, index): (Height, Time, Index) =
        (ledger.height().plus(1), ledger.time().plus_ms(1000), ledger.next_index());
    ledger.execute_block(height, time, index, entries)
}

/// A block of one command: its code and text.
pub fn one(ledger: &mut Ledger, command: VerifiedCommand) -> (Code, String) {
    let outcome = block(ledger, &[command]).entries.remove(0).receipt.outcome;
    (Code::of(outcome.code).expect("a listed code"), outcome.text)
}

/// A module from textual IR, in which `CASH` is the id of the ledger's money, with its proofs.
pub fn assembled(library: &Library, text: &str) -> (Module, Deployment) {
    let text = text.replace("CASH", &cash::id().0.to_string());
    let known = |id: &ModuleId| library.units.get(id).map(|u| u.module.clone());
    let module = asm::assemble_with(&text, &known).unwrap_or_else(|e| panic!("{e}"));
    let proofs = elaborate::elaborate(library, &module).unwrap_or_else(|e| panic!("{e}"));
    let deployment = Deployment { module: module.to_bytes(), proofs: proofs.to_bytes(), roles: Vec::new() };
    (module, deployment)
}

/// A ledger driver that numbers commands itself.
pub struct Bench {
    pub ledger: Ledger,
    sequence: u64,
}

impl Bench {
    /// Parties `a` (key 1), `b` (key 2), `c` (keys 3, 4, 5, of which 2) with accounts A, B, C; A holds 100.
    pub fn new() -> Bench {
        let mut bench = Bench { ledger: Ledger::new(&genesis()), sequence: 0 };
        bench.applied("admin", &[ADMIN_KEY], &format!("RegisterParty a {}", key(1)));
        bench.applied("admin", &[ADMIN_KEY], &format!("RegisterParty b {}", key(2)));
        bench.applied("admin", &[ADMIN_KEY], &format!("RegisterParty c 2 {},{},{}", key(3), key(4), key(5)));
        bench.applied("a", &[1], "CreateAccount A");
        bench.applied("b", &[2], "CreateAccount B");
        bench.applied("c", &[3, 4], "CreateAccount C");
        bench.applied("treasury", &[TREASURY_KEY], "AdjustAccount A 100%1");
        bench
    }

    pub fn run(&mut self, party: &str, keys: &[u8], text: &str) -> (Code, String) {
        self.sequence += 1;
        one(&mut self.ledger, command(party, self.sequence, keys, &operation(text)))
    }

    pub fn applied(&mut self, party: &str, keys: &[u8], text: &str) {
        assert_eq!(self.run(party, keys, text), (Code::Applied, String::new()), "{text}");
    }

    pub fn refused(&mut self, party: &str, keys: &[u8], text: &str, code: Code) -> String {
        let state = self.ledger.state().clone();
        let (found, why) = self.run(party, keys, text);
        assert_eq!(found, code, "{text}: {why}");
        assert!(state.accounts().eq(self.ledger.state().accounts()));
        assert_eq!(state.parties(), self.ledger.state().parties());
        assert_eq!(state.notes(), self.ledger.state().notes());
        assert_eq!(state.supply(), self.ledger.state().supply());
        why
    }

    pub fn library(&self) -> Library {
        self.ledger.state().code().library().clone()
    }

    pub fn balance(&self, account: &str) -> String {
        self.ledger.state().account(&name(account)).unwrap().balance.to_string()
    }
}

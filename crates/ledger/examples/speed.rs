//! What a transfer costs: executing blocks of 1,000 transfers over 100,000 accounts, with the state root of each block; in
//! order, and with calls run ahead on two threads, block by block in turns.
//!
//! `cargo run --release -p ledger --example speed [transfers]`

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ledger::operation::Transfer;
use ledger::parallel::Workers;
use ledger::root::Tree;
use ledger::{Amount, Ledger, Operation, Table};
use wire::{
    ClusterId, Command, Encode, FaultModel, Genesis, Guard, Name, NodeId, Parameters, PublicKey, SecretKey,
    SignedCommand, Time, VerifiedCommand, Voter,
};

const ACCOUNTS: u64 = 100_000;
const BLOCK: u64 = 1000;

fn key(n: u8) -> PublicKey {
    SecretKey::from_seed([n; 32]).public()
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn account(n: u64) -> Name {
    name(&format!("account-{n}"))
}

/// A command as if its signature had been checked.
fn command(party: &Name, session: u64, sequence: u64, signer: PublicKey, operation: &Operation) -> VerifiedCommand {
    let (party, expiry, payload) = (party.clone(), Time(1_000_000), operation.to_payload());
    let mut bytes = Command { party, session, sequence, expiry, payload, signers: vec![signer] }.to_bytes();
    bytes.extend([0; 64]);
    let signed = SignedCommand::from_bytes(&bytes).expect("a command");
    VerifiedCommand::from_own_log(&ClusterId::default(), signed)
}

/// Threads that run calls ahead.
struct Threads;

impl Workers for Threads {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < count) {
                job(n);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
    }
}

fn median(mut of: Vec<Duration>) -> f64 {
    of.sort();
    of[of.len() / 2].as_secs_f64() * 1e6 / BLOCK as f64
}

fn execute_ahead(ledger: &mut Ledger, entries: &[VerifiedCommand]) -> Duration {
    let start = Instant::now();
    let (height, time, index) = (ledger.height().plus(1), ledger.time().plus_ms(1), ledger.next_index());
    let result = ledger.execute_block_with(height, time, index, entries, &Threads);
    assert!(result.entries.iter().all(|e| e.receipt.outcome.is_applied()), "all applied");
    drop(result);
    start.elapsed()
}

fn execute(ledger: &mut Ledger, entries: &[VerifiedCommand]) -> Duration {
    let start = Instant::now();
    let result = ledger.execute_block(ledger.height().plus(1), ledger.time().plus_ms(1), ledger.next_index(), entries);
    assert!(result.entries.iter().all(|e| e.receipt.outcome.is_applied()), "all applied");
    drop(result);
    start.elapsed()
}

fn main() {
    let transfers: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300_000);
    let (party_key, treasury_key) = (key(1), key(2));
    let genesis = Genesis {
        name: name("speed"),
        created: Time(1),
        fault_model: FaultModel::Crash,
        faulty_weight: 0,
        voters: vec![Voter { id: NodeId(1), name: name("n"), key: key(3), weight: 1 }],
        administrators: Guard::Key(treasury_key),
        treasury: Guard::Key(treasury_key),
        parameters: Parameters::default(),
    };
    let start = Instant::now();
    let mut ledger = Ledger::new(&genesis);
    println!("an empty ledger: {:?}", start.elapsed());

    let (party, treasury) = (name("party"), name("treasury"));
    let register = Operation::RegisterParty { name: party.clone(), guard: Guard::Key(party_key) };
    execute(&mut ledger, &[command(&name("admin"), 1, 1, treasury_key, &register)]);
    let amount = Amount::from_units(1 << 40).expect("below the cap");
    for first in (0..ACCOUNTS).step_by(BLOCK as usize) {
        let mut entries = Vec::new();
        for n in first..first + BLOCK {
            entries.push(command(&party, 0, n + 1, party_key, &Operation::CreateAccount { name: account(n) }));
            let mint = Operation::Adjust { account: account(n), negative: false, amount };
            entries.push(command(&treasury, 0, n + 1, treasury_key, &mint));
        }
        execute(&mut ledger, &entries);
    }

    for sessions in [1, 32, BLOCK] {
        // A multiplicative generator spreads the transfers over the accounts.
        let mut seed = 1u64;
        let mut pick = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % ACCOUNTS
        };
        let (mut in_order, mut ahead) = (Vec::new(), Vec::new());
        for block in 0..transfers / BLOCK {
            let entries: Vec<VerifiedCommand> = (0..BLOCK)
                .map(|n| {
                    let from = pick();
                    let to = (from + 1 + pick() % (ACCOUNTS - 1)) % ACCOUNTS;
                    let amount = Amount::from_units(1).expect("below the cap");
                    let body = Transfer { path: vec![account(from), account(to)], amount };
                    let sequence = block * (BLOCK.div_ceil(sessions)) + n / sessions + 1;
                    command(&party, 1000 * sessions + n % sessions, sequence, party_key, &Operation::Transfer(body))
                })
                .collect();
            match block % 2 {
                0 => in_order.push(execute(&mut ledger, &entries)),
                _ => ahead.push(execute_ahead(&mut ledger, &entries)),
            }
        }
        let (in_order, ahead) = (median(in_order), median(ahead));
        println!(
            "{sessions} sessions: {in_order:.2} us a transfer in order, {ahead:.2} us with two threads ({:.2} of it), \
             {} results held",
            ahead / in_order,
            ledger.totals().results,
        );
    }

    let mut tree = Tree::of(ledger.state());
    let rows: Vec<_> = ledger.state().rows().filter(|(table, ..)| *table == Table::Rows).collect();
    let start = Instant::now();
    for block in 0..100 {
        let touched = (0..2 * BLOCK as usize).map(|n| &rows[(block * 7919 + n * 104_729) % rows.len()]);
        tree.update(touched.map(|(table, key, value)| (*table, key.as_slice(), Some(&value[1..]))));
    }
    println!("the tree alone: {:.2} us an upsert", start.elapsed().as_secs_f64() * 1e6 / (200 * BLOCK) as f64);
}

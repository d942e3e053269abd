//! What a contract costs beside a signature, measured in turns in one run: medians and ratios.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use hopper::cost::Cost;
use hopper::eval::{Call, World, run};
use hopper::ir::{Lineage, Module, Proofs};
use hopper::library::Library;
use hopper::state::{Memory, Row, RowKey};
use hopper::value::{self, Value};
use hopper::verify::deploy;
use wire::{Hash, Name, SecretKey};

/// `bank.cash`, as every ledger has it.
const MODULE: &[u8] = include_bytes!("../../../ledger/cash/bank.cash.module");
const PROOFS: &[u8] = include_bytes!("../../../ledger/cash/bank.cash.proofs");
const ACCOUNTS: usize = 100_000;
const TURNS: usize = 301;
/// Of each in one turn.
const TRANSFERS: usize = 200;
const SIGNATURES: usize = 20;

struct Signed(Name);

impl World for Signed {
    fn sender(&self) -> Name {
        self.0.clone()
    }

    fn satisfied(&self, party: &Name) -> bool {
        *party == self.0
    }

    fn role(&self, _: &Lineage, _: u16) -> Option<Name> {
        None
    }

    fn now(&self) -> u64 {
        0
    }

    fn command(&self) -> Hash {
        Hash::ZERO
    }
}

fn name(n: usize) -> Name {
    Name::new(&format!("account-{n}")).expect("a name")
}

/// Microseconds of each of `count` things.
fn each(count: usize, what: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    what();
    begun.elapsed().as_secs_f64() * 1e6 / count as f64
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn main() -> ExitCode {
    let cash = &Module::read(MODULE).expect("a module");
    let proofs = Proofs::read(PROOFS).expect("proofs");
    let mut library = Library::default();
    let unit = deploy(&mut library, cash.clone(), &proofs).expect("cash is accepted");
    let accounts = unit.module.tables.iter().position(|t| t.name.as_str() == "accounts").expect("it has accounts");
    let transfer = unit.module.functions.iter().position(|f| f.name.as_str() == "transfer").expect("it transfers");
    let table = unit.tables[accounts].clone();

    let mut rows = Memory::default();
    for n in 0..ACCOUNTS {
        let coin = Value::fields([Value::Int(1 << 40)]);
        let row = Value::fields([coin, Value::Party(name(n)), Value::Bool(false), Value::Bool(false)]);
        let key = value::to_bytes(&library.universe, table.key, &Value::Party(name(n)));
        let key = RowKey { lineage: table.of.lineage, table: table.of.index, key };
        rows.set(key, Some(Row::new(&library.universe, table.row, row)));
    }
    let key = SecretKey::from_seed([7; 32]);
    let (public, message) = (key.public(), [5u8; 300]);
    let signature = key.sign_bytes(&message);

    let (mut signing, mut hot, mut wide, mut judging) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut next = 1usize;
    let mut cost = Cost::ZERO;
    for _ in 0..TURNS {
        signing.push(each(SIGNATURES, || {
            for _ in 0..SIGNATURES {
                black_box(public.verify(black_box(&message), &signature)).expect("it is good");
            }
        }));
        for (among, times) in [(2, &mut hot), (ACCOUNTS, &mut wide)] {
            let calls: Vec<(usize, usize)> = (0..TRANSFERS)
                .map(|_| {
                    next = next.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let from = (next >> 33) % among;
                    (from, (from + 1 + (next >> 20) % (among - 1)) % among)
                })
                .map(|(a, b)| if a == b { (0, 1) } else { (a, b) })
                .collect();
            let calls: Vec<(Signed, Vec<Value>)> = calls
                .into_iter()
                .map(|(from, to)| {
                    let args = vec![Value::Party(name(from)), Value::Party(name(to)), Value::Int(3)];
                    (Signed(name(from)), args)
                })
                .collect();
            times.push(each(TRANSFERS, || {
                for (world, args) in calls {
                    let outcome = run(Call {
                        unit: &unit,
                        function: transfer as u16,
                        args,
                        universe: &library.universe,
                        rows: &rows,
                        world: &world,
                        limit: Cost([1 << 20; 6]),
                    });
                    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
                    cost = outcome.cost;
                    black_box(outcome.diff.hash());
                    rows.write(&outcome.diff, outcome.writes).expect("it is the next one");
                }
            }));
        }
        judging.push(each(1, || {
            let mut library = Library::default();
            black_box(deploy(&mut library, cash.clone(), &proofs)).expect("cash is accepted");
        }));
    }
    let (signing, hot, wide, judging) = (median(signing), median(hot), median(wide), median(judging));
    println!("medians of {TURNS} turns, one thread");
    println!("one Ed25519 verification        {signing:9.2} us");
    println!(
        "a transfer between two accounts {hot:9.2} us   1/{:.1} of a verification; run, diff, its hash, rows written",
        signing / hot
    );
    println!("a transfer among {ACCOUNTS}       {wide:9.2} us   1/{:.1}", signing / wide);
    println!("its cost                        {:?}", cost.0);
    println!("judging bank.cash with proofs   {judging:9.2} us");
    if hot * 10.0 <= signing { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

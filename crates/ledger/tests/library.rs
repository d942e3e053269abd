//! The library of contracts on the ledger, under random sequences of actions: assets are conserved by an independent count, and
//! nobody's money moves without the owner.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{ADMIN_KEY, Bench, TREASURY_KEY, block, command, name};
use hopper::ir::FunctionKind;
use hopper::library::{Library, Unit};
use hopper::types::{Kind, Nominal, Ty, Universe};
use hopper::value::{self, Value};
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::compile;
use ledger::request::{Call, Deployment, Request};
use ledger::{Operation, cash};
use wire::{Encode, Hash, Name};

/// A fixed sequence of numbers (Knuth's multiplier; the high half).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

const PARTIES: [(&str, &[u8]); 5] =
    [("a", &[1]), ("b", &[2]), ("c", &[3, 4]), ("admin", &[ADMIN_KEY]), ("treasury", &[TREASURY_KEY])];

/// A value of a type, mostly small, with ids that were seen before.
fn any(dice: &mut Dice, universe: &Universe, ty: Ty, ids: &[Hash], depth: usize) -> Value {
    let many = |dice: &mut Dice| if depth > 3 { 0 } else { dice.below(3) };
    match universe.kind(ty) {
        Kind::Bool => Value::Bool(dice.below(2) == 0),
        Kind::Int { min, max, .. } => {
            let near = [0, 1, 2, 3, 5, 10, 50, 60, 100, 1000, 10_000][dice.below(11)];
            Value::Int(if dice.below(40) == 0 { *max } else { near.clamp(*min, *max) })
        }
        Kind::Dec { .. } => Value::Int(dice.below(1000) as i128),
        Kind::Time => Value::Int([0, 1_000_500, 1_000_000_000, 4_102_444_800_000][dice.below(4)]),
        Kind::Date => Value::Int([0, -100, 20_000][dice.below(3)]),
        Kind::Text(_) => Value::text(["x", "y", "z"][dice.below(3)]),
        Kind::Bytes(max) => Value::Bytes(vec![dice.below(3) as u8; dice.below(33).min(*max as usize)].into()),
        Kind::Party => {
            let among = if dice.below(4) == 0 { 5 } else { 3 };
            Value::Party(name(PARTIES[dice.below(among)].0))
        }
        Kind::Digest | Kind::Id(_) => {
            let known = ids.get(dice.below(ids.len() + 1)).copied();
            Value::Digest(known.unwrap_or_else(|| Hash::of(&[dice.below(2) as u8])))
        }
        Kind::Option(of) => match dice.below(2) {
            0 => Value::none(),
            _ => Value::some(any(dice, universe, *of, ids, depth + 1)),
        },
        Kind::List(of, _) => {
            let items = (0..many(dice)).map(|_| any(dice, universe, *of, ids, depth + 1)).collect();
            Value::List(Arc::new(items))
        }
        Kind::Map(key, of, _) => {
            let entries = (0..many(dice))
                .map(|_| (any(dice, universe, *key, ids, depth + 1), any(dice, universe, *of, ids, depth + 1)));
            Value::Map(Arc::new(entries.collect()))
        }
        Kind::Tuple(types) => {
            Value::fields(types.iter().map(|t| any(dice, universe, *t, ids, depth + 1)).collect::<Vec<_>>())
        }
        Kind::Record(_, shape) => {
            let fields = shape.fields.iter().map(|f| any(dice, universe, f.1, ids, depth + 1));
            Value::fields(fields.collect::<Vec<_>>())
        }
        Kind::Enum(_, _, shapes) => {
            let n = dice.below(shapes.len());
            let fields = shapes[n].fields.iter().map(|f| any(dice, universe, f.1, ids, depth + 1));
            Value::Variant(n as u16, fields.collect())
        }
        _ => Value::Unit,
    }
}

/// How much of each asset a value holds; written apart from the ledger's own count.
fn count(universe: &Universe, ty: Ty, value: &Value, into: &mut BTreeMap<Nominal, u128>) {
    let each = |types: Vec<Ty>, fields: &[Value], into: &mut BTreeMap<Nominal, u128>| {
        types.iter().zip(fields).for_each(|(t, v)| count(universe, *t, v, into));
    };
    let shape = |s: &hopper::types::Shape| s.fields.iter().map(|f| f.1).collect::<Vec<Ty>>();
    match (universe.kind(ty), value) {
        (Kind::Asset { of, shape: s, measured, .. }, Value::Fields(fields)) => {
            let amount = if *measured { fields[0].int().unwrap() as u128 } else { 1 };
            *into.entry(*of).or_default() += amount;
            each(shape(s), fields, into);
        }
        (Kind::Record(_, s), Value::Fields(fields)) => each(shape(s), fields, into),
        (Kind::Tuple(types), Value::Fields(fields)) => each(types.clone(), fields, into),
        (Kind::Enum(_, _, shapes), Value::Variant(n, fields)) => each(shape(&shapes[usize::from(*n)]), fields, into),
        (Kind::Option(of), Value::Variant(1, fields)) => count(universe, *of, &fields[0], into),
        (Kind::List(of, _), Value::List(items)) => items.iter().for_each(|v| count(universe, *of, v, into)),
        (Kind::Map(_, of, _), Value::Map(entries)) => entries.values().for_each(|v| count(universe, *of, v, into)),
        _ => {}
    }
}

fn assets(ledger: &ledger::Ledger) -> BTreeMap<Nominal, u128> {
    let library: &Library = ledger.state().code().library();
    let mut all = BTreeMap::new();
    for (key, row) in ledger.state().contract_rows().iter() {
        let unit = &library.units[&library.heads[&key.lineage]];
        let (info, _) = unit.table(key.table).unwrap();
        count(&library.universe, info.row, &row.value, &mut all);
    }
    all.retain(|_, n| *n > 0);
    all
}

/// A ledger with the whole library and an account for everybody.
fn start() -> (Bench, Vec<Arc<Unit>>) {
    let mut bench = Bench::new();
    let folder = format!("{}/../hopperc/lib", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "hop") && !p.ends_with("cash.hop"));
    paths.sort();
    let read = |p: &std::path::PathBuf| SourceFile {
        name: p.display().to_string(),
        text: std::fs::read_to_string(p).unwrap(),
    };
    let files: Vec<SourceFile> = paths.iter().map(read).collect();
    let compiled = compile(&files, &cash::library()).unwrap_or_else(|e| panic!("{}", render(&files, &e, false)));
    assert_eq!(compiled.len(), files.len());
    let mut sequence = 10_000;
    for one in &compiled {
        let roles = one.module.roles.iter().enumerate().map(|(n, _)| name(PARTIES[n % 3].0)).collect();
        let request =
            Request::Deploy(Deployment { module: one.module.to_bytes(), proofs: one.proofs.to_bytes(), roles });
        sequence += 1;
        let entry = command("a", sequence, &[1], &Operation::from(request));
        let outcome = block(&mut bench.ledger, &[entry]).entries.remove(0).receipt.outcome;
        assert!(outcome.is_applied(), "{}: {outcome}", one.module.name);
    }
    for (party, keys) in PARTIES {
        bench.applied(party, keys, &format!("CreateAccount {party}"));
        bench.applied("treasury", &[TREASURY_KEY], &format!("AdjustAccount {party} 1%1"));
    }
    let units = bench.ledger.state().code().library().units.values().cloned().collect();
    (bench, units)
}

#[test]
fn random_actions_conserve_assets_and_ask_the_owners() {
    let (bench, units) = start();
    let mut applied: BTreeSet<(String, String)> = BTreeSet::new();
    let mut moved = 0;
    for seed in 0..6 {
        let (mut ledger, mut dice) = (bench.ledger.clone(), Dice(seed * 7919 + 1));
        let mut ids = Vec::new();
        // Who may have let others spend: an allowance speaks for its owner later.
        let mut lent: BTreeSet<Name> = BTreeSet::new();
        for n in 0..1500 {
            let unit = &units[dice.below(units.len())];
            let actions: Vec<usize> =
                (0..unit.functions.len()).filter(|f| unit.module.functions[*f].kind == FunctionKind::Action).collect();
            let place = actions[dice.below(actions.len())];
            let universe = &ledger.state().code().library().universe;
            let mut args = Vec::new();
            for ty in &unit.functions[place].params {
                let arg = any(&mut dice, universe, *ty, &ids, 0);
                value::encode(universe, *ty, &arg, &mut args);
            }
            let signers = PARTIES.map(|p| (p, dice.below(3) > 0));
            let (party, keys) = PARTIES[dice.below(3)];
            let keys: Vec<u8> = signers.iter().filter(|s| s.1).flat_map(|s| s.0.1).chain(keys).copied().collect();
            let call = Call { module: unit.id, function: place as u16, args, limit: None, scopes: vec![] };
            let entry = command(party, 1 + n, &keys, &Operation::Other(Request::Call(call)));
            let before: Vec<_> = ledger.state().accounts().collect();
            let done = block(&mut ledger, std::slice::from_ref(&entry)).entries.remove(0);
            let action = unit.module.functions[place].name.to_string();
            if done.receipt.outcome.is_applied() {
                applied.insert((unit.module.name.to_string(), action.clone()));
                if let Ok(id) = <Hash as wire::Decode>::from_bytes(&done.receipt.result) {
                    ids.push(id);
                }
                if action == "approve" {
                    lent.extend(done.diff.contract().authority.iter().cloned());
                }
            }
            // Each asset: what the rows hold is what the ledger says there is.
            assert_eq!(&assets(&ledger), ledger.state().supplies(), "seed {seed}, step {n}: {action}");
            for (account, row) in before {
                let now = ledger.state().account(&account).unwrap();
                moved += usize::from(now.balance != row.balance);
                let guard = &ledger.state().party(&row.owner).unwrap().guard;
                let agreed = guard.is_satisfied_by(&entry.signers) || lent.contains(&row.owner);
                let why = format!("seed {seed}, step {n}: {}.{action} took from {account}", unit.module.name);
                assert!(now.balance >= row.balance || agreed, "{why}");
            }
        }
    }
    // The test means little if nothing happens.
    let modules: BTreeSet<&String> = applied.iter().map(|a| &a.0).collect();
    assert!(modules.len() >= 13 && applied.len() >= 40 && moved > 150, "{applied:?} {moved}");
}

//! What must hold of every run of an accepted module, looked at from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hopper::bound::Size;
use hopper::cost::Cost;
use hopper::diff::check_conservation;
use hopper::eval::machine::Machine;
use hopper::eval::{Call, Outcome, World, reference};
use hopper::ir::{FunctionKind, Lineage, Op, Place};
use hopper::library::{INSTANCES, TableInfo, Unit};
use hopper::state::{Memory, Row, RowKey};
use hopper::types::{Kind, Ty, Universe};
use hopper::value::{self, Value};
use hopper::verify::literal;
use wire::{Decode, Encode, Hash, Name};

use super::random::Dice;

/// The parties of a trial.
const PARTIES: [&str; 4] = ["a", "b", "c", "d"];

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// Who signed, when, and so on.
#[derive(Debug, Clone)]
pub struct Setting {
    sender: Name,
    signers: BTreeSet<Name>,
    now: u64,
    command: Hash,
}

impl Setting {
    /// A random one.
    pub fn draw(dice: &mut Dice) -> Setting {
        let sender = name(PARTIES[dice.below(4)]);
        let mut signers: BTreeSet<Name> = PARTIES.iter().filter(|_| dice.one_in(3)).map(|p| name(p)).collect();
        signers.insert(sender.clone());
        Setting { sender, signers, now: dice.roll() >> 24, command: Hash::of(&dice.roll().to_be_bytes()) }
    }
}

impl World for Setting {
    fn sender(&self) -> Name {
        self.sender.clone()
    }

    fn satisfied(&self, party: &Name) -> bool {
        self.signers.contains(party)
    }

    fn role(&self, _: &Lineage, role: u16) -> Option<Name> {
        Some(name(PARTIES[usize::from(role) % 4]))
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn command(&self) -> Hash {
        self.command
    }
}

/// A random value of a type that keeps its invariants; `None` if none was found.
pub fn value(universe: &Universe, ty: Ty, dice: &mut Dice) -> Option<Value> {
    (0..6).map(|_| any(universe, ty, dice, 0)).find(|v| literal::holds_everywhere(universe, ty, v))
}

/// As [`value`], whatever its invariants. Nests as deep as the type.
fn any(universe: &Universe, ty: Ty, dice: &mut Dice, depth: usize) -> Value {
    let number = |dice: &mut Dice, min: i128, max: i128| {
        let n = match dice.below(6) {
            0 => min,
            1 => max,
            2 => i128::from(dice.roll() >> 8),
            _ => dice.below(12) as i128,
        };
        n.clamp(min, max)
    };
    let few = |dice: &mut Dice, max: u32| (max as usize).min(dice.below(if depth > 2 { 2 } else { 5 }));
    match universe.kind(ty).clone() {
        Kind::Unit | Kind::Ghost => Value::Unit,
        Kind::Bool => Value::Bool(dice.one_in(2)),
        Kind::Int { .. } | Kind::Dec { .. } | Kind::Time | Kind::Date => {
            let (min, max) = universe.range(ty).unwrap_or((0, 0));
            Value::Int(number(dice, min, max))
        }
        Kind::Text(max) => Value::text(&"abcde"[..few(dice, max)]),
        Kind::Bytes(max) => Value::Bytes((0..few(dice, max)).map(|n| n as u8).collect()),
        Kind::Digest | Kind::Id(_) => Value::Digest(Hash([dice.below(3) as u8; 32])),
        Kind::Party => Value::Party(name(PARTIES[dice.below(4)])),
        Kind::Option(of) => Value::option((!dice.one_in(3)).then(|| any(universe, of, dice, depth + 1))),
        Kind::List(of, max) => {
            Value::List(Arc::new((0..few(dice, max)).map(|_| any(universe, of, dice, depth + 1)).collect()))
        }
        Kind::Map(key, of, max) => {
            let mut entries = BTreeMap::new();
            for _ in 0..few(dice, max) {
                let key = any(universe, key, dice, depth + 1);
                entries.insert(key, any(universe, of, dice, depth + 1));
            }
            Value::Map(Arc::new(entries))
        }
        Kind::Tuple(_) | Kind::Record(..) | Kind::Asset { .. } => {
            let types = universe.fields(ty).unwrap_or_default();
            Value::fields(types.into_iter().map(|t| any(universe, t, dice, depth + 1)).collect::<Vec<Value>>())
        }
        Kind::Enum(..) => {
            let variants = universe.variants(ty).unwrap_or_default();
            let variant = dice.below(variants.len());
            let fields = variants[variant].iter().map(|t| any(universe, *t, dice, depth + 1));
            Value::Variant(variant as u16, fields.collect())
        }
        Kind::RowHole(_) | Kind::InstanceHole(..) => Value::Hole(0),
    }
}

/// The tables of a module, of what it imports too, with instances.
fn tables(unit: &Arc<Unit>) -> Vec<(TableInfo, Vec<hopper::ir::Prop>)> {
    let mut all = Vec::new();
    for unit in std::iter::once(unit).chain(&unit.imports) {
        for (info, declared) in unit.tables.iter().zip(&unit.module.tables) {
            all.push((info.clone(), declared.invariant.clone()));
        }
        all.extend(unit.protocols.iter().map(|info| (info.clone(), Vec::new())));
    }
    all
}

/// A random state: a few rows in each table, all of them keeping their invariants.
pub fn state(unit: &Arc<Unit>, universe: &Universe, dice: &mut Dice) -> Memory {
    let mut memory = Memory::default();
    for (info, invariant) in tables(unit) {
        for _ in 0..2 + dice.below(6) {
            let (Some(key), Some(row)) = (value(universe, info.key, dice), value(universe, info.row, dice)) else {
                continue;
            };
            let pair = [key.clone(), row.clone()];
            if !invariant.iter().all(|prop| literal::holds(&pair, prop)) {
                continue;
            }
            let at = RowKey {
                lineage: info.of.lineage,
                table: info.of.index,
                key: value::to_bytes(universe, info.key, &key),
            };
            memory.set(at, Some(Row::new(universe, info.row, row)));
        }
    }
    memory
}

/// The parties of whom the rows hold evidence: of signed assets, and of instances in signed states.
fn evidence(unit: &Arc<Unit>, universe: &Universe, rows: &Memory) -> BTreeSet<Name> {
    let mut found = BTreeSet::new();
    let all = tables(unit);
    for (key, row) in rows.iter() {
        let of = (key.lineage, key.table);
        for unit in std::iter::once(unit).chain(&unit.imports).filter(|u| u.lineage == key.lineage) {
            let protocol = key.table.checked_sub(INSTANCES).map(|n| &unit.module.protocols[usize::from(n)]);
            if let (Some(protocol), Value::Variant(state, fields)) = (protocol, &row.value)
                && let Some(param) = protocol.states[usize::from(*state)].signed
                && let Value::Party(party) = &fields[usize::from(param)]
            {
                found.insert(party.clone());
            }
        }
        let Some((table, _)) = all.iter().find(|(t, _)| (t.of.lineage, t.of.index) == of) else { continue };
        let mut todo = vec![(table.row, &row.value)];
        while let Some((ty, value)) = todo.pop() {
            if let Kind::Asset { signed: Some(field), .. } = universe.kind(ty)
                && let Some(Value::Party(party)) = value.at(&[*field as u8])
            {
                found.insert(party.clone());
            }
            if let (Some(types), Value::Fields(fields)) = (universe.fields(ty), value) {
                todo.extend(types.into_iter().zip(fields.iter()));
            }
        }
    }
    found
}

/// Counts of what was run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls.
    pub runs: u64,
    /// Of them, those that did something.
    pub applied: u64,
    /// Those that changed rows.
    pub changed: u64,
    /// Calls inside calls that asked for authority, and assets made that did.
    pub authority: u64,
    /// Steps of the machine.
    pub steps: u64,
}

/// Calls actions of a module on a random state, so many times, and looks at what comes of it.
///
/// # Errors
/// What does not hold that should.
pub fn inputs(
    unit: &Arc<Unit>,
    universe: &Universe,
    dice: &mut Dice,
    times: usize,
    counts: &mut Counts,
) -> Result<(), String> {
    let actions: Vec<usize> = (0..unit.functions.len())
        .filter(|n| matches!(unit.module.functions[*n].kind, FunctionKind::Action | FunctionKind::View))
        .collect();
    if actions.is_empty() {
        return Ok(());
    }
    let rows = state(unit, universe, dice);
    let evidence = evidence(unit, universe, &rows);
    for _ in 0..times {
        let function = *dice.pick(&actions);
        let params = &unit.functions[function].params;
        let Some(mut args) = params.iter().map(|ty| value(universe, *ty, dice)).collect::<Option<Vec<Value>>>() else {
            continue;
        };
        let setting = Setting::draw(dice);
        // The sender is often whom the guard asks for, or nothing would happen.
        if let Some(Value::Party(first)) = args.first_mut()
            && !dice.one_in(4)
        {
            *first = setting.sender.clone();
        }
        let call = Call {
            unit,
            function: function as u16,
            args,
            universe,
            rows: &rows,
            world: &setting,
            // Enough for all but long loops, which end there.
            limit: Cost([20_000, 1 << 20, 1 << 30, 1 << 20, 1 << 30, 1 << 30]),
        };
        judge(call, &rows, &setting, &evidence, counts)?;
    }
    Ok(())
}

/// The size of an argument, for bounds.
fn size_of(args: &[Value], size: Size) -> u64 {
    match size {
        Size::Length(n) => args[usize::from(n)].length().unwrap_or(0) as u64,
        Size::Value(n) => args[usize::from(n)].int().and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX),
    }
}

fn judge(
    call: Call<'_>,
    rows: &Memory,
    setting: &Setting,
    evidence: &BTreeSet<Name>,
    counts: &mut Counts,
) -> Result<(), String> {
    let (unit, universe, function) = (call.unit, call.universe, usize::from(call.function));
    let info = &unit.functions[function];
    let bound = info.bound.evaluate(|size| size_of(&call.args, size));
    let said = reference::run(call.clone());
    let (done, makers) = watch(Machine::new(call), universe, setting, evidence, counts)?;
    counts.runs += 1;
    counts.steps += done.cost.0[0];
    if said != done {
        return Err(format!("the evaluators differ: {said:?} and {done:?}"));
    }
    if !done.cost.within(&bound) {
        return Err(format!("metered {:?} above the bound {bound:?}", done.cost));
    }
    let Ok(result) = &done.result else { return Ok(()) };
    counts.applied += 1;
    counts.changed += u64::from(!done.diff.changes.is_empty());
    if !literal::holds_everywhere(universe, info.result, result) {
        return Err(format!("the result {result:?} breaks its invariant"));
    }
    let foreign = |(asset, _): &&(hopper::types::Nominal, u128)| !makers.contains(&asset.lineage);
    if let Some((asset, _)) = done.diff.minted.iter().chain(&done.diff.burned).find(foreign) {
        return Err(format!("an asset of lineage {} was made or destroyed by others", asset.lineage.0.short()));
    }
    let all = tables(unit);
    let row_ty = |lineage: &Lineage, table: u16| {
        all.iter().find(|(t, _)| (t.of.lineage, t.of.index) == (*lineage, table)).map(|(t, _)| t.row)
    };
    check_conservation(universe, row_ty, &done.diff).map_err(|e| format!("not conserved: {e}"))?;
    for change in &done.diff.changes {
        let Some((table, invariant)) =
            all.iter().find(|(t, _)| (t.of.lineage, t.of.index) == (change.key.lineage, change.key.table))
        else {
            return Err("a row of a table that is not there".to_owned());
        };
        let Some(after) = &change.after else { continue };
        let row = value::from_bytes(universe, table.row, after).map_err(|e| format!("a row is no row: {e}"))?;
        let key = value::from_bytes(universe, table.key, &change.key.key).map_err(|e| format!("a key is none: {e}"))?;
        if !literal::holds_everywhere(universe, table.row, &row) {
            return Err(format!("a row breaks its invariant: {row:?}"));
        }
        let pair = [key, row];
        if !invariant.iter().all(|prop| literal::holds(&pair, prop)) {
            return Err(format!("a row breaks its table's invariant: {pair:?}"));
        }
    }
    let bytes = done.diff.to_bytes();
    if hopper::diff::Diff::from_bytes(&bytes).as_ref() != Ok(&done.diff) {
        return Err("a diff is not its bytes".to_owned());
    }
    let mut after = rows.clone();
    after.apply(universe, row_ty, &done.diff).map_err(|e| format!("the diff does not apply: {e}"))?;
    let mut written = rows.clone();
    written.write(&done.diff, done.writes).map_err(|e| format!("the rows do not apply: {e}"))?;
    if after != written {
        return Err("the diff gives other rows than the step".to_owned());
    }
    after.apply(universe, row_ty, &done.diff.invert()).map_err(|e| format!("the inverse does not apply: {e}"))?;
    if after != *rows {
        return Err("the inverse does not restore".to_owned());
    }
    Ok(())
}

/// Steps through a run: nobody's authority is used who neither signed nor left evidence in the rows. Tells whose code made or
/// destroyed assets.
fn watch(
    mut machine: Machine<'_>,
    universe: &Universe,
    setting: &Setting,
    evidence: &BTreeSet<Name>,
    counts: &mut Counts,
) -> Result<(Outcome, BTreeSet<Lineage>), String> {
    let mut makers = BTreeSet::new();
    loop {
        if let Some((unit, op, info)) = machine.coming() {
            let vars = machine.variables();
            let party = |place: &Place, args: &[u16]| {
                let var = args.get(usize::from(place.var))?;
                match vars.get(usize::from(*var))?.at(&place.path)? {
                    Value::Party(name) => Some(name.clone()),
                    _ => None,
                }
            };
            let asked: Vec<Option<Name>> = match op {
                Op::Call { function, args } => {
                    let callee = unit.scope(function.scope).map(|u| &u.module.functions[usize::from(function.index)]);
                    callee.map(|f| f.authority.iter().map(|p| party(p, args)).collect()).unwrap_or_default()
                }
                Op::Create { asset, args } => {
                    let signed = unit.module.assets[usize::from(*asset)].signed;
                    signed.map(|field| party(&Place { var: field, path: vec![] }, args)).into_iter().collect()
                }
                _ => Vec::new(),
            };
            // Records are unpacked too.
            let asset = matches!(universe.kind(info.ty), Kind::Asset { .. });
            if asset && matches!(op, Op::Mint { .. } | Op::Create { .. } | Op::Burn { .. } | Op::Unpack { .. }) {
                makers.insert(unit.lineage);
            }
            counts.authority += asked.len() as u64;
            for party in asked {
                if !party.as_ref().is_some_and(|p| setting.satisfied(p) || evidence.contains(p)) {
                    return Err(format!(
                        "{op:?} uses the authority of {party:?}, who neither signed nor left evidence"
                    ));
                }
            }
        }
        if !machine.step() {
            return Ok((machine.run(), makers));
        }
    }
}

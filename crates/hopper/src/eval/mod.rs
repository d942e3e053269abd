//! Running a function: what a command gives and gets, and the state of the world while it runs.
//!
//! There are two evaluators. [`machine`] is what replicas run; [`reference`] says the same in another way and is what the
//! machine is tested against. They share what is here: plain values' arithmetic, the rows, the meter.

use std::sync::Arc;

use wire::hash::Domain;
use wire::{DecodeError, Encode, Hash, Name, Reader};

use crate::abort::{Abort, Fault};
use crate::cost::{self, Charge, Cost, Measure, Meter, PerUnit, dimension};
use crate::diff::{Diff, Event};
use crate::ir::{FunctionKind, Guard, GuardNode, Label, Lineage, Place, Signal, limits};
use crate::library::{FunctionInfo, INSTANCES, TableInfo, Unit};
use crate::state::{Found, Overlay, RowKey, Rows, Write};
use crate::types::{Kind, Nominal, Ty, Universe};
use crate::value::{self, Value};
use crate::verify::literal;

pub mod machine;
pub mod natives;
pub mod reference;

/// Domain of the ids of instances.
pub const INSTANCE: Domain = Domain("hopper/instance/1");

/// What a command knows beside the rows.
pub trait World {
    /// The party in whose name it was sent.
    fn sender(&self) -> Name;
    /// Does the set of its signers satisfy the guard of this party? False if there is no such party.
    fn satisfied(&self, party: &Name) -> bool;
    /// The party bound to a role of a lineage.
    fn role(&self, lineage: &Lineage, role: u16) -> Option<Name>;
    /// The time of the block, in milliseconds.
    fn now(&self) -> u64;
    /// The command's id.
    fn command(&self) -> Hash;
    /// Does every signer whose authority this use needs allow it? A use is a function of another module that is called on the
    /// authority of `parties`, or a signed asset or protocol of which evidence is made; `args` are its arguments or fields. For
    /// signers that limit what their signature is good for.
    fn allows(&self, _used: (&Lineage, &Label), _parties: &[&Name], _args: &[Value]) -> bool {
        true
    }
}

/// A command or a question, ready to run.
#[derive(Clone)]
pub struct Call<'c> {
    /// The module.
    pub unit: &'c Arc<Unit>,
    /// An action or view of it.
    pub function: u16,
    /// Values of the types of its parameters; see [`read_arguments`].
    pub args: Vec<Value>,
    /// The types.
    pub universe: &'c Universe,
    /// The rows before.
    pub rows: &'c dyn Rows,
    /// The rest.
    pub world: &'c dyn World,
    /// What may be spent.
    pub limit: Cost,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The function's result, or why there is none.
    pub result: Result<Value, Abort>,
    /// What changed; nothing if it was aborted, or a view.
    pub diff: Diff,
    /// The rows of the diff's changes, in order, as values.
    pub writes: Vec<Write>,
    /// What was spent.
    pub cost: Cost,
}

/// Reads the arguments of a function: their canonical bytes, one after the other.
///
/// # Errors
/// If the bytes are anything else, or more than a value may have.
pub fn read_arguments(universe: &Universe, function: &FunctionInfo, bytes: &[u8]) -> Result<Vec<Value>, DecodeError> {
    if bytes.len() as u64 > limits::VALUE_BYTES_MAX {
        let max = limits::VALUE_BYTES_MAX as usize;
        return Err(DecodeError::TooLong { what: "arguments", len: bytes.len(), max });
    }
    let mut r = Reader::new(bytes);
    let args = function.params.iter().map(|ty| value::decode(universe, *ty, &mut r)).collect::<Result<_, _>>()?;
    r.finish("arguments")?;
    Ok(args)
}

/// Runs a call to its end, as replicas do.
pub fn run(call: Call<'_>) -> Outcome {
    machine::Machine::new(call).run()
}

/// Amounts of assets; few.
#[derive(Default)]
struct Tally(Vec<(Nominal, u128)>);

impl Tally {
    fn add(&mut self, asset: Nominal, amount: i128) -> Result<(), Fault> {
        let amount = u128::try_from(amount).map_err(|_| Fault::Overflow)?;
        match self.0.iter_mut().find(|t| t.0 == asset) {
            _ if amount == 0 => {}
            Some((_, sum)) => *sum = sum.checked_add(amount).ok_or(Fault::Overflow)?,
            None => self.0.push((asset, amount)),
        }
        Ok(())
    }

    fn sorted(mut self) -> Vec<(Nominal, u128)> {
        self.0.sort_unstable();
        self.0
    }
}

/// Everything around the variables: rows, meter, and what was done so far.
pub(crate) struct Host<'c> {
    pub universe: &'c Universe,
    pub world: &'c dyn World,
    pub meter: Meter,
    overlay: Overlay<'c>,
    events: Vec<Event>,
    minted: Tally,
    burned: Tally,
    authority: Vec<Name>,
    starts: u64,
}

impl<'c> Host<'c> {
    pub fn new(call: &Call<'c>) -> Host<'c> {
        Host {
            universe: call.universe,
            world: call.world,
            meter: Meter::new(call.limit),
            overlay: Overlay::new(call.rows),
            events: Vec::new(),
            minted: Tally::default(),
            burned: Tally::default(),
            authority: Vec::new(),
            starts: 0,
        }
    }

    /// Lets a command or question in: its guard, and what it requires.
    pub fn enter_function(&mut self, call: &Call<'c>) -> Result<(), Abort> {
        let index = usize::from(call.function);
        let (function, info) = (&call.unit.module.functions[index], &call.unit.functions[index]);
        self.charge(&cost::entry(function), &call.args, &info.params)?;
        match function.kind {
            // Nobody calls these from outside.
            FunctionKind::Private | FunctionKind::Public => return Err(Fault::Unauthorized.into()),
            FunctionKind::View => {}
            FunctionKind::Action => {
                if !self.guard(&call.unit.lineage, &function.by, &call.args) {
                    return Err(Fault::Unauthorized.into());
                }
            }
        }
        // The verifier relies on what a type promises of every value of it.
        for (n, (ty, arg)) in info.params.iter().zip(&call.args).enumerate() {
            if !literal::holds_everywhere(self.universe, *ty, arg) {
                return Err(Fault::BadArgument(n as u16).into());
            }
        }
        match function.requires.iter().position(|prop| !literal::holds(&call.args, prop)) {
            Some(n) => Err(Fault::RequirementFailed(n as u16).into()),
            None => Ok(()),
        }
    }

    /// What came of it all.
    pub fn finish(mut self, unit: &Unit, function: u16, mut result: Result<Value, Abort>) -> Outcome {
        let index = usize::from(function);
        if let Ok(value) = &result
            && let Err(fault) = self.stored_size(unit.functions[index].result, value)
        {
            result = Err(fault.into());
        }
        let cost = self.meter.spent();
        if result.is_err() || unit.module.functions[index].kind == FunctionKind::View {
            return Outcome { result, diff: Diff::default(), writes: Vec::new(), cost };
        }
        let (changes, writes) = self.overlay.finish(self.universe);
        self.authority.sort_unstable();
        self.authority.dedup();
        let diff = Diff {
            changes,
            minted: self.minted.sorted(),
            burned: self.burned.sorted(),
            events: self.events,
            authority: self.authority,
        };
        Outcome { result, diff, writes, cost }
    }

    // ---- cost

    /// Charges what is known before the work. `types` are those of operands whose charge does not say it.
    #[inline]
    pub fn charge(&mut self, charge: &Charge, vars: &[Value], types: &[Ty]) -> Result<(), Fault> {
        self.meter.charge(&charge.base)?;
        if charge.operands.is_empty() { Ok(()) } else { self.charge_operands(&charge.operands, vars, types) }
    }

    pub fn charge_operands(&mut self, operands: &[PerUnit], vars: &[Value], types: &[Ty]) -> Result<(), Fault> {
        for unit in operands {
            let value = &vars[usize::from(unit.var)];
            let measure = match (unit.measure, unit.ty.or_else(|| types.get(usize::from(unit.var)).copied())) {
                (Measure::Bytes, Some(ty)) => {
                    // No further than to where it is too much.
                    let left = self.meter.left(unit.dimension);
                    let enough = (left / unit.times.max(1)).saturating_add(1).saturating_mul(unit.per);
                    value::size_up_to(self.universe, ty, value, enough)
                }
                _ => value.length().unwrap_or(0) as u64,
            };
            self.meter.charge_one(unit.dimension, measure.saturating_mul(unit.times).div_ceil(unit.per))?;
        }
        Ok(())
    }

    /// The size of something that is to be kept.
    fn stored_size(&self, ty: Ty, value: &Value) -> Result<u64, Fault> {
        let size = value::size_up_to(self.universe, ty, value, limits::VALUE_BYTES_MAX);
        if size > limits::VALUE_BYTES_MAX { Err(Fault::TooLong) } else { Ok(size) }
    }

    // ---- authority

    /// Is the guard satisfied by the signers? Those who were needed for it are kept in mind.
    pub fn guard(&mut self, lineage: &Lineage, guard: &Guard, vars: &[Value]) -> bool {
        // The usual one at once.
        if let [GuardNode::Party { place }] = guard.as_slice()
            && let Value::Party(party) = natives::at(vars, place)
        {
            let satisfied = self.world.satisfied(party);
            if satisfied {
                self.authority.push(party.clone());
            }
            return satisfied;
        }
        let alone = |party: &Name| self.world.satisfied(party).then(|| vec![party.clone()]);
        let time = |value: &Value| value.int().expect("the verifier saw a time there");
        let now = i128::from(self.world.now());
        // For each tree so far: who was needed, if it is satisfied.
        let mut trees: Vec<Option<Vec<Name>>> = Vec::with_capacity(guard.len());
        for node in guard {
            let satisfied = match node {
                GuardNode::Party { place } => match natives::at(vars, place) {
                    Value::Party(party) => alone(party),
                    _ => None,
                },
                GuardNode::Role { role } => self.world.role(lineage, *role).and_then(|party| alone(&party)),
                GuardNode::Anyone => Some(Vec::new()),
                GuardNode::After { place } => (now >= time(natives::at(vars, place))).then(Vec::new),
                GuardNode::Before { place } => (now < time(natives::at(vars, place))).then(Vec::new),
                GuardNode::IfSome { place } => match natives::at(vars, place) {
                    Value::Variant(1, fields) => match fields.first() {
                        Some(Value::Party(party)) => alone(party),
                        _ => None,
                    },
                    _ => Some(Vec::new()),
                },
                GuardNode::AtLeast { k, of } => {
                    let parts = trees.split_off(trees.len().saturating_sub(usize::from(*of)));
                    let enough: Vec<Vec<Name>> = parts.into_iter().flatten().take(usize::from(*k)).collect();
                    (enough.len() == usize::from(*k)).then(|| enough.concat())
                }
            };
            trees.push(satisfied);
        }
        match trees.pop().flatten() {
            Some(parties) => {
                self.authority.extend(parties);
                true
            }
            None => false,
        }
    }

    /// A function of another module is called: may the authority that it asks for be used for that?
    pub fn lend(&self, callee: &Unit, function: u16, args: &[Value]) -> Result<(), Fault> {
        let function = &callee.module.functions[usize::from(function)];
        if function.authority.is_empty() {
            return Ok(());
        }
        let party = |place: &Place| match natives::at(args, place) {
            Value::Party(name) => Some(name),
            _ => None,
        };
        let parties: Vec<&Name> = function.authority.iter().filter_map(party).collect();
        match self.world.allows((&callee.lineage, &function.name), &parties, args) {
            true => Ok(()),
            false => Err(Fault::OutOfScope),
        }
    }

    /// Evidence of a party's authority is made: a signed asset, or an instance in a signed state, called by its name. It will speak for
    /// the party in later commands, so it is a use of the signature as well.
    pub fn vouch(&self, unit: &Unit, what: &Label, signed: usize, args: &[Value]) -> Result<(), Fault> {
        match args.get(signed) {
            Some(Value::Party(party)) if !self.world.allows((&unit.lineage, what), &[party], args) => {
                Err(Fault::OutOfScope)
            }
            _ => Ok(()),
        }
    }

    /// The same for a protocol's state, by the type of its instances.
    pub fn vouch_state(&self, unit: &Unit, row: Ty, state: u16, args: &[Value]) -> Result<(), Fault> {
        let Some(at) = unit.protocols.iter().position(|info| info.row == row) else { return Ok(()) };
        let protocol = &unit.module.protocols[at];
        match protocol.states.get(usize::from(state)).and_then(|s| s.signed) {
            Some(signed) => self.vouch(unit, &protocol.name, usize::from(signed), args),
            None => Ok(()),
        }
    }

    // ---- rows

    fn key(&self, table: Nominal, ty: Ty, key: &Value) -> Result<RowKey, Fault> {
        let key = match key {
            // The usual ones at once.
            Value::Party(name) => name.to_bytes(),
            Value::Digest(hash) => hash.0.to_vec(),
            _ => {
                self.stored_size(ty, key)?;
                value::to_bytes(self.universe, ty, key)
            }
        };
        Ok(RowKey { lineage: table.lineage, table: table.index, key })
    }

    /// Finds a row and charges for that; with `row`, for reading it.
    fn look(&mut self, info: &TableInfo, table: u16, key: &Value, row: bool) -> Result<u32, Fault> {
        let key = self.key(Nominal { lineage: info.of.lineage, index: table }, info.key, key)?;
        let bytes = key.key.len() as u64;
        let number = self.overlay.number(key, info.row);
        let found = match self.overlay.found(number) {
            Found::There(_, size) if row => size,
            _ => 0,
        };
        self.meter.charge_one(dimension::READ_BYTES, bytes + found)?;
        Ok(number)
    }

    fn hole(hole: &Value) -> u32 {
        if let Value::Hole(number) = hole { *number } else { unreachable!("the verifier lets only holes be filled") }
    }

    /// Takes a row out: it, and the hole.
    pub fn take(&mut self, info: &TableInfo, table: u16, key: &Value) -> Result<(Value, Value), Fault> {
        let number = self.look(info, table, key, true)?;
        Ok((self.overlay.take(number)?, Value::Hole(number)))
    }

    /// Puts a row into a hole.
    pub fn put(&mut self, hole: &Value, row: Value) -> Result<(), Fault> {
        let number = Self::hole(hole);
        let size = self.stored_size(self.overlay.ty(number), &row)?;
        let bytes = self.overlay.key_size(number) + self.overlay.taken_size(number) + size;
        self.meter.charge_one(dimension::WRITE_BYTES, bytes)?;
        self.overlay.put(number, row, size);
        Ok(())
    }

    /// Leaves nothing in a hole.
    pub fn close(&mut self, hole: &Value) -> Result<(), Fault> {
        let number = Self::hole(hole);
        let bytes = self.overlay.key_size(number) + self.overlay.taken_size(number);
        self.meter.charge_one(dimension::WRITE_BYTES, bytes)?;
        self.overlay.close(number);
        Ok(())
    }

    /// Puts a new row in place.
    pub fn insert(&mut self, info: &TableInfo, table: u16, key: &Value, row: Value) -> Result<(), Fault> {
        let number = self.look(info, table, key, false)?;
        match self.overlay.found(number) {
            Found::There(..) => return Err(Fault::RowExists),
            Found::Busy => return Err(Fault::RowBusy),
            Found::Missing => {}
        }
        self.write_new(number, row)
    }

    fn write_new(&mut self, number: u32, row: Value) -> Result<(), Fault> {
        let size = self.stored_size(self.overlay.ty(number), &row)?;
        self.meter.charge_one(dimension::WRITE_BYTES, self.overlay.key_size(number) + size)?;
        self.overlay.put(number, row, size);
        Ok(())
    }

    /// What is at a path of a row, if there is such a row.
    pub fn peek(&mut self, info: &TableInfo, table: u16, key: &Value, path: &[u8]) -> Result<Option<Value>, Fault> {
        let number = self.look(info, table, key, true)?;
        match self.overlay.found(number) {
            Found::There(row, _) => Ok(Some(row.at(path).expect("the verifier looked where the path leads").clone())),
            Found::Busy => Err(Fault::RowBusy),
            Found::Missing => Ok(None),
        }
    }

    /// The keys after a key.
    pub fn scan(&mut self, info: &TableInfo, table: u16, after: &Value, list: Ty) -> Result<Value, Fault> {
        let after = match after {
            Value::Variant(1, fields) => Some(self.key(info.of, info.key, &fields[0])?.key),
            _ => None,
        };
        self.meter.charge_one(dimension::READ_BYTES, after.as_ref().map_or(0, |k| k.len() as u64))?;
        // One more than can be paid for is enough to know that it is too much.
        let payable = usize::try_from(self.meter.left(dimension::READS)).unwrap_or(usize::MAX).saturating_add(1);
        let limit = (natives::length_max(self.universe, list) as usize).min(payable);
        let keys = self.overlay.next_keys(&info.of.lineage, table, after.as_deref(), limit)?;
        let mut cost = Cost::ZERO;
        cost.0[dimension::STEPS] = cost::SCAN_KEY * keys.len() as u64;
        cost.0[dimension::READS] = keys.len() as u64;
        cost.0[dimension::READ_BYTES] = keys.iter().map(|k| k.len() as u64).sum();
        self.meter.charge(&cost)?;
        let read = |k: &Vec<u8>| value::from_bytes(self.universe, info.key, k).expect("what was stored was a key");
        Ok(Value::List(Arc::new(keys.iter().map(read).collect())))
    }

    // ---- instances

    /// Starts an instance: its id.
    pub fn start(&mut self, info: &TableInfo, protocol: u16, row: Value) -> Result<Value, Fault> {
        let id = INSTANCE.hash(&[&self.world.command().0, &self.starts.to_be_bytes()]);
        self.starts += 1;
        let id = Value::Digest(id);
        let table = Nominal { lineage: info.of.lineage, index: INSTANCES + protocol };
        let key = self.key(table, info.key, &id)?;
        let number = self.overlay.number(key, info.row);
        if !matches!(self.overlay.found(number), Found::Missing) {
            return Err(Fault::RowExists);
        }
        self.write_new(number, row)?;
        Ok(id)
    }

    /// Takes an instance out that is in a state: what it holds, and the hole.
    pub fn enter(
        &mut self,
        info: &TableInfo,
        protocol: u16,
        state: u16,
        id: &Value,
    ) -> Result<(Arc<[Value]>, Value), Fault> {
        let number = self.look(info, INSTANCES + protocol, id, true)?;
        if let Found::There(Value::Variant(found, _), _) = self.overlay.found(number)
            && *found != state
        {
            return Err(Fault::WrongState);
        }
        match self.overlay.take(number)? {
            Value::Variant(_, fields) => Ok((fields, Value::Hole(number))),
            _ => unreachable!("an instance is in some state"),
        }
    }

    // ---- assets, events, errors

    fn asset(&self, ty: Ty) -> Option<Nominal> {
        if let Kind::Asset { of, .. } = self.universe.kind(ty) { Some(*of) } else { None }
    }

    /// So much of an asset was made. Nothing for what is no asset.
    pub fn mint(&mut self, ty: Ty, amount: i128) -> Result<(), Fault> {
        self.asset(ty).map_or(Ok(()), |asset| self.minted.add(asset, amount))
    }

    /// So much of an asset was destroyed. Nothing for what is no asset.
    pub fn burn(&mut self, ty: Ty, amount: i128) -> Result<(), Fault> {
        self.asset(ty).map_or(Ok(()), |asset| self.burned.add(asset, amount))
    }

    /// The canonical bytes of an error's or event's fields.
    fn told<'v>(
        &self,
        unit: &Unit,
        signal: &Signal,
        args: impl Iterator<Item = &'v Value> + Clone,
    ) -> Result<Vec<u8>, Fault> {
        let typed = signal.fields.iter().map(|f| unit.types[usize::from(f.ty)]).zip(args);
        let mut size = 0;
        for (ty, arg) in typed.clone() {
            size += self.stored_size(ty, arg)?;
        }
        if size > limits::VALUE_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let mut bytes = Vec::with_capacity(size as usize);
        typed.for_each(|(ty, arg)| value::encode(self.universe, ty, arg, &mut bytes));
        Ok(bytes)
    }

    /// Tells the world.
    pub fn emit<'v>(
        &mut self,
        unit: &Unit,
        event: u16,
        args: impl Iterator<Item = &'v Value> + Clone,
    ) -> Result<(), Fault> {
        let args = self.told(unit, &unit.module.events[usize::from(event)], args)?;
        self.events.push(Event { module: unit.id, event, args });
        Ok(())
    }

    /// The error of a module, as an abort.
    pub fn raise<'v>(&self, unit: &Unit, error: u16, args: impl Iterator<Item = &'v Value> + Clone) -> Abort {
        match self.told(unit, &unit.module.errors[usize::from(error)], args) {
            Ok(args) => Abort::Error { module: unit.id, error, args },
            Err(fault) => fault.into(),
        }
    }

    /// A block that ends with an error.
    pub fn end_with<'v>(
        &mut self,
        unit: &Unit,
        error: u16,
        args: impl Iterator<Item = &'v Value> + Clone,
    ) -> Result<Abort, Fault> {
        // As `cost::end` says; what the types of the arguments are, the error says.
        let fields = &unit.module.errors[usize::from(error)].fields;
        self.meter.charge_one(dimension::STEPS, 1 + fields.len() as u64)?;
        for (field, arg) in fields.iter().zip(args.clone()) {
            let left = self.meter.left(dimension::STEPS).saturating_add(1).saturating_mul(16);
            let size = value::size_up_to(self.universe, unit.types[usize::from(field.ty)], arg, left);
            self.meter.charge_one(dimension::STEPS, size.div_ceil(16))?;
        }
        Ok(self.raise(unit, error, args))
    }
}

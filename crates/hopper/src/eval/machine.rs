//! The evaluator that replicas run: small steps over the blocks of a [`Unit`], with a stack of its own.
//!
//! All variables of all functions that are running are on one stack. A variable's level says where it is, counted from
//! where its function begins; what an operation gives is pushed, and the end of a block takes away what it bound. Variables
//! of quantity 1 are moved, so that a list or map with one owner is changed in place.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Call, Host, Outcome, natives};
use crate::abort::{Abort, Fault};
use crate::cost;
use crate::ir::{Block, End, Function, Op, Ref, Relation, Var};
use crate::library::{FunctionInfo, OpInfo, Unit};
use crate::types::{Kind, Ty};
use crate::value::Value;

/// A function that is running.
#[derive(Clone, Copy)]
struct Here<'c> {
    unit: &'c Arc<Unit>,
    function: &'c Function,
    info: &'c FunctionInfo,
    /// Where on the stack its variable 0 is.
    base: usize,
}

/// What a block belongs to.
enum Owner {
    /// A function.
    Body,
    /// An operation with one block for each case.
    Branch,
    /// A fold over a list. With the next element's place.
    List(Arc<Vec<Value>>, usize),
    /// A fold over a map.
    Map(std::vec::IntoIter<(Value, Value)>),
    /// An iteration. With the rounds that are left.
    Iterate(u64),
}

/// A block that is running.
struct Frame<'c> {
    here: Here<'c>,
    block: u16,
    /// The next operation.
    next: usize,
    owner: Owner,
}

/// A run of a function, step by step.
pub struct Machine<'c> {
    call: Call<'c>,
    host: Host<'c>,
    stack: Vec<Value>,
    frames: Vec<Frame<'c>>,
    state: State,
}

enum State {
    New,
    Running,
    Done(Result<Value, Abort>),
}

impl<'c> Machine<'c> {
    /// A run that has not begun.
    pub fn new(call: Call<'c>) -> Machine<'c> {
        let host = Host::new(&call);
        Machine { call, host, stack: Vec::with_capacity(64), frames: Vec::with_capacity(8), state: State::New }
    }

    /// Makes one step: the entry, one operation, or one end of a block. False if the run has ended.
    pub fn step(&mut self) -> bool {
        let made = match self.state {
            State::New => self.enter(),
            State::Running => self.advance(),
            State::Done(_) => return false,
        };
        if let Err(abort) = made {
            self.state = State::Done(Err(abort));
        }
        !matches!(self.state, State::Done(_))
    }

    /// Runs to the end.
    pub fn run(mut self) -> Outcome {
        while self.step() {}
        match self.state {
            State::Done(result) => self.host.finish(self.call.unit, self.call.function, result),
            State::New | State::Running => unreachable!("it stepped until it was done"),
        }
    }

    /// What was spent so far.
    pub fn spent(&self) -> cost::Cost {
        self.host.meter.spent()
    }

    /// The function, block and operation that come next, and how many functions are running.
    pub fn place(&self) -> Option<(&'c Function, u16, usize, usize)> {
        let running = self.frames.iter().filter(|f| matches!(f.owner, Owner::Body)).count();
        self.frames.last().map(|f| (f.here.function, f.block, f.next, running))
    }

    /// The module that is running, and the operation that comes next with what is known of it, if it is one and not the end of
    /// a block.
    pub fn coming(&self) -> Option<(&'c Arc<Unit>, &'c Op, &'c OpInfo)> {
        let Frame { here, block, next, .. } = self.frames.last()?;
        let op = here.function.blocks[usize::from(*block)].ops.get(*next)?;
        Some((here.unit, op, &here.info.blocks[usize::from(*block)].ops[*next]))
    }

    /// The variables in scope of the function that is running.
    pub fn variables(&self) -> &[Value] {
        self.frames.last().map_or(&[], |f| &self.stack[f.here.base..])
    }

    fn enter(&mut self) -> Result<(), Abort> {
        self.state = State::Running;
        self.host.enter_function(&self.call)?;
        self.stack.append(&mut self.call.args);
        self.begin(self.call.unit, self.call.function, 0);
        Ok(())
    }

    fn begin(&mut self, unit: &'c Arc<Unit>, function: u16, base: usize) {
        let index = usize::from(function);
        let here = Here { unit, function: &unit.module.functions[index], info: &unit.functions[index], base };
        self.open(here, 0, Owner::Body);
    }

    fn open(&mut self, here: Here<'c>, block: u16, owner: Owner) {
        self.frames.push(Frame { here, block, next: 0, owner });
    }

    #[inline]
    fn advance(&mut self) -> Result<(), Abort> {
        let frame = self.frames.last_mut().expect("a run without frames is done");
        let (here, number) = (frame.here, usize::from(frame.block));
        let block: &'c Block = &here.function.blocks[number];
        match block.ops.get(frame.next) {
            Some(op) => {
                let info = &here.info.blocks[number].ops[frame.next];
                frame.next += 1;
                self.operation(here, op, info)
            }
            None => self.end(here, &block.end),
        }
    }

    #[inline]
    fn get(&self, here: Here<'c>, var: Var) -> &Value {
        &self.stack[here.base + usize::from(var)]
    }

    /// The value of an operand of this type: moved if it is of quantity 1, else copied.
    #[inline]
    fn uses(&mut self, here: Here<'c>, var: Var, ty: Ty) -> Value {
        let linear = self.host.universe.info(ty).linear;
        let held = &mut self.stack[here.base + usize::from(var)];
        if linear { std::mem::replace(held, Value::Unit) } else { held.clone() }
    }

    /// Values for fields of these types.
    fn fields(&mut self, here: Here<'c>, args: &[Var], types: impl Iterator<Item = Ty>, linear: bool) -> Arc<[Value]> {
        if linear {
            args.iter().zip(types).map(|(v, ty)| self.uses(here, *v, ty)).collect()
        } else {
            args.iter().map(|v| self.get(here, *v).clone()).collect()
        }
    }

    /// Values for a record, tuple or asset of this type.
    fn made(&mut self, here: Here<'c>, args: &[Var], ty: Ty) -> Value {
        let universe = self.host.universe;
        let info = universe.info(ty);
        Value::Fields(match &info.kind {
            Kind::Tuple(items) => self.fields(here, args, items.iter().copied(), info.linear),
            Kind::Record(_, shape) | Kind::Asset { shape, .. } => {
                self.fields(here, args, shape.fields.iter().map(|f| f.1), info.linear)
            }
            _ => unreachable!("the verifier saw a type with fields"),
        })
    }

    /// Values for a variant of this type.
    fn variant(&mut self, here: Here<'c>, args: &[Var], ty: Ty, variant: u16) -> Value {
        let universe = self.host.universe;
        let info = universe.info(ty);
        Value::Variant(
            variant,
            match &info.kind {
                Kind::Option(of) => self.fields(here, args, std::iter::repeat_n(*of, args.len()), info.linear),
                Kind::Enum(_, _, variants) => {
                    let shape = &variants[usize::from(variant)];
                    self.fields(here, args, shape.fields.iter().map(|f| f.1), info.linear)
                }
                _ => unreachable!("the verifier saw a type with variants"),
            },
        )
    }

    /// Pushes the parts of a value, moved if nobody else has it.
    fn push_all(&mut self, mut fields: Arc<[Value]>) {
        match Arc::get_mut(&mut fields) {
            Some(fields) => self.stack.extend(fields.iter_mut().map(|f| std::mem::replace(f, Value::Unit))),
            None => self.stack.extend(fields.iter().cloned()),
        }
    }

    fn int(&self, here: Here<'c>, var: Var) -> i128 {
        self.get(here, var).int().expect("the verifier saw a number there")
    }

    fn bool(&self, here: Here<'c>, var: Var) -> bool {
        match self.get(here, var) {
            Value::Bool(b) => *b,
            _ => unreachable!("the verifier saw a truth value there"),
        }
    }

    fn range(&self, ty: Ty) -> (i128, i128) {
        self.host.universe.range(ty).expect("the verifier saw a type of numbers")
    }

    /// The type of the amount of a measured asset.
    fn amount(&self, ty: Ty) -> Ty {
        match self.host.universe.kind(ty) {
            Kind::Asset { shape, .. } => shape.fields[0].1,
            _ => unreachable!("the verifier saw a measured asset"),
        }
    }

    /// Elements of a list, or values of a map.
    fn element(&self, ty: Ty) -> Ty {
        match self.host.universe.kind(ty) {
            Kind::List(of, _) | Kind::Map(_, of, _) => *of,
            _ => unreachable!("the verifier saw a list or map"),
        }
    }

    /// Moves a measured asset off the stack: its fields.
    fn asset(&mut self, here: Here<'c>, var: Var) -> Arc<[Value]> {
        match std::mem::replace(&mut self.stack[here.base + usize::from(var)], Value::Unit) {
            Value::Fields(fields) => fields,
            _ => unreachable!("the verifier saw an asset there"),
        }
    }

    fn list(value: Value) -> Arc<Vec<Value>> {
        if let Value::List(items) = value { items } else { unreachable!("the verifier saw a list there") }
    }

    fn map(value: Value) -> Arc<BTreeMap<Value, Value>> {
        if let Value::Map(entries) = value { entries } else { unreachable!("the verifier saw a map there") }
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each operation, in the order of the list")]
    fn operation(&mut self, here: Here<'c>, op: &'c Op, info: &'c OpInfo) -> Result<(), Abort> {
        if let Op::Check { .. } = op {
            // The arguments are looked at only if there is an error.
            self.host.meter.charge(&info.charge.base)?;
        } else {
            self.host.charge(&info.charge, &self.stack[here.base..], &[])?;
        }
        let ty = info.ty;
        let result = match op {
            Op::Const { constant } => here.unit.constants[usize::from(*constant)].clone(),
            Op::Arith { op, a, b } => {
                Value::Int(natives::arith(*op, self.int(here, *a), self.int(here, *b), self.range(ty))?)
            }
            Op::Cast { a, .. } => Value::Int(natives::cast(self.int(here, *a), self.range(ty))?),
            Op::MulDiv { a, b, c, rounding, .. } => {
                let (a, b, c) = (self.int(here, *a), self.int(here, *b), self.int(here, *c));
                Value::Int(natives::mul_div(a, b, c, *rounding, self.range(ty))?)
            }
            Op::Share { a, part, whole } => {
                let (a, part, whole) = (self.int(here, *a), self.int(here, *part), self.int(here, *whole));
                Value::Int(natives::share(a, part, whole, self.range(ty))?)
            }
            Op::Compare { op, a, b } => {
                let (a, b) = (self.get(here, *a), self.get(here, *b));
                Value::Bool(match (op, a, b) {
                    (Relation::AtMost, Value::Int(a), Value::Int(b)) => a <= b,
                    (Relation::Less, Value::Int(a), Value::Int(b)) => a < b,
                    _ => natives::compare(*op, a, b),
                })
            }
            Op::And { a, b } => Value::Bool(self.bool(here, *a) && self.bool(here, *b)),
            Op::Or { a, b } => Value::Bool(self.bool(here, *a) || self.bool(here, *b)),
            Op::Not { a } => Value::Bool(!self.bool(here, *a)),
            Op::Length { a } => Value::Int(self.get(here, *a).length().unwrap_or(0) as i128),
            Op::Concat { a, b, .. } => {
                let max = natives::length_max(self.host.universe, ty);
                let joined = natives::concat(self.get(here, *a), self.get(here, *b), max)?;
                // Used up, if of quantity 1: then nobody else has the elements.
                self.uses(here, *a, ty);
                self.uses(here, *b, ty);
                joined
            }
            Op::Slice { a, from, to } => {
                natives::slice(self.get(here, *a), self.int(here, *from), self.int(here, *to))?
            }
            Op::Make { args, .. } => self.made(here, args, ty),
            Op::Get { place } => natives::at(&self.stack[here.base..], place).clone(),
            Op::Unpack { a } => {
                self.host.burn(ty, 1)?;
                let Value::Fields(fields) = self.uses(here, *a, ty) else {
                    unreachable!("the verifier saw a record or tuple there")
                };
                self.push_all(fields);
                return Ok(());
            }
            Op::With { a, field, value } => {
                let value = self.get(here, *value).clone();
                let Value::Fields(mut fields) = self.uses(here, *a, ty) else {
                    unreachable!("the verifier saw a record, tuple or asset there")
                };
                Arc::make_mut(&mut fields)[usize::from(*field)] = value;
                Value::Fields(fields)
            }
            Op::Inject { variant, args, .. } => self.variant(here, args, ty, *variant),
            Op::Match { a, arms, .. } => {
                let Value::Variant(variant, fields) = self.uses(here, *a, ty) else {
                    unreachable!("the verifier saw an enum or option there")
                };
                self.push_all(fields);
                self.open(here, arms[usize::from(variant)], Owner::Branch);
                return Ok(());
            }
            Op::If { cond, yes, no, .. } => {
                let block = if self.bool(here, *cond) { *yes } else { *no };
                self.open(here, block, Owner::Branch);
                return Ok(());
            }
            Op::Check { cond, error, args } => {
                if self.bool(here, *cond) {
                    return Ok(());
                }
                self.host.charge_operands(&info.charge.operands, &self.stack[here.base..], &[])?;
                return Err(self.host.raise(here.unit, *error, args.iter().map(|v| self.get(here, *v))));
            }
            Op::Assert { .. } => return Ok(()),
            Op::GhostLet { .. } => Value::Unit,
            Op::List { items, .. } => {
                if items.len() > natives::length_max(self.host.universe, ty) as usize {
                    return Err(Fault::TooLong.into());
                }
                let of = self.element(ty);
                Value::List(Arc::new(items.iter().map(|v| self.uses(here, *v, of)).collect()))
            }
            Op::At { list, index } => {
                let Value::List(items) = self.get(here, *list) else { unreachable!("the verifier saw a list there") };
                let index = usize::try_from(self.int(here, *index)).ok();
                Value::option(index.and_then(|n| items.get(n)).cloned())
            }
            Op::Push { list, item } => {
                let item = self.uses(here, *item, self.element(ty));
                let mut items = Self::list(self.uses(here, *list, ty));
                if items.len() >= natives::length_max(self.host.universe, ty) as usize {
                    return Err(Fault::TooLong.into());
                }
                Arc::make_mut(&mut items).push(item);
                Value::List(items)
            }
            Op::MapNew { .. } => Value::Map(Arc::default()),
            Op::MapGet { map, key } => match self.get(here, *map) {
                Value::Map(entries) => Value::option(entries.get(self.get(here, *key)).cloned()),
                _ => unreachable!("the verifier saw a map there"),
            },
            Op::MapHas { map, key } => match self.get(here, *map) {
                Value::Map(entries) => Value::Bool(entries.contains_key(self.get(here, *key))),
                _ => unreachable!("the verifier saw a map there"),
            },
            Op::MapPut { map, key, value } => {
                let value = self.uses(here, *value, self.element(ty));
                let mut entries = Self::map(self.uses(here, *map, ty));
                let old = Arc::make_mut(&mut entries).insert(self.get(here, *key).clone(), value);
                if entries.len() > natives::length_max(self.host.universe, ty) as usize {
                    return Err(Fault::TooLong.into());
                }
                self.stack.push(Value::Map(entries));
                Value::option(old)
            }
            Op::MapTake { map, key } => {
                let mut entries = Self::map(self.uses(here, *map, ty));
                let key = self.get(here, *key);
                let old = if entries.contains_key(key) { Arc::make_mut(&mut entries).remove(key) } else { None };
                self.stack.push(Value::Map(entries));
                Value::option(old)
            }
            Op::DropEmpty { a } => {
                if self.uses(here, *a, ty).length() != Some(0) {
                    return Err(Fault::NotEmpty.into());
                }
                return Ok(());
            }
            Op::Fold { over, drain, init, body, .. } => {
                let over = if *drain { self.uses(here, *over, ty) } else { self.get(here, *over).clone() };
                let owner = match over {
                    Value::List(items) => Owner::List(items, 0),
                    Value::Map(entries) => {
                        let entries = Arc::try_unwrap(entries).unwrap_or_else(|shared| (*shared).clone());
                        Owner::Map(entries.into_iter().collect::<Vec<_>>().into_iter())
                    }
                    _ => unreachable!("the verifier saw a list or map there"),
                };
                return self.begin_loop(here, init, *body, owner);
            }
            Op::Iterate { fuel, init, body, .. } => {
                let rounds = u64::try_from(self.int(here, *fuel)).unwrap_or(0);
                return self.begin_loop(here, init, *body, Owner::Iterate(rounds));
            }
            Op::Call { function, args } => return self.call(here, *function, args),
            Op::Hash { kind, a } => natives::hash(*kind, self.get(here, *a)),
            Op::VerifySignature { key, message, signature } => {
                let (key, message) = (self.get(here, *key), self.get(here, *message));
                Value::Bool(natives::verify_signature(key, message, self.get(here, *signature)))
            }
            Op::DateAdd { date, step, count } => {
                Value::Int(natives::date_add(self.int(here, *date), *step, self.int(here, *count))?)
            }
            Op::DateOf { time } => Value::Int(natives::date_of(self.int(here, *time))?),
            Op::Authority { guard } => {
                Value::Bool(self.host.guard(&here.unit.lineage, guard, &self.stack[here.base..]))
            }
            Op::Require { guard } => {
                if !self.host.guard(&here.unit.lineage, guard, &self.stack[here.base..]) {
                    return Err(Fault::Unauthorized.into());
                }
                return Ok(());
            }
            Op::Sender => Value::Party(self.host.world.sender()),
            Op::Now => Value::Int(self.host.world.now().into()),
            Op::CommandDigest => Value::Digest(self.host.world.command()),
            Op::Take { table, key } => {
                let key = &self.stack[here.base + usize::from(*key)];
                let (row, hole) = self.host.take(&here.unit.tables[usize::from(*table)], *table, key)?;
                self.stack.push(row);
                hole
            }
            Op::Put { hole, row } => {
                let row = self.uses(here, *row, ty);
                self.host.put(&self.stack[here.base + usize::from(*hole)], row)?;
                return Ok(());
            }
            Op::Close { hole } => {
                self.host.close(&self.stack[here.base + usize::from(*hole)])?;
                return Ok(());
            }
            Op::Insert { table, key, row } => {
                let row = self.uses(here, *row, ty);
                let key = &self.stack[here.base + usize::from(*key)];
                self.host.insert(&here.unit.tables[usize::from(*table)], *table, key, row)?;
                return Ok(());
            }
            Op::Has { table, key } => {
                let key = &self.stack[here.base + usize::from(*key)];
                Value::Bool(self.host.peek(&here.unit.tables[usize::from(*table)], *table, key, &[])?.is_some())
            }
            Op::Peek { table, key, path } => {
                let key = &self.stack[here.base + usize::from(*key)];
                Value::option(self.host.peek(&here.unit.tables[usize::from(*table)], *table, key, path)?)
            }
            Op::Scan { table, after, .. } => {
                let after = &self.stack[here.base + usize::from(*after)];
                self.host.scan(&here.unit.tables[usize::from(*table)], *table, after, ty)?
            }
            Op::Start { protocol, state, args } => {
                self.vouch_state(here, ty, *state, args)?;
                let row = self.variant(here, args, ty, *state);
                self.host.start(&here.unit.protocols[usize::from(*protocol)], *protocol, row)?
            }
            Op::Enter { protocol, state, id } => {
                let id = &self.stack[here.base + usize::from(*id)];
                let info = &here.unit.protocols[usize::from(*protocol)];
                let (fields, hole) = self.host.enter(info, *protocol, *state, id)?;
                self.push_all(fields);
                hole
            }
            Op::Become { hole, state, args } => {
                self.vouch_state(here, ty, *state, args)?;
                let row = self.variant(here, args, ty, *state);
                self.host.put(&self.stack[here.base + usize::from(*hole)], row)?;
                return Ok(());
            }
            Op::Zero { args, .. } => {
                let zero = std::iter::once(Value::Int(0));
                Value::Fields(zero.chain(args.iter().map(|v| self.get(here, *v).clone())).collect())
            }
            Op::Mint { args, .. } => {
                self.host.mint(ty, self.int(here, args[0]))?;
                self.made(here, args, ty)
            }
            Op::Burn { a } => {
                let amount = self.asset(here, *a)[0].int().expect("the verifier saw a measured asset there");
                self.host.burn(ty, amount)?;
                return Ok(());
            }
            Op::Split { a, n } => {
                let n = self.int(here, *n);
                let mut rest = self.asset(here, *a);
                let left = natives::less(&rest[0], n)?;
                let part = Value::Int(n);
                let part = std::iter::once(part).chain(rest[1..].iter().cloned()).collect();
                Arc::make_mut(&mut rest)[0] = Value::Int(left);
                self.stack.push(Value::Fields(part));
                Value::Fields(rest)
            }
            Op::Join { a, b } => {
                let (mut a, b) = (self.asset(here, *a), self.asset(here, *b));
                if a[1..] != b[1..] {
                    return Err(Fault::KindsDiffer.into());
                }
                let sum = natives::more(&a[0], &b[0], self.range(self.amount(ty)))?;
                Arc::make_mut(&mut a)[0] = Value::Int(sum);
                Value::Fields(a)
            }
            Op::DropZero { a } => {
                self.asset(here, *a);
                return Ok(());
            }
            Op::Create { asset, args } => {
                let asset = &here.unit.module.assets[usize::from(*asset)];
                if let Some(signed) = asset.signed {
                    let args: Vec<Value> = args.iter().map(|v| self.get(here, *v).clone()).collect();
                    self.host.vouch(here.unit, &asset.name, usize::from(signed), &args)?;
                }
                self.host.mint(ty, 1)?;
                self.made(here, args, ty)
            }
            Op::Emit { event, args } => {
                let stack = &self.stack[here.base..];
                self.host.emit(here.unit, *event, args.iter().map(|v| &stack[usize::from(*v)]))?;
                return Ok(());
            }
        };
        self.stack.push(result);
        Ok(())
    }

    fn vouch_state(&self, here: Here<'c>, row: Ty, state: u16, args: &[Var]) -> Result<(), Fault> {
        let args: Vec<Value> = args.iter().map(|v| self.get(here, *v).clone()).collect();
        self.host.vouch_state(here.unit, row, state, &args)
    }

    fn call(&mut self, here: Here<'c>, function: Ref, args: &[Var]) -> Result<(), Abort> {
        let unit = here.unit.scope(function.scope).expect("the verifier saw the import");
        let params = &unit.functions[usize::from(function.index)].params;
        let base = self.stack.len();
        for (v, ty) in args.iter().zip(params) {
            let value = self.uses(here, *v, *ty);
            self.stack.push(value);
        }
        if function.scope != 0 {
            self.host.lend(unit, function.index, &self.stack[base..])?;
        }
        self.begin(unit, function.index, base);
        Ok(())
    }

    fn begin_loop(&mut self, here: Here<'c>, init: &[Var], body: u16, owner: Owner) -> Result<(), Abort> {
        let start = self.stack.len();
        for v in init {
            let value = self.get(here, *v).clone();
            self.stack.push(value);
        }
        self.round(Frame { here, block: body, next: 0, owner }, start)
    }

    /// Begins the next round of a loop, whose accumulators are on the stack from `start` on; or leaves them as its results.
    fn round(&mut self, mut frame: Frame<'c>, start: usize) -> Result<(), Abort> {
        let accumulators = self.stack.len() - start;
        let (first, second) = match &mut frame.owner {
            Owner::List(items, at) => match items.get(*at) {
                Some(item) => {
                    *at += 1;
                    (Some(item.clone()), None)
                }
                None => return Ok(()),
            },
            Owner::Map(entries) => match entries.next() {
                Some((key, value)) => (Some(key), Some(value)),
                None => return Ok(()),
            },
            Owner::Iterate(0) | Owner::Body | Owner::Branch => return Ok(()),
            Owner::Iterate(left) => {
                *left -= 1;
                (None, None)
            }
        };
        self.host.charge(&cost::round(accumulators), &[], &[])?;
        self.stack.splice(start..start, first.into_iter().chain(second));
        frame.next = 0;
        self.frames.push(frame);
        Ok(())
    }

    fn end(&mut self, here: Here<'c>, end: &'c End) -> Result<(), Abort> {
        let vars = match end {
            End::Yield { vars } => vars,
            End::Abort { error, args } => {
                let stack = &self.stack[here.base..];
                return Err(self.host.end_with(here.unit, *error, args.iter().map(|v| &stack[usize::from(*v)]))?);
            }
        };
        // As `cost::end` says.
        self.host.meter.charge_one(cost::dimension::STEPS, 1 + vars.len() as u64)?;
        let frame = self.frames.pop().expect("it ends one");
        let start = here.base + usize::from(here.info.blocks[usize::from(frame.block)].base);
        let top = self.stack.len();
        for (n, v) in vars.iter().enumerate() {
            let at = here.base + usize::from(*v);
            // What the block bound goes out of scope now: it may be moved, the last time that it is named.
            let value = if at >= start && !vars[n + 1..].contains(v) {
                std::mem::replace(&mut self.stack[at], Value::Unit)
            } else {
                self.stack[at].clone()
            };
            self.stack.push(value);
        }
        self.stack.drain(start..top);
        match frame.owner {
            Owner::Branch => Ok(()),
            Owner::Body => {
                if self.frames.is_empty() {
                    let result = self.stack.pop().expect("a body yields one value");
                    self.state = State::Done(Ok(result));
                }
                Ok(())
            }
            Owner::List(..) | Owner::Map(_) => self.round(frame, start),
            Owner::Iterate(_) => match self.stack.remove(start) {
                Value::Bool(true) => self.round(frame, start),
                _ => Ok(()),
            },
        }
    }
}

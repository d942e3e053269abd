//! The evaluator that the machine is tested against: one function per syntactic thing, results as results.
//!
//! It is a test oracle. Replicas never run it: it calls itself for blocks inside blocks and functions inside functions, as deep
//! as the verifier lets them nest.

use std::sync::Arc;

use super::{Call, Host, Outcome, natives};
use crate::abort::{Abort, Fault};
use crate::cost;
use crate::ir::{End, Op, Var};
use crate::library::{OpInfo, Unit};
use crate::types::{Kind, Ty};
use crate::value::Value;

/// The variables in scope.
type Env = Vec<Value>;

struct Reference<'c> {
    host: Host<'c>,
}

/// Runs a call to its end.
pub fn run(call: Call<'_>) -> Outcome {
    let mut reference = Reference { host: Host::new(&call) };
    let entered = reference.host.enter_function(&call);
    let result = entered.and_then(|()| reference.function(call.unit, call.function, call.args.clone()));
    reference.host.finish(call.unit, call.function, result)
}

/// A list of one value.
fn one(value: Value) -> Vec<Value> {
    vec![value]
}

fn number(n: i128) -> Vec<Value> {
    vec![Value::Int(n)]
}

fn truth(b: bool) -> Vec<Value> {
    vec![Value::Bool(b)]
}

impl<'c> Reference<'c> {
    fn function(&mut self, unit: &Arc<Unit>, index: u16, args: Env) -> Result<Value, Abort> {
        let mut results = self.block(unit, index, 0, args)?;
        Ok(results.remove(0))
    }

    /// What a block yields in this environment, in which its parameters are.
    fn block(&mut self, unit: &Arc<Unit>, function: u16, block: u16, mut env: Env) -> Result<Vec<Value>, Abort> {
        let body = &unit.module.functions[usize::from(function)].blocks[usize::from(block)];
        let infos = &unit.functions[usize::from(function)].blocks[usize::from(block)].ops;
        for (op, info) in body.ops.iter().zip(infos) {
            let results = self.operation(unit, function, op, info, &env)?;
            env.extend(results);
        }
        match &body.end {
            End::Yield { vars } => {
                self.host.charge(&cost::end(&body.end), &env, &[])?;
                Ok(vars.iter().map(|v| env[usize::from(*v)].clone()).collect())
            }
            End::Abort { error, args } => {
                Err(self.host.end_with(unit, *error, args.iter().map(|v| &env[usize::from(*v)]))?)
            }
        }
    }

    /// A block of an operation, with these parameters.
    fn inner(
        &mut self,
        unit: &Arc<Unit>,
        function: u16,
        block: u16,
        env: &Env,
        params: &[Value],
    ) -> Result<Vec<Value>, Abort> {
        self.block(unit, function, block, [env.as_slice(), params].concat())
    }

    fn range(&self, ty: Ty) -> (i128, i128) {
        self.host.universe.range(ty).expect("the verifier saw a type of numbers")
    }

    fn bound(&self, ty: Ty, len: usize) -> Result<(), Fault> {
        if len > natives::length_max(self.host.universe, ty) as usize { Err(Fault::TooLong) } else { Ok(()) }
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each operation, in the order of the list")]
    fn operation(
        &mut self,
        unit: &Arc<Unit>,
        function: u16,
        op: &Op,
        info: &OpInfo,
        env: &Env,
    ) -> Result<Vec<Value>, Abort> {
        let ty = info.ty;
        let var = |v: &Var| &env[usize::from(*v)];
        let int = |v: &Var| var(v).int().expect("the verifier saw a number there");
        let bool = |v: &Var| *var(v) == Value::Bool(true);
        let all = |vars: &[Var]| vars.iter().map(|v| var(v).clone()).collect::<Vec<Value>>();
        let parts = |v: &Var| match var(v) {
            Value::Fields(fields) | Value::Variant(_, fields) => fields.to_vec(),
            _ => unreachable!("the verifier saw something with fields there"),
        };
        let list = |v: &Var| match var(v) {
            Value::List(items) => items.to_vec(),
            _ => unreachable!("the verifier saw a list there"),
        };
        let map = |v: &Var| match var(v) {
            Value::Map(entries) => (**entries).clone(),
            _ => unreachable!("the verifier saw a map there"),
        };
        let table = |n: &u16| &unit.tables[usize::from(*n)];
        let protocol = |n: &u16| &unit.protocols[usize::from(*n)];

        self.host.meter.charge(&info.charge.base)?;
        match op {
            Op::Check { cond, .. } if bool(cond) => {}
            _ => self.host.charge_operands(&info.charge.operands, env, &[])?,
        }
        Ok(match op {
            Op::Const { constant } => one(unit.constants[usize::from(*constant)].clone()),
            Op::Arith { op, a, b } => number(natives::arith(*op, int(a), int(b), self.range(ty))?),
            Op::Cast { a, .. } => number(natives::cast(int(a), self.range(ty))?),
            Op::MulDiv { a, b, c, rounding, .. } => {
                number(natives::mul_div(int(a), int(b), int(c), *rounding, self.range(ty))?)
            }
            Op::Share { a, part, whole } => number(natives::share(int(a), int(part), int(whole), self.range(ty))?),
            Op::Compare { op, a, b } => truth(natives::compare(*op, var(a), var(b))),
            Op::And { a, b } => truth(bool(a) & bool(b)),
            Op::Or { a, b } => truth(bool(a) | bool(b)),
            Op::Not { a } => truth(!bool(a)),
            Op::Length { a } => number(var(a).length().expect("the verifier saw something with a length") as i128),
            Op::Concat { a, b, .. } => {
                one(natives::concat(var(a), var(b), natives::length_max(self.host.universe, ty))?)
            }
            Op::Slice { a, from, to } => one(natives::slice(var(a), int(from), int(to))?),
            Op::Make { args, .. } => one(Value::fields(all(args))),
            Op::Get { place } => one(natives::at(env, place).clone()),
            Op::Unpack { a } => {
                if let Kind::Asset { .. } = self.host.universe.kind(ty) {
                    self.host.burn(ty, 1)?;
                }
                parts(a)
            }
            Op::With { a, field, value } => {
                let mut fields = parts(a);
                fields[usize::from(*field)] = var(value).clone();
                one(Value::fields(fields))
            }
            Op::Inject { variant, args, .. } => one(Value::Variant(*variant, all(args).into())),
            Op::Match { a, arms, .. } => {
                let Value::Variant(variant, fields) = var(a) else {
                    unreachable!("the verifier saw an enum or option there")
                };
                self.inner(unit, function, arms[usize::from(*variant)], env, fields)?
            }
            Op::If { cond, yes, no, .. } => {
                self.inner(unit, function, if bool(cond) { *yes } else { *no }, env, &[])?
            }
            Op::Check { cond, error, args } => {
                if !bool(cond) {
                    return Err(self.host.raise(unit, *error, all(args).iter()));
                }
                vec![]
            }
            Op::Assert { .. } => vec![],
            Op::GhostLet { .. } => one(Value::Unit),
            Op::List { items, .. } => {
                self.bound(ty, items.len())?;
                one(Value::List(Arc::new(all(items))))
            }
            Op::At { list: a, index } => {
                let items = list(a);
                let found = usize::try_from(int(index)).ok().filter(|n| *n < items.len());
                one(Value::option(found.map(|n| items[n].clone())))
            }
            Op::Push { list: a, item } => {
                let mut items = list(a);
                items.push(var(item).clone());
                self.bound(ty, items.len())?;
                one(Value::List(Arc::new(items)))
            }
            Op::MapNew { .. } => one(Value::Map(Arc::default())),
            Op::MapGet { map: a, key } => one(Value::option(map(a).remove(var(key)))),
            Op::MapHas { map: a, key } => truth(map(a).remove(var(key)).is_some()),
            Op::MapPut { map: a, key, value } => {
                let mut entries = map(a);
                let old = entries.insert(var(key).clone(), var(value).clone());
                self.bound(ty, entries.len())?;
                vec![Value::Map(Arc::new(entries)), Value::option(old)]
            }
            Op::MapTake { map: a, key } => {
                let mut entries = map(a);
                let old = entries.remove(var(key));
                vec![Value::Map(Arc::new(entries)), Value::option(old)]
            }
            Op::DropEmpty { a } => {
                if var(a).length() != Some(0) {
                    return Err(Fault::NotEmpty.into());
                }
                vec![]
            }
            Op::Fold { over, init, body, .. } => {
                let elements: Vec<Vec<Value>> = match var(over) {
                    Value::Map(entries) => entries.iter().map(|(k, v)| vec![k.clone(), v.clone()]).collect(),
                    _ => list(over).into_iter().map(one).collect(),
                };
                let mut held = all(init);
                for element in elements {
                    self.host.charge(&cost::round(init.len()), env, &[])?;
                    held = self.inner(unit, function, *body, env, &[element, held].concat())?;
                }
                held
            }
            Op::Iterate { fuel, init, body, .. } => {
                let mut held = all(init);
                for _ in 0..int(fuel) {
                    self.host.charge(&cost::round(init.len()), env, &[])?;
                    held = self.inner(unit, function, *body, env, &held)?;
                    if held.remove(0) == Value::Bool(false) {
                        break;
                    }
                }
                held
            }
            Op::Call { function: callee, args } => {
                let args = all(args);
                let to = unit.scope(callee.scope).expect("the verifier saw the import");
                if callee.scope != 0 {
                    self.host.lend(to, callee.index, &args)?;
                }
                one(self.function(to, callee.index, args)?)
            }
            Op::Hash { kind, a } => one(natives::hash(*kind, var(a))),
            Op::VerifySignature { key, message, signature } => {
                truth(natives::verify_signature(var(key), var(message), var(signature)))
            }
            Op::DateAdd { date, step, count } => number(natives::date_add(int(date), *step, int(count))?),
            Op::DateOf { time } => number(natives::date_of(int(time))?),
            Op::Authority { guard } => truth(self.host.guard(&unit.lineage, guard, env)),
            Op::Require { guard } => {
                if !self.host.guard(&unit.lineage, guard, env) {
                    return Err(Fault::Unauthorized.into());
                }
                vec![]
            }
            Op::Sender => one(Value::Party(self.host.world.sender())),
            Op::Now => number(self.host.world.now().into()),
            Op::CommandDigest => one(Value::Digest(self.host.world.command())),
            Op::Take { table: t, key } => {
                let (row, hole) = self.host.take(table(t), *t, var(key))?;
                vec![row, hole]
            }
            Op::Put { hole, row } => {
                self.host.put(var(hole), var(row).clone())?;
                vec![]
            }
            Op::Close { hole } => {
                self.host.close(var(hole))?;
                vec![]
            }
            Op::Insert { table: t, key, row } => {
                self.host.insert(table(t), *t, var(key), var(row).clone())?;
                vec![]
            }
            Op::Has { table: t, key } => truth(self.host.peek(table(t), *t, var(key), &[])?.is_some()),
            Op::Peek { table: t, key, path } => one(Value::option(self.host.peek(table(t), *t, var(key), path)?)),
            Op::Scan { table: t, after, .. } => one(self.host.scan(table(t), *t, var(after), ty)?),
            Op::Start { protocol: p, state, args } => {
                self.host.vouch_state(unit, ty, *state, &all(args))?;
                one(self.host.start(protocol(p), *p, Value::Variant(*state, all(args).into()))?)
            }
            Op::Enter { protocol: p, state, id } => {
                let (fields, hole) = self.host.enter(protocol(p), *p, *state, var(id))?;
                [fields.to_vec(), one(hole)].concat()
            }
            Op::Become { hole, state, args } => {
                self.host.vouch_state(unit, ty, *state, &all(args))?;
                self.host.put(var(hole), Value::Variant(*state, all(args).into()))?;
                vec![]
            }
            Op::Zero { args, .. } => one(Value::fields([number(0), all(args)].concat())),
            Op::Mint { args, .. } => {
                self.host.mint(ty, int(&args[0]))?;
                one(Value::fields(all(args)))
            }
            Op::Burn { a } => {
                self.host.burn(ty, parts(a)[0].int().expect("the verifier saw a measured asset there"))?;
                vec![]
            }
            Op::Split { a, n } => {
                let fields = parts(a);
                let rest = natives::less(&fields[0], int(n))?;
                let with = |amount| Value::fields([number(amount), fields[1..].to_vec()].concat());
                vec![with(int(n)), with(rest)]
            }
            Op::Join { a, b } => {
                let (a, b) = (parts(a), parts(b));
                if a[1..] != b[1..] {
                    return Err(Fault::KindsDiffer.into());
                }
                let amount = self.host.universe.at(ty, &[0]).expect("the verifier saw a measured asset there");
                let sum = natives::more(&a[0], &b[0], self.range(amount))?;
                one(Value::fields([number(sum), a[1..].to_vec()].concat()))
            }
            Op::DropZero { .. } => vec![],
            Op::Create { asset, args } => {
                let asset = &unit.module.assets[usize::from(*asset)];
                if let Some(signed) = asset.signed {
                    self.host.vouch(unit, &asset.name, usize::from(signed), &all(args))?;
                }
                self.host.mint(ty, 1)?;
                one(Value::fields(all(args)))
            }
            Op::Emit { event, args } => {
                self.host.emit(unit, *event, all(args).iter())?;
                vec![]
            }
        })
    }
}

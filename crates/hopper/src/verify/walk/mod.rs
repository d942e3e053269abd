//! The second pass: one function body, operation by operation, in the order in which it would run.
//!
//! Every branch is walked once. Along the way: types and scope, quantities, effects, authority, facts and obligations, sizes and
//! cost. Nested blocks are kept on a stack of our own.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::reject::{Reason, Reject, Where};
use super::resolve::{Held, guard_tree, holds, linear_form, place_ty, props_form, ty_at};
use super::sym::{
    Arm, Cond, Item, Knowledge, Mark, Sym, Work, absurd, at_most, combine, constant, equal, known_variant, summed,
};
use super::{Evidence, Goal, Rule};
use crate::bound::{Bound, Poly, Size, TooLarge};
use crate::cost::{self, Charge};
use crate::ir::{
    Arith, Block, BlockIx, End, Function, FunctionKind, Guard, GuardNode, Module, Move, Op, Place, Prop, Ref, Relation,
    Signal, TypeIx, Var, limits,
};
use crate::lia::Line;
use crate::library::{BlockInfo, FunctionInfo, OpInfo, TableInfo, Unit};
use crate::types::{Kind, Nominal, Ty, Universe, int_range};
use crate::value::Value;

/// A size inside a function: of an argument, or of an accumulator of a loop that is being walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Inner {
    Argument(Size),
    Accumulator(u32),
}

type Extent = Poly<Inner>;
type Costs = [Extent; 6];

impl From<TooLarge> for Reason {
    fn from(_: TooLarge) -> Reason {
        Reason::BoundTooLarge
    }
}

fn nothing() -> Costs {
    std::array::from_fn(|_| Poly::zero())
}

fn plus(a: &Costs, b: &Costs) -> Result<Costs, Reason> {
    let mut sum = nothing();
    for n in 0..6 {
        sum[n] = a[n].plus(&b[n])?;
    }
    Ok(sum)
}

fn larger(a: &Costs, b: &Costs) -> Result<Costs, Reason> {
    let mut most = nothing();
    for n in 0..6 {
        most[n] = a[n].max(&b[n])?;
    }
    Ok(most)
}

/// A variable.
#[derive(Debug, Clone)]
struct Local {
    ty: Ty,
    sym: Sym,
    /// Of quantity 1 and used up.
    gone: bool,
    /// At most so many elements, entries or bytes, if it has a length.
    length: Option<Extent>,
    /// At most so large, if that is known better than by the type.
    value: Option<Extent>,
    /// Terms of what is known of it.
    weight: usize,
}

/// What the parts of a module that were resolved look like to a body.
pub(super) struct Setting<'s> {
    pub module: &'s Module,
    pub lineage: crate::ir::Lineage,
    pub imports: &'s [Arc<Unit>],
    pub types: &'s [Ty],
    pub constants: &'s [Value],
    pub assets: &'s [Ty],
    pub tables: &'s [TableInfo],
    pub protocols: &'s [TableInfo],
    pub work: &'s Work,
    /// Of the functions before this one.
    pub functions: &'s [FunctionInfo],
}

/// A block of a branch: its first variables, and what is known in it.
type Entry = (BlockIx, Vec<(Ty, Sym)>, Vec<Item>);

/// One way through a branch, when it has yielded.
struct Way {
    lines: Vec<Line>,
    syms: Vec<Sym>,
    sizes: Vec<(Option<Extent>, Option<Extent>)>,
    gone: Vec<bool>,
    kept: Kept,
}

/// All facts of a way, for when it is the only one.
struct Kept {
    items: Vec<Item>,
}

mod ops;

/// What a block belongs to.
enum Owner {
    Body,
    Branch {
        results: Vec<Ty>,
        /// Blocks with their first variables and facts, last one first.
        rest: Vec<Entry>,
        ways: Vec<Way>,
        gone: Vec<bool>,
        cost: Costs,
    },
    Loop {
        accumulators: Vec<Ty>,
        /// Numbers of the accumulators' lengths, where they have one.
        lengths: Vec<Option<u32>>,
        first: Vec<(Option<Extent>, Option<Extent>)>,
        rounds: Extent,
        iterate: bool,
        invariant: Vec<Prop>,
        gone: Vec<bool>,
    },
}

/// A block that is being walked.
struct Active {
    block: BlockIx,
    next: usize,
    base: usize,
    mark: Mark,
    cost: Costs,
    owner: Owner,
}

/// The walk through one function.
struct Walk<'w> {
    setting: &'w Setting<'w>,
    universe: &'w mut Universe,
    evidence: &'w mut dyn Evidence,
    index: usize,
    function: &'w Function,
    know: Knowledge,
    vars: Vec<Local>,
    slots: usize,
    blocks: Vec<Option<BlockInfo>>,
    next_block: usize,
    accumulators: u32,
    at: (BlockIx, usize),
    goals: usize,
    // Effects.
    mints: BTreeSet<u16>,
    burns: BTreeSet<u16>,
    moves: BTreeSet<Move>,
    tables: BTreeMap<Nominal, bool>,
    writes: bool,
    asks: bool,
    depth: usize,
}

/// Walks one function.
pub(super) fn function(
    setting: &Setting<'_>,
    universe: &mut Universe,
    evidence: &mut dyn Evidence,
    index: usize,
) -> Result<FunctionInfo, Reject> {
    let function = &setting.module.functions[index];
    let mut walk = Walk {
        setting,
        universe,
        evidence,
        index,
        function,
        know: Knowledge::new(setting.work.clone()),
        vars: Vec::new(),
        slots: 0,
        blocks: function.blocks.iter().map(|_| None).collect(),
        next_block: 0,
        accumulators: 0,
        at: (0, 0),
        goals: 0,
        mints: BTreeSet::new(),
        burns: BTreeSet::new(),
        moves: BTreeSet::new(),
        tables: BTreeMap::new(),
        writes: false,
        asks: false,
        depth: 0,
    };
    let found = walk.run();
    found.map_err(|reason| Reject {
        at: Where {
            sort: "function",
            index,
            name: function.name.as_str().to_owned(),
            op: Some((walk.at.0, walk.at.1)),
        },
        reason,
    })
}

fn count(what: &'static str, found: usize, wanted: usize) -> Result<(), Reason> {
    if found == wanted { Ok(()) } else { Err(Reason::Count { what, found, wanted }) }
}

fn there<'t, T>(what: &'static str, table: &'t [T], index: u16) -> Result<&'t T, Reason> {
    table.get(usize::from(index)).ok_or(Reason::NoSuch { what, index: index.into() })
}

impl Walk<'_> {
    fn run(&mut self) -> Result<FunctionInfo, Reason> {
        let function = self.function;
        if function.blocks.is_empty() {
            return Err(Reason::BlockOrder);
        }
        let result = ty_at(self.setting.types, function.result)?;
        let mut params = Vec::new();
        for (n, param) in function.params.iter().enumerate() {
            let ty = ty_at(self.setting.types, param.ty)?;
            params.push(ty);
            let sym = self.know.fresh(self.universe, ty)?;
            let argument = |size: fn(u16) -> Size| Poly::variable(Inner::Argument(size(n as u16)));
            let length = self.has_length(ty).then(|| argument(Size::Length));
            let value = matches!(self.universe.kind(ty), Kind::Int { min: 0, .. }).then(|| argument(Size::Value));
            self.bind(ty, sym, length, value)?;
        }
        let syms: Vec<Sym> = self.vars.iter().map(|v| v.sym.clone()).collect();
        self.know.assume_props(self.universe, &function.requires, &params, &syms)?;
        for place in &function.authority {
            let symbol = self.know.symbol_at(&syms, place);
            self.know.assume(&Item::Authority(symbol))?;
        }
        let by = self.satisfied(&function.by);
        self.know.assume_all(&by)?;

        let mut cost = nothing();
        self.add_charge(&mut cost, &cost::entry(function))?;
        let mut stack = vec![Active { block: 0, next: 0, base: 0, mark: self.know.mark(), cost, owner: Owner::Body }];
        self.open_block(0, 0, self.vars.len())?;
        let mut finished = None;
        while let Some(active) = stack.last_mut() {
            let block: &Block = &function.blocks[usize::from(active.block)];
            self.at = (active.block, active.next);
            if let Some(op) = block.ops.get(active.next) {
                active.next += 1;
                let monomials: usize = active.cost.iter().map(|p| p.terms().len()).sum();
                self.know.work.spend(64 + self.vars.len() / 4 + 16 * monomials)?;
                let number = active.block;
                let (info, extra) = self.operation(op)?;
                let mut cost = active.cost.clone();
                self.add_charge(&mut cost, &info.charge)?;
                cost = plus(&cost, &extra)?;
                active.cost = cost;
                if let Some(Some(block)) = self.blocks.get_mut(usize::from(number)) {
                    block.ops.push(info);
                }
                if let Some(inner) = self.nested(op)? {
                    if stack.len() > limits::BLOCK_DEPTH_MAX {
                        return Err(Reason::TooDeep(limits::BLOCK_DEPTH_MAX));
                    }
                    stack.push(inner);
                }
            } else if let Some(done) = stack.pop()
                && let Some(next) = self.end(done, &block.end, stack.last_mut(), result, &mut finished)?
            {
                stack.push(next);
            }
        }
        if self.next_block != function.blocks.len() {
            return Err(Reason::BlockOrder);
        }
        self.effects()?;
        let cost = finished.ok_or(Reason::BlockOrder)?;
        let mut bound = Bound::default();
        for (n, poly) in cost.into_iter().enumerate() {
            // No accumulator is left outside its loop.
            bound.0[n] = poly.substitute(|v| match v {
                Inner::Argument(size) => Poly::variable(size),
                Inner::Accumulator(_) => Poly::constant(u64::MAX),
            })?;
        }
        let blocks = self.blocks.iter_mut().map(|b| b.take().ok_or(Reason::BlockOrder));
        Ok(FunctionInfo {
            params,
            result,
            slots: self.slots as u16,
            depth: self.depth,
            blocks: blocks.collect::<Result<_, Reason>>()?,
            bound,
            tables: self.tables.iter().map(|(t, w)| (*t, *w)).collect(),
            writes: self.writes,
            asks: self.asks,
        })
    }

    fn effects(&mut self) -> Result<(), Reason> {
        let function = self.function;
        self.at = (0, 0);
        if !self.mints.iter().eq(function.mints.iter()) {
            return Err(Reason::Effects("the assets it mints"));
        }
        if !self.burns.iter().eq(function.burns.iter()) {
            return Err(Reason::Effects("the assets it burns"));
        }
        if !self.moves.iter().eq(function.moves.iter()) {
            return Err(Reason::Effects("its moves"));
        }
        if function.kind == FunctionKind::View && self.writes {
            return Err(Reason::ViewWrites);
        }
        // Another module's code would act on signatures that were not meant for it.
        if function.kind == FunctionKind::Public && self.asks {
            return Err(Reason::AmbientAuthority);
        }
        Ok(())
    }

    // ---- variables

    fn has_length(&self, ty: Ty) -> bool {
        matches!(self.universe.kind(ty), Kind::Text(_) | Kind::Bytes(_) | Kind::List(..) | Kind::Map(..))
    }

    fn linear(&self, ty: Ty) -> bool {
        self.universe.info(ty).linear
    }

    fn bind(&mut self, ty: Ty, sym: Sym, length: Option<Extent>, value: Option<Extent>) -> Result<(), Reason> {
        if let Kind::Asset { of, signed: Some(field), .. } = self.universe.kind(ty)
            && of.lineage == self.setting.lineage
            && let Sym::Fields(fields) = &sym
            && let Some(signer) = fields.get(usize::from(*field)).cloned()
        {
            let symbol = self.know.symbol_of(&signer);
            self.know.assume(&Item::Authority(symbol))?;
        }
        let weight = sym.weight();
        self.spend(weight)?;
        self.vars.push(Local { ty, sym, gone: false, length, value, weight });
        self.slots = self.slots.max(self.vars.len());
        if self.slots > limits::SCOPE_MAX {
            return Err(Reason::TooMany { what: "variables in scope", count: self.slots, max: limits::SCOPE_MAX });
        }
        Ok(())
    }

    /// Binds a value of which only the type is known.
    fn bind_fresh(&mut self, ty: Ty) -> Result<(), Reason> {
        let sym = self.know.fresh(self.universe, ty)?;
        self.bind(ty, sym, None, None)
    }

    fn bind_number(&mut self, ty: Ty, line: Line, value: Option<Extent>) -> Result<(), Reason> {
        self.know.in_range(self.universe, ty, &line)?;
        self.bind(ty, Sym::Number(line), None, value)
    }

    fn var(&self, v: Var) -> Result<&Local, Reason> {
        let found = self.vars.get(usize::from(v)).ok_or(Reason::OutOfScope(v))?;
        if found.gone && self.evidence.keeps(Rule::UsedOnce) { Err(Reason::UsedTwice(v)) } else { Ok(found) }
    }

    /// A variable that is looked at.
    fn look(&self, v: Var) -> Result<(Ty, Sym), Reason> {
        self.var(v).map(|b| (b.ty, b.sym.clone()))
    }

    /// A variable that is used, and used up if it is of quantity 1.
    fn consume(&mut self, v: Var) -> Result<(Ty, Sym), Reason> {
        let (ty, sym) = self.look(v)?;
        if self.universe.info(ty).holds_ghost {
            return Err(Reason::Quantity("a ghost is used where a value is needed"));
        }
        if self.linear(ty) {
            self.vars[usize::from(v)].gone = true;
        }
        Ok((ty, sym))
    }

    /// As [`Walk::consume`], where a ghost may stand too.
    fn consume_any(&mut self, v: Var) -> Result<(Ty, Sym), Reason> {
        let (ty, sym) = self.look(v)?;
        if self.linear(ty) {
            self.vars[usize::from(v)].gone = true;
        }
        Ok((ty, sym))
    }

    fn of_type(&mut self, v: Var, ty: Ty, why: &'static str) -> Result<Sym, Reason> {
        let (found, sym) = self.consume(v)?;
        if found == ty { Ok(sym) } else { Err(Reason::Operand(why)) }
    }

    fn number(&mut self, v: Var) -> Result<(Ty, Line), Reason> {
        match self.consume(v)? {
            (ty, Sym::Number(line)) if self.universe.range(ty).is_some() => Ok((ty, line)),
            (ty, _) if self.universe.range(ty).is_some() => {
                let Sym::Number(line) = self.know.number(self.universe, ty)? else {
                    return Err(Reason::Operand("a number is wanted"));
                };
                Ok((ty, line))
            }
            _ => Err(Reason::Operand("a number is wanted")),
        }
    }

    fn truth(&mut self, v: Var) -> Result<Rc<Cond>, Reason> {
        let (ty, sym) = self.consume(v)?;
        match (self.universe.kind(ty), sym) {
            (Kind::Bool, Sym::Truth(cond)) => Ok(cond),
            (Kind::Bool, _) => Ok(Rc::default()),
            _ => Err(Reason::Operand("a truth value is wanted")),
        }
    }

    fn kind_of(&mut self, kind: Kind) -> Result<Ty, Reason> {
        self.universe.intern(kind).map_err(Reason::BadType)
    }

    fn int(&mut self, signed: bool, bits: u8) -> Result<Ty, Reason> {
        let (min, max, bytes) = int_range(signed, bits).ok_or(Reason::BadType("there are no numbers of that width"))?;
        self.kind_of(Kind::Int { min, max, bytes })
    }

    fn extent(&self, v: Var) -> Extent {
        let Some(var) = self.vars.get(usize::from(v)) else { return Poly::constant(u64::MAX) };
        let cap = match self.universe.kind(var.ty) {
            Kind::Text(max) | Kind::Bytes(max) | Kind::List(_, max) | Kind::Map(_, _, max) => u64::from(*max),
            _ => 1,
        };
        var.length.clone().unwrap_or_else(|| Poly::constant(cap))
    }

    /// At most so many canonical bytes.
    fn bytes(&self, v: Var) -> Result<Extent, Reason> {
        let ty = self.vars.get(usize::from(v)).ok_or(Reason::OutOfScope(v))?.ty;
        let each = match self.universe.kind(ty) {
            Kind::Text(_) | Kind::Bytes(_) => 1,
            Kind::List(of, _) => self.universe.info(*of).bytes_max,
            Kind::Map(key, of, _) => {
                self.universe.info(*key).bytes_max.saturating_add(self.universe.info(*of).bytes_max)
            }
            _ => return Ok(Poly::constant(self.universe.info(ty).bytes_max)),
        };
        Ok(self.extent(v).scale(each).plus(&Poly::constant(4))?)
    }

    fn add_charge(&self, sum: &mut Costs, charge: &Charge) -> Result<(), Reason> {
        for (sum, (base, rows)) in sum.iter_mut().zip(charge.base.0.iter().zip(charge.rows.0)) {
            *sum = sum.plus(&Poly::constant(base.saturating_add(rows)))?;
        }
        for unit in &charge.operands {
            let size = match unit.measure {
                cost::Measure::Bytes => self.bytes(unit.var)?,
                cost::Measure::Length => self.extent(unit.var),
            };
            let more = size.scale(unit.times).divide(unit.per).plus(&Poly::constant(u64::from(unit.per > 1)))?;
            sum[unit.dimension] = sum[unit.dimension].plus(&more)?;
        }
        Ok(())
    }

    // ---- obligations

    fn oblige(&mut self, goal: Line) -> Result<(), Reason> {
        if goal.terms.is_empty() && goal.constant <= 0 || !self.evidence.keeps(Rule::Proofs) {
            return Ok(());
        }
        let number = self.goals;
        self.goals += 1;
        let asked = Goal { function: self.index, number, facts: &self.know.facts, line: &goal };
        self.evidence.discharge(&asked)?;
        Ok(())
    }

    fn oblige_equal(&mut self, a: &Line, b: &Line) -> Result<(), Reason> {
        for goal in equal(a, b)? {
            self.oblige(goal)?;
        }
        Ok(())
    }

    fn oblige_props(&mut self, props: &[Prop], types: &[Ty], vars: &[Sym]) -> Result<(), Reason> {
        for prop in props {
            match prop {
                Prop::AtMostZero { linear } => {
                    let goal = self.know.line(self.universe, linear, types, vars)?;
                    self.oblige(goal)?;
                }
                Prop::Zero { linear } => {
                    let sum = self.know.line(self.universe, linear, types, vars)?;
                    self.oblige_equal(&sum, &constant(0))?;
                }
                Prop::Same { a, b } => {
                    let (a, b) = (self.know.symbol_at(vars, a), self.know.symbol_at(vars, b));
                    if !self.know.is_same(a, b)? {
                        return Err(Reason::NotSame);
                    }
                }
                Prop::Differ { a, b } => {
                    let (a, b) = (self.know.symbol_at(vars, a), self.know.symbol_at(vars, b));
                    if !self.know.is_different(a, b)? {
                        return Err(Reason::NotDifferent);
                    }
                }
            }
        }
        Ok(())
    }

    fn spend(&self, units: usize) -> Result<(), Reason> {
        self.know.work.spend(units)
    }

    /// Types and what is known of all variables in scope.
    fn scope(&self) -> (Vec<Ty>, Vec<Sym>) {
        // Paid for by every operation that asks; the result says nothing if there was too much.
        let _ = self.spend(self.vars.len() + self.vars.iter().map(|v| v.weight).sum::<usize>());
        (self.vars.iter().map(|v| v.ty).collect(), self.vars.iter().map(|v| v.sym.clone()).collect())
    }

    fn need_authority(&mut self, sym: &Sym) -> Result<(), Reason> {
        let symbol = self.know.symbol_of(sym);
        if self.know.has_authority(symbol)? || !self.evidence.keeps(Rule::Authority) {
            Ok(())
        } else {
            Err(Reason::NoAuthority)
        }
    }

    /// The authority that a satisfied guard stands for: of the parties that must all agree.
    fn satisfied(&mut self, guard: &Guard) -> Vec<Item> {
        let (_, syms) = self.scope();
        let mut parts: Vec<Vec<Item>> = Vec::new();
        for node in guard {
            let found = match node {
                GuardNode::Party { place } => vec![Item::Authority(self.know.symbol_at(&syms, place))],
                GuardNode::AtLeast { k, of } if usize::from(*of) <= parts.len() => {
                    let below = parts.split_off(parts.len() - usize::from(*of));
                    if k == of { below.concat() } else { Vec::new() }
                }
                _ => Vec::new(),
            };
            parts.push(found);
        }
        parts.pop().unwrap_or_default()
    }

    fn guard_form(&self, guard: &Guard) -> Result<(), Reason> {
        let types: Vec<Ty> = self.vars.iter().map(|v| v.ty).collect();
        guard_tree(guard, self.setting.module.roles.len(), |place: &Place, held: Held| {
            self.var(place.var)?;
            holds(self.universe, place_ty(self.universe, &types, place)?, held)
        })
    }

    /// Propositions in a body speak of variables that are still there.
    fn props_here(&self, types: &[Ty], props: &[Prop]) -> Result<(), Reason> {
        props_form(self.universe, types, props)?;
        let places = props.iter().flat_map(|prop| match prop {
            Prop::AtMostZero { linear } | Prop::Zero { linear } => {
                linear.terms.iter().map(|t| t.place.var).collect::<Vec<Var>>()
            }
            Prop::Same { a, b } | Prop::Differ { a, b } => vec![a.var, b.var],
        });
        // Those used up may be named: a proposition uses nothing, and what they were does not change.
        places
            .into_iter()
            .try_for_each(|v| if usize::from(v) < types.len() { Ok(()) } else { Err(Reason::OutOfScope(v)) })
    }

    // ---- blocks

    fn open_block(&mut self, block: BlockIx, base: usize, params: usize) -> Result<(), Reason> {
        if usize::from(block) != self.next_block || self.next_block >= self.blocks.len() {
            return Err(Reason::BlockOrder);
        }
        self.next_block += 1;
        let info = BlockInfo { base: base as u16, params: params as u16, ops: Vec::new() };
        self.blocks[usize::from(block)] = Some(info);
        Ok(())
    }

    fn gone(&self) -> Vec<bool> {
        self.vars.iter().map(|v| v.gone).collect()
    }

    fn restore(&mut self, gone: &[bool]) {
        for (var, gone) in self.vars.iter_mut().zip(gone) {
            var.gone = *gone;
        }
    }

    /// Starts the next block of a branch.
    fn start_way(
        &mut self,
        results: Vec<Ty>,
        mut rest: Vec<Entry>,
        ways: Vec<Way>,
        cost: Costs,
    ) -> Result<Option<Active>, Reason> {
        let Some((block, params, facts)) = rest.pop() else { return Ok(None) };
        let (mark, base, gone) = (self.know.mark(), self.vars.len(), self.gone());
        self.know.assume_all(&facts)?;
        self.open_block(block, base, params.len())?;
        for (ty, sym) in params {
            self.bind(ty, sym, None, None)?;
        }
        let owner = Owner::Branch { results, rest, ways, gone, cost };
        Ok(Some(Active { block, next: 0, base, mark, cost: nothing(), owner }))
    }

    fn result_types(&self, results: &[TypeIx]) -> Result<Vec<Ty>, Reason> {
        let types: Vec<Ty> = results.iter().map(|ty| ty_at(self.setting.types, *ty)).collect::<Result<_, Reason>>()?;
        if types.len() > limits::FIELDS_MAX {
            return Err(Reason::TooMany { what: "results", count: types.len(), max: limits::FIELDS_MAX });
        }
        if types.iter().any(|ty| self.universe.info(*ty).holds_hole) {
            return Err(Reason::Quantity("a hole does not leave its block"));
        }
        Ok(types)
    }

    /// Starts the blocks of an operation that has some. Its operands were used by [`Walk::operation`] already.
    fn nested(&mut self, op: &Op) -> Result<Option<Active>, Reason> {
        match op {
            Op::If { cond, yes, no, results } => {
                let results = self.result_types(results)?;
                let cond = match &self.vars[usize::from(*cond)].sym {
                    Sym::Truth(cond) => cond.clone(),
                    _ => Rc::default(),
                };
                let rest = vec![(*no, Vec::new(), cond.no.clone()), (*yes, Vec::new(), cond.yes.clone())];
                self.start_way(results, rest, Vec::new(), nothing())
            }
            Op::Match { a, arms, results } => {
                let results = self.result_types(results)?;
                let (ty, sym) = (self.vars[usize::from(*a)].ty, self.vars[usize::from(*a)].sym.clone());
                let variants = self.universe.variants(ty).ok_or(Reason::Operand("an enum or option is wanted"))?;
                count("arms", arms.len(), variants.len())?;
                let mut rest = Vec::new();
                for (n, (arm, fields)) in arms.iter().zip(variants).enumerate() {
                    let known = match &sym {
                        Sym::Variant(arms) => arms.get(n).cloned(),
                        _ => None,
                    };
                    let mark = self.know.mark();
                    let mut facts = known.as_ref().map(|k| k.facts.clone()).unwrap_or_default();
                    let mut params = Vec::new();
                    for (i, field) in fields.iter().enumerate() {
                        let sym = known.as_ref().and_then(|k| k.fields.get(i).cloned());
                        params.push((
                            *field,
                            match sym {
                                Some(sym) => sym,
                                None => self.know.fresh(self.universe, *field)?,
                            },
                        ));
                    }
                    if known.is_none()
                        && let Kind::Enum(_, _, shapes) = self.universe.kind(ty)
                    {
                        let invariant = shapes[n].invariant.clone();
                        let syms: Vec<Sym> = params.iter().map(|p| p.1.clone()).collect();
                        self.know.assume_props(self.universe, &invariant, &fields, &syms)?;
                    }
                    // What was learned of the new unknowns holds in this arm only; it is put back when the arm begins.
                    facts.extend(self.know.take_since(mark));
                    rest.push((*arm, params, facts));
                }
                rest.reverse();
                self.start_way(results, rest, Vec::new(), nothing())
            }
            Op::Fold { over, init, body, invariant, .. } => {
                let ty = self.vars[usize::from(*over)].ty;
                let elements = match self.universe.kind(ty) {
                    Kind::List(of, _) => vec![*of],
                    Kind::Map(key, of, _) => vec![*key, *of],
                    _ => return Err(Reason::Operand("a list or map is wanted")),
                };
                let rounds = self.extent(*over);
                self.start_loop(&elements, init, *body, invariant, rounds, false)
            }
            Op::Iterate { fuel, init, body, invariant } => {
                let var = &self.vars[usize::from(*fuel)];
                let cap = match (&var.value, self.universe.range(var.ty), &var.sym) {
                    (_, _, Sym::Number(line)) if line.terms.is_empty() => {
                        Some(Poly::constant(u64::try_from(line.constant.max(0)).unwrap_or(u64::MAX)))
                    }
                    (Some(value), _, _) => Some(value.clone()),
                    (None, Some((0, max)), _) if max <= i128::from(u16::MAX) => Some(Poly::constant(max as u64)),
                    _ => None,
                };
                let rounds = cap.ok_or(Reason::UnboundedFuel)?;
                self.start_loop(&[], init, *body, invariant, rounds, true)
            }
            _ => Ok(None),
        }
    }

    fn start_loop(
        &mut self,
        elements: &[Ty],
        init: &[Var],
        body: BlockIx,
        invariant: &[Prop],
        rounds: Extent,
        iterate: bool,
    ) -> Result<Option<Active>, Reason> {
        let mut first = Vec::new();
        let mut accumulators = Vec::new();
        let mut syms = Vec::new();
        for v in init {
            let var = &self.vars[usize::from(*v)];
            accumulators.push(var.ty);
            syms.push(var.sym.clone());
            let length = self.has_length(var.ty).then(|| self.extent(*v));
            first.push((length, None));
        }
        let (mut types, mut scope) = self.scope();
        types.extend(&accumulators);
        self.props_here(&types, invariant)?;
        scope.extend(syms);
        self.oblige_props(invariant, &types, &scope)?;

        let (mark, base, gone) = (self.know.mark(), self.vars.len(), self.gone());
        self.open_block(body, base, elements.len() + init.len())?;
        for ty in elements {
            self.bind_fresh(*ty)?;
        }
        let mut lengths = Vec::new();
        let mut syms = Vec::new();
        for ty in &accumulators {
            let sym = self.know.fresh(self.universe, *ty)?;
            syms.push(sym.clone());
            let number = self.has_length(*ty).then(|| {
                self.accumulators += 1;
                self.accumulators
            });
            lengths.push(number);
            let length = number.map(|n| Poly::variable(Inner::Accumulator(n)));
            self.bind(*ty, sym, length, None)?;
        }
        let (mut types, mut scope) = self.scope();
        types.truncate(base);
        scope.truncate(base);
        types.extend(&accumulators);
        scope.extend(syms);
        self.know.assume_props(self.universe, invariant, &types, &scope)?;
        let owner = Owner::Loop { accumulators, lengths, first, rounds, iterate, invariant: invariant.to_vec(), gone };
        Ok(Some(Active { block: body, next: 0, base, mark, cost: nothing(), owner }))
    }

    /// Ends a block: what it yields goes to what it belongs to. Gives the next block of the same branch, if there is one.
    fn end(
        &mut self,
        done: Active,
        end: &End,
        parent: Option<&mut Active>,
        result: Ty,
        finished: &mut Option<Costs>,
    ) -> Result<Option<Active>, Reason> {
        let mut cost = done.cost;
        self.add_charge(&mut cost, &cost::end(end))?;
        let yielded = match end {
            End::Abort { error, args } => {
                self.signal("error", &self.setting.module.errors, *error, args)?;
                None
            }
            End::Yield { vars } => {
                let mut values = Vec::new();
                for v in vars {
                    let (ty, sym) = self.consume_any(*v)?;
                    let var = &self.vars[usize::from(*v)];
                    let length = self.has_length(ty).then(|| self.extent(*v));
                    values.push((ty, sym, length, var.value.clone()));
                }
                for (n, var) in self.vars.iter().enumerate().skip(done.base) {
                    if !var.gone && self.linear(var.ty) && self.evidence.keeps(Rule::Used) {
                        return Err(Reason::Unused(n as u16));
                    }
                }
                Some(values)
            }
        };
        match done.owner {
            Owner::Body => {
                if let Some(values) = yielded {
                    count("results", values.len(), 1)?;
                    if values[0].0 != result {
                        return Err(Reason::Operand(
                            "the body yields a value of another type than the function's result",
                        ));
                    }
                    let params = self.function.params.len();
                    let (mut types, mut syms) = self.scope();
                    types.truncate(params);
                    syms.truncate(params);
                    types.push(result);
                    syms.push(values[0].1.clone());
                    let ensures = self.function.ensures.clone();
                    self.oblige_props(&ensures, &types, &syms)?;
                }
                *finished = Some(cost);
                Ok(None)
            }
            Owner::Branch { results, rest, mut ways, gone, cost: most } => {
                let most = larger(&most, &cost)?;
                if let Some(values) = yielded {
                    count("values of a branch", values.len(), results.len())?;
                    if values.iter().zip(&results).any(|(v, ty)| v.0 != *ty) {
                        return Err(Reason::Operand("a branch yields a value of another type than it should"));
                    }
                    let mut after = self.gone();
                    after.truncate(done.base);
                    ways.push(Way {
                        lines: self.know.lines_since(done.mark).to_vec(),
                        syms: values.iter().map(|v| v.1.clone()).collect(),
                        sizes: values.into_iter().map(|v| (v.2, v.3)).collect(),
                        gone: after,
                        kept: Kept { items: self.know.items_since(done.mark) },
                    });
                }
                self.vars.truncate(done.base);
                self.know.cut(done.mark);
                self.restore(&gone);
                if !rest.is_empty() {
                    return self.start_way(results, rest, ways, most);
                }
                if let Some(parent) = parent {
                    parent.cost = plus(&parent.cost, &most)?;
                }
                self.join(results, ways)?;
                Ok(None)
            }
            Owner::Loop { accumulators, lengths, first, rounds, iterate, invariant, gone } => {
                let mut grown: Vec<Option<Extent>> = first.iter().map(|f| f.0.clone()).collect();
                if let Some(mut values) = yielded {
                    if iterate {
                        if values.is_empty() || *self.universe.kind(values[0].0) != Kind::Bool {
                            return Err(Reason::Operand("an iteration yields first whether it goes on"));
                        }
                        values.remove(0);
                    }
                    count("accumulators", values.len(), accumulators.len())?;
                    if values.iter().zip(&accumulators).any(|(v, ty)| v.0 != *ty) {
                        return Err(Reason::Operand("an accumulator changes its type"));
                    }
                    for (n, gone) in gone.iter().enumerate() {
                        if self.vars[n].gone != *gone && self.evidence.keeps(Rule::LoopsUseNothing) {
                            return Err(Reason::UsedInLoop(n as u16));
                        }
                    }
                    let (mut types, mut scope) = self.scope();
                    types.truncate(done.base);
                    scope.truncate(done.base);
                    types.extend(&accumulators);
                    scope.extend(values.iter().map(|v| v.1.clone()));
                    self.oblige_props(&invariant, &types, &scope)?;
                    for (n, value) in values.iter().enumerate() {
                        if let (Some(own), Some(after), Some(before)) = (&lengths[n], &value.2, &first[n].0) {
                            grown[n] = match grow(after, *own, &lengths, before, &rounds) {
                                Some(length) => Some(length?),
                                None if self.evidence.keeps(Rule::Growth) => return Err(Reason::Geometric(n)),
                                None => Some(before.clone()),
                            };
                        }
                    }
                }
                self.vars.truncate(done.base);
                self.know.cut(done.mark);
                self.restore(&gone);
                // The body's cost, with the accumulators as long as they get.
                let round = cost::round(accumulators.len());
                let mut each = cost;
                self.add_charge(&mut each, &round)?;
                if let Some(parent) = parent {
                    for (sum, each) in parent.cost.iter_mut().zip(&each) {
                        let longest = grown.iter().flatten().map(|p| p.terms().len()).max().unwrap_or(1);
                        let all = each.terms().len() * longest.saturating_pow(2) * 64;
                        self.spend(all.saturating_mul(rounds.terms().len().max(1)))?;
                        let whole = each.substitute(|v| match v {
                            Inner::Accumulator(number) => {
                                let of = lengths.iter().position(|l| *l == Some(number));
                                match of {
                                    Some(of) => grown[of].clone().unwrap_or_else(|| Poly::constant(u64::MAX)),
                                    None => Poly::variable(v),
                                }
                            }
                            other => Poly::variable(other),
                        })?;
                        let all = if self.evidence.keeps(Rule::LoopsCost) { whole.times(&rounds)? } else { whole };
                        *sum = sum.plus(&all)?;
                    }
                }
                let (mut types, mut scope) = self.scope();
                let mut fresh = Vec::new();
                for ty in &accumulators {
                    fresh.push(self.know.fresh(self.universe, *ty)?);
                }
                types.extend(&accumulators);
                scope.extend(fresh.iter().cloned());
                self.know.assume_props(self.universe, &invariant, &types, &scope)?;
                for ((ty, sym), length) in accumulators.iter().zip(fresh).zip(grown) {
                    self.bind(*ty, sym, length, None)?;
                }
                Ok(None)
            }
        }
    }

    /// Binds the results of a branch.
    fn join(&mut self, results: Vec<Ty>, mut ways: Vec<Way>) -> Result<(), Reason> {
        if ways.len() == 1 {
            let way = ways.remove(0);
            self.restore(&way.gone);
            self.know.assume_all(&way.kept.items)?;
            for ((ty, sym), (length, value)) in results.into_iter().zip(way.syms).zip(way.sizes) {
                self.bind(ty, sym, length, value)?;
            }
            return Ok(());
        }
        if ways.is_empty() {
            // Nothing comes after it.
            self.know.assume(&absurd())?;
            for ty in results {
                self.bind_fresh(ty)?;
            }
            return Ok(());
        }
        for way in &ways[1..] {
            if let Some(n) = way.gone.iter().zip(&ways[0].gone).position(|(a, b)| a != b)
                && self.evidence.keeps(Rule::BranchesAgree)
            {
                return Err(Reason::BranchesDiffer(n as u16));
            }
        }
        self.restore(&ways[0].gone);
        let mut alternatives: Vec<Vec<Line>> = ways.iter().map(|w| w.lines.clone()).collect();
        for (n, ty) in results.iter().enumerate() {
            let sym = self.merged(*ty, n, &ways)?;
            for (way, lines) in ways.iter().zip(&mut alternatives) {
                lines.extend(self.know.tie(&sym, &way.syms[n])?);
            }
            let mut length = ways[0].sizes[n].0.clone();
            let mut value = ways[0].sizes[n].1.clone();
            for way in &ways[1..] {
                length = match (length, &way.sizes[n].0) {
                    (Some(a), Some(b)) => Some(a.max(b)?),
                    _ => None,
                };
                value = match (value, &way.sizes[n].1) {
                    (Some(a), Some(b)) => Some(a.max(b)?),
                    _ => None,
                };
            }
            self.bind(*ty, sym, length, value)?;
        }
        // A long way with many facts is worth less than a short list of alternatives.
        if alternatives.iter().map(Vec::len).sum::<usize>() <= WAY_LINES_MAX {
            self.know.assume(&Item::Either(alternatives))?;
        }
        Ok(())
    }

    /// A result of several ways: unknown, unless all have the same symbol.
    fn merged(&mut self, ty: Ty, n: usize, ways: &[Way]) -> Result<Sym, Reason> {
        let symbol = |sym: &Sym| if let Sym::Symbol(s) = sym { Some(*s) } else { None };
        if let Some(first) = symbol(&ways[0].syms[n])
            && ways.iter().all(|w| symbol(&w.syms[n]) == Some(first))
        {
            return Ok(Sym::Symbol(first));
        }
        self.know.fresh(self.universe, ty)
    }

    /// An error or event with its fields.
    fn signal(&self, what: &'static str, signals: &[Signal], index: u16, args: &[Var]) -> Result<(), Reason> {
        let signal = there(what, signals, index)?;
        count("fields", args.len(), signal.fields.len())?;
        for (v, field) in args.iter().zip(&signal.fields) {
            if self.look(*v)?.0 != ty_at(self.setting.types, field.ty)? {
                return Err(Reason::Operand("a field of an error or event has another type"));
            }
        }
        Ok(())
    }
}

/// Lines that the ways of one branch may leave behind.
const WAY_LINES_MAX: usize = 256;

/// How long an accumulator gets: as long as at first, and so much more in each round; or as long as it is made in one.
/// `None` if it multiplies.
fn grow(
    after: &Extent,
    own: u32,
    lengths: &[Option<u32>],
    before: &Extent,
    rounds: &Extent,
) -> Option<Result<Extent, Reason>> {
    let mut more = Vec::new();
    let mut keeps = false;
    for (vars, factor) in after.terms() {
        if *vars == [Inner::Accumulator(own)] {
            if *factor != 1 {
                return None;
            }
            keeps = true;
        } else {
            more.push((vars.clone(), *factor));
        }
    }
    let more = Poly::from_terms(more);
    if lengths.iter().flatten().any(|n| more.mentions(Inner::Accumulator(*n))) {
        return None;
    }
    let grown = || {
        let added = if keeps { more.times(rounds)? } else { more.clone() };
        Ok(before.plus(&added)?)
    };
    Some(grown())
}

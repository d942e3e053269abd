//! What the verifier knows of values: sums over unknowns, symbols that may be equal, conditions, and the facts about them.
//!
//! A number is a linear sum over atoms, unknown whole numbers. A party, id, digest or text is a symbol, of which only equality is
//! known. Facts grow along a path and are cut back where a block ends.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::reject::Reason;
use crate::ir::{Linear, Measure, Place, Prop};
use crate::lia::{self, Atom, Fact, Facts, Line};
use crate::types::{Kind, Shape, Ty, Universe};
use crate::value::Value;

/// Lines kept at once.
const LINES_MAX: usize = 4096;
/// Facts with alternatives kept at once.
const EITHERS_MAX: usize = 512;
/// Equalities and differences of symbols kept at once.
const SYMBOL_FACTS_MAX: usize = 512;
/// Parts of one unknown value that are kept apart. Beyond, nothing is known of a part.
const PARTS_MAX: usize = 256;
/// Unknowns in one sum: as many as the checker takes.
const TERMS_MAX: usize = lia::TERMS_MAX;
/// Numbers in the elements of a list or map whose sums are followed.
const SUMS_MAX: usize = 8;

/// A symbol.
pub(super) type Symbol = u32;

/// Something that can be known.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Line(Line),
    Either(Vec<Vec<Line>>),
    Same(Symbol, Symbol),
    Differ(Symbol, Symbol),
    Authority(Symbol),
}

/// A truth value: what is known if it is true, and if it is false.
#[derive(Debug, Clone, Default)]
pub(super) struct Cond {
    /// 1 if true, 0 if false.
    pub number: Option<Line>,
    pub yes: Vec<Item>,
    pub no: Vec<Item>,
}

/// What is known if a value has a certain variant.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub fields: Vec<Sym>,
    pub facts: Vec<Item>,
}

impl Item {
    /// Terms, and one more for each line.
    pub fn terms(&self) -> usize {
        match self {
            Item::Line(line) => 1 + line.terms.len(),
            Item::Either(ways) => 1 + ways.iter().flatten().map(|l| 1 + l.terms.len()).sum::<usize>(),
            _ => 1,
        }
    }
}

/// What is known of a value.
#[derive(Debug, Clone)]
pub(super) enum Sym {
    /// Nothing.
    Opaque,
    Number(Line),
    Truth(Rc<Cond>),
    Symbol(Symbol),
    /// Texts are symbols with a length; bytes, lists and maps have no symbol. Sums by path.
    Sized {
        symbol: Option<Symbol>,
        length: Line,
        sums: Rc<BTreeMap<Vec<u8>, Line>>,
    },
    Fields(Rc<Vec<Sym>>),
    Variant(Rc<Vec<Arm>>),
}

impl Sym {
    /// Terms that a copy of this copies. Shared parts are not copied.
    pub fn weight(&self) -> usize {
        match self {
            Sym::Number(line) | Sym::Sized { length: line, .. } => 1 + line.terms.len(),
            _ => 1,
        }
    }
}

pub(super) fn constant(n: i128) -> Line {
    Line { constant: n, terms: Vec::new() }
}

/// `p * a + q * b`.
pub(super) fn combine(a: &Line, p: i128, b: &Line, q: i128) -> Result<Line, Reason> {
    let large = Reason::SumTooLarge;
    let sum = |x: i128, y: i128| x.checked_mul(p)?.checked_add(y.checked_mul(q)?);
    let constant = sum(a.constant, b.constant).ok_or(large.clone())?;
    let mut terms = Vec::with_capacity(a.terms.len() + b.terms.len());
    let (mut i, mut j) = (0, 0);
    while i < a.terms.len() || j < b.terms.len() {
        let left = a.terms.get(i).map_or(Atom::MAX, |t| t.0);
        let right = b.terms.get(j).map_or(Atom::MAX, |t| t.0);
        let atom = left.min(right);
        let x = if left == atom { a.terms[i].1 } else { 0 };
        let y = if right == atom { b.terms[j].1 } else { 0 };
        i += usize::from(left == atom);
        j += usize::from(right == atom);
        let factor = sum(x, y).ok_or(large.clone())?;
        if factor != 0 {
            terms.push((atom, factor));
        }
    }
    if terms.len() > TERMS_MAX {
        return Err(large);
    }
    Ok(Line { constant, terms })
}

/// The line that says `a <= b + n`.
pub(super) fn at_most(a: &Line, b: &Line, n: i128) -> Result<Line, Reason> {
    let difference = combine(a, 1, b, -1)?;
    combine(&difference, 1, &constant(n), -1)
}

/// The lines that say `a == b`.
pub(super) fn equal(a: &Line, b: &Line) -> Result<[Line; 2], Reason> {
    Ok([at_most(a, b, 0)?, at_most(b, a, 0)?])
}

/// A line that nothing satisfies.
pub(super) fn absurd() -> Item {
    Item::Line(constant(1))
}

/// Facts as far as they go back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    facts: lia::Mark,
    lines: usize,
    eithers: usize,
    same: usize,
    differ: usize,
    authority: usize,
}

/// Work that one module may cause, in steps of a few nanoseconds: terms and parts visited, symbols compared, monomials multiplied.
/// Honest modules need a thousandth of it.
const WORK_MAX: u64 = 1 << 25;

/// Counts the work of judging a module.
#[derive(Debug, Clone, Default)]
pub(super) struct Work(Rc<Cell<u64>>);

impl Work {
    pub fn spend(&self, units: usize) -> Result<(), Reason> {
        let sum = self.0.get().saturating_add(units as u64);
        self.0.set(sum);
        if sum > WORK_MAX { Err(Reason::TooMuchWork) } else { Ok(()) }
    }
}

/// Unknowns and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    pub work: Work,
    pub facts: Facts,
    atoms: Atom,
    symbols: Symbol,
    same: Vec<(Symbol, Symbol)>,
    differ: Vec<(Symbol, Symbol)>,
    authority: Vec<Symbol>,
    /// Symbols of constants: different values are different symbols.
    values: BTreeMap<Value, Symbol>,
}

/// Work of building a value from its parts.
enum Build {
    Open(Ty),
    Close(Ty, usize),
}

impl Knowledge {
    /// Nothing known yet.
    pub fn new(work: Work) -> Knowledge {
        Knowledge { work, ..Knowledge::default() }
    }

    pub fn mark(&self) -> Mark {
        Mark {
            facts: self.facts.mark(),
            lines: self.facts.lines().len(),
            eithers: self.facts.eithers().len(),
            same: self.same.len(),
            differ: self.differ.len(),
            authority: self.authority.len(),
        }
    }

    pub fn cut(&mut self, mark: Mark) {
        self.facts.truncate(mark.facts);
        self.same.truncate(mark.same);
        self.differ.truncate(mark.differ);
        self.authority.truncate(mark.authority);
    }

    pub fn assume(&mut self, item: &Item) -> Result<(), Reason> {
        self.work.spend(match item {
            Item::Line(line) => 4 + line.terms.len(),
            Item::Either(ways) => 4 + ways.iter().flatten().map(|l| 4 + l.terms.len()).sum::<usize>(),
            _ => 1,
        })?;
        match item {
            Item::Line(line) if line.terms.is_empty() && line.constant <= 0 => {}
            Item::Line(line) => self.facts.push(Fact::Line(line.clone())),
            Item::Either(alternatives) => self.facts.push(Fact::Either(alternatives.clone())),
            Item::Same(a, b) => self.same.push((*a, *b)),
            Item::Differ(a, b) => self.differ.push((*a, *b)),
            Item::Authority(symbol) => self.authority.push(*symbol),
        }
        let full = self.facts.lines().len() > LINES_MAX
            || self.facts.eithers().len() > EITHERS_MAX
            || [self.same.len(), self.differ.len(), self.authority.len()].iter().any(|n| *n > SYMBOL_FACTS_MAX);
        if full { Err(Reason::TooManyFacts) } else { Ok(()) }
    }

    pub fn assume_all(&mut self, items: &[Item]) -> Result<(), Reason> {
        items.iter().try_for_each(|item| self.assume(item))
    }

    pub fn atom(&mut self) -> Line {
        self.atoms += 1;
        Line { constant: 0, terms: vec![(self.atoms - 1, 1)] }
    }

    pub fn symbol(&mut self) -> Symbol {
        self.symbols += 1;
        self.symbols - 1
    }

    /// All symbols known to be the same as this one.
    fn class(&self, symbol: Symbol) -> Result<Vec<Symbol>, Reason> {
        let mut class = vec![symbol];
        let mut next = 0;
        while let Some(at) = class.get(next).copied() {
            next += 1;
            self.work.spend(4 + self.same.len() + class.len())?;
            for (a, b) in &self.same {
                for (from, to) in [(a, b), (b, a)] {
                    if *from == at && !class.contains(to) {
                        class.push(*to);
                    }
                }
            }
        }
        Ok(class)
    }

    pub fn is_same(&self, a: Symbol, b: Symbol) -> Result<bool, Reason> {
        Ok(a == b || self.class(a)?.contains(&b))
    }

    pub fn is_different(&self, a: Symbol, b: Symbol) -> Result<bool, Reason> {
        let (left, right) = (self.class(a)?, self.class(b)?);
        self.work.spend((self.differ.len() + self.values.len()) * (left.len() + right.len()))?;
        let told = self
            .differ
            .iter()
            .any(|(x, y)| left.contains(x) && right.contains(y) || left.contains(y) && right.contains(x));
        let valued = |class: &[Symbol]| self.values.values().find(|s| class.contains(s)).copied();
        Ok(told || matches!((valued(&left), valued(&right)), (Some(x), Some(y)) if x != y))
    }

    pub fn has_authority(&self, symbol: Symbol) -> Result<bool, Reason> {
        let class = self.class(symbol)?;
        self.work.spend(self.authority.len() * class.len())?;
        Ok(self.authority.iter().any(|s| class.contains(s)))
    }

    /// All that became known since a mark.
    pub fn items_since(&self, mark: Mark) -> Vec<Item> {
        let lines = self.facts.lines()[mark.lines..].iter().cloned().map(Item::Line);
        let eithers = self.facts.eithers()[mark.eithers..].iter().cloned().map(Item::Either);
        let same = self.same[mark.same..].iter().map(|(a, b)| Item::Same(*a, *b));
        let differ = self.differ[mark.differ..].iter().map(|(a, b)| Item::Differ(*a, *b));
        let authority = self.authority[mark.authority..].iter().map(|s| Item::Authority(*s));
        lines.chain(eithers).chain(same).chain(differ).chain(authority).collect()
    }

    /// The same, and it is forgotten.
    pub fn take_since(&mut self, mark: Mark) -> Vec<Item> {
        let items = self.items_since(mark);
        self.cut(mark);
        items
    }

    pub fn lines_since(&self, mark: Mark) -> &[Line] {
        &self.facts.lines()[mark.lines..]
    }

    /// A number of a type: an atom in its range.
    pub fn number(&mut self, universe: &Universe, ty: Ty) -> Result<Sym, Reason> {
        let atom = self.atom();
        self.in_range(universe, ty, &atom)?;
        Ok(Sym::Number(atom))
    }

    /// A number is in the range of its type.
    pub fn in_range(&mut self, universe: &Universe, ty: Ty, number: &Line) -> Result<(), Reason> {
        let Some((min, max)) = universe.range(ty) else { return Ok(()) };
        // The bounds of the widest type are no news for the checker, and would overflow it.
        if min > i128::MIN {
            self.assume(&Item::Line(at_most(&constant(min), number, 0)?))?;
        }
        if max < i128::MAX {
            self.assume(&Item::Line(at_most(number, &constant(max), 0)?))?;
        }
        Ok(())
    }

    pub fn truth(&mut self) -> Result<Sym, Reason> {
        let number = self.atom();
        let (zero, one) = (constant(0), constant(1));
        self.assume(&Item::Line(at_most(&zero, &number, 0)?))?;
        self.assume(&Item::Line(at_most(&number, &one, 0)?))?;
        let yes = vec![Item::Line(at_most(&one, &number, 0)?)];
        let no = vec![Item::Line(at_most(&number, &zero, 0)?)];
        Ok(Sym::Truth(Rc::new(Cond { number: Some(number), yes, no })))
    }

    /// A value of which its type is known.
    pub fn fresh(&mut self, universe: &Universe, ty: Ty) -> Result<Sym, Reason> {
        let mut parts = 0;
        let mut todo = vec![Build::Open(ty)];
        let mut done: Vec<Sym> = Vec::new();
        while let Some(next) = todo.pop() {
            self.work.spend(4)?;
            match next {
                Build::Open(ty) => {
                    parts += 1;
                    if parts > PARTS_MAX {
                        done.push(Sym::Opaque);
                        continue;
                    }
                    match universe.fields(ty) {
                        Some(fields) => {
                            todo.push(Build::Close(ty, fields.len()));
                            todo.extend(fields.into_iter().rev().map(Build::Open));
                        }
                        None => {
                            let leaf = self.leaf(universe, ty)?;
                            done.push(leaf);
                        }
                    }
                }
                Build::Close(ty, count) => {
                    let fields = done.split_off(done.len() - count);
                    if let Kind::Record(_, shape) | Kind::Asset { shape, .. } = universe.kind(ty) {
                        let shape = shape.clone();
                        self.assume_shape(universe, &shape, &fields)?;
                    }
                    done.push(Sym::Fields(Rc::new(fields)));
                }
            }
        }
        Ok(done.pop().unwrap_or(Sym::Opaque))
    }

    fn leaf(&mut self, universe: &Universe, ty: Ty) -> Result<Sym, Reason> {
        Ok(match universe.kind(ty) {
            Kind::Int { .. } | Kind::Dec { .. } | Kind::Time | Kind::Date => self.number(universe, ty)?,
            Kind::Ghost => Sym::Number(self.atom()),
            Kind::Bool => self.truth()?,
            Kind::Party | Kind::Digest | Kind::Id(_) => Sym::Symbol(self.symbol()),
            Kind::Text(max) | Kind::Bytes(max) | Kind::List(_, max) | Kind::Map(_, _, max) => {
                let length = self.atom();
                self.assume(&Item::Line(at_most(&constant(0), &length, 0)?))?;
                self.assume(&Item::Line(at_most(&length, &constant((*max).into()), 0)?))?;
                let symbol = matches!(universe.kind(ty), Kind::Text(_)).then(|| self.symbol());
                let mut sums = BTreeMap::new();
                for (path, of) in summed(universe, ty) {
                    let sum = self.atom();
                    if universe.range(of).is_some_and(|(min, _)| min >= 0) {
                        self.assume(&Item::Line(at_most(&constant(0), &sum, 0)?))?;
                    }
                    sums.insert(path, sum);
                }
                Sym::Sized { symbol, length, sums: Rc::new(sums) }
            }
            _ => Sym::Opaque,
        })
    }

    fn assume_shape(&mut self, universe: &Universe, shape: &Shape, fields: &[Sym]) -> Result<(), Reason> {
        let types: Vec<Ty> = shape.fields.iter().map(|f| f.1).collect();
        self.assume_props(universe, &shape.invariant, &types, fields)
    }

    /// The propositions, of these variables.
    pub fn assume_props(
        &mut self,
        universe: &Universe,
        props: &[Prop],
        types: &[Ty],
        vars: &[Sym],
    ) -> Result<(), Reason> {
        for prop in props {
            match prop {
                Prop::AtMostZero { linear } => {
                    let line = self.line(universe, linear, types, vars)?;
                    self.assume(&Item::Line(line))?;
                }
                Prop::Zero { linear } => {
                    let line = self.line(universe, linear, types, vars)?;
                    for side in equal(&line, &constant(0))? {
                        self.assume(&Item::Line(side))?;
                    }
                }
                Prop::Same { a, b } => {
                    let item = Item::Same(self.symbol_at(vars, a), self.symbol_at(vars, b));
                    self.assume(&item)?;
                }
                Prop::Differ { a, b } => {
                    let item = Item::Differ(self.symbol_at(vars, a), self.symbol_at(vars, b));
                    self.assume(&item)?;
                }
            }
        }
        Ok(())
    }

    /// What is known at a place.
    pub fn at(&self, vars: &[Sym], place: &Place) -> Sym {
        let mut sym = vars.get(usize::from(place.var)).cloned().unwrap_or(Sym::Opaque);
        for field in &place.path {
            sym = match sym {
                Sym::Fields(fields) => fields.get(usize::from(*field)).cloned().unwrap_or(Sym::Opaque),
                _ => Sym::Opaque,
            };
        }
        sym
    }

    /// The symbol at a place; a new one, of which nothing is known, if none is followed there.
    pub fn symbol_at(&mut self, vars: &[Sym], place: &Place) -> Symbol {
        let sym = self.at(vars, place);
        self.symbol_of(&sym)
    }

    pub fn symbol_of(&mut self, sym: &Sym) -> Symbol {
        match sym {
            Sym::Symbol(symbol) | Sym::Sized { symbol: Some(symbol), .. } => *symbol,
            _ => self.symbol(),
        }
    }

    /// The sum, of these variables.
    pub fn line(&mut self, universe: &Universe, linear: &Linear, types: &[Ty], vars: &[Sym]) -> Result<Line, Reason> {
        let mut sum = constant(linear.constant);
        for term in &linear.terms {
            let number = match (&term.measure, self.at(vars, &term.place)) {
                (Measure::Value, Sym::Number(line)) => line,
                (Measure::Value, Sym::Truth(cond)) => match &cond.number {
                    Some(number) => number.clone(),
                    None => self.number_of(&cond)?,
                },
                (Measure::Length, Sym::Sized { length, .. }) => length,
                (Measure::Sum(path), Sym::Sized { sums, .. }) if sums.contains_key(path) => sums[path].clone(),
                _ => {
                    // Not followed: some number, of which the type is known at most.
                    let number = self.atom();
                    let ty = super::resolve::place_ty(universe, types, &term.place)?;
                    if term.measure == Measure::Value {
                        self.in_range(universe, ty, &number)?;
                    }
                    number
                }
            };
            self.work.spend(4 + sum.terms.len() + number.terms.len())?;
            sum = combine(&sum, 1, &number, term.factor)?;
        }
        Ok(sum)
    }

    /// The number of a condition that has none yet. Only lines can be tied to it.
    fn number_of(&mut self, cond: &Cond) -> Result<Line, Reason> {
        let Sym::Truth(fresh) = self.truth()? else { return Ok(self.atom()) };
        let lines = |items: &[Item]| -> Vec<Line> {
            items.iter().filter_map(|i| if let Item::Line(line) = i { Some(line.clone()) } else { None }).collect()
        };
        let side = |mine: &[Item], other: &[Item]| [lines(mine), lines(other)].concat();
        let either = vec![side(&fresh.yes, &cond.yes), side(&fresh.no, &cond.no)];
        self.assume(&Item::Either(either))?;
        fresh.number.clone().ok_or(Reason::TooManyFacts)
    }

    /// What is known of a constant.
    pub fn literal(&mut self, universe: &Universe, ty: Ty, value: &Value) -> Result<Sym, Reason> {
        enum Piece<'v> {
            Open(Ty, &'v Value),
            Close(usize),
            CloseVariant(Ty, u16, usize),
        }
        let mut parts = 0;
        let mut todo = vec![Piece::Open(ty, value)];
        let mut done: Vec<Sym> = Vec::new();
        while let Some(next) = todo.pop() {
            self.work.spend(4)?;
            match next {
                Piece::Open(ty, value) => {
                    parts += 1;
                    if parts > PARTS_MAX {
                        done.push(Sym::Opaque);
                        continue;
                    }
                    match value {
                        Value::Int(n) => done.push(Sym::Number(constant(*n))),
                        Value::Bool(b) => {
                            let (yes, no) = if *b { (vec![], vec![absurd()]) } else { (vec![absurd()], vec![]) };
                            let number = Some(constant((*b).into()));
                            done.push(Sym::Truth(Rc::new(Cond { number, yes, no })));
                        }
                        Value::Party(_) | Value::Digest(_) => {
                            let symbol = self.valued(value);
                            done.push(Sym::Symbol(symbol));
                        }
                        Value::Text(text) => {
                            let symbol = Some(self.valued(value));
                            let length = constant(text.len() as i128);
                            done.push(Sym::Sized { symbol, length, sums: Rc::default() });
                        }
                        Value::Bytes(_) | Value::List(_) | Value::Map(_) => {
                            let length = constant(value.length().unwrap_or(0) as i128);
                            done.push(Sym::Sized { symbol: None, length, sums: Rc::default() });
                        }
                        Value::Fields(values) => {
                            todo.push(Piece::Close(values.len()));
                            let types = universe.fields(ty).unwrap_or_default();
                            todo.extend(types.into_iter().zip(values.iter()).rev().map(|(t, v)| Piece::Open(t, v)));
                        }
                        Value::Variant(variant, values) => {
                            todo.push(Piece::CloseVariant(ty, *variant, values.len()));
                            let types = universe.variants(ty).unwrap_or_default();
                            let types = types.get(usize::from(*variant)).cloned().unwrap_or_default();
                            todo.extend(types.into_iter().zip(values.iter()).rev().map(|(t, v)| Piece::Open(t, v)));
                        }
                        Value::Unit | Value::Hole(_) => done.push(Sym::Opaque),
                    }
                }
                Piece::Close(count) => {
                    let fields = done.split_off(done.len() - count);
                    done.push(Sym::Fields(Rc::new(fields)));
                }
                Piece::CloseVariant(ty, variant, count) => {
                    let fields = done.split_off(done.len() - count);
                    let count = universe.variants(ty).map_or(0, |v| v.len());
                    done.push(known_variant(count, variant, fields));
                }
            }
        }
        Ok(done.pop().unwrap_or(Sym::Opaque))
    }

    fn valued(&mut self, value: &Value) -> Symbol {
        if let Some(symbol) = self.values.get(value) {
            return *symbol;
        }
        let symbol = self.symbol();
        self.values.insert(value.clone(), symbol);
        symbol
    }

    /// Lines that say that two values are the same, as far as numbers go. Symbols that are known to be the same in both are told
    /// apart by the caller.
    pub fn tie(&self, a: &Sym, b: &Sym) -> Result<Vec<Line>, Reason> {
        let mut lines = Vec::new();
        let mut todo = vec![(a.clone(), b.clone())];
        while let Some((a, b)) = todo.pop() {
            self.work.spend(8)?;
            match (&a, &b) {
                (Sym::Number(x), Sym::Number(y)) => lines.extend(equal(x, y)?),
                (Sym::Truth(x), Sym::Truth(y)) => {
                    if let (Some(x), Some(y)) = (&x.number, &y.number) {
                        lines.extend(equal(x, y)?);
                    }
                }
                (Sym::Sized { length: x, sums: s, .. }, Sym::Sized { length: y, sums: t, .. }) => {
                    lines.extend(equal(x, y)?);
                    for (path, x) in s.iter() {
                        if let Some(y) = t.get(path) {
                            lines.extend(equal(x, y)?);
                        }
                    }
                }
                (Sym::Fields(x), Sym::Fields(y)) => todo.extend(x.iter().cloned().zip(y.iter().cloned())),
                _ => {}
            }
        }
        Ok(lines)
    }
}

/// A value known to have this variant.
pub(super) fn known_variant(count: usize, variant: u16, fields: Vec<Sym>) -> Sym {
    let mut fields = Some(fields);
    let arms = (0..count).map(|n| match n == usize::from(variant) {
        true => Arm { fields: fields.take().unwrap_or_default(), facts: Vec::new() },
        false => Arm { fields: Vec::new(), facts: vec![absurd()] },
    });
    Sym::Variant(Rc::new(arms.collect()))
}

/// The numbers in the elements of a list, or values of a map, with their paths; the first few.
pub(super) fn summed(universe: &Universe, ty: Ty) -> Vec<(Vec<u8>, Ty)> {
    let (Kind::List(of, _) | Kind::Map(_, of, _)) = universe.kind(ty) else { return Vec::new() };
    let mut found = Vec::new();
    let mut todo = vec![(Vec::new(), *of)];
    let mut seen = 0;
    while let Some((path, ty)) = todo.pop() {
        seen += 1;
        if seen > PARTS_MAX || found.len() >= SUMS_MAX {
            break;
        }
        if universe.range(ty).is_some() {
            found.push((path, ty));
        } else if let Some(fields) = universe.fields(ty) {
            for (n, field) in fields.into_iter().enumerate().rev() {
                todo.push(([path.as_slice(), &[n as u8]].concat(), field));
            }
        }
    }
    found
}

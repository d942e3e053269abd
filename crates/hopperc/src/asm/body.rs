//! Bodies of functions.

use hopper::ir::{Arith, Block, BlockIx, Const, DateStep, End, HashKind, Op, Relation, Rounding, Type, TypeIx, Var};

use super::lex::Tok;
use super::parse::{Asm, Local, Result};
use super::typing::{Sort, Typ};

/// A body being read.
struct Body {
    function: usize,
    scope: Vec<Local>,
    blocks: Vec<Block>,
    /// The block at hand.
    block: usize,
}

/// A name to be bound, and its type if it stands there.
struct Bind {
    name: Option<String>,
    ty: Option<TypeIx>,
}

/// The types of what a block yields, if it does.
type Yields = Option<Vec<Typ>>;

impl Asm {
    /// The body of a function: blocks, or `;` if there is none.
    pub(super) fn body(&mut self, function: usize) -> Result<()> {
        let scope = self.locals(&self.module.functions[function].params);
        let mut body = Body { function, scope, blocks: Vec::new(), block: 0 };
        if !self.eat(";") {
            if !self.is("{") {
                return self
                    .expected("`{` and the body, or a clause: by, requires, ensures, authority, mints, burns, moves");
            }
            self.block(&mut body)?;
            while self.eat_word("block") {
                body.scope.clear();
                self.block(&mut body)?;
            }
        }
        self.module.functions[function].blocks = body.blocks;
        Ok(())
    }

    /// A block `{ ... }`, or `?n` for one that stands elsewhere.
    fn block(&mut self, body: &mut Body) -> Result<(BlockIx, Yields)> {
        if let Some(raw) = self.raw()? {
            return Ok((raw, None));
        }
        self.expect("{")?;
        let Ok(index) = BlockIx::try_from(body.blocks.len()) else { return self.fail("more than 65536 blocks") };
        body.blocks.push(Block { ops: Vec::new(), end: End::Yield { vars: Vec::new() } });
        let (outer, base) = (body.block, body.scope.len());
        body.block = index.into();
        let yields = self.nested(|asm| asm.block_inside(body))?;
        body.block = outer;
        body.scope.truncate(base);
        Ok((index, yields))
    }

    fn block_inside(&mut self, body: &mut Body) -> Result<Yields> {
        loop {
            if self.eat_word("yield") {
                let mut vars = Vec::new();
                if !self.is("}") {
                    vars.push(self.var(&body.scope)?);
                    while self.eat(",") {
                        vars.push(self.var(&body.scope)?);
                    }
                }
                let types = vars.iter().map(|v| body.scope.get(usize::from(*v)).and_then(|l| l.typ)).collect();
                body.blocks[body.block].end = End::Yield { vars };
                self.close_block()?;
                return Ok(Some(types));
            }
            if self.eat_word("abort") {
                let error = self.own(Sort::Error)?;
                let args = self.args(body)?;
                body.blocks[body.block].end = End::Abort { error, args };
                self.close_block()?;
                return Ok(None);
            }
            if self.is("}") {
                return self.expected("`yield` or `abort` at the end of a block");
            }
            self.statement(body)?;
        }
    }

    fn close_block(&mut self) -> Result<()> {
        if self.eat("}") { Ok(()) } else { self.expected("`}`: yield and abort end a block") }
    }

    fn statement(&mut self, body: &mut Body) -> Result<()> {
        let start = self.pos;
        let mut binds = Vec::new();
        let bound = self.eat_word("let");
        if bound {
            loop {
                let name = self.name("a name, or _")?;
                let ty = if self.eat(":") { Some(self.ty()?) } else { None };
                binds.push(Bind { name: (name != "_").then_some(name), ty });
                if !self.eat(",") {
                    break;
                }
            }
            self.expect("=")?;
        }
        let at = self.pos;
        let (op, constant) = self.op(body, &binds)?;
        let branches = matches!(op, Op::If { .. } | Op::Match { .. });
        if !branches && binds.iter().any(|b| b.ty.is_some()) {
            return self.fail_at(start, "expected no type: only the results of if and match have theirs written");
        }
        let types: Vec<Typ> = body.scope.iter().map(|l| l.typ).collect();
        let constant = constant.and_then(|ty| self.env.own(ty));
        let results = match self.env.results(&op, &types, constant) {
            Some(results) if bound && results.len() != binds.len() => {
                return self.fail_at(
                    start,
                    format!(
                        "{} gives {} results; write as many names, _ for those not needed",
                        op.name(),
                        results.len()
                    ),
                );
            }
            Some(results) => results,
            None => vec![None; binds.len()],
        };
        if matches!(op, Op::Const { .. }) && !self.const_is_raw(at) {
            self.needs.push((body.function, body.block, body.blocks[body.block].ops.len()));
        }
        body.blocks[body.block].ops.push(op);
        let names = binds.into_iter().map(|b| b.name).chain(std::iter::repeat(None));
        let locals = results.into_iter().zip(names).map(|(typ, name)| Local { name, typ });
        body.scope.extend(locals);
        if body.scope.len() > usize::from(u16::MAX) {
            return self.fail_at(start, "more than 65535 variables in scope");
        }
        Ok(())
    }

    /// `const ?n`.
    fn const_is_raw(&self, at: usize) -> bool {
        matches!(self.tok(at + 1), Tok::Sym("?")) && !matches!(self.tok(at + 3), Tok::Sym("(" | ":"))
    }

    fn vars<const N: usize>(&mut self, body: &Body) -> Result<[Var; N]> {
        let mut all = [0; N];
        for v in &mut all {
            *v = self.var(&body.scope)?;
        }
        Ok(all)
    }

    /// `(a, b)`, or nothing.
    fn args(&mut self, body: &Body) -> Result<Vec<Var>> {
        if self.eat("(") { self.items(")", |asm| asm.var(&body.scope)) } else { Ok(Vec::new()) }
    }

    fn typ_of(body: &Body, v: Var) -> Typ {
        body.scope.get(usize::from(v)).and_then(|l| l.typ)
    }

    /// `: Type`.
    fn colon_ty(&mut self) -> Result<TypeIx> {
        self.expect(":")?;
        self.ty()
    }

    /// `Protocol.State`.
    fn protocol_state(&mut self) -> Result<(u16, u16)> {
        let protocol = self.own(Sort::Protocol)?;
        self.expect(".")?;
        Ok((protocol, self.state(Some(protocol))?))
    }

    /// One operation; the type of the constant if it is one.
    #[allow(clippy::too_many_lines, reason = "one arm for each operation")]
    fn op(&mut self, body: &mut Body, binds: &[Bind]) -> Result<(Op, Option<TypeIx>)> {
        let word = match self.peek() {
            Tok::Name(word, false) => word.clone(),
            _ => return self.expected("an operation, as add a b"),
        };
        let at = self.pos;
        self.pos += 1;
        let arith = match word.as_str() {
            "add" => Some(Arith::Add),
            "sub" => Some(Arith::Sub),
            "mul" => Some(Arith::Mul),
            "divfloor" => Some(Arith::DivFloor),
            "divceil" => Some(Arith::DivCeil),
            "mod" => Some(Arith::Mod),
            "min" => Some(Arith::Min),
            "max" => Some(Arith::Max),
            _ => None,
        };
        if let Some(op) = arith {
            let [a, b] = self.vars(body)?;
            return Ok((Op::Arith { op, a, b }, None));
        }
        let relation = match word.as_str() {
            "equal" => Some(Relation::Equal),
            "notequal" => Some(Relation::NotEqual),
            "less" => Some(Relation::Less),
            "atmost" => Some(Relation::AtMost),
            _ => None,
        };
        if let Some(op) = relation {
            let [a, b] = self.vars(body)?;
            return Ok((Op::Compare { op, a, b }, None));
        }
        let op = match word.as_str() {
            "const" => {
                if self.const_is_raw(at) {
                    let constant = self.raw()?.unwrap_or(0);
                    let ty = self.module.constants.get(usize::from(constant)).map(|c| c.ty);
                    return Ok((Op::Const { constant }, ty));
                }
                let constant = self.constant()?;
                let ty = constant.ty;
                return Ok((Op::Const { constant: self.need(constant)? }, Some(ty)));
            }
            "unit" => {
                let ty = self.intern(Type::Unit)?;
                return Ok((Op::Const { constant: self.need(Const { ty, bytes: Vec::new() })? }, Some(ty)));
            }
            "cast" => {
                let [a] = self.vars(body)?;
                Op::Cast { a, ty: self.colon_ty()? }
            }
            "muldiv" => {
                let rounding = match self.name("floor, ceil or halfeven")?.as_str() {
                    "floor" => Rounding::Floor,
                    "ceil" => Rounding::Ceil,
                    "halfeven" => Rounding::HalfEven,
                    _ => return self.fail_at(at + 1, "expected floor, ceil or halfeven after muldiv"),
                };
                let [a, b, c] = self.vars(body)?;
                Op::MulDiv { a, b, c, rounding, ty: self.colon_ty()? }
            }
            "share" => {
                let [a, part, whole] = self.vars(body)?;
                Op::Share { a, part, whole }
            }
            "and" => {
                let [a, b] = self.vars(body)?;
                Op::And { a, b }
            }
            "or" => {
                let [a, b] = self.vars(body)?;
                Op::Or { a, b }
            }
            "not" => {
                let [a] = self.vars(body)?;
                Op::Not { a }
            }
            "length" => {
                let [a] = self.vars(body)?;
                Op::Length { a }
            }
            "concat" => {
                let [a, b] = self.vars(body)?;
                Op::Concat { a, b, ty: self.colon_ty()? }
            }
            "slice" => {
                let [a, from, to] = self.vars(body)?;
                Op::Slice { a, from, to }
            }
            "make" => Op::Make { ty: self.ty()?, args: self.args(body)? },
            "get" => Op::Get { place: self.place(&body.scope)? },
            "unpack" => {
                let [a] = self.vars(body)?;
                Op::Unpack { a }
            }
            "with" => {
                let [a] = self.vars(body)?;
                let (field, _) = self.field(Self::typ_of(body, a))?;
                self.expect("=")?;
                let [value] = self.vars(body)?;
                Op::With { a, field, value }
            }
            "inject" => {
                let ty = self.ty()?;
                self.expect(".")?;
                let variant = self.variant(ty)?;
                Op::Inject { ty, variant, args: self.args(body)? }
            }
            "match" => return Ok((self.match_op(body, binds)?, None)),
            "if" => return Ok((self.if_op(body, binds)?, None)),
            "check" => {
                let [cond] = self.vars(body)?;
                if !self.eat_word("else") {
                    return self.expected("`else` and an error");
                }
                Op::Check { cond, error: self.own(Sort::Error)?, args: self.args(body)? }
            }
            "assert" => Op::Assert { props: self.props_or_none(body)? },
            "ghost" => Op::GhostLet { linear: self.linear(&body.scope)? },
            "list" => Op::List { ty: self.ty()?, items: self.args(body)? },
            "at" => {
                let [list, index] = self.vars(body)?;
                Op::At { list, index }
            }
            "push" => {
                let [list, item] = self.vars(body)?;
                Op::Push { list, item }
            }
            "mapnew" => Op::MapNew { ty: self.ty()? },
            "mapget" => {
                let [map, key] = self.vars(body)?;
                Op::MapGet { map, key }
            }
            "maphas" => {
                let [map, key] = self.vars(body)?;
                Op::MapHas { map, key }
            }
            "mapput" => {
                let [map, key, value] = self.vars(body)?;
                Op::MapPut { map, key, value }
            }
            "maptake" => {
                let [map, key] = self.vars(body)?;
                Op::MapTake { map, key }
            }
            "drop_empty" => {
                let [a] = self.vars(body)?;
                Op::DropEmpty { a }
            }
            "fold" | "iterate" => self.loop_op(body, word == "fold")?,
            "call" => Op::Call { function: self.any(Sort::Function)?, args: self.args(body)? },
            "sha256" => {
                let [a] = self.vars(body)?;
                Op::Hash { kind: HashKind::Sha256, a }
            }
            "verify" => {
                let [key, message, signature] = self.vars(body)?;
                Op::VerifySignature { key, message, signature }
            }
            "dateadd" => {
                let step = match self.name("days or months")?.as_str() {
                    "days" => DateStep::Days,
                    "months" => DateStep::Months,
                    _ => return self.fail_at(at + 1, "expected days or months after dateadd"),
                };
                let [date, count] = self.vars(body)?;
                Op::DateAdd { date, step, count }
            }
            "dateof" => {
                let [time] = self.vars(body)?;
                Op::DateOf { time }
            }
            "authority" => Op::Authority { guard: self.guard(&body.scope)? },
            "require" => Op::Require { guard: self.guard(&body.scope)? },
            "sender" => Op::Sender,
            "now" => Op::Now,
            "command" => Op::CommandDigest,
            "take" => {
                let table = self.own(Sort::Table)?;
                let [key] = self.vars(body)?;
                Op::Take { table, key }
            }
            "put" => {
                let [hole, row] = self.vars(body)?;
                Op::Put { hole, row }
            }
            "close" => {
                let [hole] = self.vars(body)?;
                Op::Close { hole }
            }
            "insert" => {
                let table = self.own(Sort::Table)?;
                let [key, row] = self.vars(body)?;
                Op::Insert { table, key, row }
            }
            "has" => {
                let table = self.own(Sort::Table)?;
                let [key] = self.vars(body)?;
                Op::Has { table, key }
            }
            "peek" => {
                let table = self.own(Sort::Table)?;
                let [key] = self.vars(body)?;
                let row = self.module.tables.get(usize::from(table)).and_then(|t| self.env.own(t.row));
                Op::Peek { table, key, path: self.path(row)?.0 }
            }
            "scan" => {
                let table = self.own(Sort::Table)?;
                let [after] = self.vars(body)?;
                Op::Scan { table, after, ty: self.colon_ty()? }
            }
            "start" => {
                let (protocol, state) = self.protocol_state()?;
                Op::Start { protocol, state, args: self.args(body)? }
            }
            "enter" => {
                let (protocol, state) = self.protocol_state()?;
                let [id] = self.vars(body)?;
                Op::Enter { protocol, state, id }
            }
            "become" => {
                let [hole] = self.vars(body)?;
                let state = if matches!(self.peek_at(1), Tok::Sym(".")) {
                    self.protocol_state()?.1
                } else {
                    let protocol = match self.env.get(Self::typ_of(body, hole)) {
                        Some(Type::InstanceHole { protocol, .. }) => Some(*protocol),
                        _ => None,
                    };
                    self.state(protocol)?
                };
                Op::Become { hole, state, args: self.args(body)? }
            }
            "zero" => Op::Zero { asset: self.any(Sort::Asset)?, args: self.args(body)? },
            "mint" => Op::Mint { asset: self.own(Sort::Asset)?, args: self.args(body)? },
            "burn" => {
                let [a] = self.vars(body)?;
                Op::Burn { a }
            }
            "split" => {
                let [a, n] = self.vars(body)?;
                Op::Split { a, n }
            }
            "join" => {
                let [a, b] = self.vars(body)?;
                Op::Join { a, b }
            }
            "drop_zero" => {
                let [a] = self.vars(body)?;
                Op::DropZero { a }
            }
            "create" => Op::Create { asset: self.own(Sort::Asset)?, args: self.args(body)? },
            "emit" => Op::Emit { event: self.own(Sort::Event)?, args: self.args(body)? },
            _ => {
                return self.fail_at(
                    at,
                    format!(
                        "there is no operation `{word}`; a block holds let, operations as add a b, and yield or abort"
                    ),
                );
            }
        };
        Ok((op, None))
    }

    /// Propositions, or `()` for none.
    fn props_or_none(&mut self, body: &Body) -> Result<Vec<hopper::ir::Prop>> {
        if self.eat("(") {
            self.expect(")")?;
            return Ok(Vec::new());
        }
        self.props(&body.scope)
    }

    fn variant(&mut self, ty: TypeIx) -> Result<u16> {
        if let Some(raw) = self.raw()? {
            return Ok(raw);
        }
        let pos = self.pos;
        let name = self.name("a variant's name, or ?n")?;
        let Some(variants) = self.env.variants(self.env.own(ty)) else {
            return self.fail_at(pos, "this type has no variants that are known here; write ?n");
        };
        match variants.iter().position(|v| v.0 == name).and_then(|n| u16::try_from(n).ok()) {
            Some(n) => Ok(n),
            None => self.fail_at(pos, format!("there is no variant `{name}`; write one that is declared, or ?n")),
        }
    }

    /// Names of a block's first variables, if they stand there: `(a, _, c)`.
    fn params(&mut self) -> Result<Option<Vec<Option<String>>>> {
        if !self.eat("(") {
            return Ok(None);
        }
        let names = self.items(")", |asm| {
            let name = asm.name("a name, or _")?;
            Ok((name != "_").then_some(name))
        })?;
        Ok(Some(names))
    }

    /// Binds a block's first variables, whose types are known or not.
    fn enter(&mut self, body: &mut Body, names: Option<Vec<Option<String>>>, types: Option<Vec<Typ>>) -> Result<()> {
        let count = names.as_ref().map_or(0, Vec::len);
        let types = types.unwrap_or_else(|| vec![None; count]);
        if names.is_some() && count != types.len() {
            return self.fail(format!(
                "this block has {} variables; write as many names, _ for those not needed",
                types.len()
            ));
        }
        let names = names.unwrap_or_default().into_iter().chain(std::iter::repeat(None));
        body.scope.extend(types.into_iter().zip(names).map(|(typ, name)| Local { name, typ }));
        Ok(())
    }

    /// `-> T, U`.
    fn arrow(&mut self) -> Result<Option<Vec<TypeIx>>> {
        if !self.eat("->") {
            return Ok(None);
        }
        let mut types = vec![self.ty()?];
        while self.eat(",") {
            types.push(self.ty()?);
        }
        Ok(Some(types))
    }

    /// The types of the results of `if` and `match`: as written after `->`, with the names, or as the first block yields.
    fn branch_results(
        &mut self,
        at: usize,
        arrow: Option<Vec<TypeIx>>,
        binds: &[Bind],
        yields: &[Yields],
    ) -> Result<Vec<TypeIx>> {
        if let Some(arrow) = arrow {
            return Ok(arrow);
        }
        let first = yields.iter().flatten().next();
        let mut results = Vec::new();
        for (n, bind) in binds.iter().enumerate() {
            let known = first.and_then(|types| types.get(n).copied()).flatten();
            let found = match bind.ty {
                Some(ty) => Some(ty),
                None => self.intern_typ(known, 0)?,
            };
            match found {
                Some(ty) => results.push(ty),
                None => {
                    return self.fail_at(at, "the type of a result is not known here; write it, as let x: Nat8 = ...");
                }
            }
        }
        Ok(results)
    }

    fn if_op(&mut self, body: &mut Body, binds: &[Bind]) -> Result<Op> {
        let at = self.pos - 1;
        let [cond] = self.vars(body)?;
        let arrow = self.arrow()?;
        let (yes, first) = self.block(body)?;
        if !self.eat_word("else") {
            return self.expected("`else` and a block");
        }
        let (no, second) = self.block(body)?;
        let results = self.branch_results(at, arrow, binds, &[first, second])?;
        Ok(Op::If { cond, yes, no, results })
    }

    fn match_op(&mut self, body: &mut Body, binds: &[Bind]) -> Result<Op> {
        let at = self.pos - 1;
        let [a] = self.vars(body)?;
        let arrow = self.arrow()?;
        let variants = self.env.variants(Self::typ_of(body, a));
        self.expect("{")?;
        let (mut arms, mut yields) = (Vec::new(), Vec::new());
        while !self.eat("}") {
            let n = arms.len();
            let variant = variants.as_ref().and_then(|v| v.get(n));
            let pos = self.pos;
            if let Some(raw) = self.raw()? {
                if usize::from(raw) != n {
                    return self.fail_at(pos, format!("arms stand in the order of the variants; expected ?{n}"));
                }
            } else {
                let name = self.name("a variant's name, or ?n")?;
                match (variant, variants.is_some()) {
                    (Some((wanted, _)), _) if *wanted != name => {
                        return self
                            .fail_at(pos, format!("arms stand in the order of the variants; expected `{wanted}`"));
                    }
                    (None, true) => {
                        return self.fail_at(pos, format!("there is no further variant; expected ?{n} or `}}`"));
                    }
                    _ => {}
                }
            }
            let types = variant.map(|(_, fields)| fields.iter().map(|f| f.1).collect());
            let names = self.params()?;
            self.expect("=>")?;
            let base = body.scope.len();
            self.enter(body, names, types)?;
            let (block, types) = self.block(body)?;
            body.scope.truncate(base);
            self.eat(",");
            arms.push(block);
            yields.push(types);
        }
        let results = self.branch_results(at, arrow, binds, &yields)?;
        Ok(Op::Match { a, arms, results })
    }

    fn loop_op(&mut self, body: &mut Body, fold: bool) -> Result<Op> {
        let drain = fold && self.eat_word("drain");
        let [over] = self.vars(body)?;
        let names = self.params()?;
        let init = if self.eat_word("init") { self.args(body)? } else { Vec::new() };
        let accumulators: Vec<Typ> = init.iter().map(|v| Self::typ_of(body, *v)).collect();
        let elements = if fold { self.env.elements(Self::typ_of(body, over)) } else { Some(Vec::new()) };
        let types = match elements {
            Some(elements) => Some(elements.into_iter().chain(accumulators.iter().copied()).collect::<Vec<_>>()),
            None => names.as_ref().map(|names| {
                // How many elements there are is told by the names.
                let before = names.len().saturating_sub(accumulators.len());
                std::iter::repeat_n(None, before).chain(accumulators.iter().copied()).take(names.len()).collect()
            }),
        };
        let base = body.scope.len();
        let mut invariant = Vec::new();
        if self.eat_word("invariant") {
            let all = names.clone().unwrap_or_default();
            let own = all.len().saturating_sub(accumulators.len());
            let own = all.into_iter().skip(own).chain(std::iter::repeat(None));
            body.scope.extend(accumulators.iter().zip(own).map(|(typ, name)| Local { name, typ: *typ }));
            invariant = self.props(&body.scope)?;
            body.scope.truncate(base);
        }
        self.enter(body, names, types)?;
        let (block, _) = self.block(body)?;
        body.scope.truncate(base);
        Ok(if fold {
            Op::Fold { over, drain, init, body: block, invariant }
        } else {
            Op::Iterate { fuel: over, init, body: block, invariant }
        })
    }
}

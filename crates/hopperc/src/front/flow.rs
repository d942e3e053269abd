//! Blocks, patterns, branches, loops.

use std::ops::Range;
use std::rc::Rc;

use hopper::ir::{End, Op, Prop};

use super::body::Body;
use super::module::R;
use super::props::{Repr, Val};
use super::types::{Shape, Ty};
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// Branches of one kind of value whose blocks are being made.
struct Ways {
    base: usize,
    before: Vec<Option<Range<usize>>>,
    /// What is used up at the end of each way that yields.
    gone: Vec<Vec<Option<Range<usize>>>>,
    /// The type that ways yield, once one is known.
    ty: Option<Ty>,
    blocks: Vec<u16>,
}

impl Body<'_> {
    pub fn block(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        self.scoped(|body| {
            let statements: Vec<Node> =
                node.children().filter(|c| matches!(c.kind(), K::LetStmt | K::ExprStmt)).collect();
            let mut last = Val::unit();
            for (n, statement) in statements.iter().enumerate() {
                body.reached(statement)?;
                let end = n + 1 == statements.len();
                if statement.kind() == K::LetStmt {
                    body.let_stmt(statement)?;
                    last = Val::unit();
                } else if let Some(expr) = ast::expr(statement, 0) {
                    last = body.expr(&expr, want.filter(|_| end))?;
                }
            }
            if body.ended() { Ok(Val::never()) } else { Ok(last) }
        })
    }

    fn let_stmt(&mut self, node: &Node) -> R<()> {
        let (Some(pattern), Some(value)) = (ast::pat(node), ast::expr(node, 0)) else { return Ok(()) };
        self.range = ast::span(&value);
        if ast::has_word(node, "ghost") {
            let val = self.ghost(&value)?;
            return self.bind_pattern(&pattern, val);
        }
        let ty = ast::ty(node, 0).map(|t| self.front.ty(&t)).transpose()?;
        let otherwise = ast::exprs(node).into_iter().nth(1);
        let mut val = match (&ty, &otherwise) {
            (Some(ty), None) => self.expr_of(&value, ty)?,
            (Some(ty), Some(_)) => self.expr(&value, Some(&Ty::Option(Box::new(ty.clone()))))?,
            _ => self.expr(&value, None)?,
        };
        if let Some(signal) = otherwise {
            val = self.unwrap(&value, val, &signal)?;
            if let Some(ty) = &ty {
                self.expect(&value, &val, ty)?;
            }
        }
        self.range = ast::span(&value);
        self.bind_pattern(&pattern, val)
    }

    /// What is in an option, or in the one option of a tuple; if there is nothing, the command ends with an error.
    fn unwrap(&mut self, node: &Node, val: Val, signal: &Node) -> R<Val> {
        if let Repr::Parts(parts) = &val.repr {
            let options: Vec<usize> = (0..parts.len()).filter(|n| matches!(parts[*n].ty, Ty::Option(_))).collect();
            if let [at] = options[..] {
                let mut parts = parts.clone();
                parts[at] = self.unwrap(node, parts[at].clone(), signal)?;
                return Ok(Val {
                    ty: Ty::Tuple(parts.iter().map(|p| p.ty.clone()).collect()),
                    repr: Repr::Parts(parts),
                });
            }
        }
        let Ty::Option(of) = val.ty.clone() else {
            return self.fail(node, "`else` opens an option", format!("this is {}", self.show(&val.ty)));
        };
        self.reached(node)?;
        let a = self.take(&val, node)?;
        let range = ast::span(node);
        let none = self.open(&[]);
        let (error, args) = self.signal(signal, Some(signal), true)?;
        self.abort(End::Abort { error, args });
        self.close(Vec::new())?;
        self.range = range.clone();
        let some = self.open(&[((*of).clone(), String::new())]);
        let inner = (self.vars.len() - 1) as u16;
        let inner = self.take_here(&Val::var((*of).clone(), inner))?;
        self.close(vec![inner])?;
        let ty = self.front.intern(&of, &range)?;
        Ok(self.value(Op::Match { a, arms: vec![none, some], results: vec![ty] }, *of))
    }

    pub fn bind_pattern(&mut self, pattern: &Node, val: Val) -> R<()> {
        match pattern.kind() {
            K::WildPat => Ok(()),
            K::NamePat => {
                let name = ast::text(pattern);
                self.note(ast::span(pattern), &val.ty);
                self.name(&name, val);
                Ok(())
            }
            K::TuplePat => {
                let items: Vec<Node> = pattern.children().filter(|c| c.kind().is_pat()).collect();
                let parts = self.parts_of(pattern, val)?;
                if parts.len() != items.len() {
                    return self.fail(
                        pattern,
                        format!("{} names for {} values", items.len(), parts.len()),
                        "as many are wanted",
                    );
                }
                for (item, part) in items.iter().zip(parts) {
                    self.bind_pattern(item, part)?;
                }
                Ok(())
            }
            _ => self.bind_named(pattern, val),
        }
    }

    /// `Account { bal, frozen }` of a record, or of an asset of this module that is not measured, which is destroyed.
    fn bind_named(&mut self, pattern: &Node, val: Val) -> R<()> {
        let name = ast::last_word(pattern).map(|w| w.text().to_owned()).unwrap_or_default();
        let found = self.show(&val.ty);
        let shape = match &val.ty {
            Ty::Record(r) => self.front.world.record(*r).cloned(),
            Ty::Asset(r) => self.front.world.asset(*r).map(|a| a.shape.clone()),
            _ => None,
        };
        let Some(shape) = shape.filter(|s| s.name == name) else {
            return self.fail(pattern, format!("the pattern is `{name}`, the value is {found}"), "they do not fit");
        };
        if let (Ty::Asset(r), Repr::Var(_)) = (&val.ty, &val.repr) {
            let measured = self.front.world.asset(*r).is_some_and(|a| a.measured);
            if measured || r.scope != 0 {
                return self.fail(
                    pattern,
                    "this asset is not taken apart",
                    "only one of this module that is not measured is",
                );
            }
            let index = r.index;
            self.burns.insert(index);
            let a = self.take_here(&val)?;
            let types: Vec<Ty> = shape.fields.iter().map(|f| f.1.clone()).collect();
            let first = self.emit(Op::Unpack { a }, &types);
            let parts = types.into_iter().zip(first..).map(|(ty, var)| Val::var(ty, var)).collect();
            return self.bind_fields(pattern, &shape, parts);
        }
        let parts = self.parts_of(pattern, val)?;
        self.bind_fields(pattern, &shape, parts)
    }

    fn parts_of(&mut self, pattern: &Node, val: Val) -> R<Vec<Val>> {
        let Some(fields) = self.front.world.fields(&val.ty).filter(|_| !matches!(val.ty, Ty::Asset(_))) else {
            if val.ty == Ty::Never {
                return self.fail(pattern, "this is never reached", "the way ended before");
            }
            return self.fail(pattern, "only tuples and records have parts", format!("this is {}", self.show(&val.ty)));
        };
        let val = self.apart(val, "");
        match val.repr {
            Repr::Parts(parts) => Ok(parts),
            _ => {
                let a = self.take_here(&val)?;
                let types: Vec<Ty> = fields.into_iter().map(|f| f.1).collect();
                let first = self.emit(Op::Unpack { a }, &types);
                Ok(types.into_iter().zip(first..).map(|(ty, var)| Val::var(ty, var)).collect())
            }
        }
    }

    /// Names for the fields of a variant or record.
    fn bind_fields(&mut self, pattern: &Node, shape: &Shape, parts: Vec<Val>) -> R<()> {
        let Some(list) = ast::child(pattern, K::VariantPatFields) else {
            if shape.fields.is_empty() || parts.iter().all(|p| !self.linear(&p.ty)) {
                return Ok(());
            }
            return self.fail(pattern, "the assets in it need names", "they would be lost");
        };
        let positional: Vec<Node> = list.children().filter(|c| c.kind().is_pat()).collect();
        if ast::token(&list, K::LParen).is_some() {
            if positional.len() != parts.len() {
                return self.fail(
                    pattern,
                    format!("{} names for {} fields", positional.len(), parts.len()),
                    "as many are wanted",
                );
            }
            for (item, part) in positional.iter().zip(parts) {
                self.bind_pattern(item, part)?;
            }
            return Ok(());
        }
        let rest = ast::child(&list, K::RestPat).is_some();
        let mut seen = Vec::new();
        for field in ast::children(&list, K::FieldPat) {
            let name = ast::word(&field, 0).map(|w| w.text().to_owned()).unwrap_or_default();
            let Some(at) = shape.fields.iter().position(|f| f.0 == name) else {
                return self.fail(&field, format!("`{}` has no field `{name}`", shape.name), "not declared");
            };
            seen.push(at);
            match ast::pat(&field) {
                Some(inner) => self.bind_pattern(&inner, parts[at].clone())?,
                None => {
                    self.note(ast::span(&field), &parts[at].ty);
                    self.name(&name, parts[at].clone());
                }
            }
        }
        let missing: Vec<&str> =
            shape.fields.iter().enumerate().filter(|(n, _)| !seen.contains(n)).map(|(_, f)| f.0.as_str()).collect();
        if !rest && !missing.is_empty() {
            return self.front.fail_help(
                pattern,
                format!("the pattern leaves out {}", missing.join(", ")),
                "not all fields have names",
                "write `..` for the others",
            );
        }
        Ok(())
    }

    // ---- branches

    fn ways(&self, want: Option<&Ty>) -> Ways {
        let base = self.vars.len();
        Ways { base, before: self.gone(base), gone: Vec::new(), ty: want.cloned(), blocks: Vec::new() }
    }

    /// Ends the block of a way.
    fn way(&mut self, ways: &mut Ways, node: &Node, val: &Val) -> R<()> {
        self.range = ast::span(node);
        let mut vars = Vec::new();
        if !self.ended() && val.ty != Ty::Never {
            let ty = ways.ty.get_or_insert_with(|| val.ty.clone()).clone();
            self.expect(node, val, &ty)?;
            vars = self.flat(val)?;
        }
        let yields = self.close(vars)?;
        if yields {
            ways.gone.push(self.gone(ways.base));
        }
        self.restore(&ways.before.clone());
        Ok(())
    }

    /// The variables of a value: none of a unit, one of each item of a tuple, else one.
    fn flat(&mut self, val: &Val) -> R<Vec<u16>> {
        match (&val.ty, &val.repr) {
            (Ty::Unit, _) => Ok(Vec::new()),
            (Ty::Tuple(_), Repr::Parts(parts)) => parts.iter().map(|p| self.take_here(p)).collect(),
            (Ty::Tuple(types), Repr::Var(_)) => {
                let a = self.take_here(val)?;
                let first = self.emit(Op::Unpack { a }, types);
                let vars: Vec<u16> = (first..).take(types.len()).collect();
                for (var, ty) in vars.iter().zip(types) {
                    self.take_here(&Val::var(ty.clone(), *var))?;
                }
                Ok(vars)
            }
            _ => Ok(vec![self.take_here(val)?]),
        }
    }

    /// After the last way: makes the operation, and gives what comes out of it.
    fn meet(&mut self, node: &Node, ways: Ways, op: impl FnOnce(Vec<u16>, Vec<u16>) -> Op) -> R<Val> {
        self.range = ast::span(node);
        self.agree(&ways.gone)?;
        if let Some(gone) = ways.gone.first() {
            self.restore(gone);
        }
        let ty = match ways.ty {
            Some(Ty::Never) | None => Ty::Unit,
            Some(ty) => ty,
        };
        let types = match &ty {
            Ty::Unit => Vec::new(),
            Ty::Tuple(items) => items.clone(),
            ty => vec![ty.clone()],
        };
        let range = self.range.clone();
        let results = types.iter().map(|t| self.front.intern(t, &range)).collect::<R<Vec<u16>>>()?;
        let first = self.emit(op(ways.blocks, results), &types);
        Ok(match &ty {
            Ty::Unit => Val::unit(),
            Ty::Tuple(items) => {
                let parts = items.iter().cloned().zip(first..).map(|(ty, var)| Val::var(ty, var)).collect();
                Val { ty, repr: Repr::Parts(parts) }
            }
            _ => Val::var(ty, first),
        })
    }

    pub fn if_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        self.reached(node)?;
        let parts = ast::exprs(node);
        let (Some(cond), Some(yes)) = (parts.first(), parts.get(1)) else { return Ok(Val::unit()) };
        let cond = self.var_of(cond, &Ty::Bool)?;
        let want = if parts.len() > 2 { want } else { Some(&Ty::Unit) };
        let mut ways = self.ways(want);
        for branch in [Some(yes), parts.get(2)] {
            let block = self.open(&[]);
            ways.blocks.push(block);
            let ty = ways.ty.clone();
            let val = match branch {
                Some(branch) => self.scoped(|body| body.expr(branch, ty.as_ref()))?,
                None => Val::unit(),
            };
            self.way(&mut ways, branch.unwrap_or(node), &val)?;
        }
        self.meet(node, ways, |blocks, results| Op::If { cond, yes: blocks[0], no: blocks[1], results })
    }

    pub fn match_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        self.reached(node)?;
        let Some(of) = ast::expr(node, 0) else { return Ok(Val::unit()) };
        let val = self.expr(&of, None)?;
        let shapes = match &val.ty {
            Ty::Option(of) => vec![
                Shape { name: "None".to_owned(), fields: Vec::new() },
                Shape { name: "Some".to_owned(), fields: vec![("0".to_owned(), (**of).clone())] },
            ],
            Ty::Enum(r) => self.front.world.enumeration(*r).map(|e| e.1.clone()).unwrap_or_default(),
            ty => return self.fail(&of, "an enum or option is wanted", format!("this is {}", self.show(ty))),
        };
        let arms: Vec<Node> =
            ast::child(node, K::MatchArms).map(|a| ast::children(&a, K::MatchArm).collect()).unwrap_or_default();
        for arm in &arms {
            let Some(pattern) = ast::pat(arm) else { continue };
            let name = ast::last_word(&pattern).map(|w| w.text().to_owned()).unwrap_or_default();
            if pattern.kind() == K::VariantPat && !shapes.iter().any(|s| s.name == name) {
                let names: Vec<&str> = shapes.iter().map(|s| s.name.as_str()).collect();
                return self.fail(
                    &pattern,
                    format!("{} has no variant `{name}`", self.show(&val.ty)),
                    format!("it has {}", names.join(", ")),
                );
            }
        }
        let a = self.take(&val, &of)?;
        let mut ways = self.ways(want);
        for shape in &shapes {
            let fits = |arm: &&Node| match ast::pat(arm) {
                Some(pattern) if pattern.kind() == K::VariantPat => {
                    ast::last_word(&pattern).is_some_and(|w| w.text() == shape.name)
                }
                Some(pattern) => matches!(pattern.kind(), K::WildPat | K::NamePat),
                None => false,
            };
            let arms: Vec<Node> = arms.iter().filter(fits).cloned().collect();
            if !arms.iter().any(|arm| guard_of(arm).is_none()) {
                let message = format!("`{}` is not covered", shape.name);
                return self.front.fail_help(
                    node,
                    message,
                    "every variant needs an arm without `if`",
                    format!("add `{} => ...`", pattern_text(shape)),
                );
            }
            self.range = ast::span(&arms[0]);
            let params: Vec<(Ty, String)> = shape.fields.iter().map(|f| (f.1.clone(), String::new())).collect();
            let first = self.vars.len() as u16;
            let block = self.open(&params);
            ways.blocks.push(block);
            let parts: Vec<Val> = shape.fields.iter().zip(first..).map(|(f, var)| Val::var(f.1.clone(), var)).collect();
            let ty = ways.ty.clone();
            let val = self.scoped(|body| body.arms(&arms, shape, &parts, ty.as_ref()))?;
            self.way(&mut ways, &arms[0], &val)?;
        }
        self.meet(node, ways, |arms, results| Op::Match { a, arms, results })
    }

    /// The arms for one variant, one after the other while their conditions fail.
    fn arms(&mut self, arms: &[Node], shape: &Shape, parts: &[Val], want: Option<&Ty>) -> R<Val> {
        let Some((arm, rest)) = arms.split_first() else { return Ok(Val::never()) };
        if let Some(pattern) = ast::pat(arm) {
            self.range = ast::span(&pattern);
            if pattern.kind() == K::VariantPat {
                self.bind_fields(&pattern, shape, parts.to_vec())?;
            }
        }
        let Some(body) = ast::exprs(arm).into_iter().last() else { return Ok(Val::unit()) };
        let Some(cond) = guard_of(arm) else { return self.expr(&body, want) };
        let cond = self.var_of(&cond, &Ty::Bool)?;
        let mut ways = self.ways(want);
        let yes = self.open(&[]);
        ways.blocks.push(yes);
        let val = self.scoped(|inner| inner.expr(&body, want))?;
        self.way(&mut ways, &body, &val)?;
        let no = self.open(&[]);
        ways.blocks.push(no);
        let ty = ways.ty.clone();
        let val = self.scoped(|inner| inner.arms(rest, shape, parts, ty.as_ref()))?;
        self.way(&mut ways, rest.first().unwrap_or(arm), &val)?;
        self.meet(arm, ways, |blocks, results| Op::If { cond, yes: blocks[0], no: blocks[1], results })
    }

    // ---- loops

    /// `fold x in list from (...) { ... }` and `iterate n from (...) { ... }`
    pub fn looping(&mut self, node: &Node) -> R<Val> {
        self.reached(node)?;
        let fold = node.kind() == K::FoldExpr;
        let parts = ast::exprs(node);
        let (Some(over), Some(body)) = (parts.first(), parts.last().filter(|b| b.kind() == K::Block)) else {
            return Ok(Val::unit());
        };
        let drain = ast::has_word(node, "drain");
        let (over_var, elements) = self.gone_through(over, fold, drain)?;
        // The first accumulators.
        let mut names = Vec::new();
        let mut init = Vec::new();
        let mut types = Vec::new();
        let list = ast::child(node, K::Accumulators);
        for acc in list.iter().flat_map(|l| ast::children(l, K::Accumulator)) {
            let words: Vec<_> = ast::tokens(&acc).filter(|t| t.kind() == K::Ident).collect();
            let Some(name) = words.last() else { continue };
            let value = ast::expr(&acc, 0);
            let val = match &value {
                Some(value) if words.len() > 1 => self.ghost(value)?,
                Some(value) => self.expr(value, None)?,
                None => match super::props::lookup(&self.names, name.text()).cloned() {
                    Some(val) => val,
                    None => {
                        return self.fail(
                            &acc,
                            format!("there is no `{}` here", name.text()),
                            "write `name: first value`",
                        );
                    }
                },
            };
            self.range = ast::span(&acc);
            init.push(self.take_here(&val)?);
            self.note(ast::token_span(name), &val.ty);
            types.push(val.ty);
            names.push(name.text().to_owned());
        }
        let base = self.vars.len();
        let invariant = self.invariant(node, &names, &types, base)?;
        // The body: elements and accumulators are its variables.
        let before = self.gone(base);
        self.range = ast::span(node);
        let params: Vec<(Ty, String)> = elements.iter().chain(&types).map(|ty| (ty.clone(), String::new())).collect();
        let block = self.open(&params);
        self.scoped(|inner| {
            let at = |n: usize, ty: &Ty| Val::var(ty.clone(), (base + n) as u16);
            if fold && let Some(pattern) = ast::pat(node) {
                inner.range = ast::span(&pattern);
                match elements.as_slice() {
                    [key, value] => {
                        let pair = vec![at(0, key), at(1, value)];
                        let ty = Ty::Tuple(elements.clone());
                        inner.bind_pattern(&pattern, Val { ty, repr: Repr::Parts(pair) })?;
                    }
                    [element] => inner.bind_pattern(&pattern, at(0, element))?,
                    _ => {}
                }
            }
            for (n, (name, ty)) in names.iter().zip(&types).enumerate() {
                inner.name(name, at(elements.len() + n, ty));
            }
            let mut wants = types.clone();
            if !fold {
                wants.insert(0, Ty::Bool);
            }
            let whole = match wants.as_slice() {
                [] => Ty::Unit,
                [one] => one.clone(),
                _ => Ty::Tuple(wants.clone()),
            };
            let val = match wants.as_slice() {
                [Ty::Ghost] => return inner.fail(body, "a loop with nothing but a ghost does nothing", "leave it out"),
                _ => inner.block(body, Some(&whole))?,
            };
            inner.range = last_span(body);
            let mut vars = Vec::new();
            if !inner.ended() {
                if let Err(told) = inner.expect(body, &val, &whole) {
                    let shown = inner.show(&whole);
                    return Err(Box::new((*told).help(format!("a round ends with the next accumulators: {shown}"))));
                }
                vars = inner.flat(&val)?;
            }
            inner.close(vars).map(drop)
        })?;
        // Nothing of outside is used up in a round.
        for (n, gone) in before.iter().enumerate() {
            if let (None, Some(used)) = (gone, &self.vars[n].gone)
                && self.linear(&self.vars[n].ty)
            {
                let name = &self.vars[n].name;
                let told = Diagnostic::new(
                    self.front.span(used.clone()),
                    format!("`{name}` would be used once a round"),
                    "used here, in a loop",
                );
                return Err(Box::new(
                    told.help("make it an accumulator: `from (acc: it)`, and give it on from round to round"),
                ));
            }
        }
        self.restore(&before);
        self.range = ast::span(node);
        let op = if fold {
            Op::Fold { over: over_var, drain, init, body: block, invariant }
        } else {
            Op::Iterate { fuel: over_var, init, body: block, invariant }
        };
        let first = self.emit(op, &types);
        let mut vals: Vec<Val> = types.iter().cloned().zip(first..).map(|(ty, var)| Val::var(ty, var)).collect();
        Ok(match vals.len() {
            0 => Val::unit(),
            1 => vals.swap_remove(0),
            _ => Val { ty: Ty::Tuple(types), repr: Repr::Parts(vals) },
        })
    }

    /// What a loop goes through, and the types of its elements.
    fn gone_through(&mut self, over: &Node, fold: bool, drain: bool) -> R<(u16, Vec<Ty>)> {
        if !fold {
            let val = self.expr(over, Some(&Ty::NAT32))?;
            if !matches!(val.ty, Ty::Int { signed: false, bits: 8 | 16 | 32 }) {
                return self.front.fail_help(
                    over,
                    "fuel is a Nat32 or smaller",
                    format!("this is {}", self.show(&val.ty)),
                    "write `n as Nat32`",
                );
            }
            return Ok((self.take(&val, over)?, Vec::new()));
        }
        let (var, ty) = if drain {
            let val = self.expr(over, None)?;
            (self.take(&val, over)?, val.ty)
        } else {
            self.look(over, None)?
        };
        let elements = match &ty {
            Ty::List(of, _) => vec![(**of).clone()],
            Ty::Map(key, value, _) => vec![(**key).clone(), (**value).clone()],
            ty => return self.fail(over, "a list or map is wanted", format!("this is {}", self.show(ty))),
        };
        if !drain && elements.iter().any(|ty| self.linear(ty)) {
            return self.front.fail_help(
                over,
                "assets are not looked at in a loop",
                format!("the elements are {}", self.show(elements.last().unwrap_or(&ty))),
                "go through it with `in drain`, and build it again in an accumulator",
            );
        }
        Ok((var, elements))
    }

    /// What holds of the accumulators in every round: they are the variables from the first free level on.
    fn invariant(&self, node: &Node, names: &[String], types: &[Ty], base: usize) -> R<Vec<Prop>> {
        let mut scope = (*Rc::clone(&self.names)).clone();
        for (n, (name, ty)) in names.iter().zip(types).enumerate() {
            scope.push((name.clone(), Val::var(ty.clone(), (base + n) as u16)));
        }
        let mut invariant = Vec::new();
        for claim in ast::clauses(node, "invariant").iter().filter_map(|c| ast::expr(c, 0)) {
            invariant.extend(self.front.props(&scope, &claim)?);
        }
        Ok(invariant)
    }
}

/// The condition of an arm.
fn guard_of(arm: &Node) -> Option<Node> {
    ast::has_word(arm, "if").then(|| ast::expr(arm, 0)).flatten()
}

fn pattern_text(shape: &Shape) -> String {
    match shape.fields.len() {
        0 => shape.name.clone(),
        1 if shape.name == "Some" => "Some(x)".to_owned(),
        _ => format!("{} {{ .. }}", shape.name),
    }
}

/// Where a block's last statement is.
fn last_span(block: &Node) -> Range<usize> {
    let last = block.children().filter(|c| matches!(c.kind(), K::LetStmt | K::ExprStmt)).last();
    ast::span(last.as_ref().unwrap_or(block))
}

//! Expressions: types go down where they are known and come up where they are not; operations come out in A-normal form.

use std::rc::Rc;

use hopper::ir::{Arith, End, GuardNode, Op, Place, Relation, limits};

use super::body::Body;
use super::module::{R, nearest};
use super::props::{Repr, Val, field_names, lookup};
use super::types::Ty;
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

impl Body<'_> {
    /// An expression of a type that is known or not.
    pub fn expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        if self.vars.len() > limits::SCOPE_MAX {
            return self.front.fail_help(
                node,
                format!("more than {} values are at hand at once", limits::SCOPE_MAX),
                "this is one too many",
                "make functions of parts of it",
            );
        }
        let before = self.range.clone();
        self.range = ast::span(node);
        let val = self.expr_of_kind(node, want);
        self.range = before;
        val
    }

    /// An expression of exactly this type.
    pub fn expr_of(&mut self, node: &Node, want: &Ty) -> R<Val> {
        let val = self.expr(node, Some(want))?;
        self.expect(node, &val, want)?;
        Ok(val)
    }

    pub fn expect(&self, node: &Node, val: &Val, want: &Ty) -> R<()> {
        if val.ty == *want || val.ty == Ty::Never {
            return Ok(());
        }
        let (found, wanted) = (self.show(&val.ty), self.show(want));
        let mut told = Diagnostic::new(
            self.front.at(node),
            format!("expected {wanted}, found {found}"),
            format!("this is {found}"),
        );
        if matches!((&val.ty, want), (Ty::Int { .. }, Ty::Int { .. })) {
            told = told.help(format!("write `{} as {wanted}`; what does not fit aborts", ast::text(node)));
        } else if *want == Ty::Option(Box::new(val.ty.clone())) {
            told = told.help(format!("write `Some({})`", ast::text(node)));
        } else if val.ty == Ty::Option(Box::new(want.clone())) {
            told = told.help("open the option: `let x = ... else Missing`, or with `match`");
        }
        Err(Box::new(told))
    }

    /// An expression in one variable, of exactly this type.
    pub fn var_of(&mut self, node: &Node, want: &Ty) -> R<u16> {
        let val = self.expr_of(node, want)?;
        self.take(&val, node)
    }

    /// An expression in one variable, looked at only.
    pub fn look(&mut self, node: &Node, want: Option<&Ty>) -> R<(u16, Ty)> {
        let val = self.expr(node, want)?;
        self.range = ast::span(node);
        match val.repr {
            Repr::Var(var) => {
                self.still_there(var)?;
                Ok((var, val.ty))
            }
            _ if self.linear(&val.ty) => self.fail(node, "this is in parts here", "name one of its fields"),
            _ => Ok((self.take(&val, node)?, val.ty)),
        }
    }

    fn expr_of_kind(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        match node.kind() {
            K::Literal => self.literal(node, want, false),
            K::NameExpr => self.name_expr(node, want),
            K::RoleExpr => self.front.fail_help(
                node,
                "which party a role is, is not known to the code",
                "a role stands in guards only",
                "put it into `by`, `require` or `auth(...)`",
            ),
            K::FieldExpr => self.field_expr(node, want),
            K::ParenExpr => match ast::expr(node, 0) {
                Some(inner) => self.expr(&inner, want),
                None => Ok(Val::unit()),
            },
            K::TupleExpr => self.tuple(node, want),
            K::ListExpr => self.list(node, want),
            K::PrefixExpr => self.prefix(node, want),
            K::BinExpr => self.binary(node, want),
            K::CastExpr => self.cast(node),
            K::CallExpr => self.call_expr(node, want),
            K::StructExpr => self.struct_expr(node, want),
            K::WithExpr => self.with_expr(node, want),
            K::Block => self.block(node, want),
            K::IfExpr => self.if_expr(node, want),
            K::MatchExpr => self.match_expr(node, want),
            K::CheckExpr => self.check(node),
            K::AbortExpr => {
                self.reached(node)?;
                let signal = ast::expr(node, 0);
                let (error, args) = self.signal(node, signal.as_ref(), true)?;
                self.abort(End::Abort { error, args });
                Ok(Val::never())
            }
            K::EmitExpr => {
                let signal = ast::expr(node, 0);
                let (event, args) = self.signal(node, signal.as_ref(), false)?;
                self.emit(Op::Emit { event, args }, &[]);
                Ok(Val::unit())
            }
            K::AssertExpr => {
                let Some(claim) = ast::expr(node, 0) else { return Ok(Val::unit()) };
                let props = self.front.props(&self.names, &claim)?;
                self.emit(Op::Assert { props }, &[]);
                Ok(Val::unit())
            }
            K::RequireExpr => {
                let Some(guard) = ast::expr(node, 0) else { return Ok(Val::unit()) };
                self.no_ambient(node)?;
                let guard = self.front.guard(&self.names, &guard)?;
                self.emit(Op::Require { guard }, &[]);
                Ok(Val::unit())
            }
            K::ChangeExpr => self.change(node, want),
            K::PutExpr => self.put(node),
            K::CloseExpr => self.close_row(node),
            K::InsertExpr => self.insert(node),
            K::PeekExpr => self.peek(node),
            K::ExistsExpr => self.exists(node),
            K::FoldExpr | K::IterateExpr => self.looping(node),
            K::IndexExpr => self.front.fail_help(
                node,
                "brackets after a name stand for rows of a table, and a row is not read like this",
                "here",
                "`change t[k] as row { ... }`, `peek t[k].field`, `exists t[k]`; of a list, `l.at(n)`",
            ),
            K::TryExpr => self.fail(node, "`?` stands in guards only", "here"),
            _ => self.fail(node, "an expression is wanted", "this is none"),
        }
    }

    /// A public function takes what its caller has shown, and does not ask on its own.
    fn no_ambient(&self, node: &Node) -> R<()> {
        if self.kind != hopper::ir::FunctionKind::Public {
            return Ok(());
        }
        self.front.fail_help(
            node,
            "a public function does not ask who signed",
            "code of others would act on signatures that were not meant for it",
            "say in the signature whose authority is needed: `requires auth(p)`",
        )
    }

    // ---- names, fields

    fn name_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let name = ast::text(node);
        if let Some(val) = lookup(&self.names, &name) {
            return Ok(val.clone());
        }
        if let Some((ty, value)) = self.front.consts.get(&name).cloned() {
            return self.expr_of(&value, &ty);
        }
        if name == "None" {
            return match want {
                Some(ty @ Ty::Option(_)) => self.inject(node, &ty.clone(), 0, Vec::new()),
                _ => self.front.fail_help(
                    node,
                    "the type of this `None` is not known",
                    "here",
                    "write `let x: Option<T> = None`",
                ),
            };
        }
        if let Some(state) = self.state_named(&name) {
            return self.become_state(node, state, &[], &[]);
        }
        if let Some((ty, variant)) = self.variant_named(std::slice::from_ref(&name), want) {
            return self.variant(node, &ty, variant, &[]);
        }
        self.front.unknown_name(&self.names, node)
    }

    fn field_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        // `Holding.Nobody`
        let path: Vec<String> = ast::text(node).split('.').map(|p| p.trim().to_owned()).collect();
        let local = path.first().is_some_and(|p| lookup(&self.names, p).is_some());
        if !local && let Some((ty, variant)) = self.variant_named(&path, want) {
            return self.variant(node, &ty, variant, &[]);
        }
        let names = self.names.clone();
        let Some(base) = ast::expr(node, 0) else { return self.fail(node, "a value is wanted", "before the dot") };
        let spot = match self.front.spot(&names, node)? {
            Some(spot) => spot,
            None => {
                // Of something computed: its field is looked at, and it must go on from there itself if it is an asset.
                let val = self.expr(&base, None)?;
                let val = match val.repr {
                    Repr::Var(_) | Repr::Parts(_) => val,
                    Repr::Unit => return self.front.no_field(node, &val.ty, &field_names(node).join(".")),
                };
                return self.field_of(node, &val, &field_names(node));
            }
        };
        if let (Repr::Var(var), false) = (&spot.val.repr, spot.path.is_empty()) {
            self.still_there(*var)?;
            if self.linear(&spot.ty) {
                return self.front.fail_help(
                    node,
                    "an asset does not leave what it is a part of",
                    format!("this is {}", self.show(&spot.ty)),
                    "take the whole apart: `let Name { a, b } = whole`",
                );
            }
            let place = Place { var: *var, path: spot.path };
            return Ok(self.value(Op::Get { place }, spot.ty));
        }
        Ok(spot.val)
    }

    fn field_of(&mut self, node: &Node, val: &Val, fields: &[String]) -> R<Val> {
        let mut at = val.clone();
        for name in fields {
            let Some((n, ty)) = self.front.world.field(&at.ty, name) else {
                return self.front.no_field(node, &at.ty, name);
            };
            at = match at.repr {
                Repr::Parts(parts) => parts.into_iter().nth(usize::from(n)).unwrap_or_else(Val::unit),
                Repr::Var(var) if !self.linear(&ty) => self.value(Op::Get { place: Place { var, path: vec![n] } }, ty),
                _ => {
                    return self.fail(
                        node,
                        "an asset does not leave what it is a part of",
                        "give the whole a name with `let`",
                    );
                }
            };
        }
        Ok(at)
    }

    // ---- compounds

    fn tuple(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let items = ast::exprs(node);
        if items.is_empty() {
            return Ok(Val::unit());
        }
        let wants: Vec<Option<Ty>> = match want {
            Some(Ty::Tuple(types)) if types.len() == items.len() => types.iter().cloned().map(Some).collect(),
            _ => vec![None; items.len()],
        };
        let mut parts = Vec::new();
        for (item, want) in items.iter().zip(wants) {
            parts.push(match &want {
                Some(Ty::Ghost) => self.ghost(item)?,
                Some(ty) => self.expr_of(item, ty)?,
                None => self.expr(item, None)?,
            });
        }
        Ok(Val { ty: Ty::Tuple(parts.iter().map(|p| p.ty.clone()).collect()), repr: Repr::Parts(parts) })
    }

    fn list(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let items = ast::exprs(node);
        let mut of = match want {
            Some(Ty::List(of, _)) => Some((**of).clone()),
            _ => None,
        };
        let mut vars = Vec::new();
        for item in &items {
            let val = match &of {
                Some(ty) => self.expr_of(item, ty)?,
                None => self.expr(item, None)?,
            };
            of = Some(val.ty.clone());
            vars.push(self.take(&val, item)?);
        }
        let Some(of) = of else {
            return self.front.fail_help(
                node,
                "the type of this list is not known",
                "it has no elements",
                "write `let l: [T; 10] = []`",
            );
        };
        let max = match want {
            Some(Ty::List(_, max)) => *max,
            _ => items.len() as u32,
        };
        let ty = Ty::List(Box::new(of), max);
        let range = ast::span(node);
        self.range = range.clone();
        let index = self.front.intern(&ty, &range)?;
        Ok(self.value(Op::List { ty: index, items: vars }, ty))
    }

    // ---- operators

    fn prefix(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let Some(inner) = ast::expr(node, 0) else { return self.fail(node, "a value is wanted", "here") };
        if ast::operator(node) == Some(K::Bang) {
            let a = self.var_of(&inner, &Ty::Bool)?;
            return Ok(self.value(Op::Not { a }, Ty::Bool));
        }
        if inner.kind() == K::Literal {
            return self.literal(&inner, want, true);
        }
        let val = self.expr(&inner, want)?;
        let b = self.take(&val, &inner)?;
        let zero = self.number(&inner, 0, &val.ty)?;
        let a = self.take(&zero, &inner)?;
        Ok(self.value(Op::Arith { op: Arith::Sub, a, b }, val.ty))
    }

    /// Two operands of one type: that of the one that knows its own.
    pub fn pair(&mut self, left: &Node, right: &Node, want: Option<&Ty>) -> R<(u16, u16, Ty)> {
        if vague(left) && !vague(right) {
            let b = self.expr(right, want)?;
            let a = self.expr_of(left, &b.ty)?;
            return Ok((self.take(&a, left)?, self.take(&b, right)?, b.ty));
        }
        let a = self.expr(left, want)?;
        let x = self.take(&a, left)?;
        let b = self.expr_of(right, &a.ty)?;
        Ok((x, self.take(&b, right)?, a.ty))
    }

    fn binary(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let (Some(left), Some(right), Some(op)) = (ast::expr(node, 0), ast::expr(node, 1), ast::operator(node)) else {
            return self.fail(node, "an operand is missing", "here");
        };
        let arith = |op| Some(op);
        let arith = match op {
            K::Plus => arith(Arith::Add),
            K::Minus => arith(Arith::Sub),
            K::Star => arith(Arith::Mul),
            K::Slash => arith(Arith::DivFloor),
            K::Percent => arith(Arith::Mod),
            _ => None,
        };
        if let Some(op) = arith {
            let want = want.filter(|t| t.is_number());
            let (a, b, ty) = if matches!(op, Arith::Add | Arith::Sub) && !vague(&left) {
                let val = self.expr(&left, want)?;
                let a = self.take(&val, &left)?;
                if val.ty == Ty::Time {
                    return self.later(node, a, &right, op);
                }
                (a, self.var_of(&right, &val.ty)?, val.ty)
            } else {
                self.pair(&left, &right, want)?
            };
            let whole = matches!(ty, Ty::Int { .. });
            let sum = matches!(ty, Ty::Dec(_)) && matches!(op, Arith::Add | Arith::Sub);
            if !whole && !sum {
                return self.fail(node, format!("{} has no such arithmetic", self.show(&ty)), "numbers have");
            }
            self.range = ast::span(node);
            return Ok(self.value(Op::Arith { op, a, b }, ty));
        }
        if matches!(op, K::AndAnd | K::OrOr) {
            let (a, b) = (self.var_of(&left, &Ty::Bool)?, self.var_of(&right, &Ty::Bool)?);
            self.range = ast::span(node);
            let op = if op == K::AndAnd { Op::And { a, b } } else { Op::Or { a, b } };
            return Ok(self.value(op, Ty::Bool));
        }
        let (a, b, ty) = self.pair(&left, &right, None)?;
        if self.linear(&ty) {
            return self.fail(node, "assets are not compared", "compare their amounts");
        }
        let (relation, a, b) = match op {
            K::EqEq => (Relation::Equal, a, b),
            K::NotEq => (Relation::NotEqual, a, b),
            K::Lt => (Relation::Less, a, b),
            K::LtEq => (Relation::AtMost, a, b),
            K::Gt => (Relation::Less, b, a),
            _ => (Relation::AtMost, b, a),
        };
        if matches!(relation, Relation::Less | Relation::AtMost) && !ty.is_number() {
            return self.fail(node, format!("{} has no order", self.show(&ty)), "numbers, times and dates have");
        }
        self.range = ast::span(node);
        Ok(self.value(Op::Compare { op: relation, a, b }, Ty::Bool))
    }

    /// A time and a duration: `deadline + 30d`.
    fn later(&mut self, node: &Node, time: u16, duration: &Node, op: Arith) -> R<Val> {
        let b = self.var_of(duration, &Ty::NAT64)?;
        let range = ast::span(node);
        self.range = range.clone();
        let (nat, ty) = (self.front.intern(&Ty::NAT64, &range)?, self.front.intern(&Ty::Time, &range)?);
        let a = self.emit(Op::Cast { a: time, ty: nat }, &[Ty::NAT64]);
        let sum = self.emit(Op::Arith { op, a, b }, &[Ty::NAT64]);
        Ok(self.value(Op::Cast { a: sum, ty }, Ty::Time))
    }

    fn cast(&mut self, node: &Node) -> R<Val> {
        let (Some(inner), Some(ty)) = (ast::expr(node, 0), ast::ty(node, 0)) else {
            return self.fail(node, "a type is wanted", "after `as`");
        };
        let ty = self.front.ty(&ty)?;
        let literal = ast::bare(&inner).kind() == K::Literal;
        let val = self.expr(&inner, Some(&ty).filter(|_| literal))?;
        if val.ty == ty {
            return Ok(val);
        }
        let fits = |a: &Ty, b: &Ty| match (a, b) {
            (Ty::Int { .. } | Ty::Dec(_), Ty::Int { .. }) => true,
            (Ty::Time, other) => *other == Ty::NAT64,
            (Ty::Date, other) => *other == Ty::INT32,
            _ => false,
        };
        if !fits(&val.ty, &ty) && !fits(&ty, &val.ty) {
            let message = format!("{} does not turn into {}", self.show(&val.ty), self.show(&ty));
            return self.fail(node, message, "numbers do; Dec and Int; Time and Nat64; Date and Int32");
        }
        let a = self.take(&val, &inner)?;
        let range = ast::span(node);
        self.range = range.clone();
        let index = self.front.intern(&ty, &range)?;
        Ok(self.value(Op::Cast { a, ty: index }, ty))
    }

    // ---- checks

    fn check(&mut self, node: &Node) -> R<Val> {
        let (Some(cond), signal) = (ast::expr(node, 0), ast::expr(node, 1)) else { return Ok(Val::unit()) };
        let cond = self.var_of(&cond, &Ty::Bool)?;
        let (error, args) = self.signal(node, signal.as_ref(), true)?;
        self.range = ast::span(node);
        self.emit(Op::Check { cond, error, args }, &[]);
        Ok(Val::unit())
    }

    /// An error or event with its fields, which are looked at.
    pub fn signal(&mut self, node: &Node, signal: Option<&Node>, error: bool) -> R<(u16, Vec<u16>)> {
        let what = if error { "error" } else { "event" };
        let Some(signal) = signal else { return self.fail(node, format!("an {what} is wanted"), "here") };
        let head = if signal.kind() == K::StructExpr { ast::expr(signal, 0) } else { Some(signal.clone()) };
        let name = head.map(|h| ast::text(&h)).unwrap_or_default();
        let own = self.front.world.own();
        let list = if error { &own.errors } else { &own.events };
        let Some(at) = list.iter().position(|s| s.name == name) else {
            let near = nearest(&name, list.iter().map(|s| s.name.as_str())).map(|n| format!("did you mean `{n}`?"));
            let help = near.unwrap_or_else(|| format!("declare it: `{what} {name}`"));
            return self.front.fail_help(signal, format!("there is no {what} `{name}`"), "not declared", help);
        };
        let shape = list[at].clone();
        let args = self.given(signal, &shape, &ast::struct_fields(signal))?;
        Ok((at as u16, args))
    }

    /// Whether a guard is satisfied.
    pub fn authority(&mut self, node: &Node, guard: &Node) -> R<Val> {
        let guard = self.front.guard(&self.names, guard)?;
        if guard
            .iter()
            .any(|n| !matches!(n, GuardNode::After { .. } | GuardNode::Before { .. } | GuardNode::AtLeast { .. }))
        {
            self.no_ambient(node)?;
        }
        Ok(self.value(Op::Authority { guard }, Ty::Bool))
    }

    /// Runs something in a scope of names of its own.
    pub fn scoped<T>(&mut self, inner: impl FnOnce(&mut Self) -> R<T>) -> R<T> {
        let names = Rc::clone(&self.names);
        let done = inner(self);
        self.names = names;
        done
    }
}

/// Its type is that of what stands beside it.
fn vague(node: &Node) -> bool {
    let node = ast::bare(node);
    let literal =
        |n: &Node| matches!(n.kind(), K::Literal | K::ListExpr) || n.kind() == K::NameExpr && ast::text(n) == "None";
    literal(&node) || node.kind() == K::PrefixExpr && ast::expr(&node, 0).is_some_and(|n| literal(&n))
}

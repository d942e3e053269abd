//! Expressions: types go down where they are known and come up where they are not; operations come out in A-normal form.

use std::rc::Rc;

use hopper::ir::{Arith, End, GuardNode, Op, Place, Relation};

use super::body::Body;
use super::module::{Declared, R, duration, nearest, number};
use super::props::{Repr, Val, field_names, lookup};
use super::types::{Shape, Ty};
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, Token, ast};

impl Body<'_> {
    /// An expression of a type that is known or not.
    pub fn expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
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
        let mut told = Diagnostic::new(self.front.at(node), format!("expected {wanted}, found {found}"), format!("this is {found}"));
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

    // ---- literals

    pub fn constant(&mut self, ty: &Ty, bytes: Vec<u8>) -> R<Val> {
        let range = self.range.clone();
        let constant = self.front.constant(ty, bytes, &range)?;
        Ok(self.value(Op::Const { constant }, ty.clone()))
    }

    pub fn bool(&mut self, truth: bool) -> R<Val> {
        self.constant(&Ty::Bool, vec![u8::from(truth)])
    }

    /// A number of a type.
    pub fn number(&mut self, node: &Node, n: i128, ty: &Ty) -> R<Val> {
        let (signed, bits) = match ty {
            Ty::Int { signed, bits } => (*signed, *bits),
            Ty::Dec(_) => (true, 128),
            Ty::Time => (false, 64),
            Ty::Date => (true, 32),
            _ => return self.fail(node, format!("expected {}, found a number", self.show(ty)), "this is a number"),
        };
        let fits = hopper::types::int_range(signed, bits).filter(|(min, max, _)| n >= *min && n <= *max);
        let Some((_, _, bytes)) = fits else {
            return self.fail(node, format!("{n} is no {}", self.show(ty)), "it does not fit");
        };
        // Big endian; signed numbers with the top bit turned over, so that bytes sort as numbers do.
        let mut all = n.to_be_bytes();
        if signed {
            all[16 - usize::from(bytes)] ^= 0x80;
        }
        self.constant(ty, all[16 - usize::from(bytes)..].to_vec())
    }

    fn literal(&mut self, node: &Node, want: Option<&Ty>, minus: bool) -> R<Val> {
        let Some(token) = ast::tokens(node).next() else { return self.fail(node, "a literal is wanted", "here") };
        let text = token.text();
        let sign = |n: i128| if minus { -n } else { n };
        match token.kind() {
            K::Ident => self.bool(text == "true"),
            K::Number => {
                let Some(n) = number(text) else { return self.fail(node, "the number is beyond 2^127", "here") };
                match want {
                    Some(ty @ (Ty::Int { .. } | Ty::Time)) => self.number(node, sign(n), &ty.clone()),
                    Some(Ty::Dec(_)) => self.decimal(node, text, minus, want),
                    Some(Ty::Ghost) => self.ghost(node),
                    Some(ty) if *ty != Ty::Never => {
                        self.fail(node, format!("expected {}, found a number", self.show(ty)), "this is a number")
                    }
                    _ if minus => self.number(node, sign(n), &Ty::Int { signed: true, bits: 64 }),
                    _ => self.number(node, n, &Ty::NAT64),
                }
            }
            K::Decimal => self.decimal(node, text, minus, want),
            K::Duration => match duration(text) {
                Some(n) => {
                    let ty = want.filter(|t| matches!(t, Ty::Int { .. })).cloned().unwrap_or(Ty::NAT64);
                    self.number(node, i128::from(n), &ty)
                }
                None => self.fail(node, "the duration is too long", "beyond 2^64 milliseconds"),
            },
            K::Date => match days(text) {
                Some(n) => self.number(node, i128::from(n), &Ty::Date),
                None => self.fail(node, "there is no such date", "year-month-day is wanted"),
            },
            K::Text => {
                let bytes = unescape(text);
                let ty = match want {
                    Some(ty @ Ty::Text(max)) if bytes.len() as u64 <= u64::from(*max) => ty.clone(),
                    Some(Ty::Text(max)) => return self.fail(node, format!("longer than {max} bytes"), format!("{} bytes", bytes.len())),
                    _ => Ty::Text(bytes.len() as u32),
                };
                self.constant(&ty, with_length(bytes.as_bytes()))
            }
            K::HexBytes => {
                let digits: Vec<u8> = text.bytes().skip(2).filter_map(|b| (b as char).to_digit(16)).map(|d| d as u8).collect();
                if digits.len() % 2 != 0 {
                    return self.fail(node, "bytes have two digits each", "one digit is left over");
                }
                let bytes: Vec<u8> = digits.chunks(2).map(|d| d[0] * 16 + d[1]).collect();
                match want {
                    Some(Ty::Digest) if bytes.len() == 32 => self.constant(&Ty::Digest, bytes),
                    Some(ty @ Ty::Bytes(max)) if bytes.len() as u64 <= u64::from(*max) => self.constant(&ty.clone(), with_length(&bytes)),
                    _ => self.constant(&Ty::Bytes(bytes.len() as u32), with_length(&bytes)),
                }
            }
            _ => self.fail(node, "a literal is wanted", "here"),
        }
    }

    fn decimal(&mut self, node: &Node, text: &str, minus: bool, want: Option<&Ty>) -> R<Val> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let places = match want {
            Some(Ty::Dec(places)) => usize::from(*places),
            _ => part.len(),
        };
        if part.len() > places || places > 18 {
            return self.fail(node, format!("more than {places} digits after the point"), "nothing is rounded silently");
        }
        let digits = format!("{whole}{part}{}", "0".repeat(places - part.len()));
        match number(&digits) {
            Some(n) => self.number(node, if minus { -n } else { n }, &Ty::Dec(places as u8)),
            None => self.fail(node, "the number is beyond 2^127", "here"),
        }
    }

    /// A number that stands in proofs only.
    pub fn ghost(&mut self, node: &Node) -> R<Val> {
        let linear = self.front.linear(&self.names, node)?;
        Ok(self.value(Op::GhostLet { linear }, Ty::Ghost))
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
                _ => self.front.fail_help(node, "the type of this `None` is not known", "here", "write `let x: Option<T> = None`"),
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
                let holder = vec![(String::new(), val)];
                return self.field_of(node, &holder[0].1.clone(), &field_names(node));
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
                _ => return self.fail(node, "an asset does not leave what it is a part of", "give the whole a name with `let`"),
            };
        }
        Ok(at)
    }

    /// The enum or option and variant that a path names.
    fn variant_named(&self, path: &[String], want: Option<&Ty>) -> Option<(Ty, u16)> {
        if let (Some(Ty::Enum(r)), [name]) = (want, path)
            && let Some((_, variants)) = self.front.world.enumeration(*r)
            && let Some(n) = variants.iter().position(|v| v.name == *name)
        {
            return Some((Ty::Enum(*r), n as u16));
        }
        match self.front.declared(path)? {
            Declared::Variant(r, n) => Some((Ty::Enum(r), n)),
            Declared::Type(_) => None,
        }
    }

    fn variant(&mut self, node: &Node, ty: &Ty, variant: u16, given: &[(Token, Option<Node>)]) -> R<Val> {
        let Ty::Enum(r) = ty else { return self.fail(node, "an enum is wanted", "here") };
        let shape = self.front.world.enumeration(*r).and_then(|e| e.1.get(usize::from(variant))).cloned().unwrap_or_default();
        let args = self.given(node, &shape, given)?;
        self.inject(node, ty, variant, args)
    }

    pub fn inject(&mut self, node: &Node, ty: &Ty, variant: u16, args: Vec<u16>) -> R<Val> {
        let range = ast::span(node);
        self.range = range.clone();
        let index = self.front.intern(ty, &range)?;
        Ok(self.value(Op::Inject { ty: index, variant, args }, ty.clone()))
    }

    /// The values given for the fields of something, in the order of the fields.
    pub fn given(&mut self, node: &Node, shape: &Shape, given: &[(Token, Option<Node>)]) -> R<Vec<u16>> {
        let vals = self.given_vals(node, shape, given)?;
        let mut args = Vec::new();
        for (val, at) in vals {
            self.range = at;
            args.push(self.take_here(&val)?);
        }
        self.range = ast::span(node);
        Ok(args)
    }

    fn given_vals(
        &mut self,
        node: &Node,
        shape: &Shape,
        given: &[(Token, Option<Node>)],
    ) -> R<Vec<(Val, std::ops::Range<usize>)>> {
        let fields: Vec<&str> = shape.fields.iter().map(|f| f.0.as_str()).collect();
        for (n, (name, _)) in given.iter().enumerate() {
            let at = self.front.span(ast::token_span(name));
            if !fields.contains(&name.text()) {
                let message = format!("`{}` has no field `{}`", shape.name, name.text());
                let mut told = Diagnostic::new(at, message, format!("its fields are {}", fields.join(", ")));
                if let Some(near) = nearest(name.text(), fields.iter().copied()) {
                    told = told.help(format!("did you mean `{near}`?"));
                }
                return Err(Box::new(told));
            }
            if given[..n].iter().any(|g| g.0.text() == name.text()) {
                return Err(Box::new(Diagnostic::new(at, format!("`{}` is given twice", name.text()), "again")));
            }
        }
        let missing: Vec<&str> = fields.into_iter().filter(|f| !given.iter().any(|g| g.0.text() == *f)).collect();
        if !missing.is_empty() {
            return self.fail(node, format!("`{}` needs {}", shape.name, missing.join(", ")), "not all fields are given");
        }
        // In the order in which they are written.
        let mut vals: Vec<Option<(Val, std::ops::Range<usize>)>> = vec![None; shape.fields.len()];
        for (name, value) in given {
            let Some(at) = shape.fields.iter().position(|f| f.0 == name.text()) else { continue };
            let ty = shape.fields[at].1.clone();
            let span = value.as_ref().map_or_else(|| ast::token_span(name), ast::span);
            let val = match value {
                Some(value) => self.expr_of(value, &ty)?,
                None => match lookup(&self.names, name.text()).cloned() {
                    Some(val) if val.ty == ty => val,
                    Some(val) => {
                        let message = format!("expected {}, found {}", self.show(&ty), self.show(&val.ty));
                        return Err(Box::new(Diagnostic::new(self.front.span(span), message, "this variable has another type")));
                    }
                    None => {
                        let message = format!("there is no `{}` here", name.text());
                        let told = Diagnostic::new(self.front.span(span), message, "not known");
                        return Err(Box::new(told.help(format!("write `{}: value`", name.text()))));
                    }
                },
            };
            vals[at] = Some((val, span));
        }
        Ok(vals.into_iter().flatten().collect())
    }

    fn struct_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let Some(head) = ast::expr(node, 0) else { return self.fail(node, "a name is wanted", "here") };
        let path: Vec<String> = ast::text(&head).split('.').map(|p| p.trim().to_owned()).collect();
        let given = ast::struct_fields(node);
        if let [name] = path.as_slice()
            && let Some(state) = self.state_named(name)
        {
            return self.become_state(node, state, &given, &[]);
        }
        if let Some((ty, variant)) = self.variant_named(&path, want) {
            return self.variant(node, &ty, variant, &given);
        }
        match self.front.declared(&path) {
            Some(Declared::Type(ty @ Ty::Record(r))) => {
                let shape = self.front.world.record(r).cloned().unwrap_or_default();
                let args = self.given(node, &shape, &given)?;
                let range = ast::span(node);
                let index = self.front.intern(&ty, &range)?;
                Ok(self.value(Op::Make { ty: index, args }, ty))
            }
            Some(Declared::Type(ty @ Ty::Asset(r))) => {
                let Some(asset) = self.front.world.asset(r).cloned() else { return self.fail(node, "an asset is wanted", "here") };
                if asset.measured {
                    let name = &asset.shape.name;
                    return self.front.fail_help(node, format!("`{name}` is measured: it is minted"), "not made like a record", format!("write `mint({name}, n)` or `zero({name})`"));
                }
                if r.scope != 0 {
                    return self.fail(node, "only the module that declares an asset makes one", "it is declared by an import");
                }
                let args = self.given(node, &asset.shape, &given)?;
                self.mints.insert(r.index);
                Ok(self.value(Op::Create { asset: r.index, args }, ty))
            }
            _ => self.fail(node, format!("there is no record, asset, variant or state `{}`", path.join(".")), "not declared"),
        }
    }

    fn with_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let Some(base) = ast::expr(node, 0) else { return self.fail(node, "a value is wanted", "before `with`") };
        let changes = ast::struct_fields(node);
        // `Funded { pot } with { deadline: d }`: other parameters of the protocol.
        let head = if base.kind() == K::StructExpr { ast::expr(&base, 0) } else { Some(ast::bare(&base)) };
        if let Some(head) = head.filter(|h| h.kind() == K::NameExpr)
            && let Some(state) = self.state_named(&ast::text(&head))
        {
            return self.become_state(node, state, &ast::struct_fields(&base), &changes);
        }
        let val = self.expr(&base, want)?;
        let Some(fields) = self.front.world.fields(&val.ty) else {
            return self.fail(&base, "only records and assets have fields to change", format!("this is {}", self.show(&val.ty)));
        };
        let mut news: Vec<(usize, Val, Node)> = Vec::new();
        for (name, value) in &changes {
            let Some(at) = fields.iter().position(|f| f.0 == name.text()) else {
                return self.front.no_field(node, &val.ty, name.text());
            };
            let Some(value) = value else {
                let told = Diagnostic::new(self.front.span(ast::token_span(name)), "the new value is missing", "write `field: value`");
                return Err(Box::new(told));
            };
            news.push((at, self.expr_of(value, &fields[at].1)?, value.clone()));
        }
        self.range = ast::span(node);
        match val.repr {
            // An asset, or a record of data with one change: it stays whole.
            Repr::Var(_) if matches!(val.ty, Ty::Asset(_)) || news.len() == 1 && !self.linear(&val.ty) => {
                let mut at = val;
                for (field, new, from) in news {
                    let value = self.take(&new, &from)?;
                    self.range = ast::span(node);
                    let a = self.take_here(&at)?;
                    at = self.value(Op::With { a, field: field as u8, value }, at.ty);
                }
                Ok(at)
            }
            _ => {
                let opened = match &val.repr {
                    Repr::Var(var) if !self.linear(&val.ty) => {
                        let var = *var;
                        let mut parts = Vec::new();
                        for (n, (_, ty)) in fields.iter().enumerate() {
                            if news.iter().any(|new| new.0 == n) {
                                parts.push(Val::unit());
                                continue;
                            }
                            let place = Place { var, path: vec![n as u8] };
                            parts.push(self.value(Op::Get { place }, ty.clone()));
                        }
                        parts
                    }
                    _ => match self.apart(val.clone(), "").repr {
                        Repr::Parts(parts) => parts,
                        _ => return self.fail(node, "nothing to change", "here"),
                    },
                };
                let mut args = Vec::new();
                for (n, part) in opened.into_iter().enumerate() {
                    match news.iter().find(|new| new.0 == n) {
                        Some((_, new, from)) => args.push(self.take(new, from)?),
                        None => args.push(self.take(&part, node)?),
                    }
                }
                self.range = ast::span(node);
                let range = self.range.clone();
                let ty = self.front.intern(&val.ty, &range)?;
                Ok(self.value(Op::Make { ty, args }, val.ty))
            }
        }
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
            return self.front.fail_help(node, "the type of this list is not known", "it has no elements", "write `let l: [T; 10] = []`");
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
        let vague = |node: &Node| {
            let node = ast::bare(node);
            let literal = |n: &Node| matches!(n.kind(), K::Literal | K::ListExpr) || n.kind() == K::NameExpr && ast::text(n) == "None";
            literal(&node) || node.kind() == K::PrefixExpr && ast::expr(&node, 0).is_some_and(|n| literal(&n))
        };
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
            if matches!(op, Arith::Add | Arith::Sub)
                && let Some(val) = self.time_sum(node, &left, &right, op)?
            {
                return Ok(val);
            }
            let (a, b, ty) = self.pair(&left, &right, want.filter(|t| t.is_number()))?;
            let whole = matches!(ty, Ty::Int { .. });
            if !whole && !(matches!(ty, Ty::Dec(_)) && matches!(op, Arith::Add | Arith::Sub)) {
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
    fn time_sum(&mut self, node: &Node, left: &Node, right: &Node, op: Arith) -> R<Option<Val>> {
        let names = self.names.clone();
        let is_now = |node: &Node| node.kind() == K::CallExpr && ast::text(node) == "now()";
        let time = is_now(left) || self.front.spot(&names, left).ok().flatten().is_some_and(|s| s.ty == Ty::Time);
        if !time {
            return Ok(None);
        }
        let a = self.var_of(left, &Ty::Time)?;
        let b = self.var_of(right, &Ty::NAT64)?;
        let range = ast::span(node);
        self.range = range.clone();
        let (nat, time) = (self.front.intern(&Ty::NAT64, &range)?, self.front.intern(&Ty::Time, &range)?);
        let a = self.emit(Op::Cast { a, ty: nat }, &[Ty::NAT64]);
        let sum = self.emit(Op::Arith { op, a, b }, &[Ty::NAT64]);
        Ok(Some(self.value(Op::Cast { a: sum, ty: time }, Ty::Time)))
    }

    fn cast(&mut self, node: &Node) -> R<Val> {
        let (Some(inner), Some(ty)) = (ast::expr(node, 0), ast::ty(node, 0)) else { return self.fail(node, "a type is wanted", "after `as`") };
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
        if guard.iter().any(|n| !matches!(n, GuardNode::After { .. } | GuardNode::Before { .. } | GuardNode::AtLeast { .. })) {
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

/// Bytes after their length.
fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::codec::encode_bytes(bytes, &mut out);
    out
}

/// What a text in quotes says.
fn unescape(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            },
            c => c,
        });
    }
    out
}

/// Days since 1970-01-01 (H. Hinnant, chrono-compatible low-level date algorithms).
fn days(text: &str) -> Option<i32> {
    let mut parts = text.split('-');
    let (y, m, d): (i32, i32, i32) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let longest = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let last = *longest.get(usize::try_from(m - 1).ok()?)?;
    if d < 1 || d > last {
        return None;
    }
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let day = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(era * 146_097 + day - 719_468)
}

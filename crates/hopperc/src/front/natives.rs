//! Calls: of functions, and of what the language has built in.

use hopper::ir::{Arith, DateStep, FunctionKind, HashKind, Op, Ref, Rounding};

use super::body::Body;
use super::module::{Declared, R, nearest};
use super::props::{Repr, Val, lookup};
use super::types::Ty;
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// Names of what is built in, for advice.
const NATIVES: [&str; 38] = [
    "min",
    "max",
    "div_floor",
    "div_ceil",
    "mul_div",
    "mul_div_ceil",
    "mul_div_half_even",
    "share",
    "len",
    "slice",
    "concat",
    "at",
    "push",
    "get",
    "has",
    "put",
    "take",
    "empty",
    "drop_empty",
    "sha256",
    "verify_signature",
    "add_days",
    "add_months",
    "date_of",
    "now",
    "sender",
    "command",
    "auth",
    "split",
    "join",
    "mint",
    "burn",
    "zero",
    "drop_zero",
    "Some",
    "scan",
    "distinct",
    "sum",
];

impl Body<'_> {
    pub fn call_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        let Some(callee) = ast::expr(node, 0) else { return self.fail(node, "a function is wanted", "here") };
        let args = ast::args(node);
        let path: Vec<String> = ast::text(&callee).split('.').map(|p| p.trim().to_owned()).collect();
        match callee.kind() {
            K::NameExpr => {
                if let Some(function) = self.front.function(&path) {
                    return self.call(node, function, &args);
                }
                self.native(node, &path[0], &args, want)
            }
            K::FieldExpr => {
                let local = lookup(&self.names, &path[0]).is_some();
                if !local && let Some(function) = self.front.function(&path) {
                    return self.call(node, function, &args);
                }
                // `list.push(x)` is `push(list, x)`.
                let Some(receiver) = ast::expr(&callee, 0) else {
                    return self.fail(node, "a value is wanted", "before the dot");
                };
                let alias = path[..path.len() - 1].join(".");
                if !local && self.front.world.scopes[1..].iter().any(|s| s.alias == alias) {
                    return self.fail(
                        &callee,
                        format!("`{alias}` has no function `{}`", path[path.len() - 1]),
                        "not declared there",
                    );
                }
                let mut all = vec![receiver];
                all.extend(args);
                self.native(node, &path[path.len() - 1], &all, want)
            }
            _ => self.fail(&callee, "a function is wanted", "this is none"),
        }
    }

    fn call(&mut self, node: &Node, function: Ref, args: &[Node]) -> R<Val> {
        let Some(declared) = self.front.world.function(function).cloned() else {
            return self.fail(node, "no such function", "here");
        };
        let name = &declared.name;
        if !matches!(declared.kind, FunctionKind::Private | FunctionKind::Public) {
            return self.fail(node, format!("`{name}` is for commands, not for code"), "call an `fn`");
        }
        if function.scope > 0 && declared.kind != FunctionKind::Public {
            return self.fail(
                node,
                format!("`{name}` is private to its module"),
                "only `public fn` may be called from outside",
            );
        }
        if args.len() != declared.params.len() {
            let params: Vec<String> = declared.params.iter().map(|p| format!("{}: {}", p.0, self.show(&p.1))).collect();
            return self.fail(
                node,
                format!("{} arguments for {} parameters", args.len(), params.len()),
                format!("wanted: {}", params.join(", ")),
            );
        }
        let mut vars = Vec::new();
        for (arg, (_, ty)) in args.iter().zip(&declared.params) {
            vars.push(match ty {
                Ty::Ghost => {
                    let val = self.ghost(arg)?;
                    self.take(&val, arg)?
                }
                ty => self.var_of(arg, ty)?,
            });
        }
        if function.scope == 0 {
            self.mints.extend(&declared.mints);
            self.burns.extend(&declared.burns);
        }
        self.range = ast::span(node);
        let val = self.value(Op::Call { function, args: vars }, declared.result.clone());
        Ok(if declared.result == Ty::Unit { Val::unit() } else { val })
    }

    fn take_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<(u16, Ty)> {
        let val = self.expr(node, want)?;
        Ok((self.take(&val, node)?, val.ty))
    }

    /// Uses up a value of one of several types.
    fn take_kind(&mut self, node: &Node, want: Option<&Ty>, what: &str, fits: fn(&Ty) -> bool) -> R<(u16, Ty)> {
        let val = self.expr(node, want)?;
        if !fits(&val.ty) && val.ty != Ty::Never {
            return self.fail(node, format!("{what} wanted"), format!("this is {}", self.show(&val.ty)));
        }
        Ok((self.take(&val, node)?, val.ty))
    }

    /// An asset that is wanted: named by the first argument, or by what is wanted.
    fn asset_named(&self, node: &Node, args: &[Node], want: Option<&Ty>) -> R<(Ref, usize)> {
        if let Some(first) = args.first().filter(|a| matches!(a.kind(), K::NameExpr | K::FieldExpr)) {
            let path: Vec<String> = ast::text(first).split('.').map(|p| p.trim().to_owned()).collect();
            if lookup(&self.names, &path[0]).is_none()
                && let Some(Declared::Type(Ty::Asset(r))) = self.front.declared(&path)
            {
                return Ok((r, 1));
            }
        }
        match want {
            Some(Ty::Asset(r)) => Ok((*r, 0)),
            _ => self.front.fail_help(
                node,
                "of which asset?",
                "this does not tell",
                "name it first: `mint(Coin, n)`, `zero(Coin)`",
            ),
        }
    }

    fn measured(&mut self, node: &Node) -> R<(u16, Ty, Ty)> {
        let (var, ty) = self.take_expr(node, None)?;
        let amount = match &ty {
            Ty::Asset(r) => self.front.world.asset(*r).filter(|a| a.measured).map(|a| a.shape.fields[0].1.clone()),
            _ => None,
        };
        match amount {
            Some(amount) => Ok((var, ty, amount)),
            None => self.fail(node, "a measured asset is wanted", format!("this is {}", self.show(&ty))),
        }
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each name, in the order of the reference")]
    fn native(&mut self, node: &Node, name: &str, args: &[Node], want: Option<&Ty>) -> R<Val> {
        let range = ast::span(node);
        let val = match (name, args) {
            ("min" | "max" | "div_floor" | "div_ceil", [a, b]) => {
                let (a, b, ty) = self.pair(a, b, want)?;
                let op = match name {
                    "min" => Arith::Min,
                    "max" => Arith::Max,
                    "div_floor" => Arith::DivFloor,
                    _ => Arith::DivCeil,
                };
                if !ty.is_number() {
                    return self.fail(node, "numbers are wanted", format!("these are {}", self.show(&ty)));
                }
                self.range = range;
                self.value(Op::Arith { op, a, b }, ty)
            }
            ("mul_div" | "mul_div_ceil" | "mul_div_half_even", [a, b, c]) => {
                let rounding = match name {
                    "mul_div" => Rounding::Floor,
                    "mul_div_ceil" => Rounding::Ceil,
                    _ => Rounding::HalfEven,
                };
                let scaled: fn(&Ty) -> bool = |ty| matches!(ty, Ty::Int { .. } | Ty::Dec(_));
                let (a, first) = self.take_kind(a, want, "a number is", scaled)?;
                let (b, _) = self.take_kind(b, Some(&first), "a number is", scaled)?;
                let (c, _) = self.take_kind(c, Some(&first), "a number is", scaled)?;
                let result = want.filter(|t| matches!(t, Ty::Int { .. } | Ty::Dec(_))).cloned().unwrap_or(first);
                self.range = range.clone();
                let ty = self.front.intern(&result, &range)?;
                self.value(Op::MulDiv { a, b, c, rounding, ty }, result)
            }
            ("share", [a, part, whole]) => {
                let natural: fn(&Ty) -> bool = |ty| matches!(ty, Ty::Int { signed: false, .. });
                let (a, ty) = self.take_kind(a, want, "an unsigned number is", natural)?;
                let (part, of) = self.take_kind(part, Some(&ty), "an unsigned number is", natural)?;
                let (whole, _) = self.take_kind(whole, Some(&of), "an unsigned number is", natural)?;
                self.range = range;
                self.value(Op::Share { a, part, whole }, ty)
            }
            ("len", [a]) => {
                let (of, ty) = self.look(a, None)?;
                if !matches!(ty, Ty::Text(_) | Ty::Bytes(_) | Ty::List(..) | Ty::Map(..)) {
                    return self.wanted(a, "a text, bytes, list or map", &ty);
                }
                self.value(Op::Length { a: of }, Ty::NAT32)
            }
            ("slice", [a, from, to]) => {
                let (a, ty) = self.take_expr(a, None)?;
                let data = match &ty {
                    Ty::Text(_) | Ty::Bytes(_) => true,
                    Ty::List(of, _) => !self.linear(of),
                    _ => false,
                };
                if !data {
                    return self.wanted(node, "a text, bytes or a list of data", &ty);
                }
                let (from, to) = (self.var_of(from, &Ty::NAT32)?, self.var_of(to, &Ty::NAT32)?);
                self.value(Op::Slice { a, from, to }, ty)
            }
            ("concat", [a, b]) => {
                let ((a, x), (b, y)) = (self.take_expr(a, None)?, self.take_expr(b, None)?);
                let longest = match (&x, &y) {
                    (Ty::Text(m), Ty::Text(n)) => Ty::Text(m.saturating_add(*n)),
                    (Ty::Bytes(m), Ty::Bytes(n)) => Ty::Bytes(m.saturating_add(*n)),
                    (Ty::List(of, m), Ty::List(other, n)) if of == other => Ty::List(of.clone(), m.saturating_add(*n)),
                    _ => {
                        return self.fail(
                            node,
                            "two texts, two bytes or two lists are wanted",
                            format!("{} and {}", self.show(&x), self.show(&y)),
                        );
                    }
                };
                let ty =
                    want.filter(|w| matches!(w, Ty::Text(_) | Ty::Bytes(_) | Ty::List(..))).cloned().unwrap_or(longest);
                self.range = range.clone();
                let index = self.front.intern(&ty, &range)?;
                self.value(Op::Concat { a, b, ty: index }, ty)
            }
            ("at", [list, index]) => {
                let (list, ty) = self.take_expr(list, None)?;
                let of = match ty {
                    Ty::List(of, _) if !self.linear(&of) => of,
                    ty => return self.wanted(node, "a list of data", &ty),
                };
                let index = self.var_of(index, &Ty::NAT32)?;
                self.value(Op::At { list, index }, Ty::Option(of))
            }
            ("push", [list, item]) => {
                let (list, ty) = self.take_expr(list, want)?;
                let Ty::List(of, _) = &ty else { return self.wanted(node, "a list", &ty) };
                let item = self.var_of(item, of)?;
                self.value(Op::Push { list, item }, ty)
            }
            ("empty", []) => match want {
                Some(ty @ Ty::Map(..)) => {
                    let index = self.front.intern(ty, &range)?;
                    self.value(Op::MapNew { ty: index }, ty.clone())
                }
                Some(ty @ Ty::List(..)) => {
                    let index = self.front.intern(ty, &range)?;
                    self.value(Op::List { ty: index, items: Vec::new() }, ty.clone())
                }
                _ => {
                    return self.front.fail_help(
                        node,
                        "the type of this map is not known",
                        "here",
                        "write `let m: Map<K, V; 10> = empty()`",
                    );
                }
            },
            ("get", [map, key]) => {
                let (map, ty) = self.look(map, None)?;
                let Ty::Map(k, v, _) = ty else { return self.wanted(node, "a map", &ty) };
                if self.linear(&v) {
                    return self.fail(node, "an asset does not leave a map by a look", "take it out: `m.take(k)`");
                }
                let key = self.var_of(key, &k)?;
                self.value(Op::MapGet { map, key }, Ty::Option(v))
            }
            ("has", [map, key]) => {
                let (map, ty) = self.look(map, None)?;
                let Ty::Map(k, _, _) = ty else { return self.wanted(node, "a map", &ty) };
                let key = self.var_of(key, &k)?;
                self.value(Op::MapHas { map, key }, Ty::Bool)
            }
            ("put", [map, key, value]) => {
                let (map, ty) = self.take_expr(map, want)?;
                let Ty::Map(k, v, _) = &ty else { return self.wanted(node, "a map", &ty) };
                let (key, value) = (self.var_of(key, k)?, self.var_of(value, v)?);
                self.range = range;
                self.two(Op::MapPut { map, key, value }, ty.clone(), Ty::Option(v.clone()))
            }
            ("take", [map, key]) => {
                let (map, ty) = self.take_expr(map, None)?;
                let Ty::Map(k, v, _) = &ty else { return self.wanted(node, "a map", &ty) };
                let key = self.var_of(key, k)?;
                self.range = range;
                self.two(Op::MapTake { map, key }, ty.clone(), Ty::Option(v.clone()))
            }
            ("drop_empty", [a]) => {
                let (a, _) =
                    self.take_kind(a, None, "a list or map is", |t| matches!(t, Ty::List(..) | Ty::Map(..)))?;
                self.emit(Op::DropEmpty { a }, &[]);
                Val::unit()
            }
            ("sha256", [a]) => {
                let (a, _) =
                    self.take_kind(a, None, "a text or bytes are", |t| matches!(t, Ty::Text(_) | Ty::Bytes(_)))?;
                self.value(Op::Hash { kind: HashKind::Sha256, a }, Ty::Digest)
            }
            ("verify_signature", [key, message, signature]) => {
                let bytes: fn(&Ty) -> bool = |ty| matches!(ty, Ty::Bytes(_));
                let (key, _) = self.take_kind(key, None, "bytes are", bytes)?;
                let (message, _) = self.take_kind(message, None, "bytes are", bytes)?;
                let (signature, _) = self.take_kind(signature, None, "bytes are", bytes)?;
                self.value(Op::VerifySignature { key, message, signature }, Ty::Bool)
            }
            ("add_days" | "add_months", [date, count]) => {
                let step = if name == "add_days" { DateStep::Days } else { DateStep::Months };
                let (date, count) = (self.var_of(date, &Ty::Date)?, self.var_of(count, &Ty::INT32)?);
                self.value(Op::DateAdd { date, step, count }, Ty::Date)
            }
            ("date_of", [time]) => {
                let time = self.var_of(time, &Ty::Time)?;
                self.value(Op::DateOf { time }, Ty::Date)
            }
            ("now", []) => self.value(Op::Now, Ty::Time),
            ("command", []) => self.value(Op::CommandDigest, Ty::Digest),
            ("sender", []) => self.value(Op::Sender, Ty::Party),
            ("auth", [guard]) => self.authority(node, guard)?,
            ("Some", [inner]) => {
                let of = match want {
                    Some(Ty::Option(of)) => Some((**of).clone()),
                    _ => None,
                };
                let val = match &of {
                    Some(of) => self.expr_of(inner, of)?,
                    None => self.expr(inner, None)?,
                };
                let var = self.take(&val, inner)?;
                return self.inject(node, &Ty::Option(Box::new(val.ty)), 1, vec![var]);
            }
            ("scan", [table, after, limit]) => {
                let name = ast::text(table);
                let tables = &self.front.world.own().tables;
                let Some(at) = tables.iter().position(|t| t.name == name) else {
                    return self.fail(table, format!("there is no table `{name}`"), "not declared");
                };
                let key = tables[at].key.clone();
                let after = self.var_of(after, &Ty::Option(Box::new(key.clone())))?;
                let limit =
                    super::module::number(&ast::text(limit)).or_else(|| self.front.constant_number(&ast::text(limit)));
                let Some(limit) = limit.and_then(|n| u32::try_from(n).ok()) else {
                    return self.fail(node, "how many keys at most?", "a number is wanted in third place");
                };
                let ty = Ty::List(Box::new(key), limit);
                self.range = range.clone();
                let index = self.front.intern(&ty, &range)?;
                self.value(Op::Scan { table: at as u16, after, ty: index }, ty)
            }
            ("split", [a, n]) => {
                let (a, ty, amount) = self.measured_later(a)?;
                let n = self.var_of(n, &amount)?;
                self.range = range;
                let a = self.take_here(&a)?;
                self.two(Op::Split { a, n }, ty.clone(), ty)
            }
            ("join", [a, b]) => {
                let (a, ty, _) = self.measured(a)?;
                let b = self.var_of(b, &ty)?;
                self.value(Op::Join { a, b }, ty)
            }
            ("burn", [a]) => {
                let (var, ty, _) = self.measured(a)?;
                match ty {
                    Ty::Asset(Ref { scope: 0, index }) => self.burns.insert(index),
                    _ => {
                        return self.fail(
                            node,
                            "only the module that declares an asset burns it",
                            "it is declared by an import",
                        );
                    }
                };
                self.emit(Op::Burn { a: var }, &[]);
                Val::unit()
            }
            ("drop_zero", [a]) => {
                let (a, _, _) = self.measured(a)?;
                self.range = range;
                self.emit(Op::DropZero { a }, &[]);
                Val::unit()
            }
            ("mint" | "zero", _) => {
                let (asset, skip) = self.asset_named(node, args, want)?;
                let Some(declared) = self.front.world.asset(asset).cloned() else {
                    return self.fail(node, "no such asset", "here");
                };
                if !declared.measured {
                    let name = &declared.shape.name;
                    return self.front.fail_help(
                        node,
                        format!("`{name}` is not measured"),
                        "it is one thing",
                        format!("write `{name} {{ ... }}`"),
                    );
                }
                let wanted = &declared.shape.fields[usize::from(name == "zero")..];
                let given = &args[skip..];
                if given.len() != wanted.len() {
                    let names: Vec<String> = wanted.iter().map(|f| format!("{}: {}", f.0, self.show(&f.1))).collect();
                    return self.fail(
                        node,
                        format!("{} values for {} fields", given.len(), wanted.len()),
                        format!("wanted: {}", names.join(", ")),
                    );
                }
                let mut vars = Vec::new();
                for (arg, (_, ty)) in given.iter().zip(wanted) {
                    vars.push(self.var_of(arg, ty)?);
                }
                self.range = range;
                let ty = Ty::Asset(asset);
                if name == "zero" {
                    return Ok(self.value(Op::Zero { asset, args: vars }, ty));
                }
                if asset.scope != 0 {
                    return self.fail(
                        node,
                        "only the module that declares an asset mints it",
                        "it is declared by an import",
                    );
                }
                self.mints.insert(asset.index);
                self.value(Op::Mint { asset: asset.index, args: vars }, ty)
            }
            _ => return self.no_function(node, name, args.len()),
        };
        Ok(val)
    }

    /// As [`Body::measured`], and not used up yet: the next argument may look at it.
    fn measured_later(&mut self, node: &Node) -> R<(Val, Ty, Ty)> {
        let val = self.expr(node, None)?;
        let amount = match &val.ty {
            Ty::Asset(r) => self.front.world.asset(*r).filter(|a| a.measured).map(|a| a.shape.fields[0].1.clone()),
            _ => None,
        };
        match amount {
            Some(amount) => Ok((val.clone(), val.ty, amount)),
            None => self.fail(node, "a measured asset is wanted", format!("this is {}", self.show(&val.ty))),
        }
    }

    /// An operation with two results, as a tuple.
    fn two(&mut self, op: Op, a: Ty, b: Ty) -> Val {
        let first = self.emit(op, &[a.clone(), b.clone()]);
        let parts = vec![Val::var(a.clone(), first), Val::var(b.clone(), first + 1)];
        Val { ty: Ty::Tuple(vec![a, b]), repr: Repr::Parts(parts) }
    }

    fn wanted<T>(&self, node: &Node, what: &str, found: &Ty) -> R<T> {
        self.fail(node, format!("{what} is wanted"), format!("this is {}", self.show(found)))
    }

    fn no_function<T>(&self, node: &Node, name: &str, args: usize) -> R<T> {
        if NATIVES.contains(&name) {
            return self.fail(
                node,
                format!("`{name}` does not take {args} arguments"),
                "see the reference for what it takes",
            );
        }
        let own = self.front.world.own().functions.iter().map(|f| f.name.as_str());
        let mut told = Diagnostic::new(
            self.front.at(node),
            format!("there is no function `{name}`"),
            "not declared, nor built in",
        );
        let imported = self.front.world.scopes[1..].iter().flat_map(|s| s.names.iter().map(String::as_str));
        if let Some(near) = nearest(name, own.chain(imported).chain(NATIVES)) {
            told = told.help(format!("did you mean `{near}`?"));
        }
        Err(Box::new(told))
    }
}

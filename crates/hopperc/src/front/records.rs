//! Records, assets that are not measured, variants: making them, changing fields.

use hopper::ir::{Op, Place};

use super::body::Body;
use super::module::{Declared, R, nearest};
use super::props::{Repr, Val, lookup};
use super::types::{Shape, Ty};
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, Token, ast};

impl Body<'_> {
    /// The enum or option and variant that a path names.
    pub fn variant_named(&self, path: &[String], want: Option<&Ty>) -> Option<(Ty, u16)> {
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

    pub fn variant(&mut self, node: &Node, ty: &Ty, variant: u16, given: &[(Token, Option<Node>)]) -> R<Val> {
        let Ty::Enum(r) = ty else { return self.fail(node, "an enum is wanted", "here") };
        let shape =
            self.front.world.enumeration(*r).and_then(|e| e.1.get(usize::from(variant))).cloned().unwrap_or_default();
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
            return self.fail(
                node,
                format!("`{}` needs {}", shape.name, missing.join(", ")),
                "not all fields are given",
            );
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
                        return Err(Box::new(Diagnostic::new(
                            self.front.span(span),
                            message,
                            "this variable has another type",
                        )));
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

    pub fn struct_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
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
                let Some(asset) = self.front.world.asset(r).cloned() else {
                    return self.fail(node, "an asset is wanted", "here");
                };
                if asset.measured {
                    let name = &asset.shape.name;
                    return self.front.fail_help(
                        node,
                        format!("`{name}` is measured: it is minted"),
                        "not made like a record",
                        format!("write `mint({name}, n)` or `zero({name})`"),
                    );
                }
                if r.scope != 0 {
                    return self.fail(
                        node,
                        "only the module that declares an asset makes one",
                        "it is declared by an import",
                    );
                }
                let args = self.given(node, &asset.shape, &given)?;
                self.mints.insert(r.index);
                Ok(self.value(Op::Create { asset: r.index, args }, ty))
            }
            _ => self.fail(
                node,
                format!("there is no record, asset, variant or state `{}`", path.join(".")),
                "not declared",
            ),
        }
    }

    pub fn with_expr(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
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
            return self.fail(
                &base,
                "only records and assets have fields to change",
                format!("this is {}", self.show(&val.ty)),
            );
        };
        let mut news: Vec<(usize, Val, Node)> = Vec::new();
        for (name, value) in &changes {
            let Some(at) = fields.iter().position(|f| f.0 == name.text()) else {
                return self.front.no_field(node, &val.ty, name.text());
            };
            let Some(value) = value else {
                let told = Diagnostic::new(
                    self.front.span(ast::token_span(name)),
                    "the new value is missing",
                    "write `field: value`",
                );
                return Err(Box::new(told));
            };
            news.push((at, self.expr_of(value, &fields[at].1)?, value.clone()));
        }
        if let Ty::Asset(r) = &val.ty
            && let Some(asset) = self.front.world.asset(*r)
        {
            if asset.measured || r.scope != 0 {
                return self.fail(node, "this asset is not changed", "only one of this module that is not measured is");
            }
            let fixed =
                |(at, _, _): &&(usize, Val, Node)| asset.signed == Some(*at as u16) || self.linear(&fields[*at].1);
            if let Some((at, _, value)) = news.iter().find(fixed) {
                return self.fail(
                    value,
                    format!("`{}` is not changed", fields[*at].0),
                    "neither a signed field nor an asset in it is",
                );
            }
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
}

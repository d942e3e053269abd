//! Rows of tables and instances of protocols.

use hopper::ir::{Move, Op};

use super::body::{Body, Hole};
use super::module::{R, nearest};
use super::props::{Val, lookup};
use super::types::{Shape, Ty};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, Token, ast};

/// A state that an instance may go to: protocol, state.
pub(super) type Target = (u16, u16);

impl Body<'_> {
    /// The table and key that `table[key]` names.
    fn row(&mut self, node: &Node) -> R<(u16, u16)> {
        let node = ast::bare(node);
        if node.kind() != K::IndexExpr {
            return self.front.fail_help(&node, "a row of a table is wanted", "here", "as `accounts[p]`");
        }
        let name = ast::expr(&node, 0).map(|n| ast::text(&n)).unwrap_or_default();
        let tables = &self.front.world.own().tables;
        let Some(table) = tables.iter().position(|t| t.name == name) else {
            let near = nearest(&name, tables.iter().map(|t| t.name.as_str())).map(|n| format!("did you mean `{n}`?"));
            let help = near
                .unwrap_or_else(|| "a module has hold of its own tables only; call a function of the other".to_owned());
            return self.front.fail_help(&node, format!("there is no table `{name}` here"), "not declared", help);
        };
        let want = tables[table].key.clone();
        let args = ast::args(&node);
        let key = match args.as_slice() {
            [one] => self.expr_of(one, &want)?,
            several => {
                let types: Vec<Ty> = match &want {
                    Ty::Tuple(types) if types.len() == several.len() => types.clone(),
                    _ => return self.fail(&node, format!("a key of `{name}` is {}", self.show(&want)), "this is none"),
                };
                let mut parts = Vec::new();
                for (arg, ty) in several.iter().zip(&types) {
                    parts.push(self.expr_of(arg, ty)?);
                }
                Val { ty: want, repr: super::props::Repr::Parts(parts) }
            }
        };
        Ok((table as u16, self.take(&key, &node)?))
    }

    pub fn change(&mut self, node: &Node, want: Option<&Ty>) -> R<Val> {
        self.reached(node)?;
        let (Some(row), Some(block), Some(pattern)) = (ast::expr(node, 0), ast::child(node, K::Block), ast::pat(node))
        else {
            return Ok(Val::unit());
        };
        let (table, key) = self.row(&row)?;
        self.range = ast::span(&row);
        let row_ty = self.front.world.own().tables[usize::from(table)].row.clone();
        let first = self.emit(Op::Take { table, key }, &[row_ty.clone(), Ty::RowHole(table)]);
        self.holes.push(Hole::Row { var: first + 1 });
        let val = self.scoped(|body| {
            body.bind_pattern(&pattern, Val::var(row_ty, first))?;
            body.block(&block, want)
        });
        self.holes.pop();
        let val = val?;
        self.range = ast::span(node);
        if !self.ended() && self.vars[usize::from(first) + 1].gone.is_none() {
            let name = &self.front.world.own().tables[usize::from(table)].name;
            return self.front.fail_help(
                &row,
                format!("a row of `{name}` is taken out and not put back"),
                "taken out here",
                "end the block with `put row`, or with `close` if the row is to go",
            );
        }
        Ok(val)
    }

    fn row_hole(&self, node: &Node) -> R<u16> {
        match self.holes.last() {
            Some(Hole::Row { var }) => Ok(*var),
            _ => self.front.fail_help(
                node,
                "no row is out",
                "nothing to put back",
                "`put` and `close` stand in `change t[k] as row { ... }`",
            ),
        }
    }

    pub fn put(&mut self, node: &Node) -> R<Val> {
        let hole = self.row_hole(node)?;
        let Ty::RowHole(table) = self.vars[usize::from(hole)].ty else { return Ok(Val::unit()) };
        let want = self.front.world.own().tables[usize::from(table)].row.clone();
        let Some(value) = ast::expr(node, 0) else { return self.fail(node, "the row is missing", "after `put`") };
        let row = self.var_of(&value, &want)?;
        self.range = ast::span(node);
        self.used_once(node, hole)?;
        let hole = self.take_here(&Val::var(Ty::RowHole(table), hole))?;
        self.emit(Op::Put { hole, row }, &[]);
        Ok(Val::unit())
    }

    fn used_once(&self, node: &Node, hole: u16) -> R<()> {
        if self.vars[usize::from(hole)].gone.is_some() && !self.ended() {
            return self.fail(node, "the row was put back before", "again");
        }
        Ok(())
    }

    pub fn close_row(&mut self, node: &Node) -> R<Val> {
        let hole = self.row_hole(node)?;
        self.range = ast::span(node);
        self.used_once(node, hole)?;
        let ty = self.vars[usize::from(hole)].ty.clone();
        let hole = self.take_here(&Val::var(ty, hole))?;
        self.emit(Op::Close { hole }, &[]);
        Ok(Val::unit())
    }

    pub fn insert(&mut self, node: &Node) -> R<Val> {
        let (Some(row), Some(value)) = (ast::expr(node, 0), ast::expr(node, 1)) else { return Ok(Val::unit()) };
        let (table, key) = self.row(&row)?;
        let want = self.front.world.own().tables[usize::from(table)].row.clone();
        let row = self.var_of(&value, &want)?;
        self.range = ast::span(node);
        self.emit(Op::Insert { table, key, row }, &[]);
        Ok(Val::unit())
    }

    /// `exists t[k]`
    pub fn exists(&mut self, node: &Node) -> R<Val> {
        let Some(row) = ast::expr(node, 0) else { return Ok(Val::unit()) };
        let (table, key) = self.row(&row)?;
        Ok(self.value(Op::Has { table, key }, Ty::Bool))
    }

    /// `peek t[k].a.b`: an option of what is there.
    pub fn peek(&mut self, node: &Node) -> R<Val> {
        let Some(mut at) = ast::expr(node, 0) else { return Ok(Val::unit()) };
        let mut fields: Vec<(Node, String)> = Vec::new();
        while at.kind() == K::FieldExpr {
            fields.extend(super::props::field_names(&at).into_iter().rev().map(|f| (at.clone(), f)));
            match ast::expr(&at, 0) {
                Some(inner) => at = inner,
                None => break,
            }
        }
        let (table, key) = self.row(&at)?;
        let mut ty = self.front.world.own().tables[usize::from(table)].row.clone();
        let mut path = Vec::new();
        for (from, field) in fields.iter().rev() {
            match self.front.world.field(&ty, field) {
                Some((n, next)) => {
                    path.push(n);
                    ty = next;
                }
                None => return self.front.no_field(from, &ty, field),
            }
        }
        if self.linear(&ty) {
            return self.front.fail_help(
                node,
                "an asset is not looked at as a whole",
                format!("this is {}", self.show(&ty)),
                "look at a field of it, as `peek accounts[p].bal.amount`",
            );
        }
        self.range = ast::span(node);
        Ok(self.value(Op::Peek { table, key, path }, Ty::Option(Box::new(ty))))
    }

    // ---- protocols

    /// The state of this name that the instance at hand may go to; or any state of its protocol, to be refused later.
    pub fn state_named(&self, name: &str) -> Option<Target> {
        let protocol = match self.holes.first()? {
            Hole::Instance { protocol, .. } | Hole::Fresh { protocol, .. } => *protocol,
            Hole::Row { .. } => return None,
        };
        let states = &self.front.world.own().protocols.get(usize::from(protocol))?.states;
        let at = states.iter().position(|s| s.shape.name == name)?;
        Some((protocol, at as u16))
    }

    /// `Funded { pot }`: the instance goes to that state. `Funded { pot } with { deadline: d }`: with another parameter.
    pub fn become_state(
        &mut self,
        node: &Node,
        (protocol, state): Target,
        given: &[(Token, Option<Node>)],
        changed: &[(Token, Option<Node>)],
    ) -> R<Val> {
        let Some(hole) = self.holes.first().cloned() else { return self.fail(node, "no instance is at hand", "here") };
        let declared = self.front.world.own().protocols[usize::from(protocol)].clone();
        let shape = declared.states[usize::from(state)].shape.clone();
        let (Hole::Instance { targets, .. } | Hole::Fresh { targets, .. }) = &hole else { return Ok(Val::unit()) };
        if !targets.contains(&state) {
            return self.front.fail_help(
                node,
                format!("this move does not lead to `{}`", shape.name),
                "not among the states after `->`",
                format!("add it: `-> ... || {}`", shape.name),
            );
        }
        let params = Shape { name: declared.name, fields: declared.params };
        for (name, _) in changed {
            if !params.fields.iter().any(|p| p.0 == name.text()) {
                return self.fail(
                    node,
                    format!("`{}` has no parameter `{}`", params.name, name.text()),
                    "not declared",
                );
            }
        }
        let mut args = Vec::new();
        for (name, ty) in &params.fields {
            let new = changed.iter().find(|c| c.0.text() == name).and_then(|c| c.1.clone());
            let var = match new {
                Some(new) => self.var_of(&new, ty)?,
                None => match lookup(&self.names, &format!("self.{name}")).cloned() {
                    Some(val) => self.take(&val, node)?,
                    None => return self.fail(node, format!("the parameter `{name}` is not at hand"), "here"),
                },
            };
            args.push(var);
        }
        args.extend(self.given(node, &shape, given)?);
        self.range = ast::span(node);
        match hole {
            Hole::Fresh { .. } => {
                self.moves.insert(Move { protocol, from: None, to: state });
                let ty = Ty::Id(hopper::ir::Ref { scope: 0, index: protocol });
                Ok(self.value(Op::Start { protocol, state, args }, ty))
            }
            Hole::Instance { var, .. } => {
                let ty = self.vars[usize::from(var)].ty.clone();
                let Ty::InstanceHole(_, from) = ty else { return Ok(Val::unit()) };
                if self.vars[usize::from(var)].gone.is_some() && !self.ended() {
                    return self.fail(node, "the instance went to its next state before", "again");
                }
                let hole = self.take_here(&Val::var(ty, var))?;
                self.moves.insert(Move { protocol, from: Some(from), to: state });
                self.emit(Op::Become { hole, state, args }, &[]);
                Ok(Val::unit())
            }
            Hole::Row { .. } => Ok(Val::unit()),
        }
    }
}

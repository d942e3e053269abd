//! Functions: in an order in which calls go down, their signatures, their bodies.

use std::collections::{BTreeMap, BTreeSet};

use hopper::ir::{Function, FunctionKind, Guard, Op, Place, Prop, Ref, limits};

use super::body::{Body, Hole, Origin};
use super::declare::{field_names, name_of};
use super::module::{Front, R, nearest};
use super::props::{Names, Val};
use super::types::{FnDecl, Ty};
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// What to do in place of recursion.
const FINITE: &str = "go through a list with `fold`, or take a number of steps with `iterate fuel from (...)`";
/// What to do about the fields of a state.
const INSIDE: &str = "`requires` of a move speaks of its own parameters; what the instance holds is checked inside";

/// A function of the text.
pub(super) struct Source {
    pub name: String,
    pub node: Node,
    /// Of a step: the protocol.
    protocol: Option<usize>,
}

impl Source {
    /// Names of functions that it calls without an alias.
    pub fn calls(&self) -> impl Iterator<Item = String> + use<> {
        called(&self.node)
    }
}

/// What is remembered of a function to tell about it later.
pub(super) struct FnDebug {
    pub node: Node,
    pub origins: Vec<Vec<Origin>>,
}

/// All functions of a file, callees before callers.
pub(super) fn in_order(front: &mut Front, root: &Node, protocols: &[Node], told: &mut Vec<Diagnostic>) -> Vec<Source> {
    let mut all: Vec<Source> = Vec::new();
    for node in root.children() {
        match node.kind() {
            K::FnItem => {
                let at = if ast::has_word(&node, "public") { 2 } else { 1 };
                let name = ast::word(&node, at).map(|w| w.text().to_owned()).unwrap_or_default();
                all.push(Source { name, node, protocol: None });
            }
            K::ProtocolItem => {
                let protocol = protocols.iter().position(|p| *p == node);
                let steps = ast::child(&node, K::ProtocolBody);
                let steps =
                    steps.iter().flat_map(|b| b.children()).filter(|c| matches!(c.kind(), K::StartItem | K::MoveItem));
                all.extend(steps.map(|node| Source { name: name_of(&node), node, protocol }));
            }
            _ => {}
        }
    }
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, source) in all.iter().enumerate() {
        if let Some(first) = places.insert(&source.name, n) {
            told.push(
                Diagnostic::new(
                    front.at(&source.node),
                    format!("there are two functions `{}`", source.name),
                    "declared again",
                )
                .also(front.at(&all[first].node), "declared first"),
            );
        }
    }
    front.declared_functions = all.iter().map(|s| s.name.clone()).collect();
    let calls: Vec<Vec<usize>> =
        all.iter().map(|s| called(&s.node).filter_map(|c| places.get(c.as_str()).copied()).collect()).collect();
    // Depth first, on a stack of our own.
    let mut state = vec![0u8; all.len()];
    let mut order = Vec::new();
    for start in 0..all.len() {
        let mut stack = vec![(start, 0)];
        while let Some((at, next)) = stack.pop() {
            if next == 0 {
                if state[at] != 0 {
                    continue;
                }
                state[at] = 1;
            }
            match calls[at].get(next) {
                Some(callee) => {
                    stack.push((at, next + 1));
                    if state[*callee] == 1 {
                        let message = format!("`{}` calls itself, directly or through others", all[*callee].name);
                        let one = Diagnostic::new(front.at(&all[at].node), message, "a run would have no end");
                        told.push(one.help(FINITE));
                        return Vec::new();
                    }
                    stack.push((*callee, 0));
                }
                None => {
                    state[at] = 2;
                    order.push(at);
                }
            }
        }
    }
    let mut slots: Vec<Option<Source>> = all.into_iter().map(Some).collect();
    order.into_iter().filter_map(|n| slots[n].take()).collect()
}

/// Names of functions called without an alias.
fn called(node: &Node) -> impl Iterator<Item = String> + use<> {
    let calls = node.descendants().filter(|n| n.kind() == K::CallExpr);
    calls.filter_map(|c| ast::expr(&c, 0)).filter(|c| c.kind() == K::NameExpr).map(|c| ast::text(&c))
}

/// What stands before a function's body.
struct Head {
    kind: FunctionKind,
    params: Vec<(String, Ty)>,
    result: Ty,
    requires: Vec<Prop>,
    authority: Vec<Place>,
    by: Guard,
    ensures: Vec<Prop>,
}

impl Front {
    /// Checks and lowers one function, and puts it behind those that are there.
    pub fn function_of(&mut self, source: &Source) -> R<FnDebug> {
        let node = &source.node;
        match node.kind() {
            K::StartItem => self.start_item(source),
            K::MoveItem => self.move_item(source),
            _ => {
                let word = ast::word(node, 0).map(|w| w.text().to_owned()).unwrap_or_default();
                let kind = match word.as_str() {
                    "public" => FunctionKind::Public,
                    "action" => FunctionKind::Action,
                    "view" => FunctionKind::View,
                    _ => FunctionKind::Private,
                };
                let params = self.params(node)?;
                let result = ast::ty(node, 0).map(|t| self.ty(&t)).transpose()?.unwrap_or(Ty::Unit);
                let head = self.head_of(node, kind, params, result)?;
                self.assemble(source, head, |_| Ok(()))
            }
        }
    }

    fn params(&self, node: &Node) -> R<Vec<(String, Ty)>> {
        let mut params: Vec<(String, Ty)> = Vec::new();
        for param in ast::fields(node) {
            let name = param.name.text().to_owned();
            if params.iter().any(|p| p.0 == name) {
                return self.fail(&param.node, format!("there are two parameters `{name}`"), "declared again");
            }
            let ty = match &param.ty {
                _ if param.ghost => Ty::Ghost,
                Some(ty) => self.ty(ty)?,
                None => return self.fail(&param.node, "the type is missing", "here"),
            };
            params.push((name, ty));
        }
        if params.len() > limits::FIELDS_MAX {
            return self.fail(
                node,
                format!("more than {} parameters", limits::FIELDS_MAX),
                "put some of them into a record",
            );
        }
        Ok(params)
    }

    fn head_of(&self, node: &Node, kind: FunctionKind, params: Vec<(String, Ty)>, result: Ty) -> R<Head> {
        let entry = matches!(kind, FunctionKind::Action | FunctionKind::View);
        if entry {
            for param in ast::fields(node) {
                let ty = params.iter().find(|p| p.0 == param.name.text()).map(|p| &p.1);
                if ty.is_some_and(|ty| self.world.linear(ty) || *ty == Ty::Ghost) {
                    return self.fail_help(
                        &param.node,
                        "what a command brings along is data",
                        "an asset comes out of a table or protocol, never out of a message",
                        "take it out of a row: `change accounts[p] as a { ... }`",
                    );
                }
            }
        }
        let names = field_names(&params, 0);
        let (mut requires, mut authority) = (Vec::new(), Vec::new());
        for clause in ast::clauses(node, "requires").iter().filter_map(|c| ast::expr(c, 0)) {
            for part in ast::conjuncts(&clause) {
                let callee = if part.kind() == K::CallExpr { ast::expr(&part, 0).map(|c| ast::text(&c)) } else { None };
                if callee.as_deref() != Some("auth") {
                    requires.extend(self.props(&names, &part)?);
                    continue;
                }
                if entry {
                    return self.fail_help(
                        &part,
                        "whose agreement a command needs stands in `by`",
                        "here it says nothing",
                        "write `by p`",
                    );
                }
                for arg in ast::args(&part) {
                    let (place, ty) = self.place(&names, &arg)?;
                    if ty != Ty::Party {
                        return self.fail(&arg, "a party is wanted", format!("this is {}", self.world.show(&ty)));
                    }
                    authority.push(place);
                }
            }
        }
        let mut by = Vec::new();
        let guards = ast::clauses(node, "by");
        match (kind, guards.as_slice()) {
            (FunctionKind::Action, [clause]) => {
                if let Some(guard) = ast::expr(clause, 0) {
                    by = self.guard(&names, &guard)?;
                }
            }
            (FunctionKind::Action, []) => {
                return self.fail_help(
                    node,
                    "who may send this command?",
                    "an action says so",
                    "write `by p`, `by @role`, `by All[a, b]`, ...",
                );
            }
            (FunctionKind::Action, [_, second, ..]) => {
                return self.fail(second, "there is one `by` already", "join them: All[a, b]");
            }
            (_, [clause, ..]) => {
                return self.fail_help(
                    clause,
                    "only actions and moves have `by`",
                    "this is neither",
                    "a function asks its caller: `requires auth(p)`",
                );
            }
            _ => {}
        }
        let ensures = self.ensures(node, &params, &result)?;
        Ok(Head { kind, params, result, requires, authority, by, ensures })
    }

    fn ensures(&self, node: &Node, params: &[(String, Ty)], result: &Ty) -> R<Vec<Prop>> {
        let mut names = field_names(params, 0);
        names.push(("result".to_owned(), Val::var(result.clone(), params.len() as u16)));
        let mut ensures = Vec::new();
        for claim in ast::clauses(node, "ensures").iter().filter_map(|c| ast::expr(c, 0)) {
            ensures.extend(self.props(&names, &claim)?);
        }
        Ok(ensures)
    }

    /// Lowers a body; `first` runs before it.
    fn assemble(&mut self, source: &Source, head: Head, first: impl FnOnce(&mut Body<'_>) -> R<()>) -> R<FnDebug> {
        let node = &source.node;
        let range = ast::span(node);
        let name = self.label(&source.name, range.clone())?;
        let params = self.fields(&head.params, &range)?;
        let result = self.intern(&head.result, &range)?;
        let mut body = Body::new(self, head.kind);
        body.range = range.clone();
        let locals: Vec<(Ty, String)> = head.params.iter().map(|p| (p.1.clone(), String::new())).collect();
        body.open(&locals);
        let spans: BTreeMap<String, std::ops::Range<usize>> =
            ast::fields(node).iter().map(|f| (f.name.text().to_owned(), ast::span(&f.node))).collect();
        for (n, (name, ty)) in head.params.iter().enumerate() {
            if let Some(span) = spans.get(name) {
                body.vars[n].born = span.clone();
                body.range = span.clone();
            }
            body.name(name, Val::var(ty.clone(), n as u16));
        }
        body.range = range;
        first(&mut body)?;
        let Some(expr) = ast::exprs(node).into_iter().last() else {
            return body.fail(node, "the body is missing", "here");
        };
        let val = body.expr(&expr, Some(&head.result))?;
        let mut vars = Vec::new();
        if !body.ended() {
            if head.result == Ty::Unit && val.ty != Ty::Unit && !body.linear(&val.ty) {
                let shown = body.show(&val.ty);
                return body.front.fail_help(
                    &expr,
                    format!("the body gives {shown}, and nothing says so"),
                    "this value",
                    format!("write `-> {shown}` before the clauses"),
                );
            }
            let last = last_expr(&expr);
            if head.result == Ty::Unit && val.ty != Ty::Unit && val.ty != Ty::Never {
                let shown = body.show(&val.ty);
                return body.front.fail_help(
                    &last,
                    format!("this {shown} would be lost"),
                    "it goes nowhere",
                    "put it into a row, hand it to a function, or give it back as the result",
                );
            }
            body.expect(&last, &val, &head.result)?;
            body.range = ast::span(&last);
            vars.push(body.take_here(&val)?);
        }
        body.range = ast::span(&last_expr(&expr));
        body.close(vars)?;
        let (mints, burns) = (body.mints.clone(), body.burns.clone());
        let moves = body.moves.iter().copied().collect();
        let (blocks, origins) = body.finish();
        self.effects(node, head.kind, &mints, &burns)?;
        let (mints, burns): (Vec<u16>, Vec<u16>) = (mints.into_iter().collect(), burns.into_iter().collect());
        self.world.scopes[0].functions.push(FnDecl {
            name: source.name.clone(),
            kind: head.kind,
            params: head.params,
            result: head.result,
            mints: mints.clone(),
            burns: burns.clone(),
        });
        self.module.functions.push(Function {
            name,
            kind: head.kind,
            params,
            result,
            requires: head.requires,
            by: head.by,
            authority: head.authority,
            mints,
            burns,
            moves,
            ensures: head.ensures,
            blocks,
        });
        Ok(FnDebug { node: node.clone(), origins })
    }

    /// What others can call says what it mints and burns.
    fn effects(&self, node: &Node, kind: FunctionKind, mints: &BTreeSet<u16>, burns: &BTreeSet<u16>) -> R<()> {
        for (word, found) in [("mints", mints), ("burns", burns)] {
            let clauses = ast::clauses(node, word);
            let mut said = BTreeSet::new();
            for clause in &clauses {
                for token in ast::tokens(clause).filter(|t| t.kind() == K::Ident).skip(1) {
                    let own = &self.world.own().assets;
                    let Some(at) = own.iter().position(|a| a.shape.name == token.text()) else {
                        let told = Diagnostic::new(
                            self.span(ast::token_span(&token)),
                            format!("there is no asset `{}` here", token.text()),
                            "not declared by this module",
                        );
                        let near = nearest(token.text(), own.iter().map(|a| a.shape.name.as_str()));
                        return Err(Box::new(match near {
                            Some(near) => told.help(format!("did you mean `{near}`?")),
                            None => told,
                        }));
                    };
                    said.insert(at as u16);
                }
            }
            let name = |n: &u16| self.world.own().assets[usize::from(*n)].shape.name.clone();
            if let Some(more) = found.iter().find(|n| !said.contains(n))
                && (kind != FunctionKind::Private || !clauses.is_empty())
            {
                let head = ast::child(node, K::ParamList).unwrap_or_else(|| node.clone());
                return self.fail_help(
                    &head,
                    format!("it {word} {} and does not say so", name(more)),
                    "whoever calls it must see that",
                    format!("write `{word} {}` before the body", name(more)),
                );
            }
            if let (Some(less), Some(clause)) = (said.iter().find(|n| !found.contains(n)), clauses.first()) {
                return self.fail(
                    clause,
                    format!("it says that it {word} {}, and does not", name(less)),
                    "leave it out",
                );
            }
        }
        Ok(())
    }

    // ---- steps of protocols

    /// `start open(n: Nat96): Offered by ... = ...`: an action with the protocol's parameters and its own.
    fn start_item(&mut self, source: &Source) -> R<FnDebug> {
        let (node, protocol) = (&source.node, source.protocol.unwrap_or_default());
        let declared = self.world.own().protocols[protocol].clone();
        let mut params = declared.params.clone();
        params.extend(self.params(node)?);
        let result = Ty::Id(Ref { scope: 0, index: protocol as u16 });
        let names = field_names(&params, 0);
        let mut head = self.head_of(node, FunctionKind::Action, params, result)?;
        let state = ast::word(node, 2).map(|w| w.text().to_owned()).unwrap_or_default();
        let state = self.state(node, protocol, &state)?;
        // What holds of the parameters in every state is asked of the command.
        if let Some(item) = node.ancestors().find(|n| n.kind() == K::ProtocolItem) {
            let mut all = self.claims(&names, &item)?;
            all.append(&mut head.requires);
            head.requires = all;
        }
        let own: Vec<(String, Ty)> = declared.params;
        self.assemble(source, head, move |body| {
            body.holes.push(Hole::Fresh { protocol: protocol as u16, targets: vec![state] });
            for (n, (name, ty)) in own.iter().enumerate() {
                body.name(&format!("self.{name}"), Val::var(ty.clone(), n as u16));
            }
            Ok(())
        })
    }

    fn state(&self, node: &Node, protocol: usize, name: &str) -> R<u16> {
        let states = &self.world.own().protocols[protocol].states;
        match states.iter().position(|s| s.shape.name == name) {
            Some(at) => Ok(at as u16),
            None => {
                let names: Vec<&str> = states.iter().map(|s| s.shape.name.as_str()).collect();
                self.fail(node, format!("there is no state `{name}`"), format!("there are {}", names.join(", ")))
            }
        }
    }

    /// `move fund(n: Nat96): Offered -> Funded by buyer = ...`: an action on an instance. A guard over what the instance holds is
    /// asked when it has been taken out; then the command has one more parameter, the party that sends it.
    fn move_item(&mut self, source: &Source) -> R<FnDebug> {
        let (node, protocol) = (&source.node, source.protocol.unwrap_or_default());
        let words: Vec<String> =
            ast::tokens(node).filter(|t| t.kind() == K::Ident).skip(2).map(|t| t.text().to_owned()).collect();
        let Some((from, targets)) = words.split_first() else {
            return self.fail(node, "a move has states", "from -> to");
        };
        let from = self.state(node, protocol, from)?;
        let targets = targets.iter().map(|t| self.state(node, protocol, t)).collect::<R<Vec<u16>>>()?;
        let declared = self.world.own().protocols[protocol].clone();
        if declared.states[usize::from(from)].last {
            return self.fail(node, "no move leads out of a final state", "it begins in one");
        }
        let id = Ty::Id(Ref { scope: 0, index: protocol as u16 });
        let mut params = vec![("id".to_owned(), id)];
        params.extend(self.params(node)?);
        let guard = ast::clauses(node, "by").first().and_then(|c| ast::expr(c, 0));
        let Some(guard) = guard else {
            return self.fail_help(
                node,
                "who may make this move?",
                "a move says so",
                "write `by buyer`, `by Any[buyer, arbiter]`, ...",
            );
        };
        let names: Names = field_names(&params, 0);
        let by = self.guard(&names, &guard).ok();
        let inside = by.is_none();
        if inside {
            params.push(("who".to_owned(), Ty::Party));
        }
        let by = by.unwrap_or_else(|| {
            vec![hopper::ir::GuardNode::Party { place: Place { var: (params.len() - 1) as u16, path: Vec::new() } }]
        });
        let mut requires = Vec::new();
        for claim in ast::clauses(node, "requires").iter().filter_map(|c| ast::expr(c, 0)) {
            match self.props(&field_names(&params, 0), &claim) {
                Ok(props) => requires.extend(props),
                Err(told) => {
                    let help = format!("{INSIDE}: `check {} else ...`", ast::text(&claim));
                    return Err(Box::new((*told).help(help)));
                }
            }
        }
        let ensures = self.ensures(node, &params, &Ty::Unit)?;
        let head =
            Head { kind: FunctionKind::Action, params, result: Ty::Unit, requires, authority: Vec::new(), by, ensures };
        self.assemble(source, head, move |body| {
            let state = &declared.states[usize::from(from)];
            let all: Vec<(String, Ty)> = declared.params.iter().chain(&state.shape.fields).cloned().collect();
            let mut types: Vec<Ty> = all.iter().map(|f| f.1.clone()).collect();
            types.push(Ty::InstanceHole(protocol as u16, from));
            body.range = ast::span(&guard);
            let first = body.emit(Op::Enter { protocol: protocol as u16, state: from, id: 0 }, &types);
            let hole = first + all.len() as u16;
            body.holes.push(Hole::Instance { var: hole, protocol: protocol as u16, targets });
            for (n, (name, ty)) in all.iter().enumerate() {
                let val = Val::var(ty.clone(), first + n as u16);
                if n < declared.params.len() {
                    body.name(&format!("self.{name}"), val.clone());
                }
                body.name(name, val);
            }
            if inside {
                let names = body.names.clone();
                let guard = body.front.guard(&names, &guard)?;
                body.emit(Op::Require { guard }, &[]);
            }
            Ok(())
        })
    }
}

/// The expression whose value a block has.
fn last_expr(node: &Node) -> Node {
    let mut node = ast::bare(node);
    while matches!(node.kind(), K::Block | K::ChangeExpr) {
        let block = if node.kind() == K::Block { Some(node.clone()) } else { ast::child(&node, K::Block) };
        let last = block.and_then(|b| b.children().filter(|c| matches!(c.kind(), K::LetStmt | K::ExprStmt)).last());
        match last.filter(|l| l.kind() == K::ExprStmt).and_then(|l| ast::expr(&l, 0)) {
            Some(inner) => node = ast::bare(&inner),
            None => break,
        }
    }
    node
}

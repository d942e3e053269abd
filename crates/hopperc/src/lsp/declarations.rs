//! What a file declares, from its tree.

use std::ops::Range;

use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, Token, ast};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Record,
    Enum,
    Variant,
    Asset,
    Table,
    Protocol,
    State,
    Start,
    Move,
    Error,
    Event,
    Const,
    Function,
    Field,
    Parameter,
    /// A name given in a body.
    Binding,
}

/// A name where it is given.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    pub kind: Kind,
    pub name: Token,
    /// All of it.
    pub node: Node,
}

impl Declaration {
    pub fn range(&self) -> Range<usize> {
        ast::token_span(&self.name)
    }

    /// The name of what it stands in: the enum of a variant, the protocol of a state, the record of a field.
    pub fn owner(&self) -> Option<Declaration> {
        self.node.ancestors().skip(1).find_map(|n| declared_by(&n))
    }
}

/// The declaration that a node is, if it is one.
pub(super) fn declared_by(node: &Node) -> Option<Declaration> {
    let (kind, name) = match node.kind() {
        K::RecordItem => (Kind::Record, ast::word(node, 1)),
        K::EnumItem => (Kind::Enum, ast::word(node, 1)),
        K::AssetItem => (Kind::Asset, ast::word(node, 1)),
        K::TableItem => (Kind::Table, ast::word(node, 1)),
        K::ProtocolItem => (Kind::Protocol, ast::word(node, 1)),
        K::StateItem => (Kind::State, ast::word(node, 1)),
        K::StartItem => (Kind::Start, ast::word(node, 1)),
        K::MoveItem => (Kind::Move, ast::word(node, 1)),
        K::ConstItem => (Kind::Const, ast::word(node, 1)),
        K::FnItem => {
            let public = ast::word(node, 0).is_some_and(|w| w.text() == "public");
            (Kind::Function, ast::word(node, if public { 2 } else { 1 }))
        }
        K::Variant => (Kind::Variant, ast::word(node, 0)),
        K::Signal => {
            let event = node.parent().and_then(|p| ast::word(&p, 0)).is_some_and(|w| w.text() == "event");
            (if event { Kind::Event } else { Kind::Error }, ast::word(node, 0))
        }
        K::Field => (Kind::Field, ast::last_word(node)),
        K::Param => (Kind::Parameter, ast::last_word(node)),
        _ => return None,
    };
    Some(Declaration { kind, name: name?, node: node.clone() })
}

/// The declarations of a file, in order, fields and parameters left out.
pub(super) fn declarations(root: &Node) -> Vec<Declaration> {
    let declared = root.descendants().filter_map(|n| declared_by(&n));
    declared.filter(|d| !matches!(d.kind, Kind::Field | Kind::Parameter)).collect()
}

/// The fields or parameters of a declaration.
pub(super) fn fields(node: &Node) -> Vec<Declaration> {
    ast::fields(node).iter().filter_map(|f| declared_by(&f.node)).collect()
}

/// The names that a pattern gives.
pub(super) fn bindings(pattern: &Node) -> Vec<Declaration> {
    let binding = |node: Node| {
        let whole = node.kind() == K::NamePat || (node.kind() == K::FieldPat && ast::pat(&node).is_none());
        let name = ast::word(&node, 0).filter(|_| whole)?;
        Some(Declaration { kind: Kind::Binding, name, node })
    };
    pattern.descendants().filter_map(binding).collect()
}

/// The names of the accumulators of a loop.
fn accumulators(node: &Node) -> Vec<Declaration> {
    let list = ast::child(node, K::Accumulators);
    let all = list.iter().flat_map(|l| ast::children(l, K::Accumulator));
    let binding = |node: Node| Some(Declaration { kind: Kind::Binding, name: ast::last_word(&node)?, node });
    all.filter_map(binding).collect()
}

/// The name that is meant in a place of a body: the innermost binding, parameter or field of that name.
pub(super) fn local(at: &Node, name: &str) -> Option<Declaration> {
    let mut inner = at.clone();
    let named = |list: Vec<Declaration>| list.into_iter().rev().find(|d| d.name.text() == name);
    while let Some(outer) = inner.parent() {
        let in_body = matches!(inner.kind(), K::Block | K::Clause);
        let found = match outer.kind() {
            K::Block => {
                let before = |s: &Node| s.kind() == K::LetStmt && s.text_range().end() <= inner.text_range().start();
                let mut lets: Vec<Node> = outer.children().filter(before).collect();
                lets.reverse();
                lets.iter().filter_map(ast::pat).find_map(|p| named(bindings(&p)))
            }
            K::MatchArm if !inner.kind().is_pat() => ast::pat(&outer).and_then(|p| named(bindings(&p))),
            K::ChangeExpr if in_body => ast::pat(&outer).and_then(|p| named(bindings(&p))),
            K::FoldExpr | K::IterateExpr if in_body => {
                let element = || ast::pat(&outer).and_then(|p| named(bindings(&p)));
                named(accumulators(&outer)).or_else(element)
            }
            K::FnItem | K::StartItem | K::RecordItem | K::AssetItem | K::Variant | K::StateItem | K::ProtocolItem => {
                named(fields(&outer))
            }
            // What the state holds that the move begins in has names, too.
            K::MoveItem => {
                named(fields(&outer)).or_else(|| named(fields(&state(&outer, &ast::word(&outer, 2)?)?.node)))
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        inner = outer;
    }
    None
}

/// The state of a name in the protocol that a node stands in.
pub(super) fn state(at: &Node, name: &Token) -> Option<Declaration> {
    let protocol = at.ancestors().find(|n| n.kind() == K::ProtocolItem)?;
    let body = ast::child(&protocol, K::ProtocolBody)?;
    ast::children(&body, K::StateItem).filter_map(|s| declared_by(&s)).find(|d| d.name.text() == name.text())
}

/// The comment that stands right above a declaration, without the dashes.
pub(crate) fn comment(node: &Node) -> String {
    let mut lines = Vec::new();
    // Signals share an item.
    let node = if node.kind() == K::Signal { node.parent() } else { Some(node.clone()) };
    let first =
        node.and_then(|n| n.descendants_with_tokens().filter_map(|e| e.into_token()).find(|t| !t.kind().is_trivia()));
    let mut token = first.and_then(|t| t.prev_token());
    while let Some(now) = token {
        match now.kind() {
            K::Whitespace if now.text().matches('\n').count() <= 1 => {}
            K::Comment => {
                // One that follows something on its line is about that.
                let own_line = now.prev_token().is_none_or(|t| t.kind() == K::Whitespace && t.text().contains('\n'));
                if !own_line {
                    break;
                }
                lines.push(now.text().trim_start_matches('-').trim().to_owned());
            }
            _ => break,
        }
        token = now.prev_token();
    }
    lines.reverse();
    lines.join(" ")
}

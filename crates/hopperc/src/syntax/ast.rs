//! Views of the tree: what a node is made of, by name. A part that a fault left out is `None`.

use std::ops::Range;

use rowan::NodeOrToken;

use super::kind::{Node, SyntaxKind, Token};
use SyntaxKind as K;

/// Where a node's text is, without the white space around it.
pub fn span(node: &Node) -> Range<usize> {
    let significant = |t: &Token| !t.kind().is_trivia();
    let first = node.descendants_with_tokens().filter_map(NodeOrToken::into_token).find(significant);
    let start = first.map_or(node.text_range().start(), |t| t.text_range().start());
    let mut last = node.last_token();
    while let Some(token) = last.clone().filter(|t| t.kind().is_trivia()) {
        last = token.prev_token();
    }
    let end = last.map_or(start, |t| t.text_range().end());
    usize::from(start)..usize::from(end.max(start))
}

/// Where a token is.
pub fn token_span(token: &Token) -> Range<usize> {
    usize::from(token.text_range().start())..usize::from(token.text_range().end())
}

/// The text of a node without comments, white space as single blanks.
pub fn text(node: &Node) -> String {
    let source = node.text().to_string();
    let lines = source.lines().map(|l| l.split("--").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The tokens that stand directly in a node, without trivia.
pub fn tokens(node: &Node) -> impl Iterator<Item = Token> + use<> {
    node.children_with_tokens().filter_map(NodeOrToken::into_token).filter(|t| !t.kind().is_trivia())
}

/// The first token of a kind directly in a node.
pub fn token(node: &Node, kind: SyntaxKind) -> Option<Token> {
    tokens(node).find(|t| t.kind() == kind)
}

/// The `n`-th word directly in a node.
pub fn word(node: &Node, n: usize) -> Option<Token> {
    tokens(node).filter(|t| t.kind() == K::Ident).nth(n)
}

/// The last word directly in a node: what a path ends with.
pub fn last_word(node: &Node) -> Option<Token> {
    tokens(node).filter(|t| t.kind() == K::Ident).last()
}

/// True if a word stands directly in a node.
pub fn has_word(node: &Node, text: &str) -> bool {
    tokens(node).any(|t| t.kind() == K::Ident && t.text() == text)
}

/// The first child of a kind.
pub fn child(node: &Node, kind: SyntaxKind) -> Option<Node> {
    node.children().find(|c| c.kind() == kind)
}

/// All children of a kind.
pub fn children(node: &Node, kind: SyntaxKind) -> impl Iterator<Item = Node> + use<> {
    node.children().filter(move |c| c.kind() == kind)
}

/// The `n`-th expression directly in a node.
pub fn expr(node: &Node, n: usize) -> Option<Node> {
    node.children().filter(|c| c.kind().is_expr()).nth(n)
}

/// All expressions directly in a node.
pub fn exprs(node: &Node) -> Vec<Node> {
    node.children().filter(|c| c.kind().is_expr()).collect()
}

/// The `n`-th type directly in a node.
pub fn ty(node: &Node, n: usize) -> Option<Node> {
    node.children().filter(|c| c.kind().is_type()).nth(n)
}

/// The first pattern directly in a node.
pub fn pat(node: &Node) -> Option<Node> {
    node.children().find(|c| c.kind().is_pat())
}

/// The words of a path.
pub fn path(node: &Node) -> Vec<Token> {
    child(node, K::Path).map(|p| tokens(&p).filter(|t| t.kind() == K::Ident).collect()).unwrap_or_default()
}

/// The clauses of a node that begin with a word.
pub fn clauses(node: &Node, head: &str) -> Vec<Node> {
    children(node, K::Clause).filter(|c| word(c, 0).is_some_and(|w| w.text() == head)).collect()
}

/// Fields and parameters: name, type, whether a ghost.
#[derive(Debug, Clone)]
pub struct Named {
    /// The name.
    pub name: Token,
    /// The type.
    pub ty: Option<Node>,
    /// It stands in proofs only.
    pub ghost: bool,
    /// All of it.
    pub node: Node,
}

/// The fields in a node's list of fields, or its parameters.
pub fn fields(node: &Node) -> Vec<Named> {
    let Some(list) = child(node, K::FieldList).or_else(|| child(node, K::ParamList)) else { return Vec::new() };
    let named = |node: Node| {
        let words: Vec<Token> = tokens(&node).filter(|t| t.kind() == K::Ident).collect();
        let name = words.last()?.clone();
        Some(Named { name, ty: ty(&node, 0), ghost: words.len() > 1, node })
    };
    list.children().filter(|c| matches!(c.kind(), K::Field | K::Param)).filter_map(named).collect()
}

/// The fields of a record that is made: name and value; without a value, the variable of that name.
pub fn struct_fields(node: &Node) -> Vec<(Token, Option<Node>)> {
    let Some(list) = child(node, K::StructFields) else { return Vec::new() };
    children(&list, K::StructField).filter_map(|f| Some((tokens(&f).next()?, expr(&f, 0)))).collect()
}

/// The operator of a node with two operands or one.
pub fn operator(node: &Node) -> Option<SyntaxKind> {
    tokens(node).next().map(|t| t.kind())
}

/// The arguments of a call or index.
pub fn args(node: &Node) -> Vec<Node> {
    child(node, K::ArgList).or_else(|| child(node, K::IndexArgs)).map(|l| exprs(&l)).unwrap_or_default()
}

/// What is left of parentheses when they are taken off.
pub fn bare(node: &Node) -> Node {
    let mut node = node.clone();
    while node.kind() == K::ParenExpr {
        match expr(&node, 0) {
            Some(inner) => node = inner,
            None => break,
        }
    }
    node
}

/// The parts of a conjunction.
pub fn conjuncts(node: &Node) -> Vec<Node> {
    let mut parts = Vec::new();
    let mut open = vec![bare(node)];
    while let Some(node) = open.pop() {
        if node.kind() == K::BinExpr && operator(&node) == Some(K::AndAnd) {
            open.extend(exprs(&node).iter().rev().map(bare));
        } else {
            parts.push(node);
        }
    }
    parts
}

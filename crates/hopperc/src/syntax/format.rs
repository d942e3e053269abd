//! The formatter. It keeps the author's lines and comments, and settles the rest: indentation, blanks between tokens, at most one
//! empty line. What it writes has the same tokens, and it leaves alone what it wrote.

use rowan::NodeOrToken;

use super::kind::{Node, SyntaxKind, Token, lex};
use SyntaxKind as K;

/// Two blanks a level.
const INDENT: usize = 2;

/// The text of a tree in the one layout.
pub fn format(root: &Node) -> String {
    let mut out = String::new();
    let mut lines = Lines::default();
    let tokens: Vec<Token> = root.descendants_with_tokens().filter_map(NodeOrToken::into_token).collect();
    let mut before: Option<&Token> = None;
    // Line ends since the last token.
    let mut breaks = 0usize;
    for token in &tokens {
        if token.kind() == K::Whitespace {
            breaks = token.text().matches('\n').count();
            continue;
        }
        match before {
            None => lines.indent = lines.begin(token),
            Some(_) if breaks > 0 => {
                out.push_str(if breaks > 1 { "\n\n" } else { "\n" });
                lines.indent = lines.begin(token);
                out.extend(std::iter::repeat_n(' ', lines.indent * INDENT));
            }
            Some(last) if blank(last, token) || would_merge(last, token) => out.push(' '),
            Some(_) => {}
        }
        out.push_str(token.text().trim_end());
        lines.note(token);
        before = Some(token);
        breaks = 0;
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// Which brackets are open, and how far in the lines are on which they opened.
#[derive(Default)]
struct Lines {
    /// Of the line that is being written.
    indent: usize,
    /// Of the line of each bracket that is open.
    open: Vec<usize>,
}

fn opens(kind: SyntaxKind) -> bool {
    matches!(kind, K::LBrace | K::LParen | K::LBracket)
}

fn closes(kind: SyntaxKind) -> bool {
    matches!(kind, K::RBrace | K::RParen | K::RBracket)
}

impl Lines {
    /// How far in a line is that begins with this token.
    fn begin(&self, token: &Token) -> usize {
        let kind = token.kind();
        match self.open.last() {
            Some(open) if closes(kind) => *open,
            Some(open) => open + 1 + usize::from(!begins_element(token)),
            None => usize::from(!begins_element(token)),
        }
    }

    fn note(&mut self, token: &Token) {
        if opens(token.kind()) {
            self.open.push(self.indent);
        } else if closes(token.kind()) {
            self.open.pop();
        }
    }
}

/// True if the token is the first of a declaration, statement, field or arm, or goes with the first column of one.
fn begins_element(token: &Token) -> bool {
    if matches!(token.kind(), K::Comment | K::LBrace) || token.text() == "else" {
        return true;
    }
    let Some(mut node) = token.parent() else { return true };
    // The body of a declaration begins where the declaration does.
    let item = matches!(node.kind(), K::FnItem | K::MoveItem | K::StartItem | K::ConstItem);
    if item && token.kind() == K::Eq {
        return true;
    }
    let start = token.text_range().start();
    if holds_elements(node.kind()) {
        return true;
    }
    loop {
        let first = node.descendants_with_tokens().filter_map(NodeOrToken::into_token);
        let first = { first }.find(|t| !t.kind().is_trivia()).map(|t| t.text_range().start());
        if first != Some(start) {
            return false;
        }
        match node.parent() {
            None => return true,
            Some(parent) if holds_elements(parent.kind()) => return true,
            Some(parent) => node = parent,
        }
    }
}

/// Nodes between brackets, and the file.
fn holds_elements(kind: SyntaxKind) -> bool {
    matches!(
        kind,
        K::SourceFile
            | K::Block
            | K::ProtocolBody
            | K::FieldList
            | K::VariantList
            | K::ParamList
            | K::ArgList
            | K::IndexArgs
            | K::TupleExpr
            | K::ParenExpr
            | K::ListExpr
            | K::StructFields
            | K::MatchArms
            | K::Accumulators
            | K::ImportNames
            | K::TuplePat
            | K::VariantPatFields
            | K::TupleType
            | K::TestItem
            | K::ChangeList
            | K::Error
    )
}

/// True if two tokens with nothing between them would be others, or with the number before a dot: `5.` and `1`.
fn would_merge(left: &Token, right: &Token) -> bool {
    let mut all = vec![left.clone(), right.clone()];
    let before = std::iter::successors(left.prev_token(), Token::prev_token).find(|t| !t.kind().is_trivia());
    if let Some(before) = before.filter(|t| left.kind() == K::Dot && t.kind() == K::Number) {
        all.insert(0, before);
    }
    let text: String = all.iter().map(Token::text).collect();
    let kinds: Vec<SyntaxKind> = lex(&text).iter().map(|t| t.kind).collect();
    !kinds.iter().copied().eq(all.iter().map(Token::kind)) && left.text_range().end() != right.text_range().start()
}

/// True if there is a blank between two tokens of one line.
fn blank(left: &Token, right: &Token) -> bool {
    let parent = |token: &Token| token.parent().map_or(K::Error, |n| n.kind());
    let (l, r) = (left.kind(), right.kind());
    if r == K::Comment {
        return true;
    }
    // What is no token is left as it was.
    if l == K::Unknown || r == K::Unknown {
        return left.text_range().end() != right.text_range().start();
    }
    match (l, r) {
        (K::LBrace, K::RBrace) | (K::LParen | K::LBracket, _) | (_, K::RParen | K::RBracket) => false,
        (_, K::Comma | K::Semi | K::Colon) => false,
        (K::Dot, _) | (_, K::Dot | K::Question) => false,
        (K::Minus | K::Bang, _) if parent(left) == K::PrefixExpr => false,
        (_, K::LParen) if matches!(parent(right), K::ArgList | K::ParamList) => false,
        (_, K::LParen) if parent(right) == K::VariantPatFields => false,
        (_, K::LBracket) if parent(right) == K::IndexArgs => false,
        (_, K::Lt | K::Gt) if parent(right) == K::TypeArgs => false,
        (K::Lt, _) if parent(left) == K::TypeArgs => false,
        _ => true,
    }
}

//! The parser's machine: tokens, nodes, errors, recovery. The rules are in `items` and `expressions`.

use std::ops::Range;

use rowan::{Checkpoint, GreenNode, GreenNodeBuilder, Language};

use super::kind::{Hopper, Lexed, Node, RESERVED, SyntaxKind, lex};
use SyntaxKind as K;

/// Nesting of expressions, types and patterns, at most. The verifier allows 32 blocks inside one another.
pub(super) const DEPTH_MAX: usize = 48;
/// Height of one expression: operators one after the other make a tree as high as there are operators.
pub(super) const HEIGHT_MAX: usize = 200;
/// Errors that are told of one text.
const ERRORS_MAX: usize = 50;

/// A fault in the form of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where, in bytes.
    pub range: Range<usize>,
    /// What was expected.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// A tree with the errors found on the way.
#[derive(Debug, Clone)]
pub struct Parse {
    green: GreenNode,
    /// In order.
    pub errors: Vec<SyntaxError>,
}

impl Parse {
    /// The root: a [`SyntaxKind::SourceFile`], whose text is the text parsed.
    pub fn root(&self) -> Node {
        Node::new_root(self.green.clone())
    }
}

/// Parses a text, any text.
pub fn parse(text: &str) -> Parse {
    let tokens = lex(text);
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        builder: GreenNodeBuilder::new(),
        errors: Vec::new(),
        depth: 0,
        tall: 0,
        end: text.len(),
    };
    parser.start(K::SourceFile);
    parser.source_file();
    parser.trivia();
    parser.finish();
    Parse { green: parser.builder.finish(), errors: parser.errors }
}

pub(super) struct Parser<'t> {
    tokens: &'t [Lexed<'t>],
    at: usize,
    builder: GreenNodeBuilder<'static>,
    errors: Vec<SyntaxError>,
    pub depth: usize,
    /// Height of the expressions read since this was last set to 0.
    pub tall: usize,
    end: usize,
}

impl<'t> Parser<'t> {
    // ---- looking

    /// The place of the `n`-th token from here that is not trivia.
    fn place(&self, n: usize) -> usize {
        let mut at = self.at;
        let mut left = n;
        while let Some(token) = self.tokens.get(at) {
            if !token.kind.is_trivia() {
                if left == 0 {
                    break;
                }
                left -= 1;
            }
            at += 1;
        }
        at
    }

    fn token(&self, n: usize) -> Option<&'t Lexed<'t>> {
        self.tokens.get(self.place(n))
    }

    /// The kind of the next token.
    pub fn peek(&self) -> SyntaxKind {
        self.nth(0)
    }

    /// The kind of the token after `n` others.
    pub fn nth(&self, n: usize) -> SyntaxKind {
        self.token(n).map_or(K::End, |t| t.kind)
    }

    /// The word that comes next, if one does.
    pub fn word(&self) -> Option<&'t str> {
        self.nth_word(0)
    }

    pub fn nth_word(&self, n: usize) -> Option<&'t str> {
        self.token(n).filter(|t| t.kind == K::Ident).map(|t| t.text)
    }

    pub fn is(&self, kind: SyntaxKind) -> bool {
        self.peek() == kind
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    /// A name comes next: a word that is not reserved.
    pub fn is_name(&self) -> bool {
        self.word().is_some_and(|w| !RESERVED.contains(&w))
    }

    pub fn done(&self) -> bool {
        self.peek() == K::End
    }

    /// A line ends before the next token.
    pub fn new_line(&self) -> bool {
        let next = self.place(0);
        self.tokens[self.at..next].iter().any(|t| t.text.contains('\n'))
    }

    /// The text of the token that was read last.
    pub fn before(&self) -> Option<&'t str> {
        let read = self.tokens.get(..self.at)?;
        read.iter().rev().find(|t| !t.kind.is_trivia()).map(|t| t.text)
    }

    /// Where the next token begins, to see whether anything was read.
    pub fn progress(&self) -> usize {
        self.place(0)
    }

    // ---- building

    pub fn trivia(&mut self) {
        while let Some(token) = self.tokens.get(self.at).filter(|t| t.kind.is_trivia()) {
            self.builder.token(Hopper::kind_to_raw(token.kind), token.text);
            self.at += 1;
        }
    }

    pub fn start(&mut self, kind: SyntaxKind) {
        if kind != K::SourceFile {
            self.trivia();
        }
        self.builder.start_node(Hopper::kind_to_raw(kind));
    }

    pub fn finish(&mut self) {
        self.builder.finish_node();
    }

    pub fn checkpoint(&mut self) -> Checkpoint {
        self.trivia();
        self.builder.checkpoint()
    }

    pub fn start_at(&mut self, checkpoint: Checkpoint, kind: SyntaxKind) {
        self.builder.start_node_at(checkpoint, Hopper::kind_to_raw(kind));
    }

    /// Takes the next token.
    pub fn bump(&mut self) {
        self.trivia();
        if let Some(token) = self.tokens.get(self.at) {
            self.builder.token(Hopper::kind_to_raw(token.kind), token.text);
            self.at += 1;
        }
    }

    pub fn eat(&mut self, kind: SyntaxKind) -> bool {
        let found = self.is(kind);
        if found {
            self.bump();
        }
        found
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.bump();
        }
        found
    }

    // ---- errors

    fn error_at(&mut self, range: Range<usize>, message: String, help: Option<String>) {
        // One fault makes others in its wake.
        let again = self.errors.last().is_some_and(|e| e.range == range);
        if !again && self.errors.len() < ERRORS_MAX {
            self.errors.push(SyntaxError { range, message, help });
        }
    }

    fn next_range(&self) -> Range<usize> {
        self.token(0).map_or(self.end..self.end, |t| t.start..t.start + t.text.len())
    }

    fn found(&self) -> String {
        match self.token(0) {
            None => "the end of the text".to_owned(),
            Some(token) => {
                let short: String = token.text.chars().take(20).collect();
                format!("`{}`", short.escape_debug())
            }
        }
    }

    /// Says that something else was expected here.
    pub fn expected(&mut self, what: &str) {
        let message = format!("expected {what}, found {}", self.found());
        let range = self.next_range();
        self.error_at(range, message, None);
    }

    pub fn expected_help(&mut self, what: &str, help: &str) {
        let message = format!("expected {what}, found {}", self.found());
        let range = self.next_range();
        self.error_at(range, message, Some(help.to_owned()));
    }

    pub fn expect(&mut self, kind: SyntaxKind, what: &str) -> bool {
        let found = self.eat(kind);
        if !found {
            self.expected(what);
        }
        found
    }

    /// Takes a name.
    pub fn name(&mut self, what: &str) -> bool {
        if self.is_name() {
            self.bump();
            return true;
        }
        match self.word() {
            Some(word) => {
                let help = format!("`{word}` is a word of the language; choose another name");
                self.expected_help(what, &help);
            }
            None => self.expected(what),
        }
        false
    }

    /// Takes the next token as a fault.
    pub fn skip(&mut self) {
        if !self.done() {
            self.start(K::Error);
            self.bump();
            self.finish();
        }
    }

    /// Goes one level deeper, unless that is too deep: then the rest of the brackets is a fault.
    pub fn deeper(&mut self, inner: impl FnOnce(&mut Self)) {
        if self.depth >= DEPTH_MAX {
            let range = self.next_range();
            let help = "give parts of it names with `let`, or write functions".to_owned();
            self.error_at(range, format!("nested deeper than {DEPTH_MAX}"), Some(help));
            self.skip();
            return;
        }
        self.depth += 1;
        inner(self);
        self.depth -= 1;
    }

    pub fn too_tall(&mut self) {
        let range = self.next_range();
        let help = "give parts of it names with `let`".to_owned();
        self.error_at(range, "too many operators in one expression".to_owned(), Some(help));
    }

    /// A list between brackets, which come next: items with commas between and perhaps one after the last.
    pub fn list(&mut self, close: SyntaxKind, what: &str, mut item: impl FnMut(&mut Self)) {
        let closer = if close == K::RParen {
            "`)` or `,`"
        } else if close == K::RBracket {
            "`]` or `,`"
        } else {
            "`}` or `,`"
        };
        self.bump();
        while !self.is(close) && !self.done() {
            let before = self.progress();
            item(self);
            if self.progress() == before {
                self.expected(what);
                if self.ends_list(close) {
                    break;
                }
                self.skip();
                continue;
            }
            if self.is(close) {
                break;
            }
            if !self.eat(K::Comma) {
                self.expected(closer);
                if self.ends_list(close) {
                    break;
                }
                // A comma forgotten at the end of a line: what follows is the next item.
                if !self.new_line() {
                    self.skip();
                }
            }
        }
        self.expect(close, closer);
    }

    /// A token that closes something outside a list.
    fn ends_list(&self, close: SyntaxKind) -> bool {
        let kind = self.peek();
        if self.new_line() && self.at_head() && self.nth(1) == K::Ident {
            return true;
        }
        kind == K::End || (kind != close && matches!(kind, K::RBrace | K::RParen | K::RBracket))
    }
}

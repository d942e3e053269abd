//! Rules for expressions, statements and patterns. Operators by precedence (V. Pratt, Top down operator precedence, 1973).
//!
//! A line's end matters in one place: `(`, `[` and `{` that begin a line do not continue what stands before.

use rowan::Checkpoint;

use super::kind::SyntaxKind;
use super::parser::{HEIGHT_MAX, Parser};
use SyntaxKind as K;

/// Binding powers of the operators between two operands: left and right.
fn power(kind: SyntaxKind) -> Option<(u8, u8)> {
    Some(match kind {
        K::OrOr => (1, 2),
        K::AndAnd => (3, 4),
        K::EqEq | K::NotEq | K::LtEq | K::GtEq | K::Lt | K::Gt => (5, 6),
        K::Plus | K::Minus => (7, 8),
        K::Star | K::Slash | K::Percent => (9, 10),
        _ => return None,
    })
}

/// Of `-` and `!` before an operand.
const PREFIX: u8 = 13;
/// Of `as T`.
const CAST: u8 = 11;
/// Of `with { ... }`.
const WITH: u8 = 15;

impl Parser<'_> {
    /// An expression.
    pub fn expr(&mut self) {
        self.expr_power(0, true);
    }

    /// An expression after which a block comes: a name before `{` is not the record `name { ... }`.
    fn head(&mut self) {
        self.expr_power(0, false);
    }

    fn expr_power(&mut self, least: u8, records: bool) {
        self.deeper(|p| {
            let outside = std::mem::take(&mut p.tall);
            let from = p.checkpoint();
            p.operand(records);
            let mut height = p.tall + 1;
            while p.operator(from, least, records) {
                height = height.max(p.tall) + 1;
                p.tall = 0;
                if height > HEIGHT_MAX {
                    p.too_tall();
                    break;
                }
            }
            p.tall = outside.max(height);
        });
    }

    /// Continues an expression by one operator, if one comes that binds strongly enough.
    fn operator(&mut self, from: Checkpoint, least: u8, records: bool) -> bool {
        let kind = self.peek();
        match kind {
            K::Dot => {
                self.start_at(from, K::FieldExpr);
                self.bump();
                if matches!(self.peek(), K::Number | K::Decimal | K::Ident) {
                    self.bump();
                } else {
                    self.expected("a field");
                }
                if records && self.is(K::LBrace) && !self.new_line() && self.upper_before() {
                    self.finish();
                    self.start_at(from, K::StructExpr);
                    self.struct_fields();
                }
                self.finish();
            }
            K::Question => {
                self.start_at(from, K::TryExpr);
                self.bump();
                self.finish();
            }
            K::LParen if !self.new_line() => {
                self.start_at(from, K::CallExpr);
                self.start(K::ArgList);
                self.list(K::RParen, "an argument", |p| {
                    if p.at_expr() {
                        p.expr();
                    }
                });
                self.finish();
                self.finish();
            }
            K::LBracket if !self.new_line() => {
                self.start_at(from, K::IndexExpr);
                self.start(K::IndexArgs);
                self.list(K::RBracket, "an expression", |p| {
                    if p.at_expr() {
                        p.expr();
                    }
                });
                self.finish();
                self.finish();
            }
            K::Ident if self.is_word("as") && !self.new_line() && CAST > least && self.cast_follows() => {
                self.start_at(from, K::CastExpr);
                self.bump();
                self.ty();
                self.finish();
            }
            K::Ident if self.is_word("with") && WITH > least && self.nth(1) == K::LBrace => {
                self.start_at(from, K::WithExpr);
                self.bump();
                self.struct_fields();
                self.finish();
            }
            _ => {
                let Some((left, right)) = power(kind).filter(|(left, _)| *left > least) else { return false };
                let comparison = left == 5;
                self.start_at(from, K::BinExpr);
                self.bump();
                self.expr_power(right, records);
                self.finish();
                if comparison && power(self.peek()).is_some_and(|(left, _)| left == 5) {
                    self.expected_help("an end of the comparison", "write `a <= b && b <= c`");
                    // Whoever writes it may mean it: it is read from the left.
                }
            }
        }
        true
    }

    /// After `as` comes a type here, and not the name of a row: `change t[k] as r`.
    fn cast_follows(&self) -> bool {
        self.nth(1) != K::Ident || self.nth_word(1).is_some_and(|w| w.starts_with(|c: char| c.is_ascii_uppercase()))
    }

    /// The token before was a name that begins with a capital.
    fn upper_before(&self) -> bool {
        self.before().is_some_and(|w| w.starts_with(|c: char| c.is_ascii_uppercase()))
    }

    pub(super) fn at_expr(&self) -> bool {
        matches!(
            self.peek(),
            K::Ident
                | K::Role
                | K::Number
                | K::Decimal
                | K::Duration
                | K::Date
                | K::HexBytes
                | K::Text
                | K::LParen
                | K::LBracket
                | K::LBrace
                | K::Minus
                | K::Bang
        )
    }

    fn operand(&mut self, records: bool) {
        match self.peek() {
            K::Number | K::Decimal | K::Duration | K::Date | K::HexBytes | K::Text => {
                self.start(K::Literal);
                self.bump();
                self.finish();
            }
            K::Role => {
                self.start(K::RoleExpr);
                self.bump();
                self.finish();
            }
            K::Minus | K::Bang => {
                self.start(K::PrefixExpr);
                self.bump();
                self.expr_power(PREFIX, records);
                self.finish();
            }
            K::LParen => {
                let from = self.checkpoint();
                let mut count = 0;
                let mut comma = false;
                self.list(K::RParen, "an expression", |p| {
                    if p.at_expr() {
                        p.expr();
                        count += 1;
                        comma |= p.is(K::Comma);
                    }
                });
                self.start_at(from, if count == 1 && !comma { K::ParenExpr } else { K::TupleExpr });
                self.finish();
            }
            K::LBracket => {
                self.start(K::ListExpr);
                self.list(K::RBracket, "an expression", |p| {
                    if p.at_expr() {
                        p.expr();
                    }
                });
                self.finish();
            }
            K::LBrace => self.block(),
            K::Ident => self.word_expr(records),
            _ => self.expected("an expression"),
        }
    }

    fn word_expr(&mut self, records: bool) {
        match self.word() {
            Some("true" | "false") => {
                self.start(K::Literal);
                self.bump();
                self.finish();
            }
            Some("if") => self.if_expr(),
            Some("match") => self.match_expr(),
            Some("check") => {
                self.start(K::CheckExpr);
                self.bump();
                self.head();
                self.otherwise("check a <= b else TooMuch");
                self.finish();
            }
            Some("abort") => {
                self.start(K::AbortExpr);
                self.bump();
                self.signal();
                self.finish();
            }
            Some("change") => self.change(),
            Some("insert") => {
                self.start(K::InsertExpr);
                self.bump();
                self.head();
                self.expect(K::Eq, "`=` and the row");
                self.expr_power(0, records);
                self.finish();
            }
            Some(word @ ("put" | "assert" | "require" | "peek" | "exists")) => {
                self.start(match word {
                    "put" => K::PutExpr,
                    "assert" => K::AssertExpr,
                    "require" => K::RequireExpr,
                    "peek" => K::PeekExpr,
                    _ => K::ExistsExpr,
                });
                self.bump();
                // Looking at a row is an operand: `exists t[k] && ...`.
                self.expr_power(if matches!(word, "peek" | "exists") { CAST } else { 0 }, records);
                self.finish();
            }
            Some("close") => {
                self.start(K::CloseExpr);
                self.bump();
                self.finish();
            }
            Some("emit") => {
                self.start(K::EmitExpr);
                self.bump();
                self.signal();
                self.finish();
            }
            Some("fold") => self.fold(),
            Some("iterate") => self.iterate(),
            Some("let" | "else") => {
                self.expected_help("an expression", "`let` stands at the start of a statement in a block");
            }
            _ => {
                let from = self.checkpoint();
                self.start(K::NameExpr);
                self.bump();
                self.finish();
                if records && self.is(K::LBrace) && !self.new_line() && self.upper_before() {
                    self.start_at(from, K::StructExpr);
                    self.struct_fields();
                    self.finish();
                }
            }
        }
    }

    /// `else Error { ... }`
    fn otherwise(&mut self, example: &str) {
        if self.eat_word("else") {
            self.signal();
        } else {
            self.expected_help("`else` and an error", &format!("as in `{example}`"));
        }
    }

    /// An error or event, with its fields.
    fn signal(&mut self) {
        let from = self.checkpoint();
        self.start(K::NameExpr);
        let named = self.name("an error or event that is declared");
        self.finish();
        if named && self.is(K::LBrace) && !self.new_line() {
            self.start_at(from, K::StructExpr);
            self.struct_fields();
            self.finish();
        }
    }

    /// `{ a: x, b }`
    fn struct_fields(&mut self) {
        self.start(K::StructFields);
        self.list(K::RBrace, "a field, as name: value", |p| {
            if p.is_name() || p.is(K::Number) {
                p.start(K::StructField);
                p.bump();
                if p.eat(K::Colon) {
                    p.expr();
                }
                p.finish();
            }
        });
        self.finish();
    }

    /// Statements between braces.
    pub fn block(&mut self) {
        if !self.is(K::LBrace) {
            self.expected("`{`");
            return;
        }
        self.start(K::Block);
        self.bump();
        while !self.is(K::RBrace) && !self.done() {
            let before = self.progress();
            if self.is_word("let") {
                self.let_stmt();
            } else if self.at_expr() {
                self.start(K::ExprStmt);
                self.expr();
                self.finish();
            }
            let stuck = self.progress() == before;
            if self.eat(K::Semi) {
                continue;
            }
            if stuck {
                self.expected("a statement or `}`");
                if matches!(self.peek(), K::RParen | K::RBracket | K::End) && self.depth > 1 {
                    break;
                }
                self.skip();
            } else if !self.is(K::RBrace) && !self.new_line() && !self.done() {
                self.expected_help("`;` or the end of the line", "statements on one line have `;` between them");
                if matches!(self.peek(), K::RParen | K::RBracket) && self.depth > 1 {
                    break;
                }
                if !self.at_expr() && !self.is_word("let") {
                    self.skip();
                }
            }
        }
        self.expect(K::RBrace, "`}`");
        self.finish();
    }

    fn let_stmt(&mut self) {
        self.start(K::LetStmt);
        self.bump();
        if self.is_word("ghost") && self.nth(1) == K::Ident {
            self.bump();
        }
        self.pattern();
        if self.eat(K::Colon) {
            self.ty();
        }
        self.expect(K::Eq, "`=` and the value");
        self.expr();
        if self.eat_word("else") {
            self.signal();
        }
        self.finish();
    }

    fn if_expr(&mut self) {
        self.start(K::IfExpr);
        self.bump();
        self.head();
        // One without braces on one line: `if c then a else b`.
        if self.eat_word("then") {
            self.expr();
        } else {
            self.block();
        }
        if self.eat_word("else") {
            if self.is_word("if") {
                self.deeper(Parser::if_expr);
            } else if self.is(K::LBrace) {
                self.block();
            } else {
                self.expr();
            }
        }
        self.finish();
    }

    fn match_expr(&mut self) {
        self.start(K::MatchExpr);
        self.bump();
        self.head();
        if !self.is(K::LBrace) {
            self.expected("`{` and the arms");
            self.finish();
            return;
        }
        self.start(K::MatchArms);
        self.bump();
        while !self.is(K::RBrace) && !self.done() {
            let before = self.progress();
            self.start(K::MatchArm);
            self.pattern();
            if self.eat_word("if") {
                self.head();
            }
            if self.expect(K::FatArrow, "`=>` and what to do") {
                self.expr();
            }
            self.finish();
            if self.eat(K::Comma) {
                continue;
            }
            if self.progress() == before {
                if matches!(self.peek(), K::RParen | K::RBracket) {
                    break;
                }
                self.skip();
            } else if !self.is(K::RBrace) && !self.new_line() {
                self.expected("`,` or `}`");
            }
        }
        self.expect(K::RBrace, "`}`");
        self.finish();
        self.finish();
    }

    fn change(&mut self) {
        self.start(K::ChangeExpr);
        self.bump();
        self.head();
        if self.eat_word("as") {
            self.pattern();
        } else {
            self.expected_help("`as` and a name for the row", "as in `change accounts[p] as a { ... put a ... }`");
        }
        self.block();
        self.finish();
    }

    fn fold(&mut self) {
        self.start(K::FoldExpr);
        self.bump();
        self.pattern();
        if !self.eat_word("in") {
            self.expected_help("`in` and what is gone through", "as in `fold x in list from (sum: 0) { sum + x }`");
        }
        if self.is_word("drain") && self.nth(1) == K::Ident {
            self.bump();
        }
        self.head();
        self.loop_rest();
    }

    fn iterate(&mut self) {
        self.start(K::IterateExpr);
        self.bump();
        self.head();
        self.loop_rest();
    }

    /// `from (acc: x, ghost y: 0) invariant ... { ... }`
    fn loop_rest(&mut self) {
        if self.eat_word("from") {
            if self.is(K::LParen) {
                self.start(K::Accumulators);
                self.list(K::RParen, "an accumulator, as name: first value", |p| {
                    if p.is_name() {
                        p.start(K::Accumulator);
                        if p.is_word("ghost") && p.nth(1) == K::Ident {
                            p.bump();
                        }
                        p.bump();
                        if p.eat(K::Colon) {
                            p.expr();
                        }
                        p.finish();
                    }
                });
                self.finish();
            } else {
                self.expected("`(` and the accumulators");
            }
        } else {
            self.expected_help("`from` and the accumulators", "what goes from round to round: `from (sum: 0)`");
        }
        while self.is_word("invariant") {
            self.start(K::Clause);
            self.bump();
            self.head();
            self.finish();
        }
        self.block();
        self.finish();
    }

    // ---- patterns

    fn pattern(&mut self) {
        match self.peek() {
            K::LParen => self.deeper(|p| {
                p.start(K::TuplePat);
                p.list(K::RParen, "a pattern", |p| {
                    if matches!(p.peek(), K::Ident | K::LParen) {
                        p.pattern();
                    }
                });
                p.finish();
            }),
            K::Ident if self.is_word("_") => {
                self.start(K::WildPat);
                self.bump();
                self.finish();
            }
            K::Ident if self.is_name() => {
                let from = self.checkpoint();
                let upper = self.word().is_some_and(|w| w.starts_with(|c: char| c.is_ascii_uppercase()));
                if !upper {
                    self.start(K::NamePat);
                    self.bump();
                    self.finish();
                    return;
                }
                self.start_at(from, K::VariantPat);
                self.bump();
                while self.is(K::Dot) {
                    self.bump();
                    self.name("a variant");
                }
                if self.is(K::LParen) {
                    self.start(K::VariantPatFields);
                    self.list(K::RParen, "a pattern", |p| {
                        if matches!(p.peek(), K::Ident | K::LParen) {
                            p.deeper(Parser::pattern);
                        }
                    });
                    self.finish();
                } else if self.is(K::LBrace) {
                    self.start(K::VariantPatFields);
                    self.list(K::RBrace, "a field", |p| {
                        if p.is(K::DotDot) {
                            p.start(K::RestPat);
                            p.bump();
                            p.finish();
                        } else if p.is_name() {
                            p.start(K::FieldPat);
                            p.bump();
                            if p.eat(K::Colon) {
                                p.deeper(Parser::pattern);
                            }
                            p.finish();
                        }
                    });
                    self.finish();
                }
                self.finish();
            }
            _ => self.expected("a name or pattern"),
        }
    }
}

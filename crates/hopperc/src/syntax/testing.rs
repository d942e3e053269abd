//! Rules for `test` blocks. Their steps begin with a word each, and need nothing between them but a line's end.

use super::kind::SyntaxKind;
use super::parser::Parser;
use SyntaxKind as K;

/// Words that begin a step.
const STEPS: [&str; 5] = ["given", "let", "as", "expect", "wait"];

impl Parser<'_> {
    pub fn test(&mut self) {
        self.start(K::TestItem);
        self.bump();
        self.expect(K::Text, "what the test shows, in quotes");
        if !self.eat(K::LBrace) {
            self.expected("`{` and the steps");
            self.finish();
            return;
        }
        while !self.is(K::RBrace) && !self.done() {
            match self.word() {
                Some("given") => self.given(),
                Some("let" | "as") => self.action(),
                Some("expect") => self.expectation(),
                Some("wait") => {
                    self.start(K::WaitStep);
                    self.bump();
                    self.expect(K::Duration, "how long, as 2d or 90s");
                    self.finish();
                }
                _ => {
                    let help = "as in `as @alice do pay(@bob, 5)`; assets and rows come out of actions only";
                    self.expected_help("a step: given, as, expect or wait", help);
                    if self.new_line() && self.at_head() {
                        break;
                    }
                    self.skip_step();
                }
            }
            self.eat(K::Semi);
        }
        self.expect(K::RBrace, "`}`");
        self.finish();
    }

    /// Skips what is no step, up to the next one, with brackets in pairs.
    fn skip_step(&mut self) {
        self.start(K::Error);
        let mut open = 0usize;
        loop {
            match self.peek() {
                K::LBrace | K::LParen | K::LBracket => open += 1,
                K::RBrace | K::RParen | K::RBracket => open = open.saturating_sub(1),
                _ => {}
            }
            self.bump();
            let step = self.new_line() && self.word().is_some_and(|w| STEPS.contains(&w) || self.at_head());
            if self.done() || (open == 0 && (step || self.is(K::RBrace))) {
                break;
            }
        }
        self.finish();
    }

    /// `given time 2026-01-01`, `given role treasury = @carol`
    fn given(&mut self) {
        self.start(K::GivenStep);
        self.bump();
        if self.eat_word("time") {
            self.expr();
        } else if self.eat_word("role") {
            self.name("a role, as treasury");
            self.expect(K::Eq, "`=` and the party");
            self.expect(K::Role, "a party, as @carol");
        } else {
            self.expected_help("`time` or `role`", "what is to be there before is made by actions");
        }
        self.finish();
    }

    /// `let id = as @alice, @bob do pay(@alice, 5) fails Insufficient`
    fn action(&mut self) {
        self.start(K::DoStep);
        if self.eat_word("let") {
            self.name("a name for the result");
            self.expect(K::Eq, "`=` and the action");
        }
        if self.eat_word("as") {
            self.start(K::Signers);
            self.expect(K::Role, "who signs, as @alice");
            while self.eat(K::Comma) {
                self.expect(K::Role, "who signs, too, as @bob");
            }
            self.finish();
            if self.eat_word("do") {
                self.expr();
            } else {
                self.expected("`do` and the action");
            }
            if self.eat_word("fails") && self.is_name() && !self.new_line() {
                self.expr();
            }
        } else {
            self.expected("`as` and who signs");
        }
        self.finish();
    }

    fn expectation(&mut self) {
        self.start(K::ExpectStep);
        self.bump();
        match self.word() {
            Some("diff") => {
                self.bump();
                if self.is(K::LBrace) {
                    self.start(K::ChangeList);
                    self.list(K::RBrace, "a change, as accounts[@alice].bal.amount: 100 -> 70", Parser::change_line);
                    self.finish();
                } else {
                    self.expected("`{` and the changes");
                }
            }
            Some("result" | "view" | "event") => {
                self.bump();
                self.expr();
            }
            Some("conserved") => {
                self.bump();
                self.path("an asset");
            }
            _ => self.expected("diff, result, view, event or conserved"),
        }
        self.finish();
    }

    /// `t[k].a.b: before -> after`, `t[k]: new Row { .. }`, `t[k]: gone`, or `..` for any others.
    fn change_line(&mut self) {
        if !self.is(K::DotDot) && !self.at_expr() {
            return;
        }
        self.start(K::ChangeLine);
        if !self.eat(K::DotDot) {
            self.expr();
            self.expect(K::Colon, "`:` and the change");
            if self.is_word("gone") {
                self.bump();
            } else if self.is_word("new") {
                self.bump();
                if self.at_expr() && !self.new_line() {
                    self.expr();
                }
            } else {
                self.expr();
                self.expect(K::Arrow, "`->` and the value after");
                self.expr();
            }
        }
        self.finish();
    }
}

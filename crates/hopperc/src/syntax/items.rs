//! Rules for declarations, types and clauses.

use super::kind::SyntaxKind;
use super::parser::Parser;
use SyntaxKind as K;

/// Words that begin a declaration.
const HEADS: [&str; 16] = [
    "import", "record", "enum", "asset", "table", "protocol", "error", "event", "const", "public", "fn", "action",
    "view", "test", "module", "move",
];

/// Words that begin a clause.
const CLAUSES: [&str; 5] = ["by", "requires", "ensures", "mints", "burns"];

impl Parser<'_> {
    pub fn source_file(&mut self) {
        if self.is_word("module") {
            self.module_head();
        } else {
            self.expected_help("`module`", "a file begins with the module's name: `module bank.cash`");
        }
        while !self.done() {
            let before = self.progress();
            self.item();
            if self.progress() == before {
                self.expected(
                    "a declaration: record, enum, asset, table, protocol, error, event, fn, action, view, ...",
                );
                self.skip_to_item();
            }
        }
    }

    /// Skips what belongs to no declaration.
    fn skip_to_item(&mut self) {
        self.start(K::Error);
        self.bump();
        while !self.done() && (!self.new_line() || !self.at_head()) {
            self.bump();
        }
        self.finish();
    }

    pub fn at_head(&self) -> bool {
        self.word().is_some_and(|w| HEADS.contains(&w))
    }

    fn module_head(&mut self) {
        self.start(K::ModuleHead);
        self.bump();
        self.path("the module's name, as bank.cash");
        loop {
            if self.is_word("governed") {
                self.start(K::Clause);
                self.bump();
                if !self.eat_word("by") {
                    self.expected("`by`");
                }
                self.expr();
                self.finish();
            } else if self.is_word("upgrade") {
                self.start(K::Clause);
                self.bump();
                self.upgrade();
                self.finish();
            } else if self.is_word("replaces") {
                self.start(K::Clause);
                self.bump();
                self.expect(K::Hash, "the id of the version before, as #12ab...");
                self.finish();
            } else {
                break;
            }
        }
        self.finish();
    }

    fn upgrade(&mut self) {
        if self.eat_word("immutable") {
            return;
        }
        if !self.eat_word("additive") && !self.eat_word("governed") {
            self.expected("immutable, additive or governed");
            return;
        }
        if self.eat_word("after") {
            self.expect(K::Duration, "how long, as 48h or 30d");
        }
    }

    /// A name with dots.
    pub fn path(&mut self, what: &str) {
        self.start(K::Path);
        if self.name(what) {
            while self.is(K::Dot) {
                self.bump();
                self.name("a name");
            }
        }
        self.finish();
    }

    fn item(&mut self) {
        match self.word() {
            Some("import") => self.import(),
            Some("record") => self.record(),
            Some("enum") => self.enumeration(),
            Some("asset") => self.asset(),
            Some("table") => self.table(),
            Some("protocol") => self.protocol(),
            Some("error" | "event") => self.signals(),
            Some("const") => self.constant(),
            Some("public" | "fn" | "action" | "view") => self.function(),
            Some("test") => self.test(),
            _ => {}
        }
    }

    fn import(&mut self) {
        self.start(K::ImportItem);
        self.bump();
        self.path("the module's name, as bank.cash");
        if self.eat_word("as") {
            self.name("a name for it here");
        }
        if self.eat(K::Eq) {
            self.expect(K::Hash, "the module's id, as #12ab...");
        }
        if self.is(K::LParen) {
            self.start(K::ImportNames);
            self.list(K::RParen, "a name", |p| {
                p.name("a name");
            });
            self.finish();
        }
        self.finish();
    }

    fn record(&mut self) {
        self.start(K::RecordItem);
        self.bump();
        self.name("the record's name");
        self.fields();
        self.invariants();
        self.finish();
    }

    /// `{ a: T, b: U }`, if that comes next.
    fn fields(&mut self) {
        if !self.is(K::LBrace) {
            self.expected("`{` and the fields");
            return;
        }
        self.start(K::FieldList);
        self.list(K::RBrace, "a field, as name: Type", |p| {
            if p.is_name() {
                p.start(K::Field);
                p.bump();
                p.typed();
                p.finish();
            }
        });
        self.finish();
    }

    /// `: T`
    fn typed(&mut self) {
        self.expect(K::Colon, "`:` and the type");
        self.ty();
    }

    /// `invariant a <= b`, any number of times.
    fn invariants(&mut self) {
        while self.is_word("invariant") || self.is_word("where") {
            self.start(K::Clause);
            self.bump();
            self.expr();
            self.finish();
        }
    }

    fn enumeration(&mut self) {
        self.start(K::EnumItem);
        self.bump();
        self.name("the enum's name");
        if self.is(K::LBrace) {
            self.start(K::VariantList);
            self.list(K::RBrace, "a variant", |p| {
                if p.is_name() {
                    p.start(K::Variant);
                    p.bump();
                    if p.is(K::LBrace) {
                        p.fields();
                    }
                    p.invariants();
                    p.finish();
                }
            });
            self.finish();
        } else {
            self.expected("`{` and the variants");
        }
        self.finish();
    }

    fn asset(&mut self) {
        self.start(K::AssetItem);
        self.bump();
        self.name("the asset's name");
        if self.is_word("signed") {
            self.start(K::Clause);
            self.bump();
            self.name("the field whose party signs");
            self.finish();
        }
        if self.is(K::LBrace) {
            self.fields();
        }
        if self.is_word("conserves") {
            self.start(K::Clause);
            self.bump();
            self.name("the field that is conserved");
            self.finish();
        }
        self.invariants();
        self.finish();
    }

    fn table(&mut self) {
        self.start(K::TableItem);
        self.bump();
        self.name("the table's name");
        self.typed();
        self.expect(K::Arrow, "`->` and the type of the rows");
        self.ty();
        self.invariants();
        self.finish();
    }

    fn protocol(&mut self) {
        self.start(K::ProtocolItem);
        self.bump();
        self.name("the protocol's name");
        self.params();
        self.invariants();
        if self.is(K::LBrace) {
            self.start(K::ProtocolBody);
            self.bump();
            while !self.is(K::RBrace) && !self.done() {
                match self.word() {
                    Some("state") => self.state(),
                    Some("start") => self.step(K::StartItem),
                    Some("move") => self.step(K::MoveItem),
                    _ => {
                        self.expected_help("`state`, `start` or `move`", "other declarations stand outside a protocol");
                        if self.new_line() && self.at_head() {
                            break;
                        }
                        self.start(K::Error);
                        self.bump();
                        while !self.done() && !self.new_line() && !self.is(K::RBrace) {
                            self.bump();
                        }
                        self.finish();
                    }
                }
            }
            self.expect(K::RBrace, "`}`");
            self.finish();
        } else {
            self.expected("`{` and the states");
        }
        self.finish();
    }

    fn state(&mut self) {
        self.start(K::StateItem);
        self.bump();
        self.name("the state's name");
        loop {
            if self.is_word("signed") {
                self.start(K::Clause);
                self.bump();
                self.name("the parameter whose party signs");
                self.finish();
            } else if self.is_word("final") {
                self.start(K::Clause);
                self.bump();
                self.finish();
            } else {
                break;
            }
        }
        if self.is(K::LBrace) {
            self.fields();
        }
        self.invariants();
        self.finish();
    }

    /// `start open(n: Nat96): Offered by ... = ...` or `move fund(n: Nat96): Offered -> Funded by ... = ...`
    fn step(&mut self, kind: SyntaxKind) {
        self.start(kind);
        self.bump();
        self.name("a name");
        if self.is(K::LParen) {
            self.params();
        }
        self.expect(K::Colon, "`:` and the state");
        self.name("a state");
        if kind == K::MoveItem {
            self.expect(K::Arrow, "`->` and the next state");
            self.name("a state");
            while self.eat(K::OrOr) {
                self.name("a state");
            }
        }
        self.clauses();
        self.body();
        self.finish();
    }

    fn signals(&mut self) {
        self.start(K::SignalItem);
        self.bump();
        loop {
            self.start(K::Signal);
            let named = self.name("a name");
            if self.is(K::LBrace) {
                self.fields();
            }
            self.finish();
            if !named || !self.eat(K::Comma) {
                break;
            }
        }
        self.finish();
    }

    fn constant(&mut self) {
        self.start(K::ConstItem);
        self.bump();
        self.name("the constant's name");
        self.typed();
        self.expect(K::Eq, "`=` and the value");
        self.expr();
        self.finish();
    }

    fn function(&mut self) {
        self.start(K::FnItem);
        if self.eat_word("public") {
            if !self.eat_word("fn") {
                self.expected_help("`fn`", "actions and views are for everybody already");
            }
        } else {
            self.bump();
        }
        self.name("a name");
        self.params();
        if self.eat(K::Arrow) {
            self.ty();
        }
        self.clauses();
        self.body();
        self.finish();
    }

    fn body(&mut self) {
        if self.eat(K::Eq) {
            self.expr();
        } else if self.is(K::LBrace) {
            self.expected_help("`=` and the body", "write `=` before the block");
            self.expr();
        } else {
            self.expected("`=` and the body");
        }
    }

    fn params(&mut self) {
        if !self.is(K::LParen) {
            self.expected("`(` and the parameters");
            return;
        }
        self.start(K::ParamList);
        self.list(K::RParen, "a parameter, as name: Type", |p| {
            if p.is_name() {
                p.start(K::Param);
                if p.is_word("ghost") && p.nth(1) == K::Ident {
                    p.bump();
                }
                p.bump();
                p.typed();
                p.finish();
            }
        });
        self.finish();
    }

    fn clauses(&mut self) {
        while self.word().is_some_and(|w| CLAUSES.contains(&w)) {
            self.start(K::Clause);
            let names = self.is_word("mints") || self.is_word("burns");
            self.bump();
            if names {
                self.name("an asset");
                while self.eat(K::Comma) {
                    self.name("an asset");
                }
            } else {
                self.expr();
            }
            self.finish();
        }
    }

    // ---- types

    pub fn ty(&mut self) {
        match self.peek() {
            K::Ident if self.is_name() => {
                self.start(K::NameType);
                self.path("a type");
                if self.is(K::Lt) {
                    self.deeper(|p| {
                        p.start(K::TypeArgs);
                        p.type_args();
                        p.finish();
                    });
                }
                self.finish();
            }
            K::LParen => self.deeper(|p| {
                p.start(K::TupleType);
                p.list(K::RParen, "a type", |p| {
                    if !matches!(p.peek(), K::Comma | K::RParen) {
                        p.ty();
                    }
                });
                p.finish();
            }),
            K::LBracket => self.deeper(|p| {
                p.start(K::ListType);
                p.bump();
                p.ty();
                p.expect(K::Semi, "`;` and how many at most");
                p.eat(K::LtEq);
                p.count();
                p.expect(K::RBracket, "`]`");
                p.finish();
            }),
            _ => self.expected("a type"),
        }
    }

    /// A number or the name of a constant.
    fn count(&mut self) {
        if !self.eat(K::Number) {
            self.name("how many at most");
        }
    }

    /// `<T>`, `<K, V; 500>`, `<32>`
    fn type_args(&mut self) {
        self.bump();
        while !self.is(K::Gt) && !self.done() {
            let before = self.progress();
            if !self.eat(K::Number) {
                self.ty();
            }
            if self.is(K::Comma) {
                self.bump();
            } else if self.is(K::Semi) {
                self.bump();
                self.eat(K::LtEq);
                self.count();
            }
            if self.progress() == before {
                break;
            }
        }
        self.expect(K::Gt, "`>`");
    }
}

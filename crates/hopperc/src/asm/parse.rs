//! Tokens to a module: declarations, types, propositions, guards.
//!
//! Declarations are read in rounds, whatever their order in the text: first all names, then fields and signatures, then
//! invariants and bodies. So a name may be used before it is declared.

use std::collections::BTreeMap;

use hopper::ir::{
    Asset, Const, Enum, Field, Function, FunctionKind, Guard, GuardNode, Label, Linear, Measure, Module, ModuleId,
    Monomial, Move, Place, Prop, Protocol, Record, Ref, Signal, State, Table, Type, TypeIx, Upgrade, Variant,
};

use super::lex::{Tok, Token, lex};
use super::literal::{self, Literal};
use super::typing::{Env, Sort, Typ};
use super::{AsmError, blank};

pub(super) type Result<T> = std::result::Result<T, AsmError>;

/// Nesting of blocks, types, guards and constants, at most: beyond it no verifier looks.
pub(super) const DEPTH_MAX: usize = 64;

/// Words that are names only in backquotes.
pub(super) const RESERVED: [&str; 40] = [
    "module",
    "import",
    "replaces",
    "roles",
    "governed",
    "upgrade",
    "types",
    "constants",
    "record",
    "enum",
    "asset",
    "table",
    "protocol",
    "error",
    "event",
    "public",
    "fn",
    "action",
    "view",
    "where",
    "requires",
    "ensures",
    "by",
    "authority",
    "mints",
    "burns",
    "moves",
    "state",
    "block",
    "exact",
    "postfix",
    "drain",
    "init",
    "invariant",
    "start",
    "true",
    "false",
    "else",
    "unit",
    "atleast",
];

/// Those that begin a declaration.
const HEADS: [&str; 19] = [
    "module",
    "import",
    "replaces",
    "roles",
    "governed",
    "upgrade",
    "types",
    "constants",
    "record",
    "enum",
    "asset",
    "table",
    "protocol",
    "error",
    "event",
    "public",
    "fn",
    "action",
    "view",
];

/// A declaration in the text.
#[derive(Debug, Clone)]
struct Decl {
    head: &'static str,
    /// Its first token.
    start: usize,
    /// The token after its last.
    end: usize,
    /// Its place in the module's table.
    index: usize,
    /// Where what was left for later begins.
    later: usize,
}

/// A variable in scope.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub name: Option<String>,
    pub typ: Typ,
}

pub(super) struct Asm {
    toks: Vec<Token>,
    pub pos: usize,
    pub module: Module,
    pub env: Env,
    /// The name of each import.
    aliases: Vec<String>,
    /// Types are given in order: nothing is put before another for its own sake.
    pinned: bool,
    /// The constants are given in order.
    pinned_constants: bool,
    /// Constants by first need.
    constants: BTreeMap<Const, u16>,
    /// Operations that name a constant by first need: function, block, operation.
    pub needs: Vec<(usize, usize, usize)>,
    /// Declared types whose fields are known: 0 no, 1 being read, 2 yes.
    done: BTreeMap<(Sort, usize), u8>,
    decls: Vec<Decl>,
    /// Where the invariants of variants and states begin: (protocol?, declaration, variant or state).
    inner: Vec<(bool, usize, usize, usize)>,
    nesting: usize,
}

/// Puts a module together.
pub(super) fn assemble(text: &str, known: &dyn Fn(&ModuleId) -> Option<Module>) -> Result<Module> {
    let toks = lex(text)?;
    let name = Label::new("module").map_err(|e| AsmError { line: 1, column: 1, message: e.to_string() })?;
    let module = blank(name);
    let mut asm = Asm {
        toks,
        pos: 0,
        module,
        env: Env::default(),
        aliases: Vec::new(),
        pinned: false,
        pinned_constants: false,
        constants: BTreeMap::new(),
        needs: Vec::new(),
        done: BTreeMap::new(),
        decls: Vec::new(),
        inner: Vec::new(),
        nesting: 0,
    };
    asm.find_declarations()?;
    asm.heads()?;
    // Declarations of imports are known from here on, and the module's own after its fields.
    asm.env = Env::new(asm.module.clone(), known);
    asm.stubs()?;
    asm.fields_of_all()?;
    asm.env = Env::new(asm.module.clone(), known);
    asm.bodies()?;
    asm.settle_constants()?;
    Ok(asm.module)
}

// ---- tokens

impl Asm {
    pub fn peek(&self) -> &Tok {
        self.peek_at(0)
    }

    pub fn peek_at(&self, n: usize) -> &Tok {
        self.toks.get(self.pos + n).map_or(&Tok::End, |t| &t.tok)
    }

    /// A token by its place in the text.
    pub fn tok(&self, pos: usize) -> &Tok {
        self.toks.get(pos).map_or(&Tok::End, |t| &t.tok)
    }

    pub fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        self.fail_at(self.pos, message)
    }

    pub fn fail_at<T>(&self, pos: usize, message: impl Into<String>) -> Result<T> {
        let at = self.toks.get(pos).or(self.toks.last());
        let (line, column) = at.map_or((1, 1), |t| (t.line, t.column));
        Err(AsmError { line, column, message: message.into() })
    }

    pub fn expected<T>(&self, what: &str) -> Result<T> {
        self.fail(format!("expected {what}, found {}", self.peek()))
    }

    pub fn is(&self, sym: &str) -> bool {
        matches!(self.peek(), Tok::Sym(s) if *s == sym)
    }

    fn is_at(&self, n: usize, sym: &str) -> bool {
        matches!(self.peek_at(n), Tok::Sym(s) if *s == sym)
    }

    pub fn eat(&mut self, sym: &str) -> bool {
        let found = self.is(sym);
        self.pos += usize::from(found);
        found
    }

    pub fn expect(&mut self, sym: &str) -> Result<()> {
        if self.eat(sym) { Ok(()) } else { self.expected(&format!("`{sym}`")) }
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, n: usize, word: &str) -> bool {
        matches!(self.peek_at(n), Tok::Name(name, false) if name == word)
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.pos += usize::from(found);
        found
    }

    /// A name that is no reserved word.
    pub fn name(&mut self, what: &str) -> Result<String> {
        match self.peek() {
            Tok::Name(name, false) if RESERVED.contains(&name.as_str()) => self.fail(format!(
                "expected {what}; `{name}` is a word of the language, as a name it stands in backquotes"
            )),
            Tok::Name(name, _) => {
                let name = name.clone();
                self.pos += 1;
                Ok(name)
            }
            _ => self.expected(what),
        }
    }

    fn label(&mut self, what: &str) -> Result<Label> {
        let pos = self.pos;
        let name = self.name(what)?;
        match Label::new(&name) {
            Ok(label) => Ok(label),
            Err(e) => self.fail_at(pos, format!("expected {what}: {e}")),
        }
    }

    pub fn number<T: TryFrom<u128>>(&mut self, what: &str) -> Result<T> {
        if let Tok::Number(digits) = self.peek()
            && let Some(n) = digits.parse::<u128>().ok().and_then(|n| T::try_from(n).ok())
        {
            self.pos += 1;
            return Ok(n);
        }
        self.expected(what)
    }

    /// `?n`.
    pub fn raw(&mut self) -> Result<Option<u16>> {
        if self.eat("?") { self.number("a number up to 65535 after `?`").map(Some) } else { Ok(None) }
    }

    /// Runs something that may nest.
    pub fn nested<T>(&mut self, run: impl FnOnce(&mut Asm) -> Result<T>) -> Result<T> {
        if self.nesting >= DEPTH_MAX {
            return self.fail(format!("nested deeper than {DEPTH_MAX}; write it in parts"));
        }
        self.nesting += 1;
        let result = run(self);
        self.nesting -= 1;
        result
    }

    /// Items up to a closing sign, with commas between.
    pub fn items<T>(&mut self, close: &str, mut item: impl FnMut(&mut Asm) -> Result<T>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        while !self.eat(close) {
            all.push(item(self)?);
            if !self.is(close) && !self.eat(",") {
                return self.expected(&format!("`,` or `{close}`"));
            }
        }
        Ok(all)
    }

    fn index(&self, index: usize) -> Result<u16> {
        match u16::try_from(index) {
            Ok(index) => Ok(index),
            Err(_) => self.fail("more than 65536 of one sort"),
        }
    }
}

// ---- declarations

impl Asm {
    /// Finds where each declaration begins.
    fn find_declarations(&mut self) -> Result<()> {
        let mut depth = 0usize;
        let mut starts: Vec<(&'static str, usize)> = Vec::new();
        for (n, token) in self.toks.iter().enumerate() {
            match &token.tok {
                Tok::Sym("(" | "[" | "{") => depth += 1,
                Tok::Sym(")" | "]" | "}") => depth = depth.saturating_sub(1),
                Tok::Name(name, false) if depth == 0 => {
                    let head = HEADS.iter().find(|h| *h == name);
                    let after = |head| matches!(starts.last(), Some((h, at)) if *h == head && at + 1 == n);
                    let part = name == "fn" && after("public") || name == "governed" && after("upgrade");
                    if let Some(head) = head
                        && !part
                    {
                        starts.push((head, n));
                    }
                }
                _ => {}
            }
        }
        let last = self.toks.len() - 1;
        if starts.first().is_none_or(|s| s.1 != 0) {
            return self.fail_at(0, "expected a declaration, as module or record or fn");
        }
        let ends = starts.iter().skip(1).map(|s| s.1).chain([last]);
        let decls = starts.iter().zip(ends).map(|((head, start), end)| Decl {
            head,
            start: start + 1,
            end,
            index: 0,
            later: 0,
        });
        self.decls = decls.collect();
        Ok(())
    }

    /// Runs something for each declaration with this head, in order; afterwards all its tokens must be read.
    fn each(&mut self, heads: &[&str], last: bool, mut run: impl FnMut(&mut Asm, usize) -> Result<()>) -> Result<()> {
        for n in 0..self.decls.len() {
            if heads.contains(&self.decls[n].head) {
                self.pos = if self.decls[n].later > 0 { self.decls[n].later } else { self.decls[n].start };
                run(self, n)?;
                if last {
                    self.at_end(n)?;
                } else {
                    self.decls[n].later = self.pos;
                }
            }
        }
        Ok(())
    }

    fn at_end(&self, decl: usize) -> Result<()> {
        if self.pos == self.decls[decl].end { Ok(()) } else { self.expected("a declaration, as record or fn") }
    }

    /// What comes before the tables.
    fn heads(&mut self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for decl in &self.decls {
            let once = ["module", "replaces", "roles", "governed", "upgrade", "types", "constants"];
            if once.contains(&decl.head) && seen.insert(decl.head, ()).is_some() {
                return self.fail_at(decl.start - 1, format!("expected one `{}` only", decl.head));
            }
        }
        if !seen.contains_key("module") {
            return self.fail_at(0, "expected `module` and its name");
        }
        self.each(&["module"], true, |asm, decl| {
            let pos = asm.pos;
            let mut name = String::new();
            while asm.pos < asm.decls[decl].end {
                match asm.peek() {
                    Tok::Name(part, _) | Tok::Number(part) => name.push_str(part),
                    Tok::Sym(".") => name.push('.'),
                    _ => return asm.expected("a name, as bank.cash"),
                }
                asm.pos += 1;
            }
            match Label::new(&name) {
                Ok(label) => asm.module.name = label,
                Err(e) => return asm.fail_at(pos, format!("expected a name, as bank.cash: {e}")),
            }
            Ok(())
        })?;
        self.each(&["import"], true, |asm, _| {
            let alias = asm.name("a name for the imported module")?;
            asm.expect("=")?;
            let id = asm.module_id()?;
            asm.aliases.push(alias);
            asm.module.imports.push(id);
            Ok(())
        })?;
        self.each(&["replaces"], true, |asm, _| {
            asm.module.replaces = Some(asm.module_id()?);
            Ok(())
        })?;
        self.each(&["roles"], true, |asm, _| {
            loop {
                let role = asm.label("a role's name")?;
                asm.module.roles.push(role);
                if !asm.eat(",") {
                    return Ok(());
                }
            }
        })?;
        self.each(&["governed"], true, |asm, _| {
            if !asm.eat_word("by") {
                return asm.expected("`by` and a guard, as governed by all(@ops, @risk)");
            }
            asm.module.governance = asm.guard(&[])?;
            Ok(())
        })?;
        self.each(&["upgrade"], true, |asm, _| {
            let what = "immutable, additive and a delay in milliseconds, or governed and a delay";
            let word = if asm.eat_word("governed") { "governed".to_owned() } else { asm.name(what)? };
            asm.module.upgrade = match word.as_str() {
                "immutable" => Upgrade::Immutable,
                "additive" => Upgrade::Additive { delay_ms: asm.number("a delay in milliseconds")? },
                "governed" => Upgrade::Governed { delay_ms: asm.number("a delay in milliseconds")? },
                _ => return asm.fail(format!("expected {what}")),
            };
            Ok(())
        })
    }

    fn module_id(&mut self) -> Result<ModuleId> {
        if let Tok::Hash(digits) = self.peek()
            && let Ok(hash) = digits.parse()
        {
            self.pos += 1;
            return Ok(ModuleId(hash));
        }
        self.expected("a module's id: # and 64 digits")
    }

    /// Names of all declarations, and of states.
    fn stubs(&mut self) -> Result<()> {
        let heads =
            ["record", "enum", "asset", "table", "protocol", "error", "event", "public", "fn", "action", "view"];
        self.each(&heads, false, |asm, n| {
            let head = asm.decls[n].head;
            let name = if head == "public" {
                if !asm.eat_word("fn") {
                    return asm.expected("`fn`");
                }
                asm.label("a function's name")?
            } else {
                asm.label(&format!("a name after {head}"))?
            };
            let module = &mut asm.module;
            asm.decls[n].index = match head {
                "record" => {
                    module.records.push(Record { name, fields: Vec::new(), invariant: Vec::new() });
                    module.records.len()
                }
                "enum" => {
                    module.enums.push(Enum { name, variants: Vec::new() });
                    module.enums.len()
                }
                "asset" => {
                    let (fields, invariant) = (Vec::new(), Vec::new());
                    module.assets.push(Asset { name, fields, measured: false, signed: None, invariant });
                    module.assets.len()
                }
                "table" => {
                    module.tables.push(Table { name, key: 0, row: 0, invariant: Vec::new() });
                    module.tables.len()
                }
                "protocol" => {
                    module.protocols.push(Protocol { name, params: Vec::new(), states: Vec::new() });
                    asm.states(n)?;
                    asm.module.protocols.len()
                }
                "error" => {
                    module.errors.push(Signal { name, fields: Vec::new() });
                    module.errors.len()
                }
                "event" => {
                    module.events.push(Signal { name, fields: Vec::new() });
                    module.events.len()
                }
                _ => {
                    module.functions.push(Function {
                        name,
                        kind: match head {
                            "public" => FunctionKind::Public,
                            "action" => FunctionKind::Action,
                            "view" => FunctionKind::View,
                            _ => FunctionKind::Private,
                        },
                        params: Vec::new(),
                        result: 0,
                        requires: Vec::new(),
                        by: Vec::new(),
                        authority: Vec::new(),
                        mints: Vec::new(),
                        burns: Vec::new(),
                        moves: Vec::new(),
                        ensures: Vec::new(),
                        blocks: Vec::new(),
                    });
                    module.functions.len()
                }
            } - 1;
            asm.index(asm.decls[n].index)?;
            Ok(())
        })
    }

    /// The names of a protocol's states, ahead of everything else in it.
    fn states(&mut self, decl: usize) -> Result<()> {
        let (back, end) = (self.pos, self.decls[decl].end);
        let mut names = Vec::new();
        while self.pos < end {
            if self.eat_word("state") {
                names.push(self.label("a state's name")?);
            } else {
                self.pos += 1;
            }
        }
        self.pos = back;
        let index = self.module.protocols.len() - 1;
        let states = names.into_iter().map(|name| State {
            name,
            fields: Vec::new(),
            last: false,
            signed: None,
            invariant: Vec::new(),
        });
        self.module.protocols[index].states = states.collect();
        Ok(())
    }

    fn fields_of_all(&mut self) -> Result<()> {
        self.pinned = self.decls.iter().any(|d| d.head == "types");
        self.pinned_constants = self.decls.iter().any(|d| d.head == "constants");
        self.each(&["types"], true, |asm, _| {
            asm.expect("{")?;
            asm.items("}", |asm| {
                let ty = asm.type_form()?;
                asm.index(asm.module.types.len())?;
                asm.module.types.push(ty);
                Ok(())
            })?;
            Ok(())
        })?;
        for (sort, head) in [(Sort::Record, "record"), (Sort::Enum, "enum"), (Sort::Asset, "asset")] {
            for n in 0..self.decls.len() {
                if self.decls[n].head == head {
                    let index = self.decls[n].index;
                    self.declared(sort, index)?;
                    if !self.pinned {
                        self.intern_declared(sort, index)?;
                    }
                }
            }
        }
        self.each(&["table"], false, |asm, n| {
            asm.expect(":")?;
            let key = asm.ty()?;
            asm.expect("->")?;
            let row = asm.ty()?;
            let table = &mut asm.module.tables[asm.decls[n].index];
            (table.key, table.row) = (key, row);
            Ok(())
        })?;
        self.each(&["protocol"], false, |asm, n| asm.protocol_fields(n))?;
        self.each(&["error"], true, |asm, n| {
            let fields = asm.signal_fields()?;
            asm.module.errors[asm.decls[n].index].fields = fields;
            Ok(())
        })?;
        self.each(&["event"], true, |asm, n| {
            let fields = asm.signal_fields()?;
            asm.module.events[asm.decls[n].index].fields = fields;
            Ok(())
        })?;
        self.each(&["public", "fn", "action", "view"], false, |asm, n| {
            asm.expect("(")?;
            let params = asm.fields(")")?;
            let result = if asm.eat("->") { asm.ty()? } else { asm.intern(Type::Unit)? };
            let function = &mut asm.module.functions[asm.decls[n].index];
            (function.params, function.result) = (params, result);
            Ok(())
        })
    }

    fn fields(&mut self, close: &str) -> Result<Vec<Field>> {
        self.items(close, |asm| {
            let name = asm.label("a field's name")?;
            asm.expect(":")?;
            Ok(Field { name, ty: asm.ty()? })
        })
    }

    fn signal_fields(&mut self) -> Result<Vec<Field>> {
        if self.eat("{") {
            self.fields("}")
        } else if self.eat("(") {
            self.fields(")")
        } else {
            Ok(Vec::new())
        }
    }

    /// Reads the fields of a record, enum or asset, if they were not read yet.
    fn declared(&mut self, sort: Sort, index: usize) -> Result<()> {
        if self.done.contains_key(&(sort, index)) {
            return Ok(());
        }
        self.done.insert((sort, index), 1);
        let found = self.decls.iter().position(|d| d.head == sort.name() && d.index == index);
        let Some(n) = found else { return Ok(()) };
        let back = self.pos;
        self.pos = self.decls[n].later;
        self.nested(|asm| match sort {
            Sort::Record => {
                asm.expect("{")?;
                asm.module.records[index].fields = asm.fields("}")?;
                Ok(())
            }
            Sort::Enum => asm.variant_fields(index),
            _ => {
                let measured = asm.eat_word("measured");
                let signed = if asm.eat_word("signed") { Some(asm.pos) } else { None };
                if signed.is_some() && asm.raw()?.is_none() {
                    asm.name("the field whose party signs")?;
                }
                asm.expect("{")?;
                let fields = asm.fields("}")?;
                let after = asm.pos;
                let asset = &mut asm.module.assets[index];
                (asset.fields, asset.measured) = (fields.clone(), measured);
                if let Some(at) = signed {
                    asm.pos = at;
                    asm.module.assets[index].signed = Some(asm.signer(&fields)?);
                    asm.pos = after;
                }
                Ok(())
            }
        })?;
        self.decls[n].later = self.pos;
        self.pos = back;
        self.done.insert((sort, index), 2);
        Ok(())
    }

    /// A field by name or number.
    fn signer(&mut self, fields: &[Field]) -> Result<u16> {
        if let Some(raw) = self.raw()? {
            return Ok(raw);
        }
        let pos = self.pos;
        let name = self.name("the field or parameter whose party signs")?;
        match fields.iter().position(|f| f.name.as_str() == name).and_then(|n| u16::try_from(n).ok()) {
            Some(n) => Ok(n),
            None => self.fail_at(pos, format!("there is no field `{name}`; write one that is declared, or ?n")),
        }
    }

    /// Goes over propositions; gives where they begin.
    fn skip_props(&mut self) -> usize {
        let start = self.pos;
        let mut depth = 0usize;
        loop {
            match self.peek() {
                Tok::End => break,
                Tok::Sym("," | "}") if depth == 0 => break,
                Tok::Name(name, false) if depth == 0 && name == "state" => break,
                Tok::Sym("(" | "[" | "{") => depth += 1,
                Tok::Sym(")" | "]" | "}") => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.pos += 1;
        }
        start
    }

    fn variant_fields(&mut self, index: usize) -> Result<()> {
        self.expect("{")?;
        while !self.eat("}") {
            let name = self.label("a variant's name")?;
            let fields = if self.eat("{") { self.fields("}")? } else { Vec::new() };
            let variants = &mut self.module.enums[index].variants;
            variants.push(Variant { name, fields, invariant: Vec::new() });
            let place = variants.len() - 1;
            if self.eat_word("where") {
                let start = self.skip_props();
                self.inner.push((false, index, place, start));
            }
            if !self.is("}") && !self.eat(",") {
                return self.expected("`,`, `where` or `}`");
            }
        }
        Ok(())
    }

    fn protocol_fields(&mut self, n: usize) -> Result<()> {
        let index = self.decls[n].index;
        let params = if self.eat("(") { self.fields(")")? } else { Vec::new() };
        self.module.protocols[index].params = params.clone();
        self.expect("{")?;
        let mut place = 0;
        while !self.eat("}") {
            if !self.eat_word("state") {
                return self.expected("`state` or `}`");
            }
            self.label("a state's name")?;
            let (mut last, mut signed, mut fields) = (false, None, Vec::new());
            loop {
                if self.eat_word("last") {
                    last = true;
                } else if self.eat_word("signed") {
                    signed = Some(self.signer(&params)?);
                } else if self.eat("{") {
                    fields = self.fields("}")?;
                } else {
                    break;
                }
            }
            let Some(state) = self.module.protocols[index].states.get_mut(place) else {
                return self.fail("expected `}`");
            };
            (state.last, state.signed, state.fields) = (last, signed, fields);
            if self.eat_word("where") {
                let start = self.skip_props();
                self.inner.push((true, index, place, start));
            }
            self.eat(",");
            place += 1;
        }
        self.at_end(n)
    }

    /// What needs to know all fields: invariants, constants, clauses, bodies.
    fn bodies(&mut self) -> Result<()> {
        self.each(&["constants"], true, |asm, _| {
            asm.expect("{")?;
            asm.items("}", |asm| {
                let constant = asm.constant()?;
                let index = asm.index(asm.module.constants.len())?;
                asm.constants.entry(constant.clone()).or_insert(index);
                asm.module.constants.push(constant);
                Ok(())
            })?;
            Ok(())
        })?;
        self.each(&["record"], true, |asm, n| {
            let index = asm.decls[n].index;
            let locals = asm.locals(&asm.module.records[index].fields);
            asm.module.records[index].invariant = asm.invariant(&locals)?;
            Ok(())
        })?;
        self.each(&["enum"], true, |_, _| Ok(()))?;
        self.each(&["asset"], true, |asm, n| {
            let index = asm.decls[n].index;
            let locals = asm.locals(&asm.module.assets[index].fields);
            asm.module.assets[index].invariant = asm.invariant(&locals)?;
            Ok(())
        })?;
        self.each(&["table"], true, |asm, n| {
            let index = asm.decls[n].index;
            let table = &asm.module.tables[index];
            let local = |name: &str, ty| Local { name: Some(name.to_owned()), typ: asm.env.own(ty) };
            let locals = vec![local("key", table.key), local("row", table.row)];
            asm.module.tables[index].invariant = asm.invariant(&locals)?;
            Ok(())
        })?;
        for (protocol, index, place, start) in std::mem::take(&mut self.inner) {
            self.pos = start;
            if protocol {
                let declared = &self.module.protocols[index];
                let mut locals = self.locals(&declared.params);
                locals.extend(self.locals(&declared.states[place].fields));
                self.module.protocols[index].states[place].invariant = self.props(&locals)?;
            } else {
                let locals = self.locals(&self.module.enums[index].variants[place].fields);
                self.module.enums[index].variants[place].invariant = self.props(&locals)?;
            }
            if !self.is(",") && !self.is("}") && !self.is_word("state") {
                return self.expected("`&&`, `,` or `}`");
            }
        }
        self.each(&["public", "fn", "action", "view"], true, |asm, n| {
            let index = asm.decls[n].index;
            asm.clauses(index)?;
            asm.body(index)
        })
    }

    pub fn locals(&self, fields: &[Field]) -> Vec<Local> {
        let local = |f: &Field| Local { name: Some(f.name.as_str().to_owned()), typ: self.env.own(f.ty) };
        fields.iter().map(local).collect()
    }

    fn invariant(&mut self, locals: &[Local]) -> Result<Vec<Prop>> {
        if self.eat_word("where") { self.props(locals) } else { Ok(Vec::new()) }
    }

    fn clauses(&mut self, index: usize) -> Result<()> {
        let function = &self.module.functions[index];
        let locals = self.locals(&function.params);
        let mut after = locals.clone();
        after.push(Local { name: Some("result".to_owned()), typ: self.env.own(function.result) });
        loop {
            if self.eat_word("by") {
                self.module.functions[index].by = self.guard(&locals)?;
            } else if self.eat_word("requires") {
                let props = self.props(&locals)?;
                self.module.functions[index].requires.extend(props);
            } else if self.eat_word("ensures") {
                let props = self.props(&after)?;
                self.module.functions[index].ensures.extend(props);
            } else if self.eat_word("authority") {
                loop {
                    let place = self.place(&locals)?;
                    self.module.functions[index].authority.push(place);
                    if !self.eat(",") {
                        break;
                    }
                }
            } else if self.is_word("mints") || self.is_word("burns") {
                let mints = self.is_word("mints");
                self.pos += 1;
                loop {
                    let asset = self.own(Sort::Asset)?;
                    let function = &mut self.module.functions[index];
                    if mints {
                        function.mints.push(asset)
                    } else {
                        function.burns.push(asset)
                    }
                    if !self.eat(",") {
                        break;
                    }
                }
            } else if self.eat_word("moves") {
                loop {
                    let step = self.step()?;
                    self.module.functions[index].moves.push(step);
                    if !self.eat(",") {
                        break;
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn step(&mut self) -> Result<Move> {
        let starts = self.eat_word("start");
        let protocol = self.own(Sort::Protocol)?;
        self.expect(".")?;
        let first = self.state(Some(protocol))?;
        if starts {
            return Ok(Move { protocol, from: None, to: first });
        }
        self.expect("->")?;
        Ok(Move { protocol, from: Some(first), to: self.state(Some(protocol))? })
    }
}

// ---- references

impl Asm {
    /// A declaration of this module.
    pub fn own(&mut self, sort: Sort) -> Result<u16> {
        if let Some(raw) = self.raw()? {
            return Ok(raw);
        }
        let pos = self.pos;
        let name = self.name(&format!("the name of a declared {}, or ?n", sort.name()))?;
        match sort.find(&self.module, &name) {
            Some(index) => Ok(index),
            None => self.fail_at(pos, format!("there is no {} `{name}`; declare it, or write ?n", sort.name())),
        }
    }

    /// A declaration of this module or an import: `name`, `import.name`, `import.?n`, `?n`, `?scope/?n`.
    pub fn any(&mut self, sort: Sort) -> Result<Ref> {
        if let Some((scope, import)) = self.import()? {
            if let Some(index) = self.raw()? {
                return Ok(Ref { scope, index });
            }
            let pos = self.pos;
            let name = self.name(&format!("the name of a {}", sort.name()))?;
            let Some(module) = self.env.module(scope) else { return self.unknown_import(pos, &import) };
            return match sort.find(module, &name) {
                Some(index) => Ok(Ref { scope, index }),
                None => self.fail_at(pos, format!("there is no {} `{name}` in `{import}`", sort.name())),
            };
        }
        if self.is("?") && self.is_at(2, "/") {
            let scope = self.raw()?.unwrap_or(0);
            self.expect("/")?;
            return match self.raw()? {
                Some(index) => Ok(Ref { scope, index }),
                None => self.expected("?n"),
            };
        }
        Ok(Ref { scope: 0, index: self.own(sort)? })
    }

    /// `import.`.
    fn import(&mut self) -> Result<Option<(u16, String)>> {
        if let Tok::Name(name, _) = self.peek()
            && self.is_at(1, ".")
            && let Some(n) = self.aliases.iter().position(|a| a == name)
        {
            let name = name.clone();
            self.pos += 2;
            return Ok(Some((self.index(n + 1)?, name)));
        }
        Ok(None)
    }

    fn unknown_import<T>(&self, pos: usize, import: &str) -> Result<T> {
        self.fail_at(
            pos,
            format!("the declarations of `{import}` are not known here; write {import}.?n, or give the module"),
        )
    }

    /// A state of a protocol of this module, if that is known.
    pub fn state(&mut self, protocol: Option<u16>) -> Result<u16> {
        if let Some(raw) = self.raw()? {
            return Ok(raw);
        }
        let pos = self.pos;
        let name = self.name("a state's name, or ?n")?;
        let declared = protocol.and_then(|p| self.module.protocols.get(usize::from(p)));
        let Some(declared) = declared else {
            return self.fail_at(pos, "the protocol is not known here; write Protocol.State, or ?n");
        };
        match declared.states.iter().position(|s| s.name.as_str() == name) {
            Some(n) => self.index(n),
            None => self.fail_at(pos, format!("there is no state `{name}` in `{}`", declared.name)),
        }
    }

    // ---- types

    /// The place of a type in the table, where it is put if need be.
    pub fn intern(&mut self, ty: Type) -> Result<TypeIx> {
        if let Some(found) = self.module.types.iter().position(|t| *t == ty) {
            return self.index(found);
        }
        let index = self.index(self.module.types.len())?;
        self.env.note(0, &ty);
        self.module.types.push(ty);
        Ok(index)
    }

    fn intern_declared(&mut self, sort: Sort, index: usize) -> Result<TypeIx> {
        let of = Ref { scope: 0, index: self.index(index)? };
        self.intern(match sort {
            Sort::Record => Type::Record { of },
            Sort::Enum => Type::Enum { of },
            _ => Type::Asset { of },
        })
    }

    /// A type.
    pub fn ty(&mut self) -> Result<TypeIx> {
        if self.is("?") && !self.is_at(2, "/") {
            return self.raw()?.map_or_else(|| self.expected("?n"), Ok);
        }
        let ty = self.type_form()?;
        if let Type::Record { of: Ref { scope: 0, index } } = ty {
            self.parts_first(Sort::Record, index)?;
        }
        if let Type::Enum { of: Ref { scope: 0, index } } = ty {
            self.parts_first(Sort::Enum, index)?;
        }
        if let Type::Asset { of: Ref { scope: 0, index } } = ty {
            self.parts_first(Sort::Asset, index)?;
        }
        self.intern(ty)
    }

    fn parts_first(&mut self, sort: Sort, index: u16) -> Result<()> {
        if self.pinned { Ok(()) } else { self.declared(sort, index.into()) }
    }

    fn type_form(&mut self) -> Result<Type> {
        self.nested(Asm::type_inside)
    }

    fn type_inside(&mut self) -> Result<Type> {
        if self.eat("(") {
            let items = self.items(")", Asm::ty)?;
            return if items.is_empty() { Ok(Type::Unit) } else { Ok(Type::Tuple { items }) };
        }
        if self.eat("[") {
            let of = self.ty()?;
            self.expect(";")?;
            let max = self.number("how many elements at most")?;
            self.expect("]")?;
            return Ok(Type::List { of, max });
        }
        let pos = self.pos;
        let builtin = match self.peek() {
            Tok::Name(name, false) if !self.is_at(1, ".") || !self.aliases.contains(name) => name.clone(),
            Tok::Name(..) => String::new(),
            _ => return self.expected("a type, as Nat64 or Option<Party> or a declared name"),
        };
        self.pos += 1;
        let width = |prefix: &str| builtin.strip_prefix(prefix).and_then(|digits| digits.parse::<u8>().ok());
        if let Some(bits) = width("Nat") {
            return Ok(Type::Int { signed: false, bits });
        }
        if let Some(bits) = width("Int") {
            return Ok(Type::Int { signed: true, bits });
        }
        let plain = match builtin.as_str() {
            "Unit" => Some(Type::Unit),
            "Bool" => Some(Type::Bool),
            "Digest" => Some(Type::Digest),
            "Party" => Some(Type::Party),
            "Time" => Some(Type::Time),
            "Date" => Some(Type::Date),
            "Ghost" => Some(Type::Ghost),
            _ => None,
        };
        if let Some(plain) = plain {
            return Ok(plain);
        }
        let with = ["Dec", "Text", "Bytes", "Id", "Option", "Map", "Tuple", "Record", "Enum", "Asset", "Hole"];
        if with.contains(&builtin.as_str()) {
            self.expect("<")?;
            if builtin == "Tuple" {
                let items = self.items(">", Asm::ty)?;
                return Ok(Type::Tuple { items });
            }
            let ty = match builtin.as_str() {
                "Dec" => Type::Dec { places: self.number("digits after the point")? },
                "Text" => Type::Text { max: self.number("how many bytes at most")? },
                "Bytes" => Type::Bytes { max: self.number("how many bytes at most")? },
                "Id" => Type::Id { protocol: self.any(Sort::Protocol)? },
                "Option" => Type::Option { of: self.ty()? },
                "Map" => {
                    let key = self.ty()?;
                    self.expect(",")?;
                    let value = self.ty()?;
                    self.expect(";")?;
                    Type::Map { key, value, max: self.number("how many entries at most")? }
                }
                "Record" => Type::Record { of: self.any(Sort::Record)? },
                "Enum" => Type::Enum { of: self.any(Sort::Enum)? },
                "Asset" => Type::Asset { of: self.any(Sort::Asset)? },
                _ => self.hole()?,
            };
            self.expect(">")?;
            return Ok(ty);
        }
        self.pos = pos;
        let (scope, import) = self.import()?.unwrap_or_default();
        let at = self.pos;
        let name = self.name("a type's name")?;
        let module = match scope {
            0 => Some(&self.module),
            n => self.env.module(n),
        };
        let Some(module) = module else { return self.unknown_import(at, &import) };
        let of = |index| Ref { scope, index };
        let found = Sort::Record.find(module, &name).map(|n| Type::Record { of: of(n) });
        let found = found.or_else(|| Sort::Enum.find(module, &name).map(|n| Type::Enum { of: of(n) }));
        let found = found.or_else(|| Sort::Asset.find(module, &name).map(|n| Type::Asset { of: of(n) }));
        match found {
            Some(ty) => Ok(ty),
            None => {
                self.fail_at(at, format!("there is no type `{name}`; declare a record, enum or asset of that name"))
            }
        }
    }

    fn hole(&mut self) -> Result<Type> {
        if self.is("?") && self.is_at(2, ".") || !self.is("?") && self.is_at(1, ".") {
            let protocol = self.own(Sort::Protocol)?;
            self.expect(".")?;
            let state = self.state(Some(protocol))?;
            return Ok(Type::InstanceHole { protocol, state });
        }
        Ok(Type::RowHole { table: self.own(Sort::Table)? })
    }

    /// Puts a type that was found by typing into the table.
    pub fn intern_typ(&mut self, typ: Typ, depth: usize) -> Result<Option<TypeIx>> {
        let Some(ty) = self.env.get(typ).cloned() else { return Ok(None) };
        if depth > DEPTH_MAX {
            return Ok(None);
        }
        let near = |r: &Ref| usize::from(r.scope) < self.env.near();
        let known = match &ty {
            Type::Record { of } | Type::Enum { of } | Type::Asset { of } | Type::Id { protocol: of } => near(of),
            _ => true,
        };
        if !known {
            return Ok(None);
        }
        let mut part = |ix: u16| self.intern_typ(Some(ix), depth + 1);
        let ty = match ty {
            Type::Option { of } => part(of)?.map(|of| Type::Option { of }),
            Type::List { of, max } => part(of)?.map(|of| Type::List { of, max }),
            Type::Map { key, value, max } => match (part(key)?, part(value)?) {
                (Some(key), Some(value)) => Some(Type::Map { key, value, max }),
                _ => None,
            },
            Type::Tuple { items } => {
                let items: Option<Vec<TypeIx>> = items.into_iter().map(part).collect::<Result<_>>()?;
                items.map(|items| Type::Tuple { items })
            }
            other => Some(other),
        };
        ty.map(|ty| self.intern(ty)).transpose()
    }
}

// ---- constants

impl Asm {
    /// `literal: Type` or `raw 0x..: Type`.
    pub fn constant(&mut self) -> Result<Const> {
        if self.is_word("raw")
            && let Tok::Bytes(bytes) = self.peek_at(1)
        {
            let bytes = bytes.clone();
            self.pos += 2;
            self.expect(":")?;
            return Ok(Const { ty: self.ty()?, bytes });
        }
        let pos = self.pos;
        let literal = self.literal()?;
        let ty = if self.eat(":") {
            self.ty()?
        } else {
            match literal {
                Literal::Bool(_) => self.intern(Type::Bool)?,
                Literal::Party(_) => self.intern(Type::Party)?,
                Literal::Unit => self.intern(Type::Unit)?,
                _ => return self.expected("`:` and the constant's type"),
            }
        };
        let mut bytes = Vec::new();
        match literal::encode(&self.env, self.env.own(ty), &literal, &mut bytes) {
            Ok(()) => Ok(Const { ty, bytes }),
            Err(message) => self.fail_at(pos, message),
        }
    }

    fn literal(&mut self) -> Result<Literal> {
        self.nested(Asm::literal_inside)
    }

    fn literal_inside(&mut self) -> Result<Literal> {
        let what = "a constant, as 5, true, \"text\", @\"party\", none, some(5), 0x00ff";
        if let Some(n) = self.raw()? {
            let parts = if self.eat("(") { self.items(")", Asm::literal)? } else { Vec::new() };
            return Ok(Literal::Numbered(n, parts));
        }
        if self.eat("(") {
            return Ok(Literal::Fields(self.items(")", Asm::literal)?));
        }
        if self.eat("[") {
            return Ok(Literal::List(self.items("]", Asm::literal)?));
        }
        if self.eat("{") {
            let entries = self.items("}", |asm| {
                let key = asm.literal()?;
                asm.expect(":")?;
                Ok((key, asm.literal()?))
            })?;
            return Ok(Literal::Map(entries));
        }
        if self.eat("@") {
            if let Tok::Text(name) | Tok::Name(name, _) = self.peek() {
                let name = name.clone();
                self.pos += 1;
                return Ok(Literal::Party(name));
            }
            return self.expected("a party's name, as @\"alice\"");
        }
        let minus = self.eat("-");
        match self.peek().clone() {
            Tok::Number(whole) => {
                self.pos += 1;
                if !minus && self.is("-") && matches!(self.peek_at(1), Tok::Number(_)) && self.is_at(2, "-") {
                    self.pos += 1;
                    let month = self.number::<u8>("a month")?;
                    self.expect("-")?;
                    let day = self.number::<u8>("a day")?;
                    let year = whole.parse::<i64>().unwrap_or(i64::MAX);
                    return Ok(Literal::Date(year, month.into(), day.into()));
                }
                if self.is(".")
                    && let Tok::Number(part) = self.peek_at(1).clone()
                {
                    self.pos += 2;
                    return Ok(Literal::Number(minus, whole, Some(part)));
                }
                Ok(Literal::Number(minus, whole, None))
            }
            _ if minus => self.expected("digits"),
            Tok::Text(text) => {
                self.pos += 1;
                Ok(Literal::Text(text))
            }
            Tok::Bytes(bytes) => {
                self.pos += 1;
                Ok(Literal::Bytes(bytes))
            }
            Tok::Name(name, quoted) => {
                self.pos += 1;
                Ok(match name.as_str() {
                    "true" if !quoted => Literal::Bool(true),
                    "false" if !quoted => Literal::Bool(false),
                    "unit" if !quoted => Literal::Unit,
                    _ => {
                        let parts = if self.eat("(") { self.items(")", Asm::literal)? } else { Vec::new() };
                        Literal::Variant(name, parts)
                    }
                })
            }
            _ => self.expected(what),
        }
    }

    /// The number of a constant by first need.
    pub fn need(&mut self, constant: Const) -> Result<u16> {
        if let Some(found) = self.constants.get(&constant) {
            return Ok(*found);
        }
        let index = self.index(self.constants.len().max(self.module.constants.len()))?;
        self.constants.insert(constant.clone(), index);
        if self.pinned_constants {
            self.module.constants.push(constant);
        }
        Ok(index)
    }

    /// Numbers constants in their order, unless that was given.
    fn settle_constants(&mut self) -> Result<()> {
        if self.pinned_constants {
            return Ok(());
        }
        let mut new = vec![0; self.constants.len()];
        for (n, (constant, first)) in std::mem::take(&mut self.constants).into_iter().enumerate() {
            new[usize::from(first)] = self.index(n)?;
            self.module.constants.push(constant);
        }
        for (function, block, op) in std::mem::take(&mut self.needs) {
            let function = &mut self.module.functions[function];
            if let hopper::ir::Op::Const { constant } = &mut function.blocks[block].ops[op] {
                *constant = new[usize::from(*constant)];
            }
        }
        Ok(())
    }
}

// ---- places, propositions, guards

impl Asm {
    /// A variable.
    pub fn var(&mut self, locals: &[Local]) -> Result<u16> {
        if let Some(raw) = self.raw()? {
            return Ok(raw);
        }
        let pos = self.pos;
        let name = self.name("a variable")?;
        match locals.iter().rposition(|l| l.name.as_ref() == Some(&name)) {
            Some(n) => self.index(n),
            None => self.fail_at(pos, format!("there is no variable `{name}` here; bind it with let, or write ?n")),
        }
    }

    /// One `.field`; gives the type there, too.
    pub fn field(&mut self, typ: Typ) -> Result<(u8, Typ)> {
        self.expect(".")?;
        if matches!(self.peek(), Tok::Number(_)) {
            let n = self.number("a field's number, 0 to 255")?;
            return Ok((n, self.env.step(typ, n)));
        }
        let pos = self.pos;
        let name = self.name("a field's name or number")?;
        match self.env.field(typ, &name) {
            Some(n) => Ok((n, self.env.step(typ, n))),
            None if self.env.get(typ).is_none() => {
                self.fail_at(pos, "the type is not known here; write the field's number, as .0")
            }
            None => self.fail_at(pos, format!("there is no field `{name}`; write one that is declared, or its number")),
        }
    }

    pub fn path(&mut self, mut typ: Typ) -> Result<(Vec<u8>, Typ)> {
        let mut path = Vec::new();
        while self.is(".") {
            let (field, next) = self.field(typ)?;
            path.push(field);
            typ = next;
        }
        Ok((path, typ))
    }

    /// A place: `a.bal.amount`.
    pub fn place(&mut self, locals: &[Local]) -> Result<Place> {
        Ok(self.place_typ(locals)?.0)
    }

    fn place_typ(&mut self, locals: &[Local]) -> Result<(Place, Typ)> {
        let var = self.var(locals)?;
        let typ = locals.get(usize::from(var)).and_then(|l| l.typ);
        let (path, typ) = self.path(typ)?;
        Ok((Place { var, path }, typ))
    }

    /// Propositions with `&&` between.
    pub fn props(&mut self, locals: &[Local]) -> Result<Vec<Prop>> {
        let mut props = vec![self.prop(locals)?];
        while self.eat("&&") {
            props.push(self.prop(locals)?);
        }
        Ok(props)
    }

    fn prop(&mut self, locals: &[Local]) -> Result<Prop> {
        let back = self.pos;
        let reserved = matches!(self.peek(), Tok::Name(name, false) if RESERVED.contains(&name.as_str()));
        if self.is("?") || matches!(self.peek(), Tok::Name(..)) && !reserved && !self.is_at(1, "(") {
            let a = self.place(locals)?;
            if self.eat_word("same") {
                return Ok(Prop::Same { a, b: self.place(locals)? });
            }
            if self.eat_word("differ") {
                return Ok(Prop::Differ { a, b: self.place(locals)? });
            }
            self.pos = back;
        }
        let exact = self.is_word("exact");
        let left = self.linear(locals)?;
        let pos = self.pos;
        let Tok::Sym(sym @ ("<=" | "<" | ">=" | ">" | "==")) = *self.peek() else {
            return self.expected("<=, <, >=, >, ==, `same` or `differ`");
        };
        self.pos += 1;
        if exact {
            if self.number::<u8>("0")? != 0 || !matches!(sym, "<=" | "==") {
                return self.fail_at(pos, "expected <= 0 or == 0 after an exact sum");
            }
            return Ok(if sym == "==" { Prop::Zero { linear: left } } else { Prop::AtMostZero { linear: left } });
        }
        let right = self.linear(locals)?;
        let (less, more, gap) = match sym {
            "<" => (left, right, 1),
            ">" => (right, left, 1),
            ">=" => (right, left, 0),
            _ => (left, right, 0),
        };
        let mut sum = Sum { constant: Some(gap), terms: BTreeMap::new() };
        sum.add(&less, 1);
        sum.add(&more, -1);
        match sum.linear() {
            Some(linear) if sym == "==" => Ok(Prop::Zero { linear }),
            Some(linear) => Ok(Prop::AtMostZero { linear }),
            None => self.fail_at(pos, "a factor does not fit 128 bits"),
        }
    }

    /// `constant + factor * place + ...`.
    pub fn linear(&mut self, locals: &[Local]) -> Result<Linear> {
        if self.eat_word("exact") {
            return self.exact(locals);
        }
        let start = self.pos;
        let mut sum = Sum { constant: Some(0), terms: BTreeMap::new() };
        let mut minus = self.eat("-");
        loop {
            let term = self.term(locals)?;
            sum.add(&term, if minus { -1 } else { 1 });
            minus = self.is("-");
            if !self.eat("+") && !self.eat("-") {
                break;
            }
        }
        sum.linear().map_or_else(|| self.fail_at(start, "a factor does not fit 128 bits"), Ok)
    }

    fn signed(&mut self) -> Result<i128> {
        let minus = self.eat("-");
        if let Tok::Number(digits) = self.peek() {
            let n = format!("{}{digits}", if minus { "-" } else { "" }).parse();
            if let Ok(n) = n {
                self.pos += 1;
                return Ok(n);
            }
        }
        self.expected("a number of at most 128 bits")
    }

    /// Exactly these terms, in this order.
    fn exact(&mut self, locals: &[Local]) -> Result<Linear> {
        let constant = self.signed()?;
        let mut terms = Vec::new();
        while self.eat("+") {
            let factor = self.signed()?;
            self.expect("*")?;
            let (place, measure) = self.atom(locals)?;
            terms.push(Monomial { factor, place, measure });
        }
        Ok(Linear { constant, terms })
    }

    fn term(&mut self, locals: &[Local]) -> Result<Linear> {
        if self.eat_word("true") {
            return Ok(Linear { constant: 1, terms: Vec::new() });
        }
        if self.eat_word("false") {
            return Ok(Linear::default());
        }
        let mut factor = 1;
        if matches!(self.peek(), Tok::Number(_)) {
            factor = self.signed()?;
            if !self.eat("*") {
                return Ok(Linear { constant: factor, terms: Vec::new() });
            }
        }
        let (place, measure) = self.atom(locals)?;
        if factor == 1 && self.eat("*") {
            factor = self.signed()?;
        }
        Ok(Linear { constant: 0, terms: vec![Monomial { factor, place, measure }] })
    }

    fn atom(&mut self, locals: &[Local]) -> Result<(Place, Measure)> {
        if self.is_word("len") && self.is_at(1, "(") {
            self.pos += 2;
            let place = self.place(locals)?;
            self.expect(")")?;
            return Ok((place, Measure::Length));
        }
        if self.is_word("sum") && self.is_at(1, "(") {
            self.pos += 2;
            let var = self.var(locals)?;
            let mut typ = locals.get(usize::from(var)).and_then(|l| l.typ);
            let (mut path, mut inner) = (Vec::new(), None);
            // With [] somewhere, that is where elements begin, whatever the types.
            let rest = self.toks.iter().skip(self.pos).map(|t| &t.tok).take_while(|t| **t != Tok::Sym(")"));
            let told = rest.take(2 * usize::from(u8::MAX)).any(|t| *t == Tok::Sym("["));
            loop {
                let element = self.env.elements(typ).and_then(|e| e.last().copied());
                if self.eat("[") {
                    self.expect("]")?;
                    if inner.is_some() {
                        return self.fail("expected one [] only");
                    }
                    inner = Some(Vec::new());
                    typ = element.flatten();
                } else if self.is(".") {
                    if inner.is_none()
                        && !told
                        && let Some(element) = element
                    {
                        (inner, typ) = (Some(Vec::new()), element);
                    }
                    let (field, next) = self.field(typ)?;
                    inner.as_mut().unwrap_or(&mut path).push(field);
                    typ = next;
                } else {
                    break;
                }
            }
            self.expect(")")?;
            return Ok((Place { var, path }, Measure::Sum(inner.unwrap_or_default())));
        }
        Ok((self.place(locals)?, Measure::Value))
    }

    /// A guard.
    pub fn guard(&mut self, locals: &[Local]) -> Result<Guard> {
        let mut nodes = Vec::new();
        if self.eat_word("postfix") {
            self.expect("(")?;
            self.items(")", |asm| {
                if asm.is_word("atleast") && !asm.is_at(1, "(") {
                    asm.pos += 1;
                    let k = asm.number("how many")?;
                    if !asm.eat_word("of") {
                        return asm.expected("`of`");
                    }
                    nodes.push(GuardNode::AtLeast { k, of: asm.number("of how many")? });
                    return Ok(());
                }
                asm.guard_node(locals, &mut nodes)
            })?;
            return Ok(nodes);
        }
        self.guard_node(locals, &mut nodes)?;
        Ok(nodes)
    }

    fn guard_node(&mut self, locals: &[Local], nodes: &mut Guard) -> Result<()> {
        self.nested(|asm| {
            if asm.eat("@") {
                if let Some(role) = asm.raw()? {
                    nodes.push(GuardNode::Role { role });
                    return Ok(());
                }
                let pos = asm.pos;
                let name = asm.name("a role's name")?;
                let found = asm.module.roles.iter().position(|r| r.as_str() == name);
                match found {
                    Some(n) => nodes.push(GuardNode::Role { role: asm.index(n)? }),
                    None => return asm.fail_at(pos, format!("there is no role `{name}`; declare it after `roles`")),
                }
                return Ok(());
            }
            let word = match asm.peek() {
                Tok::Name(name, false) if asm.is_at(1, "(") => name.clone(),
                _ => {
                    nodes.push(GuardNode::Party { place: asm.place(locals)? });
                    return Ok(());
                }
            };
            asm.pos += 2;
            match word.as_str() {
                "all" | "any" => {
                    let of = asm.items(")", |asm| asm.guard_node(locals, nodes))?.len();
                    let of = asm.index(of)?;
                    nodes.push(GuardNode::AtLeast { k: if word == "all" { of } else { 1 }, of });
                }
                "atleast" => {
                    let k = asm.number("how many must agree")?;
                    if !asm.is(")") {
                        asm.expect(",")?;
                    }
                    let of = asm.items(")", |asm| asm.guard_node(locals, nodes))?.len();
                    nodes.push(GuardNode::AtLeast { k, of: asm.index(of)? });
                }
                "anyone" => {
                    asm.expect(")")?;
                    nodes.push(GuardNode::Anyone);
                }
                "after" | "before" | "ifsome" => {
                    let place = asm.place(locals)?;
                    asm.expect(")")?;
                    nodes.push(match word.as_str() {
                        "after" => GuardNode::After { place },
                        "before" => GuardNode::Before { place },
                        _ => GuardNode::IfSome { place },
                    });
                }
                _ => {
                    asm.pos -= 2;
                    return asm.expected(
                        "all(...), any(...), atleast(k, ...), anyone(), after(t), before(t), ifsome(p), @role or a party",
                    );
                }
            }
            Ok(())
        })
    }
}

/// A sum being put in order; `None` where it left 128 bits.
struct Sum {
    constant: Option<i128>,
    terms: BTreeMap<(Place, Measure), Option<i128>>,
}

impl Sum {
    fn add(&mut self, linear: &Linear, times: i128) {
        let plus = |sum: Option<i128>, n: i128| sum?.checked_add(n.checked_mul(times)?);
        self.constant = plus(self.constant, linear.constant);
        for term in &linear.terms {
            let sum = self.terms.entry((term.place.clone(), term.measure.clone())).or_insert(Some(0));
            *sum = plus(*sum, term.factor);
        }
    }

    fn linear(self) -> Option<Linear> {
        let mut terms = Vec::new();
        for ((place, measure), factor) in self.terms {
            let factor = factor?;
            if factor != 0 {
                terms.push(Monomial { factor, place, measure });
            }
        }
        Some(Linear { constant: self.constant?, terms })
    }
}

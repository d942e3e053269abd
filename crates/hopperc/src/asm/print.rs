//! A module to text.

use std::collections::BTreeMap;
use std::fmt::Write;

use hopper::ir::{
    Arith, BlockIx, Const, DateStep, End, Field, Function, FunctionKind, GuardNode, HashKind, Label, Linear, Measure,
    Module, ModuleId, Op, Place, Prop, Ref, Relation, Rounding, Type, Upgrade, Var,
};
use wire::hash::encode_hex;

use super::literal::{self, Source};
use super::parse::RESERVED;
use super::typing::{Env, Sort, Typ};

/// Nesting that is printed as nesting; what is deeper is named by number.
const DEPTH_MAX: usize = 32;
/// Longest text of a type that is written out where it is used.
const TYPE_TEXT_MAX: usize = 240;
/// Parts of a constant that are written out.
const PARTS_MAX: u32 = 20_000;

/// A name as it stands in text: in backquotes if it would be read as something else.
pub(super) fn ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !RESERVED.contains(&name);
    if plain { name.to_owned() } else { format!("`{name}`") }
}

/// Names with a meaning of their own among types.
fn builtin(name: &str) -> bool {
    let words = [
        "Unit", "Bool", "Dec", "Text", "Bytes", "Digest", "Party", "Time", "Date", "Id", "Ghost", "Option", "Map",
        "Tuple", "Record", "Enum", "Asset", "Hole",
    ];
    let number = |prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    words.contains(&name) || number("Nat") || number("Int")
}

/// A variable in scope.
#[derive(Clone)]
struct Local {
    name: Option<String>,
    typ: Typ,
}

struct Printer<'m> {
    module: &'m Module,
    env: Env,
    /// What each import is called.
    aliases: Vec<String>,
    /// Each type as written where it is used.
    uses: Vec<String>,
    /// Each type as written in the list of types.
    forms: Vec<String>,
    out: String,
}

/// The text of a module.
pub(super) fn print(module: &Module, known: &dyn Fn(&ModuleId) -> Option<Module>) -> String {
    let short = run(module, known, false);
    match super::parse::assemble(&short, known) {
        Ok(back) if back == *module => short,
        _ => run(module, known, true),
    }
}

fn run(module: &Module, known: &dyn Fn(&ModuleId) -> Option<Module>, pinned: bool) -> String {
    let taken: Vec<&Label> =
        [Sort::Record, Sort::Enum, Sort::Asset, Sort::Protocol].iter().flat_map(|s| s.labels(module)).collect();
    let mut prefix = "m".to_owned();
    while taken.iter().any(|l| l.as_str().starts_with(&prefix)) && prefix.len() < 70 {
        prefix.push('m');
    }
    let aliases = (1..=module.imports.len()).map(|n| format!("{prefix}{n}")).collect();
    let env = Env::new(module.clone(), known);
    let mut printer = Printer { module, env, aliases, uses: Vec::new(), forms: Vec::new(), out: String::new() };
    printer.types();
    printer.heads(pinned);
    printer.declarations();
    for function in &module.functions {
        printer.function(function);
    }
    printer.out
}

fn commas(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

/// The blocks that an operation names, in order.
fn blocks_of(op: &Op) -> Vec<BlockIx> {
    match op {
        Op::Match { arms, .. } => arms.clone(),
        Op::If { yes, no, .. } => vec![*yes, *no],
        Op::Fold { body, .. } | Op::Iterate { body, .. } => vec![*body],
        _ => Vec::new(),
    }
}

/// True if blocks stand as they are met, from this one on.
fn as_met(function: &Function, block: usize, depth: usize, next: &mut usize) -> bool {
    let Some(found) = function.blocks.get(block) else { return false };
    depth <= DEPTH_MAX
        && found.ops.iter().flat_map(blocks_of).all(|inner| {
            let inner = usize::from(inner);
            let good = inner == *next;
            *next += 1;
            good && as_met(function, inner, depth + 1, next)
        })
}

impl Printer<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        self.out.extend(std::iter::repeat_n("  ", depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    // ---- references

    fn named(&self, sort: Sort, module: Option<&Module>, index: u16) -> String {
        let label = module.and_then(|m| Some((m, *sort.labels(m).get(usize::from(index))?)));
        match label {
            Some((m, label)) if sort.find(m, label.as_str()) == Some(index) => ident(label.as_str()),
            _ => format!("?{index}"),
        }
    }

    fn own(&self, sort: Sort, index: u16) -> String {
        self.named(sort, Some(self.module), index)
    }

    fn any(&self, sort: Sort, of: Ref) -> String {
        if of.scope == 0 {
            return self.own(sort, of.index);
        }
        match self.aliases.get(usize::from(of.scope) - 1) {
            Some(alias) => format!("{alias}.{}", self.named(sort, self.env.module(of.scope), of.index)),
            None => format!("?{}/?{}", of.scope, of.index),
        }
    }

    fn state(&self, protocol: Option<u16>, state: u16) -> String {
        let declared = protocol.and_then(|p| self.module.protocols.get(usize::from(p)));
        let found = declared.and_then(|d| Some((d, d.states.get(usize::from(state))?)));
        match found {
            Some((d, s)) if d.states.iter().position(|o| o.name == s.name) == Some(usize::from(state)) => {
                ident(s.name.as_str())
            }
            _ => format!("?{state}"),
        }
    }

    fn protocol_state(&self, protocol: u16, state: u16) -> String {
        format!("{}.{}", self.own(Sort::Protocol, protocol), self.state(Some(protocol), state))
    }

    // ---- types

    fn types(&mut self) {
        let module = self.module;
        let mut first = BTreeMap::new();
        for (n, ty) in module.types.iter().enumerate() {
            let form = self.form(ty, n);
            let alone = *first.entry(ty).or_insert(n) == n && form.0.len() <= TYPE_TEXT_MAX && form.1;
            self.uses.push(if alone { form.0.clone() } else { format!("?{n}") });
            self.forms.push(form.0);
        }
    }

    fn ty(&self, ix: u16) -> String {
        self.uses.get(usize::from(ix)).cloned().unwrap_or_else(|| format!("?{ix}"))
    }

    /// The text of a type, and whether it is nested no deeper than it should be.
    fn form(&self, ty: &Type, before: usize) -> (String, bool) {
        let part = |ix: u16| if usize::from(ix) < before { self.ty(ix) } else { format!("?{ix}") };
        let text = match ty {
            Type::Int { signed, bits } => format!("{}{bits}", if *signed { "Int" } else { "Nat" }),
            Type::Dec { places } => format!("Dec<{places}>"),
            Type::Text { max } => format!("Text<{max}>"),
            Type::Bytes { max } => format!("Bytes<{max}>"),
            Type::Id { protocol } => format!("Id<{}>", self.any(Sort::Protocol, *protocol)),
            Type::Option { of } => format!("Option<{}>", part(*of)),
            Type::List { of, max } => format!("[{}; {max}]", part(*of)),
            Type::Map { key, value, max } => format!("Map<{}, {}; {max}>", part(*key), part(*value)),
            Type::Tuple { items } if items.len() < 2 => format!("Tuple<{}>", commas(items.iter().map(|i| part(*i)))),
            Type::Tuple { items } => format!("({})", commas(items.iter().map(|i| part(*i)))),
            Type::Record { of } => self.declared(Sort::Record, *of),
            Type::Enum { of } => self.declared(Sort::Enum, *of),
            Type::Asset { of } => self.declared(Sort::Asset, *of),
            Type::RowHole { table } => format!("Hole<{}>", self.own(Sort::Table, *table)),
            Type::InstanceHole { protocol, state } => format!("Hole<{}>", self.protocol_state(*protocol, *state)),
            plain => plain.name().to_owned(),
        };
        let (mut depth, mut deepest) = (0usize, 0);
        for b in text.bytes() {
            match b {
                b'<' | b'(' | b'[' => depth += 1,
                b'>' | b')' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        (text, deepest <= DEPTH_MAX / 2)
    }

    fn declared(&self, sort: Sort, of: Ref) -> String {
        let text = self.any(sort, of);
        let module = if of.scope == 0 { Some(self.module) } else { self.env.module(of.scope) };
        let label = module.and_then(|m| Some((m, *sort.labels(m).get(usize::from(of.index))?)));
        let plain = label.is_some_and(|(m, l)| {
            let name = l.as_str();
            let found = [Sort::Record, Sort::Enum, Sort::Asset].into_iter().find(|s| s.find(m, name).is_some());
            found == Some(sort) && sort.find(m, name) == Some(of.index) && !(of.scope == 0 && builtin(name))
        });
        if plain { text } else { format!("{}<{text}>", ["Record", "Enum", "Asset"][(sort as usize).min(2)]) }
    }

    // ---- declarations

    fn heads(&mut self, pinned: bool) {
        let module = self.module;
        let name = module.name.as_str();
        let plain = name.split('.').all(|part| ident(part) == part);
        let name = if plain { name.to_owned() } else { format!("`{name}`") };
        self.line(0, &format!("module {name}"));
        if let Some(old) = module.replaces {
            self.line(0, &format!("replaces #{}", old.0));
        }
        for (n, id) in module.imports.iter().enumerate() {
            let text = format!("import {} = #{}", self.aliases[n], id.0);
            self.line(0, &text);
        }
        if !module.roles.is_empty() {
            let roles = commas(module.roles.iter().map(|r| ident(r.as_str())));
            self.line(0, &format!("roles {roles}"));
        }
        if !module.governance.is_empty() {
            let text = format!("governed by {}", self.guard(&module.governance, &[]));
            self.line(0, &text);
        }
        match module.upgrade {
            Upgrade::Immutable => {}
            Upgrade::Additive { delay_ms } => self.line(0, &format!("upgrade additive {delay_ms}")),
            Upgrade::Governed { delay_ms } => self.line(0, &format!("upgrade governed {delay_ms}")),
        }
        if pinned {
            self.line(0, "types {");
            for form in self.forms.clone() {
                self.line(1, &format!("{form},"));
            }
            self.line(0, "}");
            self.line(0, "constants {");
            for constant in &module.constants {
                let text = self.constant(constant);
                self.line(1, &format!("{text},"));
            }
            self.line(0, "}");
        }
    }

    fn fields(&self, fields: &[Field]) -> String {
        commas(fields.iter().map(|f| format!("{}: {}", ident(f.name.as_str()), self.ty(f.ty))))
    }

    fn braced(&self, fields: &[Field]) -> String {
        if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", self.fields(fields)) }
    }

    fn locals(&self, fields: &[Field]) -> Vec<Local> {
        let local = |f: &Field| Local { name: Some(f.name.as_str().to_owned()), typ: self.env.own(f.ty) };
        fields.iter().map(local).collect()
    }

    fn where_(&self, props: &[Prop], locals: &[Local]) -> String {
        if props.is_empty() { String::new() } else { format!(" where {}", self.props(props, locals)) }
    }

    fn signer(fields: &[Field], signed: Option<u16>) -> String {
        let Some(n) = signed else { return String::new() };
        let name = fields.get(usize::from(n)).map(|f| &f.name);
        match name {
            Some(name) if fields.iter().position(|f| f.name == *name) == Some(usize::from(n)) => {
                format!(" signed {}", ident(name.as_str()))
            }
            _ => format!(" signed ?{n}"),
        }
    }

    fn declarations(&mut self) {
        let module = self.module;
        for d in &module.records {
            let tail = self.where_(&d.invariant, &self.locals(&d.fields));
            let text = format!("record {} {}{tail}", ident(d.name.as_str()), self.braced(&d.fields));
            self.line(0, &text);
        }
        for d in &module.enums {
            self.line(0, &format!("enum {} {{", ident(d.name.as_str())));
            for v in &d.variants {
                let tail = self.where_(&v.invariant, &self.locals(&v.fields));
                let fields = if v.fields.is_empty() { String::new() } else { format!(" {}", self.braced(&v.fields)) };
                self.line(1, &format!("{}{fields}{tail},", ident(v.name.as_str())));
            }
            self.line(0, "}");
        }
        for d in &module.assets {
            let measured = if d.measured { " measured" } else { "" };
            let signed = Self::signer(&d.fields, d.signed);
            let tail = self.where_(&d.invariant, &self.locals(&d.fields));
            let text = format!("asset {}{measured}{signed} {}{tail}", ident(d.name.as_str()), self.braced(&d.fields));
            self.line(0, &text);
        }
        for d in &module.tables {
            let local = |name: &str, ty| Local { name: Some(name.to_owned()), typ: self.env.own(ty) };
            let tail = self.where_(&d.invariant, &[local("key", d.key), local("row", d.row)]);
            let text = format!("table {} : {} -> {}{tail}", ident(d.name.as_str()), self.ty(d.key), self.ty(d.row));
            self.line(0, &text);
        }
        for d in &module.protocols {
            let text = format!("protocol {}({}) {{", ident(d.name.as_str()), self.fields(&d.params));
            self.line(0, &text);
            for s in &d.states {
                let mut locals = self.locals(&d.params);
                locals.extend(self.locals(&s.fields));
                let last = if s.last { " last" } else { "" };
                let signed = Self::signer(&d.params, s.signed);
                let fields = if s.fields.is_empty() { String::new() } else { format!(" {}", self.braced(&s.fields)) };
                let tail = self.where_(&s.invariant, &locals);
                self.line(1, &format!("state {}{last}{signed}{fields}{tail},", ident(s.name.as_str())));
            }
            self.line(0, "}");
        }
        for (head, signals) in [("error", &module.errors), ("event", &module.events)] {
            for d in signals {
                let fields = if d.fields.is_empty() { String::new() } else { format!(" {}", self.braced(&d.fields)) };
                self.line(0, &format!("{head} {}{fields}", ident(d.name.as_str())));
            }
        }
    }

    fn constant(&self, constant: &Const) -> String {
        let mut source = Source(&constant.bytes, PARTS_MAX);
        let text = literal::decode(&self.env, self.env.own(constant.ty), &mut source, DEPTH_MAX);
        let text = text.filter(|_| source.0.is_empty());
        let text = text.unwrap_or_else(|| format!("raw 0x{}", encode_hex(&constant.bytes)));
        format!("{text}: {}", self.ty(constant.ty))
    }

    // ---- places, propositions, guards

    fn var(&self, v: Var, locals: &[Local]) -> String {
        let name = locals.get(usize::from(v)).and_then(|l| l.name.as_ref());
        match name {
            Some(name) if locals.iter().rposition(|l| l.name.as_ref() == Some(name)) == Some(usize::from(v)) => {
                ident(name)
            }
            _ => format!("?{v}"),
        }
    }

    fn path(&self, mut typ: Typ, path: &[u8]) -> String {
        let mut text = String::new();
        for field in path {
            let name = self.env.fields(typ).and_then(|f| f.get(usize::from(*field))?.0.clone());
            match name {
                Some(name) if self.env.field(typ, name.as_str()) == Some(*field) => {
                    let _ = write!(text, ".{}", ident(name.as_str()));
                }
                _ => {
                    let _ = write!(text, ".{field}");
                }
            }
            typ = self.env.step(typ, *field);
        }
        text
    }

    fn typ(v: Var, locals: &[Local]) -> Typ {
        locals.get(usize::from(v)).and_then(|l| l.typ)
    }

    fn place(&self, place: &Place, locals: &[Local]) -> String {
        let typ = Self::typ(place.var, locals);
        format!("{}{}", self.var(place.var, locals), self.path(typ, &place.path))
    }

    fn atom(&self, place: &Place, measure: &Measure, locals: &[Local]) -> String {
        let text = self.place(place, locals);
        match measure {
            Measure::Value => text,
            Measure::Length => format!("len({text})"),
            Measure::Sum(inner) => {
                let typ = self.env.at(Self::typ(place.var, locals), &place.path);
                match self.env.elements(typ).and_then(|e| e.last().copied()) {
                    Some(element) => format!("sum({text}{})", self.path(element, inner)),
                    None => format!("sum({text}[]{})", self.path(None, inner)),
                }
            }
        }
    }

    fn exact(&self, linear: &Linear, locals: &[Local]) -> String {
        let mut text = format!("exact {}", linear.constant);
        for t in &linear.terms {
            let _ = write!(text, " + {}*{}", t.factor, self.atom(&t.place, &t.measure, locals));
        }
        text
    }

    /// The parts with a plus, and those with a minus; `None` if the sum is not in order.
    fn sides(&self, linear: &Linear, locals: &[Local]) -> Option<(Vec<String>, Vec<String>)> {
        let ascending = linear.terms.is_sorted_by(|a, b| (&a.place, &a.measure) < (&b.place, &b.measure));
        let odd = |n: i128| n == i128::MIN;
        if !ascending || odd(linear.constant) || linear.terms.iter().any(|t| t.factor == 0 || odd(t.factor)) {
            return None;
        }
        let (mut plus, mut minus) = (Vec::new(), Vec::new());
        for t in &linear.terms {
            let atom = self.atom(&t.place, &t.measure, locals);
            let text = if t.factor.abs() == 1 { atom } else { format!("{}*{atom}", t.factor.abs()) };
            if t.factor > 0 { plus.push(text) } else { minus.push(text) }
        }
        if linear.constant != 0 {
            let text = linear.constant.abs().to_string();
            if linear.constant > 0 { plus.push(text) } else { minus.push(text) }
        }
        Some((plus, minus))
    }

    fn linear(&self, linear: &Linear, locals: &[Local]) -> String {
        let Some((plus, minus)) = self.sides(linear, locals) else { return self.exact(linear, locals) };
        let mut text = plus.join(" + ");
        for part in minus {
            text.push_str(if text.is_empty() { "-" } else { " - " });
            text.push_str(&part);
        }
        if text.is_empty() { "0".to_owned() } else { text }
    }

    fn prop(&self, prop: &Prop, locals: &[Local]) -> String {
        let sum = |linear: &Linear, sign: &str| match self.sides(linear, locals) {
            Some((plus, minus)) => {
                let side = |parts: Vec<String>| if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") };
                format!("{} {sign} {}", side(plus), side(minus))
            }
            None => format!("{} {sign} 0", self.exact(linear, locals)),
        };
        match prop {
            Prop::AtMostZero { linear } => sum(linear, "<="),
            Prop::Zero { linear } => sum(linear, "=="),
            Prop::Same { a, b } => format!("{} same {}", self.place(a, locals), self.place(b, locals)),
            Prop::Differ { a, b } => format!("{} differ {}", self.place(a, locals), self.place(b, locals)),
        }
    }

    fn props(&self, props: &[Prop], locals: &[Local]) -> String {
        props.iter().map(|p| self.prop(p, locals)).collect::<Vec<_>>().join(" && ")
    }

    fn guard(&self, guard: &[GuardNode], locals: &[Local]) -> String {
        self.guard_tree(guard, locals).unwrap_or_else(|| {
            let nodes = guard.iter().map(|node| match node {
                GuardNode::AtLeast { k, of } => format!("atleast {k} of {of}"),
                leaf => self.leaf(leaf, locals),
            });
            format!("postfix({})", commas(nodes))
        })
    }

    fn leaf(&self, node: &GuardNode, locals: &[Local]) -> String {
        match node {
            GuardNode::Party { place } => self.place(place, locals),
            GuardNode::Role { role } => {
                let label = self.module.roles.get(usize::from(*role));
                match label {
                    Some(l) if self.module.roles.iter().position(|r| r == l) == Some(usize::from(*role)) => {
                        format!("@{}", ident(l.as_str()))
                    }
                    _ => format!("@?{role}"),
                }
            }
            GuardNode::After { place } => format!("after({})", self.place(place, locals)),
            GuardNode::Before { place } => format!("before({})", self.place(place, locals)),
            GuardNode::IfSome { place } => format!("ifsome({})", self.place(place, locals)),
            GuardNode::Anyone => "anyone()".to_owned(),
            GuardNode::AtLeast { .. } => String::new(),
        }
    }

    /// The guard as a tree, if it is one.
    fn guard_tree(&self, guard: &[GuardNode], locals: &[Local]) -> Option<String> {
        let mut stack: Vec<(String, usize)> = Vec::new();
        for node in guard {
            let GuardNode::AtLeast { k, of } = node else {
                stack.push((self.leaf(node, locals), 1));
                continue;
            };
            let parts = stack.split_off(stack.len().checked_sub(usize::from(*of))?);
            let depth = 1 + parts.iter().map(|p| p.1).max().unwrap_or(0);
            if depth > DEPTH_MAX / 2 {
                return None;
            }
            let inside = commas(parts.into_iter().map(|p| p.0));
            let text = if k == of {
                format!("all({inside})")
            } else if *k == 1 {
                format!("any({inside})")
            } else if inside.is_empty() {
                format!("atleast({k})")
            } else {
                format!("atleast({k}, {inside})")
            };
            stack.push((text, depth));
        }
        match stack.as_slice() {
            [(text, _)] => Some(text.clone()),
            _ => None,
        }
    }

    // ---- functions

    fn function(&mut self, f: &Function) {
        let head = match f.kind {
            FunctionKind::Private => "fn",
            FunctionKind::Public => "public fn",
            FunctionKind::Action => "action",
            FunctionKind::View => "view",
        };
        let text = format!("{head} {}({}) -> {}", ident(f.name.as_str()), self.fields(&f.params), self.ty(f.result));
        self.line(0, &text);
        let mut locals = self.locals(&f.params);
        if !f.by.is_empty() {
            let text = format!("by {}", self.guard(&f.by, &locals));
            self.line(1, &text);
        }
        for prop in &f.requires {
            let text = format!("requires {}", self.prop(prop, &locals));
            self.line(1, &text);
        }
        if !f.authority.is_empty() {
            let text = format!("authority {}", commas(f.authority.iter().map(|p| self.place(p, &locals))));
            self.line(1, &text);
        }
        for (head, assets) in [("mints", &f.mints), ("burns", &f.burns)] {
            if !assets.is_empty() {
                let text = format!("{head} {}", commas(assets.iter().map(|a| self.own(Sort::Asset, *a))));
                self.line(1, &text);
            }
        }
        if !f.moves.is_empty() {
            let moves = f.moves.iter().map(|m| match m.from {
                None => format!("start {}", self.protocol_state(m.protocol, m.to)),
                Some(from) => {
                    format!("{} -> {}", self.protocol_state(m.protocol, from), self.state(Some(m.protocol), m.to))
                }
            });
            let text = format!("moves {}", commas(moves));
            self.line(1, &text);
        }
        locals.push(Local { name: Some("result".to_owned()), typ: self.env.own(f.result) });
        for prop in &f.ensures {
            let text = format!("ensures {}", self.prop(prop, &locals));
            self.line(1, &text);
        }
        locals.pop();
        if f.blocks.is_empty() {
            self.line(1, ";");
            return;
        }
        let mut next = 1;
        let nested = as_met(f, 0, 0, &mut next) && next == f.blocks.len();
        self.line(0, "{");
        if nested {
            self.block(f, 0, &mut locals, true, 1);
        } else {
            self.block(f, 0, &mut locals, false, 1);
            for n in 1..f.blocks.len() {
                self.line(0, "}");
                self.line(0, "block {");
                self.block(f, n, &mut Vec::new(), false, 1);
            }
        }
        self.line(0, "}");
    }

    fn args(&self, args: &[Var], locals: &[Local]) -> String {
        format!("({})", commas(args.iter().map(|v| self.var(*v, locals))))
    }

    /// What is inside of a block. `nested`: its blocks stand in it, and its variables have names.
    fn block(&mut self, f: &Function, index: usize, locals: &mut Vec<Local>, nested: bool, depth: usize) {
        let Some(block) = f.blocks.get(index) else { return };
        let base = locals.len();
        for op in &block.ops {
            let typs: Vec<Typ> = locals.iter().map(|l| l.typ).collect();
            let constant = match op {
                Op::Const { constant } => self.module.constants.get(usize::from(*constant)).map(|c| c.ty),
                _ => None,
            };
            let constant = constant.and_then(|ty| self.env.own(ty));
            let results = self.env.results(op, &typs, constant).unwrap_or_default();
            let written = match op {
                Op::If { results, .. } | Op::Match { results, .. } => results.clone(),
                _ => Vec::new(),
            };
            let mut head = String::new();
            if nested && !results.is_empty() {
                let names = (0..results.len()).map(|n| {
                    let ty = written.get(n).map(|ty| format!(": {}", self.ty(*ty))).unwrap_or_default();
                    format!("v{}{ty}", locals.len() + n)
                });
                head = format!("let {} = ", commas(names));
            }
            let arrow = if nested || written.is_empty() {
                String::new()
            } else {
                format!(" -> {}", commas(written.iter().map(|ty| self.ty(*ty))))
            };
            if blocks_of(op).is_empty() && !matches!(op, Op::Match { .. }) {
                let text = self.op(op, locals);
                self.line(depth, &format!("{head}{text}"));
            } else {
                self.branching(f, op, locals, nested, depth, &head, &arrow);
            }
            for typ in results {
                let name = nested.then(|| format!("v{}", locals.len()));
                locals.push(Local { name, typ });
            }
        }
        let end = match &block.end {
            End::Yield { vars } if vars.is_empty() => "yield".to_owned(),
            End::Yield { vars } => format!("yield {}", commas(vars.iter().map(|v| self.var(*v, locals)))),
            End::Abort { error, args } => {
                format!("abort {}{}", self.own(Sort::Error, *error), self.args(args, locals))
            }
        };
        self.line(depth, &end);
        locals.truncate(base);
    }

    #[allow(clippy::too_many_arguments, reason = "the block at hand")]
    fn branching(
        &mut self,
        f: &Function,
        op: &Op,
        locals: &mut Vec<Local>,
        nested: bool,
        depth: usize,
        head: &str,
        arrow: &str,
    ) {
        let base = locals.len();
        let bound = |locals: &mut Vec<Local>, types: Vec<Typ>| {
            let mut names = Vec::new();
            for typ in types {
                let name = format!("v{}", locals.len());
                names.push(name.clone());
                locals.push(Local { name: Some(name), typ });
            }
            if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) }
        };
        match op {
            Op::If { cond, yes, no, .. } => {
                let cond = self.var(*cond, locals);
                if !nested {
                    self.line(depth, &format!("{head}if {cond}{arrow} ?{yes} else ?{no}"));
                    return;
                }
                self.line(depth, &format!("{head}if {cond}{arrow} {{"));
                self.block(f, usize::from(*yes), locals, true, depth + 1);
                self.line(depth, "} else {");
                self.block(f, usize::from(*no), locals, true, depth + 1);
                self.line(depth, "}");
            }
            Op::Match { a, arms, .. } => {
                let variants = self.env.variants(Self::typ(*a, locals));
                let text = format!("{head}match {}{arrow} {{", self.var(*a, locals));
                self.line(depth, &text);
                for (n, arm) in arms.iter().enumerate() {
                    let variant = variants.as_ref().and_then(|v| v.get(n));
                    let name = variant.map_or_else(|| format!("?{n}"), |v| ident(&v.0));
                    if !nested {
                        self.line(depth + 1, &format!("{name} => ?{arm}"));
                        continue;
                    }
                    let types = variant.map(|v| v.1.iter().map(|f| f.1).collect()).unwrap_or_default();
                    let names = bound(locals, types);
                    self.line(depth + 1, &format!("{name}{names} => {{"));
                    self.block(f, usize::from(*arm), locals, true, depth + 2);
                    self.line(depth + 1, "}");
                    locals.truncate(base);
                }
                self.line(depth, "}");
            }
            Op::Fold { over, init, body, invariant, .. } | Op::Iterate { fuel: over, init, body, invariant } => {
                let word = match op {
                    Op::Fold { drain: true, .. } => "fold drain",
                    Op::Fold { .. } => "fold",
                    _ => "iterate",
                };
                let elements = match op {
                    Op::Fold { .. } => self.env.elements(Self::typ(*over, locals)).unwrap_or_default(),
                    _ => Vec::new(),
                };
                let accumulators: Vec<Typ> = init.iter().map(|v| Self::typ(*v, locals)).collect();
                let mut text = format!("{head}{word} {}", self.var(*over, locals));
                let start = format!("init{}", self.args(init, locals));
                let count = elements.len();
                let all: Vec<Typ> = elements.into_iter().chain(accumulators.iter().copied()).collect();
                let names = if nested { bound(locals, all) } else { String::new() };
                let params: Vec<Local> = locals.split_off(base);
                if !names.is_empty() {
                    let _ = write!(text, " {names}");
                }
                if !init.is_empty() {
                    let _ = write!(text, " {start}");
                }
                if !invariant.is_empty() {
                    let own = accumulators
                        .iter()
                        .enumerate()
                        .map(|(n, typ)| Local { name: params.get(count + n).and_then(|l| l.name.clone()), typ: *typ });
                    let scope: Vec<Local> = locals.iter().cloned().chain(own).collect();
                    let _ = write!(text, " invariant {}", self.props(invariant, &scope));
                }
                if !nested {
                    self.line(depth, &format!("{text} ?{body}"));
                    return;
                }
                self.line(depth, &format!("{text} {{"));
                locals.extend(params);
                self.block(f, usize::from(*body), locals, true, depth + 1);
                locals.truncate(base);
                self.line(depth, "}");
            }
            _ => {}
        }
    }

    /// An operation without blocks.
    #[allow(clippy::too_many_lines, reason = "one arm for each operation")]
    fn op(&self, op: &Op, locals: &[Local]) -> String {
        let v = |x: &Var| self.var(*x, locals);
        let args = |x: &[Var]| self.args(x, locals);
        let words = |word: &str, vars: &[Var]| {
            let mut text = word.to_owned();
            for x in vars {
                let _ = write!(text, " {}", v(x));
            }
            text
        };
        match op {
            Op::Const { constant } => {
                let all = &self.module.constants;
                match all.get(usize::from(*constant)) {
                    Some(c) if all.iter().position(|o| o == c) == Some(usize::from(*constant)) => {
                        format!("const {}", self.constant(c))
                    }
                    _ => format!("const ?{constant}"),
                }
            }
            Op::Arith { op, a, b } => {
                let word = match op {
                    Arith::Add => "add",
                    Arith::Sub => "sub",
                    Arith::Mul => "mul",
                    Arith::DivFloor => "divfloor",
                    Arith::DivCeil => "divceil",
                    Arith::Mod => "mod",
                    Arith::Min => "min",
                    Arith::Max => "max",
                };
                words(word, &[*a, *b])
            }
            Op::Cast { a, ty } => format!("cast {}: {}", v(a), self.ty(*ty)),
            Op::MulDiv { a, b, c, rounding, ty } => {
                let word = match rounding {
                    Rounding::Floor => "muldiv floor",
                    Rounding::Ceil => "muldiv ceil",
                    Rounding::HalfEven => "muldiv halfeven",
                };
                format!("{}: {}", words(word, &[*a, *b, *c]), self.ty(*ty))
            }
            Op::Share { a, part, whole } => words("share", &[*a, *part, *whole]),
            Op::Compare { op, a, b } => {
                let word = match op {
                    Relation::Equal => "equal",
                    Relation::NotEqual => "notequal",
                    Relation::Less => "less",
                    Relation::AtMost => "atmost",
                };
                words(word, &[*a, *b])
            }
            Op::And { a, b } => words("and", &[*a, *b]),
            Op::Or { a, b } => words("or", &[*a, *b]),
            Op::Not { a } => words("not", &[*a]),
            Op::Length { a } => words("length", &[*a]),
            Op::Concat { a, b, ty } => format!("{}: {}", words("concat", &[*a, *b]), self.ty(*ty)),
            Op::Slice { a, from, to } => words("slice", &[*a, *from, *to]),
            Op::Make { ty, args: x } => format!("make {}{}", self.ty(*ty), args(x)),
            Op::Get { place } => format!("get {}", self.place(place, locals)),
            Op::Unpack { a } => words("unpack", &[*a]),
            Op::With { a, field, value } => {
                format!("with {}{} = {}", v(a), self.path(Self::typ(*a, locals), &[*field]), v(value))
            }
            Op::Inject { ty, variant, args: x } => {
                let variants = self.env.variants(self.env.own(*ty)).unwrap_or_default();
                let n = usize::from(*variant);
                let name = match variants.get(n) {
                    Some((name, _)) if variants.iter().position(|o| o.0 == *name) == Some(n) => ident(name),
                    _ => format!("?{variant}"),
                };
                format!("inject {}.{name}{}", self.ty(*ty), args(x))
            }
            Op::Check { cond, error, args: x } => {
                format!("check {} else {}{}", v(cond), self.own(Sort::Error, *error), args(x))
            }
            Op::Assert { props } if props.is_empty() => "assert ()".to_owned(),
            Op::Assert { props } => format!("assert {}", self.props(props, locals)),
            Op::GhostLet { linear } => format!("ghost {}", self.linear(linear, locals)),
            Op::List { ty, items } => format!("list {}{}", self.ty(*ty), args(items)),
            Op::At { list, index } => words("at", &[*list, *index]),
            Op::Push { list, item } => words("push", &[*list, *item]),
            Op::MapNew { ty } => format!("mapnew {}", self.ty(*ty)),
            Op::MapGet { map, key } => words("mapget", &[*map, *key]),
            Op::MapHas { map, key } => words("maphas", &[*map, *key]),
            Op::MapPut { map, key, value } => words("mapput", &[*map, *key, *value]),
            Op::MapTake { map, key } => words("maptake", &[*map, *key]),
            Op::DropEmpty { a } => words("drop_empty", &[*a]),
            Op::Call { function, args: x } => format!("call {}{}", self.any(Sort::Function, *function), args(x)),
            Op::Hash { kind: HashKind::Sha256, a } => words("sha256", &[*a]),
            Op::VerifySignature { key, message, signature } => words("verify", &[*key, *message, *signature]),
            Op::DateAdd { date, step: DateStep::Days, count } => words("dateadd days", &[*date, *count]),
            Op::DateAdd { date, step: DateStep::Months, count } => words("dateadd months", &[*date, *count]),
            Op::DateOf { time } => words("dateof", &[*time]),
            Op::Authority { guard } => format!("authority {}", self.guard(guard, locals)),
            Op::Require { guard } => format!("require {}", self.guard(guard, locals)),
            Op::Sender => "sender".to_owned(),
            Op::Now => "now".to_owned(),
            Op::CommandDigest => "command".to_owned(),
            Op::Take { table, key } => words(&format!("take {}", self.own(Sort::Table, *table)), &[*key]),
            Op::Put { hole, row } => words("put", &[*hole, *row]),
            Op::Close { hole } => words("close", &[*hole]),
            Op::Insert { table, key, row } => {
                words(&format!("insert {}", self.own(Sort::Table, *table)), &[*key, *row])
            }
            Op::Has { table, key } => words(&format!("has {}", self.own(Sort::Table, *table)), &[*key]),
            Op::Peek { table, key, path } => {
                let row = self.module.tables.get(usize::from(*table)).and_then(|t| self.env.own(t.row));
                format!("peek {} {}{}", self.own(Sort::Table, *table), v(key), self.path(row, path))
            }
            Op::Scan { table, after, ty } => {
                format!("scan {} {}: {}", self.own(Sort::Table, *table), v(after), self.ty(*ty))
            }
            Op::Start { protocol, state, args: x } => {
                format!("start {}{}", self.protocol_state(*protocol, *state), args(x))
            }
            Op::Enter { protocol, state, id } => {
                words(&format!("enter {}", self.protocol_state(*protocol, *state)), &[*id])
            }
            Op::Become { hole, state, args: x } => {
                let protocol = match self.env.get(Self::typ(*hole, locals)) {
                    Some(Type::InstanceHole { protocol, .. }) => Some(*protocol),
                    _ => None,
                };
                format!("become {} {}{}", v(hole), self.state(protocol, *state), args(x))
            }
            Op::Zero { asset, args: x } => format!("zero {}{}", self.any(Sort::Asset, *asset), args(x)),
            Op::Mint { asset, args: x } => format!("mint {}{}", self.own(Sort::Asset, *asset), args(x)),
            Op::Burn { a } => words("burn", &[*a]),
            Op::Split { a, n } => words("split", &[*a, *n]),
            Op::Join { a, b } => words("join", &[*a, *b]),
            Op::DropZero { a } => words("drop_zero", &[*a]),
            Op::Create { asset, args: x } => format!("create {}{}", self.own(Sort::Asset, *asset), args(x)),
            Op::Emit { event, args: x } => format!("emit {}{}", self.own(Sort::Event, *event), args(x)),
            Op::Match { .. } | Op::If { .. } | Op::Fold { .. } | Op::Iterate { .. } => String::new(),
        }
    }
}

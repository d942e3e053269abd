//! A module being put together: tables of types and constants, names of declarations, what is told to the author.

use std::collections::BTreeMap;
use std::ops::Range;

use hopper::ir::{Const, Field, Label, Module, Op, Ref, Type, TypeIx};

use super::types::{Shape, Ty, World};
use crate::diagnostic::{Diagnostic, Span};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// What came of a part, or the reason why nothing did.
pub(super) type R<T> = Result<T, Box<Diagnostic>>;

/// A module being put together.
pub(super) struct Front {
    /// The file's place among the sources.
    pub file: usize,
    pub world: World,
    pub module: Module,
    types: BTreeMap<Type, TypeIx>,
    /// Records, enums and assets whose fields are being put into the table of types.
    entering: Vec<Ty>,
    constants: BTreeMap<Const, u16>,
    /// Constants of the author: type and node of the value.
    pub consts: BTreeMap<String, (Ty, Node)>,
    /// Where the module's name stands.
    pub head_span: Span,
    /// Names of all functions of the file, those with faults among them.
    pub declared_functions: Vec<String>,
    /// Where names of values are given, and the types of these values.
    pub bindings: Vec<(Range<usize>, String)>,
}

/// What a name of a declared type stands for.
pub(super) enum Declared {
    Type(Ty),
    /// A variant of an enum.
    Variant(Ref, u16),
}

impl Front {
    pub fn new(file: usize, module: Module, world: World) -> Front {
        Front {
            file,
            world,
            module,
            types: BTreeMap::new(),
            entering: Vec::new(),
            constants: BTreeMap::new(),
            consts: BTreeMap::new(),
            head_span: Span { file, range: 0..0 },
            declared_functions: Vec::new(),
            bindings: Vec::new(),
        }
    }

    pub fn span(&self, range: Range<usize>) -> Span {
        Span { file: self.file, range }
    }

    pub fn at(&self, node: &Node) -> Span {
        self.span(ast::span(node))
    }

    pub fn fail<T>(&self, node: &Node, message: impl Into<String>, label: impl Into<String>) -> R<T> {
        Err(Box::new(Diagnostic::new(self.at(node), message, label)))
    }

    pub fn fail_help<T>(
        &self,
        node: &Node,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> R<T> {
        Err(Box::new(Diagnostic::new(self.at(node), message, label).help(help)))
    }

    pub fn label(&self, text: &str, range: Range<usize>) -> R<Label> {
        Label::new(text)
            .map_err(|e| Box::new(Diagnostic::new(self.span(range), e.to_string(), "not a name of a declaration")))
    }

    pub fn fields(&mut self, fields: &[(String, Ty)], range: &Range<usize>) -> R<Vec<Field>> {
        let mut list = Vec::new();
        for (name, ty) in fields {
            list.push(Field { name: self.label(name, range.clone())?, ty: self.intern(ty, range)? });
        }
        Ok(list)
    }

    // ---- types

    /// The place of a type in the table, parts before wholes.
    pub fn intern(&mut self, ty: &Ty, range: &Range<usize>) -> R<TypeIx> {
        let told = |front: &Front, message: String, label: &str| {
            Err(Box::new(Diagnostic::new(front.span(range.clone()), message, label)))
        };
        let entry = match ty {
            Ty::Unit => Type::Unit,
            Ty::Bool => Type::Bool,
            Ty::Int { signed, bits } => Type::Int { signed: *signed, bits: *bits },
            Ty::Dec(places) => Type::Dec { places: *places },
            Ty::Text(max) => Type::Text { max: *max },
            Ty::Bytes(max) => Type::Bytes { max: *max },
            Ty::Digest => Type::Digest,
            Ty::Party => Type::Party,
            Ty::Time => Type::Time,
            Ty::Date => Type::Date,
            Ty::Ghost => Type::Ghost,
            Ty::Id(r) => Type::Id { protocol: *r },
            Ty::Option(of) => Type::Option { of: self.intern(of, range)? },
            Ty::List(of, max) => Type::List { of: self.intern(of, range)?, max: *max },
            Ty::Map(key, value, max) => {
                Type::Map { key: self.intern(key, range)?, value: self.intern(value, range)?, max: *max }
            }
            Ty::Tuple(items) => {
                let items = items.iter().map(|ty| self.intern(ty, range)).collect::<R<_>>()?;
                Type::Tuple { items }
            }
            Ty::Record(r) => Type::Record { of: *r },
            Ty::Enum(r) => Type::Enum { of: *r },
            Ty::Asset(r) => Type::Asset { of: *r },
            Ty::RowHole(table) => Type::RowHole { table: *table },
            Ty::InstanceHole(protocol, state) => Type::InstanceHole { protocol: *protocol, state: *state },
            Ty::Never => Type::Unit,
            Ty::Unknown => {
                return told(
                    self,
                    "the type is declared by a module that is not imported here".to_owned(),
                    "import that one, too",
                );
            }
        };
        if let Some(found) = self.types.get(&entry) {
            return Ok(*found);
        }
        if let Ty::Record(Ref { scope: 0, index })
        | Ty::Enum(Ref { scope: 0, index })
        | Ty::Asset(Ref { scope: 0, index }) = ty
        {
            if self.entering.contains(ty) {
                let name = self.world.show(ty);
                return told(self, format!("`{name}` contains itself"), "a value of it would have no end");
            }
            self.entering.push(ty.clone());
            let parts = self.parts(ty, usize::from(*index), range);
            self.entering.pop();
            parts?;
        }
        let index = self.module.types.len();
        if index >= hopper::ir::limits::TABLE_LEN_MAX {
            return told(self, "more types than a module may have".to_owned(), "this one is too many");
        }
        self.module.types.push(entry.clone());
        self.types.insert(entry, index as TypeIx);
        Ok(index as TypeIx)
    }

    /// Puts the types of the fields of a declaration of this module into the table.
    fn parts(&mut self, ty: &Ty, index: usize, range: &Range<usize>) -> R<()> {
        let own = self.world.own();
        match ty {
            Ty::Record(_) => {
                let fields = own.records[index].fields.clone();
                self.module.records[index].fields = self.fields(&fields, range)?;
            }
            Ty::Asset(_) => {
                let fields = own.assets[index].shape.fields.clone();
                self.module.assets[index].fields = self.fields(&fields, range)?;
            }
            _ => {
                let shapes: Vec<Shape> = own.enums[index].1.clone();
                for (n, shape) in shapes.iter().enumerate() {
                    self.module.enums[index].variants[n].fields = self.fields(&shape.fields, range)?;
                }
            }
        }
        Ok(())
    }

    /// The type that a node names.
    pub fn ty(&self, node: &Node) -> R<Ty> {
        match node.kind() {
            K::TupleType => {
                let items =
                    node.children().filter(|c| c.kind().is_type()).map(|c| self.ty(&c)).collect::<R<Vec<_>>>()?;
                if items.len() > hopper::ir::limits::FIELDS_MAX {
                    return self.fail(node, "a tuple has at most 64 items", "put them into a record or list");
                }
                Ok(match items.len() {
                    0 => Ty::Unit,
                    1 => items.into_iter().next().unwrap_or(Ty::Unit),
                    _ => Ty::Tuple(items),
                })
            }
            K::ListType => {
                let of = self.ty_or_fail(node, 0)?;
                Ok(Ty::List(Box::new(of), self.count(node, node)?))
            }
            _ => self.named_type(node),
        }
    }

    fn ty_or_fail(&self, node: &Node, n: usize) -> R<Ty> {
        match ast::ty(node, n) {
            Some(ty) => self.ty(&ty),
            None => self.fail(node, "a type is missing", "in here"),
        }
    }

    /// The last number, or name of a constant, directly in a node.
    fn count(&self, node: &Node, whole: &Node) -> R<u32> {
        let last = ast::tokens(node).filter(|t| matches!(t.kind(), K::Number | K::Ident)).last();
        let Some(token) = last else {
            return self.fail(whole, "the bound is missing", "say how many there may be, as in [T; 10]");
        };
        let number = match token.kind() {
            K::Number => number(token.text()),
            _ => self.constant_number(token.text()),
        };
        match number.and_then(|n| u32::try_from(n).ok()) {
            Some(n) => Ok(n),
            None => self.fail(whole, "the bound is no number", "a number or the name of a constant is wanted"),
        }
    }

    /// The number that a constant of the author stands for.
    pub fn constant_number(&self, name: &str) -> Option<i128> {
        let (_, value) = self.consts.get(name)?;
        let value = ast::bare(value);
        match value.kind() {
            K::Literal => {
                let token = ast::tokens(&value).next()?;
                match token.kind() {
                    K::Duration => duration(token.text()).map(i128::from),
                    K::Number => number(token.text()),
                    _ => None,
                }
            }
            K::PrefixExpr => {
                let inner = ast::expr(&value, 0)?;
                number(ast::tokens(&inner).next()?.text()).map(|n| -n)
            }
            _ => None,
        }
    }

    fn named_type(&self, node: &Node) -> R<Ty> {
        let path: Vec<String> = ast::path(node).iter().map(|t| t.text().to_owned()).collect();
        let args = ast::child(node, K::TypeArgs);
        let name = path.last().cloned().unwrap_or_default();
        if path.len() == 1
            && let Some(found) = self.built_in(&name, args.as_ref(), node)?
        {
            return Ok(found);
        }
        if args.is_some() {
            return self.fail(
                node,
                format!("`{name}` takes no arguments"),
                "only Option, Map, Id, Text, Bytes and Dec do",
            );
        }
        match self.declared(&path) {
            Some(Declared::Type(ty)) => Ok(ty),
            Some(Declared::Variant(..)) => {
                self.fail(node, format!("`{name}` is a variant, not a type"), "write the enum's name")
            }
            None => {
                let mut known: Vec<&str> = self.world.own().records.iter().map(|s| s.name.as_str()).collect();
                known.extend(self.world.own().enums.iter().map(|e| e.0.as_str()));
                known.extend(self.world.own().assets.iter().map(|a| a.shape.name.as_str()));
                known.extend(["Party", "Bool", "Nat8", "Nat16", "Nat32", "Nat64", "Nat96", "Time", "Date", "Digest"]);
                let mut told = Diagnostic::new(
                    self.at(node),
                    format!("there is no type `{name}`"),
                    "not declared here, nor imported by that name",
                );
                if let Some(near) = nearest(&name, known) {
                    told = told.help(format!("did you mean `{near}`?"));
                }
                Err(Box::new(told))
            }
        }
    }

    fn built_in(&self, name: &str, args: Option<&Node>, node: &Node) -> R<Option<Ty>> {
        let simple = match name {
            "Bool" => Some(Ty::Bool),
            "Digest" | "Hash" => Some(Ty::Digest),
            "Party" => Some(Ty::Party),
            "Time" => Some(Ty::Time),
            "Date" => Some(Ty::Date),
            "Ghost" => Some(Ty::Ghost),
            _ => None,
        };
        if simple.is_some() && args.is_none() {
            return Ok(simple);
        }
        let width = |prefix: &str| name.strip_prefix(prefix).and_then(|w| w.parse::<u8>().ok());
        for (prefix, signed, widths) in
            [("Nat", false, [8, 16, 32, 64, 96, 127].as_slice()), ("Int", true, [8, 16, 32, 64, 128].as_slice())]
        {
            if let Some(bits) = width(prefix) {
                if widths.contains(&bits) {
                    return Ok(Some(Ty::Int { signed, bits }));
                }
                let list: Vec<String> = widths.iter().map(|w| format!("{prefix}{w}")).collect();
                return self.fail_help(
                    node,
                    format!("there is no type `{name}`"),
                    "no such width",
                    format!("there are {}", list.join(", ")),
                );
            }
        }
        let Some(args) = args else { return Ok(None) };
        let first = || self.ty_or_fail(args, 0);
        Ok(Some(match name {
            "Option" => Ty::Option(Box::new(first()?)),
            "Map" => {
                let value = self.ty_or_fail(args, 1)?;
                Ty::Map(Box::new(first()?), Box::new(value), self.count(args, node)?)
            }
            "Text" => Ty::Text(self.count(args, node)?),
            "Bytes" => Ty::Bytes(self.count(args, node)?),
            "Dec" => match u8::try_from(self.count(args, node)?) {
                Ok(places) if places <= 18 => Ty::Dec(places),
                _ => return self.fail(node, "a decimal has at most 18 places", "too many"),
            },
            "Id" => {
                let path = ast::ty(args, 0).map(|t| ast::path(&t)).unwrap_or_default();
                let path: Vec<String> = path.iter().map(|t| t.text().to_owned()).collect();
                match self.protocol(&path) {
                    Some(r) => Ty::Id(r),
                    None => {
                        return self.fail(node, "there is no such protocol", "an id is of an instance of a protocol");
                    }
                }
            }
            _ => return Ok(None),
        }))
    }

    /// Scopes in which a path's last name is looked up, the first found first.
    fn scopes(&self, path: &[String]) -> Vec<u16> {
        let Some((name, front)) = path.split_last() else { return Vec::new() };
        let all = 0..self.world.scopes.len();
        let fits = |n: &usize| {
            let scope = &self.world.scopes[*n];
            match front {
                [] => *n == 0 || scope.names.contains(name),
                _ => *n > 0 && scope.alias == front.join("."),
            }
        };
        all.filter(fits).map(|n| n as u16).collect()
    }

    /// What a path names among types and variants.
    pub fn declared(&self, path: &[String]) -> Option<Declared> {
        let name = path.last()?;
        for scope in self.scopes(path) {
            let s = &self.world.scopes[usize::from(scope)];
            let r = |n: usize| Ref { scope, index: n as u16 };
            if let Some(n) = s.records.iter().position(|x| x.name == *name) {
                return Some(Declared::Type(Ty::Record(r(n))));
            }
            if let Some(n) = s.enums.iter().position(|x| x.0 == *name) {
                return Some(Declared::Type(Ty::Enum(r(n))));
            }
            if let Some(n) = s.assets.iter().position(|x| x.shape.name == *name) {
                return Some(Declared::Type(Ty::Asset(r(n))));
            }
        }
        // `Holding.Sole`, or `Sole` if only one enum has it.
        let (owner, all) = match path {
            [.., owner, _] => (Some(owner), true),
            _ => (None, false),
        };
        let mut found = None;
        for (scope, s) in self.world.scopes.iter().enumerate() {
            for (n, (enumeration, variants)) in s.enums.iter().enumerate() {
                if (all && owner != Some(enumeration)) || (!all && scope > 0 && !s.names.contains(enumeration)) {
                    continue;
                }
                if let Some(v) = variants.iter().position(|v| v.name == *name) {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(Declared::Variant(Ref { scope: scope as u16, index: n as u16 }, v as u16));
                }
            }
        }
        found
    }

    pub fn protocol(&self, path: &[String]) -> Option<Ref> {
        let name = path.last()?;
        self.scopes(path).into_iter().find_map(|scope| {
            let n = self.world.scopes[usize::from(scope)].protocols.iter().position(|p| p.name == *name)?;
            Some(Ref { scope, index: n as u16 })
        })
    }

    pub fn function(&self, path: &[String]) -> Option<Ref> {
        let name = path.last()?;
        self.scopes(path).into_iter().find_map(|scope| {
            let n = self.world.scopes[usize::from(scope)].functions.iter().position(|f| f.name == *name)?;
            Some(Ref { scope, index: n as u16 })
        })
    }

    // ---- constants

    /// The number of a constant by first need; [`Front::settle`] puts them in order.
    pub fn constant(&mut self, ty: &Ty, bytes: Vec<u8>, range: &Range<usize>) -> R<u16> {
        let ty = self.intern(ty, range)?;
        let next = self.constants.len() as u16;
        Ok(*self.constants.entry(Const { ty, bytes }).or_insert(next))
    }

    /// Numbers constants in their order.
    pub fn settle(&mut self) {
        let mut new = vec![0; self.constants.len()];
        for (n, (constant, first)) in std::mem::take(&mut self.constants).into_iter().enumerate() {
            new[usize::from(first)] = n as u16;
            self.module.constants.push(constant);
        }
        for op in self.module.functions.iter_mut().flat_map(|f| &mut f.blocks).flat_map(|b| &mut b.ops) {
            if let Op::Const { constant } = op {
                *constant = new[usize::from(*constant)];
            }
        }
    }
}

/// A number of the text.
pub(super) fn number(text: &str) -> Option<i128> {
    text.replace('_', "").parse().ok()
}

/// A duration of the text, in milliseconds.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    digits.replace('_', "").parse::<u64>().ok()?.checked_mul(unit)
}

/// The name among those known that is most like one that is not.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let best = known.into_iter().map(|k| (distance(name, k), k)).min()?;
    (best.0 <= 1 + name.len() / 4).then_some(best.1)
}

/// Letters to change, add or leave out (V. Levenshtein, 1966).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

//! From a place in a text to the declaration that is meant there.
//!
//! The tree decides: what kind of node a word stands in says what it may be. Fields want the type of what stands before the dot; it is
//! followed through declarations as far as those go, and past that a field is found if only one declaration has one of its name.

use std::ops::Range;
use std::sync::Arc;

use hopper::library::Unit;
use rowan::{TextSize, TokenAtOffset};

use super::check::Analysis;
use super::declarations::{Declaration, Kind, bindings, declarations, declared_by, fields, local, state};
use crate::front::{Import, find, imports, name_of};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, Token, ast};

/// Steps from one expression to another whose type it has. Trees are lower than this.
const STEPS_MAX: usize = 64;

/// What is meant.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// A declaration in a file of the family.
    Here(usize, Declaration),
    /// The module of a file of the family.
    Module(usize),
    /// Something of a module of which there is no text: its name, or none for the module itself; and where it is imported.
    Deployed(Arc<Unit>, Option<String>, Range<usize>),
    /// Of the language.
    BuiltIn(String),
}

impl Found {
    /// File and bytes of the name where it is declared.
    pub fn place(&self) -> Option<(usize, Range<usize>)> {
        match self {
            Found::Here(file, declaration) => Some((*file, declaration.range())),
            Found::Module(file) => Some((*file, 0..0)),
            Found::Deployed(_, _, import) => Some((0, import.clone())),
            Found::BuiltIn(_) => None,
        }
    }
}

/// A type as text, and the file in which its names mean something.
type Typed = (usize, String);

pub(super) struct Resolver<'a> {
    analysis: &'a Analysis,
    /// Of each file.
    declared: Vec<Vec<Declaration>>,
}

impl<'a> Resolver<'a> {
    pub fn new(analysis: &'a Analysis) -> Resolver<'a> {
        Resolver { analysis, declared: analysis.family.trees.iter().map(declarations).collect() }
    }

    /// What stands at a byte of the document: the word, and what it means.
    pub fn at(&self, offset: usize) -> Option<(Range<usize>, Found)> {
        let root = self.analysis.family.trees.first()?;
        let offset = TextSize::from(u32::try_from(offset).ok()?);
        if offset > root.text_range().end() {
            return None;
        }
        let word = |t: &Token| t.kind() == K::Ident;
        let token = match root.token_at_offset(offset) {
            TokenAtOffset::None => None,
            TokenAtOffset::Single(token) => Some(token).filter(word),
            // The cursor stands behind a word as often as before one.
            TokenAtOffset::Between(left, right) => Some(right).filter(word).or(Some(left).filter(word)),
        }?;
        Some((ast::token_span(&token), self.token(&token)?))
    }

    fn token(&self, token: &Token) -> Option<Found> {
        let node = token.parent()?;
        let text = token.text();
        if let Some(own) = declared_by(&node).filter(|d| d.name == *token) {
            return Some(Found::Here(0, own));
        }
        match node.kind() {
            K::Path => self.path(token, &node),
            K::ImportItem => self.module(&self.import(&node)?),
            K::ImportNames => self.of_module(&self.import(&node.parent()?)?, text),
            K::NameExpr => self.name(&node, text),
            K::FieldExpr => self.field_expr(&node),
            K::StructField => self.struct_field(&node, token),
            K::FieldPat if ast::pat(&node).is_some() => {
                let shape = node.ancestors().find(|n| n.kind() == K::VariantPat);
                let shape = shape.and_then(|p| self.pattern(&p, &ast::last_word(&p)?));
                self.field_of(shape, text)
            }
            K::NamePat | K::FieldPat => Some(Found::Here(0, bindings(&node).into_iter().next()?)),
            K::VariantPat => self.pattern(&node, token),
            K::Accumulator if ast::last_word(&node).as_ref() == Some(token) => {
                // Without a first value it is the variable of that name that goes on.
                Some(Found::Here(0, Declaration { kind: Kind::Binding, name: token.clone(), node }))
            }
            K::Clause => self.clause(token, &node),
            K::StartItem | K::MoveItem => Some(Found::Here(0, state(&node, token)?)),
            K::ListType | K::TypeArgs => self.declared(0, text, &[Kind::Const]),
            _ => None,
        }
    }

    // ---- modules

    fn import(&self, node: &Node) -> Option<Import> {
        let all = imports(self.analysis.family.trees.first()?);
        all.into_iter().find(|i| i.node == *node)
    }

    fn module(&self, import: &Import) -> Option<Found> {
        let unit =
            || find(&self.analysis.library, import).ok().and_then(|id| self.analysis.library.units.get(&id).cloned());
        // One that is pinned to a deployed version is not the text beside it.
        if import.id.is_some()
            && let Some(unit) = unit()
        {
            return Some(Found::Deployed(unit, None, ast::span(&import.node)));
        }
        let at = self.analysis.family.trees.iter().position(|t| name_of(t) == import.name);
        at.map(Found::Module).or_else(|| Some(Found::Deployed(unit()?, None, ast::span(&import.node))))
    }

    /// A declaration of an imported module.
    fn of_module(&self, import: &Import, name: &str) -> Option<Found> {
        match self.module(import)? {
            Found::Module(file) => {
                let all = self.declared.get(file)?;
                let found = all.iter().find(|d| d.name.text() == name && is_outer(d.kind));
                Some(Found::Here(file, found?.clone()))
            }
            Found::Deployed(unit, _, import) => {
                crate::front::outline(&unit).iter().any(|o| o.0 == name).then_some(())?;
                Some(Found::Deployed(unit, Some(name.to_owned()), import))
            }
            _ => None,
        }
    }

    fn aliased(&self, file: usize, alias: &str) -> Option<Import> {
        imports(self.analysis.family.trees.get(file)?).into_iter().find(|i| i.alias == alias)
    }

    /// A declaration that a file sees: its own, or one that it imports by name.
    fn declared(&self, file: usize, name: &str, kinds: &[Kind]) -> Option<Found> {
        let fits = |d: &&Declaration| d.name.text() == name && kinds.contains(&d.kind);
        if let Some(own) = self.declared.get(file)?.iter().find(fits) {
            return Some(Found::Here(file, own.clone()));
        }
        let all = imports(self.analysis.family.trees.get(file)?);
        let import = all.iter().find(|i| i.names.iter().any(|n| n == name))?;
        self.of_module(import, name)
    }

    // ---- words

    fn path(&self, token: &Token, path: &Node) -> Option<Found> {
        let outer = path.parent()?;
        match outer.kind() {
            K::ModuleHead => Some(Found::Module(0)),
            K::ImportItem => self.module(&self.import(&outer)?),
            _ => {
                let words: Vec<Token> = ast::tokens(path).filter(|t| t.kind() == K::Ident).collect();
                let at = words.iter().position(|w| w == token)?;
                let words: Vec<&str> = words[..=at].iter().map(Token::text).collect();
                if at + 1 < ast::tokens(path).filter(|t| t.kind() == K::Ident).count() {
                    return self.module(&self.aliased(0, words.first()?)?);
                }
                self.of_type(0, &words).or_else(|| Some(Found::BuiltIn(token.text().to_owned())))
            }
        }
    }

    /// A type by its path.
    fn of_type(&self, file: usize, words: &[&str]) -> Option<Found> {
        match words {
            [name] => self.declared(file, name, &[Kind::Record, Kind::Enum, Kind::Asset, Kind::Protocol]),
            [alias, name] => self.of_module(&self.aliased(file, alias)?, name),
            _ => None,
        }
    }

    /// A name in an expression.
    fn name(&self, node: &Node, text: &str) -> Option<Found> {
        let parent = node.parent();
        let outer = |kind: K| parent.as_ref().is_some_and(|p| p.kind() == kind);
        let signal = signal_place(node);
        if !signal && let Some(found) = local(node, text) {
            return Some(Found::Here(0, found));
        }
        let signals = [Kind::Error, Kind::Event];
        if signal && let Some(found) = self.declared(0, text, &signals) {
            return Some(found);
        }
        if let Some(found) = node.first_token().and_then(|t| state(node, &t)) {
            return Some(Found::Here(0, found));
        }
        if outer(K::CallExpr)
            && let Some(found) = self.declared(0, text, &[Kind::Function])
        {
            return Some(found);
        }
        let values = [
            Kind::Table,
            Kind::Const,
            Kind::Function,
            Kind::Record,
            Kind::Asset,
            Kind::Enum,
            Kind::Variant,
            Kind::Error,
            Kind::Event,
            Kind::Protocol,
        ];
        let found = self.declared(0, text, &values).or_else(|| self.variant(0, text));
        found.or_else(|| self.module(&self.aliased(0, text)?)).or_else(|| Some(Found::BuiltIn(text.to_owned())))
    }

    /// A variant of an enum that a file imports, by its own name.
    fn variant(&self, file: usize, name: &str) -> Option<Found> {
        for import in imports(self.analysis.family.trees.get(file)?) {
            let Some(Found::Module(other)) = self.module(&import) else { continue };
            let fits = |d: &&Declaration| {
                let owner = d.owner().is_some_and(|o| import.names.iter().any(|n| n == o.name.text()));
                d.kind == Kind::Variant && d.name.text() == name && owner
            };
            if let Some(found) = self.declared.get(other)?.iter().find(fits) {
                return Some(Found::Here(other, found.clone()));
            }
        }
        None
    }

    /// `cash.debit`, `Holding.Sole`, `a.bal`
    fn field_expr(&self, node: &Node) -> Option<Found> {
        let name = ast::tokens(node).last().filter(|t| t.kind() == K::Ident)?;
        let base = ast::bare(&ast::expr(node, 0)?);
        if base.kind() == K::NameExpr {
            let text = ast::text(&base);
            // In a protocol `self` has its parameters.
            if text == "self" {
                let protocol = node.ancestors().find(|n| n.kind() == K::ProtocolItem)?;
                return self.field_of(Some(Found::Here(0, declared_by(&protocol)?)), name.text());
            }
            if local(&base, &text).is_none() {
                if let Some(Found::Here(file, of)) = self.declared(0, &text, &[Kind::Enum]) {
                    let variants = ast::child(&of.node, K::VariantList)?;
                    let all = ast::children(&variants, K::Variant).filter_map(|v| declared_by(&v));
                    return Some(Found::Here(file, { all }.find(|d| d.name.text() == name.text())?));
                }
                if let Some(import) = self.aliased(0, &text) {
                    return self.of_module(&import, name.text());
                }
            }
        }
        if node.parent().is_some_and(|p| p.kind() == K::CallExpr) {
            // `list.push(x)`: only the language has these.
            return Some(Found::BuiltIn(name.text().to_owned()));
        }
        let shape = self.type_of(&base, STEPS_MAX).and_then(|ty| self.shape(&ty));
        self.field_of(shape, name.text())
    }

    /// A record or the like by its type.
    fn shape(&self, (file, text): &Typed) -> Option<Found> {
        // Looking at what may not be there gives an option.
        let text = text.strip_prefix("Option<").and_then(|t| t.strip_suffix('>')).unwrap_or(text);
        let words: Vec<&str> = text.split('.').map(str::trim).collect();
        self.of_type(*file, &words)
    }

    /// A field of a declaration, or the one field of this name if nothing is known.
    fn field_of(&self, shape: Option<Found>, name: &str) -> Option<Found> {
        if let Some(shape) = shape {
            let Found::Here(file, of) = shape else { return None };
            return Some(Found::Here(file, fields(&of.node).into_iter().find(|f| f.name.text() == name)?));
        }
        let mut all = Vec::new();
        for (file, declared) in self.declared.iter().enumerate() {
            for of in declared.iter().filter(|d| !matches!(d.kind, Kind::Function | Kind::Start | Kind::Move)) {
                all.extend(fields(&of.node).into_iter().filter(|f| f.name.text() == name).map(|f| (file, f)));
            }
        }
        match all.as_slice() {
            [(file, field)] => Some(Found::Here(*file, field.clone())),
            _ => None,
        }
    }

    /// `R { a: x, b }` and `r with { a: x }`
    fn struct_field(&self, node: &Node, token: &Token) -> Option<Found> {
        let expr = node.parent()?.parent()?;
        // Without a value it is the variable that is meant.
        if ast::expr(node, 0).is_none()
            && let Some(found) = local(node, token.text())
        {
            return Some(Found::Here(0, found));
        }
        let head = ast::expr(&expr, 0)?;
        let shape = match expr.kind() {
            K::WithExpr => self.type_of(&head, STEPS_MAX).and_then(|ty| self.shape(&ty)),
            _ => self.head(&head),
        };
        let found = self.field_of(shape.clone(), token.text());
        // `with` changes parameters of a protocol where its next state is made.
        found.or_else(|| {
            let Some(Found::Here(0, of)) = shape else { return None };
            self.field_of(Some(Found::Here(0, of.owner()?)), token.text())
        })
    }

    /// What stands before the braces of a record that is made.
    fn head(&self, head: &Node) -> Option<Found> {
        match head.kind() {
            K::FieldExpr => self.field_expr(head),
            _ => self.name(head, &ast::text(head)),
        }
    }

    fn pattern(&self, node: &Node, token: &Token) -> Option<Found> {
        let words: Vec<Token> = ast::tokens(node).filter(|t| t.kind() == K::Ident).collect();
        let at = words.iter().position(|w| w == token)?;
        let text = token.text();
        let types = [Kind::Record, Kind::Asset, Kind::Enum];
        if at + 1 < words.len() {
            return self.declared(0, text, &types).or_else(|| self.module(&self.aliased(0, text)?));
        }
        if at > 0 {
            let owner = words.get(at - 1)?;
            if let Some(Found::Here(file, of)) = self.declared(0, owner.text(), &[Kind::Enum]) {
                let variants = ast::child(&of.node, K::VariantList)?;
                let all = ast::children(&variants, K::Variant).filter_map(|v| declared_by(&v));
                return Some(Found::Here(file, { all }.find(|d| d.name.text() == text)?));
            }
            return self.of_module(&self.aliased(0, owner.text())?, text);
        }
        let found =
            self.declared(0, text, &[Kind::Variant, Kind::Record, Kind::Asset]).or_else(|| self.variant(0, text));
        found.or_else(|| Some(Found::BuiltIn(text.to_owned())))
    }

    /// `mints Coin`, `conserves amount`, `signed owner`
    fn clause(&self, token: &Token, node: &Node) -> Option<Found> {
        let head = ast::word(node, 0)?;
        if head == *token {
            return None;
        }
        match head.text() {
            "mints" | "burns" => self.declared(0, token.text(), &[Kind::Asset]),
            "conserves" | "signed" => {
                let of = local(node, token.text());
                Some(Found::Here(0, of?))
            }
            _ => None,
        }
    }

    // ---- types

    fn of_fn(&self, file: usize, node: &Node) -> Option<Typed> {
        Some((file, ast::text(&ast::ty(node, 0)?)))
    }

    /// The type of an expression of the document, as far as declarations tell.
    fn type_of(&self, node: &Node, steps: usize) -> Option<Typed> {
        let steps = steps.checked_sub(1)?;
        let node = ast::bare(node);
        match node.kind() {
            K::NameExpr => {
                let text = ast::text(&node);
                match local(&node, &text) {
                    Some(found) => self.type_of_declaration(0, &found),
                    None => self.implied(&node, &text),
                }
            }
            K::FieldExpr => match self.field_expr(&node)? {
                Found::Here(file, found) => self.type_of_declaration(file, &found),
                _ => None,
            },
            K::IndexExpr => {
                let Found::Here(file, table) = self.head(&ast::expr(&node, 0)?)? else { return None };
                (table.kind == Kind::Table).then_some(())?;
                Some((file, ast::text(&ast::ty(&table.node, 1)?)))
            }
            K::PeekExpr | K::WithExpr => self.type_of(&ast::expr(&node, 0)?, steps),
            K::CastExpr => self.of_fn(0, &node),
            K::StructExpr => Some((0, ast::text(&ast::expr(&node, 0)?))),
            K::CallExpr => match self.head(&ast::expr(&node, 0)?)? {
                Found::Here(file, of) => self.of_fn(file, &of.node),
                _ => None,
            },
            _ => None,
        }
    }

    /// Names that nobody declares: `result` in what a function ensures, `row` and `key` of a table.
    fn implied(&self, node: &Node, name: &str) -> Option<Typed> {
        let item = node.ancestors().find(|n| matches!(n.kind(), K::FnItem | K::TableItem))?;
        let n = match (item.kind(), name) {
            (K::FnItem, "result") | (K::TableItem, "key") => 0,
            (K::TableItem, "row") => 1,
            _ => return None,
        };
        Some((0, ast::text(&ast::ty(&item, n)?)))
    }

    /// The type that a field, parameter, constant or name in a body has.
    pub fn type_of_declaration(&self, file: usize, found: &Declaration) -> Option<Typed> {
        match found.kind {
            Kind::Field | Kind::Parameter | Kind::Const => self.of_fn(file, &found.node),
            Kind::Binding => {
                // Written down, or else as the compiler found it.
                let outer = found.node.parent().filter(|p| p.kind() == K::LetStmt && found.node.kind() == K::NamePat);
                if let Some(ty) = outer.and_then(|l| ast::ty(&l, 0)) {
                    return Some((file, ast::text(&ty)));
                }
                let all = self.analysis.compiled(file).map(|c| c.bindings.as_slice()).unwrap_or_default();
                let known = all.iter().find(|(range, _)| *range == found.range());
                known.map(|(_, ty)| (file, ty.clone())).or_else(|| self.row_of(found))
            }
            _ => None,
        }
    }

    /// The row that `change t[k] as row` takes out: known even if the text is wrong.
    fn row_of(&self, found: &Declaration) -> Option<Typed> {
        let change = found.node.parent().filter(|p| p.kind() == K::ChangeExpr)?;
        self.type_of(&ast::expr(&change, 0)?, STEPS_MAX)
    }
}

/// Declarations that other modules may name.
fn is_outer(kind: Kind) -> bool {
    !matches!(kind, Kind::Variant | Kind::State | Kind::Field | Kind::Parameter | Kind::Binding)
}

/// True where an error or event stands: after `else` of a check, `abort`, `emit`.
fn signal_place(node: &Node) -> bool {
    let node = match node.parent() {
        Some(outer) if outer.kind() == K::StructExpr => outer,
        _ => node.clone(),
    };
    let Some(outer) = node.parent() else { return false };
    match outer.kind() {
        K::AbortExpr | K::EmitExpr => true,
        K::CheckExpr | K::LetStmt => ast::exprs(&outer).iter().position(|e| *e == node) == Some(1),
        _ => false,
    }
}

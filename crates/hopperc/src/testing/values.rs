//! Values in tests: what stands there, read by the type that is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use hopper::types::{Kind, Shape, Ty, Universe};
use hopper::value::Value;
use wire::{Hash, Name};

use super::R;
use crate::diagnostic::{Diagnostic, Span};
use crate::front::duration;
use crate::literal;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// What names mean while a test runs.
pub(super) struct Values<'a> {
    pub universe: &'a Universe,
    /// Results that were given names.
    pub names: &'a BTreeMap<String, (Ty, Value)>,
    /// The time, in milliseconds.
    pub now: u64,
    /// The file of the test.
    pub file: usize,
}

/// The party of a token `@alice`.
pub(super) fn party(text: &str) -> Option<Name> {
    Name::new(text.strip_prefix('@')?).ok()
}

/// A path of names: `cash.Insufficient`, of a record also if its fields follow.
pub(super) fn path(node: &Node) -> Option<String> {
    Some(match node.kind() {
        K::NameExpr => ast::word(node, 0)?.text().to_owned(),
        K::FieldExpr => format!("{}.{}", path(&ast::expr(node, 0)?)?, ast::word(node, 0)?.text()),
        K::StructExpr => path(&ast::expr(node, 0)?)?,
        _ => return None,
    })
}

/// The last name of a path.
fn last(node: &Node) -> Option<String> {
    path(node).and_then(|p| p.rsplit('.').next().map(str::to_owned))
}

impl Values<'_> {
    fn fail<T>(&self, node: &Node, message: impl Into<String>) -> R<T> {
        let span = Span { file: self.file, range: ast::span(node) };
        Err(Box::new(Diagnostic::new(span, message, "here")))
    }

    /// A value of a type.
    pub fn read(&self, node: &Node, ty: Ty) -> R<Value> {
        let node = &ast::bare(node);
        let kind = self.universe.kind(ty);
        match node.kind() {
            K::Literal => self.literal(node, ty),
            K::RoleExpr => {
                let text = node.text().to_string();
                match (kind, party(text.trim())) {
                    (Kind::Party, Some(name)) => Ok(Value::Party(name)),
                    _ => self.fail(node, "no party is wanted here"),
                }
            }
            K::PrefixExpr if ast::operator(node) == Some(K::Minus) => self.leaf(node, ty, &ast::text(node)),
            K::NameExpr | K::FieldExpr => self.named(node, ty),
            K::BinExpr => self.sum(node, ty),
            K::StructExpr => self.fields(node, ty),
            K::TupleExpr => self.tuple(node, ty),
            K::ListExpr => self.list(node, ty),
            K::CallExpr => self.call(node, ty),
            _ => self.fail(node, "a test has values here, and no more than sums of them"),
        }
    }

    fn leaf(&self, node: &Node, ty: Ty, text: &str) -> R<Value> {
        literal::read(self.universe, ty, text).or_else(|why| {
            // The place is shown already.
            let why = match why.strip_prefix("at character ").and_then(|rest| rest.split_once(": ")) {
                Some((_, what)) => what.split_once(", not `").map_or(what, |(what, _)| what).to_owned(),
                None => why,
            };
            self.fail(node, why)
        })
    }

    fn literal(&self, node: &Node, ty: Ty) -> R<Value> {
        let Some(token) = ast::tokens(node).next() else { return self.fail(node, "a value is wanted") };
        let text = token.text();
        let numeric = matches!(self.universe.kind(ty), Kind::Int { .. } | Kind::Time);
        match (token.kind(), self.universe.kind(ty)) {
            (K::Duration, _) if numeric => match duration(text) {
                Some(ms) => self.leaf(node, ty, &ms.to_string()),
                None => self.fail(node, "the duration is too long"),
            },
            // A day as a time is its beginning.
            (K::Date, Kind::Time) => match literal::date(text) {
                Some(days) => self.leaf(node, ty, &(i64::from(days) * 86_400_000).to_string()),
                None => self.fail(node, "there is no such date"),
            },
            (K::HexBytes, Kind::Digest | Kind::Id(_)) => self.leaf(node, ty, text.trim_start_matches("0x")),
            (K::Text, Kind::Bytes(max)) => match bytes(text) {
                Some(bytes) if bytes.len() <= *max as usize => Ok(Value::Bytes(bytes.into())),
                _ => self.fail(node, format!("longer than {max} bytes")),
            },
            // Bare words are names of parties or texts elsewhere, but not in a contract's file.
            (K::Number | K::Decimal, Kind::Text(_) | Kind::Party) => self.fail(node, "a number is not wanted here"),
            _ => self.leaf(node, ty, text),
        }
    }

    fn named(&self, node: &Node, ty: Ty) -> R<Value> {
        let name = path(node).unwrap_or_default();
        if let Some((found, value)) = self.names.get(&name) {
            return if *found == ty {
                Ok(value.clone())
            } else {
                self.fail(node, format!("`{name}` has another type"))
            };
        }
        let variant = last(node).unwrap_or_default();
        match self.universe.kind(ty) {
            Kind::Time if name == "now" => Ok(Value::Int(self.now.into())),
            Kind::Option(_) if variant == "None" => Ok(Value::none()),
            Kind::Enum(_, _, shapes) => {
                match shapes.iter().position(|s| s.name.as_str() == variant && s.fields.is_empty()) {
                    Some(n) => Ok(Value::Variant(u16::try_from(n).unwrap_or(u16::MAX), Arc::new([]))),
                    None => self.fail(node, format!("there is no variant `{variant}` without fields")),
                }
            }
            _ => self.fail(node, format!("`{name}` is nothing that a test knows")),
        }
    }

    /// `now + 2d`, `100 - 30`
    fn sum(&self, node: &Node, ty: Ty) -> R<Value> {
        let (Some(a), Some(b)) = (ast::expr(node, 0), ast::expr(node, 1)) else {
            return self.fail(node, "two operands are wanted");
        };
        let (Value::Int(a), Value::Int(b)) = (self.read(&a, ty)?, self.read(&b, ty)?) else {
            return self.fail(node, "only numbers and times have sums");
        };
        let sum = match ast::operator(node) {
            Some(K::Plus) => a.checked_add(b),
            Some(K::Minus) => a.checked_sub(b),
            _ => return self.fail(node, "a test knows + and - only"),
        };
        let fits = |sum: &i128| self.universe.range(ty).is_some_and(|(min, max)| (min..=max).contains(sum));
        sum.filter(fits).map_or_else(|| self.fail(node, "it does not fit its type"), |sum| Ok(Value::Int(sum)))
    }

    fn fields(&self, node: &Node, ty: Ty) -> R<Value> {
        let name = last(node).unwrap_or_default();
        match self.universe.kind(ty) {
            Kind::Record(_, shape) | Kind::Asset { shape, .. } if shape.name.as_str() == name => {
                Ok(Value::fields(self.shape(node, shape)?))
            }
            Kind::Enum(_, _, shapes) => match shapes.iter().position(|s| s.name.as_str() == name) {
                Some(n) => {
                    let fields = self.shape(node, &shapes[n])?;
                    Ok(Value::Variant(u16::try_from(n).unwrap_or(u16::MAX), fields.into()))
                }
                None => self.fail(node, format!("there is no variant `{name}`")),
            },
            _ => self.fail(node, format!("no `{name}` is wanted here")),
        }
    }

    fn shape(&self, node: &Node, shape: &Shape) -> R<Vec<Value>> {
        let given = ast::struct_fields(node);
        if let Some((token, _)) = given.iter().find(|(t, _)| shape.fields.iter().all(|f| f.0.as_str() != t.text())) {
            return self.fail(node, format!("`{}` has no field `{}`", shape.name, token.text()));
        }
        let mut values = Vec::new();
        for (label, ty) in &shape.fields {
            let found = given.iter().find(|(token, _)| token.text() == label.as_str());
            values.push(match found {
                Some((_, Some(value))) => self.read(value, *ty)?,
                Some((token, None)) => match self.names.get(token.text()) {
                    Some((of, value)) if of == ty => value.clone(),
                    _ => return self.fail(node, format!("`{label}` is no name of a value of that type")),
                },
                None => return self.fail(node, format!("the field `{label}` is missing")),
            });
        }
        Ok(values)
    }

    fn tuple(&self, node: &Node, ty: Ty) -> R<Value> {
        let items = ast::exprs(node);
        match self.universe.kind(ty) {
            Kind::Unit if items.is_empty() => Ok(Value::Unit),
            Kind::Tuple(types) if types.len() == items.len() => {
                let values = items.iter().zip(types).map(|(item, ty)| self.read(item, *ty));
                Ok(Value::fields(values.collect::<R<Vec<_>>>()?))
            }
            _ => self.fail(node, "no tuple of so many parts is wanted here"),
        }
    }

    /// A list; of pairs, a map.
    fn list(&self, node: &Node, ty: Ty) -> R<Value> {
        let items = ast::exprs(node);
        match self.universe.kind(ty) {
            Kind::List(of, max) if items.len() <= *max as usize => {
                Ok(Value::List(Arc::new(items.iter().map(|item| self.read(item, *of)).collect::<R<_>>()?)))
            }
            Kind::Map(key, of, max) if items.len() <= *max as usize => {
                let mut entries = BTreeMap::new();
                for item in &items {
                    let parts = ast::exprs(item);
                    let (K::TupleExpr, [k, v]) = (item.kind(), &parts[..]) else {
                        return self.fail(item, "an entry of a map is written as a pair: (key, value)");
                    };
                    if entries.insert(self.read(k, *key)?, self.read(v, *of)?).is_some() {
                        return self.fail(item, "this key stands there twice");
                    }
                }
                Ok(Value::Map(Arc::new(entries)))
            }
            _ => self.fail(node, "no list of so many elements is wanted here"),
        }
    }

    /// `Some(x)`, `empty()`, `sha256(x)`
    fn call(&self, node: &Node, ty: Ty) -> R<Value> {
        let name = ast::expr(node, 0).and_then(|callee| path(&callee)).unwrap_or_default();
        let args = ast::args(node);
        match (self.universe.kind(ty), name.as_str(), &args[..]) {
            (Kind::Option(of), "Some", [value]) => Ok(Value::some(self.read(value, *of)?)),
            (Kind::List(..), "empty", []) => Ok(Value::List(Arc::default())),
            (Kind::Map(..), "empty", []) => Ok(Value::Map(Arc::default())),
            (Kind::Digest, "sha256", [value]) => {
                let text = ast::text(value);
                let hex = text.strip_prefix("0x").and_then(|hex| wire::hash::decode_hex_bytes(hex).ok());
                match hex.or_else(|| bytes(&text)) {
                    Some(bytes) => Ok(Value::Digest(Hash::of(&bytes))),
                    None => self.fail(value, "a text in quotes or bytes such as 0x0aff are wanted"),
                }
            }
            _ => self.fail(node, format!("`{name}` of so many arguments gives no value that is wanted here")),
        }
    }

    /// Is it that value? The name of a variant alone stands for every value of it.
    pub fn fits(&self, node: &Node, ty: Ty, value: &Value) -> R<bool> {
        if let (K::NameExpr | K::FieldExpr, Kind::Enum(_, _, shapes), Value::Variant(n, _)) =
            (node.kind(), self.universe.kind(ty), value)
        {
            let name = last(node);
            if let Some(at) = shapes.iter().position(|s| Some(s.name.as_str()) == name.as_deref()) {
                return Ok(at == usize::from(*n));
            }
        }
        Ok(self.read(node, ty)? == *value)
    }
}

/// The bytes of a text in quotes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    literal::unquote(text).map(String::into_bytes)
}

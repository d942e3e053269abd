//! Values, changes and refusals as text, for people.

use std::fmt::Write as _;

use wire::Reader;

use crate::abort::Abort;
use crate::diff::{Bytes, Change, Diff};
use crate::ir::{Label, Lineage, Signal};
use crate::library::{Library, TableInfo, Unit};
use crate::state::RowKey;
use crate::types::{Kind, Shape, Ty, Universe};
use crate::value::{self, Value};

/// Characters after which a text is not continued.
const LONG: usize = 400;

/// A value: numbers in digits, decimals with their point, names bare, records and variants with their names.
pub fn value_text(universe: &Universe, ty: Ty, value: &Value) -> String {
    let mut out = String::new();
    show(universe, ty, value, &mut out);
    out
}

/// The fields of an error or event, from their canonical bytes: `{ account: A, n: 5 }`. Nothing if there are none.
pub fn fields_text(universe: &Universe, unit: &Unit, signal: &Signal, bytes: &[u8]) -> String {
    let mut r = Reader::new(bytes);
    let mut out = String::new();
    for field in &signal.fields {
        let Some(ty) = unit.types.get(usize::from(field.ty)) else { break };
        let Ok(value) = value::decode(universe, *ty, &mut r) else { break };
        out += if out.is_empty() { " { " } else { ", " };
        let _ = write!(out, "{}: ", field.name);
        show(universe, *ty, &value, &mut out);
    }
    if out.is_empty() { out } else { out + " }" }
}

/// Why a module refused a command.
pub fn abort_text(library: &Library, abort: &Abort) -> String {
    match abort {
        Abort::Fault(fault) => fault.to_string(),
        Abort::Error { module, error, args } => {
            let unit = library.units.get(module);
            match unit.and_then(|u| Some((u, u.module.errors.get(usize::from(*error))?))) {
                Some((unit, signal)) => {
                    let fields = fields_text(&library.universe, unit, signal, args);
                    format!("{}: {}{fields}", unit.module.name, signal.name)
                }
                None => abort.to_string(),
            }
        }
    }
}

/// A table or the instances of a protocol, with its name.
pub fn table<'l>(library: &'l Library, lineage: &Lineage, table: u16) -> Option<(&'l Unit, &'l TableInfo, &'l Label)> {
    let unit = library.heads.get(lineage).and_then(|id| library.units.get(id))?;
    let (info, name) = unit.table(table)?;
    Some((unit, info, name))
}

/// A field of a row that is another after a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The fields that lead to it from the row; none if the row came, went, or is of another form.
    pub path: Vec<Label>,
    /// Its type.
    pub ty: Ty,
    /// Its value before, if there was the row.
    pub before: Option<Value>,
    /// Its value after, if there is the row.
    pub after: Option<Value>,
}

/// The fields in which a row is another; `None` if its table is not in the library.
pub fn field_changes(library: &Library, change: &Change) -> Option<Vec<FieldChange>> {
    let (_, info, _) = table(library, &change.key.lineage, change.key.table)?;
    let universe = &library.universe;
    let row = |bytes: &Option<Bytes>| match bytes {
        None => Some(None),
        Some(bytes) => value::from_bytes(universe, info.row, bytes).ok().map(Some),
    };
    let mut found = Vec::new();
    let whole =
        FieldChange { path: Vec::new(), ty: info.row, before: row(&change.before)?, after: row(&change.after)? };
    differ(universe, whole, &mut found);
    Some(found)
}

/// The places in which two values differ. Values nest no deeper than types, which do not nest deeply.
fn differ(universe: &Universe, change: FieldChange, found: &mut Vec<FieldChange>) {
    let FieldChange { path, ty, before, after } = &change;
    if before == after {
        return;
    }
    let parts: Option<(&Shape, &[Value], &[Value])> = match (universe.kind(*ty), before, after) {
        (Kind::Record(_, shape) | Kind::Asset { shape, .. }, Some(Value::Fields(a)), Some(Value::Fields(b))) => {
            Some((shape, a, b))
        }
        (Kind::Enum(_, _, shapes), Some(Value::Variant(n, a)), Some(Value::Variant(m, b))) if n == m => {
            shapes.get(usize::from(*n)).map(|shape| (shape, &a[..], &b[..]))
        }
        _ => None,
    };
    let Some((shape, a, b)) = parts else {
        found.push(change);
        return;
    };
    for ((field, a), b) in shape.fields.iter().zip(a).zip(b) {
        let path = path.iter().chain([&field.0]).cloned().collect();
        let part = FieldChange { path, ty: field.1, before: Some(a.clone()), after: Some(b.clone()) };
        differ(universe, part, found);
    }
}

/// A row's place: `bank.cash accounts[A]`.
pub fn row_text(library: &Library, key: &RowKey) -> String {
    let named = table(library, &key.lineage, key.table).and_then(|(unit, info, name)| {
        let value = value::from_bytes(&library.universe, info.key, &key.key).ok()?;
        Some(format!("{} {name}[{}]", unit.module.name, value_text(&library.universe, info.key, &value)))
    });
    named.unwrap_or_else(|| format!("{}/{}[{}]", key.lineage.0.short(), key.table, wire::hash::encode_hex(&key.key)))
}

/// What a module changed, field by field: `bank.cash accounts[A].balance.amount: 100 -> 70`; then events. Rows of modules that
/// are not in the library are given in bytes.
pub fn changes_text(library: &Library, diff: &Diff) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &diff.changes {
        let at = row_text(library, &change.key);
        match field_changes(library, change) {
            Some(fields) => lines.extend(fields.iter().map(|field| {
                let path: String = field.path.iter().map(|name| format!(".{name}")).collect();
                let text = |value: &Option<Value>| {
                    value.as_ref().map_or("-".to_owned(), |v| value_text(&library.universe, field.ty, v))
                };
                format!("{at}{path}: {} -> {}", text(&field.before), text(&field.after))
            })),
            None => {
                let size =
                    |bytes: &Option<Bytes>| bytes.as_ref().map_or("-".to_owned(), |b| format!("{} bytes", b.len()));
                lines.push(format!("{at}: {} -> {}", size(&change.before), size(&change.after)));
            }
        }
    }
    for event in &diff.events {
        let unit = library.units.get(&event.module);
        lines.push(match unit.and_then(|u| Some((u, u.module.events.get(usize::from(event.event))?))) {
            Some((unit, signal)) => {
                let fields = fields_text(&library.universe, unit, signal, &event.args);
                format!("{} {}{fields}", unit.module.name, signal.name)
            }
            None => format!("event {} of {}, {} bytes", event.event, event.module.0.short(), event.args.len()),
        });
    }
    lines
}

/// Values nest no deeper than types, which do not nest deeply.
fn show(universe: &Universe, ty: Ty, value: &Value, out: &mut String) {
    if out.len() > LONG {
        if !out.ends_with("...") {
            *out += "...";
        }
        return;
    }
    let list = |open: &str, close: &str, items: &mut dyn Iterator<Item = (String, Ty, &Value)>, out: &mut String| {
        *out += open;
        for (n, (label, ty, value)) in items.enumerate() {
            *out += if n == 0 { "" } else { ", " };
            *out += &label;
            show(universe, ty, value, out);
        }
        *out += close;
    };
    match (universe.kind(ty), value) {
        (_, Value::Unit) => *out += "()",
        (_, Value::Bool(b)) => *out += if *b { "true" } else { "false" },
        (Kind::Dec { places }, Value::Int(n)) => *out += &decimal(*n, *places),
        (_, Value::Int(n)) => *out += &n.to_string(),
        (_, Value::Text(text)) => {
            let _ = write!(out, "{text:?}");
        }
        (_, Value::Bytes(bytes)) => {
            *out += "0x";
            bytes.iter().take(LONG).for_each(|b| *out += &format!("{b:02x}"));
        }
        (_, Value::Digest(hash)) => *out += &hash.to_string(),
        (_, Value::Party(name)) => *out += name.as_str(),
        (Kind::Option(_), Value::Variant(0, _)) => *out += "none",
        (Kind::Option(of), Value::Variant(_, fields)) => {
            list("some(", ")", &mut fields.iter().map(|v| (String::new(), *of, v)), out);
        }
        (Kind::Enum(_, _, shapes), Value::Variant(n, fields)) => {
            let Some(shape) = shapes.get(usize::from(*n)) else { return };
            *out += shape.name.as_str();
            if !fields.is_empty() {
                let fields = shape.fields.iter().zip(fields.iter());
                list(" { ", " }", &mut fields.map(|(f, v)| (format!("{}: ", f.0), f.1, v)), out);
            }
        }
        (Kind::List(of, _), Value::List(items)) => {
            list("[", "]", &mut items.iter().map(|v| (String::new(), *of, v)), out);
        }
        (Kind::Map(key, of, _), Value::Map(entries)) => {
            let label = |k| value_text(universe, *key, k) + ": ";
            list("{", "}", &mut entries.iter().map(|(k, v)| (label(k), *of, v)), out);
        }
        (Kind::Tuple(types), Value::Fields(fields)) => {
            list("(", ")", &mut types.iter().zip(fields.iter()).map(|(t, v)| (String::new(), *t, v)), out);
        }
        (Kind::Record(_, shape) | Kind::Asset { shape, .. }, Value::Fields(fields)) => {
            *out += shape.name.as_str();
            let fields = shape.fields.iter().zip(fields.iter());
            list(" { ", " }", &mut fields.map(|(f, v)| (format!("{}: ", f.0), f.1, v)), out);
        }
        _ => *out += "?",
    }
}

fn decimal(mantissa: i128, places: u8) -> String {
    let (sign, digits) = (if mantissa < 0 { "-" } else { "" }, mantissa.unsigned_abs().to_string());
    let places = usize::from(places);
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(12345, 2), "123.45");
        assert_eq!(decimal(7, 0), "7");
    }
}

//! Values of contracts as text, for outcomes and for people.

use std::fmt::Write as _;

use hopper::abort::Abort;
use hopper::diff::{Bytes, Diff};
use hopper::ir::Signal;
use hopper::library::{INSTANCES, Library, Unit};
use hopper::state::RowKey;
use hopper::types::{Kind, Ty, Universe};
use hopper::value::{self, Value};
use wire::Reader;

use crate::modules::Code;

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

/// Why a contract refused a command.
pub fn abort_text(code: &Code, abort: &Abort) -> String {
    match abort {
        Abort::Fault(fault) => fault.to_string(),
        Abort::Error { module, error, args } => {
            let unit = code.unit(module);
            match unit.and_then(|u| Some((u, u.module.errors.get(usize::from(*error))?))) {
                Some((unit, signal)) => {
                    let fields = fields_text(&code.library().universe, unit, signal, args);
                    format!("{}: {}{fields}", unit.module.name, signal.name)
                }
                None => abort.to_string(),
            }
        }
    }
}

/// What a contract changed, field by field: `bank.cash accounts[A].balance.amount: 100 -> 70`; then events. Rows of modules that
/// are not in the library are given in bytes.
pub fn changes_text(library: &Library, diff: &Diff) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &diff.changes {
        let RowKey { lineage, table, key } = &change.key;
        let head = library.heads.get(lineage).and_then(|id| library.units.get(id));
        let found = head.and_then(|unit| {
            let (info, name) = match table.checked_sub(INSTANCES) {
                None => (unit.tables.get(usize::from(*table))?, &unit.module.tables.get(usize::from(*table))?.name),
                Some(n) => (unit.protocols.get(usize::from(n))?, &unit.module.protocols.get(usize::from(n))?.name),
            };
            let universe = &library.universe;
            let key = value::from_bytes(universe, info.key, key).ok()?;
            let row = |bytes: &Option<Bytes>| match bytes {
                None => Some(None),
                Some(bytes) => value::from_bytes(universe, info.row, bytes).ok().map(Some),
            };
            let at = format!("{} {name}[{}]", unit.module.name, value_text(universe, info.key, &key));
            fields(universe, info.row, at, row(&change.before)?.as_ref(), row(&change.after)?.as_ref(), &mut lines);
            Some(())
        });
        if found.is_none() {
            let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or("-".to_owned(), |b| format!("{} bytes", b.len()));
            let at = format!("{}/{table}[{}]", lineage.0.short(), wire::hash::encode_hex(key));
            lines.push(format!("{at}: {} -> {}", size(&change.before), size(&change.after)));
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

/// The places in which two values differ.
fn fields(
    universe: &Universe,
    ty: Ty,
    at: String,
    before: Option<&Value>,
    after: Option<&Value>,
    lines: &mut Vec<String>,
) {
    if before == after {
        return;
    }
    if let (Some(Value::Fields(a)), Some(Value::Fields(b))) = (before, after)
        && let Kind::Record(_, shape) | Kind::Asset { shape, .. } = universe.kind(ty)
    {
        for ((field, a), b) in shape.fields.iter().zip(a.iter()).zip(b.iter()) {
            fields(universe, field.1, format!("{at}.{}", field.0), Some(a), Some(b), lines);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map_or("-".to_owned(), |v| value_text(universe, ty, v));
    lines.push(format!("{at}: {} -> {}", text(before), text(after)));
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
    use crate::cash;
    use wire::{Encode, Name};

    #[test]
    fn decimals() {
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(12345, 2), "123.45");
        assert_eq!(decimal(7, 0), "7");
    }

    #[test]
    fn errors_carry_their_figures() {
        let code = Code::genesis();
        let owner = Name::new("A").unwrap();
        let mut args = owner.to_bytes();
        for n in [5u128, 10] {
            args.extend_from_slice(&n.to_be_bytes()[4..]);
        }
        let abort = Abort::Error { module: cash::id(), error: 4, args };
        assert_eq!(abort_text(&code, &abort), "bank.cash: Overdraft { account: A, balance: 5, need: 10 }");
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let code = Code::genesis();
        let row = |units: u128, frozen: bool| {
            let owner = Name::new("bank-a").unwrap();
            let balance = crate::Amount::from_units(units).unwrap();
            Some(Bytes::from(cash::AccountRow { balance, owner, pass_through: false, frozen }.to_bytes()))
        };
        let change = |name: &str, before, after| hopper::diff::Change {
            key: cash::account_key(&Name::new(name).unwrap()),
            before,
            after,
        };
        let mut args = [Name::new("A").unwrap().to_bytes(), Name::new("B").unwrap().to_bytes()].concat();
        args.extend_from_slice(&30u128.to_be_bytes()[4..]);
        let diff = Diff {
            changes: vec![change("A", row(100, false), row(70, true)), change("B", None, row(30, false))],
            events: vec![hopper::diff::Event { module: cash::id(), event: 0, args }],
            ..Diff::default()
        };
        assert_eq!(
            changes_text(code.library(), &diff),
            [
                "bank.cash accounts[A].balance.amount: 100 -> 70",
                "bank.cash accounts[A].frozen: false -> true",
                "bank.cash accounts[B]: - -> Account { balance: Coin { amount: 30 }, owner: bank-a, passes: false, \
                 frozen: false }",
                "bank.cash Transferred { from: A, to: B, n: 30 }",
            ]
        );
        let foreign = changes_text(&Library::default(), &diff);
        assert!(foreign[0].ends_with("bytes -> 24 bytes"), "{foreign:?}");
    }

    #[test]
    fn rows_read_well() {
        let code = Code::genesis();
        let (universe, ty) = (&code.library().universe, cash::unit().tables[0].row);
        let account = crate::cash::AccountRow {
            balance: crate::Amount::from_units(7).unwrap(),
            owner: Name::new("bank-a").unwrap(),
            pass_through: false,
            frozen: true,
        };
        let value = value::from_bytes(universe, ty, &account.to_bytes()).unwrap();
        assert_eq!(
            value_text(universe, ty, &value),
            "Account { balance: Coin { amount: 7 }, owner: bank-a, passes: false, frozen: true }"
        );
    }
}

//! Values of contracts as text, for outcomes and for people.

use std::fmt::Write as _;

use hopper::abort::Abort;
use hopper::ir::Signal;
use hopper::library::Unit;
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

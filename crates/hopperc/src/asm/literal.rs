//! Constants: text to canonical bytes under a type, and back.

use hopper::ir::Type;
use hopper::types::int_range;
use wire::hash::encode_hex;

use super::typing::{Env, Named, Typ};

/// Parts inside parts, at most.
pub(super) const DEPTH_MAX: usize = 64;

/// A constant as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Unit,
    Bool(bool),
    /// Sign, digits, digits after the point.
    Number(bool, String, Option<String>),
    /// Year, month, day.
    Date(i64, i64, i64),
    Text(String),
    Bytes(Vec<u8>),
    Party(String),
    /// `Name(...)`.
    Variant(String, Vec<Literal>),
    /// `?n(...)`.
    Numbered(u16, Vec<Literal>),
    Fields(Vec<Literal>),
    List(Vec<Literal>),
    Map(Vec<(Literal, Literal)>),
}

/// Days from 1970-01-01, if there is such a date.
fn days(y: i64, m: i64, d: i64) -> Option<i128> {
    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let length = match m {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&d) || !(0..=9999).contains(&y) {
        return None;
    }
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    Some((era * 146_097 + doe - 719_468).into())
}

fn put_int(n: i128, signed: bool, bytes: u8, out: &mut Vec<u8>) {
    let flipped = if signed { n ^ (1 << (u32::from(bytes) * 8 - 1)) } else { n };
    out.extend_from_slice(&flipped.to_be_bytes()[16 - usize::from(bytes)..]);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The number that sign, digits and digits after the point say, in units of `10^-places`.
fn number(literal: &Literal, places: u8) -> Result<i128, String> {
    let Literal::Number(minus, whole, part) = literal else {
        return Err("expected a number, as 5 or -5 or 2.50".to_owned());
    };
    let part = part.as_deref().unwrap_or("");
    if part.len() > usize::from(places) {
        return Err(format!("expected a number with at most {places} digits after the point"));
    }
    let digits =
        format!("{}{whole}{part}{}", if *minus { "-" } else { "" }, "0".repeat(usize::from(places) - part.len()));
    digits.parse().map_err(|_| "the number does not fit 128 bits".to_owned())
}

/// Appends the bytes of a constant of a type. Rules of values that can be broken in bytes are not looked at.
pub(super) fn encode(env: &Env, typ: Typ, literal: &Literal, out: &mut Vec<u8>) -> Result<(), String> {
    let Some(ty) = env.get(typ) else {
        return Err("the type is not known here; write the bytes, as raw 0x00ff".to_owned());
    };
    let several = |types: Vec<Typ>, parts: &[Literal], out: &mut Vec<u8>| {
        if types.len() != parts.len() {
            return Err(format!("expected {} parts, found {}", types.len(), parts.len()));
        }
        types.into_iter().zip(parts).try_for_each(|(typ, part)| encode(env, typ, part, out))
    };
    let second = |fields: Vec<Named>| fields.into_iter().map(|f| f.1).collect::<Vec<_>>();
    match (ty, literal) {
        (Type::Unit | Type::Ghost, Literal::Unit) => {}
        (Type::Bool, Literal::Bool(b)) => out.push(u8::from(*b)),
        (Type::Int { signed, bits }, _) => {
            let n = number(literal, 0)?;
            let Some((min, max, bytes)) = int_range(*signed, *bits) else {
                return Err("there are no numbers of that width; write the bytes, as raw 0x00ff".to_owned());
            };
            if !(min..=max).contains(&n) {
                return Err(format!("expected a number from {min} to {max}"));
            }
            put_int(n, *signed, bytes, out);
        }
        (Type::Dec { places }, _) => put_int(number(literal, *places)?, true, 16, out),
        (Type::Time, _) => match u64::try_from(number(literal, 0)?) {
            Ok(n) => out.extend_from_slice(&n.to_be_bytes()),
            Err(_) => return Err("expected milliseconds since 1970, from 0 to 2^64 - 1".to_owned()),
        },
        (Type::Date, _) => {
            let n = match literal {
                Literal::Date(y, m, d) => days(*y, *m, *d).ok_or("there is no such date")?,
                _ => number(literal, 0).map_err(|_| "expected a date, as 2026-11-21, or days since 1970-01-01")?,
            };
            match i32::try_from(n) {
                Ok(n) => put_int(n.into(), true, 4, out),
                Err(_) => return Err("expected days from -2^31 to 2^31 - 1".to_owned()),
            }
        }
        (Type::Text { .. }, Literal::Text(text)) => put_bytes(text.as_bytes(), out),
        (Type::Party, Literal::Party(text)) => put_bytes(text.as_bytes(), out),
        (Type::Bytes { .. }, Literal::Bytes(bytes)) => put_bytes(bytes, out),
        (Type::Digest | Type::Id { .. }, Literal::Bytes(bytes)) if bytes.len() == 32 => out.extend_from_slice(bytes),
        (Type::Option { of }, Literal::Variant(name, parts)) => {
            match (name.to_ascii_lowercase().as_str(), parts.as_slice()) {
                ("none", []) => out.push(0),
                ("some", [part]) => {
                    out.push(1);
                    encode(env, Some(*of), part, out)?;
                }
                _ => return Err("expected none or some(...)".to_owned()),
            }
        }
        (Type::Enum { .. }, Literal::Variant(..) | Literal::Numbered(..)) => {
            let variants = env.variants(typ).ok_or("the enum's declaration is not known here")?;
            let (place, parts) = match literal {
                Literal::Variant(name, parts) => (variants.iter().position(|v| v.0 == *name), parts.as_slice()),
                Literal::Numbered(n, parts) => (Some(usize::from(*n)), parts.as_slice()),
                _ => (None, &[][..]),
            };
            let found = place.and_then(|n| Some((u16::try_from(n).ok()?, variants.into_iter().nth(n)?)));
            let Some((n, (_, fields))) = found else { return Err("the enum has no such variant".to_owned()) };
            out.extend_from_slice(&n.to_be_bytes());
            several(second(fields), parts, out)?;
        }
        (Type::List { of, .. }, Literal::List(items)) => {
            out.extend_from_slice(&u32::try_from(items.len()).unwrap_or(u32::MAX).to_be_bytes());
            items.iter().try_for_each(|item| encode(env, Some(*of), item, out))?;
        }
        (Type::Map { key, value, .. }, Literal::Map(entries)) => {
            out.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_be_bytes());
            for (k, v) in entries {
                encode(env, Some(*key), k, out)?;
                encode(env, Some(*value), v, out)?;
            }
        }
        (Type::Tuple { .. } | Type::Record { .. } | Type::Asset { .. }, Literal::Fields(parts)) => {
            let fields = env.fields(typ).ok_or("the declaration of the type is not known here")?;
            several(second(fields), parts, out)?;
        }
        (ty, _) => return Err(format!("expected a constant of the type {}: {}", ty.name(), form(ty))),
    }
    Ok(())
}

fn form(ty: &Type) -> &'static str {
    match ty {
        Type::Unit | Type::Ghost => "unit",
        Type::Bool => "true or false",
        Type::Text { .. } => "\"text\"",
        Type::Party => "@\"name\"",
        Type::Bytes { .. } => "0x00ff",
        Type::Digest | Type::Id { .. } => "0x and 64 digits",
        Type::Option { .. } => "none or some(...)",
        Type::Enum { .. } => "Variant(...)",
        Type::List { .. } => "[...]",
        Type::Map { .. } => "{key: value, ...}",
        Type::Tuple { .. } | Type::Record { .. } | Type::Asset { .. } => "(...)",
        _ => "raw 0x and its bytes",
    }
}

/// A text in quotes.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Bytes being read, and how many parts may still be.
pub(super) struct Source<'b>(pub &'b [u8], pub u32);

impl<'b> Source<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, len: usize) -> Option<u128> {
        Some(self.take(len)?.iter().fold(0, |n, b| n << 8 | u128::from(*b)))
    }

    fn signed(&mut self, len: usize) -> Option<i128> {
        let n = self.number(len)?;
        let shift = 128 - 8 * len;
        let n = (n ^ (1 << (8 * len - 1))) as i128;
        Some(n << shift >> shift)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let len = usize::try_from(self.number(4)?).ok()?;
        self.take(len)
    }
}

/// The text of a constant, if its bytes are well-formed.
pub(super) fn decode(env: &Env, typ: Typ, source: &mut Source<'_>, depth: usize) -> Option<String> {
    if depth > DEPTH_MAX {
        return None;
    }
    source.1 = source.1.checked_sub(1)?;
    let several = |types: Vec<Typ>, source: &mut Source<'_>| -> Option<String> {
        let parts: Option<Vec<String>> = types.into_iter().map(|typ| decode(env, typ, source, depth + 1)).collect();
        Some(parts?.join(", "))
    };
    Some(match env.get(typ)? {
        Type::Unit | Type::Ghost => "unit".to_owned(),
        Type::Bool => match source.number(1)? {
            0 => "false".to_owned(),
            1 => "true".to_owned(),
            _ => return None,
        },
        Type::Int { signed, bits } => {
            let (min, max, bytes) = int_range(*signed, *bits)?;
            let bytes = usize::from(bytes);
            let n = if *signed { source.signed(bytes)? } else { i128::try_from(source.number(bytes)?).ok()? };
            (min..=max).contains(&n).then(|| n.to_string())?
        }
        Type::Dec { places: 0 } => source.signed(16)?.to_string(),
        Type::Dec { places } => {
            let n = source.signed(16)?;
            let places = usize::from(*places);
            let digits = format!("{:0>1$}", n.unsigned_abs(), places + 1);
            let (whole, part) = digits.split_at(digits.len() - places);
            format!("{}{whole}.{part}", if n < 0 { "-" } else { "" })
        }
        Type::Time => source.number(8)?.to_string(),
        Type::Date => source.signed(4)?.to_string(),
        Type::Text { .. } => quote(std::str::from_utf8(source.bytes()?).ok()?),
        Type::Party => format!("@{}", quote(std::str::from_utf8(source.bytes()?).ok()?)),
        Type::Bytes { .. } => format!("0x{}", encode_hex(source.bytes()?)),
        Type::Digest | Type::Id { .. } => format!("0x{}", encode_hex(source.take(32)?)),
        Type::Option { of } => match source.number(1)? {
            0 => "none".to_owned(),
            1 => format!("some({})", decode(env, Some(*of), source, depth + 1)?),
            _ => return None,
        },
        Type::Enum { .. } => {
            let n = usize::try_from(source.number(2)?).ok()?;
            let variants = env.variants(typ)?;
            let (name, fields) = variants.get(n)?;
            let first = variants.iter().position(|v| v.0 == *name) == Some(n);
            let name = if first { super::print::ident(name) } else { format!("?{n}") };
            format!("{name}({})", several(fields.iter().map(|f| f.1).collect(), source)?)
        }
        Type::Tuple { .. } | Type::Record { .. } | Type::Asset { .. } => {
            let fields = env.fields(typ)?;
            format!("({})", several(fields.into_iter().map(|f| f.1).collect(), source)?)
        }
        Type::List { of, .. } => {
            let len = usize::try_from(source.number(4)?).ok()?;
            if len > source.0.len() {
                return None;
            }
            format!("[{}]", several(vec![Some(*of); len], source)?)
        }
        Type::Map { key, value, .. } => {
            let len = usize::try_from(source.number(4)?).ok()?;
            if len > source.0.len() {
                return None;
            }
            let mut entries = Vec::new();
            for _ in 0..len {
                let key = decode(env, Some(*key), source, depth + 1)?;
                entries.push(format!("{key}: {}", decode(env, Some(*value), source, depth + 1)?));
            }
            format!("{{{}}}", entries.join(", "))
        }
        Type::RowHole { .. } | Type::InstanceHole { .. } => return None,
    })
}

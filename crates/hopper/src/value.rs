//! Values, and their canonical bytes under a type.
//!
//! | type | bytes |
//! |---|---|
//! | unit, ghost | none |
//! | bool | 0 or 1 |
//! | numbers, decimals, times, dates | fixed width, big endian; signed ones with the top bit turned over, so that bytes sort as numbers do |
//! | text, bytes, party | length (4 bytes), bytes |
//! | digest, id | 32 bytes |
//! | option | 0, or 1 and the value |
//! | enum | variant (2 bytes), its fields |
//! | list, map | length (4 bytes), elements or (key, value) by ascending key |
//! | tuple, record, asset | fields in order |
//!
//! Decoding under a type accepts exactly what encoding gives. Work is done on explicit stacks; what the language itself
//! derives (clone, compare, drop) nests as deep as a type may, 16.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::codec::{encode_bytes, encode_length};
use wire::{Decode, DecodeError, Encode, Hash, Name, Reader};

use crate::ir::limits;
use crate::types::{Kind, Ty, Universe};

/// A value. Which of them a type has is in the module documentation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Unit, and ghosts.
    Unit,
    /// A truth value.
    Bool(bool),
    /// Numbers, mantissas, times, dates.
    Int(i128),
    /// Text.
    Text(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// Digests and ids.
    Digest(Hash),
    /// A party.
    Party(Name),
    /// Tuples, records, assets: their fields.
    Fields(Arc<[Value]>),
    /// Enums and options: the variant and its fields.
    Variant(u16, Arc<[Value]>),
    /// A list.
    List(Arc<Vec<Value>>),
    /// A map.
    Map(Arc<BTreeMap<Value, Value>>),
    /// A hole, by its number among the rows that are out. Never stored.
    Hole(u32),
}

impl Value {
    /// `None`.
    pub fn none() -> Value {
        Value::Variant(0, Arc::new([]))
    }

    /// `Some` of a value.
    pub fn some(value: Value) -> Value {
        Value::Variant(1, Arc::new([value]))
    }

    /// `Some` or `None`.
    pub fn option(value: Option<Value>) -> Value {
        value.map_or_else(Value::none, Value::some)
    }

    /// A tuple, record or asset.
    pub fn fields(fields: impl Into<Vec<Value>>) -> Value {
        Value::Fields(fields.into().into())
    }

    /// A text.
    pub fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// The value at a path of fields.
    pub fn at(&self, path: &[u8]) -> Option<&Value> {
        path.iter().try_fold(self, |value, field| match value {
            Value::Fields(fields) => fields.get(usize::from(*field)),
            _ => None,
        })
    }

    /// Elements, entries or bytes; `None` for what has no length.
    pub fn length(&self) -> Option<usize> {
        match self {
            Value::Text(t) => Some(t.len()),
            Value::Bytes(b) => Some(b.len()),
            Value::List(l) => Some(l.len()),
            Value::Map(m) => Some(m.len()),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn int(&self) -> Option<i128> {
        if let Value::Int(n) = self { Some(*n) } else { None }
    }
}

/// Work still to be done by the encoder.
enum Todo<'v> {
    One(Ty, &'v Value),
    Two((Ty, &'v Value), (Ty, &'v Value)),
}

/// Appends the canonical bytes of a value of a type.
///
/// # Panics
/// If the value is not of that type. Verified code makes none such, and [`decode`] gives none.
pub fn encode(universe: &Universe, ty: Ty, value: &Value, out: &mut Vec<u8>) {
    let mut todo = vec![Todo::One(ty, value)];
    while let Some(next) = todo.pop() {
        let (ty, value) = match next {
            Todo::One(ty, value) => (ty, value),
            Todo::Two(first, second) => {
                todo.push(Todo::One(second.0, second.1));
                first
            }
        };
        match (universe.kind(ty), value) {
            (Kind::Unit | Kind::Ghost, Value::Unit) => {}
            (Kind::Bool, Value::Bool(b)) => b.encode(out),
            (Kind::Int { min, bytes, .. }, Value::Int(n)) => encode_int(*n, *min < 0, *bytes, out),
            (Kind::Dec { .. }, Value::Int(n)) => encode_int(*n, true, 16, out),
            (Kind::Time, Value::Int(n)) => encode_int(*n, false, 8, out),
            (Kind::Date, Value::Int(n)) => encode_int(*n, true, 4, out),
            (Kind::Text(_), Value::Text(t)) => encode_bytes(t.as_bytes(), out),
            (Kind::Bytes(_), Value::Bytes(b)) => encode_bytes(b, out),
            (Kind::Digest | Kind::Id(_), Value::Digest(h)) => h.encode(out),
            (Kind::Party, Value::Party(name)) => name.encode(out),
            (Kind::Option(of), Value::Variant(variant, fields)) => {
                out.push(u8::try_from(*variant).expect("an option has two variants"));
                todo.extend(fields.iter().map(|v| Todo::One(*of, v)));
            }
            (Kind::Enum(_, _, variants), Value::Variant(variant, fields)) => {
                variant.encode(out);
                let types = &variants[usize::from(*variant)].fields;
                todo.extend(types.iter().zip(fields.iter()).rev().map(|(f, v)| Todo::One(f.1, v)));
            }
            (Kind::List(of, _), Value::List(items)) => {
                encode_length(items.len(), out);
                todo.extend(items.iter().rev().map(|v| Todo::One(*of, v)));
            }
            (Kind::Map(key, of, _), Value::Map(entries)) => {
                encode_length(entries.len(), out);
                todo.extend(entries.iter().rev().map(|(k, v)| Todo::Two((*key, k), (*of, v))));
            }
            (Kind::Tuple(types), Value::Fields(fields)) => {
                todo.extend(types.iter().zip(fields.iter()).rev().map(|(t, v)| Todo::One(*t, v)));
            }
            (Kind::Record(_, shape) | Kind::Asset { shape, .. }, Value::Fields(fields)) => {
                todo.extend(shape.fields.iter().zip(fields.iter()).rev().map(|(f, v)| Todo::One(f.1, v)));
            }
            (kind, value) => panic!("{value:?} is no value of {kind:?}"),
        }
    }
}

/// The canonical bytes of a value.
pub fn to_bytes(universe: &Universe, ty: Ty, value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    encode(universe, ty, value, &mut out);
    out
}

fn encode_int(n: i128, signed: bool, bytes: u8, out: &mut Vec<u8>) {
    let flipped = if signed { n ^ (1 << (u32::from(bytes) * 8 - 1)) } else { n };
    out.extend_from_slice(&flipped.to_be_bytes()[16 - usize::from(bytes)..]);
}

fn decode_int(r: &mut Reader<'_>, signed: bool, bytes: u8) -> Result<i128, DecodeError> {
    let taken = r.take(bytes.into(), "number")?;
    let n = taken.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
    if !signed {
        return i128::try_from(n).map_err(|_| DecodeError::Invalid { what: "number", why: "above its type's range" });
    }
    let shift = 128 - u32::from(bytes) * 8;
    let n = (n ^ (1 << (u32::from(bytes) * 8 - 1))) as i128;
    Ok(n << shift >> shift)
}

/// A value being read: what it will be, and the parts so far.
enum Frame {
    Fields(Vec<Ty>, Vec<Value>),
    Variant(u16, Vec<Ty>, Vec<Value>),
    List(Ty, usize, Vec<Value>),
    Map(Ty, Ty, usize, Option<Value>, BTreeMap<Value, Value>),
}

/// Reads a value of a type.
///
/// # Errors
/// If the bytes do not start with exactly the encoding of one.
pub fn decode(universe: &Universe, ty: Ty, r: &mut Reader<'_>) -> Result<Value, DecodeError> {
    let invalid = |what, why| Err(DecodeError::Invalid { what, why });
    let mut frames: Vec<Frame> = Vec::new();
    let mut next = ty;
    'values: loop {
        let mut value = match universe.kind(next) {
            Kind::Unit | Kind::Ghost => Value::Unit,
            Kind::Bool => Value::Bool(bool::decode(r)?),
            Kind::Int { min, bytes, .. } => Value::Int(decode_int(r, *min < 0, *bytes)?),
            Kind::Dec { .. } => Value::Int(decode_int(r, true, 16)?),
            Kind::Time => Value::Int(decode_int(r, false, 8)?),
            Kind::Date => Value::Int(decode_int(r, true, 4)?),
            Kind::Text(max) => {
                let Ok(text) = std::str::from_utf8(r.bytes("text", *max as usize)?) else {
                    return invalid("text", "not UTF-8");
                };
                Value::Text(text.into())
            }
            Kind::Bytes(max) => Value::Bytes(r.bytes("bytes", *max as usize)?.into()),
            Kind::Digest | Kind::Id(_) => Value::Digest(Hash::decode(r)?),
            Kind::Party => Value::Party(Name::decode(r)?),
            Kind::Option(of) => {
                if bool::decode(r)? {
                    frames.push(Frame::Variant(1, vec![*of], Vec::with_capacity(1)));
                    next = *of;
                    continue 'values;
                }
                Value::none()
            }
            Kind::Enum(_, _, variants) => {
                let variant = u16::decode(r)?;
                let Some(shape) = variants.get(usize::from(variant)) else {
                    return Err(DecodeError::Tag { what: "variant", tag: variant.into() });
                };
                let types: Vec<Ty> = shape.fields.iter().map(|f| f.1).collect();
                match types.first() {
                    Some(first) => {
                        next = *first;
                        frames.push(Frame::Variant(variant, types, Vec::new()));
                        continue 'values;
                    }
                    None => Value::Variant(variant, Arc::new([])),
                }
            }
            Kind::List(of, max) => {
                let len = r.length("list", usize::from(universe.info(*of).bytes_max > 0), *max as usize)?;
                if len > 0 {
                    frames.push(Frame::List(*of, len, Vec::new()));
                    next = *of;
                    continue 'values;
                }
                Value::List(Arc::default())
            }
            Kind::Map(key, of, max) => {
                let len = r.length("map", usize::from(universe.info(*key).bytes_max > 0), *max as usize)?;
                if len > 0 {
                    frames.push(Frame::Map(*key, *of, len, None, BTreeMap::new()));
                    next = *key;
                    continue 'values;
                }
                Value::Map(Arc::default())
            }
            Kind::Tuple(_) | Kind::Record(..) | Kind::Asset { .. } => {
                let types = universe.fields(next).expect("it has fields");
                match types.first() {
                    Some(first) => {
                        next = *first;
                        frames.push(Frame::Fields(types, Vec::new()));
                        continue 'values;
                    }
                    None => Value::Fields(Arc::new([])),
                }
            }
            Kind::RowHole(_) | Kind::InstanceHole(..) => return invalid("value", "holes have no bytes"),
        };
        // The value is whole: it goes into what waits for it, which may be whole then, too.
        loop {
            let Some(frame) = frames.last_mut() else { return Ok(value) };
            let part = std::mem::replace(&mut value, Value::Unit);
            match frame {
                Frame::Fields(types, values) | Frame::Variant(_, types, values) => {
                    values.push(part);
                    if let Some(ty) = types.get(values.len()) {
                        next = *ty;
                        continue 'values;
                    }
                }
                Frame::List(of, len, values) => {
                    values.push(part);
                    if values.len() < *len {
                        next = *of;
                        continue 'values;
                    }
                }
                Frame::Map(key_ty, of, len, key, entries) => {
                    match key.take() {
                        None => {
                            if entries.last_key_value().is_some_and(|(last, _)| *last >= part) {
                                return invalid("map", "keys must be distinct and ascend");
                            }
                            *key = Some(part);
                            next = *of;
                            continue 'values;
                        }
                        Some(key) => {
                            entries.insert(key, part);
                        }
                    }
                    if entries.len() < *len {
                        next = *key_ty;
                        continue 'values;
                    }
                }
            }
            value = match frames.pop() {
                Some(Frame::Fields(_, values)) => Value::Fields(values.into()),
                Some(Frame::Variant(variant, _, values)) => Value::Variant(variant, values.into()),
                Some(Frame::List(_, _, values)) => Value::List(Arc::new(values)),
                Some(Frame::Map(_, _, _, _, entries)) => Value::Map(Arc::new(entries)),
                None => return Ok(value),
            };
        }
    }
}

/// Reads a value of a type that fills the bytes exactly.
///
/// # Errors
/// If the bytes are anything else.
pub fn from_bytes(universe: &Universe, ty: Ty, bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.len() as u64 > limits::VALUE_BYTES_MAX {
        return Err(DecodeError::TooLong { what: "value", len: bytes.len(), max: limits::VALUE_BYTES_MAX as usize });
    }
    let mut r = Reader::new(bytes);
    let value = decode(universe, ty, &mut r)?;
    r.finish("value")?;
    Ok(value)
}

/// The length of a value's canonical bytes if it is at most `max`, or some number above. It stops there: values share
/// their parts, so a small one may have very many bytes.
pub fn size_up_to(universe: &Universe, ty: Ty, value: &Value, max: u64) -> u64 {
    let info = universe.info(ty);
    if info.fixed {
        return info.bytes_max;
    }
    match value {
        // The usual ones at once.
        Value::Text(t) => return 4 + t.len() as u64,
        Value::Bytes(b) => return 4 + b.len() as u64,
        Value::Party(name) => return 4 + name.as_str().len() as u64,
        _ => {}
    }
    let mut sum: u64 = 0;
    let mut todo = vec![(ty, value)];
    while let Some((ty, value)) = todo.pop() {
        let info = universe.info(ty);
        if info.fixed {
            sum = sum.saturating_add(info.bytes_max);
            continue;
        }
        match (&info.kind, value) {
            (Kind::Text(_), Value::Text(t)) => sum += 4 + t.len() as u64,
            (Kind::Bytes(_), Value::Bytes(b)) => sum += 4 + b.len() as u64,
            (Kind::Party, Value::Party(name)) => sum += 4 + name.as_str().len() as u64,
            (Kind::Option(of), Value::Variant(_, fields)) => {
                sum += 1;
                todo.extend(fields.iter().map(|v| (*of, v)));
            }
            (Kind::Enum(_, _, variants), Value::Variant(variant, fields)) => {
                sum += 2;
                todo.extend(variants[usize::from(*variant)].fields.iter().map(|f| f.1).zip(fields.iter()));
            }
            (Kind::List(of, _), Value::List(items)) => {
                let each = universe.info(*of);
                sum += 4;
                if each.fixed {
                    sum = sum.saturating_add(each.bytes_max.saturating_mul(items.len() as u64));
                } else if sum.saturating_add(items.len() as u64) > max {
                    // Each has a byte at least.
                    return sum + items.len() as u64;
                } else {
                    todo.extend(items.iter().map(|v| (*of, v)));
                }
            }
            (Kind::Map(key, of, _), Value::Map(entries)) => {
                sum += 4;
                for (k, v) in entries.iter() {
                    todo.push((*key, k));
                    todo.push((*of, v));
                }
            }
            (Kind::Tuple(types), Value::Fields(fields)) => todo.extend(types.iter().copied().zip(fields.iter())),
            (Kind::Record(_, shape) | Kind::Asset { shape, .. }, Value::Fields(fields)) => {
                todo.extend(shape.fields.iter().map(|f| f.1).zip(fields.iter()));
            }
            (kind, value) => unreachable!("{value:?} is no value of {kind:?}"),
        }
        if sum > max {
            return sum;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::int_range;

    fn int(universe: &mut Universe, signed: bool, bits: u8) -> Ty {
        let (min, max, bytes) = int_range(signed, bits).unwrap();
        universe.intern(Kind::Int { min, max, bytes }).unwrap()
    }

    fn there_and_back(universe: &Universe, ty: Ty, value: &Value) -> Vec<u8> {
        let bytes = to_bytes(universe, ty, value);
        assert_eq!(from_bytes(universe, ty, &bytes).as_ref(), Ok(value));
        assert_eq!(size_up_to(universe, ty, value, u64::MAX), bytes.len() as u64, "{value:?}");
        bytes
    }

    #[test]
    fn numbers_sort_as_their_bytes() {
        let mut universe = Universe::default();
        for (signed, bits) in [
            (true, 8),
            (true, 16),
            (true, 32),
            (true, 64),
            (true, 128),
            (false, 8),
            (false, 64),
            (false, 96),
            (false, 127),
        ] {
            let ty = int(&mut universe, signed, bits);
            let (min, max) = universe.range(ty).unwrap();
            let mut all: Vec<i128> = vec![min, min + 1, -1, 0, 1, 7, max - 1, max];
            all.retain(|n| (min..=max).contains(n));
            all.sort_unstable();
            let bytes: Vec<Vec<u8>> = all.iter().map(|n| there_and_back(&universe, ty, &Value::Int(*n))).collect();
            assert!(bytes.is_sorted(), "{signed} {bits}");
        }
        let nat = int(&mut universe, false, 127);
        assert!(from_bytes(&universe, nat, &[255; 16]).is_err(), "2^127 and above are none");
    }

    #[test]
    fn nested_values_and_what_is_none() {
        let mut universe = Universe::default();
        let n = int(&mut universe, false, 8);
        let text = universe.intern(Kind::Text(5)).unwrap();
        let option = universe.intern(Kind::Option(text)).unwrap();
        let pair = universe.intern(Kind::Tuple(vec![n, option])).unwrap();
        let list = universe.intern(Kind::List(pair, 3)).unwrap();
        let map = universe.intern(Kind::Map(n, list, 2)).unwrap();
        let item = |i, t: Option<&str>| Value::fields([Value::Int(i), Value::option(t.map(Value::text))]);
        let items = |v: Vec<Value>| Value::List(Arc::new(v));
        let value = Value::Map(Arc::new(BTreeMap::from([
            (Value::Int(1), items(vec![item(1, None), item(2, Some("zwölf"))].into_iter().take(1).collect())),
            (Value::Int(9), items(vec![item(3, Some("abc")), item(4, Some(""))])),
        ])));
        let bytes = there_and_back(&universe, map, &value);
        for cut in 0..bytes.len() {
            assert!(from_bytes(&universe, map, &bytes[..cut]).is_err());
        }
        let swapped = [&[0, 0, 0, 2, 9, 0, 0, 0, 0], &[1, 0, 0, 0, 0][..]].concat();
        assert!(from_bytes(&universe, map, &swapped).is_err(), "keys ascend");
        assert!(from_bytes(&universe, text, &[0, 0, 0, 6, 1, 1, 1, 1, 1, 1]).is_err(), "too long");
        assert!(from_bytes(&universe, option, &[2]).is_err());
    }

    #[test]
    fn hostile_lengths_cost_nothing() {
        let mut universe = Universe::default();
        let unit = universe.intern(Kind::Unit).unwrap();
        let pair = universe.intern(Kind::Tuple(vec![unit, unit])).unwrap();
        for nothing in [unit, pair] {
            assert!(universe.intern(Kind::List(nothing, 16_384)).is_err(), "any number of them in no bytes");
        }
        let n = int(&mut universe, false, 8);
        let many = universe.intern(Kind::List(n, 16_384)).unwrap();
        assert!(from_bytes(&universe, many, &[0, 0, 63, 255]).is_err());
    }
}

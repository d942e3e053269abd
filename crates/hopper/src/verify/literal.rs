//! Propositions about values that are there: for constants, arguments of commands, and rows.

use super::reject::Reason;
use crate::ir::{Linear, Measure, Place, Prop};
use crate::types::{Kind, Ty, Universe};
use crate::value::Value;

/// The number that a measure gives at a place of values.
fn measure(vars: &[Value], place: &Place, measure: &Measure) -> Option<i128> {
    let value = vars.get(usize::from(place.var))?.at(&place.path)?;
    match measure {
        Measure::Value => match value {
            Value::Bool(b) => Some((*b).into()),
            value => value.int(),
        },
        Measure::Length => i128::try_from(value.length()?).ok(),
        Measure::Sum(path) => {
            let add = |sum: Option<i128>, v: &Value| sum?.checked_add(v.at(path)?.int()?);
            match value {
                Value::List(items) => items.iter().fold(Some(0), add),
                Value::Map(entries) => entries.values().fold(Some(0), add),
                _ => None,
            }
        }
    }
}

fn sum(vars: &[Value], linear: &Linear) -> Option<i128> {
    linear.terms.iter().try_fold(linear.constant, |sum, term| {
        sum.checked_add(term.factor.checked_mul(measure(vars, &term.place, &term.measure)?)?)
    })
}

/// Whether a proposition is true of these values. A sum beyond 2^127 is not true of anything.
pub fn holds(vars: &[Value], prop: &Prop) -> bool {
    let at = |place: &Place| vars.get(usize::from(place.var)).and_then(|v| v.at(&place.path));
    match prop {
        Prop::AtMostZero { linear } => sum(vars, linear).is_some_and(|n| n <= 0),
        Prop::Zero { linear } => sum(vars, linear) == Some(0),
        Prop::Same { a, b } => at(a).is_some() && at(a) == at(b),
        Prop::Differ { a, b } => at(a).is_some() && at(b).is_some() && at(a) != at(b),
    }
}

/// True if the invariants of all records and variants inside a value hold.
pub fn holds_everywhere(universe: &Universe, ty: Ty, value: &Value) -> Result<bool, Reason> {
    let mut todo = vec![(ty, value)];
    while let Some((ty, value)) = todo.pop() {
        match (universe.kind(ty), value) {
            (Kind::Record(_, shape) | Kind::Asset { shape, .. }, Value::Fields(fields)) => {
                if !shape.invariant.iter().all(|prop| holds(fields, prop)) {
                    return Ok(false);
                }
                todo.extend(shape.fields.iter().map(|f| f.1).zip(fields.iter()));
            }
            (Kind::Tuple(types), Value::Fields(fields)) => todo.extend(types.iter().copied().zip(fields.iter())),
            (Kind::Option(of), Value::Variant(_, fields)) => todo.extend(fields.iter().map(|v| (*of, v))),
            (Kind::Enum(_, _, variants), Value::Variant(variant, fields)) => {
                let Some(shape) = variants.get(usize::from(*variant)) else { return Ok(false) };
                if !shape.invariant.iter().all(|prop| holds(fields, prop)) {
                    return Ok(false);
                }
                todo.extend(shape.fields.iter().map(|f| f.1).zip(fields.iter()));
            }
            (Kind::List(of, _), Value::List(items)) => todo.extend(items.iter().map(|v| (*of, v))),
            (Kind::Map(key, of, _), Value::Map(entries)) => {
                todo.extend(entries.iter().flat_map(|(k, v)| [(*key, k), (*of, v)]));
            }
            _ => {}
        }
    }
    Ok(true)
}

//! Propositions about values that are there: for constants, arguments of commands, and rows.

use crate::ir::{Linear, Measure, Place, Prop};
use crate::types::{Kind, Ty, Universe};
use crate::value::Value;

/// A whole number of 256 bits: what sums of products come to. The verifier reasons about whole numbers without bounds, so
/// nothing may be cut off here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wide {
    /// Two's complement, the upper half.
    high: i128,
    low: u128,
}

impl Wide {
    fn of(n: i128) -> Wide {
        Wide { high: if n < 0 { -1 } else { 0 }, low: n as u128 }
    }

    /// The sum. Factors are at most [`FACTOR_MAX`], values below 2^127 and terms few, so it fits.
    fn plus(self, other: Wide) -> Wide {
        let (low, carry) = self.low.overflowing_add(other.low);
        Wide { high: self.high.wrapping_add(other.high).wrapping_add(carry.into()), low }
    }

    fn negated(self) -> Wide {
        Wide { high: !self.high, low: !self.low }.plus(Wide::of(1))
    }

    fn product(a: i128, b: i128) -> Wide {
        let (x, y) = (a.unsigned_abs(), b.unsigned_abs());
        let half = |n: u128| (n >> 64, n & u128::from(u64::MAX));
        let ((xh, xl), (yh, yl)) = (half(x), half(y));
        let middle = ((xl * yl) >> 64) + (half(xh * yl).1) + (half(xl * yh).1);
        let low = ((xl * yl) & u128::from(u64::MAX)) | (middle << 64);
        let high = xh * yh + half(xh * yl).0 + half(xl * yh).0 + (middle >> 64);
        let size = Wide { high: high as i128, low };
        if (a < 0) != (b < 0) { size.negated() } else { size }
    }

    fn is_zero(self) -> bool {
        self == Wide::default()
    }

    fn is_negative(self) -> bool {
        self.high < 0
    }
}

/// The largest factor and constant of a sum in a proposition.
pub const FACTOR_MAX: u128 = 1 << 100;

/// Adds a multiple of what a measure gives at a place of values; `None` if there is no such number there.
fn add(sum: Wide, vars: &[Value], factor: i128, place: &Place, measure: &Measure) -> Option<Wide> {
    let times = |n: i128| Wide::product(factor, n);
    let value = vars.get(usize::from(place.var))?.at(&place.path)?;
    match measure {
        Measure::Value => match value {
            Value::Bool(b) => Some(sum.plus(times((*b).into()))),
            value => Some(sum.plus(times(value.int()?))),
        },
        Measure::Length => Some(sum.plus(times(i128::try_from(value.length()?).ok()?))),
        Measure::Sum(path) => {
            let add = |sum: Option<Wide>, v: &Value| Some(sum?.plus(times(v.at(path)?.int()?)));
            match value {
                Value::List(items) => items.iter().fold(Some(sum), add),
                Value::Map(entries) => entries.values().fold(Some(sum), add),
                _ => None,
            }
        }
    }
}

fn sum(vars: &[Value], linear: &Linear) -> Option<Wide> {
    let add = |sum, term: &crate::ir::Monomial| add(sum, vars, term.factor, &term.place, &term.measure);
    linear.terms.iter().try_fold(Wide::of(linear.constant), add)
}

/// Whether a proposition is true of these values.
pub fn holds(vars: &[Value], prop: &Prop) -> bool {
    let at = |place: &Place| vars.get(usize::from(place.var)).and_then(|v| v.at(&place.path));
    match prop {
        Prop::AtMostZero { linear } => sum(vars, linear).is_some_and(|n| n.is_negative() || n.is_zero()),
        Prop::Zero { linear } => sum(vars, linear).is_some_and(Wide::is_zero),
        Prop::Same { a, b } => at(a).is_some() && at(a) == at(b),
        Prop::Differ { a, b } => at(a).is_some() && at(b).is_some() && at(a) != at(b),
    }
}

/// True if the invariants of all records and variants inside a value hold.
pub fn holds_everywhere(universe: &Universe, ty: Ty, value: &Value) -> bool {
    let mut todo = vec![(ty, value)];
    while let Some((ty, value)) = todo.pop() {
        match (universe.kind(ty), value) {
            (Kind::Record(_, shape) | Kind::Asset { shape, .. }, Value::Fields(fields)) => {
                if !shape.invariant.iter().all(|prop| holds(fields, prop)) {
                    return false;
                }
                todo.extend(shape.fields.iter().map(|f| f.1).zip(fields.iter()));
            }
            (Kind::Tuple(types), Value::Fields(fields)) => todo.extend(types.iter().copied().zip(fields.iter())),
            (Kind::Option(of), Value::Variant(_, fields)) => todo.extend(fields.iter().map(|v| (*of, v))),
            (Kind::Enum(_, _, variants), Value::Variant(variant, fields)) => {
                let Some(shape) = variants.get(usize::from(*variant)) else { return false };
                if !shape.invariant.iter().all(|prop| holds(fields, prop)) {
                    return false;
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
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_where_128_bits_would_not_do() {
        let at = |var| Place { var, path: vec![] };
        let term = |factor, var| crate::ir::Monomial { factor, place: at(var), measure: Measure::Value };
        let linear = |constant, a, b| Linear { constant, terms: vec![term(a, 0), term(b, 1)] };
        let big = 1i128 << 100;
        let (x, y) = (Value::Int(i128::MAX), Value::Int(i128::MAX - 1));
        let vars = [x, y];
        let holds_of = |l: Linear| holds(&vars, &Prop::AtMostZero { linear: l });
        assert!(holds_of(linear(-big, big, -big)), "2^100 (x - y) - 2^100 = 0");
        assert!(!holds_of(linear(1 - big, big, -big)), "one more");
        assert!(holds_of(linear(big, -big, big)), "the negative of it");
        assert!(holds(&vars, &Prop::Zero { linear: linear(-big, big, -big) }));
        for a in [-7i128, -1, 0, 1, 3, i128::MIN, i128::MAX, big] {
            for b in [-5i128, 0, 1, i128::MIN, i128::MAX, -big] {
                let product = Wide::product(a, b);
                if let Some(small) = a.checked_mul(b) {
                    assert_eq!(product, Wide::of(small), "{a} * {b}");
                }
                assert_eq!(product.is_negative(), (a < 0) != (b < 0) && a != 0 && b != 0, "{a} * {b}");
                assert!(product.plus(product.negated()).is_zero());
            }
        }
    }
}

//! What operations do to plain values: arithmetic, texts, dates, propositions. Shared by both evaluators.

use std::sync::Arc;

use wire::{Hash, PublicKey, Signature};

use crate::abort::Fault;
use crate::ir::{Arith, DateStep, HashKind, Place, Relation, Rounding};
use crate::types::{Kind, Ty, Universe};
use crate::value::Value;

/// Milliseconds of a day.
const DAY_MS: i128 = 86_400_000;

fn within(n: Option<i128>, (min, max): (i128, i128)) -> Result<i128, Fault> {
    n.filter(|n| (min..=max).contains(n)).ok_or(Fault::Overflow)
}

/// The same number, if it is in the range.
///
/// # Errors
/// `Overflow`.
pub fn cast(n: i128, range: (i128, i128)) -> Result<i128, Fault> {
    within(Some(n), range)
}

/// `a op b` in a range.
///
/// # Errors
/// `Overflow`, `DivisionByZero`.
pub fn arith(op: Arith, a: i128, b: i128, range: (i128, i128)) -> Result<i128, Fault> {
    if b == 0 && matches!(op, Arith::DivFloor | Arith::DivCeil | Arith::Mod) {
        return Err(Fault::DivisionByZero);
    }
    let result = match op {
        Arith::Add => a.checked_add(b),
        Arith::Sub => a.checked_sub(b),
        Arith::Mul => a.checked_mul(b),
        // The quotient goes towards zero; it is one too high if there is a rest and the signs differ, and so on.
        Arith::DivFloor => a.checked_div(b).map(|q| q - i128::from(a % b != 0 && (a < 0) != (b < 0))),
        Arith::DivCeil => a.checked_div(b).map(|q| q + i128::from(a % b != 0 && (a < 0) == (b < 0))),
        Arith::Mod => {
            let rest = a.wrapping_rem(b);
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        }
        Arith::Min => Some(a.min(b)),
        Arith::Max => Some(a.max(b)),
    };
    within(result, range)
}

/// The product, 256 bits: upper and lower half.
fn wide(a: u128, b: u128) -> (u128, u128) {
    let half = |n: u128| (n >> 64, n & u128::from(u64::MAX));
    let ((a1, a0), (b1, b0)) = (half(a), half(b));
    let (low, cross, other, high) = (a0 * b0, a1 * b0, a0 * b1, a1 * b1);
    let middle = (low >> 64) + (cross & u128::from(u64::MAX)) + (other & u128::from(u64::MAX));
    (high + (cross >> 64) + (other >> 64) + (middle >> 64), (middle << 64) | (low & u128::from(u64::MAX)))
}

/// Quotient and rest of 256 bits, if the quotient has 128. The divisor is not zero.
fn divide((high, low): (u128, u128), by: u128) -> Option<(u128, u128)> {
    if high == 0 {
        return Some((low / by, low % by));
    }
    if high >= by {
        return None;
    }
    // Bit by bit; `rest` is below `by`, and the bit pushed out at the top counts.
    let (mut quotient, mut rest) = (0u128, high);
    for bit in (0..128).rev() {
        let carry = rest >> 127 == 1;
        rest = (rest << 1) | (low >> bit & 1);
        quotient <<= 1;
        if carry || rest >= by {
            rest = rest.wrapping_sub(by);
            quotient |= 1;
        }
    }
    Some((quotient, rest))
}

/// `a * b / c` in a range, without overflow in between.
///
/// # Errors
/// `Overflow`, `DivisionByZero`.
pub fn mul_div(a: i128, b: i128, c: i128, rounding: Rounding, range: (i128, i128)) -> Result<i128, Fault> {
    if c == 0 {
        return Err(Fault::DivisionByZero);
    }
    let negative = (a < 0) ^ (b < 0) ^ (c < 0);
    let by = c.unsigned_abs();
    let product = wide(a.unsigned_abs(), b.unsigned_abs());
    let (quotient, rest) = divide(product, by).ok_or(Fault::Overflow)?;
    let away = rest != 0
        && match rounding {
            Rounding::Floor => negative,
            Rounding::Ceil => !negative,
            Rounding::HalfEven => rest > by - rest || rest == by - rest && quotient & 1 == 1,
        };
    let size = quotient.checked_add(u128::from(away)).ok_or(Fault::Overflow)?;
    let result = if negative { 0i128.checked_sub_unsigned(size) } else { i128::try_from(size).ok() };
    within(result, range)
}

/// The part `part / whole` of `a`, rounded down.
///
/// # Errors
/// None for what the verifier obliges; else as [`mul_div`].
pub fn share(a: i128, part: i128, whole: i128, range: (i128, i128)) -> Result<i128, Fault> {
    mul_div(a, part, whole, Rounding::Floor, range)
}

/// What is left of an amount.
///
/// # Errors
/// `Overflow`, though not for what the verifier obliges.
pub fn less(amount: &Value, n: i128) -> Result<i128, Fault> {
    let amount = amount.int().expect("the verifier saw an amount there");
    arith(Arith::Sub, amount, n, (0, i128::MAX))
}

/// Two amounts together.
///
/// # Errors
/// `Overflow`.
pub fn more(a: &Value, b: &Value, range: (i128, i128)) -> Result<i128, Fault> {
    within(a.int().zip(b.int()).and_then(|(a, b)| a.checked_add(b)), range)
}

/// The digest of bytes or a text.
pub fn hash(kind: HashKind, a: &Value) -> Value {
    let HashKind::Sha256 = kind;
    Value::Digest(Hash::of(match a {
        Value::Text(t) => t.as_bytes(),
        Value::Bytes(b) => b,
        _ => unreachable!("the verifier lets only texts and bytes be hashed"),
    }))
}

/// Is this a signature of the message under the key? No for keys and signatures of other lengths.
pub fn verify_signature(key: &Value, message: &Value, signature: &Value) -> bool {
    let (Value::Bytes(key), Value::Bytes(message), Value::Bytes(signature)) = (key, message, signature) else {
        unreachable!("the verifier saw three times bytes")
    };
    match (<[u8; 32]>::try_from(&**key), <[u8; 64]>::try_from(&**signature)) {
        (Ok(key), Ok(signature)) => PublicKey(key).verify(message, &Signature(signature)).is_ok(),
        _ => false,
    }
}

/// Compares.
pub fn compare(op: Relation, a: &Value, b: &Value) -> bool {
    match op {
        Relation::Equal => a == b,
        Relation::NotEqual => a != b,
        Relation::Less => a < b,
        Relation::AtMost => a <= b,
    }
}

/// One text, bytes or list after the other, at most so long.
///
/// # Errors
/// `TooLong`.
pub fn concat(a: &Value, b: &Value, max: u32) -> Result<Value, Fault> {
    if a.length().unwrap_or(0) + b.length().unwrap_or(0) > max as usize {
        return Err(Fault::TooLong);
    }
    Ok(match (a, b) {
        (Value::Text(a), Value::Text(b)) => Value::Text([&**a, &**b].concat().into()),
        (Value::Bytes(a), Value::Bytes(b)) => Value::Bytes([&**a, &**b].concat().into()),
        (Value::List(a), Value::List(b)) => Value::List(Arc::new([a.as_slice(), b].concat())),
        _ => unreachable!("the verifier lets only two of a sort meet"),
    })
}

/// A part of a text, bytes or list.
///
/// # Errors
/// `OutOfRange`.
pub fn slice(a: &Value, from: i128, to: i128) -> Result<Value, Fault> {
    let place = |n| usize::try_from(n).map_err(|_| Fault::OutOfRange);
    let range = place(from)?..place(to)?;
    let part = match a {
        Value::Text(t) => t.get(range).map(|t| Value::Text(t.into())),
        Value::Bytes(b) => b.get(range).map(|b| Value::Bytes(b.into())),
        Value::List(l) => l.get(range).map(|l| Value::List(Arc::new(l.to_vec()))),
        _ => unreachable!("the verifier lets only these be sliced"),
    };
    part.ok_or(Fault::OutOfRange)
}

/// Elements, entries or bytes at most, of a type that has such a bound.
pub fn length_max(universe: &Universe, ty: Ty) -> u32 {
    match universe.kind(ty) {
        Kind::Text(max) | Kind::Bytes(max) | Kind::List(_, max) | Kind::Map(_, _, max) => *max,
        _ => 0,
    }
}

// ---- dates: the Gregorian calendar, before 1582 too

/// Year, month, day of a date.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years start in March here, so that the leap day is the last; eras have 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The date of year, month, day.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const DATES: (i128, i128) = (i32::MIN as i128, i32::MAX as i128);

/// A date some days or months on. All are 32 bits.
///
/// # Errors
/// `Overflow`.
pub fn date_add(date: i128, step: DateStep, count: i128) -> Result<i128, Fault> {
    let narrow = |n: i128| i32::try_from(n).map(i64::from).map_err(|_| Fault::Overflow);
    let (date, count) = (narrow(date)?, narrow(count)?);
    let result = match step {
        DateStep::Days => date + count,
        DateStep::Months => {
            let (year, month, day) = civil(date);
            let months = year * 12 + month - 1 + count;
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
            days(year, month, day.min(month_length(year, month)))
        }
    };
    within(Some(result.into()), DATES)
}

/// The date on which a time falls.
///
/// # Errors
/// `Overflow` some millions of years from now.
pub fn date_of(time: i128) -> Result<i128, Fault> {
    within(Some(time.div_euclid(DAY_MS)), DATES)
}

// ---- places and propositions

/// What is at a place.
pub fn at<'v>(vars: &'v [Value], place: &Place) -> &'v Value {
    vars[usize::from(place.var)].at(&place.path).expect("the verifier looked where the place leads")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: (i128, i128) = (i128::MIN, i128::MAX);

    #[test]
    fn quotients_and_rests() {
        for (a, b, floor, ceil, rest) in
            [(7, 2, 3, 4, 1), (-7, 2, -4, -3, 1), (7, -2, -4, -3, -1), (-7, -2, 3, 4, -1), (6, -3, -2, -2, 0)]
        {
            assert_eq!(arith(Arith::DivFloor, a, b, ALL), Ok(floor));
            assert_eq!(arith(Arith::DivCeil, a, b, ALL), Ok(ceil));
            assert_eq!(arith(Arith::Mod, a, b, ALL), Ok(rest));
        }
        assert_eq!(arith(Arith::DivFloor, i128::MIN, -1, ALL), Err(Fault::Overflow));
        assert_eq!(arith(Arith::Mod, i128::MIN, -1, ALL), Ok(0));
        assert_eq!(arith(Arith::Mod, 1, 0, ALL), Err(Fault::DivisionByZero));
        assert_eq!(arith(Arith::Sub, 1, 2, (0, 255)), Err(Fault::Overflow));
        assert_eq!(arith(Arith::Add, 255, 1, (0, 255)), Err(Fault::Overflow));
    }

    #[test]
    fn roundings() {
        for (a, floor, ceil, even) in [(1, 0, 1, 0), (3, 1, 2, 2), (5, 2, 3, 2), (-1, -1, 0, 0), (-3, -2, -1, -2)] {
            for (rounding, result) in [(Rounding::Floor, floor), (Rounding::Ceil, ceil), (Rounding::HalfEven, even)] {
                assert_eq!(mul_div(a, 1, 2, rounding, ALL), Ok(result), "{a} {rounding:?}");
                assert_eq!(mul_div(-a, 1, -2, rounding, ALL), Ok(result), "{a} {rounding:?}");
            }
        }
        assert_eq!(mul_div(i128::MIN, i128::MIN, i128::MIN, Rounding::Floor, ALL), Ok(i128::MIN));
        assert_eq!(mul_div(i128::MIN, i128::MIN, i128::MAX, Rounding::Floor, ALL), Err(Fault::Overflow));
        assert_eq!(mul_div(1, 1, 0, Rounding::Floor, ALL), Err(Fault::DivisionByZero));
    }

    /// Digits of 16 bits, lowest first: slow and plain.
    fn slow_product(a: u128, b: u128) -> Vec<u64> {
        let digits = |n: u128| (0..8).map(move |i| (n >> (16 * i)) as u64 & 0xffff);
        let mut out = vec![0u64; 17];
        for (i, x) in digits(a).enumerate() {
            for (j, y) in digits(b).enumerate() {
                out[i + j] += x * y;
            }
        }
        for i in 0..16 {
            out[i + 1] += out[i] >> 16;
            out[i] &= 0xffff;
        }
        out
    }

    fn plus(mut a: Vec<u64>, n: u128) -> Vec<u64> {
        for (i, digit) in a.iter_mut().enumerate().take(8) {
            *digit += (n >> (16 * i)) as u64 & 0xffff;
        }
        for i in 0..16 {
            a[i + 1] += a[i] >> 16;
            a[i] &= 0xffff;
        }
        a
    }

    fn any_number() -> impl Strategy<Value = i128> {
        prop_oneof![any::<i128>(), any::<i64>().prop_map(i128::from), -3i128..4, Just(i128::MIN), Just(i128::MAX)]
    }

    proptest! {
        #[test]
        fn quotients_of_products(a in any_number(), b in any_number(), c in any_number()) {
            prop_assume!(c != 0);
            let by = c.unsigned_abs();
            let product = slow_product(a.unsigned_abs(), b.unsigned_abs());
            match divide(wide(a.unsigned_abs(), b.unsigned_abs()), by) {
                Some((quotient, rest)) => {
                    prop_assert!(rest < by);
                    prop_assert_eq!(plus(slow_product(quotient, by), rest), product);
                }
                None => {
                    // 2^128 * by is at most the product.
                    let least = plus(slow_product(u128::MAX, by), by);
                    prop_assert!(least.iter().rev().le(product.iter().rev()));
                }
            }
            let floor = mul_div(a, b, c, Rounding::Floor, ALL);
            let ceil = mul_div(a, b, c, Rounding::Ceil, ALL);
            let even = mul_div(a, b, c, Rounding::HalfEven, ALL);
            if let (Ok(floor), Ok(ceil), Ok(even)) = (floor, ceil, even) {
                prop_assert!(ceil - floor <= 1 && (even == floor || even == ceil));
            }
            if let Some(product) = a.checked_mul(b) {
                prop_assert_eq!(floor, arith(Arith::DivFloor, product, c, ALL));
                prop_assert_eq!(ceil, arith(Arith::DivCeil, product, c, ALL));
            }
        }

        #[test]
        fn dates_there_and_back(date in any::<i32>(), months in -100_000i32..100_000) {
            let (year, month, day) = civil(date.into());
            prop_assert!((1..=12).contains(&month) && (1..=month_length(year, month)).contains(&day));
            prop_assert_eq!(days(year, month, day), i64::from(date));
            if let Ok(later) = date_add(date.into(), DateStep::Months, months.into()) {
                let (y, m, d) = civil(later as i64);
                prop_assert_eq!(y * 12 + m, year * 12 + month + i64::from(months));
                prop_assert_eq!(d, day.min(month_length(y, m)));
            }
        }
    }

    #[test]
    fn known_dates() {
        let known = [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (-719_468, (0, 3, 1)),
            (-719_528, (0, 1, 1)),
            (2_932_896, (9999, 12, 31)),
        ];
        for (date, civil_date) in known {
            assert_eq!(civil(date), civil_date);
        }
        let month = |date, n| date_add(days_of(date), DateStep::Months, n).map(|d| civil(d as i64));
        assert_eq!(month((2024, 1, 31), 1), Ok((2024, 2, 29)));
        assert_eq!(month((2023, 1, 31), 1), Ok((2023, 2, 28)));
        assert_eq!(month((2024, 3, 31), -13), Ok((2023, 2, 28)));
        assert_eq!(month((2024, 12, 15), 1), Ok((2025, 1, 15)));
        assert_eq!(date_add(i32::MAX.into(), DateStep::Days, 1), Err(Fault::Overflow));
        assert_eq!(date_add(i32::MAX.into(), DateStep::Months, i32::MAX.into()), Err(Fault::Overflow));
        assert_eq!(date_of(86_399_999), Ok(0));
        assert_eq!(date_of(86_400_000), Ok(1));
        assert_eq!(date_of(u64::MAX.into()), Err(Fault::Overflow));
    }

    fn days_of((y, m, d): (i64, i64, i64)) -> i128 {
        days(y, m, d).into()
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = Value::text("zwölf");
        assert_eq!(slice(&text, 0, 2), Ok(Value::text("zw")));
        assert_eq!(slice(&text, 0, 3), Err(Fault::OutOfRange));
        assert_eq!(slice(&text, 4, 6), Ok(Value::text("lf")));
        assert_eq!(slice(&text, 4, 3), Err(Fault::OutOfRange));
        assert_eq!(slice(&text, 4, 7), Err(Fault::OutOfRange));
        assert_eq!(concat(&text, &text, 12), Ok(Value::text("zwölfzwölf")));
        assert_eq!(concat(&text, &text, 11), Err(Fault::TooLong));
    }

    #[test]
    fn sizes_stop() {
        let mut universe = Universe::default();
        let unit = universe.intern(Kind::Unit).unwrap();
        let mut ty = universe.intern(Kind::Option(unit)).unwrap();
        let mut value = Value::some(Value::Unit);
        for _ in 0..10 {
            ty = universe.intern(Kind::List(ty, 1000)).unwrap();
            value = Value::List(Arc::new(vec![value; 1000]));
        }
        // 1000^10 elements, were they walked through.
        assert!(crate::value::size_up_to(&universe, ty, &value, 65_536) > 65_536);
    }
}

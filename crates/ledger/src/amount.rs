//! Exact quantities.
//!
//! An amount is a count of the smallest unit, a millionth; the supply and so every balance is below 2^96 units
//! (about 7.9 * 10^22). Text is a ratio `n%d`, as in Juno. A ratio that is not a whole number of units is an error, as
//! is a zero below the line: nothing is ever rounded, neither when read nor when printed.
//!
//! ```text
//! amount  = ratio | "(" ratio ")"
//! ratio   = integer "%" digits
//! integer = ["-"] digits | "(" ["-"] digits ")"
//! ```
//! with blanks allowed between the parts. Only an adjustment may be negative; the sign is kept apart from the amount.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use wire::{Decode, DecodeError, Encode, Reader};

/// Units in one: six decimals.
pub const UNITS_PER_ONE: u128 = 1_000_000;

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not of the form `n%d`.
    #[error("expected {expected}; an amount is written n%d, for example 5%1 or 1%2")]
    Syntax {
        /// Byte offset in the text.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Zero below the line.
    #[error("zero below the line; write a whole number of at least 1 after %")]
    ZeroDenominator,
    /// Not a whole number of units.
    #[error("{numerator}%{denominator} is not exact; the smallest unit is 1%1000000, so write a multiple of it")]
    Inexact {
        /// Above the line.
        numerator: u128,
        /// Below the line.
        denominator: u128,
    },
    /// More than can exist.
    #[error(
        "the amount is too large; there can be at most 2^96 - 1 units of 1%1000000, 79228162514264337593543.950335 in all"
    )]
    TooLarge,
    /// A minus sign where none may be.
    #[error("the amount is negative; write it without the minus sign (only AdjustAccount takes one)")]
    Negative,
}

/// A quantity.
///
/// Invariant: at most [`Amount::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// The most that can exist: 2^96 - 1 units.
    pub const MAX: Amount = Amount((1 << 96) - 1);

    /// So many units, or `None` above [`Amount::MAX`].
    pub const fn from_units(units: u128) -> Option<Amount> {
        if units <= Amount::MAX.0 { Some(Amount(units)) } else { None }
    }

    /// The count of units.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// True for zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above [`Amount::MAX`].
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).and_then(Amount::from_units)
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }

    /// `numerator / denominator`, which must be a whole number of units.
    ///
    /// # Errors
    /// [`AmountError::ZeroDenominator`], [`AmountError::Inexact`] or [`AmountError::TooLarge`].
    pub fn from_ratio(numerator: u128, denominator: u128) -> Result<Amount, AmountError> {
        if denominator == 0 {
            return Err(AmountError::ZeroDenominator);
        }
        let common = gcd(numerator, denominator);
        let (n, d) = (numerator / common, denominator / common);
        if !UNITS_PER_ONE.is_multiple_of(d) {
            return Err(AmountError::Inexact { numerator, denominator });
        }
        n.checked_mul(UNITS_PER_ONE / d).and_then(Amount::from_units).ok_or(AmountError::TooLarge)
    }

    /// The amount in lowest terms, (numerator, denominator).
    pub fn ratio(self) -> (u128, u128) {
        let common = gcd(self.0, UNITS_PER_ONE);
        (self.0 / common, UNITS_PER_ONE / common)
    }

    /// The exact decimal, without needless zeros: `5`, `0.5`, `0.000001`.
    pub fn to_decimal(self) -> String {
        let (whole, part) = (self.0 / UNITS_PER_ONE, self.0 % UNITS_PER_ONE);
        if part == 0 {
            return whole.to_string();
        }
        format!("{whole}.{part:06}").trim_end_matches('0').to_owned()
    }
}

/// The greatest common divisor; `b` is not zero.
fn gcd(mut a: u128, mut b: u128) -> u128 {
    while a != 0 {
        (a, b) = (b % a, a);
    }
    b
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, d) = self.ratio();
        write!(f, "{n}%{d}")
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Amount {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<Amount, AmountError> {
        let signed: SignedAmount = text.parse()?;
        if signed.negative { Err(AmountError::Negative) } else { Ok(signed.amount) }
    }
}

impl Encode for Amount {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Amount {
    const SIZE_MIN: usize = 16;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Amount::from_units(u128::decode(r)?)
            .ok_or(DecodeError::Invalid { what: "amount", why: "there are at most 2^96 - 1 units" })
    }
}

/// An amount with its sign kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedAmount {
    /// True if written with a minus sign.
    pub negative: bool,
    /// The amount without the sign.
    pub amount: Amount,
}

impl fmt::Display for SignedAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        fmt::Display::fmt(&self.amount, f)
    }
}

impl FromStr for SignedAmount {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<SignedAmount, AmountError> {
        let mut scan = Scan { text: text.as_bytes(), at: 0 };
        // One pair may stand around the number above the line and one around the whole: at most two open here.
        let mut open = 0;
        while open < 2 && scan.eat(b'(') {
            open += 1;
        }
        let negative = scan.eat(b'-');
        let numerator = scan.digits("a whole number above the line")?;
        if scan.peek() == Some(b')') && open > 0 {
            scan.at += 1;
            open -= 1;
        } else if open == 2 {
            return Err(scan.expected("`)` after the number above the line"));
        }
        if !scan.eat(b'%') {
            return Err(scan.expected("`%`"));
        }
        let denominator = scan.digits("a whole number below the line")?;
        if open > 0 && !scan.eat(b')') {
            return Err(scan.expected("`)`"));
        }
        if scan.peek().is_some() {
            return Err(scan.expected("the end of the amount"));
        }
        let (Some(numerator), Some(denominator)) = (numerator, denominator) else {
            return Err(AmountError::TooLarge);
        };
        Ok(SignedAmount { negative, amount: Amount::from_ratio(numerator, denominator)? })
    }
}

/// A cursor over the text of an amount; blanks between parts are skipped.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// The next byte that is not blank, without passing it.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A run of digits: its value, or `None` if it does not fit 128 bits.
    fn digits(&mut self, what: &'static str) -> Result<Option<u128>, AmountError> {
        self.peek();
        let start = self.at;
        let mut value = Some(0u128);
        while let Some(digit) = self.text.get(self.at).filter(|b| b.is_ascii_digit()) {
            value = value.and_then(|v| v.checked_mul(10)?.checked_add(u128::from(digit - b'0')));
            self.at += 1;
        }
        if self.at == start { Err(self.expected(what)) } else { Ok(value) }
    }

    fn expected(&self, expected: &'static str) -> AmountError {
        AmountError::Syntax { at: self.at, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Result<u128, AmountError> {
        text.parse::<Amount>().map(Amount::units)
    }

    #[test]
    fn exact_ratios() {
        assert_eq!(units("5%1"), Ok(5_000_000));
        assert_eq!(units(" 5 % 1 "), Ok(5_000_000));
        assert_eq!(units("(1%2)"), Ok(500_000));
        assert_eq!(units("(1)%2"), Ok(500_000));
        assert_eq!(units("((1)%2)"), Ok(500_000));
        assert_eq!(units("1%1000000"), Ok(1));
        assert_eq!(units("3%3000000"), Ok(1));
        assert_eq!(units("6%3"), Ok(2_000_000));
        assert_eq!(units("0%7"), Ok(0));
        assert_eq!(units("0005%0001"), Ok(5_000_000));
    }

    #[test]
    fn refusals() {
        assert_eq!(units("1%0"), Err(AmountError::ZeroDenominator));
        assert_eq!(units("1%3"), Err(AmountError::Inexact { numerator: 1, denominator: 3 }));
        assert_eq!(units("1%2000000"), Err(AmountError::Inexact { numerator: 1, denominator: 2_000_000 }));
        assert_eq!(units("-1%1"), Err(AmountError::Negative));
        assert_eq!(units(&"9".repeat(10_000)), Err(AmountError::Syntax { at: 10_000, expected: "`%`" }));
        assert_eq!(units(&format!("{}%1", "9".repeat(10_000))), Err(AmountError::TooLarge));
        assert_eq!(units(&format!("1%{}", "9".repeat(10_000))), Err(AmountError::TooLarge));
        assert_eq!(units(&format!("{}%1000000", 1u128 << 96)), Err(AmountError::TooLarge));
        assert_eq!(units(&format!("{}%1000000", (1u128 << 96) - 1)), Ok((1 << 96) - 1));
        assert_eq!(units(&format!("{}%1", u128::MAX)), Err(AmountError::TooLarge));
        for bad in ["", "%", "1", "1%", "%1", "1.5%1", "1%1%1", "(1%1", "1%1)", "(((1)%1))", "1%-1", "--1%1", "1 1%1"] {
            assert!(matches!(units(bad), Err(AmountError::Syntax { .. })), "{bad:?}");
        }
    }

    #[test]
    fn signs() {
        for text in ["-10%1", "(-10)%1", "((-10)%1)", "(-10%1)", " - 10 % 1"] {
            let signed: SignedAmount = text.parse().unwrap();
            assert!(signed.negative && signed.amount.units() == 10_000_000, "{text}");
            assert_eq!(signed.to_string(), "-10%1");
        }
    }

    #[test]
    fn printing() {
        for (units, ratio, decimal) in
            [(0, "0%1", "0"), (1, "1%1000000", "0.000001"), (1_500_000, "3%2", "1.5"), (7_000_000, "7%1", "7")]
        {
            let amount = Amount::from_units(units).unwrap();
            assert_eq!((amount.to_string().as_str(), amount.to_decimal().as_str()), (ratio, decimal));
            assert_eq!(ratio.parse(), Ok(amount));
        }
        assert_eq!(Amount::MAX.to_decimal(), "79228162514264337593543.950335");
    }

    #[test]
    fn decoding_checks_the_cap() {
        assert_eq!(Amount::from_bytes(&Amount::MAX.to_bytes()), Ok(Amount::MAX));
        assert!(Amount::from_bytes(&(Amount::MAX.0 + 1).to_bytes()).is_err());
    }
}

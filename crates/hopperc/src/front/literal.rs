//! Literals: numbers, texts, dates, bytes, and their canonical bytes.

use hopper::ir::Op;

use super::body::Body;
use super::module::{R, duration, number};
use super::props::Val;
use super::types::Ty;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

impl Body<'_> {
    pub fn constant(&mut self, ty: &Ty, bytes: Vec<u8>) -> R<Val> {
        let range = self.range.clone();
        let constant = self.front.constant(ty, bytes, &range)?;
        Ok(self.value(Op::Const { constant }, ty.clone()))
    }

    pub fn bool(&mut self, truth: bool) -> R<Val> {
        self.constant(&Ty::Bool, vec![u8::from(truth)])
    }

    /// A number of a type.
    pub fn number(&mut self, node: &Node, n: i128, ty: &Ty) -> R<Val> {
        let (signed, bits) = match ty {
            Ty::Int { signed, bits } => (*signed, *bits),
            Ty::Dec(_) => (true, 128),
            Ty::Time => (false, 64),
            Ty::Date => (true, 32),
            _ => return self.fail(node, format!("expected {}, found a number", self.show(ty)), "this is a number"),
        };
        let fits = hopper::types::int_range(signed, bits).filter(|(min, max, _)| n >= *min && n <= *max);
        let Some((_, _, bytes)) = fits else {
            return self.fail(node, format!("{n} is no {}", self.show(ty)), "it does not fit");
        };
        // Big endian; signed numbers with the top bit turned over, so that bytes sort as numbers do.
        let mut all = n.to_be_bytes();
        if signed {
            all[16 - usize::from(bytes)] ^= 0x80;
        }
        self.constant(ty, all[16 - usize::from(bytes)..].to_vec())
    }

    pub fn literal(&mut self, node: &Node, want: Option<&Ty>, minus: bool) -> R<Val> {
        let Some(token) = ast::tokens(node).next() else { return self.fail(node, "a literal is wanted", "here") };
        let text = token.text();
        let sign = |n: i128| if minus { -n } else { n };
        match token.kind() {
            K::Ident => self.bool(text == "true"),
            K::Number => {
                let Some(n) = number(text) else { return self.fail(node, "the number is beyond 2^127", "here") };
                match want {
                    Some(ty @ (Ty::Int { .. } | Ty::Time)) => self.number(node, sign(n), &ty.clone()),
                    Some(Ty::Dec(_)) => self.decimal(node, text, minus, want),
                    Some(Ty::Ghost) => self.ghost(node),
                    Some(ty) if *ty != Ty::Never => {
                        self.fail(node, format!("expected {}, found a number", self.show(ty)), "this is a number")
                    }
                    _ if minus => self.number(node, sign(n), &Ty::Int { signed: true, bits: 64 }),
                    _ => self.number(node, n, &Ty::NAT64),
                }
            }
            K::Decimal => self.decimal(node, text, minus, want),
            K::Duration => match duration(text) {
                Some(n) => {
                    let ty = want.filter(|t| matches!(t, Ty::Int { .. })).cloned().unwrap_or(Ty::NAT64);
                    self.number(node, i128::from(n), &ty)
                }
                None => self.fail(node, "the duration is too long", "beyond 2^64 milliseconds"),
            },
            K::Date => match days(text) {
                Some(n) => self.number(node, i128::from(n), &Ty::Date),
                None => self.fail(node, "there is no such date", "year-month-day is wanted"),
            },
            K::Text => {
                let bytes = unescape(text);
                let ty = match want {
                    Some(ty @ Ty::Text(max)) if bytes.len() as u64 <= u64::from(*max) => ty.clone(),
                    Some(Ty::Text(max)) => {
                        return self.fail(node, format!("longer than {max} bytes"), format!("{} bytes", bytes.len()));
                    }
                    _ => Ty::Text(bytes.len() as u32),
                };
                self.constant(&ty, with_length(bytes.as_bytes()))
            }
            K::HexBytes => {
                let digits: Vec<u8> =
                    text.bytes().skip(2).filter_map(|b| (b as char).to_digit(16)).map(|d| d as u8).collect();
                if !digits.len().is_multiple_of(2) {
                    return self.fail(node, "bytes have two digits each", "one digit is left over");
                }
                let bytes: Vec<u8> = digits.chunks(2).map(|d| d[0] * 16 + d[1]).collect();
                match want {
                    Some(Ty::Digest) if bytes.len() == 32 => self.constant(&Ty::Digest, bytes),
                    Some(ty @ Ty::Bytes(max)) if bytes.len() as u64 <= u64::from(*max) => {
                        self.constant(&ty.clone(), with_length(&bytes))
                    }
                    _ => self.constant(&Ty::Bytes(bytes.len() as u32), with_length(&bytes)),
                }
            }
            _ => self.fail(node, "a literal is wanted", "here"),
        }
    }

    fn decimal(&mut self, node: &Node, text: &str, minus: bool, want: Option<&Ty>) -> R<Val> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let places = match want {
            Some(Ty::Dec(places)) => usize::from(*places),
            _ => part.len(),
        };
        if part.len() > places || places > 18 {
            return self.fail(
                node,
                format!("more than {places} digits after the point"),
                "nothing is rounded silently",
            );
        }
        let digits = format!("{whole}{part}{}", "0".repeat(places - part.len()));
        match number(&digits) {
            Some(n) => self.number(node, if minus { -n } else { n }, &Ty::Dec(places as u8)),
            None => self.fail(node, "the number is beyond 2^127", "here"),
        }
    }

    /// A number that stands in proofs only.
    pub fn ghost(&mut self, node: &Node) -> R<Val> {
        let linear = self.front.linear(&self.names, node)?;
        Ok(self.value(Op::GhostLet { linear }, Ty::Ghost))
    }
}

/// Bytes after their length.
fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::codec::encode_bytes(bytes, &mut out);
    out
}

/// What a text in quotes says.
fn unescape(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            },
            c => c,
        });
    }
    out
}

/// Days since 1970-01-01 (H. Hinnant, chrono-compatible low-level date algorithms).
fn days(text: &str) -> Option<i32> {
    let mut parts = text.split('-');
    let (y, m, d): (i32, i32, i32) =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let longest = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let last = *longest.get(usize::try_from(m - 1).ok()?)?;
    if d < 1 || d > last {
        return None;
    }
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let day = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(era * 146_097 + day - 719_468)
}

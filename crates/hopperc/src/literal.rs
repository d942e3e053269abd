//! Values as people write them, read by the type that is asked for.
//!
//! ```text
//! number 5 -5 10_000     decimal 1.50          truth true false        unit ()
//! party alice            text "a b" or word    bytes 0x0aff            digest, id: 64 hexadecimal digits
//! date 2026-11-21        time in milliseconds since 1970
//! option none some(5)    list [1, 2]           map {alice: 1, bob: 2}  tuple (1, 2)
//! record { n: 1, who: alice } in any order     variant Joint { a: alice, b: bob }, or its name alone
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use hopper::types::{Kind, Shape, Ty, Universe};
use hopper::value::Value;
use wire::{Hash, Name};

/// Values nest no deeper than types do.
const DEPTH_MAX: usize = hopper::ir::limits::TYPE_DEPTH_MAX + 1;

/// Reads a value of a type; the text is all of it.
///
/// # Errors
/// Where it stops making sense and what should stand there.
pub fn read(universe: &Universe, ty: Ty, text: &str) -> Result<Value, String> {
    let mut scan = Scan { text, at: 0 };
    let value = scan.value(universe, ty, 0)?;
    scan.blanks();
    if scan.rest().is_empty() { Ok(value) } else { Err(scan.expected("the end of the value")) }
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    fn expected(&self, what: &str) -> String {
        let at = self.text[..self.at].chars().count() + 1;
        match self.rest().chars().next() {
            Some(c) => format!("at character {at}: expected {what}, not `{c}`"),
            None => format!("at character {at}: expected {what}"),
        }
    }

    /// Letters, digits and what names may hold.
    fn word(&mut self) -> &'t str {
        self.blanks();
        let part = |c: char| c.is_alphanumeric() || "_.@-".contains(c);
        let word = &self.rest()[..self.rest().find(|c| !part(c)).unwrap_or(self.rest().len())];
        self.at += word.len();
        word
    }

    /// A word that stands for something, or an error at its beginning.
    fn parsed<T>(&mut self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        self.blanks();
        let start = self.at;
        read(self.word()).ok_or_else(|| {
            self.at = start;
            self.expected(what)
        })
    }

    fn value(&mut self, universe: &Universe, ty: Ty, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(self.expected("less nesting"));
        }
        let number = |text: &str| text.replace('_', "").parse::<i128>().ok();
        Ok(match universe.kind(ty) {
            Kind::Unit => {
                self.expect("()")?;
                Value::Unit
            }
            Kind::Bool => Value::Bool(self.parsed("true or false", |word| word.parse().ok())?),
            Kind::Int { min, max, .. } => {
                let within = |n: &i128| (*min..=*max).contains(n);
                Value::Int(self.parsed(&format!("a number from {min} to {max}"), |w| number(w).filter(within))?)
            }
            Kind::Dec { places } => {
                let what = format!("a decimal with at most {places} digits after the point");
                Value::Int(self.parsed(&what, |word| mantissa(word, *places))?)
            }
            Kind::Time => Value::Int(self.parsed("a time in milliseconds since 1970", |w| {
                number(w).filter(|n| (0..=i128::from(u64::MAX)).contains(n))
            })?),
            Kind::Date => Value::Int(self.parsed("a date such as 2026-11-21", date)?.into()),
            Kind::Party => Value::Party(self.parsed("the name of a party", |word| Name::new(word).ok())?),
            Kind::Digest | Kind::Id(_) => {
                Value::Digest(self.parsed("64 hexadecimal digits", |word| word.parse::<Hash>().ok())?)
            }
            Kind::Text(max) => {
                let text = self.string()?;
                if text.len() > *max as usize {
                    return Err(format!("the text {text:?} takes {} bytes, {max} are allowed", text.len()));
                }
                Value::text(&text)
            }
            Kind::Bytes(max) => {
                let hex = |word: &str| wire::hash::decode_hex_bytes(word.strip_prefix("0x")?).ok();
                let bytes = self.parsed("bytes such as 0x0aff", hex)?;
                if bytes.len() > *max as usize {
                    return Err(format!("{} bytes are given, {max} are allowed", bytes.len()));
                }
                Value::Bytes(bytes.into())
            }
            Kind::Option(of) => {
                if self.eat("some(") {
                    let value = self.value(universe, *of, depth + 1)?;
                    self.expect(")")?;
                    Value::some(value)
                } else {
                    self.parsed("`none` or `some(...)`", |word| (word == "none").then_some(()))?;
                    Value::none()
                }
            }
            Kind::List(of, _) => {
                let mut items = Vec::new();
                self.items("[", "]", |scan| {
                    items.push(scan.value(universe, *of, depth + 1)?);
                    Ok(())
                })?;
                Value::List(Arc::new(items))
            }
            Kind::Map(key, of, _) => {
                let mut entries = BTreeMap::new();
                self.items("{", "}", |scan| {
                    let key = scan.value(universe, *key, depth + 1)?;
                    scan.expect(":")?;
                    let value = scan.value(universe, *of, depth + 1)?;
                    match entries.insert(key, value) {
                        None => Ok(()),
                        Some(_) => Err(scan.expected("each key once")),
                    }
                })?;
                Value::Map(Arc::new(entries))
            }
            Kind::Tuple(types) => {
                let mut fields = Vec::new();
                self.items("(", ")", |scan| {
                    let Some(ty) = types.get(fields.len()) else {
                        return Err(scan.expected(&format!("{} parts", types.len())));
                    };
                    fields.push(scan.value(universe, *ty, depth + 1)?);
                    Ok(())
                })?;
                if fields.len() < types.len() {
                    return Err(self.expected(&format!("{} parts", types.len())));
                }
                Value::fields(fields)
            }
            Kind::Record(_, shape) => {
                self.eat(shape.name.as_str());
                Value::fields(self.fields(universe, shape, depth)?)
            }
            Kind::Enum(_, _, shapes) => {
                let names: Vec<&str> = shapes.iter().map(|s| s.name.as_str()).collect();
                let what = names.join(", ");
                let variant = self.parsed(&what, |word| names.iter().position(|name| *name == word))?;
                let fields = match shapes[variant].fields.is_empty() {
                    true => Vec::new(),
                    false => self.fields(universe, &shapes[variant], depth)?,
                };
                Value::Variant(u16::try_from(variant).unwrap_or(u16::MAX), fields.into())
            }
            Kind::Ghost | Kind::Asset { .. } | Kind::RowHole(_) | Kind::InstanceHole(..) => {
                return Err(self.expected("data; assets come out of tables only"));
            }
        })
    }

    /// Fields by name, in any order.
    fn fields(&mut self, universe: &Universe, shape: &Shape, depth: usize) -> Result<Vec<Value>, String> {
        let mut found: Vec<Option<Value>> = vec![None; shape.fields.len()];
        let names: Vec<&str> = shape.fields.iter().map(|f| f.0.as_str()).collect();
        self.items("{", "}", |scan| {
            let at = scan.parsed(&names.join(", "), |word| names.iter().position(|name| *name == word))?;
            scan.expect(":")?;
            let value = scan.value(universe, shape.fields[at].1, depth + 1)?;
            match found[at].replace(value) {
                None => Ok(()),
                Some(_) => Err(scan.expected("each field once")),
            }
        })?;
        let missing = found.iter().position(Option::is_none);
        match missing {
            Some(at) => Err(self.expected(&format!("field {} before the end", names[at]))),
            None => Ok(found.into_iter().flatten().collect()),
        }
    }

    fn items(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.expect(open)?;
        if self.eat(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.eat(close) {
                return Ok(());
            }
            if !self.eat(",") {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
            if self.eat(close) {
                return Ok(());
            }
        }
    }

    /// In double quotes, or a bare word.
    fn string(&mut self) -> Result<String, String> {
        if !self.eat("\"") {
            let word = self.word();
            return if word.is_empty() { Err(self.expected("a text")) } else { Ok(word.to_owned()) };
        }
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((n, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += n + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        self.at = self.text.len();
        Err(self.expected("`\"` at the end of the text"))
    }
}

fn mantissa(word: &str, places: u8) -> Option<i128> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let bare = whole.strip_prefix('-').unwrap_or(whole);
    if part.len() > usize::from(places) || bare.is_empty() || !digits(bare) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<width$}", width = usize::from(places)).replace('_', "").parse().ok()
}

/// What stands in a text's quotes.
pub(crate) fn unquote(text: &str) -> Option<String> {
    if !text.starts_with('"') {
        return None;
    }
    Scan { text, at: 0 }.string().ok()
}

/// Days since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
pub(crate) fn date(word: &str) -> Option<i32> {
    let mut parts = word.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let long = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=long).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopper::ir::Label;
    use hopper::types::Nominal;
    use proptest::prelude::*;

    fn universe() -> (Universe, Vec<Ty>) {
        let mut u = Universe::default();
        let nat = u.intern(Kind::Int { min: 0, max: 255, bytes: 1 }).unwrap();
        let party = u.intern(Kind::Party).unwrap();
        let mut all = vec![nat, party];
        for kind in [
            Kind::Unit,
            Kind::Bool,
            Kind::Dec { places: 2 },
            Kind::Text(8),
            Kind::Bytes(2),
            Kind::Digest,
            Kind::Time,
            Kind::Date,
            Kind::Option(nat),
            Kind::List(nat, 4),
            Kind::Map(party, nat, 4),
            Kind::Tuple(vec![nat, party]),
        ] {
            all.push(u.intern(kind).unwrap());
        }
        let label = |text| Label::new(text).unwrap();
        let shape = |name, fields| Shape { name: label(name), fields, invariant: vec![] };
        let of = Nominal { lineage: hopper::ir::Lineage(Hash::ZERO), index: 0 };
        let fields = vec![(label("n"), nat), (label("who"), party)];
        all.push(u.intern(Kind::Record(of, shape("Pair", fields.clone()))).unwrap());
        let variants = vec![shape("Nobody", vec![]), shape("One", fields)];
        all.push(u.intern(Kind::Enum(of, label("Holding"), variants)).unwrap());
        (u, all)
    }

    #[test]
    fn every_form() {
        let (u, all) = universe();
        let good = |n: usize, text: &str| format!("{:?}", read(&u, all[n], text).unwrap());
        assert_eq!(good(0, " 2_5 "), "Int(25)");
        assert_eq!(good(4, "-1.5"), "Int(-150)");
        assert_eq!(good(4, "-0.05"), "Int(-5)");
        assert_eq!(good(4, "3"), "Int(300)");
        assert_eq!(good(9, "1970-01-01"), "Int(0)");
        assert_eq!(good(9, "2000-02-29"), "Int(11016)");
        assert_eq!(good(9, "1969-12-31"), "Int(-1)");
        assert_eq!(good(5, "\"a \\\"b\""), "Text(\"a \\\"b\")");
        assert_eq!(good(11, "[1, 2,]"), "List([Int(1), Int(2)])");
        assert_eq!(good(14, "{ who: bob, n: 1 }"), good(14, "Pair { n: 1, who: bob }"));
        for (n, text) in [
            (2, "()"),
            (3, "true"),
            (5, "word"),
            (6, "0x0aff"),
            (8, "17"),
            (10, "none"),
            (10, "some(3)"),
            (12, "{a: 1, b: 2}"),
            (13, "(1, a)"),
            (15, "Nobody"),
            (15, "One { n: 1, who: b-c.d@e }"),
        ] {
            good(n, text);
        }
        for (n, text, why) in [
            (0, "256", "at character 1: expected a number from 0 to 255, not `2`"),
            (0, "1 2", "at character 3: expected the end of the value"),
            (4, "1.555", "at most 2 digits"),
            (5, "123456789", "takes 9 bytes, 8 are allowed"),
            (5, "\"a", "expected `\"` at the end"),
            (9, "2026-02-29", "expected a date"),
            (11, "[1 2]", "at character 4: expected `,` or `]`"),
            (12, "{a: 1, a: 2}", "each key once"),
            (13, "(1)", "expected 2 parts"),
            (14, "{ n: 1 }", "expected field who"),
            (15, "Somebody", "expected Nobody, One"),
        ] {
            let error = read(&u, all[n], text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,20}|[a-z0-9(){}\\[\\],:.\"\\\\ -]{0,20}", n in 0usize..16) {
            let (u, all) = universe();
            let _ = read(&u, all[n], &text);
        }
    }
}

//! Traces: rows of transfers recorded elsewhere, read from a file or made up with the same skew.
//!
//! The form is a CSV file with the head `block,index,sender,recipient,value_wei,gas,input_bytes`: no quotes, one row a
//! line. `block`, `index` and `gas` are checked to be there and not used; an empty recipient created a contract.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use ledger::Amount;
use store::SplitMix;
use thiserror::Error;
use wire::{DecodeError, Name};

/// The first line of a trace.
const HEAD: &str = "block,index,sender,recipient,value_wei,gas,input_bytes";
/// Characters of an id, so that names made from it stay within their limit.
const ID_BYTES_MAX: usize = 48;

/// Whoever sends or receives, numbered by first appearance.
pub type Who = usize;

/// What one row asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A plain transfer.
    Transfer {
        /// To whom.
        to: Who,
        /// How much.
        amount: Amount,
    },
    /// A row with input, or without a recipient: its own hash is kept.
    Data([u8; 32]),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who sends, and signs.
    pub from: Who,
    /// What.
    pub act: Act,
}

/// A trace in memory.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The ids of the file.
    pub ids: Vec<String>,
    /// The rows, in the order of the file.
    pub rows: Vec<Row>,
}

/// A file is no trace.
#[derive(Debug, Error)]
pub enum TraceError {
    /// It cannot be read.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
    /// It starts otherwise.
    #[error("line 1: the head is \"{0}\"; a trace starts with \"{HEAD}\"")]
    Head(String),
    /// A line has too few or too many fields.
    #[error("line {line}: {fields} fields; a row has 7: {HEAD}")]
    Fields {
        /// The line.
        line: usize,
        /// Fields found.
        fields: usize,
    },
    /// A field is none.
    #[error("line {line}: {field} \"{text}\": {why}")]
    Field {
        /// The line.
        line: usize,
        /// The column.
        field: &'static str,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Trace {
    /// Reads at most `limit` rows of a file.
    ///
    /// # Errors
    /// Names line and field.
    pub fn read(path: &Path, limit: usize) -> Result<Trace, TraceError> {
        Trace::parse(BufReader::new(std::fs::File::open(path)?), limit)
    }

    /// Reads at most `limit` rows.
    ///
    /// # Errors
    /// Names line and field.
    pub fn parse(input: impl BufRead, limit: usize) -> Result<Trace, TraceError> {
        let mut lines = input.lines();
        let head = lines.next().transpose()?.unwrap_or_default();
        if head.trim_end() != HEAD {
            return Err(TraceError::Head(head));
        }
        let mut trace = Trace::default();
        let mut numbers = HashMap::new();
        for (n, line) in lines.take(limit).enumerate() {
            let row = trace.parse_row(n + 2, line?.trim_end(), &mut numbers)?;
            trace.rows.push(row);
        }
        Ok(trace)
    }

    fn parse_row(&mut self, line: usize, text: &str, numbers: &mut HashMap<String, Who>) -> Result<Row, TraceError> {
        let fields: Vec<&str> = text.split(',').collect();
        let [block, index, sender, recipient, value, gas, input_bytes] = fields[..] else {
            return Err(TraceError::Fields { line, fields: fields.len() });
        };
        for (field, text) in [("block", block), ("index", index), ("gas", gas)] {
            number::<u64>(line, field, text)?;
        }
        let amount = Amount::from_units(number(line, "value_wei", value)?);
        let from = self.who(line, "sender", sender, numbers)?;
        if recipient.is_empty() || number::<u64>(line, "input_bytes", input_bytes)? > 0 {
            let hash = digest(&SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
            return Ok(Row { from, act: Act::Data(hash) });
        }
        let to = self.who(line, "recipient", recipient, numbers)?;
        let why = "more than the ledger's supply can ever be, 2^96".to_owned();
        let amount = amount.ok_or(TraceError::Field { line, field: "value_wei", text: value.to_owned(), why })?;
        Ok(Row { from, act: Act::Transfer { to, amount } })
    }

    fn who(
        &mut self,
        line: usize,
        field: &'static str,
        id: &str,
        numbers: &mut HashMap<String, Who>,
    ) -> Result<Who, TraceError> {
        if let Some(who) = numbers.get(id) {
            return Ok(*who);
        }
        let wrong = |why: String| TraceError::Field { line, field, text: id.to_owned(), why };
        if id.len() > ID_BYTES_MAX {
            return Err(wrong(format!("longer than {ID_BYTES_MAX} characters")));
        }
        Name::new(id).map_err(|why: DecodeError| wrong(why.to_string()))?;
        let who = self.ids.len();
        self.ids.push(id.to_owned());
        numbers.insert(id.to_owned(), who);
        Ok(who)
    }
}

fn number<T: std::str::FromStr>(line: usize, field: &'static str, text: &str) -> Result<T, TraceError> {
    let why = || "not a whole number in range".to_owned();
    text.parse().map_err(|_| TraceError::Field { line, field, text: text.to_owned(), why: why() })
}

/// The text of a made-up trace of so many rows, like a recorded one: a few recipients and senders take part in most
/// rows, most take part in one or two; values range over all magnitudes; some rows are empty of value, lead from an
/// account to itself, carry input, or create a contract.
pub fn generate(rows: usize, seed: u64) -> String {
    let mut random = SplitMix::new(seed);
    let mut out = format!("{HEAD}\n");
    let people = (rows as u64).max(8);
    for row in 0..rows {
        let sender = skewed(&mut random, people);
        let kind = random.below(1000);
        let recipient = match kind {
            0..3 => String::new(),
            3..9 => sender.to_string(),
            // Another end of the same circle, so that the busiest recipients are not the busiest senders.
            _ => ((skewed(&mut random, people) + people / 2) % people).to_string(),
        };
        let input_bytes = if recipient.is_empty() || kind >= 650 { 4 + random.below(1000) } else { 0 };
        let magnitude = random.below(24);
        let value = match random.below(100) {
            0..2 => 0,
            _ if input_bytes > 0 => 0,
            _ => u128::from(random.draw()) * u128::from(1 + random.below(1 << magnitude)),
        };
        let (block, gas) = (46_147 + row / 200, 21_000 + input_bytes * 68);
        let index = row % 200;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{block},{index},{sender},{recipient},{value},{gas},{input_bytes}");
    }
    out
}

/// One of `people`: a tenth of the draws hit one of four, a quarter hits the next few dozens, the rest is spread.
fn skewed(random: &mut SplitMix, people: u64) -> u64 {
    match random.below(20) {
        0..2 => random.below(4.min(people)),
        2..7 => random.below(40.min(people)),
        _ => random.below(people),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &str) -> Result<Trace, TraceError> {
        Trace::parse(format!("{HEAD}\n{rows}").as_bytes(), usize::MAX)
    }

    #[test]
    fn rows() {
        let line = "2,1,7,,5,90000,0";
        let trace = parse(&format!("1,0,0,7,31337,21000,0\n{line}\n3,0,0,0,0,21000,0\n3,1,7,0,0,21000,4\n")).unwrap();
        assert_eq!(trace.ids, ["0", "7"]);
        let amount = |units| Amount::from_units(units).unwrap();
        assert_eq!(trace.rows[0], Row { from: 0, act: Act::Transfer { to: 1, amount: amount(31337) } });
        let hash: [u8; 32] = digest(&SHA256, line.as_bytes()).as_ref().try_into().unwrap();
        assert_eq!(trace.rows[1], Row { from: 1, act: Act::Data(hash) });
        assert_eq!(trace.rows[2], Row { from: 0, act: Act::Transfer { to: 0, amount: Amount::ZERO } });
        assert!(matches!(trace.rows[3].act, Act::Data(_)));
        assert_eq!(Trace::parse(format!("{HEAD}\r\n{line}\r\n{line}\r\n").as_bytes(), 1).unwrap().rows.len(), 1);
    }

    #[test]
    fn errors_name_line_and_field() {
        for (rows, expected) in [
            ("1,0,0,7,31337,21000", "line 2: 6 fields; a row has 7"),
            ("1,0,0,7,-1,21000,0", "line 2: value_wei \"-1\": not a whole number in range"),
            ("1,0,0,7,1,21000,0\n1,1,a b,7,1,21000,0", "line 3: sender \"a b\": "),
            ("1,0,0,7,79228162514264337593543950337,21000,0", "more than the ledger's supply"),
        ] {
            let error = parse(rows).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let head = Trace::parse("a,b\n".as_bytes(), 1).unwrap_err().to_string();
        assert!(head.contains("\"a,b\""), "{head}");
    }

    #[test]
    fn made_up_traces_have_the_skew_and_the_odd_rows() {
        let text = generate(4000, 7);
        assert_eq!(text, generate(4000, 7));
        let trace = Trace::parse(text.as_bytes(), usize::MAX).unwrap();
        assert_eq!(trace.rows.len(), 4000);
        let mut received = vec![0usize; trace.ids.len()];
        let (mut data, mut zero, mut own) = (0, 0, 0);
        for row in &trace.rows {
            match &row.act {
                Act::Data(_) => data += 1,
                Act::Transfer { to, .. } if *to == row.from => own += 1,
                Act::Transfer { amount, .. } if amount.is_zero() => zero += 1,
                Act::Transfer { to, .. } => received[*to] += 1,
            }
        }
        assert!(data > 1000 && zero > 20 && own > 5, "{data} {zero} {own}");
        received.sort_unstable();
        let busiest: usize = received.iter().rev().take(4).sum();
        assert!(busiest * 12 > received.iter().sum(), "four recipients take a good part: {busiest}");
        assert!(received.iter().filter(|n| **n == 1).count() > 500, "a long tail");
    }
}

//! What of the functions ran.

use std::collections::BTreeMap;

use super::stage::Record;
use crate::diagnostic::{Span, position};
use crate::front::Compiled;

/// What of a function ran, over all tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCoverage {
    /// The module.
    pub module: String,
    /// The function.
    pub name: String,
    /// All of it.
    pub span: Span,
    /// Operations and ends of blocks.
    pub places: usize,
    /// How many of them ran.
    pub ran: usize,
    /// Lines, from 1, of which nothing ran.
    pub missed: Vec<usize>,
    /// Lines of which something ran and something did not.
    pub partly: Vec<usize>,
}

impl FunctionCoverage {
    /// How much ran, rounded down.
    pub fn percent(&self) -> usize {
        (self.ran * 100).checked_div(self.places).unwrap_or(100)
    }
}

/// The coverage of each function of a module. The text of an operation begins on the line that it counts for.
pub(super) fn of(compiled: &Compiled, file: usize, text: &str, record: &Record) -> Vec<FunctionCoverage> {
    let id = compiled.module.id();
    let mut all = Vec::new();
    for (n, place) in compiled.debug.iter().enumerate() {
        let ran = record.ran.get(&(id, n));
        let mut lines: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (block, ops) in place.blocks.iter().enumerate() {
            for (op, range) in ops.iter().enumerate().filter(|(_, range)| !range.is_empty()) {
                let line = lines.entry(position(text, range.start).0).or_default();
                line.0 += 1;
                line.1 += usize::from(ran.is_some_and(|spots| spots.contains(&(block, op))));
            }
        }
        let these = |wanted: fn(usize, usize) -> bool| {
            lines.iter().filter(|(_, (all, ran))| wanted(*all, *ran)).map(|(line, _)| *line).collect()
        };
        all.push(FunctionCoverage {
            module: compiled.module.name.to_string(),
            name: place.name.clone(),
            span: Span { file, range: place.span.range.clone() },
            places: lines.values().map(|l| l.0).sum(),
            ran: lines.values().map(|l| l.1).sum(),
            missed: these(|_, ran| ran == 0),
            partly: these(|all, ran| ran > 0 && ran < all),
        });
    }
    all.sort_by_key(|f| f.span.range.start);
    all
}

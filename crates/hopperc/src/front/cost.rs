//! What a function costs at most, in the author's words.

use std::collections::BTreeMap;

use hopper::bound::{Poly, Size};
use hopper::ir::{Function, FunctionKind, Module, Op, Proofs};
use hopper::library::{INSTANCES, Unit};

/// Names of the six dimensions.
const DIMENSIONS: [&str; 6] = ["steps", "reads", "bytes read", "writes", "bytes written", "cryptography"];

/// The cost of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The function.
    pub name: String,
    /// Actions, views and public functions are what others call.
    pub kind: FunctionKind,
    /// For each dimension that is not 0: its name and the bound, a sum of products of sizes of parameters.
    pub bounds: Vec<(&'static str, String)>,
    /// Tables, and whether they are written.
    pub tables: Vec<(String, bool)>,
    /// Obligations proved.
    pub proved: usize,
    /// Checks that remain for run time.
    pub checks: usize,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bounds: Vec<String> = self.bounds.iter().map(|(what, text)| format!("{what} <= {text}")).collect();
        write!(f, "{}: {}", self.name, bounds.join(", "))?;
        if !self.tables.is_empty() {
            let tables: Vec<String> = self
                .tables
                .iter()
                .map(|(name, write)| if *write { name.clone() } else { format!("{name} (read)") })
                .collect();
            write!(f, "; touches {}", tables.join(", "))?;
        }
        write!(f, "; proved {}, run-time checks {}", self.proved, self.checks)
    }
}

/// The costs of all functions of a deployed module, in order.
pub fn costs(unit: &Unit, proofs: &Proofs) -> Vec<Cost> {
    let module = &unit.module;
    let tables = table_names(unit);
    let mut all = Vec::new();
    for (n, (function, info)) in module.functions.iter().zip(&unit.functions).enumerate() {
        let bounds = DIMENSIONS.iter().zip(&info.bound.0).filter(|(_, poly)| !poly.terms().is_empty());
        let mut touched: Vec<(String, bool)> = Vec::new();
        for (table, write) in &info.tables {
            let name =
                tables.get(&(table.lineage, table.index)).cloned().unwrap_or_else(|| format!("table {}", table.index));
            touched.push((name, *write));
        }
        all.push(Cost {
            name: function.name.to_string(),
            kind: function.kind,
            bounds: bounds.map(|(what, poly)| (*what, polynomial(poly, function))).collect(),
            tables: touched,
            proved: proofs.functions.get(n).map_or(0, Vec::len),
            checks: function.blocks.iter().flat_map(|b| &b.ops).filter(|op| is_check(op)).count(),
        });
    }
    all
}

fn is_check(op: &Op) -> bool {
    matches!(op, Op::Check { .. } | Op::Require { .. })
}

/// Names of the tables and protocols of a module and all that it imports.
fn table_names(unit: &Unit) -> BTreeMap<(hopper::ir::Lineage, u16), String> {
    let mut names = BTreeMap::new();
    let mut add = |unit: &Unit, prefix: &str| {
        let Module { tables, protocols, .. } = &unit.module;
        for (n, table) in tables.iter().enumerate() {
            names.insert((unit.lineage, n as u16), format!("{prefix}{}", table.name));
        }
        for (n, protocol) in protocols.iter().enumerate() {
            names.insert((unit.lineage, INSTANCES + n as u16), format!("{prefix}{}", protocol.name));
        }
    };
    let mut open: Vec<std::sync::Arc<Unit>> = unit.imports.clone();
    while let Some(import) = open.pop() {
        add(&import, &format!("{}.", import.module.name));
        open.extend(import.imports.iter().cloned());
    }
    add(unit, "");
    names
}

/// `61 + 52*len(reg)`
fn polynomial(poly: &Poly<Size>, function: &Function) -> String {
    let size = |size: &Size| {
        let name = |n: &u16| function.params.get(usize::from(*n)).map_or("?", |p| p.name.as_str());
        match size {
            Size::Length(n) => format!("len({})", name(n)),
            Size::Value(n) => name(n).to_owned(),
        }
    };
    let term = |(vars, factor): &(Vec<Size>, u64)| {
        let mut parts: Vec<String> = vars.iter().map(size).collect();
        if *factor != 1 || parts.is_empty() {
            parts.insert(0, factor.to_string());
        }
        parts.join("*")
    };
    poly.terms().iter().map(term).collect::<Vec<_>>().join(" + ")
}

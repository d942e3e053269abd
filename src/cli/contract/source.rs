//! Modules in files, made ready for the ledger.

use std::path::Path;

use hopper::cost::dimension;
use hopper::ir::{FunctionKind, Module, ModuleId, Proofs};
use hopper::library::{Library, Unit};
use hopper::verify;
use hopperc::{asm, elaborate};

use crate::cli::CliError;

/// A module with its proofs, verified here as the replicas will.
pub(crate) struct Built {
    pub module: Module,
    pub proofs: Proofs,
    pub report: Vec<String>,
}

/// The ids of the modules that a text names, so that they can be fetched before it is read: `#` and 64 hexadecimal digits.
pub(crate) fn mentioned(text: &str) -> Vec<ModuleId> {
    let id = |part: &str| part.get(..64).and_then(|hex| hex.parse().ok()).map(ModuleId);
    text.split('#').skip(1).filter_map(id).collect()
}

/// Reads a file of textual IR.
///
/// # Errors
/// Where it is wrong, and why.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    if path.extension().is_none_or(|e| e != "hir") {
        return Err(CliError::new(format!("{}: expected a file of textual IR, with the ending .hir", path.display())));
    }
    std::fs::read_to_string(path).map_err(|e| CliError::new(format!("{}: {e}", path.display())))
}

/// Assembles, proves and verifies a module over those that are there.
///
/// # Errors
/// Where it is wrong, and why.
pub(crate) fn build(path: &Path, text: &str, library: &Library) -> Result<Built, CliError> {
    let wrong = |e: &dyn std::fmt::Display| CliError::new(format!("{}: {e}", path.display()));
    let known = |id: &ModuleId| library.units.get(id).map(|u| u.module.clone());
    let module = asm::assemble_with(text, &known).map_err(|e| wrong(&e))?;
    let proofs = elaborate::elaborate(library, &module).map_err(|e| wrong(&e))?;
    let mut library = library.clone();
    let unit = verify::deploy(&mut library, module.clone(), &proofs).map_err(|e| wrong(&e))?;
    Ok(Built { module, proofs, report: report(&unit) })
}

/// What each function costs at most and touches.
fn report(unit: &Unit) -> Vec<String> {
    let kind = |kind| match kind {
        FunctionKind::Private => None,
        FunctionKind::Public => Some("public fn"),
        FunctionKind::Action => Some("action"),
        FunctionKind::View => Some("view"),
    };
    let mut lines = Vec::new();
    for (function, info) in unit.module.functions.iter().zip(&unit.functions) {
        let Some(kind) = kind(function.kind) else { continue };
        let name = |n: u16| function.params.get(usize::from(n)).map_or("?", |p| p.name.as_str());
        let bound = |at: usize| {
            let terms = info.bound.0[at].terms();
            let term = |(vars, factor): &(Vec<hopper::bound::Size>, u64)| {
                let vars = vars.iter().map(|v| match v {
                    hopper::bound::Size::Length(n) => format!("|{}|", name(*n)),
                    hopper::bound::Size::Value(n) => name(*n).to_owned(),
                });
                let vars: Vec<String> = vars.collect();
                match (vars.is_empty(), factor) {
                    (true, n) => n.to_string(),
                    (false, 1) => vars.join("*"),
                    (false, n) => format!("{n}*{}", vars.join("*")),
                }
            };
            let terms: Vec<String> = terms.iter().map(term).collect();
            if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
        };
        lines.push(format!(
            "{kind} {}: steps <= {}, reads <= {}, writes <= {}",
            function.name,
            bound(dimension::STEPS),
            bound(dimension::READS),
            bound(dimension::WRITES)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_text_are_found() {
        let id = "ab".repeat(32);
        let text = format!("module m\nreplaces #{id}\nimport a = #{id}\n# #12 #ä");
        assert_eq!(mentioned(&text), vec![ModuleId(id.parse().unwrap()); 2]);
    }
}

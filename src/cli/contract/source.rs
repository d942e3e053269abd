//! Modules in files, made ready for the ledger: contracts (`.hop`) and textual IR (`.hir`).

use std::path::{Path, PathBuf};

use hopper::ir::{Module, ModuleId, Proofs};
use hopper::library::Library;
use hopper::verify;
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::{Cost, Heading, compile, costs, heading};
use hopperc::{asm, elaborate};

use crate::cli::CliError;

/// A module with its proofs, verified here as the replicas will.
pub(crate) struct Built {
    pub module: Module,
    pub proofs: Proofs,
    /// What its functions cost, touch and rest on.
    pub costs: Vec<Cost>,
}

/// The ids of the modules that a text names, so that they can be fetched before it is read: `#` and 64 hexadecimal digits.
pub(crate) fn mentioned(text: &str) -> Vec<ModuleId> {
    let id = |part: &str| part.get(..64).and_then(|hex| hex.parse().ok()).map(ModuleId);
    text.split('#').skip(1).filter_map(id).collect()
}

/// The name of a file's module, and those that it imports without an id: textual IR names all by id.
pub(crate) fn heading_of(file: &SourceFile) -> Heading {
    let heading = heading(&file.text);
    if is_ir(file) { Heading { imports: Vec::new(), ..heading } } else { heading }
}

/// Reads contracts, and modules as textual IR.
///
/// # Errors
/// Which file cannot be read, or has another ending.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<SourceFile>, CliError> {
    read_as(paths, &["hop", "hir"], "expected a contract (.hop) or textual IR (.hir)")
}

/// Reads contracts.
///
/// # Errors
/// Which file cannot be read, or is no contract.
pub(crate) fn contracts(paths: &[PathBuf]) -> Result<Vec<SourceFile>, CliError> {
    read_as(paths, &["hop"], "expected a contract, with the ending .hop")
}

fn read_as(paths: &[PathBuf], endings: &[&str], expected: &str) -> Result<Vec<SourceFile>, CliError> {
    let one = |path: &PathBuf| {
        let name = path.display().to_string();
        if !path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
            return Err(CliError::new(format!("{name}: {expected}")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| CliError::new(format!("{name}: {e}")))?;
        Ok(SourceFile { name, text })
    };
    paths.iter().map(one).collect()
}

fn is_ir(file: &SourceFile) -> bool {
    Path::new(&file.name).extension().is_some_and(|e| e == "hir")
}

/// Compiles or assembles, proves and verifies modules over those that are there; in an order in which they can be deployed.
///
/// # Errors
/// Where one is wrong, why, and how to mend it.
pub(crate) fn build(files: &[SourceFile], library: &Library, color: bool) -> Result<Vec<Built>, CliError> {
    let mut library = library.clone();
    let mut built = Vec::new();
    for file in files.iter().filter(|f| is_ir(f)) {
        let wrong = |e: &dyn std::fmt::Display| CliError::new(format!("{}: {e}", file.name));
        let known = |id: &ModuleId| library.units.get(id).map(|u| u.module.clone());
        let module = asm::assemble_with(&file.text, &known).map_err(|e| wrong(&e))?;
        let proofs = elaborate::elaborate(&library, &module).map_err(|e| wrong(&e))?;
        let unit = verify::deploy(&mut library, module.clone(), &proofs).map_err(|e| wrong(&e))?;
        built.push(Built { costs: costs(&unit, &proofs), module, proofs });
    }
    let contracts: Vec<SourceFile> = files.iter().filter(|f| !is_ir(f)).cloned().collect();
    let compiled = compile(&contracts, &library).map_err(|wrong| {
        CliError::new(format!("it does not hold\n{}", render(&contracts, &wrong, color).trim_end()))
    })?;
    built.extend(compiled.into_iter().map(|c| Built { module: c.module, proofs: c.proofs, costs: c.costs }));
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_names_is_found() {
        let id = "ab".repeat(32);
        let text =
            format!("module m\nreplaces #{id}\nimport a = #{id}\nimport bank.cash (Coin)\n import x.y\n-- #12 #ä");
        assert_eq!(mentioned(&text), vec![ModuleId(id.parse().unwrap()); 2]);
        let file = |ending: &str| SourceFile { name: format!("m.{ending}"), text: text.clone() };
        let heading = |name: &str, imports: &[&str]| Heading {
            name: name.to_owned(),
            imports: imports.iter().map(|i| (*i).to_owned()).collect(),
        };
        assert_eq!(heading_of(&file("hop")), heading("m", &["bank.cash", "x.y"]));
        assert_eq!(heading_of(&file("hir")), heading("m", &[]));
    }

    #[test]
    fn the_library_of_contracts_stands_on_the_ledgers_money() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/hopperc/lib");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.retain(|p| !p.ends_with("cash.hop"));
        paths.sort();
        let files = read(&paths).unwrap();
        let built = build(&files, &ledger::cash::library(), false).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(built.len(), files.len());
        let on_cash = built.iter().filter(|b| b.module.imports.contains(&ledger::cash::id())).count();
        assert!(on_cash >= 5, "{on_cash}");
    }
}

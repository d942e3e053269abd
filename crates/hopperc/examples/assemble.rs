//! Assembles a module of textual IR that imports nothing, proves it, and writes its canonical bytes and its proofs:
//! `assemble bank.cash.hir` writes `bank.cash.module` and `bank.cash.proofs` beside it.

use std::path::Path;
use std::process::ExitCode;

use hopper::library::Library;
use hopper::verify;
use hopperc::{asm, elaborate};
use wire::Encode;

fn run(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let module = asm::assemble(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut library = Library::default();
    let proofs = elaborate::elaborate(&library, &module).map_err(|e| format!("{}: {e}", path.display()))?;
    verify::deploy(&mut library, module.clone(), &proofs).map_err(|e| format!("{}: {e}", path.display()))?;
    for (extension, bytes) in [("module", module.to_bytes()), ("proofs", proofs.to_bytes())] {
        let to = path.with_extension(extension);
        std::fs::write(&to, bytes).map_err(|e| format!("{}: {e}", to.display()))?;
    }
    Ok(format!(
        "{} {}: {} bytes, proofs {} bytes",
        module.name,
        module.id().0,
        module.to_bytes().len(),
        proofs.to_bytes().len()
    ))
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: assemble FILE.hir");
        return ExitCode::from(2);
    };
    match run(Path::new(&path)) {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

//! The module that every ledger has from genesis is what its text says.

use std::path::Path;

use hopper::ir::Module;
use hopper::library::Library;
use hopperc::{asm, elaborate};
use wire::Encode;

#[test]
fn the_bytes_are_those_of_the_text() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/cash");
    let text = std::fs::read_to_string(at.join("bank.cash.hir")).unwrap();
    let module = asm::assemble(&text).unwrap();
    let proofs = elaborate::elaborate(&Library::default(), &module).unwrap();
    let again = "make them anew: cargo run -p hopperc --example assemble -- crates/ledger/cash/bank.cash.hir";
    assert!(std::fs::read(at.join("bank.cash.module")).unwrap() == module.to_bytes(), "{again}");
    assert!(std::fs::read(at.join("bank.cash.proofs")).unwrap() == proofs.to_bytes(), "{again}");
    assert_eq!(asm::assemble(&asm::print(&module)).unwrap(), Module::read(&module.to_bytes()).unwrap());
}

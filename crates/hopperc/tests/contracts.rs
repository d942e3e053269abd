//! The contracts of the library: each is laid out, compiles, is proved, and verified.

use std::time::{Duration, Instant};

use hopper::library::Library;
use hopper::verify::deploy;
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::{Compiled, compile};
use hopperc::syntax::{format, parse};

fn sources() -> Vec<SourceFile> {
    let folder = format!("{}/lib", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let read = |path: std::path::PathBuf| SourceFile {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    files.into_iter().filter(|p| p.extension().is_some_and(|e| e == "hop")).map(read).collect()
}

fn compiled(sources: &[SourceFile]) -> Vec<Compiled> {
    match compile(sources, &Library::default()) {
        Ok(all) => all,
        Err(told) => panic!("{}", render(sources, &told, false)),
    }
}

#[test]
fn all_compile_and_are_proved_in_two_seconds() {
    let sources = sources();
    let begin = Instant::now();
    let all = compiled(&sources);
    let took = begin.elapsed();
    println!("{} contracts in {took:?}", all.len());
    assert_eq!(all.len(), sources.len());
    assert!(took < Duration::from_secs(2), "{took:?}");
    // What comes out stands on its own: replicas judge it again, from its bytes.
    let mut library = Library::default();
    for one in &all {
        let module = hopper::ir::Module::read(&wire::Encode::to_bytes(&one.module)).unwrap();
        let proofs = hopper::ir::Proofs::read(&wire::Encode::to_bytes(&one.proofs)).unwrap();
        deploy(&mut library, module, &proofs).unwrap();
    }
}

/// The contracts, and a file with every form of the language.
fn with_everything() -> Vec<SourceFile> {
    let mut all = sources();
    let path = format!("{}/tests/features/everything.hop", env!("CARGO_MANIFEST_DIR"));
    all.push(SourceFile { name: "everything.hop".to_owned(), text: std::fs::read_to_string(path).unwrap() });
    all
}

#[test]
fn every_form_compiles() {
    let sources = with_everything();
    let all = compiled(&sources);
    let everything = all.iter().find(|c| c.module.name.as_str() == "test.everything").unwrap();
    // Places for tools: one for each operation and each end.
    assert_eq!(everything.debug.len(), everything.module.functions.len());
    for (function, place) in everything.module.functions.iter().zip(&everything.debug) {
        assert_eq!(function.name.as_str(), place.name);
        let counts: Vec<usize> = function.blocks.iter().map(|b| b.ops.len() + 1).collect();
        assert_eq!(place.blocks.iter().map(Vec::len).collect::<Vec<_>>(), counts, "{}", place.name);
    }
}

#[test]
fn all_are_laid_out() {
    for source in with_everything() {
        let parsed = parse(&source.text);
        assert_eq!(parsed.errors, Vec::new(), "{}", source.name);
        let once = format(&parsed.root());
        assert!(once == source.text, "{}: not laid out", source.name);
        assert_eq!(format(&parse(&once).root()), once);
    }
}

#[test]
fn what_they_cost() {
    let all = compiled(&sources());
    let mut text = String::new();
    for one in all {
        text.push_str(&format!("{}\n", one.module.name));
        for cost in &one.costs {
            text.push_str(&format!("  {cost}\n"));
        }
    }
    insta::assert_snapshot!(text);
}

/// What a contract becomes, for the reader of the intermediate representation.
#[test]
fn an_escrow_as_it_is_stored() {
    let all = compiled(&sources());
    let known = |id: &hopper::ir::ModuleId| all.iter().map(|c| &c.module).find(|m| m.id() == *id).cloned();
    let escrow = all.iter().find(|c| c.module.name.as_str() == "trade.escrow").unwrap();
    let text = hopperc::asm::print_with(&escrow.module, &known);
    assert_eq!(hopperc::asm::assemble_with(&text, &known).as_ref(), Ok(&escrow.module));
    // The id of the import is the hash of another file.
    let hex: String = escrow.module.imports[0].0.0.iter().map(|b| format!("{b:02x}")).collect();
    insta::assert_snapshot!(text.replace(&hex, "<cash>"));
}

/// Each check of each contract, left out: those that proofs rest on are missed by the compiler, which offers them again; the others
/// are the author's will, and only a run shows that they are gone.
#[test]
fn which_checks_proofs_rest_on() {
    let all = sources();
    let mut text = String::new();
    for (n, source) in all.iter().enumerate() {
        for line in source.text.lines().filter(|l| l.trim_start().starts_with("check ")) {
            let mut less = all.clone();
            less[n].text = source.text.replacen(&format!("{line}\n"), "", 1);
            let verdict = match compile(&less, &Library::default()) {
                Ok(_) => "the author's".to_owned(),
                Err(told) => {
                    assert!(told.iter().all(|one| one.span.file == n), "{}", render(&less, &told, false));
                    told.iter().map(|one| one.label.clone()).collect::<Vec<_>>().join("; ")
                }
            };
            text.push_str(&format!("{}: {} -- {verdict}\n", source.name, line.trim()));
        }
    }
    insta::assert_snapshot!(text);
}

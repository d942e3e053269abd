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

#[test]
fn all_are_laid_out() {
    for source in sources() {
        let parsed = parse(&source.text);
        assert_eq!(parsed.errors, Vec::new(), "{}", source.name);
        let once = format(&parsed.root());
        assert_eq!(once, source.text, "{}: not laid out", source.name);
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

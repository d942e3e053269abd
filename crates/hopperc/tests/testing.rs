//! The runner of tests: the contracts of the library have tests that pass; what fails is told with its place.

use hopperc::diagnostic::{SourceFile, render};
use hopperc::testing::{Report, Test, run};

fn read(path: &std::path::Path) -> SourceFile {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    SourceFile { name, text: std::fs::read_to_string(path).unwrap() }
}

fn library() -> Vec<SourceFile> {
    let folder = format!("{}/lib", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files.iter().filter(|p| p.extension().is_some_and(|e| e == "hop")).map(|p| read(p)).collect()
}

#[track_caller]
fn report(sources: &[SourceFile]) -> Report {
    run(sources).unwrap_or_else(|told| panic!("{}", render(sources, &told, false)))
}

fn told(sources: &[SourceFile], test: &Test) -> String {
    render(sources, &test.told, false)
}

#[test]
fn the_contracts_pass_their_tests() {
    let sources = library();
    let report = report(&sources);
    let failed: String = report.tests.iter().map(|test| told(&sources, test)).collect();
    assert!(failed.is_empty(), "{failed}");
    for (n, source) in sources.iter().enumerate() {
        let tests = report.tests.iter().filter(|t| t.span.file == n).count();
        let functions = report.functions.iter().filter(|f| f.span.file == n);
        let (ran, all) = functions.fold((0, 0), |(ran, all), f| (ran + f.ran, all + f.places));
        println!("{}: {tests} tests, {} %", source.name, ran * 100 / all);
        for f in report.functions.iter().filter(|f| f.span.file == n && f.ran < f.places) {
            println!("  {} {} %, not {:?}, partly {:?}", f.name, f.percent(), f.missed, f.partly);
        }
        assert!(tests > 0, "{} has no test", source.name);
        assert!(ran * 100 >= all * 60, "{}: {ran} of {all} places run", source.name);
    }
}

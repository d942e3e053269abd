//! The runner of tests: the contracts of the library have tests that pass; what fails is told with its place.

use hopper::library::Library;
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
    run(sources, &Library::default(), &|_| true).unwrap_or_else(|told| panic!("{}", render(sources, &told, false)))
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

/// Whatever is not as expected is told, with the place.
#[test]
fn what_fails_is_told() {
    let text = r#"module m
error Low { n: Nat8 }, Other
event Put { n: Nat8 }
asset Coin { amount: Nat8 } conserves amount
record Row { coin: Coin, who: Party }
table rows: Party -> Row

action put_in(p: Party, n: Nat8) -> Nat8 by p
  mints Coin
= {
  check n > 1 else Low { n }
  insert rows[p] = Row { coin: mint(Coin, n), who: p }
  emit Put { n }
  n
}

action never(p: Party) by @clerk
= change rows[p] as r {
  put r with { who: p }
}

view has(p: Party) -> Bool
= exists rows[p]

test "good" {
  as @a do put_in(@a, 5)
  expect view has(@a)
  expect result 5
}
test "refused" {
  as @a do put_in(@a, 1)
  expect result 5
}
test "not refused" {
  as @a do put_in(@a, 2) fails
}
test "other reason" {
  as @a do put_in(@a, 1) fails Low { n: 1 }
  as @b do put_in(@a, 1) fails Unauthorized
  as @a do put_in(@a, 1) fails Other
}
test "other fields" {
  as @a do put_in(@a, 1) fails Low { n: 2 }
}
test "other expectations" {
  let n = as @a do put_in(@a, 5)
  expect result 6
  expect result n
  expect view has(@b)
  expect view has(@a) == false
  expect conserved Coin
  expect event Put { n: 6 }
  expect diff { rows[@b]: new, rows[@a].who: @a -> @b }
  expect diff { rows[@a]: new Row { coin: Coin { amount: 6 }, who: @a } }
  expect diff { rows[@a]: gone }
  expect diff { .. }
  expect diff { rows[@a]: new Row { coin: Coin { amount: n }, who: @a } }
}
test "an unknown action" {
  as @a do put_out(@a)
}
test "arguments" {
  as @a do put_in(@a)
}
test "a number too large" {
  as @a do put_in(@a, 256)
}
test "nothing before" {
  expect result 1
}
test "no such role" {
  given role clark = @a
}
"#;
    let sources = [SourceFile { name: "m.hop".to_owned(), text: text.to_owned() }];
    let report = report(&sources);
    assert!(!report.passed());
    let mut all = String::new();
    for test in &report.tests {
        all.push_str(&format!("== {}\n", test.name));
        for step in &test.steps {
            all.push_str(&format!("{}\n   {:?} {:?}\n", step.text, step.ended, step.changes));
        }
        all.push_str(&told(&sources, test));
    }
    for f in &report.functions {
        all.push_str(&format!("{} {} %, not {:?}, partly {:?}\n", f.name, f.percent(), f.missed, f.partly));
    }
    insta::assert_snapshot!(all);
}

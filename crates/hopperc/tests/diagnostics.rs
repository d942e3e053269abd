//! What authors are told of their mistakes. Each case of `diagnostics/*.hop` is a program with one; the answers are kept as they look.
//!
//! `=== name` begins a case; what stands before the first is put before each. `$cash` imports the module of accounts.

use hopper::library::Library;
use hopper::verify::deploy;
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::compile;
use hopperc::syntax::parse;

fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A library with `bank.cash`.
fn library() -> Library {
    let mut library = Library::default();
    let cash = SourceFile { name: "cash.hop".to_owned(), text: file("lib/cash.hop") };
    for one in compile(&[cash], &library).expect("cash.hop") {
        deploy(&mut library, one.module, &one.proofs).expect("cash.hop");
    }
    library
}

/// The cases of a file, with what stands before them.
fn cases(name: &str) -> Vec<(String, String)> {
    let text = file(&format!("tests/diagnostics/{name}.hop"));
    let (head, rest) = text.split_once("=== ").expect("a case");
    let case = |case: &str| {
        let (name, body) = case.split_once('\n').unwrap_or((case, ""));
        let own = body.trim_start().starts_with("module ");
        let all = if own { body.to_owned() } else { format!("{head}{body}") };
        (name.to_owned(), all)
    };
    rest.split("\n=== ").map(case).collect()
}

fn answers(name: &str) -> String {
    let library = library();
    let mut all = String::new();
    for (case, text) in cases(name) {
        let files = [SourceFile { name: "m.hop".to_owned(), text }];
        let told = compile(&files, &library).err().unwrap_or_else(|| panic!("accepted: {case}"));
        all.push_str(&format!("=== {case}\n{}\n", render(&files, &told, false)));
    }
    all
}

#[test]
fn assets() {
    insta::assert_snapshot!(answers("assets"));
}

#[test]
fn proofs() {
    insta::assert_snapshot!(answers("proofs"));
}

#[test]
fn protocols() {
    insta::assert_snapshot!(answers("protocols"));
}

#[test]
fn names_and_types() {
    insta::assert_snapshot!(answers("names"));
}

#[test]
fn authority_and_cost() {
    insta::assert_snapshot!(answers("authority"));
}

/// The lines that are offered mend the program: each before the statement that it is about.
#[test]
fn the_check_that_is_offered_is_enough() {
    let library = library();
    let mut without = Vec::new();
    for (case, text) in cases("proofs") {
        let files = [SourceFile { name: "m.hop".to_owned(), text: text.clone() }];
        let Err(told) = compile(&files, &library) else { panic!("accepted: {case}") };
        let mut better = text.clone();
        for one in told.iter().rev() {
            let help = one.help.clone().unwrap_or_default();
            let line =
                help.split('`').nth(1).filter(|l| l.starts_with("check ") && !l.contains("...")).map(str::to_owned);
            let Some(line) = line else {
                without.push(case.clone());
                continue;
            };
            let start = better[..one.span.range.start].rfind('\n').map_or(0, |n| n + 1);
            better.insert_str(start, &format!("  {line}\n"));
        }
        if !without.contains(&case) {
            let files = [SourceFile { name: "m.hop".to_owned(), text: better }];
            let told = compile(&files, &library).err().unwrap_or_default();
            assert!(told.is_empty(), "{case}: {}", render(&files, &told, false));
        }
    }
    // A sum over a list is not to be had at run time but by a loop.
    assert_eq!(without, ["a sum over a list"]);
}

/// A version that takes something back is refused, and says what.
#[test]
fn upgrades_that_weaken() {
    let mut library = Library::default();
    let first = "module town.coins\n  governed by @town\n  upgrade additive after 1d\n\nasset Coin { amount: Nat96 } conserves amount\n\nrecord Row { bal: Coin }\n\ntable rows: Party -> Row\n\naction issue(p: Party, n: Nat96) by @mint\n  mints Coin\n= insert rows[p] = Row { bal: mint(Coin, n) }\n";
    let files = [SourceFile { name: "coins.hop".to_owned(), text: first.to_owned() }];
    let one = compile(&files, &library).unwrap().remove(0);
    let id = one.module.id();
    deploy(&mut library, one.module, &one.proofs).unwrap();
    let hex: String = id.0.0.iter().map(|b| format!("{b:02x}")).collect();
    let later = first.replace("  upgrade", &format!("  replaces #{hex}\n  upgrade"));
    let more = format!("{later}\nview has(p: Party) -> Bool\n= exists rows[p]\n");
    let good = [SourceFile { name: "coins.hop".to_owned(), text: more }];
    assert!(compile(&good, &library).is_ok());
    let mut all = String::new();
    for (what, text) in [
        ("anyone may issue", later.replace("by @mint", "by Any[p, @mint]")),
        (
            "another way to mint",
            format!(
                "{later}\naction forge(p: Party) by p\n  mints Coin\n= insert rows[p] = Row {{ bal: mint(Coin, 1) }}\n"
            ),
        ),
        ("an action is gone", later.replace("action issue", "action grant")),
    ] {
        let files = [SourceFile { name: "coins.hop".to_owned(), text }];
        let told = compile(&files, &library).err().unwrap_or_else(|| panic!("accepted: {what}"));
        // The id is cut: it is a hash of all that is in the file.
        all.push_str(&format!("=== {what}\n{}\n", render(&files, &told, false).replace(&hex, "<id>")));
    }
    insta::assert_snapshot!(all);
}

/// What the verifier says of modules that no checked program becomes.
const OWN: [&str; 12] = [
    "is not in scope",
    "blocks must be numbered",
    "an operand has another type",
    "another type than",
    "variable ",
    "is wanted",
    "a type may use types before it",
    "ascending order",
    "given, ",
    "differ from what the body does",
    "a ghost is used",
    "no value of its type",
];

/// Whatever a file holds, the answer is a module or a diagnostic.
#[test]
fn pieces_of_contracts_never_end_in_a_panic() {
    use proptest::prelude::*;
    let library = library();
    let texts: Vec<String> =
        ["cash", "escrow", "bond", "deed", "library"].iter().map(|n| file(&format!("lib/{n}.hop"))).collect();
    let tokens: Vec<Vec<String>> =
        texts.iter().map(|t| hopperc::syntax::lex(t).iter().map(|l| l.text.to_owned()).collect()).collect();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: std::env::var("HOPPERC_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500),
        ..ProptestConfig::default()
    });
    let strategy = (
        0..tokens.len(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3u8), 1..4),
    );
    runner
        .run(&strategy, |(which, changes)| {
            let mut all = tokens[which].clone();
            for (at, other, how) in changes {
                let (at, other) = (at.index(all.len()), other.index(all.len()));
                match how {
                    0 => drop(all.remove(at)),
                    1 => all[at] = all[other].clone(),
                    _ => all.insert(at, all[other].clone()),
                }
            }
            let text = all.concat();
            prop_assert_eq!(parse(&text).root().text().to_string(), text.as_str());
            let files = [SourceFile { name: "m.hop".to_owned(), text }];
            if let Err(told) = compile(&files, &library) {
                prop_assert!(!told.is_empty());
                let _ = render(&files, &told, false);
                // What the checker should have seen itself is not left to the verifier.
                for one in &told {
                    let verifier = one.label.starts_with("in function `");
                    let own = OWN.iter().filter(|_| verifier).find(|own| one.message.contains(**own));
                    prop_assert_eq!(own, None, "{}\n{}", render(&files, &told, false), files[0].text);
                }
            }
            Ok(())
        })
        .unwrap();
}

/// Long chains, deep nests and many names are refused or compiled, and never overflow the stack.
#[test]
fn large_programs_are_told_of() {
    let library = Library::default();
    let said = |text: String| compile(&[SourceFile { name: "m.hop".to_owned(), text }], &library).err();
    let body = |inner: &str| format!("module m\nfn f(a: Nat64) -> Nat64\n= {inner}\n");
    assert_eq!(said(body(&format!("a{}", " + a".repeat(150)))), None);
    assert_eq!(said(body(&format!("{}a{}", "(".repeat(45), ")".repeat(45)))), None);
    let deep = format!("{}a{}", "if a > 1 { ".repeat(30), " } else { 1 }".repeat(30));
    assert_eq!(said(body(&deep)), None);
    let tall = format!("{}a{}", "(a + ".repeat(20), ")".repeat(20));
    assert_eq!(said(body(&format!("{tall}{}", " + a".repeat(100)))), None);
    let requires = format!("module m\nfn f(a: Nat64)\n  requires {}a > 0\n= ()\n", "a > 0 && ".repeat(100));
    assert!(said(requires).is_some_and(|told| told[0].message.contains("propositions")));
    let many: String = (0..2_000).map(|n| format!("  let x{n} = a\n  let y{n} = x{n} + 1\n")).collect();
    assert!(said(body(&format!("{{\n{many}  a\n}}"))).is_some_and(|told| told[0].message.contains("at hand")));
    let fields: String = (0..70_000).map(|n| format!("a{n}: Nat8,")).collect();
    assert!(said(format!("module m\nrecord R {{ {fields} }}\n")).is_some());
    let fields: String = (0..100).map(|n| format!("a{n}: Nat8,")).collect();
    assert!(said(format!("module m\nrecord R {{ {fields} }}\n")).is_some());
    assert!(said(format!("module m\nfn f({fields})\n= ()\n")).is_some());
    let types = "(".repeat(45) + "Nat8, Nat8" + &", Nat8)".repeat(45);
    assert!(said(format!("module m\nfn f(a: {types})\n= ()\n")).is_some());
    let calls: String = (0..300).map(|n| format!("fn f{n}(a: Nat64) -> Nat64\n= f{}(a)\n", n + 1)).collect();
    assert!(said(format!("module m\n{calls}fn f300(a: Nat64) -> Nat64\n= a\n")).is_some());
    // Arms for all variants inside arms for all variants would be a function without end.
    let variants: Vec<String> = (0..40).map(|n| format!("V{n}")).collect();
    let nested = format!("{}a{}", "match e { _ => ".repeat(12), " }".repeat(12));
    let text = format!("module m\nenum E {{ {} }}\nfn f(e: E, a: Nat64) -> Nat64\n= {nested}\n", variants.join(", "));
    assert!(said(text).is_some_and(|told| told[0].message.contains("branches")));
    for constant in ["A", "B + 1", "f()", "{ 1 }"] {
        let text = format!("module m\nconst A: Nat64 = {constant}\nfn f() -> Nat64\n= A\n");
        assert!(said(text).is_some_and(|told| told[0].message.contains("literal")));
    }
    for text in
        ["", "module", "module m", "\u{0}", "module m\nmodule n", "import a", "module 5", "module a.b.c\nimport a.b.c"]
    {
        let _ = said(text.to_owned());
    }
}

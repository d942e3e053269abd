//! The examples of `docs/hopper`: what is shown as right compiles, what is shown as wrong is told as shown.
//!
//! With `UPDATE_DOCS=1` the texts shown are written anew.

use std::path::{Path, PathBuf};

use hopper::ir::{Module, Proofs};
use hopper::library::Library;
use hopper::verify;
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::{Compiled, compile};
use hopperc::testing;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The ledger's money, as contracts find it.
fn library() -> Library {
    let at = root().join("crates/ledger/cash");
    let module = Module::read(&std::fs::read(at.join("bank.cash.module")).unwrap()).unwrap();
    let proofs = Proofs::read(&std::fs::read(at.join("bank.cash.proofs")).unwrap()).unwrap();
    let mut library = Library::default();
    verify::deploy(&mut library, module, &proofs).unwrap();
    library
}

/// The library's accounts, with a test of a page in place of their own.
fn cash_and(test: &str) -> String {
    let text = std::fs::read_to_string(root().join("crates/hopperc/lib/cash.hop")).unwrap();
    let end = text.find("\ntest ").unwrap_or(text.len());
    format!("{}\n{test}", &text[..end])
}

/// A fenced block: what stands after the fence, its lines, and where they stand.
struct Block {
    mark: String,
    text: String,
    lines: std::ops::Range<usize>,
}

fn blocks(page: &str) -> Vec<Block> {
    let lines: Vec<&str> = page.lines().collect();
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (n, line) in lines.iter().enumerate() {
        let Some(mark) = line.strip_prefix("```") else { continue };
        match open.take() {
            None => open = Some((n + 1, mark.to_owned())),
            Some((start, mark)) => {
                found.push(Block { mark, text: lines[start..n].join("\n") + "\n", lines: start..n });
            }
        }
    }
    found
}

fn check(page: &str) {
    let path = root().join("docs/hopper").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut deployed = library();
    let mut last: Option<Result<Compiled, String>> = None;
    let (mut first, mut first_id) = (String::new(), String::new());
    let mut shown: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let mut right = 0;
    for block in blocks(&text) {
        match block.mark.as_str() {
            "hopper" | "hopper wrong" => {
                let whole = match block.text.split_whitespace().next() {
                    Some("module") => block.text.clone(),
                    // A part of a contract, which the page shows without its head.
                    Some("protocol") => format!("module part.of\nimport bank.cash (Coin, debit)\n{}", block.text),
                    _ => {
                        let files = [SourceFile { name: "cash.hop".to_owned(), text: cash_and(&block.text) }];
                        let report = testing::run(&files, &Library::default(), &|_| true);
                        let report = report.unwrap_or_else(|e| panic!("{page}: {}", render(&files, &e, false)));
                        let told: String = report.tests.iter().map(|t| render(&files, &t.told, false)).collect();
                        assert!(report.passed() && !report.tests.is_empty(), "{page}: {told}");
                        continue;
                    }
                };
                let source = whole.replace("#JAR", &format!("#{first_id}"));
                let files = [SourceFile { name: "jar.hop".to_owned(), text: source }];
                let result = compile(&files, &deployed).map(|mut all| all.remove(0));
                let result = result.map_err(|wrong| render(&files, &wrong, false));
                if block.mark == "hopper" {
                    let compiled = result.clone().unwrap_or_else(|e| panic!("{page}: {e}\n{}", block.text));
                    if first_id.is_empty() && page == "tour.md" {
                        first.clone_from(&block.text);
                        first_id = compiled.module.id().0.to_string();
                        verify::deploy(&mut deployed, compiled.module.clone(), &compiled.proofs).unwrap();
                    }
                    right += 1;
                }
                last = Some(result);
            }
            "hopper test" => {
                let files = [SourceFile { name: "jar.hop".to_owned(), text: format!("{first}\n{}", block.text) }];
                let report = testing::run(&files, &library(), &|_| true);
                let report = report.unwrap_or_else(|e| panic!("{page}: {}", render(&files, &e, false)));
                let told: String = report.tests.iter().map(|t| render(&files, &t.told, false)).collect();
                assert!(report.passed() && !report.tests.is_empty(), "{page}: {told}");
                assert!(report.functions.iter().all(|f| f.ran == f.places), "{page}: the test covers it all");
            }
            "text" | "costs" => {
                let told = match (block.mark.as_str(), &last) {
                    ("costs", Some(Ok(compiled))) => {
                        compiled.costs.iter().map(|c| format!("{c}\n")).collect::<String>()
                    }
                    ("text", Some(Err(why))) => why.clone(),
                    ("text", Some(Ok(_))) => panic!("{page}: this should be wrong"),
                    _ => continue,
                };
                let told: String = told.trim_end().lines().map(|l| l.trim_end().to_owned() + "\n").collect();
                shown.push((block.lines, told));
                last = None;
            }
            _ => {}
        }
    }
    assert!(right > 0, "{page} has no example");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        for (range, told) in shown.into_iter().rev() {
            lines.splice(range, told.lines().map(str::to_owned));
        }
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        return;
    }
    for (range, told) in shown {
        let is = lines[range].join("\n") + "\n";
        assert_eq!(is, told, "{page}: UPDATE_DOCS=1 cargo test -p hopperc --test docs writes what is told now");
    }
}

#[test]
fn the_tour() {
    check("tour.md");
}

#[test]
fn the_reference() {
    check("reference.md");
}

#[test]
fn the_page_on_ownership() {
    check("ownership.md");
}

//! The tools of the contract language as processes; no cluster is needed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod common;
use common::juno;

fn library(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/hopperc/lib").join(name).display().to_string()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// The exit code, and each of the words in what was printed.
#[track_caller]
fn expect(args: &[&str], expected: i32, words: &[&str]) -> String {
    let (code, text) = juno(args);
    let text = plain(&text);
    let missing = words.iter().find(|w| !text.contains(**w));
    assert!(code == expected && missing.is_none(), "{code}, expected {expected}: {missing:?} is not in\n{text}");
    text
}

#[test]
fn tests_of_contracts_pass_and_fail() {
    let (cash, escrow) = (library("cash.hop"), library("escrow.hop"));
    let text = expect(
        &["contract", "test", &cash, &escrow],
        0,
        &[
            "pass transfer moves exactly n",
            "pass the buyer releases, and pays no fee",
            "6 passed, 0 failed",
            "coverage",
        ],
    );
    assert!(!text.contains("FAIL") && !text.contains("->"), "{text}");
    expect(
        &["contract", "test", &cash, "--only", "moves exactly", "--diffs"],
        0,
        &[
            "as @alice do transfer(@alice, @bob, 30) (",
            "bank.cash accounts[alice].bal.amount: 100 -> 70",
            "bank.cash Transferred { from: alice, to: bob, n: 30 }",
            "1 passed, 0 failed",
            "0 %    approve",
            "not run: lines",
        ],
    );
    let dvp = escrow.replace("escrow.hop", "dvp.hop");
    expect(&["contract", "test", &dvp], 2, &["no module `fi.multi` is deployed", "nothing was run"]);
    expect(&["contract", "test", "nowhere.hop"], 2, &["nowhere.hop: "]);
    expect(&["contract", "test", "Cargo.toml"], 2, &["expected a contract, with the ending .hop"]);

    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("wrong.hop");
    let text = std::fs::read_to_string(&cash).unwrap().replace("100 -> 70", "100 -> 71");
    std::fs::write(&file, text).unwrap();
    expect(
        &["contract", "test", file.to_str().unwrap(), "--brief"],
        1,
        &[
            "FAIL transfer moves exactly n",
            "bank.cash accounts[alice].bal.amount: 100 -> 70",
            "it changed from 100 to 70",
            "another change was expected",
            "2 passed, 1 failed",
        ],
    );
}

#[test]
fn a_repl_reads_its_lines() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(common::exe())
        .args(["contract", "repl", &library("cash.hop")])
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "as bob\nexec open(bob)\nas treasury\nexec issue(@bob, 5)\nundo\nlocal balance(bob)\nnonsense\nquit\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = plain(&String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{text}");
    for words in ["executed at index", "bank.cash accounts[bob].bal.amount: 5 -> 0", "= some(0)"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains("write a call"), "{output:?}");
    let history = std::fs::read_to_string(home.path().join(".juno_contract_history")).unwrap();
    assert!(history.contains("exec issue(@bob, 5)"), "{history}");
}

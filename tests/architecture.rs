//! The rules of ARCHITECTURE.md that a machine can check: who depends on whom, and what the deterministic crates may use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CRATES: [(&str, &[&str]); 10] = [
    ("wire", &[]),
    ("consensus", &["wire"]),
    ("store", &[]),
    ("hopper", &["wire"]),
    ("hopperc", &["hopper", "wire"]),
    ("ledger", &["hopper", "wire"]),
    ("replica", &["consensus", "ledger", "store", "wire"]),
    ("client", &["ledger", "wire"]),
    ("sim", &["client", "consensus", "ledger", "replica", "store", "wire"]),
    ("model", &[]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

#[test]
fn crates_depend_only_on_what_the_map_shows() {
    let ours: BTreeSet<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in CRATES {
        let manifest = std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let used: BTreeSet<&str> = manifest
            .get("dependencies")
            .and_then(|d| d.as_table())
            .into_iter()
            .flat_map(|d| d.keys().map(String::as_str))
            .filter(|d| ours.contains(d))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(used.is_subset(&allowed), "{name} depends on {used:?}, the map allows {allowed:?}");
    }
}

#[test]
fn deterministic_crates_use_no_clock_randomness_hash_map_float_or_io() {
    let banned = [
        "std::time",
        "Instant::now",
        "SystemTime",
        "std::net",
        "std::fs",
        "std::thread",
        "HashMap",
        "HashSet",
        " f32",
        " f64",
        "tokio",
        "rand::",
    ];
    for name in ["wire", "consensus", "hopper", "ledger", "replica"] {
        for (path, text) in sources(&root().join("crates").join(name).join("src")) {
            for (n, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                for word in banned {
                    assert!(!code.contains(word), "{}:{} uses {word}", path.display(), n + 1);
                }
            }
        }
    }
}

/// The rules have one implementation in the product, which keeps all of them; the others are the simulator's.
#[test]
fn only_the_simulator_takes_rules_out() {
    let dirs = ["wire", "consensus", "store", "ledger", "replica", "client"]
        .map(|c| root().join("crates").join(c).join("src"));
    let mut found = BTreeSet::new();
    for (path, text) in dirs.iter().chain([&root().join("src")]).flat_map(|dir| sources(dir)) {
        let at = path.strip_prefix(root()).unwrap().display().to_string();
        for line in text.lines().map(|l| l.split("//").next().unwrap_or("")) {
            if line.contains("Rules for ") {
                found.insert(format!("{at}: {}", line.trim()));
            }
        }
    }
    let expected = [
        "crates/consensus/src/rules.rs: impl Rules for Standard {",
        "crates/ledger/src/rules.rs: impl Rules for Standard {",
        "crates/replica/src/rules.rs: impl consensus::Rules for Standard {",
        "crates/replica/src/rules.rs: impl ledger::Rules for Standard {",
        "crates/replica/src/rules.rs: impl<R: consensus::Rules + ledger::Rules> Rules for R {}",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(
        !manifest.contains("crates/sim") && !manifest.contains("sim.workspace"),
        "the product does not know the simulator"
    );
}

/// The verifier of contracts keeps all its rules wherever modules are deployed: only the fuzzer has evidence that does not.
#[test]
fn only_the_fuzzer_takes_rules_of_the_verifier_out() {
    let mut found = BTreeSet::new();
    for (name, _) in CRATES {
        for (path, text) in sources(&root().join("crates").join(name).join("src")) {
            let count = text.matches("fn keeps(&self").count();
            if count > 0 {
                found.insert((path.strip_prefix(root()).unwrap().display().to_string(), count));
            }
        }
    }
    let expected = [("crates/hopper/src/verify/mod.rs", 1), ("crates/hopperc/src/fuzz/mod.rs", 1)];
    assert_eq!(found, expected.map(|(path, count)| (path.to_owned(), count)).into());
}

#[test]
fn unsafe_is_forbidden_everywhere() {
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    assert!(workspace.contains("overflow-checks = true"));
    for (name, _) in CRATES {
        let manifest = std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} takes the workspace's lints");
    }
}

#[test]
fn the_documents_that_are_named_exist() {
    for file in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for piece in text.split('`').filter(|p| p.starts_with("docs/") && p.ends_with(".md")) {
            assert!(root().join(piece).exists(), "{file} names {piece}, which is not there");
        }
    }
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(readme.contains(command), "README lacks {command}");
        assert!(ci.contains(command), ".ci/run lacks {command}");
    }
}

//! Programs that must be refused, each with the reason, and near misses that must not.
//!
//! `rejects/*.txt` hold the cases. `=== name` begins one; `reject: part of the reason` or `accept:` says what is expected,
//! `at: name` (if it is there) of which declaration; then comes text, put behind the common declarations of
//! `rejects/prelude.hir` unless it is a module of its own. `old:` and `new:` stand before the two modules of an upgrade.
//! `$end` is short for yielding a unit at the end of a block.

use hopper::ir::{Field, FunctionKind, Label, Module, ModuleId, Proof, Proofs, Ref, Step, Type, limits};
use hopper::library::Library;
use hopper::verify::deploy;
use hopperc::asm::assemble_with;
use hopperc::elaborate::elaborate;

const FILES: [&str; 9] =
    ["assets", "proofs", "authority", "effects", "operands", "forms", "guards", "upgrades", "costs"];

fn file(name: &str) -> String {
    let path = format!("{}/tests/rejects/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn read(library: &Library, text: &str) -> Result<Module, String> {
    let text = text.replace("$end", "let end = unit yield end }");
    let known = |id: &ModuleId| library.units.get(id).map(|unit| unit.module.clone());
    assemble_with(&text, &known).map_err(|e| {
        let line = text.lines().nth(e.line - 1).unwrap_or_default();
        format!("no module: {e}\n    {line}")
    })
}

/// What the verifier says: its reason if it refuses.
fn judge(library: &mut Library, module: Module) -> Result<ModuleId, String> {
    let proofs = elaborate(library, &module).map_err(|failure| failure.reject.to_string())?;
    deploy(library, module, &proofs).map(|unit| unit.id).map_err(|reject| format!("deployed: {reject}"))
}

/// A library with the module that cases import, and its id as text.
fn base() -> (Library, String) {
    let mut library = Library::default();
    let lib = read(&library, &file("lib.hir")).expect("lib.hir");
    let id = judge(&mut library, lib).expect("lib.hir");
    let digits = id.0.0.iter().map(|b| format!("{b:02x}")).collect();
    (library, digits)
}

/// The whole text of a case.
fn whole(text: &str, lib: &str) -> String {
    let prelude = file("prelude.hir");
    let own = text.trim_start().starts_with("module ");
    let all = if own { text.to_owned() } else { format!("{prelude}\n{text}") };
    all.replace("$lib", lib)
}

struct Case<'t> {
    name: &'t str,
    /// Part of the reason, if it is to be refused.
    reason: Option<&'t str>,
    at: Option<&'t str>,
    text: String,
}

fn cases(file: &str) -> Vec<Case<'_>> {
    let mut all: Vec<Case<'_>> = Vec::new();
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            all.push(Case { name, reason: None, at: None, text: String::new() });
            continue;
        }
        let Some(case) = all.last_mut() else { continue };
        if let Some(reason) = line.strip_prefix("reject: ") {
            case.reason = Some(reason);
        } else if let Some(at) = line.strip_prefix("at: ") {
            case.at = Some(at);
        } else if line != "accept:" {
            case.text.push_str(line);
            case.text.push('\n');
        }
    }
    all
}

/// What is wrong with how a case went.
fn run(case: &Case<'_>, library: &Library, lib: &str) -> Option<String> {
    let mut library = library.clone();
    let said = match case.text.split_once("new:\n") {
        None => read(&library, &whole(&case.text, lib)).map(|module| judge(&mut library, module)),
        Some((old, new)) => {
            let old = whole(old.trim_start().trim_start_matches("old:\n"), lib);
            let deployed = read(&library, &old).and_then(|module| judge(&mut library, module));
            deployed.and_then(|id| {
                let mut module = read(&library, &whole(new, lib))?;
                module.replaces = Some(id);
                Ok(judge(&mut library, module))
            })
        }
    };
    let said = match said {
        Ok(said) => said,
        Err(error) => return Some(error),
    };
    match (said, case.reason) {
        (Ok(_), None) => None,
        (Ok(_), Some(_)) => Some("it was accepted".to_owned()),
        (Err(said), None) => Some(format!("it was refused: {said}")),
        (Err(said), Some(reason)) => {
            let at = case.at.is_none_or(|at| said.contains(&format!("\"{at}\"")));
            (!said.contains(reason) || !at).then(|| format!("another reason: {said}\n    wanted: {reason}"))
        }
    }
}

#[test]
fn programs_are_refused_for_the_right_reason() {
    let (library, lib) = base();
    let (mut refused, mut accepted, mut wrong) = (0, 0, Vec::new());
    for name in FILES {
        let text = file(&format!("{name}.txt"));
        for case in cases(&text) {
            match run(&case, &library, &lib) {
                Some(why) => wrong.push(format!("{name}: {}\n    {why}", case.name)),
                None if case.reason.is_some() => refused += 1,
                None => accepted += 1,
            }
        }
    }
    println!("{refused} refused, {accepted} accepted");
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused >= 800 && accepted >= 180, "cases were lost: {refused} refused, {accepted} accepted");
}

/// The common declarations and some text after them.
fn module(library: &Library, lib: &str, text: &str) -> Module {
    read(library, &whole(text, lib)).expect("a module")
}

type Change = fn(&mut Module);

/// What text cannot say, or the assembler puts right.
#[allow(clippy::too_many_lines, reason = "a table")]
fn changes() -> Vec<(&'static str, Change)> {
    fn last(module: &mut Module) -> &mut hopper::ir::Function {
        module.functions.last_mut().expect("a function")
    }
    fn label(text: &str) -> Label {
        Label::new(text).expect("a label")
    }
    const MANY: usize = limits::TABLE_LEN_MAX + 1;
    vec![
        ("constants are not in ascending order", |m| m.constants.reverse()),
        ("constants are not in ascending order", |m| m.constants.push(m.constants[0].clone())),
        ("constants are not in ascending order", |m| m.constants.insert(0, m.constants[0].clone())),
        ("there is no type 999", |m| m.constants.last_mut().expect("a constant").ty = 999),
        ("the constant is no value of its type", |m| m.constants[0].bytes.push(0)),
        ("a type stands there twice", |m| m.types.push(m.types[0].clone())),
        ("a type stands there twice", |m| m.types.push(m.types[m.types.len() - 1].clone())),
        ("a type may use types before it only", |m| {
            let of = m.types.len() as u16 + 1;
            m.types.extend([Type::Option { of }, Type::Text { max: 999 }]);
        }),
        ("a type may use types before it only", |m| m.types.push(Type::Option { of: m.types.len() as u16 })),
        ("a type may use types before it only", |m| m.types.push(Type::List { of: m.types.len() as u16, max: 1 })),
        ("a type may use types before it only", |m| m.types.reverse()),
        ("there is no type", |m| m.types.push(Type::Option { of: 999 })),
        ("there is no type", |m| m.types.push(Type::Tuple { items: vec![0, 999] })),
        ("there is no type", |m| m.types.push(Type::Map { key: 0, value: 999, max: 1 })),
        ("no numbers of that width", |m| m.types.push(Type::Int { signed: false, bits: 7 })),
        ("no numbers of that width", |m| m.types.push(Type::Int { signed: false, bits: 0 })),
        ("no numbers of that width", |m| m.types.push(Type::Int { signed: false, bits: 128 })),
        ("no numbers of that width", |m| m.types.push(Type::Int { signed: true, bits: 127 })),
        ("no numbers of that width", |m| m.types.push(Type::Int { signed: true, bits: 96 })),
        ("no numbers of that width", |m| m.types.push(Type::Int { signed: true, bits: 255 })),
        ("there is no import", |m| m.types.push(Type::Record { of: Ref { scope: u16::MAX, index: 0 } })),
        ("a declared type must stand in the table", |m| {
            m.records.push(m.records[0].clone());
            m.records.last_mut().expect("a record").name = label("Other");
        }),
        ("a declared type must stand in the table", |m| {
            m.enums.push(m.enums[0].clone());
            m.enums.last_mut().expect("an enum").name = label("Other");
        }),
        ("a declared type must stand in the table", |m| {
            m.assets.push(m.assets[0].clone());
            m.assets.last_mut().expect("an asset").name = label("Other");
        }),
        ("there is no type 999", |m| last(m).result = 999),
        ("there is no type 999", |m| last(m).params.push(Field { name: label("zz"), ty: 999 })),
        ("there is no type 999", |m| m.records[0].fields[0].ty = 999),
        ("there is no type 999", |m| m.assets[0].fields[0].ty = 999),
        ("there is no type 999", |m| m.tables[0].key = 999),
        ("there is no type 999", |m| m.tables[0].row = 999),
        ("there is no type 999", |m| m.protocols[0].params[0].ty = 999),
        ("there is no type 999", |m| m.protocols[0].states[1].fields[0].ty = 999),
        ("there is no type 999", |m| m.errors[1].fields[0].ty = 999),
        ("there is no type 999", |m| m.events[0].fields[0].ty = 999),
        ("the signed field of an asset is a party", |m| m.assets[2].signed = Some(99)),
        ("signed by a parameter that is a party", |m| m.protocols[0].states[0].signed = Some(99)),
        ("signed by a parameter that is a party", |m| m.protocols[0].states[1].signed = Some(3)),
        ("an import stands there twice", |m| m.imports.push(m.imports[0])),
        ("the imported module is not deployed", |m| m.imports.push(m.id())),
        ("the imported module is not deployed", |m| m.imports[0] = m.id()),
        ("replaces is not deployed", |m| m.replaces = Some(m.id())),
        ("an import stands there twice", |m| m.replaces = Some(m.imports[0])),
        ("mints are not in ascending order", |m| last(m).mints = vec![1, 0]),
        ("mints are not in ascending order", |m| last(m).mints = vec![0, 0]),
        ("the assets it mints differ", |m| last(m).mints = vec![99]),
        ("burns are not in ascending order", |m| last(m).burns = vec![1, 0]),
        ("burns are not in ascending order", |m| last(m).burns = vec![0, 0]),
        ("the assets it burns differ", |m| last(m).burns = vec![99]),
        ("moves are not in ascending order", |m| {
            let step = hopper::ir::Move { protocol: 0, from: None, to: 0 };
            last(m).moves = vec![step, step];
        }),
        ("its moves differ", |m| last(m).moves = vec![hopper::ir::Move { protocol: 9, from: Some(9), to: 9 }]),
        ("assets come out of tables only", |m| last(m).kind = FunctionKind::Action),
        ("blocks must be numbered", |m| last(m).blocks.push(empty_block())),
        ("blocks must be numbered", |m| last(m).blocks.clear()),
        ("imports: 1025", |m| m.imports = vec![m.imports[0]; MANY]),
        ("roles: 1025", |m| m.roles = vec![m.roles[0].clone(); MANY]),
        ("types: 1025", |m| m.types = vec![m.types[0].clone(); MANY]),
        ("constants: 1025", |m| m.constants = vec![m.constants[0].clone(); MANY]),
        ("records: 1025", |m| m.records = vec![m.records[0].clone(); MANY]),
        ("enums: 1025", |m| m.enums = vec![m.enums[0].clone(); MANY]),
        ("assets: 1025", |m| m.assets = vec![m.assets[0].clone(); MANY]),
        ("tables: 1025", |m| m.tables = vec![m.tables[0].clone(); MANY]),
        ("protocols: 1025", |m| m.protocols = vec![m.protocols[0].clone(); MANY]),
        ("errors: 1025", |m| m.errors = vec![m.errors[0].clone(); MANY]),
        ("events: 1025", |m| m.events = vec![m.events[0].clone(); MANY]),
    ]
}

fn empty_block() -> hopper::ir::Block {
    hopper::ir::Block { ops: Vec::new(), end: hopper::ir::End::Yield { vars: Vec::new() } }
}

#[test]
fn modules_out_of_form_are_refused() {
    let (mut library, lib) = base();
    let text = "fn f(c: Coin) -> Coin { let a = const 1: Nat8 let b = const 2: Nat8 yield c }";
    let good = module(&library, &lib, text);
    let mut wrong = Vec::new();
    for (n, (reason, change)) in changes().into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        match judge(&mut library.clone(), bad) {
            Err(said) if said.contains(reason) => {}
            said => wrong.push(format!("{n}: wanted {reason}, got {said:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let first = judge(&mut library, good.clone()).expect("accepted as it is");
    let again = judge(&mut library, good.clone()).expect_err("deployed twice");
    assert!(again.contains("deployed already"), "{again}");
    let second = Module { replaces: Some(first), ..good.clone() };
    let own = Module { imports: vec![good.imports[0], first], ..second.clone() };
    let said = judge(&mut library, own).expect_err("imports what it replaces");
    assert!(said.contains("an import stands there twice"), "{said}");
    judge(&mut library, second).expect("replaces the first");
    let third = module(&library, &lib, "event More");
    let third = Module { replaces: Some(first), ..third };
    let said = judge(&mut library, third).expect_err("replaces one that was replaced");
    assert!(said.contains("not the newest"), "{said}");
}

type Forge = fn(&mut Vec<Vec<Proof>>, usize);

/// Proofs that prove nothing. The first function that needs proofs is `f`, with two, of a sum each.
fn forgeries() -> Vec<(&'static str, Forge)> {
    fn step(i: u32, p: u64, j: u32, q: u64, d: u64) -> Step {
        Step::Combine { i, p, j, q, d }
    }
    vec![
        ("no proof is given for obligation 0", |all, _| all.clear()),
        ("no proof is given for obligation 0", |all, f| all[f].clear()),
        ("no proof is given for obligation 1", |all, f| all[f].truncate(1)),
        ("the proof of obligation 0 is wrong", |all, f| drop(all[f].remove(0))),
        ("the proof of obligation 0 is wrong", |all, f| all[f].reverse()),
        ("1 proofs are left over", |all, f| all[f].push(Proof::default())),
        ("1 proofs are left over", |all, f| all[f - 1].push(Proof::default())),
        ("1 proofs are left over", |all, _| all.push(vec![Proof::default()])),
        ("a case is open", |all, f| all[f][0].steps.clear()),
        ("a case is open", |all, f| all[f][0].steps.truncate(1)),
        ("a case is open", |all, f| all[f][1].steps.truncate(1)),
        ("the last line is not false", |all, f| all[f][0].steps = vec![Step::Absurd]),
        ("the last line is not false", |all, f| all[f][0].steps.insert(0, Step::Absurd)),
        ("the last line is not false", |all, f| all[f][1].steps = vec![Step::Absurd]),
        ("the proof goes on", |all, f| all[f][0].steps.push(Step::Absurd)),
        ("the proof goes on", |all, f| all[f][0].steps.push(step(0, 1, 0, 1, 1))),
        ("the proof goes on", |all, f| all[f][1].steps.push(Step::Absurd)),
        ("there is no line", |all, f| all[f][0].steps.insert(0, step(u32::MAX, 1, 0, 1, 1))),
        ("there is no line", |all, f| all[f][0].steps.insert(0, step(0, 1, u32::MAX, 1, 1))),
        ("there is no line", |all, f| all[f][0].steps.insert(0, step(9999, 1, 0, 1, 1))),
        ("both factors are 0", |all, f| all[f][0].steps.insert(0, step(0, 0, 0, 0, 1))),
        ("both factors are 0", |all, f| all[f][1].steps.insert(0, step(0, 0, 1, 0, 1))),
        ("does not divide", |all, f| all[f][0].steps.insert(0, step(0, 1, 0, 1, 7))),
        ("does not divide", |all, f| all[f][0].steps.insert(0, step(0, 1, 0, 1, u64::MAX))),
        ("the proof of obligation 0 is wrong", |all, f| all[f][0].steps.insert(0, step(0, 1, 0, 1, 0))),
        ("there is no fact 99", |all, f| all[f][0].steps.insert(0, Step::Split { fact: 99 })),
        ("there is no fact", |all, f| all[f][0].steps.insert(0, Step::Split { fact: u32::MAX })),
        ("more than 8 splits", |all, f| all[f][1].steps = vec![Step::Split { fact: 0 }; 9]),
        ("the proof of obligation 1 is wrong", |all, f| all[f][1].steps.insert(0, Step::Split { fact: 0 })),
        ("the proof is too long", |all, f| all[f][0].steps = vec![step(0, 1, 0, 1, 1); (1 << 18) + 1]),
        ("lists of proofs: 1025", |all, _| all.resize(1025, Vec::new())),
    ]
}

#[test]
fn forged_proofs_are_refused() {
    let (library, lib) = base();
    let text = "fn f(c: Coin, n: Nat96) -> Coin requires n <= c.amount
    { let a, b = split c n let d = join a b let h = get d.amount let m = max h n let k = min m h
      let x, y = split d k let e = join x y yield e }";
    let good = module(&library, &lib, text);
    let f = good.functions.len() - 1;
    let proofs = elaborate(&library, &good).expect("proofs");
    deploy(&mut library.clone(), good.clone(), &proofs).expect("accepted as it is");
    let mut wrong = Vec::new();
    for (n, (reason, forge)) in forgeries().into_iter().enumerate() {
        let mut forged = proofs.functions.clone();
        forge(&mut forged, f);
        match deploy(&mut library.clone(), good.clone(), &Proofs { functions: forged }) {
            Err(said) if said.to_string().contains(reason) => {}
            said => wrong
                .push(format!("{n}: wanted {reason}, got {:?}", said.map(|unit| unit.id).map_err(|e| e.to_string()))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Samples there and back, errors, hostile text and hostile modules.

use std::collections::BTreeSet;

use hopper::ir::{Module, ModuleId, Prop, Type};
use proptest::prelude::*;
use wire::Encode;

use super::*;

const CASH: &str = include_str!("../../tests/ir/cash.hir");
const ESCROW: &str = include_str!("../../tests/ir/escrow.hir");
const EVERYTHING: &str = include_str!("../../tests/ir/everything.hir");
const IR: &str = include_str!("../../../hopper/src/ir.rs");

fn cash() -> Module {
    assemble(CASH).unwrap_or_else(|e| panic!("cash.hir:{e}"))
}

fn know_cash(id: &ModuleId) -> Option<Module> {
    let cash = cash();
    (cash.id() == *id).then_some(cash)
}

fn escrow() -> Module {
    let text = ESCROW.replace("#CASH", &format!("#{}", cash().id().0));
    assemble_with(&text, &know_cash).unwrap_or_else(|e| panic!("escrow.hir:{e}"))
}

fn everything() -> Module {
    assemble(EVERYTHING).unwrap_or_else(|e| panic!("everything.hir:{e}"))
}

/// A function's body in a small module.
fn small(body: &str) -> Result<Module, AsmError> {
    assemble(&format!(
        "module m\nrecord R {{ x: Nat8, y: Party }}\nerror E\nfn f(r: R, n: Nat8) -> Unit {{\n{body}\n}}"
    ))
}

fn there_and_back(module: &Module) {
    let text = print(module);
    let back = assemble(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(back == *module, "differs:\n{text}\n---\n{}", print(&back));
}

#[test]
fn samples_there_and_back() {
    for module in [cash(), escrow(), everything()] {
        there_and_back(&module);
        assert_eq!(Module::read(&module.to_bytes()).as_ref(), Ok(&module));
        let text = print_with(&module, &know_cash);
        assert_eq!(assemble_with(&text, &know_cash).as_ref(), Ok(&module), "{text}");
    }
    let text = print(&cash());
    assert!(!text.contains("types {") && !text.contains('?'), "no number is needed:\n{text}");
    let text = print_with(&escrow(), &know_cash);
    assert!(text.contains("call m1.debit(") && text.contains("pot: m1.Coin") && text.contains("pot.amount"), "{text}");
}

#[test]
fn every_operation_occurs() {
    let module = everything();
    let blocks = module.functions.iter().flat_map(|f| &f.blocks);
    let found: BTreeSet<&str> = blocks.flat_map(|b| b.ops.iter().map(|op| op.name())).collect();
    let declared = IR.split("pub enum Op {").nth(1).and_then(|rest| rest.split("\n}\n").next()).unwrap();
    let names: BTreeSet<&str> = declared
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split_once(' '))
        .filter(|(tag, _)| tag.parse::<u8>().is_ok())
        .map(|(_, rest)| rest.trim_end_matches([' ', '{', ',']))
        .collect();
    assert!(names.len() > 50, "{names:?}");
    assert_eq!(found, names);
    for (count, what) in [
        (module.records.len(), "record"),
        (module.enums.len(), "enum"),
        (module.assets.len(), "asset"),
        (module.tables.len(), "table"),
        (module.protocols.len(), "protocol"),
        (module.errors.len(), "error"),
        (module.events.len(), "event"),
    ] {
        assert!(count > 0, "{what}");
    }
    let kinds: BTreeSet<&str> = module.types.iter().map(|t| t.name()).collect();
    let missing: Vec<&str> = ["Id", "Option", "List", "Map", "Tuple", "RowHole", "InstanceHole"]
        .into_iter()
        .filter(|k| !kinds.contains(k))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn tables_are_in_order() {
    let module = cash();
    for (n, ty) in module.types.iter().enumerate() {
        assert!(!module.types[..n].contains(ty), "each type once");
        let parts = match ty {
            Type::Option { of } | Type::List { of, .. } => vec![*of],
            Type::Map { key, value, .. } => vec![*key, *value],
            Type::Tuple { items } => items.clone(),
            Type::Record { of } => module.records[usize::from(of.index)].fields.iter().map(|f| f.ty).collect(),
            Type::Asset { of } => module.assets[usize::from(of.index)].fields.iter().map(|f| f.ty).collect(),
            _ => Vec::new(),
        };
        assert!(parts.iter().all(|p| usize::from(*p) < n), "parts before wholes");
    }
    assert!(module.constants.is_sorted_by(|a, b| a < b));
    assert_eq!(module.constants.len(), 3);
}

#[test]
fn sums_are_normal() {
    let props = |text: &str| -> Vec<Prop> {
        let text = format!("module m\nrecord R {{ a: Nat8, b: Nat8, c: [Nat8; 3] }} where {text}");
        assemble(&text).unwrap_or_else(|e| panic!("{e} in {text}")).records.remove(0).invariant
    };
    for (one, other) in [
        ("a < b", "a + 1 <= b"),
        ("a >= b", "b <= a"),
        ("2*a + 3 - b == a + a + len(c)", "3 == b + len(c)"),
        ("a * 2 > sum(c)", "sum(c) - 2*a + 1 <= 0"),
        ("a == true", "a == 1"),
        ("sum(c[]) <= 0", "sum(c) <= 0"),
    ] {
        assert_eq!(props(one), props(other), "{one}");
    }
    assert_eq!(props("exact 3 + 0*b + 1*a <= 0")[0].name(), "AtMostZero");
    assert_ne!(props("exact 0 + 1*b + 1*a <= 0"), props("a + b <= 0"));
}

#[test]
fn negative_programs_can_be_written() {
    for body in [
        "let a = add r r\nlet b = add a a\nyield b, b, b",
        "let a, b = unpack n\nyield a",
        "yield ?900",
        "check n else E(n, n, n)\nabort E(r)",
        "call f(r, n)\nlet u = unit\nyield u",
        "let x: Nat8 = if r { yield } else { yield n, n }\nyield x",
        "match n { ?0 => { yield } ?1 (a, b) => { yield a } }\nyield",
        "put r r\nclose n\nburn n\ndrop_zero n\nlet a, b = split n n\nyield a",
        "let a = const raw 0x05: Bool\nyield a",
        "let i = fold n (k, v, acc) init(n) { yield }\nyield i",
    ] {
        match small(body) {
            Ok(module) => there_and_back(&module),
            Err(e) => panic!("{e} in {body}"),
        }
    }
}

#[test]
fn errors_say_where_and_what() {
    for (body, line, column, part) in [
        ("let a = add n", 6, 1, "expected a variable"),
        ("let a = add n q\nyield a", 5, 15, "there is no variable `q`"),
        ("let a = get r.z\nyield a", 5, 15, "there is no field `z`"),
        ("let a = frob n\nyield a", 5, 9, "there is no operation `frob`"),
        ("let a, b = add n n\nyield a", 5, 1, "gives 1 results"),
        ("check n else Q\nyield", 5, 14, "there is no error `Q`"),
        ("let a = const 256: Nat8\nyield a", 5, 15, "from 0 to 255"),
        ("let a = cast n: Nope\nyield a", 5, 17, "there is no type `Nope`"),
        ("yield n n", 5, 9, "expected `}`"),
        ("let a = const 5\nyield a", 6, 1, "expected `:`"),
        ("let a: Nat8 = add n n\nyield a", 5, 1, "expected no type"),
        ("assert n\nyield", 6, 1, "expected <="),
        ("let a = get n.$", 5, 15, "has no meaning here"),
    ] {
        match small(body) {
            Ok(_) => panic!("assembled: {body}"),
            Err(e) => {
                assert_eq!((e.line, e.column), (line, column), "{e} in {body}");
                assert!(e.message.contains(part), "{e} in {body}");
            }
        }
    }
    for (text, part) in [
        ("", "expected a declaration"),
        ("record R {}", "expected `module`"),
        ("module m\nrecord R { x Nat8 }", "expected `:`"),
        ("module m\nrecord R { table: Nat8 }", "backquotes"),
        ("module m\nmodule n", "one `module` only"),
        ("module m\nimport a = #12", "64 digits"),
        ("module m\nrecord R { x: Nat8 } where x <= 5 garbage", "expected a declaration"),
        ("module m\nprotocol P { state A signed x }", "there is no field `x`"),
    ] {
        let e = assemble(text).unwrap_err();
        assert!(e.message.contains(part), "{e} for {text}");
    }
}

#[test]
fn deep_text_is_refused_not_followed() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    for text in [
        format!("module m\nfn f() -> {} {{ yield }}", deep("Option<", ">")),
        format!("module m\nfn f() -> Unit {{ let a = const {}: Unit yield }}", deep("(", ")")),
        format!("module m\nfn f() -> Unit by {} {{ yield }}", deep("all(", ")")),
        format!("module m\nfn f(a: Bool) -> Unit {{ {} }}", deep("if a { ", "yield } else { yield } ")),
        (0..2_000).map(|n| format!("record R{n} {{ x: R{} }}\n", n + 1)).fold("module m\n".to_owned(), |a, b| a + &b),
    ] {
        assert!(assemble(&text).is_err());
    }
    // A record that contains itself is for the verifier to refuse.
    assert!(assemble("module m\nrecord R { x: R }").is_ok());
}

/// Words that text is made of.
fn words() -> Vec<String> {
    let all = format!("{CASH}\n{EVERYTHING}");
    let tokens = lex::lex(&all).unwrap();
    tokens
        .into_iter()
        .map(|t| match t.tok {
            lex::Tok::Text(text) => literal::quote(&text),
            lex::Tok::Bytes(bytes) => format!("0x{}", wire::hash::encode_hex(&bytes)),
            lex::Tok::Hash(digits) => format!("#{digits}"),
            lex::Tok::Name(name, quoted) => {
                if quoted {
                    format!("`{name}`")
                } else {
                    name
                }
            }
            lex::Tok::Number(digits) => digits,
            lex::Tok::Sym(sym) => sym.to_owned(),
            lex::Tok::End => String::new(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = assemble(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_soup_of_words_panics(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..80)) {
        let words = words();
        let text: Vec<&str> = picks.iter().map(|i| i.get(&words).as_str()).collect();
        let _ = assemble(&format!("module m\nrecord R {{ x: Nat8 }}\nfn f(r: R) -> R {{ {}", text.join(" ")));
    }

    /// Samples with words taken out, doubled and swapped: no panic, and what is a module comes back.
    #[test]
    fn no_spoilt_sample_panics(changes in prop::collection::vec((0..3u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4)) {
        let mut all = words();
        let end = all.iter().position(String::is_empty).unwrap_or(0);
        all.truncate(end);
        for (how, a, b) in changes {
            let (a, b) = (a.index(all.len()), b.index(all.len()));
            match how {
                0 => { all.remove(a); }
                1 => { let word = all[b].clone(); all.insert(a, word); }
                _ => all.swap(a, b),
            }
        }
        if let Ok(module) = assemble(&all.join(" ")) {
            there_and_back(&module);
        }
    }

    /// Modules with bytes changed anywhere: whatever still decodes comes back, in range or not.
    #[test]
    fn spoilt_modules_there_and_back(which in 0..3usize, changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0..8u8, any::<u8>()]), 1..5)) {
        let module = [cash, escrow, everything][which]();
        let mut bytes = module.to_bytes();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Ok(module) = Module::read(&bytes) {
            there_and_back(&module);
        }
    }
}

#[test]
fn samples_are_accepted() {
    let mut library = hopper::library::Library::default();
    for module in [cash(), escrow()] {
        let proofs = crate::elaborate::elaborate(&library, &module);
        let proofs = proofs.unwrap_or_else(|f| panic!("{}: {}", module.name, f.reject));
        hopper::verify::deploy(&mut library, module, &proofs).unwrap();
    }
}

//! Modules and proofs made to hurt: each is judged in bounded time and memory, and refused where it should be.
//! Several were found by a review of the verifier; they stay.

use hopper::ir::{
    Arith, Asset, Block, Const, End, Field, Function, FunctionKind, GuardNode, Label, Module, Move, Op, Place, Proof,
    Proofs, Protocol, Ref, Relation, State, Step, Table, Type, Upgrade, limits,
};
use hopper::library::Library;
use hopper::verify::{Reason, deploy};
use proptest::prelude::*;
use wire::{Decode, Encode};

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn field(name: &str, ty: u16) -> Field {
    Field { name: label(name), ty }
}

fn empty() -> Module {
    Module {
        name: label("m"),
        replaces: None,
        imports: vec![],
        roles: vec![],
        governance: vec![],
        upgrade: Upgrade::Immutable,
        types: vec![],
        constants: vec![],
        records: vec![],
        enums: vec![],
        assets: vec![],
        tables: vec![],
        protocols: vec![],
        errors: vec![],
        events: vec![],
        functions: vec![],
    }
}

fn governed(upgrade: Upgrade) -> Module {
    Module { roles: vec![label("r")], governance: vec![GuardNode::Role { role: 0 }], upgrade, ..empty() }
}

fn function(name: &str, kind: FunctionKind, params: Vec<Field>, result: u16, ops: Vec<Op>, vars: u16) -> Function {
    Function {
        name: label(name),
        kind,
        params,
        result,
        requires: vec![],
        by: vec![],
        authority: vec![],
        mints: vec![],
        burns: vec![],
        moves: vec![],
        ensures: vec![],
        blocks: vec![Block { ops, end: End::Yield { vars: vec![vars] } }],
    }
}

fn own(index: u16) -> Ref {
    Ref { scope: 0, index }
}

fn int(signed: bool, bits: u8) -> Type {
    Type::Int { signed, bits }
}

fn judged(module: Module) -> Result<(), Reason> {
    deploy(&mut Library::default(), module, &Proofs::default()).map(drop).map_err(|reject| reject.reason)
}

/// An instance in a signed state is evidence: nobody puts one there in another's name.
#[test]
fn nobody_moves_an_instance_into_a_state_signed_by_another() {
    let state =
        |name: &str, signed| State { name: label(name), fields: vec![], last: false, signed, invariant: vec![] };
    let with_victim = |who: u16| {
        let mut module = empty();
        module.types = vec![Type::Unit, Type::Party, Type::Id { protocol: own(0) }];
        module.protocols = vec![Protocol {
            name: label("p"),
            params: vec![field("who", 1)],
            states: vec![state("Open", None), state("Signed", Some(0))],
        }];
        let mut need = function("need", FunctionKind::Public, vec![field("who", 1)], 1, vec![], 0);
        need.authority = vec![Place { var: 0, path: vec![] }];
        let mut steal = function(
            "steal",
            FunctionKind::Action,
            vec![field("me", 1), field("victim", 1)],
            1,
            vec![
                Op::Start { protocol: 0, state: 0, args: vec![0] },
                Op::Enter { protocol: 0, state: 0, id: 2 },
                Op::Become { hole: 4, state: 1, args: vec![who] },
                Op::Enter { protocol: 0, state: 1, id: 2 },
                Op::Call { function: own(0), args: vec![5] },
                Op::Become { hole: 6, state: 1, args: vec![5] },
            ],
            7,
        );
        steal.by = vec![GuardNode::Party { place: Place { var: 0, path: vec![] } }];
        let step = |from, to| Move { protocol: 0, from, to };
        steal.moves = vec![step(None, 0), step(Some(0), 1), step(Some(1), 1)];
        module.functions = vec![need, steal];
        judged(module)
    };
    assert_eq!(with_victim(1), Err(Reason::NoAuthority));
    assert_eq!(with_victim(0), Ok(()), "in one's own name it is fine");
}

#[test]
fn conditions_of_conditions_do_not_grow() {
    for n in [20u16, 200] {
        let mut module = empty();
        module.types = vec![Type::Bool, int(false, 8)];
        let mut ops = vec![Op::Compare { op: Relation::AtMost, a: 0, b: 1 }];
        ops.extend((0..n).map(|i| match i % 2 {
            0 => Op::And { a: 2 + i, b: 2 + i },
            _ => Op::Or { a: 2 + i, b: 2 + i },
        }));
        module.functions = vec![function("v", FunctionKind::View, vec![field("a", 1), field("b", 1)], 0, ops, 2 + n)];
        assert_eq!(judged(module), Ok(()), "{n}");
    }
}

#[test]
fn few_bytes_claim_no_millions_of_values() {
    let mut module = empty();
    module.types = vec![Type::Unit, Type::List { of: 0, max: 16384 }, Type::List { of: 1, max: 16384 }];
    let mut bytes = 4000u32.to_be_bytes().to_vec();
    bytes.extend((0..4000).flat_map(|_| 16384u32.to_be_bytes()));
    module.constants = vec![Const { ty: 2, bytes }];
    assert!(matches!(judged(module), Err(Reason::BadType(_))));
}

/// A number that is too large for a bound is no reason to count nothing.
#[test]
fn large_constants_count_in_bounds() {
    let mut module = empty();
    module.types = vec![Type::Unit, Type::Bool, int(false, 96), int(false, 32)];
    let million = [vec![0; 9], vec![0x0f, 0x42, 0x40]].concat();
    let huge = [vec![0x80], vec![0; 11]].concat();
    module.constants =
        vec![Const { ty: 1, bytes: vec![1] }, Const { ty: 2, bytes: million }, Const { ty: 2, bytes: huge }];
    let mut loops = function(
        "loops",
        FunctionKind::Private,
        vec![field("n", 2)],
        3,
        vec![
            Op::Const { constant: 1 },
            Op::Arith { op: Arith::Min, a: 0, b: 1 },
            Op::Cast { a: 2, ty: 3 },
            Op::Iterate { fuel: 3, init: vec![], body: 1, invariant: vec![] },
        ],
        3,
    );
    loops.blocks.push(Block { ops: vec![Op::Const { constant: 0 }], end: End::Yield { vars: vec![4] } });
    let view = function(
        "view",
        FunctionKind::View,
        vec![],
        3,
        vec![Op::Const { constant: 2 }, Op::Call { function: own(0), args: vec![0] }],
        1,
    );
    module.functions = vec![loops, view];
    let unit = deploy(&mut Library::default(), module, &Proofs::default()).unwrap();
    let bound = unit.functions[1].bound.evaluate(|_| 0);
    assert!(bound.0[0] > 1_000_000, "{bound:?}");
}

/// Two successors of one version would disagree about what the rows of a new table are.
#[test]
fn a_lineage_does_not_fork() {
    let mut library = Library::default();
    let mut first = governed(Upgrade::Governed { delay_ms: 0 });
    first.types = vec![int(false, 64), int(true, 64)];
    let id = deploy(&mut library, first.clone(), &Proofs::default()).unwrap().id;
    let successor = |row| Module {
        replaces: Some(id),
        tables: vec![Table { name: label("t"), key: 0, row, invariant: vec![] }],
        ..first.clone()
    };
    let second = deploy(&mut library, successor(0), &Proofs::default()).unwrap();
    let forked = deploy(&mut library, successor(1), &Proofs::default());
    assert_eq!(forked.map(drop).map_err(|r| r.reason), Err(Reason::NotNewest));
    let mut third = successor(0);
    third.replaces = Some(second.id);
    deploy(&mut library, third, &Proofs::default()).unwrap();
    let again = deploy(&mut library, first, &Proofs::default());
    assert!(matches!(again.map(drop).map_err(|r| r.reason), Err(Reason::Twice(_))));
}

#[test]
fn an_upgrade_makes_no_private_function_a_mint() {
    let mut library = Library::default();
    let mut first = governed(Upgrade::Additive { delay_ms: 0 });
    first.types = vec![int(false, 64), Type::Asset { of: own(0) }];
    first.assets =
        vec![Asset { name: label("c"), fields: vec![field("n", 0)], measured: true, signed: None, invariant: vec![] }];
    first.tables = vec![Table { name: label("t"), key: 0, row: 1, invariant: vec![] }];
    first.functions = vec![function("x", FunctionKind::Private, vec![field("n", 0)], 0, vec![], 0)];
    let id = deploy(&mut library, first.clone(), &Proofs::default()).unwrap().id;
    let mut mint = function(
        "x",
        FunctionKind::Action,
        vec![field("n", 0)],
        0,
        vec![Op::Mint { asset: 0, args: vec![0] }, Op::Insert { table: 0, key: 0, row: 1 }],
        0,
    );
    mint.mints = vec![0];
    mint.by = vec![GuardNode::Role { role: 0 }];
    let second = Module { replaces: Some(id), functions: vec![mint], ..first };
    let refused = deploy(&mut library, second, &Proofs::default()).map(drop).map_err(|r| r.reason);
    assert!(matches!(refused, Err(Reason::Upgrade(_))), "{refused:?}");
}

/// Long sums in many variables, copied by every operation that looks at all of them.
#[test]
fn work_is_counted() {
    let mut module = governed(Upgrade::Immutable);
    module.types = vec![Type::Unit, int(false, 127), Type::Party];
    let mut ops = Vec::new();
    let mut top = 1u16;
    for _ in 0..60 {
        ops.push(Op::Arith { op: Arith::Mul, a: 0, b: 0 });
        ops.push(Op::Arith { op: Arith::Add, a: top, b: top.saturating_sub(1) });
        top += 2;
    }
    for _ in 0..800 {
        ops.push(Op::Arith { op: Arith::Add, a: top - 1, b: 1 });
        top += 1;
    }
    for _ in 0..6000 {
        ops.push(Op::Require { guard: vec![GuardNode::Role { role: 0 }] });
    }
    module.functions = vec![function("f", FunctionKind::Private, vec![field("n", 1)], 1, ops, 0)];
    let begun = std::time::Instant::now();
    let _ = judged(module);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn blocks_and_types_are_not_deep() {
    let mut module = empty();
    module.types = vec![Type::Bool];
    module.types.extend((0..20).map(|of| Type::Option { of }));
    assert_eq!(judged(module), Err(Reason::BadType("types nested too deep")));

    let mut module = empty();
    module.types = vec![Type::Bool];
    let mut deep = function("f", FunctionKind::Private, vec![field("b", 0)], 0, vec![], 0);
    deep.blocks = (0..41u16)
        .map(|n| Block {
            ops: vec![Op::If { cond: 0, yes: n + 1, no: 0, results: vec![] }],
            end: End::Yield { vars: vec![] },
        })
        .collect();
    module.functions = vec![deep];
    assert_eq!(judged(module), Err(Reason::TooDeep(limits::BLOCK_DEPTH_MAX)));
    let bytes = vec![0; limits::MODULE_BYTES_MAX + 1];
    assert!(Module::read(&bytes).is_err());
    assert!(Proofs::read(&vec![0; limits::PROOF_BYTES_MAX + 1]).is_err());
}

/// A module with one obligation, `part <= amount`, after a check of it.
fn checked_split() -> Module {
    let mut module = empty();
    module.types = vec![Type::Unit, int(false, 64), int(false, 32), Type::Bool];
    module.errors = vec![hopper::ir::Signal { name: label("E"), fields: vec![] }];
    module.functions = vec![function(
        "f",
        FunctionKind::View,
        vec![field("a", 1), field("n", 1)],
        1,
        vec![
            Op::Compare { op: Relation::AtMost, a: 0, b: 1 },
            Op::Check { cond: 2, error: 0, args: vec![] },
            Op::Compare { op: Relation::Less, a: 0, b: 1 },
            Op::Check { cond: 3, error: 0, args: vec![] },
            Op::Share { a: 0, part: 0, whole: 1 },
        ],
        4,
    )];
    module
}

#[test]
fn long_proofs_of_nothing_cost_little() {
    let step = |i| Step::Combine { i, p: u64::MAX, j: i, q: u64::MAX, d: 1 };
    for steps in [
        (0..12_000).map(step).collect::<Vec<Step>>(),
        vec![Step::Split { fact: 0 }; 200_000 / 5],
        vec![Step::Combine { i: 0, p: 1, j: 1, q: 1, d: 1 }; 9000],
        vec![],
    ] {
        let proofs = Proofs { functions: vec![vec![Proof { steps }; 2]] };
        let begun = std::time::Instant::now();
        let judged = deploy(&mut Library::default(), checked_split(), &proofs).map(drop).map_err(|r| r.reason);
        assert!(matches!(judged, Err(Reason::BadProof(..))), "{judged:?}");
        assert!(begun.elapsed().as_secs() < 5);
    }
}

proptest! {
    /// Arbitrary bytes, and bytes of a real module with a few changed: read or refused, judged or refused.
    #[test]
    fn garbage_is_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        proofs in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = Module::read(&bytes);
        let _ = Proofs::read(&proofs);
        let mut spoilt = checked_split().to_bytes();
        for (at, byte) in changes {
            let at = at.index(spoilt.len());
            spoilt[at] = byte;
        }
        if let Ok(module) = Module::from_bytes(&spoilt) {
            prop_assert_eq!(module.to_bytes(), spoilt);
            let _ = deploy(&mut Library::default(), module, &Proofs::default());
        }
    }
}

//! Both evaluators on modules built by hand: equal outcomes at every limit, meter below bound, the laws of diffs.

use std::collections::BTreeMap;
use std::sync::Arc;

use hopper::abort::{Abort, Fault};
use hopper::bound::Size;
use hopper::cost::{Cost, dimension};
use hopper::diff::{Diff, NotConserved, check_conservation, check_writes};
use hopper::eval::machine::Machine;
use hopper::eval::{Call, Outcome, World, read_arguments, reference};
use hopper::ir::*;
use hopper::library::{Library, Unit};
use hopper::state::{Memory, NotApplicable, Rows};
use hopper::types::{Ty, Universe};
use hopper::value::{self, Value};
use hopper::verify::{Evidence, Goal, judge};
use proptest::prelude::*;
use wire::{Decode, Encode, Hash, Name};

// ---- modules by hand

/// Takes every obligation for shown: these tests are not about proofs.
struct Trust;

impl Evidence for Trust {
    fn discharge(&mut self, _: &Goal<'_>) -> Result<(), hopper::verify::Reason> {
        Ok(())
    }
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn fields(list: &[(&str, TypeIx)]) -> Vec<Field> {
    list.iter().map(|(name, ty)| Field { name: label(name), ty: *ty }).collect()
}

fn signal(name: &str, list: &[(&str, TypeIx)]) -> Signal {
    Signal { name: label(name), fields: fields(list) }
}

fn place(var: Var) -> Place {
    Place { var, path: vec![] }
}

fn party(var: Var) -> Guard {
    vec![GuardNode::Party { place: place(var) }]
}

const UNIT: TypeIx = 0;
const BOOL: TypeIx = 1;
const NAT96: TypeIx = 2;
const PARTY: TypeIx = 3;
const COIN: TypeIx = 4;
const ACCOUNT: TypeIx = 5;
const NAT32: TypeIx = 6;
const OPTION_NAT96: TypeIx = 7;
const OPTION_PARTY: TypeIx = 8;
const PARTIES: TypeIx = 9;
const NUMBERS: TypeIx = 10;
const BOOK: TypeIx = 11;
const TEXT: TypeIx = 12;
const DATE: TypeIx = 13;
const TIME: TypeIx = 14;
const INT32: TypeIx = 15;
const ESCROW: TypeIx = 16;
const ANSWER: TypeIx = 17;

const COINS: TypeIx = 20;

struct Body {
    name: &'static str,
    kind: FunctionKind,
    params: Vec<Field>,
    result: TypeIx,
    blocks: Vec<Block>,
}

fn block(ops: Vec<Op>, vars: &[Var]) -> Block {
    Block { ops, end: End::Yield { vars: vars.to_vec() } }
}

impl Body {
    fn build(self, more: impl FnOnce(&mut Function)) -> Function {
        let mut function = Function {
            name: label(self.name),
            kind: self.kind,
            params: self.params,
            result: self.result,
            requires: vec![],
            by: vec![],
            authority: vec![],
            mints: vec![],
            burns: vec![],
            moves: vec![],
            ensures: vec![],
            blocks: self.blocks,
        };
        more(&mut function);
        function
    }
}

fn function(
    name: &'static str,
    kind: FunctionKind,
    params: &[(&str, TypeIx)],
    result: TypeIx,
    blocks: Vec<Block>,
    more: impl FnOnce(&mut Function),
) -> Function {
    Body { name, kind, params: fields(params), result, blocks }.build(more)
}

const CREDIT: u16 = 0;
const DEBIT: u16 = 1;
const TRANSFER: u16 = 2;
const OPEN: u16 = 3;
const ISSUE: u16 = 4;
const REDEEM: u16 = 5;
const BALANCE: u16 = 6;
const KEYS: u16 = 7;
const START: u16 = 8;
const RELEASE: u16 = 9;
const ZOO: u16 = 10;
const CLOSE: u16 = 11;
const TWICE: u16 = 12;
const POOL: u16 = 13;

const C_UNIT: u16 = 0;
const C_FALSE: u16 = 1;
const C_ZERO: u16 = 2;
const C_ONE32: u16 = 3;

fn call(function: u16, args: &[Var]) -> Op {
    Op::Call { function: Ref { scope: 0, index: function }, args: args.to_vec() }
}

fn unit() -> Op {
    Op::Const { constant: C_UNIT }
}

#[allow(clippy::too_many_lines)]
fn bank() -> Module {
    use FunctionKind::{Action, Private, Public, View};
    let coin = Ref { scope: 0, index: 0 };
    let credit = function(
        "credit",
        Public,
        &[("p", PARTY), ("c", COIN)],
        UNIT,
        vec![block(
            vec![
                Op::Take { table: 0, key: 0 },
                Op::Unpack { a: 2 },
                Op::Join { a: 4, b: 1 },
                Op::Make { ty: ACCOUNT, args: vec![6, 5] },
                Op::Put { hole: 3, row: 7 },
                unit(),
            ],
            &[8],
        )],
        |_| {},
    );
    let debit = function(
        "debit",
        Private,
        &[("p", PARTY), ("n", NAT96)],
        COIN,
        vec![block(
            vec![
                Op::Take { table: 0, key: 0 },
                Op::Unpack { a: 2 },
                Op::Not { a: 5 },
                Op::Check { cond: 6, error: 0, args: vec![] },
                Op::Get { place: Place { var: 4, path: vec![0] } },
                Op::Compare { op: Relation::AtMost, a: 1, b: 7 },
                Op::Check { cond: 8, error: 1, args: vec![7, 1] },
                Op::Split { a: 4, n: 1 },
                Op::Make { ty: ACCOUNT, args: vec![10, 5] },
                Op::Put { hole: 3, row: 11 },
            ],
            &[9],
        )],
        |f| f.authority = vec![place(0)],
    );
    let positive =
        Linear { constant: 1, terms: vec![Monomial { factor: -1, place: place(2), measure: Measure::Value }] };
    let transfer = function(
        "transfer",
        Action,
        &[("from", PARTY), ("to", PARTY), ("n", NAT96)],
        UNIT,
        vec![block(
            vec![call(DEBIT, &[0, 2]), call(CREDIT, &[1, 3]), Op::Emit { event: 0, args: vec![0, 1, 2] }],
            &[4],
        )],
        |f| {
            f.by = party(0);
            f.requires = vec![Prop::AtMostZero { linear: positive }, Prop::Differ { a: place(0), b: place(1) }];
        },
    );
    let open = function(
        "open",
        Action,
        &[("p", PARTY)],
        UNIT,
        vec![block(
            vec![
                Op::Zero { asset: coin, args: vec![] },
                Op::Const { constant: C_FALSE },
                Op::Make { ty: ACCOUNT, args: vec![1, 2] },
                Op::Insert { table: 0, key: 0, row: 3 },
                unit(),
            ],
            &[4],
        )],
        |f| f.by = party(0),
    );
    let issue = function(
        "issue",
        Action,
        &[("to", PARTY), ("n", NAT96)],
        UNIT,
        vec![block(vec![Op::Mint { asset: 0, args: vec![1] }, call(CREDIT, &[0, 2])], &[3])],
        |f| {
            f.by = vec![GuardNode::Role { role: 0 }];
            f.mints = vec![0];
        },
    );
    let redeem = function(
        "redeem",
        Action,
        &[("p", PARTY), ("n", NAT96)],
        UNIT,
        vec![block(vec![call(DEBIT, &[0, 1]), Op::Burn { a: 2 }, unit()], &[3])],
        |f| {
            f.by = party(0);
            f.burns = vec![0];
        },
    );
    let balance = function(
        "balance",
        View,
        &[("p", PARTY)],
        OPTION_NAT96,
        vec![block(vec![Op::Has { table: 0, key: 0 }, Op::Peek { table: 0, key: 0, path: vec![0, 0] }], &[2])],
        |_| {},
    );
    let keys = function(
        "keys",
        View,
        &[("after", OPTION_PARTY)],
        PARTIES,
        vec![block(vec![Op::Scan { table: 0, after: 0, ty: PARTIES }], &[1])],
        |_| {},
    );
    let start = function(
        "start",
        Action,
        &[("buyer", PARTY), ("n", NAT96)],
        ESCROW,
        vec![block(vec![call(DEBIT, &[0, 1]), Op::Start { protocol: 0, state: 0, args: vec![0, 2] }], &[3])],
        |f| {
            f.by = party(0);
            f.moves = vec![Move { protocol: 0, from: None, to: 0 }];
        },
    );
    // Either the buyer, or both the sender's role and time.
    let release = function(
        "release",
        Action,
        &[("id", ESCROW), ("to", PARTY), ("not_before", TIME)],
        UNIT,
        vec![block(
            vec![
                Op::Enter { protocol: 0, state: 0, id: 0 },
                Op::Require {
                    guard: vec![
                        GuardNode::Party { place: place(3) },
                        GuardNode::Role { role: 0 },
                        GuardNode::After { place: place(2) },
                        GuardNode::AtLeast { k: 2, of: 2 },
                        GuardNode::AtLeast { k: 1, of: 2 },
                    ],
                },
                call(CREDIT, &[1, 4]),
                Op::Become { hole: 5, state: 1, args: vec![3] },
            ],
            &[6],
        )],
        |f| {
            f.by = vec![
                GuardNode::Before { place: place(2) },
                GuardNode::After { place: place(2) },
                GuardNode::AtLeast { k: 1, of: 2 },
            ];
            f.moves = vec![Move { protocol: 0, from: Some(0), to: 1 }];
        },
    );
    let close = function(
        "close",
        Action,
        &[("p", PARTY)],
        UNIT,
        vec![block(
            vec![
                Op::Take { table: 0, key: 0 },
                Op::Unpack { a: 1 },
                Op::DropZero { a: 3 },
                Op::Close { hole: 2 },
                unit(),
            ],
            &[5],
        )],
        |f| {
            f.by = party(0);
        },
    );
    // Takes the same row twice.
    let twice = function(
        "twice",
        Action,
        &[("p", PARTY), ("q", PARTY)],
        UNIT,
        vec![block(
            vec![
                Op::Take { table: 0, key: 0 },
                Op::Take { table: 0, key: 1 },
                Op::Put { hole: 5, row: 4 },
                Op::Put { hole: 3, row: 2 },
                unit(),
            ],
            &[6],
        )],
        |f| f.by = party(0),
    );
    // Goes through a map of coins, which it makes and uses up.
    let pool = function(
        "pool",
        Action,
        &[("numbers", NUMBERS)],
        NAT96,
        vec![
            block(
                vec![
                    Op::MapNew { ty: COINS },
                    Op::Fold { over: 0, drain: false, init: vec![1], body: 1, invariant: vec![] },
                    Op::Zero { asset: coin, args: vec![] },
                    Op::Fold { over: 2, drain: true, init: vec![3], body: 4, invariant: vec![] },
                    Op::Get { place: Place { var: 4, path: vec![0] } },
                    Op::Burn { a: 4 },
                ],
                &[5],
            ),
            // 2: number, 3: map
            block(
                vec![
                    Op::Mint { asset: 0, args: vec![2] },
                    Op::MapPut { map: 3, key: 2, value: 4 },
                    Op::Match { a: 6, arms: vec![2, 3], results: vec![] },
                ],
                &[5],
            ),
            block(vec![], &[]),
            block(vec![Op::Burn { a: 7 }], &[]),
            // 4: key, 5: coin, 6: sum
            block(vec![Op::Join { a: 6, b: 5 }], &[7]),
        ],
        |f| {
            f.by = vec![GuardNode::Role { role: 0 }];
            f.mints = vec![0];
            f.burns = vec![0];
        },
    );
    Module {
        name: label("bank"),
        replaces: None,
        imports: vec![],
        roles: vec![label("treasury")],
        governance: vec![],
        upgrade: Upgrade::Immutable,
        types: vec![
            Type::Unit,
            Type::Bool,
            Type::Int { signed: false, bits: 96 },
            Type::Party,
            Type::Asset { of: coin },
            Type::Record { of: Ref { scope: 0, index: 0 } },
            Type::Int { signed: false, bits: 32 },
            Type::Option { of: NAT96 },
            Type::Option { of: PARTY },
            Type::List { of: PARTY, max: 3 },
            Type::List { of: NAT96, max: 20 },
            Type::Map { key: NAT96, value: TEXT_BEFORE, max: 10 },
            Type::Text { max: 40 },
            Type::Date,
            Type::Time,
            Type::Int { signed: true, bits: 32 },
            Type::Id { protocol: Ref { scope: 0, index: 0 } },
            Type::Tuple { items: vec![NUMBERS, BOOK, TEXT, DATE, NAT96, BOOL] },
            Type::Digest,
            Type::Bytes { max: 64 },
            Type::Map { key: NAT96, value: COIN, max: 5 },
        ],
        constants: vec![
            Const { ty: UNIT, bytes: vec![] },
            Const { ty: BOOL, bytes: vec![0] },
            Const { ty: NAT96, bytes: vec![0; 12] },
            Const { ty: NAT32, bytes: vec![0, 0, 0, 1] },
        ],
        records: vec![Record {
            name: label("Account"),
            fields: fields(&[("bal", COIN), ("frozen", BOOL)]),
            invariant: vec![],
        }],
        enums: vec![],
        assets: vec![Asset {
            name: label("Coin"),
            fields: fields(&[("amount", NAT96)]),
            measured: true,
            signed: None,
            invariant: vec![],
        }],
        tables: vec![Table { name: label("accounts"), key: PARTY, row: ACCOUNT, invariant: vec![] }],
        protocols: vec![Protocol {
            name: label("Escrow"),
            params: fields(&[("buyer", PARTY)]),
            states: vec![
                State {
                    name: label("Open"),
                    fields: fields(&[("pot", COIN)]),
                    last: false,
                    signed: None,
                    invariant: vec![],
                },
                State { name: label("Done"), fields: vec![], last: true, signed: None, invariant: vec![] },
            ],
        }],
        errors: vec![signal("Frozen", &[]), signal("Insufficient", &[("have", NAT96), ("want", NAT96)])],
        events: vec![signal("Transferred", &[("from", PARTY), ("to", PARTY), ("n", NAT96)])],
        functions: vec![
            credit,
            debit,
            transfer,
            open,
            issue,
            redeem,
            balance,
            keys,
            start,
            release,
            zoo(),
            close,
            twice,
            pool,
        ],
    }
}

/// The map's values come after it in the order of constants above, but must come before it in the table.
const TEXT_BEFORE: TypeIx = NAT96;

/// One of nearly everything that needs no rows.
fn zoo() -> Function {
    let ops = vec![
        // 0 ns, 1 n, 2 t, 3 d, 4 ti, 5 c
        Op::Arith { op: Arith::Add, a: 1, b: 1 }, // 6
        Op::Arith { op: Arith::Mul, a: 6, b: 1 }, // 7
        Op::MulDiv { a: 7, b: 6, c: 1, rounding: Rounding::HalfEven, ty: NAT96 }, // 8
        Op::Cast { a: 8, ty: NAT32 },             // 9
        Op::Concat { a: 2, b: 2, ty: TEXT },      // 10
        Op::Const { constant: C_ONE32 },          // 11
        Op::Length { a: 10 },                     // 12
        Op::Slice { a: 10, from: 11, to: 12 },    // 13
        Op::DateOf { time: 4 },                   // 14
        Op::DateAdd { date: 3, step: DateStep::Months, count: 5 }, // 15
        Op::Arith { op: Arith::Max, a: 14, b: 15 }, // 16
        Op::Push { list: 0, item: 8 },            // 17
        Op::At { list: 17, index: 11 },           // 18
        Op::Match { a: 18, arms: vec![1, 2], results: vec![NAT96] }, // 19
        Op::MapNew { ty: BOOK },                  // 20
        Op::Fold { over: 17, drain: false, init: vec![20, 19], body: 3, invariant: vec![] }, // 21 book, 22 n
        Op::Compare { op: Relation::Equal, a: 0, b: 17 }, // 23
        Op::Iterate { fuel: 12, init: vec![22], body: 6, invariant: vec![] }, // 24
        Op::MapTake { map: 21, key: 1 },          // 25, 26
        Op::Compare { op: Relation::NotEqual, a: 26, b: 18 }, // 27
        Op::Or { a: 23, b: 27 },                  // 28
        Op::Make { ty: ANSWER, args: vec![17, 25, 13, 16, 24, 28] }, // 29
        Op::Hash { kind: HashKind::Sha256, a: 13 }, // 30
        Op::CommandDigest,                        // 31
        Op::Compare { op: Relation::NotEqual, a: 30, b: 31 }, // 32
        Op::And { a: 32, b: 28 },                 // 33
        Op::With { a: 29, field: 5, value: 33 },  // 34
        Op::Sender,                               // 35
        Op::Now,                                  // 36
        Op::Authority { guard: party(35) },       // 37
        Op::Assert { props: vec![] },
    ];
    let aborts = Block { ops: vec![], end: End::Abort { error: 1, args: vec![1, 7] } };
    function(
        "zoo",
        FunctionKind::View,
        &[("ns", NUMBERS), ("n", NAT96), ("t", TEXT), ("d", DATE), ("ti", TIME), ("c", INT32)],
        ANSWER,
        vec![
            block(ops, &[34]),
            aborts,
            block(vec![], &[19]),
            // 21 element, 22 book, 23 sum
            block(
                vec![
                    Op::MapHas { map: 22, key: 21 },                         // 24
                    Op::If { cond: 24, yes: 4, no: 5, results: vec![BOOK] }, // 25
                    Op::Arith { op: Arith::Max, a: 23, b: 21 },              // 26
                    Op::Arith { op: Arith::Min, a: 26, b: 23 },              // 27
                ],
                &[25, 27],
            ),
            block(vec![], &[22]),
            block(vec![Op::MapPut { map: 22, key: 21, value: 23 }], &[25]), // 25, 26
            // 24 accumulator
            block(
                vec![
                    Op::Const { constant: C_ZERO },                                          // 25
                    Op::Compare { op: Relation::Less, a: 25, b: 24 },                        // 26
                    Op::MulDiv { a: 24, b: 24, c: 1, rounding: Rounding::Floor, ty: NAT96 }, // 27
                    Op::Arith { op: Arith::Min, a: 27, b: 24 },                              // 28
                ],
                &[26, 28],
            ),
        ],
        |_| {},
    )
}

/// A module that imports the bank, with what the bank does not use.
fn rights(bank: ModuleId) -> Module {
    const DEED: TypeIx = 5;
    const SIDE: TypeIx = 6;
    const RAW: TypeIx = 7;
    const DEEDS: TypeIx = 8;
    const NUMBER: u16 = 1;
    let action = |name, params: &[(&str, TypeIx)], blocks, signer, burns: Vec<u16>, mints: Vec<u16>| {
        function(name, FunctionKind::Action, params, UNIT, blocks, |f| {
            f.by = party(signer);
            (f.mints, f.burns) = (mints, burns);
        })
    };
    let register = vec![block(
        vec![Op::Create { asset: 0, args: vec![0, 1] }, Op::Insert { table: 0, key: 0, row: 2 }, unit()],
        &[3],
    )];
    let destroy =
        vec![block(vec![Op::Take { table: 0, key: 0 }, Op::Unpack { a: 2 }, Op::Close { hole: 3 }, unit()], &[6])];
    let misc = vec![
        block(
            vec![
                Op::VerifySignature { key: 1, message: 2, signature: 3 },
                Op::Concat { a: 2, b: 2, ty: RAW },
                Op::GhostLet { linear: Linear::default() },
                Op::Share { a: 0, part: 0, whole: 0 },
                Op::If { cond: 4, yes: 1, no: 2, results: vec![SIDE] },
                Op::Match { a: 8, arms: vec![3, 4], results: vec![NAT96] },
                Op::Inject { ty: 9, variant: 1, args: vec![9] },
                Op::Match { a: 10, arms: vec![5, 6], results: vec![NAT96] },
            ],
            &[11],
        ),
        block(vec![Op::Inject { ty: SIDE, variant: 0, args: vec![7] }], &[8]),
        block(vec![Op::Inject { ty: SIDE, variant: 1, args: vec![] }], &[8]),
        block(vec![], &[9]),
        block(vec![Op::Const { constant: NUMBER }], &[9]),
        block(vec![], &[0]),
        block(vec![], &[11]),
    ];
    let misc_params = [("a", NAT96), ("k", RAW), ("m", RAW), ("s", RAW)];
    let misc = function("misc", FunctionKind::View, &misc_params, NAT96, misc, |_| {});
    let lists = vec![
        block(
            vec![
                Op::Zero { asset: Ref { scope: 1, index: 0 }, args: vec![] },
                Op::Call { function: Ref { scope: 1, index: CREDIT }, args: vec![0, 1] },
                Op::List { ty: DEEDS, items: vec![] },
                Op::Const { constant: NUMBER },
                Op::Create { asset: 0, args: vec![4, 0] },
                Op::With { a: 5, field: 0, value: 4 },
                Op::Push { list: 3, item: 6 },
                Op::Fold { over: 7, drain: true, init: vec![], body: 1, invariant: vec![] },
                Op::List { ty: DEEDS, items: vec![] },
                Op::DropEmpty { a: 8 },
                unit(),
            ],
            &[9],
        ),
        block(vec![Op::Unpack { a: 8 }], &[]),
    ];
    let full = vec![block(
        vec![
            Op::Const { constant: NUMBER },
            Op::Create { asset: 0, args: vec![1, 0] },
            Op::List { ty: DEEDS, items: vec![2] },
            Op::DropEmpty { a: 3 },
            unit(),
        ],
        &[4],
    )];
    let deed = Ref { scope: 0, index: 0 };
    Module {
        name: label("rights"),
        imports: vec![bank],
        roles: vec![],
        types: vec![
            Type::Unit,
            Type::Bool,
            Type::Int { signed: false, bits: 96 },
            Type::Party,
            Type::Asset { of: Ref { scope: 1, index: 0 } },
            Type::Asset { of: deed },
            Type::Enum { of: deed },
            Type::Bytes { max: 64 },
            Type::List { of: DEED, max: 3 },
            Type::Option { of: NAT96 },
        ],
        constants: vec![Const { ty: UNIT, bytes: vec![] }, Const { ty: NAT96, bytes: vec![7; 12] }],
        records: vec![],
        enums: vec![Enum {
            name: label("Side"),
            variants: vec![
                Variant { name: label("Left"), fields: fields(&[("n", NAT96)]), invariant: vec![] },
                Variant { name: label("Right"), fields: vec![], invariant: vec![] },
            ],
        }],
        assets: vec![Asset {
            name: label("Deed"),
            fields: fields(&[("parcel", NAT96), ("owner", PARTY)]),
            measured: false,
            signed: Some(1),
            invariant: vec![],
        }],
        tables: vec![Table { name: label("deeds"), key: NAT96, row: DEED, invariant: vec![] }],
        protocols: vec![],
        errors: vec![],
        events: vec![],
        functions: vec![
            action("register", &[("parcel", NAT96), ("owner", PARTY)], register, 1, vec![], vec![0]),
            action("destroy", &[("parcel", NAT96), ("who", PARTY)], destroy, 1, vec![0], vec![]),
            misc,
            action("lists", &[("p", PARTY)], lists, 0, vec![0], vec![0]),
            action("full", &[("p", PARTY)], full, 0, vec![], vec![0]),
        ],
        ..self::bank()
    }
}

// ---- worlds

struct Signed {
    by: Vec<Name>,
    now: u64,
    command: Hash,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl World for Signed {
    fn sender(&self) -> Name {
        self.by.first().cloned().unwrap_or_else(|| name("nobody"))
    }
    fn satisfied(&self, party: &Name) -> bool {
        self.by.contains(party)
    }
    fn role(&self, _: &Lineage, role: u16) -> Option<Name> {
        (role == 0).then(|| name("treasury"))
    }
    fn now(&self) -> u64 {
        self.now
    }
    fn command(&self) -> Hash {
        self.command
    }
}

struct Bank {
    universe: Universe,
    unit: Arc<Unit>,
    memory: Memory,
    commands: u64,
}

const MUCH: Cost = Cost([1 << 40; 6]);

fn p(text: &str) -> Value {
    Value::Party(name(text))
}

fn n(n: i128) -> Value {
    Value::Int(n)
}

impl Bank {
    fn new() -> Bank {
        let (unit, universe) = judge(&Library::default(), bank(), &mut Trust).unwrap_or_else(|e| panic!("{e}"));
        Bank { universe, unit: Arc::new(unit), memory: Memory::default(), commands: 0 }
    }

    fn resolve(unit: &Unit) -> impl Fn(&Lineage, u16) -> Option<Ty> {
        let mut rows = BTreeMap::new();
        for unit in unit.imports.iter().map(Arc::as_ref).chain([unit]) {
            let all = unit.tables.iter().chain(&unit.protocols);
            rows.extend(all.map(|t| ((t.of.lineage, t.of.index), t.row)));
        }
        move |lineage, table| rows.get(&(*lineage, table)).copied()
    }

    fn world(&self, by: &[&str]) -> Signed {
        let command = Hash::of(&self.commands.to_be_bytes());
        Signed { by: by.iter().map(|b| name(b)).collect(), now: 1_000, command }
    }

    fn both(&self, by: &[&str], function: u16, args: &[Value], limit: Cost) -> Outcome {
        let world = self.world(by);
        let call = Call {
            unit: &self.unit,
            function,
            args: args.to_vec(),
            universe: &self.universe,
            rows: &self.memory,
            world: &world,
            limit,
        };
        let machine = Machine::new(call.clone()).run();
        assert_eq!(machine, reference::run(call), "function {function}");
        assert!(machine.cost.within(&limit));
        if machine.result.is_err() {
            assert!(machine.diff.is_empty() && machine.writes.is_empty());
        }
        machine
    }

    /// Runs with all checks, at many limits too.
    fn ask(&self, by: &[&str], function: u16, args: &[Value]) -> Outcome {
        let outcome = self.both(by, function, args, MUCH);
        let info = &self.unit.functions[usize::from(function)];
        let bound = info.bound.evaluate(|size| match size {
            Size::Length(n) => args[usize::from(n)].length().unwrap_or(0) as u64,
            Size::Value(n) => args[usize::from(n)].int().and_then(|n| n.try_into().ok()).unwrap_or(0),
        });
        assert!(outcome.cost.within(&bound), "{:?} is above {bound:?} of function {function}", outcome.cost);
        for d in 0..6 {
            let most = outcome.cost.0[d];
            for less in (0..most).step_by((most as usize / 200).max(1)) {
                let mut limit = MUCH;
                limit.0[d] = less;
                let stopped = self.both(by, function, args, limit);
                assert_eq!(stopped.result, Err(Abort::Fault(Fault::OutOfCost(d as u8))));
            }
            assert_eq!(self.both(by, function, args, outcome.cost).result, outcome.result);
        }
        let resolve = Bank::resolve(&self.unit);
        assert_eq!(check_conservation(&self.universe, &resolve, &outcome.diff), Ok(()));
        assert_eq!(check_writes(&self.universe, &outcome.writes, &outcome.diff), Ok(()));
        assert_eq!(Diff::from_bytes(&outcome.diff.to_bytes()).as_ref(), Ok(&outcome.diff));
        outcome
    }

    /// Runs and applies, both ways, and back.
    fn step(&mut self, by: &[&str], function: u16, args: &[Value]) -> Result<Value, Abort> {
        let Outcome { result, diff, writes, .. } = self.ask(by, function, args);
        let resolve = Bank::resolve(&self.unit);
        let before = self.memory.clone();
        let mut other = before.clone();
        other.apply(&self.universe, &resolve, &diff).unwrap();
        self.memory.write(&diff, writes).unwrap();
        assert_eq!(self.memory, other);
        if !diff.changes.is_empty() {
            let again = other.apply(&self.universe, &resolve, &diff);
            assert!(matches!(again, Err(NotApplicable::Before(_))));
            assert_eq!(self.memory, other);
        }
        other.apply(&self.universe, &resolve, &diff.invert()).unwrap();
        assert_eq!(other, before);
        self.commands += 1;
        result
    }

    fn with(accounts: &[(&str, i128)]) -> Bank {
        let mut bank = Bank::new();
        for (who, amount) in accounts {
            assert_eq!(bank.step(&[who], OPEN, &[p(who)]), Ok(Value::Unit));
            assert_eq!(bank.step(&["treasury"], ISSUE, &[p(who), n(*amount)]), Ok(Value::Unit));
        }
        bank
    }

    fn balance(&self, who: &str) -> Value {
        self.ask(&[], BALANCE, &[p(who)]).result.unwrap()
    }
}

fn fault(fault: Fault) -> Result<Value, Abort> {
    Err(Abort::Fault(fault))
}

#[test]
fn transfers() {
    let mut bank = Bank::with(&[("alice", 100), ("bob", 0)]);
    let outcome = bank.ask(&["alice"], TRANSFER, &[p("alice"), p("bob"), n(30)]);
    assert_eq!(outcome.diff.changes.len(), 2);
    assert_eq!(outcome.diff.authority, [name("alice")]);
    assert_eq!(outcome.diff.events.len(), 1);
    assert_eq!((outcome.diff.minted.len(), outcome.diff.burned.len()), (0, 0));
    assert_eq!(outcome.cost.0[dimension::READS], 3);
    assert_eq!(outcome.cost.0[dimension::WRITES], 2);
    assert_eq!(bank.step(&["alice"], TRANSFER, &[p("alice"), p("bob"), n(30)]), Ok(Value::Unit));
    assert_eq!(bank.balance("alice"), Value::some(n(70)));
    assert_eq!(bank.balance("bob"), Value::some(n(30)));
    assert_eq!(bank.balance("carol"), Value::none());

    let transfer = |from, to, amount| [p(from), p(to), n(amount)];
    assert_eq!(bank.step(&["bob"], TRANSFER, &transfer("alice", "bob", 1)), fault(Fault::Unauthorized));
    assert_eq!(bank.step(&["alice"], TRANSFER, &transfer("alice", "bob", 0)), fault(Fault::RequirementFailed(0)));
    assert_eq!(bank.step(&["bob"], TRANSFER, &transfer("bob", "bob", 1)), fault(Fault::RequirementFailed(1)));
    assert_eq!(bank.step(&["alice"], TRANSFER, &transfer("alice", "carol", 1)), fault(Fault::RowMissing));
    let most = (1 << 96) - 1;
    let Err(Abort::Error { module, error: 1, args }) = bank.step(&["bob"], TRANSFER, &transfer("bob", "alice", most))
    else {
        panic!("it has not that much")
    };
    assert_eq!(module, bank.unit.id);
    assert_eq!(args, [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30], [255; 12]].concat());
    assert_eq!(bank.step(&["treasury"], ISSUE, &[p("bob"), n(most)]), fault(Fault::Overflow));
    assert_eq!(bank.step(&["bob"], REDEEM, &[p("bob"), n(30)]), Ok(Value::Unit));
    assert_eq!(bank.step(&["bob"], OPEN, &[p("bob")]), fault(Fault::RowExists));
    assert_eq!(bank.step(&["bob"], CLOSE, &[p("bob")]), Ok(Value::Unit));
    assert_eq!(bank.step(&["bob"], CLOSE, &[p("bob")]), fault(Fault::RowMissing));
    assert_eq!(bank.step(&["bob"], DEBIT, &[p("bob"), n(1)]), fault(Fault::Unauthorized));
    assert_eq!(bank.step(&["alice"], TWICE, &[p("alice"), p("alice")]), fault(Fault::RowBusy));
    assert_eq!(bank.step(&["bob"], OPEN, &[p("bob")]), Ok(Value::Unit));
    let put_back = bank.ask(&["alice"], TWICE, &[p("alice"), p("bob")]);
    assert_eq!(put_back.diff.changes, [], "rows put back as they were are no change");
    assert_eq!(put_back.cost.0[dimension::WRITES], 2);
}

#[test]
fn scans_go_in_the_order_of_bytes() {
    let mut bank = Bank::with(&[("b", 1), ("aa", 1), ("c", 1), ("d", 1)]);
    let keys = |names: &[&str]| Ok(Value::List(Arc::new(names.iter().map(|n| p(n)).collect())));
    assert_eq!(bank.step(&[], KEYS, &[Value::none()]), keys(&["b", "c", "d"]));
    assert_eq!(bank.step(&[], KEYS, &[Value::some(p("c"))]), keys(&["d", "aa"]));
    assert_eq!(bank.step(&[], KEYS, &[Value::some(p("zz"))]), keys(&[]));
    let lineage = bank.unit.lineage;
    assert_eq!(bank.memory.next_keys(&lineage, 1, None, 5), Vec::<Vec<u8>>::new());
}

#[test]
fn instances_go_from_state_to_state() {
    let mut bank = Bank::with(&[("alice", 100), ("bob", 0)]);
    let id = bank.step(&["alice"], START, &[p("alice"), n(40)]).unwrap();
    let release = |not_before| [id.clone(), p("bob"), n(not_before)];
    assert_eq!(bank.step(&["treasury"], RELEASE, &release(1_001)), fault(Fault::Unauthorized));
    let outcome = bank.ask(&["treasury"], RELEASE, &release(1_000));
    assert_eq!(outcome.diff.authority, [name("treasury")]);
    assert_eq!(bank.step(&["alice"], RELEASE, &release(1_001)), Ok(Value::Unit));
    assert_eq!(bank.balance("bob"), Value::some(n(40)));
    assert_eq!(bank.step(&["alice"], RELEASE, &release(0)), fault(Fault::WrongState));
    let other = [Value::Digest(Hash::ZERO), p("bob"), n(0)];
    assert_eq!(bank.step(&["alice"], RELEASE, &other), fault(Fault::RowMissing));
}

#[test]
fn maps_of_assets() {
    let mut bank = Bank::new();
    let list = |ns: &[i128]| [Value::List(Arc::new(ns.iter().copied().map(n).collect()))];
    let outcome = bank.ask(&["treasury"], POOL, &list(&[5, 7, 5, 9]));
    assert_eq!(outcome.result, Ok(n(21)));
    assert_eq!((outcome.diff.minted[0].1, outcome.diff.burned[0].1), (26, 26));
    assert_eq!(bank.step(&["treasury"], POOL, &list(&[])), Ok(n(0)));
    assert_eq!(bank.step(&["treasury"], POOL, &list(&[1, 2, 3, 4, 5, 6])), fault(Fault::TooLong));
}

#[test]
fn rights_beside_the_bank() {
    let mut bank = Bank::with(&[("alice", 5)]);
    let mut library = Library { universe: bank.universe.clone(), ..Library::default() };
    library.units.insert(bank.unit.id, bank.unit.clone());
    let (unit, universe) = judge(&library, rights(bank.unit.id), &mut Trust).unwrap_or_else(|e| panic!("{e}"));
    (bank.unit, bank.universe) = (Arc::new(unit), universe);
    assert_eq!(bank.step(&["alice"], 0, &[n(1), p("alice")]), Ok(Value::Unit));
    assert_eq!(bank.step(&["alice"], 0, &[n(1), p("alice")]), fault(Fault::RowExists));
    assert_eq!(bank.step(&["alice"], 0, &[n(2), p("bob")]), fault(Fault::Unauthorized));
    let outcome = bank.ask(&["alice"], 1, &[n(1), p("alice")]);
    assert_eq!((outcome.diff.minted.len(), outcome.diff.burned[0].1), (0, 1));
    let outcome = bank.ask(&["alice"], 3, &[p("alice")]);
    assert_eq!((outcome.result, outcome.diff.minted[0].1, outcome.diff.burned[0].1), (Ok(Value::Unit), 1, 1));
    assert_eq!(bank.step(&["bob"], 3, &[p("bob")]), fault(Fault::RowMissing));
    assert_eq!(bank.step(&["alice"], 4, &[p("alice")]), fault(Fault::NotEmpty));

    let key = wire::SecretKey::from_seed([3; 32]);
    let bytes = |b: &[u8]| Value::Bytes(b.into());
    let (public, signature) = (bytes(&key.public().0), bytes(&key.sign_bytes(b"message").0));
    let misc = |a, key: &Value, message: &[u8]| [n(a), key.clone(), bytes(message), signature.clone()];
    let seven = [7; 12].iter().fold(0, |sum, b| sum << 8 | *b);
    assert_eq!(bank.step(&[], 2, &misc(9, &public, b"message")), Ok(n(9)));
    assert_eq!(bank.step(&[], 2, &misc(9, &public, b"massage")), Ok(n(seven)));
    assert_eq!(bank.step(&[], 2, &misc(9, &bytes(b"short"), b"message")), Ok(n(seven)));
    assert_eq!(bank.step(&[], 2, &misc(9, &public, &[0; 33])), fault(Fault::TooLong));
    assert_eq!(bank.step(&[], 2, &misc(0, &public, b"message")), fault(Fault::DivisionByZero));
}

#[test]
fn the_zoo_gives_an_answer() {
    let bank = Bank::new();
    let ns = Value::List(Arc::new(vec![n(9), n(4), n(4)]));
    let outcome = bank.ask(&["alice"], ZOO, &[ns, n(3), Value::text("zwölf"), n(100), n(90_000_000_000), n(-5)]);
    let Ok(Value::Fields(answer)) = outcome.result else { panic!("{:?}", outcome.result) };
    assert_eq!(answer[2], Value::text("wölfzwölf"));
    assert_eq!(answer[3], n(1041));
}

#[test]
fn what_is_not_conserved_is_found() {
    let bank = Bank::with(&[("alice", 100), ("bob", 0)]);
    let outcome = bank.ask(&["alice"], TRANSFER, &[p("alice"), p("bob"), n(30)]);
    let resolve = Bank::resolve(&bank.unit);
    let mut forged = outcome.diff.clone();
    forged.changes.pop();
    assert!(matches!(check_conservation(&bank.universe, &resolve, &forged), Err(NotConserved::Asset(_))));
    let Err(unknown) = check_conservation(&bank.universe, |_, _| None, &outcome.diff) else { panic!() };
    assert_eq!(unknown, NotConserved::UnknownTable);
}

#[test]
fn machines_stop_and_go() {
    let bank = Bank::with(&[("alice", 100), ("bob", 0)]);
    let world = bank.world(&["alice"]);
    let call = Call {
        unit: &bank.unit,
        function: TRANSFER,
        args: vec![p("alice"), p("bob"), n(30)],
        universe: &bank.universe,
        rows: &bank.memory,
        world: &world,
        limit: MUCH,
    };
    let mut machine = Machine::new(call.clone());
    let (mut steps, mut deepest) = (0, 0);
    while machine.step() {
        steps += 1;
        let (_, _, _, depth) = machine.place().unwrap();
        deepest = deepest.max(depth);
        assert!(machine.variables().len() >= 2);
    }
    assert_eq!((steps, deepest), (22, 2));
    assert_eq!(machine.run(), reference::run(call));
}

#[test]
fn arguments_are_read_exactly() {
    let bank = Bank::new();
    let info = &bank.unit.functions[usize::from(TRANSFER)];
    let args = [p("alice"), p("bob"), n(30)];
    let mut bytes = Vec::new();
    for (ty, arg) in info.params.iter().zip(&args) {
        value::encode(&bank.universe, *ty, arg, &mut bytes);
    }
    assert_eq!(read_arguments(&bank.universe, info, &bytes).as_deref(), Ok(&args[..]));
    bytes.push(0);
    assert!(read_arguments(&bank.universe, info, &bytes).is_err());
    assert!(read_arguments(&bank.universe, info, &[0; 70_000]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_zoo_is_the_same_from_both_sides(
        ns in proptest::collection::vec(0i128..30, 0..8),
        k in prop_oneof![0i128..5, 0i128..1 << 96],
        t in "[a-zö]{0,14}",
        d in any::<i32>(),
        ti in any::<u64>().prop_map(|t| t >> 20),
        c in -30_000i32..30_000,
        known in any::<bool>(),
    ) {
        let bank = Bank::new();
        let ns = Value::List(Arc::new(ns.into_iter().map(n).collect()));
        let by: &[&str] = if known { &["alice"] } else { &[] };
        bank.ask(by, ZOO, &[ns, n(k), Value::text(&t), n(d.into()), n(ti.into()), n(c.into())]);
    }

    #[test]
    fn diffs_of_commands_compose(moves in proptest::collection::vec((0usize..4, 0usize..4, 0i128..60), 3..8)) {
        let who = ["alice", "bob", "carol", "dora"];
        let mut bank = Bank::with(&[("alice", 100), ("bob", 20), ("carol", 0)]);
        let start = bank.memory.clone();
        let mut diffs = Vec::new();
        for (from, to, amount) in moves {
            let outcome = match (from, to) {
                (3, _) => bank.ask(&["treasury"], ISSUE, &[p(who[to]), n(amount)]),
                (_, 3) => bank.ask(&[who[from]], REDEEM, &[p(who[from]), n(amount)]),
                _ => bank.ask(&[who[from]], TRANSFER, &[p(who[from]), p(who[to]), n(amount)]),
            };
            bank.memory.write(&outcome.diff, outcome.writes).unwrap();
            diffs.push(outcome.diff);
        }
        let resolve = Bank::resolve(&bank.unit);
        let left = diffs.iter().try_fold(Diff::default(), |all, d| all.then(d)).unwrap();
        let right = diffs.iter().rev().try_fold(Diff::default(), |all, d| d.then(&all)).unwrap();
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(check_conservation(&bank.universe, &resolve, &left), Ok(()));
        let mut at_once = start.clone();
        at_once.apply(&bank.universe, &resolve, &left).unwrap();
        prop_assert_eq!(&at_once, &bank.memory);
        at_once.apply(&bank.universe, &resolve, &left.invert()).unwrap();
        prop_assert_eq!(at_once, start);
        prop_assert_eq!(left.then(&left.invert()).unwrap().changes, vec![]);
    }
}

/// How long a transfer takes; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn transfers_are_fast() {
    let bank = Bank::with(&[("alice", 100), ("bob", 0)]);
    let world = bank.world(&["alice"]);
    let rounds = 200_000;
    let args = vec![p("alice"), p("bob"), n(30)];
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        let call = Call {
            unit: &bank.unit,
            function: TRANSFER,
            args: args.clone(),
            universe: &bank.universe,
            rows: &bank.memory,
            world: &world,
            limit: MUCH,
        };
        assert!(hopper::eval::run(call).result.is_ok());
    }
    println!("{} ns for each transfer", start.elapsed().as_nanos() / rounds);
}

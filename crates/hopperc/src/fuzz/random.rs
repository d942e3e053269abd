//! Random modules that the verifier accepts: for comparing the evaluators, and as stock for mutation.
//!
//! All share one set of declarations (numbers, texts, options, lists, maps, a record, an enum, a measured asset, a signed one, two tables)
//! and differ in their functions. What has quantity 1 is used up where its block ends, so that every program is well formed by
//! construction; obligations are preceded by a check that implies them.

use hopper::ir::{
    Arith, Asset, Block, BlockIx, Const, DateStep, End, Enum, Field, Function, FunctionKind, GuardNode, HashKind,
    Label, Linear, Measure, Module, Monomial, Op, Place, Prop, Record, Ref, Relation, Rounding, Signal, Table, Type,
    TypeIx, Upgrade, Var, Variant,
};

/// A stream of numbers from a seed: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

/// Places in the table of types.
pub mod ty {
    #![allow(missing_docs, reason = "the names are the types'")]
    pub const UNIT: u16 = 0;
    pub const BOOL: u16 = 1;
    pub const NAT8: u16 = 2;
    pub const NAT32: u16 = 3;
    pub const NAT64: u16 = 4;
    pub const INT32: u16 = 5;
    pub const INT64: u16 = 6;
    pub const NAT96: u16 = 7;
    pub const DEC: u16 = 8;
    pub const TEXT: u16 = 9;
    pub const BYTES: u16 = 10;
    pub const DIGEST: u16 = 11;
    pub const PARTY: u16 = 12;
    pub const TIME: u16 = 13;
    pub const DATE: u16 = 14;
    pub const OPTION: u16 = 15;
    pub const LIST: u16 = 16;
    pub const MAP: u16 = 17;
    pub const PAIR: u16 = 18;
    pub const RECORD: u16 = 19;
    pub const ENUM: u16 = 20;
    pub const COIN: u16 = 21;
    pub const PERMIT: u16 = 22;
    pub const ACCOUNT: u16 = 24;
    pub const OPTION_RECORD: u16 = 25;
    pub const OPTION_PARTY: u16 = 26;
    pub const KEYS: u16 = 27;
    pub const OPTION_KEY: u16 = 28;
    pub const GHOST: u16 = 29;
    pub const PURSE: u16 = 23;
    pub const OPTION_COIN: u16 = 30;
    pub const LONG: u16 = 31;
}

const DATA: [u16; 20] = [
    ty::BOOL,
    ty::NAT8,
    ty::NAT32,
    ty::NAT64,
    ty::INT32,
    ty::INT64,
    ty::NAT96,
    ty::DEC,
    ty::TEXT,
    ty::BYTES,
    ty::DIGEST,
    ty::PARTY,
    ty::TIME,
    ty::DATE,
    ty::OPTION,
    ty::LIST,
    ty::MAP,
    ty::PAIR,
    ty::RECORD,
    ty::ENUM,
];
const NUMBERS: [u16; 6] = [ty::NAT8, ty::NAT32, ty::NAT64, ty::INT32, ty::INT64, ty::NAT96];

/// The table of numbers, by Nat32.
pub const RECORDS: u16 = 0;
/// The table of accounts, by party.
pub const ACCOUNTS: u16 = 1;

/// A label that is known to be one.
///
/// # Panics
/// If it is not.
pub fn label(text: &str) -> Label {
    Label::new(text).expect("a label")
}

fn field(name: &str, ty: TypeIx) -> Field {
    Field { name: label(name), ty }
}

fn own(index: u16) -> Ref {
    Ref { scope: 0, index }
}

/// `a <= b` for two places.
pub fn at_most(a: Place, b: Place) -> Prop {
    let term = |factor, place| Monomial { factor, place, measure: Measure::Value };
    let mut terms = vec![term(1, a), term(-1, b)];
    terms.sort_by(|a, b| a.place.cmp(&b.place));
    Prop::AtMostZero { linear: Linear { constant: 0, terms } }
}

/// The declarations that all random modules share.
pub fn declarations() -> Module {
    let int = |signed, bits| Type::Int { signed, bits };
    Module {
        name: label("random"),
        replaces: None,
        imports: vec![],
        roles: vec![label("boss")],
        governance: vec![],
        upgrade: Upgrade::Immutable,
        types: vec![
            Type::Unit,
            Type::Bool,
            int(false, 8),
            int(false, 32),
            int(false, 64),
            int(true, 32),
            int(true, 64),
            int(false, 96),
            Type::Dec { places: 2 },
            Type::Text { max: 16 },
            Type::Bytes { max: 16 },
            Type::Digest,
            Type::Party,
            Type::Time,
            Type::Date,
            Type::Option { of: ty::NAT64 },
            Type::List { of: ty::NAT64, max: 8 },
            Type::Map { key: ty::NAT32, value: ty::NAT64, max: 8 },
            Type::Tuple { items: vec![ty::NAT64, ty::PARTY] },
            Type::Record { of: own(0) },
            Type::Enum { of: own(0) },
            Type::Asset { of: own(0) },
            Type::Asset { of: own(1) },
            Type::Map { key: ty::NAT32, value: ty::COIN, max: 4 },
            Type::Record { of: own(1) },
            Type::Option { of: ty::RECORD },
            Type::Option { of: ty::PARTY },
            Type::List { of: ty::NAT32, max: 4 },
            Type::Option { of: ty::NAT32 },
            Type::Ghost,
            Type::Option { of: ty::COIN },
            Type::List { of: ty::NAT8, max: 4000 },
        ],
        constants: vec![],
        records: vec![
            Record {
                name: label("Numbers"),
                fields: vec![field("low", ty::NAT64), field("high", ty::NAT64), field("flag", ty::BOOL)],
                invariant: vec![at_most(Place { var: 0, path: vec![] }, Place { var: 1, path: vec![] })],
            },
            Record {
                name: label("Account"),
                fields: vec![field("balance", ty::COIN), field("count", ty::NAT64), field("purse", ty::PURSE)],
                invariant: vec![],
            },
        ],
        enums: vec![Enum {
            name: label("Choice"),
            variants: vec![
                Variant { name: label("Nothing"), fields: vec![], invariant: vec![] },
                Variant { name: label("Number"), fields: vec![field("n", ty::NAT64)], invariant: vec![] },
                Variant {
                    name: label("Both"),
                    fields: vec![field("who", ty::PARTY), field("n", ty::NAT32)],
                    invariant: vec![],
                },
            ],
        }],
        assets: vec![
            Asset {
                name: label("Coin"),
                fields: vec![field("amount", ty::NAT96)],
                measured: true,
                signed: None,
                invariant: vec![],
            },
            Asset {
                name: label("Permit"),
                fields: vec![field("owner", ty::PARTY), field("limit", ty::NAT64)],
                measured: false,
                signed: Some(0),
                invariant: vec![],
            },
        ],
        tables: vec![
            Table { name: label("records"), key: ty::NAT32, row: ty::RECORD, invariant: vec![] },
            Table { name: label("accounts"), key: ty::PARTY, row: ty::ACCOUNT, invariant: vec![] },
        ],
        protocols: vec![],
        errors: vec![
            Signal { name: label("No"), fields: vec![] },
            Signal { name: label("TooMuch"), fields: vec![field("n", ty::NAT64)] },
        ],
        events: vec![Signal { name: label("Seen"), fields: vec![field("n", ty::NAT64), field("who", ty::PARTY)] }],
        functions: vec![],
    }
}

/// A random module: a few functions, the last ones actions.
pub fn module(dice: &mut Dice) -> Module {
    let mut module = declarations();
    let count = 1 + dice.below(4);
    for n in 0..count {
        let action = n + 1 == count || dice.one_in(3);
        let function = function(dice, &mut module, n, action);
        module.functions.push(function);
    }
    sort_constants(&mut module);
    module
}

/// Puts constants into their one order and renumbers what refers to them.
fn sort_constants(module: &mut Module) {
    let mut sorted = module.constants.clone();
    sorted.sort();
    sorted.dedup();
    let old = std::mem::replace(&mut module.constants, sorted);
    for op in module.functions.iter_mut().flat_map(|f| &mut f.blocks).flat_map(|b| &mut b.ops) {
        if let Op::Const { constant } = op {
            let place = module.constants.binary_search(&old[usize::from(*constant)]);
            *constant = place.expect("every constant is still there") as u16;
        }
    }
}

fn function(dice: &mut Dice, module: &mut Module, index: usize, action: bool) -> Function {
    let mut params = Vec::new();
    for n in 0..1 + dice.below(4) {
        let ty = if n == 0 { ty::PARTY } else { *dice.pick(&DATA) };
        params.push(field(&format!("p{n}"), ty));
    }
    let result = if dice.one_in(2) { ty::UNIT } else { *dice.pick(&DATA) };
    let (by, authority) = match action {
        true if dice.one_in(8) => {
            let party = GuardNode::Party { place: Place { var: 0, path: vec![] } };
            (vec![party, GuardNode::Anyone, GuardNode::AtLeast { k: 2, of: 2 }], vec![])
        }
        true => (vec![GuardNode::Party { place: Place { var: 0, path: vec![] } }], vec![]),
        false => (vec![], vec![Place { var: 0, path: vec![] }]),
    };
    let mut body = Body {
        dice,
        module,
        index,
        blocks: vec![],
        scope: params.iter().map(|p| (p.ty, false)).collect(),
        budget: 40,
        mints: false,
        burns: false,
        permits: (false, false),
        looping: 0,
    };
    let root = body.open();
    body.statements(root);
    let value = body.make(root, result);
    body.settle(root, 0);
    body.blocks[0].end = End::Yield { vars: vec![value] };
    let (blocks, mints, burns, permits) = (body.blocks, body.mints, body.burns, body.permits);
    let list = |coin: bool, permit: bool| {
        [(coin, 0u16), (permit, 1)].into_iter().filter(|(on, _)| *on).map(|(_, n)| n).collect::<Vec<u16>>()
    };
    Function {
        name: label(&format!("f{index}")),
        kind: if action { FunctionKind::Action } else { FunctionKind::Private },
        params,
        result,
        requires: vec![],
        by,
        authority,
        mints: list(mints, permits.0),
        burns: list(burns, permits.1),
        moves: vec![],
        ensures: vec![],
        blocks,
    }
}

/// A body that is being written.
struct Body<'b> {
    dice: &'b mut Dice,
    module: &'b mut Module,
    index: usize,
    blocks: Vec<Block>,
    /// Types of the variables in scope, and whether they are gone.
    scope: Vec<(TypeIx, bool)>,
    budget: usize,
    mints: bool,
    burns: bool,
    permits: (bool, bool),
    looping: usize,
}

impl Body<'_> {
    fn open(&mut self) -> BlockIx {
        self.blocks.push(Block { ops: vec![], end: End::Yield { vars: vec![] } });
        (self.blocks.len() - 1) as BlockIx
    }

    fn emit(&mut self, block: BlockIx, op: Op, results: &[TypeIx]) -> Var {
        self.blocks[usize::from(block)].ops.push(op);
        let first = self.scope.len() as Var;
        self.scope.extend(results.iter().map(|ty| (*ty, false)));
        first
    }

    fn gone(&mut self, v: Var) {
        self.scope[usize::from(v)].1 = true;
    }

    fn of(&mut self, ty: TypeIx) -> Option<Var> {
        let found: Vec<Var> =
            self.scope.iter().enumerate().filter(|(_, v)| **v == (ty, false)).map(|(n, _)| n as Var).collect();
        if found.is_empty() { None } else { Some(*self.dice.pick(&found)) }
    }

    fn constant(&mut self, ty: TypeIx, bytes: Vec<u8>) -> u16 {
        let constant = Const { ty, bytes };
        let found = self.module.constants.iter().position(|c| *c == constant);
        found.unwrap_or_else(|| {
            self.module.constants.push(constant);
            self.module.constants.len() - 1
        }) as u16
    }

    /// A value of a data type: one that is there, or a new one.
    fn make(&mut self, block: BlockIx, want: TypeIx) -> Var {
        if !self.dice.one_in(3)
            && let Some(v) = self.of(want)
        {
            return v;
        }
        let small = self.dice.below(5) as u8;
        let wide = self.dice.roll().to_be_bytes();
        let n = if self.dice.one_in(4) { wide } else { u64::from(small).to_be_bytes() };
        let bytes: Vec<u8> = match want {
            ty::UNIT => vec![],
            ty::BOOL => vec![small % 2],
            ty::NAT8 => vec![n[7]],
            ty::NAT32 => n[4..].to_vec(),
            ty::NAT64 | ty::TIME => n.to_vec(),
            ty::INT32 | ty::DATE => vec![0x80, 0, n[6], n[7]],
            ty::INT64 => vec![0x80, 0, 0, 0, n[4], n[5], n[6], n[7]],
            ty::NAT96 => [vec![0; 4], n.to_vec()].concat(),
            ty::DEC => [vec![0x80], vec![0; 7], n.to_vec()].concat(),
            ty::TEXT => [vec![0, 0, 0, small], vec![b'a' + small; small.into()]].concat(),
            ty::BYTES => [vec![0, 0, 0, small], wide[..small.into()].to_vec()].concat(),
            ty::DIGEST => vec![small; 32],
            ty::PARTY => vec![0, 0, 0, 1, b'a' + small % 4],
            ty::OPTION => {
                let args = if small == 0 { vec![] } else { vec![self.make(block, ty::NAT64)] };
                let variant = u16::from(small != 0);
                return self.emit(block, Op::Inject { ty: want, variant, args }, &[want]);
            }
            ty::OPTION_PARTY | ty::OPTION_KEY | ty::OPTION_RECORD => vec![0],
            ty::LIST => {
                let items = (0..small.min(3)).map(|_| self.make(block, ty::NAT64)).collect();
                return self.emit(block, Op::List { ty: want, items }, &[want]);
            }
            ty::MAP => {
                let mut map = self.emit(block, Op::MapNew { ty: want }, &[want]);
                for _ in 0..small.min(2) {
                    let (key, value) = (self.make(block, ty::NAT32), self.make(block, ty::NAT64));
                    map = self.emit(block, Op::MapPut { map, key, value }, &[want, ty::OPTION]);
                }
                return map;
            }
            ty::PAIR => {
                let args = vec![self.make(block, ty::NAT64), self.make(block, ty::PARTY)];
                return self.emit(block, Op::Make { ty: want, args }, &[want]);
            }
            ty::RECORD => {
                let (a, b) = (self.make(block, ty::NAT64), self.make(block, ty::NAT64));
                let low = self.emit(block, Op::Arith { op: Arith::Min, a, b }, &[ty::NAT64]);
                let high = self.emit(block, Op::Arith { op: Arith::Max, a, b }, &[ty::NAT64]);
                let flag = self.make(block, ty::BOOL);
                return self.emit(block, Op::Make { ty: want, args: vec![low, high, flag] }, &[want]);
            }
            ty::ENUM => {
                let variant = u16::from(small % 3);
                let args = match variant {
                    0 => vec![],
                    1 => vec![self.make(block, ty::NAT64)],
                    _ => vec![self.make(block, ty::PARTY), self.make(block, ty::NAT32)],
                };
                return self.emit(block, Op::Inject { ty: want, variant, args }, &[want]);
            }
            other => unreachable!("type {other} is no data"),
        };
        let constant = self.constant(want, bytes);
        self.emit(block, Op::Const { constant }, &[want])
    }

    fn statements(&mut self, block: BlockIx) {
        for _ in 0..1 + self.dice.below(8) {
            if self.budget == 0 {
                return;
            }
            self.budget -= 1;
            self.statement(block);
        }
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each sort of statement")]
    fn statement(&mut self, block: BlockIx) {
        match self.dice.below(37) {
            0..=4 => {
                let ty = *self.dice.pick(&NUMBERS);
                let all = [
                    Arith::Add,
                    Arith::Sub,
                    Arith::Mul,
                    Arith::DivFloor,
                    Arith::DivCeil,
                    Arith::Mod,
                    Arith::Min,
                    Arith::Max,
                ];
                let (op, a, b) = (*self.dice.pick(&all), self.make(block, ty), self.make(block, ty));
                self.emit(block, Op::Arith { op, a, b }, &[ty]);
            }
            5 => {
                let (from, to) = (*self.dice.pick(&NUMBERS), *self.dice.pick(&NUMBERS));
                let a = self.make(block, from);
                self.emit(block, Op::Cast { a, ty: to }, &[to]);
            }
            6 => {
                let [a, b, c] = [(); 3].map(|()| {
                    let ty = *self.dice.pick(&[ty::NAT64, ty::INT64, ty::DEC, ty::NAT96]);
                    self.make(block, ty)
                });
                let rounding = *self.dice.pick(&[Rounding::Floor, Rounding::Ceil, Rounding::HalfEven]);
                let ty = *self.dice.pick(&[ty::NAT64, ty::INT64, ty::DEC]);
                self.emit(block, Op::MulDiv { a, b, c, rounding, ty }, &[ty]);
            }
            7 | 8 => {
                let ty = *self.dice.pick(&DATA);
                let ordered = NUMBERS.contains(&ty) || [ty::DEC, ty::TIME, ty::DATE].contains(&ty);
                let all = [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::AtMost];
                let op = *self.dice.pick(if ordered { &all } else { &all[..2] });
                let (a, b) = (self.make(block, ty), self.make(block, ty));
                self.emit(block, Op::Compare { op, a, b }, &[ty::BOOL]);
            }
            9 => {
                let (a, b) = (self.make(block, ty::BOOL), self.make(block, ty::BOOL));
                let op = match self.dice.below(3) {
                    0 => Op::And { a, b },
                    1 => Op::Or { a, b },
                    _ => Op::Not { a },
                };
                self.emit(block, op, &[ty::BOOL]);
            }
            10 => {
                let ty = *self.dice.pick(&[ty::TEXT, ty::BYTES, ty::LIST, ty::MAP]);
                let a = self.make(block, ty);
                self.emit(block, Op::Length { a }, &[ty::NAT32]);
            }
            11 => {
                let ty = *self.dice.pick(&[ty::TEXT, ty::BYTES, ty::LIST]);
                let (a, b) = (self.make(block, ty), self.make(block, ty));
                self.emit(block, Op::Concat { a, b, ty }, &[ty]);
            }
            12 => {
                let ty = *self.dice.pick(&[ty::TEXT, ty::BYTES, ty::LIST]);
                let (a, from, to) = (self.make(block, ty), self.make(block, ty::NAT32), self.make(block, ty::NAT32));
                self.emit(block, Op::Slice { a, from, to }, &[ty]);
            }
            13 => {
                let var = self.make(block, ty::RECORD);
                let n = self.dice.below(3) as u8;
                let ty = [ty::NAT64, ty::NAT64, ty::BOOL][usize::from(n)];
                self.emit(block, Op::Get { place: Place { var, path: vec![n] } }, &[ty]);
            }
            14 => {
                let a = self.make(block, ty::RECORD);
                match self.dice.one_in(2) {
                    true => {
                        self.emit(block, Op::Unpack { a }, &[ty::NAT64, ty::NAT64, ty::BOOL]);
                    }
                    false => {
                        let value = self.make(block, ty::BOOL);
                        self.emit(block, Op::With { a, field: 2, value }, &[ty::RECORD]);
                    }
                }
            }
            15 => {
                let (list, index) = (self.make(block, ty::LIST), self.make(block, ty::NAT32));
                self.emit(block, Op::At { list, index }, &[ty::OPTION]);
            }
            16 => {
                let (list, item) = (self.make(block, ty::LIST), self.make(block, ty::NAT64));
                self.emit(block, Op::Push { list, item }, &[ty::LIST]);
            }
            17 => {
                let (map, key) = (self.make(block, ty::MAP), self.make(block, ty::NAT32));
                match self.dice.below(3) {
                    0 => self.emit(block, Op::MapGet { map, key }, &[ty::OPTION]),
                    1 => self.emit(block, Op::MapHas { map, key }, &[ty::BOOL]),
                    _ => self.emit(block, Op::MapTake { map, key }, &[ty::MAP, ty::OPTION]),
                };
            }
            18 => {
                let a = self.make(block, *[ty::TEXT, ty::BYTES].get(self.dice.0 as usize % 2).expect("two"));
                self.emit(block, Op::Hash { kind: HashKind::Sha256, a }, &[ty::DIGEST]);
            }
            19 => {
                let (date, count) = (self.make(block, ty::DATE), self.make(block, ty::INT32));
                let step = *self.dice.pick(&[DateStep::Days, DateStep::Months]);
                self.emit(block, Op::DateAdd { date, step, count }, &[ty::DATE]);
            }
            20 => {
                let time = self.make(block, ty::TIME);
                self.emit(block, Op::DateOf { time }, &[ty::DATE]);
                self.emit(block, Op::Now, &[ty::TIME]);
                self.emit(block, Op::CommandDigest, &[ty::DIGEST]);
            }
            21 => {
                let cond = self.make(block, ty::BOOL);
                let n = self.make(block, ty::NAT64);
                let (error, args) = if self.dice.one_in(2) { (0, vec![]) } else { (1, vec![n]) };
                // Checked rarely, or nothing would ever get to its end.
                if self.dice.one_in(3) {
                    self.emit(block, Op::Check { cond, error, args }, &[]);
                }
            }
            22 => {
                let args = vec![self.make(block, ty::NAT64), self.make(block, ty::PARTY)];
                self.emit(block, Op::Emit { event: 0, args }, &[]);
            }
            23 | 24 => self.branch(block),
            25 | 26 => self.looped(block),
            27 | 34 | 35 => self.call(block),
            28 | 29 => self.record_row(block),
            36 => self.growing(block),
            30 | 31 => self.account_row(block),
            32 => self.coins(block),
            33 => {
                let whole = self.make(block, ty::NAT64);
                let part = self.make(block, ty::NAT64);
                let (a, one) = (self.make(block, ty::NAT96), self.constant(ty::NAT64, 1u64.to_be_bytes().to_vec()));
                let one = self.emit(block, Op::Const { constant: one }, &[ty::NAT64]);
                let some = self.emit(block, Op::Compare { op: Relation::AtMost, a: one, b: whole }, &[ty::BOOL]);
                self.emit(block, Op::Check { cond: some, error: 0, args: vec![] }, &[]);
                let fits = self.emit(block, Op::Compare { op: Relation::AtMost, a: part, b: whole }, &[ty::BOOL]);
                self.emit(block, Op::Check { cond: fits, error: 0, args: vec![] }, &[]);
                self.emit(block, Op::Share { a, part, whole }, &[ty::NAT96]);
            }
            _ => unreachable!("all sorts are there"),
        }
    }

    /// Ends what of quantity 1 was made since a level.
    fn settle(&mut self, block: BlockIx, base: usize) {
        loop {
            let found =
                self.scope.iter().enumerate().skip(base).find(|(_, v)| !v.1 && (ty::COIN..=ty::PERMIT).contains(&v.0));
            let Some((n, (kind, _))) = found else { return };
            let (v, kind) = (n as Var, *kind);
            self.gone(v);
            if kind == ty::PERMIT {
                self.permits.1 = true;
                self.emit(block, Op::Unpack { a: v }, &[ty::PARTY, ty::NAT64]);
            } else {
                self.burns = true;
                self.emit(block, Op::Burn { a: v }, &[]);
            }
        }
    }

    fn nested(&mut self, params: &[TypeIx], results: &[TypeIx], first: &[TypeIx]) -> BlockIx {
        let base = self.scope.len();
        let before: Vec<bool> = self.scope.iter().map(|v| v.1).collect();
        // What has quantity 1 stays outside: branches must agree about it.
        for var in &mut self.scope {
            var.1 |= (ty::COIN..=ty::ACCOUNT).contains(&var.0) || var.0 == ty::PURSE;
        }
        self.scope.extend(params.iter().map(|ty| (*ty, false)));
        let block = self.open();
        self.statements(block);
        let mut vars: Vec<Var> = first.iter().map(|ty| self.make(block, *ty)).collect();
        vars.extend(results.iter().map(|ty| self.make(block, *ty)));
        self.settle(block, base);
        let abort = self.dice.one_in(12);
        self.blocks[usize::from(block)].end =
            if abort { End::Abort { error: 0, args: vec![] } } else { End::Yield { vars } };
        self.scope.truncate(base);
        for (var, gone) in self.scope.iter_mut().zip(before) {
            var.1 = gone;
        }
        block
    }

    fn branch(&mut self, block: BlockIx) {
        let results: Vec<TypeIx> = (0..self.dice.below(3)).map(|_| *self.dice.pick(&DATA)).collect();
        match self.dice.below(3) {
            0 => {
                let cond = self.make(block, ty::BOOL);
                let (yes, no) = (self.nested(&[], &results, &[]), self.nested(&[], &results, &[]));
                self.emit(block, Op::If { cond, yes, no, results: results.clone() }, &results);
            }
            1 => {
                let a = self.make(block, ty::OPTION);
                let arms = vec![self.nested(&[], &results, &[]), self.nested(&[ty::NAT64], &results, &[])];
                self.emit(block, Op::Match { a, arms, results: results.clone() }, &results);
            }
            _ => {
                let a = self.make(block, ty::ENUM);
                let arms = vec![
                    self.nested(&[], &results, &[]),
                    self.nested(&[ty::NAT64], &results, &[]),
                    self.nested(&[ty::PARTY, ty::NAT32], &results, &[]),
                ];
                self.emit(block, Op::Match { a, arms, results: results.clone() }, &results);
            }
        }
    }

    fn looped(&mut self, block: BlockIx) {
        if self.looping >= 2 {
            return;
        }
        self.looping += 1;
        // Accumulators without a length: those may grow only in ways that a random body does not keep to.
        let plain: Vec<TypeIx> = DATA[..14].iter().copied().filter(|t| ![ty::TEXT, ty::BYTES].contains(t)).collect();
        let types: Vec<TypeIx> = (0..self.dice.below(3)).map(|_| *self.dice.pick(&plain)).collect();
        let init: Vec<Var> = types.iter().map(|ty| self.make(block, *ty)).collect();
        if self.dice.one_in(3) {
            let fuel = self.make(block, ty::NAT8);
            let body = self.nested(&types, &types, &[ty::BOOL]);
            self.emit(block, Op::Iterate { fuel, init, body, invariant: vec![] }, &types);
        } else {
            let (over, mut params) = match self.dice.one_in(2) {
                true => (self.make(block, ty::LIST), vec![ty::NAT64]),
                false => (self.make(block, ty::MAP), vec![ty::NAT32, ty::NAT64]),
            };
            params.extend(&types);
            let body = self.nested(&params, &types, &[]);
            let drain = self.dice.one_in(2);
            self.emit(block, Op::Fold { over, drain, init, body, invariant: vec![] }, &types);
        }
        self.looping -= 1;
    }

    /// A loop with a list that grows by the same in each round.
    fn growing(&mut self, block: BlockIx) {
        let start = self.constant(ty::LONG, vec![0, 0, 0, 2, 1, 2]);
        let start = self.emit(block, Op::Const { constant: start }, &[ty::LONG]);
        let fuel = self.make(block, ty::NAT8);
        let base = self.scope.len() as Var;
        let body = self.open();
        self.scope.push((ty::LONG, false));
        let on = self.constant(ty::BOOL, vec![1]);
        let on = self.emit(body, Op::Const { constant: on }, &[ty::BOOL]);
        let long = self.emit(body, Op::Concat { a: start, b: base, ty: ty::LONG }, &[ty::LONG]);
        self.blocks[usize::from(body)].end = End::Yield { vars: vec![on, long] };
        self.scope.truncate(usize::from(base));
        let init = vec![start];
        let op = Op::Iterate { fuel, init, body, invariant: vec![] };
        self.emit(block, op, &[ty::LONG]);
    }

    fn call(&mut self, block: BlockIx) {
        let mut callees: Vec<u16> = Vec::new();
        for (n, function) in self.module.functions.iter().enumerate().take(self.index) {
            if function.kind == FunctionKind::Private {
                callees.push(n as u16);
            }
        }
        if callees.is_empty() {
            return;
        }
        let callee = *self.dice.pick(&callees);
        let function = self.module.functions[usize::from(callee)].clone();
        // The authority of the first parameter is what every function has; it is handed on.
        let mut args = vec![0];
        args.extend(function.params[1..].iter().map(|p| self.make(block, p.ty)).collect::<Vec<Var>>());
        self.mints |= function.mints.contains(&0);
        self.burns |= function.burns.contains(&0);
        self.permits.0 |= function.mints.contains(&1);
        self.permits.1 |= function.burns.contains(&1);
        self.emit(block, Op::Call { function: own(callee), args }, &[function.result]);
    }

    fn record_row(&mut self, block: BlockIx) {
        let key = self.make(block, ty::NAT32);
        match self.dice.below(6) {
            0 => {
                let row = self.make(block, ty::RECORD);
                self.emit(block, Op::Insert { table: RECORDS, key, row }, &[]);
            }
            1 => {
                self.emit(block, Op::Has { table: RECORDS, key }, &[ty::BOOL]);
            }
            2 => {
                self.emit(block, Op::Peek { table: RECORDS, key, path: vec![0] }, &[ty::OPTION]);
            }
            3 => {
                let after = self.make(block, ty::OPTION_KEY);
                self.emit(block, Op::Scan { table: RECORDS, after, ty: ty::KEYS }, &[ty::KEYS]);
            }
            _ => {
                let hole_ty = u16::MAX;
                let row = self.emit(block, Op::Take { table: RECORDS, key }, &[ty::RECORD, hole_ty]);
                let hole = row + 1;
                if self.dice.one_in(4) {
                    self.emit(block, Op::Close { hole }, &[]);
                } else {
                    self.statement_data(block);
                    let row = self.make(block, ty::RECORD);
                    self.emit(block, Op::Put { hole, row }, &[]);
                }
                self.gone(hole);
            }
        }
    }

    fn statement_data(&mut self, block: BlockIx) {
        let (a, b) = (self.make(block, ty::NAT64), self.make(block, ty::NAT64));
        self.emit(block, Op::Arith { op: Arith::Min, a, b }, &[ty::NAT64]);
    }

    /// Takes out part of an account's coins, and puts the rest back, with other coins perhaps.
    fn account_row(&mut self, block: BlockIx) {
        let key = if self.dice.one_in(2) { 0 } else { self.make(block, ty::PARTY) };
        let row = self.emit(block, Op::Take { table: ACCOUNTS, key }, &[ty::ACCOUNT, u16::MAX]);
        let (hole, parts) = (row + 1, row + 2);
        self.emit(block, Op::Unpack { a: row }, &[ty::COIN, ty::NAT64, ty::PURSE]);
        self.gone(row);
        let (mut balance, count, mut purse) = (parts, parts + 1, parts + 2);
        for v in [balance, purse, hole] {
            // Nobody else takes them meanwhile.
            self.gone(v);
        }
        match self.dice.below(4) {
            0 => {
                let n = self.make(block, ty::NAT96);
                let have = self.emit(block, Op::Get { place: Place { var: balance, path: vec![0] } }, &[ty::NAT96]);
                let cond = self.emit(block, Op::Compare { op: Relation::AtMost, a: n, b: have }, &[ty::BOOL]);
                self.emit(block, Op::Check { cond, error: 0, args: vec![] }, &[]);
                let first = self.emit(block, Op::Split { a: balance, n }, &[ty::COIN, ty::COIN]);
                balance = first + 1;
                self.gone(balance);
            }
            1 => {
                if let Some(b) = self.of(ty::COIN) {
                    self.gone(b);
                    balance = self.emit(block, Op::Join { a: balance, b }, &[ty::COIN]);
                    self.gone(balance);
                }
            }
            2 => {
                let key = self.make(block, ty::NAT32);
                let taken = self.emit(block, Op::MapTake { map: purse, key }, &[ty::PURSE, ty::OPTION_COIN]);
                purse = taken;
                self.gone(purse);
                self.gone(taken + 1);
                let base = self.scope.len();
                let none = self.open();
                self.blocks[usize::from(none)].ops.push(Op::Zero { asset: own(0), args: vec![] });
                self.blocks[usize::from(none)].end = End::Yield { vars: vec![base as Var] };
                let some = self.open();
                self.blocks[usize::from(some)].end = End::Yield { vars: vec![base as Var] };
                let op = Op::Match { a: taken + 1, arms: vec![none, some], results: vec![ty::COIN] };
                self.emit(block, op, &[ty::COIN]);
            }
            _ => {}
        }
        let row = self.emit(block, Op::Make { ty: ty::ACCOUNT, args: vec![balance, count, purse] }, &[ty::ACCOUNT]);
        self.gone(row);
        self.emit(block, Op::Put { hole, row }, &[]);
    }

    fn coins(&mut self, block: BlockIx) {
        match self.dice.below(5) {
            0 => {
                self.mints = true;
                let n = self.make(block, ty::NAT96);
                self.emit(block, Op::Mint { asset: 0, args: vec![n] }, &[ty::COIN]);
            }
            1 => {
                self.permits.0 = true;
                let limit = self.make(block, ty::NAT64);
                self.emit(block, Op::Create { asset: 1, args: vec![0, limit] }, &[ty::PERMIT]);
            }
            2 => {
                if let Some(a) = self.of(ty::PERMIT) {
                    self.gone(a);
                    let value = self.make(block, ty::NAT64);
                    self.emit(block, Op::With { a, field: 1, value }, &[ty::PERMIT]);
                }
            }
            3 => {
                let key = self.make(block, ty::PARTY);
                let (count, balance) = (
                    self.make(block, ty::NAT64),
                    match self.of(ty::COIN) {
                        Some(coin) => coin,
                        None => self.emit(block, Op::Zero { asset: own(0), args: vec![] }, &[ty::COIN]),
                    },
                );
                self.gone(balance);
                let purse = self.emit(block, Op::MapNew { ty: ty::PURSE }, &[ty::PURSE]);
                let args = vec![balance, count, purse];
                let row = self.emit(block, Op::Make { ty: ty::ACCOUNT, args }, &[ty::ACCOUNT]);
                self.gone(purse);
                self.gone(row);
                self.emit(block, Op::Insert { table: ACCOUNTS, key, row }, &[]);
            }
            _ => {
                let coin = self.emit(block, Op::Zero { asset: own(0), args: vec![] }, &[ty::COIN]);
                self.gone(coin);
                self.emit(block, Op::DropZero { a: coin }, &[]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopper::library::Library;
    use hopper::verify::deploy;
    use wire::{Decode, Encode};

    /// What the generator writes is well formed, its proofs are found, and its bytes are one encoding.
    #[test]
    fn random_modules_are_accepted() {
        let (mut accepted, count) = (0, 500);
        for seed in 0..count {
            let module = module(&mut Dice::new(seed));
            assert_eq!(Module::from_bytes(&module.to_bytes()).as_ref(), Ok(&module));
            match crate::elaborate::elaborate(&Library::default(), &module) {
                Ok(proofs) => {
                    deploy(&mut Library::default(), module, &proofs).expect("what was proved is accepted");
                    accepted += 1;
                }
                Err(failure) => assert!(failure.to_string().contains("2^127"), "seed {seed}: {failure}"),
            }
        }
        assert!(accepted * 100 > count * 98, "{accepted} of {count}");
    }
}

//! The intermediate representation: what a module is, byte for byte.
//!
//! A module is first order and closure free. A function's body is a tree of blocks in A-normal form: every operation
//! names its operands, which are variables, and binds its results to new ones.
//!
//! **Variables are levels.** A variable is the number of variables in scope where it was bound: parameters are
//! 0, 1, ..., each operation's results follow, and what a nested block binds goes out of scope at its end. No two
//! spellings of one program differ in the numbers, and a frame needs as many slots as the deepest scope has variables.
//!
//! **Blocks are numbered as they are met.** Block 0 is the body; each nested block has the next number in the order in
//! which a reader comes across it, each is named once. So blocks form a tree, and no encoding is recursive.
//!
//! **Types are a table.** A type names others by their place in [`Module::types`], always smaller than its own, and no type
//! stands there twice. So types are finite, and their depth is bounded by a count.
//!
//! **Calls go down.** A function calls functions of smaller number, or of imported modules, whose hashes are part of this
//! one's. So the call graph has no cycle, and every run ends.
//!
//! Names of declarations, fields, errors and events are part of the hash: a signature for a call also signs what its
//! arguments are called. Names of local variables, texts and source places are not part of a module at all; the tools
//! keep them beside it.

use wire::codec::encode_bytes;
use wire::hash::Domain;
use wire::{Decode, DecodeError, Encode, Hash, Reader, enum_codec, struct_codec};

use crate::node::nodes;

/// Domain of a module's id.
pub const MODULE: Domain = Domain("hopper/module/1");

/// The bounds of a module. Beyond each of them it is refused before anything else is looked at.
pub mod limits {
    /// Bytes of a module without its proofs.
    pub const MODULE_BYTES_MAX: usize = 64 * 1024;
    /// Bytes of the proofs.
    pub const PROOF_BYTES_MAX: usize = 256 * 1024;
    /// Entries of each table of a module.
    pub const TABLE_LEN_MAX: usize = 1024;
    /// Parameters, fields, variants, results.
    pub const FIELDS_MAX: usize = 64;
    /// Blocks inside blocks.
    pub const BLOCK_DEPTH_MAX: usize = 32;
    /// Types inside types.
    pub const TYPE_DEPTH_MAX: usize = 16;
    /// Variables in scope at once.
    pub const SCOPE_MAX: usize = 1024;
    /// Imports inside imports.
    pub const IMPORT_DEPTH_MAX: usize = 64;
    /// Calls inside calls.
    pub const CALL_DEPTH_MAX: usize = 32;
    /// Bytes of one value, encoded.
    pub const VALUE_BYTES_MAX: u64 = 64 * 1024;
    /// Elements of a list or map, at most, whatever its type says.
    pub const ELEMENTS_MAX: u32 = 16 * 1024;
}

/// The id of a module: the hash of its canonical bytes, those of its imports' ids among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleId(pub Hash);

impl Encode for ModuleId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for ModuleId {
    const SIZE_MIN: usize = 32;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(ModuleId(Hash::decode(r)?))
    }
}

/// What all versions of a module share: the id of the first one. Assets, tables, records and errors belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lineage(pub Hash);

impl Encode for Lineage {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Lineage {
    const SIZE_MIN: usize = 32;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Lineage(Hash::decode(r)?))
    }
}

/// A name of a declaration or field: 1 to 64 ASCII letters, digits and `_`, starting with a letter; module names may have dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(String);

impl Label {
    /// Checks a text and makes it a label.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn new(text: &str) -> Result<Label, DecodeError> {
        let good = !text.is_empty()
            && text.len() <= 64
            && text.as_bytes()[0].is_ascii_alphabetic()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        let why = "a label is 1 to 64 ASCII letters, digits, _ and ., and starts with a letter";
        if good { Ok(Label(text.to_owned())) } else { Err(DecodeError::Invalid { what: "label", why }) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Encode for Label {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.0.as_bytes(), out);
    }
}

impl Decode for Label {
    const SIZE_MIN: usize = 5;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = r.bytes("label", 64)?;
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Invalid { what: "label", why: "not ASCII" })?;
        Label::new(text)
    }
}

// ---- types

/// A place in [`Module::types`].
pub type TypeIx = u16;
/// A variable: its level. See the module documentation.
pub type Var = u16;
/// A place in [`Function::blocks`].
pub type BlockIx = u16;

/// Where a declaration lives, with its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref {
    /// 0 for this module, `n` for import `n - 1`.
    pub scope: u16,
    /// The place in that module's table.
    pub index: u16,
}
struct_codec!(Ref { scope: u16, index: u16 });

nodes! {
/// A type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// One value.
    1 Unit,
    /// True or false.
    2 Bool,
    /// Whole numbers of a fixed width. Signed: 8, 16, 32, 64, 128 bits. Unsigned: 8, 16, 32, 64, 96, and 127, so that every
    /// value of every type is an `i128`.
    3 Int {
        /// With negative numbers.
        signed: bool,
        /// The width.
        bits: u8,
    },
    /// Decimals: an `i128` count of the unit `10^-places`, at most 18 places.
    4 Dec {
        /// Digits after the point.
        places: u8,
    },
    /// UTF-8 text.
    5 Text {
        /// Bytes at most.
        max: u32,
    },
    /// Bytes.
    6 Bytes {
        /// At most.
        max: u32,
    },
    /// A digest: 32 bytes.
    7 Digest,
    /// A registered organisation or person.
    8 Party,
    /// Milliseconds since 1970, as `wire::Time`.
    9 Time,
    /// Days since 1970-01-01.
    10 Date,
    /// The id of an instance of a protocol.
    11 Id {
        /// The protocol.
        protocol: Ref,
    },
    /// A number of no bounds that exists in proofs only: quantity 0. At run time it is nothing.
    12 Ghost,
    /// One or none.
    13 Option {
        /// Of what.
        of: TypeIx,
    },
    /// A sequence.
    14 List {
        /// Of what.
        of: TypeIx,
        /// Elements at most.
        max: u32,
    },
    /// An ordered map. Keys are data without lists and maps.
    15 Map {
        /// Keys.
        key: TypeIx,
        /// Values.
        value: TypeIx,
        /// Entries at most.
        max: u32,
    },
    /// Several values.
    16 Tuple {
        /// Two or more.
        items: Vec<TypeIx>,
    },
    /// A record.
    17 Record {
        /// Its declaration.
        of: Ref,
    },
    /// An enum.
    18 Enum {
        /// Its declaration.
        of: Ref,
    },
    /// An asset: quantity 1.
    19 Asset {
        /// Its declaration.
        of: Ref,
    },
    /// A row taken out of a table, to be put back or closed: quantity 1. Lives in the function that took it only.
    20 RowHole {
        /// The table, of this module.
        table: u16,
    },
    /// A protocol instance taken out, to be put into its next state: quantity 1. Lives in the function that took it only.
    21 InstanceHole {
        /// The protocol, of this module.
        protocol: u16,
        /// The state it was taken in.
        state: u16,
    },
}
}

/// A field of a record, variant, asset, error, event, protocol or state, or a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; distinct among its siblings.
    pub name: Label,
    /// Its type.
    pub ty: TypeIx,
}
struct_codec!(Field { name: Label, ty: TypeIx });

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: Label,
    /// One or more.
    pub fields: Vec<Field>,
    /// What holds of every value: field `n` is variable `n`.
    pub invariant: Vec<Prop>,
}
struct_codec!(Record { name: Label, fields: Vec<Field>, invariant: Vec<Prop> });

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: Label,
    /// None or more.
    pub fields: Vec<Field>,
    /// What holds of every value of this variant: field `n` is variable `n`.
    pub invariant: Vec<Prop>,
}
struct_codec!(Variant { name: Label, fields: Vec<Field>, invariant: Vec<Prop> });

/// An enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enum {
    /// Its name.
    pub name: Label,
    /// One or more.
    pub variants: Vec<Variant>,
}
struct_codec!(Enum { name: Label, variants: Vec<Variant> });

/// An asset: something that can neither be copied nor lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its name.
    pub name: Label,
    /// With `measured`, the first is an unsigned number, the amount, and the others are data that tell kinds apart that
    /// do not mix. Without, anything but ghosts and holes.
    pub fields: Vec<Field>,
    /// True if the amount of the first field is what is conserved: such assets are split, joined, minted and burned. False
    /// if each value is one thing: it is created and destroyed whole, and counts as one.
    pub measured: bool,
    /// The field, a party, whose authority is needed to create one; whoever has one at hand in this module has that
    /// party's authority.
    pub signed: Option<u16>,
    /// What holds of every value: field `n` is variable `n`.
    pub invariant: Vec<Prop>,
}
struct_codec!(Asset {
    name: Label,
    fields: Vec<Field>,
    measured: bool,
    signed: Option<u16>,
    invariant: Vec<Prop>,
});

/// A table of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: Label,
    /// Data without lists and maps.
    pub key: TypeIx,
    /// The rows.
    pub row: TypeIx,
    /// What holds of every row: the key is variable 0, the row variable 1.
    pub invariant: Vec<Prop>,
}
struct_codec!(Table { name: Label, key: TypeIx, row: TypeIx, invariant: Vec<Prop> });

/// A state of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub name: Label,
    /// What it holds.
    pub fields: Vec<Field>,
    /// No move leads out of it, and it holds no asset.
    pub last: bool,
    /// The parameter, a party, whose authority is needed to start in this state; whoever enters an instance in this state
    /// has that party's authority.
    pub signed: Option<u16>,
    /// What holds in this state: the protocol's parameters are the first variables, the fields follow.
    pub invariant: Vec<Prop>,
}
struct_codec!(State { name: Label, fields: Vec<Field>, last: bool, signed: Option<u16>, invariant: Vec<Prop> });

/// A protocol: instances that go from state to state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Its name.
    pub name: Label,
    /// What an instance keeps over all its states; data.
    pub params: Vec<Field>,
    /// One or more.
    pub states: Vec<State>,
}
struct_codec!(Protocol { name: Label, params: Vec<Field>, states: Vec<State> });

/// An error that a command may end with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Its name.
    pub name: Label,
    /// What it tells; data.
    pub fields: Vec<Field>,
}
struct_codec!(Signal { name: Label, fields: Vec<Field> });

/// A constant: the canonical bytes of a value of a data type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Const {
    /// Its type.
    pub ty: TypeIx,
    /// The value's canonical bytes.
    pub bytes: Vec<u8>,
}

impl Encode for Const {
    fn encode(&self, out: &mut Vec<u8>) {
        self.ty.encode(out);
        encode_bytes(&self.bytes, out);
    }
}

impl Decode for Const {
    const SIZE_MIN: usize = 6;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ty = TypeIx::decode(r)?;
        Ok(Const { ty, bytes: r.bytes("constant", limits::MODULE_BYTES_MAX)?.to_vec() })
    }
}

// ---- propositions

/// What of a place is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The number, decimal, time or date there, or the ghost. True counts 1, false 0.
    Value,
    /// How many elements, entries or bytes are there.
    Length,
    /// The sum over all values of a map or elements of a list of the number at this path in each.
    Sum(Vec<u8>),
}
enum_codec!(Measure { 0 => Value, 1 => Length, 2 => Sum(Vec<u8>) });

/// A place in a variable: fields of records, tuples and assets, from the outside in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The variable.
    pub var: Var,
    /// The fields.
    pub path: Vec<u8>,
}
struct_codec!(Place { var: Var, path: Vec<u8> });

/// A multiple of a number at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monomial {
    /// Times.
    pub factor: i128,
    /// Which place.
    pub place: Place,
    /// What of it.
    pub measure: Measure,
}
struct_codec!(Monomial { factor: i128, place: Place, measure: Measure });

/// `constant + factor * place + ...`, over the whole numbers, without bounds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Linear {
    /// The constant.
    pub constant: i128,
    /// By ascending (place, measure), each once, no factor zero.
    pub terms: Vec<Monomial>,
}
struct_codec!(Linear { constant: i128, terms: Vec<Monomial> });

nodes! {
/// A proposition. A list of them means all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prop {
    /// `linear <= 0`.
    1 AtMostZero {
        /// The sum.
        linear: Linear,
    },
    /// `linear == 0`.
    2 Zero {
        /// The sum.
        linear: Linear,
    },
    /// Two parties, ids, digests or texts are the same.
    3 Same {
        /// One.
        a: Place,
        /// The other.
        b: Place,
    },
    /// Two parties, ids, digests or texts differ.
    4 Differ {
        /// One.
        a: Place,
        /// The other.
        b: Place,
    },
}
}

// ---- authority

nodes! {
/// A node of a guard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuardNode {
    /// This party's own guard is satisfied by the signers, or its authority is at hand in some other way.
    1 Party {
        /// A place that holds a party.
        place: Place,
    },
    /// The party bound to a role when the module was deployed.
    2 Role {
        /// The role.
        role: u16,
    },
    /// The block's time is not before this time.
    3 After {
        /// A place that holds a time.
        place: Place,
    },
    /// The block's time is before this time.
    4 Before {
        /// A place that holds a time.
        place: Place,
    },
    /// At least `k` of the last `of` guards: all of them if `k = of`, any of them if `k = 1`.
    5 AtLeast {
        /// How many, 1 to `of`.
        k: u16,
        /// Of how many.
        of: u16,
    },
    /// The party here is absent, or its guard is satisfied: for a place that holds an option of a party.
    6 IfSome {
        /// A place that holds an option of a party.
        place: Place,
    },
    /// Whoever sends a command. Stands for nobody's authority.
    7 Anyone,
}
}

/// Whose agreement is needed: a tree written from the leaves up, each node after its parts. Exactly one tree.
pub type Guard = Vec<GuardNode>;

// ---- operations

/// Arithmetic of two operands of one type, a number, decimal, time or date as the operation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arith {
    /// Numbers and decimals.
    Add,
    /// Numbers and decimals.
    Sub,
    /// Numbers.
    Mul,
    /// Numbers; towards minus infinity. Division by zero aborts.
    DivFloor,
    /// Numbers; towards plus infinity. Division by zero aborts.
    DivCeil,
    /// Numbers; the sign of the divisor. Division by zero aborts.
    Mod,
    /// Numbers, decimals, times, dates.
    Min,
    /// Numbers, decimals, times, dates.
    Max,
}
enum_codec!(Arith {
    1 => Add, 2 => Sub, 3 => Mul, 4 => DivFloor, 5 => DivCeil, 6 => Mod, 7 => Min, 8 => Max,
});

/// Where a quotient that is not whole goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rounding {
    /// Towards minus infinity.
    Floor,
    /// Towards plus infinity.
    Ceil,
    /// To the nearest, a half to the even one.
    HalfEven,
}
enum_codec!(Rounding { 1 => Floor, 2 => Ceil, 3 => HalfEven });

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Any two data values of one type.
    Equal,
    /// Any two data values of one type.
    NotEqual,
    /// Numbers, decimals, times, dates of one type.
    Less,
    /// Numbers, decimals, times, dates of one type.
    AtMost,
}
enum_codec!(Relation { 1 => Equal, 2 => NotEqual, 3 => Less, 4 => AtMost });

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashKind {
    /// SHA-256 of the bytes.
    Sha256,
}
enum_codec!(HashKind { 1 => Sha256 });

/// A step in a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DateStep {
    /// Days.
    Days,
    /// Months; a day that the month does not have becomes its last.
    Months,
}
enum_codec!(DateStep { 1 => Days, 2 => Months });

nodes! {
/// An operation. Results are bound to new variables, in order. "Aborts" means that the command ends there, with the
/// named [`Fault`](crate::abort::Fault) or error, and changes nothing.
///
/// A variable of quantity 1 (an asset, a hole, or what contains one) is used up by each operation that takes it as an
/// operand, except where the operation says that it *looks*. Every one must be used up exactly once on every path that
/// yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The constant. 1 result.
    1 Const {
        /// Its place in [`Module::constants`].
        constant: u16,
    },
    /// `a op b`; operands and result have one type. Aborts `Overflow` outside the type's range, `DivisionByZero`.
    2 Arith {
        /// Which.
        op: Arith,
        /// Left.
        a: Var,
        /// Right.
        b: Var,
    },
    /// The same number in another number type; also between decimals and `Int` (the mantissa), times and `Nat64`, dates
    /// and `Int32`. Aborts `Overflow` if it does not fit.
    3 Cast {
        /// The number.
        a: Var,
        /// Its new type.
        ty: TypeIx,
    },
    /// `a * b / c` without overflow in between; numbers or decimals (mantissas). Operands of any such type, result of
    /// the type given. Aborts `Overflow`, `DivisionByZero`.
    4 MulDiv {
        /// A factor.
        a: Var,
        /// A factor.
        b: Var,
        /// The divisor.
        c: Var,
        /// What to do with the rest.
        rounding: Rounding,
        /// The result's type.
        ty: TypeIx,
    },
    /// The part `part / whole` of `a`, rounded down: unsigned numbers. Obliges: `1 <= whole`, `part <= whole`. Gives a
    /// result of the type of `a`, of which is known: `0 <= result <= a`.
    5 Share {
        /// What is shared.
        a: Var,
        /// How many parts.
        part: Var,
        /// Of how many.
        whole: Var,
    },
    /// Compares. 1 result, a Bool.
    6 Compare {
        /// How.
        op: Relation,
        /// Left.
        a: Var,
        /// Right.
        b: Var,
    },
    /// Both. Both operands are evaluated already.
    7 And {
        /// One.
        a: Var,
        /// The other.
        b: Var,
    },
    /// One or both.
    8 Or {
        /// One.
        a: Var,
        /// The other.
        b: Var,
    },
    /// The opposite.
    9 Not {
        /// Of what.
        a: Var,
    },
    /// How many bytes, elements or entries; looks. A Nat32.
    10 Length {
        /// A text, bytes, list or map.
        a: Var,
    },
    /// One after the other: texts, bytes or lists. Aborts `TooLong` if longer than the type given allows.
    11 Concat {
        /// First.
        a: Var,
        /// Second, of the same sort with elements of the same type.
        b: Var,
        /// The result's type, of the same sort.
        ty: TypeIx,
    },
    /// The bytes or elements from `from` up to before `to` (Nat32), of the same type: text, bytes, or a list of data.
    /// Aborts `OutOfRange` if `from > to`, beyond the end, or inside a character.
    12 Slice {
        /// Of what.
        a: Var,
        /// Start.
        from: Var,
        /// End.
        to: Var,
    },
    /// A record or tuple. Obliges its invariant.
    13 Make {
        /// Its type.
        ty: TypeIx,
        /// Its fields, in order.
        args: Vec<Var>,
    },
    /// The data at a path of fields of a record, tuple or asset; looks.
    14 Get {
        /// Where.
        place: Place,
    },
    /// All fields of a record or tuple, in order: as many results. Also of an asset of this module that is not measured:
    /// that one is destroyed and counts as burned.
    15 Unpack {
        /// Which.
        a: Var,
    },
    /// The same with one field changed: a record or tuple, or an asset of this module that is not measured (not its
    /// signed field). The field's type is data. Obliges the invariant.
    16 With {
        /// Which.
        a: Var,
        /// The field.
        field: u8,
        /// Its new value.
        value: Var,
    },
    /// A value of an enum, or `None` (variant 0) or `Some` (variant 1). Obliges the variant's invariant.
    17 Inject {
        /// The enum or option.
        ty: TypeIx,
        /// Which variant.
        variant: u16,
        /// Its fields.
        args: Vec<Var>,
    },
    /// Continues in the block of the value's variant, one block for each, with its fields as new variables.
    18 Match {
        /// An enum or option.
        a: Var,
        /// A block for each variant.
        arms: Vec<BlockIx>,
        /// The types of what each block yields.
        results: Vec<TypeIx>,
    },
    /// Continues in one of two blocks.
    19 If {
        /// The condition.
        cond: Var,
        /// If true.
        yes: BlockIx,
        /// If false.
        no: BlockIx,
        /// The types of what each block yields.
        results: Vec<TypeIx>,
    },
    /// Aborts with the error if the condition is false. No result.
    20 Check {
        /// The condition.
        cond: Var,
        /// The error, of this module.
        error: u16,
        /// Its fields; data; looks.
        args: Vec<Var>,
    },
    /// Nothing at run time. Obliges the propositions, which are known from here on. No result.
    21 Assert {
        /// What holds.
        props: Vec<Prop>,
    },
    /// A ghost: the value of a sum, in proofs only. 1 result.
    22 GhostLet {
        /// The sum.
        linear: Linear,
    },
    /// A list of these. Aborts `TooLong`.
    23 List {
        /// Its type.
        ty: TypeIx,
        /// Its elements.
        items: Vec<Var>,
    },
    /// The element at a place, if there is one: an option. Lists of data.
    24 At {
        /// The list.
        list: Var,
        /// The place, Nat32, from 0.
        index: Var,
    },
    /// The list with one more element at its end. Aborts `TooLong`.
    25 Push {
        /// The list.
        list: Var,
        /// The element.
        item: Var,
    },
    /// An empty map.
    26 MapNew {
        /// Its type.
        ty: TypeIx,
    },
    /// The value under a key, if there is one: an option. Maps to data.
    27 MapGet {
        /// The map.
        map: Var,
        /// The key.
        key: Var,
    },
    /// True if there is a value under the key; looks.
    28 MapHas {
        /// The map.
        map: Var,
        /// The key.
        key: Var,
    },
    /// Puts a value under a key: the new map, and an option of what was there. Aborts `TooLong`. 2 results.
    29 MapPut {
        /// The map.
        map: Var,
        /// The key.
        key: Var,
        /// The value.
        value: Var,
    },
    /// Takes the value under a key: the new map, and an option of what was there. 2 results.
    30 MapTake {
        /// The map.
        map: Var,
        /// The key.
        key: Var,
    },
    /// Uses up a list or map of assets that is empty. Aborts `NotEmpty` otherwise. No result.
    31 DropEmpty {
        /// The list or map.
        a: Var,
    },
    /// Goes through a list in order, or a map by ascending keys. The block's variables are the element (or key and value) and
    /// the accumulators; it yields the next accumulators. Results: the last accumulators. Obliges the invariant before the
    /// first round and after each; known in each round and afterwards. In an invariant the accumulators are the variables
    /// from the first free level on. No variable of quantity 1 from outside may be used up inside. The size of an accumulator may grow by
    /// the same in each round, or be new; it may not multiply.
    32 Fold {
        /// The list or map.
        over: Var,
        /// True to use it up: elements of quantity 1 are handed to the block. False to look: then elements are data.
        drain: bool,
        /// The first accumulators.
        init: Vec<Var>,
        /// The block.
        body: BlockIx,
        /// What holds of the accumulators in every round.
        invariant: Vec<Prop>,
    },
    /// Runs the block at most `fuel` times (Nat32 or smaller). Its variables are the accumulators; it yields a Bool, whether to go on, and
    /// the next accumulators. Otherwise as `Fold`.
    33 Iterate {
        /// How often at most.
        fuel: Var,
        /// The first accumulators.
        init: Vec<Var>,
        /// The block.
        body: BlockIx,
        /// What holds of the accumulators in every round.
        invariant: Vec<Prop>,
    },
    /// Calls a function of smaller number of this module, or a public one of an import. Obliges what it requires and the
    /// authority it asks for; what it ensures is known. 1 result (Unit if it has nothing to say).
    34 Call {
        /// The function.
        function: Ref,
        /// Its arguments.
        args: Vec<Var>,
    },
    /// The digest of bytes or a text.
    35 Hash {
        /// Which function.
        kind: HashKind,
        /// Of what.
        a: Var,
    },
    /// True if the signature (64 bytes) of the message is good under the Ed25519 key (32 bytes): three times bytes.
    36 VerifySignature {
        /// The key.
        key: Var,
        /// The message.
        message: Var,
        /// The signature.
        signature: Var,
    },
    /// A date some days (Int32) or months (Int32) on. Aborts `Overflow`.
    37 DateAdd {
        /// The date.
        date: Var,
        /// The unit.
        step: DateStep,
        /// How many.
        count: Var,
    },
    /// The date on which a time falls, in UTC. Aborts `Overflow` where dates end.
    38 DateOf {
        /// The time.
        time: Var,
    },

    /// True if the guard is satisfied. Where the result is known to be true, so is the authority it stands for.
    40 Authority {
        /// The guard.
        guard: Guard,
    },
    /// Aborts `Unauthorized` if the guard is not satisfied. No result.
    41 Require {
        /// The guard.
        guard: Guard,
    },
    /// The party in whose name the command was sent.
    42 Sender,
    /// The time of the block.
    43 Now,
    /// The id of the command.
    44 CommandDigest,

    /// Takes a row out of a table: the row, and the hole it leaves. Aborts `RowMissing`, or `RowBusy` if it is out
    /// already. 2 results. Its invariant is known.
    50 Take {
        /// The table, of this module.
        table: u16,
        /// The key; data.
        key: Var,
    },
    /// Puts a row into the hole. Obliges its invariant. No result.
    51 Put {
        /// The hole.
        hole: Var,
        /// The row.
        row: Var,
    },
    /// Leaves no row where the hole is. No result.
    52 Close {
        /// The hole.
        hole: Var,
    },
    /// Puts a new row into a table. Aborts `RowExists`, `RowBusy`. Obliges its invariant. No result.
    53 Insert {
        /// The table, of this module.
        table: u16,
        /// The key.
        key: Var,
        /// The row.
        row: Var,
    },
    /// True if there is such a row. Aborts `RowBusy` if it is out.
    54 Has {
        /// The table, of this module.
        table: u16,
        /// The key.
        key: Var,
    },
    /// The data at a path of fields of a row, if there is such a row: an option. Aborts `RowBusy` if it is out. The
    /// path may be empty if rows are data.
    55 Peek {
        /// The table, of this module.
        table: u16,
        /// The key.
        key: Var,
        /// The path.
        path: Vec<u8>,
    },
    /// The keys after a key (an option; `None` for the first), ascending by their canonical bytes, `limit` at most. Rows that are out
    /// count as there. The result's type is a list of keys whose bound is `limit`.
    56 Scan {
        /// The table, of this module.
        table: u16,
        /// An option of a key.
        after: Var,
        /// The type of the result.
        ty: TypeIx,
    },

    /// Starts an instance of a protocol of this module in a state: its id. Obliges the state's invariant, and the authority of its
    /// signed parameter.
    60 Start {
        /// The protocol.
        protocol: u16,
        /// The state.
        state: u16,
        /// The parameters, then the state's fields.
        args: Vec<Var>,
    },
    /// Takes an instance that is in this state: its parameters, the state's fields, the hole. Aborts `RowMissing`,
    /// `RowBusy`, `WrongState`. The state's invariant is known, and the authority of its signed parameter at hand.
    61 Enter {
        /// The protocol.
        protocol: u16,
        /// The state.
        state: u16,
        /// The instance.
        id: Var,
    },
    /// Puts an instance into its next state. Obliges the state's invariant. No result. The step must be among the
    /// function's [`Function::moves`].
    62 Become {
        /// The hole.
        hole: Var,
        /// The next state.
        state: u16,
        /// The parameters, then the next state's fields.
        args: Vec<Var>,
    },

    /// A measured asset of this module of amount 0, with these other fields.
    70 Zero {
        /// The asset, of this module or an import.
        asset: Ref,
        /// The fields after the amount; data.
        args: Vec<Var>,
    },
    /// A new measured asset of this module. The function says that it mints it.
    71 Mint {
        /// The asset's place in [`Module::assets`].
        asset: u16,
        /// The amount, then the other fields.
        args: Vec<Var>,
    },
    /// Destroys a measured asset of this module. The function says that it burns it. No result.
    72 Burn {
        /// The asset.
        a: Var,
    },
    /// Splits a measured asset: one with amount `n`, one with the rest. Obliges `n <= amount`. 2 results.
    73 Split {
        /// The asset.
        a: Var,
        /// The amount, of the type of the asset's amount.
        n: Var,
    },
    /// Joins two measured assets. Aborts `KindsDiffer` if their other fields differ, `Overflow`.
    74 Join {
        /// One.
        a: Var,
        /// The other.
        b: Var,
    },
    /// Uses up a measured asset of amount 0. Obliges that.
    75 DropZero {
        /// The asset.
        a: Var,
    },
    /// A new asset of this module that is not measured. The function says that it mints it. Obliges its invariant and
    /// the authority of its signed field.
    76 Create {
        /// The asset's place in [`Module::assets`].
        asset: u16,
        /// Its fields.
        args: Vec<Var>,
    },
    /// Tells the world. No result.
    80 Emit {
        /// The event, of this module.
        event: u16,
        /// Its fields; data; looks.
        args: Vec<Var>,
    },
}
}

nodes! {
/// How a block ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With these values.
    1 Yield {
        /// One for each result of what the block belongs to.
        vars: Vec<Var>,
    },
    /// The command ends here with an error. Variables of quantity 1 need not be used up.
    2 Abort {
        /// The error, of this module.
        error: u16,
        /// Its fields; data; looks.
        args: Vec<Var>,
    },
}
}

impl Op {
    /// The variables it names, other than in propositions, guards and blocks.
    pub fn operands(&self) -> Vec<Var> {
        match self {
            Op::Const { .. }
            | Op::Assert { .. }
            | Op::GhostLet { .. }
            | Op::MapNew { .. }
            | Op::Authority { .. }
            | Op::Require { .. }
            | Op::Sender
            | Op::Now
            | Op::CommandDigest => Vec::new(),
            Op::Arith { a, b, .. }
            | Op::Compare { a, b, .. }
            | Op::And { a, b }
            | Op::Or { a, b }
            | Op::Concat { a, b, .. }
            | Op::Join { a, b }
            | Op::Split { a, n: b }
            | Op::At { list: a, index: b }
            | Op::Push { list: a, item: b }
            | Op::MapGet { map: a, key: b }
            | Op::MapHas { map: a, key: b }
            | Op::MapTake { map: a, key: b }
            | Op::DateAdd { date: a, count: b, .. }
            | Op::Put { hole: a, row: b }
            | Op::Insert { key: a, row: b, .. }
            | Op::With { a, value: b, .. } => vec![*a, *b],
            Op::MulDiv { a, b, c, .. }
            | Op::Share { a, part: b, whole: c }
            | Op::Slice { a, from: b, to: c }
            | Op::MapPut { map: a, key: b, value: c }
            | Op::VerifySignature { key: a, message: b, signature: c } => vec![*a, *b, *c],
            Op::Cast { a, .. }
            | Op::Not { a }
            | Op::Length { a }
            | Op::Unpack { a }
            | Op::Match { a, .. }
            | Op::If { cond: a, .. }
            | Op::DropEmpty { a }
            | Op::Hash { a, .. }
            | Op::DateOf { time: a }
            | Op::Take { key: a, .. }
            | Op::Close { hole: a }
            | Op::Has { key: a, .. }
            | Op::Peek { key: a, .. }
            | Op::Scan { after: a, .. }
            | Op::Enter { id: a, .. }
            | Op::Burn { a }
            | Op::DropZero { a } => vec![*a],
            Op::Get { place } => vec![place.var],
            Op::Make { args, .. }
            | Op::Inject { args, .. }
            | Op::List { items: args, .. }
            | Op::Call { args, .. }
            | Op::Start { args, .. }
            | Op::Zero { args, .. }
            | Op::Mint { args, .. }
            | Op::Create { args, .. }
            | Op::Emit { args, .. } => args.clone(),
            Op::Check { cond: a, args, .. }
            | Op::Become { hole: a, args, .. }
            | Op::Fold { over: a, init: args, .. }
            | Op::Iterate { fuel: a, init: args, .. } => std::iter::once(*a).chain(args.iter().copied()).collect(),
        }
    }
}

/// Operations, one after the other, and an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// In order.
    pub ops: Vec<Op>,
    /// The end.
    pub end: End,
}
struct_codec!(Block { ops: Vec<Op>, end: End });

/// Who may call a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FunctionKind {
    /// Functions of this module.
    Private,
    /// Functions of this module and of those that import it.
    Public,
    /// Commands. Parameters and result are data; what it requires is checked when it is called.
    Action,
    /// Anyone, without a log entry: it changes nothing and emits nothing. What it requires is checked when it is called.
    View,
}
enum_codec!(FunctionKind { 1 => Private, 2 => Public, 3 => Action, 4 => View });

/// A step that a function may make a protocol take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// The protocol.
    pub protocol: u16,
    /// The state before; `None` if the instance starts.
    pub from: Option<u16>,
    /// The state after.
    pub to: u16,
}
struct_codec!(Move { protocol: u16, from: Option<u16>, to: u16 });

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: Label,
    /// Who may call it.
    pub kind: FunctionKind,
    /// Its parameters: variables 0, 1, ... .
    pub params: Vec<Field>,
    /// Its result.
    pub result: TypeIx,
    /// What must hold of the parameters.
    pub requires: Vec<Prop>,
    /// For actions: who must agree. Over the parameters; exactly one tree. Empty for the other kinds.
    pub by: Guard,
    /// For private and public functions: places in the parameters, each a party, whose authority the caller must have.
    /// Empty for the other kinds.
    pub authority: Vec<Place>,
    /// Assets of this module that it mints or creates, itself or through calls; ascending. An action that mints must say so, too.
    pub mints: Vec<u16>,
    /// Assets of this module that it burns or destroys, itself or through calls; ascending.
    pub burns: Vec<u16>,
    /// Steps of protocols that it takes itself; ascending.
    pub moves: Vec<Move>,
    /// What holds of parameters and result, which is the variable after them.
    pub ensures: Vec<Prop>,
    /// Its body is block 0, which yields one value, the result. The parameters are variables there.
    pub blocks: Vec<Block>,
}
struct_codec!(Function {
    name: Label,
    kind: FunctionKind,
    params: Vec<Field>,
    result: TypeIx,
    requires: Vec<Prop>,
    by: Guard,
    authority: Vec<Place>,
    mints: Vec<u16>,
    burns: Vec<u16>,
    moves: Vec<Move>,
    ensures: Vec<Prop>,
    blocks: Vec<Block>,
});

nodes! {
/// How a later version may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// There is none.
    1 Immutable,
    /// It may add, and take nothing away, after this delay.
    2 Additive {
        /// Milliseconds between the announcement and the first use.
        delay_ms: u64,
    },
    /// It may do anything that keeps types of rows, after this delay.
    3 Governed {
        /// Milliseconds between the announcement and the first use.
        delay_ms: u64,
    },
}
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name; a hint for people, nothing hangs on it.
    pub name: Label,
    /// The version this one replaces; `None` for the first of a lineage.
    pub replaces: Option<ModuleId>,
    /// Modules that it uses, each once.
    pub imports: Vec<ModuleId>,
    /// Roles, bound to parties when the first version is deployed. By ascending name.
    pub roles: Vec<Label>,
    /// Who governs: roles only. Exactly one tree, or empty if nobody does (then `upgrade` is `Immutable`).
    pub governance: Guard,
    /// How a later version may differ.
    pub upgrade: Upgrade,
    /// See [`Type`].
    pub types: Vec<Type>,
    /// Constants, by ascending (type, bytes), each once.
    pub constants: Vec<Const>,
    /// Records.
    pub records: Vec<Record>,
    /// Enums.
    pub enums: Vec<Enum>,
    /// Assets.
    pub assets: Vec<Asset>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Protocols.
    pub protocols: Vec<Protocol>,
    /// Errors.
    pub errors: Vec<Signal>,
    /// Events.
    pub events: Vec<Signal>,
    /// Functions.
    pub functions: Vec<Function>,
}
struct_codec!(Module {
    name: Label,
    replaces: Option<ModuleId>,
    imports: Vec<ModuleId>,
    roles: Vec<Label>,
    governance: Guard,
    upgrade: Upgrade,
    types: Vec<Type>,
    constants: Vec<Const>,
    records: Vec<Record>,
    enums: Vec<Enum>,
    assets: Vec<Asset>,
    tables: Vec<Table>,
    protocols: Vec<Protocol>,
    errors: Vec<Signal>,
    events: Vec<Signal>,
    functions: Vec<Function>,
});

impl Module {
    /// Its id.
    pub fn id(&self) -> ModuleId {
        ModuleId(MODULE.hash(&[&self.to_bytes()]))
    }

    /// Reads a module. Its form is right then; [`crate::verify`] says whether it is.
    ///
    /// # Errors
    /// If the bytes are too many or not exactly one module.
    pub fn read(bytes: &[u8]) -> Result<Module, DecodeError> {
        if bytes.len() > limits::MODULE_BYTES_MAX {
            return Err(DecodeError::TooLong { what: "module", len: bytes.len(), max: limits::MODULE_BYTES_MAX });
        }
        let mut r = Reader::new(bytes);
        let module = Module::decode(&mut r)?;
        r.finish("module")?;
        Ok(module)
    }
}

// ---- proofs

nodes! {
/// A step of a proof. See [`crate::lia`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new line: `p` times line `i` plus `q` times line `j`, divided by `d` with the constant rounded up. `p`, `q` at least 0,
    /// not both 0; `d` at least 1 and a divisor of every factor.
    1 Combine {
        /// A line.
        i: u32,
        /// Times.
        p: u64,
        /// A line.
        j: u32,
        /// Times.
        q: u64,
        /// Divided by.
        d: u64,
    },
    /// The proof goes on once for each alternative of a fact, in order; the lines of the alternative come next.
    2 Split {
        /// The fact: its number among those with alternatives.
        fact: u32,
    },
    /// The last line is false: a constant above 0 that should be at most 0. Ends this case.
    3 Absurd,
}
}

/// The proof of one obligation: steps up to the last [`Step::Absurd`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// In order.
    pub steps: Vec<Step>,
}
struct_codec!(Proof { steps: Vec<Step> });

/// The proofs of a module: for each function those of its obligations, in the order in which the verifier meets them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proofs {
    /// One list for each function.
    pub functions: Vec<Vec<Proof>>,
}
struct_codec!(Proofs { functions: Vec<Vec<Proof>> });

impl Proofs {
    /// Reads proofs.
    ///
    /// # Errors
    /// If the bytes are too many or not exactly what they should be.
    pub fn read(bytes: &[u8]) -> Result<Proofs, DecodeError> {
        if bytes.len() > limits::PROOF_BYTES_MAX {
            return Err(DecodeError::TooLong { what: "proofs", len: bytes.len(), max: limits::PROOF_BYTES_MAX });
        }
        let mut r = Reader::new(bytes);
        let proofs = Proofs::decode(&mut r)?;
        r.finish("proofs")?;
        Ok(proofs)
    }
}

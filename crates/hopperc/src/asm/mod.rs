//! The textual form of modules: [`assemble`] reads it, [`print()`] writes it.
//!
//! Text has names where a module has numbers: variables, fields, declarations, states, roles and imports are named; the tables
//! of types and constants, levels of variables and numbers of blocks are worked out. Each type stands once in its table, parts
//! before wholes, in the order in which they are needed first; constants stand by type and bytes. The assembler finds out
//! enough about types to know fields by name; what is wrong with a program otherwise is left to the verifier.
//!
//! ```text
//! module bank.cash
//! replaces #<64 digits>                          -- the version before
//! import std = #<64 digits>
//! roles audit, ops, risk
//! governed by atleast(2, @ops, @risk, @audit)
//! upgrade additive 172800000                     -- or: immutable, governed <milliseconds>
//!
//! record Account { bal: Coin, frozen: Bool } where bal.amount <= 1000 && bal.amount >= 1
//! enum Holding { Sole { a: Party }, Joint { a: Party, b: Party } where a differ b, Nobody }
//! asset Coin measured { amount: Nat96 }
//! asset Allowance signed owner { owner: Party, limit: Nat96 }
//! table accounts : Party -> Account where row.bal.amount <= 5      -- variables: key, row
//! protocol Escrow(buyer: Party, seller: Party) {
//!   state Offered signed seller,
//!   state Funded { pot: Coin } where pot.amount > 0,
//!   state Done last
//! }
//! error Insufficient { have: Nat96, want: Nat96 }
//! event Transferred { from: Party, to: Party, n: Nat96 }
//!
//! fn f(...) -> T                                 -- also: public fn, action, view
//!   by all(a, @ops, any(b, after(t)), ifsome(c)) -- guard
//!   requires n >= 1 && a differ b                -- propositions
//!   authority a, x.owner
//!   mints Coin  burns Coin
//!   moves start Escrow.Offered, Escrow.Offered -> Funded
//!   ensures result.amount == n
//! { ... }
//! ```
//!
//! **Types**: `Unit` (also `()`), `Bool`, `Nat8` ... `Nat127`, `Int8` ... `Int128`, `Dec<2>`, `Text<32>`, `Bytes<32>`, `Digest`,
//! `Party`, `Time`, `Date`, `Ghost`, `Id<Escrow>`, `Option<T>`, `[T; 10]`, `Map<K, V; 500>`, `(T, U)`, declared names, names of an
//! import as `std.Money`, `Hole<accounts>`, `Hole<Escrow.Funded>`. With few items: `Tuple<T>`.
//!
//! **Propositions**: sums as `a.bal.amount + 2*n - len(x) - sum(reg.qty) + 3` with `<=`, `<`, `>=`, `>`, `==` between (all is
//! brought to one side; `<` is `<=` with 1 more), or `p same q`, `p differ q`; several with `&&`. In `sum`, what stands after the
//! list or map is the path in each element; `sum(reg[].qty)` says where that is.
//!
//! **Blocks** hold operations, and end with `yield a, b` or `abort Error(a)`. `let a, _ = ...` names the results; without `let`
//! they have no names, and are variables all the same.
//!
//! | operation | text |
//! |---|---|
//! | constants | `const 5: Nat8`, `const -1.50: Dec<2>`, `const true`, `const @"alice"`, `const "t": Text<8>`, `const 0x00ff: Bytes<2>`, `const none: Option<Party>`, `const some(5): ...`, `const [1, 2]: ...`, `const {1: 2}: ...`, `const (1, true): ...`, `const Joint(...): ...`, `const 2026-11-21: Date`, `const raw 0x00: T` (bytes as they are), `unit` |
//! | arithmetic | `add a b`, `sub`, `mul`, `divfloor`, `divceil`, `mod`, `min`, `max`, `cast a: T`, `muldiv floor a b c: T` (`ceil`, `halfeven`), `share a part whole` |
//! | truth | `equal a b`, `notequal`, `less`, `atmost`, `and a b`, `or a b`, `not a` |
//! | text, bytes, lists | `length a`, `concat a b: T`, `slice a from to`, `list [T; 9](a, b)`, `at l i`, `push l a` |
//! | maps | `mapnew T`, `mapget m k`, `maphas m k`, `mapput m k v`, `maptake m k`, `drop_empty m` |
//! | records, enums | `make T(a, b)`, `get a.x.y`, `unpack a`, `with a.x = b`, `inject Holding.Sole(a)`, `inject Option<T>.Some(a)` |
//! | branches | `if c { ... } else { ... }`, `match a { Sole(x) => { ... } Joint(x, y) => { ... } }` (arms in order), `let r: T = if ...` (the type may be left out if the block tells it) |
//! | loops | `fold m (k, v, acc) init(a) invariant acc <= 5 { ... }`, `fold drain m ...`, `iterate n (acc) init(a) { ... }` |
//! | checks | `check c else Error(a)`, `assert a <= b && p same q`, `ghost a.amount + 2` |
//! | calls | `call f(a)`, `call std.f(a)` |
//! | authority | `authority <guard>`, `require <guard>`, `sender`, `now`, `command` |
//! | cryptography, dates | `sha256 a`, `verify key message signature`, `dateadd days d n`, `dateadd months d n`, `dateof t` |
//! | tables | `take t k` (row, hole), `put hole row`, `close hole`, `insert t k row`, `has t k`, `peek t k.field`, `scan t after: [K; 9]` |
//! | protocols | `start Escrow.Offered(a)`, `enter Escrow.Funded id`, `become hole Done(a)` |
//! | assets | `zero Coin()`, `mint Coin(n)`, `burn c`, `split c n`, `join a b`, `drop_zero c`, `create Allowance(a, b)` |
//! | events | `emit Transferred(a, b, n)` |
//!
//! **What has no name.** Wherever a name refers to something, `?n` gives its number instead, in range or not: variables `?3`,
//! types `?3`, declarations `?3` (of an import `std.?3` or `?1/?3`), states, variants, roles `@?3`; fields are plain numbers, as in
//! `a.0.1`; a declared type is `Record<?3>`, `Enum<?3>` or `Asset<?3>`. `types { T, U }` and `constants { 5: Nat8 }` give those
//! tables as they are; `const ?3` refers to the latter. A block may stand elsewhere: `if c ?1 else ?2`, with `block { ... }` after
//! the body for each further block; in those variables have numbers only. `;` in place of a body means no block. `exact 5 + 0*a <= 0`
//! is a sum as it stands, and `postfix(a, b, atleast 1 of 2)` a guard's nodes as they stand.
//!
//! Comments go from `--` or `//` to the end of the line. A name that is a word of the language stands in backquotes.

mod body;
mod lex;
mod literal;
mod parse;
mod print;
#[cfg(test)]
mod tests;
mod typing;

use hopper::ir::{Label, Module, ModuleId, Upgrade};
use thiserror::Error;

/// Why a text is no module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: {message}")]
pub struct AsmError {
    /// The line, from 1.
    pub line: usize,
    /// The character in it, from 1.
    pub column: usize,
    /// What was expected, and what to write.
    pub message: String,
}

/// A module with a name and nothing in it.
pub(crate) fn blank(name: Label) -> Module {
    Module {
        name,
        replaces: None,
        imports: Vec::new(),
        roles: Vec::new(),
        governance: Vec::new(),
        upgrade: Upgrade::Immutable,
        types: Vec::new(),
        constants: Vec::new(),
        records: Vec::new(),
        enums: Vec::new(),
        assets: Vec::new(),
        tables: Vec::new(),
        protocols: Vec::new(),
        errors: Vec::new(),
        events: Vec::new(),
        functions: Vec::new(),
    }
}

/// Puts a module together from its text. Declarations of imports are not known: they have numbers only.
///
/// # Errors
/// If the text says something that no module can hold.
pub fn assemble(text: &str) -> Result<Module, AsmError> {
    assemble_with(text, &|_| None)
}

/// Puts a module together from its text, with the modules that it imports.
///
/// # Errors
/// If the text says something that no module can hold.
pub fn assemble_with(text: &str, known: &dyn Fn(&ModuleId) -> Option<Module>) -> Result<Module, AsmError> {
    parse::assemble(text, known)
}

/// The text of a module, which [`assemble`] reads back as the same module.
pub fn print(module: &Module) -> String {
    print_with(module, &|_| None)
}

/// The text of a module with the names of what it imports, which [`assemble_with`] reads back as the same module.
pub fn print_with(module: &Module, known: &dyn Fn(&ModuleId) -> Option<Module>) -> String {
    print::print(module, known)
}

//! Why a module is refused, and where.

use std::fmt;

use thiserror::Error;

/// Where in a module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Where {
    /// The sort of declaration: "type", "record", "table", "function", ...
    pub sort: &'static str,
    /// Its number.
    pub index: usize,
    /// Its name, if it has one.
    pub name: String,
    /// The block and the operation in it, in a function's body. An operation beyond the last is the block's end.
    pub op: Option<(u16, usize)>,
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sort, self.index)?;
        if !self.name.is_empty() {
            write!(f, " \"{}\"", self.name)?;
        }
        if let Some((block, op)) = self.op {
            write!(f, ", block {block}, operation {op}")?;
        }
        Ok(())
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {reason}")]
pub struct Reject {
    /// Where.
    pub at: Where,
    /// Why.
    pub reason: Reason,
}

/// Why a module is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// A count above its limit.
    #[error("{what}: {count}, the limit is {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A reference to nothing.
    #[error("there is no {what} {index}")]
    NoSuch {
        /// What.
        what: &'static str,
        /// Its number.
        index: usize,
    },
    /// An import that was not deployed.
    #[error("the imported module is not deployed; deploy it first")]
    UnknownImport,
    /// The version replaced is not there.
    #[error("the module that this one replaces is not deployed")]
    UnknownPredecessor,
    /// A version between.
    #[error("the module that this one replaces is not the newest of its lineage; replace that one")]
    NotNewest,
    /// Two of one name, or one thing twice.
    #[error("{0} stands there twice")]
    Twice(&'static str),
    /// Something not in its one order.
    #[error("{0} are not in ascending order")]
    Unordered(&'static str),
    /// A type of no use.
    #[error("no such type: {0}")]
    BadType(&'static str),
    /// A type that refers to itself or to a later one.
    #[error("a type may use types before it only")]
    TypeOrder,
    /// A constant that is no value of its type.
    #[error("the constant is no value of its type")]
    BadConstant,
    /// A quantity where it may not be.
    #[error("{0}")]
    Quantity(&'static str),
    /// A proposition about something it cannot be about.
    #[error("the proposition speaks of {0}")]
    BadProp(&'static str),
    /// A guard that is not one tree over the right places.
    #[error("the guard {0}")]
    BadGuard(&'static str),
    /// Blocks not numbered as they are met, or not each once.
    #[error("blocks must be numbered as they are met, each used once")]
    BlockOrder,
    /// Blocks too deep.
    #[error("blocks are nested deeper than {0}")]
    TooDeep(usize),
    /// A call that does not go down.
    #[error("a function may call functions before it, and public functions of imports")]
    CallOrder,
    /// Calls too deep.
    #[error("calls are nested deeper than {0}")]
    CallsTooDeep(usize),
    /// A variable that is not in scope.
    #[error("variable {0} is not in scope")]
    OutOfScope(u16),
    /// An operand of the wrong type.
    #[error("{0}")]
    Operand(&'static str),
    /// The wrong number of operands, fields, arms.
    #[error("{what}: {found} given, {wanted} wanted")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many are there.
        found: usize,
        /// How many should be.
        wanted: usize,
    },
    /// A variable of quantity 1 used again.
    #[error("variable {0} was used up before")]
    UsedTwice(u16),
    /// A variable of quantity 1 not used up.
    #[error("variable {0} must be used up and is not: an asset would be lost, or a row left out")]
    Unused(u16),
    /// Branches that use up different things.
    #[error("variable {0} is used up in one branch and not in another")]
    BranchesDiffer(u16),
    /// A loop that uses up what is outside.
    #[error("variable {0} would be used up once a round")]
    UsedInLoop(u16),
    /// Something that only the asset's own module may do.
    #[error("only the module that declares an asset may do this")]
    NotOwnAsset,
    /// An operation for the other sort of assets.
    #[error("{0}")]
    WrongAsset(&'static str),
    /// Minting, burning, moves that are not declared, or declared and not there.
    #[error("{0} differ from what the body does")]
    Effects(&'static str),
    /// A change in a view.
    #[error("a view changes nothing")]
    ViewWrites,
    /// Authority that is not at hand.
    #[error("the authority needed is not at hand")]
    NoAuthority,
    /// A public function that looks at signatures.
    #[error("a public function must say in its signature whose authority it needs; it may not ask who signed")]
    AmbientAuthority,
    /// Parties that may differ.
    #[error("two places are not known to be the same")]
    NotSame,
    /// Parties that may be the same.
    #[error("two places are not known to differ")]
    NotDifferent,
    /// An obligation without proof.
    #[error("no proof is given for obligation {0}")]
    Unproved(usize),
    /// A proof that proves nothing.
    #[error("the proof of obligation {0} is wrong: {1}")]
    BadProof(usize, String),
    /// Proofs for obligations that do not exist.
    #[error("{0} proofs are left over")]
    ProofsLeft(usize),
    /// Numbers beyond the checker.
    #[error("a sum in a proposition is beyond 2^127, or of too many unknowns")]
    SumTooLarge,
    /// Sizes that multiply.
    #[error("accumulator {0} grows geometrically; it may grow by the same in each round")]
    Geometric(usize),
    /// Fuel without bound.
    #[error("the fuel is not bounded by an argument, a length or a small constant")]
    UnboundedFuel,
    /// A bound beyond the limits of bounds.
    #[error("the cost bound is larger than a bound may be")]
    BoundTooLarge,
    /// Too much work.
    #[error("judging the module takes more work than the verifier does; make it smaller")]
    TooMuchWork,
    /// Too many facts.
    #[error("more facts than the verifier keeps; split the function")]
    TooManyFacts,
    /// A version that its predecessor does not allow.
    #[error("not allowed as an upgrade: {0}")]
    Upgrade(String),
    /// Something that must not be.
    #[error("{0}")]
    Form(&'static str),
}

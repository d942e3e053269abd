//! The verifier: what every replica checks of a module before it is deployed.
//!
//! Two passes. The first ([`resolve`]) looks at references, types and declarations; the second ([`walk`]) at the bodies of
//! functions, one by one, along every branch once. Nothing is searched for: where a proof is needed, the module's author gives
//! one, and [`crate::lia::check`] replays it. So the time is bounded by the size of module and proofs, and no two replicas can
//! differ about the answer.
//!
//! What an accepted module is known to keep is listed in `docs/language.md`.

pub mod literal;
mod reject;
mod resolve;
mod sym;
mod upgrade;
mod walk;

use std::sync::Arc;

pub use reject::{Reason, Reject, Where};

use crate::ir::{Module, Proof, Proofs, limits};
use crate::lia::{self, Facts, Line};
use crate::library::{Library, Unit};

/// Something to be shown: that a sum is at most 0, wherever the facts hold.
#[derive(Debug)]
pub struct Goal<'g> {
    /// The function.
    pub function: usize,
    /// The number of the obligation in it.
    pub number: usize,
    /// What is known.
    pub facts: &'g Facts,
    /// `line <= 0`.
    pub line: &'g Line,
}

/// Where proofs come from: the module's author, or a prover that is at work for one.
pub trait Evidence {
    /// Shows a goal.
    ///
    /// # Errors
    /// If it is not shown.
    fn discharge(&mut self, goal: &Goal<'_>) -> Result<(), Reason>;

    /// Whether a rule is in force. All are, wherever modules are deployed; a fuzzer takes them out one by one, to see that it would
    /// notice.
    fn keeps(&self, _rule: Rule) -> bool {
        true
    }
}

/// Rules of the verifier by name, for [`Evidence::keeps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What has quantity 1 is used once at most.
    UsedOnce,
    /// What has quantity 1 is used.
    Used,
    /// Branches use up the same.
    BranchesAgree,
    /// Loops use up nothing from outside.
    LoopsUseNothing,
    /// Obligations are shown.
    Proofs,
    /// Authority is at hand where it is asked for.
    Authority,
    /// Assets are minted, burned, created, changed and destroyed by their own module only.
    OwnAssets,
    /// Loops cost as often as they run.
    LoopsCost,
    /// Accumulators do not multiply.
    Growth,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 9] = [
        Rule::UsedOnce,
        Rule::Used,
        Rule::BranchesAgree,
        Rule::LoopsUseNothing,
        Rule::Proofs,
        Rule::Authority,
        Rule::OwnAssets,
        Rule::LoopsCost,
        Rule::Growth,
    ];
}

/// Proofs that came with a module.
struct Given<'p> {
    proofs: &'p Proofs,
    used: Vec<usize>,
    work: usize,
}

/// Work of checking all proofs of a module, in the units of [`lia::check`].
const WORK_MAX: usize = 1 << 23;

impl Evidence for Given<'_> {
    fn discharge(&mut self, goal: &Goal<'_>) -> Result<(), Reason> {
        let used = &mut self.used[goal.function];
        let proof: Option<&Proof> = self.proofs.functions.get(goal.function).and_then(|list| list.get(*used));
        let proof = proof.ok_or(Reason::Unproved(goal.number))?;
        *used += 1;
        let checked = lia::check(goal.facts, goal.line, proof);
        self.work += checked.map_err(|flaw| Reason::BadProof(goal.number, flaw.to_string()))?;
        let max = WORK_MAX;
        if self.work > max { Err(Reason::TooMany { what: "steps of proofs", count: self.work, max }) } else { Ok(()) }
    }
}

/// Judges a module with its proofs, and puts it into the library.
///
/// # Errors
/// The first reason not to; the library is as before then.
pub fn deploy(library: &mut Library, module: Module, proofs: &Proofs) -> Result<Arc<Unit>, Reject> {
    let count = module.functions.len();
    let whole = |reason| Reject { at: Where { sort: "module", ..Where::default() }, reason };
    if proofs.functions.len() > limits::TABLE_LEN_MAX {
        let reason =
            Reason::TooMany { what: "lists of proofs", count: proofs.functions.len(), max: limits::TABLE_LEN_MAX };
        return Err(whole(reason));
    }
    let mut given = Given { proofs, used: vec![0; count], work: 0 };
    // The library's own types grow, and shrink again if the module is refused: a copy would cost more with every module there is.
    let mut universe = std::mem::take(&mut library.universe);
    let before = universe.len();
    let judged = judge_in(library, &mut universe, module, &mut given);
    let judged = judged.and_then(|unit| {
        let used = |n: usize| given.used.get(n).copied().unwrap_or(0);
        let left: usize = proofs.functions.iter().enumerate().map(|(n, list)| list.len() - used(n)).sum();
        if left > 0 { Err(whole(Reason::ProofsLeft(left))) } else { Ok(unit) }
    });
    if judged.is_err() {
        universe.truncate(before);
    }
    library.universe = universe;
    let unit = Arc::new(judged?);
    library.heads.insert(unit.lineage, unit.id);
    library.units.insert(unit.id, unit.clone());
    Ok(unit)
}

/// Judges a module with proofs from anywhere, and leaves the library alone. For tools that search for proofs.
///
/// # Errors
/// The first reason not to accept the module.
pub fn judge(
    library: &Library,
    module: Module,
    evidence: &mut dyn Evidence,
) -> Result<(Unit, crate::types::Universe), Reject> {
    let mut universe = library.universe.clone();
    let unit = judge_in(library, &mut universe, module, evidence)?;
    Ok((unit, universe))
}

/// Judges a module over the types of `universe`, which are the library's; new ones are added.
fn judge_in(
    library: &Library,
    universe: &mut crate::types::Universe,
    module: Module,
    evidence: &mut dyn Evidence,
) -> Result<Unit, Reject> {
    let work = sym::Work::default();
    let found = resolve::resolve(library, universe, &module, &work)?;
    let mut functions = Vec::with_capacity(module.functions.len());
    for index in 0..module.functions.len() {
        let setting = walk::Setting {
            module: &module,
            lineage: found.lineage,
            imports: &found.imports,
            types: &found.types,
            constants: &found.constants,
            assets: &found.assets,
            tables: &found.tables,
            protocols: &found.protocols,
            work: &work,
            functions: &functions,
        };
        let info = walk::function(&setting, universe, evidence, index)?;
        functions.push(info);
    }
    if let Some(old) = module.replaces.and_then(|id| library.units.get(&id)) {
        let same = |a: u16, b: u16| match (old.types.get(usize::from(a)), found.types.get(usize::from(b))) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        };
        upgrade::judge(old, &module, &functions, &same)?;
    }
    let unit = Unit {
        depth: found.imports.iter().map(|i| i.depth + 1).max().unwrap_or(0),
        id: module.id(),
        lineage: found.lineage,
        module,
        imports: found.imports,
        types: found.types,
        constants: found.constants,
        assets: found.assets,
        tables: found.tables,
        protocols: found.protocols,
        functions,
    };
    Ok(unit)
}

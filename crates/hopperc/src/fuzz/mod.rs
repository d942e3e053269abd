//! Random and mutated modules, and what must hold of all that the verifier accepts.
//!
//! * [`random`] writes modules that are accepted; both evaluators run them ([`programs`]).
//! * [`mutate`] changes modules at random. Most changes are refused. Whatever is still accepted must keep conservation,
//!   invariants, authority, and cost at or below its bound, on random rows and arguments ([`mutants`]).
//! * A verifier without one of its rules must be found out by that ([`Rule`]), or the trial proves nothing.

pub mod mutate;
pub mod random;
pub mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hopper::ir::{Module, Proofs};
use hopper::library::{Library, Unit};
use hopper::types::Universe;
use hopper::verify::{Evidence, Goal, Reason, Rule, judge};

use crate::prove::prove;
use random::Dice;
use trial::Counts;

/// What was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tried {
    /// Modules made.
    pub made: u64,
    /// Of them, those that differ from what they were made of.
    pub changed: u64,
    /// Of them, those accepted.
    pub accepted: u64,
    /// Runs of those.
    pub counts: Counts,
}

impl Tried {
    /// Both together.
    pub fn plus(self, other: Tried) -> Tried {
        let (a, b) = (self.counts, other.counts);
        Tried {
            made: self.made + other.made,
            changed: self.changed + other.changed,
            accepted: self.accepted + other.accepted,
            counts: Counts {
                runs: a.runs + b.runs,
                applied: a.applied + b.applied,
                changed: a.changed + b.changed,
                authority: a.authority + b.authority,
                steps: a.steps + b.steps,
            },
        }
    }
}

/// Something that an accepted module did and should not.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What makes it again.
    pub seed: u64,
    /// What happened.
    pub what: String,
    /// The module.
    pub module: Box<Module>,
}

/// Proofs from the prover, and perhaps one rule less.
struct Lax {
    without: Option<Rule>,
    proofs: Proofs,
}

impl Evidence for Lax {
    fn discharge(&mut self, goal: &Goal<'_>) -> Result<(), Reason> {
        let proof = prove(goal.facts, goal.line).ok_or(Reason::Unproved(goal.number))?;
        self.proofs.functions.resize(self.proofs.functions.len().max(goal.function + 1), Vec::new());
        self.proofs.functions[goal.function].push(proof);
        Ok(())
    }

    fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

/// Judges a module, perhaps with one rule less.
fn accepted(library: &Library, module: &Module, without: Option<Rule>) -> Option<(Arc<Unit>, Universe)> {
    let mut lax = Lax { without, proofs: Proofs::default() };
    let (unit, universe) = judge(library, module.clone(), &mut lax).ok()?;
    Some((Arc::new(unit), universe))
}

/// Runs an accepted module.
fn run(
    unit: &Arc<Unit>,
    universe: &Universe,
    dice: &mut Dice,
    times: usize,
    counts: &mut Counts,
) -> Result<(), String> {
    let tried = catch_unwind(AssertUnwindSafe(|| trial::inputs(unit, universe, dice, times, counts)));
    tried.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Random programs of these seeds, each with so many inputs.
///
/// # Errors
/// The first that does what it should not.
pub fn programs(seeds: std::ops::Range<u64>, inputs: usize) -> Result<Tried, Finding> {
    let library = Library::default();
    let mut tried = Tried::default();
    for seed in seeds {
        let mut dice = Dice::new(seed);
        let module = random::module(&mut dice);
        tried.made += 1;
        let Some((unit, universe)) = accepted(&library, &module, None) else { continue };
        tried.accepted += 1;
        if let Err(what) = run(&unit, &universe, &mut dice, inputs, &mut tried.counts) {
            return Err(Finding { seed, what, module: Box::new(module) });
        }
    }
    Ok(tried)
}

/// A module to be mutated, with the library that it lives in.
#[derive(Debug, Clone)]
pub struct Stock {
    /// What it imports.
    pub library: Library,
    /// It.
    pub module: Module,
}

/// Mutants of random modules, and of `stock`, of these seeds, each accepted one with so many inputs.
///
/// # Errors
/// The first that does what it should not.
pub fn mutants(
    seeds: std::ops::Range<u64>,
    inputs: usize,
    stock: &[Stock],
    without: Option<Rule>,
) -> Result<Tried, Finding> {
    let empty = Library::default();
    let mut tried = Tried::default();
    let mut random = random::module(&mut Dice::new(seeds.start));
    for seed in seeds {
        let mut dice = Dice::new(seed ^ 0x6d75_7461_6e74);
        if dice.one_in(16) {
            random = random::module(&mut dice);
        }
        let (library, base) = match dice.below(2 * stock.len() + 1) {
            n if n / 2 < stock.len() => (&stock[n / 2].library, &stock[n / 2].module),
            _ => (&empty, &random),
        };
        let mut module = mutate::mutate(&mut dice, base);
        while dice.one_in(3) {
            module = mutate::mutate(&mut dice, &module);
        }
        tried.made += 1;
        if module == *base {
            continue;
        }
        tried.changed += 1;
        let Some((unit, universe)) = accepted(library, &module, without) else { continue };
        tried.accepted += 1;
        if let Err(what) = run(&unit, &universe, &mut dice, inputs, &mut tried.counts) {
            return Err(Finding { seed, what, module: Box::new(module) });
        }
    }
    Ok(tried)
}

/// The modules written by hand, to be mutated: each with what it imports.
///
/// # Panics
/// If they are not accepted, which tests see to.
pub fn stock() -> Vec<Stock> {
    let empty = Library::default();
    let cash = crate::asm::assemble(include_str!("../../tests/ir/cash.hir")).expect("cash is well written");
    let proofs = crate::elaborate::elaborate(&empty, &cash).expect("cash is proved");
    let mut bank = empty.clone();
    let id = hopper::verify::deploy(&mut bank, cash.clone(), &proofs).expect("cash is accepted").id;
    let known = |other: &hopper::ir::ModuleId| (*other == id).then(|| cash.clone());
    let importing = |text: &str| {
        let text = text.replace("#CASH", &format!("#{}", wire::hash::encode_hex(&id.0.0)));
        let module = crate::asm::assemble_with(&text, &known).expect("it is well written");
        crate::elaborate::elaborate(&bank, &module).expect("it is accepted");
        Stock { library: bank.clone(), module }
    };
    let escrow = importing(include_str!("../../tests/ir/escrow.hir"));
    let edge = importing(include_str!("../../tests/ir/edge.hir"));
    vec![Stock { library: empty, module: cash.clone() }, escrow, edge]
}

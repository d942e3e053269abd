//! The search for all proofs of a module. What cannot be shown is passed over, so that an author is told of all of it at once.

use std::collections::BTreeMap;

use hopper::ir::{Module, Proof, Proofs};
use hopper::lia::{Fact, Facts, Line};
use hopper::library::Library;
use hopper::verify::{Evidence, Goal, Reason, judge};

use super::explain::{Told, explain, plain_error};
use super::functions::FnDebug;
use super::module::Front;
use crate::diagnostic::Diagnostic;
use crate::prove::prove;

/// Obligations without proof that are told of at once.
const OPEN_MAX: usize = 12;

/// The search, with what was open when it stopped.
#[derive(Default)]
struct Search {
    proofs: Proofs,
    /// What was found before, by function and number of the obligation.
    found: BTreeMap<(usize, usize), Option<Proof>>,
    /// Obligations without proof that are passed over.
    skip: usize,
    passed: usize,
    open: Option<(Facts, Line)>,
}

impl Evidence for Search {
    fn discharge(&mut self, goal: &Goal<'_>) -> Result<(), Reason> {
        let proof = self.found.entry((goal.function, goal.number)).or_insert_with(|| prove(goal.facts, goal.line));
        if let Some(proof) = proof {
            let proof = proof.clone();
            if self.proofs.functions.len() <= goal.function {
                self.proofs.functions.resize(goal.function + 1, Vec::new());
            }
            self.proofs.functions[goal.function].push(proof);
            return Ok(());
        }
        if self.passed < self.skip {
            self.passed += 1;
            return Ok(());
        }
        self.open = Some((copy(goal.facts), goal.line.clone()));
        Err(Reason::Unproved(goal.number))
    }
}

fn copy(facts: &Facts) -> Facts {
    let mut all = Facts::new();
    facts.lines().iter().for_each(|line| all.push(Fact::Line(line.clone())));
    facts.eithers().iter().for_each(|either| all.push(Fact::Either(either.clone())));
    all
}

/// Proofs of all that a module has to show.
pub(super) fn proofs(
    front: &Front,
    library: &Library,
    module: &Module,
    functions: &[FnDebug],
) -> Result<Proofs, Vec<Diagnostic>> {
    let mut search = Search::default();
    let mut told: Vec<Told> = Vec::new();
    loop {
        (search.proofs, search.passed, search.open) = (Proofs::default(), 0, None);
        let Err(reject) = judge(library, module.clone(), &mut search) else { break };
        told.push(explain(front, library, module, functions, &reject, search.open.as_ref()));
        if search.open.is_none() || told.len() == OPEN_MAX {
            break;
        }
        search.skip += 1;
    }
    if told.is_empty() { Ok(search.proofs) } else { Err(merged(front, told)) }
}

/// What one place lacks is told once.
fn merged(front: &Front, told: Vec<Told>) -> Vec<Diagnostic> {
    let mut all: Vec<Told> = Vec::new();
    for one in told {
        match all.last_mut() {
            Some(last)
                if last.diagnostic.span == one.diagnostic.span && last.diagnostic.message == one.diagnostic.message =>
            {
                last.wanted.extend(one.wanted);
                last.vague |= one.vague;
                for note in one.diagnostic.notes {
                    if !last.diagnostic.notes.contains(&note) {
                        last.diagnostic.notes.push(note);
                    }
                }
            }
            _ => all.push(one),
        }
    }
    let error = plain_error(front);
    let finished = |one: Told| {
        let mut diagnostic = one.diagnostic;
        let wanted = equalities(one.wanted);
        if !wanted.is_empty() {
            diagnostic.label = format!("needs {}", wanted.join(" && "));
        }
        if diagnostic.help.is_none() {
            diagnostic.help = Some(match wanted.is_empty() || one.vague {
                false => format!("make sure of it before: `check {} else {error}`", wanted.join(" && ")),
                true => format!("make sure of it before: `check ... else {error}`, or state it in `requires`"),
            });
        }
        diagnostic
    };
    all.into_iter().map(finished).collect()
}

/// `a <= b` and `b <= a` are `a == b`.
fn equalities(wanted: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for one in wanted {
        let other = one.split_once(" <= ").map(|(a, b)| format!("{b} <= {a}"));
        match all.iter().position(|w| Some(w) == other.as_ref()) {
            Some(first) => all[first] = all[first].replace(" <= ", " == "),
            None if !all.contains(&one) => all.push(one),
            None => {}
        }
    }
    all
}

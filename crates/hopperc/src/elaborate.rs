//! Finds the proofs of a module: the verifier is run with a prover in place of given proofs.
//!
//! What comes out is checked again when the module is deployed; nothing here is trusted.

use hopper::ir::{Module, Proof, Proofs};
use hopper::lia;
use hopper::library::Library;
use hopper::verify::{Evidence, Goal, Reason, Reject, judge};
use thiserror::Error;

use crate::prove::{counterexample, prove};

/// An obligation without proof, with numbers that show it wrong if some were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The function.
    pub function: usize,
    /// The number of the obligation in it.
    pub number: usize,
    /// Values of the unknowns for which all that is known holds, and what should be shown does not.
    pub counterexample: Option<Vec<(lia::Atom, i128)>>,
}

/// Why there are no proofs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reject}")]
pub struct Failure {
    /// What the verifier said.
    pub reject: Reject,
    /// The obligation that was not shown, if that was the reason.
    pub open: Option<Open>,
}

/// Assignments tried for a counterexample.
const TRIES: usize = 20_000;

struct Search {
    proofs: Proofs,
    open: Option<Open>,
}

impl Evidence for Search {
    fn discharge(&mut self, goal: &Goal<'_>) -> Result<(), Reason> {
        match prove(goal.facts, goal.line) {
            Some(proof) => {
                self.put(goal.function, proof);
                Ok(())
            }
            None => {
                self.open = Some(Open {
                    function: goal.function,
                    number: goal.number,
                    counterexample: counterexample(goal.facts, goal.line, TRIES),
                });
                Err(Reason::Unproved(goal.number))
            }
        }
    }
}

impl Search {
    fn put(&mut self, function: usize, proof: Proof) {
        if self.proofs.functions.len() <= function {
            self.proofs.functions.resize(function + 1, Vec::new());
        }
        self.proofs.functions[function].push(proof);
    }
}

/// Proofs of all obligations of a module.
///
/// # Errors
/// The verifier's first reason not to accept the module, whatever proofs there were.
pub fn elaborate(library: &Library, module: &Module) -> Result<Proofs, Box<Failure>> {
    let mut search = Search { proofs: Proofs::default(), open: None };
    match judge(library, module.clone(), &mut search) {
        Ok(_) => Ok(search.proofs),
        Err(reject) => Err(Box::new(Failure { reject, open: search.open })),
    }
}

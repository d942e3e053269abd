//! Makes a failing run smaller: leaves out faults and strategies as long as the same oracle still fails.

use replica::Rules;

use crate::plan::Plan;
use crate::world::{Report, run};

/// What is left of a plan, by the numbers of its faults and the names of its strategies.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The smaller plan.
    pub plan: Plan,
    /// How it fails.
    pub report: Report,
    /// Runs that it took.
    pub runs: u32,
}

/// Makes a failing plan smaller in at most `runs_max` runs. `None` if it does not fail.
pub fn shrink<R: Rules>(plan: &Plan, runs_max: u32) -> Option<Shrunk> {
    let first = run::<R>(plan, None);
    let oracle = first.failure.as_ref()?.oracle;
    let mut best = Shrunk { plan: plan.clone(), report: first, runs: 1 };
    let try_plan = |candidate: Plan, best: &mut Shrunk| {
        if best.runs >= runs_max {
            return false;
        }
        best.runs += 1;
        let report = run::<R>(&candidate, None);
        let same = report.failure.as_ref().is_some_and(|f| f.oracle == oracle);
        if same {
            best.plan = candidate;
            best.report = report;
        }
        same
    };
    // Whole halves first, then smaller parts.
    let mut part = best.plan.steps.len().div_ceil(2);
    while part > 0 && best.runs < runs_max {
        let mut from = 0;
        while from < best.plan.steps.len() {
            let mut candidate = best.plan.clone();
            let to = (from + part).min(candidate.steps.len());
            candidate.steps.drain(from..to);
            if !try_plan(candidate, &mut best) {
                from += part;
            }
        }
        part = if part == 1 { 0 } else { part.div_ceil(2) };
    }
    for strategy in best.plan.strategies.clone() {
        let mut candidate = best.plan.clone();
        candidate.strategies.retain(|s| *s != strategy);
        try_plan(candidate, &mut best);
    }
    let calmer: [fn(&mut Plan); 4] =
        [|p| p.weather = Default::default(), |p| p.slice_us = 0, |p| p.clients = 1, |p| p.twins.clear()];
    for change in calmer {
        let mut candidate = best.plan.clone();
        change(&mut candidate);
        candidate.clocks.truncate(candidate.machines());
        let within = |fault: &crate::plan::Fault| fault.machines().iter().all(|m| *m < candidate.machines());
        candidate.steps = best.plan.steps.iter().filter(|s| within(&s.fault)).cloned().collect();
        try_plan(candidate, &mut best);
    }
    Some(best)
}

//! The simulator itself: one seed is one run, scenes cover all rules, and what fails can be made smaller.

use std::collections::BTreeSet;

use replica::Standard;
use sim::rules::{Mutant, Removed, without};
use sim::{Plan, Settings, run, scenario, shrink};

#[test]
fn a_seed_is_a_run() {
    for seed in [3, 11, 29] {
        let settings = Settings { safety_ms: Some(8_000), ..Settings::default() };
        let plan = Plan::draw(seed, &settings);
        let (first, second) = (run::<Standard>(&plan, None), run::<Standard>(&plan, None));
        assert_eq!(first.failure, None, "seed {seed}");
        assert_eq!((&first.hash, first.events), (&second.hash, second.events), "seed {seed}");
        let other = run::<Standard>(&Plan::draw(seed + 1, &settings), None);
        assert_ne!(first.hash, other.hash);
    }
}

/// Any machine gives these. They change with every change of what is said or written; then put in what this prints.
#[test]
fn hashes_are_those_of_every_machine() {
    let settings = Settings { safety_ms: Some(8_000), ..Settings::default() };
    let found: Vec<String> = [3, 11, 29].map(|seed| run::<Standard>(&Plan::draw(seed, &settings), None).hash).into();
    let golden: Vec<&str> = include_str!("hashes.txt").lines().collect();
    assert_eq!(found, golden, "{}", found.join("\n"));
}

#[test]
fn looking_at_a_run_does_not_change_it() {
    let plan = Plan::draw(5, &Settings { safety_ms: Some(4_000), ..Settings::default() });
    let mut lines = 0;
    let mut count = |_: &str| lines += 1;
    let seen = run::<Standard>(&plan, Some(&mut count));
    assert_eq!(seen.hash, run::<Standard>(&plan, None).hash);
    assert!(lines > 20, "{lines}");
}

/// No rule without an attack that needs it.
#[test]
fn every_rule_has_its_scene() {
    let scenes = scenario::all();
    let tried: BTreeSet<Removed> = scenes.iter().map(|s| s.removed).collect();
    let all: BTreeSet<Removed> = consensus::Rule::ALL
        .iter()
        .map(|r| Removed::Ordering(*r))
        .chain(ledger::Rule::ALL.iter().map(|r| Removed::Ledger(*r)))
        .chain([Removed::ClientsCount])
        .collect();
    assert_eq!(tried, all);
    for row in (1..=14).map(|n| format!("S{n}")).chain((1..=8).map(|n| format!("L{n}"))) {
        assert!(scenes.iter().any(|s| s.row == row), "{row} has no scene");
    }
}

/// A few of them, both ways; `sim mutants` plays all.
#[test]
fn scenes_are_survived_as_built_and_caught_without_their_rule() {
    for scene in scenario::all() {
        if ["S3", "S6", "S8", "S9", "S10", "S11", "S12", "S13", "L3", "L8"].contains(&scene.row) {
            let verdict = scene.play(2);
            assert!(verdict.is_good(), "{} {}: {verdict:?}", scene.row, scene.attack);
        }
    }
}

#[test]
fn a_failing_schedule_becomes_smaller() {
    let mut settings = Settings { safety_ms: Some(20_000), voters: Some(4), ..Settings::default() };
    settings.calm = false;
    let removed = Removed::Ordering(consensus::Rule::DurableBeforeSent);
    let shrunk = without(removed, || {
        (1..200).map(|seed| Plan::draw(seed, &settings)).filter(|plan| plan.steps.len() > 4).find_map(|plan| {
            let shrunk = shrink::shrink::<Mutant>(&plan, 60)?;
            Some((plan, shrunk))
        })
    });
    let (plan, shrunk) = shrunk.expect("some seed catches it");
    assert!(shrunk.plan.steps.len() < plan.steps.len(), "{} of {}", shrunk.plan.steps.len(), plan.steps.len());
    assert!(shrunk.report.failure.is_some());
}

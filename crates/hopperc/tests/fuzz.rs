//! A little of what `hopper-fuzz` does at length, and that it would notice.

use hopper::verify::Rule;
use hopperc::fuzz::{mutants, programs, stock};

#[test]
fn both_evaluators_agree_on_random_programs_within_their_bounds() {
    let tried = programs(0..1500, 10).unwrap_or_else(|f| panic!("seed {}: {}", f.seed, f.what));
    assert!(tried.accepted * 100 > tried.made * 98, "{tried:?}");
    assert!(tried.counts.applied > 1000 && tried.counts.changed > 100 && tried.counts.authority > 100, "{tried:?}");
}

#[test]
fn accepted_mutants_keep_what_the_verifier_promises() {
    let tried = mutants(0..6000, 10, &stock(), None).unwrap_or_else(|f| panic!("seed {}: {}", f.seed, f.what));
    assert!(tried.accepted > 300 && tried.counts.changed > 100, "{tried:?}");
}

/// The trial above would mean nothing if a verifier without a rule passed it.
#[test]
fn a_verifier_without_one_of_its_rules_is_found_out() {
    std::panic::set_hook(Box::new(|_| {}));
    let stock = stock();
    let unnoticed: Vec<Rule> = Rule::ALL
        .into_iter()
        .filter(|rule| (0..160).all(|n| mutants(n * 500..(n + 1) * 500, 10, &stock, Some(*rule)).is_ok()))
        .collect();
    let _ = std::panic::take_hook();
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}

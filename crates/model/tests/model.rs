//! The smaller searches: agreement holds with all rules, and is lost without any one of them.

use model::blocks::Tree;
use model::rules::Protocol;
use model::search::search;
use model::setting::{Setting, Weakening};
use model::state::{Action, Claim};
use model::table::{as_expected, byzantine, crash, row, weakened};
use stateright::Model;

fn check(setting: &Setting) {
    let outcome = search(setting).expect("the bounds fit");
    assert!(as_expected(setting, &outcome), "{}", row(setting, &outcome));
}

#[test]
fn agreement_holds_under_byzantine_faults() {
    check(&byzantine(&[1, 1], u8::MAX));
    check(&byzantine(&[1, 1, 1], 1));
}

#[test]
fn agreement_holds_under_crash_faults() {
    check(&crash(&[1, 1, 1], u8::MAX));
    check(&crash(&[2, 2, 2], 2));
}

#[test]
fn every_search_of_a_weakening_ends_as_expected() {
    Weakening::ALL.map(weakened).iter().for_each(check);
}

#[test]
fn late_replicated_votes_reach_no_new_state() {
    let strict = search(&byzantine(&[1, 1], u8::MAX)).expect("the bounds fit");
    let late = search(&weakened(Weakening::ReplicatedAfterElectionVote)).expect("the bounds fit");
    assert_eq!(strict.states, late.states);
}

#[test]
fn a_path_ends_with_the_fork() {
    let outcome = search(&weakened(Weakening::NoLockPhase)).expect("the bounds fit");
    let lines = outcome.fork.expect("a fork");
    assert_eq!(lines.last().map(String::as_str), Some("FORK: 1A and 2A are both committed"));
}

#[test]
fn bounds_that_are_too_wide_are_refused() {
    assert!(search(&byzantine(&[2, 2, 2], u8::MAX)).is_err());
}

/// The whole way to a fork of which the search finds the second half: 1A/1A commits in term 1, votes of term 2 for its child make a
/// certificate of term 2 for 1A, which outranks it in the election of term 3.
#[test]
fn links_across_terms_fork_on_a_given_path() {
    let setting = Setting { after_a_commit: false, ..weakened(Weakening::LinksAcrossTerms) };
    let tree = Tree::new(&setting.shape).expect("the bounds fit");
    let protocol = Protocol { setting, tree };
    let named = |name: &str| protocol.tree.ids().find(|id| protocol.tree.name(*id) == name).expect("a block");
    let (low, high, child, rival) = (named("1A"), named("1A/1A"), named("1A/1A/2A"), named("1A/3A"));
    let certify = |v, term, id| Action::Certify(v, Claim::of(&protocol.tree, term, id));
    let steps: [&dyn Fn(usize) -> Action; 7] = [
        &|v| Action::Replicate(v, high),
        &|v| certify(v, 1, high),
        &|v| Action::Ask(v, 2),
        &|v| Action::Replicate(v, child),
        &|v| Action::Ask(v, 3),
        &|v| Action::Replicate(v, rival),
        &|v| certify(v, 3, rival),
    ];
    let mut state = protocol.init_states().remove(0);
    for action in steps.iter().flat_map(|step| [step(0), step(1)]) {
        let mut allowed = Vec::new();
        protocol.actions(&state, &mut allowed);
        assert!(allowed.contains(&action), "{action:?}");
        assert_eq!(protocol.fork(&state), None);
        state = protocol.step(&state, action).expect("a voter");
    }
    assert_eq!(protocol.tree.block(high).parent, low);
    assert_eq!(protocol.fork(&state), Some((high, rival)));
}

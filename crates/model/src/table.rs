//! The searches of a run, and the table of what they found.

use crate::blocks::Shape;
use crate::search::Outcome;
use crate::setting::{Faults, Setting, Weakening};

/// Byzantine faults, n = 4, F = 1, all rules: blocks per term, and the height to stop at.
pub fn byzantine(pipeline: &[u8], height_max: u8) -> Setting {
    let shape = Shape { pipeline: pipeline.to_vec(), height_max, siblings: 2 };
    Setting {
        faults: Faults::Byzantine,
        voters: 4,
        faulty: 1,
        shape,
        weakening: None,
        depth_max: None,
        in_term_order: false,
        after_a_commit: false,
    }
}

/// Crash faults, n = 3, F = 1, all rules: blocks per term, and the height to stop at.
pub fn crash(pipeline: &[u8], height_max: u8) -> Setting {
    Setting { faults: Faults::Crash, voters: 3, ..byzantine(pipeline, height_max) }
}

/// The same with a single block for each term and parent.
fn one_sibling(setting: Setting) -> Setting {
    Setting { shape: Shape { siblings: 1, ..setting.shape }, ..setting }
}

/// The search that finds the fork of a weakening.
pub fn weakened(weakening: Weakening) -> Setting {
    let setting = match weakening {
        Weakening::MajorityQuorum => Setting { voters: 5, ..byzantine(&[1, 1], u8::MAX) },
        Weakening::LateFirstUnchecked => byzantine(&[1, 2], u8::MAX),
        Weakening::LinksAcrossTerms => {
            let setting = one_sibling(byzantine(&[2, 1, 1], 3));
            Setting { in_term_order: true, after_a_commit: true, depth_max: Some(9), ..setting }
        }
        Weakening::CrashElectionByCertificate
        | Weakening::CrashLeaderProposesAnew
        | Weakening::CrashVotesAfterElectionVote
        | Weakening::CrashVoteForgotten => crash(&[1, 1], u8::MAX),
        _ => byzantine(&[1, 1], u8::MAX),
    };
    Setting { weakening: Some(weakening), ..setting }
}

/// The searches with all rules in force, smaller ones first.
pub fn sound() -> Vec<Setting> {
    vec![
        byzantine(&[1, 1], u8::MAX),
        byzantine(&[1, 1, 1], 1),
        byzantine(&[2, 2], 2),
        Setting { depth_max: Some(13), ..byzantine(&[1, 1, 1], u8::MAX) },
        crash(&[1, 1, 1], u8::MAX),
        crash(&[2, 2, 2], 2),
    ]
}

/// What a search should find.
pub fn as_expected(setting: &Setting, outcome: &Outcome) -> bool {
    match setting.weakening {
        Some(weakening) => outcome.fork.is_some() == weakening.forks(),
        None => outcome.fork.is_none() && outcome.commits_everywhere,
    }
}

/// The heading of the table.
pub fn heading() -> String {
    line("configuration", "rules", "states", "depth", "result", "seconds")
}

/// One row of the table.
pub fn row(setting: &Setting, outcome: &Outcome) -> String {
    let rules = setting.weakening.map_or("all", Weakening::name);
    let result = match (outcome.fork_steps(), outcome.exhausted, outcome.commits_everywhere) {
        (Some(steps), ..) => format!("fork found in {steps} steps"),
        (None, true, _) if setting.weakening.is_some() => "no fork".to_owned(),
        (None, false, _) if setting.weakening.is_some() => "no fork to this depth (not exhaustive)".to_owned(),
        (None, _, false) => "vacuous: a term has no commit".to_owned(),
        (None, true, true) => "agreement holds".to_owned(),
        (None, false, true) => "no fork to this depth (not exhaustive)".to_owned(),
    };
    let (states, depth) = (outcome.states.to_string(), outcome.depth.to_string());
    line(&setting.describe(), rules, &states, &depth, &result, &format!("{:.1}", outcome.took.as_secs_f64()))
}

fn line(setting: &str, rules: &str, states: &str, depth: &str, result: &str, seconds: &str) -> String {
    format!("{setting:<69} {rules:<32} {states:>9} {depth:>5}  {result:<38} {seconds:>7}")
}

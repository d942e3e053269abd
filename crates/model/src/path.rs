//! Prints a way through the states in words.

use stateright::Model;

use crate::rules::Protocol;
use crate::setting::Faults;
use crate::state::{Action, Claim, State};

/// The steps of a path, one line each, and a last line that names the conflicting blocks.
///
/// In the checker's states the voters are sorted, so that their places change from step to step. Here the same path is
/// walked with every voter keeping its place.
pub fn readable(protocol: &Protocol, states: Vec<State>) -> Vec<String> {
    let mut states = states.into_iter();
    let Some(mut at) = states.next() else { return Vec::new() };
    let mut lines = Vec::new();
    for target in states {
        let mut actions = Vec::new();
        // A voter that equals its neighbour is skipped by the model; its neighbour then acts just as well.
        protocol.actions(&at, &mut actions);
        let fits = |action: &Action| {
            let next = protocol.step(&at, *action)?;
            (protocol.representative(next.clone()) == target).then_some((*action, next))
        };
        let Some((action, next)) = actions.iter().find_map(fits) else {
            lines.push("(a step that cannot be shown)".to_owned());
            return lines;
        };
        lines.push(describe(protocol, &at, &next, action));
        at = next;
    }
    if let Some((a, b)) = protocol.fork(&at) {
        let name = |id| protocol.tree.name(id);
        lines.push(format!("FORK: {} and {} are both committed", name(a), name(b)));
    }
    lines
}

fn claim(protocol: &Protocol, claim: Claim) -> String {
    match claim.term {
        0 => "base".to_owned(),
        term => format!("{} in term {term}", protocol.tree.name(claim.id())),
    }
}

fn describe(protocol: &Protocol, before: &State, after: &State, action: Action) -> String {
    let v = action.voter();
    let (old, new) = (&before.voters[v], &after.voters[v]);
    let entering = if new.entered > old.entered {
        let mut obliged: Vec<String> =
            protocol.obliged(before, new.entered).into_iter().map(|c| protocol.tree.name(c.id())).collect();
        obliged.dedup();
        format!(" enters term {} (elections can oblige: {}),", new.entered, obliged.join(", "))
    } else {
        String::new()
    };
    let act = match action {
        Action::Replicate(_, id) => {
            let leads = protocol.setting.faults == Faults::Crash && v == protocol.leader(protocol.tree.block(id).term);
            let verb = if leads { "proposes and votes" } else { "votes" };
            format!("{verb} replicated for {}", protocol.tree.name(id))
        }
        Action::Certify(_, lock) => format!("locks and votes certified for {}", claim(protocol, lock)),
        Action::Ask(_, term) => {
            let claimed = protocol.election_claim(new);
            format!("sends ElectionVote({term}) with {}", claim(protocol, claimed))
        }
        Action::Restart(_) => "restarts".to_owned(),
    };
    format!("voter {}{entering} {act}", v + 1)
}

//! Runs the checker and tells what it found.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::blocks::{TooManyBlocks, Tree};
use crate::machine::{AGREEMENT, COMMITS};
use crate::path::readable;
use crate::rules::Protocol;
use crate::setting::Setting;

/// What a search found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Different states seen.
    pub states: usize,
    /// Steps from the start to the furthest of them.
    pub depth: usize,
    /// Every state within the bounds was seen; false if the search was cut off, or ended at a fork.
    pub exhausted: bool,
    /// In each term something was committed in some state. (A search that ends at a fork does not ask.)
    pub commits_everywhere: bool,
    /// A shortest way to a fork, one line per step, with the fork as the last line.
    pub fork: Option<Vec<String>>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// The number of steps to the fork.
    pub fn fork_steps(&self) -> Option<usize> {
        self.fork.as_ref().map(|lines| lines.len().saturating_sub(1))
    }
}

/// Searches on one thread, breadth first, until a fork is found, everything was seen, or the depth of the setting is reached.
pub fn search(setting: &Setting) -> Result<Outcome, TooManyBlocks> {
    let protocol = Protocol { setting: setting.clone(), tree: Tree::new(&setting.shape)? };
    let start = Instant::now();
    let mut builder = protocol.clone().checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
    if let Some(depth) = setting.depth_max {
        // The checker counts the states on a path, which are one more than its steps, and does not expand the last.
        builder = builder.target_max_depth(depth + 2);
    }
    Ok(outcome(&protocol, &builder.spawn_bfs().join(), start))
}

fn outcome(protocol: &Protocol, checker: &impl Checker<Protocol>, start: Instant) -> Outcome {
    let (took, setting) = (start.elapsed(), &protocol.setting);
    let found = checker.discoveries();
    let commits_everywhere = COMMITS.iter().take(setting.terms().into()).all(|name| found.contains_key(name));
    let fork = found.get(AGREEMENT).map(|path| readable(protocol, path.clone().into_states()));
    let depth = checker.max_depth().saturating_sub(1);
    let exhausted = fork.is_none() && setting.depth_max.is_none_or(|max| depth <= max);
    let depth = setting.depth_max.map_or(depth, |max| depth.min(max));
    Outcome { states: checker.unique_state_count(), depth, exhausted, commits_everywhere, fork, took }
}

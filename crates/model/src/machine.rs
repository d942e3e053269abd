//! The rules as a state machine that the checker can search.

use stateright::{Model, Property};

use crate::blocks::{BlockId, BlockSet};
use crate::rules::{Protocol, members};
use crate::setting::{Faults, Weakening};
use crate::state::{Action, Claim, State, Voter};

/// Name of the property that no two conflicting blocks are committed.
pub const AGREEMENT: &str = "agreement";

/// Names of the properties that something is committed in a term, without which agreement would be no news.
pub const COMMITS: [&str; 3] = ["a commit in term 1", "a commit in term 2", "a commit in term 3"];

impl Protocol {
    /// The state after a step, with the voters in their places.
    pub fn step(&self, state: &State, action: Action) -> Option<State> {
        let mut voter = state.voters.get(action.voter())?.clone();
        match action {
            Action::Replicate(_, id) => {
                let term = self.tree.block(id).term;
                self.enter(state, &mut voter, term);
                voter.replicated.add(term, self.counts_for(id));
                voter.last = Some(Claim::of(&self.tree, term, id));
                voter.restarted = false;
            }
            Action::Certify(_, claim) => {
                self.enter(state, &mut voter, claim.term);
                voter.certified.add(claim.term, self.counts_for(claim.id()));
                voter.last_certified = Some(claim);
                voter.lock = voter.lock.max(claim);
            }
            Action::Ask(_, term) => {
                self.enter(state, &mut voter, term - 1);
                voter.left = term;
                voter.ask(term, self.election_claim(&voter));
            }
            Action::Restart(_) => self.restart(&mut voter),
        }
        let mut next = state.clone();
        next.voters[action.voter()] = voter;
        Some(next)
    }

    /// Enters a term, if it is later, by the election that asks least; with it comes the certificate of the obliged block.
    fn enter(&self, state: &State, voter: &mut Voter, term: u8) {
        if term <= voter.entered {
            return;
        }
        voter.entered = term;
        voter.restarted = false;
        let least = self.obliged(state, term).into_iter().min();
        if let Some(least) =
            least.filter(|_| self.setting.faults == Faults::Byzantine && !self.lacks(Weakening::BareClaims))
        {
            voter.lock = voter.lock.max(least);
        }
    }

    fn restart(&self, voter: &mut Voter) {
        if self.lacks(Weakening::ElectionVoteForgotten) {
            voter.left = voter.left.min(voter.entered);
        }
        if self.lacks(Weakening::VoteForgotten) || self.lacks(Weakening::CrashVoteForgotten) {
            voter.last = None;
        }
        if self.lacks(Weakening::CrashLeaderProposesAnew) {
            voter.restarted = true;
        }
    }

    fn restart_matters(&self, v: usize, voter: &Voter) -> bool {
        let forgets_vote = self.lacks(Weakening::VoteForgotten) || self.lacks(Weakening::CrashVoteForgotten);
        let leads = v == self.leader(voter.entered) && voter.last.is_some_and(|last| last.term == voter.entered);
        self.lacks(Weakening::ElectionVoteForgotten) && voter.left > voter.entered
            || forgets_vote && voter.last.is_some()
            || self.lacks(Weakening::CrashLeaderProposesAnew) && leads && !voter.restarted
    }

    /// All committed blocks.
    pub fn committed(&self, state: &State) -> BlockSet {
        (1..=self.setting.terms()).fold(0, |all, term| all | self.commits(state, term))
    }

    /// Two conflicting blocks that are both committed, if there are any.
    pub fn fork(&self, state: &State) -> Option<(BlockId, BlockId)> {
        self.tree.conflict(self.committed(state))
    }

    /// The state that stands for all that differ only in which honest voter is which. Under crash faults voters differ by
    /// the terms they lead.
    pub fn representative(&self, mut state: State) -> State {
        if self.setting.faults == Faults::Byzantine {
            state.voters.sort_unstable();
        }
        state
    }

    fn term_of(&self, action: Action) -> Option<u8> {
        match action {
            Action::Replicate(_, id) => Some(self.tree.block(id).term),
            Action::Certify(_, claim) => Some(claim.term),
            Action::Ask(_, term) => Some(term),
            Action::Restart(_) => None,
        }
    }

    fn commits_in(&self, state: &State, term: u8) -> bool {
        let set = self.commits(state, term);
        members(set).any(|id| self.tree.block(id).term == term)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let empty = State { voters: vec![Voter::fresh(); self.setting.honest().into()] };
        if !self.setting.after_a_commit {
            return vec![empty];
        }
        let first_term = self.tree.ids().filter(|id| self.tree.block(*id).term == 1);
        let Some(high) = first_term.max_by_key(|id| self.tree.block(*id).height) else { return vec![empty] };
        let steps = [0, 1].map(|v| Action::Replicate(v, high)).into_iter();
        let steps = steps.chain([0, 1].map(|v| Action::Certify(v, Claim::of(&self.tree, 1, high))));
        let steps = steps.chain([0, 1].map(|v| Action::Ask(v, 2)));
        let mut steps = steps;
        let walked = steps.try_fold(empty, |state, action| self.step(&state, action));
        walked.map(|state| self.representative(state)).into_iter().collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (v, voter) in state.voters.iter().enumerate() {
            // Of two voters in the same condition it does not matter which one acts.
            let twin = v > 0 && self.setting.faults == Faults::Byzantine && state.voters[v - 1] == *voter;
            if twin {
                continue;
            }
            actions.extend(self.certifiable(state, voter).into_iter().map(|claim| Action::Certify(v, claim)));
            let votes = self.tree.ids().filter(|id| self.may_replicate(state, v, *id));
            actions.extend(votes.map(|id| Action::Replicate(v, id)));
            let terms = (2..=self.setting.terms()).filter(|term| self.may_ask(state, voter, *term));
            actions.extend(terms.map(|term| Action::Ask(v, term)));
            if self.restart_matters(v, voter) {
                actions.push(Action::Restart(v));
            }
        }
        if self.setting.in_term_order {
            let reached = state.voters.iter().map(|voter| voter.entered.max(voter.left)).max().unwrap_or(1);
            actions.retain(|action| self.term_of(*action).is_none_or(|term| term >= reached));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.step(state, action).map(|next| self.representative(next))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![Property::<Self>::always(AGREEMENT, |model, state| model.fork(state).is_none())];
        let commits: [fn(&Protocol, &State) -> bool; 3] = [
            |model, state| model.commits_in(state, 1),
            |model, state| model.commits_in(state, 2),
            |model, state| model.commits_in(state, 3),
        ];
        let terms = COMMITS.into_iter().zip(commits).take(self.setting.terms().into());
        properties.extend(terms.map(|(name, holds)| Property::<Self>::sometimes(name, holds)));
        properties
    }
}

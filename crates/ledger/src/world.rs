//! What a contract may know of the command that calls it, and what each signature is good for.

use std::cell::RefCell;

use hopper::eval::World;
use hopper::ir::{FunctionKind, Label, Lineage};
use hopper::library::Unit;
use hopper::value::Value;
use wire::{CommandId, Hash, Name, PublicKey, Time};

use crate::modules::LineageRow;
use crate::request::Scope;
use crate::state::State;

/// Uses of scoped signatures that one command may make, each party asked for counted: each takes a look at guards and permits that
/// nothing else is charged for.
const USES_MAX: usize = 1024;

/// A command as contracts see it.
pub(crate) struct CommandWorld<'c> {
    pub state: &'c State,
    /// In whose name it was sent.
    pub party: &'c Name,
    /// The keys that signed.
    pub signers: &'c [PublicKey],
    pub command: CommandId,
    pub now: Time,
    /// The module that is called.
    pub unit: &'c Unit,
    /// Who has its roles.
    pub roles: Option<&'c LineageRow>,
    /// What the signatures are good for; `None` if no signer says.
    pub scopes: Option<Scopes<'c>>,
    /// Takes everybody's agreement for granted: for a dry run, or for a simulator that takes the rule out.
    pub everybody: bool,
}

/// The limits that signers put on their signatures, and what is left of them.
pub(crate) struct Scopes<'c> {
    scopes: &'c [Scope],
    /// The signers that lend their authority to the action itself.
    entry: Vec<PublicKey>,
    /// What is left of each permit, scope by scope, and the uses so far.
    left: RefCell<(Vec<Vec<u128>>, usize)>,
}

impl<'c> Scopes<'c> {
    /// The limits of a call; `None` if there are none.
    pub fn of(
        scopes: &'c [Scope],
        signers: &[PublicKey],
        lineage: &Lineage,
        function: &Label,
        args: &[Value],
    ) -> Option<Scopes<'c>> {
        if scopes.is_empty() {
            return None;
        }
        let left = scopes.iter().map(|s| s.permits.iter().map(|p| p.most.map_or(0, |m| m.amount)).collect()).collect();
        let mut made = Scopes { scopes, entry: Vec::new(), left: RefCell::new((left, 0)) };
        made.entry = made.lenders(signers, |_| true, lineage, function, args);
        Some(made)
    }

    /// Counts what a use takes a look at; false if that is too much.
    fn count(&self, parties: usize) -> bool {
        let mut left = self.left.borrow_mut();
        left.1 += parties;
        left.1 <= USES_MAX
    }

    /// The signers whose signature is good for a use; what it takes of the budgets of those concerned is taken.
    fn lenders(
        &self,
        signers: &[PublicKey],
        concerned: impl Fn(&PublicKey) -> bool,
        lineage: &Lineage,
        function: &Label,
        args: &[Value],
    ) -> Vec<PublicKey> {
        let mut left = self.left.borrow_mut();
        let mut lenders = Vec::with_capacity(signers.len());
        for (place, key) in signers.iter().enumerate() {
            let Some(at) = self.scopes.iter().position(|s| usize::from(s.signer) == place) else {
                lenders.push(*key);
                continue;
            };
            if !concerned(key) {
                continue;
            }
            let permits = self.scopes[at].permits.iter().enumerate();
            for (n, permit) in permits.filter(|(_, p)| p.lineage == *lineage && p.function == *function) {
                let Some(most) = permit.most else {
                    lenders.push(*key);
                    break;
                };
                let wanted = args.get(usize::from(most.parameter)).and_then(Value::int);
                let Some(wanted) = wanted.and_then(|n| u128::try_from(n).ok()) else { continue };
                if let Some(rest) = left.0[at][n].checked_sub(wanted) {
                    left.0[at][n] = rest;
                    lenders.push(*key);
                    break;
                }
            }
        }
        lenders
    }
}

impl CommandWorld<'_> {
    fn guarded_by(&self, party: &Name, signers: &[PublicKey]) -> bool {
        self.everybody || self.state.party(party).is_some_and(|row| row.guard.is_satisfied_by(signers))
    }
}

impl World for CommandWorld<'_> {
    fn sender(&self) -> Name {
        self.party.clone()
    }

    fn satisfied(&self, party: &Name) -> bool {
        // Only functions of the module that is called ask.
        self.guarded_by(party, self.scopes.as_ref().map_or(self.signers, |s| &s.entry))
    }

    fn role(&self, lineage: &Lineage, role: u16) -> Option<Name> {
        if *lineage != self.unit.lineage {
            return None;
        }
        let label = self.unit.module.roles.get(usize::from(role))?;
        self.roles?.party(label).cloned()
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn command(&self) -> Hash {
        self.command.0
    }

    fn allows(&self, (lineage, function): (&Lineage, &Label), parties: &[&Name], args: &[Value]) -> bool {
        let Some(scopes) = &self.scopes else { return true };
        if !scopes.count(parties.len()) {
            return false;
        }
        // A party that did not sign is spoken for by evidence it gave in an earlier command.
        let asked: Vec<&&Name> = parties.iter().filter(|p| self.guarded_by(p, self.signers)).collect();
        if asked.is_empty() {
            return true;
        }
        let guards = || asked.iter().filter_map(|p| self.state.party(p));
        let concerned = |key: &PublicKey| guards().any(|row| row.guard.keys().contains(key));
        let lenders = scopes.lenders(self.signers, concerned, lineage, function, args);
        asked.iter().all(|party| self.guarded_by(party, &lenders))
    }
}

/// True if a function is an action of the module.
pub(crate) fn is_action(unit: &Unit, function: u16) -> bool {
    unit.module.functions.get(usize::from(function)).is_some_and(|f| f.kind == FunctionKind::Action)
}

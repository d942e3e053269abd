//! Where tests happen: rows in memory, a clock that is set by hand, signers by name; and a record of what ran.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hopper::cost::{Cost, dimension};
use hopper::diff::check_conservation;
use hopper::eval::machine::Machine;
use hopper::eval::{Call, Outcome, World};
use hopper::ir::{Function, Lineage, ModuleId};
use hopper::library::{Library, Unit};
use hopper::show;
use hopper::state::Memory;
use hopper::value::Value;
use wire::{Hash, Name};

/// Steps of one action, at most: a test of a loop without end in sight should end.
const STEPS_MAX: u64 = 50_000_000;

/// A function: its module and its place there.
pub(super) type FunctionKey = (ModuleId, usize);
/// An operation of a function, or the end of a block: block and place in it.
pub(super) type Spot = (usize, usize);

/// What ran, over all tests.
pub(super) struct Record {
    /// Functions by where they are in memory, as the machine names them.
    functions: BTreeMap<*const Function, FunctionKey>,
    pub ran: BTreeMap<FunctionKey, BTreeSet<Spot>>,
}

impl Record {
    pub fn new(library: &Library) -> Record {
        let mut functions = BTreeMap::new();
        for (id, unit) in &library.units {
            let all = unit.module.functions.iter().enumerate();
            functions.extend(all.map(|(n, function)| (std::ptr::from_ref(function), (*id, n))));
        }
        Record { functions, ran: BTreeMap::new() }
    }
}

/// The world of one command.
struct Scene<'s> {
    stage: &'s Stage<'s>,
    signers: &'s [Name],
    command: Hash,
}

impl World for Scene<'_> {
    fn sender(&self) -> Name {
        self.signers.first().cloned().unwrap_or_else(|| self.stage.nobody.clone())
    }
    fn satisfied(&self, party: &Name) -> bool {
        self.signers.contains(party)
    }
    fn role(&self, lineage: &Lineage, role: u16) -> Option<Name> {
        self.stage.role(lineage, role)
    }
    fn now(&self) -> u64 {
        self.stage.now
    }
    fn command(&self) -> Hash {
        self.command
    }
}

/// The rows and the clock of one test.
pub(super) struct Stage<'l> {
    pub library: &'l Library,
    pub rows: Memory,
    /// Milliseconds.
    pub now: u64,
    /// Parties of roles, if not those of the same names.
    pub roles: BTreeMap<String, Name>,
    commands: u64,
    /// In whose name views are asked.
    nobody: Name,
}

/// How a command ended.
pub(super) struct Ended {
    pub outcome: Outcome,
    /// The last operation.
    pub last: Option<(FunctionKey, Spot)>,
}

impl<'l> Stage<'l> {
    pub fn new(library: &'l Library, now: u64, nobody: Name) -> Stage<'l> {
        Stage { library, rows: Memory::default(), now, roles: BTreeMap::new(), commands: 0, nobody }
    }

    fn role(&self, lineage: &Lineage, role: u16) -> Option<Name> {
        let unit = self.library.units.get(self.library.heads.get(lineage)?)?;
        let label = unit.module.roles.get(usize::from(role))?.as_str();
        self.roles.get(label).cloned().or_else(|| Name::new(label).ok())
    }

    /// Runs a function to its end, and keeps what it changed.
    ///
    /// # Errors
    /// If assets appeared or vanished: the evaluator, or what is said of it, is wrong.
    pub fn run(
        &mut self,
        record: &mut Record,
        unit: &Arc<Unit>,
        function: u16,
        signers: &[Name],
        args: Vec<Value>,
    ) -> Result<Ended, String> {
        self.commands += 1;
        let mut limit = Cost([u64::MAX; 6]);
        limit.0[dimension::STEPS] = STEPS_MAX;
        let scene = Scene { stage: self, signers, command: Hash::of(&self.commands.to_be_bytes()) };
        let universe = &self.library.universe;
        let call = Call { unit, function, args, universe, rows: &self.rows, world: &scene, limit };
        let mut machine = Machine::new(call);
        let mut last = None;
        loop {
            if let Some((function, block, next, _)) = machine.place()
                && let Some(key) = record.functions.get(&std::ptr::from_ref(function))
            {
                let spot = (usize::from(block), next);
                record.ran.entry(*key).or_default().insert(spot);
                last = Some((*key, spot));
            }
            if !machine.step() {
                break;
            }
        }
        let outcome = machine.run();
        let row = |lineage: &Lineage, table: u16| show::table(self.library, lineage, table).map(|t| t.1.row);
        check_conservation(universe, row, &outcome.diff).map_err(|e| e.to_string())?;
        self.rows.write(&outcome.diff, outcome.writes.clone()).map_err(|e| e.to_string())?;
        Ok(Ended { outcome, last })
    }
}

//! Modules as replicas use them: resolved, checked, with what the evaluators and the ledger want to know beforehand.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cost::Charge;
use crate::ir::{Label, Lineage, Module, ModuleId};
use crate::types::{Nominal, Ty, Universe};
use crate::value::Value;

/// Added to the number of a protocol to make the number of the table that keeps its instances.
pub const INSTANCES: u16 = 0x8000;

/// A table: keys and rows.
#[derive(Debug, Clone)]
pub struct TableInfo {
    /// Whose table, and which. Instances of protocol `n` are rows of table `INSTANCES + n`.
    pub of: Nominal,
    /// Keys.
    pub key: Ty,
    /// Rows. Of a protocol: an enum with a variant for each state, which holds the parameters and then the state's fields.
    pub row: Ty,
}

/// What is known of one operation.
#[derive(Debug, Clone)]
pub struct OpInfo {
    /// The type that the operation works in: of the first result if it has one, except as follows. `Arith`: the operands'.
    /// `Compare`, `Check`: the operands' (Bool for `Check`). `Put`, `Insert`, `Close`: the row's. `Become`, `Start`: the instance row's.
    /// `Has`: the key's. `Emit`: Unit.
    pub ty: Ty,
    /// What it costs beforehand.
    pub charge: Charge,
}

/// What is known of one block.
#[derive(Debug, Clone)]
pub struct BlockInfo {
    /// The level of its first own variable.
    pub base: u16,
    /// How many variables it starts with (fields of a variant, element and accumulators, parameters).
    pub params: u16,
    /// One for each operation.
    pub ops: Vec<OpInfo>,
}

/// What is known of one function.
#[derive(Debug, Clone)]
pub struct FunctionInfo {
    /// Types of the parameters.
    pub params: Vec<Ty>,
    /// Type of the result.
    pub result: Ty,
    /// Variables in scope at once, at most.
    pub slots: u16,
    /// Calls inside calls below it.
    pub depth: usize,
    /// One for each block.
    pub blocks: Vec<BlockInfo>,
    /// What it costs at most.
    pub bound: crate::bound::Bound,
    /// It changes something or emits an event, itself or through calls.
    pub writes: bool,
    /// It asks who signed, itself or through calls.
    pub asks: bool,
    /// Tables that it reads or writes, with those of what it calls: by (lineage, table).
    pub tables: Vec<(Nominal, bool)>,
}

/// A module that passed the verifier.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its id.
    pub id: ModuleId,
    /// Its lineage.
    pub lineage: Lineage,
    /// Itself.
    pub module: Module,
    /// Its imports, in order.
    pub imports: Vec<Arc<Unit>>,
    /// [`Module::types`], resolved.
    pub types: Vec<Ty>,
    /// [`Module::constants`], as values.
    pub constants: Vec<Value>,
    /// The type of each asset.
    pub assets: Vec<Ty>,
    /// Tables.
    pub tables: Vec<TableInfo>,
    /// The tables of instances, one for each protocol.
    pub protocols: Vec<TableInfo>,
    /// Functions.
    pub functions: Vec<FunctionInfo>,
    /// Imports inside imports below it; 0 without any.
    pub depth: usize,
}

impl Unit {
    /// The module that a scope names: 0 is this one.
    pub fn scope(self: &Arc<Unit>, scope: u16) -> Option<&Arc<Unit>> {
        match scope {
            0 => Some(self),
            n => self.imports.get(usize::from(n) - 1),
        }
    }

    /// The table of this number, with its name; instances of protocol `n` are in [`INSTANCES`]` + n`.
    pub fn table(&self, number: u16) -> Option<(&TableInfo, &Label)> {
        Some(match number.checked_sub(INSTANCES).map(usize::from) {
            None => (self.tables.get(usize::from(number))?, &self.module.tables.get(usize::from(number))?.name),
            Some(n) => (self.protocols.get(n)?, &self.module.protocols.get(n)?.name),
        })
    }
}

/// All modules that were deployed, and the types they use.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// The types.
    pub universe: Universe,
    /// The modules.
    pub units: BTreeMap<ModuleId, Arc<Unit>>,
    /// The newest version of each lineage. Only that one can be replaced: two successors of one version would disagree about the
    /// tables that they share.
    pub heads: BTreeMap<Lineage, ModuleId>,
}

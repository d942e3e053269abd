//! Modules that were deployed: their rows, and the library that is made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hopper::ir::{Label, Lineage, Module, ModuleId, Proofs, Upgrade};
use hopper::library::{Library, Unit};
use hopper::types::Ty;
use hopper::verify::{self, Reject};
use wire::codec::encode_bytes;
use wire::{Decode, DecodeError, Encode, Index, Name, Reader, Time, struct_codec};

use crate::cash;
use crate::operation::{ADMIN, TREASURY};
use crate::request::Status;

/// A version of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRow {
    /// The log index of the command that deployed it; the module that is there from genesis has number 0, as the first entry
    /// has, which cannot deploy one before it.
    pub deployed: Index,
    /// Its first block's time is not before this.
    pub live_from: Time,
    /// How much of it may be used.
    pub status: Status,
    /// Its canonical bytes.
    pub module: Arc<[u8]>,
    /// Its proofs' canonical bytes.
    pub proofs: Arc<[u8]>,
}

impl Encode for ModuleRow {
    fn encode(&self, out: &mut Vec<u8>) {
        self.deployed.encode(out);
        self.live_from.encode(out);
        self.status.encode(out);
        encode_bytes(&self.module, out);
        encode_bytes(&self.proofs, out);
    }
}

impl Decode for ModuleRow {
    const SIZE_MIN: usize = 8 + 8 + 1 + 4 + 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(ModuleRow {
            deployed: Index::decode(r)?,
            live_from: Time::decode(r)?,
            status: Status::decode(r)?,
            module: r.bytes("module", hopper::ir::limits::MODULE_BYTES_MAX)?.into(),
            proofs: r.bytes("proofs", hopper::ir::limits::PROOF_BYTES_MAX)?.into(),
        })
    }
}

/// What all versions of a module share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineageRow {
    /// The parties of its roles, by ascending role.
    pub roles: Vec<Binding>,
}
struct_codec!(LineageRow { roles: Vec<Binding> });

/// A role and its party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: Label,
    /// The party.
    pub party: Name,
}
struct_codec!(Binding { role: Label, party: Name });

impl LineageRow {
    /// The party of a role.
    pub fn party(&self, role: &Label) -> Option<&Name> {
        let at = self.roles.binary_search_by(|b| b.role.cmp(role)).ok()?;
        Some(&self.roles[at].party)
    }
}

/// The rows of `bank.cash`, as they are at genesis.
pub(crate) fn genesis_rows(created: Time) -> (ModuleRow, LineageRow) {
    let binding = |text: &str| Binding {
        role: Label::new(text).expect("a reserved name is a label"),
        party: Name::new(text).expect("a reserved name is a name"),
    };
    let row = ModuleRow {
        deployed: Index(0),
        live_from: created,
        status: Status::Live,
        module: cash::MODULE.into(),
        proofs: cash::PROOFS.into(),
    };
    (row, LineageRow { roles: vec![binding(ADMIN), binding(TREASURY)] })
}

/// Milliseconds between the announcement of a successor and its first use.
pub(crate) fn delay_ms(module: &Module) -> u64 {
    match module.upgrade {
        Upgrade::Immutable => 0,
        Upgrade::Additive { delay_ms } | Upgrade::Governed { delay_ms } => delay_ms,
    }
}

/// What follows from the rows of modules: all of them verified, and which of them are stopped.
#[derive(Debug, Clone, Default)]
pub struct Code {
    library: Library,
    /// Those that were sealed, and those that import one, directly or not.
    stopped: BTreeSet<ModuleId>,
}

/// Equal rows give equal code; which modules there are is all that can differ.
impl PartialEq for Code {
    fn eq(&self, other: &Code) -> bool {
        self.stopped == other.stopped && self.library.units.keys().eq(other.library.units.keys())
    }
}

impl Eq for Code {}

impl Code {
    /// The code of a ledger at genesis.
    pub(crate) fn genesis() -> Code {
        Code { library: cash::library(), stopped: BTreeSet::new() }
    }

    /// Verifies modules anew, in the order in which they were deployed.
    ///
    /// # Errors
    /// If one is refused; such rows were not made by a ledger.
    pub(crate) fn load(rows: &BTreeMap<ModuleId, ModuleRow>) -> Result<Code, String> {
        let genesis = rows.contains_key(&cash::id());
        let mut code = if genesis { Code::genesis() } else { Code::default() };
        let mut order: Vec<(&ModuleId, &ModuleRow)> = rows.iter().collect();
        order.sort_by_key(|(id, row)| (row.deployed, **id));
        for (id, row) in order {
            if *id != cash::id() {
                let module = Module::read(&row.module).map_err(|e| e.to_string())?;
                let proofs = Proofs::read(&row.proofs).map_err(|e| e.to_string())?;
                let unit = code.deploy(module, &proofs).map_err(|e| e.to_string())?;
                if unit.id != *id {
                    return Err(format!("the row of module {} holds another one", id.0.short()));
                }
            }
        }
        // Only now: sealing stops those that import a module, and they come after it.
        rows.iter().filter(|(_, row)| row.status == Status::Sealed).for_each(|(id, _)| code.seal(*id));
        Ok(code)
    }

    /// Judges a module, and keeps it.
    pub(crate) fn deploy(&mut self, module: Module, proofs: &Proofs) -> Result<Arc<Unit>, Reject> {
        verify::deploy(&mut self.library, module, proofs)
    }

    /// Stops a module and all that import it, directly or not.
    pub(crate) fn seal(&mut self, id: ModuleId) {
        let mut importers: BTreeMap<ModuleId, Vec<ModuleId>> = BTreeMap::new();
        for (importer, unit) in &self.library.units {
            for import in &unit.imports {
                importers.entry(import.id).or_default().push(*importer);
            }
        }
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            if self.stopped.insert(id) {
                todo.extend(importers.get(&id).into_iter().flatten());
            }
        }
    }

    /// Forgets the newest version of a lineage, which nothing imports yet. Its types stay: they do no harm.
    pub(crate) fn take_back(&mut self, id: &ModuleId) {
        let Some(unit) = self.library.units.remove(id) else { return };
        self.stopped.remove(id);
        match unit.module.replaces {
            Some(old) => self.library.heads.insert(unit.lineage, old),
            None => self.library.heads.remove(&unit.lineage),
        };
    }

    /// The verified modules.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// A module.
    pub fn unit(&self, id: &ModuleId) -> Option<&Arc<Unit>> {
        self.library.units.get(id)
    }

    /// The newest version of a lineage.
    pub fn head(&self, lineage: &Lineage) -> Option<&Arc<Unit>> {
        self.unit(self.library.heads.get(lineage)?)
    }

    /// True if a module, or one that it imports, directly or not, was sealed.
    pub fn is_stopped(&self, id: &ModuleId) -> bool {
        self.stopped.contains(id)
    }

    /// The type of the rows of a table.
    pub fn row_type(&self, lineage: &Lineage, table: u16) -> Option<Ty> {
        Some(self.head(lineage)?.table(table)?.0.row)
    }
}

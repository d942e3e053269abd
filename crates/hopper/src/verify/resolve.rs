//! The first pass: references, types, declarations. No function body is looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::reject::{Reason, Reject, Where};
use super::sym::Work;
use crate::ir::{
    Field, FunctionKind, Guard, GuardNode, Label, Lineage, Measure, Module, Place, Prop, Ref, Signal, Type, Upgrade,
    limits,
};
use crate::library::{INSTANCES, Library, TableInfo, Unit};
use crate::types::{Kind, Nominal, Shape, Ty, Universe, int_range};
use crate::value::{self, Value};

/// What the first pass finds.
pub(super) struct Resolved {
    pub lineage: Lineage,
    pub imports: Vec<Arc<Unit>>,
    pub types: Vec<Ty>,
    pub constants: Vec<Value>,
    pub assets: Vec<Ty>,
    pub tables: Vec<TableInfo>,
    pub protocols: Vec<TableInfo>,
}

fn at(sort: &'static str, index: usize, name: Option<&Label>) -> Where {
    Where { sort, index, name: name.map(|n| n.as_str().to_owned()).unwrap_or_default(), op: None }
}

/// Attaches a place to a reason.
fn here<T>(place: &Where, result: Result<T, Reason>) -> Result<T, Reject> {
    result.map_err(|reason| Reject { at: place.clone(), reason })
}

fn bounded(what: &'static str, count: usize, max: usize) -> Result<(), Reason> {
    if count > max { Err(Reason::TooMany { what, count, max }) } else { Ok(()) }
}

/// Distinct names.
fn distinct<'n>(what: &'static str, names: impl Iterator<Item = &'n Label>) -> Result<(), Reason> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Reason::Twice(what));
        }
    }
    Ok(())
}

fn fields_form(fields: &[Field]) -> Result<(), Reason> {
    bounded("fields", fields.len(), limits::FIELDS_MAX)?;
    distinct("a field's name", fields.iter().map(|f| &f.name))
}

/// Resolves a module. New types go into `universe`.
pub(super) fn resolve(
    library: &Library,
    universe: &mut Universe,
    module: &Module,
    work: &Work,
) -> Result<Resolved, Reject> {
    let whole = at("module", 0, Some(&module.name));
    here(&whole, form(module))?;
    let lineage = match module.replaces {
        None => Lineage(module.id().0),
        Some(old) => here(&whole, library.units.get(&old).map(|u| u.lineage).ok_or(Reason::UnknownPredecessor))?,
    };
    if library.units.contains_key(&module.id()) {
        return here(&whole, Err(Reason::Twice("the module, deployed already, ")));
    }
    if module.replaces.is_some() && library.heads.get(&lineage) != module.replaces.as_ref() {
        return here(&whole, Err(Reason::NotNewest));
    }
    let mut imports = Vec::new();
    for (n, id) in module.imports.iter().enumerate() {
        let place = at("import", n, None);
        let unit = here(&place, library.units.get(id).ok_or(Reason::UnknownImport))?;
        if module.imports[..n].contains(id) || unit.lineage == lineage {
            return here(&place, Err(Reason::Twice("an import")));
        }
        here(&place, bounded("imports inside imports", unit.depth + 1, limits::IMPORT_DEPTH_MAX))?;
        imports.push(unit.clone());
    }
    let mut resolver = Resolver { universe, module, lineage, imports: &imports, types: Vec::new() };
    for (n, ty) in module.types.iter().enumerate() {
        let place = at("type", n, None);
        let resolved = here(&place, resolver.resolve_type(ty))?;
        if resolver.types.contains(&resolved) {
            return here(&place, Err(Reason::Twice("a type")));
        }
        resolver.types.push(resolved);
    }
    let types = resolver.types.clone();
    let invariants = invariant_terms(module);
    let mut constants = Vec::new();
    for (n, constant) in module.constants.iter().enumerate() {
        let place = at("constant", n, None);
        if n > 0 && module.constants[n - 1] >= *constant {
            return here(&place, Err(Reason::Unordered("constants")));
        }
        let ty = here(&place, ty_at(&types, constant.ty))?;
        let info = universe.info(ty);
        if info.linear || info.holds_ghost {
            return here(&place, Err(Reason::BadConstant));
        }
        let read = value::from_bytes(universe, ty, &constant.bytes).map_err(|_| Reason::BadConstant);
        let value = here(&place, read)?;
        here(&place, work.spend(constant.bytes.len().saturating_mul(1 + invariants)))?;
        if !super::literal::holds_everywhere(universe, ty, &value) {
            return here(&place, Err(Reason::BadConstant));
        }
        constants.push(value);
    }
    let mut resolver = Resolver { universe, module, lineage, imports: &imports, types };
    let found = resolver.declarations()?;
    let types = resolver.types;
    Ok(Resolved {
        lineage,
        types,
        constants,
        assets: found.assets,
        tables: found.tables,
        protocols: found.protocols,
        imports,
    })
}

/// Terms of all invariants of types: what checking a value may cost for each of its parts.
fn invariant_terms(module: &Module) -> usize {
    let of = |props: &[Prop]| -> usize {
        let terms = |prop: &Prop| match prop {
            Prop::AtMostZero { linear } | Prop::Zero { linear } => 1 + linear.terms.len(),
            Prop::Same { .. } | Prop::Differ { .. } => 2,
        };
        props.iter().map(terms).sum()
    };
    let records = module.records.iter().map(|r| of(&r.invariant));
    let variants = module.enums.iter().flat_map(|e| &e.variants).map(|v| of(&v.invariant));
    records.chain(variants).sum()
}

/// Counts, names, orders.
fn form(module: &Module) -> Result<(), Reason> {
    for (what, count) in [
        ("imports", module.imports.len()),
        ("roles", module.roles.len()),
        ("types", module.types.len()),
        ("constants", module.constants.len()),
        ("records", module.records.len()),
        ("enums", module.enums.len()),
        ("assets", module.assets.len()),
        ("tables", module.tables.len()),
        ("protocols", module.protocols.len()),
        ("errors", module.errors.len()),
        ("events", module.events.len()),
        ("functions", module.functions.len()),
    ] {
        bounded(what, count, limits::TABLE_LEN_MAX)?;
    }
    let records = module.records.iter().map(|r| &r.name);
    let enums = module.enums.iter().map(|r| &r.name);
    let assets = module.assets.iter().map(|r| &r.name);
    distinct("a type's name", records.chain(enums).chain(assets))?;
    let tables = module.tables.iter().map(|t| &t.name);
    distinct("a table's name", tables.chain(module.protocols.iter().map(|p| &p.name)))?;
    distinct("an error's name", module.errors.iter().map(|e| &e.name))?;
    distinct("an event's name", module.events.iter().map(|e| &e.name))?;
    distinct("a function's name", module.functions.iter().map(|f| &f.name))?;
    if !module.roles.is_sorted_by(|a, b| a < b) {
        return Err(Reason::Unordered("roles"));
    }
    if module.governance.is_empty() && module.upgrade != Upgrade::Immutable {
        return Err(Reason::BadGuard("of the upgrades is missing: without governance a module is immutable"));
    }
    if module.governance.contains(&GuardNode::Anyone) {
        return Err(Reason::BadGuard("of the upgrades asks anyone: name roles"));
    }
    if !module.governance.is_empty() {
        guard_tree(&module.governance, module.roles.len(), |_, _| {
            Err(Reason::BadGuard("of a module names roles only"))
        })?;
    }
    Ok(())
}

/// What a guard's place must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Party,
    PartyOption,
    Time,
}

/// Nodes that one guard may have.
const GUARD_NODES_MAX: usize = 64;

/// Checks that the nodes are exactly one tree; `place` judges the places in it.
pub(super) fn guard_tree(
    guard: &Guard,
    roles: usize,
    mut place: impl FnMut(&Place, Held) -> Result<(), Reason>,
) -> Result<(), Reason> {
    bounded("nodes of a guard", guard.len(), GUARD_NODES_MAX)?;
    let mut open = 0usize;
    for node in guard {
        match node {
            GuardNode::Party { place: p } => place(p, Held::Party)?,
            GuardNode::IfSome { place: p } => place(p, Held::PartyOption)?,
            GuardNode::After { place: p } | GuardNode::Before { place: p } => place(p, Held::Time)?,
            GuardNode::Anyone => {}
            GuardNode::Role { role } if usize::from(*role) < roles => {}
            GuardNode::Role { role } => return Err(Reason::NoSuch { what: "role", index: (*role).into() }),
            GuardNode::AtLeast { k, of } => {
                let of = usize::from(*of);
                if *k == 0 || usize::from(*k) > of {
                    return Err(Reason::BadGuard("asks for none or for more than there are"));
                }
                open = open.checked_sub(of).ok_or(Reason::BadGuard("has a node with too few parts"))?;
            }
        }
        open += 1;
    }
    if open == 1 { Ok(()) } else { Err(Reason::BadGuard("is not one tree")) }
}

/// The type at a place of a module's table.
pub(super) fn ty_at(types: &[Ty], index: u16) -> Result<Ty, Reason> {
    types.get(usize::from(index)).copied().ok_or(Reason::NoSuch { what: "type", index: index.into() })
}

/// Checks that propositions speak of places that these variables have.
pub(super) fn props_form(universe: &Universe, vars: &[Ty], props: &[Prop]) -> Result<(), Reason> {
    bounded("propositions", props.len(), limits::FIELDS_MAX)?;
    for prop in props {
        match prop {
            Prop::AtMostZero { linear } | Prop::Zero { linear } => linear_form(universe, vars, linear)?,
            Prop::Same { a, b } | Prop::Differ { a, b } => {
                let (a, b) = (place_ty(universe, vars, a)?, place_ty(universe, vars, b)?);
                let symbol = |ty| matches!(universe.kind(ty), Kind::Party | Kind::Digest | Kind::Id(_) | Kind::Text(_));
                if !symbol(a) || !symbol(b) {
                    return Err(Reason::BadProp("the same where neither a party, id, digest nor text is"));
                }
                if a != b {
                    return Err(Reason::BadProp("two places of different types"));
                }
            }
        }
    }
    Ok(())
}

/// Terms of one sum.
const TERMS_MAX: usize = 64;

pub(super) fn linear_form(universe: &Universe, vars: &[Ty], linear: &crate::ir::Linear) -> Result<(), Reason> {
    bounded("terms of a sum", linear.terms.len(), TERMS_MAX)?;
    let ascending = linear.terms.is_sorted_by(|a, b| (&a.place, &a.measure) < (&b.place, &b.measure));
    if !ascending || linear.terms.iter().any(|t| t.factor == 0) {
        return Err(Reason::Unordered("the terms of a sum"));
    }
    let large = |n: i128| n.unsigned_abs() > super::literal::FACTOR_MAX;
    if large(linear.constant) || linear.terms.iter().any(|t| large(t.factor)) {
        return Err(Reason::SumTooLarge);
    }
    for term in &linear.terms {
        let ty = place_ty(universe, vars, &term.place)?;
        let kind = universe.kind(ty);
        let good = match &term.measure {
            Measure::Value => universe.range(ty).is_some() || matches!(kind, Kind::Bool | Kind::Ghost),
            Measure::Length => matches!(kind, Kind::Text(_) | Kind::Bytes(_) | Kind::List(..) | Kind::Map(..)),
            Measure::Sum(path) => match kind {
                Kind::List(of, _) | Kind::Map(_, of, _) => {
                    universe.at(*of, path).is_some_and(|ty| universe.range(ty).is_some())
                }
                _ => false,
            },
        };
        if !good {
            return Err(Reason::BadProp("a number, length or sum where there is none"));
        }
    }
    Ok(())
}

/// The type at a place.
pub(super) fn place_ty(universe: &Universe, vars: &[Ty], place: &Place) -> Result<Ty, Reason> {
    let ty = vars.get(usize::from(place.var)).ok_or(Reason::OutOfScope(place.var))?;
    universe.at(*ty, &place.path).ok_or(Reason::BadProp("a field that is not there"))
}

struct Found {
    assets: Vec<Ty>,
    tables: Vec<TableInfo>,
    protocols: Vec<TableInfo>,
}

struct Resolver<'r> {
    universe: &'r mut Universe,
    module: &'r Module,
    lineage: Lineage,
    imports: &'r [Arc<Unit>],
    /// Those resolved so far.
    types: Vec<Ty>,
}

impl Resolver<'_> {
    fn earlier(&self, index: u16) -> Result<Ty, Reason> {
        if usize::from(index) >= self.types.len() && usize::from(index) < self.module.types.len() {
            return Err(Reason::TypeOrder);
        }
        ty_at(&self.types, index)
    }

    /// A part of a compound: no ghost, no hole.
    fn part(&self, index: u16) -> Result<Ty, Reason> {
        let ty = self.earlier(index)?;
        let info = self.universe.info(ty);
        if info.holds_ghost || info.holds_hole {
            return Err(Reason::BadType("ghosts and holes are no parts of other values"));
        }
        Ok(ty)
    }

    fn shape(&self, name: &Label, fields: &[Field], invariant: &[Prop]) -> Result<Shape, Reason> {
        fields_form(fields)?;
        let fields: Vec<(Label, Ty)> =
            fields.iter().map(|f| Ok((f.name.clone(), self.part(f.ty)?))).collect::<Result<_, Reason>>()?;
        let vars: Vec<Ty> = fields.iter().map(|f| f.1).collect();
        props_form(self.universe, &vars, invariant)?;
        Ok(Shape { name: name.clone(), fields, invariant: invariant.to_vec() })
    }

    fn foreign(&self, scope: u16) -> Result<&Arc<Unit>, Reason> {
        let import = usize::from(scope) - 1;
        self.imports.get(import).ok_or(Reason::NoSuch { what: "import", index: import })
    }

    /// A declared type of an import: the type in its table that names the same declaration.
    fn foreign_type(&self, scope: u16, named: impl Fn(&Type) -> bool) -> Result<Ty, Reason> {
        let unit = self.foreign(scope)?;
        let found = unit.module.types.iter().position(named);
        found.map(|n| unit.types[n]).ok_or(Reason::BadType("the import declares no such type"))
    }

    fn nominal(&self, index: u16) -> Nominal {
        Nominal { lineage: self.lineage, index }
    }

    fn resolve_type(&mut self, ty: &Type) -> Result<Ty, Reason> {
        let missing = |what, index: u16| Reason::NoSuch { what, index: index.into() };
        let kind = match ty {
            Type::Unit => Kind::Unit,
            Type::Bool => Kind::Bool,
            Type::Int { signed, bits } => {
                let range = int_range(*signed, *bits);
                let (min, max, bytes) = range.ok_or(Reason::BadType("there are no numbers of that width"))?;
                Kind::Int { min, max, bytes }
            }
            Type::Dec { places } => Kind::Dec { places: *places },
            Type::Text { max } => Kind::Text(*max),
            Type::Bytes { max } => Kind::Bytes(*max),
            Type::Digest => Kind::Digest,
            Type::Party => Kind::Party,
            Type::Time => Kind::Time,
            Type::Date => Kind::Date,
            Type::Ghost => Kind::Ghost,
            Type::Id { protocol } => {
                let (count, lineage) = match protocol.scope {
                    0 => (self.module.protocols.len(), self.lineage),
                    n => self.foreign(n).map(|u| (u.module.protocols.len(), u.lineage))?,
                };
                if usize::from(protocol.index) >= count {
                    return Err(missing("protocol", protocol.index));
                }
                Kind::Id(Nominal { lineage, index: protocol.index })
            }
            Type::Option { of } => Kind::Option(self.part(*of)?),
            Type::List { of, max } => Kind::List(self.part(*of)?, *max),
            Type::Map { key, value, max } => Kind::Map(self.part(*key)?, self.part(*value)?, *max),
            Type::Tuple { items } => Kind::Tuple(items.iter().map(|ty| self.part(*ty)).collect::<Result<_, Reason>>()?),
            Type::Record { of: Ref { scope: 0, index } } => {
                let record = self.module.records.get(usize::from(*index)).ok_or(missing("record", *index))?;
                let shape = self.shape(&record.name, &record.fields, &record.invariant)?;
                Kind::Record(self.nominal(*index), shape)
            }
            Type::Enum { of: Ref { scope: 0, index } } => {
                let declared = self.module.enums.get(usize::from(*index)).ok_or(missing("enum", *index))?;
                bounded("variants", declared.variants.len(), limits::FIELDS_MAX)?;
                distinct("a variant's name", declared.variants.iter().map(|v| &v.name))?;
                let variants = declared.variants.iter();
                let variants = variants.map(|v| self.shape(&v.name, &v.fields, &v.invariant));
                Kind::Enum(self.nominal(*index), declared.name.clone(), variants.collect::<Result<_, Reason>>()?)
            }
            Type::Asset { of: Ref { scope: 0, index } } => {
                let asset = self.module.assets.get(usize::from(*index)).ok_or(missing("asset", *index))?;
                let shape = self.shape(&asset.name, &asset.fields, &asset.invariant)?;
                self.asset_form(asset, &shape)?;
                let of = self.nominal(*index);
                Kind::Asset { of, shape, measured: asset.measured, signed: asset.signed }
            }
            Type::Record { of } => {
                let index = of.index;
                let named = |t: &Type| *t == Type::Record { of: Ref { scope: 0, index } };
                return self.foreign_type(of.scope, named);
            }
            Type::Enum { of } => {
                let index = of.index;
                return self.foreign_type(of.scope, |t| *t == Type::Enum { of: Ref { scope: 0, index } });
            }
            Type::Asset { of } => {
                let index = of.index;
                return self.foreign_type(of.scope, |t| *t == Type::Asset { of: Ref { scope: 0, index } });
            }
            Type::RowHole { table } if usize::from(*table) < self.module.tables.len() => {
                Kind::RowHole(self.nominal(*table))
            }
            Type::RowHole { table } => return Err(missing("table", *table)),
            Type::InstanceHole { protocol, state } => {
                let declared = self.module.protocols.get(usize::from(*protocol));
                let declared = declared.ok_or(missing("protocol", *protocol))?;
                if usize::from(*state) >= declared.states.len() {
                    return Err(missing("state", *state));
                }
                Kind::InstanceHole(self.nominal(*protocol), *state)
            }
        };
        self.universe.intern(kind).map_err(Reason::BadType)
    }

    fn asset_form(&self, asset: &crate::ir::Asset, shape: &Shape) -> Result<(), Reason> {
        if asset.measured {
            let Some((_, amount)) = shape.fields.first() else {
                return Err(Reason::BadType("a measured asset has an amount"));
            };
            if !matches!(self.universe.kind(*amount), Kind::Int { min: 0, .. }) {
                return Err(Reason::BadType("the amount of a measured asset is an unsigned number"));
            }
            if shape.fields[1..].iter().any(|f| !self.universe.info(f.1).key) {
                return Err(Reason::BadType("a measured asset has plain data beside its amount"));
            }
            // Splitting and joining change the amount, and must not break what was promised.
            if asset.signed.is_some() || !asset.invariant.is_empty() {
                return Err(Reason::BadType("a measured asset has no invariant and no signed field"));
            }
        }
        if let Some(field) = asset.signed {
            let party = shape.fields.get(usize::from(field)).map(|f| self.universe.kind(f.1));
            if party != Some(&Kind::Party) {
                return Err(Reason::BadType("the signed field of an asset is a party"));
            }
        }
        Ok(())
    }

    fn data(&self, fields: &[Field]) -> Result<(), Reason> {
        fields_form(fields)?;
        for field in fields {
            let info = self.universe.info(ty_at(&self.types, field.ty)?);
            if info.linear || info.holds_ghost {
                return Err(Reason::Quantity("only data may stand here"));
            }
        }
        Ok(())
    }

    fn declarations(&mut self) -> Result<Found, Reject> {
        let module = self.module;
        // Every declaration is judged, used or not.
        for (n, record) in module.records.iter().enumerate() {
            let of = Ref { scope: 0, index: n as u16 };
            here(&at("record", n, Some(&record.name)), self.declared(Type::Record { of }))?;
        }
        for (n, declared) in module.enums.iter().enumerate() {
            let of = Ref { scope: 0, index: n as u16 };
            here(&at("enum", n, Some(&declared.name)), self.declared(Type::Enum { of }))?;
        }
        let mut assets = Vec::new();
        for (n, asset) in module.assets.iter().enumerate() {
            let of = Ref { scope: 0, index: n as u16 };
            assets.push(here(&at("asset", n, Some(&asset.name)), self.declared(Type::Asset { of }))?);
        }
        let mut tables = Vec::new();
        for (n, table) in module.tables.iter().enumerate() {
            let place = at("table", n, Some(&table.name));
            let (key, row) = (here(&place, self.part(table.key))?, here(&place, self.part(table.row))?);
            if !self.universe.info(key).key {
                return here(&place, Err(Reason::BadType("a key must be data without lists and maps")));
            }
            here(&place, props_form(self.universe, &[key, row], &table.invariant))?;
            tables.push(TableInfo { of: self.nominal(n as u16), key, row });
        }
        let mut protocols = Vec::new();
        for (n, protocol) in module.protocols.iter().enumerate() {
            let place = at("protocol", n, Some(&protocol.name));
            protocols.push(here(&place, self.protocol(n as u16, protocol))?);
        }
        for (sort, signals) in [("error", &module.errors), ("event", &module.events)] {
            for (n, signal) in signals.iter().enumerate() {
                let Signal { name, fields } = signal;
                here(&at(sort, n, Some(name)), self.data(fields))?;
            }
        }
        for (n, function) in module.functions.iter().enumerate() {
            here(&at("function", n, Some(&function.name)), self.signature(function))?;
        }
        Ok(Found { assets, tables, protocols })
    }

    /// The type of a declaration of this module, whose entry in the table of types must be there.
    fn declared(&self, ty: Type) -> Result<Ty, Reason> {
        let found = self.module.types.iter().position(|t| *t == ty);
        found.map(|n| self.types[n]).ok_or(Reason::BadType("a declared type must stand in the table of types"))
    }

    fn protocol(&mut self, index: u16, protocol: &crate::ir::Protocol) -> Result<TableInfo, Reason> {
        bounded("states", protocol.states.len(), limits::FIELDS_MAX)?;
        distinct("a state's name", protocol.states.iter().map(|s| &s.name))?;
        self.data(&protocol.params)?;
        if protocol.states.is_empty() {
            return Err(Reason::Form("a protocol has at least one state"));
        }
        let mut shapes = Vec::new();
        for state in &protocol.states {
            let all: Vec<Field> = protocol.params.iter().chain(&state.fields).cloned().collect();
            let shape = self.shape(&state.name, &all, &state.invariant)?;
            if state.last && shape.fields.iter().any(|f| self.universe.info(f.1).holds_asset) {
                return Err(Reason::Quantity("a last state holds no asset"));
            }
            if let Some(param) = state.signed {
                let params = &shape.fields[..protocol.params.len()];
                let party = params.get(usize::from(param)).map(|f| self.universe.kind(f.1));
                if party != Some(&Kind::Party) {
                    return Err(Reason::BadType("a state is signed by a parameter that is a party"));
                }
            }
            shapes.push(shape);
        }
        let of = Nominal { lineage: self.lineage, index: INSTANCES + index };
        let kind = Kind::Enum(of, protocol.name.clone(), shapes);
        let row = self.universe.intern(kind).map_err(Reason::BadType)?;
        let id = Kind::Id(Nominal { lineage: self.lineage, index });
        let key = self.universe.intern(id).map_err(Reason::BadType)?;
        Ok(TableInfo { of, key, row })
    }

    fn signature(&mut self, function: &crate::ir::Function) -> Result<(), Reason> {
        let entry = matches!(function.kind, FunctionKind::Action | FunctionKind::View);
        fields_form(&function.params)?;
        let mut vars: Vec<Ty> = Vec::new();
        for param in &function.params {
            vars.push(ty_at(&self.types, param.ty)?);
        }
        vars.push(ty_at(&self.types, function.result)?);
        for ty in &vars {
            let info = self.universe.info(*ty);
            if info.holds_hole {
                return Err(Reason::Quantity("a hole lives in one function only"));
            }
            if entry && (info.linear || info.holds_ghost) {
                return Err(Reason::Quantity(
                    "what a command or view takes and gives is data: assets come out of tables only",
                ));
            }
        }
        if self.universe.info(vars[function.params.len()]).holds_ghost {
            return Err(Reason::Quantity("a result is no ghost"));
        }
        props_form(self.universe, &vars, &function.ensures)?;
        let params = &vars[..function.params.len()];
        props_form(self.universe, params, &function.requires)?;
        let universe = &*self.universe;
        let held = |place: &Place, held: Held| {
            let ty = place_ty(universe, params, place)?;
            holds(universe, ty, held)
        };
        match function.kind {
            FunctionKind::Action => guard_tree(&function.by, self.module.roles.len(), held)?,
            _ if !function.by.is_empty() => return Err(Reason::BadGuard("of a function that is no action")),
            _ => {}
        }
        if entry && !function.authority.is_empty() {
            return Err(Reason::BadGuard("of a command stands in `by`"));
        }
        bounded("parties", function.authority.len(), limits::FIELDS_MAX)?;
        for place in &function.authority {
            holds(self.universe, place_ty(self.universe, params, place)?, Held::Party)?;
        }
        for (what, list) in [("mints", &function.mints), ("burns", &function.burns)] {
            if !list.is_sorted_by(|a, b| a < b) {
                return Err(Reason::Unordered(what));
            }
        }
        if !function.moves.is_sorted_by(|a, b| a < b) {
            return Err(Reason::Unordered("moves"));
        }
        Ok(())
    }
}

/// True to form if a place of this type may stand in a guard.
pub(super) fn holds(universe: &Universe, ty: Ty, held: Held) -> Result<(), Reason> {
    let good = match (universe.kind(ty), held) {
        (Kind::Party, Held::Party) | (Kind::Time, Held::Time) => true,
        (Kind::Option(of), Held::PartyOption) => *universe.kind(*of) == Kind::Party,
        _ => false,
    };
    if good { Ok(()) } else { Err(Reason::BadGuard("asks a place that holds neither a party nor a time")) }
}

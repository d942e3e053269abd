//! Whether a module may take the place of an earlier version.
//!
//! | rule | additive | governed |
//! |---|---|---|
//! | the earlier version allows upgrades at all | yes | yes |
//! | roles, assets, tables, protocols, errors, events, records and enums stay as they are, in place; new ones come after | yes | yes |
//! | a public function or action stays, with its parameters and result | yes | |
//! | it asks for no less authority, and mints and burns nothing new | yes | |
//! | it requires no more of its caller, and ensures no less | yes | |
//! | governance stays, and no longer delay becomes shorter | yes | |
//! | a table that holds assets can still give them out: some action that took rows out of it still does | yes | |
//!
//! Rows never change their type, under any policy: what is stored was checked against invariants that later versions rely on.
//! A governed upgrade that needs other rows declares a new table and moves them by an action of its own.

use super::reject::{Reason, Reject, Where};
use crate::ir::{Function, FunctionKind, Module, Upgrade};
use crate::library::{FunctionInfo, Unit};

fn refuse(sort: &'static str, index: usize, name: &str, why: &str) -> Reject {
    Reject { at: Where { sort, index, name: name.to_owned(), op: None }, reason: Reason::Upgrade(why.to_owned()) }
}

/// Judges a new version, with what is known of its functions, against the one that it replaces. `same_type` compares a type of the
/// old module with one of the new.
///
/// # Errors
/// The first rule broken.
pub(super) fn judge(
    unit: &Unit,
    new: &Module,
    infos: &[FunctionInfo],
    same_type: &dyn Fn(u16, u16) -> bool,
) -> Result<(), Reject> {
    let old = &unit.module;
    let whole = |why: &str| refuse("module", 0, new.name.as_str(), why);
    if old.upgrade == Upgrade::Immutable {
        return Err(whole("the earlier version is immutable"));
    }
    if new.roles.len() < old.roles.len() || !old.roles.iter().all(|role| new.roles.contains(role)) {
        return Err(whole("a role was dropped"));
    }
    kept(old, new, same_type)?;
    if let Upgrade::Additive { delay_ms } = old.upgrade {
        let role = |m: &Module| -> Vec<String> {
            m.governance
                .iter()
                .map(|n| match n {
                    crate::ir::GuardNode::Role { role } => m.roles[usize::from(*role)].to_string(),
                    node => format!("{node:?}"),
                })
                .collect()
        };
        if role(old) != role(new) {
            return Err(whole("governance differs"));
        }
        match new.upgrade {
            Upgrade::Immutable => {}
            Upgrade::Additive { delay_ms: after } if after >= delay_ms => {}
            _ => return Err(whole("an additive module may not become easier to change")),
        }
        additive(unit, new, infos, same_type)?;
    }
    Ok(())
}

/// Fields of a declaration, by name and type.
fn same_fields(old: &[crate::ir::Field], new: &[crate::ir::Field], same_type: &dyn Fn(u16, u16) -> bool) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.name == b.name && same_type(a.ty, b.ty))
}

/// What no policy allows to change: what rows are, and what others refer to by number.
fn kept(old: &Module, new: &Module, same_type: &dyn Fn(u16, u16) -> bool) -> Result<(), Reject> {
    for (n, a) in old.records.iter().enumerate() {
        let good = new.records.get(n).is_some_and(|b| {
            a.name == b.name && same_fields(&a.fields, &b.fields, same_type) && a.invariant == b.invariant
        });
        if !good {
            return Err(refuse("record", n, a.name.as_str(), "a record was changed or dropped; declare a new one"));
        }
    }
    for (n, a) in old.enums.iter().enumerate() {
        let good = new.enums.get(n).is_some_and(|b| {
            a.name == b.name
                && a.variants.len() == b.variants.len()
                && a.variants.iter().zip(&b.variants).all(|(x, y)| {
                    x.name == y.name && same_fields(&x.fields, &y.fields, same_type) && x.invariant == y.invariant
                })
        });
        if !good {
            return Err(refuse("enum", n, a.name.as_str(), "an enum was changed or dropped; declare a new one"));
        }
    }
    for (n, a) in old.assets.iter().enumerate() {
        let good = new.assets.get(n).is_some_and(|b| {
            a.name == b.name
                && same_fields(&a.fields, &b.fields, same_type)
                && (a.measured, a.signed, &a.invariant) == (b.measured, b.signed, &b.invariant)
        });
        if !good {
            return Err(refuse("asset", n, a.name.as_str(), "an asset was changed or dropped"));
        }
    }
    for (n, a) in old.tables.iter().enumerate() {
        let good = new.tables.get(n).is_some_and(|b| {
            a.name == b.name && same_type(a.key, b.key) && same_type(a.row, b.row) && a.invariant == b.invariant
        });
        if !good {
            return Err(refuse(
                "table",
                n,
                a.name.as_str(),
                "a table was changed or dropped, or its invariant was; the rows that are there were checked against the old one",
            ));
        }
    }
    for (n, a) in old.protocols.iter().enumerate() {
        let good = new.protocols.get(n).is_some_and(|b| {
            a.name == b.name
                && same_fields(&a.params, &b.params, same_type)
                && a.states.len() == b.states.len()
                && a.states.iter().zip(&b.states).all(|(x, y)| {
                    x.name == y.name
                        && same_fields(&x.fields, &y.fields, same_type)
                        && (x.last, x.signed, &x.invariant) == (y.last, y.signed, &y.invariant)
                })
        });
        if !good {
            return Err(refuse("protocol", n, a.name.as_str(), "a protocol was changed or dropped"));
        }
    }
    for (sort, before, after) in [("error", &old.errors, &new.errors), ("event", &old.events, &new.events)] {
        for (n, a) in before.iter().enumerate() {
            let good = after.get(n).is_some_and(|b| a.name == b.name && same_fields(&a.fields, &b.fields, same_type));
            if !good {
                return Err(refuse(sort, n, a.name.as_str(), "its number, name or fields were changed"));
            }
        }
    }
    Ok(())
}

/// The guard with roles by name: numbers of roles move when roles are added.
fn guard(module: &Module, guard: &[crate::ir::GuardNode]) -> Vec<String> {
    let node = |n: &crate::ir::GuardNode| match n {
        crate::ir::GuardNode::Role { role } => format!("@{}", module.roles[usize::from(*role)]),
        node => format!("{node:?}"),
    };
    guard.iter().map(node).collect()
}

fn additive(
    unit: &Unit,
    new: &Module,
    infos: &[FunctionInfo],
    same_type: &dyn Fn(u16, u16) -> bool,
) -> Result<(), Reject> {
    let old = &unit.module;
    let offered = |f: &&Function| f.kind != FunctionKind::Private;
    for (n, a) in old.functions.iter().enumerate().filter(|(_, f)| offered(f)) {
        let no = |why: &str| Err(refuse("function", n, a.name.as_str(), why));
        let Some(at) = new.functions.iter().position(|b| b.name == a.name) else {
            return no("it was dropped, and with it a way in or out");
        };
        let b = &new.functions[at];
        if a.kind != b.kind || !same_fields(&a.params, &b.params, same_type) || !same_type(a.result, b.result) {
            return no("its kind, parameters or result were changed");
        }
        if guard(old, &a.by) != guard(new, &b.by) {
            return no("who must agree was changed");
        }
        if a.authority.iter().any(|place| !b.authority.contains(place)) {
            return no("it asks for less authority");
        }
        if a.authority.len() < b.authority.len() {
            return no("it asks its callers for more authority");
        }
        if b.mints.iter().any(|asset| !a.mints.contains(asset)) {
            return no("it mints what it did not mint");
        }
        if b.burns.iter().any(|asset| !a.burns.contains(asset)) {
            return no("it burns what it did not burn");
        }
        if b.requires.iter().any(|prop| !a.requires.contains(prop)) {
            return no("it requires more of its callers");
        }
        if a.ensures.iter().any(|prop| !b.ensures.contains(prop)) {
            return no("it ensures less");
        }
        let written = |info: &FunctionInfo, table| info.tables.iter().any(|(t, write)| *t == table && *write);
        for info in &unit.tables {
            if written(&unit.functions[n], info.of) && !written(&infos[at], info.of) {
                let name = &old.tables[usize::from(info.of.index)].name;
                return no(&format!("it no longer changes {name}: what is there might not leave"));
            }
        }
        if a.moves.iter().any(|step| !b.moves.contains(step)) {
            return no("a move of a protocol was dropped: an instance could not leave its state");
        }
    }
    // A new function is not among those that holders knew: it makes nothing of what is there, and does not touch it.
    for (n, b) in new.functions.iter().enumerate().filter(|(_, f)| offered(f)) {
        if old.functions.iter().filter(offered).any(|a| a.name == b.name) {
            continue;
        }
        let no = |why: &str| Err(refuse("function", n, b.name.as_str(), why));
        if b.mints.iter().chain(&b.burns).any(|asset| usize::from(*asset) < old.assets.len()) {
            return no("a new function mints or burns an asset of the earlier version");
        }
        let of_old =
            |table: &crate::types::Nominal| unit.tables.iter().chain(&unit.protocols).any(|info| info.of == *table);
        if infos[n].tables.iter().any(|(table, write)| *write && of_old(table)) {
            return no("a new function changes a table of the earlier version; that takes a governed upgrade");
        }
    }
    Ok(())
}

//! The rules of parties, modules and quotas.
//!
//! * **RegisterParty**: the command's party is `admin`. The name is free, the guard can be met, its keys are proper.
//! * **RotateKeys**: the signers satisfy the party's guard (as for every command) and the new one, so that nobody locks itself
//!   out by a slip. Roles and accounts are the party's, not its keys', and stay with it.
//! * **Deploy**: any party. The verifier accepts the module; each of its roles gets a registered party. It is in force at once.
//! * **Upgrade**: the signers satisfy the governance of the version in force. The verifier accepts the module in place of the
//!   newest one. It is in force after the delay that the version in force promises; until then it can be taken back.
//! * **Seal**: the signers satisfy the governance of the version in force. A version in force is used less from now on, never
//!   more again; one that is not in force yet is taken back.
//! * **SetQuota**: the command's party is `admin`, the other one is registered, and another than `admin`.
//!
//! Versions stay usable beside their successors until they are sealed: who pinned one by its hash keeps what was signed.

use hopper::ir::{GuardNode, Lineage, Module, ModuleId, Proofs};
use hopper::library::Unit;
use wire::{Guard, Index, Name, PublicKey};

use crate::call::Context;
use crate::modules::{Binding, LineageRow, ModuleRow, delay_ms};
use crate::operation::ADMIN;
use crate::outcome::Refusal;
use crate::request::{Deployment, Quota, Status};
use crate::state::{PartyRow, State, Write};

pub(crate) fn register(
    state: &State,
    name: &Name,
    guard: &Guard,
    context: &Context<'_>,
) -> Result<Vec<Write>, Refusal> {
    if context.party.as_str() != ADMIN {
        return Err(Refusal::NotAdministrator(context.party.clone()));
    }
    if state.party(name).is_some() {
        return Err(Refusal::PartyExists(name.clone()));
    }
    guard.check().map_err(|e| Refusal::GuardRefused(e.to_string()))?;
    Ok(vec![Write::Party(name.clone(), Some(PartyRow { guard: guard.clone() }))])
}

pub(crate) fn rotate(guard: &Guard, context: &Context<'_>) -> Result<Vec<Write>, Refusal> {
    guard.check().map_err(|e| Refusal::GuardRefused(e.to_string()))?;
    if !guard.is_satisfied_by(context.signers) {
        return Err(Refusal::NewGuardMustSign);
    }
    Ok(vec![Write::Party(context.party.clone(), Some(PartyRow { guard: guard.clone() }))])
}

pub(crate) fn set_quota(
    state: &State,
    party: &Name,
    quota: Option<Quota>,
    context: &Context<'_>,
) -> Result<Vec<Write>, Refusal> {
    if context.party.as_str() != ADMIN {
        return Err(Refusal::NotAdministrator(context.party.clone()));
    }
    if state.party(party).is_none() {
        return Err(Refusal::UnknownParty(party.clone()));
    }
    if party.as_str() == ADMIN {
        // It could never lift a limit that leaves nothing.
        return Err(Refusal::QuotaRefused);
    }
    Ok(vec![Write::Quota(party.clone(), quota)])
}

/// The parties for roles, in order.
fn bind(state: &State, roles: &[&hopper::ir::Label], parties: &[Name]) -> Result<Vec<Binding>, Refusal> {
    if roles.len() != parties.len() {
        let names: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
        return Err(Refusal::RolesRefused(format!(
            "the module needs a party for each of {} new roles ({}), the command names {}",
            roles.len(),
            names.join(", "),
            parties.len()
        )));
    }
    let bind = |(role, party): (&&hopper::ir::Label, &Name)| match state.party(party) {
        Some(_) => Ok(Binding { role: (*role).clone(), party: party.clone() }),
        None => Err(Refusal::RolesRefused(format!("party \"{party}\" for role {role} is not registered"))),
    };
    roles.iter().zip(parties).map(bind).collect()
}

/// Imports are in force: what is announced could still be taken back.
fn check_imports(state: &State, module: &Module, context: &Context<'_>) -> Result<(), Refusal> {
    for id in &module.imports {
        let Some(row) = state.modules().get(id) else { return Err(Refusal::UnknownModule(*id)) };
        if row.live_from > context.time {
            return Err(Refusal::NotInForce { module: *id, why: "it is announced only; import it later".to_owned() });
        }
        if state.code().is_stopped(id) {
            return Err(Refusal::NotInForce { module: *id, why: "it was sealed; import a later version".to_owned() });
        }
    }
    Ok(())
}

/// Deploys a first version, or announces a later one.
pub(crate) fn deploy(
    state: &mut State,
    deployment: &Deployment,
    upgrade: bool,
    index: Index,
    context: &Context<'_>,
) -> Result<Vec<Write>, Refusal> {
    let module = Module::read(&deployment.module).map_err(Refusal::ModuleUndecodable)?;
    let proofs = Proofs::read(&deployment.proofs).map_err(Refusal::ModuleUndecodable)?;
    let id = module.id();
    if state.modules().contains_key(&id) {
        return Err(Refusal::ModuleExists(id));
    }
    match (&module.replaces, upgrade) {
        (None, true) => return Err(Refusal::ModuleRefused("it replaces nothing; deploy it".to_owned())),
        (Some(_), false) => {
            return Err(Refusal::ModuleRefused("it replaces a version; announce an upgrade".to_owned()));
        }
        _ => {}
    }
    check_imports(state, &module, context)?;
    let (lineage, mut row, live_from) = match &module.replaces {
        None => (Lineage(id.0), LineageRow::default(), context.time),
        Some(old) => {
            let Some(unit) = state.code().unit(old) else { return Err(Refusal::UnknownModule(*old)) };
            let lineage = unit.lineage;
            let (ruling, since) = in_force(state, lineage, context);
            must_govern(state, ruling, context)?;
            let replaced = state.modules().get(old).map_or(since, |row| row.live_from);
            let live_from = context.time.plus_ms(delay_ms(&ruling.module)).max(replaced);
            (lineage, state.lineage(&lineage).cloned().unwrap_or_default(), live_from)
        }
    };
    let new: Vec<_> = module.roles.iter().filter(|role| row.party(role).is_none()).collect();
    row.roles.extend(bind(state, &new, &deployment.roles)?);
    row.roles.sort_by(|a, b| a.role.cmp(&b.role));
    state.code_mut().deploy(module, &proofs).map_err(|e| Refusal::ModuleRefused(e.to_string()))?;
    let kept = ModuleRow {
        deployed: index,
        live_from,
        status: Status::Live,
        module: deployment.module.as_slice().into(),
        proofs: deployment.proofs.as_slice().into(),
    };
    Ok(vec![Write::Module(id, Some(kept)), Write::Lineage(lineage, Some(row))])
}

/// The newest version of a lineage that is in force, and since when.
fn in_force<'s>(state: &'s State, lineage: Lineage, context: &Context<'_>) -> (&'s Unit, wire::Time) {
    let code = state.code();
    let mut unit = code.head(&lineage).expect("a lineage has a newest version");
    loop {
        let since = state.modules()[&unit.id].live_from;
        match &unit.module.replaces {
            Some(old) if since > context.time => unit = code.unit(old).expect("versions replace deployed ones"),
            _ => return (unit, since),
        }
    }
}

/// Checks that the signers satisfy the governance of a module.
fn must_govern(state: &State, unit: &Unit, context: &Context<'_>) -> Result<(), Refusal> {
    let refused = || Refusal::GovernanceMustSign(unit.module.name.to_string());
    let roles = state.lineage(&unit.lineage).ok_or_else(refused)?;
    let mut open: Vec<bool> = Vec::new();
    for node in &unit.module.governance {
        let satisfied = match node {
            GuardNode::Role { role } => {
                let party = unit.module.roles.get(usize::from(*role)).and_then(|role| roles.party(role));
                party.is_some_and(|party| signs_for(state, party, context.signers))
            }
            GuardNode::AtLeast { k, of } => {
                let parts = open.split_off(open.len().saturating_sub(usize::from(*of)));
                parts.into_iter().filter(|s| *s).count() >= usize::from(*k)
            }
            // The verifier allows nothing else here.
            _ => false,
        };
        open.push(satisfied);
    }
    if open.pop() == Some(true) { Ok(()) } else { Err(refused()) }
}

fn signs_for(state: &State, party: &Name, signers: &[PublicKey]) -> bool {
    state.party(party).is_some_and(|row| row.guard.is_satisfied_by(signers))
}

/// Lets less of a version be used, or takes back one that is not in force yet.
pub(crate) fn seal(
    state: &mut State,
    id: ModuleId,
    status: Status,
    context: &Context<'_>,
) -> Result<Vec<Write>, Refusal> {
    let (Some(unit), Some(row)) = (state.code().unit(&id).cloned(), state.modules().get(&id)) else {
        return Err(Refusal::UnknownModule(id));
    };
    let (ruling, _) = in_force(state, unit.lineage, context);
    must_govern(state, ruling, context)?;
    let row = row.clone();
    if row.live_from > context.time {
        if state.code().head(&unit.lineage).is_none_or(|head| head.id != id) {
            return Err(Refusal::StatusRefused("a later version replaces this one; take that back first"));
        }
        let before = unit.module.replaces.and_then(|old| state.code().unit(&old).cloned());
        let keeps = |b: &Binding| before.as_ref().is_some_and(|old| old.module.roles.contains(&b.role));
        let mut lineage = state.lineage(&unit.lineage).cloned().unwrap_or_default();
        lineage.roles.retain(keeps);
        state.code_mut().take_back(&id);
        return Ok(vec![Write::Module(id, None), Write::Lineage(unit.lineage, Some(lineage))]);
    }
    if status <= row.status {
        return Err(Refusal::StatusRefused("a version can only be used less than before; name a narrower status"));
    }
    let row = ModuleRow { status, ..row };
    if status == Status::Sealed {
        state.code_mut().seal(id);
    }
    Ok(vec![Write::Module(id, Some(row))])
}

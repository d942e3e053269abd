//! Calls of contracts: what is checked before one runs, and what becomes of it.

use std::sync::Arc;

use hopper::abort::{Abort, Fault};
use hopper::bound::Size;
use hopper::cost::Cost;
use hopper::diff::check_writes;
use hopper::eval::{self, read_arguments};
use hopper::library::Unit;
use hopper::state::{Rows, Write as RowWrite};
use hopper::types::Nominal;
use hopper::value::{self, Value};
use wire::limits::RESULT_BYTES_MAX;
use wire::{CommandId, DecodeError, Encode, Name, PublicKey, Time};

use crate::amount::Amount;
use crate::cash;
use crate::operation::Operation;
use crate::outcome::Refusal;
use crate::request::{Call, Status};
use crate::show;
use crate::state::{State, Write};
use crate::world::{CommandWorld, Scopes, is_action};

/// What one command may cost at most: steps, rows read, bytes read, rows written, bytes written, cryptography.
///
/// Two million steps are about 20 ms.
pub const COMMAND_COST_MAX: Cost = Cost([2_000_000, 8_192, 32 << 20, 8_192, 32 << 20, 200_000]);

/// What the dimensions of a cost are called.
pub(crate) const DIMENSIONS: [&str; 6] =
    ["steps", "rows to read", "bytes to read", "rows to write", "bytes to write", "steps of cryptography"];

/// The first dimension in which one cost is above another: its name, and both figures.
pub(crate) fn above(cost: &Cost, most: &Cost) -> Option<(&'static str, u64, u64)> {
    (0..6).find(|n| cost.0[*n] > most.0[*n]).map(|n| (DIMENSIONS[n], cost.0[n], most.0[n]))
}

/// A call that may run.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub unit: Arc<Unit>,
    pub args: Vec<Value>,
    /// What it costs at most.
    pub bound: Cost,
}

/// The name of an action for people.
fn action_name(unit: &Unit, function: u16) -> String {
    let function = unit.module.functions.get(usize::from(function));
    format!("{}.{}", unit.module.name, function.map_or("?", |f| f.name.as_str()))
}

/// What can be checked of a call without running it.
///
/// The command has so many signers. `view` says that a view is called, which no command can.
pub(crate) fn prepare(state: &State, call: &Call, time: Time, signers: usize, view: bool) -> Result<Prepared, Refusal> {
    if call.scopes.last().is_some_and(|s| usize::from(s.signer) >= signers) {
        let why = "a scope names a signer that the command does not have";
        return Err(Refusal::PayloadUndecodable(DecodeError::Invalid { what: "scopes", why }));
    }
    let code = state.code();
    let (Some(unit), Some(row)) = (code.unit(&call.module), state.modules().get(&call.module)) else {
        return Err(Refusal::UnknownModule(call.module));
    };
    let not_in_force = |module, why: String| Err(Refusal::NotInForce { module, why });
    if row.live_from > time {
        return not_in_force(call.module, format!("from {} on (milliseconds since 1970) it is", row.live_from));
    }
    if row.status != Status::Live {
        return not_in_force(call.module, "commands may no longer use it; call a later version".to_owned());
    }
    if code.is_stopped(&call.module) {
        return not_in_force(call.module, "a module that it uses was sealed".to_owned());
    }
    if !view && !is_action(unit, call.function) {
        return Err(Refusal::UnknownAction { module: unit.module.name.to_string(), function: call.function });
    }
    let info = &unit.functions[usize::from(call.function)];
    let args = read_arguments(&code.library().universe, info, &call.args)
        .map_err(|why| Refusal::ArgumentsUndecodable { action: action_name(unit, call.function), why })?;
    let bound = bound(unit, call.function, &args);
    // The meter stops it at the limit.
    let bound = call.limit.map_or(bound, |most| most.min(bound));
    if let Some((what, bound, most)) = above(&bound, &COMMAND_COST_MAX) {
        return Err(Refusal::CostTooHigh { action: action_name(unit, call.function), what, bound, most });
    }
    Ok(Prepared { unit: unit.clone(), args, bound })
}

/// What a function costs at most with these arguments.
pub(crate) fn bound(unit: &Unit, function: u16, args: &[Value]) -> Cost {
    unit.functions[usize::from(function)].bound.evaluate(|size| match size {
        Size::Length(n) => args.get(usize::from(n)).and_then(Value::length).unwrap_or(0) as u64,
        Size::Value(n) => {
            args.get(usize::from(n)).and_then(Value::int).map_or(0, |v| u64::try_from(v).unwrap_or(u64::MAX))
        }
    })
}

/// The command that carries a call.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub party: &'c Name,
    pub signers: &'c [PublicKey],
    pub command: CommandId,
    pub time: Time,
    /// Takes everybody's agreement for granted.
    pub everybody: bool,
}

/// What a call did.
pub(crate) struct Effect {
    pub diff: hopper::diff::Diff,
    pub rows: Vec<RowWrite>,
    /// Of the ledger's own tables.
    pub writes: Vec<Write>,
    /// The result's canonical bytes.
    pub result: Vec<u8>,
}

impl Effect {
    /// The result for people.
    pub fn result_text(&self, state: &State, call: &Call) -> String {
        let code = state.code();
        let universe = &code.library().universe;
        let info = code.unit(&call.module).and_then(|unit| unit.functions.get(usize::from(call.function)));
        let value = info.and_then(|f| Some((f.result, value::from_bytes(universe, f.result, &self.result).ok()?)));
        value.map(|(ty, value)| show::value_text(universe, ty, &value)).unwrap_or_default()
    }
}

/// Why a call did nothing.
pub(crate) struct Failure {
    pub refusal: Refusal,
    /// The abort's canonical bytes, if that is why and they fit.
    pub result: Vec<u8>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure { refusal, result: Vec::new() }
    }
}

/// Runs a call against the rows as they are, which are those of the state. Nothing is changed yet. With it, what it cost.
pub(crate) fn run(
    state: &State,
    contract_rows: &dyn Rows,
    call: &Call,
    prepared: Prepared,
    context: &Context<'_>,
) -> (Result<Effect, Failure>, Cost) {
    let Prepared { unit, args, .. } = prepared;
    let function = &unit.module.functions[usize::from(call.function)];
    let world = CommandWorld {
        state,
        party: context.party,
        signers: context.signers,
        command: context.command,
        now: context.time,
        unit: &unit,
        roles: state.lineage(&unit.lineage),
        scopes: Scopes::of(&call.scopes, context.signers, &unit.lineage, &function.name, &args),
        everybody: context.everybody,
    };
    let universe = &state.code().library().universe;
    let outcome = eval::run(eval::Call {
        unit: &unit,
        function: call.function,
        args,
        universe,
        rows: contract_rows,
        world: &world,
        limit: call.limit.map_or(COMMAND_COST_MAX, |most| most.min(COMMAND_COST_MAX)),
    });
    let (cost, diff, rows) = (outcome.cost, outcome.diff, outcome.writes);
    let value = match outcome.result {
        Ok(value) => value,
        Err(abort) => return (Err(failure(state, call, &unit, abort, context.party)), cost),
    };
    let effect = || {
        let result = value::to_bytes(universe, unit.functions[usize::from(call.function)].result, &value);
        // What a view gives is in no receipt.
        if result.len() > RESULT_BYTES_MAX && is_action(&unit, call.function) {
            return Err(Refusal::ResultTooLong(result.len()).into());
        }
        check_writes(universe, &rows, &diff).map_err(|e| Refusal::NotConserved(e.to_string()))?;
        let writes = supplies(state, &diff)?;
        Ok(Effect { diff, rows, writes, result })
    };
    (effect(), cost)
}

/// The supplies after what was minted and burned.
///
/// # Errors
/// If there were more of an asset than there may be.
pub(crate) fn supplies(state: &State, diff: &hopper::diff::Diff) -> Result<Vec<Write>, Refusal> {
    let mut after: Vec<(Nominal, u128)> = Vec::new();
    for (asset, minted) in &diff.minted {
        let supply = state.supply_of(asset);
        // Before what is burned in the same command is taken off.
        let sum = supply.checked_add(*minted).and_then(Amount::from_units);
        let amount = Amount::from_units(*minted).unwrap_or(Amount::MAX);
        let sum =
            sum.ok_or(Refusal::SupplyCap { amount, supply: Amount::from_units(supply).unwrap_or(Amount::MAX) })?;
        after.push((*asset, sum.units()));
    }
    for (asset, burned) in &diff.burned {
        let at = after.iter().position(|a| a.0 == *asset).unwrap_or_else(|| {
            after.push((*asset, state.supply_of(asset)));
            after.len() - 1
        });
        let rest = after[at].1.checked_sub(*burned);
        after[at].1 = rest.ok_or_else(|| Refusal::NotConserved("more was burned than there is".to_owned()))?;
    }
    Ok(after.into_iter().map(|(asset, n)| Write::Supply(asset, (n > 0).then_some(n))).collect())
}

fn failure(state: &State, call: &Call, unit: &Unit, abort: Abort, party: &Name) -> Failure {
    let classic = (call.module == cash::id()).then(|| cash::operation_of(call)).flatten();
    let words = |operation: &Operation| cash::refusal_of(operation, &abort, party, state);
    let refusal = classic.as_ref().and_then(words).unwrap_or_else(|| {
        let action = action_name(unit, call.function);
        match &abort {
            Abort::Fault(Fault::Unauthorized) => Refusal::Unauthorized { action },
            Abort::Fault(fault) => Refusal::ContractFault { action, why: fault.to_string() },
            Abort::Error { .. } => Refusal::ContractError(show::abort_text(state.code(), &abort)),
        }
    });
    let mut result = abort.to_bytes();
    if result.len() > RESULT_BYTES_MAX {
        result.clear();
    }
    Failure { refusal, result }
}

//! The JSON shapes of answers. Numbers that may pass 2^53 (amounts, sessions) are strings.

use std::sync::Arc;

use hopper::diff::{Bytes, Event};
use hopper::ir::Lineage;
use hopper::state::RowKey;
use hopper::types::Nominal;
use ledger::query::Account;
use ledger::{AccountRow, Change, Code, Diff, Table, cash};
use serde_json::{Value, json};
use wire::hash::encode_hex;
use wire::{CommandId, Decode, Encode, Guard, Index, Name, Outcome, Receipt, Time};

use crate::node::desk::Verdict;
use crate::node::recent::Fate;

/// An outcome: the code, its name, and the text.
pub fn outcome(outcome: &Outcome) -> Value {
    let name = Code::of(outcome.code).map_or("Unknown", Code::name);
    json!({ "code": outcome.code.0, "name": name, "applied": outcome.is_applied(), "text": outcome.text })
}

/// A receipt, with the time of its block and its diff where this node still holds them.
pub fn receipt(receipt: &Receipt, time: Option<Time>, diff: Option<&Diff>) -> Value {
    let mut value = json!({
        "id": receipt.command.to_string(),
        "state": "executed",
        "index": receipt.index.0,
        "height": receipt.height.0,
        "outcome": outcome(&receipt.outcome),
        "diff_hash": receipt.diff.to_string(),
        "cost": cost(&receipt.cost),
        "result": encode_hex(&receipt.result),
    });
    if let Some(time) = time {
        value["time_ms"] = time.0.into();
    }
    if let Some(diff) = diff {
        value["diff"] = changes(diff);
        value["diff_bytes"] = encode_hex(&diff.to_bytes()).into();
        value["effects"] = effects(diff);
    }
    value
}

/// What a command cost.
pub fn cost(cost: &[u64; 6]) -> Value {
    let [steps, reads, read_bytes, writes, write_bytes, crypto] = cost;
    json!({
        "steps": steps, "reads": reads, "read_bytes": read_bytes, "writes": writes, "write_bytes": write_bytes,
        "crypto": crypto,
    })
}

/// The rows that a command changed: those of contracts, then those of the ledger's own tables.
pub fn changes(diff: &Diff) -> Value {
    let contract = diff.contract().changes.iter().map(row_of_contract);
    contract.chain(diff.changes().iter().map(change)).collect()
}

/// What a command did beside changing rows.
pub fn effects(diff: &Diff) -> Value {
    let amounts = |amounts: &[(Nominal, u128)]| -> Value {
        let one = |(asset, n): &(Nominal, u128)| json!({ "asset": asset_name(asset), "amount": n.to_string() });
        amounts.iter().map(one).collect()
    };
    let contract = diff.contract();
    let event = |e: &Event| json!({ "module": e.module.0.to_string(), "event": e.event, "args": encode_hex(&e.args) });
    json!({
        "minted": amounts(&contract.minted),
        "burned": amounts(&contract.burned),
        "events": contract.events.iter().map(event).collect::<Vec<_>>(),
        "authority": contract.authority.iter().map(Name::as_str).collect::<Vec<_>>(),
    })
}

/// `lineage/number`.
fn asset_name(asset: &Nominal) -> String {
    format!("{}/{}", asset.lineage.0, asset.index)
}

/// A row of a contract. Accounts are spelled out, as those of the ledger's own tables.
fn row_of_contract(change: &hopper::diff::Change) -> Value {
    let RowKey { lineage, table, key } = &change.key;
    if let Some(name) = cash::account_of(&change.key) {
        let row = |bytes: Option<&Bytes>| {
            bytes.and_then(|b| AccountRow::from_bytes(b).ok()).map_or(Value::Null, |row| account_row(&row))
        };
        let (before, after) = (row(change.before.as_ref()), row(change.after.as_ref()));
        return json!({ "table": "accounts", "key": name.as_str(), "before": before, "after": after });
    }
    let row = |bytes: Option<&Bytes>| bytes.map_or(Value::Null, |b| json!({ "bytes": encode_hex(b) }));
    json!({
        "table": "rows",
        "lineage": lineage.0.to_string(),
        "number": table,
        "key": encode_hex(key),
        "before": row(change.before.as_ref()),
        "after": row(change.after.as_ref()),
    })
}

/// What is known of a command.
pub fn fate(id: &CommandId, fate: Option<&Arc<Fate>>, older: Option<&Receipt>, pending: bool) -> Value {
    let id_text = id.to_string();
    match (fate.map(|f| &**f), older) {
        (Some(Fate::Executed { receipt: r, diff, time }), _) => receipt(r, Some(*time), Some(diff)),
        (_, Some(older)) => receipt(older, None, None),
        (Some(Fate::Refused(why)), None) if !pending => {
            json!({ "id": id_text, "state": "refused", "outcome": outcome(why) })
        }
        (_, None) if pending => json!({ "id": id_text, "state": "pending" }),
        (_, None) => json!({ "id": id_text, "state": "unknown" }),
    }
}

/// The verdict on one submitted command. Whoever may not read learns of an earlier execution, but not how it ended.
pub fn verdict(id: &CommandId, verdict: &Verdict, may_read: bool) -> Value {
    let id = id.to_string();
    match verdict {
        Verdict::Accepted => json!({ "id": id, "verdict": "accepted" }),
        Verdict::Busy => json!({ "id": id, "verdict": "busy" }),
        Verdict::Refused(why) => json!({ "id": id, "verdict": "refused", "outcome": outcome(why) }),
        Verdict::Done(first) if may_read => {
            json!({ "id": id, "verdict": "done", "receipt": receipt(first, None, None) })
        }
        Verdict::Done(_) => json!({ "id": id, "verdict": "done" }),
    }
}

/// One changed row. Rows that people read are spelled out; keys and bytes are there in any case.
fn change(change: &Change) -> Value {
    let value = |bytes: &Option<Vec<u8>>| match bytes {
        None => Value::Null,
        Some(bytes) => row(change.table, bytes),
    };
    json!({
        "table": table(change.table),
        "key": key(change.table, &change.key),
        "before": value(&change.before),
        "after": value(&change.after),
    })
}

fn table(table: Table) -> String {
    format!("{table:?}").to_lowercase()
}

fn key(table: Table, bytes: &[u8]) -> Value {
    let readable = match table {
        Table::Parties | Table::Quotas | Table::Usage => Name::from_bytes(bytes).ok().map(|name| name.to_string()),
        Table::Notes => Index::from_bytes(bytes).ok().map(|index| index.to_string()),
        Table::Supply => {
            <(Lineage, u16)>::from_bytes(bytes).ok().map(|(lineage, index)| asset_name(&Nominal { lineage, index }))
        }
        Table::Rows | Table::Sessions | Table::Results | Table::Modules | Table::Lineages => None,
    };
    readable.unwrap_or_else(|| encode_hex(bytes)).into()
}

fn row(table: Table, bytes: &[u8]) -> Value {
    let readable = match table {
        Table::Parties => ledger::PartyRow::from_bytes(bytes).ok().map(|row| json!({ "guard": guard(&row.guard) })),
        Table::Notes => ledger::NoteRow::from_bytes(bytes).ok().map(|row| note(&row)),
        Table::Supply => u128::from_bytes(bytes).ok().map(|n| json!({ "amount": n.to_string() })),
        _ => None,
    };
    readable.unwrap_or_else(|| json!({ "bytes": encode_hex(bytes) }))
}

/// An amount: exactly, as the ratio commands are written with, and as a decimal.
pub fn amount(amount: ledger::Amount) -> Value {
    json!({ "exact": amount.to_string(), "decimal": amount.to_decimal() })
}

fn account_row(row: &AccountRow) -> Value {
    json!({
        "owner": row.owner.as_str(),
        "balance": amount(row.balance),
        "pass_through": row.pass_through,
        "frozen": row.frozen,
    })
}

/// An account with its name.
pub fn account(account: &Account) -> Value {
    let mut value = account_row(&account.row);
    value["name"] = account.name.as_str().into();
    value
}

/// Whose signatures suffice.
pub fn guard(guard: &Guard) -> Value {
    match guard {
        Guard::Key(key) => json!({ "key": key.to_string() }),
        Guard::Threshold { k, keys } => {
            json!({ "k": k, "keys": keys.iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
    }
}

/// A note.
pub fn note(note: &ledger::NoteRow) -> Value {
    json!({
        "party": note.party.as_str(),
        "command": note.command.to_string(),
        "data": encode_hex(&note.data),
        "text": std::str::from_utf8(&note.data).ok(),
    })
}

/// A signed statement, as hexadecimal of its canonical bytes.
pub fn signed(reply: &wire::Signed<wire::statement::Reply>) -> Value {
    encode_hex(&reply.to_bytes()).into()
}

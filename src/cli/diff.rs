//! What a command changed, as people read it, checked against its receipt.
//!
//! A node tells the diff in canonical bytes beside the rows as JSON. One node proves nothing; but the accepted receipt holds
//! the hash of the diff, so only what fits the hash is shown as true.

use hopper::diff::Bytes;
use hopper::state::RowKey;
use ledger::modules::ModuleRow;
use ledger::{AccountRow, Amount, Change, Diff, NoteRow, PartyRow, Table, cash};
use serde_json::Value;
use wire::hash::{decode_hex_bytes, encode_hex};
use wire::{Decode, Encode, Guard, Hash, Index, Name};

use super::style;

/// The diff in a node's answer about a command, if it is the one of the receipt.
pub(crate) fn checked(answer: &Value, expected: &Hash) -> Option<Diff> {
    let bytes = decode_hex_bytes(answer.get("diff_bytes")?.as_str()?).ok()?;
    Diff::from_bytes(&bytes).ok().filter(|diff| diff.hash() == *expected)
}

/// `{"exact": "n%d", ...}`
pub(crate) fn amount(value: &Value) -> Option<Amount> {
    value.get("exact")?.as_str()?.parse().ok()
}

/// `{"owner": ..., "balance": ..., "pass_through": ..., "frozen": ...}`
pub(crate) fn account_row(row: &Value) -> Option<AccountRow> {
    Some(AccountRow {
        owner: Name::new(row.get("owner")?.as_str()?).ok()?,
        balance: amount(row.get("balance")?)?,
        pass_through: row.get("pass_through")?.as_bool()?,
        frozen: row.get("frozen")?.as_bool()?,
    })
}

/// `{"key": ...}` or `{"k": ..., "keys": [...]}`
pub(crate) fn guard(value: &Value) -> Option<Guard> {
    if let Some(key) = value.get("key") {
        return Some(Guard::Key(key.as_str()?.parse().ok()?));
    }
    let keys = value.get("keys")?.as_array()?.iter().map(|key| key.as_str()?.parse().ok());
    Some(Guard::Threshold { k: value.get("k")?.as_u64()?.try_into().ok()?, keys: keys.collect::<Option<_>>()? })
}

/// One line per changed row of the ledger's own tables.
pub(crate) fn render_own(diff: &Diff) -> Vec<String> {
    diff.changes().iter().map(line).collect()
}

/// One line per changed row, and one per event.
pub(crate) fn render(diff: &Diff) -> Vec<String> {
    let contract = diff.contract();
    let rows = contract.changes.iter().map(row_line);
    let events =
        contract.events.iter().filter(|e| e.module != cash::id()).map(|event| {
            format!("event {} of module {}, {} bytes", event.event, event.module.0.short(), event.args.len())
        });
    rows.chain(render_own(diff)).chain(events).collect()
}

fn step(key: &str, before: &str, after: &str) -> String {
    format!("{key}: {before} {} {after}", style::paint(style::FAINT, "->"))
}

fn line(change: &Change) -> String {
    let show = |bytes: &Option<Vec<u8>>| match bytes {
        None => "-".to_owned(),
        Some(bytes) => show_row(change, bytes).unwrap_or_else(|| format!("{} bytes", bytes.len())),
    };
    step(&show_key(change), &show(&change.before), &show(&change.after))
}

/// A row of a contract.
fn row_line(change: &hopper::diff::Change) -> String {
    let account = cash::account_of(&change.key);
    let show = |bytes: &Option<Bytes>| match bytes {
        None => "-".to_owned(),
        Some(bytes) => match AccountRow::from_bytes(bytes) {
            Ok(row) if account.is_some() => show_account(&row),
            _ => format!("{} bytes", bytes.len()),
        },
    };
    let key = account.as_ref().map_or_else(
        || {
            let RowKey { lineage, table, key } = &change.key;
            format!("{}/{table}/{}", lineage.0.short(), encode_hex(key))
        },
        Name::to_string,
    );
    step(&key, &show(&change.before), &show(&change.after))
}

fn show_account(row: &AccountRow) -> String {
    let passes = if row.pass_through { ", passes through" } else { "" };
    format!("{} (of {}{passes}{})", row.balance, row.owner, if row.frozen { ", frozen" } else { "" })
}

fn show_key(change: &Change) -> String {
    let named = match change.table {
        Table::Parties => Name::from_bytes(&change.key).ok().map(|name| format!("party {name}")),
        Table::Notes => Index::from_bytes(&change.key).ok().map(|index| format!("note {index}")),
        Table::Supply if is_coin(change) => Some("supply".to_owned()),
        Table::Supply => Some(format!("supply of {}", encode_hex(&change.key[..change.key.len().min(4)]))),
        Table::Quotas => Name::from_bytes(&change.key).ok().map(|name| format!("quota of {name}")),
        Table::Modules => Some(format!("module {}", encode_hex(&change.key[..change.key.len().min(4)]))),
        _ => None,
    };
    named.unwrap_or_else(|| format!("{:?}", change.table).to_lowercase())
}

fn is_coin(change: &Change) -> bool {
    change.key == (cash::coin().lineage, cash::coin().index).to_bytes()
}

fn show_row(change: &Change, bytes: &[u8]) -> Option<String> {
    Some(match change.table {
        Table::Parties => match PartyRow::from_bytes(bytes).ok()?.guard {
            Guard::Key(key) => format!("key {key:?}..."),
            Guard::Threshold { k, keys } => format!("{k} of {} keys", keys.len()),
        },
        Table::Supply => {
            let units = u128::from_bytes(bytes).ok()?;
            let coin = Amount::from_units(units).filter(|_| is_coin(change));
            coin.map_or_else(|| units.to_string(), |amount| amount.to_string())
        }
        Table::Notes => format!("{} bytes", NoteRow::from_bytes(bytes).ok()?.data.len()),
        Table::Modules => {
            let row = ModuleRow::from_bytes(bytes).ok()?;
            format!("{:?}, {} bytes", row.status, row.module.len())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(owner: &str, balance: &str) -> Bytes {
        let owner = Name::new(owner).unwrap();
        let balance = balance.parse().unwrap();
        AccountRow { owner, balance, pass_through: false, frozen: false }.to_bytes().into()
    }

    fn example() -> Diff {
        let key = |name: &str| cash::account_key(&Name::new(name).unwrap());
        let change = |name, before, after| hopper::diff::Change { key: key(name), before, after };
        let contract = hopper::diff::Diff {
            changes: vec![
                change("A", Some(row("alice", "10%1")), Some(row("alice", "19%2"))),
                change("B", None, Some(row("bob", "1%2"))),
            ],
            ..Default::default()
        };
        let mut bytes = Vec::new();
        wire::codec::encode_length(0, &mut bytes);
        contract.encode(&mut bytes);
        Diff::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn what_a_node_tells_is_checked_against_the_receipt() {
        let diff = example();
        let answer = json!({ "diff_bytes": encode_hex(&diff.to_bytes()) });
        assert_eq!(checked(&answer, &diff.hash()), Some(diff.clone()));
        assert_eq!(checked(&answer, &Hash::ZERO), None, "a lie does not fit the hash");
        assert_eq!(checked(&json!({}), &diff.hash()), None);
    }

    #[test]
    fn one_line_per_row() {
        let lines: Vec<String> =
            render(&example()).iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect();
        assert_eq!(lines, ["A: 10%1 (of alice) -> 19%2 (of alice)", "B: - -> 1%2 (of bob)"]);
    }
}

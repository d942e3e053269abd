//! What a command changed, as people read it, checked against its receipt.
//!
//! A node tells the changed rows as JSON. One node proves nothing; but the accepted receipt holds the hash of the diff.
//! So the rows are turned back into canonical bytes and hashed, and only what fits the hash is shown as true.

use ledger::{AccountRow, Amount, Change, Diff, NoteRow, PartyRow, Table};
use serde_json::Value;
use wire::hash::decode_hex_bytes;
use wire::{Decode, Encode, Guard, Hash, Index, Name};

use super::style;

/// The diff in a node's answer about a command, if it is the one of the receipt.
pub(crate) fn checked(answer: &Value, expected: &Hash) -> Option<Diff> {
    let changes = answer.get("diff")?.as_array()?.iter().map(change).collect::<Option<Vec<_>>>()?;
    // The canonical bytes of a diff: the count, then table, key, before and after of each change.
    let mut bytes = Vec::new();
    wire::codec::encode_length(changes.len(), &mut bytes);
    for change in &changes {
        change.table.encode(&mut bytes);
        wire::codec::encode_bytes(&change.key, &mut bytes);
        for value in [&change.before, &change.after] {
            match value {
                None => bytes.push(0),
                Some(row) => {
                    bytes.push(1);
                    wire::codec::encode_bytes(row, &mut bytes);
                }
            }
        }
    }
    Diff::from_bytes(&bytes).ok().filter(|diff| diff.hash() == *expected)
}

fn change(value: &Value) -> Option<Change> {
    let name = value.get("table")?.as_str()?;
    let table = Table::ALL.into_iter().find(|t| format!("{t:?}").to_lowercase() == name)?;
    let key = value.get("key")?.as_str()?;
    let key = match table {
        Table::Parties | Table::Accounts => Name::new(key).ok()?.to_bytes(),
        Table::Notes => Index(key.parse().ok()?).to_bytes(),
        Table::Supply => Vec::new(),
        Table::Sessions | Table::Results => decode_hex_bytes(key).ok()?,
    };
    let row = |side: &str| match value.get(side)? {
        Value::Null => Some(None),
        row => row_bytes(table, row).map(Some),
    };
    Some(Change { table, key, before: row("before")?, after: row("after")? })
}

fn row_bytes(table: Table, row: &Value) -> Option<Vec<u8>> {
    if let Some(bytes) = row.get("bytes") {
        return decode_hex_bytes(bytes.as_str()?).ok();
    }
    Some(match table {
        Table::Accounts => account_row(row)?.to_bytes(),
        Table::Parties => PartyRow { guard: guard(row.get("guard")?)? }.to_bytes(),
        Table::Supply => amount(row)?.to_bytes(),
        Table::Notes => NoteRow {
            party: Name::new(row.get("party")?.as_str()?).ok()?,
            command: row.get("command")?.as_str()?.parse().ok()?,
            data: decode_hex_bytes(row.get("data")?.as_str()?).ok()?,
        }
        .to_bytes(),
        Table::Sessions | Table::Results => return None,
    })
}

/// `{"exact": "n%d", ...}`
pub(crate) fn amount(value: &Value) -> Option<Amount> {
    value.get("exact")?.as_str()?.parse().ok()
}

/// `{"owner": ..., "balance": ..., "pass_through": ...}`
pub(crate) fn account_row(row: &Value) -> Option<AccountRow> {
    Some(AccountRow {
        owner: Name::new(row.get("owner")?.as_str()?).ok()?,
        balance: amount(row.get("balance")?)?,
        pass_through: row.get("pass_through")?.as_bool()?,
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

/// One line per changed row.
pub(crate) fn render(diff: &Diff) -> Vec<String> {
    diff.changes().iter().map(line).collect()
}

fn line(change: &Change) -> String {
    let show = |bytes: &Option<Vec<u8>>| match bytes {
        None => "-".to_owned(),
        Some(bytes) => show_row(change.table, bytes).unwrap_or_else(|| format!("{} bytes", bytes.len())),
    };
    let key = show_key(change);
    let (before, after) = (show(&change.before), show(&change.after));
    format!("{key}: {before} {} {after}", style::paint(style::FAINT, "->"))
}

fn show_key(change: &Change) -> String {
    let named = match change.table {
        Table::Accounts => Name::from_bytes(&change.key).ok().map(|name| name.to_string()),
        Table::Parties => Name::from_bytes(&change.key).ok().map(|name| format!("party {name}")),
        Table::Notes => Index::from_bytes(&change.key).ok().map(|index| format!("note {index}")),
        Table::Supply => Some("supply".to_owned()),
        Table::Sessions | Table::Results => None,
    };
    named.unwrap_or_else(|| format!("{:?}", change.table).to_lowercase())
}

fn show_row(table: Table, bytes: &[u8]) -> Option<String> {
    Some(match table {
        Table::Accounts => {
            let row = AccountRow::from_bytes(bytes).ok()?;
            format!("{} (of {}{})", row.balance, row.owner, if row.pass_through { ", passes through" } else { "" })
        }
        Table::Parties => match PartyRow::from_bytes(bytes).ok()?.guard {
            Guard::Key(key) => format!("key {key:?}..."),
            Guard::Threshold { k, keys } => format!("{k} of {} keys", keys.len()),
        },
        Table::Supply => Amount::from_bytes(bytes).ok()?.to_string(),
        Table::Notes => format!("{} bytes", NoteRow::from_bytes(bytes).ok()?.data.len()),
        Table::Sessions | Table::Results => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(owner: &str, balance: &str) -> Vec<u8> {
        let owner = Name::new(owner).unwrap();
        AccountRow { owner, balance: balance.parse().unwrap(), pass_through: false }.to_bytes()
    }

    /// The JSON of a node, and the diff it stands for.
    fn example() -> (Value, Diff) {
        let account =
            |owner: &str, exact: &str| json!({"owner": owner, "balance": {"exact": exact}, "pass_through": false});
        let answer = json!({ "diff": [
            {"table": "accounts", "key": "A", "before": account("alice", "10%1"), "after": account("alice", "19%2")},
            {"table": "accounts", "key": "B", "before": null, "after": account("bob", "1%2")},
        ]});
        let mut bytes = Vec::new();
        wire::codec::encode_length(2, &mut bytes);
        Table::Accounts.encode(&mut bytes);
        wire::codec::encode_bytes(&Name::new("A").unwrap().to_bytes(), &mut bytes);
        for value in [row("alice", "10%1"), row("alice", "19%2")] {
            bytes.push(1);
            wire::codec::encode_bytes(&value, &mut bytes);
        }
        Table::Accounts.encode(&mut bytes);
        wire::codec::encode_bytes(&Name::new("B").unwrap().to_bytes(), &mut bytes);
        bytes.extend([0, 1]);
        wire::codec::encode_bytes(&row("bob", "1%2"), &mut bytes);
        (answer, Diff::from_bytes(&bytes).unwrap())
    }

    #[test]
    fn what_a_node_tells_is_checked_against_the_receipt() {
        let (mut answer, diff) = example();
        assert_eq!(checked(&answer, &diff.hash()), Some(diff.clone()));
        answer["diff"][0]["after"]["balance"]["exact"] = "5%1".into();
        assert_eq!(checked(&answer, &diff.hash()), None, "a lie about a row does not fit the hash");
        assert_eq!(checked(&json!({}), &diff.hash()), None);
    }

    #[test]
    fn one_line_per_row() {
        let lines: Vec<String> =
            render(&example().1).iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect();
        assert_eq!(lines, ["A: 10%1 (of alice) -> 19%2 (of alice)", "B: - -> 1%2 (of bob)"]);
    }
}

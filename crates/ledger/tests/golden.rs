//! A fixed sequence of commands and the roots it gives. A change here is a change of format or of rules: every replica
//! of a running cluster would have to make it at the same height.

mod common;

use common::{ADMIN_KEY, TREASURY_KEY, block, command, genesis, key, operation};
use ledger::Ledger;

/// Party, sequence, numbers of the signing keys, text.
type Entry<'a> = (&'a str, u64, &'a [u8], &'a str);

#[test]
fn fixed_commands_give_fixed_roots() {
    let mut ledger = Ledger::new(&genesis());
    let mut lines = vec![format!("genesis {}", ledger.state_root())];
    let blocks: [&[Entry<'_>]; 3] = [
        &[
            ("admin", 1, &[ADMIN_KEY], &format!("RegisterParty a {}", key(1))),
            ("admin", 2, &[ADMIN_KEY], &format!("RegisterParty b 2 {},{},{}", key(2), key(3), key(4))),
            ("a", 1, &[1], "CreateAccount A"),
            ("b", 1, &[2, 4], "CreateAccount B"),
            ("treasury", 1, &[TREASURY_KEY], "AdjustAccount A 100%1"),
        ],
        &[],
        &[
            ("a", 2, &[1], "transfer(A->B, 1%8)"),
            ("a", 2, &[1], "transfer(A->B, 1%1)"),
            ("b", 2, &[3, 4], "PassThrough B on"),
            ("b", 3, &[2, 3], "memo##transfer(B->A, 1%1000000)"),
            ("b", 4, &[2, 3], "transfer(B->A, 1%1)"),
            ("treasury", 2, &[TREASURY_KEY, 1], "AdjustAccount A -1%2"),
            ("b", 4, &[2, 3], "transfer(B->A, 1%1)"),
            ("c", 1, &[1], "CreateAccount C"),
        ],
    ];
    for entries in blocks {
        let entries: Vec<_> = entries
            .iter()
            .map(|(party, sequence, keys, text)| command(party, *sequence, keys, &operation(text)))
            .collect();
        let result = block(&mut ledger, &entries);
        let codes: Vec<String> = result.entries.iter().map(|e| e.receipt.outcome.code.0.to_string()).collect();
        lines.push(format!("codes [{}]", codes.join(" ")));
        lines.push(format!("state {}", result.state_root));
        lines.push(format!("receipts {}", result.receipts_root));
    }
    assert_eq!(lines.join("\n"), GOLDEN.trim());
}

const GOLDEN: &str = "
genesis 804baafc9fe2150397a4bcd8567dbbd4e814e84b767d215488e10c738b6970b6
codes [0 0 0 0 0]
state 694b0930984febc84c092ef3a0809baac4e9834ceb9f344e3ca3786e5b8b43b2
receipts 876e660bff558fc57d2cbad7bebd6864e1a7ad0979403d391cc8362282112307
codes []
state 694b0930984febc84c092ef3a0809baac4e9834ceb9f344e3ca3786e5b8b43b2
receipts 876e660bff558fc57d2cbad7bebd6864e1a7ad0979403d391cc8362282112307
codes [0 2 0 0 35 0 1 7]
state 4482991303c81f7f25e99c3ffcc06442ee5aa17090671474349be59d54c05599
receipts 244f7358c82d7d69fb0eb6534e19c5cc8a683f48a50af8864018be455bf9532f
";

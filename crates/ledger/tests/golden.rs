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
genesis 5b1085f93beb6c4a99f07d2596c93cbf86759f563d501dc07979031508653615
codes [0 0 0 0 0]
state e226ce72040d215cf9984eb74e19e3d35baebe447cef1d3ec31e0cabb833b6c2
receipts 16880945a596f3a7c7df63153071d1120b41b2a6e5ee9f4f526c49b694cd9fa7
codes []
state e226ce72040d215cf9984eb74e19e3d35baebe447cef1d3ec31e0cabb833b6c2
receipts 16880945a596f3a7c7df63153071d1120b41b2a6e5ee9f4f526c49b694cd9fa7
codes [0 2 0 0 35 0 1 7]
state b3c9cd78adba6b3b0b20ec20769deb63b01dd1bd45fc2051945cc44a8494473e
receipts 5797c99fe1f1e49257b4a7c9fc8f8738df4103bcdf13df56839b42dd8db0d86d
";

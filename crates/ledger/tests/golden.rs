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
genesis 3ab0c41485e85a6e9f814a5c0ae058477bc8a0edaa1892b3aa52b642cc7f27d0
codes [0 0 0 0 0]
state 1a217136696e28f4dfc00df642e55977cf2800a6ccd6cda129580457f2d7262d
receipts a03a3ec46cadeb12e20f7b9d2f486c01e961d9332cd99207ba62d6cde1bfa285
codes []
state 1a217136696e28f4dfc00df642e55977cf2800a6ccd6cda129580457f2d7262d
receipts a03a3ec46cadeb12e20f7b9d2f486c01e961d9332cd99207ba62d6cde1bfa285
codes [0 2 0 0 35 0 1 7]
state 912ff977d73a99cdf88377bfa3fb3750cc9518be814a5684fa8858a461f90e9f
receipts bfba633cf7af8b392403cddb02721ddc51fc06a020286b22b3bb3df59f233460
";

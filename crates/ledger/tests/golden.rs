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
genesis 28f7563983ef7c291de3f220518aada0506849a23feec0f086919dfb331ee1f4
codes [0 0 0 0 0]
state 9c1da985c1d6f7b01f19260629466073a76ade082555c9137b3d93d00586fa83
receipts 9ed2ea185595a2fbb9164b0ea74782235bfda361709e3a28ae04974f2e73b806
codes []
state 9c1da985c1d6f7b01f19260629466073a76ade082555c9137b3d93d00586fa83
receipts 9ed2ea185595a2fbb9164b0ea74782235bfda361709e3a28ae04974f2e73b806
codes [0 2 0 0 35 0 1 7]
state d664ef0e9cacd8777cd3b4dfa882dd4c3f992cb9aaff4e8446cba907ca976d49
receipts d4e53674f0a823841c2cfd82d1337bab523d00275cae0ca3bf46d0fa1ecac313
";

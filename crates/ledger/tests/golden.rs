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
genesis 8613a7952cea5e9bc1641cd84737643a509ddeb59ec8ed694ee8a32fd5f5d564
codes [0 0 0 0 0]
state e80736c4c7ac2d538eb0811fb832f7b12a64f0252393dd64fe45d157631199d1
receipts b795feade372b7d288c735e875839548c80ecf318290d9b92fa8035cb1694761
codes []
state e80736c4c7ac2d538eb0811fb832f7b12a64f0252393dd64fe45d157631199d1
receipts b795feade372b7d288c735e875839548c80ecf318290d9b92fa8035cb1694761
codes [0 2 0 0 35 0 1 7]
state 2fc0f74beebe311fc3169165dc19b357fdf3007b82835bb25233c0f811b3bd63
receipts d4639d03bd3308cc68a758e28ab97f55eda17a98b8863491c8ba57a729a9c3fc
";

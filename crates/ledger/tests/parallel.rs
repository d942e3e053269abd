//! Calls run side by side give what they give in order, bit for bit.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{ADMIN_KEY, TREASURY_KEY, command, genesis, key, operation};
use ledger::parallel::Workers;
use ledger::{BlockResult, Ledger};
use proptest::prelude::*;
use wire::VerifiedCommand;

/// Threads of its own for each block.
struct Threads(usize);

impl Workers for Threads {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < count) {
                        job(n);
                    }
                });
            }
        });
    }
}

fn start() -> Ledger {
    let mut ledger = Ledger::new(&genesis());
    let mut entries = Vec::new();
    for n in 1u8..=4 {
        entries.push(command("admin", n.into(), &[ADMIN_KEY], &operation(&format!("RegisterParty p{n} {}", key(n)))));
        for m in 0u8..4 {
            let account = operation(&format!("CreateAccount A{n}{m}"));
            entries.push(command(&format!("p{n}"), 100 + u64::from(m), &[n], &account));
            let mint = operation(&format!("AdjustAccount A{n}{m} 30%1000000"));
            entries.push(command("treasury", 200 + u64::from(10 * n + m), &[TREASURY_KEY], &mint));
        }
    }
    let result = common::block(&mut ledger, &entries);
    assert!(result.entries.iter().all(|e| e.receipt.outcome.is_applied()));
    ledger
}

fn side_by_side(ledger: &mut Ledger, entries: &[VerifiedCommand], threads: usize) -> BlockResult {
    let (height, time, index) = (ledger.height().plus(1), ledger.time().plus_ms(1000), ledger.next_index());
    ledger.execute_block_with(height, time, index, entries, &Threads(threads))
}

/// Mostly transfers among few accounts; now and then what concerns everybody.
fn any_text() -> impl Strategy<Value = (u8, String)> {
    let account = || (1u8..=4, 0u8..4).prop_map(|(n, m)| (n, format!("A{n}{m}")));
    let supply = (1u128 << 96) - 500;
    prop_oneof![
        20 => (account(), account(), 0u32..20).prop_map(|((n, from), (_, to), units)| {
            (n, format!("transfer({from}->{to}, {units}%1000000)"))
        }),
        3 => (account(), account(), account()).prop_map(|((n, from), (_, hop), (_, to))| {
            (n, format!("transfer({from}->{hop}->{to}, 1%1000000)"))
        }),
        2 => (account(), any::<bool>()).prop_map(|((n, a), on)| {
            (n, format!("PassThrough {a} {}", if on { "on" } else { "off" }))
        }),
        2 => (account(), 0u32..9).prop_map(|((_, a), n)| (TREASURY_KEY, format!("AdjustAccount {a} {n}%1000000"))),
        1 => account().prop_map(move |(_, a)| (TREASURY_KEY, format!("AdjustAccount {a} {supply}%1000000"))),
        1 => (1u8..=4, 0u8..9).prop_map(|(n, m)| (n, format!("CreateAccount B{m}"))),
        1 => (1u8..=4, 0u8..9).prop_map(|(n, m)| (n, format!("memo##transfer(A{n}0->B{m}, 1%1000000)"))),
        1 => (1u8..=4).prop_map(|n| (n, format!("RotateKeys {}", key(n)))),
        1 => Just((ADMIN_KEY, "SetQuota p1 1000 200,9,9999,9,9999,9".to_owned())),
    ]
}

fn any_block() -> impl Strategy<Value = Vec<(u8, String, u64, bool)>> {
    prop::collection::vec((any_text(), 1000u64..1200, prop::bool::weighted(0.9)), 0..120)
        .prop_map(|entries| entries.into_iter().map(|((n, text), s, own)| (n, text, s, own)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_number_of_workers_gives_the_same(blocks in prop::collection::vec(any_block(), 1..5), threads in 1usize..4) {
        let (mut in_order, mut guessed) = (start(), start());
        for block in blocks {
            let entries: Vec<VerifiedCommand> = block
                .iter()
                .map(|(n, text, sequence, own)| {
                    let party = match *n {
                        ADMIN_KEY => "admin".to_owned(),
                        TREASURY_KEY => "treasury".to_owned(),
                        n => format!("p{n}"),
                    };
                    let keys: &[u8] = if *own { &[*n] } else { &[1] };
                    command(&party, *sequence, keys, &operation(text))
                })
                .collect();
            let one = common::block(&mut in_order, &entries);
            let two = side_by_side(&mut guessed, &entries, threads);
            prop_assert_eq!(one, two);
            prop_assert_eq!(in_order.state(), guessed.state());
        }
    }
}

/// The test above would mean little if no guess stood.
#[test]
fn conflicts_and_none() {
    for (path, applied) in
        [("transfer(A10->A11, 30%1000000)", [true, false]), ("transfer(A20->A21, 30%1000000)", [true, true])]
    {
        let (mut in_order, mut guessed) = (start(), start());
        let party = if path.contains("A20") { ("p2", 2) } else { ("p1", 1) };
        let entries = [
            command("p1", 900, &[1], &operation("transfer(A10->A11, 30%1000000)")),
            command(party.0, 901, &[party.1], &operation(path)),
        ];
        let two = side_by_side(&mut guessed, &entries, 2);
        let found: Vec<bool> = two.entries.iter().map(|e| e.receipt.outcome.is_applied()).collect();
        assert_eq!(found, applied);
        assert_eq!(common::block(&mut in_order, &entries), two);
    }
}

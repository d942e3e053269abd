//! Laws that hold for any sequence of commands, and parsers that survive any input.

mod common;

use std::collections::BTreeMap;

use common::{ADMIN_KEY, TREASURY_KEY, block, command, genesis, key, operation, transfer};
use ledger::operation::Transfer;
use ledger::{Amount, Code, Diff, Ledger, Operation, classic, root};
use proptest::prelude::*;
use wire::{Decode, Encode, Guard, Name, VerifiedCommand};

const ACCOUNTS: [&str; 5] = ["A", "B", "C", "D", "missing"];
const PARTIES: [&str; 4] = ["p1", "p2", "p3", "treasury"];

fn any_operation() -> impl Strategy<Value = Operation> {
    let account = || prop::sample::select(&ACCOUNTS[..]);
    let units = || prop_oneof![3 => 0u128..50, 1 => Just((1u128 << 96) - 1)];
    let path = || prop::collection::vec(account(), 2..5);
    prop_oneof![
        8 => (path(), units()).prop_map(|(path, units)| transfer(&path, units)),
        3 => (account(), prop::bool::weighted(0.4), units()).prop_map(|(account, negative, units)| Operation::Adjust {
            account: common::name(account),
            negative,
            amount: Amount::from_units(units).unwrap(),
        }),
        2 => account().prop_map(|name| Operation::CreateAccount { name: common::name(name) }),
        1 => (account(), any::<bool>())
            .prop_map(|(account, allowed)| Operation::SetPassThrough { account: common::name(account), allowed }),
        1 => (prop::collection::vec(any::<u8>(), 0..8), path(), units()).prop_map(|(data, path, units)| {
            let Operation::Transfer(then) = transfer(&path, units) else { unreachable!() };
            Operation::Data { data, then: Some(then) }
        }),
        1 => Just(Operation::RegisterParty { name: common::name("p4"), guard: Guard::Key(key(4)) }),
    ]
}

fn any_command() -> impl Strategy<Value = VerifiedCommand> {
    let party = prop::sample::select(&PARTIES[..]);
    let keys = prop::collection::vec(prop::sample::select(&[1u8, 2, 3, TREASURY_KEY, ADMIN_KEY][..]), 1..4);
    (party, 1..40u64, keys, any_operation()).prop_map(|(party, sequence, mut keys, operation)| {
        // Mostly signed by the party itself, so that most commands get as far as the rules.
        if sequence % 5 != 0 {
            keys.push(match party {
                "treasury" => TREASURY_KEY,
                party => party.as_bytes()[1] - b'0',
            });
        }
        command(party, sequence, &keys, &operation)
    })
}

/// A ledger with parties p1 to p3 and accounts A to C, 100 units each.
fn start() -> Ledger {
    let mut ledger = Ledger::new(&genesis());
    let mut entries = Vec::new();
    for (n, account) in [(1u8, "A"), (2, "B"), (3, "C")] {
        let register = operation(&format!("RegisterParty p{n} {}", key(n)));
        entries.push(command("admin", n.into(), &[ADMIN_KEY], &register));
        entries.push(command(&format!("p{n}"), 100, &[n], &operation(&format!("CreateAccount {account}"))));
        let mint = operation(&format!("AdjustAccount {account} 100%1000000"));
        entries.push(command("treasury", 100 + u64::from(n), &[TREASURY_KEY], &mint));
    }
    assert!(block(&mut ledger, &entries).entries.iter().all(|e| e.receipt.outcome.is_applied()));
    ledger
}

fn balances(ledger: &Ledger) -> BTreeMap<Name, u128> {
    ledger.state().accounts().map(|(name, row)| (name, row.balance.units())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn conservation_authority_and_invertible_diffs(commands in prop::collection::vec(any_command(), 1..60)) {
        let mut ledger = start();
        for command in &commands {
            let before = ledger.clone();
            let result = block(&mut ledger, std::slice::from_ref(command));
            let entry = &result.entries[0];

            // Conservation.
            prop_assert_eq!(balances(&ledger).values().sum::<u128>(), ledger.state().supply().units());
            // Nobody's balance falls without the owner's guard.
            for (name, row) in before.state().accounts() {
                let now = ledger.state().account(&name).unwrap();
                let owner = &before.state().party(&row.owner).unwrap().guard;
                prop_assert!(now.balance >= row.balance || owner.is_satisfied_by(&command.signers), "{} fell", name);
            }
            // A refusal changes nothing users see.
            if !entry.receipt.outcome.is_applied() {
                prop_assert!(entry.diff.is_empty());
            }
            prop_assert_eq!(entry.receipt.diff, entry.diff.hash());
            // The diff is the step, and its inverse the way back, bit for bit and root for root.
            let mut state = before.state().clone();
            for diff in [&entry.diff, &entry.bookkeeping] {
                prop_assert_eq!(&Diff::from_bytes(&diff.to_bytes()).unwrap(), diff);
                state.apply(diff).unwrap();
            }
            prop_assert_eq!(&state, ledger.state());
            for diff in [&entry.bookkeeping, &entry.diff] {
                state.apply(&diff.invert()).unwrap();
            }
            prop_assert_eq!(&state, before.state());
        }
        // The tree kept up to date is the tree of the tables.
        prop_assert_eq!(root::Tree::of(ledger.state()).root(), ledger.state_root());
    }

    #[test]
    fn the_same_blocks_give_the_same_ledger(
        commands in prop::collection::vec(any_command(), 1..60),
        cuts in prop::collection::vec(1usize..10, 1..60),
    ) {
        let (mut one, mut two, mut split) = (start(), start(), start());
        let mut rest = commands.as_slice();
        for cut in cuts {
            let (entries, tail) = rest.split_at(cut.min(rest.len()));
            prop_assert_eq!(block(&mut one, entries), block(&mut two, entries));
            rest = tail;
        }
        prop_assert_eq!(one.state(), two.state());
        // Cut otherwise, heights and so results differ, but what users see does not.
        let done = commands.len() - rest.len();
        for command in &commands[..done] {
            block(&mut split, std::slice::from_ref(command));
        }
        prop_assert!(split.state().accounts().eq(one.state().accounts()));
        prop_assert_eq!(split.state().parties(), one.state().parties());
        prop_assert_eq!(split.state().notes(), one.state().notes());
        prop_assert_eq!(split.state().supply(), one.state().supply());
    }

    #[test]
    fn at_most_one_effect_per_sequence(commands in prop::collection::vec(any_command(), 1..60)) {
        let mut ledger = start();
        let twice: Vec<VerifiedCommand> = commands.iter().chain(&commands).cloned().collect();
        let result = block(&mut ledger, &twice);
        let mut seen = BTreeMap::new();
        for (command, entry) in twice.iter().zip(&result.entries) {
            if !entry.bookkeeping.is_empty() {
                let key = (command.party.clone(), command.session, command.sequence);
                prop_assert_eq!(seen.insert(key, command.id()), None);
            } else {
                prop_assert!(entry.diff.is_empty());
                prop_assert_ne!(Code::of(entry.receipt.outcome.code), Some(Code::Applied));
            }
        }
    }
}

fn any_name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9_@][A-Za-z0-9_.:@-]{0,8}[A-Za-z0-9]".prop_map(|text| Name::new(&text).unwrap())
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    let amount = (0..1u128 << 96).prop_map(|units| Amount::from_units(units).unwrap());
    (prop::collection::vec(any_name(), 2..17), amount).prop_map(|(path, amount)| Transfer { path, amount })
}

proptest! {
    #[test]
    fn printed_operations_read_back(transfer in any_transfer(), data in ".{0,40}", negative: bool, then: bool) {
        let account = transfer.path[0].clone();
        for operation in [
            Operation::Adjust { account: account.clone(), negative, amount: transfer.amount },
            Operation::CreateAccount { name: account.clone() },
            Operation::SetPassThrough { account, allowed: negative },
            Operation::Data { data: data.into_bytes(), then: then.then(|| transfer.clone()) },
            Operation::Transfer(transfer),
        ] {
            let text = classic::print(&operation).unwrap();
            prop_assert_eq!(classic::parse(&text), Ok(ledger::Classic::Operation(operation.clone())), "{}", text);
            prop_assert_eq!(Operation::from_payload(&operation.to_payload()), Ok(operation));
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = classic::parse(&text);
        let _ = text.parse::<ledger::SignedAmount>();
    }

    #[test]
    fn no_likely_text_panics(
        text in "(CreateAccount|AdjustAccount|transfer|RegisterParty|PassThrough|Observe[a-zA-Z]*|\\PC)?[ (]?[A-Zä]{0,3}(->|-|,|%|\\(|\\)|##| |[0-9]|on|ä){0,12}"
    ) {
        let _ = classic::parse(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 0u8..12) {
        let _ = Operation::from_payload(&bytes);
        let _ = Operation::from_payload(&[&[2, tag], bytes.as_slice()].concat());
        let _ = Diff::from_bytes(&bytes);
        let _ = ledger::Proof::from_bytes(&bytes);
        let _ = start_state().row(ledger::Table::ALL[usize::from(tag) % 10], &bytes);
    }
}

fn start_state() -> ledger::State {
    ledger::State::genesis(Guard::Key(key(1)), Guard::Key(key(2)), wire::Time(1))
}

//! The rules of the operations, one by one: who may do what, and what is said to those who may not.

mod common;

use common::{Bench, TREASURY_KEY, key, name};
use ledger::{Answer, Code, Query};

#[test]
fn only_administrators_register_parties() {
    let mut bench = Bench::new();
    let text = format!("RegisterParty d {}", key(6));
    bench.refused("a", &[1], &text, Code::NotAdministrator);
    bench.refused("admin", &[1], &text, Code::GuardNotSatisfied);
    bench.applied("admin", &[common::ADMIN_KEY], &text);
    let why = bench.refused("admin", &[common::ADMIN_KEY], &text, Code::PartyExists);
    assert_eq!(why, "party \"d\" exists; choose another name");
    let zero = "0".repeat(64);
    bench.refused("admin", &[common::ADMIN_KEY], &format!("RegisterParty e {zero}"), Code::GuardRefused);
    bench.refused("admin", &[common::ADMIN_KEY], &format!("RegisterParty admin {}", key(6)), Code::PartyExists);
}

#[test]
fn guards_count_keys() {
    let mut bench = Bench::new();
    bench.refused("c", &[3], "CreateAccount C2", Code::GuardNotSatisfied);
    bench.refused("c", &[1, 2, 5], "CreateAccount C2", Code::GuardNotSatisfied);
    bench.applied("c", &[5, 3], "CreateAccount C2");
    let why = bench.refused("nobody", &[1], "CreateAccount N", Code::UnknownParty);
    assert_eq!(why, "party \"nobody\" is not registered; an administrator registers it with RegisterParty");
}

#[test]
fn accounts_are_created_on_purpose_only() {
    let mut bench = Bench::new();
    bench.refused("b", &[2], "CreateAccount A", Code::AccountExists);
    let why = bench.refused("a", &[1], "transfer(A->Bb, 1%1)", Code::UnknownAccount);
    assert_eq!(why, "account \"Bb\" does not exist; check the name, or create it first with CreateAccount");
    bench.refused("treasury", &[TREASURY_KEY], "AdjustAccount X 1%1", Code::UnknownAccount);
    bench.refused("treasury", &[TREASURY_KEY], "AdjustAccount X -1%1", Code::UnknownAccount);
    bench.refused("a", &[1], "PassThrough X on", Code::UnknownAccount);
}

#[test]
fn only_the_treasury_mints_and_burning_needs_the_owner_too() {
    let mut bench = Bench::new();
    bench.refused("a", &[1], "AdjustAccount A 1%1", Code::NotTreasury);
    bench.refused("a", &[1, common::ADMIN_KEY], "AdjustAccount A 1%1", Code::NotTreasury);
    bench.refused("a", &[1], "AdjustAccount A -1%1", Code::NotTreasury);
    let why = bench.refused("treasury", &[TREASURY_KEY], "AdjustAccount A -1%1", Code::OwnerMustSign);
    assert_eq!(why, "wrong signer: account \"A\" belongs to party \"a\", whose guard the signers do not satisfy");
    bench.refused("treasury", &[TREASURY_KEY, 1], "AdjustAccount A -101%1", Code::Overdraft);
    bench.applied("treasury", &[TREASURY_KEY, 1], "AdjustAccount A -99%2");
    assert_eq!(bench.balance("A"), "101%2");
    assert_eq!(bench.ledger.query(&Query::Supply), Answer::Supply(common::amount("101%2")));
    bench.refused("treasury", &[TREASURY_KEY], "AdjustAccount A 0%1", Code::ZeroAmount);
}

#[test]
fn the_supply_is_capped() {
    let mut bench = Bench::new();
    let rest = (1u128 << 96) - 1 - 100_000_000;
    bench.refused("treasury", &[TREASURY_KEY], &format!("AdjustAccount B {}%1000000", rest + 1), Code::SupplyCap);
    bench.applied("treasury", &[TREASURY_KEY], &format!("AdjustAccount B {rest}%1000000"));
    bench.refused("treasury", &[TREASURY_KEY], "AdjustAccount C 1%1000000", Code::SupplyCap);
    bench.applied("b", &[2], &format!("transfer(B->A, {rest}%1000000)"));
    assert_eq!(bench.ledger.state().supply(), ledger::Amount::MAX);
}

#[test]
fn another_partys_account_is_not_debited() {
    // S13.
    let mut bench = Bench::new();
    bench.refused("b", &[2], "transfer(A->B, 1%1)", Code::OwnerMustSign);
    bench.refused("a", &[2], "transfer(A->B, 1%1)", Code::GuardNotSatisfied);
    bench.refused("treasury", &[TREASURY_KEY], "transfer(A->B, 1%1)", Code::OwnerMustSign);
    bench.refused("admin", &[common::ADMIN_KEY], "transfer(A->B, 1%1)", Code::OwnerMustSign);
    bench.applied("b", &[2, 1], "transfer(A->B, 1%1)");
    bench.applied("a", &[1], "transfer(A->B, 1%1)");
    assert_eq!((bench.balance("A"), bench.balance("B")), ("98%1".into(), "2%1".into()));
}

#[test]
fn transfers_are_exact_and_never_overdraw() {
    let mut bench = Bench::new();
    let why = bench.refused("a", &[1], "transfer(A->B, 100000001%1000000)", Code::Overdraft);
    assert_eq!(why, "account \"A\" holds 100%1, the transfer needs 100000001%1000000");
    bench.refused("a", &[1], "transfer(A->B, 0%1)", Code::ZeroAmount);
    bench.refused("a", &[1], "transfer(A->A, 1%1)", Code::SelfTransfer);
    bench.refused("a", &[1], "transfer(A->B->A, 1%1)", Code::SelfTransfer);
    bench.refused("a", &[1], "transfer(A->B->B, 1%1)", Code::PathRepeats);
    bench.applied("a", &[1], "transfer(A->B, 100%1)");
    bench.refused("a", &[1], "transfer(A->B, 1%1000000)", Code::Overdraft);
}

#[test]
fn hops_sign_or_have_opted_in_and_keep_their_balance() {
    let mut bench = Bench::new();
    let why = bench.refused("a", &[1], "transfer(A->B->C, 1%1)", Code::HopMustSign);
    assert!(why.ends_with("or have the owner send: PassThrough B on"), "{why}");
    bench.applied("a", &[1, 2], "transfer(A->B->C, 1%1)");
    bench.refused("a", &[1], "PassThrough B on", Code::OwnerMustSign);
    bench.applied("b", &[2], "PassThrough B on");
    bench.applied("a", &[1], "transfer(A->B->C, 1%1)");
    assert_eq!(
        (bench.balance("A"), bench.balance("B"), bench.balance("C")),
        ("98%1".into(), "0%1".into(), "2%1".into())
    );
    bench.applied("b", &[2], "PassThrough B off");
    bench.refused("a", &[1], "transfer(A->B->C, 1%1)", Code::HopMustSign);
    // Passing through is no permission to be debited.
    bench.applied("b", &[2], "PassThrough B on");
    bench.refused("a", &[1], "transfer(B->C, 1%1)", Code::OwnerMustSign);
}

#[test]
fn a_program_of_several_transfers_is_one_command() {
    let mut bench = Bench::new();
    let pay = |n: u32| format!("(let ((x (% {n} 2))) (#transfer \"A\" \"B\" x \"\") (#transfer \"A\" \"C\" x \"\"))");
    bench.applied("a", &[1], &pay(5));
    assert_eq!(
        (bench.balance("A"), bench.balance("B"), bench.balance("C")),
        ("95%1".into(), "5%2".into(), "5%2".into())
    );
    bench.refused("a", &[1], &pay(150), Code::ContractError);
    bench.refused("b", &[2], &pay(1), Code::ContractError);
    bench.refused(
        "a",
        &[1],
        "(let () (#transfer \"A\" \"B\" 1 \"\") (#transfer \"B\" \"C\" 1 \"\"))",
        Code::ContractError,
    );
    bench.applied("a", &[1, 2], "(let () (#transfer \"A\" \"B\" 1 \"\") (#transfer \"B\" \"C\" 1 \"\"))");
}

#[test]
fn data_and_its_transfer_are_one() {
    let mut bench = Bench::new();
    bench.refused("a", &[1], "memo##transfer(A->B, 101%1)", Code::Overdraft);
    let index = bench.ledger.next_index();
    bench.applied("a", &[1], "memo##transfer(A->B, 1%1)");
    let Answer::Note(Some(note)) = bench.ledger.query(&Query::Note(index)) else { panic!("no note") };
    assert_eq!((note.party, note.data), (name("a"), b"memo".to_vec()));
    bench.applied("b", &[2], "##");
    assert_eq!(bench.balance("B"), "1%1");
}

#[test]
fn queries_read_pages_and_totals() {
    let mut bench = Bench::new();
    let names = |answer| match answer {
        Answer::Accounts { accounts, more } => {
            (accounts.iter().map(|a| a.name.to_string()).collect::<Vec<_>>().join(" "), more)
        }
        other => panic!("{other:?}"),
    };
    let page = |bench: &Bench, after: Option<&str>, limit| {
        names(bench.ledger.query(&Query::Accounts { after: after.map(name), limit }))
    };
    assert_eq!(page(&bench, None, 2), ("A B".to_owned(), true));
    assert_eq!(page(&bench, Some("B"), 2), ("C".to_owned(), false));
    assert_eq!(page(&bench, Some("Z"), usize::MAX), (String::new(), false));
    assert_eq!(page(&bench, None, 0), (String::new(), true));
    bench.refused("a", &[1], "CreateAccount A", Code::AccountExists);
    let totals = bench.ledger.totals();
    assert_eq!((totals.entries, totals.parties, totals.accounts, totals.sessions, totals.results), (8, 5, 3, 5, 8));
    assert_eq!(ledger::classic::answer_text(&bench.ledger.query(&Query::Account(name("A")))), "Just (100 % 1)");
    assert_eq!(ledger::classic::answer_text(&bench.ledger.query(&Query::Account(name("X")))), "Nothing");
}

#[test]
fn rows_are_proven_against_the_state_root() {
    use ledger::Table;
    use wire::Encode;
    let bench = Bench::new();
    let (ledger, root) = (&bench.ledger, bench.ledger.state_root());
    for (table, key, value) in ledger.state().rows() {
        assert_eq!(ledger.state().row(table, &key), Ok(Some(value.clone())));
        let proof = ledger.prove(table, &key);
        assert!(proof.verify(&root, table, &key, Some(&value)), "{table:?}");
        assert!(!proof.verify(&root, table, &key, None), "{table:?}");
    }
    let absent = ledger::cash::account_key(&name("X")).to_bytes();
    assert!(ledger.prove(Table::Rows, &absent).verify(&root, Table::Rows, &absent, None));
}

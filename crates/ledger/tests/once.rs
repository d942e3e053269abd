//! At most once: repeats, windows, expiry, and who can use up whose sequences (S11).

mod common;

use common::{ADMIN_KEY, Bench, CREATED, block, command, genesis, key, name, one, operation, unsigned};
use ledger::{Admission, Answer, Code, Ledger, Query, SessionRow};
use wire::limits::{EXPIRY_AHEAD_MS_MAX, SEQUENCE_WINDOW};
use wire::{Command, Time, VerifiedCommand};

fn register(sequence: u64) -> VerifiedCommand {
    command("admin", sequence, &[ADMIN_KEY], &operation(&format!("RegisterParty p{sequence} {}", key(1))))
}

fn expiring(sequence: u64, expiry: u64) -> VerifiedCommand {
    unsigned(Command { expiry: Time(expiry), ..(*register(sequence)).clone() })
}

#[test]
fn a_repeat_is_a_no_op_that_names_the_first() {
    let mut ledger = Ledger::new(&genesis());
    let result = block(&mut ledger, &[register(2), register(1), register(2)]);
    let codes: Vec<u16> = result.entries.iter().map(|e| e.receipt.outcome.code.0).collect();
    assert_eq!(codes, [0, 0, 1]);
    assert_eq!(
        result.entries[2].receipt.outcome.text,
        "repeated: this command was executed at index 0; its result stands"
    );
    assert!(result.entries[2].diff.is_empty() && result.entries[2].bookkeeping.is_empty());
    assert_eq!(one(&mut ledger, register(1)).0, Code::Repeated);
    assert_eq!(ledger.next_index().get(), 4);

    let first = result.entries[1].receipt.clone();
    assert_eq!(ledger.admit(&register(1), ledger.time()), Err(Admission::Executed(Box::new(first.clone()))));
    assert_eq!(ledger.query(&Query::Command(first.command)), Answer::Command(Some(first.clone())));
    let by_number = Query::Result { party: name("admin"), session: 1, sequence: 1 };
    assert_eq!(ledger.query(&by_number), Answer::Result(Some(first)));
}

#[test]
fn another_command_at_a_used_sequence_is_refused_and_changes_no_result() {
    let mut ledger = Ledger::new(&genesis());
    let first = block(&mut ledger, &[register(1)]).entries[0].receipt.clone();
    let other = command("admin", 1, &[ADMIN_KEY], &operation("CreateAccount X"));
    let refused = one(&mut ledger, other.clone());
    assert_eq!(refused.0, Code::SequenceUsed);
    let Err(Admission::Refused(outcome)) = ledger.admit(&other, ledger.time()) else { panic!("admitted") };
    assert_eq!((outcome.code, outcome.text), (Code::SequenceUsed.number(), refused.1));
    assert_eq!(ledger.admit(&register(1), ledger.time()), Err(Admission::Executed(Box::new(first))));
    assert_eq!(ledger.query(&Query::Command(other.id())), Answer::Command(None));
}

#[test]
fn a_refusal_by_the_rules_is_final() {
    let mut bench = Bench::new();
    let pay = command("b", 500, &[2], &operation("transfer(B->A, 1%1)"));
    assert_eq!(bench.ledger.admit(&pay, bench.ledger.time()), Ok(()), "an overdraft is judged in order");
    assert_eq!(one(&mut bench.ledger, pay.clone()).0, Code::Overdraft);
    bench.applied("a", &[1], "transfer(A->B, 10%1)");
    assert_eq!(one(&mut bench.ledger, pay.clone()).0, Code::Repeated, "also now that B could pay");
    let Err(Admission::Executed(receipt)) = bench.ledger.admit(&pay, bench.ledger.time()) else { panic!() };
    assert_eq!(receipt.outcome.code, Code::Overdraft.number());
}

#[test]
fn nobody_uses_up_anothers_sequences() {
    let mut ledger = Ledger::new(&genesis());
    let before = ledger.state().clone();
    let root = ledger.state_root();
    let forged = command("admin", 1, &[9], &operation("CreateAccount X"));
    let far = command("admin", SEQUENCE_WINDOW + 1, &[9], &operation("CreateAccount X"));
    let unknown = command("nobody", 1, &[9], &operation("CreateAccount X"));
    let mut garbage = (*command("admin", 1, &[9], &operation("CreateAccount X"))).clone();
    garbage.payload = vec![1, 2, 3];
    let result = block(&mut ledger, &[forged, far, unknown, unsigned(garbage.clone())]);
    let codes: Vec<Code> = result.entries.iter().map(|e| Code::of(e.receipt.outcome.code).unwrap()).collect();
    assert_eq!(codes, [Code::GuardNotSatisfied, Code::SequenceTooFar, Code::UnknownParty, Code::GuardNotSatisfied]);
    assert_eq!((ledger.state(), ledger.state_root()), (&before, root), "no trace in the tables");
    assert_eq!(one(&mut ledger, register(1)).0, Code::Applied);

    // The party's own garbage does use its sequence up.
    garbage.sequence = 2;
    garbage.signers = vec![key(ADMIN_KEY)];
    let garbage = unsigned(garbage);
    assert!(matches!(ledger.admit(&garbage, ledger.time()), Err(Admission::Refused(o)) if o.code.0 == 9));
    assert_eq!(one(&mut ledger, garbage).0, Code::PayloadUndecodable);
    assert_eq!(one(&mut ledger, register(2)).0, Code::SequenceUsed);
}

#[test]
fn sequences_come_in_any_order_inside_the_window() {
    let mut ledger = Ledger::new(&genesis());
    let w = SEQUENCE_WINDOW;
    assert_eq!(one(&mut ledger, register(0)).0, Code::SequenceTooOld);
    let far = one(&mut ledger, register(w + 1));
    assert_eq!(far.0, Code::SequenceTooFar);
    assert_eq!(far.1, "sequence 65537 is too far ahead; the highest of the session is 0: use 65536 or below");
    for (sequence, code) in [
        (w, Code::Applied),
        (1, Code::Applied),
        (w + 2, Code::Applied),
        (1, Code::SequenceTooOld),
        (2, Code::SequenceTooOld),
        (3, Code::Applied),
        (2 * w + 2, Code::Applied),
        (w + 2, Code::SequenceTooOld),
        (w + 3, Code::Applied),
        (u64::MAX, Code::SequenceTooFar),
    ] {
        assert_eq!(one(&mut ledger, register(sequence)).0, code, "{sequence}");
    }
    let key = (name("admin"), 1);
    assert_eq!(ledger.state().session(&key), SessionRow { highest: 2 * w + 2 });
    assert_eq!(ledger.state().results_len(), 2, "the window holds the two highest");
}

#[test]
fn expiry_is_against_the_blocks_time() {
    let mut ledger = Ledger::new(&genesis());
    // The first block's time is CREATED + 1000.
    let time = CREATED + 1000;
    let entries = [
        expiring(1, time - 1),
        expiring(1, time + EXPIRY_AHEAD_MS_MAX + 1),
        expiring(1, time),
        expiring(2, time + EXPIRY_AHEAD_MS_MAX),
        expiring(3, u64::MAX),
    ];
    let codes: Vec<Code> =
        block(&mut ledger, &entries).entries.iter().map(|e| Code::of(e.receipt.outcome.code).unwrap()).collect();
    assert_eq!(codes, [Code::Expired, Code::ExpiryTooFar, Code::Applied, Code::Applied, Code::ExpiryTooFar]);
    // A retry after the expiry still returns the first result.
    let Err(Admission::Executed(receipt)) = ledger.admit(&expiring(1, time), Time(u64::MAX)) else { panic!() };
    assert_eq!(receipt.index.get(), 2);
    assert!(matches!(ledger.admit(&expiring(4, time), Time(time + 1)), Err(Admission::Refused(_))));
}

#[test]
fn sessions_are_apart() {
    let mut ledger = Ledger::new(&genesis());
    assert_eq!(one(&mut ledger, register(1)).0, Code::Applied);
    let other = unsigned(Command { session: 2, ..(*register(1)).clone() });
    assert_eq!(one(&mut ledger, other).0, Code::PartyExists, "executed, not a repeat");
}

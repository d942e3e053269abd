//! Random histories of commits, writes, clean restarts and crashes, against a list in memory.

mod common;

use common::{Ledger, STAMP, Step, all, open, small};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use store::{Crash, Faults, Keep, MemDisk, Store};

#[derive(Debug, Clone)]
enum Action {
    Step(Step),
    Restart,
    Crash {
        seed: u64,
        keep: Keep,
    },
    /// The power goes during the step, at its `after`-th operation.
    CrashDuring {
        step: Step,
        after: u64,
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let record = (any::<u8>(), prop_oneof![4 => vec(any::<u8>(), 0..300), 1 => vec(any::<u8>(), 1500..4000)]);
    (vec(record, 0..4), option::of(vec(any::<u8>(), 0..1200)), any::<bool>()).prop_map(|(records, safety, durable)| {
        // A safety record makes any batch a commit.
        let durable = durable || safety.is_some();
        Step { records, safety, durable }
    })
}

fn action() -> impl Strategy<Value = Action> {
    let keep = prop_oneof![Just(Keep::Some), Just(Keep::None), Just(Keep::All)];
    prop_oneof![
        6 => step().prop_map(Action::Step),
        1 => Just(Action::Restart),
        1 => (any::<u64>(), keep).prop_map(|(seed, keep)| Action::Crash { seed, keep }),
        2 => (step(), 0u64..6, any::<u64>()).prop_map(|(step, after, seed)| Action::CrashDuring { step, after, seed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_list_that_forgets_only_what_it_never_promised(actions in vec(action(), 1..30)) {
        let mut disk = MemDisk::new(1);
        let mut store = Store::create(disk.clone(), STAMP, small()).unwrap().0;
        let mut ledger = Ledger::default();
        for action in actions {
            match action {
                Action::Step(step) => {
                    ledger.step(&mut store, &step).unwrap();
                    prop_assert_eq!(all(&store).unwrap(), &ledger.records[..]);
                    prop_assert_eq!(store.safety(), ledger.safety.last().map(|(_, payload)| &payload[..]));
                    continue;
                }
                // A clean restart without a power cut loses nothing at all.
                Action::Restart => {
                    ledger.promised_records = ledger.records.len();
                }
                Action::Crash { seed, keep } => {
                    disk.crash(&Crash { seed, keep, bit_flips: 0 });
                }
                Action::CrashDuring { step, after, seed } => {
                    disk.fail(Faults { fail_from: Some(disk.operations() + after), ..Faults::default() });
                    let _ = ledger.step(&mut store, &step);
                    disk.crash(&Crash { seed, ..Crash::default() });
                }
            }
            drop(store);
            let (reopened, recovered) = open(disk.clone()).unwrap();
            if let Err(broken) = ledger.check(&reopened, &recovered) {
                return Err(TestCaseError::fail(broken));
            }
            ledger.settle(&recovered);
            store = reopened;
        }
    }
}

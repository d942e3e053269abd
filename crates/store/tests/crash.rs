//! The power goes at every disk operation of a workload, and at every operation of the recovery after it.

mod common;

use common::{Ledger, STAMP, Step, all, filled, open, small, workload};
use store::{Batch, Crash, Disk, DiskError, Faults, Keep, MemDisk, Store, StoreError, Usage};

fn crash_plan(seed: u64) -> Crash {
    let keep = match seed {
        0 => Keep::None,
        1 => Keep::All,
        _ => Keep::Some,
    };
    Crash { seed, keep, bit_flips: 0 }
}

/// Runs the workload until operation `k` fails, whatever it is.
fn run_until<D: Disk>(disk: D, steps: &[Step]) -> (bool, Ledger) {
    let mut ledger = Ledger::default();
    match Store::create(disk, STAMP, small()) {
        Ok((mut store, _)) => {
            let failed = ledger.run(&mut store, steps).is_err();
            if failed {
                // Poisoned: the same error for ever.
                let error = store.poisoned().expect("poisoned").clone();
                assert_eq!(store.commit(Batch::new(())).expect_err("poisoned"), error);
            }
            (true, ledger)
        }
        Err(_) => (false, ledger),
    }
}

/// Opens what a crash left. A creation that never returned may have to be repeated.
fn reopen(disk: &MemDisk, created: bool) -> Result<(Store<MemDisk>, store::Recovered), StoreError> {
    match open(disk.clone()) {
        Err(StoreError::Empty) if !created => Store::create(disk.clone(), STAMP, small()),
        result => result,
    }
}

#[test]
fn nothing_promised_is_lost_at_any_operation() {
    let steps = workload(7, 14);
    let more = workload(8, 3);
    let (whole, _) = filled(&steps);
    let operations = whole.operations();
    assert!(operations > 60, "the workload is worth its name: {operations}");
    let (mut torn, mut unsynced, mut single) = (0, 0, 0);
    for k in 0..operations {
        for seed in 0..12 {
            let mut disk = MemDisk::new(1);
            disk.fail(Faults { fail_from: Some(k), ..Faults::default() });
            let (created, mut ledger) = run_until(disk.clone(), &steps);
            disk.crash(&crash_plan(seed));
            let (mut store, recovered) = reopen(&disk, created).unwrap_or_else(|e| panic!("{k} {seed}: {e}"));
            ledger.check(&store, &recovered).unwrap_or_else(|e| panic!("{k} {seed}: {e}"));
            torn += u32::from(recovered.torn_bytes > 0);
            unsynced += u32::from(recovered.records_unsynced > 0);
            single += u32::from(recovered.safety_copies == 1);
            // What the crash took does not come back: go on, and look again.
            ledger.settle(&recovered);
            ledger.run(&mut store, &more).expect("no faults");
            drop(store);
            disk.crash(&Crash { seed, ..Crash::default() });
            let (store, recovered) = open(disk).unwrap_or_else(|e| panic!("{k} {seed} again: {e}"));
            ledger.check(&store, &recovered).unwrap_or_else(|e| panic!("{k} {seed} again: {e}"));
        }
    }
    // Every kind of debris has been met.
    assert!(torn > 20 && unsynced > 20 && single > 20, "{torn} {unsynced} {single}");
}

#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    let steps = workload(9, 10);
    let (whole, _) = filled(&steps);
    for k in (0..whole.operations()).step_by(3) {
        for seed in 2..5 {
            let mut disk = MemDisk::new(1);
            disk.fail(Faults { fail_from: Some(k), ..Faults::default() });
            let (created, ledger) = run_until(disk.clone(), &steps);
            disk.crash(&crash_plan(seed));
            for j in 0.. {
                let mut again = disk.snapshot();
                let from = again.operations() + j;
                again.fail(Faults { fail_from: Some(from), ..Faults::default() });
                if let Ok((store, _)) = reopen(&again, created) {
                    drop(store);
                    break;
                }
                again.crash(&crash_plan(seed + j));
                let (store, recovered) = reopen(&again, created).unwrap_or_else(|e| panic!("{k} {seed} {j}: {e}"));
                ledger.check(&store, &recovered).unwrap_or_else(|e| panic!("{k} {seed} {j}: {e}"));
            }
        }
    }
}

#[test]
fn a_single_failure_poisons_and_nothing_is_written_after_it() {
    let steps = workload(7, 14);
    let (whole, _) = filled(&steps);
    let mut checked = 0;
    for k in 0..whole.operations() {
        let mut disk = MemDisk::new(1);
        disk.fail(Faults { fail_once: Some(k), ..Faults::default() });
        let Ok((mut store, _)) = Store::create(disk.clone(), STAMP, small()) else { continue };
        let mut ledger = Ledger::default();
        let error = ledger.run(&mut store, &steps).expect_err("one operation fails");
        let done = disk.operations();
        let mut batch = Batch::new("a vote");
        batch.set_safety(vec![1]);
        assert_eq!(store.commit(batch).expect_err("poisoned"), error);
        assert_eq!(disk.operations(), done, "a poisoned store leaves the disk alone");
        drop(store);
        disk.crash(&crash_plan(k));
        let (store, recovered) = open(disk).unwrap_or_else(|e| panic!("{k}: {e}"));
        ledger.check(&store, &recovered).unwrap_or_else(|e| panic!("{k}: {e}"));
        checked += 1;
    }
    assert!(checked > 50);
}

#[test]
fn a_full_disk_at_every_byte_loses_nothing_promised() {
    let steps = workload(11, 8);
    let base = {
        let disk = MemDisk::new(1);
        drop(Store::create(disk.clone(), STAMP, small()).expect("create"));
        disk.bytes_held()
    };
    let (whole, complete) = filled(&steps);
    assert!(whole.bytes_held() > base + 4000);
    for capacity in base..whole.bytes_held() {
        let mut disk = MemDisk::new(1);
        disk.fail(Faults { capacity: Some(capacity), ..Faults::default() });
        let (mut store, _) = Store::create(disk.clone(), STAMP, small()).expect("creation fits");
        let mut ledger = Ledger::default();
        let error = ledger.run(&mut store, &steps).expect_err("the disk is too small");
        assert!(matches!(error, StoreError::Disk(DiskError::Full { .. })), "{capacity}: {error}");
        assert!(error.to_string().contains("free space"));
        drop(store);
        if capacity % 2 == 0 {
            disk.crash(&crash_plan(capacity));
        }
        // Reopening takes no room: the node comes back on the same full disk.
        disk.fail(Faults { capacity: Some(capacity), ..Faults::default() });
        let (mut store, recovered) = open(disk.clone()).unwrap_or_else(|e| panic!("{capacity}: {e}"));
        ledger.check(&store, &recovered).unwrap_or_else(|e| panic!("{capacity}: {e}"));
        assert_eq!(recovered.safety, ledger.safety[..ledger.promised_safety].last().map(|(_, p)| p.clone()));
        if capacity % 2 == 1 {
            assert_eq!(recovered.torn_bytes, 0, "{capacity}: room is made before anything is written");
        }
        // With room again, it goes on.
        disk.fail(Faults::default());
        ledger.settle(&recovered);
        ledger.run(&mut store, &steps[..2]).expect("there is room");
    }
    assert_eq!(all(&open(whole).expect("open").0).expect("replay"), complete.records);
}

/// A disk whose sync returns before anything is synced: the checker must see through it.
struct Lying(MemDisk, &'static str);

impl Disk for Lying {
    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.0.list()
    }
    fn length(&self, file: &str) -> Result<u64, DiskError> {
        self.0.length(file)
    }
    fn read(&self, file: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.0.read(file, offset, buffer)
    }
    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        self.0.create(file)
    }
    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write(file, offset, bytes)
    }
    fn allocate(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        self.0.allocate(file, length)
    }
    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        if file.starts_with(self.1) { Ok(()) } else { self.0.sync(file) }
    }
    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.0.remove(file)
    }
    fn identity(&self, file: &str) -> Result<u64, DiskError> {
        self.0.identity(file)
    }
    fn usage(&self) -> Usage {
        self.0.usage()
    }
}

#[test]
fn the_rig_catches_a_disk_that_does_not_sync() {
    let steps = workload(7, 14);
    for lied_about in ["log-", "safety.dat"] {
        let caught = (0..12).any(|seed| {
            let mut disk = MemDisk::new(1);
            let (_, ledger) = run_until(Lying(disk.clone(), lied_about), &steps);
            disk.crash(&crash_plan(seed));
            match open(disk) {
                Ok((store, recovered)) => ledger.check(&store, &recovered).is_err(),
                Err(_) => true,
            }
        });
        assert!(caught, "{lied_about}");
    }
}

#[test]
fn what_opening_has_shown_survives_the_next_crash() {
    let mut disk = MemDisk::new(1);
    let (mut store, _) = Store::create(disk.clone(), STAMP, small()).expect("create");
    let mut batch = Batch::new(());
    batch.append(1, &[7; 1000]);
    store.write(batch).expect("write");
    drop(store);
    // The process died, the machine did not: the record is only in the system's memory.
    let (_, recovered) = open(disk.clone()).expect("open");
    assert_eq!((recovered.records, recovered.records_unsynced), (1, 1));
    disk.crash(&crash_plan(0));
    let (_, recovered) = open(disk).expect("open");
    assert_eq!((recovered.records, recovered.records_unsynced), (1, 0));
}

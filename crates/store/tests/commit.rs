//! What a commit costs and promises, and what it refuses.

mod common;

use common::{STAMP, all, open, small};
use store::{Batch, MemDisk, Options, RECORD_BYTES_MAX, Store, StoreError};

fn fresh() -> (MemDisk, Store<MemDisk>) {
    let disk = MemDisk::new(1);
    let store = Store::create(disk.clone(), STAMP, small()).expect("create").0;
    (disk, store)
}

#[test]
fn one_commit_is_two_syncs_however_many_records() {
    let disk = MemDisk::new(1);
    let options = Options { segment_bytes: 1 << 20, reserve_bytes: 1 << 20, ..small() };
    let (mut store, _) = Store::create(disk, STAMP, options).expect("create");
    let before = store.usage().syncs;
    let mut batch = Batch::new("the vote");
    for i in 0..1000u32 {
        batch.append(1, &i.to_be_bytes());
    }
    batch.set_safety(b"voted".to_vec());
    let durable = store.commit(batch).expect("commit");
    assert_eq!(durable.records().len(), 1000);
    assert_eq!(durable.into_inner(), "the vote");
    assert_eq!(store.usage().syncs - before, 2);
    // A vote alone is one sync, nothing new is none.
    let mut batch = Batch::new(());
    batch.set_safety(b"voted again".to_vec());
    store.commit(batch).expect("commit").into_inner();
    assert_eq!(store.usage().syncs - before, 3);
    store.commit(Batch::new(())).expect("commit").into_inner();
    assert_eq!(store.usage().syncs - before, 3);
}

#[test]
fn a_write_waits_for_nothing_and_the_next_commit_covers_it() {
    let (mut disk, mut store) = fresh();
    let syncs = store.usage().syncs;
    let mut batch = Batch::new(());
    batch.append(4, b"fetched block");
    let at = store.write(batch).expect("write")[0];
    assert_eq!((store.usage().syncs, store.is_synced()), (syncs, false));
    assert_eq!(store.read(at).expect("read"), (4, b"fetched block".to_vec()));
    store.commit(Batch::new(())).expect("commit").into_inner();
    assert!(store.is_synced());
    disk.crash(&store::Crash { keep: store::Keep::None, ..Default::default() });
    assert_eq!(open(disk).expect("open").1.records, 1);
}

#[test]
fn promises_collect() {
    let (_, mut store) = fresh();
    let mut batch: Batch<Vec<u8>> = Batch::default();
    assert!(batch.is_empty());
    assert_eq!((batch.append(1, b"a"), batch.append(1, b"b")), (0, 1));
    batch.promise([1, 2]);
    batch.promise([3]);
    assert_eq!((batch.records(), batch.has_safety(), batch.is_empty()), (2, false, false));
    let (promise, at) = store.commit(batch).expect("commit").into_parts();
    assert_eq!((promise, at.len()), (vec![1, 2, 3], 2));
    assert_eq!((at[0].offset(), at[0].end(), at[1].number()), (0, at[1].offset(), 1));
}

#[test]
fn records_larger_than_a_segment_have_one_to_themselves() {
    let (disk, mut store) = fresh();
    let large = vec![9; 100_000];
    let mut batch = Batch::new(());
    for payload in [&b"small"[..], &large, &large, b"", b"small again"] {
        batch.append(2, payload);
    }
    let durable = store.commit(batch).expect("commit");
    for at in durable.records() {
        store.read(*at).expect("read");
    }
    let from = durable.records()[2];
    durable.into_inner();
    let mut later = Vec::new();
    store
        .replay_from(from, |at, _, _: &[u8]| {
            later.push(at.number());
            Ok::<(), StoreError>(())
        })
        .expect("replay");
    assert_eq!(later, [2, 3, 4]);
    drop(store);
    let (store, _) = open(disk).expect("open");
    let lengths: Vec<usize> = all(&store).expect("replay").iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lengths, [5, 100_000, 100_000, 0, 11]);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let (disk, mut store) = fresh();
    let operations = disk.operations();
    let mut batch = Batch::new(());
    batch.append(1, b"fine");
    batch.set_safety(vec![0; 10_000]);
    assert!(matches!(store.commit(batch), Err(StoreError::SafetyTooLarge { bytes: 10_000, .. })));
    let (disk_2, mut store) = fresh();
    let mut batch = Batch::new(());
    batch.append(1, b"fine");
    batch.append(1, &vec![0; RECORD_BYTES_MAX + 1]);
    assert!(matches!(store.commit(batch), Err(StoreError::RecordTooLarge { .. })));
    assert_eq!((disk.operations(), disk_2.operations()), (operations, operations));
}

#[test]
fn opening_reports_progress() {
    let (disk, mut store) = fresh();
    for _ in 0..5 {
        let mut batch = Batch::new(());
        batch.append(1, &[1; 1500]);
        store.commit(batch).expect("commit").into_inner();
    }
    drop(store);
    let mut seen = Vec::new();
    Store::open(disk, STAMP, small(), &mut |p| seen.push(p)).expect("open");
    assert_eq!(seen.len(), 5);
    assert!(seen.windows(2).all(|w| w[0].checked < w[1].checked));
    assert_eq!(seen[4].checked, seen[4].total);
}

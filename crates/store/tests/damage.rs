//! Flipped bits, misdirected writes, old copies and missing files: named, never accepted, never cut off silently.

mod common;

use common::{STAMP, all, filled, open, small, workload};
use store::{Batch, Crash, Disk, Faults, Keep, MemDisk, RecordAt, SAFETY_FILE, Stamp, Store, StoreError};

/// Where every record stands in its file.
fn places(disk: &MemDisk) -> Vec<(RecordAt, String, u64)> {
    let (store, _) = open(disk.snapshot()).expect("sound");
    let mut places = Vec::new();
    store
        .replay(|at, _, payload: &[u8]| {
            // The store does not tell which segment: find the payload's record by its bytes in the files.
            places.push((at, payload.to_vec()));
            Ok::<(), StoreError>(())
        })
        .expect("sound");
    let mut start = 0;
    let mut out = Vec::new();
    let mut number = 0;
    for (at, payload) in places {
        loop {
            let name = format!("log-{number:08}.seg");
            let contents = disk.contents(&name).expect("segment");
            let offset = 512 + at.offset() - start;
            let body = offset as usize + 22;
            if contents.get(body..body + payload.len()) == Some(&payload[..])
                && contents.get(offset as usize) == Some(&0xa7)
            {
                out.push((at, name, offset));
                break;
            }
            number += 1;
            start = at.offset();
        }
    }
    out
}

#[test]
fn a_flipped_bit_anywhere_is_named_or_harmless() {
    let steps = workload(21, 9);
    let (disk, ledger) = filled(&steps);
    // Everything is synced, so every byte of every record counts.
    let (mut store, _) = open(disk.clone()).expect("sound");
    let mut batch = Batch::new(());
    batch.set_safety(b"last vote".to_vec());
    store.commit(batch).expect("sound").into_inner();
    drop(store);
    let places = places(&disk);
    let (mut named, mut harmless) = (0, 0);
    for file in disk.list().expect("list") {
        let length = disk.length(&file).expect("length");
        for offset in 0..length {
            let flipped = disk.snapshot();
            flipped.flip_bit(&file, offset, (offset % 8) as u8);
            let inside = places.iter().find(|(at, name, start)| {
                *name == file && (*start..*start + 22 + u64::from(at.length())).contains(&offset)
            });
            match open(flipped.clone()) {
                Ok((store, recovered)) => {
                    assert!(inside.is_none(), "{file} byte {offset}: damage to a record went unnoticed");
                    assert_eq!(all(&store).expect("replay"), ledger.records, "{file} byte {offset}");
                    assert_eq!(recovered.safety.as_deref(), Some(&b"last vote"[..]), "{file} byte {offset}");
                    harmless += 1;
                }
                Err(StoreError::Corrupt { file: named_file, offset: named_offset, record, reason }) => {
                    assert_eq!(named_file, file, "byte {offset}: {reason}");
                    if let Some((at, _, start)) = inside {
                        assert_eq!((record, named_offset), (Some(at.number()), *start), "{file} byte {offset}");
                    }
                    // Nothing was repaired or cut off: it is still there to be looked at.
                    assert!(open(flipped).is_err());
                    named += 1;
                }
                Err(other) => panic!("{file} byte {offset}: {other}"),
            }
        }
    }
    assert!(named > 2000 && harmless > 2000, "{named} {harmless}");
}

#[test]
fn reading_one_record_checks_it() {
    let (disk, _) = filled(&workload(21, 9));
    let (store, _) = open(disk.clone()).expect("sound");
    let mut first = None;
    store
        .replay(|at, _, _: &[u8]| {
            first = first.or(Some(at));
            Ok::<(), StoreError>(())
        })
        .expect("sound");
    let at = first.expect("a record");
    disk.flip_bit("log-00000000.seg", 512 + 22, 0);
    assert!(matches!(store.read(at), Err(StoreError::Corrupt { record: Some(0), .. })));
    let replayed = store.replay(|_, _, _| Ok::<(), StoreError>(()));
    assert!(matches!(replayed, Err(StoreError::Corrupt { record: Some(0), offset: 512, .. })));
}

#[test]
fn both_copies_of_the_vote_lost_is_noticed_by_the_log() {
    let disk = MemDisk::new(1);
    let (mut store, _) = Store::create(disk.clone(), STAMP, small()).expect("create");
    for vote in 0..3u8 {
        let mut batch = Batch::new(());
        batch.append(1, &[vote; 40]);
        batch.set_safety(vec![vote]);
        store.commit(batch).expect("commit").into_inner();
    }
    let slot = disk.length(SAFETY_FILE).expect("length") / 4;
    // Generations 3, 4, 5 were written by the loop; 5 stands in the last two slots.
    let mut batch = Batch::new(());
    batch.append(1, b"after generation 5");
    store.write(batch).expect("write");
    drop(store);
    disk.flip_bit(SAFETY_FILE, 2 * slot + 50, 1);
    let (_, recovered) = open(disk.snapshot()).expect("one copy is enough");
    assert_eq!((recovered.safety_copies, recovered.safety_damaged, recovered.safety), (1, 1, Some(vec![2])));
    disk.flip_bit(SAFETY_FILE, 3 * slot + 50, 1);
    let lost = open(disk.snapshot()).expect_err("the newest vote is gone");
    assert_eq!(lost, StoreError::Stale { found: 4, known: 5, record: 3 });
    disk.flip_bit(SAFETY_FILE, 50, 1);
    disk.flip_bit(SAFETY_FILE, slot + 50, 1);
    let lost = open(disk).expect_err("nothing is left");
    assert!(matches!(&lost, StoreError::Corrupt { file, .. } if file == SAFETY_FILE), "{lost}");
}

#[test]
fn an_old_safety_file_beside_a_newer_log_is_refused() {
    let (mut disk, _) = filled(&workload(3, 4));
    let old = disk.contents(SAFETY_FILE).expect("file");
    let (mut store, _) = open(disk.clone()).expect("open");
    for _ in 0..2 {
        let mut batch = Batch::new(());
        batch.append(1, b"block");
        batch.set_safety(b"vote".to_vec());
        store.commit(batch).expect("commit").into_inner();
    }
    drop(store);
    // Written into the file in place, so that its identity is the same.
    disk.write(SAFETY_FILE, 0, &old).expect("write");
    let error = open(disk).expect_err("the votes since are lost");
    assert!(matches!(error, StoreError::Stale { .. }), "{error}");
}

#[test]
fn an_old_log_beside_a_newer_safety_file_is_refused() {
    let (mut disk, _) = filled(&workload(3, 4));
    let name = disk.list().expect("list").into_iter().rfind(|n| n.starts_with("log-")).expect("a segment");
    let old = disk.contents(&name).expect("file");
    let (mut store, _) = open(disk.clone()).expect("open");
    let mut batch = Batch::new(());
    batch.append(1, b"block");
    store.commit(batch).expect("commit").into_inner();
    drop(store);
    let now = disk.length(&name).expect("length") as usize;
    let mut back = old;
    back.resize(now, 0);
    disk.write(&name, 0, &back).expect("write");
    assert!(matches!(open(disk), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_misdirected_write_never_passes() {
    let steps = workload(33, 9);
    let (whole, _) = filled(&steps);
    let (mut refused, mut tolerated) = (0, 0);
    for k in 0..whole.operations() {
        for by in [1, 22, 512, 4096] {
            let mut disk = MemDisk::new(1);
            disk.fail(Faults { misdirect: Some((k, by)), ..Faults::default() });
            let Ok((mut store, _)) = Store::create(disk.clone(), STAMP, small()) else { continue };
            let mut ledger = common::Ledger::default();
            ledger.run(&mut store, &steps).expect("the disk says nothing");
            drop(store);
            disk.crash(&Crash { keep: Keep::All, ..Crash::default() });
            match open(disk) {
                Ok((store, recovered)) => {
                    ledger.check(&store, &recovered).unwrap_or_else(|e| panic!("{k} by {by}: {e}"));
                    tolerated += 1;
                }
                Err(StoreError::Corrupt { .. }) => refused += 1,
                Err(other) => panic!("{k} by {by}: {other}"),
            }
        }
    }
    assert!(refused > 20 && tolerated > 20, "{refused} {tolerated}");
}

#[test]
fn another_owner_is_named() {
    let (disk, _) = filled(&workload(3, 4));
    for other in [Stamp { node: [9; 32], ..STAMP }, Stamp { cluster: [9; 32], ..STAMP }] {
        let error = Store::open(disk.clone(), other, small(), &mut |_| {}).expect_err("not ours");
        let text = error.to_string();
        assert!(matches!(error, StoreError::WrongOwner { .. }));
        assert!(text.contains(&"0d".repeat(32)) && text.contains(&"09".repeat(32)), "{text}");
    }
}

#[test]
fn a_foreign_segment_is_named() {
    let (mut disk, _) = filled(&workload(3, 4));
    let foreign = MemDisk::new(2);
    drop(Store::create(foreign.clone(), Stamp { node: [9; 32], ..STAMP }, small()).expect("create"));
    disk.write("log-00000000.seg", 0, &foreign.contents("log-00000000.seg").expect("file")).expect("write");
    assert!(matches!(open(disk), Err(StoreError::WrongOwner { .. })));
}

#[test]
fn a_copy_is_refused_until_the_operator_says_so() {
    let (disk, ledger) = filled(&workload(3, 4));
    let copy = disk.copied(5);
    let error = open(copy.clone()).expect_err("a copy");
    assert!(matches!(error, StoreError::Copied { .. }));
    assert!(error.to_string().contains("--accept-moved-directory") && error.to_string().contains("vote twice"));
    let moved = store::Options { accept_moved: true, ..small() };
    let (store, recovered) = Store::open(copy.clone(), STAMP, moved, &mut |_| {}).expect("accepted");
    assert!(recovered.moved);
    ledger.check(&store, &recovered).expect("complete");
    drop(store);
    // From now on it is an original.
    assert!(!open(copy).expect("restamped").1.moved);
    // An image of the whole volume cannot be told from the original: documented.
    assert!(open(disk.snapshot()).is_ok());
}

#[test]
fn missing_files_are_named_and_never_a_fresh_start() {
    let (disk, _) = filled(&workload(3, 30));
    let missing = |name: &str| {
        let mut part = disk.snapshot();
        part.remove(name).expect("remove");
        assert_eq!(open(part.clone()).expect_err("incomplete"), StoreError::Missing { missing: name.to_owned() });
        assert!(Store::create(part, STAMP, small()).is_err(), "{name}");
    };
    assert!(disk.list().expect("list").len() > 3);
    missing(SAFETY_FILE);
    missing("log-00000000.seg");
    missing("log-00000001.seg");
    // The last segment is missed by the synced length.
    let mut part = disk.snapshot();
    let last = part.list().expect("list").into_iter().rfind(|n| n.starts_with("log-")).expect("a segment");
    part.remove(&last).expect("remove");
    assert!(matches!(open(part), Err(StoreError::Corrupt { .. })));
    let mut bare = disk.snapshot();
    for name in bare.list().expect("list").iter().filter(|n| n.starts_with("log-")) {
        bare.remove(name).expect("remove");
    }
    let name = "log-00000000.seg".to_owned();
    assert_eq!(open(bare).expect_err("no log"), StoreError::Missing { missing: name });
    assert_eq!(open(MemDisk::new(1)).expect_err("nothing"), StoreError::Empty);
    assert_eq!(Store::create(disk, STAMP, small()).expect_err("there is one"), StoreError::Exists);
}

/// Two stores with one past; each then commits two records of equal length, the first of them different.
fn twins() -> (MemDisk, MemDisk) {
    let (disk, _) = filled(&workload(3, 2));
    let twin = disk.snapshot();
    for (disk, first) in [(&disk, b"pay Alice"), (&twin, b"pay Mallo")] {
        let (mut store, _) = open(disk.clone()).expect("open");
        let mut batch = Batch::new(());
        batch.append(1, first);
        batch.append(1, b"the same");
        store.commit(batch).expect("commit").into_inner();
    }
    (disk, twin)
}

#[test]
fn another_history_of_equal_length_is_refused() {
    let (mut disk, twin) = twins();
    for name in disk.list().expect("list").iter().filter(|n| n.starts_with("log-")) {
        disk.write(name, 0, &twin.contents(name).expect("twin")).expect("write");
    }
    let error = open(disk).expect_err("another history");
    assert!(error.to_string().contains("not the one that safety.dat was written for"), "{error}");
}

#[test]
fn a_record_of_another_history_is_refused_by_the_one_after_it() {
    let (mut disk, twin) = twins();
    let (at, name, start) = places(&twin).into_iter().rev().nth(1).expect("two records");
    let record = &twin.contents(&name).expect("twin")[start as usize..][..22 + at.length() as usize];
    disk.write(&name, start, record).expect("write");
    match open(disk) {
        Err(StoreError::Corrupt { record, reason, .. }) => {
            assert_eq!(record, Some(at.number() + 1));
            assert!(reason.contains("does not follow"), "{reason}");
        }
        other => panic!("{:?}", other.map(|(_, recovered)| recovered)),
    }
}

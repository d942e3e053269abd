//! A real directory: locks, modes, copies, readers beside a writer.

mod common;

use std::fs;
use std::path::Path;

use common::{Ledger, STAMP, all, open, small, workload};
use store::{Batch, DirDisk, Disk, DiskError, Options, SAFETY_FILE, Store, StoreError, open_read_only};

fn created(path: &Path) -> (Store<DirDisk>, Ledger) {
    let (mut store, _) = Store::create(DirDisk::create(path).expect("disk"), STAMP, small()).expect("create");
    let mut ledger = Ledger::default();
    ledger.run(&mut store, &workload(5, 30)).expect("run");
    (store, ledger)
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let temp = tempfile::tempdir().expect("temp");
    let (store, ledger) = created(temp.path());
    drop(store);
    let (store, recovered) = open(DirDisk::open(temp.path()).expect("disk")).expect("open");
    ledger.check(&store, &recovered).expect("sound");
    assert_eq!(all(&store).expect("replay"), ledger.records);
    assert_eq!((recovered.torn_bytes, recovered.safety_copies, recovered.moved), (0, 2, false));
    assert!(store.usage().syncs > 0 && store.usage().bytes_written > 0);
}

#[test]
fn one_process_at_a_time() {
    let temp = tempfile::tempdir().expect("temp");
    let (store, _) = created(temp.path());
    let error = DirDisk::open(temp.path()).expect_err("held");
    assert!(matches!(error, DiskError::Locked { .. }));
    assert!(error.to_string().contains("another process"));
    drop(store);
    DirDisk::open(temp.path()).expect("released");
}

#[test]
fn a_directory_that_is_not_there_is_not_made_by_opening() {
    let temp = tempfile::tempdir().expect("temp");
    let path = temp.path().join("typo");
    assert!(matches!(DirDisk::open(&path), Err(DiskError::NotFound { .. })));
    assert!(matches!(open_read_only(&path, &mut |_| {}), Err(StoreError::Disk(DiskError::NotFound { .. }))));
    assert!(!path.exists());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().expect("temp");
    let path = temp.path().join("data");
    let (_store, _) = created(&path);
    let mode = |path: &Path| fs::metadata(path).expect("stat").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).expect("list") {
        let path = entry.expect("entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_copied_directory_is_refused_and_can_be_taken_over() {
    let temp = tempfile::tempdir().expect("temp");
    let (first, second) = (temp.path().join("first"), temp.path().join("second"));
    let (store, ledger) = created(&first);
    drop(store);
    fs::create_dir(&second).expect("mkdir");
    for entry in fs::read_dir(&first).expect("list") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), second.join(entry.file_name())).expect("copy");
    }
    let disk = || DirDisk::open(&second).expect("disk");
    let error = open(disk()).expect_err("a copy");
    assert_eq!(error, StoreError::Copied { file: SAFETY_FILE.to_owned() });
    // Looking is allowed.
    assert!(open_read_only(&second, &mut |_| {}).expect("reader").recovered().moved);
    let options = Options { accept_moved: true, ..small() };
    let (store, recovered) = Store::open(disk(), STAMP, options, &mut |_| {}).expect("accepted");
    ledger.check(&store, &recovered).expect("complete");
    drop(store);
    open(disk()).expect("an original now");
    // Renaming a directory within its volume is no copy.
    let third = temp.path().join("third");
    fs::rename(&first, &third).expect("rename");
    open(DirDisk::open(&third).expect("disk")).expect("the same files");
}

#[test]
fn a_file_restored_over_the_original_is_refused() {
    let temp = tempfile::tempdir().expect("temp");
    let (store, _) = created(temp.path());
    drop(store);
    let file = temp.path().join(SAFETY_FILE);
    let bytes = fs::read(&file).expect("read");
    fs::remove_file(&file).expect("remove");
    fs::write(&file, bytes).expect("write");
    assert!(matches!(open(DirDisk::open(temp.path()).expect("disk")), Err(StoreError::Copied { .. })));
}

#[test]
fn a_reader_beside_a_writer_sees_a_sound_prefix_and_changes_nothing() {
    let temp = tempfile::tempdir().expect("temp");
    let (mut store, mut ledger) = created(temp.path());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let reader = open_read_only(temp.path(), &mut |_| {}).expect("a running node is readable");
                let mut count = 0;
                reader
                    .replay(|at, kind, payload: &[u8]| {
                        assert_eq!(reader.read(at)?, (kind, payload.to_vec()));
                        count += 1;
                        Ok::<(), StoreError>(())
                    })
                    .expect("replay");
                assert!(count >= last && count == reader.recovered().records);
                last = count;
            }
            last
        });
        for seed in 0..6 {
            ledger.run(&mut store, &workload(seed, 30)).expect("run");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().expect("reader") > 0);
    });
    let mut disk = DirDisk::read_only(temp.path()).expect("disk");
    assert!(disk.write(SAFETY_FILE, 0, b"x").is_err() && disk.create("new").is_err() && disk.remove("LOCK").is_err());
    assert_eq!(all(&store).expect("replay"), ledger.records);
}

#[test]
fn a_reader_reports_a_torn_tail_and_leaves_it() {
    let temp = tempfile::tempdir().expect("temp");
    let (mut store, _) = Store::create(DirDisk::create(temp.path()).expect("disk"), STAMP, small()).expect("create");
    let mut batch = Batch::new(());
    batch.append(1, &[7; 100]);
    store.commit(batch).expect("commit").into_inner();
    drop(store);
    let mut disk = DirDisk::open(temp.path()).expect("disk");
    disk.write("log-00000000.seg", 512 + 122, &[0xa7, 1, 0, 0]).expect("write");
    drop(disk);
    let before = fs::read(temp.path().join("log-00000000.seg")).expect("read");
    let reader = open_read_only(temp.path(), &mut |_| {}).expect("reader");
    assert_eq!((reader.recovered().torn_bytes, reader.recovered().records), (2, 1));
    assert_eq!(fs::read(temp.path().join("log-00000000.seg")).expect("read"), before);
    let (_, recovered) = open(DirDisk::open(temp.path()).expect("disk")).expect("open");
    assert_eq!(recovered.torn_bytes, 2);
    assert_eq!(fs::read(temp.path().join("log-00000000.seg")).expect("read")[512 + 122..512 + 126], [0; 4]);
}

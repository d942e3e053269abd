//! Latency and throughput of commits to a real directory, for batches of 1, 100 and 1000 records of 300 bytes.
//!
//! `cargo run --release -p store --example commit_latency -- DIRECTORY` (a new directory on the disk in question; the
//! system's temporary one by default). Each commit also writes a safety record of 1 KiB, as a vote does.

use std::time::{Duration, Instant};

use store::{Batch, DirDisk, Options, Stamp, Store, StoreError};

const ROUNDS: usize = 400;
const RECORD: [u8; 300] = [7; 300];

fn main() -> Result<(), StoreError> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into).join("commit_latency");
    println!("batch  median us  p99 us  max us  records/s  syncs/commit");
    for batch_records in [1, 100, 1000] {
        let path = base.join(batch_records.to_string());
        let stamp = Stamp { cluster: [1; 32], node: [2; 32] };
        let (mut store, _) = Store::create(DirDisk::create(&path)?, stamp, Options::default())?;
        let before = store.usage();
        let mut taken = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let mut batch = Batch::new(());
            for _ in 0..batch_records {
                batch.append(1, &RECORD);
            }
            batch.set_safety(vec![round as u8; 1024]);
            let start = Instant::now();
            store.commit(batch)?.into_inner();
            taken.push(start.elapsed());
        }
        let total: Duration = taken.iter().sum();
        taken.sort_unstable();
        println!(
            "{batch_records:5}  {:9}  {:6}  {:6}  {:9}  {}",
            taken[ROUNDS / 2].as_micros(),
            taken[ROUNDS * 99 / 100].as_micros(),
            taken[ROUNDS - 1].as_micros(),
            (ROUNDS * batch_records) as u128 * 1_000_000 / total.as_micros().max(1),
            (store.usage().syncs - before.syncs) / ROUNDS as u64,
        );
        drop(store);
        let start = Instant::now();
        let (_, recovered) = Store::open(DirDisk::open(&path)?, stamp, Options::default(), &mut |_| {})?;
        println!("       reopened, {} records checked in {} ms", recovered.records, start.elapsed().as_millis());
    }
    if let Err(error) = std::fs::remove_dir_all(&base) {
        eprintln!("{} could not be removed: {error}", base.display());
    }
    Ok(())
}

//! An idle cluster costs next to nothing.

use std::time::{Duration, Instant};

mod common;

/// Share of one core that four idle nodes may use together. The figure that counts is the one of a release build,
/// below 3 %; `docs/testing.md` says how to take it.
const SHARE_MAX: f64 = if cfg!(debug_assertions) { 0.06 } else { 0.03 };

#[tokio::test(flavor = "multi_thread")]
async fn four_idle_nodes_use_next_to_nothing() {
    let cluster = common::Cluster::running().await;
    cluster.two_accounts();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = || (0..4).map(|n| common::processor_seconds(cluster.local.process(n).unwrap())).sum::<f64>();
    let (before, started) = (used(), Instant::now());
    tokio::time::sleep(Duration::from_secs(6)).await;
    let share = (used() - before) / started.elapsed().as_secs_f64();
    println!("four idle nodes use {:.2} % of a core together", share * 100.0);
    assert!(share < SHARE_MAX, "{:.2} %", share * 100.0);
    let memory: Vec<u64> = (0..4).map(|n| common::memory_mib(cluster.local.process(n).unwrap())).collect();
    println!("resident memory: {memory:?} MiB");
    assert!(memory.iter().all(|mib| *mib < 100), "{memory:?}");
}

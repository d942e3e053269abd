//! Many seeds.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use replica::Standard;

use crate::adversary::Strategy;
use crate::cli::line;
use crate::coverage::Coverage;
use crate::plan::{Plan, Settings};
use crate::world::{HEIGHTS_MIN, SIMULATED_US_MIN, run};

#[derive(Default)]
struct Sum {
    seeds: u64,
    short: u64,
    simulated_us: u64,
    heights: u64,
    entries: u64,
    failures: BTreeMap<u64, String>,
    coverage: Coverage,
}

/// Runs seeds from `first` on until the time or the count is used up; true if none failed.
pub fn swarm(settings: &Settings, minutes: Option<u64>, seeds: Option<u64>, first: u64, threads: usize) -> bool {
    let start = Instant::now();
    let minutes = if seeds.is_none() { Some(minutes.unwrap_or(1)) } else { minutes };
    let end = minutes.map(|m| start + Duration::from_secs(60 * m));
    let last = seeds.map_or(u64::MAX, |count| first.saturating_add(count));
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last || end.is_some_and(|end| Instant::now() >= end) {
                        break;
                    }
                    let began = Instant::now();
                    let report = run::<Standard>(&Plan::draw(seed, settings), None);
                    let mut sum = sum.lock().unwrap_or_else(|e| e.into_inner());
                    sum.seeds += 1;
                    sum.short += u64::from(report.heights < HEIGHTS_MIN && report.simulated_us < SIMULATED_US_MIN);
                    sum.simulated_us += report.simulated_us;
                    sum.heights += report.heights;
                    sum.entries += report.entries as u64;
                    sum.coverage.merge(&report.coverage);
                    if let Some(failure) = &report.failure {
                        println!("FAILED {failure}\n  {}", line(&report));
                        sum.failures.insert(seed, failure.to_string());
                    }
                    if began.elapsed() > Duration::from_secs(20) {
                        println!("seed {seed} took {} s: {}", began.elapsed().as_secs(), line(&report));
                    }
                    if sum.seeds.is_multiple_of(100) {
                        println!("{} seeds, {} failed, {} s", sum.seeds, sum.failures.len(), start.elapsed().as_secs());
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(|e| e.into_inner());
    println!(
        "{} seeds from {first}, {} failed, {} shorter than {HEIGHTS_MIN} heights and five minutes; {} heights, {} entries, \
         {:.1} cluster-hours in {} s",
        sum.seeds,
        sum.failures.len(),
        sum.short,
        sum.heights,
        sum.entries,
        sum.simulated_us as f64 / 3.6e9,
        start.elapsed().as_secs()
    );
    println!("{}", sum.coverage);
    let names: Vec<String> = Strategy::ALL.iter().map(|s| format!("{s:?}")).collect();
    let unused = sum.coverage.missing("strategy", names.iter().map(String::as_str));
    if !unused.is_empty() {
        println!("  never used: {unused:?}");
    }
    for (seed, failure) in &sum.failures {
        println!("cargo run --release -p sim -- --seed {seed}   # {failure}");
    }
    sum.failures.is_empty()
}

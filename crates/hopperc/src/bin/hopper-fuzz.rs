//! Random and mutated contracts against the verifier and both evaluators.
//!
//! `hopper-fuzz programs [count] [first]`, `hopper-fuzz mutants [count] [first]`, `hopper-fuzz rules [count]`

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hopper::verify::Rule;
use hopperc::fuzz::{Finding, Stock, Tried, mutants, programs};

const INPUTS: usize = 10;
const STEP: u64 = 500;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, or: u64| args.get(n).map_or(Some(or), |text| text.parse().ok());
    let (Some(count), Some(first)) = (number(1, 20_000), number(2, 0)) else {
        eprintln!("count and first are whole numbers");
        return ExitCode::from(2);
    };
    std::panic::set_hook(Box::new(|_| {}));
    let stock = hopperc::fuzz::stock();
    let good = match args.first().map(String::as_str) {
        Some("programs") => parallel("programs", first, count, |seeds| programs(seeds, INPUTS)),
        Some("mutants") => parallel("mutants", first, count, |seeds| mutants(seeds, INPUTS, &stock, None)),
        Some("rules") => rules(count, &stock),
        _ => {
            eprintln!("usage: hopper-fuzz programs|mutants|rules [count] [first seed]");
            return ExitCode::from(2);
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes out each rule of the verifier, one by one: mutants must show it.
fn rules(count: u64, stock: &[Stock]) -> bool {
    let mut good = true;
    for rule in Rule::ALL {
        let begun = Instant::now();
        let mut seen = None;
        let mut accepted = 0;
        for first in (0..count).step_by(STEP as usize) {
            match mutants(first..first + STEP, INPUTS, stock, Some(rule)) {
                Ok(tried) => accepted += tried.accepted,
                Err(finding) => {
                    seen = Some(finding);
                    break;
                }
            }
        }
        let seconds = begun.elapsed().as_secs();
        match seen {
            Some(f) => {
                let what: String = f.what.chars().take(100).collect();
                println!("without {rule:?}: noticed at seed {} ({seconds} s): {what}", f.seed);
            }
            None => {
                println!("without {rule:?}: NOT noticed among {accepted} accepted mutants ({seconds} s)");
                good = false;
            }
        }
    }
    good
}

fn parallel(
    what: &str,
    first: u64,
    count: u64,
    run: impl Fn(std::ops::Range<u64>) -> Result<Tried, Finding> + Sync,
) -> bool {
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<(Tried, Option<Finding>)> = std::thread::scope(|scope| {
        let worker = || {
            let mut sum = Tried::default();
            loop {
                let from = next.fetch_add(STEP, Ordering::Relaxed);
                if from >= first + count {
                    return (sum, None);
                }
                match run(from..(from + STEP).min(first + count)) {
                    Ok(tried) => sum = sum.plus(tried),
                    Err(finding) => {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                        return (sum, Some(finding));
                    }
                }
            }
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        handles.into_iter().filter_map(|h| h.join().ok()).collect()
    });
    let sum = results.iter().fold(Tried::default(), |sum, (tried, _)| sum.plus(*tried));
    let c = sum.counts;
    println!(
        "{what}: {} made, {} changed, {} accepted, {} runs, {} applied, {} changed rows, {} uses of authority, {} steps, {} s",
        sum.made,
        sum.changed,
        sum.accepted,
        c.runs,
        c.applied,
        c.changed,
        c.authority,
        c.steps,
        begun.elapsed().as_secs()
    );
    let mut good = true;
    for finding in results.into_iter().filter_map(|(_, finding)| finding) {
        println!("seed {}: {}", finding.seed, finding.what);
        println!("{:#?}", finding.module.functions);
        good = false;
    }
    good
}

//! `kill -9` with real processes, under load: the others go on, and everything acknowledged is there afterwards.
//! `juno soak` does the same as long as one likes.

use juno::cli::soak::{Options, run};

mod common;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_nothing() {
    let _turn = common::my_turn().await;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { kills: 20, seed: 2016, all_at_once_every: 5, rate: 300, nodes: 4 };
    let report = run(common::exe(), dir.path(), options, &mut |round| println!("{round}")).await.unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.rounds.len(), 20);
    assert_eq!(report.rounds.iter().filter(|r| r.all()).count(), 4);
    assert!(report.rounds.iter().any(|r| r.leader), "the seed kills the leader at least once");
    assert!(report.rounds.iter().any(|r| r.twice), "and somebody who comes back");
    let beside = report.rounds.iter().filter(|r| !r.all()).map(|r| r.beside);
    assert!(beside.min().unwrap() > 0, "the others went on each time");
    assert!(report.acknowledged > 2000, "{}", report.acknowledged);
    assert_eq!(report.audited.len(), 4);
    assert!(report.audited.iter().all(|entries| *entries >= report.acknowledged), "{:?}", report.audited);
}

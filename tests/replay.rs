//! A made-up trace with the form and skew of a recorded one, through real processes.

use juno::cli::replay::drive::Manner;
use juno::cli::replay::on_own_cluster;
use juno::cli::replay::plan::Funding;
use juno::cli::replay::trace::{Trace, generate};
use ledger::Code;
use serde_json::Value;

mod common;

#[tokio::test(flavor = "multi_thread")]
async fn every_row_ends_as_the_rules_say_and_money_is_conserved() {
    let _turn = common::my_turn().await;
    let trace = Trace::parse(generate(3000, 11).as_bytes(), usize::MAX).unwrap();
    let manner = Manner { seed: 11, together: 1 };
    let replayed = on_own_cluster(common::exe(), 4, &trace, manner).await.unwrap();
    assert_eq!(replayed.violations(), Vec::<String>::new());
    assert_eq!(replayed.plan.funding, Funding::Ample);
    assert_eq!(replayed.before, replayed.plan.total.units());
    assert!(replayed.before > 0 && replayed.before == replayed.after);
    assert_eq!((replayed.asked, replayed.nodes), (2, 4));

    let report = &replayed.report;
    let refused = |code: Code| report.refused.get(&code.number()).map_or(0, |(count, _)| *count);
    let expected = replayed.plan.expected;
    assert_eq!(report.count, 3000);
    assert_eq!(report.applied, expected.transfers + expected.data);
    assert_eq!((refused(Code::ZeroAmount), refused(Code::SelfTransfer)), (expected.zero, expected.own));
    assert!(expected.zero > 10 && expected.own > 5 && expected.data > 700, "{expected:?}");
    // Set-up and rows are in one log; nothing else is.
    let set_up = replayed.parties + replayed.accounts + replayed.funded;
    assert!(replayed.standing.entries >= set_up as u64 + 3000);
    println!("{:.0} commands/s, p99 {:.1} ms", report.rate(), report.latency_ms(0.99));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verb_prints_what_a_script_needs() {
    let cluster = common::Cluster::running().await;
    let file = cluster.dir.path().join("trace.csv");
    std::fs::write(&file, generate(400, 3)).unwrap();
    let config = cluster.local.dir().join("client.toml");
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    // Twice on one cluster: the second replay finds money that is not its own.
    for seed in ["1", "2"] {
        let args = ["replay", file, "--config", config, "--seed", seed, "--limit", "300", "--together", "50", "--json"];
        let (code, text) = common::juno(&args);
        assert_eq!(code, 0, "{text}");
        let line = text.lines().find(|line| line.starts_with('{')).expect("one line of JSON");
        let answer: Value = serde_json::from_str(line).unwrap();
        assert_eq!(answer["rows"], 300);
        assert_eq!(answer["balances"]["before_units"], answer["balances"]["after_units"]);
        assert_eq!(answer["agreed"]["nodes"], 4);
        assert!(answer["per_second"].as_f64().unwrap() > 0.0 && answer["latency_ms"]["p99"].as_f64().unwrap() > 0.0);
        assert_eq!(answer["violations"], serde_json::json!([]));
    }
    // The same names again: the set-up says what is wrong.
    let (code, text) = common::juno(&["replay", file, "--config", config, "--seed", "1"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("setting up parties") && text.contains("exists; choose another name"), "{text}");
    let (code, text) = common::juno(&["replay", config]);
    assert!(code == 2 && text.contains("line 1: the head is"), "{text}");
}

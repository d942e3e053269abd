//! The attack S12, and every way in which a node can fail a client: what is accepted is true, nothing is lost, the
//! guilty are named and nobody else.

mod fake;

use std::time::Duration;

use client::{AlertKind, Done, NotReady, StreamClient, StreamConfig, SubmitError, Verdict};
use fake::{Cluster, Manner, cluster};
use tokio::time::timeout;
use wire::{NodeId, SignedCommand};

const PATIENCE: Duration = Duration::from_secs(20);

fn sign(builder: &mut client::CommandBuilder, count: usize) -> Vec<SignedCommand> {
    (0..count).map(|n| builder.sign(format!("command {n}").into_bytes()).unwrap()).collect()
}

/// Runs `count` commands, in one submission, and checks every verdict against the book.
async fn run(cluster: &Cluster, count: usize) -> (StreamClient, Vec<Done>) {
    let (mut client, mut builder) = cluster.client().await;
    let commands = sign(&mut builder, count);
    let done = timeout(PATIENCE, client.execute(&commands)).await.expect("a verdict for every command").unwrap();
    assert_eq!(done.len(), count);
    for (done, command) in done.iter().zip(&commands) {
        assert_eq!(done.id, command.id(&cluster.genesis.cluster_id()), "in the order of submission");
        let Verdict::Accepted(receipt) = &done.verdict else { panic!("{done:?}") };
        assert_eq!(Some(receipt.clone()), cluster.truth(&done.id), "what is accepted is what was executed");
        assert!(done.nodes.len() as u64 > cluster.genesis.faulty_weight, "{:?}", done.nodes);
    }
    assert_eq!(cluster.executed(), count);
    assert_eq!(client.under_way(), 0);
    // Late replies of the others are compared too.
    tokio::time::sleep(Duration::from_millis(100)).await;
    (client, done)
}

/// The nodes and kinds of all alerts.
fn alerts(client: &StreamClient) -> Vec<(u16, AlertKind)> {
    client.alerts().iter().map(|a| (a.node.0, a.kind)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_nodes() {
    let cluster = cluster(&[Manner::Honest; 4], 1).await;
    let (client, done) = run(&cluster, 500).await;
    assert_eq!(alerts(&client), []);
    assert!(done.iter().all(|d| d.attempts == 1));
    assert_eq!((cluster.submitted(0), cluster.submitted(1)), (500, 0), "the leader gets them");
}

#[tokio::test]
async fn with_no_faults_tolerated_one_reply_is_enough() {
    let cluster = cluster(&[Manner::Honest], 0).await;
    let (_, done) = run(&cluster, 5).await;
    assert!(done.iter().all(|d| d.nodes == [NodeId(0)]));
}

#[tokio::test]
async fn repeated_replies_count_once() {
    // Three times the same from one node is still the word of one node; the mute ones add nothing.
    let cluster = cluster(&[Manner::Repeating, Manner::Mute, Manner::Mute, Manner::Mute], 1).await;
    let (mut client, mut builder) = cluster.client().await;
    let commands = sign(&mut builder, 3);
    client.submit(&commands).await.unwrap();
    assert!(timeout(Duration::from_secs(2), client.results()).await.is_err(), "one node proves nothing");
    assert_eq!(client.under_way(), 3);
    assert_eq!(alerts(&client), []);
}

#[tokio::test]
async fn a_liar_is_outvoted_and_named() {
    for liar in 0..4 {
        let mut manners = [Manner::Honest; 4];
        manners[liar] = Manner::Lying;
        let cluster = cluster(&manners, 1).await;
        let (client, done) = run(&cluster, 20).await;
        assert_eq!(alerts(&client), [(liar as u16, AlertKind::Contradiction)]);
        assert!(done.iter().all(|d| !d.nodes.contains(&NodeId(liar as u16))));
    }
}

#[tokio::test]
async fn a_liar_with_another_name_or_a_forged_signature_counts_for_nothing() {
    for (manner, kind) in [
        (Manner::Impersonating, AlertKind::Impersonation),
        (Manner::Forging, AlertKind::Forged),
        (Manner::Babbling, AlertKind::Malformed),
    ] {
        let cluster = cluster(&[Manner::Honest, Manner::Honest, Manner::Mute, manner], 1).await;
        let (client, _) = run(&cluster, 20).await;
        let named = alerts(&client);
        // What tells nothing new is not checked: a forgery of what is settled may go unnoticed, but harms nobody.
        assert!(named.iter().all(|alert| *alert == (3, kind)), "{named:?}");
        assert!(kind == AlertKind::Forged || named.len() == 1);
    }
    // Alone against F = 1 with two mutes, the forger's word is checked, refused and named.
    let cluster = cluster(&[Manner::Honest, Manner::Mute, Manner::Mute, Manner::Forging], 1).await;
    let (mut client, mut builder) = cluster.client().await;
    client.submit(&sign(&mut builder, 1)).await.unwrap();
    assert!(timeout(Duration::from_secs(1), client.results()).await.is_err());
    assert_eq!(alerts(&client), [(3, AlertKind::Forged)]);
}

#[tokio::test]
async fn two_receipts_of_one_node_are_an_alert() {
    let cluster = cluster(&[Manner::TwoFaced, Manner::Mute, Manner::Honest, Manner::Honest], 1).await;
    let (client, _) = run(&cluster, 10).await;
    let named = alerts(&client);
    assert!(!named.is_empty());
    assert!(named.iter().all(|(node, _)| *node == 0), "{named:?}");
}

#[tokio::test]
async fn a_mute_leader_is_passed_over() {
    let cluster = cluster(&[Manner::Mute, Manner::Honest, Manner::Honest, Manner::Honest], 1).await;
    let (mut client, mut builder) = cluster.client().await;
    let first = client.execute(&sign(&mut builder, 10)).await.unwrap();
    assert!(first.iter().all(|d| d.attempts == 2 && d.latency >= Duration::from_millis(200)));
    let second = client.execute(&sign(&mut builder, 10)).await.unwrap();
    assert!(second.iter().all(|d| d.attempts == 1 && d.latency < Duration::from_millis(200)), "{second:?}");
    assert_eq!(cluster.executed(), 20);
    assert_eq!(alerts(&client), []);
}

#[tokio::test]
async fn busy_nodes_cost_time_and_lose_nothing() {
    let cluster = cluster(&[Manner::Busy(u64::MAX), Manner::Busy(3), Manner::Busy(2), Manner::Busy(5)], 1).await;
    let (client, done) = run(&cluster, 100).await;
    assert!(done.iter().all(|d| d.attempts > 2));
    assert_eq!(alerts(&client), [], "being busy is no offence");
}

#[tokio::test]
async fn a_node_that_hangs_up_is_replaced_at_once() {
    let cluster = cluster(&[Manner::HangingUp, Manner::Honest, Manner::Honest, Manner::Honest], 1).await;
    let (client, done) = run(&cluster, 50).await;
    assert!(done.iter().all(|d| d.latency < Duration::from_millis(200)), "no timeout was waited for");
    assert_eq!(alerts(&client), []);
}

#[tokio::test]
async fn a_refusal_needs_weight_above_f() {
    let cluster = cluster(&[Manner::Refusing, Manner::Honest, Manner::Honest, Manner::Honest], 1).await;
    let (_, done) = run(&cluster, 10).await;
    assert!(done.iter().all(|d| d.attempts == 2), "one node's refusal decides nothing");

    let cluster = fake::cluster(&[Manner::Refusing, Manner::Refusing, Manner::Honest, Manner::Honest], 1).await;
    let (mut client, mut builder) = cluster.client().await;
    for done in client.execute(&sign(&mut builder, 10)).await.unwrap() {
        match done.verdict {
            Verdict::Refused(outcome) => assert_eq!(outcome.text, "its expiry is too far ahead"),
            // The second node asked may be an honest one; then it is executed.
            Verdict::Accepted(receipt) => assert_eq!(Some(receipt), cluster.truth(&done.id)),
            Verdict::Unanswered => panic!("unanswered"),
        }
    }
}

#[tokio::test]
async fn an_expired_command_ends_unanswered() {
    let cluster = cluster(&[Manner::Mute; 4], 1).await;
    let (mut client, builder) = cluster.client().await;
    let mut builder = builder.expiry(Duration::ZERO);
    client.submit(&sign(&mut builder, 2)).await.unwrap();
    let done = timeout(PATIENCE, client.results()).await.expect("given up after its expiry");
    assert!(done.iter().all(|d| d.verdict == Verdict::Unanswered));
}

#[tokio::test]
async fn a_wrong_address_is_named() {
    let cluster = cluster(&[Manner::Honest; 4], 1).await;
    let mut config: StreamConfig = cluster.config();
    let address = config.nodes[0].1.clone();
    config.nodes[2].1 = address;
    let (mut client, mut builder) = cluster.client_of(config).await;
    client.execute(&sign(&mut builder, 3)).await.unwrap();
    assert_eq!(alerts(&client), [(2, AlertKind::WrongNode)]);
}

#[tokio::test]
async fn too_few_nodes_is_an_error_with_reasons() {
    let cluster = cluster(&[Manner::Honest; 4], 1).await;
    let mut config = cluster.config();
    config.nodes.truncate(2);
    config.nodes[1].1 = "127.0.0.1:1".into();
    let client = StreamClient::start(config);
    let NotReady { connected, faulty, reasons } = client.ready(Duration::from_millis(500)).await.unwrap_err();
    assert_eq!((connected, faulty), (1, 1));
    assert!(reasons[0].starts_with("node 1: 127.0.0.1:1"), "{reasons:?}");
}

#[tokio::test]
async fn the_window_holds_submissions_back() {
    let cluster = cluster(&[Manner::Honest; 4], 1).await;
    let mut config = cluster.config();
    config.window = 10;
    let (mut client, mut builder) = cluster.client_of(config).await;
    let commands = sign(&mut builder, 25);
    let submitter = client.submitter();
    assert!(timeout(Duration::from_millis(300), submitter.submit(&commands)).await.is_err(), "nobody takes results");
    let done = client.results().await;
    assert_eq!(done.len(), 10);
    let rest = sign(&mut builder, 35);
    assert_eq!(timeout(PATIENCE, client.execute(&rest)).await.unwrap().unwrap().len(), 35, "execute takes them");
    let twice = sign(&mut builder, 1);
    let twice = [twice[0].clone(), twice[0].clone()];
    assert!(matches!(client.submit(&twice).await, Err(SubmitError::Duplicate(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measuring_counts_every_command() {
    use client::load::{Shape, run};
    let cluster = cluster(&[Manner::Honest, Manner::Honest, Manner::Busy(3), Manner::Lying], 1).await;
    let (mut client, mut builder) = cluster.client().await;
    for (shape, count) in [(Shape::Batch, 3000u64), (Shape::Many(1), 3000), (Shape::Many(7), 100), (Shape::Batch, 0)] {
        let mut signing = builder.clone();
        builder.restart(client::random_session().unwrap());
        client.follow(builder.session());
        let make = (0..count).map(move |n| signing.sign(n.to_be_bytes().to_vec()));
        let mut seen = 0;
        let report = timeout(PATIENCE, run(&mut client, make, shape, &mut |_| seen += 1)).await.unwrap().unwrap();
        assert_eq!((report.count, report.applied, seen), (count, count, count), "{shape:?}");
        assert_eq!((report.refused_count(), report.unanswered), (0, 0));
        assert!(count == 0 || report.latency_ms(0.99) >= report.latency_ms(0.5));
        println!("{shape:?} of {count}: {:.0} per second, p50 {:.1} ms", report.rate(), report.latency_ms(0.5));
    }
}

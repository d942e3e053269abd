//! Attacks with commands: ordered twice, too late, or without the owner's signature; and clients that want elections.

#[path = "support/evil.rs"]
mod evil;
mod support;

use evil::{Forge, assert_one_chain, assert_only_guilty, log};
use ledger::outcome::Code;
use ledger::{Answer, Query};
use support::{Cluster, Fate, Letter, party_key};
use wire::{CommandId, FaultModel, Name, NodeId, OutcomeCode, PeerMessage, SecretKey, SignedCommand, Signer, Time};

/// A working cluster whose leader, node 0, the test plays from now on.
fn bad_leader() -> (Cluster, Forge) {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    c.nodes.remove(&NodeId(0));
    let forge = Forge::of(&c);
    (c, forge)
}

/// Orders `entries` as the leader of term 1 would, through the three honest voters.
fn order(c: &mut Cluster, forge: &Forge, entries: Vec<SignedCommand>, ms: u64) {
    let height = c.height(1);
    let (block, _) = log(c, 1).tip.child(c, 1, entries, ms);
    let append = forge.append(0, 1, block, None);
    for to in 1..4 {
        c.post(NodeId(0), NodeId(to), append.clone());
    }
    c.run(50);
    assert_eq!(c.height(1), height + 1, "honest voters order what keeps the rules of blocks: {:?}", c.alerts);
}

fn code(c: &Cluster, n: u16, id: &CommandId) -> OutcomeCode {
    c.nodes[&NodeId(n)].find(id).expect("executed").outcome.code
}

fn balance(c: &Cluster, n: u16, account: &str) -> String {
    match c.nodes[&NodeId(n)].query(&Query::Account(Name::new(account).unwrap())) {
        Answer::Account(Some(account)) => account.row.balance.to_string().trim_end_matches("%1").to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn s11_a_command_ordered_again_takes_effect_once() {
    let (mut c, forge) = bad_leader();
    let pay = c.command("alice", "transfer(A->B, 10%1)");
    let id = pay.id(&c.genesis.cluster_id());
    // Twice in one block, then again in the next.
    order(&mut c, &forge, vec![pay.clone(), pay.clone()], 5);
    assert_eq!((balance(&c, 1, "A"), balance(&c, 1, "B")), ("990".to_owned(), "10".to_owned()));
    let first = c.nodes[&NodeId(1)].find(&id).unwrap();
    // Whoever hears only of the repetition, say after a restart, is told the first result too.
    c.receipts.clear();
    order(&mut c, &forge, vec![pay.clone()], 5);
    for n in 1..4 {
        assert_eq!(c.receipts[&NodeId(n)][&id], first, "answered like a retry");
        assert_eq!((balance(&c, n, "A"), balance(&c, n, "B")), ("990".to_owned(), "10".to_owned()));
        assert_eq!(c.nodes[&NodeId(n)].find(&id).as_ref(), Some(&first), "the first result stands");
    }
    assert_eq!(c.nodes[&NodeId(1)].status().entries, first.index.0 + 3, "every repetition is a recorded entry");
    // A retry gets the first result.
    c.receipts.clear();
    c.submit(2, &pay);
    assert_eq!(c.receipts[&NodeId(2)][&id], first);
    // Another command with a used sequence has no effect either.
    let twin = SignedCommand::sign(
        &c.genesis.cluster_id(),
        wire::Command { expiry: Time(pay.unverified().expiry.0 + 1), ..pay.unverified().clone() },
        &[&party_key("alice")],
    )
    .unwrap();
    order(&mut c, &forge, vec![twin.clone()], 5);
    assert_eq!(balance(&c, 3, "A"), "990");
    // Sequences may come in any order inside the window.
    let late: Vec<SignedCommand> = (0..3).map(|_| c.command("alice", "transfer(A->B, 1%1)")).rev().collect();
    order(&mut c, &forge, late, 5);
    assert_eq!(balance(&c, 3, "A"), "987");
    assert_one_chain(&c, &[1, 2, 3], "repeated");
    assert_only_guilty(&c, &[], "repeated");
    c.assert_equal(&[1, 2, 3]);
}

#[test]
fn s11_a_command_ordered_after_its_expiry_is_a_recorded_no_op() {
    let (mut c, forge) = bad_leader();
    let at = |c: &Cluster, expiry: Time, sequence: u64| {
        let command = c.clone_command("alice", "transfer(A->B, 10%1)", expiry, sequence);
        let id = command.id(&c.genesis.cluster_id());
        (command, id)
    };
    let time = c.nodes[&NodeId(1)].status().time;
    // The block's time decides, not anybody's clock: one block 100 ms later, one command good up to 99 and one to 100.
    let (expired, expired_id) = at(&c, Time(time.0 + 99), 1_001);
    let (alive, alive_id) = at(&c, Time(time.0 + 100), 1_002);
    order(&mut c, &forge, vec![expired, alive], 100);
    for n in 1..4 {
        assert_eq!(c.nodes[&NodeId(n)].find(&alive_id).unwrap().outcome.to_string(), "applied");
        assert_eq!(balance(&c, n, "A"), "990", "only one took effect");
        let receipt = &c.receipts[&NodeId(n)][&expired_id];
        assert_eq!(receipt.outcome.code, Code::Expired.number());
    }
    c.assert_equal(&[1, 2, 3]);
    assert_only_guilty(&c, &[], "expired");
}

trait CloneCommand {
    fn clone_command(&self, party: &str, text: &str, expiry: Time, sequence: u64) -> SignedCommand;
}

impl CloneCommand for Cluster {
    /// A command with a chosen expiry and sequence.
    fn clone_command(&self, party: &str, text: &str, expiry: Time, sequence: u64) -> SignedCommand {
        let ledger::classic::Classic::Operation(operation) = ledger::classic::parse(text).unwrap() else { panic!() };
        let command = wire::Command {
            party: Name::new(party).unwrap(),
            session: 8,
            sequence,
            expiry,
            payload: operation.to_payload(),
            signers: vec![],
        };
        SignedCommand::sign(&self.genesis.cluster_id(), command, &[&party_key(party)]).unwrap()
    }
}

#[test]
fn s13_an_account_is_debited_only_with_its_owners_signature() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    let thief = party_key("bob");
    let mallory = SecretKey::from_seed([99; 32]);
    let attempts: Vec<(Code, SignedCommand)> = vec![
        // In his own name.
        (Code::OwnerMustSign, c.command("bob", "transfer(A->B, 10%1)")),
        // Minting, and burning what is another's.
        (Code::NotTreasury, c.command("bob", "AdjustAccount B 1000%1")),
    ];
    for (code_wanted, command) in &attempts {
        let id = c.submit(1, command);
        c.run(300);
        assert_eq!(code(&c, 2, &id), code_wanted.number());
    }
    // In the owner's name with other keys: refused before it is ordered ...
    for signers in [vec![&thief as &dyn Signer], vec![&mallory], vec![&thief, &mallory]] {
        let command = c.command_signed("alice", "transfer(A->B, 10%1)", &signers);
        let id = c.submit(1, &command);
        c.run(300);
        assert_eq!(c.executed_on(&id), 0);
        assert!(c.refused.iter().any(|(r, o)| *r == id && o.code == Code::GuardNotSatisfied.number()));
    }
    assert_eq!((balance(&c, 3, "A"), balance(&c, 3, "B")), ("1000".to_owned(), "0".to_owned()));
    // ... and a recorded no-op if a bad leader orders it all the same.
    let (mut c, forge) = bad_leader();
    let forged = c.command_signed("alice", "transfer(A->B, 10%1)", &[&thief]);
    let id = forged.id(&c.genesis.cluster_id());
    order(&mut c, &forge, vec![forged], 5);
    assert_eq!(c.receipts[&NodeId(2)][&id].outcome.code, Code::GuardNotSatisfied.number());
    assert_eq!(balance(&c, 1, "A"), "1000");
    // Teeth: with the owner's signature as well.
    let both = c.command_signed("bob", "transfer(A->B, 10%1)", &[&thief, &party_key("alice")]);
    order(&mut c, &forge, vec![both], 5);
    assert_eq!(balance(&c, 1, "A"), "990");
    c.assert_equal(&[1, 2, 3]);
}

/// A leader that signs a block with a command whose signature is bad gives the proof of it away.
#[test]
fn s13_a_block_with_a_forged_command_is_evidence() {
    let (mut c, forge) = bad_leader();
    let height = c.height(1);
    let good = c.command("alice", "transfer(A->B, 10%1)");
    let mut bytes = good.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let bad = SignedCommand::from_bytes(&bytes).unwrap();
    let (block, _) = log(&c, 1).tip.child(&c, 1, vec![good, bad], 5);
    let append = forge.append(0, 1, block, None);
    for to in 1..4 {
        c.post(NodeId(0), NodeId(to), append.clone());
    }
    c.run(50);
    assert_eq!(c.height(1), height, "nobody votes for it");
    for n in 1..4 {
        let held = &c.nodes[&NodeId(n)].status().evidence;
        assert_eq!(held.as_slice(), [(NodeId(0), "bad_command_signature")]);
    }
    // The same block sent on by an honest node is that node's offence against nobody: evidence names who signed it.
    let letter = Letter { from: NodeId(1), to: NodeId(2), message: append };
    c.deliver(letter);
    assert_only_guilty(&c, &[0], "forged command");
}

/// A command with a used sequence that only some voters still hold must not look starved to them: the leader cannot
/// order it, and a client could call elections with it at will.
#[test]
fn l2_clients_cannot_call_elections_with_a_used_sequence() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    let expiry = Time(c.now().wall.0 + 600_000);
    let one = c.clone_command("alice", "transfer(A->B, 1%1)", expiry, 1);
    let other = c.clone_command("alice", "transfer(A->B, 2%1)", expiry, 1);
    // What the voters pass on of the other one is under way until the first is executed everywhere.
    c.network = Box::new(|l| if matches!(l.message, PeerMessage::Forward(_)) { Fate::Drop } else { Fate::Deliver });
    for n in 1..4 {
        c.submit(n, &other);
    }
    let id = c.submit(0, &one);
    c.run(200);
    assert_eq!(c.executed_on(&id), 4);
    c.network = Box::new(|_| Fate::Deliver);
    c.run(20_000);
    assert_eq!([0, 1, 2, 3].map(|n| c.term(n)), [1; 4], "clients have no power to call elections");
    assert_eq!(
        [0, 1, 2, 3].map(|n| c.nodes[&NodeId(n)].status().pool),
        [0; 4],
        "nothing that can never be ordered waits"
    );
}

/// Commands that no leader could order are refused at the door and start no deadline.
#[test]
fn l2_commands_that_cannot_be_ordered_start_no_deadline() {
    let mut c = Cluster::new(FaultModel::Byzantine, 4);
    c.run(50);
    c.set_up();
    c.run(600);
    let now = c.now().wall;
    let far = Time(now.0 + 60_000);
    let stranger = SecretKey::from_seed([99; 32]);
    let hopeless = vec![
        c.clone_command("alice", "transfer(A->B, 1%1)", Time(now.0 - 10_000), 1),
        c.clone_command("alice", "transfer(A->B, 1%1)", Time(u64::MAX), 2),
        c.clone_command("alice", "transfer(A->B, 1%1)", far, 0),
        c.clone_command("alice", "transfer(A->B, 1%1)", far, u64::MAX),
        c.clone_command("nobody", "transfer(A->B, 1%1)", far, 3),
        c.command_signed("alice", "transfer(A->B, 1%1)", &[&stranger]),
    ];
    // Also if the node that passes them on is a bad one.
    for command in &hopeless {
        for n in 0..4 {
            c.submit(n, command);
            let forward = PeerMessage::Forward([command.clone()].into_iter().collect());
            c.post(NodeId((n + 1) % 4), NodeId(n), forward);
        }
    }
    c.run(20_000);
    assert_eq!(c.refused.len(), 4 * hopeless.len());
    assert_eq!([0, 1, 2, 3].map(|n| c.term(n)), [1; 4]);
    assert_eq!([0, 1, 2, 3].map(|n| c.nodes[&NodeId(n)].status().pool), [0; 4]);
}

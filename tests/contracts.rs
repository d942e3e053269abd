//! Contracts on a cluster of four real nodes, from the command line: checked, deployed, called, tried, upgraded, sealed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

mod common;
use common::{Cluster, juno};

/// A till per party that takes money from its account and gives it to another, a clerk agreeing.
const TILL: &str = "
module shop.till
import cash = #CASH
roles clerk, owner
governed by @owner
upgrade additive 1000

record Till { pot: cash.Coin, sales: Nat32 }
table tills : Party -> Till
error Closed { owner: Party }
event Sold { buyer: Party, n: Nat96 }

action setup(owner: Party) -> Unit
  by @clerk
{
  let pot = zero cash.Coin()
  let none = const 0: Nat32
  let row = make Till(pot, none)
  insert tills owner row
  let u = unit
  yield u
}

action buy(buyer: Party, account: Party, seller: Party, n: Nat96) -> Nat96
  by buyer
  requires n >= 1
{
  let open = has tills seller
  check open else Closed(seller)
  let c = call cash.withdraw(account, buyer, n)
  let till, hole = take tills seller
  let pot, sales = unpack till
  let pot = join pot c
  let total = get pot.amount
  let one = const 1: Nat32
  let sales = add sales one
  let row = make Till(pot, sales)
  put hole row
  emit Sold(buyer, n)
  yield total
}

view takings(owner: Party) -> Option<Nat96>
{
  let n = peek tills owner.pot.amount
  yield n
}
";

const MORE: &str = "
view sales(owner: Party) -> Option<Nat32>
{
  let n = peek tills owner.sales
  yield n
}
";

struct Shell {
    cluster: Cluster,
}

impl Shell {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.cluster.dir.path().join(name);
        std::fs::write(&path, text.replace("CASH", &ledger::cash::id().0.to_string())).unwrap();
        path
    }

    fn contract(&self, verb: &str, party: Option<&str>, args: &[&str]) -> (i32, String) {
        let config = self.cluster.local.dir().join("client.toml");
        let mut all = vec!["contract", verb, "--config", config.to_str().unwrap()];
        if let Some(party) = party {
            all.extend(["--as", party]);
        }
        all.extend(args);
        juno(&all)
    }
}

/// The exit code, and each of the words in what was printed.
#[track_caller]
fn expect((code, text): (i32, String), expected: i32, words: &[&str]) {
    assert!(
        code == expected && words.iter().all(|w| text.contains(w)),
        "{code}: {text}\nexpected {expected}: {words:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_from_file_to_receipt() {
    let cluster = Cluster::running().await;
    cluster.two_accounts();
    let shell = Shell { cluster };
    let file = shell.file("till.hir", TILL);
    let path = file.to_str().unwrap();

    expect(shell.contract("check", None, &[path]), 0, &["shop.till ", "buy: steps <= ", "takings: "]);
    let lost = shell.file("lost.hir", &TILL.replace("let pot = join pot c\n", "let pot = zero cash.Coin()\n"));
    expect(shell.contract("check", None, &[lost.to_str().unwrap()]), 2, &["lost.hir", "function 1 \"buy\""]);
    expect(shell.contract("deploy", Some("alice"), &[path]), 2, &["role clerk needs a party: --role clerk=PARTY"]);
    let roles = ["--role", "clerk=bob", "--role", "owner=alice"];
    expect(shell.contract("deploy", Some("alice"), &[&[path], &roles[..]].concat()), 0, &["Deployed shop.till "]);
    expect(shell.contract("deploy", Some("bob"), &[&[path], &roles[..]].concat()), 1, &["deployed already"]);

    let call = |party, args: &[&str]| shell.contract("call", Some(party), &[&["shop.till"], args].concat());
    expect(
        call("alice", &["setup", "bob"]),
        1,
        &["not authorized: the signers are not those whom shop.till.setup asks for"],
    );
    expect(
        call("bob", &["setup", "bob"]),
        0,
        &["shop.till tills[bob]: - -> Till { pot: Coin { amount: 0 }, sales: 0 }"],
    );
    expect(call("alice", &["buy", "alice", "A", "carol", "5"]), 1, &["shop.till: Closed { owner: carol }"]);
    expect(call("alice", &["buy", "alice", "A", "bob", "0"]), 1, &["requirement 0 does not hold"]);
    expect(call("alice", &["buy", "alice", "A", "bob"]), 2, &["buy takes 4 (buyer, account, seller, n), 3 are given"]);
    expect(
        call("alice", &["buy", "alice", "A", "bob", "x"]),
        2,
        &["argument n: at character 1: expected a number from 0"],
    );
    expect(call("alice", &["sell"]), 2, &["shop.till has no action or view sell; it has setup, buy, takings"]);
    let tried = ["shop.till", "buy", "alice", "A", "bob", "7"];
    expect(
        shell.contract("try", Some("alice"), &tried),
        0,
        &["7", "bank.cash accounts[A].balance.amount: 100000000 -> 99999993"],
    );
    expect(
        call("alice", &["buy", "alice", "A", "bob", "7"]),
        0,
        &[
            "= 7",
            "steps",
            "bank.cash accounts[A].balance.amount: 100000000 -> 99999993",
            "shop.till tills[bob].pot.amount: 0 -> 7",
            "shop.till tills[bob].sales: 0 -> 1",
            "shop.till Sold { buyer: alice, n: 7 }",
        ],
    );
    expect(shell.contract("try", Some("alice"), &["shop.till", "takings", "bob"]), 0, &["some(7)"]);
    expect(shell.contract("try", Some("bob"), &["bank.cash", "balance", "A"]), 0, &["some(99999993)"]);

    let (_, listed) = shell.contract("show", None, &[]);
    let id = listed.lines().find(|l| l.contains("shop.till")).unwrap().split(' ').next().unwrap().to_owned();
    expect(
        shell.contract("show", None, &["shop.till"]),
        0,
        &[&format!("-- {id}"), "-- role clerk: bob", "action buy("],
    );

    // A later version, after its delay; the rows stay.
    let text = TILL.replace("module shop.till", &format!("module shop.till\nreplaces #{id}")) + MORE;
    let second = shell.file("till2.hir", &text);
    expect(
        shell.contract("upgrade", Some("bob"), &[second.to_str().unwrap()]),
        1,
        &["not those who govern module shop.till"],
    );
    expect(shell.contract("upgrade", Some("alice"), &[second.to_str().unwrap()]), 0, &["Announced shop.till "]);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    expect(shell.cluster.submit("alice", &["transfer(A->B, 1%1)"]), 0, &["Transferred"]);
    expect(shell.contract("try", Some("alice"), &["shop.till", "sales", "bob"]), 0, &["some(1)"]);
    expect(shell.contract("seal", Some("alice"), &[&id, "sealed"]), 0, &["Sealed from now on"]);
    let old = [id.as_str(), "buy", "alice", "A", "bob", "7"];
    expect(shell.contract("call", Some("alice"), &old), 1, &["is not in force"]);
    expect(call("alice", &["buy", "alice", "A", "bob", "1"]), 0, &["= 8"]);

    // All nodes hold the same, and hold it after a restart.
    let Shell { mut cluster } = shell;
    cluster.local.kill_all();
    cluster.start().await;
    for node in 0..4 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (status, modules) = cluster.get(node, "/v1/modules");
            if status == 200 && modules["modules"].as_array().is_some_and(|m| m.len() == 3) {
                break;
            }
            assert!(Instant::now() < deadline, "node {node}: {modules}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The commands of `docs/hopper/tour.md`, with the contract that stands there.
#[tokio::test(flavor = "multi_thread")]
async fn the_tour_works_as_written() {
    let cluster = Cluster::running().await;
    cluster.two_accounts();
    let shell = Shell { cluster };
    assert_eq!(shell.cluster.submit("alice", &["CreateAccount alice"]).0, 0);
    assert_eq!(shell.cluster.submit("treasury", &["AdjustAccount alice 1%1"]).0, 0);
    let tour = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hopper/tour.md")).unwrap();
    let contract = tour.split("```hopper\n").nth(1).unwrap().split("```").next().unwrap();
    let file = shell.cluster.dir.path().join("jar.hop");
    std::fs::write(&file, contract).unwrap();
    let path = file.to_str().unwrap();
    expect(juno(&["contract", "fmt", "--check", path]), 0, &[]);
    expect(shell.contract("check", None, &[path]), 0, &["shop.jar ", "take: steps <= "]);
    expect(shell.contract("cost", None, &[path]), 0, &["give: steps <= "]);
    expect(shell.contract("doc", None, &[path]), 0, &["# shop.jar", "action take(", "take: steps <= "]);
    expect(shell.contract("deploy", Some("alice"), &[path, "--role", "keeper=bob"]), 0, &["Deployed shop.jar "]);
    let lock = std::fs::read_to_string(file.with_file_name("hopper.lock")).unwrap();
    assert!(lock.contains(&format!("\"bank.cash\" = \"{}\"", ledger::cash::id().0)), "{lock}");
    let call = |args: &[&str]| shell.contract("call", Some("alice"), &[&["shop.jar"], args].concat());
    expect(call(&["put_up", "flowers", "alice"]), 0, &["shop.jar jars[\"flowers\"]: - -> Jar"]);
    let shown = tour.split("field by field:\n\n```\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    expect(call(&["give", "flowers", "alice", "500"]), 0, &lines);
    expect(shell.contract("try", None, &["shop.jar", "inside", "flowers"]), 0, &["some(500)"]);
    expect(call(&["take", "flowers", "alice", "501"]), 1, &["shop.jar: TooMuch { has: 500 }"]);
    expect(call(&["take", "flowers", "bob", "500"]), 1, &["not authorized"]);
    expect(call(&["take", "flowers", "alice", "500"]), 0, &["shop.jar jars[\"flowers\"].pot.amount: 500 -> 0"]);
}
